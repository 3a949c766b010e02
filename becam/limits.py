"""What numbers can mean: the bounds of every number that a user may give, each written once.

The command line, the Python API, experiment files and the explorer refuse the same numbers, before
anything is allocated or begun.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from numbers import Integral, Real

from becam.errors import BecamError, quoted


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Between what a number must lie; NaN and infinity never do.

    Attributes:
        least, most: the smallest and the largest value.
        above, below: what it must be more, and less, than.
        whole: no fractions.
    """

    least: float = -math.inf
    most: float = math.inf
    above: float = -math.inf
    below: float = math.inf
    whole: bool = False

    def hold(self, value: float) -> bool:
        """Whether a number lies between them."""
        return (
            abs(value) < math.inf
            and self.least <= value <= self.most
            and self.above < value < self.below
        )

    def check(self, value: object, name: str) -> None:
        """Refuse what is no number, or does not lie between them.

        Raises:
            BecamError: so it is; ``name`` begins the sentence, such as ``--threads``.
        """
        kind = Integral if self.whole else Real
        if isinstance(value, bool) or not isinstance(value, kind):
            expected = "a whole number" if self.whole else "a number"
            raise BecamError(f"{name} is {expected}, not {quoted(value)}.")
        if not self.hold(value):  # type: ignore[arg-type]  # mypy: Real is no float
            raise BecamError(f"{name} must be {self}, not {quoted(value)}.")

    def __str__(self) -> str:
        parts = [f"{_number(self.least)} or more"] if self.least > -math.inf else []
        parts += [f"above {_number(self.above)}"] if self.above > -math.inf else []
        parts += [f"{_number(self.most)} or less"] if self.most < math.inf else []
        parts += [f"below {_number(self.below)}"] if self.below < math.inf else []
        return " and ".join(parts) or "a number"


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"


_CORES = os.cpu_count() or 1

SEED = Limits(least=0, most=2**63 - 1, whole=True)
"""What SQLite, NumPy and PyTorch all take."""
THREADS = Limits(least=1, most=max(64, _CORES), whole=True)
JOBS = Limits(least=1, most=max(16, _CORES), whole=True)
"""Processes, each with libraries of hundreds of megabytes."""

PICTURES = Limits(least=1, most=1024, whole=True)
"""Pictures in one forward pass: half a megabyte each, and ten times that inside the encoder."""
INTERACTIONS = Limits(least=1, most=10**9, whole=True)
"""In one step of a training, which takes no more than there are."""
EPOCHS = Limits(least=1, most=10**6, whole=True)
WARMUP = Limits(least=0, most=10**6, whole=True)
LEARNING_RATE = Limits(above=0)
SEEDS = Limits(least=1, most=1000, whole=True)
"""Trainings of one row."""
TRIALS = Limits(least=1, most=10_000, whole=True)
SECONDS = Limits(least=0, most=10**9)

LAYERS = Limits(least=0, most=64, whole=True)
NEIGHBOURS = Limits(least=1, most=1000, whole=True)
WEIGHT = Limits(least=0, most=10**6)
"""Of a term in a loss."""
SHARE = Limits(least=0, most=1)
DROPOUT = Limits(least=0, below=1)

CORE = Limits(least=1, most=10**9, whole=True)
ITEMS = Limits(least=1, most=10**7, whole=True)
FIGURE_ITEMS = Limits(least=1, most=1000, whole=True)
SAMPLE = Limits(least=5, most=20_000, whole=True)
"""Points that t-SNE can place."""
WORST = Limits(least=1, most=100, whole=True)

MASKS = Limits(least=1, most=100_000, whole=True)
BUDGET = Limits(least=0, most=100_000, whole=True)
"""Masks; 0 stands for all."""
CELLS = Limits(least=1, most=32, whole=True)
KEPT = Limits(least=0.01, most=1)
"""Share of a random mask's cells."""
STEPS = Limits(least=1, most=1000, whole=True)
STAGES = Limits(least=1, most=64, whole=True)
"""Copies of an encoder, held at once."""
TOLERANCE = Limits(least=0, below=1)
DEGREES = Limits(above=0, most=90)
"""Of omission; beyond 90 it is drift."""

FOLDS = Limits(least=2, most=10, whole=True)
HELD_OUT = Limits(above=0, most=0.5)

PICTURE_SIDE = Limits(least=64, most=2048, whole=True)
DPI = Limits(least=30, most=1200, whole=True)
LETTERS = Limits(least=3, most=30)
INCHES = Limits(least=1, most=40)
