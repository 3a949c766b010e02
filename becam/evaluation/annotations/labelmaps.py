"""PNG label maps, one a picture, with a table of class names."""

from __future__ import annotations

import csv
import json
from functools import partial
from pathlib import Path

import numpy as np

from becam.errors import BecamError
from becam.evaluation.annotations.base import Annotation, Annotations
from becam.images import decoded

_TABLES = ("label_names.csv", "labels.json")
_FOLDERS = (".", "labels", "masks")
_GREY = ("P", "L", "1", "I", "I;16", "I;16B")


def find_label_maps(folder: Path) -> tuple[Path, list[Path]] | None:
    """The table of class names of a folder and its label maps; None where it has none."""
    places = [folder, folder.parent]
    tables = [place / name for place in places for name in _TABLES if (place / name).is_file()]
    for name in _FOLDERS:
        maps = sorted((folder / name).glob("*.png"))
        if maps and tables:
            return tables[0], maps
    return None


def read_label_maps(table: Path, maps: list[Path]) -> Annotations:
    """Label maps whose grey or palette value is the class.

    Args:
        table: ``label_names.csv`` (first column the value, second the name, with a header) or
            ``labels.json`` (``classes``: names in the order of their values).
        maps: files named as their pictures.

    Raises:
        BecamError: the table cannot be read; a damaged map says so when it is asked for.
    """
    classes = _classes(table)
    readers = [(path.name, partial(_annotation, path, classes)) for path in maps]
    return Annotations(table.parent, classes.values(), readers)


def _classes(table: Path) -> dict[int, str]:
    try:
        if table.suffix == ".json":
            names = json.loads(table.read_text(encoding="utf-8"))["classes"]
            found = {number: str(name) for number, name in enumerate(names)}
        else:
            with table.open(encoding="utf-8-sig", newline="") as stream:
                rows = [row for row in csv.reader(stream) if row]
            found = {int(row[0]): row[1].strip() for row in rows[1:]}
    except (OSError, ValueError, KeyError, IndexError, TypeError) as error:
        raise BecamError(
            f"{table} is not a table of class names ({type(error).__name__}: {error}); its first "
            "column must be the label's value and its second the name."
        ) from None
    if not found or not all(0 <= number < 256 for number in found):
        raise BecamError(f"{table} must name classes with values from 0 to 255; correct it.")
    return found


def _annotation(path: Path, classes: dict[int, str]) -> Annotation:
    with decoded(path, formats=("PNG",)) as image:
        mode, values = image.mode, np.asarray(image)
    if mode not in _GREY or values.min(initial=0) < 0 or values.max(initial=0) > 255:
        raise BecamError(
            f"{path} is no label map: it must be grey or have a palette, with values to 255, but "
            f"its mode is {mode}."
        )
    height, width = values.shape
    return Annotation((height, width), classes, values.astype(np.uint8))
