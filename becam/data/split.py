"""Training, validation and test rows: 8:1:1 within each user."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from becam.errors import BecamError

TRAIN, VALIDATION, TEST = 0, 1, 2
SPLITS = ("train", "validation", "test")
"""Names of the codes 0, 1, 2."""

Scheme = Literal["random", "time"]

FEWEST = 3
"""Below this many a user would have no training row left: all are for training."""

_FEW = 10  # below this many interactions: one row each for validation and test


def split_interactions(
    users: NDArray[np.uint32],
    scheme: Scheme,
    seed: int,
    timestamps: NDArray[np.int64] | None = None,
) -> NDArray[np.uint8]:
    """The split of each interaction, 8:1:1 within each user.

    A user with n < 10 interactions has one for validation and one for test, one with n >= 10 has
    ``vt = int(.2 n)`` of which ``vt // 2`` for validation and the rest for test. A user with n < 3
    has training rows alone. ``random`` draws the rows; ``time`` orders them, so that the earliest
    are for training and the latest for test, with ties (a day's purchases) drawn.

    Args:
        users: (n,) user of each interaction.
        scheme: ``random`` or ``time``.
        seed: of the draw; the same rows in the same order have the same split.
        timestamps: (n,) for ``time``.

    Returns:
        (n,) 0 train, 1 validation, 2 test.

    Raises:
        BecamError: ``time`` without timestamps.
    """
    keys: list[NDArray[Any]] = [np.random.default_rng(seed).random(len(users))]
    if scheme == "time":
        if timestamps is None:
            raise BecamError("These interactions have no timestamps; use --split random.")
        keys.append(timestamps)
    order = np.lexsort([*keys, users])
    counts = np.bincount(users)
    validation, test = held_out(counts)
    rank = np.empty(len(users), dtype=np.int64)
    rank[order] = np.arange(len(users)) - (np.cumsum(counts) - counts)[users[order]]
    left = counts[users] - rank  # rows of the same user from this one on
    result = np.full(len(users), TRAIN, dtype=np.uint8)
    result[left <= (validation + test)[users]] = VALIDATION
    result[left <= test[users]] = TEST
    return result


def held_out(counts: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Numbers of validation and of test rows of users with ``counts`` interactions."""
    both = counts // 5  # int(.2 n) without floating point
    validation = np.where(counts < _FEW, 1, both // 2)
    test = np.where(counts < _FEW, 1, both - both // 2)
    enough = counts >= FEWEST
    return validation * enough, test * enough
