"""Soft Prompt: one learned vector that every projected feature gets."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from becam.adapters.base import Adapter


class SoftPrompt(Adapter):
    """g(z, e) = z + p, with p (d,).

    p starts at zero, so that training begins without an adapter, as LoRA's does. Noise would
    serve nothing: p enters linearly, so its gradient does not vanish at zero, and there is no
    second vector that it would have to be told apart from.

    Args:
        dim: Width d of the features.
    """

    name: ClassVar[str] = "soft-prompt"
    title: ClassVar[str] = "Soft Prompt"

    def __init__(self, dim: int) -> None:
        super().__init__(dim)
        self.prompt = nn.Parameter(torch.zeros(dim))

    def forward(self, z: Tensor, e: Tensor) -> Tensor:
        """Adapt ``z`` (B, d); ``e`` is not used."""
        return z + self.prompt
