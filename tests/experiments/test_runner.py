"""Experiments as they run: killed, interrupted, failing, in several processes."""

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import yaml
from planted import planted_dataset
from processes import alive, children
from typer.testing import CliRunner

import becam.training
from becam.checkpoint import Checkpoint
from becam.data.dataset import Dataset
from becam.errors import BecamError
from becam.experiments.config import load_experiment
from becam.experiments.runner import run_experiment, status
from becam.experiments.store import Store
from becam.experiments.workers import WorkerDiedError, _Worker
from becam.training import evaluate
from becam.training.ranking import popularity_metrics

CONFIG = {
    "datasets": ["p"],
    "models": ["bm3"],
    "adapters": ["none", "befa"],
    "seeds": 2,
    "train": {"epochs": 40, "warmup": 40, "batch_size": 256, "lr": 0.01, "device": "cpu"},
}

SCRIPT = """
import sys
from becam.cli.experiment import experiment
from becam.cli import app
app.app.command()(experiment)
app.main()
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("experiment")
    planted_dataset(folder / "p")
    write(folder / "long.yaml")
    write(folder / "short.yaml", train=CONFIG["train"] | {"epochs": 2})
    return folder


@pytest.fixture(scope="module")
def whole(folder):
    """The store of an experiment that nothing disturbed."""
    store = Store(folder / "whole", create=True)
    assert run_experiment(load_experiment(folder / "long.yaml"), store, quiet=True).trained == 4
    return store


def write(path, **changes):
    path.write_text(yaml.safe_dump(CONFIG | changes), "utf-8")
    return path


def content(store):
    """Everything of a store but how long it took."""
    rows = []
    for run in store.runs():
        values = {name: value for name, value in vars(run).items() if "seconds" not in name}
        users = store.user_metrics(run.key)
        by_metric = {name: found.tolist() for name, found in users.values.items()}
        rows.append((values, users.users.tolist(), by_metric))
    return rows


def start(folder, config, store, *more):
    command = [sys.executable, "-c", SCRIPT, "experiment", config, "-o", store, *more]
    return subprocess.Popen(
        list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


def wait_for(condition, process, seconds=120):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        assert process.poll() is None, process.stdout.read()
        time.sleep(0.02)


def started(path, runs):
    """That many runs have logged an epoch."""
    return len([p for p in path.glob("runs/*/metrics.jsonl") if p.stat().st_size]) >= runs


def test_what_enters_is_what_train_reports(folder, whole):
    dataset = Dataset.open(folder / "p")
    train, test = dataset.interactions("train"), dataset.interactions("test")
    popular = popularity_metrics(train, dataset.n_items, test, train).mean()
    runs = whole.runs()
    assert [(run.adapter, run.seed) for run in runs] == [
        ("befa", 0),
        ("befa", 1),
        ("none", 0),
        ("none", 1),
    ]
    for run in runs:
        checkpoint = Checkpoint.load(whole.folder(run.key))
        assert evaluate(checkpoint, dataset).test == run.metrics["test"]
        assert run.baselines["popularity"] == popular
        assert run.options["seed"] == checkpoint.training["seed"] == run.seed
        assert run.parameters == sum(value.numel() for value in checkpoint.state.values())
        users = whole.user_metrics(run.key)
        np.testing.assert_array_equal(users.users, np.unique(test[:, 0]))
        assert users.mean() == run.metrics["test"]


def test_nothing_runs_twice(folder, whole, monkeypatch):
    def refuse(*args, **options):
        raise AssertionError("trained again")

    monkeypatch.setattr(becam.training, "train", refuse)
    experiment = load_experiment(folder / "long.yaml")
    outcome = run_experiment(experiment, whole, quiet=True)
    assert (outcome.present, outcome.trained, outcome.failures) == (4, 0, {})


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="counts processes in /proc")
@pytest.mark.parametrize(("number", "jobs"), [(signal.SIGINT, 2), (signal.SIGKILL, 2)])
def test_a_stopped_experiment_ends_as_one_that_never_was(folder, whole, tmp_path, number, jobs):
    path = tmp_path / "store"
    process = start(folder, folder / "long.yaml", path, "--jobs", jobs)
    wait_for(lambda: started(path, 2), process)
    workers = children(process.pid)
    process.send_signal(number)
    process.communicate(timeout=30)
    assert process.returncode == (-signal.SIGKILL if number == signal.SIGKILL else 130)
    deadline = time.monotonic() + 20
    while any(map(alive, workers)):
        assert time.monotonic() < deadline, "a worker outlived its parent"
        time.sleep(0.02)
    store = Store(path)
    before = [run.key for run in store.runs()]
    assert len(before) < 4
    outcome = run_experiment(load_experiment(folder / "long.yaml"), store, quiet=True)
    assert (outcome.present, outcome.trained) == (len(before), 4 - len(before))
    assert content(store) == content(whole)


def test_one_failure_does_not_cost_the_others(folder, tmp_path, capsys, monkeypatch):
    real = becam.training.train

    def train(dataset, **options):
        if (options["adapter"], options["seed"]) == ("befa", 0):
            raise BecamError("The loss stopped being a number in epoch 3.")
        if (options["adapter"], options["seed"]) == ("none", 1):
            raise ZeroDivisionError("oh")
        return real(dataset, **options)

    monkeypatch.setattr(becam.training, "train", train)
    experiment = load_experiment(folder / "short.yaml")
    store = Store(tmp_path / "store", create=True)
    outcome = run_experiment(experiment, store)
    assert outcome.trained == 2
    assert outcome.failures == {
        "planted/plain bm3 + befa, seed 0": "The loss stopped being a number in epoch 3.",
        "planted/plain bm3 + none, seed 1": "an error in becam itself (ZeroDivisionError: oh); "
        "please report it.",
    }
    assert "[4/4]" in capsys.readouterr().err
    monkeypatch.undo()
    outcome = run_experiment(experiment, store, quiet=True)
    assert (outcome.present, outcome.trained, outcome.failures) == (2, 2, {})


def test_an_interrupted_training_does_not_enter(folder, tmp_path, monkeypatch):
    real = becam.training.train

    def train(dataset, **options):
        def press_ctrl_c(epoch):
            if options["seed"] == 1:
                os.kill(os.getpid(), signal.SIGINT)

        return real(dataset, **options | {"on_epoch": press_ctrl_c})

    monkeypatch.setattr(becam.training, "train", train)
    experiment = load_experiment(folder / "short.yaml")
    store = Store(tmp_path / "store", create=True)
    with pytest.raises(KeyboardInterrupt):
        run_experiment(experiment, store, quiet=True)
    assert [(run.adapter, run.seed) for run in store.runs()] == [("none", 0)]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    monkeypatch.undo()
    run_experiment(experiment, store, quiet=True)
    assert len(store.runs()) == 4


def test_several_processes_give_the_same_store(folder, tmp_path):
    """And a training that fails in a process of its own is told like any other."""
    config = {"adapters": ["none", {"name": "lora"}], "seeds": 1}
    good = write(folder / "good.yaml", **config, train=CONFIG["train"] | {"epochs": 2})
    bad = write(
        folder / "bad.yaml",
        **config | {"models": ["bm3", {"name": "bm3", "label": "wild", "lr": 1e300}]},
        train=CONFIG["train"] | {"epochs": 2},
    )
    one, two = (Store(tmp_path / name, create=True) for name in ("one", "two"))
    run_experiment(load_experiment(good), one, quiet=True)
    outcome = run_experiment(load_experiment(bad), two, jobs=2, quiet=True)
    assert content(one) == content(two)
    assert len(outcome.failures) == 2
    assert all("number" in sentence for sentence in outcome.failures.values())


def test_a_worker_that_dies_costs_one_training(folder):
    worker = _Worker()
    options = {"epochs": 2, "batch_size": 256, "device": "cpu"}

    def kill(epoch):
        (process,) = multiprocessing.active_children()
        process.kill()

    def kill_from_here(epoch):
        threading.Thread(target=worker.kill).start()

    with pytest.raises(WorkerDiedError, match="ended by itself"):
        worker.train(folder / "p", kill, options)
    assert worker.train(folder / "p", lambda epoch: None, options).training["epochs"] == 2
    with pytest.raises(KeyboardInterrupt):
        worker.train(folder / "p", kill_from_here, options | {"epochs": 10**6, "warmup": 10**6})
    assert multiprocessing.active_children() == []


def test_checkpoints_are_kept_unless_told_otherwise(folder, whole, tmp_path):
    assert all((whole.folder(run.key) / "befa.pt").is_file() for run in whole.runs())
    store = Store(tmp_path / "store", create=True)
    experiment = load_experiment(folder / "short.yaml")
    run_experiment(experiment, store, keep_checkpoints=False, quiet=True)
    assert len(store.runs()) == 4
    assert not list(store.path.glob("runs/*/befa.pt"))


def test_a_tuned_row_trains_with_what_its_search_found(folder, tmp_path):
    search = {"trials": 2, "epochs": 2, "space": {"bm3": {"layers": [1, 2], "dropout": []}}}
    search["space"]["bm3"]["reg_weight"] = []
    path = write(
        folder / "tuned.yaml",
        search=search,
        adapters=["none"],
        train=CONFIG["train"] | {"epochs": 2},
    )
    experiment, store = load_experiment(path), Store(tmp_path / "store", create=True)
    outcome = run_experiment(experiment, store, quiet=True)
    assert (outcome.trained, outcome.failures) == (2, {})
    best = {}
    for layers in (1, 2):
        row = experiment.rows[0].with_values({"model.layers": layers})
        checkpoint = becam.training.train(row.source.dataset, quiet=True, **row.options)
        best[checkpoint.metrics["validation"]["recall@20"]] = layers
    assert {run.options["model_options"]["layers"] for run in store.runs()} == {best[max(best)]}
    (row,) = status(experiment, store)
    assert (row.runs_done, row.runs, row.trials_done, row.trials) == (2, 2, 2, 2)
    assert run_experiment(experiment, store, quiet=True).present == 2


def invoke(*arguments):
    import typer

    from becam.cli.experiment import experiment

    app = typer.Typer()
    app.command()(experiment)
    return CliRunner().invoke(app, list(map(str, arguments)))


def test_a_dry_run_says_what_is_missing_and_writes_nothing(folder, whole, tmp_path):
    done = invoke(folder / "long.yaml", "-o", whole.path, "--dry-run")
    assert "4 runs: 4 done, 0 missing." in done.output
    fresh = invoke(folder / "long.yaml", "-o", tmp_path / "store", "--dry-run")
    assert "4 runs: 0 done, 4 missing." in fresh.output
    assert not (tmp_path / "store").exists()


def test_the_exit_status_tells_of_failures(folder, tmp_path):
    path = write(folder / "wild.yaml", train=CONFIG["train"] | {"lr": 1e300}, seeds=1)
    result = invoke(path, "-o", tmp_path / "store")
    assert result.exit_code == 1
    assert result.output.count("Failed: ") == 2
    good = write(folder / "one.yaml", train=CONFIG["train"] | {"epochs": 1}, seeds=1)
    result = invoke(good, "-o", tmp_path / "store")
    assert result.exit_code == 0
    assert "2 runs trained, 0 were in" in result.output


def test_two_cannot_fill_one_store(folder, whole):
    with whole.filling(), pytest.raises(BecamError, match="Another becam"):
        run_experiment(load_experiment(folder / "long.yaml"), Store(whole.path), quiet=True)


def test_jobs_are_one_at_least(folder, whole):
    with pytest.raises(BecamError, match="--jobs"):
        run_experiment(load_experiment(folder / "long.yaml"), whole, jobs=0)


def test_a_dry_run_refuses_what_a_run_refuses(tmp_path):
    dataset = planted_dataset(tmp_path / "data")
    path = tmp_path / "grid.yaml"
    path.write_text("datasets: [data]\nmodels: [bm3]\nadapters: [none]\n")
    (features,) = dataset.path.glob("features/*/image.npy")
    features.write_bytes(features.read_bytes()[:-8])
    said = [str(invoke(path, "-o", tmp_path / "s", *dry).exception) for dry in ([], ["--dry-run"])]
    assert said[0] == said[1]
    assert str(features) in said[0]
