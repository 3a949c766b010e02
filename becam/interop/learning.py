"""One modality's way into the vectors' space: projection, adapter, and what both are worth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from becam.adapters import Adapter, Identity
from becam.interop.matching import all_agreements, rank_of_own, train_adapter
from becam.interop.report import Agreement, Estimate, Ranks
from becam.interop.ridge import PENALTIES, Affine, Moments, cross_validate, ridge, total
from becam.progress import bar

# Enough for intervals of a percent or two; ranks cost the square of it.
_MOST_HELD_OUT = 1000

# Items that an adapter learns from and is stopped by, at most.
_MOST_ADAPTED, _MOST_VALIDATED = 20_000, 300

# Numbers in the block of rows that is held in memory: 64 MiB of float64.
_BLOCK_SIZE = 1 << 23


@dataclass(frozen=True)
class Items:
    """Items with content and vector: ``folds`` parts to learn from, and one that is held out.

    Attributes:
        rows: their rows of the features, (n,) ascending.
        vectors: (n, d) float32.
        part: (n,), from 0; the last one, ``folds``, is held out.
        folds: number of parts to learn from.
    """

    rows: NDArray[np.int64]
    vectors: Tensor
    part: NDArray[np.int64]
    folds: int

    @classmethod
    def deal(
        cls,
        rows: NDArray[np.int64],
        vectors: Tensor,
        *,
        folds: int,
        held_out: float,
        rng: np.random.Generator,
    ) -> Items:
        """Deal items out at random: a share ``held_out`` (a thousand at most), the rest evenly."""
        n = len(rows)
        measured = min(_MOST_HELD_OUT, max(2, round(n * held_out)))
        dealt = np.append(np.full(measured, folds), np.arange(n - measured) % folds)
        return cls(rows, vectors, rng.permutation(dealt), folds)

    def of(self, *parts: int) -> NDArray[np.int64]:
        """Which of the items are in these parts, ascending."""
        return np.flatnonzero(np.isin(self.part, parts))


def learn(
    content: NDArray[np.floating[Any]],
    items: Items,
    adapter: Adapter,
    rng: np.random.Generator,
    progress: str | None = None,
) -> tuple[Affine, Adapter, Agreement]:
    """Learn a modality's projection and adapter.

    What is measured is a projection (and adapter) that has not seen the held-out items; what is
    returned is the projection of all items, with the same penalty.

    Args:
        content: features of the dataset's items, (I, d_m); may be memory-mapped.
        items: those that have a vector.
        adapter: freshly built; ``none`` is not trained.
        rng: for intervals and samples.
        progress: what progress bars on stderr say; no bars when None.
    """
    moments = _moments(content, items, progress)
    learning = moments[: items.folds]
    penalty = PENALTIES[int(np.argmax(cross_validate(learning, PENALTIES)))]
    held_out = items.of(items.folds)
    trial = ridge(total(learning), penalty)
    z, e = _project(trial, content, items, held_out), items.vectors[held_out]
    before = all_agreements(Identity(e.shape[1]), z, e)
    projected = Ranks.of(before, rng)
    adapted = gain = None
    if not isinstance(adapter, Identity):
        adapter = _adapt(adapter, content, items, learning, penalty, rng, progress)
        after = all_agreements(adapter, z, e)
        adapted = Ranks.of(after, rng)
        won = (rank_of_own(after) - rank_of_own(before)) / (len(e) - 1)
        gain = Estimate.of(won, 0.0, rng)
    truth, guess = e.double().numpy(), z.double().numpy()
    mean = total(learning).mean_y()
    errors, floor = ((truth - guess) ** 2).sum(axis=1), ((truth - mean) ** 2).sum(axis=1)
    shared = truth @ mean / (np.linalg.norm(truth, axis=1) * max(np.linalg.norm(mean), 1e-300))
    agreement = Agreement(
        penalty=penalty,
        held_out=len(e),
        r2=Estimate.of(floor - errors, 0.0, rng, per=floor),
        cosine=Estimate.of(np.diag(before), float(shared.mean()), rng),
        projected=projected,
        adapted=adapted,
        gain=gain,
    )
    return ridge(total(moments), penalty), adapter, agreement


def _moments(
    content: NDArray[np.floating[Any]], items: Items, progress: str | None
) -> list[Moments]:
    """Moments of every part, in one pass over the rows."""
    vectors = items.vectors.numpy()
    origin = content[items.rows[0]].astype(np.float64), vectors[0].astype(np.float64)
    moments = [Moments.none(*origin) for _ in range(items.folds + 1)]
    n, size = len(items.rows), max(1, _BLOCK_SIZE // content.shape[1])
    with bar(desc=progress or "", total=n, unit="item", disable=progress is None) as done:
        for start in range(0, n, size):
            block = slice(start, start + size)
            x, y, part = content[items.rows[block]], vectors[block], items.part[block]
            for number, moment in enumerate(moments):
                inside = part == number
                moments[number] = moment + Moments.of(x[inside], y[inside], *origin)
            done.update(len(x))
    return moments


def _adapt(
    adapter: Adapter,
    content: NDArray[np.floating[Any]],
    items: Items,
    learning: list[Moments],
    penalty: float,
    rng: np.random.Generator,
    progress: str | None,
) -> Adapter:
    """Train the adapter on contents as projections see them that have not seen the item.

    The first fold stops the training, the others are learnt from.
    """
    drawn = [
        _draw(items.of(0), _MOST_VALIDATED, rng),
        _draw(items.of(*range(1, items.folds)), _MOST_ADAPTED, rng),
    ]
    chosen = np.concatenate(drawn)
    z = torch.empty(len(chosen), items.vectors.shape[1])
    for fold in range(items.folds):
        others = total(part for number, part in enumerate(learning) if number != fold)
        inside = items.part[chosen] == fold
        z[torch.from_numpy(inside)] = _project(
            ridge(others, penalty), content, items, chosen[inside]
        )
    e, validated = items.vectors[chosen], len(drawn[0])
    learnt, validate = (z[validated:], e[validated:]), (z[:validated], e[:validated])
    return train_adapter(adapter, learnt, validate, progress)


def _draw(which: NDArray[np.int64], most: int, rng: np.random.Generator) -> NDArray[np.int64]:
    return which if len(which) <= most else np.sort(rng.choice(which, most, replace=False))


def _project(
    projection: Affine,
    content: NDArray[np.floating[Any]],
    items: Items,
    which: NDArray[np.int64],
) -> Tensor:
    return torch.from_numpy(projection(content[items.rows[which]])).float()
