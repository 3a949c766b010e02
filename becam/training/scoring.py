"""Checkpoint and dataset to metrics: what training stores and ``becam evaluate`` reproduces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from becam.errors import BecamError
from becam.recommenders import RECOMMENDERS, Recommender, TrainingData, create_recommender
from becam.records import misfit
from becam.training.loop import rank_model
from becam.training.neighbours import cached_neighbours
from becam.training.ranking import Pairs, UserMetrics, popularity_metrics, random_metrics

if TYPE_CHECKING:
    from becam.checkpoint import Checkpoint
    from becam.data.dataset import Dataset, FeatureSet


class _Config(msgspec.Struct, forbid_unknown_fields=True):
    """What a checkpoint says of its recommender beside the name."""

    options: dict[str, Any]
    adapter: str
    adapter_options: dict[str, Any]
    features_mode: str


@dataclass(frozen=True)
class Evaluation:
    """Test metrics of a checkpoint computed again, beside what it stored and the baselines."""

    test: dict[str, float]
    stored: dict[str, float]
    popularity: dict[str, float]
    random: dict[str, float]

    @property
    def reproduced(self) -> bool:
        """Whether the metrics equal the stored ones to the last digit."""
        return self.test == self.stored


def evaluate(checkpoint: Checkpoint, dataset: Dataset) -> Evaluation:
    """Rebuild the recommender and score the dataset's test interactions with it, on the CPU.

    Args:
        checkpoint: What training returned or wrote.
        dataset: The dataset that it was trained on.

    Raises:
        BecamError: The dataset or its features are not those of the training, or the checkpoint
            does not fit them.
    """
    model = rebuild(checkpoint, dataset)
    mask_validation = bool(checkpoint.training.get("mask_validation", False))
    positives, masked = split_for_test(dataset, mask_validation=mask_validation)
    if not len(positives):
        raise BecamError(
            f"{dataset.path} has no test interactions, so there is nothing to score: prepare it "
            "from users with three interactions or more."
        )
    return Evaluation(
        test=rank_model(model, positives, masked).mean(),
        stored=checkpoint.metrics["test"],
        **baselines(dataset, mask_validation=mask_validation),
    )


def rebuild(checkpoint: Checkpoint, dataset: Dataset) -> Recommender:
    """The checkpoint's recommender on the graph and features of its dataset, in eval mode.

    Raises:
        BecamError: As :func:`evaluate`.
    """
    if checkpoint.recommender["name"] not in RECOMMENDERS:
        raise BecamError(
            f"This checkpoint ({checkpoint.recommender['name']}) has no recommender to rank with, "
            "only what becam explain needs; score it in the system that it comes from."
        )
    trained_on = checkpoint.dataset
    if dataset.fingerprint != trained_on["fingerprint"]:
        raise BecamError(
            f"The checkpoint was trained on dataset {trained_on['name']!r} with fingerprint "
            f"{trained_on['fingerprint'][:12]}, and {dataset.path} has {dataset.fingerprint[:12]}: "
            "give the dataset it was trained on."
        )
    recorded = checkpoint.training.get("features")
    if recorded is None:
        raise BecamError(
            "The checkpoint does not tell which features it was trained on, so it cannot be "
            "scored again: train again."
        )
    feature_set = dataset.feature_set(recorded["name"])
    modalities = tuple(recorded["sha256"])
    found = feature_hashes(feature_set, [m for m in modalities if m in feature_set.modalities])
    if found != recorded["sha256"]:
        differing = [m for m in modalities if found.get(m) != recorded["sha256"][m]]
        raise BecamError(
            f"The {' and '.join(differing)} features in {feature_set.path} are not those "
            "of the training: encode them again as then, or train again."
        )
    config = checkpoint.recommender["config"]
    if fault := misfit(config, _Config):
        raise BecamError(
            f"The checkpoint's recommender cannot be built again ({fault}); train again."
        )
    try:
        model = create_recommender(
            checkpoint.recommender["name"],
            TrainingData(
                dataset.n_users,
                dataset.n_items,
                dataset.interactions("train"),
                load_features(feature_set, modalities),
            ),
            find_neighbours=cached_neighbours(dataset.path),
            **config,
        )
        model.load_state_dict(checkpoint.state)
    except (TypeError, RuntimeError) as error:
        raise BecamError(
            "The checkpoint's weights do not fit its own configuration: train again."
        ) from error
    return model.eval()


def split_for_test(dataset: Dataset, *, mask_validation: bool) -> tuple[Pairs, Pairs]:
    """The test positives and what is never ranked: training and, on request, validation."""
    train, validation = dataset.interactions("train"), dataset.interactions("validation")
    masked = np.concatenate([train, validation]) if mask_validation else train
    return dataset.interactions("test"), masked


def baselines(dataset: Dataset, *, mask_validation: bool) -> dict[str, dict[str, float]]:
    """Test metrics of ``popularity`` and, in expectation, of a ``random`` order."""
    positives, masked = split_for_test(dataset, mask_validation=mask_validation)
    popular: UserMetrics = popularity_metrics(
        dataset.interactions("train"), dataset.n_items, positives, masked
    )
    return {
        "popularity": popular.mean(),
        "random": random_metrics(dataset.n_items, positives, masked).mean(),
    }


def load_features(
    feature_set: FeatureSet, modalities: Sequence[str] | None = None
) -> dict[str, NDArray[np.float32]]:
    """The features of the given modalities, or of all, memory-mapped.

    Raises:
        BecamError: no modality, one named twice, or one that the set has not.
    """
    chosen = feature_set.modalities if modalities is None else tuple(modalities)
    if not chosen or len(set(chosen)) < len(chosen):
        raise BecamError(
            f"Name each modality once, among {', '.join(feature_set.modalities)}, not "
            f"{', '.join(chosen) or 'none'}."
        )
    return {modality: feature_set.load(modality) for modality in chosen}


def feature_hashes(
    feature_set: FeatureSet, modalities: Sequence[str] | None = None
) -> dict[str, str]:
    """SHA-256 of the feature files of the given modalities, or of all, found to be theirs."""
    chosen = feature_set.modalities if modalities is None else modalities
    for modality in chosen:
        feature_set.load(modality)
    return {modality: feature_set.records[modality]["sha256"] for modality in chosen}
