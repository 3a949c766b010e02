"""Tables in GitHub's Markdown."""

from __future__ import annotations

import re
from collections.abc import Sequence

from becam.terminal import one_line

# An underscore inside of a word and a lone "<" mean nothing in Markdown.
_ALWAYS = r"[\\`*|~]|(?<!\w)_|_(?!\w)|<(?=[\w/!?])|&(?=#?\w+;)"
_SPECIAL = re.compile(_ALWAYS + r"|\[(?=[^\]]*\]\()")
_BRACKETS_TOO = re.compile(_ALWAYS + r"|[\[\]]")
_HTML = {"<": "&lt;", "&": "&amp;"}


def markdown_table(header: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Rows of text with columns as wide as their widest cell."""
    rows = [[escaped(text) for text in row] for row in (header, *lines)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    first, *rest = (
        [text.ljust(width) for text, width in zip(row, widths, strict=True)] for row in rows
    )
    rule = ["-" * width for width in widths]
    return "\n".join(f"| {' | '.join(row)} |" for row in (first, rule, *rest))


def escaped(text: str, *, brackets: bool = False) -> str:
    """Text that Markdown shows as it is, in one line: no emphasis, no links, no HTML.

    Args:
        text: any.
        brackets: escape all of them, not those alone that begin a link.
    """
    special = _BRACKETS_TOO if brackets else _SPECIAL
    return special.sub(lambda found: _HTML.get(found[0], f"\\{found[0]}"), one_line(text))
