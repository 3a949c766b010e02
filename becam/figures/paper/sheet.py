"""A figure that is drawn on in inches from its upper left corner."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from becam.figures.page import Page
from becam.figures.typesetting import fitted

HAIR = 0.3
"""Width of the thinnest line, in points."""

_RULE = "0.4"


@dataclass(frozen=True)
class Box:
    """A rectangle in inches from the page's upper left corner."""

    left: float
    top: float
    width: float
    height: float

    @property
    def right(self) -> float:
        """Its right edge."""
        return self.left + self.width

    @property
    def bottom(self) -> float:
        """Its lower edge."""
        return self.top + self.height


class Sheet:
    """A figure as large as a page is wide.

    Args:
        page: size and letters.
        height: in inches.

    Attributes:
        figure: what is drawn on.
        page: as given.
    """

    def __init__(self, page: Page, height: float) -> None:
        self.page = page
        self._height = height
        self.figure = Figure(figsize=(page.width, height))

    def axes(self, box: Box) -> Axes:
        """Axes that fill a box."""
        width, height = self.page.width, self._height
        return self.figure.add_axes(
            (
                box.left / width,
                1 - box.bottom / height,
                box.width / width,
                box.height / height,
            )
        )

    def text(self, x: float, y: float, words: str, *, small: bool = False, **style: Any) -> None:
        """One line of text, its middle at a point unless ``ha`` and ``va`` say otherwise."""
        self.figure.text(
            x / self.page.width,
            1 - y / self._height,
            words,
            parse_math=False,
            fontsize=self.page.small if small else self.page.size,
            **{"ha": "center", "va": "center", **style},
        )

    def centred(self, room: Box, lines: Sequence[str], *, small: bool = True, **style: Any) -> None:
        """Lines of text from the top of a box."""
        for number, line in enumerate(lines):
            y = room.top + self.page.lines(number + 0.5, small=small)
            self.text(room.left + room.width / 2, y, line, small=small, **style)

    def name(self, room: Box, name: str, *, above: bool, ruled: bool = False) -> None:
        """A name above columns, or turned beside rows, as near to them as its box allows.

        Args:
            room: for the name; it is cut where it does not fit.
            name: any string.
            above: columns, or else beside rows.
            ruled: with a line between the name and what it names.
        """
        length, depth = (room.width, room.height) if above else (room.height, room.width)
        count = max(1, round(depth / self.page.lines(1)))
        lines = fitted(self.page.drawable(name), length, self.page.measure, lines=count)
        for number, line in enumerate(lines):
            far = self.page.lines(len(lines) - number - 0.5)
            if above:
                self.text(room.left + room.width / 2, room.bottom - far, line)
            else:
                self.text(room.right - far, room.top + room.height / 2, line, rotation=90)
        if ruled:
            start = (room.left, room.bottom) if above else (room.right, room.top)
            self._rule(start, (room.right, room.bottom))

    def _rule(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        xs, ys = zip(start, end, strict=True)
        self.figure.add_artist(
            Line2D(
                [x / self.page.width for x in xs],
                [1 - y / self._height for y in ys],
                color=_RULE,
                linewidth=HAIR,
            )
        )
