from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from rawdata import (
    hm_article,
    hm_customer,
    naive_core,
    pairs_of,
    random_purchases,
    write_hm,
    write_truncated_picture,
)

import becam
from becam.data import writing
from becam.data.dataset import Dataset
from becam.data.integrity import fingerprint
from becam.data.preparation import prepare_dataset
from becam.errors import BecamError

ARTICLES = [hm_article(number) for number in range(25)]


@pytest.fixture
def hm(tmp_path):
    return write_hm(tmp_path / "hm", random_purchases(0), ARTICLES)


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_indices_are_dense_and_rows_sorted(hm, tmp_path):
    dataset = prepare_dataset("hm", hm, tmp_path / "out", k_core=5)
    rows = dataset.interactions()
    assert rows.dtype == np.int64
    assert rows.tolist() == sorted(rows.tolist())
    assert np.unique(rows[:, 0]).tolist() == list(range(dataset.n_users))
    assert np.unique(rows[:, 1]).tolist() == list(range(dataset.n_items))
    assert dataset.user_ids == sorted(dataset.user_ids)
    assert dataset.item_ids == sorted(dataset.item_ids)
    schema = pl.read_parquet_schema(dataset.path / "interactions.parquet")
    assert schema == {
        "user": pl.UInt32,
        "item": pl.UInt32,
        "split": pl.UInt8,
        "timestamp": pl.Int64,
    }
    assert dataset.items.schema == {
        "item": pl.UInt32,
        "id": pl.String,
        "image": pl.String,
        "text": pl.String,
        "category": pl.String,
    }
    splits = [dataset.interactions(split) for split in ("train", "validation", "test")]
    assert sorted(np.concatenate(splits).tolist()) == rows.tolist()
    counts = dataset.manifest.counts
    assert [len(split) for split in splits] == [
        counts[name] for name in ("train", "validation", "test")
    ]
    statistics = dataset.manifest.statistics
    assert statistics["interactions_per_user"] == pytest.approx(
        np.bincount(rows[:, 0]).mean(), abs=1e-12
    )
    assert statistics["interactions_per_item"] == pytest.approx(
        np.bincount(rows[:, 1]).mean(), abs=1e-12
    )
    matrix = np.zeros((dataset.n_users, dataset.n_items))
    matrix[rows[:, 0], rows[:, 1]] = 1
    assert statistics["density"] == pytest.approx(matrix.mean(), abs=1e-12)


def test_user_and_item_core_differ(hm, tmp_path):
    dataset = prepare_dataset("hm", hm, tmp_path / "out", k_core=9, user_core=2)
    pairs = {(customer, article) for customer, article, _ in random_purchases(0)}
    assert pairs_of(dataset) == naive_core(pairs, 2, 9)
    assert dataset.manifest.filters == {"user_core": 2, "item_core": 9}


def test_an_unreadable_picture_makes_the_core_unravel(tmp_path):
    # A ring of five users and five items, each with two: without one item nothing is left of it.
    ring = [(n, n) for n in range(5)] + [(n, (n + 1) % 5) for n in range(5)]
    square = [(user, item) for user in (10, 11) for item in (10, 11)]
    purchases = [(hm_customer(u), hm_article(i), "2020-01-01") for u, i in ring + square]
    hm = write_hm(tmp_path / "hm", purchases, [hm_article(n) for n in (*range(5), 10, 11)])
    assert prepare_dataset("hm", hm, tmp_path / "whole", k_core=2).n_items == 7
    write_truncated_picture(hm / "images" / "000" / f"{hm_article(2)}.jpg")
    dataset = prepare_dataset("hm", hm, tmp_path / "out", k_core=2)
    assert dataset.item_ids == [hm_article(10), hm_article(11)]


def test_only_pictures_of_the_core_are_decoded(hm, tmp_path, monkeypatch):
    from becam.data import pictures

    decoded = []
    real = pictures.is_readable
    monkeypatch.setattr(pictures, "is_readable", lambda p: decoded.append(p.stem) or real(p))
    dataset = prepare_dataset("hm", hm, tmp_path / "out", k_core=6)
    assert sorted(decoded) == dataset.item_ids
    assert len(decoded) < len(ARTICLES)


