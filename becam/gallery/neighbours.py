"""The nearest items of some items by cosine, exactly and in blocks: never items x items."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from becam.checkpoint import Checkpoint
from becam.contents import find_contents
from becam.data.dataset import Dataset

Take = Callable[[NDArray[np.int64]], Tensor]
"""Rows (m,) of a matrix to what they hold (m, d)."""
Near = list[tuple[int, float]]
"""Rows and their cosines, the nearest first."""

COUNT = 6

_ROWS = 4096
"""Rows held at once on either side: 64 MiB of cosines."""


@dataclass(frozen=True)
class ItemNeighbours:
    """The items around some items.

    Attributes:
        by_behaviour: ids and cosines of the nearest ID embeddings, by the item's id.
        by_content: the same of content features, before projection and adapter.
    """

    by_behaviour: dict[str, list[tuple[str, float]]]
    by_content: dict[str, list[tuple[str, float]]]


def item_neighbours(
    checkpoint: Checkpoint, dataset: Dataset, ids: list[str], *, modality: str = "image"
) -> ItemNeighbours:
    """The items around some items, among all that a checkpoint has content of.

    Args:
        checkpoint: whose ID embeddings and content features are compared.
        dataset: where frozen features are.
        ids: of the items.
        modality: of the content.

    Raises:
        BecamError: nobody has the features.
    """
    contents = find_contents(checkpoint, modality, dataset)
    names = [checkpoint.item_ids[item] for item in contents.items]
    place = {name: row for row, name in enumerate(names)}
    rows = np.array([place[name] for name in ids], dtype=np.int64)

    def embeddings(chosen: NDArray[np.int64]) -> Tensor:
        return checkpoint.item_embeddings[torch.from_numpy(contents.items[chosen])].float().cpu()

    def features(chosen: NDArray[np.int64]) -> Tensor:
        return torch.from_numpy(np.array(contents.matrix[contents.rows[chosen]])).float()

    def named(take: Take) -> dict[str, list[tuple[str, float]]]:
        found = nearest_rows(take, len(names), rows, COUNT)
        return {
            name: [(names[row], cosine) for row, cosine in near]
            for name, near in zip(ids, found, strict=True)
        }

    return ItemNeighbours(named(embeddings), named(features))


@torch.no_grad()
def nearest_rows(take: Take, n: int, rows: NDArray[np.int64], k: int) -> list[Near]:
    """For some rows of a matrix the k others with the largest cosines to them.

    Rows of length zero have no direction: they have no neighbours and are nobody's.

    Args:
        take: of the matrix.
        n: how many rows it has.
        rows: (m,) whose neighbours are wanted.
        k: how many; fewer where there are fewer.
    """
    return [
        near
        for start in range(0, len(rows), _ROWS)
        for near in _nearest(take, n, rows[start : start + _ROWS], k)
    ]


def _nearest(take: Take, n: int, rows: NDArray[np.int64], k: int) -> list[Near]:
    asked = torch.from_numpy(rows)
    queries = functional.normalize(take(rows), dim=1)
    cosines, items = torch.empty(len(rows), 0), torch.empty(len(rows), 0, dtype=torch.int64)
    for start in range(0, n, _ROWS):
        there = torch.arange(start, min(start + _ROWS, n))
        block = take(there.numpy())
        fresh = queries @ functional.normalize(block, dim=1).T
        fresh[:, ~block.any(dim=1)] = -torch.inf
        fresh[asked[:, None] == there] = -torch.inf
        best = fresh.topk(min(k, len(there)), dim=1)
        cosines = torch.cat([cosines, best.values], dim=1)
        items = torch.cat([items, there[best.indices]], dim=1)
        order = cosines.topk(min(k, cosines.shape[1]), dim=1)
        cosines, items = order.values, items.gather(1, order.indices)
    cosines[~queries.any(dim=1)] = -torch.inf
    return [
        [(item, cosine) for item, cosine in zip(*pair, strict=True) if cosine > -torch.inf]
        for pair in zip(items.tolist(), cosines.tolist(), strict=True)
    ]
