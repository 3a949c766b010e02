"""Columns of times, in the many ways that tables write them, as seconds since 1970."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import polars as pl

from becam.data.tables import reading

_SAMPLE, _LOOK = 100, 1000
_NOTHING = r"(?i)^\s*(nan|nat|null|none|n/?a|\\n|-)?\s*$"

_DATES = (
    "%Y-%m-%d",
    "%Y/%m/%d",
    "%Y.%m.%d",
    "%d %b %Y",
    "%d-%b-%Y",
    "%b %d, %Y",
    "%B %d, %Y",
    "%d %B %Y",
    "%a, %d %b %Y",
)
_CLOCKS = ("%H:%M:%S%.f", "%H:%M")
_ZONES = ("", "%#z", " %#z", " UTC", " GMT", " %#z UTC")
_OTHERS = (
    "%Y%m%dT%H%M%S%#z",
    "%Y%m%dT%H%M%S",
    "%Y%m%d %H:%M:%S",
    "%a %b %d %H:%M:%S %Y",
    "%a %b %d %H:%M:%S %z %Y",
)
# Numbers that are dates: as seconds since 1970 all of them would be of one month of that year.
_DIGITS = ("%Y%m%d", "%Y%m%d%H%M%S")
_DIGITS_PATTERN = r"^(19|20)\d{6}(\d{6})?$"

_EARLIEST = -5_364_662_400  # 1800: a day of a month where a year belongs


@dataclass(frozen=True)
class Times:
    """A column read as times.

    Attributes:
        seconds: of each row, i64; null where there is no time, or none like the others.
        strange: the first value that was not understood where the column as a whole was not.
    """

    seconds: pl.Expr | None
    strange: str = ""


def read_times(table: pl.LazyFrame, column: str, kind: pl.DataType, path: Path) -> Times:
    """How to read a column of type ``kind``: numbers stay, dates become seconds since 1970.

    Dates lead with the year or name the month, for in ``03/01/2024`` nobody knows which is which;
    a time may lack seconds and may have a zone (else it is taken for UTC). How they are written is
    found out on the first rows, which may differ among each other.

    Raises:
        BecamError: the file cannot be read.
    """
    value = pl.col(column)
    if kind in (pl.Date(), pl.Null()) or isinstance(kind, pl.Datetime):
        return Times(value.cast(pl.Datetime("us")).dt.epoch("s"))
    if not (kind.is_numeric() or kind in (pl.String(), pl.Binary(), pl.Categorical(), pl.Enum)):
        return Times(None, str(kind))
    number = pl.Int64() if kind.is_numeric() else pl.Float64()
    text = value.cast(pl.Int64, strict=False) if kind.is_numeric() else value
    text = text.cast(pl.String, strict=False)
    with reading(path):
        sample = _sample(table.select(text.alias("text")))
    if sample.is_empty():
        return Times(value.cast(number, strict=False).cast(pl.Int64, strict=False))
    if sample.str.contains(_DIGITS_PATTERN).all():
        formats = _understood(sample, _DIGITS)
        if formats.left == 0:
            return Times(_first(text, formats.chosen))
    seconds = value.cast(number, strict=False).cast(pl.Int64, strict=False)
    if kind.is_numeric():
        return Times(seconds)
    others = sample.filter(sample.cast(pl.Float64, strict=False).is_null())
    formats = _understood(others, _formats())
    if 2 * formats.left > len(sample):
        return Times(None, formats.strange)
    texts = [] if formats.left == len(others) else [_first(text, formats.chosen)]
    numbers = [] if len(others) == len(sample) else [seconds]
    return Times(pl.coalesce([*numbers, *texts]))


@dataclass(frozen=True)
class _Formats:
    """Formats that read a sample but for ``left`` values, of which ``strange`` is the first."""

    chosen: list[str]
    left: int
    strange: str


def _sample(texts: pl.LazyFrame) -> pl.Series:
    """Some values that are not empty; of the first rows, or further down where those are."""
    told = ~pl.col("text").str.contains(_NOTHING)
    sample = texts.head(_LOOK).collect().filter(told)
    if sample.is_empty():
        sample = texts.filter(told).head(_SAMPLE).collect(engine="streaming")
    return sample["text"].head(_SAMPLE)


def _understood(values: pl.Series, formats: Iterable[str]) -> _Formats:
    """The formats that the values need, each as few as can be."""
    chosen, frame = [], values.to_frame("text")
    for pattern in formats:
        if frame.is_empty():
            break
        left = frame.filter(_parsed(pl.col("text"), pattern).is_null())
        if len(left) < len(frame):
            chosen.append(pattern)
            frame = left
    return _Formats(chosen, len(frame), "" if frame.is_empty() else frame["text"][0])


def _formats() -> Iterator[str]:
    for date in _DATES:
        yield date
        for between, clock, zone in product(" T", _CLOCKS, _ZONES):
            yield f"{date}{between}{clock}{zone}"
    yield from _OTHERS


def _first(text: pl.Expr, formats: Iterable[str]) -> pl.Expr:
    return pl.coalesce([_parsed(text, pattern) for pattern in formats])


def _parsed(text: pl.Expr, pattern: str) -> pl.Expr:
    zone = "UTC" if "z" in pattern else None
    parsed = text.str.strip_chars().str.strptime(pl.Datetime("us", zone), pattern, strict=False)
    seconds = parsed.dt.epoch("s")
    return pl.when(seconds >= _EARLIEST).then(seconds)
