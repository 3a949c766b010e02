"""What the operating system says about writing, in words; and writes that are on the disk."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from becam.errors import BecamError
from becam.files.temporaries import is_temporary

FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""No space, no quota left, a file above the limit of the process or of the file system."""

_REFUSED = frozenset(
    {
        errno.EACCES,
        errno.EPERM,
        errno.EROFS,
        errno.ENAMETOOLONG,
        errno.EIO,
        errno.ELOOP,
        errno.ESTALE,
    }
)
_FILES_SYNCED_SINGLY = 256
_FULL_SENTENCE = (
    "The disk is full, so {} was not written; nothing that was there before is lost: free some "
    "space and run the command again."
)


class DiskFullError(BecamError):
    """A write that found no space."""


@contextmanager
def disk_errors(path: str | Path) -> Iterator[None]:
    """Turn what the operating system says about a write of ``path`` into one sentence.

    Raises:
        DiskFullError: no space.
        BecamError: no permission, a read-only disk, an output that was taken away meanwhile.
    """
    try:
        yield
    except DiskFullError as error:  # of a part of the output
        raise DiskFullError(_FULL_SENTENCE.format(path)) from error
    except OSError as error:
        if error.errno in FULL:
            raise DiskFullError(_FULL_SENTENCE.format(path)) from error
        if _concerns(error, Path(path)) or (error.errno in _REFUSED and error.filename is None):
            reason = error.strerror or error
            raise BecamError(f"Cannot write {path}: {reason}; choose another output.") from error
        raise


def _concerns(error: OSError, path: Path) -> bool:
    """Whether an error names the output, something in or above it, or a temporary beside it."""
    if not isinstance(error.filename, str | bytes | os.PathLike):
        return False
    named = Path(os.path.abspath(os.fsdecode(error.filename)))
    output = Path(os.path.abspath(path))
    if named == output or output in named.parents or named in output.parents:
        return True
    return any(
        each.parent == output.parent and is_temporary(each.name) for each in (named, *named.parents)
    )


def sync(path: Path) -> None:
    """Have a file, or the names in a folder, on the disk itself."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:  # a folder, on Windows
        return
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EBADF):
            raise
    finally:
        os.close(descriptor)


def sync_tree(folder: Path) -> None:
    """Have all that is in a folder on the disk itself."""
    paths = [Path(where, name) for where, _, names in os.walk(folder) for name in names]
    if len(paths) > _FILES_SYNCED_SINGLY and hasattr(os, "sync"):
        os.sync()
        return
    for path in paths:
        sync(path)
    for where, _, _ in os.walk(folder):
        sync(Path(where))
