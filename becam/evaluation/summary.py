"""Means with intervals, and paired tests, over the pictures of an audit."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from becam.evaluation.boxes import max_box_accuracy
from becam.evaluation.measures import MAX_BOX_ACC
from becam.holm import holm

RESAMPLES = 1000

_DRAWS = 1_000_000
"""Values that the bootstrap draws at a time."""

ROW = pl.Schema(
    {
        "picture": pl.String(),
        "target": pl.String(),
        "checkpoint": pl.String(),
        "method": pl.String(),
        "group": pl.String(),
        "measure": pl.String(),
        "value": pl.Float64(),
        "curve": pl.List(pl.Float64()),
    }
)
"""Columns of the table of single values: one row a picture, checkpoint, method and measure."""

_CELL = ("checkpoint", "method", "group", "measure")


class Key(NamedTuple):
    """What a mean is of."""

    checkpoint: str
    method: str
    group: str
    measure: str


@dataclass(frozen=True)
class Cell:
    """A mean over pictures.

    Attributes:
        checkpoint, method, group, measure: of what.
        n: pictures for which the measure is defined.
        mean: over them; NaN where there are none.
        low, high: of its 95% bootstrap interval; None with fewer than two pictures.
    """

    checkpoint: str
    method: str
    group: str
    measure: str
    n: int
    mean: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Comparison:
    """A method against a floor, or against itself under another checkpoint, on the same pictures.

    Attributes:
        checkpoint, method, group, measure: of what.
        against: the floor, or the other checkpoint.
        n: pictures that both have a value for.
        difference: the mean; positive where the other has less.
        p: of Wilcoxon's signed-rank test; None where nothing can be said.
        p_holm: the same, corrected over all tests of the group.
    """

    checkpoint: str
    method: str
    against: str
    group: str
    measure: str
    n: int
    difference: float
    p: float | None
    p_holm: float | None = None


def with_box_accuracy(rows: pl.DataFrame) -> pl.DataFrame:
    """The same rows, with each picture's part of MaxBoxAccV2 in place of its curve's absence.

    A picture's part is known only once all pictures are: the threshold is chosen on all of them.
    """
    boxes = rows.filter(pl.col("measure") == MAX_BOX_ACC)
    parts = [rows.filter(pl.col("measure") != MAX_BOX_ACC)]
    for _, found in boxes.group_by("checkpoint", "method", maintain_order=True):
        known = found.filter(pl.col("curve").is_not_null())
        if len(known):
            values = max_box_accuracy(np.array(known["curve"].to_list(), dtype=np.float64))
            known = known.with_columns(value=pl.Series(values, dtype=pl.Float64))
        parts += [known, found.filter(pl.col("curve").is_null())]
    return pl.concat(parts)


def cells(rows: pl.DataFrame, *, seed: int = 0) -> list[Cell]:
    """The mean of each measure of each method, in the order in which they first come."""
    found = []
    for key, group in rows.group_by(_CELL, maintain_order=True):
        values = group["value"].to_numpy()
        values = values[np.isfinite(values)]
        low, high = bootstrap_interval(values, seed=seed) or (None, None)
        mean = float(values.mean()) if len(values) else float("nan")
        checkpoint, method, kind, measure = map(str, key)
        found.append(Cell(checkpoint, method, kind, measure, len(values), mean, low, high))
    return found


def comparisons(rows: pl.DataFrame, floors: Collection[str]) -> list[Comparison]:
    """Every other method against every floor, in each measure that both have."""
    values = _by_picture(rows)
    found = []
    for key, own in values.items():
        for floor in floors if key.method not in floors else ():
            other = values.get(key._replace(method=floor), {})
            found += _compared(key, floor, own, other)
    return _corrected(found)


def between_checkpoints(rows: pl.DataFrame, floors: Collection[str]) -> list[Comparison]:
    """Every checkpoint against the first, in each method and measure that both have.

    Floors are left out: their maps know nothing of a checkpoint.
    """
    values = _by_picture(rows)
    first = next(iter(values)).checkpoint if values else ""
    found = []
    for key, own in values.items():
        if key.checkpoint != first and key.method not in floors:
            other = values.get(key._replace(checkpoint=first), {})
            found += _compared(key, first, own, other)
    return _corrected(found)


def _by_picture(rows: pl.DataFrame) -> dict[Key, dict[str, float | None]]:
    return {
        Key(*map(str, key)): dict(zip(group["picture"], group["value"], strict=True))
        for key, group in rows.group_by(_CELL, maintain_order=True)
    }


def _compared(
    key: Key, against: str, own: Mapping[str, float | None], other: Mapping[str, float | None]
) -> list[Comparison]:
    """One comparison, or none where there is no picture in common."""
    both = [(own[picture], other[picture]) for picture in own if picture in other]
    pairs = np.array(both, dtype=np.float64).reshape(-1, 2)
    pairs = pairs[np.isfinite(pairs).all(axis=1)]
    if not len(pairs):
        return []
    mean = float((pairs[:, 0] - pairs[:, 1]).mean())
    p = signed_rank_test(pairs[:, 0], pairs[:, 1])
    return [
        Comparison(key.checkpoint, key.method, against, key.group, key.measure, len(pairs), mean, p)
    ]


def _corrected(found: list[Comparison]) -> list[Comparison]:
    for group in {each.group for each in found}:
        places = [place for place, each in enumerate(found) if each.group == group]
        for place, p in zip(places, holm([found[place].p for place in places]), strict=True):
            found[place] = replace(found[place], p_holm=p)
    return found


def bootstrap_interval(
    values: NDArray[np.float64], *, seed: int = 0, resamples: int = RESAMPLES
) -> tuple[float, float] | None:
    """95% percentile interval of the mean of values (n,); None with fewer than two."""
    if len(values) < 2:
        return None
    rng = np.random.default_rng(seed)
    means = np.empty(resamples)
    at_once = max(1, _DRAWS // len(values))
    for start in range(0, resamples, at_once):
        size = len(means[start : start + at_once]), len(values)
        means[start : start + at_once] = values[rng.integers(len(values), size=size)].mean(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def signed_rank_test(first: ArrayLike, second: ArrayLike) -> float | None:
    """Two-sided p of Wilcoxon's signed-rank test on paired values (n,).

    Returns:
        p in [0, 1], or None where no pair differs. Pairs that differ by no more than float32's
        rounding are left out: two names of one map would differ significantly otherwise.
    """
    a, b = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    rounding = 8 * np.finfo(np.float32).eps * np.maximum(np.abs(a), np.abs(b))
    differences = (a - b)[np.abs(a - b) > rounding]
    return float(stats.wilcoxon(differences).pvalue) if len(differences) else None
