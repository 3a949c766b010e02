"""Any recommender's vectors to a checkpoint: learn how content maps into their space."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from becam.adapters import Adapter, create_adapter
from becam.checkpoint import Checkpoint, Modality, installed_version
from becam.errors import BecamError
from becam.interop.learning import Items, learn
from becam.interop.report import Report
from becam.interop.ridge import Affine
from becam.interop.vectors import Matrix, NamedVectors
from becam.limits import FOLDS, HELD_OUT, SEED
from becam.training.loop import seeded
from becam.training.scoring import feature_hashes, load_features

if TYPE_CHECKING:
    from becam.data.dataset import Dataset

NAME = "attached"
"""What checkpoints call a recommender that lives elsewhere."""

FEWEST_ITEMS = 50
"""Fewer items with content and vector teach nothing."""


@dataclass(frozen=True)
class Attached:
    """A checkpoint of another system's vectors, and how much it is worth."""

    checkpoint: Checkpoint
    report: Report


def attach(
    dataset: Dataset,
    item_vectors: Matrix,
    item_ids: Sequence[str],
    *,
    user_vectors: Matrix | None = None,
    user_ids: Sequence[str] | None = None,
    features: str | None = None,
    modalities: Sequence[str] | None = None,
    adapter: str = "none",
    adapter_options: Mapping[str, Any] | None = None,
    folds: int = 5,
    held_out: float = 0.1,
    seed: int = 0,
    progress: bool = False,
) -> Attached:
    """Make a checkpoint of the vectors of any system, so that its items can be explained.

    By modality, ridge regression learns the projection of content features into the vectors'
    space; its penalty is chosen by cross-validation, and what it is worth is measured on held-out
    items, after which it is fitted on all. The checkpoint has one item for every vector that is
    neither zero nor infinite, and the vectors stay as they are; only for an adapter are they all
    multiplied by one power of two, because it cannot learn from tiny entries: no cosine changes.

    Args:
        dataset: A prepared dataset with features.
        item_vectors: (n, d) floats; may be memory-mapped.
        item_ids: The rows' original ids, as in the dataset.
        user_vectors: (m, d) floats in the same space, if wanted.
        user_ids: Their original ids.
        features: Name of the feature set; the only one when None.
        modalities: Which of its modalities to use; all when None.
        adapter: Registered name of the adapter, on every modality; see
            :func:`becam.interop.matching.train_adapter`.
        adapter_options: The adapter's own options; see ``becam models``.
        folds: Parts of the cross-validation.
        held_out: Share of the items that is held out for the report (a thousand at most).
        seed: Seed of the parts, the intervals and the adapter.
        progress: Show progress on stderr.

    Returns:
        Checkpoint and report; the report is in the checkpoint's ``training["attach"]`` as well.

    Raises:
        BecamError: Vectors or ids that do not fit together, too few items that match, an unknown
            name, a value out of range, a dataset without features.
    """
    FOLDS.check(folds, "--folds")
    HELD_OUT.check(held_out, "--held-out")
    SEED.check(seed, "--seed")
    if (user_vectors is None) != (user_ids is None):
        raise BecamError("User vectors and user ids belong together; give both or neither.")
    named = NamedVectors.clean(item_vectors, item_ids, "item")
    dim = named.rows.shape[1]
    users = NamedVectors.none(dim)
    if user_vectors is not None and user_ids is not None:
        users = NamedVectors.clean(user_vectors, user_ids, "user")
        if users.rows.shape[1] != dim:
            raise BecamError(
                f"Item vectors have {dim} columns and user vectors {users.rows.shape[1]}; give "
                "both of one model."
            )
    scale = 1.0 if adapter == "none" else named.unit()
    named, users = named.scaled(scale), users.scaled(scale)
    feature_set = dataset.feature_set(features)
    contents = load_features(feature_set, modalities)
    items = _match(dataset, named, folds, held_out, seed)
    learnt = {}
    for modality, content in contents.items():
        with seeded(seed):
            built = create_adapter(adapter, dim, **(adapter_options or {}))
            rng = np.random.default_rng(seed)
            words = modality if progress else None
            learnt[modality] = learn(content, items, built, rng, words)
    report = Report(
        vectors=len(item_vectors),
        zero=named.zero,
        not_finite=named.not_finite,
        matched=len(items.rows),
        without_vector=dataset.n_items - len(items.rows),
        without_content=len(named.ids) - len(items.rows),
        users=len(users.ids),
        users_left_out=users.zero + users.not_finite,
        scale=scale,
        adapter=adapter,
        modalities={modality: found for modality, (_, _, found) in learnt.items()},
    )
    checkpoint = Checkpoint(
        item_ids=named.ids,
        user_ids=users.ids,
        item_embeddings=named.rows,
        user_embeddings=users.rows,
        modalities={
            modality: _modality(projection, adapted, dict(feature_set.encoders[modality]))
            for modality, (projection, adapted, _) in learnt.items()
        },
        recommender={"name": NAME, "config": {}},
        state={},
        metrics={"epoch": 0, "validation": {}, "test": {}},
        dataset={"name": dataset.manifest.name, "fingerprint": dataset.fingerprint},
        training={
            "options": {
                "features": feature_set.name,
                "modalities": list(contents),
                "adapter": adapter,
                "adapter_options": dict(adapter_options or {}),
                "folds": folds,
                "held_out": held_out,
                "seed": seed,
            },
            "seed": seed,
            "features": {
                "name": feature_set.name,
                "sha256": feature_hashes(feature_set, tuple(contents)),
            },
            "version": installed_version(),
            "attach": report.to_dict(),
        },
    )
    return Attached(checkpoint, report)


def _match(dataset: Dataset, named: NamedVectors, folds: int, held_out: float, seed: int) -> Items:
    """The items that have both content and vector."""
    row_of = {name: row for row, name in enumerate(named.ids)}
    pairs = [(item, row_of[name]) for item, name in enumerate(dataset.item_ids) if name in row_of]
    if len(pairs) < FEWEST_ITEMS:
        raise BecamError(
            f"{len(pairs)} of the dataset's {dataset.n_items:,} items have a vector, and "
            f"{FEWEST_ITEMS} are the least to learn from; ids of the dataset look like "
            f"{_some(dataset.item_ids)} and those of the vectors like {_some(named.ids)}: give "
            "the dataset's own, leading zeros included."
        )
    rows, of_vectors = np.array(pairs).T
    vectors = named.rows[torch.from_numpy(of_vectors)]
    if bool((vectors == vectors[0]).all()):
        raise BecamError("The item vectors are all the same; export them again.")
    rng = np.random.default_rng(seed)
    return Items.deal(rows, vectors, folds=folds, held_out=held_out, rng=rng)


def _some(ids: Iterable[str]) -> str:
    return ", ".join(map(repr, islice(ids, 3)))


def _modality(projection: Affine, adapter: Adapter, encoder: dict[str, Any]) -> Modality:
    weight, bias = (torch.from_numpy(x).float() for x in (projection.weight, projection.bias))
    return Modality.of(weight, bias, adapter, encoder)
