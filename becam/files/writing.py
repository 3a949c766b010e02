"""Files that are either whole or absent: atomic writes, and disk errors in words."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import hashlib
import json
import os
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from becam.errors import BecamError
from becam.files.locks import locked, short_name
from becam.files.outputs import check_output_file, check_output_folder

if TYPE_CHECKING:
    from io import BufferedWriter

PARTIAL_SUFFIX = ".partial"

_RETIRED = "retired"
_LONGEST_SUFFIX = 20
_FOREIGN_SECONDS = 7 * 24 * 3600.0
"""After this a temporary of another machine is taken for a leftover."""

_FILES_SYNCED_SINGLY = 256
_LITTER = frozenset({".DS_Store", "Thumbs.db", "desktop.ini"})
_EXCHANGE = 2  # RENAME_EXCHANGE of renameat2


@dataclass(frozen=True)
class Contents:
    """How a folder that becam wrote is told from anybody else's.

    Attributes:
        noun: what the folder is, in messages, such as ``a gallery``.
        signs: names that are always in it.
        others: names that may be in it too.
        proof: a further look at a folder that has the names; None: they are enough.
    """

    noun: str
    signs: frozenset[str]
    others: frozenset[str] = frozenset()
    proof: Callable[[Path], bool] | None = None

    def check(self, folder: Path) -> None:
        """Raise a BecamError unless all that is in ``folder`` may be replaced."""
        there = {entry.name for entry in os.scandir(folder)} - _LITTER
        if not there:
            return
        if not self.signs <= there or not (self.proof is None or self.proof(folder)):
            raise BecamError(
                f"{folder} is not {self.noun} that becam wrote, so it is left as it is; choose "
                "another output."
            )
        foreign = sorted(
            name
            for name in there - self.signs - self.others
            if not (name.startswith(".") and PARTIAL_SUFFIX in name)
        )
        if foreign:
            raise BecamError(
                f"{folder} holds {foreign[0]}, which becam did not write, so it is left as it is; "
                "move that elsewhere or choose another output."
            )


@contextmanager
def atomic_file(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; move it there when the block succeeds.

    A crash, a full disk, a kill inside the block or a loss of power leaves either what stood at
    ``path`` or the whole new file. Parent folders are created; a link is followed. The temporary
    keeps the suffix of ``path``, so writers that go by the suffix (``numpy.save``, Pillow) behave.

    Raises:
        BecamError: no file can be there, or the operating system refused the write (no space, no
            permission, ...).
    """
    path = check_output_file(path)
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(
            dir=path.parent, prefix=_own_prefix(path), suffix=_suffix(path)
        )
        os.close(handle)
        temporary = Path(name)
        try:
            yield temporary
            temporary.chmod(0o666 & ~_umask())
            _sync(temporary)
            os.replace(temporary, path)
            _sync(path.parent)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def atomic_dir(path: str | Path, contents: Contents, *, overwrite: bool = False) -> Iterator[Path]:
    """Yield an empty temporary folder beside ``path``; rename it to ``path`` on success.

    One process at a time may write a folder. What a killed one left is cleared away first, and a
    folder that it had moved aside comes back.

    Args:
        path: of the folder; a link is followed.
        contents: what becam writes there: only such a folder, or an empty one, is replaced.
        overwrite: replace what is there.

    Raises:
        BecamError: ``path`` exists and ``overwrite`` is false, it holds what becam did not write,
            another process writes it, no folder can be there, or the disk refused a write.
    """
    path = check_output_folder(path)
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with locked(path):
            recover_dir(path)
            sweep(path.parent, path)
            check_replaceable(path, contents, overwrite=overwrite)
            temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=_own_prefix(path)))
            try:
                yield temporary
                temporary.chmod(0o777 & ~_umask())
                _sync_tree(temporary)
                _put(temporary, path)
                _sync(path.parent)
            finally:
                shutil.rmtree(temporary, ignore_errors=True)


def check_replaceable(path: Path, contents: Contents, *, overwrite: bool) -> None:
    """Raise unless a folder of ``contents`` may be written at ``path``.

    Raises:
        BecamError: something is there and ``overwrite`` is false, or becam did not write it.
    """
    if not path.exists():
        return
    if not overwrite:
        raise BecamError(f"{path} already exists; choose another output or pass --overwrite.")
    check_output_folder(path)
    contents.check(path)


def recover_dir(path: str | Path) -> None:
    """Bring back a folder that a killed :func:`atomic_dir` had moved aside and not yet replaced."""
    path = Path(path)
    retired = _retired(path)
    if not path.exists() and retired.is_dir():
        with contextlib.suppress(OSError):
            os.rename(retired, path)


