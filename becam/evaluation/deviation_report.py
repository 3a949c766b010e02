"""The folder of ``becam deviation``: items, categories, a table in Markdown, the farthest items."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl

from becam.attribution.controls import DRIFT_DEGREES
from becam.data.tables import scan_parquet, write_parquet
from becam.evaluation.deviation import Deviation
from becam.evaluation.deviation_summary import PERMUTED, SAME_ANGLE, WHEN, Summary
from becam.evaluation.markdown import escaped, markdown_table
from becam.files import Contents

Row = dict[str, Any]
Cell = Callable[[Row], str]

ITEMS, CATEGORIES, TABLE, WORST = (
    "items.parquet",
    "categories.parquet",
    "table.md",
    "worst.json",
)
CONTENTS = Contents(
    "a folder of becam deviation",
    signs=frozenset({ITEMS, CATEGORIES, TABLE, WORST}),
    others=frozenset({"histogram.png", "histogram.pdf"}),
)

_TINY = 1e-16

_LEGEND = (
    "θ is the angle between an item's ID embedding and its projected content, before and after "
    "the adapter (Eq. 4); omission: the share of items with θ over {omission:g}°; drift: over "
    "{drift:g}°, where content points away from behaviour (of vectors that know nothing of each "
    "other half drift); Δ: the mean of 1 - cos θ (Eq. 7). Means with 95% bootstrap intervals over "
    "items; change: of θ, after less before, with p of Wilcoxon's signed-rank test, Holm-corrected "
    "over the rows of a table: it tells that the adapter moves the angle, not why. Before leaves "
    "the adapter out, but the projection was trained with it: what a recommender without an "
    "adapter does, a checkpoint of its own tells."
)
CONTROL = (
    "The control is θ when the content is another item's, at random. Where the item's own content "
    f"comes no more than {SAME_ANGLE:g}° nearer, θ says nothing about the content, however small "
    "it is: BeFA's output is the ID embedding times a gate, and so near to that embedding whatever "
    "the content."
)


def write_deviations(found: Iterable[Deviation], folder: Path, *, worst: int = 20) -> list[Summary]:
    """Write all numbers into a folder, one checkpoint and modality after another.

    The folder gets ``items.parquet`` (a row an item, checkpoint and modality),
    ``categories.parquet`` and ``table.md`` (means), and ``worst.json`` (the items with the
    largest angles).

    Args:
        found: as of ``becam.evaluation.deviation.deviations``; each is held only while it is used.
        folder: that exists.
        worst: how many items ``worst.json`` lists of each.
    """
    summaries, parts = [], []
    for number, each in enumerate(found):
        parts.append(folder / f"{number}.{ITEMS}")
        write_parquet(each.items, parts[-1])
        summaries.append(each.summary)
        del each  # the next one needs the room
    write_parquet(pl.concat([scan_parquet(part) for part in parts]), folder / ITEMS)
    for part in parts:
        part.unlink()
    write_parquet(_categories(summaries), folder / CATEGORIES)
    (folder / TABLE).write_text(to_markdown(summaries), "utf-8")
    record = json.dumps(farthest(summaries, worst), indent=2, ensure_ascii=False)
    # What UTF-8 cannot hold, as a name of a file that is none, JSON can escape just so.
    (folder / WORST).write_bytes(record.encode("utf-8", "backslashreplace"))
    return summaries


def legend(summaries: Sequence[Summary]) -> str:
    """What the columns of the tables mean."""
    return _LEGEND.format(omission=summaries[0].omission, drift=DRIFT_DEGREES)


def farthest(summaries: Sequence[Summary], count: int) -> list[dict[str, Any]]:
    """The items with the largest angles before and after the adapter, as plain values."""
    return [
        {
            "checkpoint": each.label,
            "modality": each.modality,
            "adapter": each.adapter,
            "sentences": each.sentences(),
            **{when: each.farthest[when][:count] for when in WHEN},
        }
        for each in summaries
    ]


def to_markdown(summaries: Sequence[Summary]) -> str:
    """A table for each checkpoint and modality in GitHub's Markdown."""
    parts = ["# Deviation of content from behaviour", legend(summaries), CONTROL]
    for each in summaries:
        parts += [
            f"## {escaped(each.title)}",
            *map(escaped, each.sentences()),
            _table(each),
        ]
    return "\n\n".join(parts) + "\n"


def angle(value: float | None) -> str:
    """Degrees as text."""
    return "-" if value is None else f"{value:.1f}°"


def share(value: float | None) -> str:
    """A share as text."""
    return "-" if value is None else f"{value:.1%}"


def number(value: float | None) -> str:
    """A number as text."""
    return "-" if value is None else f"{value:.3f}"


_MEASURES: tuple[tuple[str, str, Callable[[float | None], str]], ...] = (
    ("θ", "theta", angle),
    ("control", PERMUTED, angle),
    ("omission", "omission", share),
    ("drift", "drift", share),
    ("Δ", "deviation", number),
)


def _categories(summaries: Sequence[Summary]) -> pl.DataFrame:
    named = [
        each.categories.select(
            pl.lit(each.label).alias("checkpoint"),
            pl.lit(each.modality).alias("modality"),
            pl.all(),
        )
        for each in summaries
    ]
    return pl.concat(named)


def _table(summary: Summary) -> str:
    columns = _columns(summary.adapter == "none")
    lines = [
        [cell(row) for cell in columns.values()] for row in summary.categories.iter_rows(named=True)
    ]
    return markdown_table(list(columns), lines)


def _columns(plain: bool) -> dict[str, Cell]:
    """What to write of a row, by heading; without an adapter, before and after are the same."""
    whens = ("before",) if plain else WHEN
    columns: dict[str, Cell] = {"category": _category, "n": lambda row: f"{row['n']:,}"}
    for heading, name, show in _MEASURES:
        for when in whens:
            columns[heading if plain else f"{heading} {when}"] = partial(
                _cell, name=f"{name}_{when}", show=show
            )
        if name == "theta" and not plain:
            columns["change (p)"] = _change
    return columns


def _category(row: Row) -> str:
    category = row["category"]
    return "all items" if category is None else str(category)


def _change(row: Row) -> str:
    p = row["p_holm"]
    text = "n/a" if p is None else f"{p:.2g}" if p > _TINY else f"<{_TINY:g}"
    return f"{_cell(row, name='change', show=angle)} ({text})"


def _cell(row: Row, *, name: str, show: Callable[[float | None], str]) -> str:
    """A mean, and its interval where it has one."""
    low, high = row.get(f"{name}_low"), row.get(f"{name}_high")
    return show(row[name]) + ("" if low is None else f" [{show(low)}, {show(high)}]")
