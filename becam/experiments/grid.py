"""An experiment: rows of datasets, recommenders and adapters, each trained with every seed."""

from __future__ import annotations

import hashlib
import inspect
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, get_args

from becam.adapters import ADAPTERS, create_adapter
from becam.data.dataset import Dataset
from becam.devices import resolve_device
from becam.errors import BecamError, quoted
from becam.limits import EPOCHS, SEED, SEEDS, THREADS, TRIALS
from becam.options import DeclaredOption, Option, Value, declared_options, parse_options
from becam.recommenders import RECOMMENDERS, FeaturesMode
from becam.recommenders.base import EMBEDDING_DIM
from becam.training import train
from becam.training.loop import SCHEDULE
from becam.training.scoring import feature_hashes

Space = dict[str, tuple[Value, ...]]
"""What a search tries: values by ``lr``, ``model.OPTION`` and ``adapter.OPTION``."""

# How a result is computed, not what it is.
_WITHOUT_EFFECT = ("device", "threads")

_KINDS: dict[str, type] = {
    "features_mode": str,
    "lr": float,
    "batch_size": int,
    "epochs": int,
    "patience": int,
    "warmup": int,
    "mask_validation": bool,
    "device": str,
    "threads": int,
}
_LIMITS = SCHEDULE | {"threads": THREADS}
_DEFAULTS = {name: p.default for name, p in inspect.signature(train).parameters.items()}
TRAINING_OPTIONS = {
    name: DeclaredOption(
        name,
        kind,
        _DEFAULTS[name],
        Option("", limits=_LIMITS.get(name)),
        choices=get_args(FeaturesMode) * (name == "features_mode"),
    )
    for name, kind in _KINDS.items()
}
"""The options of train that an experiment may set; ``modalities``, a list, beside them."""


@dataclass(frozen=True)
class Source:
    """A dataset with one of its feature sets.

    Attributes:
        dataset: The dataset.
        name: What tables call it.
        features: Name of the feature set.
    """

    dataset: Dataset
    name: str
    features: str

    def __post_init__(self) -> None:
        for split in ("validation", "test"):
            if self.dataset.manifest.counts.get(split) == 0:
                raise BecamError(
                    f"{self.dataset.path} has no {split} interactions, so its trainings cannot be "
                    "compared: prepare it from users with three interactions or more."
                )

    @classmethod
    def open(cls, path: str | Path, features: str | None = None) -> Source:
        """A dataset folder by its own name, with the feature set of a name or the only one.

        Raises:
            BecamError: No dataset, no such features, or several and no name; nothing to validate
                or to test on.
        """
        dataset = Dataset.open(path)
        return cls(dataset, dataset.manifest.name, dataset.feature_set(features).name)

    @property
    def modalities(self) -> tuple[str, ...]:
        """All that the feature set has."""
        return self.dataset.feature_set(self.features).modalities

    @cached_property
    def sha256(self) -> dict[str, str]:
        """Hash of every modality's feature file."""
        return feature_hashes(self.dataset.feature_set(self.features))


