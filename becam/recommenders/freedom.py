"""FREEDOM: a frozen item graph and a denoised user-item graph (arXiv 2211.06924)."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from becam.limits import DROPOUT, LAYERS, NEIGHBOURS, SHARE, WEIGHT
from becam.options import Option
from becam.recommenders.base import Batch, Recipe, Recommender, TrainingData, bpr, take, take_nodes
from becam.recommenders.graph import (
    SparseMatrix,
    distinct_edges,
    edge_weights,
    lightgcn,
    normalised_adjacency,
)
from becam.recommenders.knn import joined, uniform_graph


class FREEDOM(Recommender):
    """LightGCN over a sample of the edges, and one hop over the items that are alike in content.

    Each epoch S' keeps a share 1 - ``dropout`` of the edges, drawn without replacement with
    probability proportional to 1/sqrt(d_u d_i), and is normalised anew. Items are
    LGCN_L(S')_i + G E_i with the frozen graph G = sum_m weight_m G_m, each edge of G_m 1/k. The
    loss is BPR + reg_weight sum_m BPR(u, a_m[p], a_m[n]). Evaluation uses all edges.

    Args:
        data: Users, items, training interactions and content features.
        layers: LightGCN layers.
        dropout: Share rho of the edges that an epoch leaves out.
        reg_weight: Weight of the content losses (MMRec's name for it).
        knn_k: Neighbours of each item in the item graph, itself included.
        image_weight: Share of the image's graph; the other modalities share the rest.
        propagate_content: Also add the neighbours' adapted content to the items, mean over
            modalities, as the authors' released BeFA code does.
        **shared: The options of :class:`~becam.recommenders.base.Recommender`.

    Raises:
        BecamError: An option outside of its range, or features that do not fit.
    """

    name: ClassVar[str] = "freedom"
    title: ClassVar[str] = "FREEDOM"
    pairwise: ClassVar[bool] = True
    # Validation peaks within five epochs, when the item graph alone speaks, and dips for ten more:
    # with patience 10 and no warm-up, three of six H&M runs stopped there, two thirds of the way.
    recipe: ClassVar[Recipe] = Recipe(warmup=50)

    def __init__(
        self,
        data: TrainingData,
        *,
        layers: Annotated[int, Option("LightGCN layers.", limits=LAYERS)] = 2,
        dropout: Annotated[
            float,
            Option("Share of the edges left out in an epoch.", search=(0.8, 0.9), limits=DROPOUT),
        ] = 0.8,
        reg_weight: Annotated[
            float,
            Option("Weight of the content losses.", search=(0.0, 1e-5, 1e-4, 1e-3), limits=WEIGHT),
        ] = 1e-3,
        knn_k: Annotated[
            int, Option("Neighbours of an item in the item graph.", limits=NEIGHBOURS)
        ] = 10,
        image_weight: Annotated[
            float, Option("Share of the image's item graph.", limits=SHARE)
        ] = 0.1,
        propagate_content: Annotated[
            bool, Option("Add the neighbours' adapted content to the items.")
        ] = False,
        **shared: Any,
    ) -> None:
        super().__init__(data, **shared)
        self.layers = layers
        self.dropout = dropout
        self.reg_weight = reg_weight
        self.knn_k = knn_k
        self.image_weight = image_weight
        self.propagate_content = propagate_content
        shares = _shares(self.modalities, image_weight)
        self.item_graph = joined(
            [uniform_graph(n, shares[m]) for m, n in self.neighbours(data.features, knn_k).items()]
        )
        self._edges = distinct_edges(data.pairs, data.n_items)
        self._chances = edge_weights(*self._edges, data.n_users, data.n_items)
        self._sampled: SparseMatrix | None = None

    def start_epoch(self, epoch: int) -> None:
        """Draw the edges of the epoch."""
        super().start_epoch(epoch)
        keep = int((1 - self.dropout) * len(self._chances))
        kept = np.sort(_sample(self._chances, keep))
        edges = np.stack([self._edges[0][kept], self._edges[1][kept]], axis=1)
        adjacency = normalised_adjacency(edges, self.n_users, self.n_items)
        self._sampled = adjacency.to(self.user_embedding.device)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Loss terms of a batch with negatives; see the class for the equation."""
        nodes, hop = self._propagated(self._sampled or self.adjacency)
        pair = batch.pair()
        user, items = take_nodes(nodes, batch, self.n_users)
        terms = {"bpr": bpr(user, *(items + take(hop, pair)).chunk(2))}
        # A row that occurs twice is projected and adapted once.
        rows, row_of = torch.unique(pair, return_inverse=True)
        for modality in self.modalities:
            content = take(self.content(modality, rows), row_of).chunk(2)
            terms[f"{modality}_bpr"] = self.reg_weight * bpr(user, *content)
        return terms

    def embeddings(self) -> tuple[Tensor, Tensor]:
        """LGCN over all edges, (U, d) and (I, d), the items with their neighbours'."""
        nodes, hop = self._propagated(self.adjacency)
        users, items = torch.split(nodes, [self.n_users, self.n_items])
        return users, items + hop

    def _propagated(self, adjacency: SparseMatrix) -> tuple[Tensor, Tensor]:
        """LGCN_L, (U+I, d), and the hop over the item graph, (I, d)."""
        nodes = torch.cat([self.user_embedding, self.item_embedding])
        sources: Tensor = self.item_embedding
        if self.propagate_content:
            contents = [self.content(modality) for modality in self.modalities]
            sources = sources + torch.stack(contents).mean(dim=0)
        return lightgcn(adjacency, nodes, self.layers), self.item_graph(sources)


def _sample(chances: NDArray[np.float32], count: int) -> NDArray[np.int64]:
    """``count`` indices without replacement with probability proportional to ``chances``.

    An exponential race: the first to arrive are such a sample, and it knows no limit of size.
    """
    arrivals = torch.empty(len(chances)).exponential_().numpy() / chances
    if count >= len(chances):
        return np.arange(len(chances))
    return np.argpartition(arrivals, count)[:count]


def _shares(modalities: tuple[str, ...], image_weight: float) -> dict[str, float]:
    others = [m for m in modalities if m != "image"]
    if len(others) in (0, len(modalities)):  # the image alone, or no image
        return dict.fromkeys(modalities, 1 / len(modalities))
    return {"image": image_weight} | dict.fromkeys(others, (1 - image_weight) / len(others))
