"""Tables in GitHub's Markdown."""

from __future__ import annotations

from collections.abc import Sequence


def markdown_table(header: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Rows of text with columns as wide as their widest cell."""
    rows = [[escaped(text) for text in row] for row in (header, *lines)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    first, *rest = (
        [text.ljust(width) for text, width in zip(row, widths, strict=True)] for row in rows
    )
    rule = ["-" * width for width in widths]
    return "\n".join(f"| {' | '.join(row)} |" for row in (first, rule, *rest))


def escaped(text: str) -> str:
    """Text that Markdown shows as it is."""
    return text.replace("|", "\\|").replace("*", "\\*")
