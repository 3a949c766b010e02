"""Maps that know nothing of the target: what every explanation must beat."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from becam.attribution.heatmap import FloatArray, place, stretch
from becam.encoders.preprocessing import Geometry

FLOORS = ("random", "gaussian", "activation")


def floor_maps(
    activation: Tensor, geometry: Geometry, *, seed: int | Sequence[int] = 0
) -> dict[str, FloatArray]:
    """All floors, full-size on the picture, by their names in ``FLOORS``.

    Args:
        activation: channels (N, h, w) of the picture.
        geometry: the part of the picture that the encoder saw.
        seed: of the random map.
    """
    rows, columns = int(activation.shape[1]), int(activation.shape[2])
    grids = (
        random_map((rows, columns), np.random.default_rng(seed)),
        gaussian_map((rows, columns)),
        activation_map(activation),
    )
    return {name: place(grid, geometry) for name, grid in zip(FLOORS, grids, strict=True)}


def random_map(grid: tuple[int, int], rng: np.random.Generator) -> FloatArray:
    """Uniform noise on the grid, (h, w) in [0, 1]."""
    return stretch(rng.random(grid, dtype=np.float32))


def gaussian_map(grid: tuple[int, int], sigma: float = 0.25) -> FloatArray:
    """A Gaussian in the middle of the crop, (h, w) in [0, 1]; sigma as a part of each side."""
    rows, columns = (_profile(side, sigma) for side in grid)
    return np.outer(rows, columns).astype(np.float32)


def activation_map(activation: Tensor) -> FloatArray:
    """ReLU and min-max of sum_k A_k: activation (N, h, w), map (h, w)."""
    total = activation.double().sum(0).clamp(min=0).float().numpy()
    return stretch(total)


def _profile(side: int, sigma: float) -> NDArray[np.float64]:
    centres = (np.arange(side) + 0.5) / side - 0.5
    profile: NDArray[np.float64] = np.exp(-0.5 * (centres / sigma) ** 2)
    return profile
