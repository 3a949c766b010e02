"""Controls: what a heatmap must be held against before anybody believes it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from becam.attribution.methods.base import Method, Saliency
from becam.attribution.target import Target, itself_target
from becam.attribution.view import View
from becam.attribution.weighting import cosine

SAME_MAP = 0.8
"""A correlation above which two maps look the same to a reader."""

ROUGH = 0.9
"""Below this expected correlation with the map of all masks a fast map is called rough."""

DOMINANT_SHARE = 0.5
"""A channel that carries more than this share of the map dominates it."""

NEGLIGIBLE_SPREAD = 0.005
"""Cosines that spread by less than this over all masks hardly depend on the picture."""

NEAR_DEGREES = 1.0
"""Angles that differ by less than this are the same to a reader."""

OMISSION_DEGREES = 60.0
DRIFT_DEGREES = 90.0


@dataclass(frozen=True)
class Controls:
    """Numbers that tell whether a map says something about its target.

    Correlations are Pearson's over the grid; None where one of the maps is flat or the control
    was not asked for.

    Attributes:
        weight_mean, weight_std: over the live channels; None for methods without weights.
        flat_channels: channels without range, which weigh nothing.
        strongest_share: of sum_k |w_k| sum|A_k|, the part of the strongest channel; None for
            methods without weights.
        correlation_activation: with sum_k A_k, the map in which every channel weighs the same.
        correlation_itself: with the map for the picture itself as target, in the encoder's own
            space: what the encoder sees.
        correlation_others: with the maps for other items (or users), the mean over them.
        correlation_randomised: with the map after the encoder's weights were shuffled.
        positive_share: part of the grid where the map is positive.
        theta: angle in degrees between the (adapted) content feature of the whole picture and the
            item's ID embedding (Eq. 4); None for a text target.
        theta_blank: the same for a blank picture.
        similarity_spread: standard deviation of the similarity over the masks; None for methods
            without masks.
        stored_cosine: between the encoder's feature of this picture and the row that the
            recommender trained for the item; None where features were frozen.
        randomised_flat: the encoder with shuffled weights gave a map without any range, which
            nothing can be held against.
        encoded: how many masked pictures the map rests on; None for methods without masks.
        correlation_expected: with the map of all masks, where some were inferred; else None.
    """

    weight_mean: float | None
    weight_std: float | None
    flat_channels: int
    strongest_share: float | None
    correlation_activation: float | None
    correlation_others: float | None
    correlation_randomised: float | None
    positive_share: float
    theta: float | None
    theta_blank: float | None = None
    similarity_spread: float | None = None
    correlation_itself: float | None = None
    stored_cosine: float | None = None
    randomised_flat: bool = False
    encoded: int | None = None
    correlation_expected: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    def words(self) -> list[str]:
        """The controls for a reader, the gravest first; never empty."""
        notes = (*self._likeness(), *self._missing(), self._angle(), self._summary())
        return [*self.warnings(), *notes]

    def warnings(self) -> list[str]:
        """What speaks against the map; empty when no control objects."""
        found = []
        if self.positive_share == 0:
            found.append("No region agrees with the target: nowhere is the map above zero.")
        others = self.correlation_others
        if others is not None and others > SAME_MAP:
            found.append(
                f"Says little about this target: maps for others look the same (r = {others:.2f})."
            )
        activation = self.correlation_activation
        if activation is not None and activation > SAME_MAP:
            found.append(
                f"Shows where the encoder is active, whatever the target (r = {activation:.2f})."
            )
        if activation is not None and activation < -SAME_MAP:
            found.append(
                f"Upside down: it shows where the encoder is not active (r = {activation:.2f})."
            )
        spread = self.similarity_spread
        if spread is not None and spread < NEGLIGIBLE_SPREAD:
            found.append(
                "Next to nothing hangs on any region: over the masks the similarity spreads by "
                f"{spread:.1g}."
            )
        expected = self.correlation_expected
        if expected is not None and expected < ROUGH:
            found.append(
                f"A rough map: too few masks were encoded (expected r with the map of all "
                f"{expected:.2f}); raise --budget or lower --tolerance."
            )
        randomised = self.correlation_randomised
        if randomised is not None and randomised > SAME_MAP:
            found.append(
                "What the encoder learned hardly matters: with its weights shuffled the map is the "
                f"same (r = {randomised:.2f})."
            )
        stored = self.stored_cosine
        if stored is not None and stored < SAME_MAP:
            found.append(
                "The recommender trained the item's feature away from what the encoder says of "
                f"this picture (cosine {stored:.2f}), and the map speaks of the encoder."
            )
        if self.strongest_share is not None and self.strongest_share > DOMINANT_SHARE:
            found.append(f"One channel makes {self.strongest_share:.0%} of the map.")
        return found

    def _likeness(self) -> list[str]:
        itself = self.correlation_itself
        if itself is None or itself <= SAME_MAP:
            return []
        return [
            f"Much the map of the picture itself as target (r = {itself:.2f}): the target agrees "
            "with what the encoder sees here, as a whole."
        ]

    def _missing(self) -> list[str]:
        if not self.randomised_flat:
            return []
        return [
            "With its weights shuffled this encoder gives a flat map, so that control is missing."
        ]

    def _angle(self) -> str:
        if self.theta is None:
            return "Compared with a text: no angle to behaviour."
        verdict = angle_verdict(
            self.theta,
            blank=self.theta_blank,
            others=self.correlation_others,
            what="content",
            nothing="a blank picture",
        )
        return f"Content is {self.theta:.0f}° from behaviour ({verdict})."

    def _summary(self) -> str:
        def show(value: float | None) -> str:
            return "n/a" if value is None else f"{value:+.2f}"

        correlations = (
            f"r with activation {show(self.correlation_activation)}, picture itself "
            f"{show(self.correlation_itself)}, others {show(self.correlation_others)}, shuffled "
            f"encoder {show(self.correlation_randomised)}."
        )
        if self.correlation_expected is not None:
            correlations += (
                f" {self.encoded} masks encoded, the others inferred: expected r with the map of "
                f"all {self.correlation_expected:.2f}."
            )
        if self.weight_mean is None or self.weight_std is None or self.strongest_share is None:
            return correlations
        return (
            f"Weights {self.weight_mean:+.3f} ± {self.weight_std:.3f}; strongest channel "
            f"{self.strongest_share:.0%}; {correlations}"
        )


def measure(
    method: Method, view: View, target: Target, saliency: Saliency, *, randomise: bool
) -> Controls:
    """Hold a map against the activation, other targets' maps, and a shuffled encoder's.

    Args:
        method: what made ``saliency`` of ``view`` and ``target``.
        randomise: make the map with the shuffled encoder too.
    """
    raw, weights = saliency.map, saliency.weights
    activation = view.activation
    method = method.settled(saliency)
    shuffled = method.saliency(view.twin, target.on(view.twin)).map if randomise else None
    others = [
        method.saliency(view, other.on(view)).map for other in target.of_others(method.others)
    ]
    live = None if weights is None or not view.live.any() else weights[view.live]
    with torch.no_grad():
        content, nothing = target.content(torch.stack([view.whole, view.blank]))
    return Controls(
        weight_mean=None if live is None else float(live.mean()),
        weight_std=None if live is None else float(live.std(correction=0)),
        flat_channels=int((~view.live).sum()),
        strongest_share=None if weights is None else strongest_share(activation, weights),
        correlation_activation=correlation(raw, _resized(activation.sum(0), raw)),
        correlation_others=mean_correlation(raw, others),
        correlation_randomised=None if shuffled is None else correlation(raw, shuffled),
        randomised_flat=shuffled is not None and not bool(shuffled.max() > shuffled.min()),
        positive_share=float((raw > 0).float().mean()),
        theta=None if target.anchor is None else angle(content, target.anchor),
        theta_blank=None if target.anchor is None else angle(nothing, target.anchor),
        similarity_spread=saliency.spread,
        correlation_itself=correlation(raw, method.saliency(view, itself_target(view)).map),
        encoded=saliency.encoded,
        correlation_expected=saliency.expected_correlation,
        stored_cosine=None if target.stored is None else float(cosine(view.whole, target.stored)),
    )


def correlation(a: Tensor, b: Tensor) -> float | None:
    """Pearson's r of two maps; None where one of them is flat."""
    x, y = (m.double().flatten() for m in (a, b))
    x, y = x - x.mean(), y - y.mean()
    scale = x.norm() * y.norm()
    if not scale > 0:
        return None
    return float((x @ y / scale).clamp(-1.0, 1.0))


