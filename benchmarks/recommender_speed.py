"""CPU seconds and memory of training, on generated purchases at H&M's scale and beyond.

    python benchmarks/recommender_speed.py                    # 20k users, 17k items, 370k pairs
    python benchmarks/recommender_speed.py --scale 10 --models freedom
    python benchmarks/recommender_speed.py --dataset FOLDER --models freedom --modes frozen \\
        --batches 3 --batch-size 65536

One thread. Each row runs in a process of its own. ``--batches`` times that many steps of the epoch
and extrapolates; validation is then left out. Set-up is everything before the first step but the
neighbours, which are found once and kept on disk by ``becam train``.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from becam.data.dataset import Dataset
from becam.devices import kept_heap
from becam.recommenders import RECOMMENDERS, TrainingData, create_recommender
from becam.recommenders.knn import find_neighbours
from becam.training.loop import Schedule, _Training, rank_model, seeded
from becam.training.scoring import load_features

USERS, ITEMS, PAIRS = 20_000, 17_000, 370_000
WARM_UP = 4
"""Steps before the clock starts: the first ones fill the heap."""


@dataclass(frozen=True)
class Work:
    """One row: what is trained on how much."""

    model: str
    adapter: str
    mode: str
    scale: int
    dim: int
    batch_size: int
    batches: int | None
    dataset: Path | None


@dataclass(frozen=True)
class Cost:
    """CPU seconds of each part, and the peak of resident memory in MiB."""

    neighbours: float
    setup: float
    epoch: float
    validation: float | None
    memory: float
    steps: int


def purchases(scale: int, rng: np.random.Generator) -> np.ndarray:
    """Distinct pairs with a heavy tail of popular items, (n, 2), sorted."""
    users, items, count = USERS * scale, ITEMS * scale, PAIRS * scale
    popularity = np.cumsum(1 / (np.arange(items) + 20.0) ** 0.8)
    drawn = np.searchsorted(popularity, rng.random(count + count // 4) * popularity[-1])
    keys = np.unique(rng.integers(users, size=len(drawn)) * items + drawn)
    keys = np.sort(rng.choice(keys, min(count, len(keys)), replace=False))
    return np.stack([keys // items, keys % items], axis=1)


def data(work: Work) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """Training and validation pairs and features, generated or of a prepared dataset."""
    if work.dataset is not None:
        dataset = Dataset.open(work.dataset)
        features = load_features(dataset.feature_set())
        return dataset.interactions("train"), dataset.interactions("validation"), features
    rng = np.random.default_rng(0)
    pairs = purchases(work.scale, rng)
    label = rng.choice(3, len(pairs), p=[0.8, 0.1, 0.1])
    size = (ITEMS * work.scale, work.dim)
    features = {m: rng.standard_normal(size, dtype=np.float32) for m in ("image", "text")}
    return pairs[label == 0], pairs[label == 1], features


def measure(work: Work) -> Cost:
    """Train one epoch, or some steps of it, and validate."""
    torch.set_num_threads(1)
    train, validation, features = data(work)
    n_items = len(next(iter(features.values())))
    n_users = int(max(train[:, 0].max(), validation[:, 0].max())) + 1
    clock = time.process_time
    spent = [0.0]

    def timed_neighbours(x, k):
        started = clock()
        found = find_neighbours(x, k)
        spent[0] += clock() - started
        return found

    with kept_heap(), seeded(0):
        started = clock()
        model = create_recommender(
            work.model,
            TrainingData(n_users, n_items, train, features),
            adapter=work.adapter,
            features_mode=work.mode,
            find_neighbours=timed_neighbours,
        )
        training = _Training(model, train, Schedule(1e-3, work.batch_size, 9, 9, 0))
        setup = clock() - started - spent[0]
        steps = -(-len(train) // work.batch_size)
        users, items = training.users, training.items
        few = work.batch_size * WARM_UP
        training.users, training.items = users[:few], items[:few]
        training._pass(1)
        timed = steps if work.batches is None else min(work.batches, steps)
        training.users, training.items = (x[: timed * work.batch_size] for x in (users, items))
        started = clock()
        training._pass(2)
        epoch = (clock() - started) * steps / timed
        started = clock()
        if work.batches is None:
            rank_model(model, validation, train)
        seconds = clock() - started if work.batches is None else None
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return Cost(spent[0], setup, epoch, seconds, memory, steps)


def main() -> None:
    """Measure every asked combination and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scale", type=int, default=1)
    parser.add_argument("--dataset", type=Path, help="a prepared one in place of generated data")
    parser.add_argument("--models", nargs="+", default=["bm3", "freedom", "mgcn", "lattice"])
    parser.add_argument("--adapters", nargs="+", default=["none"])
    parser.add_argument("--modes", nargs="+", default=["trainable", "frozen"])
    parser.add_argument("--dim", type=int, default=512, help="width of image and of text features")
    parser.add_argument("--batch-size", type=int, default=2048)
    parser.add_argument("--batches", type=int, help="time this many steps and extrapolate")
    arguments = parser.parse_args()
    table = Table(title=f"{_describe(arguments)}; CPU seconds, one thread")
    for heading in ("model", "adapter", "features"):
        table.add_column(heading)
    for heading in ("neighbours", "set-up", "epoch", "validation", "both", "steps", "peak MiB"):
        table.add_column(heading, justify="right")
    console = Console(width=120)
    context = multiprocessing.get_context("spawn")
    for model in arguments.models:
        for adapter in arguments.adapters:
            for mode in arguments.modes:
                work = Work(
                    RECOMMENDERS[model].name,
                    adapter,
                    mode,
                    arguments.scale,
                    arguments.dim,
                    arguments.batch_size,
                    arguments.batches,
                    arguments.dataset,
                )
                with context.Pool(1) as pool:
                    cost = pool.apply(measure, (work,))
                both = None if cost.validation is None else cost.epoch + cost.validation
                table.add_row(
                    model,
                    adapter,
                    mode,
                    *(f"{x:.2f}" for x in (cost.neighbours, cost.setup, cost.epoch)),
                    *("-" if x is None else f"{x:.2f}" for x in (cost.validation, both)),
                    f"{cost.steps:,}",
                    f"{cost.memory:,.0f}",
                )
    console.print(table)


def _describe(arguments: argparse.Namespace) -> str:
    if arguments.dataset is not None:
        return f"{arguments.dataset}, batches of {arguments.batch_size:,}"
    sizes = ", ".join(
        f"{size * arguments.scale:,} {name}"
        for size, name in ((USERS, "users"), (ITEMS, "items"), (PAIRS, "interactions"))
    )
    return f"{sizes}; features 2 x {arguments.dim}; batches of {arguments.batch_size:,}"


if __name__ == "__main__":
    main()
