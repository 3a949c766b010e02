"""The sheet of coloured words: a text as each checkpoint weighs it, with scale and controls."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize, to_hex
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.patches import Rectangle

from becam.attribution.words import WordWeights
from becam.figures.typesetting import Placed, measuring, wrap
from becam.figures.writing import write_figure

COLORMAP = "RdBu_r"
"""Red speaks for the target, blue against it, white is indifferent; for the colour-blind too."""

_POINTS = 72.0
_DPI = 130
_COLUMN_INCHES, _WIDEST_INCHES = 4.2, 9.0
_MARGIN_INCHES = 0.25
_SIZE = 10.0
_LINE = 1.75
_PADDING = 1.5
_NOTE_SIZE = 7.0
_NOTE_LINE = 1.35
_HEAD_INCHES, _BAR_INCHES = 0.4, 0.75
_CHARACTERS_AN_INCH = 20
_LONG = 500
_LIGHT = 0.179
"""Relative luminance of the grey on which black and white letters have the same contrast."""
_LEGEND = (
    "Red: agrees with the target; blue: speaks against it. Each text has its own scale, so columns "
    "compare in pattern, not in strength. Grey and struck out: the encoder does not read it. Lines "
    "with ! speak against believing the colours."
)

Colours = tuple[str, str]
"""Of the background and of the letters, as ``#rrggbb``."""


def word_colours(explained: WordWeights, *, colormap: str = COLORMAP) -> list[Colours | None]:
    """Colours of each word on a scale centred at zero; None for words that are not read."""
    scale, norm = matplotlib.colormaps[colormap], _norm(explained)
    colours: list[Colours | None] = []
    for weight in explained.weights:
        if np.isnan(weight):
            colours.append(None)
            continue
        background = scale(float(norm(float(weight))))
        light = _luminance(background[:3]) > _LIGHT
        colours.append((to_hex(background), "#000000" if light else "#ffffff"))
    return colours


def words_figure(
    explained: Sequence[WordWeights], *, title: str = "", colormap: str = COLORMAP
) -> Figure:
    """One column for each checkpoint: the coloured text, a colour bar and the controls."""
    figure = Figure(dpi=_DPI)
    longest = max(len(str(one.text)) for one in explained)
    inches = min(_COLUMN_INCHES * max(1.0, (longest / _LONG) ** 0.5), _WIDEST_INCHES)
    measure = measuring(FontProperties(size=_SIZE))
    texts = [wrap(one.text, inches * _POINTS, measure) for one in explained]
    notes = [_notes(one, inches) for one in explained]
    legend = textwrap.wrap(_LEGEND, int(_CHARACTERS_AN_INCH * inches * len(explained)))

    lines = 1 + max(placed[-1].line for placed in texts)
    text_inches = lines * _SIZE * _LINE / _POINTS
    note_lines = max(len(found) for found in notes) + len(legend) + 1
    note_inches = note_lines * _NOTE_SIZE * _NOTE_LINE / _POINTS
    width = len(explained) * (inches + _MARGIN_INCHES) + _MARGIN_INCHES
    top = _MARGIN_INCHES + (0.25 if title else 0.0)
    height = top + _HEAD_INCHES + text_inches + _BAR_INCHES + note_inches + _MARGIN_INCHES
    figure.set_size_inches(width, height)

    def axes(left: float, above: float, wide: float, high: float) -> Axes:
        """Axes placed in inches from the upper left corner."""
        bounds = (left / width, 1 - (above + high) / height, wide / width, high / height)
        return figure.add_axes(bounds)

    if title:
        figure.text(_MARGIN_INCHES / width, 1 - 0.28 / height, title, fontsize=11, parse_math=False)
    for number, (one, placed, note) in enumerate(zip(explained, texts, notes, strict=True)):
        left = _MARGIN_INCHES + number * (inches + _MARGIN_INCHES)
        above = top + _HEAD_INCHES
        area = axes(left, above, inches, text_inches)
        area.set_title(
            f"{one.label}\n{one.target}", fontsize=9, loc="left", pad=6, parse_math=False
        )
        _draw(area, placed, word_colours(one, colormap=colormap), lines, inches)
        scale = ScalarMappable(_norm(one), matplotlib.colormaps[colormap])
        strip = axes(left + 0.3, above + text_inches + 0.2, inches - 0.6, 0.12)
        bar = figure.colorbar(scale, cax=strip, orientation="horizontal")
        bar.ax.tick_params(labelsize=7)
        bar.ax.xaxis.get_offset_text().set_fontsize(7)
        bar.set_label("what the word adds to the similarity", fontsize=7)
        below = axes(left, above + text_inches + _BAR_INCHES, inches, note_inches)
        below.axis("off")
        below.text(0, 1, "\n".join(note), fontsize=_NOTE_SIZE, va="top", parse_math=False)
    figure.text(
        _MARGIN_INCHES / width,
        _MARGIN_INCHES / 2 / height,
        "\n".join(legend),
        fontsize=_NOTE_SIZE,
        color="#555555",
    )
    return figure


def save_words(path: str | Path, explained: Sequence[WordWeights], *, title: str = "") -> None:
    """Write the sheet in the format that the suffix of ``path`` names (PNG, PDF, SVG)."""
    write_figure(words_figure(explained, title=title), path, dpi=_DPI)


def _draw(
    area: Axes,
    placed: Sequence[Placed],
    colours: Sequence[Colours | None],
    lines: int,
    inches: float,
) -> None:
    """Words on their backgrounds, in points."""
    high = _SIZE * _LINE
    area.set_xlim(0, inches * _POINTS)
    area.set_ylim(lines * high, 0)
    area.axis("off")
    for piece in placed:
        found = colours[piece.word]
        top = piece.line * high
        if found is None:
            area.plot(
                [piece.left, piece.left + piece.width], [top + high / 2] * 2, "#999999", lw=0.8
            )
        else:
            area.add_patch(
                Rectangle(
                    (piece.left - _PADDING, top + 0.1 * high),
                    piece.width + 2 * _PADDING,
                    0.8 * high,
                    facecolor=found[0],
                    edgecolor="none",
                    clip_on=False,
                )
            )
        area.text(
            piece.left,
            top + high / 2,
            piece.string,
            fontsize=_SIZE,
            va="center_baseline",
            color="#999999" if found is None else found[1],
            parse_math=False,
        )


def _norm(explained: WordWeights) -> Normalize:
    largest = float(np.nanmax(np.abs(explained.weights)))
    limit = largest if largest > 0 else 1.0
    return Normalize(-limit, limit)


def _luminance(rgb: Sequence[float]) -> float:
    """Relative luminance of an sRGB colour, from 0 to 1 (WCAG 2)."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in rgb]
    return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))


def _notes(explained: WordWeights, inches: float) -> list[str]:
    sentences = explained.controls.sentences()
    warnings = len(explained.controls.warnings())
    width = int(_CHARACTERS_AN_INCH * inches)
    lines = []
    for number, sentence in enumerate(sentences):
        mark = "!" if number < warnings else "·"
        lines += textwrap.wrap(f"{mark} {sentence}", width, subsequent_indent="  ")
    return lines
