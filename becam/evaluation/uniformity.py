"""How evenly features spread over the sphere, and how near matched ones are (Wang and Isola).

Understanding Contrastive Representation Learning through Alignment and Uniformity on the
Hypersphere, ICML 2020.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln, ive, logsumexp

from becam.errors import BecamError

Floats = NDArray[np.float64]

T = 2.0
"""The exponent that the paper uses."""

_ROWS = 2048
"""Rows whose distances to all others are held at a time."""


def uniformity(features: NDArray[Any], *, t: float = T) -> float:
    """log of the mean of exp(-t |x - y|^2) over all pairs of different rows, each of length one.

    The smaller, the more evenly the features spread; 0 where all are alike. It takes time and not
    memory that grows with the square of n.

    Args:
        features: (n, d), of any lengths; in the space that is asked about, not a projection.
        t: any positive number.

    Raises:
        BecamError: fewer than two rows, or one without a direction.
    """
    x = unit(features)
    n = len(x)
    if n < 2:
        raise BecamError("Uniformity is of pairs; give two items or more.")
    parts = []
    for start in range(0, n - 1, _ROWS):
        rows = x[start : start + _ROWS]
        # |x - y|^2 = 2 - 2 x.y for rows of length one.
        exponents = 2 * t * (rows @ x[start:].T - 1)
        above = np.triu(np.ones(exponents.shape, dtype=bool), k=1)
        parts.append(logsumexp(exponents[above]))
    return float(logsumexp(parts) - math.log(n * (n - 1) / 2))


def alignment(a: NDArray[Any], b: NDArray[Any], *, alpha: float = 2.0) -> float:
    """Mean of |x - y|^alpha over matched rows, each of length one: 0 where all are alike.

    Args:
        a, b: (n, d), matched row by row.
        alpha: any positive number; with 2 it is twice the mean of 1 - cos.

    Raises:
        BecamError: a row without a direction.
    """
    distances = np.linalg.norm(unit(a) - unit(b), axis=1)
    return float(np.mean(distances**alpha))


def uniformity_of_sphere(dim: int, *, t: float = T) -> float:
    """What :func:`uniformity` tends to for points that are drawn evenly from the sphere in R^d.

    The mean of exp(k u) over the sphere, with k = 2t and u the cosine of two points, is
    Gamma(d/2) (2/k)^(d/2 - 1) I_(d/2 - 1)(k), the modified Bessel function of the first kind.
    """
    order, k = dim / 2 - 1, 2 * t
    # ive is I scaled by exp(-k), and exp(-k) is what |x - y|^2 = 2 - 2u leaves over.
    return float(gammaln(dim / 2) + order * math.log(2 / k) + np.log(ive(order, k)))


def unit(features: NDArray[Any]) -> Floats:
    """Rows (n, d) of length one, in double precision.

    Raises:
        BecamError: a row without a direction: zero, or not finite.
    """
    x = np.asarray(features, dtype=np.float64)
    lengths = np.linalg.norm(x, axis=1, keepdims=True)
    if not (np.isfinite(lengths).all() and (lengths > 0).all()):
        raise BecamError("A feature is zero or not finite, so it has no direction; leave it out.")
    found: Floats = x / lengths
    return found
