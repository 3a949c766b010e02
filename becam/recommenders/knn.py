"""Item graphs: the nearest neighbours by content, and the matrices that backbones make of them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from becam.errors import BecamError
from becam.recommenders.graph import SparseMatrix

# Cosines held at once: 16 MiB of float32, which caches hold.
_BLOCK = 1 << 22

# Columns whose largest cosine stands for them.
_GROUP = 64

# The exact search takes minutes on one core there, and its time grows with the square.
EXACT_ITEMS = 100_000


class Neighbours(NamedTuple):
    """Each item's nearest items, itself included: ``items`` and ``cosines``, both (I, k)."""

    items: Tensor
    cosines: Tensor

    def rows(self) -> Tensor:
        """Whose neighbour each entry is, (I k,)."""
        count, k = self.items.shape
        return torch.arange(count, device=self.items.device).repeat_interleave(k)


FindNeighbours = Callable[[NDArray[np.float32], int], Neighbours]


def find_neighbours(features: NDArray[np.float32], k: int) -> Neighbours:
    """The k nearest items of every item by cosine.

    Exact up to ``EXACT_ITEMS`` items, in blocks; beyond that from faiss's inverted lists.

    Args:
        features: (I, d_m).
        k: Neighbours of each, itself included; all items where there are fewer.

    Raises:
        BecamError: more items than the exact search can take, and no faiss.
    """
    if len(features) > EXACT_ITEMS:
        return _approximate(features, k)
    return nearest(torch.tensor(np.asarray(features)), k)


@torch.no_grad()
def nearest(x: Tensor, k: int) -> Neighbours:
    """The k nearest rows of ``x`` (I, d) to each row by cosine, exactly and block by block."""
    count = len(x)
    x = torch.nn.functional.normalize(x, dim=1)
    padded = torch.nn.functional.pad(x, (0, 0, 0, -count % _GROUP))
    block = max(1, _BLOCK // len(padded))
    found = []
    for rows in torch.split(x, block):
        cosines = rows @ padded.T
        cosines[:, count:] = -torch.inf
        found.append(_top(cosines, min(k, count)))
    return Neighbours(torch.cat([n.items for n in found]), torch.cat([n.cosines for n in found]))


def _top(scores: Tensor, k: int) -> Neighbours:
    """The k largest of each row of ``scores`` (B, n), n a multiple of ``_GROUP``.

    They lie in the k groups of columns with the largest maxima: only those need sorting.
    """
    groups = scores.view(len(scores), -1, _GROUP)
    if groups.shape[1] <= k:
        best = scores.topk(k)
        return Neighbours(best.indices, best.values)
    chosen = groups.amax(dim=2).topk(k).indices
    members = groups.gather(1, chosen[:, :, None].expand(-1, -1, _GROUP)).flatten(1)
    best = members.topk(k)
    items = chosen.gather(1, best.indices // _GROUP) * _GROUP + best.indices % _GROUP
    return Neighbours(items, best.values)


def cosine_graph(neighbours: Neighbours) -> SparseMatrix:
    """Edges weighted by cosine and divided by the roots of both ends' row sums, (I, I)."""
    weights = normalised(neighbours.cosines, neighbours.items)
    return _graph(neighbours, weights)


def uniform_graph(neighbours: Neighbours, scale: float = 1.0) -> SparseMatrix:
    """Every edge ``scale / k``: FREEDOM's frozen graph of one modality, (I, I)."""
    k = neighbours.items.shape[1]
    return _graph(neighbours, torch.full_like(neighbours.cosines, scale / k))


def joined(matrices: list[SparseMatrix]) -> SparseMatrix:
    """The sum of matrices of one shape."""
    return SparseMatrix(
        torch.cat([matrix.rows() for matrix in matrices]),
        torch.cat([matrix.columns for matrix in matrices]).long(),
        torch.cat([matrix.values for matrix in matrices]),
        matrices[0].shape,
    )


def normalised(weights: Tensor, items: Tensor) -> Tensor:
    """Edge weights (I, k) over the roots of the row sums at both ends; differentiable.

    A row whose weights do not add up to more than nothing has no edges.
    """
    sums = weights.sum(dim=1)
    roots = torch.where(sums > 0, sums.clamp(min=torch.finfo(sums.dtype).tiny).rsqrt(), 0.0)
    return weights * roots[:, None] * roots[items]


def _graph(neighbours: Neighbours, weights: Tensor) -> SparseMatrix:
    count = len(neighbours.items)
    return SparseMatrix(
        neighbours.rows(), neighbours.items.flatten(), weights.flatten(), (count, count)
    )


def _approximate(features: NDArray[np.float32], k: int) -> Neighbours:
    try:
        import faiss
    except ImportError:
        raise BecamError(
            f"{len(features):,} items need an approximate neighbour search: "
            "pip install 'becam[large]'."
        ) from None
    x = np.array(features, dtype=np.float32)
    faiss.normalize_L2(x)
    lists = int(4 * math.sqrt(len(x)))
    index = faiss.IndexIVFFlat(
        faiss.IndexFlatIP(x.shape[1]), x.shape[1], lists, faiss.METRIC_INNER_PRODUCT
    )
    index.train(x[:: max(1, len(x) // (64 * lists))])
    index.add(x)
    index.nprobe = 16
    cosines, items = index.search(x, k)
    # A list with fewer than k items leaves gaps: the item itself, with no weight, fills them.
    gaps = items < 0
    items[gaps] = np.broadcast_to(np.arange(len(x))[:, None], items.shape)[gaps]
    cosines[gaps] = 0
    return Neighbours(torch.from_numpy(items), torch.from_numpy(cosines))
