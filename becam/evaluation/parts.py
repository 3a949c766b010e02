"""The folder of an audit: one Parquet file a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from becam.data.tables import read_parquet, write_parquet
from becam.evaluation.summary import ROW
from becam.parts import PartFiles

RECORD = "audit.json"


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
        )

    def write(self, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Keep the rows of a picture, whole or not at all.

        Raises:
            BecamError: the folder has become another audit's, or the disk refuses.
        """
        with self.writing(name) as temporary:
            write_parquet(pl.DataFrame(rows, schema=ROW), temporary)

    def read(self, names: Sequence[str]) -> pl.DataFrame:
        """The rows of some pictures, in their order.

        Raises:
            BecamError: a damaged file.
        """
        return pl.concat([read_parquet(self.path(name)) for name in names])
