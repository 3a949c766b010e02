"""PNG label maps, one a picture, with a table of class names."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from becam.errors import BecamError
from becam.evaluation.annotations.base import VOID, Annotation, Pixels
from becam.evaluation.annotations.finding import files_in
from becam.evaluation.annotations.frames import Frame
from becam.evaluation.annotations.named import Annotations
from becam.files import open_file, read_bytes
from becam.images import decoded
from becam.records import read_record

_TABLES = ("label_names.csv", "labels.json")
_FOLDERS = (".", "labels", "masks")
_DELIMITERS = ",;\t|"
_MOST_TABLE_BYTES = 1 << 20
_MOST_VALUE = 255
_GREY = ("P", "L", "1", "I", "I;16", "I;16B")
_COLOURED = ("LA", "RGB", "RGBA")
_HEADER = 26
"""Bytes of a PNG up to its depth and the type of its colours."""


class _Names(msgspec.Struct):
    classes: list[str] | dict[str, str]


def find_label_maps(folder: Path) -> tuple[Path, list[Path]] | None:
    """The table of class names of a folder and its label maps; None where it has none."""
    places = [folder, folder.parent]
    tables = [place / name for place in places for name in _TABLES]
    tables = [table for table in tables if os.path.isfile(table)]
    for name in _FOLDERS:
        maps = files_in(folder / name, ".png")
        if maps and tables:
            return tables[0], maps
    return None


def read_label_maps(table: Path, maps: list[Path]) -> Annotations:
    """Label maps whose grey or palette value is the class.

    Pixels of value 255 are void where no class has it: neither object nor background.

    Args:
        table: ``label_names.csv`` (a column of values and one of names) or ``labels.json``
            (``classes``: names in the order of their values, or by value).
        maps: files named as their pictures.

    Raises:
        BecamError: the table cannot be read; a damaged map says so when it is asked for.
    """
    classes = _classes(table)
    readers = [(path.name, partial(_annotation, path, classes)) for path in maps]
    return Annotations(table.parent, classes.values(), readers)


def _classes(table: Path) -> dict[int, str]:
    try:
        rows = _json_rows(table) if table.suffix == ".json" else _csv_rows(table)
        found = _by_value(rows)
    except (ValueError, csv.Error) as error:
        raise BecamError(
            f"{table} is not a table of class names ({error}); its first column must be the "
            "label's value and its second the name."
        ) from None
    if not found or not all(0 <= number <= _MOST_VALUE for number in found):
        raise BecamError(f"{table} must name classes with values from 0 to 255; correct it.")
    return found


def _json_rows(table: Path) -> list[list[str]]:
    names = read_record(table, _Names, remedy="give the names of the classes in it").classes
    pairs = names.items() if isinstance(names, dict) else enumerate(names)
    return [[str(number), name] for number, name in pairs]


def _csv_rows(table: Path) -> list[list[str]]:
    content = read_bytes(table, most=_MOST_TABLE_BYTES, what="table of class names")
    utf_16 = content.startswith((b"\xff\xfe", b"\xfe\xff"))
    text = content.decode("utf-16" if utf_16 else "utf-8-sig")
    first = next(iter(text.splitlines()), "")
    delimiter = max(_DELIMITERS, key=first.count)
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    cells = [[cell.strip() for cell in row] for row in rows]
    return [row for row in cells if any(row)]


def _by_value(rows: Sequence[Sequence[str]]) -> dict[int, str]:
    """Names by value; the first row is a heading unless it has a value."""
    if rows and _column(rows[:1]) is None:
        rows = rows[1:]
    values = _column(rows) or 0
    found: dict[int, str] = {}
    for row in rows:
        name = row[1 - values] if len(row) > 1 else ""
        number = int(row[values])
        if not name or found.setdefault(number, name) != name:
            raise ValueError(f"value {number} has no name or two")
    return found


def _column(rows: Sequence[Sequence[str]]) -> int | None:
    """Which of the first two columns has the values; None where neither has."""
    for column in (0, 1):
        if all(len(row) > column and row[column].isdecimal() for row in rows):
            return column
    return None


def _annotation(path: Path, classes: dict[int, str], _: Frame | None) -> Annotation:
    values = _values(path)
    if values.min(initial=0) < 0 or values.max(initial=0) > _MOST_VALUE:
        raise BecamError(
            f"{path} is no label map: its values go beyond 255; export it with the values of "
            "classes."
        )
    labels = values.astype(np.uint8)
    void = VOID not in classes and bool((labels == VOID).any())
    crowds: Pixels | None = np.where(labels == VOID, labels, 0) if void else None
    return Annotation(labels.shape, classes, labels, crowds=crowds)


def _values(path: Path) -> NDArray[np.int64]:
    """The class of each pixel, as it is written in the file."""
    with decoded(path, formats=("PNG",)) as image:
        mode, values = image.mode, np.asarray(image).astype(np.int64)
    if mode in _COLOURED:
        colours = values[..., : 1 if mode == "LA" else 3]
        if (colours != colours[..., :1]).any():
            raise BecamError(
                f"{path} is no label map: it is coloured ({mode}), but must be grey or have a "
                "palette, with the values of classes; export it so."
            )
        values = colours[..., 0]
    elif mode not in _GREY:
        raise BecamError(
            f"{path} is no label map: it must be grey or have a palette, but its mode is {mode}."
        )
    return values // _stretch(path)


def _stretch(path: Path) -> int:
    """What Pillow multiplies grey values of two or four bits by."""
    with open_file(path) as stream:
        depth, colour_type = stream.read(_HEADER)[-2:]
    return 255 // (2**depth - 1) if colour_type == 0 and depth in (2, 4) else 1
