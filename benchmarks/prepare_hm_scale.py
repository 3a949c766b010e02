"""Time and peak memory of ``becam prepare hm`` on a generated file of the full H&M release's size.

Run by hand; needs about 4 GB of disk and takes a few minutes:

    python benchmarks/prepare_hm_scale.py FOLDER [--rows 31788324] [--k-core 10]

The transactions are drawn with heavy-tailed activity and popularity; each picture is a hard link
to one of a few JPEGs of the release's usual size, so decoding is real and reading is not.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import polars as pl
from PIL import Image
from rich.console import Console
from rich.table import Table

from becam.progress import bar

ROWS, CUSTOMERS, ARTICLES = 31_788_324, 1_371_980, 105_542  # the public release
DAYS = 734  # 2018-09-20 to 2020-09-22
WITHOUT_PICTURE = 442  # articles of the release that have none
PICTURE_SIZE = (1166, 1750)
PICTURES = 8
CHUNK = 2_000_000

PREPARE = """
import sys
from becam.data.preparation import prepare_dataset
prepare_dataset("hm", sys.argv[1], sys.argv[2], k_core=int(sys.argv[3]), overwrite=True)
"""


def main() -> None:
    """Generate, prepare in a process of its own, print the table, delete."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="a folder that does not exist yet")
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--k-core", type=int, default=10)
    parser.add_argument("--keep", action="store_true", help="keep the generated files")
    options = parser.parse_args()
    release, output = options.folder / "hm", options.folder / "dataset"
    if not release.exists():
        scale = options.rows / ROWS
        generate(release, options.rows, int(CUSTOMERS * scale), int(ARTICLES * scale))
    try:
        seconds, peak = measure(release, output, options.k_core)
        show(release, output, seconds, peak)
    finally:
        if not options.keep:
            shutil.rmtree(options.folder)


def generate(folder: Path, rows: int, customers: int, articles: int) -> None:
    """Write ``transactions_train.csv``, ``articles.csv`` and ``images/`` in the public layout."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    article_ids = pl.Series([f"{108775000 + 8000 * n:010d}" for n in range(articles)])
    write_articles(folder, article_ids)
    write_pictures(folder, article_ids[WITHOUT_PICTURE:], rng)
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


def draw(rng: np.random.Generator, cumulative: np.ndarray, n: int) -> np.ndarray:
    """``n`` indices with probability proportional to the increments of ``cumulative``."""
    return np.searchsorted(cumulative, rng.random(n) * cumulative[-1])


def write_articles(folder: Path, ids: pl.Series) -> None:
    """Only the columns that are read, and one beside them."""
    pl.DataFrame({"article_id": ids}).with_columns(
        product_code=pl.col("article_id").str.head(7),
        prod_name=pl.lit("Strap top"),
        product_type_name=pl.lit("Vest top"),
        colour_group_name=pl.lit("White"),
        detail_desc=pl.lit("Jersey top with narrow shoulder straps, in soft organic cotton. " * 2),
    ).write_csv(folder / "articles.csv")


def write_pictures(folder: Path, ids: pl.Series, rng: np.random.Generator) -> None:
    """Smooth noise on white, hard-linked once per article (a file system limits the links)."""
    originals = []
    for number in range(PICTURES):
        noise = Image.fromarray(rng.integers(60, 256, (60, 40, 3), dtype=np.uint8))
        path = folder / f"original{number}.jpg"
        noise.resize(PICTURE_SIZE, Image.Resampling.BICUBIC).save(path, quality=90)
        originals.append(path)
    for number, name in enumerate(ids):
        target = folder / "images" / name[:3] / f"{name}.jpg"
        target.parent.mkdir(parents=True, exist_ok=True)
        os.link(originals[number % PICTURES], target)


def measure(release: Path, output: Path, k_core: int) -> tuple[float, float]:
    """Wall seconds and peak resident GiB of one run in a child process."""
    start = time.perf_counter()
    child = subprocess.Popen(
        [sys.executable, "-c", PREPARE, str(release), str(output), str(k_core)]
    )
    _, status, usage = os.wait4(child.pid, 0)
    if status:
        raise SystemExit("prepare failed")
    return time.perf_counter() - start, usage.ru_maxrss / 2**20


def show(release: Path, output: Path, seconds: float, peak: float) -> None:
    """The table."""
    from becam.data.dataset import Dataset

    manifest = Dataset.open(output).manifest
    size = (release / "transactions_train.csv").stat().st_size / 2**30
    table = Table("csv GiB", "users", "items", "interactions", "wall s", "peak GiB", "stages s")
    table.add_row(
        f"{size:.2f}",
        *(f"{manifest.counts[key]:,}" for key in ("users", "items", "interactions")),
        f"{seconds:.0f}",
        f"{peak:.2f}",
        ", ".join(f"{name} {value:.0f}" for name, value in manifest.seconds.items()),
    )
    Console().print(table)


if __name__ == "__main__":
    main()
