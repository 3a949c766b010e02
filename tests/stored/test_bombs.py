"""Files that declare more than they hold are refused before anything of that size is made."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import textwrap
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from planted import planted_dataset
from zoo import make_checkpoint

from becam.errors import BecamError
from becam.files import map_array, read_arrays, read_torch, save_torch

ROOM = 512 << 20
"""Bytes of address space that a process may add while it reads a bomb."""


class Call:
    """Unpickling it calls a function, which PyTorch allows for some."""

    def __init__(self, function, *arguments):
        self.made = function, arguments

    def __reduce__(self):
        return self.made


def expanded(payload):
    return payload | {"item_embeddings": torch.zeros(1, 8).expand(200_000_000, 8)}


def expanded_elsewhere(payload):
    return payload | {"state": {"x": torch.zeros(1).expand(10_000_000_000)}}


def shared_by_many(payload):
    one = torch.zeros(1 << 20)
    return payload | {"state": {str(number): one for number in range(10_000)}}


def wide_and_empty(payload):
    none = torch.zeros(0, 1 << 40)
    return payload | {"item_ids": [], "item_embeddings": none, "user_embeddings": none}


def of_bytes(payload):
    return payload | {"training": {"x": Call(bytearray, 1 << 36)}}


def of_tensors(payload):
    return payload | {"training": {"x": Call(torch.FloatTensor, 1 << 36)}}


def laughs(payload):
    value: list = []
    for _ in range(60):
        value = [value] * 10
    return payload | {"training": {"x": value}}


def within_itself(payload):
    value: list = []
    value.append(value)
    return payload | {"training": {"x": value}}


def deep(payload):
    value: list = []
    for _ in range(900):
        value = [value]
    return payload | {"training": {"x": value}}


def many_digits(payload):
    return payload | {"training": {"seed": 1 << 2000}}


BOMBS = [
    *(expanded, expanded_elsewhere, shared_by_many, wide_and_empty, of_bytes, of_tensors),
    *(laughs, within_itself, deep, many_digits),
]


@pytest.fixture
def sound(load, tmp_path):
    path = tmp_path / "befa.pt"
    make_checkpoint(load("open_clip-vit"), n_items=20, adapter="befa").save(path)
    return path


def refused_within_bounds(paths: list[Path]) -> list[str]:
    """What a process with little room to spare says of each of some checkpoints."""
    script = f"""
        import resource, torch
        from becam.checkpoint import Checkpoint
        from becam.errors import BecamError
        pages = int(open("/proc/self/statm").read().split()[0])
        most = pages * resource.getpagesize() + {ROOM}
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
        for path in {list(map(str, paths))!r}:
            try:
                Checkpoint.load(path)
                print("loaded")
            except BecamError as error:
                print(error)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == len(paths)
    return lines


def test_checkpoints_that_claim_more_than_they_hold(sound, tmp_path):
    payload = torch.load(sound, weights_only=True)
    paths = [tmp_path / f"{bomb.__name__}.pt" for bomb in BOMBS]
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(20_000)  # to write what is nested
    try:
        for bomb, path in zip(BOMBS, paths, strict=True):
            torch.save(bomb(payload), path)
    finally:
        sys.setrecursionlimit(limit)
    for path, said in zip(paths, refused_within_bounds(paths), strict=True):
        assert said.startswith(str(path))
        assert "weights_only" not in said


@pytest.mark.slow
def test_a_checkpoint_whose_records_are_compressed(sound):
    with zipfile.ZipFile(sound) as archive:
        records = {info.filename: archive.read(info) for info in archive.infolist()}
    with zipfile.ZipFile(sound, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, content in records.items():
            archive.writestr(name, content)
        with archive.open("archive/data/999", "w", force_zip64=True) as record:
            for _ in range(1500):
                record.write(bytes(1 << 20))
    assert sound.stat().st_size < 30 << 20
    assert "compressed" in refused_within_bounds([sound])[0]


def test_files_of_many_zeros(tmp_path):
    for name in ("befa.pt", "manifest.json"):
        with open(tmp_path / name, "wb") as stream:
            stream.truncate(40 << 30)
    assert "not a becam checkpoint" in refused_within_bounds([tmp_path / "befa.pt"])[0]
    with pytest.raises(BecamError, match="larger than a manifest"):
        from becam.data.manifest import Manifest

        Manifest.load(tmp_path)


def header(shape: tuple[int, ...], descr: str = "<f8") -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        stream, {"descr": descr, "fortran_order": False, "shape": shape}
    )
    return stream.getvalue()


