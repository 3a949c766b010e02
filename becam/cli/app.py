"""The ``becam`` command: its subcommands, and errors as one sentence."""

from __future__ import annotations

import errno
import os
import signal
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from io import TextIOWrapper
from typing import Annotated, Any, TextIO

import typer

from becam.cli import INTERRUPTED, STOPPED
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
from becam.terminal import one_line, say

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

# What no command can help, wherever it happens.
_ENVIRONMENT = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EMFILE, errno.ENFILE)

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

        say(f"becam {installed('becam')}")
        raise typer.Exit


def main() -> None:
    """Run the command line; every error a user can mend is one sentence on stderr."""
    warnings.showwarning = _warn
    for stream in (sys.stdout, sys.stderr):
        # Terminals that know few letters, and names that are no letters at all.
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    # A polite kill ends as Ctrl-C does: what was reached so far is kept.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        app()
    except BecamError as error:
        _fail(str(error), 1)
    except KeyboardInterrupt:
        _fail(STOPPED, INTERRUPTED)
    except SystemExit as left:
        # Typer makes this of Ctrl-C, and says nothing.
        if left.code == INTERRUPTED:
            _fail(STOPPED, INTERRUPTED)
        raise
    except Exception as error:
        if _interrupted(error):
            _fail(STOPPED, INTERRUPTED)
        if _out_of_memory(error):
            _fail(f"The machine ran out of memory; {_less_memory(sys.argv[1:])}.", 1)
        if isinstance(error, OSError) and error.errno in _ENVIRONMENT:
            _fail(f"The operating system refuses: {error}; make room or rights there.", 1)
        _fail(
            f"An error in becam itself ({type(error).__name__}: {error}); please report it with "
            "the command you ran and the output of BECAM_TRACEBACK=1.",
            70,
        )
    finally:
        _flush()


def _interrupted(error: BaseException | None) -> bool:
    """Whether Ctrl-C is behind an error, as where a library was stopped while it was imported."""
    while error is not None:
        if isinstance(error, KeyboardInterrupt):
            return True
        error = error.__cause__ or error.__context__
    return False


def _out_of_memory(error: Exception) -> bool:
    if "torch" not in sys.modules:
        return isinstance(error, MemoryError)
    from becam.memory import out_of_memory

    return out_of_memory(error)


def _less_memory(words: Sequence[str]) -> str:
    """What takes less memory in the command that was run: the options that it has."""
    from typer.utils import get_params_from_function

    names = [
        f"--{name.replace('_', '-')}"
        for path, command in _commands(app)
        if list(path) == list(words[: len(path)])
        for name in get_params_from_function(command)
        if name in ("batch_size", "jobs")
    ]
    smaller = f"try a smaller {' and '.join(names)}, or" if names else "end other programs, or"
    return f"{smaller} take a machine with more of it"


def _commands(
    group: typer.Typer, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], Callable[..., Any]]]:
    """Names and functions of all commands, those of groups too."""
    for command in group.registered_commands:
        assert command.callback is not None
        yield (*path, command.name or command.callback.__name__), command.callback
    for inner in group.registered_groups:
        if inner.typer_instance is not None:
            yield from _commands(inner.typer_instance, (*path, str(inner.name)))


def _flush() -> None:
    """Write out what was printed, or nothing where nobody reads it: not at Python's own end."""
    try:
        sys.stdout.flush()
    except OSError:
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


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
        f"becam: {one_line(str(message))}\n"
        if issubclass(category, BecamWarning)
        else warnings.formatwarning(message, category, filename, lineno, line)
    )
    (file or sys.stderr).write(text)


def _fail(sentence: str, status: int) -> None:
    if os.environ.get("BECAM_TRACEBACK"):
        traceback.print_exc()
    print(f"becam: {one_line(sentence)}", file=sys.stderr)
    raise SystemExit(status)
