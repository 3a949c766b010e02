"""Tables 2 and 3 of the paper, filled from a store: how well the recommenders rank."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np

from becam.adapters import ADAPTERS
from becam.errors import BecamError
from becam.experiments.rendering import Block, Cell, Line, Place, Table
from becam.experiments.rows import (
    FLOORS,
    PLAIN,
    Row,
    Section,
    combinations,
    missing_notes,
    row_title,
    sections_of,
    seeds_note,
)
from becam.experiments.significance import over_seeds, over_users
from becam.experiments.store import Run, Store
from becam.holm import holm

METRICS = ("recall@10", "recall@20", "ndcg@10", "ndcg@20")
ADAPTER = "befa"

Significance = Literal["users", "seeds"]


def comparison_table(
    store: Store,
    metrics: Sequence[str] = METRICS,
    significance: Significance = "users",
) -> Table:
    """Table 2: every model without adapter and with BeFA, and what BeFA improves.

    Args:
        store: Where the runs are.
        metrics: The columns, such as ``recall@20``.
        significance: Whether the paired t-test goes over users or over seeds.

    Raises:
        BecamError: The store has no such runs, or they do not have such a metric.
    """
    runs = [run for run in store.runs() if run.adapter in (PLAIN, ADAPTER)]
    if not any(run.adapter == ADAPTER for run in runs):
        raise BecamError(
            f"{store.path} has no run with BeFA yet, so Table 2 is empty; a becam experiment over "
            f"the adapters {PLAIN} and {ADAPTER} fills it."
        )
    caption = "Test metrics of the recommenders without adapter and with BeFA"
    return _metrics_table(2, caption, store, runs, metrics, significance)


def adapters_table(
    store: Store,
    metrics: Sequence[str] = METRICS,
    significance: Significance = "users",
) -> Table:
    """Table 3: every model with each of the adapters in the store.

    Args:
        store: Where the runs are.
        metrics: The columns, such as ``recall@20``.
        significance: Whether the paired t-test goes over users or over seeds.

    Raises:
        BecamError: The store has no such runs, or they do not have such a metric.
    """
    runs = store.runs()
    if all(run.adapter == PLAIN for run in runs):
        raise BecamError(
            f"{store.path} has no run with an adapter yet, so Table 3 is empty; a becam experiment "
            f"over the adapters {', '.join(ADAPTERS)} fills it."
        )
    caption = "Test metrics of the recommenders with different adapters"
    return _metrics_table(3, caption, store, runs, metrics, significance)


def _metrics_table(
    number: int,
    caption: str,
    store: Store,
    runs: Sequence[Run],
    metrics: Sequence[str],
    significance: Significance,
) -> Table:
    known = [m for m in runs[0].metrics["test"] if all(m in run.metrics["test"] for run in runs)]
    for metric in metrics:
        if metric not in known:
            raise BecamError(f"There is no metric {metric}; choose from {', '.join(known)}.")
    sections = sections_of(runs)
    expected = combinations(runs)
    cells = _cells(store, sections, metrics, significance)
    blocks = []
    for section in sections:
        lines = [_floor_line(section, name, metrics) for name in FLOORS]
        for model, adapter in expected:
            lines += [
                Line(row.title, cells[row], model, adapter, row.label)
                for row in section.of(model, adapter)
            ] or [Line(row_title(model, adapter), [Cell()] * len(metrics), model, adapter)]
        lines = _placed(lines)
        if number == 2:
            lines = _with_improvements(lines)
        blocks.append(Block(section.title, section.dataset, section.features, lines))
    adapted = [cells[row] for s in sections for row in s.rows if row.adapter != PLAIN]
    notes = [
        "Best in bold, second best underlined, by dataset and column.",
        seeds_note(sections),
        _test_note(adapted, significance),
        *(_average_notes(adapted, metrics) if number == 2 else []),
        *missing_notes(sections, expected),
    ]
    return Table(
        number=number,
        caption=caption,
        columns=[metric_title(metric) for metric in metrics],
        metrics=metrics,
        blocks=blocks,
        notes=notes,
        test=significance,
    )


def metric_title(metric: str) -> str:
    """What a table calls a metric: ``recall@20`` is ``Recall@20``, ``ndcg@20`` is ``NDCG@20``."""
    name, _, cutoff = metric.partition("@")
    return f"{name.upper() if name == 'ndcg' else name.capitalize()}@{cutoff}"


def _cells(
    store: Store, sections: Sequence[Section], metrics: Sequence[str], significance: Significance
) -> dict[Row, list[Cell]]:
    """Every row's numbers; those with adapter are tested against those without."""
    cells = {
        row: [Cell.of(list(row.test(metric).values()), "{:.4f}".format) for metric in metrics]
        for section in sections
        for row in section.rows
    }
    compared = [
        (row, plain)
        for section in sections
        for row in section.rows
        if row.adapter != PLAIN and (plain := section.plain_of(row)) is not None
    ]
    p_values = [
        p for row, plain in compared for p in _p_values(store, row, plain, metrics, significance)
    ]
    corrected = iter(zip(p_values, holm(p_values), strict=True))
    for row, plain in compared:
        cells[row] = [
            replace(cell, improvement=_improvement(cell, base), p=p, p_holm=p_holm)
            for cell, base in zip(cells[row], cells[plain], strict=True)
            for p, p_holm in [next(corrected)]
        ]
    return cells


