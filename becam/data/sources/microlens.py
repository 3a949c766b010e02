"""MicroLens: short videos with covers and titles, as published in several sizes."""

from __future__ import annotations

import os
from pathlib import Path

import polars as pl

from becam.data.pictures import require_folder
from becam.data.sources.base import Raw, SourceOptions, distinct_items, register
from becam.data.tables import columns, reading, require_columns, scan_table
from becam.errors import BecamError
from becam.files import read_text

PAIRS, COVERS = "_pairs.csv", "_covers"
TITLES = ("_titles.csv", "_title_en.csv")

_MILLISECONDS = 1000
_MOST_BYTES = 1 << 32


@register("microlens", takes=["images"])
def read_microlens(path: Path, options: SourceOptions) -> Raw:
    """A folder of ``NAME_pairs.csv``, ``NAME_titles.csv`` and ``NAME_covers/{item}.jpg``.

    NAME is ``MicroLens-50k`` or another size; that of 100k has ``NAME_title_en.csv``, without a
    header. Timestamps are seconds.

    Raises:
        BecamError: a file or a column is missing, or the folder holds several sizes.
    """
    pairs = _pairs_file(path)
    name = pairs.name.removesuffix(PAIRS)
    titles = [
        path / f"{name}{ending}" for ending in TITLES if os.path.exists(path / f"{name}{ending}")
    ]
    if not titles:
        raise BecamError(f"{path} has no {name}{TITLES[0]}; put it beside {pairs.name}.")
    covers = options.images or path / f"{name}{COVERS}"
    table = scan_table(pairs)
    require_columns(table, ("user", "item", "timestamp"), pairs)
    items, dropped = _read_titles(titles[0])
    return Raw(
        interactions=table.select(
            "user", "item", pl.col("timestamp").cast(pl.Int64, strict=False) // _MILLISECONDS
        ),
        items=items,
        origin=pairs,
        image_root=require_folder(covers),
        dropped=dropped,
    )


def _pairs_file(folder: Path) -> Path:
    found = sorted(folder.glob(f"[!.]*{PAIRS}"))
    if not found:
        raise BecamError(
            f"{folder} has no *{PAIRS} (MicroLens-50k{PAIRS}); give the folder of one MicroLens "
            "download."
        )
    if len(found) > 1:
        raise BecamError(
            f"{folder} has several sizes ({', '.join(file.name for file in found)}); give a folder "
            "that holds one."
        )
    return found[0]


def _read_titles(path: Path) -> tuple[pl.DataFrame, dict[str, int]]:
    table = scan_table(path)
    with reading(path):
        if "item" in columns(table):
            require_columns(table, ("item", "title"), path)
            titles = table.select("item", "title").collect()
        else:
            # Without a header nothing is quoted: the title is all behind the first comma.
            lines = read_text(path, most=_MOST_BYTES, what="file of titles").split("\n")
            pairs = [line.rstrip("\r").partition(",")[::2] for line in lines if line]
            titles = pl.DataFrame(pairs, schema=["item", "title"], orient="row")
    items, dropped = distinct_items(titles)
    return items.select(
        "item",
        text="title",
        category=pl.lit(None, pl.String),
        image=pl.format("{}.jpg", "item"),
    ), dropped
