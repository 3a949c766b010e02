"""What a paper asks of a figure: its width, fonts that may be embedded, and a caption beside it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont

from becam.errors import BecamError
from becam.figures.typesetting import FALLBACK_FONT, Measure, drawable, measuring
from becam.figures.writing import EMBEDDING, write_figure
from becam.files import write_json, write_text

WIDTHS = {"column": 3.35, "text": 5.5, "page": 7.0}
"""Inches: one column of a two-column paper, the text of a one-column paper, both columns."""

_LEAST, _MOST = 1.0, 40.0
_SIZES = (3.0, 30.0)
_POINTS = 72
_LINE = 1.3


@dataclass(frozen=True)
class Page:
    """How large a figure is printed, and with which letters.

    Attributes:
        width: of the figure, in inches.
        height: at most, in inches.
        size: of the letters, in points; small ones are a point smaller.
        font: a TrueType family that is installed; ``STIXGeneral`` resembles Times.
        dpi: pixels an inch of the pictures in the figure.

    Raises:
        BecamError: a font that is not installed or that camera-ready files cannot embed, or a
            size that no paper has.
    """

    width: float = WIDTHS["page"]
    height: float = 9.0
    size: float = 7.0
    font: str = FALLBACK_FONT
    dpi: int = 300

    def __post_init__(self) -> None:
        if not _LEAST <= self.width <= _MOST:
            raise BecamError(
                f"A figure of {self.width:g} inches fits no paper; give a width from {_LEAST:g} to "
                f"{_MOST:g}."
            )
        if not _SIZES[0] <= self.size <= _SIZES[1]:
            raise BecamError(
                f"Letters of {self.size:g} points cannot be read; give {_SIZES[0]:g} to "
                f"{_SIZES[1]:g}."
            )
        _check_font(self.font)

    @classmethod
    def of(cls, width: str, **more: Any) -> Page:
        """A page of a width by its name in ``WIDTHS``, or in inches.

        Raises:
            BecamError: neither.
        """
        try:
            return cls(width=WIDTHS[width] if width in WIDTHS else float(width), **more)
        except ValueError:
            raise BecamError(
                f"{width!r} is no width; give {', '.join(WIDTHS)} or a number of inches."
            ) from None

    @property
    def small(self) -> float:
        """Size of small letters, in points."""
        return self.size - 1

    def lines(self, count: float, *, small: bool = False) -> float:
        """Height of lines of text, in inches."""
        return count * _LINE * (self.small if small else self.size) / _POINTS

    @cached_property
    def measure(self) -> Measure:
        """Widths of strings in letters of ``size``, in inches."""
        return self._measure(self.size)

    @cached_property
    def measure_small(self) -> Measure:
        """Widths of strings in small letters, in inches."""
        return self._measure(self.small)

    def _measure(self, size: float) -> Measure:
        points = measuring(FontProperties(family=[self.font, FALLBACK_FONT], size=size))
        return lambda string: points(string) / _POINTS

    def drawable(self, string: str) -> str:
        """One line that the font can draw."""
        return drawable(string, self.font)

    @contextmanager
    def style(self) -> Iterator[None]:
        """Matplotlib's settings while a figure is drawn or written."""
        serif = self.font.startswith("STIX")
        with matplotlib.rc_context(
            {
                "font.family": [self.font, FALLBACK_FONT],
                "font.size": self.size,
                "axes.titlesize": self.size,
                "axes.labelsize": self.size,
                "xtick.labelsize": self.small,
                "ytick.labelsize": self.small,
                "legend.fontsize": self.small,
                "figure.titlesize": self.size,
                "mathtext.fontset": "stix" if serif else "dejavusans",
                "axes.linewidth": 0.5,
                "xtick.major.width": 0.5,
                "ytick.major.width": 0.5,
                "xtick.major.size": 2,
                "ytick.major.size": 2,
                **EMBEDDING,
            }
        ):
            yield


@dataclass(frozen=True, eq=False)
class PaperFigure:
    """A figure with what a reader must be told of it.

    Attributes:
        figure: to draw, or to change before it is written.
        caption: in words: what is shown and by which rule, and what must not be concluded.
        numbers: all that the figure and its caption rest on, as plain values.
        page: that it was made for.
    """

    figure: Figure
    caption: str
    page: Page
    numbers: dict[str, Any] = field(default_factory=dict)

    def save(self, path: str | Path) -> None:
        """Write the figure (PDF, SVG, PNG), its caption (``.txt``) and numbers (``.json``).

        Raises:
            BecamError: the suffix names no format, or the disk refused.
        """
        path = Path(path)
        with self.page.style():
            write_figure(self.figure, path, dpi=self.page.dpi)
        write_text(path.with_suffix(".txt"), self.caption + "\n")
        write_json(path.with_suffix(".json"), self.numbers)


def _check_font(font: str) -> None:
    try:
        found = findfont(FontProperties(family=font), fallback_to_default=False)
    except ValueError:
        raise BecamError(
            f"There is no font {font!r} here; install it, or take DejaVu Sans or STIXGeneral "
            "(it resembles Times), which are always there."
        ) from None
    if Path(found).suffix.lower() != ".ttf":
        raise BecamError(
            f"{font} is not a TrueType font ({found}), as camera-ready files must embed; take "
            "another."
        )
