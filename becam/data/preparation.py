"""Raw data to a dataset folder: pictures, k-core, split."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from becam.data import manifest, pictures
from becam.data.coding import code
from becam.data.dataset import Dataset
from becam.data.features import FeatureWriter
from becam.data.filtering import filter_interactions
from becam.data.integrity import table_hashes
from becam.data.manifest import Manifest
from becam.data.sources import Raw, SourceOptions, read_source
from becam.data.split import FEWEST, VALIDATION, Scheme, split_interactions
from becam.data.tables import columns as columns_of
from becam.data.writing import used, write_tables
from becam.errors import BecamError
from becam.files import Contents, atomic_dir, check_output_folder
from becam.limits import CORE, SEED

CONTENTS = Contents(
    "a dataset",
    signs=frozenset({manifest.FILE, "interactions.parquet", "items.parquet"}),
    others=frozenset({"users.parquet", "features", "neighbours"}),
)

_FEATURE_ROWS = 4096


def prepare_dataset(
    source: str,
    path: str | Path,
    output: str | Path,
    *,
    items: str | Path | None = None,
    images: str | Path | None = None,
    columns: Mapping[str, Sequence[str]] | None = None,
    actions: Sequence[str] = (),
    k_core: int | None = None,
    user_core: int | None = None,
    item_core: int | None = None,
    split: Scheme | None = None,
    seed: int = 0,
    overwrite: bool = False,
    say: Callable[[str], None] = lambda line: None,
) -> Dataset:
    """Turn raw data into a dataset folder; the folder is there whole, or not at all.

    Repeated pairs collapse to the earliest, items without a readable picture leave (unless the
    source brings its own features), the k-core is taken to the fixed point of all that, and each
    user's rows are split 8:1:1 (see ``split_interactions``).

    Args:
        source: name of the source.
        path: the raw data.
        output: the dataset folder to make.
        items: items file, for the sources that take one.
        images: folder of pictures.
        columns: names of columns by role (see ``SourceOptions``).
        actions: kinds of interactions that count, for the sources that take them.
        k_core: fewest interactions of each user and each item; default: the source's (10, and 1
            where the source is filtered already).
        user_core: the users' own, in place of ``k_core``.
        item_core: the items' own, in place of ``k_core``.
        split: ``random`` or ``time``; default: the source's own split, else ``random``.
        seed: of the split.
        overwrite: replace a dataset that is there, its features with it.
        say: called with a line for the user: each stage as it begins, and what the source has to
            tell of how it read the files.

    Raises:
        BecamError: unreadable data, nothing left after the k-core, ``output`` in the way.
    """
    path, output = Path(path), Path(output)
    if split not in (None, "random", "time"):
        raise BecamError(f"There is no split {split}; choose random or time.")
    SEED.check(seed, "--seed")
    check_output_folder(output)
    _check_output(output, overwrite)
    with atomic_dir(output, CONTENTS, overwrite=overwrite) as folder:
        watch = _Watch(say)
        watch.begin("reading")
        raw = read_source(
            source,
            path,
            SourceOptions(
                Path(items) if items else None,
                Path(images) if images else None,
                columns or {},
                tuple(dict.fromkeys(actions)),
            ),
        )
        for note in raw.notes:
            say(note)
        _check_source(raw, split)
        user_core, item_core = _cores(raw.core, k_core, user_core, item_core)
        if split is not None:  # chosen in place of the source's own
            raw = replace(raw, interactions=raw.interactions.drop("split", strict=False))
        has_picture = _has_picture(raw)
        coded = code(raw, has_picture)
        if note := _untimed(coded.rows):
            say(note)
        watch.begin("filtering")
        rows, left = filter_interactions(coded, raw, user_core, item_core)
        watch.begin("splitting")
        rows, scheme = _split(rows, split, seed)
        if note := _unvalidated(rows):
            say(note)
        watch.begin("writing")
        kept_items = used(rows["item"])
        counts, fingerprint = write_tables(folder, rows, raw.items, coded.users)
        Manifest(
            format=manifest.FORMAT,
            name=output.resolve().name.encode(errors="replace").decode(),
            source=source,
            counts=counts,
            statistics=_statistics(counts),
            filters={"user_core": user_core, "item_core": item_core},
            split=scheme,
            dropped={
                **coded.dropped,
                **left,
                **raw.dropped,
                "items without a picture": int((~has_picture).sum()),
                "items (all reasons)": len(raw.items) - counts["items"],
                "users (all reasons)": coded.users_read - counts["users"],
            },
            fingerprint=fingerprint,
            image_root=None if raw.image_root is None else str(raw.image_root),
            seconds=watch.end(),
            tables=table_hashes(folder),
        ).save(folder)
        _copy_features(Dataset.open(folder), source, raw.features, kept_items)
    return Dataset.open(output)


def _check_output(output: Path, overwrite: bool) -> None:
    """Refuse before the long work, and never delete a folder that is not a dataset."""
    check_output_folder(output)
    if not output.exists():
        return
    if not (output / manifest.FILE).is_file() and any(output.iterdir()):
        raise BecamError(f"{output} is there and is not a dataset; choose another -o.")
    if not overwrite:
        raise BecamError(
            f"{output} already exists; choose another -o, or replace it with --overwrite."
        )


def _check_source(raw: Raw, split: Scheme | None) -> None:
    """Refuse what can only fail after the long work."""
    if split == "time" and "timestamp" not in columns_of(raw.interactions):
        raise BecamError(raw.untimed or f"{raw.origin} has no timestamps; use --split random.")
    try:
        str(raw.image_root).encode()
    except UnicodeEncodeError:
        raise BecamError(
            f"The path {str(raw.image_root)!a} is no UTF-8, so a dataset cannot tell where its "
            "pictures are; rename the folder."
        ) from None


def _untimed(rows: pl.DataFrame) -> str:
    """A sentence on times that are missing."""
    missing = rows["timestamp"].null_count() if "timestamp" in rows.columns else 0
    if not missing:
        return ""
    return f"{missing:,} of {len(rows):,} interactions have no timestamp that can be read."


def _unvalidated(rows: pl.DataFrame) -> str:
    """A sentence on a split without validation rows."""
    if (rows["split"] == VALIDATION).any():
        return ""
    longest = int(np.bincount(rows["user"].to_numpy()).max())
    why = (
        "The source's own split has no validation rows"
        if longest >= FEWEST
        else f"No user has {FEWEST} interactions (the most is {longest})"
    )
    return (
        f"{why}, so nothing can be validated: gather longer histories, or train without "
        "validation for a number of epochs that you choose (becam train --no-validation --epochs)."
    )


def _cores(
    default: int, k_core: int | None, user_core: int | None, item_core: int | None
) -> tuple[int, int]:
    both = default if k_core is None else k_core
    cores = (both if user_core is None else user_core, both if item_core is None else item_core)
    for name, core in (("user", user_core), ("item", item_core)):
        CORE.check(both if core is None else core, "--k-core" if core is None else f"--{name}-core")
    return cores


def _has_picture(raw: Raw) -> NDArray[np.bool_]:
    if not raw.needs_pictures:
        return np.ones(len(raw.items), dtype=bool)
    return pictures.exist(raw.image_root or Path(), raw.items["image"])


def _split(
    rows: pl.DataFrame, scheme: Scheme | None, seed: int
) -> tuple[pl.DataFrame, dict[str, Any]]:
    if "split" in rows.columns:
        return rows, {"scheme": "source", "seed": None}
    scheme = scheme or "random"
    timestamps = None
    if scheme == "time" and "timestamp" in rows.columns:
        if missing := rows["timestamp"].null_count():
            raise BecamError(
                f"{missing:,} interactions have no timestamp that can be read as the others can; "
                "mend them, or use --split random."
            )
        timestamps = rows["timestamp"].to_numpy()
    labels = split_interactions(rows["user"].to_numpy(), scheme, seed, timestamps)
    return rows.with_columns(pl.Series("split", labels)), {"scheme": scheme, "seed": seed}


def _statistics(counts: Mapping[str, int]) -> dict[str, float]:
    users, items, interactions = counts["users"], counts["items"], counts["interactions"]
    return {
        "density": interactions / (users * items),
        "interactions_per_user": interactions / users,
        "interactions_per_item": interactions / items,
    }


def _copy_features(
    dataset: Dataset, name: str, features: Mapping[str, Path], rows: NDArray[np.int64]
) -> None:
    """The source's own features, for the items that stayed, as a feature set of its name."""
    for modality, path in features.items():
        matrix = np.load(path, mmap_mode="r", allow_pickle=False)
        writer = FeatureWriter(dataset, name, modality, {"spec": None}, matrix.shape[1])
        for start in range(0, len(rows), _FEATURE_ROWS):
            chunk = np.arange(start, min(start + _FEATURE_ROWS, len(rows)))
            writer.write(chunk, matrix[rows[chunk]])
        writer.finish()


class _Watch:
    """Seconds by stage."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._seconds: dict[str, float] = {}
        self._stage, self._since = "", 0.0

    def begin(self, stage: str) -> None:
        """End the stage before, begin this one."""
        if self._stage:
            self.end()
        self._stage, self._since = stage, time.perf_counter()
        self._say(f"{stage} ...")

    def end(self) -> dict[str, float]:
        """End the last stage."""
        self._seconds[self._stage] = round(time.perf_counter() - self._since, 3)
        return self._seconds
