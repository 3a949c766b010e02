"""Contact sheets: many items on A4 pages, each its picture beside a cell for every column.

Pages are drawn and written one after another, so that any number of items fits into memory.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_pdf import PdfPages
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image

from becam.errors import BecamError
from becam.figures.fonts import legible, tell_missing
from becam.figures.overlay import ramp
from becam.figures.page import Page
from becam.figures.typesetting import FALLBACK_FONT, fitted
from becam.files import atomic_file

SUFFIXES = (".png", ".pdf")

_WIDTH, _HEIGHT = 8.27, 11.69
_MARGIN = 0.5
_DPI = 200
_CELL = 1.0
"""Inches that a cell wants to be wide: as many items stand side by side as that allows."""
_WIDE = 0.95
"""Inches from which a cell is wide enough for a caption of one line."""
_BETWEEN, _APART = 0.06, 0.3
"""Inches between the cells of an item, and between items side by side."""
_POINTS = 72.0
_LINE = 1.35
_TITLE, _TEXT, _NOTE, _HEADING = 7.0, 6.0, 6.5, 11.0
_BOLD = 1.12
"""How much wider bold letters are."""
_SNUG = 0.98
"""Part of the room that lines are fitted into: as pixels, letters are a little wider."""
_HEAD_LINES = 3
_GAP = 0.12
_FOOT = 0.62
_ASPECT = (0.6, 1.5)
_NEARLY = 0.3
"""Part of a row that may be gained by lower pictures."""
_TALL = 12
"""Items whose pictures decide how high cells are."""
_CHARACTERS = 160
_MARKED, _QUIET = "#b23c00", "#555555"
"""Okabe and Ito's vermillion, darkened until small letters of it can be read on white."""


@dataclass(frozen=True, eq=False)
class SheetCell:
    """A picture with a line below it.

    Attributes:
        picture: of about the size that is printed.
        caption: the line.
        marked: whether something speaks against what is shown.
    """

    picture: Image.Image
    caption: str = ""
    marked: bool = False


@dataclass(frozen=True, eq=False)
class SheetItem:
    """An item: two lines, and its cells, the plain picture first."""

    title: str
    note: str
    cells: Sequence[SheetCell]


@dataclass(frozen=True)
class SheetHead:
    """What is said once.

    Attributes:
        title: of the sheet.
        rule: by which its items were chosen.
        columns: a heading for every cell but the plain picture's.
        notes: what a reader must know, in sentences.
        legend: what captions and marks mean, in sentences.
        scale: what the ends of the colour bar mean.
    """

    title: str
    rule: str
    columns: Sequence[str]
    notes: Sequence[str] = ()
    legend: str = ""
    scale: tuple[str, str] = ("low", "high")


def check_sheet(path: str | Path) -> None:
    """Fail early when no sheet can be written to ``path``.

    Raises:
        BecamError: the suffix is neither .png nor .pdf.
    """
    if Path(path).suffix.lower() not in SUFFIXES:
        raise BecamError(f"{path} is no contact sheet; end its name in .pdf or .png.")


