"""``becam experiment``: a grid of trainings from a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from becam.cli.options import JobsOption
from becam.terminal import console, say

if TYPE_CHECKING:
    from rich.console import Console

    from becam.experiments.grid import Experiment
    from becam.experiments.runner import Outcome
    from becam.experiments.store import Store

# Room for a table in a file or a pipe.
_WIDTH = 140

StoreOption = Annotated[
    Path,
    typer.Option(
        "-o",
        "--output",
        metavar="STORE",
        help="Folder for all results; what is in it already is not run again.",
    ),
]
KeepOption = Annotated[
    bool,
    typer.Option(
        "--keep-checkpoints/--discard-checkpoints",
        help="Checkpoints serve becam explain; tables need none.",
    ),
]


def experiment(
    config: Annotated[Path, typer.Argument(metavar="CONFIG.yaml", help="What to train, as above.")],
    output: StoreOption,
    jobs: JobsOption = 1,
    keep_checkpoints: KeepOption = True,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Say what would be trained and what is done, and leave."),
    ] = False,
) -> None:
    """Train a grid of datasets, recommenders, adapters and seeds, as a YAML file says.

    \b
    datasets: \\[hm]                      # folders, from the file's own
    models: \\[bm3, {name: mgcn, options: {contrast_weight: 0.01}}]
    adapters: \\[none, befa, lora]
    seeds: 5                            # 0 to 4
    train: {patience: 20}               # options of becam train
    search: {trials: 8, epochs: 200}    # optional: tune every row first

    The same command goes on where a kill or Ctrl-C left it and trains nothing twice. A run that
    fails is reported, the others go on, and the exit status is 1. Hyper-parameters are chosen on
    validation only.

    Example: becam experiment hm.yaml -o store --jobs 4
    """
    import os

    from becam.experiments.config import load_experiment
    from becam.experiments.runner import check_experiment
    from becam.experiments.store import DATABASE, Store
    from becam.files import check_output_folder

    check_output_folder(output)
    loaded = load_experiment(config)
    if dry_run:
        check_experiment(loaded)
        _show(loaded, Store(output) if os.path.lexists(output / DATABASE) else None)
        return
    outcome = run(loaded, Store(output, create=True), jobs, keep_checkpoints)
    report(outcome, output)
    raise typer.Exit(1 if outcome.failures else 0)


def run(experiment: Experiment, store: Store, jobs: int, keep_checkpoints: bool) -> Outcome:
    """Run what is missing, with its progress on stderr."""
    from becam.experiments.runner import run_experiment

    return run_experiment(experiment, store, jobs=jobs, keep_checkpoints=keep_checkpoints)


def report(outcome: Outcome, output: Path) -> None:
    """Say what came of it."""
    say(f"{outcome.trained} runs trained, {outcome.present} were in {output} already.")
    for title, sentence in outcome.failures.items():
        say(f"Failed: {title}: {sentence}", err=True)
    if outcome.failures:
        say("The same command tries what failed again.", err=True)


def wide_console() -> Console:
    """Standard output, wide where no terminal says how wide it is."""
    found = console()
    return found if found.is_terminal else console(width=_WIDTH)


def _show(experiment: Experiment, store: Store | None) -> None:
    from rich.table import Table

    from becam.experiments.runner import status

    rows = status(experiment, store)
    columns = ["dataset", "features", "model", "adapter", "label", "runs done", "missing"]
    table = Table(*columns, *(["trials done", "missing"] if experiment.search else []))
    for row in rows:
        counts = [row.runs_done, row.runs - row.runs_done]
        if experiment.search:
            counts += [row.trials_done, row.trials - row.trials_done]
        table.add_row(*row.row.cell, *map(str, counts))
    wide_console().print(table)
    runs, done = sum(row.runs for row in rows), sum(row.runs_done for row in rows)
    say(f"{runs} runs: {done} done, {runs - done} missing.")
