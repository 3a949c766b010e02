"""Whether an output can be written, checked before the work for it begins."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from becam.errors import BecamError

_READ_ONLY = getattr(os, "ST_RDONLY", 1)
_NAME_MAX = 255
"""Bytes of one name on the usual file systems, where the disk does not tell."""


def check_output_file(path: str | Path) -> Path:
    """Raise unless a file can be written at ``path``; its absolute path, links followed.

    Raises:
        BecamError: it is a folder, a device or a broken link, a parent is no folder, the name is
            too long, or the place may not be written.
    """
    return _checked(path, folder=False)


def check_output_folder(path: str | Path) -> Path:
    """Raise unless a folder can be made or filled at ``path``, as :func:`check_output_file`."""
    return _checked(path, folder=True)


def _checked(path: str | Path, *, folder: bool) -> Path:
    try:
        return _resolved(Path(path), folder)
    except ValueError:  # a zero byte
        raise BecamError(f"{str(path)!r} cannot be a path; choose another output.") from None
    except OSError as error:
        reasons = {
            errno.ELOOP: "it is a link that leads to itself",
            errno.ENAMETOOLONG: "the name or the path is too long",
            errno.ENOTDIR: "a part of the path is not a folder",
        }
        reason = reasons.get(error.errno or 0, error.strerror)
        raise BecamError(f"Cannot write {path}: {reason}; choose another output.") from None


def _resolved(path: Path, folder: bool) -> Path:
    if str(path) == "" or "\0" in str(path):
        raise ValueError
    full = Path(os.path.abspath(path))
    if full.name == "":
        raise BecamError(f"Cannot write {path}: it is a whole disk; choose another output.")
    if full.is_symlink():
        _follow(path, full)
        full = Path(os.path.realpath(full))
    kind = _mode(full)
    if kind is not None:
        _check_kind(path, kind, folder)
    parent = full.parent
    missing = [full.name] if kind is None else []
    while (mode := _mode(parent)) is None:
        if parent.is_symlink():
            _follow(path, parent)
        missing.append(parent.name)
        parent = parent.parent
    if not stat.S_ISDIR(mode):
        raise BecamError(f"Cannot write {path}: {parent} is not a folder; choose another output.")
    place = full if folder and kind is not None else parent
    _check_names(path, place, missing)
    _check_place(path, place)
    return full


def _mode(path: Path) -> int | None:
    try:
        return os.stat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return None


def _follow(path: Path, link: Path) -> None:
    try:
        os.stat(link)
    except FileNotFoundError:
        raise BecamError(
            f"Cannot write {path}: {link} is a link to {os.readlink(link)}, which is not there; "
            "choose another output."
        ) from None


def _check_kind(path: Path, mode: int, folder: bool) -> None:
    if stat.S_ISDIR(mode) and not folder:
        raise BecamError(f"{path} is a folder; choose the path of a file.")
    if stat.S_ISREG(mode) and folder:
        raise BecamError(f"{path} is a file; choose a folder.")
    if not (stat.S_ISDIR(mode) or stat.S_ISREG(mode)):
        raise BecamError(f"{path} is a device or a pipe; choose another output.")


def _check_names(path: Path, place: Path, names: list[str]) -> None:
    try:
        longest = os.pathconf(place, "PC_NAME_MAX")
    except (AttributeError, OSError, ValueError):
        longest = _NAME_MAX
    if any(len(os.fsencode(name)) > longest for name in names):
        raise OSError(errno.ENAMETOOLONG, "")


def _check_place(path: Path, place: Path) -> None:
    if not os.access(place, os.W_OK | os.X_OK):
        raise BecamError(f"Cannot write {path}: {place} may not be written; choose another output.")
    if hasattr(os, "statvfs") and os.statvfs(place).f_flag & _READ_ONLY:
        raise BecamError(f"Cannot write {path}: the disk is read-only; choose another output.")
