"""Boxes, polygons and COCO's run lengths as masks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from becam.evaluation.boxes import Box
from becam.evaluation.localisation import BoolArray

Size = tuple[int, int]

_CROSSINGS = 1 << 22
"""Pairs of a row and an edge that are looked at together: a bound on memory, not on polygons."""
_MOST_BITS = 60
"""Of a compressed run length, more than any picture's needs."""


def box_mask(box: Box, size: Size) -> BoolArray:
    """Pixels of a box, its edges rounded, (H, W)."""
    left, top, right, bottom = (max(0, round(edge)) for edge in box)
    inside = np.zeros(size, dtype=bool)
    inside[top:bottom, left:right] = True
    return inside


def polygon_mask(corners: ArrayLike, size: Size) -> BoolArray:
    """Pixels whose centre lies inside a polygon (even-odd rule), (H, W).

    Args:
        corners: x and y of each, (n, 2), pixel (0, 0) covering [0, 1) x [0, 1).
        size: H and W.
    """
    x, y = np.asarray(corners, dtype=np.float64).T
    next_x, next_y = np.roll(x, -1), np.roll(y, -1)
    top, bottom = _within(y, size[0])
    left, right = _within(x, size[1])
    centres = np.arange(top, bottom)[:, None] + 0.5
    flips = np.zeros((bottom - top, right - left + 1), dtype=np.uint8)
    step = max(1, _CROSSINGS // max(1, len(centres)))
    for begin in range(0, len(x), step):
        part = slice(begin, begin + step)
        x0, y0, x1, y1 = x[part], y[part], next_x[part], next_y[part]
        rows, edges = np.nonzero((y0 <= centres) != (y1 <= centres))
        along = (rows + top + 0.5 - y0[edges]) / (y1 - y0)[edges]
        crossings = x0[edges] + along * (x1 - x0)[edges]
        # The pixel right of a crossing.
        first = np.clip(np.ceil(crossings - 0.5), left, right).astype(int) - left
        np.bitwise_xor.at(flips, (rows, first), 1)
    inside = np.zeros(size, dtype=bool)
    inside[top:bottom, left:right] = np.bitwise_xor.accumulate(flips, axis=1)[:, :-1]
    return inside


def _within(values: NDArray[np.float64], side: int) -> tuple[int, int]:
    """The pixels of a side between which some values lie."""
    first, last = np.clip([np.floor(values.min()), np.ceil(values.max())], 0, side).astype(int)
    return int(first), int(last)


def run_length_mask(counts: Sequence[int], size: Size) -> BoolArray:
    """COCO's run lengths, of outside and inside in turn, column by column, as a mask (H, W).

    Raises:
        ValueError: they do not add up to the picture.
    """
    height, width = size
    # Python's integers do not overflow: no array is made of counts that are not checked.
    if any(count < 0 for count in counts) or sum(counts) != height * width:
        raise ValueError("run lengths do not add up to the picture")
    runs = np.array(counts, dtype=np.int64)
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
        if not 0 <= code < 64 or shift > _MOST_BITS:
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


def painted(masks: Iterable[tuple[int, BoolArray]], size: Size) -> NDArray[np.uint8]:
    """A label map (H, W) of masks with their labels; where they overlap the smaller one wins."""
    labels = np.zeros(size, dtype=np.uint8)
    # Of what is seen; masks need not all be in memory.
    areas = np.full(size, np.iinfo(np.int32).max, dtype=np.int32)
    for label, mask in masks:
        area = int(mask.sum())
        seen = mask & (areas >= area)
        labels[seen], areas[seen] = label, area
    return labels
