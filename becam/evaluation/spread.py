"""Content features of sampled items without and with an adapter: how they lie on the sphere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from becam.checkpoint import Checkpoint
from becam.contents import find_contents
from becam.data.dataset import Dataset
from becam.errors import BecamError
from becam.evaluation.deviation import receivers
from becam.evaluation.uniformity import alignment, uniformity
from becam.limits import SAMPLE, SEED

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Measures:
    """Of features on the sphere in their own d dimensions (Wang and Isola).

    Attributes:
        uniformity: of the features; the smaller, the more even.
        uniformity_ids: of the same items' ID embeddings.
        uniformity_permuted: of the features when each item has another's content.
        alignment: between the features and the items' own ID embeddings; the smaller, the nearer.
        alignment_permuted: the same with another item's content.
    """

    uniformity: float
    uniformity_ids: float
    uniformity_permuted: float
    alignment: float
    alignment_permuted: float

    def to_dict(self) -> dict[str, float]:
        """Plain values."""
        return asdict(self)


@dataclass(frozen=True, eq=False)
class Spread:
    """Features of some items under one checkpoint.

    Attributes:
        features: (n, d).
        measures: of them.
    """

    features: Floats
    measures: Measures


def sampled_items(
    checkpoints: Sequence[Checkpoint], dataset: Dataset, modality: str, count: int, *, seed: int = 0
) -> list[str]:
    """Ids of items that all checkpoints have content of, drawn at random, in the order drawn.

    Raises:
        BecamError: there is none, or features that nobody has.
    """
    SAMPLE.check(count, "--count")
    SEED.check(seed, "--seed")
    known: list[set[str]] = []
    for checkpoint in checkpoints:
        contents = find_contents(checkpoint, modality, dataset)
        there = np.linalg.norm(contents.matrix[contents.rows], axis=1) > 0
        known.append({checkpoint.item_ids[row] for row in contents.items[there]})
    common = set.intersection(*known)
    shared = [name for name in dataset.item_ids if name in common]
    if not shared:
        raise BecamError(
            f"{dataset.path} has no item with {modality} features that all checkpoints know; give "
            "checkpoints of one dataset."
        )
    order = np.random.default_rng(seed).permutation(len(shared))[:count]
    return [shared[place] for place in order]


@torch.no_grad()
def spread_of(
    checkpoint: Checkpoint,
    dataset: Dataset,
    modality: str,
    ids: Sequence[str],
    *,
    adapted: bool,
    seed: int = 0,
) -> Spread:
    """Projected features of some items, with the checkpoint's adapter or without.

    Args:
        checkpoint: knows the items.
        dataset: has their features, where the checkpoint does not.
        modality: of the content.
        ids: of two items or more.
        adapted: after the adapter.
        seed: of the control (whose content an item gets).

    Raises:
        BecamError: features that nobody has, or one without a direction.
    """
    contents = find_contents(checkpoint, modality, dataset)
    places = {checkpoint.item_ids[item]: place for place, item in enumerate(contents.items)}
    rows = contents.rows[[places[name] for name in ids]]
    head = checkpoint.head(modality)
    device = checkpoint.item_embeddings.device
    z = head.project(torch.from_numpy(np.array(contents.matrix[rows])).float().to(device))
    e = checkpoint.item_embeddings[[checkpoint.item_index(name) for name in ids]].float()

    def features(projected: Tensor) -> Floats:
        found = head.adapt(projected, e) if adapted else projected
        values: Floats = found.cpu().numpy()
        return values

    own = features(z)
    giver = np.empty(len(ids), dtype=np.int64)
    giver[receivers(len(ids), seed)] = np.arange(len(ids))
    other, behaviour = features(z[giver]), e.cpu().numpy()
    return Spread(
        own,
        Measures(
            uniformity=uniformity(own),
            uniformity_ids=uniformity(behaviour),
            uniformity_permuted=uniformity(other),
            alignment=alignment(own, behaviour),
            alignment_permuted=alignment(other, behaviour),
        ),
    )
