"""Where pictures and maps stand on a page: cells in rows and columns, with room for words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from becam.errors import BecamError
from becam.figures.page import Page
from becam.figures.paper.sheet import Box

ItemsAs = Literal["columns", "rows"]
"""Whether an item's picture and maps stand below each other, or side by side."""

_GAP, _BLOCK_GAP, _GROUP_GAP = 0.04, 0.09, 0.16
_EDGE = 0.04
_SMALLEST = 0.3


@dataclass(frozen=True)
class Layout:
    """Cells of equal size for groups of items, each with a picture and blocks of maps.

    Attributes:
        page: its width is kept, and its height not exceeded.
        groups: number of items in each group.
        blocks: number of maps in each block; a picture stands before them.
        items_as: items in columns or in rows.
        aspect: height of a cell over its width.
        block_lines: lines above the blocks of maps; 0 where they have no names.
        heading_lines: lines above each map, or the turned ones beside it.
        group_lines: lines above the groups.
        title_lines: lines below the pictures.
        foot: height of what stands below all cells, in inches.

    Raises:
        BecamError: so many cells that none is large enough to see anything in.
    """

    page: Page
    groups: tuple[int, ...]
    blocks: tuple[int, ...]
    items_as: ItemsAs
    aspect: float
    block_lines: int
    heading_lines: int
    group_lines: int
    title_lines: int
    foot: float

    def __post_init__(self) -> None:
        if self.cell[0] < _SMALLEST:
            raise BecamError(
                f"{sum(self.groups)} items with {sum(self.blocks)} maps each do not fit on "
                f"{self.page.width:g} x {self.page.height:g} inches; show fewer items, or give a "
                "larger --width."
            )

    @cached_property
    def cell(self) -> tuple[float, float]:
        """Width and height of a picture in inches."""
        across, down = self._gaps
        columns, rows = (len(gaps) for gaps in (across, down))
        wide = (self.page.width - self._left - _EDGE - sum(across)) / columns
        taken = self._top + sum(down) + sum(self._notes) + self.foot
        high = (self.page.height - taken) / rows
        width = min(wide, high / self.aspect)
        return width, width * self.aspect

    @property
    def height(self) -> float:
        """Of all, in inches."""
        _, down = self._gaps
        cells = len(down) * self.cell[1] + sum(down) + sum(self._notes)
        return self._top + cells + self.foot

    def picture(self, item: int, place: int) -> Box:
        """Where the picture (place 0) or a map of an item is; items are counted over groups."""
        across, down = self._gaps
        column, row = (item, place) if self.items_as == "columns" else (place, item)
        width, height = self.cell
        return Box(
            self._start + self._left + column * width + sum(across[: column + 1]),
            self._top + row * height + sum(down[: row + 1]) + sum(self._notes[:row]),
            width,
            height,
        )

    def note(self, item: int, place: int) -> Box:
        """The room for words below a picture or a map."""
        above = self.picture(item, place)
        row = place if self.items_as == "columns" else item
        return Box(above.left, above.bottom, above.width, self._notes[row])

    def group(self, number: int) -> Box:
        """The room for a group's name: above its columns, or left of its rows."""
        first = sum(self.groups[:number])
        ends = [self.picture(item, 0) for item in (first, first + self.groups[number] - 1)]
        if self.items_as == "columns":
            return _above(ends, _EDGE, self._top - _EDGE)
        return _beside(ends, self._start + _EDGE, self.page.lines(self.group_lines))

    def block(self, number: int) -> Box:
        """The room for the name of a block of maps, likewise."""
        first = 1 + sum(self.blocks[:number])
        ends = [self.picture(0, place) for place in (first, first + self.blocks[number] - 1)]
        if self.items_as == "rows":
            return _above(ends, _EDGE, self.page.lines(self.block_lines))
        return _beside(ends, self._start + _EDGE, self.page.lines(self.block_lines))

    def heading(self, place: int) -> Box:
        """The room for the name of a map, or of the picture (place 0), likewise."""
        ends = [self.picture(0, place)] * 2
        before = _EDGE + self.page.lines(self.block_lines)
        if self.items_as == "rows":
            return _above(ends, before, self.page.lines(self.heading_lines))
        return _beside(ends, self._start + before, self.page.lines(self.heading_lines))

    @property
    def _start(self) -> float:
        """Left of everything, where the page's height leaves cells less wide than its width."""
        across, _ = self._gaps
        used = self._left + len(across) * self.cell[0] + sum(across) + _EDGE
        return (self.page.width - used) / 2

    @property
    def _left(self) -> float:
        names = (
            self.group_lines if self.items_as == "rows" else self.block_lines + self.heading_lines
        )
        return _EDGE + self.page.lines(names)

    @property
    def _top(self) -> float:
        names = (
            self.group_lines
            if self.items_as == "columns"
            else self.block_lines + self.heading_lines
        )
        return _EDGE + self.page.lines(names)

    @cached_property
    def _gaps(self) -> tuple[list[float], list[float]]:
        """Before each column and before each row."""
        items = _gaps(self.groups, _GROUP_GAP)
        maps = _gaps((1, *self.blocks), _BLOCK_GAP)
        return (items, maps) if self.items_as == "columns" else (maps, items)

    @cached_property
    def _notes(self) -> list[float]:
        """Below each row."""
        titles = self.page.lines(self.title_lines, small=True)
        if self.items_as == "rows":
            return [max(titles, self.page.lines(1, small=True))] * sum(self.groups)
        return [titles] + [self.page.lines(1, small=True)] * sum(self.blocks)


def _beside(ends: Sequence[Box], left: float, width: float) -> Box:
    first, last = ends
    return Box(left, first.top, width, last.bottom - first.top)


def _above(ends: Sequence[Box], top: float, height: float) -> Box:
    first, last = ends
    return Box(first.left, top, last.right - first.left, height)


def _gaps(sizes: Sequence[int], between: float) -> list[float]:
    gaps: list[float] = []
    for size in sizes:
        gaps += [between if gaps else 0.0, *[_GAP] * (size - 1)]
    return gaps
