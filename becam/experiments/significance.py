"""Paired t-tests between two rows of a table, over users or over seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from becam.errors import BecamError

if TYPE_CHECKING:
    from becam.training.ranking import UserMetrics


def paired_t_test(first: ArrayLike, second: ArrayLike) -> float | None:
    """Two-sided p of the hypothesis that the paired values (n,) have the same mean.

    Returns:
        p in [0, 1], or None where nothing can be said: fewer than two pairs, or differences
        without any spread.
    """
    a, b = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if len(a) < 2:
        return None
    # Differences that are equal but for rounding would come out as infinitely significant.
    rounding = 8 * np.finfo(np.float64).eps * max(np.abs(a).max(), np.abs(b).max())
    if np.ptp(a - b) <= rounding:
        return None
    return float(stats.ttest_rel(a, b).pvalue)


def over_seeds(first: Mapping[int, float], second: Mapping[int, float]) -> float | None:
    """p of two rows' metric by seed, paired by the seeds that both have."""
    shared = sorted(first.keys() & second.keys())
    return paired_t_test([first[seed] for seed in shared], [second[seed] for seed in shared])


def over_users(
    first: Mapping[int, UserMetrics], second: Mapping[int, UserMetrics], metrics: Sequence[str]
) -> dict[str, float | None]:
    """p of two rows' single users by metric; a user's value is the mean over the shared seeds.

    Args:
        first: A row's user metrics by seed.
        second: The other row's.
        metrics: Names such as ``recall@20``.

    Raises:
        BecamError: The runs were not tested on the same users.
    """
    shared = sorted(first.keys() & second.keys())
    if not shared:
        return dict.fromkeys(metrics)
    users = first[shared[0]].users
    for seed in shared:
        for row in (first, second):
            if not np.array_equal(row[seed].users, users):
                raise BecamError(
                    "Two runs of one dataset were tested on different users, so their users cannot "
                    "be paired; pass --significance seeds."
                )
    return {
        metric: paired_t_test(_mean(first, shared, metric), _mean(second, shared, metric))
        for metric in metrics
    }


def _mean(row: Mapping[int, UserMetrics], seeds: list[int], metric: str) -> NDArray[np.float64]:
    mean: NDArray[np.float64] = np.mean([row[seed].values[metric] for seed in seeds], axis=0)
    return mean
