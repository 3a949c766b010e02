"""Picture paths as tables write them, to the files that they mean."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterable
from pathlib import Path

from becam.data.pictures import exist


def located(root: Path, names: Iterable[str | None]) -> tuple[list[str | None], int]:
    """Paths below ``root`` by which the files are there, and how many were found so.

    A path that is not there may come from Windows (``pictures\\a.jpg``) or from a system to which
    letters of either case, or two ways to write an accent, are the same: then it is the one file
    that differs in nothing else. All others stay as they are.
    """
    found = list(names)
    folders = _Folders()
    mended = 0
    for position, there in enumerate(exist(root, found)):
        name = found[position]
        if there or not name or "\0" in name:
            continue
        other = folders.find(root, name)
        if other is not None:
            found[position] = other
            mended += 1
    return found, mended


class _Folders:
    """Names in folders, each folder listed once."""

    def __init__(self) -> None:
        self._listings: dict[str, dict[str, list[str]]] = {}

    def find(self, root: Path, name: str) -> str | None:
        """The one path below ``root`` that ``name`` can mean, with slashes; None: none or many."""
        relative = name.replace("\\", "/")
        folder, parts = str(root), []
        if relative.startswith("/"):
            folder, parts = "/", [""]
        for part in relative.split("/"):
            if part in ("", "."):
                continue
            if part != "..":
                alike = self._listing(folder).get(_key(part), [])
                if part not in alike:
                    if len(alike) != 1:
                        return None
                    part = alike[0]
            parts.append(part)
            folder = os.path.join(folder, part)
        return "/".join(parts) if os.path.isfile(folder) else None

    def _listing(self, folder: str) -> dict[str, list[str]]:
        if folder not in self._listings:
            listing: dict[str, list[str]] = {}
            try:
                names = os.listdir(folder)
            except (OSError, ValueError):
                names = []
            for name in names:
                listing.setdefault(_key(name), []).append(name)
            self._listings[folder] = listing
        return self._listings[folder]


def _key(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()