def mean_correlation(a: Tensor, others: Iterable[Tensor]) -> float | None:
    """Mean Pearson's r of a map (h, w) with others, flat ones left out."""
    values = [r for other in others if (r := correlation(a, other)) is not None]
    return float(np.mean(values)) if values else None


def strongest_share(activation: Tensor, weights: Tensor) -> float:
    """The largest |w_k| sum|A_k| over their sum; 0 when every weight is zero."""
    parts = weights.abs().double() * activation.abs().double().sum(dim=(1, 2))
    total = parts.sum()
    return float(parts.max() / total) if total > 0 else 0.0


def angle_verdict(
    theta: float, *, blank: float | None, others: float | None, what: str, nothing: str
) -> str:
    """What an angle to behaviour means, in words.

    Args:
        theta: in degrees, of the whole picture or text.
        blank: the same of an empty one; None where it is not known.
        others: correlation with what others' targets give; None likewise.
        what: stands at that angle, for people.
        nothing: an empty one, for people.
    """
    if theta > DRIFT_DEGREES:
        return f"information drift: the {what} points away from behaviour"
    if theta > OMISSION_DEGREES:
        return f"information omission: the {what} misses much of behaviour"
    if (others or 0.0) > SAME_MAP:
        return "which says little, since every target looks alike"
    if blank is not None and blank < theta + NEAR_DEGREES:
        return f"which says little, since {nothing} is as near"
    return f"{what} and behaviour agree"


def angle(a: Tensor, b: Tensor) -> float:
    """Theta in degrees between two vectors (Eq. 4)."""
    value = functional.cosine_similarity(a.double(), b.double(), dim=-1)
    return float(torch.rad2deg(torch.arccos(value.clamp(-1.0, 1.0))))


def _resized(grid: Tensor, like: Tensor) -> Tensor:
    if grid.shape == like.shape:
        return grid
    size = (int(like.shape[0]), int(like.shape[1]))
    return functional.interpolate(grid[None, None], size=size, mode="bilinear")[0, 0]
