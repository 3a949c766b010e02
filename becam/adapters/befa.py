"""BeFA, the behaviour-driven feature adapter (arXiv 2406.00323, Eq. 8-10)."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import torch
from torch import Tensor, nn

from becam.adapters.base import Adapter
from becam.errors import BecamError
from becam.limits import DROPOUT
from becam.options import Option

Variant = Literal["equations", "released"]

# And its inverse is the smallest.
MAX_RATIO = 8


class BeFA(Adapter):
    """Decouple a feature and gate the item's ID embedding with what remains.

    ``equations`` follows Eq. 8-10: h = Drop(ReLU(W1 z)); u = Drop(ReLU(lift(e) * tanh(W2 h)));
    out = e * sigmoid(W3 u). ``released`` follows the authors' partial code, where e enters only
    at the end: out = e * sigmoid(W3 Drop(ReLU(W2 tanh(Drop(ReLU(W1 z)))))).

    Args:
        dim: Width d of the features.
        variant: Which of the two forms.
        ratio: lambda = d_lambda / d, the hidden width relative to d, from 1/8 to 8; a whole number
            or one over a whole number that divides d.
        dropout: Probability p of both dropouts.

    Raises:
        BecamError: A value outside of what is said above.
    """

    name: ClassVar[str] = "befa"
    title: ClassVar[str] = "BeFA"
    is_gate: ClassVar[bool] = True

    def __init__(
        self,
        dim: int,
        variant: Annotated[
            Variant, Option("Which form: the paper's or its release's.")
        ] = "equations",
        # A search gives every adapter as many trials, so BeFA's space stays as small as others':
        # the paper's ratio and half of it. A wider one costs the square of its width.
        ratio: Annotated[float, Option("lambda, hidden width / d.", search=(2.0, 4.0))] = 4.0,
        dropout: Annotated[
            float, Option("Probability of dropout.", search=(0.1, 0.3, 0.5), limits=DROPOUT)
        ] = 0.1,
    ) -> None:
        super().__init__(dim)
        self.variant: Variant = variant
        self.ratio = float(ratio)
        self.dropout = dropout
        hidden = _hidden_width(dim, ratio)
        self.w1 = nn.Linear(dim, hidden)
        self.w2 = nn.Linear(hidden, hidden)
        self.w3 = nn.Linear(hidden, dim)

    def forward(self, z: Tensor, e: Tensor) -> Tensor:
        """Adapt ``z`` (B, d) for the items whose ID embeddings are ``e`` (B, d); Eq. 8-10."""
        h = self._drop(torch.relu(self.w1(z)))
        if self.variant == "equations":
            u = torch.relu(self.lift(e) * torch.tanh(self.w2(h)))
        else:
            u = torch.relu(self.w2(torch.tanh(h)))
        return e * torch.sigmoid(self.w3(self._drop(u)))

    def lift(self, e: Tensor) -> Tensor:
        """Carry ``e`` (..., d) to (..., d_lambda) without parameters.

        For lambda >= 1 the vector is repeated lambda times, one copy after the other; below 1,
        1/lambda neighbours become their mean.
        """
        width = self.w1.out_features
        if width >= self.dim:
            return e.repeat(*(1,) * (e.ndim - 1), width // self.dim)
        return e.reshape(*e.shape[:-1], width, -1).mean(dim=-1)

    def _drop(self, x: Tensor) -> Tensor:
        return nn.functional.dropout(x, self.dropout, self.training)


def _hidden_width(dim: int, ratio: float) -> int:
    widths = {1 / n: dim // n for n in range(1, MAX_RATIO + 1) if dim % n == 0}
    widths |= {float(n): dim * n for n in range(1, MAX_RATIO + 1)}
    if ratio not in widths:
        raise BecamError(
            f"BeFA's ratio must be a whole number from 1 to {MAX_RATIO}, or one over such a number "
            f"that divides {dim}, not {ratio:g}; the paper's is 4."
        )
    return widths[ratio]
