"""The folder of an audit: one Parquet file a picture as it is done, so that a kill costs one."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from becam.data.tables import reading, write_parquet
from becam.errors import BecamError
from becam.evaluation.summary import ROW
from becam.files import atomic_file, disk_errors

RECORD = "audit.json"
PARTS = "parts"
FORMAT = 1


class Parts:
    """Rows of single pictures on disk; several processes may work in one folder.

    Args:
        folder: of the audit; it is made.
        identity: all that decides a picture's rows, as plain values.
        overwrite: discard the parts of an earlier audit; no other process may work there then.

    Raises:
        BecamError: the folder has an audit of another identity, or the disk refuses.
    """

    def __init__(self, folder: Path, identity: Mapping[str, Any], *, overwrite: bool) -> None:
        self._folder = folder / PARTS
        self._record = folder / RECORD
        # As it will be read back: tuples become lists.
        self._wanted = json.loads(json.dumps({"format": FORMAT, **identity}))
        if folder.exists() and not folder.is_dir():
            raise BecamError(f"{folder} is a file; choose a folder with -o.")
        # First the parts, then the record: whoever begins meanwhile writes them the other way
        # round, so parts without a record are never those of a process at work.
        begun = any(self._folder.glob("[!.]*"))  # a name with a dot is one that a kill left
        kept = self._record.is_file() and not overwrite
        if kept and begun:
            self._check()
        elif not (kept and self._matches()):
            self._begin(folder, discard=overwrite or begun)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self._path(name).is_file()

    def missing(self, names: Iterable[str]) -> set[str]:
        """Those of some pictures that are not there yet."""
        present = {path.name for path in self._folder.glob("[!.]*")}
        return {name for name in names if self._path(name).name not in present}

    def write(self, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Keep the rows of a picture, whole or not at all.

        Raises:
            BecamError: the folder has become another audit's, or the disk refuses.
        """
        self._check()
        with atomic_file(self._path(name)) as temporary:
            write_parquet(pl.DataFrame(rows, schema=ROW), temporary)

    def read(self, names: Sequence[str]) -> pl.DataFrame:
        """The rows of some pictures, in their order.

        Raises:
            BecamError: a damaged file.
        """
        found = []
        for name in names:
            path = self._path(name)
            with reading(path):
                found.append(pl.read_parquet(path))
        return pl.concat(found)

    def _path(self, name: str) -> Path:
        return self._folder / f"{hashlib.sha256(name.encode()).hexdigest()[:24]}.parquet"

    def _begin(self, folder: Path, *, discard: bool) -> None:
        with disk_errors(folder):
            if discard and self._folder.exists():
                shutil.rmtree(self._folder)
            self._folder.mkdir(parents=True, exist_ok=True)
        with atomic_file(self._record) as temporary:
            text = json.dumps(self._wanted, indent=2, ensure_ascii=False)
            temporary.write_text(text, "utf-8")

    def _matches(self) -> bool:
        try:
            self._check()
        except BecamError:
            return False
        return True

    def _check(self) -> None:
        try:
            found = json.loads(self._record.read_text(encoding="utf-8"))
            differing = [key for key, value in self._wanted.items() if found.get(key) != value]
        except (OSError, ValueError, AttributeError):
            raise BecamError(
                f"{self._record} is damaged; choose another -o or pass --overwrite to begin again."
            ) from None
        if differing:
            raise BecamError(
                f"{self._record.parent} holds an audit that differs in {', '.join(differing)}; "
                "choose another -o or pass --overwrite to begin again."
            )
