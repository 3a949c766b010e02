"""Draw the documentation's pictures again: ``python scripts/docs/assets.py [FOLDER]``.

Everything comes from becam's own catalogue: the demo, and what the first tutorial makes of it.
``FOLDER`` keeps both, so that a second run is quick.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from pages import DOCS, Block, Givens, Runner
from PIL import Image

from becam import Dataset, Explainer, Heatmap, read_image
from becam.attribution.methods import BeCAM, create_method
from becam.evaluation.floors import FLOOR_METHODS
from becam.figures.overlay import overlay

ASSETS = DOCS / "assets"

ITEM = "item0042"
"""Taken for its number, before anybody had seen it."""
OTHERS = ("item0043", "item0044", "item0045")

COMMANDS = f"""
becam explain --image becam-demo/catalogue/images/{ITEM}.jpg --item-id {ITEM} \
    --ckpt run/bm3/befa.pt --ckpt run/bm3-befa/befa.pt -o explanation.png
becam words --item-id {ITEM} --dataset shop --ckpt run/bm3/befa.pt --ckpt run/bm3-befa/befa.pt \
    -o words.png
becam deviation run/bm3/befa.pt run/bm3-befa/befa.pt --dataset shop -o deviation --overwrite
"""

_COLOURS = 192
_QUALITY = 88
_METHODS = ("score-cam", "grad-cam", "grad-eclip", "attention-gradient", "rise")
_FLOORS = ("gaussian", "activation", "picture")


def main(folder: Path) -> None:
    """Draw all pictures into ``docs/assets``."""
    ASSETS.mkdir(exist_ok=True)
    shop = folder / "shop-and-demo"
    runner = Runner(shop, full=True)
    Givens(folder / "givens", full=True).copy(["shop"], shop)
    runner.run(Block("sh", COMMANDS, 0))
    _keep(Image.open(shop / "explanation.png"), "explanation.webp")
    _keep(Image.open(shop / "words.png"), "words.png")
    _keep(Image.open(shop / "deviation/histogram.png"), "deviation.png")
    dataset = Dataset.open(shop / "shop")
    explainer = Explainer(
        [shop / "run/bm3/befa.pt", shop / "run/bm3-befa/befa.pt"], randomise=False
    )
    _keep(_drawn(_targets(dataset, explainer)), "targets.webp")
    _keep(_drawn(_methods(dataset, explainer)), "methods.webp")


def _targets(dataset: Dataset, explainer: Explainer) -> Figure:
    """One picture compared with four items, before BeFA and after it."""
    picture = _picture(dataset, ITEM)
    views = explainer.encode(picture)
    rows = {
        "BM3": (0, BeCAM()),
        "BM3 + BeFA,\nEq. 2 to the letter": (1, BeCAM("cosine")),
        "BM3 + BeFA,\ncentred weights": (1, BeCAM()),
    }
    items = (ITEM, *OTHERS)
    found = [
        [explainer.score(views, item, method=method)[column] for item in items]
        for column, method in rows.values()
    ]
    titles = [f"compared with\n{_text(dataset, item)}" for item in items]
    return _grid(picture, found, titles, list(rows), width=8.4)


def _methods(dataset: Dataset, explainer: Explainer) -> Figure:
    """One picture and one item by several methods, and by floors that know no item."""
    picture = _picture(dataset, ITEM)
    views = explainer.encode(picture)
    methods = {"becam": BeCAM()} | {name: create_method(name) for name in _METHODS}
    methods |= {f"floor: {name}": FLOOR_METHODS[name] for name in _FLOORS}
    found = [explainer.score(views, ITEM, method=method)[0] for method in methods.values()]
    names, columns = list(methods), 5
    picture_first = [None, *found]
    rows = [picture_first[k : k + columns] for k in range(0, len(picture_first), columns)]
    titles = ["the picture", *names]
    return _grid(picture, rows, titles, [], width=8.4, each=True)


def _grid(
    picture: Image.Image,
    rows: Sequence[Sequence[Heatmap | None]],
    titles: Sequence[str],
    names: Sequence[str],
    *,
    width: float,
    each: bool = False,
) -> Figure:
    """Overlays in rows; titles over the first row, or over ``each`` panel."""
    columns = len(rows[0])
    ratio = picture.height / picture.width
    side = 0.95 * width / columns if names else width / columns
    size = (width, len(rows) * side * ratio + (0.3 * len(rows) if each else 0.4))
    figure, axes = plt.subplots(
        len(rows), columns, figsize=size, squeeze=False, layout="constrained"
    )
    for y, row in enumerate(rows):
        for x, heatmap in enumerate(row):
            place = axes[y][x]
            place.imshow(np.asarray(picture if heatmap is None else overlay(picture, heatmap)))
            place.set(xticks=[], yticks=[])
            place.spines[:].set_visible(False)
            if each or y == 0:
                place.set_title(titles[y * columns + x], fontsize=8)
        if names:
            axes[y][0].set_ylabel(names[y], fontsize=8)
    return figure


def _picture(dataset: Dataset, item: str) -> Image.Image:
    path = dataset.image_path(dataset.item_ids.index(item))
    assert path is not None
    return read_image(path)


def _text(dataset: Dataset, item: str) -> str:
    """The first sentence of an item's text: "Red solid cushion"."""
    text: str = dataset.items["text"][dataset.item_ids.index(item)]
    return text.partition(".")[0]


def _drawn(figure: Figure) -> Image.Image:
    figure.set_dpi(144)
    figure.canvas.draw()
    image = Image.fromarray(np.asarray(figure.canvas.buffer_rgba()))  # type: ignore[attr-defined]
    plt.close(figure)
    return image


def _keep(image: Image.Image, name: str) -> None:
    """Write a picture as small as it can be without its looking so: charts have few colours."""
    path = ASSETS / name
    plain = image.convert("RGB")
    if path.suffix == ".png":
        plain.quantize(_COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)
    else:
        plain.save(path, quality=_QUALITY, method=6)
    print(f"{path}: {path.stat().st_size / 1024:.0f} KiB, {image.width} x {image.height}")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]).resolve())
    else:
        with tempfile.TemporaryDirectory() as temporary:
            main(Path(temporary))
