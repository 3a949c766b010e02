"""LoRA: a low-rank update of the projected feature (arXiv 2106.09685)."""

from __future__ import annotations

from typing import Annotated, ClassVar

from torch import Tensor, nn

from becam.adapters.base import Adapter
from becam.errors import BecamError
from becam.options import Option


class LoRA(Adapter):
    """g(z, e) = z + B A z, with A (r, d) and B (d, r).

    LoRA's scale alpha / r is 1 here (alpha = r): a learning rate does the same. As in LoRA, A is
    drawn Kaiming uniform and B starts at zero, so that training begins without an adapter.

    Args:
        dim: Width d of the features.
        rank: r, from 1 to d.

    Raises:
        BecamError: A rank outside of that.
    """

    name: ClassVar[str] = "lora"
    title: ClassVar[str] = "LoRA"

    def __init__(
        self,
        dim: int,
        rank: Annotated[int, Option("Rank of the update.", search=(4, 8, 16, 32))] = 16,
    ) -> None:
        super().__init__(dim)
        if not 1 <= rank <= dim:
            raise BecamError(f"LoRA's rank must be from 1 to {dim}, not {rank}.")
        self.rank = rank
        # PyTorch draws a linear layer's weights as LoRA draws A.
        self.a = nn.Linear(dim, rank, bias=False)
        self.b = nn.Linear(rank, dim, bias=False)
        nn.init.zeros_(self.b.weight)

    def forward(self, z: Tensor, e: Tensor) -> Tensor:
        """Adapt ``z`` (B, d); ``e`` is not used."""
        updated: Tensor = z + self.b(self.a(z))
        return updated
