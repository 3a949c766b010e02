"""What is printed: names and texts of others as they are, and nothing that a terminal obeys."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

_CONTROLS = (*range(0x20), *range(0x7F, 0xA0))
# Separators that end a line, and marks that turn the direction of the text after them.
_MARKS = (0x2028, 0x2029, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
_OBEYED = {place: f"\\x{place:02x}" for place in _CONTROLS if chr(place) not in "\n\t"}
# Halves of letters, which stand for bytes of names that are no UTF-8, and cannot be written.
_HALVES = range(0xD800, 0xE000)
_OBEYED |= {place: f"\\u{place:04x}" for place in (*_MARKS, *_HALVES)}


def harmless(text: str) -> str:
    """Text without what a terminal obeys: control characters stand as their escapes."""
    return text.translate(_OBEYED)


def one_line(text: str) -> str:
    """The same in one line."""
    return harmless(text).replace("\n", "\\n").replace("\t", "\\t")


def say(text: str, *, err: bool = False, end: str = "\n") -> None:
    """Print a line; on standard error if ``err``."""
    print(harmless(text), end=end, file=sys.stderr if err else sys.stdout)


def console(**options: Any) -> Console:
    """A console that prints strings, of tables too, as they are: no markup, no control characters.

    Args:
        options: of ``rich.console.Console``.
    """
    from rich.console import Console
    from rich.text import Text

    class _Literal(Console):
        def render_str(self, text: str, **how: Any) -> Text:
            return super().render_str(harmless(text), **how)

    return _Literal(markup=False, emoji=False, **options)
