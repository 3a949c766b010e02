"""Which pictures are there, and which can be read."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from becam.errors import BecamError, BecamWarning
from becam.images import check_image, suffixes
from becam.progress import bar

_NAMED = 3
_LITTER = "__MACOSX"
"""Where archives of macOS keep files that only look like the pictures beside them."""

_WORKERS = 8


def exist(root: Path, names: Iterable[str | None]) -> NDArray[np.bool_]:
    """Which of the files ``root / name`` are there; each folder is listed once."""
    listings: dict[str, frozenset[str]] = {}
    result = []
    for name in names:
        if name is None:
            result.append(False)
            continue
        folder, base = os.path.split(os.path.join(root, name))
        if folder not in listings:
            listings[folder] = frozenset(_listing(folder))
        result.append(base in listings[folder])
    return np.array(result, dtype=bool)


def below(root: Path) -> Iterator[Path]:
    """Pictures anywhere under ``root``, a folder after the other, by name; no hidden files."""
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if _is_shown(name))
        for name in sorted(names):
            if _is_shown(name) and os.path.splitext(name)[1].lower() in suffixes():
                yield Path(folder, name)


def by_stem(root: Path) -> dict[str, str]:
    """Pictures anywhere under ``root``: name without suffix to path relative to ``root``."""
    found: dict[str, str] = {}
    for path in below(root):
        found.setdefault(path.stem, os.path.relpath(path, root))
    return found


def readable(paths: Sequence[Path]) -> NDArray[np.bool_]:
    """Which pictures ``becam.images.read_image`` reads; decoded in threads, with progress."""
    result = np.zeros(len(paths), dtype=bool)
    workers = min(_WORKERS, os.cpu_count() or 1)
    pool = ThreadPoolExecutor(workers)
    try:
        with bar(desc="checking pictures", total=len(paths), unit="pic") as progress:
            for number, good in enumerate(pool.map(is_readable, paths)):
                result[number] = good
                progress.update()
    finally:
        pool.shutdown(cancel_futures=True)  # an interrupt does not wait for all the others
    return result


def is_readable(path: Path) -> bool:
    """Whether ``becam.images.read_image`` reads a picture."""
    try:
        check_image(path)
    except BecamError:
        return False
    return True


def lies_in(path: Path, folders: Iterable[Path]) -> bool:
    """Whether a file is below one of some folders, wherever links and ``..`` lead.

    What is passed on must be pictures of the shop: a path in a table can name any file.
    """
    real = Path(os.path.realpath(path))
    return any(real.is_relative_to(os.path.realpath(folder)) for folder in folders)


def warn_left_out(
    names: Sequence[str],
    total: int,
    *,
    what: str = "Items",
    why: str = "their pictures cannot be read",
    remedy: str = "",
) -> None:
    """Warn, in one sentence, of pictures that are left out, where there are any."""
    if names:
        named = ", ".join(names[:_NAMED]) + (" and others" if len(names) > _NAMED else "")
        warnings.warn(
            f"{what} left out because {why}: {len(names):,} of {total:,} ({named}){remedy}.",
            BecamWarning,
            stacklevel=3,
        )


def require_folder(path: Path) -> Path:
    """``path`` itself, absolute, where it is a folder.

    Raises:
        BecamError: it is not.
    """
    if not os.path.isdir(path):
        raise BecamError(f"There is no folder of pictures {path}; name it with --images.")
    return path.resolve()


def _is_shown(name: str) -> bool:
    return not name.startswith(".") and name != _LITTER


def _listing(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except (OSError, ValueError):  # a zero byte in the name
        return []
