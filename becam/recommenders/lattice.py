"""LATTICE: an item graph learned from content (arXiv 2104.09036)."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from becam.limits import LAYERS, NEIGHBOURS, SHARE, WEIGHT
from becam.options import Option
from becam.recommenders.base import (
    Batch,
    Recipe,
    Recommender,
    TrainingData,
    bpr,
    squared_norms,
    take,
    take_nodes,
)
from becam.recommenders.graph import SparseMatrix, distinct_edges, lightgcn
from becam.recommenders.knn import Neighbours, nearest, normalised


class LATTICE(Recommender):
    """LightGCN, and one hop over a graph of the items that is learned from their content.

    With weights w = softmax over the modalities, the item graph is G = fixed_share
    sum_m w_m lap(knn X_m) + (1 - fixed_share) lap(sum_m w_m knn a_m), where knn keeps each item's k
    nearest by cosine, weighted so, and lap divides by the roots of the row sums at both ends. Items
    are LGCN_L(D^-1 (A + I))_i + normalize(G E_i). The loss is BPR + reg_weight Reg. The graph is
    built with gradient on the first batch of every epoch and kept, without, for the rest of it.

    Args:
        data: Users, items, training interactions and content features.
        layers: LightGCN layers.
        reg_weight: Weight of the squared norms.
        knn_k: Neighbours of each item, itself included.
        fixed_share: Share of the graph of the content features as given.
        **shared: The options of :class:`~becam.recommenders.base.Recommender`.

    Raises:
        BecamError: An option outside of its range, or features that do not fit.
    """

    name: ClassVar[str] = "lattice"
    title: ClassVar[str] = "LATTICE"
    recipe: ClassVar[Recipe] = Recipe(lr_search=(1e-4, 5e-4, 1e-3, 5e-3), lr_decay=0.96)
    pairwise: ClassVar[bool] = True

    def __init__(
        self,
        data: TrainingData,
        *,
        layers: Annotated[int, Option("LightGCN layers.", limits=LAYERS)] = 2,
        reg_weight: Annotated[
            float,
            Option("Weight of the squared norms.", search=(0.0, 1e-5, 1e-4, 1e-3), limits=WEIGHT),
        ] = 1e-4,
        knn_k: Annotated[
            int, Option("Neighbours of an item in the item graph.", limits=NEIGHBOURS)
        ] = 10,
        fixed_share: Annotated[
            float, Option("Share of the item graph that is not learned.", limits=SHARE)
        ] = 0.9,
        **shared: Any,
    ) -> None:
        super().__init__(data, **shared)
        self.layers = layers
        self.reg_weight = reg_weight
        self.knn_k = knn_k
        self.fixed_share = fixed_share
        self.modality_weights = nn.Parameter(
            torch.full((len(self.modalities),), 1 / len(self.modalities))
        )
        # In place of the symmetric graph of the others.
        self.adjacency = row_normalised_adjacency(data.pairs, data.n_users, data.n_items)
        fixed = self.neighbours(data.features, knn_k)
        for m, neighbours in fixed.items():
            weights = normalised(neighbours.cosines, neighbours.items)
            self.register_buffer(f"fixed_items_{m}", neighbours.items, persistent=False)
            self.register_buffer(f"fixed_weights_{m}", weights, persistent=False)
        self._kept: ItemGraph | None = None

    def start_epoch(self, epoch: int) -> None:
        """Forget the item graph, so that the first batch builds it."""
        super().start_epoch(epoch)
        self._kept = None

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Loss terms of a batch with negatives; see the class for the equation."""
        graph = self._kept if self._kept is not None else self.item_graph()
        self._kept = graph.detach()
        hop = take(graph(self.item_embedding), batch.pair())
        user, items = take_nodes(self._propagated(), batch, self.n_users)
        positive, negative = (items + nn.functional.normalize(hop, dim=1)).chunk(2)
        return {
            "bpr": bpr(user, positive, negative),
            "regularisation": self.reg_weight * squared_norms(user, positive, negative),
        }

    def embeddings(self) -> tuple[Tensor, Tensor]:
        """Users (U, d) and items (I, d) with the item graph of the weights as they are now."""
        users, items = torch.split(self._propagated(), [self.n_users, self.n_items])
        hop = self.item_graph()(self.item_embedding)
        return users, items + nn.functional.normalize(hop, dim=1)

    def item_graph(self) -> ItemGraph:
        """G of the weights as they are now, differentiable in its edges' weights."""
        shares = torch.softmax(self.modality_weights, dim=0)
        fixed_items, fixed_weights, found = [], [], []
        for share, m in zip(shares, self.modalities, strict=True):
            fixed_items.append(self.get_buffer(f"fixed_items_{m}"))
            fixed_weights.append(share * self.get_buffer(f"fixed_weights_{m}"))
            found.append(_cosines(self.content(m), self.knn_k))
        learned_items = torch.cat([n.items for n in found], dim=1)
        learned = torch.cat(
            [share * n.cosines for share, n in zip(shares, found, strict=True)], dim=1
        )
        return ItemGraph(
            torch.cat([*fixed_items, learned_items], dim=1),
            torch.cat(
                [
                    *(self.fixed_share * weights for weights in fixed_weights),
                    (1 - self.fixed_share) * normalised(learned, learned_items),
                ],
                dim=1,
            ),
        )

    def _propagated(self) -> Tensor:
        nodes = torch.cat([self.user_embedding, self.item_embedding])
        return lightgcn(self.adjacency, nodes, self.layers)


