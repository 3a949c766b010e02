"""Means of deviations over items and categories, and what they say, in words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from becam.adapters import ADAPTERS
from becam.evaluation.summary import bootstrap_interval, signed_rank_test
from becam.holm import holm

Floats = NDArray[np.float64]

WHEN = ("before", "after")
MEASURES = ("theta", "omission", "drift", "deviation")
"""Columns of items whose means are taken; the mean deviation f is the paper's Delta (Eq. 7)."""

PERMUTED = "theta_permuted"

BINS = np.arange(181.0)
"""Edges of the histograms, in degrees."""

SAME_ANGLE = 1.0
"""Mean angles of the own and of another item's content that differ by no more are the same."""

NO_CATEGORY = "(no category)"

FARTHEST = 100
"""How many of the items with the largest angles are kept."""

_LARGE = 20_000
"""More items than this need no bootstrap: their mean is normal, and a resample takes long."""


@dataclass(frozen=True, eq=False)
class Summary:
    """What is known of one modality of one checkpoint once its items are gone.

    Attributes:
        label: names the checkpoint.
        modality: of the content.
        adapter: registered name.
        omission: theta in degrees beyond which content omits behaviour.
        categories: all items (``category`` null) and each category, the largest first: ``n``
            items that have angles; means ``theta_*``, ``deviation_*`` (Delta) and shares
            ``omission_*``, ``drift_*`` with 95% intervals (``_low``, ``_high``);
            ``theta_permuted_*``; ``change``: of theta, after less before, with its interval,
            ``p`` of the signed-rank test of before and after, and ``p_holm``.
        histograms: items in each degree (180,), by the columns of theta.
        undefined: items without an angle.
        farthest: items with the largest angles ``before`` and ``after``, the largest first.
    """

    label: str
    modality: str
    adapter: str
    omission: float
    categories: pl.DataFrame
    histograms: dict[str, NDArray[np.int64]]
    undefined: int
    farthest: dict[str, list[dict[str, Any]]]

    @property
    def overall(self) -> dict[str, Any]:
        """The row of all items."""
        return self.categories.row(0, named=True)

    @property
    def title(self) -> str:
        """Checkpoint and modality."""
        return f"{self.label}: {self.modality}"

    def sentences(self) -> list[str]:
        """Whether the angles speak of the content, the adapter's first; never empty."""
        found = []
        if self.adapter == "none":
            found.append(self._verdict("before", "Without an adapter"))
        else:
            found.append(self._verdict("after", f"After {ADAPTERS[self.adapter].title}"))
            found.append(self._verdict("before", "Before the adapter"))
        if self.undefined:
            found.append(
                "Items that have no angle, because their content or ID embedding is zero, and do "
                f"not count: {self.undefined:,}."
            )
        return found

    def says_nothing(self, when: str) -> bool:
        """Whether another item's content has, within a degree, no larger angle than the own."""
        own, other = self.overall[f"theta_{when}"], self.overall[f"{PERMUTED}_{when}"]
        return own is not None and other is not None and own >= other - SAME_ANGLE

    def _verdict(self, when: str, beginning: str) -> str:
        own, other = self.overall[f"theta_{when}"], self.overall[f"{PERMUTED}_{when}"]
        if own is None or other is None:
            return f"{beginning} nothing can be said: there is no second item to compare with."
        angles = f"mean {own:.1f}° with the item's own and {other:.1f}° with another item's"
        if not self.says_nothing(when):
            return f"{beginning} θ does depend on the content: {angles}."
        before = self.overall["theta_before"]
        if when == "after" and own < before - SAME_ANGLE:
            return (
                f"{beginning} θ is small for any content ({angles}): that it is small says nothing "
                "about the content."
            )
        return f"{beginning} θ says nothing about the item's content: {angles}."


def summarise(
    items: pl.DataFrame,
    *,
    label: str,
    modality: str,
    adapter: str,
    omission: float,
    seed: int = 0,
) -> Summary:
    """Sum up the items of one modality of one checkpoint.

    Args:
        items: as of ``becam.evaluation.deviation.Deviation``.
        label, modality, adapter, omission: as there.
        seed: of the bootstrap.
    """
    known = items.drop_nulls(["theta_before", "theta_after"])
    rows = [_row(None, known, seed)]
    if known["category"].null_count() < len(known):
        rows += [_row(category, found, seed) for category, found in _by_category(known)]
    corrected = holm([row["p"] for row in rows])
    rows = [row | {"p_holm": p} for row, p in zip(rows, corrected, strict=True)]
    return Summary(
        label=label,
        modality=modality,
        adapter=adapter,
        omission=omission,
        categories=pl.DataFrame(rows, schema=_SCHEMA),
        histograms={
            f"{name}_{when}": np.histogram(known[f"{name}_{when}"].drop_nulls(), BINS)[0]
            for name in ("theta", PERMUTED)
            for when in WHEN
        },
        undefined=len(items) - len(known),
        farthest={
            when: known.top_k(FARTHEST, by=f"theta_{when}")
            .sort(f"theta_{when}", "id", descending=[True, False])
            .drop("checkpoint", "modality")
            .to_dicts()
            for when in WHEN
        },
    )


def _by_category(known: pl.DataFrame) -> Iterator[tuple[str, pl.DataFrame]]:
    named = known.with_columns(pl.col("category").fill_null(NO_CATEGORY))
    groups = named.partition_by("category", as_dict=True)
    for (category,) in sorted(groups, key=lambda key: (-len(groups[key]), key)):
        yield str(category), groups[(category,)]


def _row(category: str | None, items: pl.DataFrame, seed: int) -> dict[str, Any]:
    row: dict[str, Any] = {"category": category, "n": len(items)}
    for when in WHEN:
        for measure in MEASURES:
            name = f"{measure}_{when}"
            row |= _mean(name, _values(items, name), seed)
        row[f"{PERMUTED}_{when}"] = items[f"{PERMUTED}_{when}"].mean()
    before, after = _values(items, "theta_before"), _values(items, "theta_after")
    return row | _mean("change", after - before, seed) | {"p": signed_rank_test(before, after)}


def _values(items: pl.DataFrame, name: str) -> Floats:
    return items[name].cast(pl.Float64).to_numpy()


def _mean(name: str, values: Floats, seed: int) -> dict[str, float | None]:
    mean = float(values.mean()) if len(values) else None
    low, high = _interval(values, seed) or (None, None)
    return {name: mean, f"{name}_low": low, f"{name}_high": high}


def _interval(values: Floats, seed: int) -> tuple[float, float] | None:
    if len(values) <= _LARGE:
        return bootstrap_interval(values, seed=seed)
    mean, half = float(values.mean()), 1.96 * float(values.std(ddof=1)) / len(values) ** 0.5
    return mean - half, mean + half


def _schema() -> pl.Schema:
    means = [f"{measure}_{when}" for when in WHEN for measure in MEASURES] + ["change"]
    ends = [name + end for name in means for end in ("", "_low", "_high")]
    rest = [f"{PERMUTED}_{when}" for when in WHEN] + ["p", "p_holm"]
    numbers = {name: pl.Float64() for name in [*ends, *rest]}
    return pl.Schema({"category": pl.String(), "n": pl.Int64(), **numbers})


_SCHEMA = _schema()
