"""A run's folder: one process at a time, becam's own files alone, the same bytes for a seed."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from contextlib import contextmanager

import pytest
import torch
from planted import planted_dataset

from becam.checkpoint import Checkpoint
from becam.errors import BecamError
from becam.files import filling, writing
from becam.training import train
from becam.training.folder import read_times

QUICK = {"warmup": 0, "batch_size": 256, "lr": 1e-2, "device": "cpu", "quiet": True, "epochs": 3}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return planted_dataset(tmp_path_factory.mktemp("planted") / "dataset")


def test_the_same_seed_gives_the_same_bytes(dataset, tmp_path):
    """In another process, under another name and time, and stopped in between, too."""
    train(dataset, output=tmp_path / "one", **QUICK)
    code = (
        "import sys; from becam import Dataset; from becam.training import train\n"
        "from pathlib import Path; path, out, options = sys.argv[1:]\n"
        "train(Dataset.open(path), output=out, **eval(options))"
    )
    other = [str(dataset.path), str(tmp_path / "another-name"), repr(QUICK)]
    subprocess.run([sys.executable, "-c", code, *other], check=True)

    def kill(epoch):
        if epoch.number == 2:
            raise SystemExit

    with pytest.raises(SystemExit):
        train(dataset, output=tmp_path / "resumed", save_every=0, on_epoch=kill, **QUICK)
    train(dataset, output=tmp_path / "resumed", resume=True, **QUICK)
    names = ("one", "another-name", "resumed")
    assert len({(tmp_path / name / "befa.pt").read_bytes() for name in names}) == 1
    train(dataset, output=tmp_path / "seed", seed=1, **QUICK)
    assert (tmp_path / "seed" / "befa.pt").read_bytes() != (tmp_path / "one/befa.pt").read_bytes()


def test_times_are_beside_the_checkpoint(dataset, tmp_path):
    made = train(dataset, output=tmp_path / "run", **QUICK)
    assert not {"seconds", "epoch_seconds"} & made.training.keys()
    times = read_times(tmp_path / "run")
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    assert times["seconds"] == pytest.approx(sum(json.loads(line)["seconds"] for line in lines))
    assert 0 < times["epoch_seconds"] <= times["seconds"]


def test_a_run_of_two_is_refused(dataset, tmp_path):
    run = tmp_path / "run"
    train(dataset, output=run, **QUICK)
    before = {path.name: path.read_bytes() for path in run.iterdir() if path.is_file()}
    with filling(run):
        for how in ({}, {"overwrite": True}, {"resume": True}):
            with pytest.raises(BecamError, match=rf"Another becam .*is writing {run}"):
                train(dataset, output=run, **QUICK, **how)
    assert {path.name: path.read_bytes() for path in run.iterdir() if path.is_file()} == before


def test_resume_does_not_believe_a_mixture(dataset, tmp_path):
    """As two processes left it that knew no locks."""
    train(dataset, output=tmp_path / "one", **QUICK)
    train(dataset, output=tmp_path / "two", **QUICK | {"lr": 2e-2}, seed=1)
    (tmp_path / "one" / "befa.pt").write_bytes((tmp_path / "two" / "befa.pt").read_bytes())
    with pytest.raises(BecamError, match=r"of another run than config\.json .*another lr, seed"):
        train(dataset, output=tmp_path / "one", resume=True, **QUICK)


def test_nor_a_state_of_another_run(dataset, tmp_path):
    def kill(epoch):
        if epoch.number == 2:
            raise SystemExit

    for name, seed in (("one", 0), ("two", 1)):
        with pytest.raises(SystemExit):
            train(dataset, output=tmp_path / name, save_every=0, on_epoch=kill, seed=seed, **QUICK)
    (tmp_path / "one" / "state.pt").write_bytes((tmp_path / "two" / "state.pt").read_bytes())
    with pytest.raises(BecamError, match=r"state\.pt is of a run with other options"):
        train(dataset, output=tmp_path / "one", resume=True, **QUICK)


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("config.json", '{"name": "a web site"}'),
        ("metrics.json", "{}"),
        ("befa.pt", "notes"),
        ("tensorboard/events.out.tfevents.1.theirs", "theirs"),
    ],
)
def test_what_is_not_becams_stays(dataset, tmp_path, name, content, overwrite):
    path = tmp_path / "project" / name
    path.parent.mkdir(parents=True)
    path.write_text(content)
    with pytest.raises(BecamError, match="is of no run of becam's"):
        train(dataset, output=tmp_path / "project", overwrite=overwrite, **QUICK)
    assert path.read_text() == content
    assert [p for p in (tmp_path / "project").rglob("*") if p.is_file()] == [path]


def test_others_files_in_a_run_outlive_it(dataset, tmp_path):
    run = tmp_path / "run"
    train(dataset, output=run, **QUICK)
    for name in ("notes.txt", "tensorboard/mine"):
        (run / name).write_text("mine")
    train(dataset, output=run, overwrite=True, **QUICK)
    assert (run / "notes.txt").read_text() == (run / "tensorboard" / "mine").read_text() == "mine"
    events = [p.name for p in (run / "tensorboard").iterdir() if p.name != "mine"]
    assert len(events) == 1


def test_a_name_with_a_pattern_is_a_name(dataset, tmp_path):
    for name in ("run[1]", "run1", "x*", "x"):
        train(dataset, output=tmp_path / name, **QUICK)
    stray = tmp_path / "run1" / ".befa.pt.partial-notours.pt"
    stray.write_text("x")
    for name in ("run[1]", "x*"):
        train(dataset, output=tmp_path / name, overwrite=True, **QUICK)
    assert stray.exists()
    assert (tmp_path / "x" / "befa.pt").is_file()


def test_leftovers_of_a_killed_run_are_swept(dataset, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    half = run / ".befa.pt.partial-0123abcd-99999-0123abcd.pt"  # of another machine, and yet
    half.write_text("half")
    train(dataset, output=run, **QUICK)
    assert not half.exists()
    assert sorted(p.name for p in run.iterdir() if p.name.startswith(".")) == []


class Full:
    """A disk that is full from the ``after``-th write on."""

    def __init__(self, after):
        self.left = after

    def __call__(self, *_):
        self.left -= 1
        if self.left < 0:
            raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("fifth", range(5))
def test_a_full_disk_at_each_fifth_of_a_run(dataset, tmp_path, monkeypatch, fifth):
    """Every file of a run meets it: the log, TensorBoard's events, the state, what ends it."""
    real = os.replace
    whole = train(dataset, output=tmp_path / "whole", save_every=0, **QUICK)
    counted = Full(10**9)

    def replace(*paths):
        counted(*paths)
        real(*paths)

    monkeypatch.setattr(writing.os, "replace", replace)
    train(dataset, output=tmp_path / "counted", save_every=0, **QUICK)
    total = 10**9 - counted.left
    assert total >= 7  # config, log, a state an epoch, metrics, users, checkpoint
    counted.left = total * fifth // 5
    run = tmp_path / "run"
    with pytest.raises(BecamError, match=r"disk is full.*--resume"):
        train(dataset, output=run, save_every=0, **QUICK)
    assert not list(run.glob(".*"))
    counted.left = 10**9
    resumed = train(dataset, output=run, resume=True, **QUICK)
    assert resumed.metrics == whole.metrics
    assert all(torch.equal(resumed.state[name], whole.state[name]) for name in whole.state)


