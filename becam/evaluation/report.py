"""The tables of an audit: means with intervals, and what differs from the floors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl

from becam.evaluation.markdown import escaped, markdown_table
from becam.evaluation.measures import GROUPS, higher_is_better
from becam.evaluation.measures import family as measure_family
from becam.evaluation.summary import (
    Cell,
    Comparison,
    between_checkpoints,
    cells,
    comparisons,
)

LEVEL = 0.05

_DIFFERENCES = "Mean difference (corrected p)."

BETTER_THAN_ALL, WORSE_THAN_ONE = "*", "†"

LEGEND = (
    f"{BETTER_THAN_ALL}: better than every floor; {WORSE_THAN_ONE}: worse than at least one "
    "(Wilcoxon's signed-rank test over the same pictures, two-sided, Holm-corrected over all tests "
    f"of the measures' group, p < {LEVEL:g}). Means with 95% bootstrap intervals over pictures; "
    "↑ higher is better, ↓ lower is better. A picture for which a measure is not defined (nothing "
    "of the object was seen, a flat map) does not count; n is the smallest and largest number of "
    "pictures that do."
)


@dataclass(frozen=True)
class Table:
    """One group of measures of one checkpoint.

    Attributes:
        title: of the table.
        header: of the columns.
        lines: cells as text, what they are of first.
    """

    title: str
    header: list[str]
    lines: list[list[str]]


@dataclass(frozen=True)
class Report:
    """What an audit found.

    Attributes:
        cells: means.
        comparisons: of the methods with the floors.
        adapted: of the checkpoints with the first.
        floors: names of the rows that are floors.
    """

    cells: list[Cell]
    comparisons: list[Comparison]
    adapted: list[Comparison]
    floors: list[str]

    def tables(self) -> list[Table]:
        """Means with intervals: a line a method, a column a measure, for each checkpoint."""
        return [
            self._means(group, checkpoint, family)
            for group, checkpoint, family in dict.fromkeys(
                (cell.group, cell.checkpoint, measure_family(cell.group, cell.measure)[0])
                for cell in sorted(self.cells, key=lambda cell: GROUPS.index(cell.group))
            )
        ]

    def differences(self) -> list[Table]:
        """Differences from each floor with corrected p values, likewise."""
        return self._each(self._differences)

    def between_checkpoints(self) -> list[Table]:
        """Differences of every checkpoint from the first, a table for each group of measures."""
        made = [self._from_the_first(group) for group in GROUPS]
        return [table for table in made if table is not None]

    def to_markdown(self) -> str:
        """All tables in GitHub's Markdown."""
        parts = ["# Audit", escaped(LEGEND)]
        parts += [_markdown(table) for table in self.tables()]
        differences = [_markdown(table) for table in self.differences()]
        if differences:
            parts += ["# Against the floors", _DIFFERENCES]
        between = [_markdown(table) for table in self.between_checkpoints()]
        if between:
            differences += ["# Between the checkpoints", _DIFFERENCES, *between]
        return "\n\n".join([*parts, *differences]) + "\n"

    @cached_property
    def _by_cell(self) -> dict[tuple[str, str, str, str], Comparison]:
        return {(t.checkpoint, t.method, t.measure, t.against): t for t in self.comparisons}

    def _each(self, make: Callable[[str, str], Table | None]) -> list[Table]:
        made = [
            make(group, checkpoint)
            for group in GROUPS
            for checkpoint in dict.fromkeys(cell.checkpoint for cell in self.cells)
        ]
        return [table for table in made if table is not None]

    def _means(self, group: str, checkpoint: str, family: str) -> Table:
        chosen = [
            cell
            for cell in self.cells
            if (cell.group, cell.checkpoint) == (group, checkpoint)
            and measure_family(group, cell.measure)[0] == family
        ]
        found = {(cell.method, cell.measure): cell for cell in chosen}
        measures = list(dict.fromkeys(cell.measure for cell in chosen))
        counts = sorted({cell.n for cell in chosen})
        n = f"n = {counts[0]}" if len(counts) == 1 else f"n = {counts[0]} to {counts[-1]}"
        lines = [
            [method, *(self._text(found.get((method, measure))) for measure in measures)]
            for method in dict.fromkeys(cell.method for cell in chosen)
        ]
        title = f"{checkpoint}: {' '.join(filter(None, (group, family)))} ({n})"
        return Table(title, ["method", *(_heading(measure, group) for measure in measures)], lines)

    def _text(self, cell: Cell | None) -> str:
        if cell is None or np.isnan(cell.mean):
            return "-"
        text = f"{_number(cell.mean)}{self._mark(cell)}"
        if cell.low is None or cell.high is None:
            return text
        return f"{text} [{_number(cell.low)}, {_number(cell.high)}]"

    def _mark(self, cell: Cell) -> str:
        against = [
            found
            for floor in self.floors
            if (found := self._by_cell.get((cell.checkpoint, cell.method, cell.measure, floor)))
        ]
        sign = 1 if higher_is_better(cell.measure) else -1
        certain = [
            sign * test.difference
            for test in against
            if test.p_holm is not None and test.p_holm < LEVEL
        ]
        if any(difference < 0 for difference in certain):
            return WORSE_THAN_ONE
        return BETTER_THAN_ALL if certain and len(certain) == len(self.floors) else ""

    def _differences(self, group: str, checkpoint: str) -> Table | None:
        chosen = [t for t in self.comparisons if (t.group, t.checkpoint) == (group, checkpoint)]
        if not chosen:
            return None
        found = {(test.method, test.measure, test.against): test for test in chosen}
        lines = [
            [method, _heading(measure)]
            + [_difference(found.get((method, measure, floor))) for floor in self.floors]
            for method, measure in dict.fromkeys((test.method, test.measure) for test in chosen)
        ]
        return Table(f"{checkpoint}: {group}", ["method", "measure", *self.floors], lines)

    def _from_the_first(self, group: str) -> Table | None:
        chosen = [test for test in self.adapted if test.group == group]
        if not chosen:
            return None
        found = {(test.method, test.measure, test.checkpoint): test for test in chosen}
        checkpoints = list(dict.fromkeys(test.checkpoint for test in chosen))
        lines = [
            [method, _heading(measure)]
            + [_difference(found.get((method, measure, name))) for name in checkpoints]
            for method, measure in dict.fromkeys((test.method, test.measure) for test in chosen)
        ]
        return Table(
            f"Less {chosen[0].against}: {group}", ["method", "measure", *checkpoints], lines
        )


def report(values: pl.DataFrame, floors: Sequence[str], *, seed: int = 0) -> Report:
    """Sum up single values (``becam.evaluation.summary.ROW``)."""
    return Report(
        cells(values, seed=seed),
        comparisons(values, floors),
        between_checkpoints(values, floors),
        list(floors),
    )


def _number(value: float) -> str:
    return f"{round(value, 3) + 0.0:.3f}"  # never -0.000


def _heading(measure: str, group: str = "") -> str:
    """A measure's name, in short where the table says of which group it is."""
    short = measure_family(group, measure)[1]
    return f"{short.replace('_', ' ')} {'↑' if higher_is_better(measure) else '↓'}"


def _difference(test: Comparison | None) -> str:
    if test is None:
        return "-"
    p = "n/a" if test.p_holm is None else f"{test.p_holm:.2g}"
    return f"{test.difference:+.2g} ({p})"


def _markdown(table: Table) -> str:
    return f"## {escaped(table.title)}\n\n{markdown_table(table.header, table.lines)}"
