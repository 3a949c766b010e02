"""``becam sweep``: one setting in many values; ``becam sweep lambda`` for BeFA's ratio."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from becam.cli.experiment import KeepOption, StoreOption, report, run, wide_console
from becam.cli.options import (
    DatasetArgument,
    DeviceOption,
    FeaturesOption,
    JobsOption,
    LearningRateOption,
    PatienceOption,
    number,
)
from becam.limits import EPOCHS, SEEDS
from becam.terminal import say

if TYPE_CHECKING:
    from becam.experiments.sweep import LambdaSweep

sweep = typer.Typer(no_args_is_help=True)


@sweep.callback()
def _sweep() -> None:
    """Train one setting in many values and draw what it does."""


@sweep.command("lambda")
def sweep_lambda(
    dataset: DatasetArgument,
    output: StoreOption,
    model: Annotated[str, typer.Option("--model", help="The recommender.")] = "bm3",
    model_option: Annotated[
        list[str] | None,
        typer.Option("--model-option", metavar="NAME=VALUE", help="An option of the recommender."),
    ] = None,
    features: FeaturesOption = None,
    lr: LearningRateOption = None,
    epochs: Annotated[int, number(EPOCHS, "--epochs", help="Most epochs.")] = 1000,
    patience: PatienceOption = 10,
    seeds: Annotated[int, number(SEEDS, "--seeds", help="Runs of each, seeds from 0.")] = 5,
    jobs: JobsOption = 1,
    keep_checkpoints: KeepOption = True,
    device: DeviceOption = "auto",
    figure: Annotated[
        Path | None,
        typer.Option(
            "--figure", metavar="FILE", help=".png, .pdf or .svg; default: lambda-*.png in STORE."
        ),
    ] = None,
) -> None:
    """BeFA's ratio lambda from 1/8 to 8 beside no adapter: a table and a figure (the paper's 10).

    The ratio marked * is the one that validation favours: choose by it, not by the test.

    Example: becam sweep lambda DATASET --model bm3 --seeds 5 -o store
    """
    from becam.encoders.spec import slug
    from becam.experiments.grid import Source
    from becam.experiments.store import Store
    from becam.experiments.sweep import lambda_experiment, read_sweep
    from becam.figures.sweep import save_lambda_figure
    from becam.figures.writing import check_format
    from becam.files import check_output_file, check_output_folder
    from becam.options import parse_assignments

    check_output_folder(output)
    if figure is not None:
        check_format(figure)
        check_output_file(figure)
    source = Source.open(dataset, features)
    if figure is None:
        figure = output / f"lambda-{slug(f'{source.name}-{source.features}-{model}')}.png"
    experiment = lambda_experiment(
        source,
        model=model,
        model_options=parse_assignments(model_option or []),
        seeds=range(seeds),
        training={"lr": lr, "epochs": epochs, "patience": patience, "device": device},
    )
    store = Store(output, create=True)
    outcome = run(experiment, store, jobs, keep_checkpoints)
    report(outcome, output)
    found = read_sweep(experiment, store)
    _show(found)
    save_lambda_figure(figure, found)
    say(f"Wrote {figure}")
    raise typer.Exit(1 if outcome.failures else 0)


_SHOWN = ("recall@10", "recall@20", "ndcg@10", "ndcg@20")


def _show(found: LambdaSweep) -> None:
    from rich.table import Table

    table = Table("lambda", "seeds", "validation recall@20", *_SHOWN, title=f"{found.title}: test")
    for point in (found.plain, *found.points):
        mark = " *" if point is found.chosen else ""
        ratio = "without adapter" if point.ratio is None else f"{point.ratio}{mark}"
        spreads = (point.validation, *(point.test(metric) for metric in _SHOWN))
        table.add_row(ratio, str(len(point.runs)), *map(str, spreads))
    wide_console().print(table)
