"""The folder of an audit: one Parquet file a picture as it is done, so that a kill costs one."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
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
    """Rows of single pictures on disk.

    Args:
        folder: of the audit; it is made.
        identity: all that decides a picture's rows, as plain values.
        overwrite: discard the parts of an earlier audit.

    Raises:
        BecamError: the folder has an audit of another identity, or the disk refuses.
    """

    def __init__(self, folder: Path, identity: Mapping[str, Any], *, overwrite: bool) -> None:
        self._folder = folder / PARTS
        record = folder / RECORD
        # As it will be read back: tuples become lists.
        wanted = json.loads(json.dumps({"format": FORMAT, **identity}))
        if folder.exists() and not folder.is_dir():
            raise BecamError(f"{folder} is a file; choose a folder with -o.")
        begun = any(self._folder.glob("[!.]*"))  # a name with a dot is one that a kill left
        if begun and record.is_file() and not overwrite:
            _check(record, wanted)
            return
        with disk_errors(folder):
            if self._folder.exists():
                shutil.rmtree(self._folder)
            self._folder.mkdir(parents=True)
        with atomic_file(record) as temporary:
            temporary.write_text(json.dumps(wanted, indent=2, ensure_ascii=False), "utf-8")

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self._path(name).is_file()

    def write(self, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Keep the rows of a picture, whole or not at all."""
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


def _check(record: Path, wanted: dict[str, Any]) -> None:
    try:
        found = json.loads(record.read_text(encoding="utf-8"))
        differing = [key for key in wanted if found.get(key) != wanted[key]]
    except (OSError, ValueError, AttributeError):
        raise BecamError(
            f"{record} is damaged; choose another -o or pass --overwrite to begin again."
        ) from None
    if differing:
        raise BecamError(
            f"{record.parent} holds an audit that differs in {', '.join(differing)}; choose "
            "another -o or pass --overwrite to begin again."
        )
