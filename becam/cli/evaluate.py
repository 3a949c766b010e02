"""``becam evaluate``: a checkpoint's metrics, computed again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from becam.cli.options import DatasetArgument
from becam.terminal import console, say


def evaluate(
    checkpoint: Annotated[
        Path,
        typer.Argument(metavar="CKPT", help="befa.pt, or the folder of the run that wrote it."),
    ],
    dataset: DatasetArgument,
) -> None:
    """Score a checkpoint on its dataset's test split again, beside popularity and chance.

    Exit status 0 says that the stored metrics came out again to the last digit, 1 that they did
    not.

    Example: becam evaluate run/befa.pt DATASET
    """
    from rich.table import Table

    from becam.checkpoint import Checkpoint
    from becam.data.dataset import Dataset
    from becam.training import evaluate as evaluate_checkpoint

    result = evaluate_checkpoint(Checkpoint.load(checkpoint), Dataset.open(dataset))
    table = Table("test", "checkpoint", "stored", "popularity", "random")
    for name, value in result.test.items():
        others = (result.stored.get(name, float("nan")), result.popularity[name])
        table.add_row(name, *(f"{x:.6f}" for x in (value, *others, result.random[name])))
    console().print(table)
    if not result.reproduced:
        differing = [n for n, value in result.test.items() if result.stored.get(n) != value]
        gap = max(
            abs(result.test[n] - result.stored.get(n, 0.0)) for n in differing or ["recall@20"]
        )
        say(f"The stored test metrics differ, by up to {gap:.1e}: {', '.join(differing)}.")
        raise typer.Exit(1)
    say("The stored test metrics came out again, to the last digit.")
