"""What a picture is compared with: an item, a user, or a text (method: step 6)."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from becam.attribution.weighting import cosine
from becam.checkpoint import Checkpoint, Head
from becam.encoders.base import Encoder

Space = Literal["adapted", "content"]
SPACES: tuple[Space, ...] = ("adapted", "content")

OTHERS = 20
"""How many other items (or users) a map is held against."""


@dataclass(frozen=True)
class Target:
    """A vector to compare features with, and others of its kind as controls.

    Attributes:
        words: for captions.
        head: projection and adapter; None compares in the encoder's own space (text).
        space: ``adapted`` (the paper) or ``content``: stop before the adapter.
        vector: what is compared with, (d,).
        gate: the ID embedding that the adapter gets, (d,); None with a text.
        others: vectors and gates of other targets, (m, d) each; m may be 0.
        anchor: the item's ID embedding for theta, (d,); None with a text.
        stored: the item's content feature as the recommender trained it, (d_m,); None where
            features were frozen.
    """

    words: str
    head: Head | None
    space: Space
    vector: Tensor
    gate: Tensor | None
    others: tuple[Tensor, Tensor] | None
    anchor: Tensor | None
    stored: Tensor | None

    def similarity(self, features: Tensor) -> Tensor:
        """Similarities (n,) of features (n, d_m); differentiable in them."""
        return cosine(self.content(features), self.vector[None])

    def content(self, features: Tensor) -> Tensor:
        """What is compared: projected, and adapted unless the space is ``content``; (n, d)."""
        if self.head is None:
            return features
        projected = self.head.project(features)
        if self.gate is None or self.space == "content":
            return projected
        return self.head.adapt(projected, self.gate.expand_as(projected))

    def of_others(self, count: int) -> list[Target]:
        """Up to ``count`` other targets of the same kind."""
        if self.others is None:
            return []
        pairs = zip(*self.others, strict=True)
        return [
            replace(self, vector=vector, gate=gate, others=None)
            for vector, gate in itertools.islice(pairs, count)
        ]


def item_target(
    checkpoint: Checkpoint, item_id: str, *, space: Space, modality: str = "image"
) -> Target:
    """The item's ID embedding e_i (the paper's target).

    Raises:
        BecamError: unknown item.
    """
    index = checkpoint.item_index(item_id)
    vector = checkpoint.item_embeddings[index].float()
    others = checkpoint.item_embeddings[_others(len(checkpoint.item_embeddings), index)].float()
    return Target(
        words=f"item {item_id}",
        head=checkpoint.head(modality),
        space=space,
        vector=vector,
        gate=vector,
        others=(others, others),
        anchor=vector,
        stored=_stored(checkpoint, modality, index),
    )


def user_target(
    checkpoint: Checkpoint, item_id: str, user_id: str, *, space: Space, modality: str = "image"
) -> Target:
    """A user's ID embedding: what in this picture of this item speaks to this user.

    Raises:
        BecamError: unknown item or user.
    """
    item_index = checkpoint.item_index(item_id)
    item = checkpoint.item_embeddings[item_index].float()
    index = checkpoint.user_index(user_id)
    users = checkpoint.user_embeddings[_others(len(checkpoint.user_embeddings), index)].float()
    return Target(
        words=f"user {user_id} (item {item_id})",
        head=checkpoint.head(modality),
        space=space,
        vector=checkpoint.user_embeddings[index].float(),
        gate=item,
        others=(users, item.expand_as(users)),
        anchor=item,
        stored=_stored(checkpoint, modality, item_index),
    )


def text_target(encoder: Encoder, text: str) -> Target:
    """A text prompt, in the encoder's own space: no recommender takes part.

    Raises:
        BecamError: the encoder has no text tower.
    """
    vector = encoder.encode_text([text])[0].float().cpu()
    return Target(
        words=f"text {text!r}",
        head=None,
        space="content",
        vector=vector,
        gate=None,
        others=None,
        anchor=None,
        stored=None,
    )


def _stored(checkpoint: Checkpoint, modality: str, index: int) -> Tensor | None:
    rows = checkpoint.trained_features(modality)
    return None if rows is None else rows[index].float()


def _others(count: int, index: int) -> Tensor:
    """Up to ``OTHERS`` other rows, the same ones for every call on the same table."""
    order = torch.randperm(count, generator=torch.Generator().manual_seed(0))
    return order[order != index][:OTHERS]
