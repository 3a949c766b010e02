"""The ``becam`` command: its subcommands, and errors as one sentence."""

from __future__ import annotations

import os
import signal
import sys
import traceback
import warnings
from typing import Annotated, TextIO

import typer

from becam.cli.attach import attach
from becam.cli.audit import audit
from becam.cli.demo import demo
from becam.cli.deviation import deviation
from becam.cli.evaluate import evaluate
from becam.cli.experiment import experiment
from becam.cli.explain import explain
from becam.cli.features import features
from becam.cli.figure import figure
from becam.cli.gallery import gallery
from becam.cli.import_ import import_
from becam.cli.methods import methods
from becam.cli.models import models
from becam.cli.prepare import prepare
from becam.cli.search import search
from becam.cli.serve import serve
from becam.cli.sweep import sweep
from becam.cli.table import table
from becam.cli.train import train
from becam.cli.words import words
from becam.errors import BecamError, BecamWarning

app = typer.Typer(
    name="becam",
    help="See what a multimedia recommender's picture features look at, and what behaviour says "
    "about it.\n\nThe way from raw data to a heatmap: prepare, features, train, explain. Start "
    "with becam demo, which needs no data.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)

_INTERRUPTED = 130

for command in (
    demo,
    prepare,
    features,
    models,
    train,
    attach,
    evaluate,
    search,
    experiment,
    table,
    explain,
    words,
    audit,
    deviation,
    gallery,
    serve,
    methods,
):
    app.command()(command)
app.command("import")(import_)
app.add_typer(sweep, name="sweep")
app.add_typer(figure, name="figure")


@app.callback(invoke_without_command=True)
def _options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and leave.")
    ] = False,
) -> None:
    if version:
        from importlib.metadata import version as installed

        typer.echo(f"becam {installed('becam')}")
        raise typer.Exit


def main() -> None:
    """Run the command line; every error a user can mend is one sentence on stderr."""
    warnings.showwarning = _warn
    # A polite kill ends as Ctrl-C does: what was reached so far is kept.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        app()
    except BecamError as error:
        _fail(str(error), 1)
    except SystemExit as left:
        # Typer makes this of Ctrl-C, and says nothing.
        if left.code == _INTERRUPTED:
            _fail("Stopped; what was complete is kept.", _INTERRUPTED)
        raise
    except MemoryError:
        _fail("The machine ran out of memory; try a smaller --batch-size.", 1)
    except Exception as error:
        _fail(
            f"An error in becam itself ({type(error).__name__}: {error}); please report it with "
            "the command you ran and the output of BECAM_TRACEBACK=1.",
            70,
        )


def _warn(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Our own warnings are one line for the user; others keep Python's form."""
    text = (
        f"becam: {message}\n"
        if issubclass(category, BecamWarning)
        else warnings.formatwarning(message, category, filename, lineno, line)
    )
    (file or sys.stderr).write(text)


def _fail(sentence: str, status: int) -> None:
    if os.environ.get("BECAM_TRACEBACK"):
        traceback.print_exc()
    print(f"becam: {sentence}", file=sys.stderr)
    raise SystemExit(status)
