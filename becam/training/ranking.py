"""All-ranking evaluation: every item is ranked for every user, in chunks and without loops."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from becam.errors import BecamError
from becam.memory import Batches

CUTOFFS = (5, 10, 20, 50)

# Scores held at once: 8 MiB of float32, which caches hold.
_CHUNK_SCORES = 1 << 21

_UNRANKED = np.iinfo(np.int64).max

Pairs = NDArray[np.int64]


class UserMetrics(NamedTuple):
    """Metrics of single users: ``users`` (n,) ascending, ``values[name]`` (n,) float64."""

    users: NDArray[np.int64]
    values: dict[str, NDArray[np.float64]]

    @classmethod
    def of(cls, arrays: Mapping[str, NDArray[Any]], *, where: str, remedy: str) -> UserMetrics:
        """Metrics from arrays as they are kept: ``users``, and one a metric.

        Args:
            arrays: by name.
            where: what held them, to begin a sentence.
            remedy: what the user can do about damaged ones.

        Raises:
            BecamError: they are not such arrays.
        """
        values = dict(arrays)
        users = values.pop("users", np.empty(0))
        fits = users.ndim == 1 and np.issubdtype(users.dtype, np.integer)
        for name, metric in values.items():
            if not fits or metric.shape != users.shape or metric.dtype != np.float64:
                raise BecamError(f"{where} is damaged: {name} is not a number a user; {remedy}.")
        if not fits:
            raise BecamError(f"{where} is damaged: it has no users; {remedy}.")
        return cls(users, values)

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
            among equal scores the item of lower index stands first.
        n_items: Number of items I.
        positives: (n, 2) of [user, item]: what should rank high.
        masked: (m, 2) of [user, item]: never ranked, such as training interactions.
        device: Where the ranking runs.

    Returns:
        The metrics as ``recall@5``, ..., ``ndcg@50``; none where there are no positives.
    """
    users, row_of, counts = _by_user(positives)
    if not len(users):
        return UserMetrics(users, {})
    order = np.argsort(row_of, kind="stable")
    bounds = np.concatenate([[0], np.cumsum(counts)])
    # The k-th positive of each user: those of one k are ranked in one sweep over the scores.
    turn = torch.from_numpy(np.arange(len(order)) - bounds[row_of[order]]).to(device)
    row_t = torch.from_numpy(row_of[order]).to(device)
    column_t = torch.from_numpy(positives[order, 1]).to(device)
    masked_rows, masked_columns, masked_bounds = _masks(masked, users)
    masked_rows_t = torch.from_numpy(masked_rows).to(device)
    masked_columns_t = torch.from_numpy(masked_columns).to(device)
    users_t = torch.from_numpy(users).to(device)

    ranks = torch.empty(len(order), dtype=torch.int64, device=device)

    def rank(rows: range) -> None:
        start, stop = rows.start, rows.stop
        scores = score(users_t[start:stop])
        hidden = slice(masked_bounds[start], masked_bounds[stop])
        scores[masked_rows_t[hidden] - start, masked_columns_t[hidden]] = -torch.inf
        span = slice(bounds[start], bounds[stop])
        ranks[span] = _ranks(scores, row_t[span] - start, column_t[span], turn[span])

    for _ in Batches(max(1, _CHUNK_SCORES // n_items), "users").split(range(len(users)), rank):
        pass
    return UserMetrics(users, _metrics(ranks.cpu().numpy(), row_of[order], counts))


def _ranks(scores: Tensor, rows: Tensor, columns: Tensor, turn: Tensor) -> Tensor:
    """How many items stand before each positive, (n,) int64; ``_UNRANKED`` where it is masked.

    Counting them takes a fraction of the time of sorting the best ones out.
    """
    ranks = torch.empty(len(rows), dtype=torch.int64, device=scores.device)
    ones = torch.ones(scores.shape[1], dtype=scores.dtype, device=scores.device)
    for k in range(int(turn.max()) + 1):
        at = (turn == k).nonzero().squeeze(1)
        row, column = rows[at], columns[at]
        whole = len(row) == len(scores)
        block = scores if whole else scores[row]
        own = scores[row, column][:, None]
        before = torch.gt(block, own, out=torch.empty_like(block)).mv(ones).long()
        near = (before < max(CUTOFFS)).nonzero().squeeze(1)
        equal = block[near] == own[near]
        tied = (equal.sum(dim=1) > 1).nonzero().squeeze(1)
        if len(tied):
            earlier = torch.arange(scores.shape[1], device=scores.device) < column[near[tied], None]
            before[near[tied]] += (equal[tied] & earlier).sum(dim=1)
        # Not so: masked, or not a number.
        before[~(own.squeeze(1) > -torch.inf)] = _UNRANKED
        ranks[at] = before
    return ranks


def random_metrics(n_items: int, positives: Pairs, masked: Pairs) -> UserMetrics:
    """What a uniformly random order scores for every user, in expectation and exactly.

    With n items left after masking, each of them stands at any rank with probability 1/n. Arguments
    and result are those of :func:`rank_users`.
    """
    users, _, counts = _by_user(positives)
    if not len(users):
        return UserMetrics(users, {})
    left = n_items - np.diff(_masks(masked, users)[2])
    values: dict[str, NDArray[np.float64]] = {}
    gains = np.concatenate([[0.0], np.cumsum(_discounts(max(CUTOFFS)))])
    for k in CUTOFFS:
        values[f"recall@{k}"] = np.minimum(1.0, k / left)
    for k in CUTOFFS:
        expected = gains[np.minimum(k, left)] * counts / left
        values[f"ndcg@{k}"] = expected / gains[np.minimum(k, counts)]
    return UserMetrics(users, values)


def popularity_metrics(train: Pairs, n_items: int, positives: Pairs, masked: Pairs) -> UserMetrics:
    """What recommending the most popular items scores; see :func:`rank_users`."""
    scores = torch.from_numpy(np.bincount(train[:, 1], minlength=n_items).astype(np.float32))
    return rank_users(
        lambda users: scores.expand(len(users), -1).clone(), n_items, positives, masked
    )


def _metrics(
    ranks: NDArray[np.int64], rows: NDArray[np.int64], counts: NDArray[np.int64]
) -> dict[str, NDArray[np.float64]]:
    """Metrics of every user out of the ranks (n,) of the positives in the users' rows (n,)."""
    deepest = max(CUTOFFS)
    discounts = np.append(_discounts(deepest), 0.0)
    gains = discounts[np.minimum(ranks, deepest)]
    ideal = np.concatenate([[0.0], np.cumsum(_discounts(deepest))])
    recall, ndcg = {}, {}
    for k in CUTOFFS:
        hit = ranks < k
        recall[f"recall@{k}"] = np.bincount(rows, hit, len(counts)) / counts
        gain = np.bincount(rows, np.where(hit, gains, 0.0), len(counts))
        ndcg[f"ndcg@{k}"] = gain / ideal[np.minimum(k, counts)]
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
