"""``becam train`` and ``becam evaluate`` from the outside."""

import signal
import subprocess
import sys
import time

import pytest
import torch
import typer
from planted import planted_dataset
from typer.testing import CliRunner

from becam.checkpoint import Checkpoint
from becam.cli.evaluate import evaluate
from becam.cli.train import train
from becam.errors import BecamError

QUICK = ["--epochs", "2", "--batch-size", "256", "--device", "cpu"]

app = typer.Typer()
app.command()(train)
app.command()(evaluate)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return planted_dataset(tmp_path_factory.mktemp("planted") / "dataset").path


def invoke(*arguments):
    return CliRunner().invoke(app, [str(a) for a in arguments])


@pytest.fixture(scope="module")
def run(folder, tmp_path_factory):
    output = tmp_path_factory.mktemp("runs") / "run"
    result = invoke("train", folder, "-o", output, "--adapter-option", "ratio=1/2", *QUICK)
    assert result.exit_code == 0, result.output
    assert "test at epoch" in result.output
    return output


def test_evaluate_reproduces(folder, run):
    for checkpoint in (run, run / "befa.pt"):
        result = invoke("evaluate", checkpoint, folder)
        assert result.exit_code == 0
        assert "to the last digit" in result.output
        assert "popularity" in result.output
        assert "random" in result.output


def test_evaluate_says_that_metrics_differ(folder, run, tmp_path):
    payload = torch.load(run / "befa.pt", weights_only=True)
    payload["metrics"]["test"]["ndcg@10"] += 1e-12
    torch.save(payload, tmp_path / "edited.pt")
    result = invoke("evaluate", tmp_path / "edited.pt", folder)
    assert result.exit_code == 1
    assert "differ" in result.output
    assert "ndcg@10" in result.output
    assert "recall" not in result.output.split("differ")[1]


def test_a_ratio_may_be_a_fraction(run):
    payload = torch.load(run / "befa.pt", weights_only=True)
    assert payload["modalities"]["image"]["adapter"]["config"]["ratio"] == 0.5
    assert payload["modalities"]["image"]["adapter"]["state"]["w1.weight"].shape == (32, 64)


@pytest.mark.parametrize("ratio", ["four", "1/0", "9", "nan"])
def test_a_senseless_ratio_is_one_sentence(folder, tmp_path, ratio):
    option = ("--adapter-option", f"ratio={ratio}")
    result = invoke("train", folder, "-o", tmp_path / "run", *option, *QUICK)
    assert isinstance(result.exception, BecamError)
    assert "ratio" in str(result.exception)


def test_help_names_every_option():
    shown = CliRunner(env={"COLUMNS": "160"}).invoke(app, ["train", "--help"]).output
    for option in (
        "--adapter",
        "--adapter-option",
        "--resume",
        "--features-mode",
        "--warmup",
        "--patience",
    ):
        assert option in shown


def test_a_polite_kill_keeps_the_best_epoch(tmp_path):
    """SIGTERM, as `timeout` and job schedulers send it, ends training as Ctrl-C does."""
    dataset = planted_dataset(tmp_path / "data")
    run = tmp_path / "run"
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "becam", "train", dataset.path, "-o", run),
            *("--epochs", "100000", "--warmup", "100000"),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    log = run / "metrics.jsonl"
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and not (log.exists() and log.read_text().count("\n") > 2):
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    printed, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert b"the best one so far is kept" in printed
    assert Checkpoint.load(run).training["stopped"] == "interrupted"
