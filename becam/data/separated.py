"""How a file of separated text is written: what divides its fields, and whether it quotes them."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from becam.errors import BecamError
from becam.files import open_file

SEPARATORS = "\t;,|"

_NAMES = {"\t": "tabs", ";": "semicolons", ",": "commas", "|": "bars"}
_QUOTE, _LINE_FEED, _CARRIAGE_RETURN = b'"\n\r'
_BLOCK = 1 << 22
_LONGEST_HEADER = 1 << 24
_ANY_LENGTH = (1 << 31) - 1

_FOREIGN = (
    (b"\x1f\x8b", "is compressed (gzip); unpack it first"),
    (b"(\xb5/\xfd", "is compressed (Zstandard); unpack it first"),
    (b"BZh", "is compressed (bzip2); unpack it first"),
    (b"\xfd7zXZ", "is compressed (xz); unpack it first"),
    (b"PK\x03\x04", "is a workbook or a ZIP archive; save it as CSV, or unpack it"),
    (b"\xd0\xcf\x11\xe0", "is an old Excel workbook; save it as CSV"),
    (b"\xff\xfe", "is UTF-16 text; convert it to UTF-8 first"),
    (b"\xfe\xff", "is UTF-16 text; convert it to UTF-8 first"),
)


@dataclass(frozen=True)
class Layout:
    """How to read a file.

    Attributes:
        separator: between fields.
        quoted: fields may stand in quotation marks.
        strays: some marks stand within fields that are not quoted, so that the marks alone do not
            tell where a field ends.
        broken: lines more than rows, for quoted fields hold line breaks.
    """

    separator: str
    quoted: bool
    strays: bool = False
    broken: int = 0


def find_layout(path: Path) -> Layout:
    """How ``path`` is written, found out by trying.

    Quotation marks count as quotes only where every row then has as many fields as the header. A
    file that has them without quoting (inches, half a pair of marks) is read as it stands, line by
    line: else two such marks would swallow all rows between them.

    Raises:
        BecamError: not text, or rows that do not fit the header however they are read.
    """
    header = _header(path)
    separator = _separator(header)
    if not _has_marks(path):
        return Layout(separator, quoted=False)
    quoted = _survey(path, separator, header)
    if quoted.exact() and quoted.rows == _count_lines(path):
        return Layout(separator, quoted=True)
    plain = _survey_plain(path, separator, header)
    for fits in (_Fit.exact, _Fit.loose):
        # Where both fit, rows over several lines are believed only of a file that shows elsewhere
        # that it quotes: its names, or marks within quotes, which are doubled.
        shown = quoted.doubled or '"' in header or quoted.rows == plain.rows
        if fits(quoted) and (shown or not fits(plain)):
            return Layout(separator, quoted=True, broken=plain.rows - quoted.rows)
        if fits(plain) and not (fits is _Fit.loose and fits(quoted)):
            return Layout(separator, quoted=False)
        if fits is _Fit.exact and _is_quoted_in_part(path, separator):
            return Layout(separator, quoted=True, strays=True)
    raise misfit(path)


def rows_of(path: Path, separator: str) -> Iterator[list[str]]:
    """The rows of a file in which only a mark at the beginning of a field quotes.

    Raises:
        csv.Error: a quoted field does not end where the next begins.
    """
    with (
        open_file(path) as stream,
        io.TextIOWrapper(stream, encoding="utf-8-sig", newline="") as text,
        _fields_of_any_length(),
    ):
        yield from csv.reader(text, delimiter=separator, strict=True)


def misfit(path: Path) -> BecamError:
    """What to say of a file with rows that do not fit its header."""
    header = _header(path)
    separator = _separator(header)
    expected = len(_split(header, separator))
    line, odd = 1, None
    try:
        for row in rows_of(path, separator):
            if row and len(row) != expected and (odd is None or len(row) > expected):
                odd = (len(row), line)
            if len(row) > expected:
                break
            line += 1 + sum(cell.count("\n") for cell in row)
    except csv.Error:
        odd = None
    if odd is not None:
        return BecamError(
            f"{path} has {odd[0]} fields in line {odd[1]} where its header has {expected} (divided "
            f"by {_NAMES[separator]}); quote fields that hold the separator, and mend the line."
        )
    return BecamError(
        f"{path} has quotation marks near line {line} that neither quote whole fields nor leave "
        f"each line the {expected} fields of the header (divided by {_NAMES[separator]}); quote "
        "all fields, with the marks within them doubled."
    )


@dataclass
class _Fit:
    """How the rows of one reading compare with the header."""

    valid: bool = True
    doubled: bool = False
    rows: int = 0
    short: int = 0
    long: int = 0

    def exact(self) -> bool:
        """Every row has the fields of the header."""
        return self.valid and not self.short and not self.long

    def loose(self) -> bool:
        """No row has more; spreadsheets leave empty fields at the end out."""
        return self.valid and not self.long


class _Counter:
    """Counts the fields of the rows, block by block."""

    def __init__(self, expected: int) -> None:
        self.fit = _Fit()
        self._expected = expected
        self._fields, self._length = 1, 0  # of the row that the last block left unfinished

    def add(self, divides: NDArray[np.bool_], ending: NDArray[np.bool_]) -> None:
        """Count a block by which of its bytes are separators and which end lines."""
        places = np.flatnonzero(divides | ending)
        which = np.flatnonzero(ending[places])
        ends, before = places[which], which - np.arange(len(which))  # separators before each end
        size, separators = len(divides), len(places) - len(which)
        fields = np.diff(before, prepend=0) + 1
        lengths = np.diff(ends, prepend=-1) - 1
        if len(ends):
            fields[0] += self._fields - 1
            lengths[0] += self._length
            self._fields, self._length = 1 + separators - int(before[-1]), size - ends[-1] - 1
            self._count(fields, lengths)
        else:
            self._fields += separators
            self._length += size

    def finish(self) -> _Fit:
        """All counts, with the row after the last line end."""
        self._count(np.array([self._fields]), np.array([self._length]))
        return self.fit

    def _count(self, fields: NDArray[np.int64], lengths: NDArray[np.int64]) -> None:
        fields = fields[(fields > 1) | (lengths > 1)]  # not the empty lines
        self.fit.rows += len(fields)
        self.fit.short += int((fields < self._expected).sum())
        self.fit.long += int((fields > self._expected).sum())


def _survey(path: Path, separator: str, header: str) -> _Fit:
    """How the rows fit the header where marks quote."""
    counter = _Counter(len(_split(header, separator)))
    valid, inside = True, False
    for block in _blocks(path):
        marks, divides, ends = (block == byte for byte in (_QUOTE, ord(separator), _LINE_FEED))
        within = np.bitwise_xor.accumulate(marks[1:-1].view(np.uint8)).view(np.bool_) ^ inside
        inner = marks[1:-1]
        opening, closing = inner & within, inner > within  # of booleans: and not
        # A mark opens behind a separator, or closes before one; or it is half of a doubled one.
        borders = marks | divides | ends
        valid = valid and not (opening > borders[:-2]).any()
        borders |= block == _CARRIAGE_RETURN
        valid = valid and not (closing > borders[2:]).any()
        counter.fit.doubled = counter.fit.doubled or bool((opening & marks[:-2]).any())
        inside = bool(within[-1])
        counter.add(divides[1:-1] > within, ends[1:-1] > within)
    counter.fit.valid = valid and not inside
    return counter.finish()


def _survey_plain(path: Path, separator: str, header: str) -> _Fit:
    """How the lines fit the header where marks are letters like any other."""
    counter = _Counter(header.split("\n", 1)[0].count(separator) + 1)
    for block in _blocks(path):
        counter.add(block[1:-1] == ord(separator), block[1:-1] == _LINE_FEED)
    return counter.finish()


def _blocks(path: Path) -> Iterator[NDArray[np.uint8]]:
    """The file in blocks, each with the byte before it and the byte after it."""
    with open_file(path) as stream:
        before = b"\n"
        if stream.read(3) != b"\xef\xbb\xbf":
            stream.seek(0)
        block = stream.read(_BLOCK)
        while block:
            following = stream.read(_BLOCK)
            yield np.frombuffer(before + block + (following[:1] or b"\n"), dtype=np.uint8)
            before, block = block[-1:], following


def _has_marks(path: Path) -> bool:
    with open_file(path) as stream:
        return any(b'"' in block for block in iter(lambda: stream.read(_BLOCK), b""))


def _count_lines(path: Path) -> int:
    with open_file(path) as stream:
        blocks, last = 0, b"\n"
        for block in iter(lambda: stream.read(_BLOCK), b""):
            blocks, last = blocks + block.count(b"\n"), block[-1:]
    return blocks + (last != b"\n")


def _is_quoted_in_part(path: Path, separator: str) -> bool:
    """Whether each row fits where only a mark at the beginning of a field quotes."""
    rows = rows_of(path, separator)
    try:
        expected = len(next(rows))
        return all(len(row) == expected for row in rows if row)
    except csv.Error:
        return False


def _header(path: Path) -> str:
    """The first row, which may span lines where names are quoted."""
    with open_file(path) as stream:
        first = stream.readline(_LONGEST_HEADER)
        header = first
        while header.count(b'"') % 2 and len(header) < _LONGEST_HEADER:
            if not (line := stream.readline(_LONGEST_HEADER)):
                break
            header += line
    if header.count(b'"') % 2:  # a mark that quotes nothing
        header = first
    if not header:
        raise BecamError(f"{path} is empty; fetch or export it again.")
    for magic, meaning in _FOREIGN:
        if header.startswith(magic):
            raise BecamError(f"{path} {meaning}.")
    if b"\0" in header:
        raise BecamError(f"{path} is not text: its first line has zero bytes; export it as CSV.")
    header = header.removeprefix(b"\xef\xbb\xbf").rstrip(b"\r\n")
    if b"\r" in header and b'"' not in header:
        raise BecamError(
            f"{path} ends its lines with carriage returns alone; convert its line ends first."
        )
    if len(header) >= _LONGEST_HEADER:
        raise BecamError(f"{path} is no table: its first line has no end; check the path.")
    return header.decode("utf-8")


def _separator(header: str) -> str:
    # Separators within a quoted name do not count.
    counts = {mark: len(_split(header, mark)) for mark in SEPARATORS}
    best = max(counts, key=counts.__getitem__)
    return best if counts[best] > 1 else ","


def _split(header: str, separator: str) -> list[str]:
    with _fields_of_any_length():
        return next(csv.reader(io.StringIO(header, newline=""), delimiter=separator), [""])


@contextmanager
def _fields_of_any_length() -> Iterator[None]:
    """Lift the limit of the csv module, which is one for the whole process."""
    limit = csv.field_size_limit(_ANY_LENGTH)
    try:
        yield
    finally:
        csv.field_size_limit(limit)
