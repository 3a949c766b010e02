"""From a rule to what a figure shows: the items that it chooses, and those at its other end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from becam.evaluation.item_table import ItemTable
from becam.evaluation.selection import Selection, select_items
from becam.figures.paper.exhibits import Exhibit, Exhibition, Group
from becam.figures.paper.maps import Maps, Wanted
from becam.progress import bar

Chosen = Sequence[tuple[str, Selection]]
"""Names of groups with the items of each."""


def both_ends(rule: str, table: ItemTable, *, count: int, seed: int = 0) -> Chosen:
    """The items that a rule chooses, and those of its other end where it has one.

    Args:
        rule: as of :func:`~becam.evaluation.selection.select_items`.
        table: of the items.
        count: how many of each where the rule does not say.
        seed: of a sample.

    Raises:
        BecamError: an unknown rule or id, or nothing to show.
    """
    first = select_items(rule, table, count=count, seed=seed)
    found = [(rule_name(rule), first)]
    if first.opposite is not None:
        other = select_items(first.opposite, table, count=count, seed=seed)
        found.append((rule_name(first.opposite), other))
    return found


def rule_name(rule: str) -> str:
    """A rule without its number, or the name of a file of ids."""
    path = Path(rule)
    return path.name if path.is_file() else rule.partition(":")[0]


def groups_of(chosen: Chosen) -> tuple[Group, ...]:
    """The chosen items, without maps yet.

    Args:
        chosen: rows with ``id``, ``image``, ``category`` and ``text``; ``target`` too where maps
            are for another item than ``id``.
    """
    return tuple(
        Group(name, one.rule, tuple(_exhibit(row) for row in one.items.to_dicts()))
        for name, one in chosen
    )


def explained(
    shown: Exhibition, maps: Maps, *, text: str | None = None, progress: bool = False
) -> Exhibition:
    """The same with the maps of all items.

    Args:
        shown: items without maps.
        maps: makes them.
        text: for one more map of each.
        progress: show a bar on stderr.

    Raises:
        BecamError: a picture that cannot be read, or an encoder that cannot be had.
    """
    total = sum(len(group.exhibits) for group in shown.groups)
    with bar(desc="Making maps", total=total, unit="picture", disable=not progress) as done:

        def with_maps(exhibit: Exhibit) -> Exhibit:
            found = maps.of(Wanted(exhibit.path, exhibit.target, text))
            done.update()
            return replace(exhibit, heatmaps=found)

        return replace(
            shown,
            groups=tuple(
                replace(group, exhibits=tuple(map(with_maps, group.exhibits)))
                for group in shown.groups
            ),
        )


def _exhibit(row: dict[str, Any]) -> Exhibit:
    return Exhibit(
        id=row["id"],
        title=_title(row),
        path=Path(row["image"]),
        target=str(row.get("target") or row["id"]),
    )


def _title(row: dict[str, Any]) -> str:
    what = row["category"] or row["text"] or ""
    return what if "target" not in row else f"nearest: {what or row['target']}"
