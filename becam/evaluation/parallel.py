"""Pictures in several processes of the command line: each does a shard, all end together."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections import deque
from collections.abc import Sequence
from typing import Protocol

import torch

from becam.errors import BecamError, BecamWarning
from becam.evaluation.shards import WHOLE, Shard
from becam.evaluation.subjects import Subject
from becam.interrupts import unheard
from becam.progress import bar

_POLL_SECONDS = 0.2
_GRACE_SECONDS = 2.0
_LINES = 200
_SAID = "becam: "

LIFELINE = "BECAM_LIFELINE"
"""Set for a process whose standard input ends when its parent does."""


class Shared(Protocol):
    """Pictures that several processes work on, such as those of an audit."""

    @property
    def subjects(self) -> Sequence[Subject]:
        """The pictures."""

    def missing(self, shard: Shard = WHOLE) -> Sequence[Subject]:
        """Those of a shard that are not done yet."""


def measure_in_processes(
    work: Shared,
    command: Sequence[str],
    *,
    jobs: int,
    shard: Shard = WHOLE,
    desc: str = "Auditing",
) -> None:
    """Have processes of the command line do what a shard of some work misses.

    They share this process's threads, and end with it, whatever ends it.

    Args:
        work: the work; having begun it, this process has written its record before the others
            look for one.
        command: ``audit`` or another command, and its arguments, for the same work, without
            ``--shard``.
        jobs: how many processes.
        shard: what they share among them.
        desc: what the bar says.

    Raises:
        BecamError: what the first that failed said; the others have ended.
    """
    shares = [share for share in shard.split(jobs) if work.missing(share)]
    # What torch takes is the machine's cores, unless OMP_NUM_THREADS or the scheduler says less.
    threads = max(1, torch.get_num_threads() // max(1, len(shares)))
    children: list[_Child] = []
    try:
        with unheard():
            for share in shares:
                children.append(_Child(command, share, threads))
        _watch(children, work, shard, desc)
    finally:
        for child in children:
            child.terminate()
        for child in children:
            child.kill()


def end_with_parent() -> None:
    """In a process of :func:`measure_in_processes`: leave when its parent is gone, else nothing.

    A killed parent must not leave processes behind that write where its successor writes.
    """
    if os.environ.pop(LIFELINE, None) is None:
        return
    # Ctrl-C reaches every process of a terminal; the parent decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_input, daemon=True).start()


def _end_with_input() -> None:
    # Not sys.stdin: its lock, held by a daemon thread, breaks the interpreter's own end.
    while os.read(0, 1):
        pass
    os._exit(1)


class _Child:
    """A process of the command line with one shard; what it warns of is warned of here."""

    def __init__(self, command: Sequence[str], shard: Shard, threads: int) -> None:
        name, *arguments = command
        self._lines: deque[str] = deque(maxlen=_LINES)
        # Its progress bar goes where its errors go, and no further.
        self._process = subprocess.Popen(
            [sys.executable, "-m", "becam", name, "--shard", str(shard), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            env={**os.environ, LIFELINE: "1", "OMP_NUM_THREADS": str(threads)},
        )
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def ended(self) -> bool:
        """Whether it has done its work.

        Raises:
            BecamError: it has failed.
        """
        status = self._process.poll()
        if status:
            self._listener.join()
            said = [line for line in self._lines if line.startswith(_SAID)]
            raise BecamError(
                said[-1].removeprefix(_SAID)
                if status > 0 and said
                else "A process of the command ended by itself, as when memory runs out; what was "
                "complete is kept: run the command again with fewer --jobs."
            ) from RuntimeError("\n".join(["In a process of the command:", *self._lines]))
        return status is not None

    def terminate(self) -> None:
        """Have it end, whatever it does."""
        self._process.terminate()

    def kill(self) -> None:
        """End it for certain."""
        try:
            self._process.wait(_GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self._listener.join()
        with self._process:  # closes the pipes
            pass

    def _listen(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            # The last line may be an error, which is not said twice.
            if self._lines and self._lines[-1].startswith(_SAID):
                warnings.warn(self._lines[-1].removeprefix(_SAID), BecamWarning, stacklevel=1)
            self._lines.append(line.rstrip("\n"))


def _watch(children: Sequence[_Child], work: Shared, shard: Shard, desc: str) -> None:
    """Count the pictures on disk until all have ended."""
    total, missing = len(shard.of(work.subjects)), len(work.missing(shard))
    with bar(desc=desc, total=total, unit="picture", initial=total - missing) as progress:
        while True:
            ended = [child.ended() for child in children]
            progress.update(total - len(work.missing(shard)) - progress.n)
            if all(ended):
                return
            time.sleep(_POLL_SECONDS)
