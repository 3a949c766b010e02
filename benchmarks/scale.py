"""What the ``prepare_*_scale`` benchmarks share: rows, pictures, measuring, the table."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from rich.console import Console
from rich.table import Table

PICTURES = 8  # distinct ones; a file system limits the hard links of each

PREPARE = """
import json, sys
from becam.data.preparation import prepare_dataset
prepare_dataset(*sys.argv[1:4], overwrite=True, **json.loads(sys.argv[4]))
"""


def run(
    parser: argparse.ArgumentParser,
    source: str,
    generate: Callable[[argparse.Namespace, Path], None],
    prepare: Callable[[Path], dict[str, Any]],
    k_core: int = 10,
) -> None:
    """Generate, prepare in a process of its own, print the table, delete.

    Args:
        parser: with the benchmark's own options.
        source: becam's name of the source.
        generate: writes a release into a folder that is not there yet.
        prepare: options of ``prepare_dataset`` for a release.
        k_core: unless the command line says otherwise.
    """
    parser.add_argument("folder", type=Path, help="a folder that does not exist yet")
    parser.add_argument("--k-core", type=int, default=k_core)
    parser.add_argument("--keep", action="store_true", help="keep the generated files")
    options = parser.parse_args()
    release, output = options.folder / source, options.folder / "dataset"
    try:
        if not release.exists():
            generate(options, release)
        chosen = prepare(release) | {"k_core": options.k_core}
        seconds, peak = measure(source, release, output, chosen)
        show(release, output, seconds, peak)
    finally:
        if not options.keep:
            shutil.rmtree(options.folder)


def draw(rng: np.random.Generator, cumulative: np.ndarray, n: int) -> np.ndarray:
    """``n`` indices with probability proportional to the increments of ``cumulative``."""
    return np.searchsorted(cumulative, rng.random(n) * cumulative[-1])


def write_pictures(
    folder: Path, targets: Iterable[Path], size: tuple[int, int], rng: np.random.Generator
) -> None:
    """JPEGs of smooth noise in ``folder``, hard-linked at all ``targets``."""
    originals = []
    for number in range(PICTURES):
        noise = Image.fromarray(rng.integers(60, 256, (60, 40, 3), dtype=np.uint8))
        path = folder / f"original{number}.jpg"
        noise.resize(size, Image.Resampling.BICUBIC).save(path, quality=90)
        originals.append(path)
    for number, target in enumerate(targets):
        target.parent.mkdir(parents=True, exist_ok=True)
        os.link(originals[number % PICTURES], target)


def measure(
    source: str, release: Path, output: Path, options: dict[str, Any]
) -> tuple[float, float]:
    """Wall seconds and peak resident GiB of one run in a child process."""
    start = time.perf_counter()
    child = subprocess.Popen(
        [sys.executable, "-c", PREPARE, source, str(release), str(output), json.dumps(options)]
    )
    _, status, usage = os.wait4(child.pid, 0)
    if status:
        raise SystemExit("prepare failed")
    return time.perf_counter() - start, usage.ru_maxrss / 2**20


def show(release: Path, output: Path, seconds: float, peak: float) -> None:
    """The table."""
    from becam.data.dataset import Dataset

    manifest = Dataset.open(output).manifest
    size = sum(path.stat().st_size for path in release.iterdir() if path.suffix != ".jpg") / 2**30
    table = Table("raw GiB", "users", "items", "interactions", "wall s", "peak GiB", "stages s")
    table.add_row(
        f"{size:.2f}",
        *(f"{manifest.counts[key]:,}" for key in ("users", "items", "interactions")),
        f"{seconds:.0f}",
        f"{peak:.2f}",
        ", ".join(f"{name} {value:.0f}" for name, value in manifest.seconds.items()),
    )
    Console().print(table)
