"""The texts of a dataset's items, and the features that a checkpoint was trained on of them."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from becam.checkpoint import Checkpoint
from becam.contents import same_features
from becam.data.dataset import Dataset
from becam.errors import BecamError
from becam.identifiers import unknown_identifier

TEXT = "text"


class ItemTexts:
    """The texts of a dataset.

    Args:
        dataset: as opened.
    """

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset

    @cached_property
    def all(self) -> list[str]:
        """One an item, in order; empty where an item has none."""
        texts: list[str] = self.dataset.items[TEXT].fill_null("").to_list()
        return texts

    def row(self, item_id: str) -> int:
        """The row of an item.

        Raises:
            BecamError: no such item in this dataset.
        """
        if item_id not in self._rows:
            raise BecamError(unknown_identifier("item", item_id, self._rows.keys()))
        return self._rows[item_id]

    def features(self, checkpoint: Checkpoint) -> NDArray[np.float32] | None:
        """The text features (I, d_m) that a checkpoint was trained on; None where they are gone."""
        found = same_features(checkpoint, self.dataset, TEXT)
        return None if found is None else found.load(TEXT)

    @cached_property
    def _rows(self) -> dict[str, int]:
        return {name: row for row, name in enumerate(self.dataset.item_ids)}
