"""Files that are either whole or absent: atomic writes, hashes, and disk errors in words."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from becam.errors import BecamError

PARTIAL_SUFFIX = ".partial"
_CHUNK = 1 << 20


@contextmanager
def atomic_file(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; move it there when the block succeeds.

    A crash, a full disk or a kill inside the block leaves whatever stood at ``path`` untouched.
    Parent folders are created. The temporary keeps the suffix of ``path``, so writers that go by
    the suffix (``numpy.save``, Pillow) behave.

    Raises:
        BecamError: the operating system refused the write (no space, no permission, ...).
    """
    path = Path(path)
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(
            dir=path.parent, prefix=f".{path.name}{PARTIAL_SUFFIX}-", suffix=path.suffix
        )
        os.close(handle)
        temporary = Path(name)
        try:
            yield temporary
            temporary.chmod(0o666 & ~_umask())
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def atomic_dir(path: str | Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Yield an empty temporary folder beside ``path``; rename it to ``path`` on success.

    Leftovers of earlier attempts that were killed are removed first.

    Raises:
        BecamError: ``path`` exists and ``overwrite`` is false, or the disk refused a write.
    """
    path = Path(path)
    if path.exists() and not overwrite:
        raise BecamError(f"{path} already exists; choose another output or pass --overwrite.")
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        stem = f".{path.name}{PARTIAL_SUFFIX}-"
        for leftover in path.parent.glob(f"{stem}*"):
            shutil.rmtree(leftover, ignore_errors=True)
        temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=stem))
        try:
            yield temporary
            temporary.chmod(0o777 & ~_umask())
            if path.exists():
                retired = path.with_name(f"{stem}retired")
                os.replace(path, retired)
                os.replace(temporary, path)
                shutil.rmtree(retired, ignore_errors=True)
            else:
                os.replace(temporary, path)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def sha256(path: str | Path) -> str:
    """Hex SHA-256 of a file's bytes, read in chunks."""
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn what the operating system says about a write below ``path`` into one sentence.

    Raises:
        BecamError: no space, no permission, a read-only disk.
    """
    try:
        yield
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise BecamError(
                f"The disk is full, so {path} was not written; nothing that was there before is "
                "lost: free some space and run the command again."
            ) from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.EDQUOT):
            raise BecamError(
                f"Cannot write {path}: {error.strerror}; choose another -o."
            ) from error
        raise


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current
