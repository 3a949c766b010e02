"""Reading what a user names: regular files alone, of a bounded size, and errors in words."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, TypeVar

from becam.errors import BecamError, MissingFileError
from becam.files.folders import recover_dir

T = TypeVar("T")

_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def open_file(path: str | Path, *, most: int | None = None, what: str = "file") -> BinaryIO:
    """Open a regular file for reading, in binary.

    Never waits for a pipe and never reads a device: the file is opened without blocking and its
    kind is checked on the open descriptor.

    Args:
        path: of the file; links are followed.
        most: its largest size in bytes; None: any.
        what: what it should be, in errors, such as ``manifest``.

    Raises:
        MissingFileError: there is nothing at ``path``.
        BecamError: it is not a regular file, too large, or may not be read.
    """
    try:
        descriptor = _open(path)
    except (OSError, ValueError) as error:
        raise _refusal(path, error, what) from error
    try:
        _check(path, os.fstat(descriptor), most, what)
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def check_file(path: str | Path, *, most: int | None = None, what: str = "file") -> None:
    """Raise as :func:`open_file` does; for readers that take nothing but a path."""
    try:
        found = _recovered(path, os.stat)
    except (OSError, ValueError) as error:
        raise _refusal(path, error, what) from error
    _check(path, found, most, what)
    if not os.access(path, os.R_OK):
        raise BecamError(f"{path} may not be read; check its permissions.")


def read_bytes(path: str | Path, *, most: int, what: str = "file") -> bytes:
    """The whole content of a regular file of at most ``most`` bytes; raises as the others do."""
    with open_file(path, most=most, what=what) as stream:
        try:
            content = stream.read(most + 1)
        except OSError as error:
            raise BecamError(f"{path} cannot be read: {error.strerror}.") from error
    if len(content) > most:  # it grew, or its size was not known beforehand
        raise _too_large(path, what, most)
    return content


def read_text(path: str | Path, *, most: int, what: str = "file") -> str:
    """The text of a UTF-8 file, with or without a byte order mark; raises as the others do."""
    try:
        return read_bytes(path, most=most, what=what).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise BecamError(f"{path} is not UTF-8 text; convert it to UTF-8 first.") from None


def _open(path: str | Path) -> int:
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | _BINARY
    return _recovered(path, lambda found: os.open(found, flags))


def _recovered(path: str | Path, use: Callable[[str | Path], T]) -> T:
    """Use a file; if it is missing, after its folder was looked for where a kill left it."""
    try:
        return use(path)
    except FileNotFoundError:
        if Path(path).parent.exists():
            raise
        recover_dir(Path(path).parent)
        return use(path)


def _check(path: str | Path, found: os.stat_result, most: int | None, what: str) -> None:
    for is_kind, name in _KINDS:
        if is_kind(found.st_mode):
            raise BecamError(f"{path} is {name}, not a {what}; give the path of the {what}.")
    if most is not None and found.st_size > most:
        raise _too_large(path, what, most)


def _too_large(path: str | Path, what: str, most: int) -> BecamError:
    return BecamError(
        f"{path} is larger than a {what} may be ({most:,} bytes); check that it is the right file."
    )


def _refusal(path: str | Path, error: OSError | ValueError, what: str) -> BecamError:
    if isinstance(error, ValueError):  # a zero byte, or letters that no path can hold
        return BecamError(f"{str(path)!r} cannot be the path of a {what}; check it.")
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return MissingFileError(f"There is no {what} at {path}; check the path.")
    if error.errno in (errno.EACCES, errno.EPERM):
        return BecamError(f"{path} may not be read; check its permissions.")
    if error.errno == errno.ELOOP:
        return BecamError(f"{path} is a link that leads to itself; give the path of the {what}.")
    if error.errno == errno.ENXIO:
        return BecamError(f"{path} is a socket, not a {what}; give the path of the {what}.")
    return BecamError(f"{path} cannot be read: {error.strerror}.")


_BINARY = getattr(os, "O_BINARY", 0)
