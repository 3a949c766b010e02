"""Records of plain values that hold anything at all: a sentence, whichever command reads them."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from planted import planted_dataset
from stored.damage import DEEP, ODD_VALUES, changed, mutations, places
from zoo import make_checkpoint

from becam.checkpoint import Checkpoint
from becam.data.dataset import Dataset
from becam.errors import BecamError
from becam.evaluation.selection import _ids
from becam.training import train

QUICK = settings(
    max_examples=8,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
TRAIN = ("--epochs", "1", "--device", "cpu", "--batch-size", "256")


@dataclass
class World:
    """A dataset, a finished run on it, and an id of an item."""

    folder: Path
    item: str

    @property
    def shop(self) -> Path:
        return self.folder / "shop"

    @property
    def run(self) -> Path:
        return self.folder / "run"

    def commands(self, output: Path) -> dict[str, tuple[object, ...]]:
        """Commands that read records, by name."""
        return {
            "train": ("train", self.shop, *TRAIN, "-o", output / "train"),
            "resume": ("train", self.shop, *TRAIN, "-o", self.run, "--resume"),
            "evaluate": ("evaluate", self.run, self.shop),
            "deviation": (
                "deviation",
                self.run,
                "--dataset",
                self.shop,
                "-o",
                output / "deviation",
            ),
            "words": (
                *("words", "--item-id", self.item, "--ckpt", self.run, "--dataset", self.shop),
                *("-o", output / "words.png"),
            ),
        }


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> World:
    folder = tmp_path_factory.mktemp("world")
    dataset = planted_dataset(folder / "shop", n_users=40)
    train(dataset, epochs=1, device="cpu", quiet=True, batch_size=256, output=folder / "run")
    (folder / "worst.json").write_text(json.dumps([{"before": [{"id": "0001"}], "after": []}]))
    return World(folder, dataset.item_ids[0])


@pytest.fixture
def refuses_or_works(run_cli, world, tmp_path):
    """Put a text in a record's place, run a command, and put back what was there."""

    def check(path: Path, text: str, command: str) -> int:
        sound = path.read_bytes()
        path.write_bytes(text.encode("utf-8", "surrogatepass"))
        try:
            output = tmp_path / str(os.urandom(4).hex())
            status, _, errors = run_cli(*world.commands(output)[command])
        finally:
            path.write_bytes(sound)
        assert status in (0, 1), errors
        assert "Traceback" not in errors
        return status

    return check


READERS = {
    "shop/manifest.json": ("train", "evaluate", "deviation"),
    "shop/features/plain/features.json": ("train", "evaluate", "deviation"),
    "run/config.json": ("resume",),
}
CASES = [(record, command) for record, commands in READERS.items() for command in commands]


@pytest.mark.parametrize(("record", "command"), CASES)
def test_records_of_anything(world, refuses_or_works, record, command):
    path = world.folder / record

    @QUICK
    @given(mutations(path))
    def run(text):
        refuses_or_works(path, text, command)

    run()


@pytest.mark.slow
@pytest.mark.parametrize(("record", "command"), CASES)
def test_many_records_of_anything(world, refuses_or_works, record, command):
    path = world.folder / record

    @settings(QUICK, max_examples=300)
    @given(mutations(path))
    def run(text):
        refuses_or_works(path, text, command)

    run()


def test_lists_of_items_of_anything(world, tmp_path):
    source = world.folder / "worst.json"

    @settings(QUICK, max_examples=200)
    @given(mutations(source))
    def run(text):
        path = tmp_path / "worst.json"
        path.write_text(text)
        try:
            found = _ids(path)
        except BecamError as error:
            assert "not a JSON list" in str(error)  # noqa: PT017 (a list is as good)
        else:
            assert all(isinstance(name, str) for name in found)

    run()
    for text in (DEEP, "[" + "9" * 5000 + "]", "", "[NaN]"):
        (tmp_path / "worst.json").write_text(text)
        with pytest.raises(BecamError, match="not a JSON list"):
            _ids(tmp_path / "worst.json")


@pytest.mark.parametrize(("record", "command"), CASES)
@pytest.mark.parametrize("text", ["", "{", "[]", "null", "{}", '{"format": 0}', DEEP, "\ufeff{}"])
def test_what_is_no_record_is_refused(world, refuses_or_works, record, command, text):
    assert refuses_or_works(world.folder / record, text, command) == 1


@pytest.mark.parametrize("format", [0, -1, True, "1", 1.5, None, 2**70])
@pytest.mark.parametrize("record", ["shop/manifest.json", "shop/features/plain/features.json"])
def test_formats_that_never_were(world, refuses_or_works, record, format):
    path = world.folder / record
    text = json.dumps(json.loads(path.read_text()) | {"format": format})
    assert refuses_or_works(path, text, "train") == 1


