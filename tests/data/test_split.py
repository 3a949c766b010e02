from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from becam.data.split import TEST, TRAIN, VALIDATION, held_out, split_interactions
from becam.errors import BecamError

COUNTS = st.lists(st.integers(0, 60), min_size=1, max_size=12)
SEED = st.integers(0, 2**32 - 1)


def protocol(n: int) -> tuple[int, int]:
    """Validation and test rows of n interactions, word for word."""
    if n < 3:
        return 0, 0  # else no training row would be left
    if n < 10:
        return 1, 1
    vt = int(0.2 * n)
    return vt // 2, vt - vt // 2


def rows_of(counts, seed):
    users = np.repeat(np.arange(len(counts), dtype=np.uint32), counts)
    return np.random.default_rng(seed).permutation(users)


@given(COUNTS, SEED)
def test_random_split_has_the_protocols_sizes_for_every_user(counts, seed):
    users = rows_of(counts, seed)
    labels = split_interactions(users, "random", seed)
    for user, n in enumerate(counts):
        own = labels[users == user]
        validation, test = protocol(n)
        assert (own == VALIDATION).sum() == validation
        assert (own == TEST).sum() == test
        assert (own == TRAIN).sum() == n - validation - test
        assert n == 0 or (own == TRAIN).any()


@given(COUNTS, SEED)
def test_time_split_puts_the_latest_last(counts, seed):
    users = rows_of(counts, seed)
    times = np.random.default_rng(seed).integers(-5, 5, len(users))  # many ties
    labels = split_interactions(users, "time", seed, times)
    for user, n in enumerate(counts):
        own, when = labels[users == user], times[users == user]
        validation, test = protocol(n)
        assert (own == VALIDATION).sum() == validation
        assert (own == TEST).sum() == test
        assert (np.diff(own[np.lexsort((own, when))].astype(int)) >= 0).all()


def test_sizes_follow_the_protocol_far_out():
    counts = np.arange(200_000)
    validation, test = held_out(counts)
    expected = np.array([protocol(int(n)) for n in counts])
    np.testing.assert_array_equal(np.stack([validation, test], 1), expected)


def test_the_seed_decides():
    users = np.repeat(np.arange(30, dtype=np.uint32), 12)
    first = split_interactions(users, "random", 1)
    np.testing.assert_array_equal(first, split_interactions(users, "random", 1))
    assert (first != split_interactions(users, "random", 2)).any()


def test_random_split_is_uniform_over_a_users_rows():
    # 2,000 users of 10 rows: each position is the one test row about 200 times (sd 13.4).
    users = np.repeat(np.arange(2000, dtype=np.uint32), 10)
    position = np.tile(np.arange(10), 2000)
    labels = split_interactions(users, "random", 0)
    for label in (VALIDATION, TEST):
        counts = np.bincount(position[labels == label], minlength=10)
        assert counts.sum() == 2000
        assert abs(counts - 200).max() < 5 * 13.4


def test_ties_in_time_are_drawn_not_taken_in_order():
    users = np.zeros(50, dtype=np.uint32)
    labels = split_interactions(users, "time", 0, np.zeros(50, dtype=np.int64))
    assert not (np.diff(labels.astype(int)) >= 0).all()


def test_time_needs_timestamps():
    with pytest.raises(BecamError, match="--split random"):
        split_interactions(np.zeros(3, dtype=np.uint32), "time", 0)
