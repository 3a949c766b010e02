"""What every adapter promises."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Self

from torch import Tensor, nn

from becam.options import declared_options, parse_options


class Adapter(nn.Module, ABC):
    """A map g from a projected content feature and its item's ID embedding to an adapted feature.

    An option is a parameter of the constructor that is annotated with
    :class:`~becam.options.Option`; the adapter keeps it as an attribute of the same name.

    Args:
        dim: Width d of the features.
    """

    name: ClassVar[str]
    """What options and checkpoints call it."""

    title: ClassVar[str]
    """What figures and tables call it."""

    is_gate: ClassVar[bool] = False
    """Whether the output is e times a gate, which then replaces a recommender's own (MGCN's)."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim

    @abstractmethod
    def forward(self, z: Tensor, e: Tensor) -> Tensor:
        """Adapt features row by row.

        Axes before the last broadcast: with z (n, 1, d) and e (1, m, d) every feature is adapted
        for every item.

        Args:
            z: Projected content features, (B, d).
            e: ID embeddings of the same items, (B, d).

        Returns:
            Adapted features, (B, d); where the adapter does not use ``e``, of z's shape.
        """

    def start_epoch(self, epoch: int) -> None:
        """Hear from the training loop which epoch, counted from 1, begins."""

    def penalty(self) -> Tensor | None:
        """A weighted scalar that training adds to the loss of every batch; None: nothing."""
        return None

    def finished(self) -> Adapter:
        """The adapter as a checkpoint keeps it once training is over: the same map, in eval mode.

        The same object, unless something of it served training alone.
        """
        return self

    def config(self) -> dict[str, Any]:
        """The options, as plain values, that :meth:`build` needs to build it again."""
        return {option: getattr(self, option) for option in declared_options(type(self))}

    @classmethod
    def build(cls, dim: int, config: Mapping[str, Any]) -> Self:
        """An adapter of width ``dim`` from options as typed or as :meth:`config` returns them.

        Raises:
            BecamError: An option that it does not have, or a value that it does not take.
        """
        return cls(dim, **parse_options(cls, config, cls.name))