SHAPES = [(10**12,), (10**6, 10**6), (2**40, 2**40), (-1,), (3,), ()]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_arrays_that_are_not_there(tmp_path, shape):
    content = header(shape) + bytes(40)
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("raw.npy", content)
    with pytest.raises(BecamError, match="is damaged"):
        read_arrays(tmp_path / "a.npz", what="heatmap", remedy="make it again")


@pytest.mark.parametrize("shape", SHAPES[:4], ids=str)
def test_a_matrix_that_is_not_there(tmp_path, shape):
    (tmp_path / "a.npy").write_bytes(header(shape) + bytes(40))
    with pytest.raises(BecamError, match="damaged"):
        map_array(tmp_path / "a.npy", what="matrix", remedy="make it again")


@pytest.mark.parametrize("descr", ["|O", "|V8", "<M8[s]", "<c16"])
def test_arrays_of_other_things_than_numbers_and_text(tmp_path, descr):
    size = np.dtype(descr).itemsize
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("raw.npy", header((2,), descr) + bytes(2 * size))
    with pytest.raises(BecamError, match="not an array"):
        read_arrays(tmp_path / "a.npz", what="heatmap", remedy="make it again")


def test_an_archive_that_inflates_is_refused_by_its_size(tmp_path):
    np.savez_compressed(tmp_path / "a.npz", a=np.zeros(1 << 22))
    with pytest.raises(BecamError, match="more than 1,048,576 bytes"):
        read_arrays(tmp_path / "a.npz", what="heatmap", remedy="make it again", most=1 << 20)


def test_a_dataset_of_more_rows_than_bytes_can_hold(tmp_path):
    import polars as pl

    from becam.data.dataset import Dataset

    dataset = planted_dataset(tmp_path / "shop", n_users=20, features=())
    rows = 30_000_000
    one = {
        name: pl.repeat(0, rows, dtype=kind, eager=True)
        for name, kind in (("user", pl.UInt8), ("item", pl.UInt8), ("split", pl.UInt8))
    }
    pl.DataFrame(one).write_parquet(dataset.path / "interactions.parquet", compression_level=22)
    record = json.loads((dataset.path / "manifest.json").read_text())
    record["counts"]["interactions"] = rows
    (dataset.path / "manifest.json").write_text(json.dumps(record))
    with pytest.raises(BecamError, match=r"in too few bytes|not those of its manifest"):
        Dataset.open(dataset.path)


def test_what_shares_memory_shares_it_still(tmp_path):
    rows = torch.randn(5, 4)
    payload = {"a": rows, "b": rows.T, "c": rows[1:3], "d": [torch.tensor(2.0), (1, "x", None)]}
    save_torch(payload, tmp_path / "x.pt")
    found = read_torch(tmp_path / "x.pt", what="thing", made="m", remedy="r")
    assert torch.equal(found["a"], rows)
    assert torch.equal(found["b"], rows.T)
    assert torch.equal(found["c"], rows[1:3])
    assert found["d"] == [torch.tensor(2.0), (1, "x", None)]
    found["a"][1, 2] = 99
    assert found["b"][2, 1] == found["c"][0, 2] == 99
    again = read_torch(tmp_path / "x.pt", what="thing", made="m", remedy="r")
    assert torch.equal(again["a"], rows)


@pytest.mark.parametrize("call", [Call(print, "x"), Call(bytearray, 3), Call(torch.Tensor, 3)])
def test_calls_are_refused_without_advice_to_allow_them(tmp_path, call):
    torch.save({"x": call}, tmp_path / "x.pt", pickle_protocol=2)
    with pytest.raises(BecamError, match="could run code") as caught:
        read_torch(tmp_path / "x.pt", what="thing", made="m", remedy="r")
    assert "weights_only" not in str(caught.value)
    assert "safe_globals" not in str(caught.value)
