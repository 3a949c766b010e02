"""The one interface of all attribution methods."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from becam.attribution.target import OTHERS, Target
from becam.attribution.view import View
from becam.options import declared_options


@dataclass(frozen=True)
class Saliency:
    """What a method says of one picture and one target.

    Attributes:
        map: signed, on the target layer's grid (h, w) or on the encoder's input (H, W); float32 on
            the CPU, finite.
        weights: one a channel, (N,), where the map is their weighted sum; else None.
        encoded: how many masked pictures it rests on; None for methods without masks.
        expected_correlation: with the map that encoding all of them would give; None where all
            were encoded.
        spread: standard deviation of the similarity over the masks; None for methods without.
    """

    map: Tensor
    weights: Tensor | None = None
    encoded: int | None = None
    expected_correlation: float | None = None
    spread: float | None = None


def spread(similarities: Tensor) -> float | None:
    """Standard deviation of similarities (n,); None of none."""
    return float(similarities.std(correction=0)) if len(similarities) else None


class Method(ABC):
    """Explains the similarity between a picture's feature and a target.

    Attributes:
        name: as users give it.
        title: as tables show it.
        summary: one sentence for people.
        requires: the module of an optional library that it needs; None for none.
        others: for how many other targets it is affordable to make the map again, as a control.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    summary: ClassVar[str]
    requires: ClassVar[str | None] = None
    others: ClassVar[int] = OTHERS

    def prepare(self, view: View) -> None:  # noqa: B027
        """Compute, and keep in the view, what depends on no target."""

    def settled(self, _saliency: Saliency) -> Method:
        """The method for the controls of a map: they need not be dearer than the map itself."""
        return self

    def options(self) -> dict[str, Any]:
        """The options that it was built with, as plain values."""
        return {name: getattr(self, name) for name in declared_options(type(self))}

    @abstractmethod
    def saliency(self, view: View, target: Target) -> Saliency:
        """The map of ``target.similarity`` over the picture.

        Raises:
            BecamError: the encoder's architecture does not suit the method.
        """
