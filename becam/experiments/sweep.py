"""BeFA's ratio lambda against quality: Figure 10 of the paper."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from becam.errors import BecamError
from becam.experiments.grid import Experiment, Row, Source, make_row
from becam.experiments.store import Run, Store
from becam.recommenders import RECOMMENDERS
from becam.training.loop import SELECTION_METRIC

RATIOS = tuple(Fraction(2) ** power for power in range(-3, 4))
"""The paper's: 1/8 to 8, in powers of two."""

_LABEL = "lambda"
_OWN = ("adapter", "adapter_options", "seed", "device", "threads", "output")
"""Options in which the runs of one sweep may differ."""


@dataclass(frozen=True)
class Spread:
    """A metric over seeds."""

    values: NDArray[np.float64]

    def __str__(self) -> str:
        spread = f" ± {self.std:.4f}" if len(self.values) > 1 else ""
        return f"{self.mean:.4f}{spread}"

    @property
    def mean(self) -> float:
        """Over seeds."""
        return float(self.values.mean())

    @property
    def std(self) -> float:
        """Sample standard deviation over seeds; 0 where there is one."""
        return float(self.values.std(ddof=1)) if len(self.values) > 1 else 0.0


@dataclass(frozen=True)
class SweepPoint:
    """One ratio's runs; ``ratio`` is None for the recommender without an adapter."""

    ratio: Fraction | None
    runs: tuple[Run, ...]

    def test(self, metric: str) -> Spread:
        """A test metric over seeds."""
        return Spread(np.array([run.metrics["test"][metric] for run in self.runs]))

    @property
    def validation(self) -> Spread:
        """Validation Recall@20 over seeds: what to choose a ratio by."""
        return Spread(np.array([run.metrics["validation"][SELECTION_METRIC] for run in self.runs]))


@dataclass(frozen=True)
class LambdaSweep:
    """What a sweep found.

    Attributes:
        title: Recommender, dataset and features.
        plain: Without an adapter.
        points: With BeFA, by ascending ratio.
    """

    title: str
    plain: SweepPoint
    points: tuple[SweepPoint, ...]

    @property
    def chosen(self) -> SweepPoint:
        """The ratio that validation favours."""
        return max(self.points, key=lambda point: point.validation.mean)


def lambda_experiment(
    source: Source,
    *,
    model: str,
    model_options: Mapping[str, object] | None = None,
    seeds: Iterable[int],
    training: Mapping[str, object] | None = None,
) -> Experiment:
    """The grid: no adapter, and BeFA at every ratio.

    Args:
        source: Dataset and features.
        model: Registered name of the recommender.
        model_options: The recommender's own options.
        seeds: Of the trainings.
        training: Options of train.

    Raises:
        BecamError: An unknown name, or a value of another type or out of its range.
    """

    def row(adapter: str, options: dict[str, object], label: str) -> Row:
        return make_row(
            source,
            model=model,
            model_options=model_options,
            adapter=adapter,
            adapter_options=options,
            label=label,
            training=training,
        )

    befa = [row("befa", {"ratio": str(ratio)}, f"{_LABEL}={ratio}") for ratio in RATIOS]
    return Experiment((row("none", {}, ""), *befa), tuple(seeds))


def read_sweep(experiment: Experiment, store: Store) -> LambdaSweep:
    """The runs of a :func:`lambda_experiment` that are in the store.

    Raises:
        BecamError: None without an adapter is, or none with BeFA.
    """
    runs = {run.key: run for run in store.runs()}
    points = []
    for ratio, row in zip((None, *RATIOS), experiment.rows, strict=True):
        found = (runs.get(row.key(seed=seed)) for seed in experiment.seeds)
        points.append(SweepPoint(ratio, tuple(run for run in found if run is not None)))
    plain, *adapted = points
    adapted = [point for point in adapted if point.runs]
    if not plain.runs or not adapted:
        raise BecamError(
            f"{store.path} lacks the runs that the sweep needs, because they failed; mend what was "
            "said of them and run it again."
        )
    source, model = experiment.rows[0].source, experiment.rows[0].model
    return LambdaSweep(_title(model, source.name, source.features), plain, tuple(adapted))


def stored_sweeps(store: Store, *, model: str | None = None) -> list[LambdaSweep]:
    """All sweeps in a store: runs that differ in nothing but BeFA's ratio, and the seed.

    Args:
        store: that ``becam sweep lambda`` filled.
        model: registered name of the one recommender to read.

    Raises:
        BecamError: There is none.
    """
    plain: dict[tuple[str, ...], list[Run]] = {}
    adapted: dict[tuple[str, ...], dict[Fraction, list[Run]]] = {}
    for run in store.runs():
        if model not in (None, run.model):
            continue
        shared = {name: value for name, value in run.options.items() if name not in _OWN}
        about = (run.model, run.dataset, run.features, run.fingerprint)
        alike = (*about, json.dumps(shared, sort_keys=True))
        if run.adapter == "none" and not run.label:
            plain.setdefault(alike, []).append(run)
        elif (ratio := _ratio(run)) is not None:
            adapted.setdefault(alike, {}).setdefault(ratio, []).append(run)
    found = [
        LambdaSweep(
            _title(*alike[:3]),
            SweepPoint(None, tuple(plain[alike])),
            tuple(SweepPoint(ratio, tuple(runs)) for ratio, runs in sorted(points.items())),
        )
        for alike, points in adapted.items()
        if alike in plain
    ]
    if not found:
        which = "" if model is None else f" of {model}"
        raise BecamError(
            f"{store.path} has no sweep over lambda{which}; becam sweep lambda makes one."
        )
    return found


def _title(model: str, dataset: str, features: str) -> str:
    title = RECOMMENDERS[model].title if model in RECOMMENDERS else model
    return f"{title} on {dataset}, {features}"


def _ratio(run: Run) -> Fraction | None:
    """Of a run of a sweep; None of any other."""
    name, _, ratio = run.label.partition("=")
    if run.adapter != "befa" or name != _LABEL:
        return None
    try:
        return Fraction(ratio)
    except (ValueError, ZeroDivisionError):  # someone else's label
        return None
