"""Controls of coloured words: what tells whether the colours speak of the item."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from becam.attribution.controls import (
    DOMINANT_SHARE,
    SAME_MAP,
    angle_verdict,
)

NEGLIGIBLE = 0.01
"""A word that changes the cosine by less than this changes next to nothing."""

_FEW = 2
"""Of so few words, one is always the strongest by far."""


@dataclass(frozen=True)
class WordControls:
    """Numbers that tell whether the words' weights say something about their target.

    Attributes:
        words, read: in the text, and of these read by the encoder.
        weight_mean, weight_std, weight_max: of the weights of the words read; ``weight_max`` is
            the largest absolute value.
        strongest_share: of sum_k |w_k|, the part of the strongest word.
        correlation_others: Pearson's r with the weights for other items (or users), the mean over
            them; None where there are none, or weights are all the same.
        positive_share: part of the words read whose weight is positive.
        similarity_whole, similarity_blank: of the text, and of the empty one.
        theta: angle in degrees between the text's content feature, adapted unless the space is
            ``content``, and the item's ID embedding (Eq. 4).
        theta_projected: the same before the adapter.
        theta_blank: the same as theta for the empty text.
        stored_cosine: between the encoder's feature of the text and the row that the recommender
            trained for the item; None where features were frozen.
    """

    words: int
    read: int
    weight_mean: float
    weight_std: float
    weight_max: float
    strongest_share: float
    correlation_others: float | None
    positive_share: float
    similarity_whole: float
    similarity_blank: float
    theta: float
    theta_projected: float
    theta_blank: float
    stored_cosine: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    def sentences(self) -> list[str]:
        """The controls for a reader, the gravest first; never empty."""
        return [*self.warnings(), *self._reading(), self._angle(), self._summary()]

    def warnings(self) -> list[str]:
        """What speaks against the colours; empty when no control objects."""
        found = []
        if self.weight_max < NEGLIGIBLE:
            found.append(
                "Next to nothing hangs on any word: the strongest one changes the similarity by "
                f"{self.weight_max:.1g}."
            )
        if self.positive_share == 0:
            found.append("No word agrees with the target: all weights are negative or zero.")
        others = self.correlation_others
        if others is not None and others > SAME_MAP:
            found.append(
                "Says little about this target: the words weigh the same for others "
                f"(r = {others:.2f})."
            )
        if self.stored_cosine is not None and self.stored_cosine < SAME_MAP:
            found.append(
                "The recommender trained the item's feature away from what the encoder says of "
                f"this text (cosine {self.stored_cosine:.2f}), and the words speak of the encoder."
            )
        if self.strongest_share > DOMINANT_SHARE and self.read > _FEW:
            found.append(f"One word has {self.strongest_share:.0%} of all weight.")
        return found

    def _reading(self) -> list[str]:
        if self.read == self.words:
            return []
        return [
            f"The encoder reads the first {self.read} of {self.words} words; what follows (cut "
            "off, or unknown to it) changes nothing and has no weight."
        ]

    def _angle(self) -> str:
        verdict = angle_verdict(
            self.theta,
            blank=self.theta_blank,
            others=self.correlation_others,
            what="text",
            nothing="no text at all",
        )
        adapted = self.theta != self.theta_projected
        before = f"; before the adapter {self.theta_projected:.0f}°" if adapted else ""
        return f"The text is {self.theta:.0f}° from behaviour ({verdict}){before}."

    def _summary(self) -> str:
        others = self.correlation_others
        return (
            f"Similarity {self.similarity_whole:+.3f} of the text, {self.similarity_blank:+.3f} of "
            f"none; weights {self.weight_mean:+.2g} ± {self.weight_std:.2g}; strongest word "
            f"{self.strongest_share:.0%}; r with others "
            f"{'n/a' if others is None else f'{others:+.2f}'}."
        )
