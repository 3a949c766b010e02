"""A gallery as a FiftyOne dataset on disk, which ``fiftyone.Dataset.from_dir`` reads.

FiftyOne itself is not needed to write one. The layout is that of its ``FiftyOneDataset``:
``metadata.json`` with the fields' types, ``samples.json``, and heatmaps below ``fields/``.
Pictures stay where they are.
"""

from __future__ import annotations

import hashlib
import json
import re
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from PIL import Image

from becam.attribution.controls import DRIFT_DEGREES
from becam.attribution.heatmap import FloatArray, place, stretch
from becam.encoders.preprocessing import Geometry
from becam.errors import BecamError
from becam.files import Contents, save_picture
from becam.gallery.model import Card, Column, Heading, Panel
from becam.records import read_record

METADATA = "metadata.json"


def _is_own(folder: Path) -> bool:
    """Whether a FiftyOne dataset was written here, and not by FiftyOne."""
    with suppress(BecamError):
        record = read_record(folder / METADATA, dict[str, Any], remedy="")
        about = record.get("info")
        return isinstance(about, dict) and about.keys() >= {"rule", "becam"}
    return False


CONTENTS = Contents(
    "a FiftyOne dataset",
    signs=frozenset({METADATA, "samples.json"}),
    others=frozenset({"fields"}),
    proof=_is_own,
)
VERSION = "1.0.0"
"""Of FiftyOne's schema: any later FiftyOne brings it up to its own."""

_SIDE = 128
_FIELDS = "fiftyone.core.fields"
_HEATMAP = "fiftyone.core.labels.Heatmap"

Record = dict[str, Any]


class FiftyOneWriter(AbstractContextManager["FiftyOneWriter"]):
    """Writes cards as samples.

    A sample has ``item_id``, ``title``, ``category``, ``popularity``, and for each column a
    heatmap, ``*_theta``, ``*_theta_control`` and ``*_warnings``; its tags are ``drift`` and
    ``omission`` where an angle of a column says so, and heatmaps have tags of their own.

    Args:
        folder: that exists and is empty.
        heading: of the gallery.
        pictures: path of each item's picture, by its id.
    """

    def __init__(self, folder: Path, heading: Heading, pictures: dict[str, Path]) -> None:
        self._folder = folder
        self._heading = heading
        self._pictures = pictures
        self._names = field_names(heading.columns)
        self._number = 0
        for name in self._names:
            (folder / "fields" / name).mkdir(parents=True)
        self._write_metadata()

    def __enter__(self) -> FiftyOneWriter:
        self._samples = open(self._folder / "samples.json", "w", encoding="utf-8")
        self._samples.write('{"samples": [\n')
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._samples.close()

    def add(self, card: Card, picture: Image.Image) -> None:
        """Write a card's heatmaps and its sample."""
        self._samples.write((",\n" if self._number else "") + json.dumps(self._sample(card)))
        self._number += 1

    def finish(self) -> None:
        """End the list of samples."""
        self._samples.write("\n]}\n")
        self._samples.close()

    def _sample(self, card: Card) -> Record:
        key = _object_id(card.id)
        sample: Record = {
            "_id": {"$oid": key},
            "_media_type": "image",
            "_rand": int(key[:8], 16) / 2**32,
            "filepath": str(self._pictures[card.id].absolute()),
            "item_id": card.id,
            "title": card.title,
            "category": card.category,
            "popularity": card.popularity,
        }
        tags: list[str] = []
        for name, panel in zip(self._names, card.panels, strict=True):
            verdict = self._verdict(panel)
            tags += [tag for tag in verdict if tag not in tags]
            path = Path("fields") / name / f"{key}.png"
            values = _placed(panel, panel.geometry or card.geometry)
            save_picture(Image.fromarray(values), self._folder / path, "PNG")
            sample[name] = {
                "_id": {"$oid": _object_id(f"{card.id} {name}")},
                "_cls": "Heatmap",
                "tags": verdict,
                "map_path": path.as_posix(),
                "range": [0.0, 255.0],
            }
            sample[f"{name}_theta"] = panel.theta
            sample[f"{name}_theta_control"] = panel.theta_control
            sample[f"{name}_warnings"] = list(panel.warnings)
        return {**sample, "tags": tags}

    def _verdict(self, panel: Panel) -> list[str]:
        if panel.theta is None or panel.theta <= self._heading.omission:
            return []
        return ["drift"] if panel.theta > DRIFT_DEGREES else ["omission"]

    def _write_metadata(self) -> None:
        plain = {
            "item_id": "StringField",
            "title": "StringField",
            "category": "StringField",
            "popularity": "IntField",
        }
        described = list[Record]()
        for name, column in zip(self._names, self._heading.columns, strict=True):
            words = f"{column.label}, {column.method} ({column.space})"
            described += [
                _heatmap_field(name, f"Agreement with behaviour, ReLU, its own scale: {words}"),
                _field(f"{name}_theta", "FloatField", about=f"Degrees to behaviour: {words}"),
                _field(
                    f"{name}_theta_control",
                    "FloatField",
                    about=f"Degrees to behaviour with another item's content: {words}",
                ),
                _field(
                    f"{name}_warnings",
                    "ListField",
                    subfield="StringField",
                    about=f"What speaks against the heatmap: {words}",
                ),
            ]
        record = {
            "version": VERSION,
            "media_type": "image",
            "tags": [],
            "info": {
                "rule": self._heading.rule,
                "notes": list(self._heading.notes),
                **self._heading.facts,
            },
            "sample_fields": [
                *_OWN_FIELDS,
                *(_field(name, kind) for name, kind in plain.items()),
                *described,
            ],
        }
        text = json.dumps(record, indent=2, ensure_ascii=False)
        (self._folder / METADATA).write_bytes(text.encode("utf-8", "replace"))


