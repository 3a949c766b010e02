"""Words in lines: where each one stands when a text is wrapped to a width."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from becam.attribution.words.written import WrittenText

Measure = Callable[[str], float]
"""The width of a string, in any unit."""


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
