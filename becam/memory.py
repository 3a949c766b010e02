"""What to do when memory runs out: less at a time where that changes nothing, else a sentence."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Protocol, TypeVar

import torch

from becam.errors import BecamError, BecamWarning

R = TypeVar("R")
S = TypeVar("S", bound="_Sliceable")

_SIGNS = (
    "can't allocate memory",
    "not enough memory",
    "out of memory",
    "bad_alloc",
    "STATUS_ALLOC_FAILED",
)
"""PyTorch tells of the CPU's memory, and libraries of the GPU's, by the words of a RuntimeError."""


class _Sliceable(Protocol):
    def __len__(self) -> int: ...

    def __getitem__(self: S, part: slice, /) -> S: ...


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that the CPU's or the GPU's memory ran out."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in _SIGNS)


@contextmanager
def memory_errors(remedy: str) -> Iterator[None]:
    """Inside the block, memory that runs out is a sentence.

    Args:
        remedy: what to do about it, such as ``pass a smaller --batch-size``.

    Raises:
        BecamError: it ran out.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
        raise BecamError(f"The machine ran out of memory; {remedy}.") from error


class Batches:
    """How many things are worked on at a time: half as many from when memory ran out.

    For work whose result does not depend on it. That it was halved is said once.

    Args:
        size: how many at first.
        things: what they are, in the warning.

    Attributes:
        size: how many now.
    """

    def __init__(self, size: int, things: str = "pictures") -> None:
        self.size = size
        self._things = things
        self._said = False

    def attempt(self, work: Callable[[int], R]) -> R:
        """What ``work`` gives for as many at a time as fit.

        Raises:
            BecamError: not even one fits.
        """
        while True:
            try:
                return work(self.size)
            except (MemoryError, RuntimeError) as error:
                if not out_of_memory(error):
                    raise
                if self.size == 1:
                    raise BecamError(
                        f"Memory ran out with one of the {self._things} at a time; end other "
                        "programs, or use a machine, a device or an encoder that fits."
                    ) from error
            # Not above: while the error is handled, it holds what filled the memory.
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            self._halve()

    def split(self, items: S, work: Callable[[S], R]) -> Iterator[tuple[S, R]]:
        """Parts of ``items`` in their order, each with what ``work`` gives for it."""
        start = 0
        while start < len(items):
            part, found = self.attempt(partial(_work_on, items, start, work))
            start += len(part)
            yield part, found

    def _halve(self) -> None:
        if not self._said:
            warnings.warn(
                BecamWarning(
                    f"Memory ran out with {self.size} {self._things} at a time, so fewer are taken "
                    "at a time from here on; the results are the same."
                ),
                stacklevel=3,
            )
        self._said = True
        self.size = max(1, self.size // 2)


def _work_on(items: S, start: int, work: Callable[[S], R], size: int) -> tuple[S, R]:
    part = items[start : start + size]
    return part, work(part)


def batches(size: int | Batches, things: str = "pictures") -> Batches:
    """Batches of a size, unless they are batches already."""
    return size if isinstance(size, Batches) else Batches(size, things)