@dataclass(frozen=True)
class Row:
    """What is trained with several seeds and becomes one row of a table.

    Attributes:
        source: Dataset and features.
        model: Registered name of the recommender.
        adapter: Registered name of the adapter.
        label: Tells variants of one model and adapter apart; mostly empty.
        options: train's keyword arguments, complete but for seed and output.
        fixed: Options that were given and are therefore not searched, named as in ``Space``.
    """

    source: Source
    model: str
    adapter: str
    label: str
    options: dict[str, Any]
    fixed: frozenset[str] = frozenset()

    @property
    def cell(self) -> tuple[str, str, str, str, str]:
        """Dataset, features, model, adapter and label: what the row's runs share in a store."""
        return self.source.name, self.source.features, self.model, self.adapter, self.label

    @property
    def title(self) -> str:
        """The row in words."""
        label = f" ({self.label})" if self.label else ""
        return f"{self.source.name}/{self.source.features} {self.model} + {self.adapter}{label}"

    def key(self, **more: Any) -> str:
        """Hash of everything that decides the result, ``more`` (such as the seed) included."""
        used = self.options["modalities"]
        decides = {
            "cell": self.cell,
            "fingerprint": self.source.dataset.fingerprint,
            "sha256": {modality: self.source.sha256[modality] for modality in used},
            "options": {k: v for k, v in self.options.items() if k not in _WITHOUT_EFFECT},
            **more,
        }
        text = json.dumps(decides, sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()[:20]

    def with_values(self, values: Mapping[str, Value]) -> Row:
        """The row with values of a search point (named as in ``Space``) in its options."""
        options = self.options | {
            part: dict(self.options[part]) for part in ("model_options", "adapter_options")
        }
        for name, value in values.items():
            part, _, option = name.partition(".")
            if option:
                options[f"{part}_options"][option] = value
            else:
                options[name] = value
        return Row(self.source, self.model, self.adapter, self.label, options, self.fixed)

    def value(self, name: str) -> Any:
        """The value in the row's options of a name of a ``Space``."""
        part, _, option = name.partition(".")
        return self.options[f"{part}_options"][option] if option else self.options[name]


@dataclass(frozen=True)
class SearchSettings:
    """A search on validation, with the same budget for every row.

    Attributes:
        trials: Trainings of a row, at most.
        epochs: Most epochs of each.
        seed: Of the sampler and of every training.
        space: Values by model or adapter and option, in place of what its class declares.
    """

    trials: int
    epochs: int
    seed: int = 0
    space: Mapping[str, Mapping[str, tuple[Value, ...]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, limits in (("trials", TRIALS), ("epochs", EPOCHS), ("seed", SEED)):
            limits.check(getattr(self, name), f"The search's {name}")

    def space_of(self, row: Row) -> Space:
        """What is searched in a row: what neither the file nor the command line fixes."""
        model, adapter = RECOMMENDERS[row.model], ADAPTERS[row.adapter]
        for_model, for_adapter = self.space.get(row.model, {}), self.space.get(row.adapter, {})
        space: Space = {"lr": tuple(for_model.get("lr", model.recipe.lr_search))}
        for part, cls, given in (("model", model, for_model), ("adapter", adapter, for_adapter)):
            for name, option in declared_options(cls).items():
                space[f"{part}.{name}"] = tuple(given.get(name, option.search))
        return {name: v for name, v in space.items() if v and name not in row.fixed}

    def budget(self, row: Row) -> int:
        """How many trials a row gets: its whole space where that has no more points."""
        space = self.space_of(row)
        return min(self.trials, math.prod(map(len, space.values()))) if space else 0


@dataclass(frozen=True)
class Experiment:
    """Rows, the seeds that each is trained with, and the search that tunes each first, if any."""

    rows: tuple[Row, ...]
    seeds: tuple[int, ...]
    search: SearchSettings | None = None

    def __post_init__(self) -> None:
        if not self.rows or not self.seeds:
            raise BecamError(
                "An experiment needs a dataset, a model, an adapter and a seed at least."
            )
        SEEDS.check(len(self.seeds), "The number of seeds")
        for seed in self.seeds:
            SEED.check(seed, "A seed")
        seen: dict[tuple[str, ...], Row] = {}
        for row in self.rows:
            if row.cell in seen:
                raise BecamError(
                    f"Two rows would be called {row.title}; give the model or the adapter of one "
                    "a label, or its dataset another name."
                )
            seen[row.cell] = row


def make_row(
    source: Source,
    *,
    model: str,
    adapter: str,
    model_options: Mapping[str, object] | None = None,
    adapter_options: Mapping[str, object] | None = None,
    label: str = "",
    training: Mapping[str, object] | None = None,
) -> Row:
    """A row with every option at what is given, or else at its default.

    Args:
        source: Dataset and features.
        model: Registered name of the recommender.
        adapter: Registered name of the adapter.
        model_options: The recommender's own options, as typed or read.
        adapter_options: The adapter's own options, likewise.
        label: Tells variants of one model and adapter apart.
        training: Options of train by name; None is as if not given.

    Raises:
        BecamError: An unknown name, or a value of another type or out of its range.
    """
    for kind, registry, name in (
        ("model", RECOMMENDERS, model),
        ("adapter", ADAPTERS, adapter),
    ):
        if name not in registry:
            raise BecamError(f"There is no {kind} {name!r}; choose from {', '.join(registry)}.")
    recipe = RECOMMENDERS[model].recipe
    own, its = (
        {name: option.default for name, option in declared_options(cls).items()}
        | parse_options(cls, given or {}, owner)
        for cls, given, owner in (
            (RECOMMENDERS[model], model_options, model),
            (ADAPTERS[adapter], adapter_options, adapter),
        )
    )
    # Says at once what would else fail in every training.
    create_adapter(adapter, EMBEDDING_DIM, **its)
    chosen = {name: v for name, v in (training or {}).items() if v is not None}
    modalities = _modalities(source, chosen.pop("modalities", None))
    parsed = parse_training(chosen)
    options: dict[str, Any] = {name: option.default for name, option in TRAINING_OPTIONS.items()}
    options |= {"lr": recipe.lr, "warmup": recipe.warmup} | parsed
    options |= {
        "model": model,
        "model_options": own,
        "adapter": adapter,
        "adapter_options": its,
        "features": source.features,
        "modalities": modalities,
    }
    fixed = {"lr"} & parsed.keys()
    fixed |= {f"model.{name}" for name in model_options or {}}
    fixed |= {f"adapter.{name}" for name in adapter_options or {}}
    return Row(source, model, adapter, label, options, frozenset(fixed))


def parse_training(given: Mapping[str, object]) -> dict[str, Value]:
    """Options of train, with values of their types.

    Raises:
        BecamError: An unknown name or a value of another type.
    """
    parsed = {}
    for name, value in given.items():
        if name not in TRAINING_OPTIONS:
            raise BecamError(
                f"train has no option {quoted(name)}; it has {', '.join(TRAINING_OPTIONS)} and "
                "modalities."
            )
        parsed[name] = TRAINING_OPTIONS[name].parse(value)
    if "device" in parsed:
        resolve_device(str(parsed["device"]))
    return parsed


def _modalities(source: Source, given: object) -> list[str]:
    """The modalities to train on, in the canonical order; all when none are given."""
    has = source.modalities
    if given is None:
        return list(has)
    if not isinstance(given, Sequence) or isinstance(given, str) or not given:
        raise BecamError(f"modalities is a list of {' and '.join(has)}, not {quoted(given)}.")
    for modality in given:
        if not isinstance(modality, str) or modality not in has:
            raise BecamError(
                f"The feature set {source.features} of {source.dataset.path} has no features of "
                f"the modality {quoted(modality)}; it has {' and '.join(has)}."
            )
    return [modality for modality in has if modality in given]
