"""The one contract over all sources: raw files in, interactions and items out."""

from __future__ import annotations

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
    """

    items: Path | None = None
    images: Path | None = None
    columns: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def given(self) -> set[str]:
        """Names of the options that are set, as on the command line."""
        names = {f"{role}-column" for role, columns in self.columns.items() if columns}
        names |= {"items"} if self.items else set()
        return names | ({"images"} if self.images else set())


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
    """

    interactions: pl.LazyFrame
    items: pl.DataFrame
    origin: Path
    image_root: Path | None = None
    needs_pictures: bool = True
    users: pl.Series | None = None
    features: Mapping[str, Path] = field(default_factory=dict)
    core: int = DEFAULT_CORE


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
        raise BecamError(
            f"The source {name} takes no --{', --'.join(foreign)}; leave it out, or use the "
            "source csv."
        )
    if not path.exists():
        raise BecamError(f"There is no {path}; check the path.")
    return source.read(path, options)
