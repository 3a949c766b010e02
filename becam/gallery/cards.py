"""From what is known of items to the cards that show them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

from becam.data.dataset import Dataset
from becam.gallery.maps import ItemMap
from becam.gallery.model import Card, Column, Neighbour, Panel
from becam.gallery.neighbours import ItemNeighbours
from becam.gallery.titles import title_of


class CardMaker:
    """Makes cards.

    Args:
        dataset: of the items.
        columns: which checkpoint each is of, and the column.
        neighbours: of the items.
    """

    def __init__(
        self, dataset: Dataset, columns: Sequence[tuple[int, Column]], neighbours: ItemNeighbours
    ) -> None:
        self._dataset = dataset
        self._columns = columns
        self._neighbours = neighbours

    def card(self, row: dict[str, Any], maps: Sequence[ItemMap]) -> Card:
        """A card.

        Args:
            row: of the table of items.
            maps: of the item, one a column.
        """
        name, category = row["id"], row["category"]
        return Card(
            id=name,
            title=title_of(row["text"], name),
            text=row["text"] or "",
            category=None if category is None else str(category),
            popularity=row["popularity"],
            geometry=maps[0].geometry,
            panels=tuple(self._panels(row, maps)),
            by_behaviour=self._near(self._neighbours.by_behaviour[name]),
            by_content=self._near(self._neighbours.by_content[name]),
        )

    def _panels(self, row: dict[str, Any], maps: Sequence[ItemMap]) -> Iterator[Panel]:
        for (checkpoint, column), one in zip(self._columns, maps, strict=True):
            when = "before" if column.space == "content" else "after"
            yield one.panel(
                row[f"theta_{when}_{checkpoint}"],
                row[f"theta_permuted_{when}_{checkpoint}"],
                maps[0].geometry,
            )

    def _near(self, found: Sequence[tuple[str, float]]) -> tuple[Neighbour, ...]:
        return tuple(
            Neighbour(name, title_of(self._texts.get(name), name), cosine) for name, cosine in found
        )

    @cached_property
    def _texts(self) -> dict[str, str | None]:
        return dict(self._dataset.items.select("id", "text").iter_rows())
