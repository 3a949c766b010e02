"""The folder of an audit: one Parquet file a picture."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from becam.data.tables import reading
from becam.errors import BecamError
from becam.evaluation.summary import ROW
from becam.files import read_bytes
from becam.parts import PartFiles

RECORD = "audit.json"
VALUES = "measures.parquet"
TABLE = "table.md"

_SEAL = b"becam sha256 "
_HEAD = len(_SEAL) + 64 + 1
_PARQUET = b"PAR1"
_MOST_BYTES = 64 << 20


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
            temporary.write_bytes(_sealed(table))

    def read(self, names: Sequence[str]) -> pl.DataFrame:
        """The rows of some pictures, in their order.

        Raises:
            BecamError: a damaged file.
        """
        return pl.concat([_read(self.path(name)) for name in names])


def _sealed(rows: pl.DataFrame) -> bytes:
    """A Parquet file behind its own SHA-256, which is looked at before anything in it."""
    buffer = io.BytesIO()
    rows.write_parquet(buffer)
    content = buffer.getvalue()
    return _SEAL + hashlib.sha256(content).hexdigest().encode() + b"\n" + content


def _read(path: Path) -> pl.DataFrame:
    content = read_bytes(path, most=_MOST_BYTES, what="part of an audit")
    head, content = content[:_HEAD], content[_HEAD:]
    again = "delete it and run the command again"
    if head.startswith(_PARQUET):  # of an earlier becam
        content = head + content
    elif head != _SEAL + hashlib.sha256(content).hexdigest().encode() + b"\n":
        raise BecamError(f"{path} is damaged; {again}.")
    with reading(path):
        found = pl.read_parquet(io.BytesIO(content))
    if found.schema != ROW:
        raise BecamError(f"{path} is damaged: it has other columns; {again}.")
    return found
