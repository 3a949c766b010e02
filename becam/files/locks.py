"""Outputs that one process at a time may write, or several together."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from becam.errors import BecamError

if sys.platform != "win32":
    import fcntl

LOCK_SUFFIX = ".lock"

_LONGEST_NAME = 100


@contextmanager
def locked(path: str | Path, *, shared: bool = False) -> Iterator[None]:
    """Hold the lock of an output while the block runs; the system frees it if the process dies.

    The lock is a file ``.NAME.lock`` beside the output that names the process and its host; it
    leaves with the last holder. Where the disk knows no locks (some network disks), nothing is
    locked.

    Args:
        path: of the output, a file or a folder; its parent must be there.
        shared: hold it together with others that share it, which all cooperate.

    Raises:
        BecamError: another process holds it.
    """
    if sys.platform == "win32":  # outputs are not locked there
        yield
        return
    path = Path(os.path.abspath(path))
    file = path.with_name(f".{short_name(path)}{LOCK_SUFFIX}")
    descriptor = _acquire(file, path, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
    try:
        yield
    finally:
        if descriptor is not None:
            _release(file, descriptor)


def short_name(path: Path) -> str:
    """A name for files beside an output: its own, or a hash of it where that is long."""
    encoded = os.fsencode(path.name)
    if len(encoded) <= _LONGEST_NAME:
        return path.name
    return hashlib.sha256(encoded).hexdigest()[:32]


def _acquire(file: Path, output: Path, kind: int) -> int | None:
    while True:
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        except OSError as error:
            holder = _holder(descriptor)
            os.close(descriptor)
            if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
                raise BecamError(
                    f"Another becam {holder}is writing {output}; wait until it has ended, or "
                    "choose another output."
                ) from None
            return None  # a disk without locks
        if _same(file, descriptor):
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()} {socket.gethostname()}\n".encode(), 0)
            return descriptor
        os.close(descriptor)  # its last holder took the file away meanwhile


def _release(file: Path, descriptor: int) -> None:
    # Only the last holder takes the file away: whoever gets it for itself alone.
    with contextlib.suppress(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if _same(file, descriptor):
            file.unlink()
    os.close(descriptor)


def _same(file: Path, descriptor: int) -> bool:
    try:
        there = os.stat(file)
    except OSError:
        return False
    return os.path.samestat(there, os.fstat(descriptor))


def _holder(descriptor: int) -> str:
    words = os.pread(descriptor, 200, 0).decode(errors="replace").split()
    return f"(process {words[0]} on {words[1]}) " if len(words) == 2 else ""
