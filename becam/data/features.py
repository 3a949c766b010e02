"""Writing a feature set: row by row, and on from where a killed run stopped."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from typing import IO, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from becam.data.dataset import (
    FEATURES_FILE,
    FEATURES_FORMAT,
    Dataset,
    MatrixRecord,
    check_modality,
    read_features_record,
)
from becam.errors import BecamError
from becam.files import atomic_file, disk_errors, map_array, read_bytes, sha256
from becam.records import read_record

_FLOAT = np.dtype("<f4")
_AGAIN = "make the features again"


class FeatureWriter:
    """The matrix of one modality of one feature set, written in any order and resumable.

    ``features/NAME/image.npy`` has its full size from the start; beside it ``image.done`` marks
    the rows that are safely on disk and ``image.part.json`` says what is being written. Rows
    are flushed before they are marked, so that a kill at any moment costs at most the rows of one
    ``write``. The set is listed only once ``finish`` has entered the matrix in ``features.json``.

    Args:
        dataset: whose items the rows are.
        name: of the feature set.
        modality: ``image``, ``text``, ``audio``, ...
        encoder: record of what computes the features; unfinished rows of another one are
            discarded.
        dim: d_m.
        modalities: all that the set is to have: it counts as complete when it has these, and
            others leave; by default ``modality`` and those already there.
        overwrite: begin again although the matrix is finished.

    Raises:
        BecamError: a finished matrix by another encoder is there, a name cannot be a file's, or
            the disk refused.
    """

    def __init__(
        self,
        dataset: Dataset,
        name: str,
        modality: str,
        encoder: Mapping[str, Any],
        dim: int,
        *,
        modalities: Sequence[str] | None = None,
        overwrite: bool = False,
    ) -> None:
        if not name or name != os.path.basename(name) or name.startswith("."):
            raise BecamError(f"{name!r} cannot name a feature set; choose another --name.")
        self.folder = dataset.path / "features" / name
        self.modality = check_modality(modality)
        self.rows, self.dim = dataset.n_items, dim
        self._identity = {
            # As it will be read back: tuples become lists.
            "encoder": json.loads(json.dumps(dict(encoder))),
            "dim": dim,
            "rows": self.rows,
        }
        self._planned = None if modalities is None else sorted({modality, *modalities})
        self._matrix = self.folder / f"{modality}.npy"
        self._marks = self.folder / f"{modality}.done"
        self._state = self.folder / f"{modality}.part.json"
        self._data: IO[bytes] | None = None
        self._done = np.zeros(self.rows, dtype=bool)
        with disk_errors(self.folder):
            self._open(overwrite)

    def done(self) -> NDArray[np.bool_]:
        """(rows,) which rows are on disk."""
        return self._done.copy()

    def write(self, rows: ArrayLike, values: ArrayLike) -> None:
        """Put ``values`` (n, dim) into ``rows`` (n,); on disk when this returns.

        Raises:
            BecamError: a value is not finite, or the disk refused.
        """
        rows = np.asarray(rows, dtype=np.int64)
        values = np.asarray(values, dtype=_FLOAT)
        if values.shape != (len(rows), self.dim):
            raise ValueError(f"values of shape {values.shape} for {len(rows)} rows of {self.dim}")
        if len(rows) == 0:
            return
        if rows.min() < 0 or rows.max() >= self.rows:
            raise IndexError(f"rows outside 0..{self.rows - 1}")
        if self._data is None:
            raise ValueError("this matrix is finished")
        bad = ~np.isfinite(values).all(axis=1)
        if bad.any():
            raise BecamError(
                f"The {self.modality} features of {int(bad.sum())} items (the first at row "
                f"{int(rows[bad].min())}) are not finite; try --precision float32, or mend the "
                "features that came with the data."
            )
        order = np.argsort(rows, kind="stable")
        rows, values = rows[order], values[order]
        with disk_errors(self._matrix):
            for run in np.split(np.arange(len(rows)), np.flatnonzero(np.diff(rows) != 1) + 1):
                self._data.seek(self._offset + int(rows[run[0]]) * self.dim * _FLOAT.itemsize)
                self._data.write(values[run].tobytes())
            _flush(self._data)
            self._done[rows] = True
            with open(self._marks, "r+b") as marks:
                marks.seek(int(rows[0]))
                marks.write(self._done[rows[0] : rows[-1] + 1].tobytes())
                _flush(marks)

    def finish(self) -> None:
        """Enter the matrix in ``features.json``; the sidecars leave.

        Raises:
            BecamError: rows are missing, or the disk refused.
        """
        missing = int((~self._done).sum())
        if missing:
            raise BecamError(
                f"{missing:,} of {self.rows:,} rows of {self._matrix} are missing; run becam "
                "features again."
            )
        if self._data is None:
            return
        self._data.close()
        self._data = None
        self._record(
            MatrixRecord(
                encoder=self._identity["encoder"],
                dim=self.dim,
                rows=self.rows,
                sha256=sha256(self._matrix),
            )
        )
        self._drop_sidecars()

    def _open(self, overwrite: bool) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        if self._matrix.exists() and not (self.folder / FEATURES_FILE).exists():
            raise BecamError(
                f"{self._matrix} is not becam's, for no {FEATURES_FILE} tells of it, so it is left "
                "as it is; move it elsewhere or choose another --name."
            )
        finished = read_features_record(self.folder)["modalities"].get(self.modality)
        if finished is not None and not overwrite:
            if any(finished.get(key) != value for key, value in self._identity.items()):
                raise BecamError(
                    f"{self.folder} holds {self.modality} features by another encoder; choose "
                    "another --name or pass --overwrite."
                )
            self._done[:] = True
            self._drop_sidecars()
            self._record(finished)  # the planned modalities may have changed
            return
        self._record(None)  # while this matrix is being written the set is not complete
        if finished is not None:
            self._drop_sidecars()
        if not self._resume():
            self._begin()
        self._data = open(self._matrix, "r+b")  # noqa: SIM115 (closed by finish)
        self._offset = self._matrix.stat().st_size - self._bytes

    @property
    def _bytes(self) -> int:
        return self.rows * self.dim * _FLOAT.itemsize

    def _resume(self) -> bool:
        try:
            same = read_record(self._state, dict[str, Any], remedy=_AGAIN) == self._identity
            done = np.frombuffer(read_bytes(self._marks, most=self.rows), dtype=np.uint8) == 1
            matrix = map_array(self._matrix, what="matrix of features", remedy=_AGAIN)
        except BecamError:
            return False
        if not same or len(done) != self.rows or matrix.shape != (self.rows, self.dim):
            return False
        self._done = done
        return matrix.dtype == _FLOAT

    def _begin(self) -> None:
        # The state is written last: until it is there, nothing is resumed.
        self._drop_sidecars()
        with open(self._matrix, "wb") as stream:
            np.lib.format.write_array_header_1_0(
                stream,
                {"descr": _FLOAT.str, "fortran_order": False, "shape": (self.rows, self.dim)},
            )
            stream.truncate(stream.tell() + self._bytes)
        self._marks.write_bytes(bytes(self.rows))
        with atomic_file(self._state) as temporary:
            temporary.write_text(json.dumps(self._identity), encoding="utf-8")

    def _record(self, entry: MatrixRecord | None) -> None:
        """Enter or withdraw this modality."""
        modalities = dict(read_features_record(self.folder)["modalities"])
        modalities.pop(self.modality, None)
        if entry is not None:
            modalities[self.modality] = entry
        planned = self._planned or sorted({self.modality, *modalities})
        for other in modalities.keys() - set(planned):
            del modalities[other]
            (self.folder / f"{other}.npy").unlink(missing_ok=True)
        record = {
            "format": FEATURES_FORMAT,
            "complete": sorted(modalities) == planned,
            "modalities": modalities,
        }
        with atomic_file(self.folder / FEATURES_FILE) as temporary:
            temporary.write_text(json.dumps(record, indent=2), encoding="utf-8")

    def _drop_sidecars(self) -> None:
        self._state.unlink(missing_ok=True)
        self._marks.unlink(missing_ok=True)


def begun_by(dataset: Dataset, name: str, modality: str) -> dict[str, Any] | None:
    """Record of the encoder by which a matrix was begun or finished; None where there is none.

    Raises:
        BecamError: ``features.json`` is damaged.
    """
    folder = dataset.path / "features" / name
    found = read_features_record(folder)["modalities"].get(modality)
    if found is not None:
        return dict(found["encoder"])
    try:
        begun = read_record(folder / f"{modality}.part.json", dict[str, Any], remedy=_AGAIN)
    except BecamError:
        return None
    encoder = begun.get("encoder")
    return encoder if isinstance(encoder, dict) else None


def _flush(stream: IO[bytes]) -> None:
    stream.flush()
    os.fsync(stream.fileno())
