"""The synthetic catalogue on disk: pictures, label maps, texts and purchases."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from becam.data.catalogue.attributes import CLASSES, SceneSpec
from becam.data.catalogue.captions import caption, item_text
from becam.data.catalogue.render import render
from becam.data.catalogue.sample import sample_scene
from becam.data.catalogue.tastes import sample_interactions, sample_popularity, sample_tastes
from becam.errors import BecamError
from becam.files import Contents, atomic_dir, save_arrays, save_picture
from becam.limits import SEED
from becam.progress import track

LABEL_COLOURS = (
    (28, 28, 32),
    (214, 48, 62),
    (244, 196, 156),
    (122, 78, 40),
    (246, 222, 84),
    (60, 140, 216),
    (92, 176, 112),
)
"""RGB of each class in the palette of the label maps."""

CONTENTS = Contents(
    "a catalogue",
    signs=frozenset({"images", "masks", "items.csv", "interactions.csv", "labels.json"}),
    others=frozenset({"oracle.npz"}),
)

_FIRST_DAY = 1_700_000_000
_DAY = 86_400


@dataclass(frozen=True)
class Oracle:
    """What users truly like, for judging recommenders and explanations.

    Attributes:
        utility: float32 (U, I); its exponential is proportional to the chance of a purchase.
        user_ids: as in ``interactions.csv``.
        item_ids: as in ``items.csv``.
    """

    utility: NDArray[np.float32]
    user_ids: list[str]
    item_ids: list[str]

    @classmethod
    def open(cls, catalogue: str | Path) -> Oracle:
        """The oracle of a catalogue folder.

        Raises:
            BecamError: the folder has none.
        """
        path = Path(catalogue) / "oracle.npz"
        if not path.is_file():
            raise BecamError(
                f"{catalogue} has no oracle.npz, so it is not a synthetic catalogue; build one "
                "with becam demo."
            )
        with np.load(path, allow_pickle=False) as stored:
            return cls(stored["utility"], stored["user_ids"].tolist(), stored["item_ids"].tolist())


def catalogue_scenes(n_items: int, seed: int) -> list[SceneSpec]:
    """The scenes of a catalogue's items, in order."""
    return [sample_scene(np.random.default_rng([seed, 1, index])) for index in range(n_items)]


def build_catalogue(
    output: str | Path,
    *,
    n_items: int = 500,
    n_users: int = 800,
    seed: int = 0,
    image_size: int = 256,
    overwrite: bool = False,
) -> Path:
    """Write a catalogue that the ``csv`` source reads; the same seed gives the same bytes.

    The folder has ``items.csv`` (item_id, image, text, category, caption, type, colour, pattern,
    scene), ``interactions.csv`` (user_id, item_id, timestamp), ``images/ID.jpg``,
    ``masks/ID.png`` (palette index = class), ``labels.json`` (class names and colours) and
    ``oracle.npz`` (the users' true utilities).

    Args:
        output: the folder to write.
        n_items: number of items, each with one picture.
        n_users: number of users, each with 12 to 25 interactions.
        seed: decides everything.
        image_size: the pictures' shorter side in pixels.
        overwrite: replace an existing folder.

    Raises:
        BecamError: a number is too small, or the folder exists or cannot be written.
    """
    if n_items < 1 or n_users < 1 or image_size < 32:
        raise BecamError(
            "A catalogue needs at least one item, one user and pictures of 32 pixels; raise the "
            "number that is smaller."
        )
    SEED.check(seed, "--seed")
    output = Path(output)
    scenes = catalogue_scenes(n_items, seed)
    item_ids = _ids("item", n_items)
    user_ids = _ids("user", n_users)
    with atomic_dir(output, CONTENTS, overwrite=overwrite) as folder:
        _write_pictures(folder, item_ids, scenes, image_size)
        _write_items(folder / "items.csv", item_ids, scenes, seed)
        _write_behaviour(folder, user_ids, item_ids, scenes, seed)
        labels = {"classes": list(CLASSES), "colours": [list(c) for c in LABEL_COLOURS]}
        (folder / "labels.json").write_text(json.dumps(labels, indent=1) + "\n", encoding="utf-8")
    return output


def _ids(prefix: str, count: int) -> list[str]:
    width = max(4, len(str(count - 1)))
    return [f"{prefix}{index:0{width}d}" for index in range(count)]


def _write_pictures(
    folder: Path, item_ids: Sequence[str], scenes: Sequence[SceneSpec], size: int
) -> None:
    (folder / "images").mkdir()
    (folder / "masks").mkdir()
    palette = [channel for colour in LABEL_COLOURS for channel in colour]
    for item, spec in track(
        list(zip(item_ids, scenes, strict=True)), desc="Drawing pictures", unit="picture"
    ):
        drawn = render(spec, size)
        image = Image.fromarray(drawn.image)
        save_picture(image, folder / "images" / f"{item}.jpg", "JPEG", quality=93, subsampling=0)
        mask = Image.fromarray(drawn.labels)
        mask.putpalette(palette)
        save_picture(mask, folder / "masks" / f"{item}.png", "PNG", optimize=True)


def _write_items(
    path: Path, item_ids: Sequence[str], scenes: Sequence[SceneSpec], seed: int
) -> None:
    header = [
        "item_id",
        "image",
        "text",
        "category",
        "caption",
        "type",
        "colour",
        "pattern",
        "scene",
    ]
    rows = []
    for index, (item, spec) in enumerate(zip(item_ids, scenes, strict=True)):
        rng = np.random.default_rng([seed, 2, index])
        product = spec.product
        rows.append(
            (
                item,
                f"images/{item}.jpg",
                item_text(spec, rng),
                product.type,
                caption(spec, rng),
                product.type,
                product.colour,
                product.pattern,
                spec.scene,
            )
        )
    _write_csv(path, header, rows)


def _write_behaviour(
    folder: Path,
    user_ids: Sequence[str],
    item_ids: Sequence[str],
    scenes: Sequence[SceneSpec],
    seed: int,
) -> None:
    rng = np.random.default_rng([seed, 3])
    tastes = sample_tastes(len(user_ids), rng)
    utility = tastes.affinity([spec.product for spec in scenes])
    utility += sample_popularity(len(item_ids), rng)
    pairs = sample_interactions(utility, rng)
    seconds = np.cumsum(rng.integers(600, _DAY, len(pairs))) % (90 * _DAY)
    rows = [
        (user_ids[user], item_ids[item], _FIRST_DAY + int(second))
        for (user, item), second in zip(pairs, seconds, strict=True)
    ]
    _write_csv(folder / "interactions.csv", ["user_id", "item_id", "timestamp"], rows)
    save_arrays(
        folder / "oracle.npz",
        {
            "utility": utility.astype(np.float32),
            "user_ids": np.array(user_ids),
            "item_ids": np.array(item_ids),
        },
    )


def _write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
