"""Items and users to choose from, and how they are found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from becam.checkpoint import Checkpoint
from becam.data.dataset import Dataset
from becam.errors import BecamError
from becam.explorer.refusal import Refusal
from becam.identifiers import unknown_identifier

_LONG = 200
"""Characters of an id beyond which near ones are not looked for, and of a text in a list."""
_SHELF = 4
"""Purchases that are shown of a user."""


@dataclass(frozen=True)
class Item:
    """An item for a list or a caption.

    Attributes:
        index: among the catalogue's items.
        id: the user's own; any string.
        text: what the dataset says of it, cut short; any string, may be empty.
        category: any string, or None.
        popularity: interactions in training; None without a dataset.
        picture: whether the dataset has one.
    """

    index: int
    id: str
    text: str
    category: str | None
    popularity: int | None
    picture: bool


@dataclass(frozen=True)
class User:
    """A user for a list.

    Attributes:
        id: the user's own; any string.
        purchases: interactions in training; None without a dataset.
        items: some of them.
    """

    id: str
    purchases: int | None
    items: list[Item]


class Catalogue:
    """Items and users that all checkpoints know, with what a dataset says of them.

    Args:
        checkpoints: at least one.
        dataset: that they were trained on; without one there are ids alone.

    Raises:
        BecamError: no item is known to all of them.
    """

    def __init__(self, checkpoints: Sequence[Checkpoint], dataset: Dataset | None = None) -> None:
        self.dataset = dataset
        self.item_ids = _common([checkpoint.item_ids for checkpoint in checkpoints])
        self.user_ids = _common([checkpoint.user_ids for checkpoint in checkpoints])
        if not self.item_ids:
            raise BecamError(
                "The checkpoints have no item in common, so they cannot be compared; give those of "
                "one dataset."
            )
        self._items = _table(self.item_ids, dataset)
        if dataset is not None and self._items["item"].null_count() == len(self.item_ids):
            raise BecamError(
                f"{dataset.path} has no item that the checkpoints know; give the dataset that they "
                "were trained on with --dataset."
            )
        users = pl.DataFrame({"id": pl.Series(self.user_ids, dtype=pl.String)})
        self._users = users.with_columns(folded=pl.col("id").str.to_lowercase())

    @cached_property
    def pictures(self) -> int:
        """How many items have a picture."""
        return int(self._items["picture"].sum())

    def __contains__(self, id: object) -> bool:
        return id in self._item_index

    def item(self, id: str) -> Item:
        """The item with an id.

        Raises:
            Refusal: there is none; near ids are named.
        """
        return self.entry(self.index(id))

    def index(self, id: str) -> int:
        """Its place among the items; raises as :meth:`item` does."""
        return _place("item", id, self._item_index)

    def check_user(self, id: str) -> None:
        """Raise unless there is such a user.

        Raises:
            Refusal: there is none; near ids are named.
        """
        _place("user", id, self._user_index)

    def entry(self, index: int) -> Item:
        """The item at a place.

        Raises:
            Refusal: there is no such place.
        """
        if not 0 <= index < len(self.item_ids):
            raise Refusal(404, f"There is no item at {index}; there are {len(self.item_ids):,}.")
        return _item(self._items.row(index, named=True))

    def picture(self, index: int) -> Path | None:
        """The picture of the item at a place; None where the dataset has none."""
        row = self._items["item"][index] if 0 <= index < len(self.item_ids) else None
        return None if self.dataset is None or row is None else self.dataset.image_path(row)

    def find_items(self, query: str, limit: int) -> list[Item]:
        """Items that have all words of a query in their id, text or category.

        The very id comes first, then ids and then texts that begin with the query, and among
        equals what sold most. An empty query finds what sold most.
        """
        found = _matching(self._items, query).sort(
            "rank", "popularity", descending=[False, True], nulls_last=True, maintain_order=True
        )
        return [_item(row) for row in found.head(limit).collect().iter_rows(named=True)]

    def find_users(self, query: str, limit: int, item: str | None = None) -> list[User]:
        """Users whose id has a query in it, as :meth:`find_items` orders them.

        Args:
            query: words; an empty one finds whoever bought the item.
            limit: how many at most.
            item: id of an item; an unknown one has no buyers.
        """
        if not query.strip() and item in self._item_index and self.dataset is not None:
            ids = self._buyers(item, limit)
        else:
            found = _matching(self._users, query).sort("rank", maintain_order=True)
            ids = found.head(limit).collect()["id"].to_list()
        return [self._user(id) for id in ids]

    def random_item(self) -> Item:
        """Any item, one with a picture where there are pictures."""
        table = self._items.filter("picture") if self.pictures else self._items
        return _item(table.row(int(np.random.default_rng().integers(table.height)), named=True))

    @cached_property
    def _item_index(self) -> dict[str, int]:
        return {id: index for index, id in enumerate(self.item_ids)}

    @cached_property
    def _user_index(self) -> dict[str, int]:
        return {id: index for index, id in enumerate(self.user_ids)}

    @cached_property
    def _dataset_users(self) -> dict[str, int]:
        assert self.dataset is not None
        return {id: row for row, id in enumerate(self.dataset.user_ids)}

    @cached_property
    def _purchases(self) -> NDArray[np.int64]:
        """(n, 2) rows of user and item in the dataset, sorted by user."""
        assert self.dataset is not None
        return self.dataset.interactions("train")

    def _buyers(self, item: str, limit: int) -> list[str]:
        assert self.dataset is not None
        row = self._items["item"][self._item_index[item]]
        if row is None:
            return []
        users = self._purchases[self._purchases[:, 1] == row, 0]
        ids = (self.dataset.user_ids[user] for user in users)
        return [id for id in ids if id in self._user_index][:limit]

    def _user(self, id: str) -> User:
        if self.dataset is None or id not in self._dataset_users:
            return User(id, None, [])
        user = self._dataset_users[id]
        start, end = np.searchsorted(self._purchases[:, 0], [user, user + 1])
        bought = [self.dataset.item_ids[item] for item in self._purchases[start:end, 1]]
        known = [self._item_index[one] for one in bought if one in self._item_index]
        return User(id, int(end - start), [self.entry(index) for index in known[:_SHELF]])


def _common(tables: Sequence[list[str]]) -> list[str]:
    """Ids that are in all tables, in the order of the first."""
    first, *others = tables
    rest = [frozenset(table) for table in others if table != first]
    return [id for id in first if all(id in table for table in rest)]


def _table(ids: list[str], dataset: Dataset | None) -> pl.DataFrame:
    """A row an item: ``index``, ``id``, and from the dataset its row there and the rest."""
    table = pl.DataFrame({"index": range(len(ids)), "id": ids})
    if dataset is None:
        nothing = {name: pl.lit(None, pl.String) for name in ("text", "category")}
        nothing |= {name: pl.lit(None, pl.Int64) for name in ("item", "popularity")}
        table = table.with_columns(**nothing, picture=pl.lit(False))
    else:
        about = dataset.items.select(
            "id",
            pl.col("text").cast(pl.String),
            pl.col("category").cast(pl.String),
            pl.col("item").cast(pl.Int64),
            picture=pl.col("image").is_not_null(),
            popularity=pl.Series(dataset.popularity, dtype=pl.Int64),
        )
        table = table.join(about, on="id", how="left", maintain_order="left").with_columns(
            pl.col("picture").fill_null(False)
        )
    parts = [pl.col(name).fill_null("") for name in ("id", "text", "category")]
    return table.with_columns(folded=pl.concat_str(parts, separator=" ").str.to_lowercase())


def _matching(table: pl.DataFrame, query: str) -> pl.LazyFrame:
    """Rows whose ``folded`` has all words of a query, with a ``rank``: the best fit is 0."""
    plain = " ".join(query.lower().split())
    matches = [pl.col("folded").str.contains(word, literal=True) for word in plain.split()]
    found = table.lazy().filter(*matches) if matches else table.lazy()
    lower = pl.col("id").str.to_lowercase()
    rank = pl.when(lower == plain).then(0).when(lower.str.starts_with(plain)).then(1)
    if "text" in table.columns:
        begins = pl.col("text").fill_null("").str.to_lowercase().str.starts_with(plain)
        rank = rank.when(begins).then(2)
    return found.with_columns(rank=rank.otherwise(3))


def _item(row: dict[str, Any]) -> Item:
    text = " ".join((row["text"] or "").split())
    return Item(
        row["index"],
        row["id"],
        text if len(text) <= _LONG else f"{text[: _LONG - 1]}…",
        row["category"],
        row["popularity"],
        row["picture"],
    )


def _place(kind: str, id: str, known: dict[str, int]) -> int:
    if id in known:
        return known[id]
    if len(id) > _LONG:
        raise Refusal(
            404, f"There is no {kind} with an id of {len(id):,} characters; search for one."
        )
    raise Refusal(404, unknown_identifier(kind, id, known.keys()))
