"""What is printed: on any terminal, to readers that leave, and with names of every kind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from planted import planted_dataset
from rich.table import Table

import becam
from becam.cli import app as module
from becam.evaluation.markdown import escaped, markdown_table
from becam.experiments.rendering import _markdown
from becam.terminal import console, harmless, one_line, say

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(becam.__file__).parents[1])}
HOSTILE = [
    "[/b]",
    "[red]x[/red]",
    "[link=https://evil.example]y[/link]",
    ":smile:",
    "\x1b[31mred\x1b]0;title\x07",
    "\x9b31m",
    "back\x08space\rcarriage",
    "two\nlines\ttab",
    "\u202egnp.exe",
    "\udcff latin",
    "<script>alert(1)</script>",
    "![x](https://evil.example/x.png)",
    "[y](javascript:alert(1))",
    "a | b * c `d` _e_ ~~f~~ &lt; \\",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_tables_show_names_as_they_are(text, capsys):
    table = Table(text, "plain", title=text, caption=text)
    table.add_row(text, "1")
    console(width=200).print(table)
    shown = capsys.readouterr().out
    # In title, heading, cell and caption.
    for word in harmless(text).split():
        assert shown.count(word) >= 4, shown
    assert not set(shown) & {"\x1b", "\x9b", "\x08", "\x07", "\r", "\u202e"}


@pytest.mark.parametrize("text", HOSTILE)
def test_sentences_are_one_line_that_no_terminal_obeys(text, run_cli, monkeypatch, tmp_path):
    def refuse(*_):
        raise becam.BecamError(f"{text} is wrong.")

    monkeypatch.setattr("becam.data.dataset.Dataset.open", refuse)
    status, _, errors = run_cli("train", tmp_path, "-o", tmp_path / "run")
    assert status == 1
    assert errors == f"becam: {one_line(text)} is wrong.\n"
    assert errors[:-1].isprintable()


def test_plain_text_stays_as_it_is(capsys):
    for text in ("Größe 42", "红色连衣裙", "👩🏽‍🦰", "50 % [0.1, 0.2]", "two\nlines\ttab"):
        assert harmless(text) == text
        say(text)
        assert capsys.readouterr().out == f"{text}\n"


@pytest.mark.parametrize("text", HOSTILE)
def test_markdown_shows_text_as_it_is(text):
    """By another parser of GitHub's Markdown: a cell is its text, and nothing else."""
    rendered = MarkdownIt("gfm-like", {"linkify": False}).enable("table")
    for table in (
        markdown_table(["name", text], [[text, "1"]]),
        f"| {_markdown(text)} | n |\n|-|-|",
    ):
        tokens = rendered.parse(table)
        cells = [token for token in tokens if token.type == "inline"]
        marked = {child.type for cell in cells for child in cell.children or ()}
        assert marked <= {"text", "text_special"}, (marked, table)
        told = ["".join(child.content for child in cell.children or ()) for cell in cells]
        assert one_line(text) in told
        assert not any(token.type.startswith("html") for token in tokens)


def test_numbers_in_markdown_stay_legible():
    assert escaped("0.53 [0.50, 0.56]") == "0.53 [0.50, 0.56]"
    assert escaped("recall_at_20 < 1") == "recall_at_20 < 1"


def run(words, *, cwd, shell=False, **environment):
    return subprocess.run(
        words,
        cwd=cwd,
        shell=shell,
        executable="/bin/bash" if shell else None,
        capture_output=True,
        env=ENVIRONMENT | environment,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize(
    "terminal",
    [{"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}],
    ids=["ascii", "C"],
)
def test_terminals_that_know_few_letters(terminal, tmp_path):
    for words in (["models"], ["methods"], ["--help"], ["train", "größe-\udcff", "-o", "x"]):
        found = run([sys.executable, "-m", "becam", *words], cwd=tmp_path, **terminal)
        assert found.returncode == (1 if words[0] == "train" else 0), found.stderr
        assert b"Traceback" not in found.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_readers_that_leave_and_disks_that_are_full(tmp_path):
    becam_ = f"{sys.executable} -m becam"
    found = run(f"{becam_} models | head -1; exit ${{PIPESTATUS[0]}}", cwd=tmp_path, shell=True)
    assert found.returncode in (0, 1)
    assert found.stderr == b""
    assert len(found.stdout.splitlines()) == 1
    found = run(f"{becam_} models > /dev/full", cwd=tmp_path, shell=True)
    assert found.returncode == 1
    (line,) = found.stderr.decode().splitlines()
    assert line.startswith("becam: ")
    assert "No space left" in line


def test_memory_that_runs_out_names_options_that_the_command_has(run_cli, monkeypatch, tmp_path):
    def full(*_):
        raise MemoryError

    monkeypatch.setattr("becam.data.dataset.Dataset.open", full)
    status, _, errors = run_cli("train", tmp_path, "-o", tmp_path / "run")
    assert (status, "--batch-size" in errors, "--jobs" in errors) == (1, True, False)
    monkeypatch.setattr("becam.checkpoint.Checkpoint.load", full)
    status, _, errors = run_cli("evaluate", tmp_path, tmp_path)
    assert (status, "--" in errors) == (1, False)
    assert "ran out of memory" in errors
    assert "--jobs" in module._less_memory(["sweep", "lambda", "x"])
    assert "--batch-size" in module._less_memory(["figure", "2", "x"])


def test_labels_of_experiments(run_cli, tmp_path):
    planted_dataset(tmp_path / "data")
    models = [{"name": "bm3", "label": label} for label in HOSTILE if "\udcff" not in label]
    config = {"datasets": ["data"], "models": models, "adapters": ["none"]}
    (tmp_path / "grid.yaml").write_text(json.dumps(config))  # YAML, for it is JSON
    status, output, errors = run_cli("experiment", tmp_path / "grid.yaml", "-o", "s", "--dry-run")
    assert status == 0, errors
    for shown in ("[/b]", ":smile:", "\\x1b[31mred", "<script>"):
        assert shown in output
    assert "\x1b" not in output
