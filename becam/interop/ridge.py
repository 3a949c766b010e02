"""Ridge regression from sums alone: one pass over the data, then every penalty in closed form."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Rows = NDArray[np.floating[Any]]

PENALTIES: tuple[float, ...] = tuple(float(x) for x in np.logspace(-4, 4, 17))
"""Penalties on the coefficients of standardised inputs, per row of the data."""

# A column whose spread is this share of its distance from the origin is rounding.
_FLAT = 1e-12


@dataclass(frozen=True)
class Moments:
    """Sums over rows x (p,) and y (q,), both measured from an origin.

    All that ridge regression needs of data, of a size that does not grow with them. Moments of
    disjoint rows add up.

    Attributes:
        origin_x, origin_y: what was subtracted from every row; a typical one keeps digits.
        n: rows.
        x, y: sums, (p,) and (q,).
        xx, xy: sums of outer products, (p, p) and (p, q).
        yy: sum of all squares of y.
    """

    origin_x: Floats
    origin_y: Floats
    n: int
    x: Floats
    y: Floats
    xx: Floats
    xy: Floats
    yy: float

    @classmethod
    def none(cls, origin_x: Floats, origin_y: Floats) -> Moments:
        """Moments of no rows."""
        p, q = len(origin_x), len(origin_y)
        return cls.of(np.empty((0, p)), np.empty((0, q)), origin_x, origin_y)

    @classmethod
    def of(cls, x: Rows, y: Rows, origin_x: Floats, origin_y: Floats) -> Moments:
        """Moments of rows x (n, p) and y (n, q)."""
        u, v = x - origin_x, y - origin_y
        sums = u.sum(0), v.sum(0), u.T @ u, u.T @ v, float((v * v).sum())
        return cls(origin_x, origin_y, len(x), *sums)

    def __add__(self, other: Moments) -> Moments:
        return Moments(
            self.origin_x,
            self.origin_y,
            self.n + other.n,
            self.x + other.x,
            self.y + other.y,
            self.xx + other.xx,
            self.xy + other.xy,
            self.yy + other.yy,
        )

    def mean_x(self) -> Floats:
        """The mean row x, (p,)."""
        return self.origin_x + self.x / self.n

    def mean_y(self) -> Floats:
        """The mean row y, (q,)."""
        return self.origin_y + self.y / self.n

    def around(self, other: Moments) -> tuple[Floats, Floats, float]:
        """``xx``, ``xy`` and ``yy`` of these rows measured from the other rows' means."""
        x, y = other.x / other.n, other.y / other.n
        xx = self.xx - np.outer(self.x, x) - np.outer(x, self.x) + self.n * np.outer(x, x)
        xy = self.xy - np.outer(self.x, y) - np.outer(x, self.y) + self.n * np.outer(x, y)
        return xx, xy, float(self.yy - 2 * self.y @ y + self.n * (y @ y))

    def spread(self) -> Floats:
        """Standard deviation of every column of x, (p,); 1 for a column without any."""
        square = np.diag(self.xx) / self.n
        variance = square - (self.x / self.n) ** 2
        return np.sqrt(np.where(variance > _FLAT * square, variance, 1.0))


@dataclass(frozen=True)
class Affine:
    """y = weight x + bias: ``weight`` (q, p), ``bias`` (q,)."""

    weight: Floats
    bias: Floats

    def __call__(self, x: Rows) -> Floats:
        """Rows (n, p) to rows (n, q)."""
        return np.asarray(x, dtype=np.float64) @ self.weight.T + self.bias


def total(parts: Iterable[Moments]) -> Moments:
    """Moments of the rows of all parts together."""
    return reduce(add, parts)


def ridge(moments: Moments, penalty: float) -> Affine:
    """The least squares map whose coefficients on standardised x are held small.

    Minimises sum |y - B s - b|^2 + penalty n |B|^2 over rows, s being x standardised; the result
    takes x as it is.
    """
    spread = moments.spread()
    xx, xy, _ = moments.around(moments)
    gram = xx / np.outer(spread, spread)
    gram[np.diag_indices_from(gram)] += penalty * moments.n
    weight = (np.linalg.solve(gram, xy / spread[:, None]) / spread[:, None]).T
    return Affine(weight, moments.mean_y() - weight @ moments.mean_x())


def cross_validate(folds: Sequence[Moments], penalties: Sequence[float]) -> Floats:
    """R^2 of every penalty on folds that the fit did not see, (len(penalties),).

    The squared errors of all folds and columns together, against those of predicting the mean
    of the other folds.
    """
    errors, floor = np.zeros(len(penalties)), 0.0
    for number, unseen in enumerate(folds):
        seen = total(fold for other, fold in enumerate(folds) if other != number)
        spread = seen.spread()
        scales = np.outer(spread, spread)
        xx, xy, _ = seen.around(seen)
        values, vectors = np.linalg.eigh(xx / scales)
        target = vectors.T @ (xy / spread[:, None])
        # The error is quadratic in the coefficients, and in this basis they cost a division.
        xx, xy, yy = unseen.around(seen)
        quadratic = vectors.T @ (xx / scales) @ vectors
        linear = vectors.T @ (xy / spread[:, None])
        floor += yy
        for index, penalty in enumerate(penalties):
            b = target / (values + penalty * seen.n)[:, None]
            errors[index] += yy - 2 * (b * linear).sum() + (b * (quadratic @ b)).sum()
    return 1 - errors / floor
