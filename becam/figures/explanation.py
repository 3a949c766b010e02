"""The sheet of one explanation: the picture beside its overlays, each with scale and controls."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path

import matplotlib
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from PIL import Image

from becam.attribution.heatmap import Heatmap
from becam.figures.overlay import COLORMAP, overlay
from becam.figures.writing import write_figure

_COLUMN_INCHES = 3.6
_TEXT_INCHES = 2.0
_CHARACTERS = 52
_MAX_ASPECT = 2.2
_DPI = 130
_LEGEND = (
    "Bright: agrees with the target. Each map has its own scale, so columns compare in shape, not "
    "in brightness. Hatched: outside the encoder's crop, never seen by it. Lines with ! speak "
    "against believing the map."
)


def explanation_figure(
    picture: Image.Image,
    heatmaps: Sequence[Heatmap],
    *,
    title: str = "picture",
    colormap: str = COLORMAP,
) -> Figure:
    """One column for the picture and one for each heatmap: overlay, colour bar, controls."""
    aspect = min(max(picture.height / picture.width, 1 / _MAX_ASPECT), _MAX_ASPECT)
    columns = 1 + len(heatmaps)
    height = _COLUMN_INCHES * aspect + _TEXT_INCHES
    figure = Figure(figsize=(_COLUMN_INCHES * columns, height), layout="constrained")
    grid = figure.add_gridspec(
        2, columns, height_ratios=[_COLUMN_INCHES * aspect + 0.6, _TEXT_INCHES - 0.4]
    )
    axes = figure.add_subplot(grid[0, 0])
    axes.imshow(_thumbnail(picture))
    axes.set_title(title, fontsize=9, parse_math=False)
    axes.axis("off")
    legend = figure.add_subplot(grid[1, 0])
    legend.axis("off")
    legend.text(0, 1, textwrap.fill(_LEGEND, _CHARACTERS), fontsize=7, va="top")
    for column, heatmap in enumerate(heatmaps, start=1):
        axes = figure.add_subplot(grid[0, column])
        axes.imshow(overlay(picture, heatmap, colormap=colormap))
        axes.set_title(f"{heatmap.label}\n{heatmap.target}", fontsize=9, parse_math=False)
        axes.axis("off")
        top = max(float(heatmap.raw.max()), 0.0)
        low = min(max(float(heatmap.raw.min()), 0.0), top)
        scale = ScalarMappable(
            Normalize(low, top if top > low else low + 1.0), matplotlib.colormaps[colormap]
        )
        bar = figure.colorbar(scale, ax=axes, orientation="horizontal", shrink=0.85, pad=0.02)
        ticks = [low, top] if top > low else []
        bar.set_ticks(ticks, labels=[f"{value:.3g}" for value in ticks])
        bar.ax.tick_params(labelsize=7)
        bar.set_label("agreement with behaviour (map value, ReLU)", fontsize=7)
        notes = figure.add_subplot(grid[1, column])
        notes.axis("off")
        notes.text(
            0, 1, _notes(heatmap), fontsize=7, va="top", family="DejaVu Sans", parse_math=False
        )
    return figure


def save_explanation(
    path: str | Path,
    picture: Image.Image,
    heatmaps: Sequence[Heatmap],
    *,
    title: str = "picture",
) -> None:
    """Write the sheet in the format that the suffix of ``path`` names (PNG, PDF, SVG)."""
    write_figure(explanation_figure(picture, heatmaps, title=title), path, dpi=_DPI)


def _notes(heatmap: Heatmap) -> str:
    marks = ["!"] * len(heatmap.controls.warnings())
    words = [*heatmap.controls.words(), _extent(heatmap)]
    marks += ["·"] * (len(words) - len(marks))
    paragraphs = [
        textwrap.fill(f"{mark} {line}", _CHARACTERS, subsequent_indent="  ")
        for mark, line in zip(marks, words, strict=True)
    ]
    return "\n".join(paragraphs)


def _extent(heatmap: Heatmap) -> str:
    """What a smooth map and a single angle hide."""
    rows, columns = heatmap.raw.shape
    left, top, right, bottom = heatmap.geometry.visible
    seen = (right - left) * (bottom - top) / (heatmap.geometry.width * heatmap.geometry.height)
    words = f"{rows} x {columns} cells over the {seen:.0%} of the picture that the encoder sees"
    blank = heatmap.controls.theta_blank
    return f"{words}; a blank picture: θ {blank:.0f}°." if blank is not None else f"{words}."


def _thumbnail(picture: Image.Image) -> Image.Image:
    small = picture.copy()
    small.thumbnail((1024, 1024), Image.Resampling.LANCZOS)
    return small
