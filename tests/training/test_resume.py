"""A run killed at any moment and resumed equals one never stopped, bit for bit."""

import json
import signal
import subprocess
import sys
import time

import pytest
import torch
from planted import planted_dataset

from becam.adapters import ADAPTERS
from becam.checkpoint import Checkpoint
from becam.errors import BecamError
from becam.recommenders import RECOMMENDERS
from becam.training import read_user_metrics, train

QUICK = {"warmup": 0, "batch_size": 256, "lr": 1e-2, "device": "cpu", "quiet": True}


class Killed(BaseException):
    """Not an Exception, so that nothing catches it: as sudden as a kill can be in one process."""


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return planted_dataset(tmp_path_factory.mktemp("planted") / "dataset")


def same(one, other):
    assert one.metrics == other.metrics
    assert one.state.keys() == other.state.keys()
    assert all(torch.equal(one.state[k], other.state[k]) for k in one.state)


def killed_in(epoch):
    def kill(report):
        if report.number == epoch:
            raise Killed

    return kill


def without_times(path):
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return [{k: v for k, v in x.items() if k not in ("seconds", "remaining")} for x in lines]


@pytest.mark.parametrize(
    "config",
    [{"model": model} for model in RECOMMENDERS]
    + [{"adapter": adapter} for adapter in ADAPTERS if adapter != "befa"]
    + [{"features_mode": "trainable"}],
    ids=str,
)
def test_resumed_equals_never_stopped(dataset, tmp_path, config):
    options = QUICK | config | {"epochs": 5}
    whole = train(dataset, output=tmp_path / "whole", **options)
    run = tmp_path / "run"
    for epoch in (2, 4):  # killed twice; the state of the epoch before is the last on disk
        with pytest.raises(Killed):
            train(
                dataset,
                output=run,
                resume=True,
                save_every=0,
                on_epoch=killed_in(epoch),
                **options,
            )
        assert not (run / "befa.pt").exists()
    torch.manual_seed(123)  # whatever state the caller is in
    resumed = train(dataset, output=run, resume=True, **options)
    same(resumed, whole)
    same(Checkpoint.load(run), Checkpoint.load(tmp_path / "whole"))
    assert without_times(run / "metrics.jsonl") == without_times(tmp_path / "whole/metrics.jsonl")
    mine, theirs = (read_user_metrics(path) for path in (run, tmp_path / "whole"))
    assert all((mine.values[k] == theirs.values[k]).all() for k in theirs.values)
    assert not (run / "state.pt").exists()


def test_tensorboard_shows_each_epoch_once(dataset, tmp_path):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    run = tmp_path / "run"
    with pytest.raises(Killed):
        train(dataset, output=run, save_every=0, on_epoch=killed_in(4), **QUICK | {"epochs": 6})
    train(dataset, output=run, resume=True, **QUICK | {"epochs": 6})
    events = accumulator.EventAccumulator(str(run / "tensorboard"))
    events.Reload()
    assert [e.step for e in events.Scalars("loss/total")] == [1, 2, 3, 4, 5, 6]


def test_sigkill_in_the_middle(dataset, tmp_path):
    options = ["--epochs", "12", "--patience", "12", "--batch-size", "64", "--device", "cpu"]
    command = [sys.executable, "-m", "becam", "train", dataset.path, *options, "--save-every", "0"]
    subprocess.run([*command, "-o", tmp_path / "whole"], check=True, capture_output=True)
    run = tmp_path / "run"
    process = subprocess.Popen([*command, "-o", run], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not (run / "state.pt").exists():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (run / "befa.pt").exists()
    subprocess.run([*command, "-o", run, "--resume"], check=True, capture_output=True)
    same(Checkpoint.load(run), Checkpoint.load(tmp_path / "whole"))


def test_a_finished_run_is_read_and_not_trained_again(dataset, tmp_path):
    options = QUICK | {"epochs": 2}
    first = train(dataset, output=tmp_path / "run", **options)
    written = (tmp_path / "run" / "befa.pt").stat().st_mtime_ns
    again = train(dataset, output=tmp_path / "run", resume=True, **options)
    same(again, first)
    assert (tmp_path / "run" / "befa.pt").stat().st_mtime_ns == written


@pytest.mark.parametrize("every", [0, 1000])  # with a state to go on from, and before the first
def test_ctrl_c_keeps_the_best_and_resume_goes_on(dataset, tmp_path, every):
    options = QUICK | {"epochs": 5}
    whole = train(dataset, **options)
    run = tmp_path / "run"

    def interrupt(report):
        if report.number == 3:
            raise KeyboardInterrupt

    stopped = train(dataset, output=run, save_every=every, on_epoch=interrupt, **options)
    assert stopped.training["stopped"] == "interrupted"
    assert (run / "state.pt").exists() == (every == 0)
    same(train(dataset, output=run, resume=True, **options), whole)


def test_resuming_with_other_options_or_data_is_refused(dataset, tmp_path):
    run = tmp_path / "run"
    with pytest.raises(Killed):
        train(dataset, output=run, save_every=0, on_epoch=killed_in(2), **QUICK | {"epochs": 5})
    state = (run / "state.pt").read_bytes()
    with pytest.raises(BecamError, match="another seed"):
        train(dataset, output=run, resume=True, seed=1, **QUICK | {"epochs": 5})
    with pytest.raises(BecamError, match="another adapter_options"):
        train(
            dataset,
            output=run,
            resume=True,
            adapter_options={"ratio": 2},
            **QUICK | {"epochs": 5},
        )
    other = planted_dataset(tmp_path / "other", seed=1)
    with pytest.raises(BecamError, match="the dataset"):
        train(other, output=run, resume=True, **QUICK | {"epochs": 5})
    assert (run / "state.pt").read_bytes() == state
    with pytest.raises(BecamError, match="--resume"):
        train(dataset, output=run, **QUICK | {"epochs": 5})


@pytest.mark.parametrize("damage", ["truncated", "foreign", "pickled"])
def test_a_damaged_state_is_one_sentence(dataset, tmp_path, damage):
    run = tmp_path / "run"
    with pytest.raises(Killed):
        train(dataset, output=run, save_every=0, on_epoch=killed_in(2), **QUICK | {"epochs": 5})
    state = run / "state.pt"
    if damage == "truncated":
        state.write_bytes(state.read_bytes()[:1000])
    elif damage == "foreign":
        torch.save({"weights": torch.zeros(3)}, state)
    else:
        torch.save({"generator": print}, state)
    with pytest.raises(BecamError, match="damaged"):
        train(dataset, output=run, resume=True, **QUICK | {"epochs": 5})
