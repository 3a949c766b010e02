"""Fast mode: some of the masked pictures encoded, the similarity of the others inferred.

All N masks live in a space of h w dimensions, and an encoder answers near-equal masks with
near-equal features. So similarity is treated as a smooth random function of the mask (a Gaussian
process, also known as kriging): encoded masks say what it is there, it is inferred elsewhere, and
the process says how far the inference may be off.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from becam.attribution.view import View

# Measured on photographs: the result hardly depends on any of them, and the error that the process
# expects is the error that it makes.
_BLUR = 0.5
"""Cells by which masks are blurred before they are compared: a small shift is a small change."""
_NUGGET = 5e-2
"""Variance of what is particular to a mask, in units of the process's own."""
_SURE = 1e-9
"""A variance below this is rounding."""


@dataclass(frozen=True)
class Inferred:
    """Similarities of all channels' masks, most of them inferred.

    Attributes:
        similarities: (N,), those of encoded masks exact.
        covariance: (N, N) of their errors; zero for encoded masks.
    """

    similarities: Tensor
    covariance: Tensor


class MaskSample:
    """Masks of one picture that are encoded, and what follows for the rest.

    It knows no target, so it serves any number of them, and it only ever grows.

    Args:
        view: the picture.
    """

    def __init__(self, view: View) -> None:
        self._view = view
        live = view.live
        self._live = live.nonzero()[:, 0]
        points = _blurred(view.coefficients[live]).flatten(1).double()
        ends = _blurred(torch.stack([torch.zeros(view.grid), torch.ones(view.grid)]))
        # A picture without a live channel has no masks, whose spread would not be a number.
        deviations = points - points.mean(0) if len(points) else points.new_ones(1)
        spread = deviations.pow(2).mean().mul(2).sqrt().clamp(min=1e-6)
        # The blank and the whole picture are masks too, and have been encoded.
        self._prior = _kernel(torch.cat([points, ends.flatten(1).double()]) / spread)
        self._prior.diagonal().add_(_NUGGET)
        self._variance = self._prior.diagonal().clone()
        self._factor = self._prior.new_zeros(len(self._prior), 0)
        # An error reaches the map by its channel's activation, less the mean of all channels where
        # weights are centred; a map's mean over the grid is no shape.
        effects = view.activation[live].flatten(1).double()
        effects = effects - effects.mean(dim=1, keepdim=True)
        effects = effects - effects.mean(dim=0)
        self._reach = self._prior[:, : len(effects)] @ effects
        self._chosen: list[int] = []
        self._features = torch.stack([view.blank, view.whole])
        for end in (len(points), len(points) + 1):
            self._condition(end)

    @property
    def size(self) -> int:
        """How many of the channels' masks have been encoded."""
        return len(self._chosen) - 2

    @property
    def complete(self) -> bool:
        """Whether every mask has been encoded."""
        return self.size == len(self._live)

    def grow(self, size: int) -> None:
        """Encode the masks that tell most about the map until there are ``size`` of them.

        One after the other, each the mask that takes most from the expected squared error of the
        map (greedy A-optimal design).
        """
        fresh = []
        while self.size < min(size, len(self._live)):
            gain = self._reach.pow(2).sum(1) / self._variance.clamp(min=_SURE)
            gain[self._chosen] = -1.0
            fresh.append(int(gain.argmax()))
            self._condition(fresh[-1])
        if fresh:
            masks = self._view.coefficients[self._live[fresh]]
            self._features = torch.cat([self._features, self._view.encode(masks)])

    @property
    def features(self) -> Tensor:
        """Features (2 + size, d_m): of the blank picture, the whole one, and the encoded masks."""
        return self._features

    def infer(self, similarities: Tensor) -> Inferred:
        """Similarities of all masks from those of :attr:`features`, (2 + size,)."""
        chosen = torch.tensor(self._chosen)
        values = similarities.double()
        factor = torch.linalg.cholesky(self._prior[chosen][:, chosen])
        ones = torch.ones_like(values)
        solved = torch.cholesky_solve(torch.stack([values, ones], 1), factor)
        mean = (ones @ solved[:, 0]) / (ones @ solved[:, 1])
        residual = solved[:, 0] - mean * solved[:, 1]
        variance = (values - mean) @ residual / max(len(values) - 1, 1)
        live = len(self._live)
        found = mean + self._prior[:live][:, chosen] @ residual
        found[chosen[2:]] = values[2:]
        errors = variance * (self._prior - self._factor @ self._factor.T)[:live, :live]
        errors[chosen[2:]] = 0.0
        errors[:, chosen[2:]] = 0.0
        return Inferred(self._spread(found), self._spread(self._spread(errors).T))

    def _spread(self, values: Tensor) -> Tensor:
        """Rows of live channels among those of all."""
        full = values.new_zeros(len(self._view.live), *values.shape[1:])
        full[self._live] = values
        return full

    def _condition(self, index: int) -> None:
        """Take in that one mask's similarity is known exactly: its error becomes zero."""
        column = self._prior[:, index] - self._factor @ self._factor[index]
        column[self._chosen] = 0.0
        column = column / column[index].clamp(min=_SURE).sqrt()
        self._reach -= torch.outer(column, self._reach[index] / column[index])
        self._variance -= column**2
        self._factor = torch.cat([self._factor, column[:, None]], dim=1)
        self._chosen.append(index)


def _kernel(points: Tensor) -> Tensor:
    """Prior covariance (n, n) of the similarities at points (n, h w)."""
    distances = torch.cdist(points, points).pow(2) / points.shape[1]
    return torch.exp(-0.5 * distances)


def _blurred(masks: Tensor) -> Tensor:
    """Masks (n, h, w) blurred with a Gaussian, the border repeated."""
    radius = 2
    at = torch.arange(-radius, radius + 1).float()
    profile = torch.exp(-0.5 * (at / _BLUR) ** 2)
    window = torch.outer(profile, profile) / profile.sum() ** 2
    padded = functional.pad(masks[:, None], (radius,) * 4, mode="replicate")
    return functional.conv2d(padded, window[None, None])[:, 0]


def expected_correlation(channels: Tensor, inferred: Inferred) -> float:
    """Pearson's r to expect between the map from inferred similarities and that from exact ones.

    The errors do not correlate with what was inferred, so the exact map has the variance of both.

    Args:
        channels: what a change of one channel's similarity does to the map, (N, h, w).
        inferred: similarities and the covariance of their errors.
    """
    effects = channels.flatten(1).double()
    effects = effects - effects.mean(dim=1, keepdim=True)
    signal = (inferred.similarities @ effects).pow(2).sum()
    noise = (effects * (inferred.covariance @ effects)).sum()
    total = signal + noise
    return float((signal / total).sqrt()) if total > 0 else 1.0
