"""Time and peak memory of ``becam prepare tmall`` on generated files in the published format.

Run by hand; a hundred million rows need about 5 GB of disk and take a few minutes:

    python benchmarks/prepare_tmall_scale.py FOLDER [--rows 100000000] [--products 8133507]

Items and users are drawn with heavy tails, one action in a hundred is a purchase, and the log is
cut into three parts. Only the most popular items have pictures, hard links to a few JPEGs: what is
measured is the log.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from scale import draw, run, write_pictures

from becam.data.sources.tmall import ACTIONS, PRODUCTS, SEPARATOR
from becam.progress import bar

ROWS, ITEMS, USERS = 1_333_729_303, 8_133_507, 9_774_184  # about the published files'
SHARES = (0.975, 0.008, 0.007, 0.01)  # of the actions
START, DAYS = np.datetime64("2014-06-01T00:00:00", "ms"), 150
PICTURE_SIZE = (400, 400)
CHUNK = 2_000_000


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000_000)
    parser.add_argument("--products", type=int, help="default: in proportion to the rows")
    parser.add_argument("--pictures", type=int, default=20_000)
    run(
        parser,
        "tmall",
        generate,
        prepare=lambda release: {"images": str(release / "images")},
        k_core=3,  # so few of the items have pictures that a larger one would be empty
    )


def generate(options: argparse.Namespace, folder: Path) -> None:
    """Write the product file, three parts of the log, and ``images/``."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    products = options.products or int(ITEMS * options.rows / ROWS)
    users = int(USERS * options.rows / ROWS)
    write_products(folder / f"{PRODUCTS}.txt", products)
    pictured = (folder / "images" / f"{n}.jpg" for n in range(1, options.pictures + 1))
    write_pictures(folder, pictured, PICTURE_SIZE, rng)
    # The first items are the most popular.
    popularity = np.cumsum(np.sort(rng.lognormal(0, 2, products))[::-1])
    activity = np.cumsum(rng.lognormal(0, 1.2, users))
    with bar(desc="log", total=options.rows, unit="row") as progress:
        for part, rows in zip(
            "abc", np.diff(np.linspace(0, options.rows, 4, dtype=int)), strict=True
        ):
            with open(folder / f"tianchi_2014002_rec_tmall_log_part{part}.txt", "wb") as stream:
                for start in range(0, int(rows), CHUNK):
                    n = min(CHUNK, int(rows) - start)
                    log_rows(rng, popularity, activity, n).write_csv(stream, **FORMAT)
                    progress.update(n)


FORMAT: dict[str, Any] = {
    "separator": SEPARATOR,
    "include_header": False,
    "quote_style": "never",
    "datetime_format": "%Y-%m-%d %H:%M:%S",
}


def log_rows(
    rng: np.random.Generator, popularity: np.ndarray, activity: np.ndarray, n: int
) -> pl.DataFrame:
    """``n`` rows of a log."""
    actions = pl.Series(ACTIONS)[draw(rng, np.cumsum(SHARES), n)]
    time = START + rng.integers(0, DAYS * 86_400_000, n)
    return pl.DataFrame(
        {"item": draw(rng, popularity, n) + 1, "user": draw(rng, activity, n)}
    ).with_columns(
        user=pl.format("u{}", "user"), action=actions, time=pl.Series(time, dtype=pl.Datetime("ms"))
    )


def write_products(path: Path, count: int) -> None:
    """Titles, addresses and categories of the usual length."""
    number = pl.col("item")
    pl.LazyFrame({"item": np.arange(1, count + 1)}).with_columns(
        title=pl.format(
            "2014 {} 夏季 新款 韩版 女装 修身 显瘦 短袖 连衣裙 {}", number % 977, number % 89
        ),
        pict_url=pl.format(
            "http://img03.taobaocdn.com/bao/uploaded/i3/T1{}XXXXXXXX_!!0.jpg", number
        ),
        category=pl.format("{}-{}", number % 60, number % 1200),
        brand=pl.format("b{}", number % 90_000),
        seller=pl.format("s{}", number % 90_000),
    ).sink_csv(path, **FORMAT)


if __name__ == "__main__":
    main()
