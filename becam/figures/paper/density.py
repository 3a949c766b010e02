"""Densities of points on the unit circle, drawn in columns of two."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Circle
from numpy.typing import NDArray

from becam.errors import BecamError
from becam.evaluation.spread import Measures
from becam.figures.page import Page
from becam.figures.paper.circle import angle_density, plane_density
from becam.figures.paper.sheet import HAIR, Box, Sheet
from becam.figures.typesetting import fitted

Floats = NDArray[np.float64]

COLORMAP = "Blues"
"""White where nothing is; even to the eye and to the colour-blind."""

_LINE = "#0072B2"  # Okabe and Ito's blue
_REACH, _STEPS = 1.5, 151
_ANGLES = np.linspace(-np.pi, np.pi, 361)
_EVEN = 1 / (2 * np.pi)
_WIDEST = 2.0
_EDGE, _GAP, _ROW_GAP = 0.06, 0.12, 0.12
_ANGLES_SHARE = 0.45
_KEY = "ID: of the ID embeddings; other: with another item's content. Dashed: even."


@dataclass(frozen=True, eq=False)
class Panel:
    """Features of one recommender, without its adapter or with.

    Attributes:
        column: title of the recommender.
        row: ``without BeFA``, ``with BeFA``.
        adapted: whether the adapter takes part.
        label: of the checkpoint.
        points: on the unit circle, (n, 2).
        measures: of the features in all their dimensions.
    """

    column: str
    row: str
    adapted: bool
    label: str
    points: Floats
    measures: Measures


def density_figure(columns: Sequence[Sequence[Panel]], page: Page) -> Figure:
    """Panels below each other in columns; one scale for all densities of a kind.

    Each shows the density of the points on the plane, that of their angles, and the measures.

    Args:
        columns: of panels, as many in each.
        page: size and letters.
    """
    planes = [[_on_grid(panel.points) for panel in column] for column in columns]
    angles = [[angle_density(panel.points, _ANGLES) for panel in column] for column in columns]
    most = max(float(plane.max()) for column in planes for plane in column)
    top = 1.1 * max(float(values.max()) for column in angles for values in column)

    key = fitted(_KEY, page.width, page.measure_small, lines=3)
    name, scale = page.lines(1.2), page.lines(2.2, small=True)
    taken = _EDGE + name + scale + _EDGE + (len(columns) - 1) * _GAP
    side = min(_WIDEST, (page.width - taken) / len(columns))
    left = (page.width - taken - len(columns) * side) / 2 + _EDGE + name + scale
    words = [[_words(panel, side, page) for panel in column] for column in columns]
    lines = max(len(each) for column in words for each in column)
    ticks, numbers = page.lines(1.4, small=True), page.lines(lines, small=True)
    high = side * (1 + _ANGLES_SHARE) + ticks + numbers + _ROW_GAP
    height = name + len(columns[0]) * high + page.lines(2.4 + len(key), small=True)
    with page.style():
        sheet = Sheet(page, height)
        for number, column in enumerate(columns):
            x = left + number * (side + _GAP)
            sheet.name(Box(x, 0, side, name), column[0].column, above=True)
            for row, panel in enumerate(column):
                y = name + row * high
                if number == 0:
                    room = Box(x - scale - name, y, name, side * (1 + _ANGLES_SHARE))
                    sheet.name(room, panel.row, above=False)
                _draw_plane(sheet.axes(Box(x, y, side, side)), planes[number][row], most)
                below = Box(x, y + side + 0.03, side, side * _ANGLES_SHARE - 0.03)
                _draw_angles(sheet.axes(below), angles[number][row], top, labelled=number == 0)
                sheet.centred(Box(x, below.bottom + ticks, side, numbers), words[number][row])
        _foot(sheet, height, most, key)
    return sheet.figure


def _on_grid(points: Floats) -> Floats:
    """The density (y, x), from below."""
    line = np.linspace(-_REACH, _REACH, _STEPS)
    x, y = np.meshgrid(line, line)
    return plane_density(points, np.column_stack([x.ravel(), y.ravel()])).reshape(x.shape)


def _draw_plane(axes: Axes, density: Floats, most: float) -> None:
    axes.imshow(
        density,
        origin="lower",
        extent=(-_REACH, _REACH, -_REACH, _REACH),
        cmap=COLORMAP,
        vmin=0,
        vmax=most,
        interpolation="bilinear",
        aspect="auto",
    )
    axes.add_patch(Circle((0, 0), 1, fill=False, linewidth=HAIR, linestyle=":", edgecolor="0.3"))
    axes.set(xticks=[], yticks=[])


def _draw_angles(axes: Axes, density: Floats, top: float, *, labelled: bool) -> None:
    axes.fill_between(_ANGLES, density, color=_LINE, alpha=0.25, linewidth=0)
    axes.plot(_ANGLES, density, color=_LINE, linewidth=0.8)
    axes.axhline(_EVEN, color="0.3", linewidth=0.6, linestyle="--")
    axes.set(xlim=(-np.pi, np.pi), ylim=(0, top))
    axes.set_xticks([-np.pi, 0, np.pi], ["−π", "0", "π"])
    first, _, last = axes.get_xticklabels()
    first.set_horizontalalignment("left")
    last.set_horizontalalignment("right")
    axes.locator_params(axis="y", nbins=3)
    axes.tick_params(pad=1, labelleft=labelled)
    axes.spines[["top", "right"]].set_visible(False)


def _words(panel: Panel, width: float, page: Page) -> list[str]:
    """The measures, each beside its control, or above it where there is no room.

    Raises:
        BecamError: there is no room for either.
    """
    found = panel.measures
    measures = [
        (f"uniformity {_signed(found.uniformity)}", f"(ID {_signed(found.uniformity_ids)})"),
        (f"alignment {found.alignment:.2f}", f"(other {found.alignment_permuted:.2f})"),
    ]
    wide = [" ".join(pair) for pair in measures]
    narrow = [words for pair in measures for words in pair]
    for lines in (wide, narrow):
        if max(map(page.measure_small, lines)) <= width:
            return lines
    raise BecamError(
        f"So many recommenders leave no room for their numbers on {page.width:g} inches; show "
        "fewer, or give a larger --width or a smaller --font-size."
    )


def _signed(value: float) -> str:
    return f"{value:.2f}".replace("-", "−")


def _foot(sheet: Sheet, height: float, most: float, key: Sequence[str]) -> None:
    line = sheet.page.lines(1, small=True)
    top, width = height - (len(key) + 1.5) * line, 1.2
    middle = top + line / 2
    left = (sheet.page.width - width) / 2
    axes = sheet.axes(Box(left, middle - 0.03, width, 0.06))
    scale = ScalarMappable(Normalize(0, most), COLORMAP)
    bar = sheet.figure.colorbar(scale, cax=axes, orientation="horizontal", ticks=[])
    bar.outline.set_linewidth(HAIR)
    sheet.text(left - 0.05, middle, "density of points 0", small=True, ha="right")
    sheet.text(left + width + 0.05, middle, f"{most:.2f}", small=True, ha="left")
    sheet.centred(Box(0, top + 1.2 * line, sheet.page.width, line), key)
