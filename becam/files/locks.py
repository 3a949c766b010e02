"""Outputs that one process at a time may write, or several together."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from becam.errors import BecamError
from becam.files.disk import disk_errors
from becam.files.temporaries import short_name

if sys.platform != "win32":
    import fcntl

LOCK_SUFFIX = ".lock"

_PATIENCE_SECONDS = 0.5
"""Whoever ends just now, or looks whether others are there, holds a lock for a moment."""
_POLL_SECONDS = 0.02


@contextmanager
def locked(path: str | Path, *, shared: bool = False) -> Iterator[bool]:
    """Hold the lock of an output while the block runs; the system frees it if the process dies.

    The lock is a file ``.NAME.lock`` beside the output that names the process and its host; it
    leaves with the last holder. Where the disk knows no locks (some network disks), nothing is
    locked.

    Args:
        path: of the output, a file or a folder; its parent must be there.
        shared: hold it together with others that share it, which all cooperate.

    Yields:
        Whether it is held: no other process writes the output (or only those that share it).

    Raises:
        BecamError: another process holds it, or the disk refuses a lock file.
    """
    path = Path(os.path.realpath(path))
    with _holding(path.with_name(f".{short_name(path)}{LOCK_SUFFIX}"), path, shared) as held:
        yield held


@contextmanager
def filling(folder: str | Path, *, shared: bool = False) -> Iterator[bool]:
    """:func:`locked` for a folder that is filled in place; it is made, its lock lies in it.

    So the folder itself has to be writable and not what is around it. What was made leaves with
    the lock if nothing came of it.
    """
    folder = Path(folder)
    made = [each for each in (folder, *folder.parents) if not each.exists()]
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    try:
        with _holding(folder / LOCK_SUFFIX, folder, shared) as held:
            yield held
    finally:
        with contextlib.suppress(OSError):
            for each in made:
                each.rmdir()  # only an empty one goes


@contextmanager
def _holding(file: Path, output: Path, shared: bool) -> Iterator[bool]:
    if sys.platform == "win32":  # outputs are not locked there
        yield False
        return
    with disk_errors(file):
        descriptor = _acquire(file, output, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
    try:
        yield descriptor is not None
    finally:
        if descriptor is not None:
            _release(file, descriptor)


def _acquire(file: Path, output: Path, kind: int) -> int | None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        descriptor = _open(file)
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        except OSError as error:
            holder = _holder(descriptor)
            os.close(descriptor)
            if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                return None  # a disk without locks
            if time.monotonic() > deadline:
                raise BecamError(
                    f"Another becam {holder}is writing {output}; wait until it has ended, or "
                    "choose another output."
                ) from None
            time.sleep(_POLL_SECONDS)
            continue
        except BaseException:
            os.close(descriptor)
            raise
        if _same(file, descriptor):
            with contextlib.suppress(OSError):  # a full disk; the lock holds without the words
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, f"{os.getpid()} {socket.gethostname()}\n".encode(), 0)
            return descriptor
        os.close(descriptor)  # its last holder took the file away meanwhile


def _open(file: Path) -> int:
    try:
        return os.open(file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
    except PermissionError:  # another user's, which can be locked all the same
        return os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)


def _release(file: Path, descriptor: int) -> None:
    # Only the last holder takes the file away: whoever gets it for itself alone.
    with contextlib.suppress(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if _same(file, descriptor):
            file.unlink()
    os.close(descriptor)


def _same(file: Path, descriptor: int) -> bool:
    try:
        there = os.lstat(file)
    except OSError:
        return False
    return os.path.samestat(there, os.fstat(descriptor))


def _holder(descriptor: int) -> str:
    try:
        words = os.pread(descriptor, 200, 0).decode(errors="replace").split()
    except OSError:
        return ""
    return f"(process {words[0]} on {words[1]}) " if len(words) == 2 else ""