class ContactSheet:
    """Writes items to a PDF, or to a PNG a page.

    Several pages as PNG get numbers, as in ``sheet-01.png``.

    Args:
        path: ends in .pdf or .png.
        head: what is said once.
        total: how many items there will be.
        font: see ``becam.figures.page.Page``.

    Raises:
        BecamError: another suffix, or a font that is not there.
    """

    def __init__(
        self, path: str | Path, head: SheetHead, *, total: int, font: str = FALLBACK_FONT
    ) -> None:
        check_sheet(path)
        self._path = Path(path)
        self._head = head
        self._total = total
        self._page = Page(width=_WIDTH, height=_HEIGHT, size=_TITLE, font=font, dpi=_DPI)
        self._waiting: list[SheetItem] = []
        self._layout: _Layout | None = None
        self._number = 0
        self._stack = ExitStack()
        self._pdf: PdfPages | None = None
        self._written: list[Path] = []

    def __enter__(self) -> ContactSheet:
        if self._path.suffix.lower() == ".pdf":
            temporary = self._stack.enter_context(atomic_file(self._path))
            undated = {"CreationDate": None, "Title": self._head.title}
            self._pdf = self._stack.enter_context(PdfPages(temporary, metadata=undated))
        return self

    def __exit__(self, *failure: object) -> None:
        with self._page.style():  # fonts are embedded when a PDF is closed
            self._stack.__exit__(*failure)  # type: ignore[arg-type]

    def add(self, item: SheetItem) -> None:
        """Put an item on the sheet."""
        self._waiting.append(item)
        if self._layout is not None or len(self._waiting) >= _TALL:
            self._write(whole=True)

    def finish(self) -> list[Path]:
        """Write what is left; the paths of all that was written.

        A warning names the letters that no font of the machine has.
        """
        self._write(whole=False)
        if self._pdf is not None:
            with self._page.style():
                self._pdf.close()  # type: ignore[no-untyped-call]  # here, so that a full disk is met before anything is in place
        tell_missing()
        return [self._path] if self._pdf is not None else self._written

    def _write(self, *, whole: bool) -> None:
        """Write the pages that are full, or all."""
        if self._layout is None:
            self._layout = _Layout.of(self._head, self._waiting, self._page)
        while self._waiting:
            room = self._layout.room(first=self._number == 0)
            if whole and len(self._waiting) < room:
                return
            items, self._waiting = self._waiting[:room], self._waiting[room:]
            self._draw(items, self._layout)

    def _draw(self, items: Sequence[SheetItem], layout: _Layout) -> None:
        self._number += 1
        pages = layout.pages(self._total)
        with self._page.style():
            figure = layout.draw(items, number=self._number, pages=pages)
            legible(figure)
            if self._pdf is not None:
                self._pdf.savefig(figure, dpi=_DPI)  # type: ignore[no-untyped-call]
                return
            path = self._path
            if pages > 1:
                number = f"{self._number:0{len(str(pages))}d}"
                path = path.with_name(f"{path.stem}-{number}{path.suffix}")
            with atomic_file(path) as temporary:
                figure.savefig(temporary, dpi=_DPI)
            self._written.append(path)