def test_fingerprint_is_that_of_the_content(hm, tmp_path):
    def prepared(name, source=hm, **options):
        return prepare_dataset("hm", source, tmp_path / name, **{"k_core": 4, **options})

    first = prepared("a")
    assert len(first.fingerprint) == 64
    assert prepared("b").fingerprint == first.fingerprint
    table = pl.read_parquet(first.path / "interactions.parquet")
    again = fingerprint(table, first.items["id"], first.users["id"])
    assert again == first.fingerprint
    # The same purchases in another order of rows.
    shuffled = random_purchases(0)
    np.random.default_rng(1).shuffle(shuffled)
    reordered = write_hm(tmp_path / "reordered", [tuple(p) for p in shuffled], ARTICLES)
    assert prepared("c", reordered).fingerprint == first.fingerprint
    others = [
        prepared("d", seed=1),
        prepared("e", split="time"),
        prepared("f", k_core=5),
        prepared("g", write_hm(tmp_path / "more", random_purchases(1), ARTICLES)),
    ]
    assert len({first.fingerprint, *(other.fingerprint for other in others)}) == 5


def test_fingerprint_sees_ids_and_their_borders():
    rows = pl.DataFrame({"user": [0, 1], "item": [0, 0], "split": [0, 0]})
    item, one, other = pl.Series(["x"]), pl.Series(["ab", "c"]), pl.Series(["a", "bc"])
    assert fingerprint(rows, item, one) != fingerprint(rows, item, other)


def test_an_empty_core_names_the_largest_that_is_not(hm, tmp_path):
    pairs = {(customer, article) for customer, article, _ in random_purchases(0)}
    largest = max(k for k in range(1, 26) if naive_core(pairs, k, k))
    with pytest.raises(BecamError, match=f"The 25-core .* is {largest}: pass --k-core {largest} "):
        prepare_dataset("hm", hm, tmp_path / "out", k_core=25)
    with pytest.raises(BecamError, match=r"core of 2 per user and 99 per item .* --k-core"):
        prepare_dataset("hm", hm, tmp_path / "out", user_core=2, item_core=99)
    assert prepare_dataset("hm", hm, tmp_path / "out", k_core=largest).n_items >= largest


def test_nothing_left_says_why(tmp_path):
    purchases = random_purchases(0)
    bare = write_hm(tmp_path / "bare", purchases, ARTICLES, pictures=[])
    with pytest.raises(BecamError, match="without a picture; check --images"):
        prepare_dataset("hm", bare, tmp_path / "out")
    strange = write_hm(tmp_path / "strange", purchases, ["0999999999"])
    with pytest.raises(BecamError, match="an item the items lack"):
        prepare_dataset("hm", strange, tmp_path / "out")
    silent = write_hm(tmp_path / "silent", [], ARTICLES)
    with pytest.raises(BecamError, match="no interactions"):
        prepare_dataset("hm", silent, tmp_path / "out")
    cut = write_hm(tmp_path / "cut", purchases, ARTICLES)
    for path in (cut / "images").rglob("*.jpg"):
        write_truncated_picture(path)
    with pytest.raises(BecamError, match="cannot be read; check them"):
        prepare_dataset("hm", cut, tmp_path / "out", k_core=3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"source": "amazon"}, "no source amazon; choose from csv, hm, microlens, mmrec, tmall"),
        ({"items": "items.csv"}, "source hm takes no --items"),
        ({"columns": {"user": ["u"]}}, "source hm takes no --user-column"),
        ({"split": "weekly"}, "no split weekly; choose random or time"),
        ({"k_core": 0}, "must be 1 or more"),
        ({"seed": -1}, "--seed"),
        ({"path": "/no/such/folder"}, "There is no /no/such/folder"),
    ],
)
def test_wrong_options_are_one_sentence(hm, tmp_path, options, message):
    arguments = {"source": "hm", "path": hm, "output": tmp_path / "out", **options}
    with pytest.raises(BecamError, match=message):
        prepare_dataset(**arguments)


