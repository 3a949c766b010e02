"""Where the work runs and in which precision."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Literal

import torch

from becam.errors import BecamError
from becam.limits import PICTURES, THREADS

Precision = Literal["auto", "float32", "bfloat16"]
PRECISIONS: tuple[Precision, ...] = ("auto", "float32", "bfloat16")


def resolve_device(name: str = "auto") -> torch.device:
    """``auto`` is CUDA where there is one, else the CPU; any other name is taken as given.

    Raises:
        BecamError: an unknown device, or CUDA on a machine that has none.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise BecamError(f"There is no device named {name!r}; use auto, cpu or cuda.") from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise BecamError("This machine has no usable CUDA device; pass --device cpu.")
    return device


def resolve_precision(name: str, device: torch.device) -> torch.dtype:
    """The dtype of the encoder's arithmetic: ``auto`` is bfloat16 where the hardware has it."""
    if name not in PRECISIONS:
        raise BecamError(f"Unknown precision {name!r}; use one of {', '.join(PRECISIONS)}.")
    if name == "float32" or (name == "auto" and not _has_bfloat16(device)):
        return torch.float32
    return torch.bfloat16


def resolve_batch_size(asked: int | None, device: torch.device) -> int:
    """Pictures per forward pass of an encoder: those asked for, or what suits the device.

    A CPU gains nothing from more than a few, and they take memory; a GPU wants many.

    Raises:
        BecamError: fewer than one, or more than a machine holds.
    """
    if asked is None:
        return 256 if device.type == "cuda" else 16
    PICTURES.check(asked, "--batch-size")
    return asked


def autocast(device: torch.device, dtype: torch.dtype) -> AbstractContextManager[object]:
    """Autocast to ``dtype``, or nothing at all for float32."""
    if dtype is torch.float32:
        return nullcontext()
    return torch.autocast(device.type, dtype=dtype)


@contextmanager
def limited_threads(count: int) -> Iterator[None]:
    """Use ``count`` CPU threads inside the block.

    Raises:
        BecamError: fewer than one, or more than a machine runs.
    """
    THREADS.check(count, "--threads")
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def kept_heap() -> Iterator[None]:
    """Keep freed memory in the process inside the block, and give it back after it.

    By default glibc maps every large tensor anew and the kernel clears its pages: on a CPU that
    takes several times as long as the arithmetic of a training step. Elsewhere this does nothing.
    """
    if sys.platform != "linux" or not hasattr(libc := ctypes.CDLL(None), "malloc_trim"):
        yield
        return
    # M_MMAP_MAX, M_TRIM_THRESHOLD: map nothing, trim nothing; then their defaults again.
    libc.mallopt(-4, 0)
    libc.mallopt(-1, 2**31 - 1)
    try:
        yield
    finally:
        libc.mallopt(-4, 65536)
        libc.mallopt(-1, 128 * 1024)
        libc.malloc_trim(0)


def _has_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
