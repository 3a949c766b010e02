"""The folder of an audit: one Parquet file a picture."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from becam.data.tables import read_parquet, reading, source, write_parquet
from becam.errors import BecamError
from becam.evaluation.summary import ROW
from becam.parts import PartFiles

RECORD = "audit.json"
VALUES = "measures.parquet"
TABLE = "table.md"

_DIGEST = "becam.rows"
"""Key of the rows' hash in a file's own metadata."""


class Parts(PartFiles):
    """Rows of single pictures on disk; several processes may work in one folder.

    Args:
        folder: of the audit; it is made.
        identity: all that decides a picture's rows, as plain values.
        overwrite: discard the parts of an earlier audit; no other process may work there then.

    Raises:
        BecamError: the folder has an audit of another identity, or the disk refuses.
    """

    def __init__(self, folder: Path, identity: Mapping[str, Any], *, overwrite: bool) -> None:
        super().__init__(
            folder,
            identity,
            record=RECORD,
            suffix=".parquet",
            noun="an audit",
            overwrite=overwrite,
            products=(VALUES, TABLE),
        )

    def write(self, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Keep the rows of a picture, whole or not at all.

        Raises:
            BecamError: the folder has become another audit's, or the disk refuses.
        """
        with self.writing(name) as temporary:
            table = pl.DataFrame(rows, schema=ROW)
            write_parquet(table, temporary, {_DIGEST: _digest(table)})

    def read(self, names: Sequence[str]) -> pl.DataFrame:
        """The rows of some pictures, in their order.

        Raises:
            BecamError: a damaged file.
        """
        return pl.concat([_read(self.path(name)) for name in names])


def _read(path: Path) -> pl.DataFrame:
    found = read_parquet(path)
    with reading(path):
        digest = pl.read_parquet_metadata(source(path)).get(_DIGEST)
    # Parts of an earlier becam have no digest.
    if found.schema != ROW or digest not in (None, _digest(found)):
        raise BecamError(f"{path} is damaged; delete it and run the command again.")
    return found


def _digest(rows: pl.DataFrame) -> str:
    return hashlib.sha256(repr(rows.rows()).encode("utf-8", "surrogatepass")).hexdigest()