@dataclass(frozen=True, eq=False)
class _Layout:
    """Where everything stands, in inches from the upper left corner.

    Attributes:
        head: what is said once.
        page: the letters.
        across: items side by side.
        cell, high: width of a cell, and height of its picture.
    """

    head: SheetHead
    page: Page
    across: int
    cell: float
    high: float

    @classmethod
    def of(cls, head: SheetHead, items: Sequence[SheetItem], page: Page) -> _Layout:
        """The layout for items whose pictures are shaped as those of some of them."""
        cells, room = 1 + len(head.columns), _WIDTH - 2 * _MARGIN
        wanted = cells * _CELL + (cells - 1) * _BETWEEN
        across = max(1, int((room + _APART) / (wanted + _APART)))
        wide = (room - (across - 1) * _APART) / across
        cell = (wide - (cells - 1) * _BETWEEN) / cells
        shapes = [one.cells[0].picture for one in items] or [Image.new("RGB", (1, 1))]
        aspect = float(np.median([shape.height / shape.width for shape in shapes]))
        wished = cls(head, page, across, cell, cell * min(max(aspect, _ASPECT[0]), _ASPECT[1]))
        # Where a row more nearly fits on the first page, it does so with slightly lower pictures.
        space = wished.space(first=True)
        rows = max(1, int(space / wished.row + _NEARLY))
        return replace(wished, high=wished.high - max(0.0, wished.row - space / rows))

    @property
    def row(self) -> float:
        """How high a row of items is at least."""
        text = _lines(1, _TITLE) + _lines(1, _TEXT) + 0.03 + 0.05 + _lines(self.captions, _TEXT)
        return text + self.high + _GAP

    @property
    def captions(self) -> int:
        """How many lines a caption takes."""
        return 1 if self.cell >= _WIDE else 2

    def top(self, *, first: bool) -> float:
        """Where the first row begins."""
        lines = _lines(1, _HEADING if first else _NOTE) + _lines(len(self._rule()), _NOTE)
        notes = _lines(len(self._notes()), _NOTE) + 0.04 if first and self.head.notes else 0.0
        return _MARGIN + lines + notes + _GAP + _lines(self._heading_lines(), _TEXT) + 0.02

    def space(self, *, first: bool) -> float:
        """How high the room for rows is."""
        return _HEIGHT - self.top(first=first) - _FOOT - 0.05

    def rows(self, *, first: bool) -> int:
        """How many rows a page takes."""
        return max(1, int(self.space(first=first) / self.row + 1e-6))

    def room(self, *, first: bool) -> int:
        """How many items a page takes."""
        return self.across * self.rows(first=first)

    def pages(self, total: int) -> int:
        """How many pages so many items take."""
        beyond = total - self.room(first=True)
        return 1 + max(0, math.ceil(beyond / self.room(first=False)))

    def draw(self, items: Sequence[SheetItem], *, number: int, pages: int) -> Figure:
        """One page."""
        figure = Figure(figsize=(_WIDTH, _HEIGHT), dpi=_DPI)
        self._draw_head(figure, first=number == 1)
        top, step = self.top(first=number == 1), self.space(first=number == 1)
        step /= self.rows(first=number == 1)
        for place in range(min(self.across, len(items))):
            self._draw_headings(figure, place, top)
        for place, item in enumerate(items):
            down, over = divmod(place, self.across)
            self._draw_item(figure, item, self._left(over), top + down * step)
        self._draw_foot(figure, number, pages)
        return figure

    def _draw_head(self, figure: Figure, *, first: bool) -> None:
        y = _MARGIN
        size = _HEADING if first else _NOTE
        title = self._fitted(self.head.title, _WIDTH - 2 * _MARGIN, size, bold=True)
        self._text(figure, _MARGIN, y, title, size=size, weight="bold")
        y += _lines(1, size)
        for line in self._rule():
            self._text(figure, _MARGIN, y, line, size=_NOTE)
            y += _lines(1, _NOTE)
        y += 0.04
        for line in self._notes() if first else []:
            self._text(figure, _MARGIN, y, line, size=_NOTE, color=_QUIET)
            y += _lines(1, _NOTE)

    def _draw_headings(self, figure: Figure, place: int, top: float) -> None:
        for number, label in enumerate(self.head.columns, start=1):
            lines = self._lines_of(label, self.cell, _TEXT, _HEAD_LINES)
            left = self._left(place) + number * (self.cell + _BETWEEN)
            bottom = top - 0.02
            for up, line in enumerate(reversed(lines), start=1):
                self._text(figure, left, bottom - _lines(up, _TEXT), line, size=_TEXT)

    def _draw_item(self, figure: Figure, item: SheetItem, left: float, top: float) -> None:
        wide = (self.cell + _BETWEEN) * len(item.cells) - _BETWEEN
        title = self._fitted(item.title, wide, _TITLE, bold=True)
        self._text(figure, left, top, title, size=_TITLE, weight="bold")
        y = top + _lines(1, _TITLE)
        note = self._fitted(item.note, wide, _TEXT)
        self._text(figure, left, y, note, size=_TEXT, color=_QUIET)
        y += _lines(1, _TEXT) + 0.03
        for number, cell in enumerate(item.cells):
            self._draw_cell(figure, cell, left + number * (self.cell + _BETWEEN), y)

    def _draw_cell(self, figure: Figure, cell: SheetCell, left: float, top: float) -> None:
        wide, high = cell.picture.size
        scale = min(self.cell / wide, self.high / high)
        wide, high = wide * scale, high * scale  # type: ignore[assignment]  # now inches
        right = left + (self.cell - wide) / 2
        axes = _axes(figure, right, top, wide, high)
        axes.imshow(np.asarray(cell.picture.convert("RGB")), aspect="auto")
        axes.axis("off")
        # Pictures on white have no edge of their own.
        axes.add_patch(
            Rectangle(
                (0, 0), 1, 1, transform=axes.transAxes, fill=False, ec="0.8", lw=0.4, clip_on=False
            )
        )
        y = top + self.high + 0.05
        indent = 0.08 if cell.marked else 0.0
        if cell.marked:
            self._text(figure, left, y, "!", size=_TEXT, weight="bold", color=_MARKED)
        lines = self._lines_of(cell.caption, self.cell - indent, _TEXT, self.captions)
        for down, line in enumerate(lines):
            self._text(figure, left + indent, y + _lines(down, _TEXT), line, size=_TEXT)

    def _draw_foot(self, figure: Figure, number: int, pages: int) -> None:
        top = _HEIGHT - _FOOT
        low, high = self.head.scale
        bar = _axes(figure, _MARGIN, top, 1.6, 0.1)
        bar.imshow(np.asarray(ramp()), aspect="auto")
        bar.set_xticks([])
        bar.set_yticks([])
        bar.spines[:].set(color="0.8", linewidth=0.4)
        self._text(figure, _MARGIN, top + 0.13, low, size=_TEXT)
        self._text(figure, _MARGIN + 1.6, top + 0.13, high, size=_TEXT, ha="right")
        for line, words in enumerate(textwrap.wrap(self.head.legend, _CHARACTERS - 45)[:3]):
            self._text(figure, _MARGIN + 1.8, top - 0.04 + _lines(line, _TEXT), words, size=_TEXT)
        self._text(
            figure, _WIDTH - _MARGIN, top + 0.13, f"{number} / {pages}", size=_TEXT, ha="right"
        )

    def _left(self, place: int) -> float:
        cells = 1 + len(self.head.columns)
        wide = cells * self.cell + (cells - 1) * _BETWEEN
        return _MARGIN + place * (wide + _APART)

    def _heading_lines(self) -> int:
        found = (self._lines_of(one, self.cell, _TEXT, _HEAD_LINES) for one in self.head.columns)
        return max(map(len, found), default=0)

    def _rule(self) -> list[str]:
        return self._lines_of(self.head.rule, _WIDTH - 2 * _MARGIN, _NOTE, 2)

    def _notes(self) -> list[str]:
        return [
            line
            for note in self.head.notes
            for line in self._lines_of(note, _WIDTH - 2 * _MARGIN, _NOTE, 5)
        ]

    def _fitted(self, string: str, inches: float, size: float, *, bold: bool = False) -> str:
        room = inches / _BOLD if bold else inches
        return next(iter(self._lines_of(string, room, size, 1)), "")

    def _lines_of(self, string: str, inches: float, size: float, lines: int) -> list[str]:
        # Widths grow with the size of the letters.
        room = _SNUG * inches * self.page.size / size
        return fitted(self.page.drawable(string), room, self.page.measure, lines=lines)

    def _text(self, figure: Figure, left: float, top: float, string: str, **style: object) -> None:
        figure.text(
            left / _WIDTH,
            1 - top / _HEIGHT,
            string,
            va="top",
            parse_math=False,
            **style,  # type: ignore[arg-type]
        )


def _lines(count: int, size: float) -> float:
    """How high lines of letters are, in inches."""
    return count * size * _LINE / _POINTS


def _axes(figure: Figure, left: float, top: float, wide: float, high: float) -> Axes:
    bounds = (left / _WIDTH, 1 - (top + high) / _HEIGHT, wide / _WIDTH, high / _HEIGHT)
    return figure.add_axes(bounds)
