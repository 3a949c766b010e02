"""Tables on disk: CSV, TSV and parquet in, parquet out, and their errors in words."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import polars as pl

from becam.data.separated import Layout, find_layout, misfit, rows_of
from becam.errors import BecamError
from becam.files import check_file, open_file

SUFFIXES = (".csv", ".tsv", ".txt", ".inter", ".parquet")

REPEATED = "_duplicated_"
"""What polars puts between a column's name and a number where the name is there already."""

_PARQUET = b"PAR1"
_SHOWN = 60
_MORE_THAN_A_PAGE = 1 << 17
_OS_ERROR = re.compile(r"os error (\d+)")


def scan_table(path: Path, notes: list[str] | None = None) -> pl.LazyFrame:
    """A table without its rows: parquet by its first bytes, else separated text with a header.

    Of separated text every column is a string, so that ids keep their leading zeros; its separator
    and whether it quotes are found out (see :mod:`becam.data.separated`).

    Args:
        path: of the file.
        notes: gets a sentence where rows run over several lines.

    Raises:
        BecamError: no such file, or not a table.
    """
    check_file(path)
    with reading(path):
        if _is_parquet(path):
            return scan_parquet(path)
        layout = find_layout(path)
        if layout.broken and notes is not None:
            notes.append(
                f"{path.name}: quoted fields hold line breaks, so its rows are {layout.broken:,} "
                "fewer than its lines."
            )
        if layout.strays:
            return _parsed(path, layout).lazy()
        table = pl.scan_csv(
            source(path),
            separator=layout.separator,
            quote_char='"' if layout.quoted else None,
            infer_schema=False,
            glob=False,
        )
        table.collect_schema()
    return table


def scan_parquet(path: Path) -> pl.LazyFrame:
    """A parquet file without its rows; nothing is read into the name of the file or its folders.

    Raises:
        BecamError: no such file, or not parquet.
    """
    check_file(path)
    with reading(path):
        # Without statistics: where they are damaged, rows would be skipped.
        table = pl.scan_parquet(
            source(path), glob=False, hive_partitioning=False, use_statistics=False
        )
        table.collect_schema()
    return table


def read_parquet(path: Path) -> pl.DataFrame:
    """The rows of a parquet file; raises as :func:`scan_parquet` does."""
    table = scan_parquet(path)
    with reading(path):
        return table.collect()


def source(path: Path) -> str | bytes:
    """What polars reads the file ``path`` by: a path on this machine, never an address.

    A path with bytes that are no UTF-8 polars cannot be told: then the content itself.
    """
    name = os.path.abspath(path)
    try:
        name.encode()
    except UnicodeEncodeError:
        with open_file(path) as stream:
            return stream.read()
    return name


def columns(table: pl.LazyFrame) -> list[str]:
    """Names of the columns, in the file's order."""
    return table.collect_schema().names()


def require_columns(table: pl.LazyFrame, names: Sequence[str], path: Path) -> None:
    """Raise a BecamError unless ``table`` has all these columns."""
    found = columns(table)
    missing = [name for name in names if name not in found]
    if missing:
        raise BecamError(
            f"{path} has no column {', '.join(missing)} (its columns are {listed(found)}); "
            "give the file as it was published."
        )


def listed(names: Sequence[str]) -> str:
    """Names for a sentence; of very many the first ones."""
    shown = ", ".join(name if len(name) <= _SHOWN else f"{name[:_SHOWN]}…" for name in names[:30])
    return shown if len(names) <= 30 else f"{shown} and {len(names) - 30:,} others"


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn what polars says about a bad file into one sentence that names the file."""
    try:
        yield
    except pl.exceptions.NoDataError:
        raise BecamError(f"{path} is empty; fetch or export it again.") from None
    except (pl.exceptions.PolarsError, UnicodeDecodeError) as error:
        reason = (str(error).strip().splitlines() or ["unknown"])[0]
        if "utf-8" in reason or isinstance(error, UnicodeDecodeError):
            raise BecamError(f"{path} is not UTF-8 text; convert it to UTF-8 first.") from None
        if "more fields than defined" in reason:
            raise misfit(path) from None
        raise BecamError(f"{path} cannot be read as a table ({reason}); export it again.") from None
    except pl.exceptions.PanicException:  # of the library's own code, over damaged bytes
        raise BecamError(f"{path} is damaged; fetch or export it again.") from None
    except PermissionError:
        raise BecamError(f"{path} may not be read; check its permissions.") from None
    except MemoryError:
        raise BecamError(
            f"{path} does not fit the memory; free some, or leave out columns that are not needed."
        ) from None


def write_parquet(table: pl.DataFrame | pl.LazyFrame, path: Path) -> None:
    """Write a table; a lazy one without ever holding it whole.

    Raises:
        OSError: the disk refused; polars itself reports that without an ``errno``.
    """
    # A stream, for polars takes some names of files for addresses and cannot be told others.
    with open(path, "wb") as stream:
        try:
            if isinstance(table, pl.LazyFrame):
                table.sink_parquet(stream)
            else:
                table.write_parquet(stream)
        except pl.exceptions.PolarsError as error:
            if found := _OS_ERROR.search(str(error)):
                number = int(found[1])
                raise OSError(number, os.strerror(number), str(path)) from error
            # Of some writes it does not even say so much: a full disk refuses one more.
            stream.write(bytes(_MORE_THAN_A_PAGE))
            stream.flush()
            raise


def _is_parquet(path: Path) -> bool:
    with open_file(path) as stream:
        return stream.read(len(_PARQUET)) == _PARQUET or path.suffix.lower() == ".parquet"


def _parsed(path: Path, layout: Layout) -> pl.DataFrame:
    """A file that quotes some fields and has other marks too, which polars does not read."""
    names, *rows = rows_of(path, layout.separator)
    seen: Counter[str] = Counter()
    for position, name in enumerate(names):
        if seen[name]:
            names[position] = f"{name}{REPEATED}{seen[name] - 1}"
        seen[name] += 1
    schema = dict.fromkeys(names, pl.String())
    filled = [[cell or None for cell in row] for row in rows if row]
    return pl.DataFrame(filled, schema=schema, orient="row")
