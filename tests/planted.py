"""A small dataset whose purchases follow planted tastes, so that a recommender can learn them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl

from becam.data.dataset import Dataset
from becam.data.features import FeatureWriter
from becam.data.integrity import fingerprint
from becam.data.manifest import FORMAT, Manifest

TASTES = 5


def planted_dataset(
    path: Path, *, n_users=150, n_items=60, width=12, seed=0, features=("plain",)
) -> Dataset:
    """Write a dataset folder: users buy to their taste, and features show an item's, noisily."""
    rng = np.random.default_rng(seed)
    user_taste = rng.integers(TASTES, size=n_users)
    item_taste = np.arange(n_items) % TASTES
    rows = []
    for user in range(n_users):
        weight = np.where(item_taste == user_taste[user], 15.0, 1.0)
        bought = rng.choice(n_items, size=8, replace=False, p=weight / weight.sum())
        rows += [(user, item, split) for item, split in zip(bought, [0] * 6 + [1, 2], strict=True)]
    table = pl.DataFrame(
        rows, schema={"user": pl.UInt32, "item": pl.UInt32, "split": pl.UInt8}, orient="row"
    ).sort("user", "item")
    items = pl.DataFrame(
        {
            "item": pl.Series(range(n_items), dtype=pl.UInt32),
            "id": [f"{i:04d}" for i in range(n_items)],
            "image": pl.Series([None] * n_items, dtype=pl.String),
            "text": [f"item {i}" for i in range(n_items)],
            "category": [f"taste {t}" for t in item_taste],
        }
    )
    users = pl.DataFrame(
        {
            "user": pl.Series(range(n_users), dtype=pl.UInt32),
            "id": [f"user-{u}" for u in range(n_users)],
        }
    )
    path.mkdir(parents=True)
    for name, frame in {"interactions": table, "items": items, "users": users}.items():
        frame.write_parquet(path / f"{name}.parquet")
    Manifest(
        format=FORMAT,
        name="planted",
        source="test",
        counts={"users": n_users, "items": n_items, "interactions": len(table)},
        statistics={},
        filters={},
        split={},
        dropped={},
        fingerprint=fingerprint(table, items["id"], users["id"]),
        image_root=None,
        seconds={},
    ).save(path)
    dataset = Dataset.open(path)
    centres = rng.normal(size=(TASTES, width))
    for name in features:
        for modality in ("image", "text"):
            values = centres[item_taste] + 0.3 * rng.normal(size=(n_items, width))
            writer = FeatureWriter(
                dataset, name, modality, {"spec": "test"}, width, modalities=("image", "text")
            )
            writer.write(np.arange(n_items), values)
            writer.finish()
    return dataset


def write_items(path: Path, items: pl.DataFrame) -> None:
    """Give a planted dataset other items, and its manifest the fingerprint of these."""
    items.write_parquet(path / "items.parquet")
    rows = pl.read_parquet(path / "interactions.parquet")
    users = pl.read_parquet(path / "users.parquet")
    found = fingerprint(rows, items["id"], users["id"])
    replace(Manifest.load(path), fingerprint=found).save(path)
