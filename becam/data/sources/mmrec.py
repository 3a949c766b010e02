"""Datasets in the format of the MMRec toolbox: split and features come with them."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import polars as pl

from becam.data.columns import whole
from becam.data.dataset import check_modality, sort_modalities
from becam.data.pictures import by_stem, require_folder
from becam.data.sources.base import Raw, SourceOptions, register
from becam.data.tables import columns, reading, require_columns, scan_table
from becam.errors import BecamError
from becam.files import check_file

FEATURES = "_feat.npy"
ITEM_MAPPING, USER_MAPPING = "i_id_mapping.csv", "u_id_mapping.csv"


@register("mmrec", takes=["images"])
def read_mmrec(path: Path, options: SourceOptions) -> Raw:
    """A folder with one ``.inter`` and at least one ``MODALITY_feat.npy`` (row = itemID).

    Every such file becomes a modality: ``image``, ``text``, ``audio``, ``video``, ...
    The split in ``x_label`` and the interactions are kept as they are (core 1). Original ids come
    from ``i_id_mapping.csv`` and ``u_id_mapping.csv`` where they are there. Pictures are optional
    (a folder of ``{original id}.jpg`` or the like).

    Raises:
        BecamError: files are missing, or disagree about the number of items.
    """
    inter = _interactions_file(path)
    folder = inter.parent
    features = _features(folder)
    table = scan_table(inter)
    require_columns(table, ("userID", "itemID"), inter)
    table = table.with_columns(_number(name) for name in ("userID", "itemID"))
    with reading(inter):
        highest = table.select(pl.col("itemID").max()).collect().item()
        # Those that occur: the highest userID may be any number.
        users = table.select(pl.col("userID").unique()).collect(engine="streaming")["userID"]
    users = users.drop_nulls().sort()
    if highest is None or not len(users):
        raise BecamError(f"{inter} has no interactions; export it again.")
    n_items = _feature_rows(features)
    if highest >= n_items:
        raise BecamError(
            f"{inter} has itemID {highest}, but the features have only {n_items} rows; the files "
            "do not belong together."
        )
    numbers = pl.Series("itemID", np.arange(n_items, dtype=np.int64))
    items = original_ids(folder / ITEM_MAPPING, numbers)
    people = original_ids(folder / USER_MAPPING, users)
    pictures = by_stem(require_folder(options.images)) if options.images else {}
    return Raw(
        interactions=_interactions(table, items, people, inter),
        items=items.select(
            item="id",
            text=pl.lit(""),
            category=pl.lit(None, pl.String),
            image=pl.Series([pictures.get(name) for name in items["id"]], dtype=pl.String),
        ),
        origin=inter,
        image_root=options.images.resolve() if options.images else None,
        needs_pictures=False,
        users=people["id"],
        features=features,
        core=1,
    )


def _interactions_file(path: Path) -> Path:
    if not os.path.isdir(path):
        return path
    found = sorted(path.glob("[!.]*.inter"))
    if not found:
        raise BecamError(f"{path} has no .inter file; give the folder of one MMRec dataset.")
    if len(found) > 1:
        raise BecamError(
            f"{path} has several .inter files ({', '.join(file.name for file in found)}); give "
            "the path of the one you mean."
        )
    return found[0]


def _features(folder: Path) -> dict[str, Path]:
    found = {path.name.removesuffix(FEATURES): path for path in folder.glob(f"[!.]*{FEATURES}")}
    if not found:
        raise BecamError(
            f"{folder} has no image{FEATURES}, text{FEATURES} or other features; add one, or use "
            "the source csv for data with pictures."
        )
    return {check_modality(name): found[name] for name in sort_modalities(found)}


def _interactions(
    table: pl.LazyFrame, items: pl.DataFrame, users: pl.DataFrame, inter: Path
) -> pl.LazyFrame:
    selected = [pl.col("id").alias("user"), pl.col("id_item").alias("item")]
    if "timestamp" in columns(table):
        selected.append(
            pl.col("timestamp").cast(pl.Float64, strict=False).cast(pl.Int64, strict=False)
        )
    if "x_label" in columns(table):
        with reading(inter):
            labels = table.select(pl.col("x_label").unique()).collect()["x_label"].to_list()
        if not set(labels) <= {"0", "1", "2"}:
            raise BecamError(
                f"{inter} has x_label other than 0, 1, 2 (training, validation, test); export it "
                "again."
            )
        selected.append(pl.col("x_label").cast(pl.UInt8).alias("split"))
    return (
        table.join(users.lazy(), on="userID", how="left")
        .join(items.lazy(), on="itemID", how="left", suffix="_item")
        .select(selected)
    )


def _feature_rows(features: dict[str, Path]) -> int:
    rows = {}
    for modality, path in features.items():
        check_file(path)
        try:
            matrix = np.load(path, mmap_mode="r", allow_pickle=False)
        except Exception:  # numpy parses the header with Python's own parser, which raises many
            matrix = None
        if not isinstance(matrix, np.ndarray):
            raise BecamError(
                f"{path} is not a plain array of numbers; save it again with numpy.save as float32."
            )
        if matrix.ndim != 2 or matrix.dtype.kind not in "fiu" or not matrix.size:
            raise BecamError(
                f"{path} holds {matrix.dtype} of shape {matrix.shape}; give one row of numbers "
                "per item."
            )
        rows[modality] = len(matrix)
    if len(set(rows.values())) > 1:
        found = ", ".join(f"{features[name].name} {count}" for name, count in rows.items())
        raise BecamError(
            f"The features differ in their rows ({found}); they do not belong together."
        )
    return next(iter(rows.values()))


def original_ids(path: Path, numbers: pl.Series) -> pl.DataFrame:
    """``numbers`` under their own name and ``id``: from the mapping file, else the number itself.

    Raises:
        BecamError: the mapping does not give each number an id of its own.
    """
    key, table = numbers.name, numbers.to_frame()
    if not os.path.lexists(path):
        return table.with_columns(id=pl.col(key).cast(pl.String))
    mapping = scan_table(path)
    require_columns(mapping, (key,), path)
    others = [name for name in columns(mapping) if name != key]
    if not others:
        raise BecamError(f"{path} has no column beside {key}; it should name the original ids.")
    with reading(path):
        named = mapping.select(_number(key), id=others[0]).collect()
    ids = table.join(named, on=key, how="left", maintain_order="left")
    if len(ids) != len(table) or ids["id"].null_count() or ids["id"].n_unique() != len(table):
        raise BecamError(
            f"{path} does not give each {key} from {numbers[0]} to {numbers[-1]} one id of its "
            "own; mend it, or remove it to use the numbers as ids."
        )
    return ids


def _number(name: str) -> pl.Expr:
    """A column of whole numbers, written as 42 or 42.0; null where there is none."""
    text = pl.col(name).cast(pl.String)
    return whole(text).cast(pl.Int64, strict=False).alias(name)
