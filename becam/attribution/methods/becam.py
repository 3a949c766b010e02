"""BeCAM (Eq. 1 and 2)."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, ClassVar

import torch
from torch import Tensor

from becam.attribution.methods.base import Method, Saliency, spread
from becam.attribution.sampling import MaskSample, expected_correlation
from becam.attribution.target import Target
from becam.attribution.view import View
from becam.attribution.weighting import (
    Weighting,
    channel_weights,
    weight_effects,
    weighted_sum,
)
from becam.limits import BUDGET, TOLERANCE
from becam.options import Option

_FIRST = 32
"""Masks that a tolerance starts with."""


class BeCAM(Method):
    """Channels weighted by the similarity of the picture under their masks.

    Args:
        weighting: how similarities become weights. Minus their mean, the default, is where it was
            measured never worse than Eq. 2's ``cosine`` and on photographs better; where all
            similarities are nearly alike, Eq. 2 shows the plain activation.
        budget: encode this many masks and infer the others; 0 encodes all.
        tolerance: encode as many as this asks for; 0 encodes all.

    Raises:
        BecamError: a number out of its range.
    """

    name: ClassVar[str] = "becam"
    title: ClassVar[str] = "BeCAM"
    summary: ClassVar[str] = "Channels, weighted by the similarity of what each lets through."

    def __init__(
        self,
        weighting: Annotated[
            Weighting,
            Option(
                "How similarities become weights: minus their mean, as they are (Eq. 2), minus a "
                "blank picture's, or softmax."
            ),
        ] = "centered",
        budget: Annotated[
            int,
            Option("Encode this many masks and infer the others; 0 encodes all.", limits=BUDGET),
        ] = 0,
        tolerance: Annotated[
            float,
            Option(
                "Encode masks until the expected correlation with the map of all of them is within "
                "this of 1; 0 encodes all.",
                limits=TOLERANCE,
            ),
        ] = 0.0,
    ) -> None:
        BUDGET.check(budget, "budget")
        TOLERANCE.check(tolerance, "tolerance")
        self.weighting: Weighting = weighting
        self.budget = budget
        self.tolerance = tolerance

    def prepare(self, view: View) -> None:
        """Encode the picture under every mask, or as many as every target needs."""
        if self._exact:
            _ = view.masked_features
        else:
            self._sample(view).grow(self.budget or _FIRST)

    def settled(self, saliency: Saliency) -> Method:
        """Where a tolerance asked for some masks, these masks and no more."""
        if not self.tolerance or not saliency.encoded:
            return self
        return BeCAM(self.weighting, budget=saliency.encoded)

    @torch.no_grad()
    def saliency(self, view: View, target: Target) -> Saliency:
        """See ``Method.saliency``."""
        if self._exact:
            return self._weighted(view, target, target.similarity(view.masked_features))
        sample = self._sample(view)
        sample.grow(self.budget or _FIRST)
        while True:
            inferred = sample.infer(target.similarity(sample.features))
            similarities = inferred.similarities.float()
            expected = expected_correlation(
                weight_effects(view.activation, similarities, view.live, self.weighting), inferred
            )
            if self.budget or sample.complete or expected >= 1 - self.tolerance:
                break
            sample.grow(2 * sample.size)
        found = self._weighted(view, target, similarities)
        return replace(found, expected_correlation=expected, encoded=sample.size)

    @property
    def _exact(self) -> bool:
        return not self.budget and not self.tolerance

    def _sample(self, view: View) -> MaskSample:
        return view.kept("sample", lambda: MaskSample(view))

    def _weighted(self, view: View, target: Target, similarities: Tensor) -> Saliency:
        blank = target.similarity(view.blank[None])[0]
        weights = channel_weights(similarities, view.live, self.weighting, blank)
        return Saliency(
            weighted_sum(view.activation, weights),
            weights,
            encoded=int(view.live.sum()),
            spread=spread(similarities[view.live]),
        )
