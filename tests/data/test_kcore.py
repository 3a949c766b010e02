from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from rawdata import naive_core

from becam.data.kcore import k_core, largest_core

PAIRS = st.sets(st.tuples(st.integers(0, 9), st.integers(0, 7)), max_size=60)
CORE = st.integers(1, 5)


def arrays(pairs):
    ordered = sorted(pairs)
    users = np.array([user for user, _ in ordered], dtype=np.uint32)
    items = np.array([item for _, item in ordered], dtype=np.uint32)
    return users, items


def core(pairs, user_core, item_core):
    users, items = arrays(pairs)
    mask = k_core(users, items, user_core, item_core)
    return {(int(u), int(i)) for u, i in zip(users[mask], items[mask], strict=True)}


@given(PAIRS, CORE, CORE)
def test_equals_taking_away_one_at_a_time(pairs, user_core, item_core):
    assert core(pairs, user_core, item_core) == naive_core(pairs, user_core, item_core)


@given(PAIRS, CORE, CORE)
def test_every_degree_is_large_enough_and_a_core_is_its_own_core(pairs, user_core, item_core):
    left = core(pairs, user_core, item_core)
    users, items = arrays(left)
    if left:
        assert np.bincount(users)[users].min() >= user_core
        assert np.bincount(items)[items].min() >= item_core
    assert core(left, user_core, item_core) == left


@given(PAIRS)
def test_largest_core(pairs):
    expected = max((k for k in range(1, 12) if naive_core(pairs, k, k)), default=0)
    assert largest_core(*arrays(pairs)) == expected


def test_a_chain_unravels_to_its_end():
    # A path u0-i0-u1-i1-...: its 2-core is empty, but only after as many rounds as it is long.
    chain = {(n, n) for n in range(50)} | {(n + 1, n) for n in range(50)}
    assert core(chain, 2, 2) == set()
    ring = chain | {(0, 50), (50, 50)}
    assert core(ring, 2, 2) == ring
