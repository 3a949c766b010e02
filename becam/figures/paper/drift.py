"""Figure 2: pictures whose content drifts from behaviour, or omits much of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

from becam.attribution.controls import DRIFT_DEGREES, OMISSION_DEGREES
from becam.attribution.labels import Sources, column_label, loaded, named_sources
from becam.data.dataset import Dataset
from becam.evaluation.item_table import ItemTable, item_table
from becam.evaluation.selection import Selection, select_items
from becam.figures.page import Page, PaperFigure
from becam.figures.paper.captions import caption, drift_remarks
from becam.figures.paper.choosing import Chosen, explained, groups_of
from becam.figures.paper.exhibits import Exhibition, Heading, Scale, check_scale
from becam.figures.paper.grid import check_room, map_figure
from becam.figures.paper.maps import Maps
from becam.figures.paper.pairs import recommender_title

_THETA = "theta_before_0"


@dataclass(frozen=True)
class _Kind:
    """A group of the figure: a rule among the items whose angle is in a range.

    Attributes:
        name: of the group.
        rule: that orders them.
        above, to: the range of theta in degrees, without and with its end.
    """

    name: str
    rule: str
    above: float = -1.0
    to: float = 180.0


_KINDS = (
    _Kind("information drift", "top-drift", above=DRIFT_DEGREES),
    _Kind("information omission", "top-omission", OMISSION_DEGREES, DRIFT_DEGREES),
    _Kind("other end: least drift", "least-drift"),
)


def drift_figure(
    checkpoints: Sources,
    dataset: Dataset | str | Path,
    *,
    count: int = 3,
    page: Page | None = None,
    scale: Scale = "own",
    maps: str | Path | None = None,
    seed: int = 0,
    progress: bool = False,
    **options: Any,
) -> PaperFigure:
    """Items as columns: the picture over its map, without an adapter (the paper's Figure 2).

    One group of the largest angles to behaviour above 90 degrees (drift), one of the largest from
    60 to 90 degrees (omission), and the other end: the smallest. No item is in two groups; a group
    that no item belongs to is left out, and the caption says so.

    Args:
        checkpoints: one, or several for a row of maps each; the angles are those of the first.
            Adapters are left out.
        dataset: that they were trained on.
        count: items in each group.
        page: size and letters.
        scale: ``own`` range of each map, or ``shared`` by all of a picture.
        maps: folder that keeps the maps, so that the next figure need not make them again.
        seed: of the control angles.
        progress: show bars on stderr.
        options: of :class:`~becam.attribution.Explainer`.

    Raises:
        BecamError: unreadable checkpoints, a dataset without their items, pictures that cannot be
            read, options that do not fit.
    """
    check_scale(scale)
    page = page or Page()
    sources = named_sources(checkpoints, None)
    known = [loaded(source) for source, _ in sources]
    titles = [recommender_title(checkpoint) for checkpoint in known]
    labels = [column_label(*pair) for pair in zip((s for s, _ in sources), known, strict=True)]
    table = item_table(known, dataset, labels=titles, seed=seed, progress=progress)
    chosen, absent = _choose(table, count=count, seed=seed)
    headings = tuple(Heading("", title) for title in titles)
    shown = Exhibition(headings, groups_of(chosen))
    check_room(shown, page, "columns")
    made = Maps(known, titles, maps, space="content", **options)
    shown = explained(shown, made, progress=progress)
    words = caption(
        "Information drift and omission: where the picture features of "
        f"{' and '.join(dict.fromkeys(titles))} agree with behaviour, without an adapter.",
        shown,
        scale=scale,
        checkpoints=labels,
        remarks=[*absent, *drift_remarks(table)],
    )
    figure = map_figure(shown, page, items_as="columns", scale=scale)
    return PaperFigure(figure, words, page, {"figure": 2, **shown.to_dict()})


def _choose(table: ItemTable, *, count: int, seed: int) -> tuple[Chosen, list[str]]:
    """The groups that have items, and a sentence for each that has none."""
    chosen: list[tuple[str, Selection]] = []
    absent, left = list[str](), table.items
    for kind in _KINDS:
        within = left.filter((pl.col(_THETA) > kind.above) & (pl.col(_THETA) <= kind.to))
        if within.is_empty() and kind is not _KINDS[-1]:
            absent.append(f"No item has a θ of {_range(kind)}, so there is no {kind.name} to show.")
            continue
        if within.is_empty() and chosen:
            continue  # all items are in the other groups
        found = select_items(kind.rule, replace(table, items=within), count=count, seed=seed)
        chosen.append((kind.name, found))
        left = left.filter(~pl.col("id").is_in(found.items["id"].implode()))
    return chosen, absent


def _range(kind: _Kind) -> str:
    if kind.to >= 180:
        return f"over {kind.above:g}°"
    return f"over {kind.above:g}° and up to {kind.to:g}°"
