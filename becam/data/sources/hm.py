"""H&M Personalized Fashion Recommendations, as published on Kaggle."""

from __future__ import annotations

import os
from pathlib import Path

import polars as pl

from becam.data.pictures import require_folder
from becam.data.sources.base import Raw, SourceOptions, distinct_items, register
from becam.data.tables import reading, require_columns, scan_table
from becam.errors import BecamError

TRANSACTIONS, ARTICLES = "transactions_train.csv", "articles.csv"
IMAGE_FOLDERS = ("images", "images_128_128")
TEXT_COLUMNS = ("prod_name", "product_type_name", "colour_group_name", "detail_desc")

_ID_LENGTH = 10


@register("hm", takes=["images"])
def read_hm(path: Path, options: SourceOptions) -> Raw:
    """A folder of ``transactions_train.csv``, ``articles.csv`` and ``images/012/0123456789.jpg``.

    ``images_128_128/`` does as well. Ids that a spreadsheet robbed of their leading zeros get them
    back. Timestamps are seconds.

    Raises:
        BecamError: a file or a column is missing.
    """
    for name in (TRANSACTIONS, ARTICLES):
        if not os.path.exists(path / name):
            raise BecamError(
                f"{path} has no {name}; give the folder where the Kaggle download is unpacked."
            )
    transactions = scan_table(path / TRANSACTIONS)
    require_columns(transactions, ("t_dat", "customer_id", "article_id"), path / TRANSACTIONS)
    interactions = transactions.select(
        user="customer_id",
        item=_article_id(),
        timestamp=pl.col("t_dat")
        .str.to_date("%Y-%m-%d", strict=False)
        .cast(pl.Datetime("ms"))
        .dt.epoch("s"),
    )
    items, dropped = _read_articles(path / ARTICLES)
    return Raw(
        interactions=interactions,
        items=items,
        origin=path / TRANSACTIONS,
        image_root=_image_folder(path, options.images),
        dropped=dropped,
    )


def _read_articles(path: Path) -> tuple[pl.DataFrame, dict[str, int]]:
    articles = scan_table(path)
    require_columns(articles, ("article_id", *TEXT_COLUMNS), path)
    item = pl.col("item")
    with reading(path):
        rows = articles.select(
            item=_article_id(),
            text=pl.concat_str(TEXT_COLUMNS, separator=". ", ignore_nulls=True),
            category="product_type_name",
        ).collect()
    items, dropped = distinct_items(rows)
    return items.with_columns(image=pl.format("{}/{}.jpg", item.str.head(3), item)), dropped


def _article_id() -> pl.Expr:
    return pl.col("article_id").str.zfill(_ID_LENGTH)


def _image_folder(path: Path, given: Path | None) -> Path:
    if given is not None:
        return require_folder(given)
    for name in IMAGE_FOLDERS:
        if os.path.isdir(path / name):
            return (path / name).resolve()
    raise BecamError(
        f"{path} has neither {' nor '.join(IMAGE_FOLDERS)}; name the folder of pictures with "
        "--images."
    )
