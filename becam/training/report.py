"""Training as it goes: on the terminal, in ``metrics.jsonl`` and in TensorBoard."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table

from becam.files import atomic_file
from becam.terminal import console
from becam.training.loop import SELECTION_METRIC, Epoch

METRICS_LOG = "metrics.jsonl"
TENSORBOARD_FOLDER = "tensorboard"

_FLUSH_SECONDS = 10.0

OnEpoch = Callable[[Epoch], None]

# What of the validation metrics a terminal's width has room for.
_SHOWN = (SELECTION_METRIC, "ndcg@20")


@contextmanager
def reporting(
    run: Path | None, *, popularity: Mapping[str, float], after: int = 0, quiet: bool = False
) -> Iterator[OnEpoch]:
    """Yield what to call after every epoch.

    Args:
        run: Folder that gets ``metrics.jsonl`` and ``tensorboard/``; None for the terminal alone.
        popularity: The popularity baseline on validation, shown for comparison; empty where
            nothing is validated.
        after: The epoch that a resumed run goes on from: what the files say of later ones leaves.
        quiet: Nothing on the terminal.
    """
    with ExitStack() as stack:
        sinks: list[OnEpoch] = []
        if not quiet:
            where = console(stderr=True)
            shown = _live if where.is_terminal else _lines
            sinks.append(stack.enter_context(shown(where, popularity)))
        if run is not None:
            sinks.append(stack.enter_context(_json_lines(run / METRICS_LOG, after)))
            sinks.append(stack.enter_context(_tensorboard(run / TENSORBOARD_FOLDER, after)))

        def report(epoch: Epoch) -> None:
            for sink in sinks:
                sink(epoch)

        yield report


@contextmanager
def _live(console: Console, popularity: Mapping[str, float]) -> Iterator[OnEpoch]:
    """A table of the last epochs, redrawn in place."""
    epochs: list[Epoch] = []
    with Live(console=console, refresh_per_second=4) as live:

        def show(epoch: Epoch) -> None:
            epochs.append(epoch)
            live.update(_table(epochs[-max(3, console.height - 8) :], popularity))

        yield show


def _table(epochs: list[Epoch], popularity: Mapping[str, float]) -> Table:
    last = epochs[-1]
    shown = [name for name in _SHOWN if name in last.validation]
    table = Table(caption=f"not validated; ends in {clock(last.remaining)}")
    if shown:
        table.caption = (
            f"best validation {SELECTION_METRIC} {last.best:.4f} in epoch {last.best_epoch}; "
            f"popularity {popularity[SELECTION_METRIC]:.4f}; ends in {clock(last.remaining)} "
            "unless a better epoch comes"
        )
    for heading in ("epoch", "loss", *last.loss, *shown, "s"):
        table.add_column(heading.replace("_", " "), justify="right")
    for epoch in epochs:
        numbers = (sum(epoch.loss.values()), *epoch.loss.values())
        table.add_row(
            str(epoch.number),
            *(f"{value:.4f}" for value in numbers),
            *(f"{epoch.validation[name]:.4f}" for name in shown),
            f"{epoch.seconds:.2f}",
            style="bold green" if epoch.number == epoch.best_epoch else "",
        )
    return table


@contextmanager
def _lines(console: Console, popularity: Mapping[str, float]) -> Iterator[OnEpoch]:
    """One plain line an epoch."""

    def write(line: str) -> None:
        console.print(line, highlight=False, markup=False, soft_wrap=True)

    def show(epoch: Epoch) -> None:
        terms = ", ".join(f"{name} {value:.4f}" for name, value in epoch.loss.items())
        trained = f"epoch {epoch.number}: loss {sum(epoch.loss.values()):.4f} ({terms})"
        times = f"{epoch.seconds:.2f} s, ends in {clock(epoch.remaining)}"
        if not epoch.validation:
            write(f"{trained}; {times}")
            return
        metrics = ", ".join(f"{name} {epoch.validation[name]:.4f}" for name in _SHOWN)
        write(
            f"{trained}; validation {metrics}; best {epoch.best:.4f} in epoch {epoch.best_epoch}; "
            f"{times} unless a better one comes"
        )

    if popularity:
        write(f"popularity: validation {SELECTION_METRIC} {popularity[SELECTION_METRIC]:.4f}")
    yield show


def clock(seconds: float) -> str:
    """``1:05`` or ``2:01:05``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


@contextmanager
def _json_lines(path: Path, after: int) -> Iterator[OnEpoch]:
    kept = path.read_bytes().splitlines(keepends=True)[:after] if path.is_file() else []
    with atomic_file(path) as temporary:
        temporary.write_bytes(b"".join(kept))
    with open(path, "a", encoding="utf-8") as stream:

        def write(epoch: Epoch) -> None:
            stream.write(json.dumps(asdict(epoch)) + "\n")
            stream.flush()

        yield write


@contextmanager
def _tensorboard(folder: Path, after: int) -> Iterator[OnEpoch]:
    # Not by its SummaryWriter, which writes in a thread: there, what a disk refuses is a traceback
    # on the terminal and a training that goes on without.
    from tensorboardX.event_file_writer import EventsWriter
    from tensorboardX.proto.event_pb2 import Event, SessionLog
    from tensorboardX.proto.summary_pb2 import Summary

    folder.mkdir(exist_ok=True)
    # A resumed run's events are named apart, else within one second they replace the earlier file.
    writer = EventsWriter(str(folder / "events"), f".{after:06d}")
    flushed = time.monotonic()

    def put(step: int, **what: Any) -> None:
        writer.write_event(Event(wall_time=time.time(), step=step, **what))

    def write(epoch: Epoch) -> None:
        nonlocal flushed
        values = {"loss/total": sum(epoch.loss.values())}
        values |= {f"loss/{name}": value for name, value in epoch.loss.items()}
        # TensorBoard's tags know no @.
        values |= {
            f"validation/{name.replace('@', '_at_')}": value
            for name, value in epoch.validation.items()
        }
        shown = [Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()]
        put(epoch.number, summary=Summary(value=shown))
        if time.monotonic() - flushed > _FLUSH_SECONDS:
            writer.flush()
            flushed = time.monotonic()

    try:
        # Events of the same steps in earlier files are of epochs that a kill took back.
        put(after + 1, session_log=SessionLog(status=SessionLog.START))
        yield write
    finally:
        writer.close()
