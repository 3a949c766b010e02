"""A picture and its label map, drawn together."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from becam.data.catalogue import palette
from becam.data.catalogue.geometry import Outline
from becam.data.catalogue.palette import RGB
from becam.data.catalogue.patterns import Field, coverage

_SHIFT = 4  # OpenCV's fixed-point coordinates: 1/16 of a pixel


@dataclass(frozen=True)
class Paint:
    """How an outline is filled.

    Attributes:
        colour: the first colour.
        second: the colour of the pattern.
        pattern: a name in ``PATTERNS``.
        period: the pattern's period in canvas units.
        shading: strength of the soft shading across the outline.
    """

    colour: RGB
    second: RGB = palette.CREAM
    pattern: str = "solid"
    period: float = 0.08
    shading: float = 0.22


class Canvas:
    """An RGB image with a label per pixel; a unit is the image's shorter side.

    Attributes:
        image: uint8 (H, W, 3).
        labels: uint8 (H, W).
        width: in units.
        height: in units.
        inset: (x, y) of the central square that a square crop keeps, in units.
        light: side the light comes from, -1 left to 1 right.
    """

    def __init__(self, size: int, aspect: float, light: float = -1.0) -> None:
        rows = size if aspect >= 1 else round(size / aspect)
        columns = round(size * aspect) if aspect >= 1 else size
        self.image: NDArray[np.uint8] = np.full((rows, columns, 3), 255, np.uint8)
        self.labels: NDArray[np.uint8] = np.zeros((rows, columns), np.uint8)
        self.unit = float(size)
        self.width = columns / size
        self.height = rows / size
        self.inset = ((self.width - 1) / 2, (self.height - 1) / 2)
        self.light = light

    def gradient(self, top: float, bottom: float, above: RGB, below: RGB) -> None:
        """A horizontal band that goes from one colour to another."""
        first, last = (max(0, round(v * self.unit)) for v in (top, bottom))
        rows = self.image[first:last]
        share = np.linspace(0, 1, max(len(rows), 1), dtype=np.float32)[: len(rows), None]
        colours = palette.array(above) + (palette.array(below) - palette.array(above)) * share
        rows[:] = colours[:, None].astype(np.uint8)

    def flat(self, outline: Outline, colour: RGB) -> None:
        """Background: one colour, labels left alone."""
        cv2.fillPoly(self.image, [self._fixed(outline)], colour, cv2.LINE_AA, _SHIFT)

    def line(self, path: Outline, colour: RGB, width: float) -> None:
        """Background: a stroke, labels left alone; the width in units."""
        thickness = max(1, round(width * self.unit))
        cv2.polylines(
            self.image, [self._fixed(path)], False, colour, thickness, cv2.LINE_AA, _SHIFT
        )

    def shadow(self, x: float, y: float, rx: float, ry: float, strength: float = 0.4) -> None:
        """A soft dark ellipse on whatever is there; labels left alone."""
        u = self.unit
        window = self._window(x - rx, y - ry, x + rx, y + ry)
        if window is None:
            return
        rows, columns = window
        dx = (np.arange(columns.start, columns.stop, dtype=np.float32) - x * u) / (rx * u)
        dy = (np.arange(rows.start, rows.stop, dtype=np.float32) - y * u) / (ry * u)
        inside = np.clip(1 - dx[None] ** 2 - dy[:, None] ** 2, 0, 1)
        region = self.image[rows, columns]
        region[:] = (region * (1 - strength * inside)[..., None]).astype(np.uint8)

    def fill(
        self, outline: Outline, paint: Paint, label: int, origin: tuple[float, float] = (0.0, 0.0)
    ) -> None:
        """Draw an outline and give its pixels a label; ``origin`` anchors the pattern."""
        low, high = outline.min(0), outline.max(0)
        window = self._window(low[0], low[1], high[0], high[1])
        if window is None:
            return
        rows, columns = window
        corner = np.array([columns.start, rows.start]) / self.unit
        alpha = np.zeros((rows.stop - rows.start, columns.stop - columns.start), np.uint8)
        cv2.fillPoly(alpha, [self._fixed(outline - corner)], 255, cv2.LINE_AA, _SHIFT)

        x, y = self._along(columns)[None], self._along(rows)[:, None]
        colour = self._colours(paint, x - origin[0], y - origin[1])
        if paint.shading:
            width, height = np.maximum(high - low, 1e-6).tolist()
            across = (x - float(low[0])) / width - 0.5
            down = (y - float(low[1])) / height - 0.5
            shade = self.light * across - 2 * across**2 - 0.35 * down + 0.15
            colour = colour * (1 + paint.shading * shade)[..., None]
        region = self.image[rows, columns]
        share = alpha[..., None] * np.float32(1 / 255)
        region[:] = np.clip(region + (colour - region) * share, 0, 255).astype(np.uint8)
        self.labels[rows, columns][alpha > 127] = label

    def _along(self, span: slice) -> Field:
        """The coordinates of rows or columns in units; float32, since this is the hot path."""
        return np.arange(span.start, span.stop, dtype=np.float32) / self.unit

    def _colours(self, paint: Paint, x: Field, y: Field) -> Field:
        first: Field = palette.array(paint.colour)
        if paint.pattern == "solid":
            return first[None, None]
        period, soft = paint.period, 1.2 / (self.unit * paint.period)
        share = coverage(paint.pattern, x / period, y / period, soft)[..., None]
        return first + (palette.array(paint.second) - first) * share

    def soften(self, pixels: float) -> None:
        """Blur what has been drawn so far, as a lens does with a background."""
        cv2.GaussianBlur(self.image, (0, 0), pixels, dst=self.image)

    def tint(self, gains: Iterable[float]) -> None:
        """Multiply the channels: the colour and the strength of the light."""
        levels = np.arange(256, dtype=np.float32)
        table = np.stack([np.clip(levels * gain, 0, 255) for gain in gains], axis=1)
        self.image = cv2.LUT(self.image, table.astype(np.uint8)[:, None])

    def _window(
        self, left: float, top: float, right: float, bottom: float
    ) -> tuple[slice, slice] | None:
        rows, columns = self.labels.shape
        first_row = max(0, int(np.floor(top * self.unit)) - 1)
        last_row = min(rows, int(np.ceil(bottom * self.unit)) + 2)
        first_column = max(0, int(np.floor(left * self.unit)) - 1)
        last_column = min(columns, int(np.ceil(right * self.unit)) + 2)
        if first_row >= last_row or first_column >= last_column:
            return None
        return slice(first_row, last_row), slice(first_column, last_column)

    def _fixed(self, outline: Outline) -> NDArray[np.int32]:
        return np.rint(outline * (self.unit * (1 << _SHIFT))).astype(np.int32)
