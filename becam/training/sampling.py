"""Negative items for pairwise losses, drawn without a loop over users or interactions."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from becam.training.ranking import Pairs

# A user who has almost everything is drawn for again this often; then the draw stands.
_ROUNDS = 100


class NegativeSampler:
    """Uniform items of the training split that the user has not chosen in it.

    Args:
        train: Training interactions, (n, 2) int64 of [user, item].
        device: Where the negatives are wanted.
    """

    def __init__(self, train: Pairs, device: torch.device) -> None:
        self._pool = torch.from_numpy(np.unique(train[:, 1])).to(device)
        self._span = int(train[:, 1].max()) + 1
        keys = np.unique(train[:, 0] * np.int64(self._span) + train[:, 1])
        self._taken = torch.from_numpy(keys).to(device)

    def draw(self, users: Tensor) -> Tensor:
        """One negative for each user (n,), from torch's global generator; (n,) int64."""
        items = self._pool[torch.randint(len(self._pool), users.shape, device=users.device)]
        pending = torch.arange(len(users), device=users.device)
        for _ in range(_ROUNDS):
            pending = pending[self._chosen(users[pending], items[pending])]
            if not len(pending):
                break
            again = torch.randint(len(self._pool), pending.shape, device=users.device)
            items[pending] = self._pool[again]
        return items

    def _chosen(self, users: Tensor, items: Tensor) -> Tensor:
        keys = users * self._span + items
        at = torch.searchsorted(self._taken, keys).clamp_(max=len(self._taken) - 1)
        return self._taken[at] == keys
