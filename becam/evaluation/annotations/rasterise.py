"""Polygons and COCO's run lengths as masks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from becam.evaluation.localisation import BoolArray

Size = tuple[int, int]


def polygon_mask(corners: ArrayLike, size: Size) -> BoolArray:
    """Pixels whose centre lies inside a polygon (even-odd rule), (H, W).

    Args:
        corners: x and y of each, (n, 2), pixel (0, 0) covering [0, 1) x [0, 1).
        size: H and W.
    """
    height, width = size
    x, y = np.asarray(corners, dtype=np.float64).T
    next_x, next_y = np.roll(x, -1), np.roll(y, -1)
    centres = np.arange(height)[:, None] + 0.5
    rows, edges = np.nonzero((y <= centres) != (next_y <= centres))
    along = (rows + 0.5 - y[edges]) / (next_y - y)[edges]
    crossings = x[edges] + along * (next_x - x)[edges]
    first = np.clip(np.ceil(crossings - 0.5), 0, width).astype(int)  # pixel right of a crossing
    flips = np.zeros((height, width + 1), dtype=int)
    np.add.at(flips, (rows, first), 1)
    inside: BoolArray = flips.cumsum(axis=1)[:, :width] % 2 == 1
    return inside


def run_length_mask(counts: Sequence[int], size: Size) -> BoolArray:
    """COCO's run lengths, of outside and inside in turn, column by column, as a mask (H, W).

    Raises:
        ValueError: they do not add up to the picture.
    """
    height, width = size
    runs = np.asarray(counts, dtype=np.int64)
    if (runs < 0).any() or runs.sum() != height * width:
        raise ValueError("run lengths do not add up to the picture")
    inside = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    return inside.reshape(width, height).T


def uncompressed(text: str) -> list[int]:
    """Run lengths from COCO's compressed text.

    Each character holds five bits, the lowest first, and a sixth that says that more follow; the
    last one's fifth bit is the sign. From the fourth number on, the one two places before is to
    be added.

    Raises:
        ValueError: not such a text.
    """
    counts: list[int] = []
    value = shift = 0
    for character in text:
        code = ord(character) - 48
        if not 0 <= code < 64:
            raise ValueError("not a compressed run length")
        value |= (code & 31) << shift
        shift += 5
        if code & 32:
            continue
        if code & 16:
            value -= 1 << shift
        counts.append(value + (counts[-2] if len(counts) > 2 else 0))
        value = shift = 0
    if shift:
        raise ValueError("a compressed run length breaks off")
    return counts


def painted(masks: Sequence[tuple[int, BoolArray]], size: Size) -> NDArray[np.uint8]:
    """A label map (H, W) of masks with their labels; where they overlap the smaller one wins."""
    labels = np.zeros(size, dtype=np.uint8)
    for label, mask in sorted(masks, key=lambda pair: -int(pair[1].sum())):
        labels[mask] = label
    return labels
