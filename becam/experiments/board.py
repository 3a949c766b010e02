"""Progress of many trainings: one bar for all and a line for each that runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self

from rich.console import Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from becam.experiments.workers import OnEpoch
from becam.terminal import console, one_line
from becam.training import Epoch
from becam.training.loop import SELECTION_METRIC


class Board:
    """On a terminal a bar with lines under it; in a log one line a training, once it ends.

    Args:
        total: Trainings in all.
        done: Those that ended earlier.
        quiet: Show nothing.
    """

    def __init__(self, total: int, done: int, *, quiet: bool = False) -> None:
        self._console = console(stderr=True, quiet=quiet)
        self._total, self._done = total, done
        self._bar = Progress(
            TextColumn("trainings"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
        )
        self._lines = Progress(TextColumn("{task.description}", markup=False), TimeElapsedColumn())
        self._live = Live(Group(self._bar, self._lines), console=self._console, transient=True)
        self._all = self._bar.add_task("", total=total, completed=done)

    def __enter__(self) -> Self:
        if self._console.is_terminal and not self._console.quiet:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    @contextmanager
    def line(self, title: str) -> Iterator[OnEpoch]:
        """Give a training its line while the block runs; yields what to call after its epochs."""
        task = self._lines.add_task(one_line(title))

        def show(epoch: Epoch) -> None:
            best = f"best {SELECTION_METRIC} {epoch.best:.4f} in epoch {epoch.best_epoch}"
            line = f"{title}: epoch {epoch.number}, {best}"
            self._lines.update(task, description=one_line(line))

        try:
            yield show
        finally:
            self._lines.remove_task(task)

    def ended(self, line: str, trainings: int = 1) -> None:
        """Count trainings that ended, and say so."""
        self._done += trainings
        self._bar.update(self._all, completed=self._done)
        said = f"[{self._done}/{self._total}] {one_line(line)}"
        self._console.print(said, highlight=False, soft_wrap=True)
