"""Trainings in this process or in several others, all seen as one function call."""

from __future__ import annotations

import multiprocessing
import os
import queue
import signal
import sys
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Protocol, TypeVar

import becam.training
from becam.checkpoint import Metrics
from becam.data.dataset import Dataset
from becam.errors import BecamError
from becam.interrupts import unheard
from becam.training import Epoch

T = TypeVar("T")
R = TypeVar("R")

_POLL_SECONDS = 0.2
_GRACE_SECONDS = 1.0

OnEpoch = Callable[[Epoch], None]


@dataclass(frozen=True)
class Trained:
    """What a checkpoint says of its training, without the tensors."""

    metrics: Metrics
    training: dict[str, Any]


class Trainer(Protocol):
    """Trains on the dataset in a folder; ``on_epoch`` may raise to abandon the training."""

    def __call__(self, dataset: Path, on_epoch: OnEpoch, options: dict[str, Any]) -> Trained:
        """Train with ``options`` of :func:`becam.training.train`.

        Raises:
            BecamError: As train.
            KeyboardInterrupt: Ctrl-C.
        """


def train_here(dataset: Path, on_epoch: OnEpoch, options: dict[str, Any]) -> Trained:
    """A :class:`Trainer` in this process."""
    with _stopping_at_once():
        checkpoint = becam.training.train(
            Dataset.open(dataset), on_epoch=on_epoch, quiet=True, **options
        )
    if checkpoint.training["stopped"] == "interrupted":
        raise KeyboardInterrupt
    return Trained(checkpoint.metrics, checkpoint.training)


class _Stop(BaseException):
    """Ctrl-C, by a name that train does not know."""


@contextmanager
def _stopping_at_once() -> Iterator[None]:
    """Let Ctrl-C and a polite kill end the block like a hard kill.

    On a KeyboardInterrupt train ends early but properly: it scores and writes a checkpoint, which
    takes time and is no result of the experiment.
    """

    def stop(*_: object) -> None:
        raise _Stop

    interrupting = [
        number
        for number in (signal.SIGINT, signal.SIGTERM)
        if signal.getsignal(number) is signal.default_int_handler
        and threading.current_thread() is threading.main_thread()
    ]
    for number in interrupting:
        signal.signal(number, stop)
    try:
        yield
    except _Stop:
        raise KeyboardInterrupt from None
    finally:
        for number in interrupting:
            signal.signal(number, signal.default_int_handler)


def for_each(
    items: Iterable[T], work: Callable[[T, Trainer], R], *, jobs: int
) -> Generator[tuple[T, R | Exception]]:
    """Do ``work`` on every item and yield each as it is done: its result, or what it raised.

    With several jobs, ``work`` runs in threads of this process, and the trainer that it is given
    trains in a process of its own. These processes end at once when the generator is closed, so
    close it.

    Args:
        items: What to work on.
        work: Gets an item and what to train with.
        jobs: How many at a time; 1 stays in this process.
    """
    items = list(items)
    if jobs == 1:
        for item in items:
            yield item, _attempt(work, item, train_here)
        return
    workers = [_Worker() for _ in range(min(jobs, len(items)))]
    idle: queue.SimpleQueue[_Worker] = queue.SimpleQueue()
    for worker in workers:
        idle.put(worker)

    def task(item: T) -> R | Exception:
        worker = idle.get()
        try:
            return _attempt(work, item, worker.train)
        finally:
            idle.put(worker)

    with ThreadPoolExecutor(max(1, len(workers))) as threads:
        futures: dict[Future[R | Exception], T] = {threads.submit(task, i): i for i in items}
        try:
            pending = set(futures)
            while pending:
                # Not for ever: a signal that another thread receives does not end a wait.
                done, pending = wait(pending, _POLL_SECONDS, return_when=FIRST_COMPLETED)
                for future in done:
                    yield futures[future], future.result()
        finally:
            for future in futures:
                future.cancel()
            for worker in workers:
                worker.terminate()
            for worker in workers:
                worker.kill()


def _attempt(work: Callable[[T, Trainer], R], item: T, trainer: Trainer) -> R | Exception:
    try:
        return work(item, trainer)
    except Exception as error:  # one failure, of whatever kind, must not cost the other trainings
        return error


class WorkerDiedError(BecamError):
    """A process that trained is gone: the training has no result, not even that it failed."""


class _Worker:
    """A process that trains, one training after the other; started when first needed."""

    def __init__(self) -> None:
        self._process: multiprocessing.process.BaseProcess | None = None
        self._pipe: Connection
        self._killed = False
        self._lock = threading.Lock()

    def train(self, dataset: Path, on_epoch: OnEpoch, options: dict[str, Any]) -> Trained:
        """A :class:`Trainer`: what ``on_epoch`` raises here ends the training there.

        Raises:
            WorkerDiedError: The process ended by itself.
            KeyboardInterrupt: It was killed from here.
        """
        self._start()
        try:
            self._pipe.send((dataset, options))
            while True:
                answer = self._pipe.recv()
                if isinstance(answer, Trained):
                    return answer
                if isinstance(answer, Exception):
                    raise answer
                try:
                    on_epoch(answer)
                except Exception:
                    self._pipe.send(False)
                    self._pipe.recv()
                    raise
                self._pipe.send(True)
        except (EOFError, ConnectionError):
            self._bury()
            raise WorkerDiedError(
                "The process that trained this ended by itself, as when memory runs out; run the "
                "command again with fewer --jobs."
            ) from None

    def terminate(self) -> None:
        """Have the process end, whatever it does; it is not started again."""
        with self._lock:
            self._killed = True
            if self._process is not None:
                self._process.terminate()

    def kill(self) -> None:
        """End the process for certain."""
        self.terminate()
        with self._lock:
            if self._process is not None:
                self._process.join(_GRACE_SECONDS)
                self._process.kill()
                self._process.join()

    def _bury(self) -> None:
        with self._lock:
            if self._killed:
                raise KeyboardInterrupt
            if self._process is not None:
                self._process.join()
                self._process = None

    def _start(self) -> None:
        with self._lock:
            if self._process is None and not self._killed:
                spawn = multiprocessing.get_context("spawn")
                self._pipe, other = spawn.Pipe()
                self._process = spawn.Process(target=_serve, args=(other,), daemon=True)
                with unheard():
                    self._process.start()
                other.close()


class _Abandoned(Exception):
    """The other side wants no more of this training."""


def _serve(pipe: Connection) -> None:
    """Train what comes through the pipe, until it ends."""
    # Ctrl-C reaches every process of a terminal; the parent decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _leave)
    threading.Thread(target=_end_with_parent, daemon=True).start()

    def report(epoch: Epoch) -> None:
        pipe.send(epoch)
        if not pipe.recv():
            raise _Abandoned

    while True:
        dataset, options = pipe.recv()
        try:
            pipe.send(train_here(dataset, report, options))
        except BecamError as error:
            pipe.send(error)
        except Exception as error:  # any other may not survive pickling
            pipe.send(RuntimeError(f"{type(error).__name__}: {error}"))


def _leave(*_: object) -> None:
    """Leave in the midst of a training, yet return what the operating system lent this process."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # told twice, it would stumble while it leaves
    sys.exit(1)


def _end_with_parent() -> None:
    """A killed parent must not leave trainings behind that write where its successor writes."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