def _p_values(
    store: Store, row: Row, plain: Row, metrics: Sequence[str], significance: Significance
) -> list[float | None]:
    if significance == "seeds":
        return [over_seeds(row.test(metric), plain.test(metric)) for metric in metrics]
    shared = row.runs.keys() & plain.runs.keys()
    first, second = (
        {seed: store.user_metrics(side.runs[seed].key) for seed in shared} for side in (row, plain)
    )
    return list(over_users(first, second, metrics).values())


def _improvement(cell: Cell, base: Cell) -> float | None:
    if cell.mean is None or not base.mean:
        return None
    return 100 * (cell.mean - base.mean) / base.mean


def _floor_line(section: Section, name: str, metrics: Sequence[str]) -> Line:
    values = [section.floor(name, metric) for metric in metrics]
    return Line(FLOORS[name], [Cell(f"{value:.4f}", mean=value) for value in values], name)


def _placed(lines: Sequence[Line]) -> list[Line]:
    """The lines with the best and the second best of every column told, as the digits show them."""
    columns = []
    for column in zip(*(line.cells for line in lines), strict=True):
        shown = {cell.text for cell in column if cell.mean is not None}
        places: dict[str, Place] = dict(zip(sorted(shown, reverse=True), (1, 2), strict=False))
        columns.append([replace(cell, place=places.get(cell.text, 0)) for cell in column])
    rows = zip(*columns, strict=True)
    return [replace(line, cells=cells) for line, cells in zip(lines, rows, strict=True)]


def _with_improvements(lines: Sequence[Line]) -> list[Line]:
    """A line with the improvement, in per cent, under each that was held against another."""
    result = []
    for line in lines:
        result.append(line)
        if any(cell.improvement is not None for cell in line.cells):
            shown = [
                Cell() if cell.improvement is None else Cell(f"{cell.improvement:+.2f}%")
                for cell in line.cells
            ]
            result.append(Line("Improvement", shown))
    return result


def _test_note(adapted: Sequence[Sequence[Cell]], significance: Significance) -> str:
    tests = sum(cell.p is not None for cells in adapted for cell in cells)
    if not tests:
        needed = "a seed" if significance == "users" else "two seeds"
        return (
            f"No significance marks: a paired t-test over {significance} needs a row with and one "
            f"without adapter that share {needed} and differ."
        )
    what = "users, each one's mean over the shared seeds" if significance == "users" else "seeds"
    return (
        f"* p < .05, ** p < .01: differs from the same model without adapter; paired t-test over "
        f"{what}, Holm-corrected over the {tests} test{'s' * (tests > 1)} of this table."
    )


def _average_notes(adapted: Sequence[Sequence[Cell]], metrics: Sequence[str]) -> list[str]:
    """What BeFA improves on average over models and datasets, where there are several."""
    improvements = [[cell.improvement for cell in cells] for cells in adapted]
    known = [row for row in improvements if None not in row]
    if len(known) < 2:
        return []
    means = np.mean(np.array(known, dtype=np.float64), axis=0)
    averages = [f"{metric_title(m)} {mean:+.2f}%" for m, mean in zip(metrics, means, strict=True)]
    return [f"Average improvement over {len(known)} comparisons: {', '.join(averages)}."]
