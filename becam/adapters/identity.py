"""No adapter: the projected feature as it is."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from becam.adapters.base import Adapter


class Identity(Adapter):
    """g(z, e) = z, without parameters."""

    name: ClassVar[str] = "none"
    title: ClassVar[str] = "no adapter"

    def forward(self, z: Tensor, e: Tensor) -> Tensor:
        """Return ``z``, (B, d), untouched."""
        return z
