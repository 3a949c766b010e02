"""Tmall's recommendation data (Tianchi 140281), as published."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from becam.data.pictures import require_folder
from becam.data.sources.base import Raw, SourceOptions, distinct_items, register
from becam.data.tables import reading, source
from becam.errors import BecamError
from becam.files import open_file

PRODUCTS = "tianchi_2014001_rec_tmall_product"
LOGS = "tianchi_2014002_rec_tmall_log_part[abc]"
PRODUCT_COLUMNS = ("item", "title", "pict_url", "category", "brand", "seller")
LOG_COLUMNS = ("item", "user", "action", "time")
ACTIONS = ("click", "collect", "cart", "alipay")
DEFAULT_ACTIONS = ("alipay",)

SEPARATOR = "\x01"

_LONGEST_ROW = 1 << 24


@register("tmall", takes=["images", "action"])
def read_tmall(path: Path, options: SourceOptions) -> Raw:
    """A folder of the product file and one or more of the three parts of the log.

    Only rows of the chosen actions count (by default ``alipay``, purchases); they are picked while
    the logs stream, so that all others cost no memory. A row too short is read as far as it goes,
    and a time that is none is left out. Timestamps are seconds. Pictures are files
    ``{item_id}.jpg``.

    Raises:
        BecamError: a file is missing or not in the published format, no folder of pictures is
            named, or there is no such action.
    """
    actions = options.actions or DEFAULT_ACTIONS
    if unknown := [action for action in actions if action not in ACTIONS]:
        raise BecamError(
            f"There is no --action {', '.join(unknown)}; choose from {', '.join(ACTIONS)}."
        )
    products, logs = _files(path, PRODUCTS), _files(path, LOGS)
    if options.images is None:
        raise BecamError(
            "The source tmall needs a folder of pictures named {item_id}.jpg, given with --images; "
            "the product file's pict_url's are not downloaded."
        )
    time = pl.col("time").str.to_datetime("%Y-%m-%d %H:%M:%S", strict=False, time_unit="ms")
    items, dropped = _read_products(products[0])
    return Raw(
        interactions=_scan(logs, LOG_COLUMNS)
        .filter(pl.col("action").is_in(actions))
        .select("user", "item", timestamp=time.dt.epoch("s")),
        items=items,
        origin=logs[0] if len(logs) == 1 else path,
        image_root=require_folder(options.images),
        dropped=dropped,
    )


def _read_products(path: Path) -> tuple[pl.DataFrame, dict[str, int]]:
    with reading(path):
        products = (
            _scan([path], PRODUCT_COLUMNS)
            .select("item", "category", text="title")
            .collect(engine="streaming")
        )
    items, dropped = distinct_items(products)
    return items.with_columns(image=pl.format("{}.jpg", "item")), dropped


def _files(folder: Path, name: str) -> list[Path]:
    found = [file for suffix in (".txt", "") for file in sorted(folder.glob(name + suffix))]
    if not found:
        raise BecamError(
            f"{folder} has no {name}.txt; give the folder where the Tianchi download is unpacked."
        )
    return found


def _scan(paths: list[Path], names: Sequence[str]) -> pl.LazyFrame:
    """The columns by their published order: the files have no header, and nothing is quoted."""
    for path in paths:
        with open_file(path) as stream:
            fields = stream.readline(_LONGEST_ROW).count(SEPARATOR.encode()) + 1
        if fields != len(names):
            raise BecamError(
                f"{path} is not as it was published: divided by the byte 0x01, its first row has "
                f"{fields} of {len(names)} fields ({', '.join(names)}); fetch it again."
            )
    tables = [_scan_one(path, names) for path in paths]
    return pl.concat(tables)


def _scan_one(path: Path, names: Sequence[str]) -> pl.LazyFrame:
    return pl.scan_csv(
        source(path),
        glob=False,
        separator=SEPARATOR,
        has_header=False,
        schema=dict.fromkeys(names, pl.String()),
        quote_char=None,
        truncate_ragged_lines=True,
    )
