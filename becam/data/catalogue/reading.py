"""Reading back what a catalogue folder says about its pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from becam.data.tables import scan_table
from becam.images import decoded


def read_labels(catalogue: Path, item_id: str) -> NDArray[np.uint8]:
    """The class of every pixel of an item's picture, (H, W); see ``attributes.CLASSES``."""
    with decoded(catalogue / "masks" / f"{item_id}.png", formats=("PNG",)) as mask:
        return np.asarray(mask, dtype=np.uint8)


def read_captions(catalogue: Path) -> dict[str, str]:
    """All that is in each picture, in words, by the item's id."""
    items = scan_table(catalogue / "items.csv").select("item_id", "caption").collect()
    return dict(zip(items["item_id"], items["caption"], strict=True))
