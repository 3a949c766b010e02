from __future__ import annotations

import json
import shutil

import numpy as np
import polars as pl
import pytest
from planted import planted_dataset
from rawdata import hm_article, random_purchases, write_hm

from becam.data.dataset import Dataset
from becam.data.features import FeatureWriter
from becam.data.preparation import prepare_dataset
from becam.errors import BecamError


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    folder = tmp_path_factory.mktemp("folder")
    hm = write_hm(folder / "hm", random_purchases(0), [hm_article(n) for n in range(25)])
    return prepare_dataset("hm", hm, folder / "out", k_core=4).path


@pytest.fixture
def path(original, tmp_path):
    shutil.copytree(original, tmp_path / "copy")
    edit(tmp_path / "copy", tables={})  # as a dataset of an earlier becam
    return tmp_path / "copy"


def add_features(path, name, modalities=("image",), dim=3):
    dataset = Dataset.open(path)
    for modality in modalities:
        writer = FeatureWriter(dataset, name, modality, {"spec": "x"}, dim)
        writer.write(np.arange(dataset.n_items), np.ones((dataset.n_items, dim)))
        writer.finish()


def edit(path, **changes):
    record = json.loads((path / "manifest.json").read_text())
    (path / "manifest.json").write_text(json.dumps({**record, **changes}))


def cut(path):
    path.write_bytes(path.read_bytes()[:-20])


def lose_a_row(path):
    pl.read_parquet(path).head(-1).write_parquet(path)


def lose_a_column(path):
    pl.read_parquet(path).drop("split").write_parquet(path)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda p: (p / "manifest.json").unlink(), "is not a dataset: .* without manifest.json"),
        (lambda p: shutil.rmtree(p), "is not a dataset: it is not there"),
        (lambda p: (p / "manifest.json").write_text("{"), "manifest.json is damaged"),
        (lambda p: (p / "manifest.json").write_text("{}"), "missing required field format"),
        (lambda p: (p / "manifest.json").write_text("[1]"), "expected object, got array"),
        (
            lambda p: (p / "manifest.json").write_text('{"format": 1}'),
            "missing required field name",
        ),
        (lambda p: (p / "manifest.json").write_bytes(b"\xff\xfe\x00"), "manifest.json is damaged"),
        (lambda p: edit(p, format=99), "newer becam"),
        (lambda p: (p / "users.parquet").unlink(), "users.parquet is missing"),
        (lambda p: cut(p / "items.parquet"), "items.parquet cannot be read"),
        (lambda p: (p / "items.parquet").write_bytes(b""), "items.parquet"),
        (lambda p: lose_a_row(p / "interactions.parquet"), "interactions.parquet has .* rows"),
        (lambda p: lose_a_row(p / "items.parquet"), "items.parquet has .* rows"),
        (lambda p: lose_a_column(p / "interactions.parquet"), "lacks the column split"),
        (lambda p: edit(p, counts={}), "the manifest states None"),
    ],
)
def test_a_folder_that_is_not_whole_is_one_sentence(path, damage, message):
    Dataset.open(path)
    damage(path)
    with pytest.raises(BecamError, match=message) as caught:
        Dataset.open(path)
    assert "\n" not in str(caught.value)


def test_a_file_is_not_a_dataset(path):
    with pytest.raises(BecamError, match="is not a dataset"):
        Dataset.open(path / "items.parquet")


def test_an_unknown_split_is_one_sentence(path):
    with pytest.raises(BecamError, match="train, validation, test"):
        Dataset.open(path).interactions("valid")  # type: ignore[arg-type]


def test_picture_paths_move_with_a_relative_root(path):
    dataset = Dataset.open(path)
    absolute = dataset.image_path(2)
    assert absolute is not None
    assert absolute.is_file()
    shutil.copytree(dataset.manifest.image_root, path / "pictures")
    edit(path, image_root="pictures")
    moved = Dataset.open(path).image_path(2)
    assert moved == path / "pictures" / absolute.relative_to(dataset.manifest.image_root)
    assert moved.is_file()


def test_the_only_feature_set_needs_no_name(path):
    dataset = Dataset.open(path)
    assert dataset.feature_sets() == []
    with pytest.raises(BecamError, match="becam features"):
        dataset.feature_set()
    add_features(path, "one", ("text", "image"))
    features = dataset.feature_set()
    assert (features.name, features.modalities) == ("one", ("image", "text"))
    assert features.load("text").shape == (dataset.n_items, 3)
    assert not features.load("text").flags.writeable
    add_features(path, "two")
    with pytest.raises(BecamError, match="one, two"):
        dataset.feature_set()
    assert dataset.feature_set("two").name == "two"
    with pytest.raises(BecamError, match=r"no feature set three .*one, two"):
        dataset.feature_set("three")
    with pytest.raises(BecamError, match="no text features, only image"):
        dataset.feature_set("two").load("text")


def test_modalities_have_an_order_of_their_own(path):
    add_features(path, "many", ("video", "text", "audio", "image"))
    assert Dataset.open(path).feature_set("many").modalities == ("image", "text", "audio", "video")
    add_features(path, "heard", ("video", "audio"))
    features = Dataset.open(path).feature_set("heard")
    assert features.modalities == ("audio", "video")
    assert list(features.encoders) == ["audio", "video"]
    with pytest.raises(BecamError, match="no image features, only audio, video"):
        features.load("image")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda p: (p / "image.npy").unlink(), "is missing; .*--name one --overwrite"),
        (lambda p: cut(p / "image.npy"), "is damaged"),
        (lambda p: (p / "image.npy").write_bytes(b""), "is damaged"),
        (lambda p: np.save(p / "image.npy", np.ones((4, 3), np.float32)), r"shape \(4, 3\) where"),
        (lambda p: np.save(p / "image.npy", np.ones((25, 3))), "holds float64"),
    ],
)
def test_damaged_features_are_one_sentence(path, damage, message):
    add_features(path, "one")
    damage(path / "features" / "one")
    features = Dataset.open(path).feature_set("one")
    with pytest.raises(BecamError, match=message):
        features.load("image")


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"format": "x", "complete": 1}'])
def test_a_damaged_record_of_features_is_one_sentence(path, text):
    add_features(path, "one")
    (path / "features" / "one" / "features.json").write_text(text)
    with pytest.raises(BecamError, match=r"features\.json is damaged"):
        Dataset.open(path).feature_sets()


def test_features_of_a_newer_becam(path):
    add_features(path, "one")
    record = {"format": 9, "complete": True, "modalities": {}}
    (path / "features" / "one" / "features.json").write_text(json.dumps(record))
    with pytest.raises(BecamError, match="newer becam"):
        Dataset.open(path).feature_sets()


@pytest.mark.parametrize(
    ("table", "column", "kind"),
    [
        ("interactions", "user", pl.struct("user")),
        ("interactions", "split", pl.col("split").cast(pl.Float64)),
        ("items", "image", pl.struct("image")),
        ("items", "image", pl.lit(7)),
        ("items", "id", pl.col("id").str.len_bytes()),
        ("items", "text", pl.concat_list("text")),
        ("users", "id", pl.col("user").cast(pl.Datetime)),
    ],
)
def test_columns_of_other_kinds_are_refused(tmp_path, table, column, kind):
    folder = planted_dataset(tmp_path / "d").path
    file = folder / f"{table}.parquet"
    pl.read_parquet(file).with_columns(kind.alias(column)).write_parquet(file)
    with pytest.raises(
        BecamError, match=rf"{table}.parquet holds .* in the column {column}, where"
    ):
        Dataset.open(folder)
