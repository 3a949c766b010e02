"""BM3 with and without BeFA on any dataset with features, over seeds, against the baselines.

    python benchmarks/recommenders.py DATASET --seeds 3 -o runs

Runs that are there already are read, not trained again. Prints test Recall@20 and NDCG@20, mean and
standard deviation over the seeds, beside popularity and random, and each row's parameters and time.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from becam import Checkpoint, Dataset, train
from becam.checkpoint import CHECKPOINT_NAME
from becam.encoders.spec import slug
from becam.training.scoring import baselines

ROWS = {"BM3": {"adapter": "none"}, "BM3 + BeFA": {"adapter": "befa"}}
RELEASED = {"BM3 + BeFA (released)": {"adapter": "befa", "befa_variant": "released"}}
METRICS = ("recall@20", "ndcg@20")


def main() -> None:
    """Train what is missing and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dataset", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--features")
    parser.add_argument("--released", action="store_true", help="BeFA's released variant as well")
    parser.add_argument("--epochs", type=int, default=1000)
    arguments = parser.parse_args()
    dataset = Dataset.open(arguments.dataset)
    table = Table(title=f"{dataset.manifest.name}: test metrics over {arguments.seeds} seeds")
    for column in ("", *METRICS, "validation recall@20", "epoch", "seconds", "parameters"):
        table.add_column(column, justify="right")
    for name, floor in baselines(dataset, mask_validation=False).items():
        table.add_row(name, *(f"{floor[metric]:.4f}" for metric in METRICS), "", "", "", "")
    for name, options in (ROWS | (RELEASED if arguments.released else {})).items():
        runs = [
            _run(dataset, arguments, name, {**options, "seed": seed})
            for seed in range(arguments.seeds)
        ]
        checkpoints = [checkpoint for checkpoint, _ in runs]
        test = [_spread([c.metrics["test"][metric] for c in checkpoints]) for metric in METRICS]
        validation = _spread([c.metrics["validation"]["recall@20"] for c in checkpoints])
        epochs = ", ".join(str(c.metrics["epoch"]) for c in checkpoints)
        seconds = ", ".join(f"{s:.0f}" for _, s in runs)
        parameters = f"{checkpoints[0].training['parameters']:,}"
        table.add_row(name, *test, validation, epochs, seconds, parameters)
    Console(width=140).print(table)


def _run(
    dataset: Dataset, arguments: argparse.Namespace, name: str, options: dict
) -> tuple[Checkpoint, float]:
    folder = arguments.output / f"{slug(name.lower())}-{options['seed']}"
    clock = folder / "seconds.json"
    if (folder / CHECKPOINT_NAME).is_file() and clock.is_file():
        return Checkpoint.load(folder), json.loads(clock.read_text())
    started = time.perf_counter()
    checkpoint = train(
        dataset,
        features=arguments.features,
        epochs=arguments.epochs,
        output=folder,
        overwrite=True,
        **options,
    )
    seconds = time.perf_counter() - started
    clock.write_text(json.dumps(seconds))
    return checkpoint, seconds


def _spread(values: list[float]) -> str:
    return f"{np.mean(values):.4f} ± {np.std(values, ddof=1) if len(values) > 1 else 0:.4f}"


if __name__ == "__main__":
    main()
