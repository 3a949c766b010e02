"""What a gallery shows: columns, and items with a panel for each column."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from becam.encoders.preprocessing import Geometry

FloatArray = NDArray[np.float32]


@dataclass(frozen=True)
class Column:
    """A checkpoint, with its adapter or without, under one method.

    Attributes:
        label: a name for people.
        method: the attribution method with its options, as ``becam explain --method`` takes it.
        adapter: registered name; ``none`` too where an adapter was left out.
        space: ``adapted``, ``content`` or ``change``.
        options: every choice that made its maps, as plain values.
    """

    label: str
    method: str
    adapter: str
    space: str
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Word:
    """A word of an item's text, and what it adds to the similarity; None where it is not read."""

    text: str
    weight: float | None


@dataclass(frozen=True, eq=False)
class Panel:
    """One item in one column.

    Attributes:
        raw: the saliency map M (h, w), signed.
        theta: degrees from the item's content to behaviour, as trained; None where it has none.
        theta_control: the same with another item's content.
        warnings: what speaks against the map, in words, the gravest first; may be empty.
        notes: the other controls, in words.
        controls: their numbers, as of ``becam.attribution.controls.Controls.to_dict``.
        weights: of the live channels, as a histogram: counts in equal bins; None where the method
            has no weights.
        weight_range: the lowest and the highest weight, the histogram's outer edges.
        words: the item's text with what each word adds; None where it was not explained.
        geometry: what the column's encoder saw of the picture, where that is not the card's:
            columns may stand on several encoders.
    """

    raw: FloatArray
    theta: float | None
    theta_control: float | None
    warnings: tuple[str, ...]
    notes: tuple[str, ...]
    controls: dict[str, Any]
    weights: tuple[int, ...] | None = None
    weight_range: tuple[float, float] | None = None
    words: tuple[Word, ...] | None = None
    geometry: Geometry | None = None


@dataclass(frozen=True)
class Neighbour:
    """Another item near this one.

    Attributes:
        id: of the other item.
        title: its text, cut short.
        similarity: the cosine.
    """

    id: str
    title: str
    similarity: float


@dataclass(frozen=True, eq=False)
class Card:
    """One item.

    Attributes:
        id: the user's own; any string.
        title: one line for people; any string.
        text: all that the dataset says of it; any string.
        category: any string, or None.
        popularity: interactions in training.
        geometry: size of the picture, and what the first column's encoder saw of it.
        panels: one for each column.
        by_behaviour: items with the nearest ID embeddings, the nearest first.
        by_content: items with the nearest content features.
    """

    id: str
    title: str
    text: str
    category: str | None
    popularity: int
    geometry: Geometry
    panels: tuple[Panel, ...]
    by_behaviour: tuple[Neighbour, ...] = ()
    by_content: tuple[Neighbour, ...] = ()


@dataclass(frozen=True)
class Heading:
    """What is said of the whole gallery.

    Attributes:
        title: of the page.
        rule: by which the items were chosen, in words.
        total: how many items the dataset has.
        columns: in their order.
        omission: angle in degrees beyond which content omits behaviour; drift is over 90.
        notes: what a reader must know of the columns, in sentences (such as that a small angle
            after BeFA says nothing).
        facts: how it was made, for the foot: dataset, encoder, version, seed and so on, by name.
    """

    title: str
    rule: str
    total: int
    columns: tuple[Column, ...]
    omission: float
    notes: tuple[str, ...]
    facts: dict[str, str]
