"""The store: what goes in comes out, whole or not at all."""

import sqlite3
from dataclasses import replace

import numpy as np
import pytest

from becam.errors import BecamError
from becam.experiments.store import DATABASE, Run, Store

USERS = np.array([2, 5, 9])
VALUES = {"recall@20": np.array([0.1, 1 / 3, 1.0]), "ndcg@20": np.array([0.0, 2**-60, 0.7])}

RUN = Run(
    key="k0",
    dataset="hm",
    features="clip",
    model="bm3",
    adapter="befa",
    seed=0,
    fingerprint="f" * 64,
    label="lambda=1/2",
    options={"lr": 1e-3, "model_options": {"layers": 1}, "modalities": ["image"]},
    metrics={"epoch": 3, "validation": {"recall@20": 1 / 3}, "test": {"recall@20": 0.1}},
    baselines={"popularity": {"recall@20": 0.01}},
    parameters=9_447_104,
    seconds=12.5,
    epoch_seconds=0.1,
    epochs=13,
)


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store", create=True)


def enter(store, run):
    folder = store.folder(run.key)
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / "users.npz", users=USERS, **VALUES)
    store.enter(run)


def test_what_enters_comes_out_bit_for_bit(store):
    enter(store, RUN)
    again = Store(store.path)
    assert "k0" in again
    assert "k1" not in again
    assert again.runs() == [RUN]
    found = again.user_metrics("k0")
    assert found.users.dtype == np.int64
    np.testing.assert_array_equal(found.users, USERS)
    assert list(found.values) == list(VALUES)
    for name, values in VALUES.items():
        assert found.values[name].dtype == np.float64
        assert found.values[name].tobytes() == values.tobytes()


def test_the_sqlite_file_alone_is_enough_for_user_metrics(store, tmp_path):
    enter(store, RUN)
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy" / DATABASE).write_bytes((store.path / DATABASE).read_bytes())
    np.testing.assert_array_equal(Store(tmp_path / "copy").user_metrics("k0").users, USERS)


def test_the_order_does_not_depend_on_that_of_entering(store, tmp_path):
    runs = [
        replace(RUN, key=f"k{seed}{model}", seed=seed, model=model)
        for seed in (0, 1, 10)
        for model in ("bm3", "mgcn")
    ]
    other = Store(tmp_path / "other", create=True)
    for run in runs:
        enter(store, run)
    for run in reversed(runs):
        enter(other, run)
    assert store.runs() == other.runs()
    assert [(r.model, r.seed) for r in store.runs()] == [
        (model, seed) for model in ("bm3", "mgcn") for seed in (0, 1, 10)
    ]


def test_entering_twice_keeps_one(store):
    enter(store, RUN)
    enter(store, replace(RUN, epochs=14))
    assert [run.epochs for run in store.runs()] == [14]


def test_a_run_without_user_metrics_does_not_enter(store):
    with pytest.raises(BecamError, match=r"users\.npz"):
        store.enter(RUN)
    assert store.runs() == []


def test_creating_keeps_what_is_there(store):
    enter(store, RUN)
    assert Store(store.path, create=True).runs() == [RUN]


def test_an_empty_database_left_by_a_kill_is_made_anew(tmp_path):
    (tmp_path / DATABASE).touch()
    assert Store(tmp_path, create=True).runs() == []


def foreign(path):
    with sqlite3.connect(path / DATABASE) as connection:
        connection.execute("CREATE TABLE runs (a)")
    connection.close()


def newer(path):
    Store(path, create=True)
    with sqlite3.connect(path / DATABASE) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda path: None, "becam experiment makes one"),
        (lambda path: (path / DATABASE).write_bytes(b"not sqlite" * 200), "SQLite could not use"),
        (foreign, "was not written by becam"),
        (newer, "update becam"),
    ],
)
def test_what_is_no_store_is_one_sentence(tmp_path, make, says):
    make(tmp_path)
    with pytest.raises(BecamError, match=says):
        Store(tmp_path)


def test_a_file_cannot_become_a_store(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(BecamError, match="is a file"):
        Store(tmp_path / "file", create=True)


def test_an_unknown_key_is_one_sentence(store):
    with pytest.raises(BecamError, match="no run k7"):
        store.user_metrics("k7")


def test_one_process_fills_a_store_at_a_time(store):
    with store.filling():
        assert store.runs() == []
        with pytest.raises(BecamError, match="Another becam"), Store(store.path).filling():
            pass
    with store.filling():
        pass
