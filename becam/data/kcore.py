"""The k-core of a bipartite graph of interactions."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Codes = NDArray[np.uint32]


def k_core(users: Codes, items: Codes, user_core: int, item_core: int) -> NDArray[np.bool_]:
    """Which interactions lie in the largest subgraph with these smallest degrees.

    Users with fewer than ``user_core`` interactions and items with fewer than ``item_core`` leave,
    again and again until none does; the result does not depend on the order.

    Args:
        users: (n,) user of each interaction; pairs are distinct.
        items: (n,) item of each interaction.
        user_core: smallest number of interactions a user keeps.
        item_core: smallest number of interactions an item keeps.

    Returns:
        (n,) true for the interactions that stay.
    """
    rows = np.arange(len(users))
    while len(rows):
        u, i = users[rows], items[rows]
        stays = (np.bincount(u) >= user_core)[u] & (np.bincount(i) >= item_core)[i]
        if stays.all():
            break
        rows = rows[stays]
    mask = np.zeros(len(users), dtype=bool)
    mask[rows] = True
    return mask


def largest_core(users: Codes, items: Codes) -> int:
    """The largest k whose k-core has an interaction; 0 where there are no interactions."""
    low, high = 0, int(np.bincount(users).max()) if len(users) else 0
    while low < high:
        middle = (low + high + 1) // 2
        if k_core(users, items, middle, middle).any():
            low = middle
        else:
            high = middle - 1
    return low
