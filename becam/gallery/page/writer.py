"""Writes a gallery item by item: the folder grows, memory does not."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
from PIL import Image

from becam.files import save_picture
from becam.gallery.model import Card, Column, Heading
from becam.gallery.page.blocks import (
    SIZES,
    BlockWriter,
    IndexWriter,
    detail_entry,
    map_entry,
    numbered,
    pairs,
    text_entry,
)
from becam.web import asset, colormap_tables, script_json

SHARED = ("theme.js", "map.js", "words.js", "elements.js")
SCRIPTS = (
    "data.js",
    "index.js",
    "state.js",
    "query.js",
    "dom.js",
    "choices.js",
    "angle.js",
    "bars.js",
    "tile.js",
    "blink.js",
    "card.js",
    "shape.js",
    "labels.js",
    "list.js",
    "toolbar.js",
    "display.js",
    "categories.js",
    "filters.js",
    "chips.js",
    "dossier.js",
    "detail.js",
    "print.js",
    "keys.js",
    "main.js",
)
"""Each after those that it needs."""
STYLES = ("page.css", "list.css", "filters.css", "detail.css", "print.css")

_NO_CATEGORY = ""
_ASPECTS = (0.6, 1.6)
_QUALITY = 85


class PageWriter:
    """Writes ``index.html``, ``assets/``, ``data/`` and ``thumbs/`` into a folder.

    Whoever uses it makes the folder appear whole or not at all (``becam.files.atomic_dir``).
    Files have running numbers for names: ids are the user's own and may be any string.

    Args:
        folder: an empty folder, or one to be made.
        heading: what is said of the whole gallery.
        picture_side: the longer side of the pictures, in pixels; smaller ones stay as they are.
    """

    def __init__(self, folder: Path, heading: Heading, *, picture_side: int = 320) -> None:
        self._folder = folder
        self._heading = heading
        self._side = picture_side
        self._index = IndexWriter(folder, heading.columns)
        self._maps = BlockWriter(folder, "maps")
        self._details = BlockWriter(folder, "details")
        self._texts = BlockWriter(folder, "texts")
        self._categories: dict[str, int] = {}
        self._aspects: list[float] = []

    def add(self, card: Card, picture: Image.Image) -> None:
        """Write the next item: its picture, made small, and what is known of it."""
        size = self._write_picture(picture)
        category = self._categories.setdefault(card.category or _NO_CATEGORY, len(self._categories))
        self._aspects.append(size[1] / size[0])
        self._index.add((card, category, size))
        self._maps.add(map_entry(card))
        self._details.add(detail_entry(card))
        self._texts.add(text_entry(card))

    def finish(self) -> None:
        """Write what is left of the data, the scripts, the styles and ``index.html``."""
        for block in (self._index, self._maps, self._details, self._texts):
            block.flush()
        assets = self._folder / "assets"
        assets.mkdir(parents=True, exist_ok=True)
        for name in ("theme.css", *SHARED):
            (assets / name).write_text(asset(name), encoding="utf-8")
        for name in (*STYLES, *SCRIPTS):
            (assets / name).write_text(_source("assets", name), encoding="utf-8")
        template = jinja2.Environment(
            autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
        ).from_string(_source("index.html.j2"))
        page = template.render(
            heading=self._heading,
            counted=self._counted(),
            data=script_json(self._described()),
            scripts=(*SHARED, *SCRIPTS),
            styles=("theme.css", *STYLES),
        )
        (self._folder / "index.html").write_bytes(page.encode("utf-8", "replace"))

    def _write_picture(self, picture: Image.Image) -> tuple[int, int]:
        small = picture.convert("RGB")
        small.thumbnail((self._side, self._side), Image.Resampling.LANCZOS, reducing_gap=3.0)
        path = self._folder / "thumbs" / f"{numbered(len(self._aspects))}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        save_picture(small, path, "JPEG", quality=_QUALITY, optimize=True)
        return small.size

    def _counted(self) -> str:
        count, total = len(self._aspects), self._heading.total
        items = "item" if total == 1 else "items"
        return f"{count:,} {items}" if count == total else f"{count:,} of {total:,} {items}"

    def _described(self) -> dict[str, Any]:
        """What the scripts must know before they load any block."""
        columns = self._heading.columns
        low, high = _ASPECTS
        aspect = statistics.median(self._aspects) if self._aspects else 1.0
        return {
            "count": len(self._aspects),
            "columns": [
                {**asdict(column), "name": name}
                for column, name in zip(columns, column_names(columns), strict=True)
            ],
            "omission": self._heading.omission,
            "pairs": pairs(columns),
            "categories": list(self._categories),
            "aspect": min(max(aspect, low), high),
            "sizes": SIZES,
            "colormaps": colormap_tables(),
        }


def column_names(columns: Sequence[Column]) -> list[str]:
    """Labels of columns, with method and space where only these tell them apart."""
    names: list[str] = []
    for pattern in ("{0.label}", "{0.label}, {0.method}", "{0.label}, {0.method}, {0.space}"):
        names = [pattern.format(column) for column in columns]
        if len(set(names)) == len(names):
            break
    return names


def _source(*path: str) -> str:
    return files(__name__.rpartition(".")[0]).joinpath(*path).read_text(encoding="utf-8")
