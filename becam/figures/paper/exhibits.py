"""What a figure of pictures and maps shows: groups of items, and a heading for each map."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from becam.attribution.heatmap import Heatmap
from becam.errors import BecamError

Scale = Literal["own", "shared"]
SCALES: tuple[Scale, ...] = ("own", "shared")


def check_scale(scale: str) -> None:
    """Fail early.

    Raises:
        BecamError: no such scale.
    """
    if scale not in SCALES:
        raise BecamError(f"There is no scale {scale!r}; choose from {', '.join(SCALES)}.")


@dataclass(frozen=True)
class Heading:
    """The name of the maps that one checkpoint makes.

    Attributes:
        block: what stands over several headings, such as the recommender; may be empty.
        label: such as the adapter.
    """

    block: str
    label: str

    def __str__(self) -> str:
        return f"{self.block}, {self.label}" if self.block else self.label


@dataclass(frozen=True, eq=False)
class Exhibit:
    """A picture with its maps.

    Attributes:
        id: of the item, or the picture's path below its folder; any string.
        title: what it shows, in few words; any string.
        path: of the picture.
        target: id of the item that its maps are for.
        heatmaps: one a heading; none before they are made.
    """

    id: str
    title: str
    path: Path
    target: str
    heatmaps: tuple[Heatmap, ...] = ()


@dataclass(frozen=True, eq=False)
class Group:
    """Items that one rule chose.

    Attributes:
        name: short, to stand in the figure.
        rule: in words, for the caption.
        exhibits: the first by the rule first.
    """

    name: str
    rule: str
    exhibits: tuple[Exhibit, ...]


@dataclass(frozen=True, eq=False)
class Exhibition:
    """All that a figure shows.

    Attributes:
        headings: one a map of every exhibit.
        groups: of items.
    """

    headings: tuple[Heading, ...]
    groups: tuple[Group, ...]

    def exhibits(self) -> Iterator[Exhibit]:
        """Of all groups, in their order."""
        for group in self.groups:
            yield from group.exhibits

    def column(self, place: int) -> list[Heatmap]:
        """The maps under one heading."""
        return [exhibit.heatmaps[place] for exhibit in self.exhibits()]

    def blocks(self) -> list[tuple[str, int]]:
        """Names of the blocks with the number of their headings."""
        found: list[tuple[str, int]] = []
        for heading in self.headings:
            if found and found[-1][0] == heading.block:
                found[-1] = (heading.block, found[-1][1] + 1)
            else:
                found.append((heading.block, 1))
        return found

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, without the maps themselves."""
        return {
            "headings": [str(heading) for heading in self.headings],
            "groups": [
                {"name": group.name, "rule": group.rule, "items": _items(group.exhibits)}
                for group in self.groups
            ],
        }


def _items(exhibits: Sequence[Exhibit]) -> list[dict[str, Any]]:
    return [
        {
            "id": exhibit.id,
            "title": exhibit.title,
            "image": str(exhibit.path),
            "target": exhibit.target,
            "heatmaps": [heatmap.to_dict() for heatmap in exhibit.heatmaps],
        }
        for exhibit in exhibits
    ]
