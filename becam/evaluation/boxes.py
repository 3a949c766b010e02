"""MaxBoxAccV2: how well boxes around a map's hot regions match the object's boxes.

Source: Choe et al. 2020, "Evaluating Weakly Supervised Object Localization Methods Right".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from becam.attribution.heatmap import FloatArray

Box = tuple[float, float, float, float]
"""Left, top, right, bottom in pixels, right and bottom exclusive."""

Components = Literal["all", "largest"]
Floats = NDArray[np.float64]

THRESHOLDS: Floats = np.arange(50) / 50
IOUS = (0.3, 0.5, 0.7)


def box_overlaps(
    saliency: FloatArray,
    boxes: Sequence[Box],
    *,
    thresholds: Floats = THRESHOLDS,
    components: Components = "all",
) -> Floats:
    """The best overlap at each threshold of a box around a region of the map with a true box.

    Args:
        saliency: a full-size map (H, W) in [0, 1]; NaN where the encoder never looked.
        boxes: of the object; they are cut at the part that the encoder saw.
        thresholds: (T,); regions are connected (by sides or corners) where the map is above one.
        components: every region gets a box (MaxBoxAccV2), or the largest alone (MaxBoxAcc).

    Returns:
        Intersections over union (T,), 0 where nothing is above the threshold; NaN throughout
        where no box was seen.
    """
    rows, columns = np.nonzero(~np.isnan(saliency))
    window = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
    truth = np.array([cut for box in boxes if (cut := _cut(box, window)) is not None])
    if not len(truth):
        return np.full(len(thresholds), np.nan)
    values = np.nan_to_num(saliency)
    found = (_regions(values > threshold, components) for threshold in thresholds)
    return np.array([_overlaps(region, truth).max(initial=0.0) for region in found])


def max_box_accuracy(overlaps: Floats, ious: Sequence[float] = IOUS) -> Floats:
    """Each picture's part of MaxBoxAcc, (n,); their mean is the measure.

    BoxAcc at a threshold is the share of pictures whose overlap reaches an IoU. MaxBoxAcc is the
    largest over the thresholds, chosen on all pictures together; V2 is the mean over ``ious``.

    Args:
        overlaps: of pictures at thresholds, (n, T), from :func:`box_overlaps`.
        ious: what counts as found.
    """
    hits = overlaps[None] >= np.asarray(ious)[:, None, None]
    best = hits.mean(axis=1).argmax(axis=1)
    parts: Floats = np.mean([hit[:, t] for hit, t in zip(hits, best, strict=True)], axis=0)
    return parts


def _regions(hot: NDArray[np.bool_], components: Components) -> Floats:
    """Boxes (n, 4) of the connected regions."""
    _, _, found, _ = cv2.connectedComponentsWithStats(hot.astype(np.uint8), connectivity=8)
    found = found[1:].astype(np.float64)  # the first is the background
    if components == "largest" and len(found):
        found = found[found[:, cv2.CC_STAT_AREA].argmax()][None]
    left, top, width, height = found[:, :4].T
    return np.stack([left, top, left + width, top + height], axis=1)


def _overlaps(first: Floats, second: Floats) -> Floats:
    """Intersection over union of each of ``first`` (n, 4) with each of ``second`` (m, 4)."""
    a, b = first[:, None], second[None]
    sides = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    shared = sides.clip(min=0).prod(axis=-1)
    sizes = [(boxes[..., 2:] - boxes[..., :2]).prod(axis=-1) for boxes in (a, b)]
    overlap: Floats = shared / (sizes[0] + sizes[1] - shared)
    return overlap


def _cut(box: Box, window: Sequence[float]) -> Box | None:
    left, top = max(box[0], window[0]), max(box[1], window[1])
    right, bottom = min(box[2], window[2]), min(box[3], window[3])
    return (left, top, right, bottom) if left < right and top < bottom else None
