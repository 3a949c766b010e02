"""Folders that are either whole or absent, and replaced only where becam wrote them."""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from becam.errors import BecamError
from becam.files.disk import disk_errors, sync, sync_tree
from becam.files.locks import locked
from becam.files.outputs import find_output
from becam.files.temporaries import is_temporary, retired_of, sweep, temporary_of

_LITTER = frozenset({".DS_Store", "Thumbs.db", "desktop.ini"})
_EXCHANGE = 2  # RENAME_EXCHANGE of renameat2
_PATIENCE_SECONDS = 2.0
_POLL_SECONDS = 0.02


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
        there = {
            entry.name
            for entry in os.scandir(folder)
            if entry.name not in _LITTER and not entry.name.startswith("._")
        }
        there = {name for name in there if not is_temporary(name)}
        if not there:
            return
        if not self.signs <= there or not (self.proof is None or self.proof(folder)):
            raise BecamError(
                f"{folder} is not {self.noun} that becam wrote, so it is left as it is; choose "
                "another output."
            )
        if foreign := sorted(there - self.signs - self.others):
            raise BecamError(
                f"{folder} holds {foreign[0]}, which becam did not write, so it is left as it is; "
                "move that elsewhere or choose another output."
            )


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
    path = find_output(path, folder=True)
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with locked(path) as alone:
            _bring_back(path)
            sweep(path.parent, path, alone=alone)
            check_replaceable(path, contents, overwrite=overwrite)
            temporary = temporary_of(path)
            temporary.mkdir()
            try:
                yield temporary
                sync_tree(temporary)
                _put(temporary, path)
                sync(path.parent)
            finally:
                shutil.rmtree(temporary, ignore_errors=True)


def check_replaceable(path: str | Path, contents: Contents, *, overwrite: bool) -> None:
    """Raise unless a folder of ``contents`` may be written at ``path``.

    Raises:
        BecamError: something is there and ``overwrite`` is false, or becam did not write it.
    """
    path = find_output(path, folder=True)
    if not path.exists():
        return
    if not overwrite:
        raise BecamError(f"{path} already exists; choose another output or pass --overwrite.")
    contents.check(path)


def recover_dir(path: str | Path) -> None:
    """Bring back a folder that a killed :func:`atomic_dir` had moved aside and not yet replaced.

    For readers of such folders: a writer that is at it right now is waited for.
    """
    with contextlib.suppress(OSError, ValueError):
        path = Path(os.path.realpath(path))
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not path.exists() and retired_of(path).is_dir() and time.monotonic() < deadline:
            try:
                with locked(path):
                    _bring_back(path)
            except BecamError:
                time.sleep(_POLL_SECONDS)


def _bring_back(path: Path) -> None:
    retired = retired_of(path)
    if not path.exists() and retired.is_dir():
        os.rename(retired, path)


def _put(temporary: Path, path: Path) -> None:
    """Move a finished folder to where it belongs; what was there leaves."""
    if not path.exists():
        os.rename(temporary, path)
        return
    if _exchange(temporary, path):
        return  # what was there now lies at the temporary's place, and leaves with it
    retired = retired_of(path)
    shutil.rmtree(retired, ignore_errors=True)
    os.rename(path, retired)
    try:
        os.rename(temporary, path)
    except BaseException:
        os.rename(retired, path)
        raise
    sync(path.parent)
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