@pytest.mark.parametrize("where", ["json", "tensorboard"])
def test_a_full_disk_under_the_logs(dataset, tmp_path, monkeypatch, where):
    from becam.training import report

    @contextmanager
    def full(path, after):
        def write(epoch):
            if epoch.number == 2:
                raise OSError(errno.ENOSPC, "No space left on device", str(path))

        yield write

    with monkeypatch.context() as patch:
        patch.setattr(report, {"json": "_json_lines", "tensorboard": "_tensorboard"}[where], full)
        with pytest.raises(BecamError, match=r"disk is full.*--resume"):
            train(dataset, output=tmp_path / "run", save_every=0, **QUICK)
    made = train(dataset, output=tmp_path / "run", resume=True, **QUICK)
    assert made.training["epochs"] == 3
    assert Checkpoint.load(tmp_path / "run").metrics == made.metrics


def test_pytorch_says_what_the_disk_said(tmp_path):
    """Its writer makes a RuntimeError of it."""
    code = """
import resource, sys
import torch
from becam.files import save_torch
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
try:
    save_torch({"x": torch.zeros(4 << 20)}, sys.argv[1])
except Exception as error:
    print(type(error).__name__, error)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "state.pt")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith("DiskFullError The disk is full")
    assert done.stderr == ""
    assert not list(tmp_path.iterdir())
