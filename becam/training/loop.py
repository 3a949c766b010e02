"""The training loop, on plain arrays."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from becam.errors import BecamError
from becam.recommenders import Batch, Recommender
from becam.training.ranking import Pairs, UserMetrics, rank_users
from becam.training.stopping import EarlyStopping

SELECTION_METRIC = "recall@20"

Stopped = Literal["patience", "epochs", "interrupted"]


@dataclass(frozen=True)
class Epoch:
    """What one epoch did: mean loss terms by name, validation metrics, seconds, best so far."""

    number: int
    loss: dict[str, float]
    validation: dict[str, float]
    seconds: float
    best_epoch: int
    best: float


@dataclass(frozen=True)
class Fitted:
    """How training ended; the model itself holds the weights of ``best_epoch``."""

    best_epoch: int
    epochs: int
    stopped: Stopped


def fit(
    model: Recommender,
    train: Pairs,
    validation: Pairs,
    *,
    lr: float,
    batch_size: int,
    epochs: int,
    patience: int,
    warmup: int,
    on_epoch: Callable[[Epoch], None] = lambda epoch: None,
) -> Fitted:
    """Train ``model`` in place and leave it, in eval mode, at its best validation epoch.

    Randomness comes from torch's global generator: see :func:`seeded`. Ctrl-C ends training as if
    it had been the last epoch.

    Args:
        model: A recommender, on the device that trains it.
        train: Training interactions, (n, 2) int64 of [user, item].
        validation: Validation interactions, likewise; Recall@20 on them selects the epoch.
        lr: Adam's learning rate.
        batch_size: Interactions a step.
        epochs: Most passes over the training interactions.
        patience: Epochs without a better validation that end training.
        warmup: First epochs on which patience does not count.
        on_epoch: Called after every epoch.

    Raises:
        BecamError: Nothing to train or validate on, a loss that is not a number, Ctrl-C before
            the first epoch was validated.
    """
    if not len(train) or not len(validation):
        raise BecamError(
            "The dataset has no training or no validation interactions: prepare it with a lower "
            "k-core, or from more data."
        )
    device = model.user_embedding.device
    users, items = torch.from_numpy(train).to(device).unbind(dim=1)
    optimiser = torch.optim.Adam(model.parameters(), lr=lr, fused=True)
    stopping = EarlyStopping(patience, warmup)
    best_state: dict[str, Tensor] = {}
    stopped: Stopped = "epochs"
    number = 0
    try:
        for number in range(1, epochs + 1):
            started = time.perf_counter()
            loss = _epoch(model, optimiser, users, items, batch_size)
            if not all(map(_finite, loss.values())):
                raise BecamError(
                    f"The loss stopped being a number in epoch {number}: train with a lower --lr."
                )
            metrics = rank_model(model, validation, train).mean()
            if stopping.update(number, metrics[SELECTION_METRIC]):
                best_state = {k: v.detach().clone() for k, v in model.state_dict().items()}
            seconds = time.perf_counter() - started
            on_epoch(Epoch(number, loss, metrics, seconds, stopping.best_epoch, stopping.best))
            if stopping.exhausted(number):
                stopped = "patience"
                break
    except KeyboardInterrupt:
        if not best_state:
            raise BecamError(
                "Training was stopped before its first epoch ended, so there is nothing to keep."
            ) from None
        stopped = "interrupted"
    model.load_state_dict(best_state)
    model.eval()
    return Fitted(stopping.best_epoch, number, stopped)


def rank_model(model: Recommender, positives: Pairs, masked: Pairs) -> UserMetrics:
    """Rank all items for every user with a positive by the model's scores, without dropout."""
    model.eval()
    with torch.no_grad():
        users, items = model.embeddings()
        return rank_users(
            lambda rows: users[rows] @ items.T, len(items), positives, masked, device=items.device
        )


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Draw from ``seed`` inside the block and leave the caller's random state as it was."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield


def _epoch(
    model: Recommender,
    optimiser: torch.optim.Optimizer,
    users: Tensor,
    items: Tensor,
    batch_size: int,
) -> dict[str, float]:
    """One pass in random order; the loss terms' means over batches."""
    model.train()
    totals: dict[str, Tensor] = {}
    batches = torch.split(torch.randperm(len(users)).to(users.device), batch_size)
    for rows in batches:
        terms = model.loss(Batch(users[rows], items[rows]))
        optimiser.zero_grad()
        torch.stack(list(terms.values())).sum().backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        for name, term in terms.items():
            totals[name] = totals.get(name, 0) + term.detach()
    return {name: float(total) / len(batches) for name, total in totals.items()}


def _finite(value: float) -> bool:
    return abs(value) < float("inf")
