"""Whether an output can be written, checked before the work for it begins."""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from collections.abc import Iterable
from pathlib import Path

from becam.errors import BecamError
from becam.files.disk import FULL, DiskFullError
from becam.files.temporaries import sweep

_NAME_MAX, _PATH_MAX = 255, 4096
"""Bytes of one name and of a path on the usual file systems, where the disk does not tell."""

_BESIDE = 160
"""Bytes that a temporary beside an output, or a file in it, needs."""

_REASONS = {
    errno.ELOOP: "it is a link that leads to itself",
    errno.ENAMETOOLONG: "the name or the path is too long",
    errno.ENOTDIR: "a part of the path is not a folder",
    errno.EROFS: "the disk is read-only",
    errno.EACCES: "the folder may not be written",
    errno.EPERM: "the folder may not be written",
}


def check_output_file(
    path: str | Path, *beside: str | Path, inputs: Iterable[str | Path | None] = ()
) -> Path:
    """Raise unless a file can be written at ``path``; its absolute path, links followed.

    A killed process's temporaries of it leave.

    Args:
        path: of the file.
        beside: files that are written with it, such as its numbers: what is there under these
            names without the file itself is not becam's, and stays.
        inputs: what the command reads; none of it is written over.

    Raises:
        BecamError: it is a folder, a device or a broken link, a parent is no folder, the name is
            too long, the place may not be written, or it is an input.
    """
    full = find_output(path, trial=True)
    sweep(full.parent, full)
    read = {os.path.realpath(each) for each in inputs if each is not None}
    for each in (path, *beside):
        if os.path.realpath(each) in read:
            raise BecamError(f"{each} is read by this command; choose another output.")
    for other in beside:
        found = find_output(other, trial=True)
        if found.exists() and not full.exists():
            raise BecamError(
                f"{other} is there and belongs to no {path}, so it is left as it is; move it "
                "elsewhere or choose another output."
            )
    return full


def check_output_folder(path: str | Path) -> Path:
    """Raise unless a folder can be made or filled at ``path``, as :func:`check_output_file`."""
    full = find_output(path, folder=True, trial=True)
    sweep(full.parent, full)
    return full


def find_output(path: str | Path, *, folder: bool = False, trial: bool = False) -> Path:
    """The checks of the two above, without clearing anything away; ``trial``: by writing."""
    try:
        return _checked(Path(path), folder, trial)
    except ValueError:  # a zero byte
        raise BecamError(f"{str(path)!r} cannot be a path; choose another output.") from None
    except OSError as error:
        if error.errno in FULL:
            raise DiskFullError(
                f"The disk is full, so {path} cannot be written; free some space first."
            ) from error
        reason = _REASONS.get(error.errno or 0, error.strerror)
        raise BecamError(f"Cannot write {path}: {reason}; choose another output.") from None


def _checked(path: Path, folder: bool, trial: bool) -> Path:
    if "\0" in str(path):
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
    _check_length(full, parent, missing)
    if trial:
        # A file written and gone: neither permissions nor mount options tell all that may be in
        # the way (quotas, network disks, folders of the system that take no files).
        with tempfile.TemporaryFile(dir=full if folder and kind is not None else parent) as file:
            file.write(b"\0")
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


def _check_length(full: Path, parent: Path, names: list[str]) -> None:
    try:
        longest = os.pathconf(parent, "PC_NAME_MAX"), os.pathconf(parent, "PC_PATH_MAX")
    except (AttributeError, OSError, ValueError):
        longest = _NAME_MAX, _PATH_MAX
    too_long = any(len(os.fsencode(name)) > longest[0] for name in names)
    if too_long or len(os.fsencode(full)) + _BESIDE > longest[1]:
        raise OSError(errno.ENAMETOOLONG, "")
