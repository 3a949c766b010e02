"""Where a map lies, given what is where in the picture.

A full-size map is NaN where the encoder never looked. Those pixels are left out of every measure,
of the object as of the map: nobody can find what lies outside the crop. A measure of an object of
which nothing was seen is NaN, and so is a share of the energy of a map that has none.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from becam.attribution.heatmap import FloatArray
from becam.errors import BecamError

BoolArray = NDArray[np.bool_]

HOT = 0.5
"""A map's own threshold, as a part of its maximum."""


def energy_shares(
    saliency: FloatArray, labels: NDArray[np.uint8], classes: Mapping[int, str]
) -> dict[str, float]:
    """The part of the map's energy on each class: E_c = sum_{x in c} S(x) / sum_x S(x).

    Args:
        saliency: S, a full-size map (H, W), not negative; NaN where the encoder never looked.
        labels: the class of each pixel, (H, W).
        classes: names by label; pixels of other labels count in the total alone.

    Returns:
        Shares by class name; all zero for a map without energy.

    Raises:
        BecamError: the shapes differ.
    """
    _check(saliency, labels)
    values = np.nan_to_num(saliency.astype(np.float64))
    total = values.sum()
    per_label = np.bincount(labels.ravel(), weights=values.ravel(), minlength=256)
    return {
        name: float(per_label[label] / total) if total > 0 else 0.0
        for label, name in classes.items()
    }


def area_shares(
    saliency: FloatArray, labels: NDArray[np.uint8], classes: Mapping[int, str]
) -> dict[str, float]:
    """The part of the seen pixels that each class covers: the energy of a constant map."""
    seen = np.where(np.isnan(saliency), np.nan, 1.0).astype(np.float32)
    return energy_shares(seen, labels, classes)


def energy(saliency: FloatArray, mask: BoolArray) -> float:
    """The part of the map's energy inside a mask (energy-based pointing game).

    On the object, more is better. On distractors it is drift, and less is better.

    Args:
        saliency: a full-size map (H, W), not negative; NaN where the encoder never looked.
        mask: of the object or of the distractors, (H, W).

    Raises:
        BecamError: the shapes differ.
    """
    values, inside = _seen(saliency, mask)
    total = values.sum()
    if not inside.any() or not total > 0:
        return float("nan")
    return float(values[inside].sum() / total)


def pointing_game(saliency: FloatArray, mask: BoolArray) -> float:
    """Whether the map's maximum lies on the object (Zhang et al. 2016, without tolerance).

    Among tied maxima each counts alike: the chance that one of them drawn at random lies on the
    object. A flat map so gets the object's share of the picture. Arguments as in :func:`energy`.
    """
    values, inside = _seen(saliency, mask)
    if not inside.any():
        return float("nan")
    return float(inside[values == values.max()].mean())


def best_iou(saliency: FloatArray, mask: BoolArray) -> float:
    """The largest intersection over union of {S >= t} with the object, over all thresholds t.

    Arguments as in :func:`energy`.
    """
    values, inside = _seen(saliency, mask)
    if not inside.any():
        return float("nan")
    hits, chosen = _counts(values, inside)
    return float((hits / (chosen + inside.sum() - hits)).max())


def average_precision(saliency: FloatArray, mask: BoolArray) -> float:
    """Area under precision over recall of the object's pixels (PxAP of one picture).

    AP = sum_t (R_t - R_{t-1}) P_t over the map's values t (Choe et al. 2020). Arguments as in
    :func:`energy`.
    """
    values, inside = _seen(saliency, mask)
    if not inside.any():
        return float("nan")
    hits, chosen = _counts(values, inside)
    recall = hits / inside.sum()
    return float((np.diff(recall, prepend=0.0) * hits / chosen).sum())


def omission(saliency: FloatArray, mask: BoolArray) -> float:
    """1 - the share of the object that the map covers at its own threshold.

    The threshold is half of the map's maximum: what a reader calls hot. Unlike Otsu's it does not
    move with the amount of empty background in the picture. A map that is zero throughout covers
    nothing. Arguments as in :func:`energy`.
    """
    values, inside = _seen(saliency, mask)
    if not inside.any():
        return float("nan")
    covered = (values >= HOT * values.max()) & (values > 0)
    return float(1.0 - covered[inside].mean())


def _seen(saliency: FloatArray, mask: BoolArray) -> tuple[NDArray[np.float64], BoolArray]:
    """Values and membership of the pixels that the encoder saw."""
    _check(saliency, mask)
    seen = ~np.isnan(saliency)
    return saliency[seen].astype(np.float64), mask[seen]


def _counts(
    values: NDArray[np.float64], inside: BoolArray
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Object pixels and pixels at or above each of the map's values, from the largest down."""
    order = np.argsort(-values, kind="stable")
    last = np.flatnonzero(np.diff(values[order], append=-np.inf))  # of each run of equal values
    return inside[order].cumsum(dtype=np.int64)[last], last + 1


def _check(saliency: FloatArray, truth: NDArray[np.uint8] | BoolArray) -> None:
    if saliency.shape != truth.shape:
        raise BecamError(
            f"The map is {saliency.shape[1]} x {saliency.shape[0]} pixels but the label map "
            f"{truth.shape[1]} x {truth.shape[0]}; they must belong to the same picture."
        )
