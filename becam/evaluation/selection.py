"""Which items are shown: chosen by a rule that is stated, never by hand."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from becam.attribution.controls import DRIFT_DEGREES
from becam.data.tables import SUFFIXES, columns, reading, scan_table
from becam.errors import BecamError, quoted
from becam.evaluation.deviation_summary import WHEN
from becam.evaluation.item_table import ItemTable
from becam.files import check_file, read_bytes, read_text
from becam.identifiers import near_identifiers


@dataclass(frozen=True, eq=False)
class Selection:
    """Items and the rule that chose them.

    Attributes:
        items: their rows of the table, the first by the rule first.
        rule: in words, for a caption.
        opposite: the rule that shows the other end, as it is written; None where there is none.
    """

    items: pl.DataFrame
    rule: str
    opposite: str | None


@dataclass(frozen=True)
class _Rule:
    """An order of the items.

    Attributes:
        words: what the first ones have.
        by: the value that orders them; items where it is null are left out.
        descending: the largest first.
        opposite: name of the rule of the other end.
        of_items: the value is the items' own, of no checkpoint.
    """

    words: str
    by: Callable[[], pl.Expr]
    descending: bool
    opposite: str
    of_items: bool = False


_BEFORE, _AFTER = "theta_before_0", "theta_after_0"


def _change() -> pl.Expr:
    change = (pl.col(_AFTER) - pl.col(_BEFORE)).abs()
    # Without an adapter nothing changes: such items have no place in an order of changes.
    return pl.when(change > 0).then(change)


_RULES = {
    "top-drift": _Rule(
        "the largest angles to behaviour before the adapter",
        lambda: pl.col(_BEFORE),
        True,
        "least-drift",
    ),
    "least-drift": _Rule(
        "the smallest angles to behaviour before the adapter",
        lambda: pl.col(_BEFORE),
        False,
        "top-drift",
    ),
    "top-omission": _Rule(
        f"the largest angles to behaviour up to {DRIFT_DEGREES:g}° before the adapter",
        lambda: pl.when(pl.col(_BEFORE) <= DRIFT_DEGREES).then(pl.col(_BEFORE)),
        True,
        "least-drift",
    ),
    "top-change": _Rule(
        "the angles to behaviour that the adapter changes most",
        _change,
        True,
        "least-change",
    ),
    "least-change": _Rule(
        "the angles to behaviour that the adapter changes least",
        _change,
        False,
        "top-change",
    ),
    "popular": _Rule("the most interactions", lambda: pl.col("popularity"), True, "rare", True),
    "rare": _Rule("the fewest interactions", lambda: pl.col("popularity"), False, "popular", True),
}

RULES = ("all", "sample", *_RULES)
"""Names of rules; ``sample:50``, ``top-drift:10`` and so on say how many items."""

DEFAULT_COUNT = 100

_DIGITS = 9
_MOST_BYTES = 1 << 30

_ID_NAMES = ("id", "item_id")


def select_items(
    rule: str, table: ItemTable, *, count: int = DEFAULT_COUNT, seed: int = 0
) -> Selection:
    """Choose items of a table by a rule.

    Args:
        rule: ``all``, ``sample``, ``top-drift``, ``least-drift``, ``top-omission``,
            ``top-change``, ``least-change``, ``popular`` or ``rare``, with ``:N`` for the number
            of items; or a file with one id a line, a table with a column ``id`` or ``item_id``,
            a JSON list of ids or the ``worst.json`` of ``becam deviation``, which gives the items
            in its order. Angles are those of the first checkpoint; items without one are left
            out, and among equals the dataset's order decides.
        table: of the items.
        count: how many where the rule does not say; ``all`` and a file take every item.
        seed: of a sample.

    Raises:
        BecamError: an unknown rule or id, or nothing to show.
    """
    name, _, number = rule.partition(":")
    if name not in RULES:
        return _listed(rule, table)
    if number and not (number.isdecimal() and len(number) <= _DIGITS and int(number) > 0):
        raise BecamError(
            f"{quoted(rule)} names no number of items; write {name}:{count}, for instance."
        )
    wanted = int(number) if number else count
    if name == "all":
        if number:
            raise BecamError(f"all takes every item; write sample:{number} for {number} of them.")
        return Selection(table.items, "all items", None)
    if name == "sample":
        order = np.random.default_rng(seed).permutation(table.items.height)[:wanted]
        # In the order drawn: a larger sample begins with the smaller one.
        return Selection(table.items[order], f"drawn at random with seed {seed}", None)
    chosen = _RULES[name]
    keyed = table.items.with_columns(key=chosen.by()).drop_nulls("key")
    if keyed.is_empty():
        raise BecamError(f"No item has what {name} goes by; choose sample:{wanted}.")
    ordered = keyed.sort("key", descending=chosen.descending, maintain_order=True)
    words = chosen.words if chosen.of_items else f"{chosen.words} ({table.labels[0]})"
    opposite = f"{chosen.opposite}:{number}" if number else chosen.opposite
    return Selection(ordered.head(wanted).drop("key"), words, opposite)


def _listed(rule: str, table: ItemTable) -> Selection:
    path = Path(rule)
    if os.path.lexists(path):
        check_file(path, what="file of item ids")
    else:
        raise BecamError(
            f"{quoted(rule)} is neither a file of item ids nor a rule; the rules are "
            f"{', '.join(RULES)}, with a number as in sample:50."
        )
    wanted = list(dict.fromkeys(_ids(path)))
    if not wanted:
        raise BecamError(f"{path} names no item; write one id a line.")
    rows = {name: row for row, name in enumerate(table.items["id"])}
    missing = next((name for name in wanted if name not in rows), None)
    if missing is not None:
        near = ", ".join(map(repr, near_identifiers(missing, rows.keys())))
        raise BecamError(
            f"{path} names the item {missing!r}, which is not among the {len(rows):,} that have a "
            f"picture and that all checkpoints know{near and f' (near ids are {near})'}; take it "
            "out of the list."
        )
    return Selection(table.items[[rows[name] for name in wanted]], f"listed in {path.name}", None)


def _ids(path: Path) -> list[str]:
    if path.suffix == ".json":
        return _json_ids(path)
    if path.suffix in SUFFIXES and path.suffix != ".txt":
        found = scan_table(path)
        there = [name for name in _ID_NAMES if name in columns(found)]
        if there:
            with reading(path):
                ids = found.select(pl.col(there[0]).cast(pl.String)).drop_nulls().collect()
                return ids.to_series().to_list()
    content = read_bytes(path, most=_MOST_BYTES, what="file of item ids")
    try:
        lines = content.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise BecamError(f"{path} cannot be read as text; write one item id a line.") from None
    return [line.strip() for line in lines if line.strip()]


def _json_ids(path: Path) -> list[str]:
    text = read_text(path, most=_MOST_BYTES, what="file of item ids")
    try:
        return _within(json.loads(text))
    except (ValueError, TypeError, KeyError, RecursionError):
        raise BecamError(
            f"{path} is not a JSON list of item ids, nor what becam deviation writes; write one "
            "item id a line."
        ) from None


def _within(found: Any) -> list[str]:
    """Ids in a list of ids or of rows, or of such lists before and after an adapter."""
    if isinstance(found, str | int) and not isinstance(found, bool):
        return [str(found)]
    if isinstance(found, list):
        return [name for each in found for name in _within(each)]
    if isinstance(found, dict):
        named = next((found[name] for name in _ID_NAMES if name in found), None)
        return _within([found[when] for when in WHEN] if named is None else named)
    raise TypeError(type(found))
