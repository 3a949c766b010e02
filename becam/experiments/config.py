"""Experiments from a YAML file."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from becam.adapters import ADAPTERS
from becam.data.dataset import Dataset
from becam.errors import BecamError, MissingFileError, printable, quoted
from becam.experiments.grid import Experiment, SearchSettings, Source, make_row
from becam.files import read_text
from becam.limits import SEED, SEEDS
from becam.options import DeclaredOption, Value, declared_options
from becam.recommenders import RECOMMENDERS

_KEYS = ("datasets", "models", "adapters", "seeds", "train", "search")
_DEFAULT_SEEDS = 1
_MOST_BYTES = 1 << 20
_MOST_VALUES = 20_000
_DEEPEST = 20


def load_experiment(path: str | Path) -> Experiment:
    """Read an experiment file; paths in it start from its own folder.

    Raises:
        BecamError: No such file, not YAML, or anything in it that cannot be trained.
    """
    path = Path(path)
    try:
        text = read_text(path, most=_MOST_BYTES, what="experiment file")
    except MissingFileError:
        raise BecamError(
            f"There is no experiment file {path}; becam experiment --help shows one."
        ) from None
    try:
        _check_events(text)
        config = yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        problem = printable(str(getattr(error, "problem", None) or "it cannot be read"))
        raise BecamError(f"{path}{where}, is not YAML: {problem}.") from error
    except (ValueError, OverflowError) as error:  # a date of month 13, a number too long to read
        raise BecamError(f"{path} is not YAML: {printable(str(error))}.") from error
    try:
        return parse_experiment(config, path.parent)
    except BecamError as error:
        raise BecamError(f"{path}: {error}") from error


def parse_experiment(config: object, folder: Path) -> Experiment:
    """An experiment out of what an experiment file holds.

    Args:
        config: ``datasets``, ``models``, ``adapters`` and, optionally, ``seeds``, ``train``,
            ``search``; see ``examples/hm.yaml``.
        folder: Where relative paths of datasets start.

    Raises:
        BecamError: An unknown key, a value of another type, a missing dataset, an unknown name.
    """
    config = _mapping(config, "The file", _KEYS)
    training = _mapping(config.get("train", {}), "train", None)
    models = [_named(entry, "models", ("lr",)) for entry in _list(config, "models")]
    adapters = [_named(entry, "adapters", ()) for entry in _list(config, "adapters")]
    rows = tuple(
        make_row(
            source,
            model=model["name"],
            model_options=model["options"],
            adapter=adapter["name"],
            adapter_options=adapter["options"],
            label=", ".join(filter(None, (model["label"], adapter["label"]))),
            training=training | ({"lr": model["lr"]} if "lr" in model else {}),
        )
        for source in _sources(_list(config, "datasets"), folder)
        for model in models
        for adapter in adapters
    )
    names = {entry["name"] for entry in (*models, *adapters)}
    search = _search(config["search"], names) if "search" in config else None
    return Experiment(rows, _seeds(config.get("seeds", _DEFAULT_SEEDS)), search)


def _sources(entries: list[Any], folder: Path) -> Iterator[Source]:
    for entry in entries:
        if isinstance(entry, str):
            entry = {"path": entry}
        entry = _mapping(entry, "An entry of datasets", ("path", "features", "name"))
        if not isinstance(entry.get("path"), str):
            raise BecamError("An entry of datasets needs a path, such as {path: hm}.")
        dataset = Dataset.open(folder / Path(entry["path"]).expanduser())
        sets = entry.get("features", dataset.feature_sets())
        if not isinstance(sets, list) or not all(isinstance(name, str) for name in sets):
            raise BecamError(f"features is a list of feature sets' names, not {quoted(sets)}.")
        if not sets:
            dataset.feature_set()  # raises, for there is none
        name = str(entry.get("name", dataset.manifest.name))
        for features in sets:
            yield Source(dataset, name, dataset.feature_set(features).name)


def _named(entry: object, where: str, more: tuple[str, ...]) -> dict[str, Any]:
    """A model or an adapter: its name alone, or a mapping with options and a label."""
    if isinstance(entry, str):
        entry = {"name": entry}
    entry = _mapping(entry, f"An entry of {where}", ("name", "options", "label", *more))
    if not isinstance(entry.get("name"), str):
        raise BecamError(f"An entry of {where} needs a name; becam models lists them.")
    options = _mapping(entry.get("options", {}), f"options of {entry['name']}", None)
    label = entry.get("label", "")
    if not isinstance(label, str):
        raise BecamError(
            f"The label of {entry['name']} is text, not {quoted(label)}; put quotes around."
        )
    return entry | {"options": options, "label": label}


def _seeds(given: object) -> tuple[int, ...]:
    if isinstance(given, int) and not isinstance(given, bool) and given > 0:
        SEEDS.check(given, "seeds")
        return tuple(range(given))
    if isinstance(given, list) and all(type(seed) is int and seed >= 0 for seed in given):
        SEEDS.check(len(given), "The number of seeds")
        for seed in given:
            SEED.check(seed, "A seed")
        if len(set(given)) < len(given):
            raise BecamError(f"seeds names one twice: {given}.")
        return tuple(given)
    raise BecamError(
        "seeds is a number of seeds above 0 or a list of whole numbers from 0, not "
        f"{quoted(given)}."
    )


def _search(given: object, names: set[str]) -> SearchSettings:
    given = _mapping(given, "search", ("trials", "epochs", "seed", "space"))
    numbers = {}
    for name in ("trials", "epochs", "seed"):
        if name in given:
            numbers[name] = int(DeclaredOption(f"search.{name}", int, 0).parse(given[name]))
        elif name != "seed":
            raise BecamError(f"search lacks {name}, the same for every row, such as {name}: 20.")
    space = {}
    for owner, options in _mapping(given.get("space", {}), "search.space", None).items():
        if owner not in names:
            raise BecamError(
                f"search.space names {owner!r}, which is no model or adapter of this experiment; "
                f"it has {', '.join(sorted(names))}."
            )
        space[owner] = _values(owner, _mapping(options, f"search.space.{owner}", None))
    return SearchSettings(**numbers, space=space)


def _values(owner: str, given: Mapping[str, Any]) -> dict[str, tuple[Value, ...]]:
    """Values to try by option, each of the option's type."""
    known = declared_options(RECOMMENDERS.get(owner) or ADAPTERS[owner])
    if owner in RECOMMENDERS:
        known["lr"] = DeclaredOption("lr", float, 0.0)
    parsed = {}
    for name, values in given.items():
        where = f"search.space.{owner}.{name}"
        if name not in known:
            raise BecamError(f"{where}: {owner} has no such option; it has {', '.join(known)}.")
        if not isinstance(values, list):
            raise BecamError(f"{where} is a list of values to try, not {quoted(values)}.")
        parsed[name] = tuple(dict.fromkeys(known[name].parse(value) for value in values))
    return parsed


