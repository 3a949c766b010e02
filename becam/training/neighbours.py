"""Item neighbours kept on disk, since a grid of trainings asks for the same ones many times."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from becam.errors import BecamError
from becam.files import read_arrays, save_arrays
from becam.recommenders.knn import FindNeighbours, Neighbours, find_neighbours

# Below this many items finding them anew is quicker than hashing and reading.
_WORTH_KEEPING = 2000


def cached_neighbours(dataset: Path) -> FindNeighbours:
    """``find_neighbours`` that keeps what it found in ``dataset/neighbours``.

    A file is named after the SHA-256 of the features and k, so that other features can never meet
    an old graph. Where the dataset's folder may not be written, nothing is kept.
    """

    def find(features: NDArray[np.float32], k: int) -> Neighbours:
        if len(features) < _WORTH_KEEPING:
            return find_neighbours(features, k)
        digest = hashlib.sha256(f"{features.shape} {k}\n".encode())
        digest.update(np.ascontiguousarray(features).data)
        path = dataset / "neighbours" / f"{digest.hexdigest()[:32]}.npz"
        found = _read(path, len(features), k)
        if found is None:
            found = find_neighbours(features, k)
            _write(path, found)
        return found

    return find


def _read(path: Path, n_items: int, k: int) -> Neighbours | None:
    try:
        arrays = read_arrays(path, what="cache of neighbours", remedy="delete it")
        items, cosines = arrays["items"], arrays["cosines"]
    except (BecamError, KeyError):  # absent or damaged: found anew
        return None
    sound = (
        items.shape == cosines.shape == (n_items, min(k, n_items))
        and items.dtype == np.int32
        and cosines.dtype == np.float32
        and bool(((items >= 0) & (items < n_items)).all() and np.isfinite(cosines).all())
    )
    if not sound:
        return None
    return Neighbours(torch.from_numpy(items.astype(np.int64)), torch.from_numpy(cosines))


def _write(path: Path, found: Neighbours) -> None:
    try:
        save_arrays(path, {"items": found.items.int().numpy(), "cosines": found.cosines.numpy()})
    except (BecamError, OSError):
        return  # a read-only dataset is as good, only slower
