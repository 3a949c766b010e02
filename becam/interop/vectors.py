"""Vectors of another system: rows of a matrix that are named by ids."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from becam.errors import BecamError
from becam.files import map_array, read_text

Matrix = NDArray[np.floating[Any]]

_BLOCK = 1 << 16
_MOST_BYTES = 1 << 30
_REMEDY = "write it with numpy.save (objects are refused: they could run code)"


@dataclass(frozen=True)
class NamedVectors:
    """Vectors that can be used, and how many could not.

    Attributes:
        ids: original ids, (n,), no two alike.
        rows: (n, d) float32; no row is zero, and all is finite.
        zero: vectors left out because they are zero.
        not_finite: vectors left out because of NaN or infinity, also where float32 has no room.
    """

    ids: list[str]
    rows: Tensor
    zero: int = 0
    not_finite: int = 0

    @classmethod
    def clean(cls, matrix: Matrix, ids: Sequence[str], kind: str) -> NamedVectors:
        """Check a matrix and its ids, and leave out rows that have no direction.

        Args:
            matrix: (n, d) of any float type; may be memory-mapped.
            ids: Names of the rows, as text.
            kind: ``item`` or ``user``, for messages.

        Raises:
            BecamError: not a float matrix, another number of ids, an id twice, or no row left.
        """
        if matrix.ndim != 2 or not matrix.size or not np.issubdtype(matrix.dtype, np.floating):
            raise BecamError(
                f"The {kind} vectors are {matrix.dtype} of shape {matrix.shape}; give a matrix of "
                "floats with one row for each id."
            )
        names = [str(name) for name in ids]
        if len(names) != len(matrix):
            raise BecamError(
                f"There are {len(matrix):,} {kind} vectors but {len(names):,} ids; give one id for "
                "each row, in the rows' order."
            )
        if len(set(names)) < len(names):
            twice, _ = Counter(names).most_common(1)[0]
            raise BecamError(
                f"The {kind} id {twice!r} names more than one vector; give each id once."
            )
        rows = torch.empty(matrix.shape, dtype=torch.float32)
        with np.errstate(over="ignore"):
            for start in range(0, len(matrix), _BLOCK):
                block = np.asarray(matrix[start : start + _BLOCK]).astype(np.float32)
                rows[start : start + _BLOCK] = torch.from_numpy(block)
        finite = rows.isfinite().all(dim=1)
        usable = finite & rows.any(dim=1)
        if not usable.any():
            raise BecamError(
                f"All {len(names):,} {kind} vectors are zero or not finite; export them again."
            )
        if usable.all():
            return cls(names, rows)
        kept = [name for name, keep in zip(names, usable.tolist(), strict=True) if keep]
        not_finite = int((~finite).sum())
        return cls(kept, rows[usable], len(names) - len(kept) - not_finite, not_finite)

    def unit(self) -> float:
        """The power of two that brings the entries' root mean square nearest to 1.

        A power of two: the product keeps every digit.
        """
        return float(2.0 ** -round(float(self.rows.double().square().mean().log2()) / 2))

    def scaled(self, factor: float) -> NamedVectors:
        """All vectors times ``factor``."""
        return replace(self, rows=self.rows * factor)

    @classmethod
    def none(cls, dim: int) -> NamedVectors:
        """No vectors, of width ``dim``."""
        return cls([], torch.empty(0, dim))


def read_vectors(path: Path) -> Matrix:
    """The matrix of a ``.npy`` file, memory-mapped.

    Raises:
        BecamError: no such file, or not a single array of numbers.
    """
    array = map_array(path, what="file of an array", remedy=_REMEDY)
    if array.ndim == 0:
        raise BecamError(f"{path} holds a single value; save the vectors alone, with numpy.save.")
    return array


def read_ids(path: Path, count: int, known: Collection[str]) -> list[str]:
    """Ids as text: a ``.npy`` of strings or integers, else a text file with one id a line.

    The text file may have a header: its first line is one if there is a line more than vectors,
    unless that line is a known id. Ids may be quoted, as in CSV.

    Args:
        path: The file.
        count: Number of vectors.
        known: Ids of the dataset.

    Raises:
        BecamError: no such file, several columns, an empty line, or not text.
    """
    if path.suffix == ".npy":
        array = read_vectors(path)
        if array.ndim != 1 or array.dtype.kind not in "iuU":
            raise BecamError(
                f"{path} holds {array.dtype} of shape {array.shape}; ids are one row of strings "
                "or integers."
            )
        try:
            return [str(name) for name in array.tolist()]
        except ValueError:  # numbers that are no letters
            raise BecamError(f"{path} holds what is not text; {_REMEDY}.") from None
    lines = _lines(path)
    for number, line in enumerate(lines, start=1):
        if len(line) > 1:
            raise BecamError(
                f"Line {number} of {path} has {len(line)} columns; give the ids alone, one a line."
            )
        if not line or not line[0].strip():
            raise BecamError(f"Line {number} of {path} is empty; give every vector an id.")
    ids = [line[0].strip() for line in lines]
    has_header = len(ids) == count + 1 and ids[0] not in known
    return ids[1:] if has_header else ids


def _lines(path: Path) -> list[list[str]]:
    text = read_text(path, most=_MOST_BYTES, what="file of ids")
    try:
        return list(csv.reader(io.StringIO(text, newline="")))
    except csv.Error as error:
        raise BecamError(
            f"{path} is not a list of ids ({error}); give ids one a line, or a .npy of strings."
        ) from None