def test_overwrite_replaces_datasets_and_nothing_else(hm, tmp_path):
    output = tmp_path / "out"
    first = prepare_dataset("hm", hm, output, k_core=4)
    (output / "features").mkdir()
    before = contents(output)
    with pytest.raises(BecamError, match="--overwrite"):
        prepare_dataset("hm", hm, output, k_core=5)
    assert contents(output) == before
    second = prepare_dataset("hm", hm, output, k_core=5, overwrite=True)
    assert second.fingerprint != first.fingerprint
    assert not (output / "features").exists()
    raw = contents(hm)
    with pytest.raises(BecamError, match="is not a dataset"):
        prepare_dataset("hm", hm, hm, k_core=4, overwrite=True)
    assert contents(hm) == raw
    (tmp_path / "empty").mkdir()
    prepare_dataset("hm", hm, tmp_path / "empty", k_core=4, overwrite=True)


@pytest.mark.parametrize("table", ["interactions", "items", "users"])
def test_a_full_disk_leaves_what_was_there(hm, tmp_path, monkeypatch, table):
    output = tmp_path / "out"
    prepare_dataset("hm", hm, output, k_core=4)
    before = contents(tmp_path / "out")
    real = writing.write_parquet

    def full(frame, path):
        if path.stem == table:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(frame, path)

    monkeypatch.setattr(writing, "write_parquet", full)
    with pytest.raises(BecamError, match="disk is full"):
        prepare_dataset("hm", hm, output, k_core=5, overwrite=True)
    with pytest.raises(BecamError, match="disk is full"):
        prepare_dataset("hm", hm, tmp_path / "new", k_core=5)
    assert contents(output) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["hm", "out"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_polars_on_a_full_disk_raises_what_is_caught():
    with pytest.raises(OSError, match="No space left") as caught:
        writing.write_parquet(pl.DataFrame({"a": range(100_000)}), Path("/dev/full"))
    assert caught.value.errno == errno.ENOSPC


STALLING = """
import sys, time
from becam.data import preparation, writing
real = writing.write_parquet
def stall(table, path):
    real(table, path)
    if path.stem == sys.argv[3]:
        print("stalled", flush=True)
        time.sleep(60)
writing.write_parquet = stall
preparation.prepare_dataset("hm", sys.argv[1], sys.argv[2], k_core=5, overwrite=True)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
@pytest.mark.parametrize("table", ["interactions", "users"])
@pytest.mark.parametrize("existing", [False, True])
def test_a_kill_leaves_the_old_dataset_or_none(hm, tmp_path, table, existing):
    output = tmp_path / "out"
    if existing:
        prepare_dataset("hm", hm, output, k_core=4)
    before = contents(output) if existing else None
    child = subprocess.Popen(
        [sys.executable, "-c", STALLING, str(hm), str(output), table],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(Path(becam.__file__).parents[1])},
    )
    assert child.stdout is not None
    assert child.stdout.readline() == b"stalled\n"
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdout.close()
    half = [path for path in tmp_path.iterdir() if path.name.startswith(".out.partial")]
    assert len(half) == 1  # it really was in the middle
    assert (half[0] / f"{table}.parquet").is_file()
    if existing:
        assert contents(output) == before
        Dataset.open(output)
    else:
        assert not output.exists()
    with pytest.raises(BecamError, match="is not a dataset"):
        Dataset.open(half[0])
    dataset = prepare_dataset("hm", hm, output, k_core=5, overwrite=True)
    assert dataset.manifest.filters["user_core"] == 5
    assert sorted(path.name for path in tmp_path.iterdir()) == ["hm", "out"]


def test_manifest_is_plain_json(hm, tmp_path):
    prepare_dataset("hm", hm, tmp_path / "out", k_core=4)
    record = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert record["name"] == "out"
    assert record["source"] == "hm"
    assert record["image_root"] == str(hm / "images")
    assert record["split"] == {"scheme": "random", "seed": 0}
    assert set(record["seconds"]) == {"reading", "filtering", "splitting", "writing"}
    assert all(0 <= seconds < 60 for seconds in record["seconds"].values())


def test_stages_are_told(hm, tmp_path):
    said = []
    prepare_dataset("hm", hm, tmp_path / "out", k_core=4, say=said.append)
    assert said == ["reading ...", "filtering ...", "splitting ...", "writing ..."]
