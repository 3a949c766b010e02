from __future__ import annotations

import errno
import hashlib
import os
import shutil
import signal
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rawdata import hm_article, hm_customer, write_hm

import becam
from becam.data import features as features_module
from becam.data.dataset import Dataset
from becam.data.features import FeatureWriter
from becam.data.preparation import prepare_dataset
from becam.encoders.extraction import extract_features
from becam.errors import BecamError
from becam.files import filling

ITEMS, DIM = 20, 5
ENCODER = {"spec": "x", "weights_sha256": "ab", "config": {"size": (1, 2)}}
VALUES = np.random.default_rng(0).normal(size=(ITEMS, DIM)).astype(np.float32)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    folder = tmp_path_factory.mktemp("features")
    articles = [hm_article(n) for n in range(ITEMS)]
    purchases = [(hm_customer(1), article, "2020-01-01") for article in articles]
    hm = write_hm(folder / "hm", purchases, articles)
    return prepare_dataset("hm", hm, folder / "out", k_core=1).path


@pytest.fixture
def dataset(path):
    yield Dataset.open(path)
    shutil.rmtree(path / "features", ignore_errors=True)


def writer(dataset, name="set", modality="image", encoder=None, dim=DIM, **options):
    return FeatureWriter(dataset, name, modality, encoder or ENCODER, dim, **options)


def write_all(dataset, **options):
    one = writer(dataset, **options)
    missing = np.flatnonzero(~one.done())
    one.write(missing, VALUES[missing])
    one.finish()


@settings(max_examples=30, deadline=None)
@given(order=st.permutations(range(ITEMS)), cuts=st.lists(st.integers(0, ITEMS), max_size=4))
def test_any_order_in_any_number_of_runs(path, order, cuts):
    dataset = Dataset.open(path)
    bounds = sorted({0, *cuts, ITEMS})
    for start, stop in pairwise(bounds):
        one = writer(dataset, name="any", overwrite=True)
        assert sorted(np.flatnonzero(one.done())) == sorted(order[:start])
        assert "any" not in dataset.feature_sets()
        one.write(order[start:stop], VALUES[order[start:stop]])
    one = writer(dataset, name="any", overwrite=True)
    assert one.done().all()
    one.finish()
    stored = dataset.feature_set("any").load("image")
    np.testing.assert_array_equal(stored, VALUES)


def test_the_record(dataset):
    write_all(dataset)
    record = dataset.feature_set("set").records["image"]
    file = dataset.path / "features" / "set" / "image.npy"
    assert record == {
        "encoder": {"spec": "x", "weights_sha256": "ab", "config": {"size": [1, 2]}},
        "dim": DIM,
        "rows": ITEMS,
        "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
    }
    assert sorted(os.listdir(file.parent)) == ["features.json", "image.npy"]
    np.testing.assert_array_equal(np.load(file, allow_pickle=False), VALUES)


def test_a_partial_set_is_not_listed_and_not_finished(dataset):
    one = writer(dataset)
    one.write([3, 1], VALUES[[3, 1]])
    assert dataset.feature_sets() == []
    with pytest.raises(BecamError, match="18 of 20 rows"):
        one.finish()
    assert dataset.feature_sets() == []
    with pytest.raises(BecamError, match="no finished feature set set"):
        dataset.feature_set("set")


def test_a_set_is_complete_when_all_its_modalities_are(dataset):
    both = ("image", "text")
    write_all(dataset, modalities=both)
    assert dataset.feature_sets() == []
    write_all(dataset, modality="text", modalities=both)
    assert dataset.feature_set("set").modalities == both
    # Without text after all.
    write_all(dataset, modalities=("image",))
    assert dataset.feature_set("set").modalities == ("image",)
    assert not (dataset.path / "features" / "set" / "text.npy").exists()


def test_a_second_modality_in_the_making_takes_the_set_off_the_list(dataset):
    write_all(dataset)
    assert dataset.feature_sets() == ["set"]
    writer(dataset, modality="text").write([0], VALUES[:1])
    assert dataset.feature_sets() == []
    write_all(dataset, modality="text")
    assert dataset.feature_set("set").modalities == ("image", "text")


def test_a_finished_matrix_is_all_done_and_stays(dataset):
    write_all(dataset)
    again = writer(dataset)
    assert again.done().all()
    again.write([], np.zeros((0, DIM)))
    again.finish()
    np.testing.assert_array_equal(dataset.feature_set("set").load("image"), VALUES)


@pytest.mark.parametrize(
    "other",
    [
        {"encoder": {**ENCODER, "weights_sha256": "cd"}},
        {"encoder": {**ENCODER, "spec": "y"}},
        {"dim": DIM + 1},
    ],
)
def test_another_encoder(dataset, other):
    writer(dataset).write([0, 1], VALUES[:2])
    # Unfinished: discarded.
    fresh = writer(dataset, **other)
    assert not fresh.done().any()
    write_all(dataset)
    # Finished: kept, unless told otherwise.
    with pytest.raises(BecamError, match="--name or pass --overwrite"):
        writer(dataset, **other)
    np.testing.assert_array_equal(dataset.feature_set("set").load("image"), VALUES)
    replaced = writer(dataset, **other, overwrite=True)
    assert not replaced.done().any()
    assert dataset.feature_sets() == []


