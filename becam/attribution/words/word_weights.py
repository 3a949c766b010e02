"""The result: weighed words, and what the weights are worth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from becam.attribution.words.controls import WordControls
from becam.attribution.words.written import WrittenText


@dataclass(frozen=True)
class WordWeights:
    """One text explained through one checkpoint.

    Attributes:
        text: words and gaps, as written.
        weights: (n,) float32, signed, one a word; NaN for words that the encoder does not read.
        controls: how far the weights can be trusted to speak of the item.
        label: the checkpoint, and whether its adapter was left out.
        target: what the text was compared with, in words.
        options: every choice that made the weights, as plain values.
    """

    text: WrittenText
    weights: NDArray[np.float32]
    controls: WordControls
    label: str
    target: str
    options: dict[str, Any]

    def extremes(self, count: int = 3) -> tuple[list[int], list[int]]:
        """The words that speak most for the target and most against it, the strongest first."""
        order = [int(k) for k in np.argsort(-self.weights, kind="stable")]  # NaN comes last
        positive = [k for k in order if self.weights[k] > 0]
        negative = [k for k in reversed(order) if self.weights[k] < 0]
        return positive[:count], negative[:count]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; the weight of a word that was not read is None."""
        weights = [None if np.isnan(w) else float(w) for w in self.weights]
        return {
            "label": self.label,
            "target": self.target,
            "options": self.options,
            "words": list(self.text.words),
            "gaps": list(self.text.gaps),
            "weights": weights,
            "controls": self.controls.to_dict(),
            "sentences": self.controls.sentences(),
        }
