"""Training as it goes: on the terminal, in ``metrics.jsonl`` and in TensorBoard."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.live import Live
from rich.table import Table

from becam.training.loop import SELECTION_METRIC, Epoch

METRICS_LOG = "metrics.jsonl"
TENSORBOARD_FOLDER = "tensorboard"

OnEpoch = Callable[[Epoch], None]

# What of the validation metrics a terminal's width has room for.
_SHOWN = (SELECTION_METRIC, "ndcg@20")


@contextmanager
def reporting(run: Path | None, *, popularity: Mapping[str, float]) -> Iterator[OnEpoch]:
    """Yield what to call after every epoch.

    Args:
        run: Folder that gets ``metrics.jsonl`` and ``tensorboard/``; None for the terminal alone.
        popularity: The popularity baseline on validation, shown for comparison.
    """
    with ExitStack() as stack:
        console = Console(stderr=True)
        shown = _live if console.is_terminal else _lines
        sinks = [stack.enter_context(shown(console, popularity))]
        if run is not None:
            sinks.append(stack.enter_context(_json_lines(run / METRICS_LOG)))
            sinks.append(stack.enter_context(_tensorboard(run / TENSORBOARD_FOLDER)))

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
    table = Table(
        caption=f"best validation {SELECTION_METRIC} {last.best:.4f} in epoch {last.best_epoch}; "
        f"popularity {popularity[SELECTION_METRIC]:.4f}"
    )
    for heading in ("epoch", "loss", *last.loss, *_SHOWN, "s"):
        table.add_column(heading.replace("_", " "), justify="right")
    for epoch in epochs:
        numbers = (sum(epoch.loss.values()), *epoch.loss.values())
        table.add_row(
            str(epoch.number),
            *(f"{value:.4f}" for value in numbers),
            *(f"{epoch.validation[name]:.4f}" for name in _SHOWN),
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
        metrics = ", ".join(f"{name} {epoch.validation[name]:.4f}" for name in _SHOWN)
        write(
            f"epoch {epoch.number}: loss {sum(epoch.loss.values()):.4f} ({terms}); validation "
            f"{metrics}; best {epoch.best:.4f} in epoch {epoch.best_epoch}; {epoch.seconds:.2f} s"
        )

    write(f"popularity: validation {SELECTION_METRIC} {popularity[SELECTION_METRIC]:.4f}")
    yield show


@contextmanager
def _json_lines(path: Path) -> Iterator[OnEpoch]:
    with open(path, "w", encoding="utf-8") as stream:

        def write(epoch: Epoch) -> None:
            stream.write(json.dumps(asdict(epoch)) + "\n")
            stream.flush()

        yield write


@contextmanager
def _tensorboard(folder: Path) -> Iterator[OnEpoch]:
    from tensorboardX import SummaryWriter

    with SummaryWriter(str(folder)) as writer:

        def write(epoch: Epoch) -> None:
            writer.add_scalar("loss/total", sum(epoch.loss.values()), epoch.number)
            for name, value in epoch.loss.items():
                writer.add_scalar(f"loss/{name}", value, epoch.number)
            for name, value in epoch.validation.items():
                # TensorBoard's tags know no @.
                tag = f"validation/{name.replace('@', '_at_')}"
                writer.add_scalar(tag, value, epoch.number)

        yield write
