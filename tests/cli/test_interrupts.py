"""Ctrl-C in any command, at any time: one line and the status that shells know."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from planted import planted_dataset
from processes import alive, children

import becam
from becam.cli import app as module

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(becam.__file__).parents[1])}
LINE = "becam: Stopped; what was complete is kept."
ENTRY = [sys.executable, "-c", "from becam.cli import entry; entry()"]
MODULE = [sys.executable, "-m", "becam"]


def test_ctrl_c_is_said(run_cli, monkeypatch, tmp_path):
    def interrupt(*args, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("becam.data.dataset.Dataset.open", interrupt)
    status, _, errors = run_cli("train", tmp_path, "-o", tmp_path / "run")
    assert status == module.INTERRUPTED == 130
    assert errors.strip().endswith(LINE)


def test_ctrl_c_behind_another_error_is_said(run_cli, monkeypatch, tmp_path):
    def interrupt(*args, **options):
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt:
            raise ImportError("numpy failed to import") from None

    monkeypatch.setattr("becam.data.dataset.Dataset.open", interrupt)
    assert run_cli("train", tmp_path, "-o", tmp_path / "run")[::2] == (130, f"{LINE}\n")


def interrupted(command, delay, cwd):
    """Status and standard error of a command to which Ctrl-C came after some seconds."""
    started = subprocess.Popen(
        list(map(str, command)),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=ENVIRONMENT,
        cwd=cwd,
        text=True,
    )
    time.sleep(delay)
    started.send_signal(signal.SIGINT)
    _, errors = started.communicate(timeout=120)
    return started.returncode, errors


def check(status, errors, command):
    """One line and 130, or done already; what Python does before becam's first line is Python's."""
    if "Traceback" in errors or status == -signal.SIGINT:
        assert status in (-signal.SIGINT, 1), (command, errors)
        assert f"becam{os.sep}" not in errors, errors
        assert "ignored" not in errors, errors
        return False
    assert status in (130, 0), (command, status, errors)
    if status == 130:
        assert [line for line in errors.splitlines() if line.startswith("becam:")] == [LINE]
    return True


@pytest.mark.parametrize("start", [ENTRY, MODULE], ids=["script", "module"])
@pytest.mark.parametrize("words", [["--help"], ["train", "{data}", "-o", "run"]])
def test_ctrl_c_while_it_begins(start, words, tmp_path):
    planted_dataset(tmp_path / "data")
    command = [*start, *(word.format(data=tmp_path / "data") for word in words)]
    for delay in (0.15, 0.4):
        check(*interrupted(command, delay, tmp_path), command)


@pytest.mark.slow
@pytest.mark.parametrize("start", [ENTRY, MODULE], ids=["script", "module"])
@pytest.mark.parametrize(
    "words",
    [
        ["--help"],
        ["models"],
        ["train", "data", "-o", "run", "--overwrite", "--epochs", "100000", "--patience", "99999"],
        ["gallery", "data", "--dataset", "data", "-o", "page"],
        ["experiment", "grid.yaml", "-o", "store", "--jobs", "2"],
    ],
    ids=lambda words: words[0],
)
def test_ctrl_c_at_any_time(start, words, tmp_path):
    planted_dataset(tmp_path / "data")
    (tmp_path / "grid.yaml").write_text(
        "datasets: [data]\nmodels: [bm3]\nadapters: [none, befa]\nseeds: 2\n"
        "train: {epochs: 100000, patience: 99999}\n"
    )
    command = [*start, *words]
    said = 0
    for step in range(25):
        status, errors = interrupted(command, step * 0.04 if step < 20 else step * 0.2, tmp_path)
        if words[0] == "gallery" and status == 1 and "Traceback" not in errors:
            continue  # refused before Ctrl-C came
        if words[0] == "train" and "before its first epoch" in errors:
            continue
        said += check(status, errors, command)
    assert said > 5


def test_processes_that_begin_do_not_hear_it(tmp_path):
    """Ctrl-C in a terminal reaches all processes; those that import would print where."""
    planted_dataset(tmp_path / "data")
    (tmp_path / "grid.yaml").write_text(
        "datasets: [data]\nmodels: [bm3]\nadapters: [none, befa]\nseeds: 1\n"
        "train: {epochs: 100000, patience: 99999}\n"
    )
    command = [*MODULE, "experiment", "grid.yaml", "-o", "store", "--jobs", "2"]
    started = subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=ENVIRONMENT,
        cwd=tmp_path,
        text=True,
        start_new_session=True,
    )
    while len(workers := children(started.pid)) < 3:  # two, and what tracks their resources
        time.sleep(0.01)
        assert started.poll() is None
    os.killpg(started.pid, signal.SIGINT)
    _, errors = started.communicate(timeout=120)
    assert started.returncode == 130, errors
    assert "Traceback" not in errors
    assert errors.count(LINE) == 1
    time.sleep(0.5)
    assert not any(map(alive, workers))