def row_normalised_adjacency(pairs: NDArray[np.int64], n_users: int, n_items: int) -> SparseMatrix:
    """M = D'^-1 (A + I) of the bipartite graph, users before items; D' its row sums."""
    n = n_users + n_items
    users, items = (torch.from_numpy(x) for x in distinct_edges(pairs, n_items))
    itself = torch.arange(n)
    rows = torch.cat([users, n_users + items, itself])
    columns = torch.cat([n_users + items, users, itself])
    degrees = torch.bincount(rows, minlength=n)
    return SparseMatrix(rows, columns, 1.0 / degrees[rows].float(), (n, n))


class ItemGraph:
    """Each item's neighbours ``items`` (I, k) int64 and edges ``weights`` (I, k), as an operator.

    Unlike a :class:`SparseMatrix` its weights may carry a gradient.
    """

    def __init__(self, items: Tensor, weights: Tensor) -> None:
        self.items, self.weights = items, weights

    def __call__(self, x: Tensor) -> Tensor:
        """Weighted sum of each item's neighbours: ``x`` (I, d) to (I, d)."""
        if self.weights.requires_grad:
            product: Tensor = _WeightedSum.apply(self._matrix(), self.items, self.weights, x)
        else:
            product = self._matrix()(x)
        return product

    def detach(self) -> ItemGraph:
        """The same graph without gradient, ready to be used many times."""
        if not self.weights.requires_grad:
            return self
        graph = ItemGraph(self.items, self.weights.detach())
        graph._cached = self._matrix()
        return graph

    _cached: SparseMatrix | None = None

    def _matrix(self) -> SparseMatrix:
        if self._cached is None:
            count, k = self.items.shape
            rows = torch.arange(count, device=self.items.device).repeat_interleave(k)
            self._cached = SparseMatrix(
                rows, self.items.flatten(), self.weights.detach().flatten(), (count, count)
            )
        return self._cached


# Neighbour rows gathered at once for the gradient of the weights: 64 MiB of float32.
_GATHERED = 1 << 24


class _WeightedSum(torch.autograd.Function):
    """sum_k weights[i, k] x[items[i, k]], with gradients of the weights and of x."""

    @staticmethod
    def forward(
        ctx: Any, matrix: SparseMatrix, items: Tensor, weights: Tensor, x: Tensor
    ) -> Tensor:
        ctx.matrix = matrix
        ctx.save_for_backward(items, x)
        return matrix.multiply(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[None, None, Tensor, Tensor]:
        items, x = ctx.saved_tensors
        gradient = gradients[0].contiguous()
        block = max(1, _GATHERED // (items.shape[1] * x.shape[1]))
        weights = [
            (x[near] @ rows[:, :, None]).squeeze(2)
            for near, rows in zip(
                torch.split(items, block), torch.split(gradient, block), strict=True
            )
        ]
        return None, None, torch.cat(weights), ctx.matrix.multiply_transposed(gradient)


def _cosines(x: Tensor, k: int) -> Neighbours:
    """The nearest rows of ``x`` (I, d) with cosines that are differentiable in it."""
    items = nearest(x.detach(), k).items
    unit = nn.functional.normalize(x, dim=1)
    return Neighbours(items, _EdgeDots.apply(unit, items))


class _EdgeDots(torch.autograd.Function):
    """x[i] . x[items[i, k]] of every edge, in blocks: no gathered row outlives its block."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, items: Tensor) -> Tensor:
        ctx.save_for_backward(x, items)
        block = max(1, _GATHERED // (items.shape[1] * x.shape[1]))
        return torch.cat(
            [
                (x[near] @ rows[:, :, None]).squeeze(2)
                for near, rows in zip(torch.split(items, block), torch.split(x, block), strict=True)
            ]
        )

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        x, items = ctx.saved_tensors
        matrix = ItemGraph(items, gradients[0])._matrix()
        return matrix.multiply(x) + matrix.multiply_transposed(x), None
