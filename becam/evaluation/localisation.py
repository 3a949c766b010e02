"""Where a map's energy lies, given pixel labels of the picture."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from becam.attribution.heatmap import FloatArray
from becam.errors import BecamError


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
    if saliency.shape != labels.shape:
        raise BecamError(
            f"The map is {saliency.shape[1]} x {saliency.shape[0]} pixels but the label map "
            f"{labels.shape[1]} x {labels.shape[0]}; they must belong to the same picture."
        )
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
