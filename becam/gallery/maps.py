"""What is computed of single items, kept as it is done: maps, controls, weights and words."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from becam.attribution.controls import Controls
from becam.encoders.preprocessing import Geometry
from becam.errors import BecamError
from becam.files import read_arrays
from becam.gallery.model import FloatArray, Panel, Word
from becam.parts import PartFiles
from becam.records import from_text

RECORD = "gallery.json"

_MOST_BYTES = 1 << 30


@dataclass(frozen=True, eq=False)
class ItemMap:
    """One item in one column, as its encoder and its checkpoint say.

    Attributes:
        raw: M (h, w), signed.
        geometry: which part of the picture the column's encoder saw.
        controls: of the map.
        options: every choice that made the map, as plain values.
        weights: histogram of the live channels' weights, and its outer edges; None where the
            method has no weights.
        words: the item's text with what each word adds; None where it was not explained.
    """

    raw: FloatArray
    geometry: Geometry
    controls: Controls
    options: dict[str, Any]
    weights: tuple[tuple[int, ...], tuple[float, float]] | None = None
    words: tuple[Word, ...] | None = None

    def panel(self, theta: float | None, theta_control: float | None, geometry: Geometry) -> Panel:
        """What a card shows of it.

        Args:
            theta, theta_control: of the item, in degrees, as trained.
            geometry: the card's.
        """
        warnings = self.controls.warnings()
        counts, edges = (None, None) if self.weights is None else self.weights
        return Panel(
            raw=self.raw,
            theta=theta,
            theta_control=theta_control,
            warnings=tuple(warnings),
            notes=tuple(self.controls.words()[len(warnings) :]),
            controls=self.controls.to_dict(),
            weights=counts,
            weight_range=edges,
            words=self.words,
            geometry=None if self.geometry == geometry else self.geometry,
        )


class _Record(msgspec.Struct):
    """What a file says of one map beside its array."""

    geometry: Geometry
    controls: Controls
    options: dict[str, Any]
    weights: tuple[tuple[int, ...], tuple[float, float]] | None
    words: list[tuple[str, float | None]] | None

    def word_list(self) -> tuple[Word, ...] | None:
        if self.words is None:
            return None
        return tuple(Word(text, weight) for text, weight in self.words)


class MapFiles(PartFiles):
    """The maps of single items on disk, a file each; several processes may work in one folder.

    Args:
        folder: for them; it is made.
        identity: all that decides an item's maps, as plain values.
        overwrite: where the folder has maps of another identity, discard those.

    Raises:
        BecamError: the folder has maps of another identity, or the disk refuses.
    """

    def __init__(self, folder: Path, identity: Mapping[str, Any], *, overwrite: bool) -> None:
        about = {"record": RECORD, "suffix": ".npz", "noun": "maps of a gallery"}
        try:
            super().__init__(folder, identity, overwrite=False, **about)
        except BecamError:
            if not overwrite or folder.is_file():
                raise
            super().__init__(folder, identity, overwrite=True, **about)

    def write(self, name: str, maps: list[ItemMap]) -> None:
        """Keep an item's maps, one a column, whole or not at all.

        Raises:
            BecamError: the folder has become another gallery's, or the disk refuses.
        """
        record = json.dumps([_record(one) for one in maps])
        arrays = {f"map{number}": one.raw for number, one in enumerate(maps)}
        with self.writing(name) as temporary:
            # In memory first: of a full disk NumPy's archive makes errors that say something else.
            buffer = io.BytesIO()
            np.savez_compressed(buffer, record=np.array(record), **arrays)  # type: ignore[arg-type]
            temporary.write_bytes(buffer.getbuffer())

    def read(self, name: str) -> list[ItemMap]:
        """The maps of an item.

        Raises:
            BecamError: a damaged file.
        """
        path = self.path(name)
        again = "delete it and run the command again"
        arrays = read_arrays(path, what="part of a gallery", remedy=again, most=_MOST_BYTES)
        text = str(arrays.get("record", ""))
        records = from_text(text, list[_Record], where=str(path), remedy=again)
        maps = [arrays.get(f"map{number}") for number in range(len(records))]
        if any(raw is None or not _is_map(raw) for raw in maps) or not all(
            record.geometry.is_sound() for record in records
        ):
            raise BecamError(f"{path} is damaged: its maps are not those of pictures; {again}.")
        return [
            ItemMap(raw, r.geometry, r.controls, r.options, r.weights, r.word_list())
            for raw, r in zip(maps, records, strict=True)
            if raw is not None
        ]


def _record(one: ItemMap) -> dict[str, Any]:
    return {
        "geometry": one.geometry.to_dict(),
        "controls": one.controls.to_dict(),
        "options": one.options,
        "weights": one.weights,
        "words": None if one.words is None else [[w.text, w.weight] for w in one.words],
    }


def _is_map(raw: FloatArray) -> bool:
    return raw.ndim == 2 and bool(raw.size) and np.issubdtype(raw.dtype, np.floating)
