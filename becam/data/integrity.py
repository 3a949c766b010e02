"""Whether a dataset's files still hold what was written; looked at once a process and file."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from becam.data.tables import reading, scan_parquet
from becam.errors import BecamError
from becam.files import open_file, sha256

_BLOCK = 1 << 22
_sound: set[object] = set()
"""What was found sound, by file and expectation; another size or time makes another key."""


TABLES = ("interactions", "items", "users")


def table_hashes(folder: Path) -> dict[str, str]:
    """SHA-256 of a dataset's tables by name."""
    return {name: sha256(folder / f"{name}.parquet") for name in TABLES}


def check_hashes(folder: Path, hashes: Mapping[str, str]) -> None:
    """Check the files of a dataset's tables, before anything in them is read.

    Args:
        folder: of the dataset.
        hashes: SHA-256 of the files by the tables' names; those of an earlier becam have none.

    Raises:
        BecamError: a file is not what was written.
    """
    for name, expected in hashes.items():
        if name not in TABLES:
            continue
        path = folder / f"{name}.parquet"
        key = (_identity(path), expected)
        if key in _sound:
            continue
        if sha256(path) != expected:
            raise BecamError(
                f"{path} is damaged: it is not what becam prepare wrote; copy it again or make "
                "the dataset again."
            )
        _sound.add(key)


def check_fingerprint(folder: Path, hashes: Mapping[str, str], expected: str) -> None:
    """Check the tables of a dataset that does not tell all their hashes by its fingerprint.

    Args:
        folder: of the dataset.
        hashes: as of :func:`check_hashes`.
        expected: the fingerprint.

    Raises:
        BecamError: the tables are not those of the fingerprint.
    """
    if hashes.keys() >= set(TABLES):
        return
    paths = {name: folder / f"{name}.parquet" for name in TABLES}
    key = (*map(_identity, paths.values()), expected)
    if key in _sound:
        return
    if _fingerprint_of(paths) != expected:
        raise BecamError(
            f"The tables in {folder} are not those of its manifest's fingerprint; copy them again "
            "or make the dataset again."
        )
    _sound.add(key)


def check_features(path: Path, rows: NDArray[np.float32], expected: str, remedy: str) -> None:
    """Check a matrix of features: its bytes by their hash, and that all are finite.

    Args:
        path: of its file.
        rows: (I, d_m), mapped from it.
        expected: SHA-256 of the file.
        remedy: what to do about a damaged one.

    Raises:
        BecamError: it is not what was written, or has values that are not finite.
    """
    key = (_identity(path), expected)
    if key in _sound:
        return
    digest = hashlib.sha256()
    finite = True
    with open_file(path) as stream:
        header = path.stat().st_size - rows.nbytes
        digest.update(stream.read(header))
        while block := stream.read(_BLOCK):
            digest.update(block)
            finite &= bool(np.isfinite(np.frombuffer(block, rows.dtype)).all())
    if digest.hexdigest() != expected:
        raise BecamError(f"{path} is damaged: it is not what was written there; {remedy}.")
    if not finite:
        raise BecamError(f"{path} holds values that are not finite; {remedy}.")
    _sound.add(key)


def fingerprint(interactions: pl.DataFrame, item_ids: pl.Series, user_ids: pl.Series) -> str:
    """SHA-256 over interactions (in order), split and ids."""
    digest = hashlib.sha256()
    for column, kind in (("user", "<u4"), ("item", "<u4"), ("split", "u1")):
        digest.update(interactions[column].to_numpy().astype(kind, copy=False).tobytes())
    for ids in (item_ids, user_ids):
        digest.update(f"\n{len(ids)}\n".encode())
        for piece in ids.to_list():
            digest.update(f"{len(piece)}:{piece}".encode())
    return digest.hexdigest()


def _fingerprint_of(paths: Mapping[str, Path]) -> str | None:
    """Of the tables as they are; None where they cannot be those of a dataset."""
    found = {}
    for name, path in paths.items():
        wanted = ("user", "item", "split") if name == "interactions" else ("id",)
        with reading(path):
            found[name] = scan_parquet(path).select(wanted).collect()
    try:
        return fingerprint(found["interactions"], found["items"]["id"], found["users"]["id"])
    except (TypeError, ValueError):  # other types than becam writes
        return None


def _identity(path: Path) -> tuple[str, int, int, int]:
    found = path.stat()
    return str(path), found.st_ino, found.st_size, found.st_mtime_ns
