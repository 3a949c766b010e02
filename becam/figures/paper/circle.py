"""Features on the unit circle, and how densely they lie there."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import gaussian_kde
from sklearn.manifold import TSNE

from becam.errors import BecamError

Floats = NDArray[np.float64]

LEAST = 5
"""Items that t-SNE needs."""
PERPLEXITY = 30.0
"""Of t-SNE, where there are items enough."""

_SAME = 1e-12


def on_circle(features: NDArray[np.floating], *, seed: int = 0) -> Floats:
    """t-SNE to two dimensions, centred, each point then divided by its norm: (n, 2).

    Args:
        features: (n, d).
        seed: of t-SNE.

    Raises:
        BecamError: too few of them, or all alike.
    """
    n = len(features)
    if n < LEAST:
        raise BecamError(f"A distribution needs {LEAST} items or more, not {n}.")
    x = np.asarray(features, dtype=np.float64)
    if np.ptp(x, axis=0).max() <= _SAME * max(1.0, np.abs(x).max()):
        raise BecamError("The features of all items are alike: there is no distribution to draw.")
    tsne = TSNE(
        n_components=2,
        perplexity=min(PERPLEXITY, (n - 1) / 3),
        init="pca",
        learning_rate="auto",
        random_state=seed % 2**32,  # what scikit-learn takes
    )
    plane = np.asarray(tsne.fit_transform(x), dtype=np.float64)
    plane -= plane.mean(axis=0)
    points: Floats = plane / np.maximum(np.linalg.norm(plane, axis=1, keepdims=True), _SAME)
    return points


def plane_density(points: Floats, grid: Floats) -> Floats:
    """Gaussian kernel density estimate (Scott's bandwidth) of points (n, 2) at a grid (m, 2)."""
    return _kde(points.T, grid.T)


def angle_density(points: Floats, angles: Floats) -> Floats:
    """The same of the points' angles, at angles in radians (m,).

    Angles that differ by a whole turn are the same, so each kernel is laid around the circle.
    """
    own = np.arctan2(points[:, 1], points[:, 0])
    turns = 2 * np.pi * np.array([-1.0, 0.0, 1.0])
    found: Floats = np.sum([_kde(own[None], (angles + turn)[None]) for turn in turns], axis=0)
    return found


def _kde(points: Floats, at: Floats) -> Floats:
    found: Floats = gaussian_kde(points)(at)
    return found
