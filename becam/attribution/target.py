"""What a picture is compared with: an item, a user, a text or another picture (step 6)."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import Literal

import torch
from PIL import Image
from torch import Tensor

from becam.attribution.view import View
from becam.attribution.weighting import cosine
from becam.checkpoint import Checkpoint, Head
from becam.encoders.base import Encoder

Space = Literal["adapted", "content", "change"]
SPACES: tuple[Space, ...] = ("adapted", "content", "change")

OTHERS = 20
"""How many other items (or users) a map is held against."""

_ROUNDING = 1e-5
"""A change smaller than this, relative to the feature, is rounding and has no direction."""


@dataclass(frozen=True)
class Target:
    """A vector to compare features with, and others of its kind as controls.

    Attributes:
        words: for captions.
        head: projection and adapter; None compares in the encoder's own space.
        space: ``adapted`` (the paper); ``content``: stop before the adapter; ``change``: compare
            what a picture changes in the adapted feature, against a blank one, with what the whole
            picture changes in it.
        vector: what is compared with, (d,).
        gate: the ID embedding that the adapter gets, (d,); None without a head.
        others: vectors and gates of other targets, (m, d) each; m may be 0.
        anchor: the item's ID embedding for theta, (d,); None without a head.
        stored: the item's content feature as the recommender trained it, (d_m,); None where
            features were frozen.
        ends: features (d_m,) of the blank and of the whole picture; ``change`` alone needs them.
    """

    words: str
    head: Head | None
    space: Space
    vector: Tensor
    gate: Tensor | None
    others: tuple[Tensor, Tensor] | None
    anchor: Tensor | None
    stored: Tensor | None
    ends: tuple[Tensor, Tensor] | None = None

    def similarity(self, features: Tensor) -> Tensor:
        """Similarities (n,) of features (n, d_m); differentiable in them."""
        content = self.content(features)
        if self.space != "change":
            return cosine(content, self.vector[None])
        assert self.ends is not None, "a target in the space of changes needs its picture: see `on`"
        blank, whole = self.content(torch.stack(self.ends))
        change = content - blank
        changed = change.norm(dim=-1) > _ROUNDING * blank.norm()
        return torch.where(changed, cosine(change, (whole - blank)[None]), 0.0)

    def on(self, view: View) -> Target:
        """The target for one picture."""
        return replace(self, ends=(view.blank, view.whole)) if self.space == "change" else self

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
    return _feature_target(f"text {text!r}", encoder.encode_text([text])[0])


def picture_target(encoder: Encoder, picture: Image.Image, name: str) -> Target:
    """Another picture, in the encoder's own space: no recommender takes part.

    Args:
        encoder: any.
        picture: what to compare with.
        name: of it, for captions.
    """
    pixels, _ = encoder.preprocessing(picture)
    with torch.no_grad():
        feature = encoder.encode_image(pixels[None].to(encoder.device))[0]
    return _feature_target(f"picture {name}", feature)


def itself_target(view: View) -> Target:
    """The picture itself, in the encoder's own space: what the encoder sees, whatever the item."""
    return _feature_target("the picture itself", view.whole)


def _feature_target(words: str, feature: Tensor) -> Target:
    vector = feature.float().cpu()
    return Target(
        words=words,
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