def field_names(columns: tuple[Column, ...]) -> list[str]:
    """Names that FiftyOne takes for fields, no two alike: letters, digits and underscores."""
    several = len({column.method for column in columns}) > 1
    found: list[str] = []
    for column in columns:
        words = f"{column.label} {column.method}" if several else column.label
        slug = re.sub(r"[^a-z0-9]+", "_", words.lower()).strip("_")[:60] or "map"
        slug = slug if slug[0].isalpha() else f"map_{slug}"
        name, number = slug, 2
        while name in found:
            name, number = f"{slug}_{number}", number + 1
        found.append(name)
    return found


def _placed(panel: Panel, geometry: Geometry) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """The map as shown, on the whole picture made small; black outside the encoder's crop."""
    scale = min(1.0, _SIDE / max(geometry.width, geometry.height))
    left, top, right, bottom = (edge * scale for edge in geometry.box)
    small = Geometry(
        max(1, round(geometry.width * scale)),
        max(1, round(geometry.height * scale)),
        (left, top, right, bottom),
    )
    values: FloatArray = place(stretch(np.maximum(panel.raw, 0.0)), small)
    return np.rint(np.nan_to_num(values) * 255).astype(np.uint8)


def _object_id(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:24]


def _field(
    name: str,
    kind: str,
    *,
    stored: str | None = None,
    document: str | None = None,
    subfield: str | None = None,
    fields: list[Record] | None = None,
    about: str | None = None,
) -> Record:
    return {
        "name": name,
        "ftype": f"{_FIELDS}.{kind}",
        "embedded_doc_type": document,
        "subfield": None if subfield is None else f"{_FIELDS}.{subfield}",
        "fields": fields or [],
        "db_field": stored or name,
        "description": about,
        "info": None,
    }


def _heatmap_field(name: str, about: str) -> Record:
    inner = [
        _field("id", "ObjectIdField", stored="_id"),
        _field("tags", "ListField", subfield="StringField"),
        _field("map", "ArrayField"),
        _field("map_path", "StringField"),
        _field("range", "HeatmapRangeField"),
    ]
    return _field(name, "EmbeddedDocumentField", document=_HEATMAP, fields=inner, about=about)


_OWN_FIELDS = [
    _field("id", "ObjectIdField", stored="_id"),
    _field("filepath", "StringField"),
    _field("tags", "ListField", subfield="StringField"),
    _field(
        "metadata",
        "EmbeddedDocumentField",
        document="fiftyone.core.metadata.ImageMetadata",
        fields=[
            _field("size_bytes", "IntField"),
            _field("mime_type", "StringField"),
            _field("width", "IntField"),
            _field("height", "IntField"),
            _field("num_channels", "IntField"),
        ],
    ),
    _field("_media_type", "StringField"),
    _field("_rand", "FloatField"),
]
