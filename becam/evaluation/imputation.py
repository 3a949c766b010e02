"""Noisy linear imputation: pixels replaced by what their neighbours say of them.

Source: Rong et al. 2022, "A Consistent and Efficient Evaluation Strategy for Attribution Methods"
(ROAD). A removed pixel is the weighted mean of its eight neighbours, removed or not, which makes
one sparse linear system. Filled so, the mask's shape does not give away what was removed.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.linalg import splu
from torch import Tensor

NOISE = 0.01
"""Standard deviation of the noise on imputed pixels, in the encoder's normalised units."""

_BESIDE, _DIAGONAL = 1 / 6, 1 / 12
_NEIGHBOURS = [
    (row, column, _BESIDE if row * column == 0 else _DIAGONAL)
    for row in (-1, 0, 1)
    for column in (-1, 0, 1)
    if (row, column) != (0, 0)
]


def impute(
    pixels: Tensor, removed: NDArray[np.bool_], rng: np.random.Generator, *, noise: float = NOISE
) -> Tensor:
    """A picture whose removed pixels are imputed, (3, H, W).

    Args:
        pixels: the picture, normalised, (3, H, W).
        removed: (H, W), not all of them.
        rng: of the noise.
        noise: its standard deviation.
    """
    if not removed.any():
        return pixels.clone()
    values = pixels.detach().cpu().double().numpy()
    matrix, known = _system(values, removed)
    # The matrix is symmetric and diagonally dominant: it needs no pivoting.
    solver = splu(
        matrix,
        permc_spec="MMD_AT_PLUS_A",
        diag_pivot_thresh=0.0,
        options={"SymmetricMode": True},
    )
    filled = solver.solve(known)
    values[:, removed] = filled.T + noise * rng.standard_normal(filled.T.shape)
    return torch.from_numpy(values).to(pixels)


def _system(
    values: NDArray[np.float64], removed: NDArray[np.bool_]
) -> tuple[sparse.csc_matrix, NDArray[np.float64]]:
    """Matrix (n, n) and right-hand side (n, 3) over the n removed pixels.

    For pixel i: sum_j w_ij (x_i - x_j) = 0 over the neighbours j that the picture has.
    """
    count = int(removed.sum())
    number = np.full(removed.shape, -1)
    number[removed] = np.arange(count)
    around = np.pad(number, 1, constant_values=-2)  # -1: known, -2: outside of the picture
    outlook = np.pad(values, ((0, 0), (1, 1), (1, 1)))
    height, width = removed.shape
    diagonal = np.zeros(count)
    known = np.zeros((count, len(values)))
    rows, columns, entries = [], [], []
    for down, right, weight in _NEIGHBOURS:
        window = slice(1 + down, 1 + down + height), slice(1 + right, 1 + right + width)
        neighbour = around[window][removed]
        diagonal += weight * (neighbour != -2)
        known += weight * ((neighbour == -1) * outlook[:, *window][:, removed]).T
        linked = np.flatnonzero(neighbour >= 0)
        rows.append(linked)
        columns.append(neighbour[linked])
        entries.append(np.full(len(linked), -weight))
    links = sparse.coo_matrix(
        (np.concatenate(entries), (np.concatenate(rows), np.concatenate(columns))),
        shape=(count, count),
    )
    return (links + sparse.diags(diagonal)).tocsc(), known
