"""The dataset folder: everything that training and explaining read."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, TypedDict, cast

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from becam.data.integrity import check_features, check_fingerprint, check_hashes
from becam.data.manifest import Manifest
from becam.data.split import SPLITS
from becam.data.tables import read_parquet, reading, scan_parquet
from becam.encoder_values import EncoderValues
from becam.errors import BecamError, MissingFileError
from becam.files import check_file, map_array
from becam.records import checked, read_record

MODALITIES = ("image", "text")
"""The modalities that ``becam features`` makes; others come with the data. Sorted, these lead."""

FEATURES_FILE = "features.json"
FEATURES_FORMAT = 1

_TABLES = {
    "interactions": ("user", "item", "split"),
    "items": ("item", "id", "image", "text", "category"),
    "users": ("user", "id"),
}


_MOST_ROWS_A_BYTE = 10_000
"""Columns of one value a thousand million times take no room on disk, and much in memory."""

_NUMBERS = frozenset({"user", "item", "split"})


class Dataset:
    """A dataset folder made by ``becam prepare``; read only, tables are read when first asked for.

    Attributes:
        path: the folder.
        manifest: provenance and counts.
    """

    def __init__(self, path: Path, manifest: Manifest) -> None:
        self.path = path
        self.manifest = manifest

    @classmethod
    def open(cls, path: str | Path) -> Dataset:
        """Open a folder.

        Raises:
            BecamError: not a dataset, a file is missing or damaged, or the tables are not those
                that the manifest states.
        """
        path = Path(path)
        dataset = cls(path, Manifest.load(path))
        for table in _TABLES:
            try:
                check_file(dataset._table(table), what="table")
            except MissingFileError:
                raise BecamError(
                    f"{path} is not complete: {table}.parquet is missing; make the dataset again."
                ) from None
        # First, for polars ends the process over some damaged files.
        check_hashes(path, dataset.manifest.tables)
        for table, columns in _TABLES.items():
            dataset._check(table, columns)
        check_fingerprint(path, dataset.manifest.tables, dataset.fingerprint)
        return dataset

    @property
    def n_users(self) -> int:
        """Number of users."""
        return self.manifest.counts["users"]

    @property
    def n_items(self) -> int:
        """Number of items."""
        return self.manifest.counts["items"]

    @property
    def fingerprint(self) -> str:
        """SHA-256 over interactions, split and ids; the same for the same data, wherever it is."""
        return self.manifest.fingerprint

    @cached_property
    def items(self) -> pl.DataFrame:
        """Columns ``item`` (0..I-1, in order), ``id``, ``image``, ``text``, ``category``."""
        return self._read("items")

    @cached_property
    def users(self) -> pl.DataFrame:
        """Columns ``user`` (0..U-1, in order), ``id``."""
        return self._read("users")

    @cached_property
    def item_ids(self) -> list[str]:
        """The source's own ids, by index."""
        return self.items["id"].to_list()

    @cached_property
    def user_ids(self) -> list[str]:
        """The source's own ids, by index."""
        return self.users["id"].to_list()

    def interactions(
        self, split: Literal["train", "validation", "test"] | None = None
    ) -> NDArray[np.int64]:
        """(n, 2) of user and item, sorted, of one split or of all."""
        path = self._table("interactions")
        table = scan_parquet(path)
        if split is not None:
            if split not in SPLITS:
                raise BecamError(f"There is no split {split}; choose from {', '.join(SPLITS)}.")
            table = table.filter(pl.col("split") == SPLITS.index(split))
        with reading(path):
            return table.select(pl.col("user", "item").cast(pl.Int64)).collect().to_numpy()

    @cached_property
    def popularity(self) -> NDArray[np.int64]:
        """Training interactions of each item, (I,)."""
        return np.bincount(self.interactions("train")[:, 1], minlength=self.n_items)

    def image_path(self, item: int) -> Path | None:
        """The picture of an item; None where the source has none of it."""
        image = self._images[item]
        return None if image is None else self.image_folder / image

    @property
    def image_folder(self) -> Path:
        """Where the pictures' paths start; single ones may lead elsewhere."""
        return self.path / (self.manifest.image_root or "")

    def feature_sets(self) -> list[str]:
        """Names of the complete feature sets, sorted."""
        found = (self.path / "features").glob(f"*/{FEATURES_FILE}")
        return sorted(
            path.parent.name for path in found if read_features_record(path.parent)["complete"]
        )

    def feature_set(self, name: str | None = None) -> FeatureSet:
        """A feature set by name, or the only one.

        Raises:
            BecamError: no such set, an unfinished one, or several and no name.
        """
        names = self.feature_sets()
        if not names and name is None:
            raise BecamError(
                f"{self.path} has no features yet; make them with becam features {self.path}."
            )
        if name is None:
            if len(names) > 1:
                raise BecamError(
                    f"{self.path} has several feature sets; name one with --features: "
                    f"{', '.join(names)}."
                )
            name = names[0]
        if name not in names:
            there = os.path.isdir(self.path / "features" / name)
            raise BecamError(
                f"{self.path} has no {'finished ' if there else ''}feature set {name} (it has "
                f"{', '.join(names) or 'none'}); make it with becam features --name {name}."
            )
        folder = self.path / "features" / name
        return FeatureSet(name, folder, self.n_items, read_features_record(folder)["modalities"])

    @cached_property
    def _images(self) -> list[str | None]:
        return self.items["image"].to_list()

    def _table(self, table: str) -> Path:
        return self.path / f"{table}.parquet"

    def _read(self, table: str) -> pl.DataFrame:
        return read_parquet(self._table(table))

    def _check(self, table: str, columns: tuple[str, ...]) -> None:
        path = self._table(table)
        stored = scan_parquet(path)
        with reading(path):
            schema = stored.collect_schema()
            rows = stored.select(pl.len()).collect().item()
        if missing := [name for name in columns if name not in schema]:
            raise BecamError(
                f"{path} lacks the column {', '.join(missing)}; make the dataset again."
            )
        for name in columns:
            if not _is_kind(schema[name], number=name in _NUMBERS):
                wanted = "whole numbers" if name in _NUMBERS else "texts"
                raise BecamError(
                    f"{path} holds {schema[name]} in the column {name}, where {wanted} belong; "
                    "make the dataset again."
                )
        stated = self.manifest.counts.get(table)
        if rows != stated:
            raise BecamError(
                f"{path} has {rows:,} rows where the manifest states {stated}; make the dataset "
                "again."
            )
        if rows > _MOST_ROWS_A_BYTE * path.stat().st_size:
            raise BecamError(f"{path} has {rows:,} rows in too few bytes; make the dataset again.")


