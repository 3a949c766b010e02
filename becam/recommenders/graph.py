"""Operators on the bipartite user-item graph, shared by every recommender."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def normalised_adjacency(pairs: NDArray[np.int64], n_users: int, n_items: int) -> Tensor:
    """S = D^-1/2 A D^-1/2 of the bipartite graph, with users before items.

    Args:
        pairs: Training interactions, (n, 2) of [user, item]; a repeated pair is one edge.
        n_users: Number of users U.
        n_items: Number of items I.

    Returns:
        Symmetric sparse CSR tensor (U+I, U+I), float32; a node without edges has an empty row.
    """
    n = n_users + n_items
    edges = np.unique(pairs[:, 0] * np.int64(n_items) + pairs[:, 1])
    users, items = edges // n_items, edges % n_items + n_users
    # Keys are sorted by user then item, so the users' rows are in order; the items' rows need a
    # stable sort, which leaves the users of an item ascending.
    by_item = np.argsort(items, kind="stable")
    columns = np.concatenate([items, users[by_item]])
    rows = np.concatenate([users, items[by_item]])
    degrees = np.bincount(rows, minlength=n)
    values = 1.0 / np.sqrt(degrees[rows].astype(np.float64) * degrees[columns])
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse (CSR|invariant)")
        return torch.sparse_csr_tensor(
            torch.from_numpy(np.concatenate([[0], np.cumsum(degrees)])),
            torch.from_numpy(columns),
            torch.from_numpy(values.astype(np.float32)),
            size=(n, n),
        )


def lightgcn(adjacency: Tensor, x: Tensor, layers: int) -> Tensor:
    """LGCN_L(x): the mean of x, Sx, ..., S^L x (LightGCN).

    Args:
        adjacency: Symmetric sparse CSR matrix S, (n, n).
        x: Node embeddings, (n, d).
        layers: L, 0 or more.

    Returns:
        Propagated embeddings, (n, d), differentiable in ``x``.
    """
    propagated: Tensor = _LayerMean.apply(adjacency, x, layers)
    return propagated


class _LayerMean(torch.autograd.Function):
    """S is symmetric and so is every polynomial in S: the backward pass is the forward pass.

    That spares the transposed copy which autograd would make and keeps no layer in memory.
    """

    @staticmethod
    def forward(ctx: Any, adjacency: Tensor, x: Tensor, layers: int) -> Tensor:
        ctx.adjacency, ctx.layers = adjacency, layers
        return _layer_mean(adjacency, x, layers)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[None, Tensor, None]:
        return None, _layer_mean(ctx.adjacency, gradients[0].contiguous(), ctx.layers), None


def _layer_mean(adjacency: Tensor, x: Tensor, layers: int) -> Tensor:
    total = layer = x
    for _ in range(layers):
        layer = adjacency @ layer
        total = total + layer
    return total / (layers + 1)
