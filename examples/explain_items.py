"""Explain several items of a dataset through several checkpoints, all on one sheet.

    python examples/explain_items.py DATASET --ckpt bm3/befa.pt --ckpt bm3-befa/befa.pt -o sheet.png

Items are taken one of each category in turn, in the dataset's order, so that nobody picks the
pictures that look best.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from matplotlib.figure import Figure

from becam import Dataset, Explainer, read_image
from becam.attribution.heatmap import Heatmap
from becam.attribution.methods import BeCAM
from becam.demo.run import one_of_each_kind
from becam.figures.overlay import overlay
from becam.progress import track


def main() -> None:
    """Explain and draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--ckpt", type=Path, action="append", required=True)
    parser.add_argument("--items", type=int, default=10)
    parser.add_argument("--weighting", default="cosine", help="cosine, centered, increase, softmax")
    parser.add_argument("--precision", default="float32", help="bfloat16 is faster")
    parser.add_argument("--weights", type=Path, action="append", default=[])
    parser.add_argument("-o", "--output", type=Path, default=Path("sheet.png"))
    arguments = parser.parse_args()
    dataset = Dataset.open(arguments.dataset)
    explainer = Explainer(
        arguments.ckpt,
        method=BeCAM(arguments.weighting),
        weights=arguments.weights,
        precision=arguments.precision,
    )
    items = one_of_each_kind(dataset, arguments.items)
    columns: list[tuple[int, list[Heatmap]]] = []
    for item in track(items, desc="Explaining pictures", unit="picture"):
        path = dataset.image_path(item)
        if path is not None:
            columns.append((item, explainer.explain(path, dataset.item_ids[item])))
    rows = 1 + len(arguments.ckpt)
    figure = Figure(figsize=(2.1 * len(columns), 3.5 * rows), layout="constrained")
    axes = figure.subplots(rows, len(columns), squeeze=False)
    for column, (item, heatmaps) in enumerate(columns):
        picture = read_image(dataset.image_path(item))  # type: ignore[arg-type]
        axes[0][column].imshow(picture)
        axes[0][column].set_title(f"{dataset.item_ids[item]}\n{_category(dataset, item)}", size=8)
        for row, heatmap in enumerate(heatmaps, start=1):
            axes[row][column].imshow(overlay(picture, heatmap))
            axes[row][column].set_title(_caption(heatmap, name=column == 0), size=7)
    for axis in axes.flat:
        axis.axis("off")
    figure.savefig(arguments.output, dpi=110)
    print(f"Wrote {arguments.output}")


def _category(dataset: Dataset, item: int) -> str:
    return str(dataset.items["category"][item] or "")[:22]


def _caption(heatmap: Heatmap, *, name: bool) -> str:
    controls = heatmap.controls

    def show(value: float | None) -> str:
        return "n/a" if value is None else f"{value:+.2f}"

    head = f"{heatmap.label}\n" if name else "\n"
    return (
        f"{head}w {controls.weight_mean:+.2f} ± {controls.weight_std:.3f}, θ "
        f"{controls.theta:.0f}°\n"
        f"r: act {show(controls.correlation_activation)}, oth "
        f"{show(controls.correlation_others)}, shuf {show(controls.correlation_randomised)}"
    )


if __name__ == "__main__":
    main()