@pytest.mark.parametrize(
    ("record", "make", "said"),
    [
        ("shop/manifest.json", lambda p: os.mkfifo(p), "a pipe"),
        ("shop/features/plain/features.json", lambda p: os.mkfifo(p), "a pipe"),
        ("shop/features/plain/image.npy", lambda p: os.mkfifo(p), "a pipe"),
        ("shop/users.parquet", lambda p: os.mkfifo(p), "a pipe"),
        ("shop/items.parquet", lambda p: p.symlink_to("/dev/zero"), "a device"),
        ("run/befa.pt", lambda p: os.mkfifo(p), "a pipe"),
        ("run/befa.pt", lambda p: p.symlink_to("/dev/zero"), "a device"),
        ("run/befa.pt", lambda p: p.mkdir(), "a folder"),
        ("run/befa.pt", lambda p: p.symlink_to(p.name), "leads to itself"),
        ("shop/manifest.json", lambda p: p.symlink_to(p.name), "leads to itself"),
        ("shop/features/plain/image.npy", lambda p: p.mkdir(), "a folder"),
    ],
)
def test_only_files_are_read(world, run_cli, tmp_path, record, make, said):
    path = world.folder / record
    kept = path.rename(tmp_path / "kept")
    try:
        make(path)
        status, _, errors = run_cli("evaluate", world.run, world.shop)
    finally:
        path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
        kept.rename(path)
    assert status == 1
    assert said in errors
    assert errors.count("\n") == 1


def test_a_worse_end_of_what_is_kept_is_said_before_the_training(world, tmp_path, run_cli):
    path = world.shop / "users.parquet"
    sound = path.read_bytes()
    path.write_bytes(sound[:200] + bytes(50) + sound[250:])
    try:
        status, output, errors = run_cli("train", world.shop, *TRAIN, "-o", tmp_path / "run")
    finally:
        path.write_bytes(sound)
    assert status == 1
    assert "epoch" not in output + errors
    assert not (tmp_path / "run").exists()


# --- the checkpoint's plain values --------------------------------------------------------------


def rewritten(path: Path, place, value) -> None:
    payload = torch.load(path, weights_only=True)
    torch.save(changed(payload, place, value), path)


@pytest.fixture(scope="module")
def checkpoint_places(world) -> list[tuple[object, ...]]:
    payload = torch.load(world.run / "befa.pt", weights_only=True)
    payload["item_ids"], payload["user_ids"] = payload["item_ids"][:2], payload["user_ids"][:2]
    return places(payload)


@pytest.mark.slow
@pytest.mark.parametrize("command", ["evaluate", "deviation", "words", "resume"])
def test_checkpoints_of_anything(world, run_cli, tmp_path, checkpoint_places, command):
    path = world.run / "befa.pt"
    sound = path.read_bytes()

    @settings(QUICK, max_examples=300)
    @given(st.sampled_from(checkpoint_places), st.sampled_from([*ODD_VALUES, ..., torch.ones(3)]))
    def run(place, value):
        try:
            rewritten(path, place, value)
            output = tmp_path / str(os.urandom(4).hex())
            status, _, errors = run_cli(*world.commands(output)[command])
        finally:
            path.write_bytes(sound)
        assert status in (0, 1), errors

    run()


@settings(QUICK, max_examples=60)
@given(data=st.data())
def test_checkpoints_of_anything_load_or_are_refused(world, tmp_path, checkpoint_places, data):
    place = data.draw(st.sampled_from(checkpoint_places))
    value = data.draw(st.sampled_from([*ODD_VALUES, ..., torch.ones(3), {"x": torch.ones(2)}]))
    path = tmp_path / "befa.pt"
    path.write_bytes((world.run / "befa.pt").read_bytes())
    rewritten(path, place, value)
    try:
        found, said = Checkpoint.load(path), ""
    except BecamError as error:
        found, said = None, str(error)
    assert "\n" not in said
    assert said or found is not None
    if found is not None:
        assert len(found.fingerprint) == 64


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("part", ["item_embeddings", "user_embeddings", "projection", "adapter"])
def test_numbers_that_are_none_are_refused_everywhere(load, tmp_path, run_cli, world, part, number):
    made = make_checkpoint(load("open_clip-vit"), n_items=20, adapter="befa")
    image = made.modalities["image"]
    tensor = {
        "item_embeddings": made.item_embeddings,
        "user_embeddings": made.user_embeddings,
        "projection": image.projection_weight,
        "adapter": next(iter(image.adapter["state"].values())),
    }[part]
    if not tensor.numel():
        pytest.skip("this checkpoint has no users")
    tensor.data.view(-1)[-1] = number
    made.save(tmp_path / "befa.pt")
    for command in (
        ("evaluate", tmp_path, world.shop),
        ("deviation", tmp_path, "--dataset", world.shop, "-o", tmp_path / "out"),
        ("words", "--item-id", "0", "--ckpt", tmp_path, "-o", tmp_path / "words.png"),
    ):
        status, _, errors = run_cli(*command)
        assert status == 1
        assert "not finite" in errors


def test_features_that_are_not_finite_are_refused(tmp_path):
    import hashlib

    import numpy as np

    dataset = planted_dataset(tmp_path / "shop", n_users=20)
    folder = dataset.path / "features" / "plain"
    values = np.load(folder / "image.npy")
    values[3, 2] = np.nan
    np.save(folder / "image.npy", values)
    record = json.loads((folder / "features.json").read_text())
    digest = hashlib.sha256((folder / "image.npy").read_bytes()).hexdigest()
    record["modalities"]["image"]["sha256"] = digest
    (folder / "features.json").write_text(json.dumps(record))
    with pytest.raises(BecamError, match="not finite"):
        Dataset.open(dataset.path).feature_set().load("image")
