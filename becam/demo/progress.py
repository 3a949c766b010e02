"""How far a demo is: what a stopped one goes on from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from becam.demo.page import PAGE, is_page
from becam.errors import BecamError, MissingFileError
from becam.files import write_json
from becam.records import read_record

RECORD = "demo.json"

_PARTS = ("catalogue", "dataset", "bm3", "bm3-befa")


class Progress:
    """The parts of a demo that are there, in ``demo.json``.

    Args:
        folder: of the demo.
        options: all that decides its results.
        done: the parts that are there.
    """

    def __init__(self, folder: Path, options: Mapping[str, Any], done: list[str]) -> None:
        self._folder = folder
        self._options = dict(options)
        self._done = done

    @classmethod
    def begin(cls, folder: Path, options: Mapping[str, Any], *, overwrite: bool) -> Progress:
        """Go on with a demo of the same options, or begin one.

        Raises:
            BecamError: the folder has another demo and ``overwrite`` is false, or a page or a
                record that is no demo's.
        """
        page = folder / PAGE
        if page.exists() and not is_page(page):
            raise BecamError(
                f"{page} is not a demo's page, so it is left as it is; choose another -o."
            )
        found = _read(folder / RECORD)
        if not overwrite:
            if PAGE in found["done"] if found else page.exists():
                raise BecamError(
                    f"{folder} holds a demo already; open {page}, choose another -o or pass "
                    "--overwrite."
                )
            if found is not None and found.get("options") == options:
                return cls(folder, options, [part for part in _PARTS if part in found["done"]])
            if found is not None or any((folder / part).exists() for part in _PARTS):
                raise BecamError(
                    f"{folder} holds another demo or a part of one; choose another -o or pass "
                    "--overwrite."
                )
        begun = cls(folder, options, [])
        begun._write()
        return begun

    def has(self, part: str) -> bool:
        """Whether a part is there, whole."""
        return part in self._done

    def keep(self, part: str) -> None:
        """Say that a part is there."""
        if not self.has(part):
            self._done.append(part)
            self._write()

    def _write(self) -> None:
        write_json(self._folder / RECORD, {"options": self._options, "done": self._done})


def _read(path: Path) -> dict[str, Any] | None:
    try:
        found = read_record(path, dict[str, Any], remedy="")
    except MissingFileError:
        return None
    except BecamError:
        found = {}
    if not isinstance(found.get("done"), list):
        raise BecamError(
            f"{path} is not a demo's record, so it is left as it is; move it elsewhere or choose "
            "another -o."
        )
    return found
