"""All-ranking evaluation: every item is ranked for every user, in chunks and without loops."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

CUTOFFS = (5, 10, 20, 50)

# Scores held at once: 64 MiB of float32.
_CHUNK_SCORES = 1 << 24

Pairs = NDArray[np.int64]


class UserMetrics(NamedTuple):
    """Metrics of single users: ``users`` (n,) ascending, ``values[name]`` (n,) float64."""

    users: NDArray[np.int64]
    values: dict[str, NDArray[np.float64]]

    def mean(self) -> dict[str, float]:
        """Every metric's mean over the users."""
        return {name: float(values.mean()) for name, values in self.values.items()}


def rank_users(
    score: Callable[[Tensor], Tensor],
    n_items: int,
    positives: Pairs,
    masked: Pairs,
    *,
    device: torch.device | str = "cpu",
) -> UserMetrics:
    """Recall@K and NDCG@K of every user who has a positive, K in ``CUTOFFS``.

    Recall@K = hits / |positives|; NDCG@K has binary gains and its ideal is cut at
    min(K, |positives|).

    Args:
        score: Maps users (B,) int64 on ``device`` to a new tensor of scores (B, I), higher first;
            among equal scores the order is torch's.
        n_items: Number of items I.
        positives: (n, 2) of [user, item]: what should rank high. At least one.
        masked: (m, 2) of [user, item]: never ranked, such as training interactions.
        device: Where the ranking runs.

    Returns:
        The metrics as ``recall@5``, ..., ``ndcg@50``.
    """
    users, row_of, counts = _by_user(positives)
    # One sorted key per (row, item) turns "is it a positive" into a binary search.
    keys = torch.from_numpy(np.sort(row_of * n_items + positives[:, 1])).to(device)
    rows, columns, bounds = _masks(masked, users)
    rows_t, columns_t = torch.from_numpy(rows).to(device), torch.from_numpy(columns).to(device)
    users_t = torch.from_numpy(users).to(device)

    depth = min(max(CUTOFFS), n_items)
    chunk = max(1, _CHUNK_SCORES // n_items)
    hits = torch.empty(len(users), depth, dtype=torch.bool, device=device)
    for start in range(0, len(users), chunk):
        stop = min(start + chunk, len(users))
        scores = score(users_t[start:stop])
        span = slice(bounds[start], bounds[stop])
        scores[rows_t[span] - start, columns_t[span]] = -torch.inf
        best = scores.topk(depth)
        found = best.indices + torch.arange(start, stop, device=device)[:, None] * n_items
        at = torch.searchsorted(keys, found).clamp_(max=len(keys) - 1)
        hits[start:stop] = (keys[at] == found) & (best.values > -torch.inf)
    return UserMetrics(users, _metrics(hits.cpu().numpy(), counts))


def random_metrics(n_items: int, positives: Pairs, masked: Pairs) -> UserMetrics:
    """What a uniformly random order scores for every user, in expectation and exactly.

    With n items left after masking, each of them stands at any rank with probability 1/n. Arguments
    and result are those of :func:`rank_users`.
    """
    users, _, counts = _by_user(positives)
    left = n_items - np.diff(_masks(masked, users)[2])
    values: dict[str, NDArray[np.float64]] = {}
    gains = np.concatenate([[0.0], np.cumsum(_discounts(max(CUTOFFS)))])
    for k in CUTOFFS:
        values[f"recall@{k}"] = np.minimum(1.0, k / left)
    for k in CUTOFFS:
        expected = gains[np.minimum(k, left)] * counts / left
        values[f"ndcg@{k}"] = expected / gains[np.minimum(k, counts)]
    return UserMetrics(users, values)


def popularity_scores(train: Pairs, n_items: int) -> Tensor:
    """Scores (I,) float64 that rank items by training interactions, ties by lower index."""
    counts = np.bincount(train[:, 1], minlength=n_items)
    scores = np.empty(n_items)
    scores[np.argsort(-counts, kind="stable")] = -np.arange(n_items)
    return torch.from_numpy(scores)


def popularity_metrics(train: Pairs, n_items: int, positives: Pairs, masked: Pairs) -> UserMetrics:
    """What recommending the most popular items scores; see :func:`rank_users`."""
    scores = popularity_scores(train, n_items)
    return rank_users(
        lambda users: scores.expand(len(users), -1).clone(), n_items, positives, masked
    )


def _metrics(hits: NDArray[np.bool_], counts: NDArray[np.int64]) -> dict[str, NDArray[np.float64]]:
    depth = hits.shape[1]
    found = np.cumsum(hits, axis=1)
    gain = np.cumsum(hits * _discounts(depth), axis=1)
    ideal = np.concatenate([[0.0], np.cumsum(_discounts(max(CUTOFFS)))])
    last = {k: min(k, depth) - 1 for k in CUTOFFS}
    recall = {f"recall@{k}": found[:, last[k]] / counts for k in CUTOFFS}
    ndcg = {f"ndcg@{k}": gain[:, last[k]] / ideal[np.minimum(k, counts)] for k in CUTOFFS}
    return recall | ndcg


def _discounts(depth: int) -> NDArray[np.float64]:
    discounts: NDArray[np.float64] = 1.0 / np.log2(np.arange(2, depth + 2))
    return discounts


def _by_user(
    positives: Pairs,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    users, rows, counts = np.unique(positives[:, 0], return_inverse=True, return_counts=True)
    return users, rows, counts


def _masks(
    masked: Pairs, users: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Rows and columns to mask, sorted by row, and where each of the ``users``' rows begins."""
    rows = np.searchsorted(users, masked[:, 0])
    known = users[np.minimum(rows, len(users) - 1)] == masked[:, 0]
    rows, columns = rows[known], masked[known, 1]
    order = np.argsort(rows, kind="stable")
    rows, columns = rows[order], columns[order]
    return rows, columns, np.searchsorted(rows, np.arange(len(users) + 1))
