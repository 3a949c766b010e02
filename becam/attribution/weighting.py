"""Channel weights and the map (method: steps 5 and 6; Eq. 1 and 2)."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from becam.errors import BecamError

Weighting = Literal["centered", "cosine", "increase", "softmax"]
WEIGHTINGS: tuple[Weighting, ...] = ("centered", "cosine", "increase", "softmax")


def channel_weights(
    cosines: Tensor, live: Tensor, weighting: Weighting, blank_cosine: Tensor
) -> Tensor:
    """Weights w (..., N) from the cosines of the masked encodings; flat channels weigh zero.

    Args:
        cosines: cos(g(P F_k; e_i), e_i), shape (..., N).
        live: which channels have a range, (N,) bool.
        weighting: ``centered`` minus the mean over the live channels; ``cosine`` as in Eq. 2;
            ``increase`` minus the blank picture's cosine; ``softmax`` over the live channels.
        blank_cosine: the blank picture's cosine, shape (...).

    Raises:
        BecamError: unknown weighting.
    """
    if weighting == "cosine":
        weights = cosines
    elif weighting == "centered":
        total = torch.where(live, cosines, 0.0).sum(-1, keepdim=True)
        weights = cosines - total / live.sum().clamp(min=1)
    elif weighting == "increase":
        weights = cosines - blank_cosine[..., None]
    elif weighting == "softmax":
        weights = cosines.masked_fill(~live, -torch.inf).softmax(-1)
    else:
        raise BecamError(f"Unknown weighting {weighting!r}; use one of {', '.join(WEIGHTINGS)}.")
    return torch.where(live, weights, 0.0)


def weight_effects(
    activation: Tensor, cosines: Tensor, live: Tensor, weighting: Weighting
) -> Tensor:
    """What a change of each live channel's cosine does to the map: dM/dc, (N, h, w)."""
    alive = live.to(activation)[:, None, None]
    own = activation * alive
    if weighting == "centered":
        return (own - own.sum(0) / live.sum().clamp(min=1)) * alive
    if weighting == "softmax":
        weights = channel_weights(cosines, live, weighting, cosines.new_zeros(()))
        weights = weights.to(activation)[:, None, None]
        return weights * (own - (weights * own).sum(0))
    return own


def weighted_sum(activation: Tensor, weights: Tensor) -> Tensor:
    """M = sum_k A_k w_k (Eq. 2): activation (N, h, w), weights (..., N), maps (..., h, w)."""
    # Double precision: thousands of channels of either sign cancel.
    return torch.einsum("...n,nhw->...hw", weights.double(), activation.double()).float()


def cosine(a: Tensor, b: Tensor) -> Tensor:
    """Cosine along the last axis in float32, zero where either vector is zero."""
    return functional.cosine_similarity(a.float(), b.float(), dim=-1)
