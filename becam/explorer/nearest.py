"""Which items behaviour puts near, and which ones a picture's content points to."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from becam.attribution.weighting import cosine
from becam.checkpoint import Checkpoint
from becam.explorer.question import Aim

COUNT = 6


@dataclass(frozen=True)
class Neighbour:
    """An item, and the cosine of its ID embedding with what it is near to."""

    id: str
    cosine: float


@dataclass(frozen=True)
class Nearest:
    """Items by the cosine of their ID embeddings, the nearest first.

    Attributes:
        behaviour: with the item's own ID embedding, itself left out; or with the user's.
        content: with the projected content of the picture, before any adapter.
        rank: of the item itself among those, from 1.
        items: how many there are.
    """

    behaviour: list[Neighbour]
    content: list[Neighbour]
    rank: int
    items: int


@torch.no_grad()
def nearest_items(checkpoint: Checkpoint, whole: Tensor, aim: Aim) -> Nearest | None:
    """What is near the target and near the picture; None where no recommender takes part.

    An adapter with an ID gate (BeFA) moves any content to the item's own embedding, so content is
    taken before it.

    Args:
        checkpoint: knows the item, and the user where there is one.
        whole: the picture's feature (d_m,).
        aim: what the picture is compared with.
    """
    if aim.item is None:
        return None
    item = checkpoint.item_index(aim.item)
    embeddings = checkpoint.item_embeddings.float()
    if aim.user is None:
        anchor, apart = embeddings[item], item
    else:
        anchor, apart = checkpoint.user_embeddings[checkpoint.user_index(aim.user)].float(), None
    by_content = cosine(embeddings, checkpoint.head("image").project(whole[None].float()))
    return Nearest(
        _first(checkpoint, cosine(embeddings, anchor[None]), apart),
        _first(checkpoint, by_content, None),
        1 + int((by_content > by_content[item]).sum()),
        len(embeddings),
    )


def _first(checkpoint: Checkpoint, similarities: Tensor, apart: int | None) -> list[Neighbour]:
    if apart is not None:
        similarities = similarities.clone()
        similarities[apart] = -torch.inf
    count = min(COUNT, len(similarities) - (apart is not None))
    values, rows = similarities.topk(count)
    return [
        Neighbour(checkpoint.item_ids[row], value)
        for row, value in zip(rows.tolist(), values.tolist(), strict=True)
    ]
