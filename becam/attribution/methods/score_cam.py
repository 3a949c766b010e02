"""Score-CAM and gScoreCAM: BeCAM's masks, weighted as in class activation mapping."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import torch
from torch import Tensor

from becam.attribution.methods.base import Method, Saliency, spread
from becam.attribution.methods.gradients import layer_gradient, layer_trace
from becam.attribution.target import Target
from becam.attribution.view import View
from becam.attribution.weighting import channel_weights, weighted_sum
from becam.limits import MASKS
from becam.options import Option

Ranking = Literal["absolute", "signed"]


class ScoreCAM(Method):
    """Channels weighted by the softmax of the similarities under their masks (Wang et al., 2020).

    The softmax is over the channels that make a mask.
    """

    name: ClassVar[str] = "score-cam"
    title: ClassVar[str] = "Score-CAM"
    summary: ClassVar[str] = "Channels, weighted by the softmax of what each lets through."

    def prepare(self, view: View) -> None:
        """Encode the picture under every mask."""
        _ = view.masked_features

    @torch.no_grad()
    def saliency(self, view: View, target: Target) -> Saliency:
        """See ``Method.saliency``."""
        return _softmax(view, target.similarity(view.masked_features), view.live)


class GScoreCAM(Method):
    """Score-CAM over the channels of the largest gradients alone (Chen et al., 2022).

    The softmax is over the chosen channels; the others weigh nothing.

    Args:
        top_k: how many channels are chosen.
        ranking: by the mean over the grid of the gradient's absolute value, or of the gradient
            itself, as in the authors' release.

    Raises:
        BecamError: a number out of its range.
    """

    name: ClassVar[str] = "gscore-cam"
    title: ClassVar[str] = "gScoreCAM"
    summary: ClassVar[str] = "As score-cam, over the channels of the largest gradients alone."
    others: ClassVar[int] = 3

    def __init__(
        self,
        top_k: Annotated[int, Option("How many channels are chosen.", limits=MASKS)] = 300,
        ranking: Annotated[
            Ranking,
            Option("Choose by the mean absolute gradient, or by the mean gradient."),
        ] = "absolute",
    ) -> None:
        MASKS.check(top_k, "top_k")
        self.top_k = top_k
        self.ranking: Ranking = ranking

    def prepare(self, view: View) -> None:
        """Encode the picture in a way that gradients can follow."""
        layer_trace(view)

    @torch.no_grad()
    def saliency(self, view: View, target: Target) -> Saliency:
        """See ``Method.saliency``."""
        gradient = layer_gradient(view, target)
        strength = (gradient.abs() if self.ranking == "absolute" else gradient).mean(dim=(1, 2))
        strength = strength.masked_fill(~view.live, -torch.inf)
        chosen = torch.zeros_like(view.live)
        chosen[strength.topk(min(self.top_k, int(view.live.sum()))).indices] = True
        return _softmax(view, target.similarity(_features(view, chosen)), chosen)


def _features(view: View, chosen: Tensor) -> Tensor:
    """Features (N, d_m) under the masks of the channels ``chosen`` (N,), and of earlier ones."""
    features, encoded = view.kept(
        "features by channel",
        lambda: (torch.zeros(len(view.live), len(view.whole)), torch.zeros_like(view.live)),
    )
    fresh = chosen & ~encoded
    if fresh.any():
        features[fresh] = view.encode(view.coefficients[fresh])
        encoded |= fresh
    return features


def _softmax(view: View, similarities: Tensor, chosen: Tensor) -> Saliency:
    weights = channel_weights(similarities, chosen, "softmax", similarities.new_zeros(()))
    return Saliency(
        weighted_sum(view.activation, weights),
        weights,
        encoded=int(chosen.sum()),
        spread=spread(similarities[chosen]),
    )