def sweep(folder: Path, output: Path | None = None) -> None:
    """Delete the temporaries in ``folder`` whose processes are dead.

    Args:
        folder: where to look, not below it.
        output: only those of this output; by default all.
    """
    stem = "." if output is None else _stem(output)
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            name = entry.name
            if not (name.startswith(stem) and f"{PARTIAL_SUFFIX}-" in name):
                continue
            owner = name.rsplit(f"{PARTIAL_SUFFIX}-", 1)[1]
            if owner == _RETIRED and (output is None or not output.exists()):
                continue  # all that is left of a folder: recover_dir brings it back
            if _is_dead(owner, entry):
                if entry.is_dir(follow_symlinks=False):
                    shutil.rmtree(entry.path, ignore_errors=True)
                else:
                    with contextlib.suppress(OSError):
                        os.unlink(entry.path)


def save_torch(payload: object, path: str | Path) -> None:
    """``torch.save`` into a file that is whole or absent; the same payload gives the same bytes.

    Raises:
        BecamError: the disk refused the write.
    """
    import torch

    with atomic_file(path) as temporary, open(temporary, "wb") as stream:
        writer = _Writer(stream)
        try:
            torch.save(payload, writer)  # type: ignore[arg-type]
        except RuntimeError:
            # PyTorch's own writer hides the reason behind an error of its own.
            if writer.error is not None:
                raise writer.error from None
            raise


def write_json(path: str | Path, value: Any) -> None:
    """A JSON file, indented, whole or absent; letters that UTF-8 cannot hold are escaped.

    Raises:
        BecamError: the disk refused the write.
    """
    text = json.dumps(value, indent=2, ensure_ascii=False)
    try:
        encoded = text.encode()
    except UnicodeEncodeError:  # names of files that are no UTF-8
        encoded = json.dumps(value, indent=2).encode()
    with atomic_file(path) as temporary:
        temporary.write_bytes(encoded + b"\n")


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn what the operating system says about a write below ``path`` into one sentence.

    Raises:
        BecamError: no space, no permission, a read-only disk.
    """
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise BecamError(
                f"The disk is full, so {path} was not written; nothing that was there before is "
                "lost: free some space and run the command again."
            ) from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENAMETOOLONG, errno.EIO):
            raise BecamError(
                f"Cannot write {path}: {error.strerror}; choose another output."
            ) from error
        raise


class _Writer:
    """A stream for ``torch.save`` that remembers why a write failed."""

    def __init__(self, stream: BufferedWriter) -> None:
        self._stream = stream
        self.error: OSError | None = None

    def write(self, data: Any) -> int:
        try:
            return self._stream.write(data)
        except OSError as error:
            self.error = error
            raise

    def flush(self) -> None:
        self._stream.flush()


def _put(temporary: Path, path: Path) -> None:
    """Move a finished folder to where it belongs; what was there leaves."""
    if not path.exists():
        os.rename(temporary, path)
        return
    if _exchange(temporary, path):
        return  # what was there now lies at the temporary's place, and leaves with it
    retired = _retired(path)
    shutil.rmtree(retired, ignore_errors=True)
    os.rename(path, retired)
    try:
        os.rename(temporary, path)
    except BaseException:
        os.rename(retired, path)
        raise
    _sync(path.parent)
    shutil.rmtree(retired, ignore_errors=True)


def _exchange(one: Path, other: Path) -> bool:
    """Let two folders change places in one step, where the system can; whether it did."""
    rename = _renameat2()
    if rename is None:
        return False
    here = -100  # AT_FDCWD
    return bool(rename(here, os.fsencode(one), here, os.fsencode(other), _EXCHANGE) == 0)


@cache
def _renameat2() -> Any:
    if not sys.platform.startswith("linux"):
        return None
    return getattr(ctypes.CDLL(None), "renameat2", None)


def _sync(path: Path) -> None:
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


def _sync_tree(folder: Path) -> None:
    paths = [Path(where, name) for where, _, names in os.walk(folder) for name in names]
    if len(paths) > _FILES_SYNCED_SINGLY and hasattr(os, "sync"):
        os.sync()
        return
    for path in paths:
        _sync(path)
    for where, _, _ in os.walk(folder):
        _sync(Path(where))


def _stem(path: Path) -> str:
    """What the names of an output's temporaries begin with."""
    return f".{short_name(path)}{PARTIAL_SUFFIX}-"


def _suffix(path: Path) -> str:
    return path.suffix if len(os.fsencode(path.suffix)) <= _LONGEST_SUFFIX else ""


def _own_prefix(path: Path) -> str:
    return f"{_stem(path)}{_host()}-{os.getpid()}-"


def _retired(path: Path) -> Path:
    return path.with_name(f"{_stem(path)}{_RETIRED}")


@cache
def _host() -> str:
    return hashlib.sha256(socket.gethostname().encode()).hexdigest()[:8]


def _is_dead(owner: str, entry: os.DirEntry[str]) -> bool:
    """Whether nobody works on a temporary, by what follows the stem in its name."""
    host, _, rest = owner.partition("-")
    pid = rest.partition("-")[0]
    if pid.isdigit() and host == _host():
        return not _is_alive(int(pid))
    if pid.isdigit():
        with contextlib.suppress(OSError):
            return time.time() - entry.stat(follow_symlinks=False).st_mtime > _FOREIGN_SECONDS
        return False
    return True  # moved aside and replaced, or named as earlier versions did


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current
