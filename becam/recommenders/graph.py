"""Sparse graphs and propagation over them, shared by every recommender."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn


class SparseMatrix(nn.Module):
    """A sparse matrix by rows that multiplies dense ones, forwards and backwards.

    The product is an embedding bag with 32-bit indices: on a CPU several times faster than torch's
    own sparse product. The transpose that the backward pass needs is kept beside the matrix; a
    symmetric one is its own. Entries at the same place add up.

    Args:
        rows: Row of each entry, (n,).
        columns: Column of each entry, (n,).
        values: (n,) float32.
        shape: Of the matrix.
        symmetric: Whether it equals its transpose.
    """

    def __init__(
        self,
        rows: Tensor,
        columns: Tensor,
        values: Tensor,
        shape: tuple[int, int],
        *,
        symmetric: bool = False,
    ) -> None:
        super().__init__()
        self.shape = shape
        self.offsets: Tensor
        self.columns: Tensor
        self.values: Tensor
        if not bool((rows[1:] >= rows[:-1]).all()):
            order = torch.argsort(rows, stable=True)
            rows, columns, values = rows[order], columns[order], values[order]
        offsets = torch.zeros(shape[0] + 1, dtype=torch.int32, device=rows.device)
        offsets[1:] = torch.cumsum(torch.bincount(rows, minlength=shape[0]), dim=0)
        self.register_buffer("offsets", offsets, persistent=False)
        self.register_buffer("columns", columns.int(), persistent=False)
        self.register_buffer("values", values, persistent=False)
        self.transposed: SparseMatrix | None = None
        if not symmetric:
            # Rows are ascending, so that a stable sort by column leaves them so in each column.
            back = torch.argsort(columns, stable=True)
            self.transposed = SparseMatrix(
                columns[back], rows[back], values[back], (shape[1], shape[0]), symmetric=True
            )

    def forward(self, x: Tensor) -> Tensor:
        """The product with ``x`` (columns, d): (rows, d), differentiable in ``x``."""
        product: Tensor = _Propagation.apply(self, x, 1, False)
        return product

    def multiply(self, x: Tensor) -> Tensor:
        """The product with ``x``, outside of autograd."""
        return nn.functional.embedding_bag(
            self.columns,
            x,
            self.offsets,
            mode="sum",
            per_sample_weights=self.values,
            include_last_offset=True,
        )

    def multiply_transposed(self, x: Tensor) -> Tensor:
        """The transpose's product with ``x``, outside of autograd."""
        return (self if self.transposed is None else self.transposed).multiply(x)

    def rows(self) -> Tensor:
        """Row of each entry, (n,) int64."""
        counts = torch.diff(self.offsets).long()
        return torch.repeat_interleave(torch.arange(len(counts), device=counts.device), counts)

    def to_dense(self) -> Tensor:
        """The whole matrix."""
        dense = self.values.new_zeros(self.shape)
        return dense.index_put_((self.rows(), self.columns.long()), self.values, accumulate=True)


def normalised_adjacency(pairs: NDArray[np.int64], n_users: int, n_items: int) -> SparseMatrix:
    """S = D^-1/2 A D^-1/2 of the bipartite graph, with users before items.

    Args:
        pairs: Training interactions, (n, 2) of [user, item]; a repeated pair is one edge.
        n_users: Number of users U.
        n_items: Number of items I.

    Returns:
        Symmetric, (U+I, U+I); a node without edges has an empty row.
    """
    users, items = distinct_edges(pairs, n_items)
    values = edge_weights(users, items, n_users, n_items)
    # The users' rows are in order; the items' rows need a stable sort, which leaves the users of an
    # item ascending.
    by_item = np.argsort(items, kind="stable")
    return SparseMatrix(
        torch.from_numpy(np.concatenate([users, n_users + items[by_item]])),
        torch.from_numpy(np.concatenate([n_users + items, users[by_item]])),
        torch.from_numpy(np.concatenate([values, values[by_item]])),
        (n_users + n_items, n_users + n_items),
        symmetric=True,
    )


def distinct_edges(
    pairs: NDArray[np.int64], n_items: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Users (n,) and items (n,) of the distinct pairs, sorted by user, then item."""
    keys = pairs[:, 0] * np.int64(n_items) + pairs[:, 1]
    if not (keys[1:] > keys[:-1]).all():
        keys = np.unique(keys)
    return keys // n_items, keys % n_items


def edge_weights(
    users: NDArray[np.int64], items: NDArray[np.int64], n_users: int, n_items: int
) -> NDArray[np.float32]:
    """1 / sqrt(d_u d_i) of every edge, (n,)."""
    user_degrees = np.bincount(users, minlength=n_users).astype(np.float64)
    item_degrees = np.bincount(items, minlength=n_items).astype(np.float64)
    weights: NDArray[np.float64] = 1.0 / np.sqrt(user_degrees[users] * item_degrees[items])
    return weights.astype(np.float32)


def lightgcn(matrix: SparseMatrix, x: Tensor, layers: int) -> Tensor:
    """LGCN_L(x): the mean of x, Mx, ..., M^L x (LightGCN).

    Args:
        matrix: Square, (n, n).
        x: Node embeddings, (n, d).
        layers: L, 0 or more.

    Returns:
        Propagated embeddings, (n, d), differentiable in ``x``.
    """
    mean: Tensor = _Propagation.apply(matrix, x, layers, True)
    return mean


class _Propagation(torch.autograd.Function):
    """M^L x, or the mean of x and all layers up to it; its gradient is that of the transpose.

    No layer is kept in memory, since the map is linear.
    """

    @staticmethod
    def forward(ctx: Any, matrix: SparseMatrix, x: Tensor, layers: int, mean: bool) -> Tensor:
        ctx.matrix, ctx.layers, ctx.mean = matrix, layers, mean
        return _propagate(matrix.multiply, x, layers, mean)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[None, Tensor, None, None]:
        multiply = ctx.matrix.multiply_transposed
        return (
            None,
            _propagate(multiply, gradients[0].contiguous(), ctx.layers, ctx.mean),
            None,
            None,
        )


def _propagate(multiply: Callable[[Tensor], Tensor], x: Tensor, layers: int, mean: bool) -> Tensor:
    if layers == 0:
        return x.clone()
    result = x
    for layer in range(1, layers + 1):
        result = multiply(result)
        if mean:
            # The mean of layers 0..k is (x + k M mean of layers 0..k-1) / (k + 1): one matrix of
            # memory, and no more passes over it than need be.
            result.lerp_(x, 1 / (layer + 1))
    return result
