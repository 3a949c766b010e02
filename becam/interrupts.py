"""Ctrl-C while processes begin, and in the places where Python would only print it."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def unheard() -> Iterator[None]:
    """Processes that begin inside the block never hear Ctrl-C; this one hears it after the block.

    Ctrl-C reaches every process of a terminal, those too that are still importing their libraries
    and would print where. The process that began them decides what it means.
    """
    if not hasattr(signal, "pthread_sigmask"):  # not on Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
