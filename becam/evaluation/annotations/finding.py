"""Files of a folder by their suffix."""

from __future__ import annotations

import os
from pathlib import Path


def files_in(folder: Path, suffix: str) -> list[Path]:
    """Paths in a folder that end in ``suffix``, in any case; none where it cannot be read.

    Names that begin with a dot are passed over: macOS keeps notes on files in such.
    """
    try:
        names = os.listdir(folder)
    except (OSError, ValueError):
        return []
    return [
        folder / name
        for name in sorted(names)
        if not name.startswith(".") and name.lower().endswith(suffix)
    ]
