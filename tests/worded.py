"""Checkpoints over texts, and a dataset whose items have texts, for the tests of words."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import polars as pl
from planted import planted_dataset
from zoo import make_checkpoint

from becam.checkpoint import Checkpoint
from becam.data.dataset import Dataset
from becam.data.features import FeatureWriter
from becam.encoders.spec import EncoderRecord

GARMENTS = ("dress", "jeans", "hoodie", "socks", "blouse", "coat")
COLOURS = ("red", "black", "white", "green", "grey")
ENDINGS = ("in soft cotton.", "with a round neck.", "and small buttons\nat the back.")


def item_texts(count: int) -> list[str]:
    """Texts of items: a garment, a colour and some filler; the last item has none."""
    texts = [
        f"{COLOURS[i % 5].title()} {GARMENTS[i % 6]}. {GARMENTS[i % 6].title()} {ENDINGS[i % 3]}"
        for i in range(count)
    ]
    return [*texts[:-1], ""]


def text_checkpoint(
    record: EncoderRecord, width: int, *, features_sha256: str = "", **options
) -> Checkpoint:
    """A checkpoint with random weights whose only modality is text; options of the zoo's."""
    encoder = SimpleNamespace(dim=width, record=record)
    checkpoint = make_checkpoint(encoder, **options)
    return replace(
        checkpoint,
        modalities={"text": checkpoint.modalities["image"]},
        training={"features": {"name": "lsa", "sha256": {"text": features_sha256}}},
    )


def worded_dataset(path: Path, rows, encoder: dict) -> tuple[Dataset, str]:
    """A dataset of as many items as there are feature rows; and the hash of the features."""
    rows = np.asarray(rows, dtype=np.float32)
    dataset = planted_dataset(path, n_items=len(rows), features=())
    items = dataset.items.with_columns(pl.Series("text", item_texts(len(rows))))
    items.write_parquet(path / "items.parquet")
    dataset = Dataset.open(path)
    writer = FeatureWriter(dataset, "lsa", "text", encoder, rows.shape[1], modalities=("text",))
    writer.write(np.arange(len(rows)), rows)
    writer.finish()
    return dataset, dataset.feature_set("lsa").records["text"]["sha256"]
