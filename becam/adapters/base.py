"""What every adapter promises."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

from torch import Tensor, nn


class Adapter(nn.Module, ABC):
    """A map g from a projected content feature and its item's ID embedding to an adapted feature.

    Args:
        dim: Width d of the features.
    """

    name: ClassVar[str]
    """What options and checkpoints call it."""

    title: ClassVar[str]
    """What figures call it."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim

    @abstractmethod
    def forward(self, z: Tensor, e: Tensor) -> Tensor:
        """Adapt features row by row.

        Args:
            z: Projected content features, (B, d).
            e: ID embeddings of the same items, (B, d).

        Returns:
            Adapted features, (B, d).
        """

    def config(self) -> dict[str, Any]:
        """The options, as plain values, that ``create_adapter`` needs to build it again."""
        return {}
