"""Where the energy of BeCAM's maps lies on the synthetic catalogue, whose truth is planted.

Users of the catalogue like products alone, so a map that shows what behaviour says about an item
lies on the product. Takes a folder made by ``becam demo`` and prints a table: the mean share of
energy on each class of pixels over the items, with a 95% confidence interval for the product, and
the paired difference to each floor.

    python benchmarks/planted_truth.py becam-demo --items 120
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from becam import Dataset, Explainer, read_image
from becam.attribution.floors import FLOORS, floor_maps
from becam.attribution.methods import BeCAM
from becam.attribution.weighting import WEIGHTINGS
from becam.data.catalogue.attributes import CLASSES
from becam.data.catalogue.reading import read_labels
from becam.demo.run import AFTER, BEFORE, one_of_each_kind
from becam.evaluation.localisation import area_shares, energy_shares
from becam.progress import track

LABELS = dict(enumerate(CLASSES))


def measure(
    folder: Path, count: int, batch_size: int
) -> tuple[dict[str, np.ndarray], dict[str, list[float]]]:
    """Shares by method, each (count, classes), and the correlations with other items' maps."""
    dataset = Dataset.open(folder / "dataset")
    explainer = Explainer(
        [folder / "bm3" / "befa.pt", folder / "bm3-befa" / "befa.pt"],
        labels=[BEFORE, AFTER],
        randomise=False,
        batch_size=batch_size,
    )
    shares: dict[str, list[list[float]]] = {}
    others: dict[str, list[float]] = {}
    for item in track(one_of_each_kind(dataset, count), desc="explaining", unit="item"):
        item_id = dataset.item_ids[item]
        labels = read_labels(folder / "catalogue", item_id)
        path = dataset.image_path(item)
        assert path is not None
        views = explainer.encode(read_image(path))
        (view,) = views.values()
        maps = floor_maps(view.activation, view.geometry, seed=item)
        for weighting in WEIGHTINGS:
            for heatmap in explainer.score(views, item_id, method=BeCAM(weighting)):
                name = f"{heatmap.label}, {weighting}"
                maps[name] = heatmap.full()
                r = heatmap.controls.correlation_others
                others.setdefault(name, []).append(np.nan if r is None else r)
        for name, values in maps.items():
            found = energy_shares(values, labels, LABELS)
            shares.setdefault(name, []).append([found[c] for c in CLASSES])
        area = area_shares(maps["random"], labels, LABELS)
        shares.setdefault("area", []).append([area[c] for c in CLASSES])
    return {name: np.array(rows) for name, rows in shares.items()}, others


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--items", type=int, default=120)
    parser.add_argument("--batch-size", type=int, default=32)
    arguments = parser.parse_args()
    shares, others = measure(arguments.folder, arguments.items, arguments.batch_size)
    product = CLASSES.index("product")
    table = Table(title=f"{len(shares['area'])} items: energy by class, per cent")
    for column in ("map", "product ± 95%", *(f"vs {f}" for f in FLOORS)):
        table.add_column(column, justify="right")
    for name in CLASSES:
        if name != "product":
            table.add_column(name, justify="right")
    table.add_column("r others", justify="right")
    for name, rows in shares.items():
        cells = [name, _interval(rows[:, product])]
        cells += [_interval(rows[:, product] - shares[f][:, product], "+") for f in FLOORS]
        cells += [
            f"{100 * rows[:, index].mean():.1f}"
            for index, label in enumerate(CLASSES)
            if label != "product"
        ]
        cells.append(f"{np.nanmean(others[name]):+.2f}" if name in others else "")
        table.add_row(*cells)
    Console(width=190).print(table)


def _interval(values: np.ndarray, sign: str = "") -> str:
    half = 1.96 * values.std(ddof=1) / np.sqrt(len(values))
    return f"{100 * values.mean():{sign}.1f} ± {100 * half:.1f}"


if __name__ == "__main__":
    main()
