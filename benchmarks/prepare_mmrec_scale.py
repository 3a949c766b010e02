"""Time and peak memory of ``becam prepare mmrec`` on purchases at a hundred times H&M's scale.

Run by hand; the default (2 million users, 1.7 million items, 37 million interactions, two features
of 64 numbers an item) needs about 4 GB of disk:

    python benchmarks/prepare_mmrec_scale.py FOLDER [--scale 100] [--keep]

With ``--keep``, ``recommender_speed.py --dataset FOLDER/dataset`` trains on it afterwards.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import polars as pl
from recommender_speed import ITEMS, PAIRS, USERS, purchases
from scale import run

from becam.data.sources.mmrec import FEATURES


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=int, default=100)
    parser.add_argument("--dim", type=int, default=64)
    run(parser, "mmrec", generate, prepare=lambda release: {}, k_core=1)


def generate(options: argparse.Namespace, folder: Path) -> None:
    """Write the ``.inter`` with its split, and the features."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    scale = options.scale
    print(f"{USERS * scale:,} users, {ITEMS * scale:,} items, {PAIRS * scale:,} interactions")
    pairs = purchases(scale, rng)
    pl.DataFrame(
        {
            "userID": pairs[:, 0],
            "itemID": pairs[:, 1],
            "x_label": rng.choice(3, len(pairs), p=[0.8, 0.1, 0.1]),
        }
    ).write_csv(folder / "scale.inter", separator="\t")
    for modality in ("image", "text"):
        rows = rng.standard_normal((ITEMS * scale, options.dim), dtype=np.float32)
        np.save(folder / f"{modality}{FEATURES}", rows)


if __name__ == "__main__":
    main()
