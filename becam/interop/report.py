"""What content says of another system's vectors, measured on items that nothing was learnt from."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from becam.adapters import ADAPTERS
from becam.interop.matching import rank_of_own

Floats = NDArray[np.float64]

TOP = 10
"""K of Recall@K."""

CHANCE_RANK = 0.5

_RESAMPLES = 1000

# A rank under which a map is more noise than word, and the offset, in spreads, over which the
# channels of a map weigh nearly the same.
_WEAK_RANK, _LEANING = 0.6, 0.5


@dataclass(frozen=True)
class Estimate:
    """A number over held-out items with its 95% bootstrap interval and what costs nothing.

    Attributes:
        value, low, high: the number and its interval.
        floor: what predicting the mean vector, or chance, gives.
    """

    value: float
    low: float
    high: float
    floor: float

    @classmethod
    def of(
        cls, values: Floats, floor: float, rng: np.random.Generator, per: Floats | None = None
    ) -> Estimate:
        """The mean of ``values`` (n,), or the ratio of their sum to that of ``per`` (n,)."""
        per = np.ones(len(values)) if per is None else per
        drawn = rng.integers(len(values), size=(_RESAMPLES, len(values)))
        ratios = values[drawn].sum(axis=1) / per[drawn].sum(axis=1)
        low, high = np.quantile(ratios, [0.025, 0.975])
        return cls(float(values.sum() / per.sum()), float(low), float(high), floor)

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


@dataclass(frozen=True)
class Ranks:
    """Whether contents and vectors of the held-out items find each other.

    Ranks are the share of the other items that an item's own beats: 1 is first, 0.5 chance.

    Attributes:
        content: for an item's vector, its own content among all contents: what a map stands on,
            in which one vector is compared with one picture's parts.
        vector: for an item's content, its own vector among all vectors.
        content_recall, vector_recall: share of items whose own is among the first ``TOP``.
        offset: size of the mean cosine of a vector with all contents, mean over vectors.
        spread: standard deviation of its cosines with all contents, likewise.
    """

    content: Estimate
    vector: Estimate
    content_recall: Estimate
    vector_recall: Estimate
    offset: float
    spread: float

    @classmethod
    def of(cls, scores: Floats, rng: np.random.Generator) -> Ranks:
        """From cosines (n, n) of every vector (rows) with every content (columns)."""
        n = len(scores)
        beaten = {"content": rank_of_own(scores), "vector": rank_of_own(scores.T)}
        found = {name: Estimate.of(x / (n - 1), CHANCE_RANK, rng) for name, x in beaten.items()}
        for name, x in beaten.items():
            first = (n - x <= TOP).astype(np.float64)
            found[f"{name}_recall"] = Estimate.of(first, min(1.0, TOP / n), rng)
        offset, spread = np.abs(scores.mean(axis=1)).mean(), scores.std(axis=1).mean()
        return cls(**found, offset=float(offset), spread=float(spread))


@dataclass(frozen=True)
class Agreement:
    """One modality's content against the vectors, on the held-out items.

    Attributes:
        penalty: of the projection, chosen by cross-validation on the other items.
        held_out: number of items measured on.
        r2: part of the vectors' variance that the projection predicts; the floor is the mean.
        cosine: between projected content and vector; the floor is that of the mean vector.
        projected: ranks before the adapter.
        adapted: ranks after it, and what it adds to the rank of the content; None without one.
    """

    penalty: float
    held_out: int
    r2: Estimate
    cosine: Estimate
    projected: Ranks
    adapted: Ranks | None = None
    gain: Estimate | None = None

    @property
    def says_something(self) -> bool:
        """Whether both ranks are above chance; in noise one is once in forty times."""
        ranks = self.adapted or self.projected
        return min(ranks.content.low, ranks.vector.low) > CHANCE_RANK


@dataclass(frozen=True)
class Report:
    """What became of the vectors, and how well content predicts them.

    Attributes:
        vectors: item vectors given.
        zero, not_finite: those left out.
        matched: items of the dataset that have a vector.
        without_vector: items of the dataset that have none; the checkpoint does not know them.
        without_content: vectors of items that the dataset does not have; nothing is learnt from
            them, but the checkpoint knows them.
        users: user vectors in the checkpoint.
        users_left_out: zero or not finite.
        scale: what all vectors were multiplied by.
        adapter: its registered name.
        modalities: by name.
    """

    vectors: int
    zero: int
    not_finite: int
    matched: int
    without_vector: int
    without_content: int
    users: int
    users_left_out: int
    scale: float
    adapter: str
    modalities: dict[str, Agreement]

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self) | {"verdicts": self.verdicts()}

    def verdicts(self) -> list[str]:
        """Sentences for a reader: one a modality, and what else must be known."""
        found = [self._verdict(name, a) for name, a in self.modalities.items()]
        image = self.modalities.get("image")
        ranks = image and (image.adapted or image.projected)
        if ranks and ranks.offset > _LEANING * ranks.spread:
            found.append(
                f"A vector's cosines with pictures lie around {ranks.offset:.2f} away from zero "
                f"and vary by {ranks.spread:.2f}, so maps by raw cosine (--method "
                "becam,weighting=cosine) show mostly where the encoder is active; the default does "
                "not."
            )
        if ADAPTERS[self.adapter].is_gate:
            found.append(
                f"{ADAPTERS[self.adapter].title}'s output is the item's own vector times a gate, "
                "so its cosine with that vector is high whatever the picture shows: R² and cosine "
                "are those before it, and ranks compare gates of one and the same vector."
            )
        return found

    def _verdict(self, modality: str, found: Agreement) -> str:
        subject = {"image": "The picture", "text": "The text"}.get(modality, f"The {modality}")
        rank = (found.adapted or found.projected).content
        if not found.says_something:
            noise = ": heatmaps will be noise" if modality == "image" else ""
            return f"{subject} says nothing about these vectors{noise}."
        how = "little" if rank.value < _WEAK_RANK else "something"
        sentence = (
            f"{subject} says {how} about these vectors: it predicts {max(0.0, found.r2.value):.0%} "
            f"of their variance, and an item's own agrees with its vector more than "
            f"{rank.value:.0%} of the others' do (chance {CHANCE_RANK:.0%})"
        )
        if found.gain is None:
            return f"{sentence}."
        title, gain = ADAPTERS[self.adapter].title, found.gain
        if gain.low <= 0 <= gain.high:
            change = f"{title} changes that by no more than these items can show"
        else:
            change = f"{title} makes that {'better' if gain.value > 0 else 'worse'}"
        return f"{sentence}; {change} ({gain.value:+.1%})."
