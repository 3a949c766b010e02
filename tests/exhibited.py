"""What the paper's figures show: a small shop with checkpoints of two recommenders, and maps whose
hot corner is known."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl
import torch
from adapter_contract import perturbed
from PIL import Image
from planted import planted_dataset
from rawdata import write_picture
from zoo import make_checkpoint

from becam.adapters import create_adapter
from becam.attribution.controls import Controls
from becam.attribution.heatmap import Heatmap
from becam.checkpoint import Checkpoint, Modality
from becam.data.dataset import Dataset
from becam.data.features import FeatureWriter
from becam.encoders.preprocessing import Geometry
from becam.figures.paper.exhibits import Exhibit, Exhibition, Group, Heading

ITEMS, DIM = 20, 16

HOSTILE = (
    "costs $5 or $\\frac{1}$ and \\textbf{more} $",
    "two\nlines\r\n\tand a \x00 null",
    "Kleid 👗🏽 mit Blumen",
    "فستان أحمر",
    "endless " * 1250,
    "连衣裙 ワンピース",
    "",
)
"""Texts that have broken figures."""


@dataclass(frozen=True)
class Shop:
    """A dataset with pictures, and the folder of its checkpoints."""

    dataset: Dataset
    folder: Path

    def checkpoint(self, name: str) -> Path:
        return self.folder / f"{name}.pt"


def make_shop(folder: Path, encoder) -> Shop:
    """Frozen features are those of the encoder; ``MODEL-ADAPTER.pt`` are the checkpoints."""
    path = folder / "data"
    made = planted_dataset(path, n_items=ITEMS, n_users=30, features=())
    names = [f"{item}.jpg" for item in range(ITEMS)]
    for item, name in enumerate(names):
        write_picture(path / "images" / name, item)
    titles = [HOSTILE[item % len(HOSTILE)] for item in range(ITEMS)]
    made.items.with_columns(
        image=pl.Series(names), text=pl.Series(titles), category=pl.lit(None, pl.String)
    ).write_parquet(path / "items.parquet")
    replace(made.manifest, image_root="images").save(path)
    dataset = Dataset.open(path)
    pictures = [Image.open(dataset.image_path(item)) for item in range(ITEMS)]
    pixels = torch.stack([encoder.preprocessing(picture)[0] for picture in pictures])
    with torch.no_grad():
        features = encoder.encode_image(pixels).numpy()
    record = encoder.record.to_dict()
    writer = FeatureWriter(dataset, "real", "image", record, encoder.dim, modalities=("image",))
    writer.write(np.arange(ITEMS), features)
    writer.finish()
    runs = itertools.product(("bm3", "lattice"), ("none", "lora", "befa"))
    for seed, (model, adapter) in enumerate(runs):
        made = drawn_checkpoint(encoder, dataset, model, adapter, seed)
        made.save(folder / f"{model}-{adapter}.pt")
    return Shop(dataset, folder)


def drawn_checkpoint(encoder, dataset, model, adapter, seed) -> Checkpoint:
    """A checkpoint of the dataset's items with weights as after some training."""
    made = make_checkpoint(encoder, n_items=ITEMS, dim=DIM, seed=seed)
    image = made.modalities["image"]
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        built = perturbed(create_adapter(adapter, DIM)).eval()
    kept = Modality.of(image.projection_weight, image.projection_bias, built, image.encoder)
    return replace(
        made,
        item_ids=dataset.item_ids,
        modalities={"image": kept},
        recommender={"name": model, "config": {}},
    )


def controls(**changes) -> Controls:
    """Controls that object to nothing."""
    values = {
        "weight_mean": 0.1,
        "weight_std": 0.1,
        "flat_channels": 0,
        "strongest_share": 0.1,
        "correlation_activation": 0.1,
        "correlation_others": 0.1,
        "correlation_randomised": 0.1,
        "positive_share": 0.5,
        "theta": 70.0,
        "similarity_spread": 0.1,
        "correlation_itself": 0.1,
    }
    return Controls(**(values | changes))


def corner_map(corner: int, size: tuple[int, int], strength: float = 1.0, **changes) -> Heatmap:
    """Hot in one quarter: 0 upper left, 1 upper right, 2 lower left, 3 lower right."""
    raw = np.zeros((8, 8), np.float32)
    top, left = divmod(corner, 2)
    raw[4 * top : 4 * top + 4, 4 * left : 4 * left + 4] = strength
    width, height = size
    options = {
        "method": "becam",
        "method_options": {"weighting": "centered"},
        "encoder": "zoo",
        "target_layer": "blocks.0",
        "masking": "mean",
    }
    return Heatmap(
        raw,
        np.ones(3, np.float32),
        Geometry(width, height, (0.0, 0.0, float(width), float(height))),
        controls(**changes),
        "BM3",
        "item 1",
        options,
    )


def corner_of(item: int, place: int) -> int:
    """Which corner of a cell is hot: no two neighbours have the same."""
    return (item + 2 * (place % 2) + place // 2) % 4


def exhibition(
    folder: Path, groups=(2, 1), blocks=(1, 2), size=(60, 90), titles=("thing",), **changes
) -> Exhibition:
    """Grey pictures whose maps are hot in the corner that ``corner_of`` says."""
    headings = [
        Heading(f"block {block}", f"map {k}") for block, n in enumerate(blocks) for k in range(n)
    ]
    shown, item = [], 0
    for number, count in enumerate(groups):
        exhibits = []
        for _ in range(count):
            path = folder / f"{item}.png"
            Image.new("RGB", size, (128, 128, 128)).save(path)
            maps = [corner_map(corner_of(item, k), size, **changes) for k in range(len(headings))]
            title = titles[item % len(titles)]
            exhibits.append(Exhibit(f"id{item}", title, path, f"id{item}", tuple(maps)))
            item += 1
        shown.append(Group(f"group {number}", f"rule {number}", tuple(exhibits)))
    return Exhibition(tuple(headings), tuple(shown))
