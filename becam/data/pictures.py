"""Which pictures are there, and which can be read."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from becam.errors import BecamError
from becam.images import MAX_PIXELS, read_image
from becam.progress import bar

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff"}

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


def by_stem(root: Path) -> dict[str, str]:
    """Pictures anywhere under ``root``: name without suffix to path relative to ``root``."""
    found: dict[str, str] = {}
    for folder, folders, names in os.walk(root):
        folders.sort()
        for name in sorted(names):
            stem, suffix = os.path.splitext(name)
            if suffix.lower() in SUFFIXES:
                found.setdefault(stem, os.path.relpath(os.path.join(folder, name), root))
    return found


def readable(paths: Sequence[Path]) -> NDArray[np.bool_]:
    """Which pictures ``becam.images.read_image`` would read; decoded in threads, with progress."""
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
    """Whether a picture decodes to its end."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path) as image:
                jpeg = image.format == "JPEG"
                if jpeg and image.width * image.height <= MAX_PIXELS:
                    # An eighth of the size: still every byte of the file, but a few times faster.
                    image.draft(image.mode, (1, 1))
                    image.load()
                    return True
        read_image(path)
    except Exception:  # Pillow's decoders raise OSError, SyntaxError, struct.error, ...
        return False
    return True


def require_folder(path: Path) -> Path:
    """``path`` itself, absolute, where it is a folder.

    Raises:
        BecamError: it is not.
    """
    if not path.is_dir():
        raise BecamError(f"There is no folder of pictures {path}; name it with --images.")
    return path.resolve()


def _listing(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []
