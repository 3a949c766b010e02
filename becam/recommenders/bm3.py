"""BM3: bootstrapped multimodal recommendation without negatives (arXiv 2207.05969)."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import torch
from torch import Tensor, nn

from becam.limits import DROPOUT, LAYERS, WEIGHT
from becam.options import Option
from becam.recommenders.base import Batch, Recipe, Recommender, TrainingData, take
from becam.recommenders.graph import lightgcn

# MMRec's weight of the content terms (its `cl_weight`), the same on every dataset.
_CONTENT_WEIGHT = 2.0


class BM3(Recommender):
    """Users, items and content predict each other's targets across two dropout views.

    With H the LightGCN embeddings, h_u = H_u, h_i = H_i + E_i, a predictor P, and ~x for x without
    gradient and with dropout, the loss is [1-cos(P h_u, ~h_i)] + [1-cos(P h_i, ~h_u)]
    + reg_weight (|h_U|_F + |h_I|_F)/I + 2 sum_m {[1-cos(P a_m, ~h_i)] + [1-cos(P a_m, ~a_m)]},
    where a_m is the content of the batch's items after projection and adapter.

    Args:
        data: Users, items, training interactions and content features.
        layers: LightGCN layers.
        dropout: Probability p of the targets' dropout.
        reg_weight: Weight of the embeddings' norms.
        **shared: The options of :class:`~becam.recommenders.base.Recommender`.

    Raises:
        BecamError: An option outside of its range, or features that do not fit.
    """

    name: ClassVar[str] = "bm3"
    title: ClassVar[str] = "BM3"
    # It can rest at the popularity baseline for dozens of epochs before it learns.
    recipe: ClassVar[Recipe] = Recipe(warmup=50)

    def __init__(
        self,
        data: TrainingData,
        *,
        layers: Annotated[int, Option("LightGCN layers.", search=(1, 2), limits=LAYERS)] = 1,
        dropout: Annotated[
            float, Option("Dropout of the targets.", search=(0.3, 0.5), limits=DROPOUT)
        ] = 0.3,
        reg_weight: Annotated[
            float, Option("Weight of the embeddings' norms.", search=(0.1, 0.01), limits=WEIGHT)
        ] = 0.1,
        **shared: Any,
    ) -> None:
        super().__init__(data, **shared)
        self.layers = layers
        self.dropout = dropout
        self.reg_weight = reg_weight
        dim = self.user_embedding.shape[1]
        self.predictor = nn.Linear(dim, dim)
        nn.init.xavier_normal_(self.predictor.weight)
        for modality in self.modalities:
            nn.init.xavier_normal_(self.projection(modality).weight)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Loss terms of a batch; see the class for the equation."""
        users, items = self._propagated()
        # Work on distinct rows, then spread them over the batch: a row that occurs twice then has
        # one dropout mask, as when the mask is drawn for the whole matrix, and is projected once.
        user_rows, user_of = torch.unique(batch.users, return_inverse=True)
        item_rows, item_of = torch.unique(batch.items, return_inverse=True)
        user, item = take(users, user_rows), take(items, item_rows)
        user_target, item_target = self._target(user), self._target(item)
        terms = {
            "reconstruction": _misalignment(
                take(self.predictor(user), user_of), take(item_target, item_of)
            )
            + _misalignment(take(self.predictor(item), item_of), take(user_target, user_of)),
            "regularisation": self.reg_weight * (users.norm() + items.norm()) / self.n_items,
        }
        for modality in self.modalities:
            content = self.content(modality, item_rows)
            target = self._target(content)
            prediction = self.predictor(content)
            # Every pair of the batch counts, so a distinct item counts as often as it occurs.
            weight = torch.bincount(item_of, minlength=len(item_rows)) / len(item_of)
            inter = _misalignment(prediction, item_target, weight)
            intra = _misalignment(prediction, target, weight)
            terms[f"{modality}_to_item"] = _CONTENT_WEIGHT * inter
            terms[f"{modality}_to_itself"] = _CONTENT_WEIGHT * intra
        return terms

    def embeddings(self) -> tuple[Tensor, Tensor]:
        """P h_u, (U, d), and P h_i, (I, d)."""
        users, items = self._propagated()
        return self.predictor(users), self.predictor(items)

    def _propagated(self) -> tuple[Tensor, Tensor]:
        nodes = torch.cat([self.user_embedding, self.item_embedding])
        propagated = lightgcn(self.adjacency, nodes, self.layers)
        users, items = torch.split(propagated, [self.n_users, self.n_items])
        return users, items + self.item_embedding

    def _target(self, x: Tensor) -> Tensor:
        return nn.functional.dropout(x.detach(), self.dropout, self.training)


def _misalignment(x: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
    """1 - cos(x, target) over rows: their mean, or their sum by ``weight`` (which sums to 1)."""
    cosine = nn.functional.cosine_similarity(x, target, dim=-1)
    return 1 - (cosine.mean() if weight is None else cosine @ weight)
