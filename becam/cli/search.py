"""``becam search``: good options for one recommender with one adapter."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from becam.cli.experiment import StoreOption, wide_console
from becam.cli.options import (
    DatasetArgument,
    DeviceOption,
    FeaturesOption,
    PatienceOption,
    SeedOption,
    number,
)
from becam.limits import EPOCHS, LEARNING_RATE, TRIALS
from becam.terminal import say

if TYPE_CHECKING:
    from becam.experiments.search import Tuning


def search(
    dataset: DatasetArgument,
    output: StoreOption,
    model: Annotated[str, typer.Option("--model", help="The recommender to tune.")] = "bm3",
    model_option: Annotated[
        list[str] | None,
        typer.Option(
            "--model-option", metavar="NAME=VALUE", help="Fix an option of the recommender."
        ),
    ] = None,
    adapter: Annotated[str, typer.Option("--adapter", help="The adapter to tune.")] = "befa",
    adapter_option: Annotated[
        list[str] | None,
        typer.Option("--adapter-option", metavar="NAME=VALUE", help="Fix an option of it."),
    ] = None,
    lr: Annotated[
        float | None, number(LEARNING_RATE, "--lr", help="Fix the learning rate.")
    ] = None,
    features: FeaturesOption = None,
    trials: Annotated[int, number(TRIALS, "--trials", help="How many trainings, at most.")] = 20,
    epochs: Annotated[int, number(EPOCHS, "--epochs", help="Most epochs of each.")] = 200,
    patience: PatienceOption = 10,
    seed: SeedOption = 0,
    device: DeviceOption = "auto",
) -> None:
    """Tune what --model-option, --adapter-option and --lr do not fix, by validation Recall@20.

    The values to try are those that becam models lists. The first trial has the defaults; a space
    with no more points than --trials is gone through, a larger one sampled (TPE), and hopeless
    trials end early. The test split is never scored. The same command goes on where it was stopped,
    and more --trials go on from those there are.

    Example: becam search DATASET --model mgcn --adapter befa --trials 20 -o store
    """
    from becam.experiments.board import Board
    from becam.experiments.grid import SearchSettings, Source, make_row
    from becam.experiments.search import Searches
    from becam.experiments.store import Store
    from becam.files import check_output_folder
    from becam.options import parse_assignments

    check_output_folder(output)
    row = make_row(
        Source.open(dataset, features),
        model=model,
        model_options=parse_assignments(model_option or []),
        adapter=adapter,
        adapter_options=parse_assignments(adapter_option or []),
        training={"lr": lr, "epochs": epochs, "patience": patience, "device": device},
    )
    settings = SearchSettings(trials, epochs, seed)
    store = Store(output, create=True)
    with store.filling():
        searches = Searches(store, settings)
        with (
            Board(settings.budget(row), searches.done(row)) as board,
            board.line(row.title) as show,
        ):
            tuning = searches.run(
                row, on_epoch=show, on_trial=lambda trial: board.ended(trial.words)
            )
    _show(tuning)
    say("The best again, and scored on the test split:")
    say(tuning.command())


def _show(tuning: Tuning) -> None:
    from rich.table import Table

    if not tuning.trials:
        say("Every option is fixed, so there is nothing to search.")
        return
    names = list(tuning.trials[0].values)
    headings = [name.replace(".", " ") for name in names]
    table = Table(*headings, "validation recall@20", "epochs", "", caption=f"{tuning.row.title}")
    for trial in tuning.trials:
        score = "" if trial.score is None else f"{trial.score:.4f}"
        values = (str(trial.values[name]) for name in names)
        table.add_row(*values, score, str(trial.epochs), trial.error or trial.state)
    wide_console().print(table)
