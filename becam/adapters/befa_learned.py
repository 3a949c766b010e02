"""BeFA with a hidden width that is learned instead of chosen."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Self

import torch
from torch import Tensor, nn

from becam.adapters.base import Adapter
from becam.adapters.befa import MAX_RATIO
from becam.adapters.gates import HardConcreteGates
from becam.errors import BecamError
from becam.limits import DROPOUT, WARMUP, WEIGHT
from becam.options import Option, parse_options

_LOG_ALPHA = 1.0


class LearnedBeFA(Adapter):
    """BeFA's equations at its largest width, whose hidden units training opens and closes.

    With one gate g_j for each hidden unit j, h = g * Drop(ReLU(W1 z)),
    u = g * Drop(ReLU(lift(e) * tanh(W2 h))), out = e * sigmoid(W3 u). Training pays
    ``size_penalty`` times the expected number of open units, over d. When it is over,
    :meth:`finished` cuts the closed units off.

    Args:
        dim: Width d of the features.
        size_penalty: What one d of open units costs, in units of the loss.
        anneal: Epochs over which the penalty grows linearly from nothing to its full weight.
        dropout: Probability p of both dropouts.
        units: Indices of the units that are left, ascending, when the width is no longer learned;
            None while it is.

    Raises:
        BecamError: A value outside of its range.
    """

    name: ClassVar[str] = "befa-learned"
    title: ClassVar[str] = "BeFA (learned size)"
    is_gate: ClassVar[bool] = True

    def __init__(
        self,
        dim: int,
        size_penalty: Annotated[
            float,
            Option(
                "Price of one embedding width of units.", search=(0.001, 0.003, 0.01), limits=WEIGHT
            ),
        ] = 0.003,
        anneal: Annotated[
            int, Option("Epochs until the penalty has its full weight.", limits=WARMUP)
        ] = 20,
        dropout: Annotated[
            float, Option("Probability of dropout.", search=(0.1, 0.3, 0.5), limits=DROPOUT)
        ] = 0.1,
        units: list[int] | None = None,
    ) -> None:
        super().__init__(dim)
        largest = MAX_RATIO * dim
        if units is not None and not (
            isinstance(units, list) and all(unit in range(largest) for unit in units)
        ):
            raise BecamError(f"BeFA's units are a list of numbers from 0 to {largest - 1}.")
        self.size_penalty = size_penalty
        self.anneal = anneal
        self.dropout = dropout
        self.units = units
        kept = torch.arange(largest) if units is None else torch.tensor(units, dtype=torch.int64)
        with warnings.catch_warnings():
            # No unit at all is a legitimate outcome: the content serves nothing.
            warnings.filterwarnings("ignore", message="Initializing zero-element tensors")
            self.w1 = nn.Linear(dim, len(kept))
            self.w2 = nn.Linear(len(kept), len(kept))
            self.w3 = nn.Linear(len(kept), dim)
        self.gates = HardConcreteGates(largest, _LOG_ALPHA) if units is None else None
        # Unit j of BeFA sees the embedding's entry j mod d, whichever units are left.
        self.lifted: Tensor
        self.register_buffer("lifted", kept % dim, persistent=False)
        self._ramp = 1.0

    @property
    def size(self) -> int:
        """Number of open units."""
        return len(self._open())

    @property
    def effective_ratio(self) -> float:
        """lambda: open units relative to d."""
        return self.size / self.dim

    def forward(self, z: Tensor, e: Tensor) -> Tensor:
        """Adapt ``z`` (B, d) for the items whose ID embeddings are ``e`` (B, d)."""
        gates = 1.0 if self.gates is None else self.gates()
        h = gates * self._drop(torch.relu(self.w1(z)))
        u = torch.relu(self.lift(e) * torch.tanh(self.w2(h)))
        return e * torch.sigmoid(self.w3(gates * self._drop(u)))

    def lift(self, e: Tensor) -> Tensor:
        """Carry ``e`` (..., d) to the units, (..., n): entry j mod d for unit j."""
        # Training repeats instead of indexing, whose gradient is slow and not deterministic.
        if self.units is None:
            return e.repeat(*(1,) * (e.ndim - 1), MAX_RATIO)
        return e[..., self.lifted]

    def start_epoch(self, epoch: int) -> None:
        """Set how much of the penalty this epoch pays: none in the first, all after ``anneal``."""
        self._ramp = min(1.0, (epoch - 1) / self.anneal) if self.anneal else 1.0

    def penalty(self) -> Tensor | None:
        """Price of the units that are expected to be open."""
        if self.gates is None:
            return None
        return self._ramp * self.size_penalty * self.gates.probability_open().sum() / self.dim

    @torch.no_grad()
    def finished(self) -> LearnedBeFA:
        """The open units alone, with their gates folded into the weights behind them."""
        if self.gates is None:
            return self
        kept = self._open()
        with torch.random.fork_rng(devices=[]):  # the weights that it draws do not stay
            small = self.build(self.dim, self.config() | {"units": kept.tolist()})
        gates = self.gates.settled()[kept]
        small.load_state_dict(
            {
                "w1.weight": self.w1.weight[kept],
                "w1.bias": self.w1.bias[kept],
                "w2.weight": self.w2.weight[kept][:, kept] * gates,
                "w2.bias": self.w2.bias[kept],
                "w3.weight": self.w3.weight[:, kept] * gates,
                "w3.bias": self.w3.bias,
            }
        )
        return small.to(self.w1.weight.device).eval()

    def config(self) -> dict[str, Any]:
        """The options, and the units that are left when training is over."""
        return super().config() | ({} if self.units is None else {"units": self.units})

    @classmethod
    def build(cls, dim: int, config: Mapping[str, Any]) -> Self:
        """An adapter of width ``dim``; ``units`` are no option, but what training found."""
        given = {option: value for option, value in config.items() if option != "units"}
        options: dict[str, Any] = {**parse_options(cls, given, cls.name)}
        return cls(dim, **options, units=config.get("units"))

    def _open(self) -> Tensor:
        if self.gates is None:
            return torch.arange(self.w1.out_features)
        return self.gates.settled().nonzero().squeeze(1)

    def _drop(self, x: Tensor) -> Tensor:
        return nn.functional.dropout(x, self.dropout, self.training)
