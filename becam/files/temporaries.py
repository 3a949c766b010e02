"""Where outputs are written before they are whole: names that tell whose they are."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import secrets
import shutil
import socket
import time
from functools import cache
from pathlib import Path

PARTIAL_SUFFIX = ".partial"
RETIRED = "retired"

_LONGEST_NAME = 64
_LONGEST_SUFFIX = 16
_FOREIGN_SECONDS = 7 * 24 * 3600.0
"""After this a temporary of another machine is taken for a leftover."""

# .NAME.partial-MACHINE-PROCESS-RANDOM[.SUFFIX], .NAME.partial-retired, and without machine and
# process as earlier versions named them.
_NAME = re.compile(
    rf"\.(?P<output>.+){re.escape(PARTIAL_SUFFIX)}-"
    rf"(?:(?P<machine>[0-9a-f]{{8}})-(?P<process>\d+)-[0-9a-f]{{8}}|(?P<retired>{RETIRED})"
    r"|[a-z0-9_]{8})(?:\.[^.]*)?",
    re.DOTALL,
)


def short_name(path: Path) -> str:
    """A name for files beside an output: its own, or a hash of it where that is long."""
    encoded = os.fsencode(path.name)
    if len(encoded) <= _LONGEST_NAME:
        return path.name
    return hashlib.sha256(encoded).hexdigest()[:32]


def temporary_of(path: Path) -> Path:
    """A path beside an output, of this process alone and with the output's suffix."""
    suffix = path.suffix if len(os.fsencode(path.suffix)) <= _LONGEST_SUFFIX else ""
    owner = f"{_machine()}-{os.getpid()}-{secrets.token_hex(4)}"
    return path.with_name(f".{short_name(path)}{PARTIAL_SUFFIX}-{owner}{suffix}")


def retired_of(path: Path) -> Path:
    """Where a folder lies for the moment in which another takes its place."""
    return path.with_name(f".{short_name(path)}{PARTIAL_SUFFIX}-{RETIRED}")


def is_temporary(name: str) -> bool:
    """Whether a file or folder of this name is a temporary of becam's."""
    return _NAME.fullmatch(name) is not None


def sweep(folder: Path, output: Path | None = None, *, alone: bool = False) -> None:
    """Delete temporaries that killed processes left in ``folder``.

    Args:
        folder: where to look, not below it.
        output: only those of this output; by default all.
        alone: nobody else writes there, as by a lock: all are leftovers.
    """
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            found = _NAME.fullmatch(entry.name)
            if found is None or (output is not None and found["output"] != short_name(output)):
                continue
            if found["retired"]:
                if output is None or not output.exists():
                    continue  # all that is left of a folder
            elif not (alone or _is_dead(found, entry)):
                continue
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path, ignore_errors=True)
            else:
                with contextlib.suppress(OSError):
                    os.unlink(entry.path)


def _is_dead(name: re.Match[str], entry: os.DirEntry[str]) -> bool:
    if name["machine"] == _machine():
        return not _is_alive(int(name["process"]))
    try:
        return time.time() - entry.stat(follow_symlinks=False).st_mtime > _FOREIGN_SECONDS
    except OSError:
        return False


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True


@cache
def _machine() -> str:
    """The space in which a process's number means something: a host, or a container on it."""
    space = ""
    with contextlib.suppress(OSError):
        space = os.readlink("/proc/self/ns/pid")
    return hashlib.sha256(f"{socket.gethostname()} {space}".encode()).hexdigest()[:8]
