"""A store's runs as the rows of a table: those that differ by nothing but their seed are one."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from becam.adapters import ADAPTERS
from becam.errors import BecamError
from becam.experiments.store import Run
from becam.recommenders import RECOMMENDERS

PLAIN = "none"
FLOORS = {"popularity": "Popularity", "random": "Random"}

# Named by a row in other words, or without influence on what it shows.
_NOT_VARIANTS = {"model", "adapter", "features", "seed", "device", "threads"}


@dataclass(frozen=True, eq=False)
class Row:
    """Runs of one model with one adapter on one dataset, by seed.

    Attributes:
        model: Registered name.
        adapter: Registered name.
        label: Tells variants apart; empty where there is one.
        runs: By seed, ascending.
    """

    model: str
    adapter: str
    label: str
    runs: dict[int, Run]

    @property
    def title(self) -> str:
        """What a table calls it, such as ``BM3 + LoRA``."""
        return row_title(self.model, self.adapter, self.label)

    def test(self, metric: str) -> dict[int, float]:
        """A test metric by seed."""
        return {seed: run.metrics["test"][metric] for seed, run in self.runs.items()}


@dataclass(frozen=True)
class Section:
    """Rows that may be compared: one dataset, one set of features, one way of testing.

    Attributes:
        title: What a table calls it, such as ``TMALL, clip``.
        dataset: Name of the dataset.
        features: Name of the feature set.
        rows: By model, without adapter first.
    """

    title: str
    dataset: str
    features: str
    rows: tuple[Row, ...]

    def floor(self, name: str, metric: str) -> float:
        """What popularity or chance scores in the test metric."""
        value: float = self._any_run.baselines[name][metric]
        return value

    def of(self, model: str, adapter: str) -> list[Row]:
        """The rows of one model with one adapter, by label."""
        return [row for row in self.rows if (row.model, row.adapter) == (model, adapter)]

    def plain_of(self, row: Row) -> Row | None:
        """The row without adapter that ``row`` is held against: of its label, or the only one."""
        plain = {r.label: r for r in self.of(row.model, PLAIN)}
        only = next(iter(plain.values())) if len(plain) == 1 else None
        return plain.get(row.label) or plain.get("") or only

    @property
    def _any_run(self) -> Run:
        return next(iter(self.rows[0].runs.values()))


def row_title(model: str, adapter: str, label: str = "") -> str:
    """What a table calls a row, such as ``BM3 + BeFA, ratio=1/2``."""
    # A store may hold what another version of becam, or an extension of it, registered.
    title = RECOMMENDERS[model].title if model in RECOMMENDERS else model
    if adapter != PLAIN:
        title += f" + {ADAPTERS[adapter].title if adapter in ADAPTERS else adapter}"
    return f"{title}, {label}" if label else title


def combinations(runs: Sequence[Run]) -> list[tuple[str, str]]:
    """Every model of the runs with every adapter of theirs and without one, as a table has them."""
    adapters = _in_order({run.adapter for run in runs} - {PLAIN}, ADAPTERS)
    models = _in_order({run.model for run in runs}, RECOMMENDERS)
    return [(model, adapter) for model in models for adapter in (PLAIN, *adapters)]


def sections_of(runs: Iterable[Run]) -> list[Section]:
    """Group runs into sections and rows.

    Runs of one label whose options differ are no repetitions of each other: they become rows of
    their own, labelled with the options that differ.

    Raises:
        BecamError: Two runs of a row have the same seed.
    """
    groups: dict[tuple[str, str, str, bool], list[Run]] = defaultdict(list)
    for run in runs:
        masked = bool(run.options.get("mask_validation"))
        groups[run.dataset, run.features, run.fingerprint, masked].append(run)
    several_features = len({features for _, features, _, _ in groups}) > 1
    several_tests = len({masked for *_, masked in groups}) > 1
    sections = []
    for (dataset, features, fingerprint, masked), members in sorted(groups.items()):
        title = [dataset]
        if several_features:
            title.append(features)
        if len({data for name, _, data, _ in groups if name == dataset}) > 1:
            title.append(f"data {fingerprint[:8]}")
        if several_tests:
            title.append("validation masked" if masked else "validation ranked")
        sections.append(Section(", ".join(title), dataset, features, _rows(members)))
    return sections


def seeds_note(sections: Sequence[Section]) -> str:
    """Which seeds the numbers are means of, and which rows have others."""
    titles: dict[tuple[int, ...], list[str]] = defaultdict(list)
    for section in sections:
        for row in section.rows:
            titles[tuple(row.runs)].append(f"{row.title} on {section.title}")
    usual, *others = sorted(titles, key=lambda seeds: (-len(titles[seeds]), -len(seeds), seeds))
    if not others and len(usual) == 1:
        return f"One run a row, seed {usual[0]}."
    exceptions = "; ".join(f"{_seeds(seeds)}: {', '.join(titles[seeds])}" for seeds in others)
    but = f", but over {exceptions}" if exceptions else ""
    return f"Mean ± standard deviation over {_seeds(usual)}{but}."


def missing_notes(sections: Sequence[Section], expected: Sequence[tuple[str, str]]) -> list[str]:
    """A sentence that names the combinations that some section lacks; none when all are there."""
    missing = [
        f"{row_title(model, adapter)} on {section.title}"
        for section in sections
        for model, adapter in expected
        if not section.of(model, adapter)
    ]
    return [f"Not in the store: {'; '.join(missing)}."] if missing else []


def _rows(runs: list[Run]) -> tuple[Row, ...]:
    groups: dict[tuple[str, str, str], list[Run]] = defaultdict(list)
    for run in runs:
        groups[run.model, run.adapter, run.label].append(run)
    rows = [
        _row(model, adapter, variant, members)
        for (model, adapter, label), group in groups.items()
        for variant, members in _variants(label, group).items()
    ]
    order = combinations(runs)
    rows.sort(key=lambda row: (order.index((row.model, row.adapter)), row.label))
    return tuple(rows)


def _in_order(names: set[str], registry: Mapping[str, object]) -> list[str]:
    """Names as the registry orders them, those that it does not know last."""
    known = list(registry)
    return sorted(names, key=lambda n: (known.index(n) if n in known else len(known), n))


def _row(model: str, adapter: str, label: str, runs: list[Run]) -> Row:
    by_seed: dict[int, Run] = {}
    for run in sorted(runs, key=lambda run: run.seed):
        if run.seed in by_seed:
            raise BecamError(
                f"The store holds two runs of {row_title(model, adapter, label)} on {run.dataset} "
                f"with seed {run.seed} and the same options, so their features {run.features} "
                "were not the same; keep them in two stores."
            )
        by_seed[run.seed] = run
    return Row(model, adapter, label, by_seed)


def _variants(label: str, runs: list[Run]) -> dict[str, list[Run]]:
    """The runs by label, which names the options in which they differ."""
    options = [_flat(run.options) for run in runs]
    names = sorted({name for given in options for name in given} - _NOT_VARIANTS)
    differing = [n for n in names if len({json.dumps(given.get(n)) for given in options}) > 1]
    variants: dict[str, list[Run]] = defaultdict(list)
    for run, given in zip(runs, options, strict=True):
        told = [f"{name}={given[name]}" for name in differing if name in given]
        variants[", ".join([label, *told] if label else told)].append(run)
    return variants


def _flat(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options with those of ``model_options`` as ``model.NAME``, and the adapter's alike."""
    flat: dict[str, Any] = {}
    for name, value in options.items():
        if isinstance(value, Mapping):
            owner = name.removesuffix("_options")
            flat |= {f"{owner}.{option}": given for option, given in value.items()}
        else:
            flat[name] = value
    return flat


def _seeds(seeds: Sequence[int]) -> str:
    return f"{'seed' if len(seeds) == 1 else 'seeds'} {', '.join(map(str, seeds))}"
