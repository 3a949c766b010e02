"""Recommenders: content features and the training graph in, user and item embeddings out.

A new one is a file here and a place in ``RECOMMENDERS``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from becam.errors import BecamError
from becam.options import parse_options
from becam.recommenders.base import Batch, FeaturesMode, Recipe, Recommender, TrainingData
from becam.recommenders.bm3 import BM3
from becam.recommenders.freedom import FREEDOM
from becam.recommenders.lattice import LATTICE
from becam.recommenders.mgcn import MGCN, LATTICEBeFA

RECOMMENDERS: dict[str, type[Recommender]] = {
    model.name: model for model in (BM3, LATTICE, FREEDOM, MGCN, LATTICEBeFA)
}

__all__ = [
    "BM3",
    "FREEDOM",
    "LATTICE",
    "MGCN",
    "RECOMMENDERS",
    "Batch",
    "FeaturesMode",
    "LATTICEBeFA",
    "Recipe",
    "Recommender",
    "TrainingData",
    "create_recommender",
    "recommender_class",
]


def recommender_class(name: str) -> type[Recommender]:
    """The recommender of a registered name.

    Raises:
        BecamError: no recommender has that name.
    """
    if name not in RECOMMENDERS:
        raise BecamError(
            f"There is no recommender {name!r}; choose one of {', '.join(RECOMMENDERS)}."
        )
    return RECOMMENDERS[name]


def create_recommender(
    name: str,
    data: TrainingData,
    *,
    options: Mapping[str, object] | None = None,
    **shared: Any,
) -> Recommender:
    """Build a recommender by its registered name.

    Args:
        name: A key of ``RECOMMENDERS``.
        data: Users, items, training interactions and content features.
        options: The recommender's own options.
        **shared: What every recommender takes; see
            :class:`~becam.recommenders.base.Recommender`.

    Raises:
        BecamError: No recommender has that name, or an option is unknown or outside of its range.
    """
    model = recommender_class(name)
    own: dict[str, Any] = dict(parse_options(model, options or {}, name))
    return model(data, **own, **shared)
