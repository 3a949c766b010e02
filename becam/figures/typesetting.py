"""Words in lines: what a font can draw, how wide it is, and how it is wrapped to a width."""

from __future__ import annotations

import unicodedata
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache

from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.font_manager import FontProperties

from becam.attribution.words.written import WrittenText
from becam.figures.fonts import drawn, with_fallbacks

Measure = Callable[[str], float]
"""The width of a string, in any unit."""

FALLBACK_FONT = "DejaVu Sans"
"""Comes with matplotlib; it draws what another font lacks."""

_POINTS = 72.0
_FINE = 10.0
_LONG = 1000
_ELLIPSIS = "…"


def measuring(font: FontProperties) -> Measure:
    """Widths in points, taken at a high resolution: at a low one hinting rounds them."""
    renderer = RendererAgg(1, 1, _FINE * _POINTS)  # type: ignore[no-untyped-call]

    families = font.get_family()

    @cache
    def measure(string: str) -> float:
        letters = font.copy()
        letters.set_family(with_fallbacks(string, families))
        found = renderer.get_text_width_height_descent(  # type: ignore[no-untyped-call]
            drawn(string, families), letters, ismath=False
        )
        return float(found[0]) / _FINE

    return measure


def drawable(string: str, font: str = FALLBACK_FONT) -> str:
    """One line that can be drawn: white space collapsed, control characters left out.

    What neither the font, nor ``FALLBACK_FONT``, nor any other of the machine has becomes a box,
    and of a very long string the beginning is kept.

    Args:
        string: any.
        font: name of a family.
    """
    kept = "".join(
        " " if character.isspace() else character
        for character in string[:_LONG]
        if character.isspace() or not unicodedata.category(character).startswith("C")
    )
    return " ".join(drawn(kept, (font, FALLBACK_FONT)).split())


def fitted(string: str, width: float, measure: Measure, *, lines: int = 1) -> list[str]:
    """A string in lines that are no wider than ``width``; what does not fit ends in an ellipsis.

    Args:
        string: any, without new lines.
        width: of a line.
        measure: the width of a string, in the same unit.
        lines: how many there may be.
    """
    found: list[str] = []
    rest = string.strip()
    while rest and len(found) < lines - 1 and measure(rest) > width:
        size = _fits(rest, width, measure)
        space = rest.rfind(" ", 0, size + 1)
        size = space if space > 0 else size
        found.append(rest[:size].rstrip())
        rest = rest[size:].lstrip()
    if measure(rest) > width:
        kept = _fits(rest, width - measure(_ELLIPSIS), measure)
        rest = rest[:kept].rstrip() + _ELLIPSIS
    return [*found, rest] if rest else found


def _fits(string: str, width: float, measure: Measure) -> int:
    """How many characters of a string are as wide as ``width`` at most, but at least one."""
    sizes = range(1, len(string) + 1)
    return max(1, bisect_right(sizes, width, key=lambda size: measure(string[:size])))


@dataclass(frozen=True)
class Placed:
    """A word, or a part of one that is wider than a line.

    Attributes:
        word: its number in the text.
        string: what to draw.
        line: number of the line, from the top.
        left: where it begins.
        width: of the string.
    """

    word: int
    string: str
    line: int
    left: float
    width: float


def wrap(text: WrittenText, width: float, measure: Measure) -> list[Placed]:
    """Wrap a text; new lines in it are kept, and other white space is as wide as it is.

    Args:
        text: words and gaps.
        width: of a line.
        measure: the width of a string, in the same unit.
    """
    placed: list[Placed] = []
    line, left = 0, 0.0
    for number, (gap, word) in enumerate(zip(text.gaps, text.words, strict=False)):
        if placed and "\n" in gap:
            line, left = line + gap.count("\n"), 0.0
        elif placed:
            left += measure(" ") * len(gap)
        for string in _fitting(word, width, measure):
            taken = measure(string)
            if left > 0 and left + taken > width:
                line, left = line + 1, 0.0
            placed.append(Placed(number, string, line, left, taken))
            left += taken
    return placed


def _fitting(word: str, width: float, measure: Measure) -> Iterator[str]:
    """The word in parts none of which is wider than a line, but for single characters."""
    while word:
        size = len(word)
        while size > 1 and measure(word[:size]) > width:
            size -= 1
        yield word[:size]
        word = word[size:]
