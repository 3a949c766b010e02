"""Stochastic gates that training can close for good: the hard concrete distribution."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

# Temperature beta and stretch (gamma, zeta), as its authors set them.
_BETA, _GAMMA, _ZETA = 2 / 3, -0.1, 1.1

# log alpha is this many times the trained parameter. Adam moves a parameter by about its learning
# rate in a step, whatever the gradient's size; at 0.001 a gate would need thousands of steps to
# close, more than a training on a small dataset takes.
_PACE = 10.0


class HardConcreteGates(nn.Module):
    """n gates in [0, 1], exactly 0 with a probability that is learned (arXiv 1712.01312).

    With u uniform, s = sigmoid((logit(u) + log alpha) / beta), a gate is s stretched to
    (gamma, zeta) and clamped to [0, 1]. In evaluation it is sigmoid(log alpha), stretched and
    clamped.

    Args:
        n: Number of gates.
        log_alpha: Where every gate's log alpha starts.
    """

    def __init__(self, n: int, log_alpha: float) -> None:
        super().__init__()
        self.location = nn.Parameter(torch.full((n,), log_alpha / _PACE))

    @property
    def log_alpha(self) -> Tensor:
        """Log alpha of every gate, (n,)."""
        return self.location * _PACE

    def forward(self) -> Tensor:
        """The gates, (n,): a fresh draw in training, :meth:`settled` in evaluation."""
        if not self.training:
            return self.settled()
        # Away from 0 and 1, where the logit is infinite.
        noise = torch.logit(torch.rand_like(self.location), eps=1e-6)
        return _stretched(torch.sigmoid((noise + self.log_alpha) / _BETA))

    def settled(self) -> Tensor:
        """The gates without their noise, (n,); a closed one is exactly 0."""
        return _stretched(torch.sigmoid(self.log_alpha))

    def probability_open(self) -> Tensor:
        """P(gate > 0) of every gate in training, (n,)."""
        return torch.sigmoid(self.log_alpha - _BETA * math.log(-_GAMMA / _ZETA))


def _stretched(s: Tensor) -> Tensor:
    return (s * (_ZETA - _GAMMA) + _GAMMA).clamp(0, 1)
