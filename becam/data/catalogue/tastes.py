"""Users whose choices depend on the product alone: the truth that an explanation should find."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from becam.data.catalogue.attributes import COLOURS, PATTERNS, TYPES, Thing

_TYPE_WEIGHT, _COLOUR_WEIGHT, _PATTERN_WEIGHT = 1.7, 1.5, 1.1
_INDIVIDUAL = 0.5
_POPULARITY = 0.6


@dataclass(frozen=True)
class Tastes:
    """How much every user likes every type, colour and pattern.

    Attributes:
        types: (U, number of types).
        colours: (U, number of colours).
        patterns: (U, number of patterns).
    """

    types: NDArray[np.float64]
    colours: NDArray[np.float64]
    patterns: NDArray[np.float64]

    def affinity(self, products: Sequence[Thing]) -> NDArray[np.float64]:
        """How much each user likes each product: (U, number of products)."""
        kinds = [TYPES.index(product.type) for product in products]
        colours = [COLOURS.index(product.colour) for product in products]
        patterns = [PATTERNS.index(product.pattern) for product in products]
        return np.asarray(
            self.types[:, kinds] + self.colours[:, colours] + self.patterns[:, patterns]
        )


def sample_tastes(n_users: int, rng: np.random.Generator, *, groups: int = 12) -> Tastes:
    """Users in groups of like taste, each with a variation of their own."""
    group = rng.integers(groups, size=n_users)

    def table(count: int, weight: float) -> NDArray[np.float64]:
        shared = rng.standard_normal((groups, count))[group]
        return weight * (shared + _INDIVIDUAL * rng.standard_normal((n_users, count)))

    return Tastes(
        table(len(TYPES), _TYPE_WEIGHT),
        table(len(COLOURS), _COLOUR_WEIGHT),
        table(len(PATTERNS), _PATTERN_WEIGHT),
    )


def sample_popularity(n_items: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """What all users alike add to an item's utility: (n_items,)."""
    return _POPULARITY * rng.standard_normal(n_items)


def sample_interactions(
    utility: NDArray[np.float64],
    rng: np.random.Generator,
    *,
    fewest: int = 12,
    most: int = 25,
) -> NDArray[np.int64]:
    """Pairs (n, 2) of user and item in the order in which each user picked them.

    Every user draws between ``fewest`` and ``most`` items without replacement with probabilities
    proportional to exp(utility) (Gumbel top-k).
    """
    n_users, n_items = utility.shape
    noisy = utility + rng.gumbel(size=utility.shape)
    counts = np.minimum(rng.integers(fewest, most + 1, n_users), n_items)
    picks = np.argsort(-noisy, axis=1)
    # The top k as a set are the draw; their order carries no more meaning than a shuffle.
    chosen = [rng.permutation(picks[user, :count]) for user, count in enumerate(counts)]
    users = np.repeat(np.arange(n_users), counts)
    return np.stack([users, np.concatenate(chosen)], axis=1)
