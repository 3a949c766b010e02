import csv
import json

import numpy as np
import pytest
from PIL import Image

from becam.data.catalogue import CLASSES, Oracle, build_catalogue
from becam.data.catalogue.build import LABEL_COLOURS, catalogue_scenes
from becam.data.catalogue.render import render
from becam.errors import BecamError

SHAPE = {"n_items": 40, "n_users": 25, "image_size": 96}


def rows(path):
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def contents(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory):
    return build_catalogue(tmp_path_factory.mktemp("catalogue") / "shop", seed=3, **SHAPE)


def test_the_same_seed_gives_the_same_bytes(catalogue, tmp_path):
    again = build_catalogue(tmp_path / "again", seed=3, **SHAPE)
    assert contents(again) == contents(catalogue)


def test_another_seed_gives_another_catalogue(catalogue, tmp_path):
    other = contents(build_catalogue(tmp_path / "other", seed=4, **SHAPE))
    mine = contents(catalogue)
    assert other.keys() == mine.keys()
    assert all(other[name] != mine[name] for name in mine if name != "labels.json")


def test_items_describe_their_scenes(catalogue):
    items = rows(catalogue / "items.csv")
    scenes = catalogue_scenes(SHAPE["n_items"], 3)
    assert len({item["item_id"] for item in items}) == len(items) == len(scenes)
    for item, spec in zip(items, scenes, strict=True):
        product = spec.product
        assert (item["type"], item["colour"], item["pattern"], item["scene"]) == (
            product.type,
            product.colour,
            product.pattern,
            spec.scene,
        )
        assert item["category"] == product.type
        assert product.type in item["text"].lower()
        assert product.type in item["caption"]


def test_pictures_and_masks_are_those_of_the_scenes(catalogue):
    scenes = catalogue_scenes(SHAPE["n_items"], 3)
    for item, spec in list(zip(rows(catalogue / "items.csv"), scenes, strict=True))[:12]:
        drawn = render(spec, SHAPE["image_size"])
        with Image.open(catalogue / item["image"]) as image:
            difference = np.abs(np.asarray(image).astype(int) - drawn.image)
        assert difference.mean() < 4  # JPEG
        with Image.open(catalogue / "masks" / f"{item['item_id']}.png") as mask:
            assert mask.mode == "P"
            assert np.array_equal(np.asarray(mask), drawn.labels)
            shown = np.asarray(mask.convert("RGB"))
        assert np.array_equal(shown, np.array(LABEL_COLOURS, np.uint8)[drawn.labels])


def test_labels_name_the_classes(catalogue):
    labels = json.loads((catalogue / "labels.json").read_text())
    assert labels["classes"] == list(CLASSES)
    assert labels["colours"] == [list(colour) for colour in LABEL_COLOURS]


def test_interactions_refer_to_users_and_items(catalogue):
    interactions = rows(catalogue / "interactions.csv")
    items = {item["item_id"] for item in rows(catalogue / "items.csv")}
    pairs = [(row["user_id"], row["item_id"]) for row in interactions]
    assert len(set(pairs)) == len(pairs)
    assert {item for _, item in pairs} <= items
    assert len({user for user, _ in pairs}) == SHAPE["n_users"]
    assert all(int(row["timestamp"]) > 0 for row in interactions)


def test_utility_depends_on_the_product_and_never_on_the_scene(tmp_path):
    """Items with one product in different scenes differ by popularity alone, for every user."""
    folder = build_catalogue(tmp_path / "many", n_items=400, n_users=30, seed=0, image_size=32)
    utility = Oracle.open(folder).utility
    groups = {}
    for index, spec in enumerate(catalogue_scenes(400, 0)):
        groups.setdefault(spec.product, []).append((index, spec.scene))
    twins = [group for group in groups.values() if len({scene for _, scene in group}) > 1]
    assert twins
    for (first, _), (second, _), *_ in twins:
        difference = utility[:, first] - utility[:, second]
        assert np.ptp(difference) < 1e-4
    assert np.ptp(utility[:, 0] - utility[:, 1]) > 1


def test_the_oracle_speaks_of_the_same_users_and_items(catalogue):
    oracle = Oracle.open(catalogue)
    assert oracle.item_ids == [item["item_id"] for item in rows(catalogue / "items.csv")]
    assert {row["user_id"] for row in rows(catalogue / "interactions.csv")} <= set(oracle.user_ids)
    assert oracle.utility.shape == (SHAPE["n_users"], SHAPE["n_items"])
    index = {item: i for i, item in enumerate(oracle.item_ids)}
    users = {user: u for u, user in enumerate(oracle.user_ids)}
    bought = [
        oracle.utility[users[row["user_id"]], index[row["item_id"]]]
        for row in rows(catalogue / "interactions.csv")
    ]
    assert np.mean(bought) > oracle.utility.mean() + 0.5


def test_errors_say_what_to_do(catalogue, tmp_path):
    with pytest.raises(BecamError, match="--overwrite"):
        build_catalogue(catalogue, seed=3, **SHAPE)
    with pytest.raises(BecamError, match="at least one item"):
        build_catalogue(tmp_path / "none", n_items=0)
    with pytest.raises(BecamError, match="oracle"):
        Oracle.open(tmp_path)
    assert not (tmp_path / "none").exists()


def test_overwrite_replaces(tmp_path):
    folder = build_catalogue(tmp_path / "shop", n_items=3, n_users=2, seed=0, image_size=48)
    (folder / "images" / "stale").touch()
    build_catalogue(folder, n_items=2, n_users=2, seed=1, image_size=48, overwrite=True)
    assert not (folder / "images" / "stale").exists()
    assert len(rows(folder / "items.csv")) == 2


def test_the_csv_source_reads_it(catalogue, tmp_path):
    from becam.data.preparation import prepare_dataset

    dataset = prepare_dataset("csv", catalogue, tmp_path / "dataset", k_core=2)
    texts = {item["item_id"]: item["text"] for item in rows(catalogue / "items.csv")}
    assert dataset.n_users == SHAPE["n_users"]
    assert dataset.n_items > 0.7 * SHAPE["n_items"]
    for index, item in enumerate(dataset.item_ids):
        assert dataset.image_path(index).samefile(catalogue / "images" / f"{item}.jpg")
        assert dataset.items["text"][index] == texts[item]
        assert dataset.items["category"][index] in texts[item].lower()
