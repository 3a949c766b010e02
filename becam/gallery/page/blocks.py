"""Blocks: what the page loads piece by piece, as scripts, for a page from disk may fetch no file.

Each block is ``data/KIND/NNN/NNN.js`` and hands in its content by ``becamGallery.take``.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from becam.gallery.model import Card, Column, FloatArray, Panel
from becam.web import encode_array, encode_map, script_json

SIZES = {"index": 2000, "maps": 32, "details": 32, "texts": 250}
"""Items a block."""

_TITLE = 200
_FOLDER = 1000
_NO_LIKENESS = -128


def numbered(number: int) -> str:
    """A path for the n-th of many files, a thousand a folder."""
    return f"{number // _FOLDER:03d}/{number % _FOLDER:03d}"


class BlockWriter:
    """Collects the entries of one kind and writes each block as it fills."""

    def __init__(self, folder: Path, kind: str) -> None:
        self._folder = folder
        self._kind = kind
        self._entries: list[Any] = []
        self._number = 0

    def add(self, entry: Any) -> None:
        """Take in the entry of the next item."""
        self._entries.append(entry)
        if len(self._entries) == SIZES[self._kind]:
            self.flush()

    def flush(self) -> None:
        """Write what there is."""
        if not self._entries:
            return
        name = f"{self._kind}/{numbered(self._number)}"
        path = self._folder / "data" / f"{name}.js"
        path.parent.mkdir(parents=True, exist_ok=True)
        content = self._content(self._entries)
        path.write_text(
            f"becamGallery.take({script_json(name)},{script_json(content)});\n", encoding="ascii"
        )
        self._number += 1
        self._entries = []

    def _content(self, entries: list[Any]) -> Any:
        return entries


class IndexWriter(BlockWriter):
    """The index: what sorting and filtering need of every item, an array a property."""

    def __init__(self, folder: Path, columns: tuple[Column, ...]) -> None:
        super().__init__(folder, "index")
        self._columns = range(len(columns))
        self._pairs = pairs(columns)

    def _content(self, entries: list[tuple[Card, int, tuple[int, int]]]) -> dict[str, Any]:
        cards = [card for card, _, _ in entries]

        def panels(column: int) -> Iterator[Panel]:
            return (card.panels[column] for card in cards)

        def degrees(values: Iterator[float | None]) -> str:
            found = [np.nan if value is None else value for value in values]
            return encode_array(np.array(found, dtype=np.float32))

        return {
            "ids": [card.id for card in cards],
            "titles": [card.title[:_TITLE] for card in cards],
            "category": encode_array(np.array([number for _, number, _ in entries], np.uint32)),
            "popularity": encode_array(np.array([card.popularity for card in cards], np.float64)),
            "width": encode_array(np.array([size[0] for _, _, size in entries], np.uint16)),
            "height": encode_array(np.array([size[1] for _, _, size in entries], np.uint16)),
            "theta": [degrees(panel.theta for panel in panels(k)) for k in self._columns],
            "control": [degrees(panel.theta_control for panel in panels(k)) for k in self._columns],
            "warnings": [
                encode_array(np.array([len(panel.warnings) for panel in panels(k)], np.uint8))
                for k in self._columns
            ],
            "likeness": [
                encode_array(
                    np.array([likeness(card.panels[i], card.panels[j]) for card in cards], np.int8)
                )
                for i, j in self._pairs
            ],
        }


def pairs(columns: tuple[Column, ...]) -> list[tuple[int, int]]:
    """Every two columns."""
    return list(combinations(range(len(columns)), 2))


def likeness(one: Panel, other: Panel) -> int:
    """Pearson's r of two raw maps in percent, the coarser one resized.

    -128 where one is flat, or the two encoders saw other parts of the picture.
    """
    if one.geometry != other.geometry:
        return _NO_LIKENESS
    rows = max(one.raw.shape[0], other.raw.shape[0])
    columns = max(one.raw.shape[1], other.raw.shape[1])
    a, b = (_centred(_resized(panel.raw, rows, columns)) for panel in (one, other))
    scale = float(np.linalg.norm(a) * np.linalg.norm(b))
    return round(100 * float((a * b).sum()) / scale) if scale > 0 else _NO_LIKENESS


def _resized(raw: FloatArray, rows: int, columns: int) -> FloatArray:
    if raw.shape == (rows, columns):
        return raw
    return np.asarray(cv2.resize(raw, (columns, rows), interpolation=cv2.INTER_LINEAR))


def _centred(values: FloatArray) -> np.ndarray[Any, np.dtype[np.float64]]:
    exact = values.astype(np.float64)
    return exact - exact.mean() if np.ptp(values) > 0 else np.zeros_like(exact)


def map_entry(card: Card) -> dict[str, Any]:
    """Maps of an item, and where they lie on its picture."""
    return {
        "geometry": card.geometry.to_dict(),
        "maps": [
            encode_map(panel.raw)
            | ({} if panel.geometry is None else {"geometry": panel.geometry.to_dict()})
            for panel in card.panels
        ],
    }


def text_entry(card: Card) -> dict[str, str]:
    """Title and text of an item, in full."""
    return {"title": card.title, "text": card.text}


def detail_entry(card: Card) -> dict[str, Any]:
    """What the detail view shows of an item beside its maps; equal word lists are kept once."""
    texts: list[list[str]] = []
    columns = []
    for panel in card.panels:
        column: dict[str, Any] = {
            "warnings": panel.warnings,
            "notes": panel.notes,
            "controls": panel.controls,
            "weights": panel.weights,
            "range": panel.weight_range,
            "words": None,
        }
        if panel.words is not None:
            words = [word.text for word in panel.words]
            if words not in texts:
                texts.append(words)
            column["words"] = {
                "text": texts.index(words),
                "weights": [word.weight for word in panel.words],
            }
        columns.append(column)
    return {
        "columns": columns,
        "texts": texts,
        "behaviour": [[near.id, near.title, near.similarity] for near in card.by_behaviour],
        "content": [[near.id, near.title, near.similarity] for near in card.by_content],
    }
