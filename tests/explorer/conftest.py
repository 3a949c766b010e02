"""A small shop to explore."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl
import pytest
from planted import planted_dataset
from rawdata import write_picture
from zoo import make_checkpoint

from becam.checkpoint import Checkpoint
from becam.data.dataset import Dataset

ODD = {
    1: "<img src=x onerror=document.title=1> & \"quotes\" 'single'",
    2: "Kleid 👗🏽 mit Blumen",
    3: "فستان أحمر",
    4: "endless " * 1250,
}
"""Titles of some items."""
PICTURELESS = 5
"""The item whose picture the shop does not have."""


@dataclass(frozen=True)
class Shop:
    """A dataset with pictures, and checkpoints of it that lie beside each other."""

    dataset: Dataset
    plain: Path
    befa: Path

    @property
    def checkpoints(self) -> list[Path]:
        return [self.plain, self.befa]


@pytest.fixture(scope="session")
def shop(load, tmp_path_factory) -> Shop:
    folder = tmp_path_factory.mktemp("shop")
    path = folder / "data"
    made = planted_dataset(path, n_items=30, n_users=20)
    texts = [
        ODD.get(item, f"Thing {item}. A {'red' if item % 2 else 'blue'} one") for item in range(30)
    ]
    names = [None if item == PICTURELESS else f"{item}.jpg" for item in range(30)]
    for item, name in enumerate(names):
        if name is not None:
            write_picture(path / "images" / name, item)
    made.items.with_columns(
        text=pl.Series(texts), image=pl.Series(names, dtype=pl.String)
    ).write_parquet(path / "items.parquet")
    replace(made.manifest, image_root="images").save(path)
    for name, adapter in (("plain", "none"), ("befa", "befa")):
        drawn = make_checkpoint(load("open_clip-vit"), adapter=adapter, n_items=30)
        replace(
            drawn,
            user_ids=made.user_ids,
            user_embeddings=drawn.item_embeddings[:20] + 1,
        ).save(folder / f"{name}.pt")
    return Shop(Dataset.open(path), folder / "plain.pt", folder / "befa.pt")


@pytest.fixture(scope="session")
def checkpoints(shop) -> list[Checkpoint]:
    return [Checkpoint.load(path) for path in shop.checkpoints]
