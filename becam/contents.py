"""The content features that a checkpoint was trained on: its own, or those in a dataset."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from becam.checkpoint import Checkpoint
from becam.data.dataset import Dataset, FeatureSet
from becam.encoders.spec import EncoderRecord
from becam.encoders.text import TFIDF
from becam.errors import BecamError


@dataclass(frozen=True, eq=False)
class Contents:
    """Content features of one modality of the items that a checkpoint knows.

    Attributes:
        items: (n,) the items' rows in the checkpoint's tables.
        matrix: (I, d_m) float32, often memory-mapped.
        rows: (n,) the items' rows in ``matrix``.
    """

    items: NDArray[np.int64]
    matrix: NDArray[np.float32]
    rows: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.items)

    def chunks(self, size: int) -> Iterator[tuple[slice, Tensor]]:
        """Which of the n items, and their features (B, d_m), ``size`` at a time."""
        for start in range(0, len(self), size):
            part = slice(start, min(start + size, len(self)))
            yield part, torch.from_numpy(np.array(self.matrix[self.rows[part]])).float()


def find_contents(
    checkpoint: Checkpoint,
    modality: str,
    dataset: Dataset | None = None,
    *,
    features: str | None = None,
) -> Contents:
    """The content features of a checkpoint's items.

    Those that the checkpoint trained, if it did; else those of a feature set of the dataset: the
    very file of the training, or one by the same encoder.

    Args:
        checkpoint: any.
        modality: one of its modalities.
        dataset: where frozen features are.
        features: name of the feature set; by default any that fits.

    Raises:
        BecamError: nobody has the features, or the dataset has none of the checkpoint's items.
    """
    trained = checkpoint.trained_features(modality)
    if trained is not None:
        everything = np.arange(len(checkpoint.item_ids))
        return Contents(everything, trained.cpu().numpy(), everything)
    if dataset is None:
        raise BecamError(
            "The checkpoint does not hold the items' features, which were frozen; give the dataset "
            "that it was trained on with --dataset."
        )
    found = same_features(checkpoint, dataset, modality, features) or _same_encoder(
        checkpoint, dataset, modality, features
    )
    if found is None:
        icc = EncoderRecord.from_dict(checkpoint.modalities[modality].encoder).icc
        way = f" --icc {icc}" if modality == "image" else ""
        raise BecamError(
            f"{dataset.path} has no features of the checkpoint's encoder ({modality}); make them "
            f"with becam features{way}, or give the dataset that it was trained on."
        )
    items, rows = known_items(checkpoint, dataset)
    return Contents(items, found.load(modality), rows)


def known_items(
    checkpoint: Checkpoint, dataset: Dataset
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows of the items that both know: in the checkpoint's tables and in the dataset's (n,).

    Raises:
        BecamError: there is none.
    """
    if checkpoint.item_ids == dataset.item_ids:
        everything = np.arange(len(checkpoint.item_ids))
        return everything, everything
    known = {name: row for row, name in enumerate(checkpoint.item_ids)}
    pairs = [(known[name], row) for row, name in enumerate(dataset.item_ids) if name in known]
    if not pairs:
        raise BecamError(
            f"{dataset.path} has no item that the checkpoint knows; give the dataset that it was "
            "trained on with --dataset."
        )
    items, rows = np.array(pairs, dtype=np.int64).T
    return items, rows


def same_features(
    checkpoint: Checkpoint, dataset: Dataset, modality: str, features: str | None = None
) -> FeatureSet | None:
    """The feature set with the very file that the checkpoint was trained on, by its hash."""
    recorded: dict[str, Any] = checkpoint.training.get("features", {})
    wanted = recorded.get("sha256", {}).get(modality)
    for found in _sets(dataset, features):
        record = found.records.get(modality)
        if wanted is not None and record is not None and record["sha256"] == wanted:
            return found
    return None


def _same_encoder(
    checkpoint: Checkpoint, dataset: Dataset, modality: str, features: str | None
) -> FeatureSet | None:
    trained = checkpoint.modalities[modality]
    wanted, width = EncoderRecord.from_dict(trained.encoder), trained.projection_weight.shape[1]
    # An unknown encoder may be any, and TF-IDF's axes depend on all the texts it was fitted on.
    if wanted.spec is None or wanted.spec.split(",")[0] == TFIDF:
        return None
    for found in _sets(dataset, features):
        record = found.records.get(modality)
        if record is None or record["dim"] != width:
            continue
        if EncoderRecord.from_dict(record["encoder"]).identity == wanted.identity:
            return found
    return None


def _sets(dataset: Dataset, features: str | None) -> Iterator[FeatureSet]:
    for name in dataset.feature_sets() if features is None else [features]:
        yield dataset.feature_set(name)