def _list(config: Mapping[str, Any], key: str) -> list[Any]:
    value = config.get(key)
    if not isinstance(value, list) or not value:
        found = f", not {quoted(value)}" if key in config else ", and there is none"
        raise BecamError(f"{key} is a list with one entry at least{found}.")
    return value


def _mapping(value: object, what: str, keys: tuple[str, ...] | None) -> dict[str, Any]:
    """``value`` if it is a mapping from text, with none but ``keys``."""
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise BecamError(f"{what} is a mapping of names to values, not {quoted(value)}.")
    unknown = [key for key in value if keys is not None and key not in keys]
    if unknown:
        raise BecamError(
            f"{what} has an unknown key {quoted(unknown[0])}; known: {', '.join(keys or ())}."
        )
    return value


def _check_events(text: str) -> None:
    """Refuse a file that would be huge or endless once its aliases stand for what they name.

    Raises:
        yaml.YAMLError: it is, it is nested too deeply, or it is not YAML.
    """
    sizes: dict[str | None, int] = {}  # of what each anchor names, its aliases expanded
    open_nodes: list[tuple[str | None, int]] = []
    total = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        if isinstance(event, yaml.AliasEvent):
            if any(anchor == event.anchor for anchor, _ in open_nodes):
                raise _too_much("an alias names what it stands in", event)
            total += sizes.get(event.anchor, 1)
        elif isinstance(event, yaml.NodeEvent):
            total += 1
        if isinstance(event, yaml.CollectionStartEvent):
            open_nodes.append((event.anchor, total))
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, before = open_nodes.pop()
            if anchor is not None:
                sizes[anchor] = total - before + 1
        if total > _MOST_VALUES or len(open_nodes) > _DEEPEST:
            raise _too_much("it holds more than an experiment can mean", event)


def _too_much(problem: str, event: yaml.Event) -> yaml.YAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=event.start_mark)  # type: ignore[arg-type]


class _Loader(yaml.SafeLoader):
    """YAML's safe loader, which also refuses a key that stands twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """A mapping, each key once."""
        seen = set()
        for key_node, _ in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(
                    None, None, "a key is no name but a list or a mapping", key_node.start_mark
                )
            if key_node.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key_node.value!r} stands twice", key_node.start_mark
                )
            seen.add(key_node.value)
        return super().construct_mapping(node, deep)
