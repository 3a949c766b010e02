"""Progress for long work: a bar on a terminal, a line now and then in a log."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sized
from typing import Any, TypeVar

from tqdm import tqdm

T = TypeVar("T")

_LOG_INTERVAL = 10.0


def bar(
    *, desc: str, total: int | None = None, unit: str = "it", initial: int = 0, **options: Any
) -> tqdm[Any]:
    """A progress bar on stderr to be advanced by hand with ``update``; also a context manager."""
    interval = 0.1 if sys.stderr.isatty() else _LOG_INTERVAL
    return tqdm(
        desc=desc,
        total=total,
        unit=unit,
        initial=initial,
        file=sys.stderr,
        mininterval=interval,
        maxinterval=max(interval, 10.0),
        dynamic_ncols=True,
        **options,
    )


def track(
    items: Iterable[T], *, desc: str, total: int | None = None, unit: str = "it"
) -> Iterable[T]:
    """Iterate over ``items`` while a bar on stderr shows how far the work is."""
    if total is None and isinstance(items, Sized):
        total = len(items)
    with bar(desc=desc, total=total, unit=unit) as progress:
        for item in items:
            yield item
            progress.update()
