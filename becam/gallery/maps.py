"""What is computed of single items, kept as it is done: maps, controls, weights and words."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from becam.attribution.controls import Controls
from becam.encoders.preprocessing import Geometry
from becam.errors import BecamError
from becam.gallery.model import FloatArray, Panel, Word
from becam.parts import PartFiles

RECORD = "gallery.json"


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
            np.savez_compressed(temporary, record=np.array(record), **arrays)  # type: ignore[arg-type]

    def read(self, name: str) -> list[ItemMap]:
        """The maps of an item.

        Raises:
            BecamError: a damaged file.
        """
        path = self.path(name)
        try:
            with np.load(path, allow_pickle=False) as arrays:
                records = json.loads(str(arrays["record"]))
                return [
                    _item_map(arrays[f"map{number}"], record)
                    for number, record in enumerate(records)
                ]
        except Exception:  # NumPy and zip archives raise many kinds
            raise BecamError(f"{path} is damaged; delete it and run the command again.") from None


def _record(one: ItemMap) -> dict[str, Any]:
    return {
        "geometry": one.geometry.to_dict(),
        "controls": one.controls.to_dict(),
        "options": one.options,
        "weights": one.weights,
        "words": None if one.words is None else [[w.text, w.weight] for w in one.words],
    }


def _item_map(raw: FloatArray, record: dict[str, Any]) -> ItemMap:
    geometry, weights, words = record["geometry"], record["weights"], record["words"]
    left, top, right, bottom = geometry["box"]
    return ItemMap(
        raw=raw,
        geometry=Geometry(geometry["width"], geometry["height"], (left, top, right, bottom)),
        controls=Controls(**record["controls"]),
        options=record["options"],
        weights=None if weights is None else (tuple(weights[0]), (weights[1][0], weights[1][1])),
        words=None if words is None else tuple(Word(text, weight) for text, weight in words),
    )
