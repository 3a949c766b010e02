"""How much two maps are alike: rank correlation and structural similarity."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import stats
from torch import Tensor

from becam.attribution.heatmap import stretch
from becam.evaluation.faithfulness import upsampled

Floats = NDArray[np.float64]

# Wang et al. 2004: an 11 x 11 Gaussian window of standard deviation 1.5, K1 and K2, range 1.
_SIDE, _SIGMA = 11, 1.5
_C1, _C2 = 0.01**2, 0.03**2


def likeness(first: Tensor, second: Tensor, size: tuple[int, int]) -> dict[str, float]:
    """``spearman`` and ``ssim`` of two raw maps; NaN where one of them is flat.

    Args:
        first, second: signed maps on one grid (h, w).
        size: H and W of the encoder's input, on which structural similarity is measured, each map
            stretched to [0, 1]: a grid is smaller than its window.
    """
    if any(not (m.max() > m.min()) for m in (first, second)):
        return {"spearman": float("nan"), "ssim": float("nan")}
    a, b = (stretch(upsampled(m, size).numpy()) for m in (first, second))
    return {"spearman": spearman(first, second), "ssim": ssim(a, b)}


def spearman(first: Tensor, second: Tensor) -> float:
    """Spearman's rank correlation of two maps of one shape."""
    return float(stats.spearmanr(first.numpy().ravel(), second.numpy().ravel()).statistic)


def ssim(first: NDArray[np.floating], second: NDArray[np.floating]) -> float:
    """Mean structural similarity of two maps (H, W) in [0, 1], over the windows inside them.

    Source: Wang et al. 2004, "Image quality assessment: from error visibility to structural
    similarity".
    """
    x, y = first.astype(np.float64), second.astype(np.float64)
    mean_x, mean_y = _blurred(x), _blurred(y)
    variance_x = _blurred(x * x) - mean_x**2
    variance_y = _blurred(y * y) - mean_y**2
    covariance = _blurred(x * y) - mean_x * mean_y
    similarity = ((2 * mean_x * mean_y + _C1) * (2 * covariance + _C2)) / (
        (mean_x**2 + mean_y**2 + _C1) * (variance_x + variance_y + _C2)
    )
    return float(similarity.mean())


def _blurred(values: Floats) -> Floats:
    """The Gaussian mean of each window that lies inside, (H - 10, W - 10)."""
    border = _SIDE // 2
    whole: Floats = cv2.GaussianBlur(values, (_SIDE, _SIDE), _SIGMA)
    return whole[border:-border, border:-border]
