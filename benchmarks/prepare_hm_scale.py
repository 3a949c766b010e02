"""Time and peak memory of ``becam prepare hm`` on a generated file of the full H&M release's size.

Run by hand; needs about 4 GB of disk and takes a few minutes:

    python benchmarks/prepare_hm_scale.py FOLDER [--rows 31788324] [--k-core 10]

The transactions are drawn with heavy-tailed activity and popularity; each picture is a hard link
to one of a few JPEGs of the release's usual size, so decoding is real and reading is not.
"""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path

import numpy as np
import polars as pl
from scale import draw, run, write_pictures

from becam.progress import bar

ROWS, CUSTOMERS, ARTICLES = 31_788_324, 1_371_980, 105_542  # the public release
DAYS = 734  # 2018-09-20 to 2020-09-22
WITHOUT_PICTURE = 442  # articles of the release that have none
PICTURE_SIZE = (1166, 1750)
CHUNK = 2_000_000


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=ROWS)
    run(parser, "hm", generate, prepare=lambda release: {})


def generate(options: argparse.Namespace, folder: Path) -> None:
    """Write ``transactions_train.csv``, ``articles.csv`` and ``images/`` in the public layout."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    rows = options.rows
    customers, articles = (int(count * rows / ROWS) for count in (CUSTOMERS, ARTICLES))
    article_ids = pl.Series([f"{108775000 + 8000 * n:010d}" for n in range(articles)])
    write_articles(folder, article_ids)
    pictured = article_ids[WITHOUT_PICTURE:]
    paths = (folder / "images" / name[:3] / f"{name}.jpg" for name in pictured)
    write_pictures(folder, paths, PICTURE_SIZE, rng)
    customer_ids = pl.Series([hashlib.sha256(b"%d" % n).hexdigest() for n in range(customers)])
    activity = np.cumsum(rng.lognormal(0, 1.2, customers))
    popularity = np.cumsum(rng.lognormal(0, 1.6, articles))
    first = np.datetime64("2018-09-20")
    with (
        open(folder / "transactions_train.csv", "wb") as stream,
        bar(desc="transactions", total=rows, unit="row") as progress,
    ):
        for start in range(0, rows, CHUNK):
            n = min(CHUNK, rows - start)
            days = np.arange(start, start + n) * DAYS // rows
            pl.DataFrame(
                {
                    "t_dat": pl.Series(first + days).cast(pl.Date),
                    "customer_id": customer_ids[draw(rng, activity, n)],
                    "article_id": article_ids[draw(rng, popularity, n)],
                    "price": rng.integers(1, 500, n) / 5900,
                    "sales_channel_id": rng.integers(1, 3, n),
                }
            ).write_csv(stream, include_header=start == 0)
            progress.update(n)


def write_articles(folder: Path, ids: pl.Series) -> None:
    """Only the columns that are read, and one beside them."""
    pl.DataFrame({"article_id": ids}).with_columns(
        product_code=pl.col("article_id").str.head(7),
        prod_name=pl.lit("Strap top"),
        product_type_name=pl.lit("Vest top"),
        colour_group_name=pl.lit("White"),
        detail_desc=pl.lit("Jersey top with narrow shoulder straps, in soft organic cotton. " * 2),
    ).write_csv(folder / "articles.csv")


if __name__ == "__main__":
    main()
