"""What an encoder's feature of a picture is worth to a target: s(x) and r(x)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from becam.attribution.target import Space, Target
from becam.attribution.view import Engine
from becam.attribution.weighting import cosine
from becam.checkpoint import Checkpoint
from becam.errors import BecamError

PictureScore = Callable[[Tensor], Tensor]
"""Pictures (n, 3, H, W), normalised, to scores (n,), or to k scores of each (n, k)."""

_PAIRS = 1 << 16
"""Pairs of picture and item that are adapted at a time."""


@dataclass(frozen=True)
class Score:
    """A score of features.

    Attributes:
        name: as measures are named after it.
        least: the smallest value that it can have.
        most: the largest.
        of: features (n, d_m) to scores (n,).
    """

    name: str
    least: float
    most: float
    of: Callable[[Tensor], Tensor]


def similarity_score(target: Target) -> Score:
    """s(x): the similarity that maps explain, a cosine."""
    return Score("similarity", -1.0, 1.0, target.similarity)


def rank_score(
    checkpoint: Checkpoint, item_id: str, *, space: Space, modality: str = "image"
) -> Score:
    """r(x): the share of the other items that agree with the picture less than this one does.

    Items that agree just as much count half, so r is .5 by chance and always in [0, 1]. Where the
    adapter takes an ID embedding, the picture is adapted for every item with the item's own. No
    more than a fixed number of pairs of picture and item are adapted at a time.

    Args:
        checkpoint: whose items.
        item_id: i.
        space: ``content`` compares before the adapter, any other after it: that of changes has no
            ranking of its own, for there the whole picture agrees with every item.
        modality: of the picture.

    Raises:
        BecamError: unknown item, or no other one.
    """
    row = checkpoint.item_index(item_id)
    items = checkpoint.item_embeddings.float()
    if len(items) < 2:
        raise BecamError("A checkpoint of a single item ranks nothing; train on more items.")
    head = checkpoint.head(modality)
    adapted = space != "content" and checkpoint.adapter_name(modality) != "none"

    def similarities(projected: Tensor, some: Tensor) -> Tensor:
        """Of pictures (n, d) with items (m, d), each item with its own gate: (n, m)."""
        content = projected[:, None]
        if adapted:
            content = head.adapt(content, some[None])
        return cosine(content, some[None])

    @torch.no_grad()
    def ranks(features: Tensor) -> Tensor:
        projected = head.project(features.float())
        some = max(1, _PAIRS // max(1, len(features)))
        found = torch.cat(
            [similarities(projected, part) for part in torch.split(items, some)], dim=1
        )
        own = found[:, row : row + 1]
        # The item ties with itself, which counts half and is taken off.
        beaten = (found < own).sum(dim=1) + 0.5 * ((found == own).sum(dim=1) - 1)
        return beaten / (len(items) - 1)

    return Score("rank", 0.0, 1.0, ranks)


def on_pictures(engine: Engine, scores: Sequence[Score]) -> PictureScore:
    """Several scores of pictures (n, 3, H, W) in one encoding: (n, k) on the CPU.

    Args:
        engine: encodes, as many pictures at a time as its batches say.
        scores: k of them.
    """

    @torch.inference_mode()
    def score(pictures: Tensor) -> Tensor:
        device = engine.encoder.device
        parts = engine.batches.split(
            pictures, lambda part: engine.fast.encode_image(part.to(device)).cpu()
        )
        features = torch.cat([found for _, found in parts])
        return torch.stack([each.of(features) for each in scores], dim=-1)

    return score
