"""MGCN: behaviour-guided views of content (arXiv 2308.03588), and what BeFA's authors released."""

from __future__ import annotations

from abc import abstractmethod
from typing import Annotated, Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from becam.limits import LAYERS, NEIGHBOURS, WEIGHT
from becam.options import Option
from becam.recommenders.base import (
    Batch,
    Recipe,
    Recommender,
    TrainingData,
    bpr,
    squared_norms,
    take,
)
from becam.recommenders.graph import SparseMatrix, distinct_edges, edge_weights, lightgcn
from becam.recommenders.knn import cosine_graph

_TEMPERATURE = 0.2


class GatedViews(Recommender):
    """What MGCN and LATTICE_BeFA share: LightGCN beside views of gated content.

    With H = LGCN_L(S), each modality's view of the items is z_m = G_m (E_i * sigmoid(W_m a_m + b))
    over the frozen kNN graph G_m, and of the users S_ui z_m. An adapter that is itself a gate on
    E_i (BeFA) takes the gate's place. ``side`` makes one side view of them; the embeddings are
    H + side.

    Args:
        data: Users, items, training interactions and content features.
        layers: LightGCN layers.
        item_layers: Hops over each item graph.
        reg_weight: Weight of the squared norms.
        knn_k: Neighbours of each item in its modality's graph, itself included.
        **shared: The options of :class:`~becam.recommenders.base.Recommender`.

    Raises:
        BecamError: An option outside of its range, or features that do not fit.
    """

    recipe: ClassVar[Recipe] = Recipe(lr_decay=0.96)
    pairwise: ClassVar[bool] = True

    def __init__(
        self,
        data: TrainingData,
        *,
        layers: Annotated[int, Option("LightGCN layers.", limits=LAYERS)] = 2,
        item_layers: Annotated[int, Option("Hops over each item graph.", limits=LAYERS)] = 1,
        reg_weight: Annotated[float, Option("Weight of the squared norms.", limits=WEIGHT)] = 1e-4,
        knn_k: Annotated[
            int, Option("Neighbours of an item in the item graphs.", limits=NEIGHBOURS)
        ] = 10,
        **shared: Any,
    ) -> None:
        super().__init__(data, **shared)
        self.layers = layers
        self.item_layers = item_layers
        self.reg_weight = reg_weight
        self.knn_k = knn_k
        dim = self.item_embedding.shape[1]
        self.gates = nn.ModuleDict(
            {m: nn.Linear(dim, dim) for m in self.modalities if not self.adapter(m).is_gate}
        )
        self.item_graphs = nn.ModuleDict(
            {m: cosine_graph(n) for m, n in self.neighbours(data.features, knn_k).items()}
        )
        n_users, n_items, pairs, _ = data
        users, items = distinct_edges(pairs, n_items)
        self.user_view = SparseMatrix(
            torch.from_numpy(users),
            torch.from_numpy(items),
            torch.from_numpy(edge_weights(users, items, n_users, n_items)),
            (n_users, n_items),
        )

    @abstractmethod
    def side(self, behaviour: Tensor, views: Tensor) -> Tensor:
        """The side view (n, d) out of H (n, d) and the modalities' views (M, n, d), row by row."""

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """BPR and squared norms of a batch with negatives."""
        nodes = self._batch_nodes(batch)
        return self._ranking_loss(nodes, nodes.behaviour + nodes.side)

    def embeddings(self) -> tuple[Tensor, Tensor]:
        """H + side: users (U, d) and items (I, d)."""
        behaviour, side = self._propagated()
        users, items = torch.split(behaviour + side, [self.n_users, self.n_items])
        return users, items

    def _batch_nodes(self, batch: Batch) -> _Nodes:
        users, user_of = torch.unique(batch.users, return_inverse=True)
        items, item_of = torch.unique(batch.pair(), return_inverse=True)
        return _Nodes(*self._propagated(users, items), user_of, *(len(users) + item_of).chunk(2))

    def _ranking_loss(self, nodes: _Nodes, embeddings: Tensor) -> dict[str, Tensor]:
        rows = torch.cat([nodes.users, nodes.items, nodes.negatives])
        user, positive, negative = take(embeddings, rows).chunk(3)
        return {
            "bpr": bpr(user, positive, negative),
            "regularisation": self.reg_weight * squared_norms(user, positive, negative),
        }

    def _propagated(
        self, users: Tensor | None = None, items: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """H and the side view of the given users, then items, or of all; both (n, d).

        What is fused row by row is fused for those rows alone.
        """
        nodes = torch.cat([self.user_embedding, self.item_embedding])
        propagated = lightgcn(self.adjacency, nodes, self.layers)
        of_users, of_items = torch.split(propagated, [self.n_users, self.n_items])
        behaviour = _pick(of_users, of_items, users, items)
        views = []
        for modality in self.modalities:
            view = self._item_view(modality)
            views.append(_pick(self.user_view(view), view, users, items))
        return behaviour, self.side(behaviour, torch.stack(views))

    def _item_view(self, modality: str) -> Tensor:
        items = self.content(modality)
        if modality in self.gates:
            items = self.item_embedding * torch.sigmoid(self.gates[modality](items))
        for _ in range(self.item_layers):
            items = self.item_graphs[modality](items)
        return items


class _Nodes(NamedTuple):
    """A batch's distinct nodes, (n, d), and where its users, items and negatives are among them."""

    behaviour: Tensor
    side: Tensor
    users: Tensor
    items: Tensor
    negatives: Tensor


def _pick(of_users: Tensor, of_items: Tensor, users: Tensor | None, items: Tensor | None) -> Tensor:
    """Rows of the given users and items, or of all, one below the other."""
    return torch.cat(
        [
            of_users if users is None else take(of_users, users),
            of_items if items is None else take(of_items, items),
        ]
    )


class MGCN(GatedViews):
    """Views of content fused by attention and by each node's preference, with a contrast to H.

    alpha = softmax over m of q(z_m), q = Linear, tanh, Linear to one; C = sum alpha_m z_m;
    side = (sum_m sigmoid(W'_m H) * (z_m - C) + C) / (M + 1). The loss is BPR + reg_weight Reg
    + contrast_weight [NCE(side_i, H_i) + NCE(side_u, H_u)], in batch, with temperature .2.

    Args:
        data: Users, items, training interactions and content features.
        contrast_weight: Weight of the contrast between side view and behaviour.
        **shared: The options of :class:`GatedViews` and of
            :class:`~becam.recommenders.base.Recommender`.

    Raises:
        BecamError: An option outside of its range, or features that do not fit.
    """

    name: ClassVar[str] = "mgcn"
    title: ClassVar[str] = "MGCN"

    def __init__(
        self,
        data: TrainingData,
        *,
        contrast_weight: Annotated[
            float, Option("Weight of the contrast.", search=(0.001, 0.01, 0.1), limits=WEIGHT)
        ] = 0.01,
        **shared: Any,
    ) -> None:
        super().__init__(data, **shared)
        self.contrast_weight = contrast_weight
        dim = self.item_embedding.shape[1]
        self.query = nn.Sequential(nn.Linear(dim, dim), nn.Tanh(), nn.Linear(dim, 1, bias=False))
        self.preferences = nn.ModuleDict({m: nn.Linear(dim, dim) for m in self.modalities})

    def side(self, behaviour: Tensor, views: Tensor) -> Tensor:
        """Fuse the views (M, n, d) with H (n, d); see the class."""
        attention = torch.softmax(self.query(views), dim=0)
        common = (attention * views).sum(dim=0)
        own = [
            torch.sigmoid(self.preferences[m](behaviour)) * (view - common)
            for m, view in zip(self.modalities, views, strict=True)
        ]
        side: Tensor = (sum(own) + common) / (len(own) + 1)
        return side

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Loss terms of a batch with negatives; see the class for the equation."""
        nodes = self._batch_nodes(batch)
        contrast = [
            _contrast(nodes.side, nodes.behaviour, rows) for rows in (nodes.users, nodes.items)
        ]
        terms = self._ranking_loss(nodes, nodes.behaviour + nodes.side)
        return terms | {"contrast": self.contrast_weight * torch.stack(contrast).sum()}


class LATTICEBeFA(GatedViews):
    """LATTICE_BeFA as its authors released it: despite its name, a simplified MGCN.

    The side view is the mean of the modalities' views; there is no contrast and no learned graph.
    The loss is BPR + reg_weight Reg. Meant for the adapter ``befa`` with ``variant=released``.

    Args:
        data: Users, items, training interactions and content features.
        **shared: The options of :class:`GatedViews` and of
            :class:`~becam.recommenders.base.Recommender`.

    Raises:
        BecamError: An option outside of its range, or features that do not fit.
    """

    name: ClassVar[str] = "lattice-befa-released"
    title: ClassVar[str] = "LATTICE (as released)"

    def side(self, behaviour: Tensor, views: Tensor) -> Tensor:
        """The mean of the views (M, n, d)."""
        return views.mean(dim=0)


def _contrast(views: Tensor, targets: Tensor, rows: Tensor) -> Tensor:
    """InfoNCE of the given rows (B,) of ``views`` against the same rows of ``targets``.

    A row that occurs twice in the batch counts twice, on either side, but is compared once.
    """
    distinct, counts = torch.unique(rows, return_counts=True)
    view, target = (nn.functional.normalize(take(x, distinct), dim=1) for x in (views, targets))
    loss: Tensor = _WeightedNCE.apply(view / _TEMPERATURE, target, counts.to(view.dtype))
    return loss


class _WeightedNCE(torch.autograd.Function):
    """sum_i w_i (log sum_j c_j exp(x_i . y_j) - x_i . y_i): x and y (n, d), c (n,), w = c / sum c.

    Written out because autograd would walk the n x n matrix several times more. Its entries are
    at most 1 / temperature, so that exp cannot overflow.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor, counts: Tensor) -> Tensor:
        similarity = (x @ y.T).exp_()
        sums = similarity @ counts
        ctx.save_for_backward(x, y, counts, similarity, sums)
        return counts @ (sums.log() - (x * y).sum(dim=1)) / counts.sum()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None]:
        x, y, counts, similarity, sums = ctx.saved_tensors
        share, own = (counts / sums)[:, None], counts[:, None]
        to_x = share * (similarity @ (own * y)) - own * y
        to_y = own * (similarity.T @ (share * x)) - own * x
        scale = gradients[0] / counts.sum()
        return scale * to_x, scale * to_y, None
