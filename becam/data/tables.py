"""Tables on disk: CSV, TSV and parquet in, parquet out, and their errors in words."""

from __future__ import annotations

import csv
import errno
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import polars as pl

from becam.errors import BecamError

SUFFIXES = (".csv", ".tsv", ".txt", ".inter", ".parquet")

_SEPARATORS = "\t;,|"


def scan_table(path: Path) -> pl.LazyFrame:
    """A table without its rows: parquet by its suffix, else separated text with a header.

    Of separated text every column is a string, so that ids keep their leading zeros; the
    separator (tab, semicolon, comma, bar) is read off the header.

    Raises:
        BecamError: no such file, or not a table.
    """
    if not path.is_file():
        raise BecamError(f"There is no file {path}; check the path.")
    with reading(path):
        if path.suffix == ".parquet":
            table = pl.scan_parquet(path)
        else:
            table = pl.scan_csv(path, separator=_separator(path), infer_schema=False)
        table.collect_schema()
    return table


def columns(table: pl.LazyFrame) -> list[str]:
    """Names of the columns, in the file's order."""
    return table.collect_schema().names()


def require_columns(table: pl.LazyFrame, names: Sequence[str], path: Path) -> None:
    """Raise a BecamError unless ``table`` has all these columns."""
    found = columns(table)
    missing = [name for name in names if name not in found]
    if missing:
        raise BecamError(
            f"{path} has no column {', '.join(missing)} (its columns are {', '.join(found)}); "
            "give the file as it was published."
        )


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn what polars says about a bad file into one sentence that names the file."""
    try:
        yield
    except pl.exceptions.NoDataError:
        raise BecamError(f"{path} is empty; fetch or export it again.") from None
    except (pl.exceptions.PolarsError, UnicodeDecodeError) as error:
        reason = str(error).strip().splitlines()[0]
        if "utf-8" in reason or isinstance(error, UnicodeDecodeError):
            raise BecamError(f"{path} is not UTF-8 text; convert it to UTF-8 first.") from None
        raise BecamError(f"{path} cannot be read as a table ({reason}); export it again.") from None
    except PermissionError:
        raise BecamError(f"{path} may not be read; check its permissions.") from None


def write_parquet(table: pl.DataFrame | pl.LazyFrame, path: Path) -> None:
    """Write a table; a lazy one without ever holding it whole.

    Raises:
        OSError: the disk refused; polars itself reports that without an ``errno``.
    """
    try:
        if isinstance(table, pl.LazyFrame):
            table.sink_parquet(path)
        else:
            table.write_parquet(path)
    except pl.exceptions.PolarsError as error:
        if f"os error {errno.ENOSPC}" in str(error):
            raise OSError(errno.ENOSPC, "No space left on device", str(path)) from error
        raise


def _separator(path: Path) -> str:
    with open(path, encoding="utf-8-sig") as stream:
        header = stream.readline()
    # Separators within a quoted name do not count.
    counts = {mark: len(next(csv.reader([header], delimiter=mark), [])) for mark in _SEPARATORS}
    best = max(counts, key=counts.__getitem__)
    return best if counts[best] > 1 else ","
