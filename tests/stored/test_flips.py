"""A bit turned, or an end cut off, in anything that becam stores is found, never believed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from planted import planted_dataset
from stored.damage import cuts, flips
from zoo import make_checkpoint

from becam.attribution.controls import Controls
from becam.attribution.heatmap import Heatmap
from becam.checkpoint import Checkpoint
from becam.data.dataset import Dataset
from becam.data.integrity import table_hashes
from becam.data.manifest import Manifest
from becam.encoders.preprocessing import Geometry
from becam.errors import BecamError
from becam.evaluation.parts import Parts
from becam.experiments.store import Run, Store
from becam.files import save_arrays
from becam.gallery.maps import ItemMap, MapFiles
from becam.training import neighbours, read_user_metrics
from becam.training.state import StateFile

CONTROLS = Controls(0.1, 0.2, 3, 0.5, 0.1, None, None, 0.4, 80.0)
GEOMETRY = Geometry(50, 40, (5.0, 0.0, 45.0, 40.0))


def plain(value):
    """Values that ``==`` compares, of tensors and arrays too."""
    if isinstance(value, (torch.Tensor, np.ndarray)):
        return str(value.dtype), tuple(value.shape), np.asarray(value).tobytes()
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(each) for each in value]
    return plain(vars(value)) if hasattr(value, "__dict__") else value


def a_checkpoint(folder, encoder):
    path = folder / "befa.pt"
    make_checkpoint(encoder, n_items=20, adapter="befa").save(path)
    return path, lambda: plain(Checkpoint.load(path))


def a_state(folder, encoder):
    path = folder / "state.pt"
    torch.manual_seed(5)
    rows = torch.randn(20, 6)
    state = {
        "model": {"a": rows},
        "optimiser": {"state": {0: {"step": torch.tensor(3.0), "exp_avg": rows / 2}}},
        "stopping": {"best": float("-inf"), "best_epoch": 0},
        "best_state": {"a": rows},
        "seconds": [0.5, 0.25],
    }
    StateFile(path, 0).save(state)
    return path, lambda: plain(StateFile(path, 0).load())


def metrics_of_users(folder, encoder):
    path = folder / "users.npz"
    rng = np.random.default_rng(0)
    save_arrays(path, {"users": np.arange(50), "recall@20": rng.random(50)})
    return path, lambda: plain(read_user_metrics(folder))


def a_heatmap(folder, encoder):
    path = folder / "map.npz"
    rng = np.random.default_rng(0)
    raw, weights = (rng.normal(size=size).astype("f4") for size in ((7, 7), 30))
    Heatmap(raw, weights, GEOMETRY, CONTROLS, "label", "target", {"k": 1}).save(path)
    return path, lambda: plain(Heatmap.load(path))


def maps_of_a_gallery(folder, encoder):
    raw = np.random.default_rng(0).normal(size=(7, 7)).astype("f4")
    maps = [ItemMap(raw + i, GEOMETRY, CONTROLS, {}, ((1, 2), (-1.0, 1.0))) for i in range(2)]
    files = MapFiles(folder, {"of": "this"}, overwrite=False)
    files.write("item", maps)
    return files.path("item"), lambda: plain(files.read("item"))


def rows_of_an_audit(folder, encoder):
    row = {"picture": "x", "target": "t", "checkpoint": "c", "method": "m", "group": "all"}
    rows = [row | {"measure": f"m{n}", "value": n / 7, "curve": [n / 3, 0.5]} for n in range(5)]
    files = Parts(folder, {"of": "this"}, overwrite=False)
    files.write("x", rows)
    return files.path("x"), lambda: plain(files.read(["x"]).rows())


def neighbours_of_items(folder, encoder, monkeypatch):
    monkeypatch.setattr(neighbours, "_WORTH_KEEPING", 0)
    features = np.random.default_rng(0).normal(size=(40, 6)).astype("f4")
    neighbours.cached_neighbours(folder)(features, 5)
    (path,) = (folder / "neighbours").iterdir()
    return path, lambda: plain(tuple(neighbours.cached_neighbours(folder)(features, 5)))


def features_of_items(folder, encoder):
    dataset = planted_dataset(folder / "dataset", n_users=20)
    path = dataset.path / "features" / "plain" / "image.npy"
    return path, lambda: plain(np.asarray(dataset.feature_set().load("image")))


def tables(name, *, hashed):
    def a_table(folder, encoder):
        dataset = planted_dataset(folder / "dataset", n_users=20, features=())
        if hashed:
            hashes = table_hashes(dataset.path)
            replace(Manifest.load(dataset.path), tables=hashes).save(dataset.path)

        def read():
            found = Dataset.open(dataset.path)
            tables = [found.interactions(split).tolist() for split in ("train", "test")]
            known = found.items if hashed else found.items["id"]  # the fingerprint's alone
            return [
                tables,
                known.to_dict(as_series=False) if hashed else known.to_list(),
                found.user_ids,
            ]

        return dataset.path / f"{name}.parquet", read

    return a_table


def a_store(folder, encoder):
    store = Store(folder, create=True)
    rng = np.random.default_rng(0)
    for seed in range(3):
        key = f"key{seed}"
        save_arrays(
            store.folder(key) / "users.npz", {"users": np.arange(9), "recall@20": rng.random(9)}
        )
        metrics = {"epoch": seed, "validation": {"recall@20": 0.1}, "test": {"recall@20": 1 / 3}}
        run = Run(
            *(key, "shop", "plain", "bm3", "befa", seed, "f" * 64, "", {"lr": 1e-3}, metrics),
            *({"random": {"recall@20": 0.01}}, 100, 1.5, 0.25, 6),
        )
        store.enter(run)

    def read():
        opened = Store(folder)
        runs = opened.runs()
        return [plain(run) for run in runs], [plain(opened.user_metrics(r.key)) for r in runs]

    return folder / "store.sqlite", read


FORMATS = {
    "checkpoint": a_checkpoint,
    "state": a_state,
    "users": metrics_of_users,
    "heatmap": a_heatmap,
    "maps": maps_of_a_gallery,
    "rows": rows_of_an_audit,
    "features": features_of_items,
    "interactions": tables("interactions", hashed=True),
    "items": tables("items", hashed=True),
    "people": tables("users", hashed=True),
    "interactions by fingerprint": tables("interactions", hashed=False),
    "people by fingerprint": tables("users", hashed=False),
    "store": a_store,
}


# Over some damage polars ends the process: what has a hash is never handed to it.
_HASHED = [name for name in FORMATS if "fingerprint" not in name]


def outcomes(path, read, damaged, wanted):
    """How often damage was refused and did no harm; anything else fails."""
    counts = {"refused": 0, "harmless": 0}
    for content in damaged:
        path.write_bytes(content)
        try:
            found, said = read(), ""
        except BecamError as error:
            found, said = None, str(error)
        counts["refused" if said else "harmless"] += 1
        assert "\n" not in said
        assert said or found == wanted, f"other values out of {len(content):,} bytes"
    return counts


@pytest.fixture(params=FORMATS)
def stored(request, tmp_path, load):
    path, read = FORMATS[request.param](tmp_path, load("open_clip-vit"))
    return path, read, read()


def test_a_bit_turned_gives_no_other_values(stored):
    path, read, wanted = stored
    counts = outcomes(path, read, flips(path.read_bytes(), 80), wanted)
    assert counts["refused"] >= 5  # of a store most bytes are empty pages


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("stored", _HASHED, indirect=True)
def test_many_bits_turned_give_no_other_values(stored, seed):
    path, read, wanted = stored
    outcomes(path, read, flips(path.read_bytes(), 1000, seed), wanted)


def test_an_end_cut_off_is_found(stored):
    path, read, wanted = stored
    outcomes(path, read, cuts(path.read_bytes(), 25), wanted)


def test_damaged_neighbours_are_found_anew(tmp_path, load, monkeypatch):
    path, read = neighbours_of_items(tmp_path, load("open_clip-vit"), monkeypatch)
    whole, wanted = path.read_bytes(), read()
    for damaged in (*flips(whole, 60), *cuts(whole, 10)):
        path.write_bytes(damaged)
        assert read() == wanted
