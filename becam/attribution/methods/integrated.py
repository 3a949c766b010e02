"""Integrated gradients."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from torch import Tensor

from becam.attribution.capture import evaluating
from becam.attribution.methods.base import Method, Saliency
from becam.attribution.methods.extras import library
from becam.attribution.methods.gradients import autograd, similarity
from becam.attribution.target import Target
from becam.attribution.view import View
from becam.limits import STEPS
from becam.options import Option

_MEMORY = 4
"""A backward pass needs what every layer gave, so fewer pictures fit than in a forward pass."""


class IntegratedGradients(Method):
    """The gradient along the way from the faded picture to the picture (Sundararajan et al., 2017).

    Contributions of the colours are added up, so the map's sum is what the picture's similarity has
    over the faded one's, up to the error of the steps.

    Args:
        steps: of the Gauss-Legendre rule.

    Raises:
        BecamError: a number out of its range.
    """

    name: ClassVar[str] = "integrated-gradients"
    title: ClassVar[str] = "Integrated gradients"
    summary: ClassVar[str] = "Pixels, by the gradient along the way from the faded picture."
    requires: ClassVar[str | None] = "captum"
    others: ClassVar[int] = 3

    def __init__(
        self,
        steps: Annotated[
            int, Option("Points on the way from the faded picture to the picture.", limits=STEPS)
        ] = 32,
    ) -> None:
        STEPS.check(steps, "steps")
        self.steps = steps

    def prepare(self, view: View) -> None:
        """Ask for the library before anything takes time."""
        _library()

    def saliency(self, view: View, target: Target) -> Saliency:
        """See ``Method.saliency``."""
        encoder = view.engine.encoder

        def score(pixels: Tensor) -> Tensor:
            return similarity(target, encoder.encode_image(pixels))

        def contribute(batch_size: int) -> Tensor:
            found: Tensor = (
                _library()
                .IntegratedGradients(score)
                .attribute(
                    view.pixels.clone()[None],
                    baselines=view.faded.clone()[None],
                    n_steps=self.steps,
                    internal_batch_size=max(1, batch_size // _MEMORY),
                )
            )
            return found

        with autograd(), evaluating(encoder):
            contributions = view.engine.batches.attempt(contribute)
        return Saliency(contributions[0].detach().float().sum(0).cpu())


def _library() -> Any:
    return library("captum.attr", "captum")