def _is_kind(kind: pl.DataType, *, number: bool) -> bool:
    if number:
        return kind.is_integer()
    return kind in (pl.String, pl.Null, pl.Categorical, pl.Enum)


class MatrixRecord(TypedDict):
    """What ``features.json`` says of one matrix."""

    encoder: EncoderValues
    dim: Annotated[int, msgspec.Meta(ge=1)]
    rows: Annotated[int, msgspec.Meta(ge=1)]
    sha256: str


class FeaturesRecord(TypedDict):
    """``features.json``."""

    format: int
    complete: bool
    modalities: dict[str, MatrixRecord]


class _Version(TypedDict):
    format: Annotated[int, msgspec.Meta(ge=1)]


@dataclass(frozen=True)
class FeatureSet:
    """Feature matrices of all items, one a modality.

    Attributes:
        name: of the set.
        path: its folder.
        n_items: rows of each matrix.
        records: by modality: ``encoder``, ``dim``, ``rows``, ``sha256``.
    """

    name: str
    path: Path
    n_items: int
    records: dict[str, MatrixRecord]

    @property
    def modalities(self) -> tuple[str, ...]:
        """Names: ``image`` and ``text`` first, then others by the alphabet."""
        return sort_modalities(self.records)

    @property
    def encoders(self) -> dict[str, dict[str, Any]]:
        """What made the features, by modality."""
        return {modality: dict(self.records[modality]["encoder"]) for modality in self.modalities}

    def load(self, modality: str) -> NDArray[np.float32]:
        """(I, d_m) float32, memory-mapped and read only.

        Raises:
            BecamError: no such modality, a missing or damaged file, or values that are not finite.
        """
        if modality not in self.modalities:
            raise BecamError(
                f"The feature set {self.name} has no {modality} features, only "
                f"{', '.join(self.modalities)}."
            )
        path = self.path / f"{modality}.npy"
        again = f"make it again with becam features --name {self.name} --overwrite"
        try:
            features = map_array(path, what="matrix of features", remedy=again)
        except MissingFileError:
            raise BecamError(f"{path} is missing; {again}.") from None
        record = self.records[modality]
        expected = (self.n_items, record["dim"])
        if features.shape != expected or features.dtype != np.float32:
            raise BecamError(
                f"{path} holds {features.dtype} of shape {features.shape} where float32 of "
                f"{expected} belongs; {again}."
            )
        check_features(path, features, record["sha256"], again)
        return features


def sort_modalities(names: Iterable[str]) -> tuple[str, ...]:
    """``image`` and ``text`` first, then others by the alphabet."""
    given = set(names)
    leading = [name for name in MODALITIES if name in given]
    return (*leading, *sorted(given.difference(leading)))


def check_modality(name: str) -> str:
    """The name of a modality, which is also that of a file.

    Raises:
        BecamError: it has other characters than lower-case letters, digits, - and _.
    """
    if not re.fullmatch(r"[a-z0-9_-]+", name):
        raise BecamError(
            f"{name!r} cannot name a modality; use lower-case letters, digits, - and _ alone."
        )
    return name


def read_features_record(folder: Path) -> FeaturesRecord:
    """``features.json`` of a feature set's folder; an empty, incomplete one where there is none.

    Raises:
        BecamError: the file is damaged or of a newer format.
    """
    path = folder / FEATURES_FILE
    again = f"delete {folder} and make it again"
    try:
        version = read_record(path, _Version, remedy=again)["format"]
    except MissingFileError:
        return {"format": FEATURES_FORMAT, "complete": False, "modalities": {}}
    if version > FEATURES_FORMAT:
        raise BecamError(f"{path} was made by a newer becam; upgrade becam or delete {folder}.")
    record = read_record(path, dict[str, Any], remedy=again)
    checked(record, FeaturesRecord, where=str(path), remedy=again)
    for modality in record["modalities"]:
        check_modality(modality)
    return cast(FeaturesRecord, record)  # with what later versions may have added