@pytest.mark.parametrize("damage", ["image.done", "image.part.json", "image.npy"])
def test_a_lost_sidecar_means_to_begin_again(dataset, damage):
    writer(dataset).write([0, 1], VALUES[:2])
    (dataset.path / "features" / "set" / damage).unlink()
    assert not writer(dataset).done().any()


def test_features_that_are_not_finite_are_refused(dataset):
    one = writer(dataset)
    values = VALUES[:3].copy()
    values[1, 0] = np.inf
    with pytest.raises(BecamError, match=r"1 items .the first at row 8. are not finite"):
        one.write([7, 8, 9], values)
    assert not one.done().any()


def test_misuse_is_an_error_and_writes_nothing(dataset):
    one = writer(dataset)
    with pytest.raises(ValueError, match="shape"):
        one.write([0], VALUES[:2])
    with pytest.raises(IndexError):
        one.write([ITEMS], VALUES[:1])
    with pytest.raises(IndexError):
        one.write([-1], VALUES[:1])
    assert not one.done().any()


@pytest.mark.parametrize("modality", ["", "Image", "a/b", "..", "a.b", "é", "a b"])
def test_a_modality_that_is_no_name(dataset, modality):
    with pytest.raises(BecamError, match="cannot name a modality"):
        writer(dataset, modality=modality)
    assert not (dataset.path / "features").exists()


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", ".hidden"])
def test_a_name_that_is_no_folder(dataset, name):
    with pytest.raises(BecamError, match="--name"):
        writer(dataset, name=name)


def test_rows_are_on_disk_before_they_are_marked(dataset, monkeypatch):
    """At each flush, a copy of the folder as a crash would leave it marks only good rows."""
    one = writer(dataset)
    folder = dataset.path / "features" / "set"
    flushed = []
    real = features_module._flush

    def flush(stream):
        real(stream)
        marks = np.fromfile(folder / "image.done", dtype=bool)
        matrix = np.load(folder / "image.npy", allow_pickle=False)
        np.testing.assert_array_equal(matrix[marks], VALUES[marks])
        flushed.append(int(marks.sum()))

    monkeypatch.setattr(features_module, "_flush", flush)
    one.write([4, 5, 9], VALUES[[4, 5, 9]])
    one.write([0], VALUES[[0]])
    assert flushed == [0, 3, 3, 4]  # each time the matrix first, then the marks


def test_a_full_disk_loses_no_rows(dataset, monkeypatch):
    one = writer(dataset)
    one.write([0, 1], VALUES[:2])

    def full(stream):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(features_module, "_flush", full)
        with pytest.raises(BecamError, match="disk is full"):
            one.write([2, 3], VALUES[2:4])
    again = writer(dataset)
    assert np.flatnonzero(again.done()).tolist() == [0, 1]
    write_all(dataset)
    np.testing.assert_array_equal(dataset.feature_set("set").load("image"), VALUES)


def test_a_matrix_that_is_not_becams_stays(dataset):
    mine = dataset.path / "features" / "mine" / "image.npy"
    mine.parent.mkdir(parents=True)
    mine.write_bytes(b"precious")
    for overwrite in (False, True):
        with pytest.raises(BecamError, match="is not becam's"):
            writer(dataset, "mine", overwrite=overwrite)
    assert mine.read_bytes() == b"precious"


def test_two_processes_on_one_set(dataset):
    """The second is refused, by what they both call; nothing is made for a set that fails."""
    folder = dataset.path / "features" / "vit"
    with filling(folder), pytest.raises(BecamError, match=rf"Another becam .* {folder};"):
        extract_features(dataset, "becam:vit", name="vit")
    assert not (dataset.path / "features").exists()
    with pytest.raises(BecamError):
        extract_features(dataset, "becam:nonsense", name="vit")
    assert not (dataset.path / "features").exists()


WRITING = """
import sys, time
import numpy as np
from becam.data.dataset import Dataset
from becam.data.features import FeatureWriter
dataset = Dataset.open(sys.argv[1])
rows, dim = dataset.n_items, 3000
writer = FeatureWriter(dataset, "big", "image", {"spec": "x"}, dim)
for row in np.flatnonzero(~writer.done()):
    writer.write([row], np.full((1, dim), row + 1))
    print(row, flush=True)
    time.sleep(0.01)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_killed_again_and_again_it_goes_on(dataset):
    written = []
    for _ in range(3):
        child = subprocess.Popen(
            [sys.executable, "-c", WRITING, str(dataset.path)],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(Path(becam.__file__).parents[1])},
        )
        assert child.stdout is not None
        for _ in range(4):
            written.append(int(child.stdout.readline()))
        child.send_signal(signal.SIGKILL)
        # Rows that it wrote between our reading and its end.
        written += [int(line) for line in child.stdout.read().splitlines()]
        assert child.wait() == -signal.SIGKILL
        child.stdout.close()
        assert dataset.feature_sets() == []
    assert len(written) < ITEMS
    # No row was written twice, save perhaps one a kill: marked rows are never asked for again.
    assert len(set(written)) >= len(written) - 3
    last = writer(dataset, name="big", encoder={"spec": "x"}, dim=3000)
    done = last.done()
    assert set(written) <= set(np.flatnonzero(done))
    missing = np.flatnonzero(~done)
    last.write(missing, np.repeat(missing[:, None] + 1, 3000, 1))
    last.finish()
    stored = dataset.feature_set("big").load("image")
    expected = np.repeat(np.arange(1, ITEMS + 1)[:, None], 3000, 1)
    np.testing.assert_array_equal(stored, expected)
