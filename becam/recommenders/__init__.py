"""Recommenders: content features and the training graph in, user and item embeddings out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from becam.errors import BecamError
from becam.recommenders.base import Batch, FeaturesMode, Recommender
from becam.recommenders.bm3 import BM3

RECOMMENDERS: dict[str, type[Recommender]] = {model.name: model for model in (BM3,)}

__all__ = ["BM3", "RECOMMENDERS", "Batch", "FeaturesMode", "Recommender", "create_recommender"]


def create_recommender(
    name: str,
    n_users: int,
    n_items: int,
    pairs: NDArray[np.int64],
    features: Mapping[str, NDArray[np.float32]],
    **config: Any,
) -> Recommender:
    """Build a recommender by its registered name.

    Args:
        name: A key of ``RECOMMENDERS``.
        n_users: Number of users U.
        n_items: Number of items I.
        pairs: Training interactions, (n, 2) int64 of [user, item].
        features: Content features by modality, each (I, d_m) float32; one or more.
        **config: The shared options and the recommender's own.

    Raises:
        BecamError: No recommender has that name, or an option is outside of its range.
    """
    if name not in RECOMMENDERS:
        raise BecamError(
            f"There is no recommender {name!r}; choose one of {', '.join(RECOMMENDERS)}."
        )
    return RECOMMENDERS[name](n_users, n_items, pairs, features, **config)
