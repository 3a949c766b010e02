"""A small shop with pictures, texts and hostile names, and checkpoints on it, for galleries."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl
from PIL import Image
from planted import planted_dataset, write_items
from zoo import make_checkpoint

from becam.checkpoint import Checkpoint
from becam.data.dataset import Dataset
from becam.encoders.extraction import extract_features

HOSTILE = {
    "<b>bold</b>": "<script>alert(1)</script> & more. Second sentence.",
    "../../../etc/passwd": "Said \"he\" and 'she'. A red dress.",
    "a/b\\c": "$x_1$ and \\frac{a}{b} {braces} %percent% #hash",
    "👗-emoji": "👗👩🏽‍🦰 red dress 🏳️‍🌈 with emoji",
    "فستان": "فستان أحمر طويل. من القطن",
    "שמלה": "\u202eright to left override שמלה אדומה\u202c",
    "红色": "红色连衣裙。很漂亮。",
    "long": "word " * 2000,
    "unbroken": "x" * 10_000,
    " spaces  and\ttabs ": "line one\nline two\r\nline three",
    "control": "bell\x07 and escape\x1b[31m here",
    "no text": "",
}
"""Texts by ids, all of them any user's right to have."""

PLAIN = {f"p{number}": f"Item {number}. A grey coat in soft cotton." for number in range(8)}


@dataclass
class Shop:
    """A dataset and checkpoints on its features, saved below a folder."""

    folder: Path
    dataset: Dataset
    checkpoints: dict[str, Checkpoint]

    def paths(self, *names: str) -> list[Path]:
        """Files of checkpoints by name."""
        return [self.folder / f"{name}.pt" for name in names]


def make_shop(folder: Path, load, encoder_files, *, family: str = "open_clip-vit") -> Shop:
    """Twenty items, twelve of them with hostile names, and checkpoints ``bm3`` and ``befa``."""
    names = {**HOSTILE, **PLAIN}
    path = folder / "dataset"
    dataset = planted_dataset(path, n_items=len(names), features=())
    rng = np.random.default_rng(0)
    for number in range(len(names)):
        height = 40 + 6 * (number % 5)
        values = rng.integers(150, 250, (height, 50, 3), dtype=np.uint8)
        values[10 : 20 + number, 8 : 20 + number] = rng.integers(0, 255, 3)
        Image.fromarray(values).save(path / f"{number}.png")
    items = pl.DataFrame(
        {
            "item": pl.Series(range(len(names)), dtype=pl.UInt32),
            "id": list(names),
            "image": [f"{number}.png" for number in range(len(names))],
            "text": list(names.values()),
            "category": ["<i>tops</i>", "dresses", None, "coats"] * (len(names) // 4),
        }
    )
    write_items(path, items)
    dataset = Dataset.open(path)
    spec, weights = encoder_files[family]
    extract_features(dataset, spec, weights=weights, name="tiny", icc="ignore")
    encoder = load(family)
    checkpoints = {}
    for number, (name, adapter) in enumerate((("bm3", "none"), ("befa", "befa"))):
        made = make_checkpoint(encoder, n_items=len(names), adapter=adapter, seed=number)
        text = make_checkpoint(encoder, n_items=2, adapter=adapter, seed=10 + number)
        records = dataset.feature_set("tiny").records
        hashes = {modality: record["sha256"] for modality, record in records.items()}
        modalities = {"image": made.modalities["image"]}
        if "text" in records:
            modalities["text"] = text.modalities["image"]
        checkpoints[name] = replace(
            made,
            item_ids=list(dataset.item_ids),
            modalities=modalities,
            training={"features": {"name": "tiny", "sha256": hashes}},
        )
        checkpoints[name].save(folder / f"{name}.pt")
    return Shop(folder, dataset, checkpoints)
