"""Reading back what a catalogue folder says about its pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray
from PIL import Image


def read_labels(catalogue: Path, item_id: str) -> NDArray[np.uint8]:
    """The class of every pixel of an item's picture, (H, W); see ``attributes.CLASSES``."""
    with Image.open(catalogue / "masks" / f"{item_id}.png") as mask:
        return np.asarray(mask, dtype=np.uint8)


def read_captions(catalogue: Path) -> dict[str, str]:
    """All that is in each picture, in words, by the item's id."""
    items = pl.read_csv(catalogue / "items.csv", infer_schema=False)
    return dict(zip(items["item_id"], items["caption"], strict=True))
