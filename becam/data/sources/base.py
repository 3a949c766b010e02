"""The one contract over all sources: raw files in, interactions and items out."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from becam.errors import BecamError

DEFAULT_CORE = 10


@dataclass(frozen=True)
class SourceOptions:
    """What a source may be told beside its path; each source takes some of these.

    Attributes:
        items: the items file.
        images: the folder of pictures.
        columns: names of columns by role: ``user``, ``item``, ``timestamp``, ``image``, ``text``
            (several are joined), ``category``.
        actions: kinds of interactions that count.
    """

    items: Path | None = None
    images: Path | None = None
    columns: Mapping[str, Sequence[str]] = field(default_factory=dict)
    actions: Sequence[str] = ()

    def given(self) -> set[str]:
        """Names of the options that are set, as on the command line."""
        names = {f"{role}-column" for role, columns in self.columns.items() if columns}
        others = {"items": self.items, "images": self.images, "action": self.actions}
        return names | {name for name, value in others.items() if value}


@dataclass(frozen=True)
class Raw:
    """Raw data, its interactions not read yet.

    Attributes:
        interactions: ``user`` and ``item`` as strings, ``timestamp`` i64 where there is one,
            ``split`` u8 where the source has its own.
        items: ``item`` (original id, unique; their order is the order of the indices), ``text``,
            ``category`` and ``image`` (both nullable; ``image`` relative to ``image_root`` or
            absolute).
        origin: the interactions file, for messages.
        image_root: the folder of pictures.
        needs_pictures: items without a readable picture leave.
        users: original ids in the order of the indices; None: sorted.
        features: by modality, a ``.npy`` of which row r belongs to row r of ``items``.
        core: k of the k-core unless the user says otherwise.
        dropped: rows of the items file that are not in ``items``, by reason.
        notes: sentences for the user about how the files were read.
        untimed: why there is no ``timestamp`` although the file seems to have one.
    """

    interactions: pl.LazyFrame
    items: pl.DataFrame
    origin: Path
    image_root: Path | None = None
    needs_pictures: bool = True
    users: pl.Series | None = None
    features: Mapping[str, Path] = field(default_factory=dict)
    core: int = DEFAULT_CORE
    dropped: Mapping[str, int] = field(default_factory=dict)
    notes: Sequence[str] = ()
    untimed: str = ""


@dataclass(frozen=True)
class Source:
    """A registered source: its name, the options it takes, and how it reads."""

    name: str
    takes: frozenset[str]
    read: Callable[[Path, SourceOptions], Raw]


_SOURCES: dict[str, Source] = {}


def register(
    name: str, *, takes: Sequence[str] = ()
) -> Callable[[Callable[[Path, SourceOptions], Raw]], Callable[[Path, SourceOptions], Raw]]:
    """Make a reading function known as the source ``name``, with the options that it takes."""

    def decorate(
        read: Callable[[Path, SourceOptions], Raw],
    ) -> Callable[[Path, SourceOptions], Raw]:
        _SOURCES[name] = Source(name, frozenset(takes), read)
        return read

    return decorate


def source_names() -> list[str]:
    """Names of all sources."""
    return sorted(_SOURCES)


def read_source(name: str, path: Path, options: SourceOptions) -> Raw:
    """Open raw data.

    Raises:
        BecamError: unknown source, an option it does not take, or files that are not what the
            source expects.
    """
    if name not in _SOURCES:
        raise BecamError(f"There is no source {name}; choose from {', '.join(source_names())}.")
    source = _SOURCES[name]
    if foreign := sorted(options.given() - source.takes):
        takers = [other for other in source_names() if _SOURCES[other].takes.issuperset(foreign)]
        raise BecamError(
            f"The source {name} takes no --{', --'.join(foreign)}; leave it out"
            f"{f', or use the source {takers[0]}' if takers else ''}."
        )
    if not os.path.lexists(path):
        raise BecamError(f"There is no {path}; check the path.")
    return source.read(path, options)


def distinct_items(rows: pl.DataFrame) -> tuple[pl.DataFrame, dict[str, int]]:
    """The rows of an items file with one row an ``item``, the first, in the order of the ids.

    Returns:
        The rows, and numbers of those that left, by reason.
    """
    named = rows.drop_nulls("item")
    items = named.unique("item", keep="first", maintain_order=True).sort("item")
    return items, {
        "rows of the items file without an id": len(rows) - len(named),
        "rows of the items file with an id seen before": len(named) - len(items),
    }
