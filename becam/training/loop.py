"""The training loop, on plain arrays."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from becam.errors import BecamError
from becam.limits import EPOCHS, INTERACTIONS, LEARNING_RATE, WARMUP
from becam.recommenders import Batch, Recommender
from becam.training.ranking import Pairs, UserMetrics, rank_users
from becam.training.sampling import NegativeSampler
from becam.training.state import StateFile
from becam.training.stopping import EarlyStopping

SELECTION_METRIC = "recall@20"

Stopped = Literal["patience", "epochs", "interrupted"]


@dataclass(frozen=True)
class Epoch:
    """What one epoch did: mean loss terms by name, validation metrics, seconds, best so far.

    ``remaining`` is the seconds until training ends unless a better epoch comes. Without
    validation there are no metrics, and the best is the last.
    """

    number: int
    loss: dict[str, float]
    validation: dict[str, float]
    seconds: float
    best_epoch: int
    best: float
    remaining: float


@dataclass(frozen=True)
class Fitted:
    """How training ended; the model itself holds the weights of ``best_epoch``.

    ``seconds`` is the time of all epochs, ``epoch_seconds`` their median, validation included.
    """

    best_epoch: int
    epochs: int
    stopped: Stopped
    seconds: float
    epoch_seconds: float


SCHEDULE = {
    "lr": LEARNING_RATE,
    "batch_size": INTERACTIONS,
    "epochs": EPOCHS,
    "patience": EPOCHS,
    "warmup": WARMUP,
}


@dataclass(frozen=True)
class Schedule:
    """How long and in what steps to train.

    Attributes:
        lr: Adam's learning rate; the model's recipe says how it decays.
        batch_size: interactions a step.
        epochs: most passes over the training interactions.
        patience: epochs without a better validation that end training.
        warmup: first epochs on which patience does not count.
    """

    lr: float
    batch_size: int
    epochs: int
    patience: int
    warmup: int

    def __post_init__(self) -> None:
        for name, limits in SCHEDULE.items():
            limits.check(getattr(self, name), f"--{name.replace('_', '-')}")


def fit(
    model: Recommender,
    train: Pairs,
    validation: Pairs | None,
    schedule: Schedule,
    *,
    on_epoch: Callable[[Epoch], None] = lambda epoch: None,
    state: dict[str, Any] | None = None,
    state_file: StateFile | None = None,
) -> Fitted:
    """Train ``model`` in place and leave it, in eval mode, at its best validation epoch.

    Randomness comes from torch's global generator: see :func:`seeded`. Ctrl-C ends training as if
    it had been the last epoch.

    Args:
        model: A recommender, on the device that trains it.
        train: Training interactions, (n, 2) int64 of [user, item].
        validation: Validation interactions, likewise; Recall@20 on them selects the epoch. None:
            all epochs are trained and the last is kept.
        schedule: How long and in what steps.
        on_epoch: Called after every epoch; what it raises ends the training.
        state: What a training that was killed had kept: go on from there.
        state_file: Where this training keeps its state now and then.

    Raises:
        BecamError: Nothing to train or validate on, a loss that is not a number, Ctrl-C before
            the first epoch was validated.
    """
    check_interactions(train, validation)
    training = _Training(model, train, schedule)
    if state is not None:
        training.restore(state)
    stopped: Stopped = "epochs"
    try:
        while not (ended := training.ended()):
            epoch = training.epoch(validation)
            on_epoch(epoch)
            if state_file is not None and state_file.due():
                state_file.save(training.state())
        stopped = ended
    except KeyboardInterrupt:
        if not training.best_state:
            raise BecamError(
                "Training was stopped before its first epoch ended, so there is nothing to keep."
            ) from None
        stopped = "interrupted"
    model.load_state_dict(training.best_state)
    model.eval()
    seconds = training.seconds
    return Fitted(
        training.stopping.best_epoch,
        len(seconds),
        stopped,
        sum(seconds),
        statistics.median(seconds),
    )


def check_interactions(train: Pairs, validation: Pairs | None) -> None:
    """Raise a BecamError unless there is something to train and, where asked for, to validate."""
    if not len(train):
        raise BecamError(
            "The dataset has no training interactions: prepare it with a lower k-core, or from "
            "more data."
        )
    if validation is not None and not len(validation):
        raise BecamError(
            "The dataset has no validation interactions, so no epoch is the best: prepare it from "
            "users with three interactions or more, or pass --no-validation to train --epochs and "
            "keep the last."
        )


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


class _Training:
    """A training between two epochs: everything that a later process needs to go on alike."""

    def __init__(self, model: Recommender, train: Pairs, schedule: Schedule) -> None:
        self.model, self.schedule, self.train = model, schedule, train
        device = model.user_embedding.device
        self.users, self.items = torch.from_numpy(train).to(device).unbind(dim=1)
        self.sampler = NegativeSampler(train, device) if model.pairwise else None
        self.optimiser = torch.optim.Adam(model.parameters(), lr=schedule.lr, fused=True)
        self.stopping = EarlyStopping(schedule.patience, schedule.warmup)
        self.best_state: dict[str, Tensor] = {}
        self.seconds: list[float] = []

    def ended(self) -> Literal["patience", "epochs"] | None:
        """Why no further epoch is due; None while one is."""
        done = len(self.seconds)
        if self.stopping.exhausted(done):
            return "patience"
        return "epochs" if done >= self.schedule.epochs else None

    def epoch(self, validation: Pairs | None) -> Epoch:
        """One more pass over the interactions, validated where there is something to validate."""
        number = len(self.seconds) + 1
        started = time.perf_counter()
        loss = self._pass(number)
        if not all(abs(value) < float("inf") for value in loss.values()):
            raise BecamError(
                f"The loss stopped being a number in epoch {number}: train with a lower --lr."
            )
        metrics, score = {}, float(number)
        if validation is not None:
            metrics = rank_model(self.model, validation, self.train).mean()
            score = metrics[SELECTION_METRIC]
        if self.stopping.update(number, score):
            state = self.model.state_dict()
            self.best_state = {name: value.detach().clone() for name, value in state.items()}
        self.seconds.append(time.perf_counter() - started)
        deadline = self.schedule.epochs
        if validation is not None:
            deadline = min(deadline, self.stopping.deadline)
        left = max(0, deadline - number)
        return Epoch(
            number,
            loss,
            metrics,
            self.seconds[-1],
            self.stopping.best_epoch,
            self.stopping.best if metrics else 0.0,
            remaining=left * statistics.fmean(self.seconds[-10:]),
        )

    def state(self) -> dict[str, Any]:
        """Tensors and plain values from which :meth:`restore` goes on."""
        return {
            "model": self.model.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "stopping": asdict(self.stopping),
            "best_state": self.best_state,
            "seconds": self.seconds,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Be as the training was whose state this is.

        Raises:
            BecamError: It is of another model.
        """
        try:
            self.model.load_state_dict(state["best_state"])
            self.model.load_state_dict(state["model"])
            self.optimiser.load_state_dict(state["optimiser"])
        except (AttributeError, KeyError, RuntimeError, TypeError, ValueError):
            raise BecamError(
                "The state of this run does not fit its options, so it cannot go on; start it "
                "anew with --overwrite."
            ) from None
        self.stopping.best = state["stopping"]["best"]
        self.stopping.best_epoch = state["stopping"]["best_epoch"]
        self.best_state = state["best_state"]
        self.seconds = state["seconds"]

    def _pass(self, number: int) -> dict[str, float]:
        """One pass in random order; the loss terms' means over batches."""
        model, optimiser = self.model, self.optimiser
        for group in optimiser.param_groups:
            group["lr"] = self.schedule.lr * model.recipe.decay(number)
        model.train()
        model.start_epoch(number)
        order = torch.randperm(len(self.users)).to(self.users.device)
        negatives = None if self.sampler is None else self.sampler.draw(self.users)
        totals: dict[str, Tensor] = {}
        batches = torch.split(order, self.schedule.batch_size)
        for rows in batches:
            batch = Batch(
                self.users[rows],
                self.items[rows],
                None if negatives is None else negatives[rows],
            )
            terms = model.loss(batch) | model.penalties()
            optimiser.zero_grad()
            torch.stack(list(terms.values())).sum().backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            for name, term in terms.items():
                totals[name] = totals.get(name, 0) + term.detach()
        return {name: float(total) / len(batches) for name, total in totals.items()}
