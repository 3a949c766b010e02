"""Significance against textbook numbers, scipy and the definition of Holm's procedure."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from becam.errors import BecamError
from becam.experiments.significance import over_seeds, over_users, paired_t_test
from becam.holm import holm
from becam.training.ranking import UserMetrics

METRIC = "recall@20"


def users(values, ids=None):
    ids = np.arange(len(values)) if ids is None else np.array(ids)
    return UserMetrics(ids, {METRIC: np.array(values, dtype=np.float64)})


def test_t_by_hand():
    # Differences 1, 2, 3: mean 2, standard error 1/sqrt(3), t = 2 sqrt(3) with 2 degrees of
    # freedom, where P(|T| > t) = 1 - t / sqrt(t^2 + 2).
    t = 2 * math.sqrt(3)
    assert paired_t_test([2, 4, 6], [1, 2, 3]) == pytest.approx(1 - t / math.sqrt(t * t + 2))


@pytest.mark.parametrize("seed", range(5))
def test_t_as_scipy(seed):
    rng = np.random.default_rng(seed)
    first, second = rng.normal(0.1, 1, 40), rng.normal(0, 1, 40)
    want = stats.ttest_rel(first, second).pvalue
    assert paired_t_test(first, second) == pytest.approx(want)
    assert paired_t_test(second, first) == pytest.approx(want)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ([], []),
        ([0.5], [0.4]),
        ([0.5, 0.5], [0.5, 0.5]),
        ([0.1, 0.2, 0.3], [0.1, 0.2, 0.3]),
        # The differences are 0.1, and their spread is nothing but rounding.
        ([0.2, 0.3, 0.4], [0.1, 0.2, 0.3]),
    ],
)
def test_nothing_can_be_said(first, second):
    assert paired_t_test(first, second) is None


def test_seeds_pair_by_seed_and_by_those_that_both_have():
    first = {3: 0.30, 1: 0.14, 2: 0.25, 9: 0.9}
    second = {1: 0.10, 2: 0.20, 3: 0.21, 7: 0.0}
    want = stats.ttest_rel([0.14, 0.25, 0.30], [0.10, 0.20, 0.21]).pvalue
    assert over_seeds(first, second) == pytest.approx(want)
    assert over_seeds({1: 0.1}, {1: 0.2}) is None
    assert over_seeds({1: 0.1, 2: 0.3}, {3: 0.1, 4: 0.2}) is None


def test_users_pair_by_user_and_average_over_the_shared_seeds():
    first = {0: users([0.1, 0.5, 0.9]), 1: users([0.3, 0.7, 0.9]), 5: users([0, 0, 0])}
    second = {1: users([0.1, 0.2, 0.8]), 0: users([0.1, 0.4, 1.0]), 6: users([1, 1, 1])}
    want = stats.ttest_rel([0.2, 0.6, 0.9], [0.1, 0.3, 0.9]).pvalue
    assert over_users(first, second, [METRIC]) == {METRIC: pytest.approx(want)}


def test_users_without_a_shared_seed():
    assert over_users({0: users([0.1])}, {1: users([0.1])}, [METRIC]) == {METRIC: None}


def test_other_users_cannot_be_paired():
    first, second = {0: users([0.1, 0.2], ids=[0, 1])}, {0: users([0.1, 0.2], ids=[0, 2])}
    with pytest.raises(BecamError, match="different users"):
        over_users(first, second, [METRIC])


def test_holm_by_hand():
    # Sorted .01 .02 .03 .04 times 4 3 2 1 = .04 .06 .06 .04; never below an earlier one.
    assert holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


def test_holm_leaves_out_what_could_not_be_tested():
    assert holm([None, 0.01, None, 0.04]) == [None, pytest.approx(0.02), None, pytest.approx(0.04)]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12), st.floats(0.001, 0.999))
def test_holm_rejects_as_its_procedure_says(p_values, level):
    # Step down: the smallest p against level / m, the next against level / (m - 1), and so on,
    # until one stays.
    rejected = set()
    left = sorted(range(len(p_values)), key=lambda i: p_values[i])
    while left and p_values[left[0]] * len(left) <= level:
        rejected.add(left.pop(0))
    assert {i for i, p in enumerate(holm(p_values)) if p <= level} == rejected
