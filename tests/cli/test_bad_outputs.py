"""Every command over every output that cannot be: refused before any work, in one sentence."""

from __future__ import annotations

import itertools
import os
from pathlib import Path

import pytest
from badoutputs import make_bad
from planted import planted_dataset
from sentences import one_sentence

FOLDERS = {
    "prepare": "prepare csv {missing} -o {out}",
    "train": "train {dataset} -o {out}",
    "audit": "audit {missing} --dataset {missing} -o {out}",
    "demo": "demo --no-open -o {out}",
    "deviation": "deviation {missing} --dataset {missing} -o {out}",
    "experiment": "experiment {missing} -o {out}",
    "search": "search {dataset} -o {out}",
    "sweep": "sweep lambda {dataset} -o {out}",
    "gallery": "gallery {missing} --dataset {missing} -o {out}",
    "fiftyone": "gallery {missing} --dataset {missing} -o {good} --fiftyone {out}",
}
FILES = {
    "attach": "attach {missing} --item-vectors {missing} --ids {missing} -o {out}",
    "import": "import {missing} -o {out}",
    "explain": "explain --image {missing} --item-id 1 --ckpt {missing} -o {out}.png",
    "words": "words --item-id 1 --ckpt {missing} -o {out}.png",
    "sheet": "gallery {missing} --dataset {missing} -o {good} --sheet {out}.png",
    "figure 2": "figure 2 {missing} --dataset {missing} -o {out}.png",
    "figure 6": "figure 6 {missing} --dataset {missing} -o {out}.png",
    "figure 7": "figure 7 {missing} --dataset {missing} -o {out}.png",
    "figure 8": "figure 8 {missing} --dataset {missing} --images {missing} -o {out}.png",
    "figure 9": "figure 9 {missing} --dataset {missing} -o {out}.png",
    "figure 10": "figure 10 {missing} -o {out}.png",
    "table": "table 2 {missing} -o {out}",
    "sweep figure": "sweep lambda {dataset} -o {good} --figure {out}.png",
}
COMMANDS = FOLDERS | FILES
KINDS = [
    "parent is a file",
    "grandparent is a file",
    "dangling link",
    "dangling parent",
    "link to itself",
    "parent links to itself",
    "long name",
    "long parent",
    "long path",
    "nearly too long a path",
    "below a device",
    "device",
    "pipe",
    "wrong kind",
]
QUICK = {"parent is a file", "wrong kind"}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return planted_dataset(tmp_path_factory.mktemp("planted") / "dataset").path


@pytest.fixture(autouse=True)
def nothing_long(monkeypatch):
    """Whatever takes time is an error, and so status 70."""

    def late(*_arguments, **_options):
        raise AssertionError("the output should have been looked at first")

    for name in (
        "becam.training.run.fit",
        "becam.training.run.create_recommender",
        "becam.encoders.extraction.load_encoder",
        "becam.evaluation.deviation.deviations",
        "becam.data.preparation.read_source",
        "becam.data.catalogue.build._write_pictures",
        "becam.attribution.explainer.Explainer.__init__",
        "becam.experiments.runner.run_experiment",
        "becam.checkpoint.Checkpoint.load",
    ):
        monkeypatch.setattr(name, late)


def bad_output(folder, command, kind):
    """The output, and where its suffix is the command's own, without it."""
    wanted = COMMANDS[command].rpartition("{out}")[2].split()
    suffix = wanted[0] if wanted else ""
    if kind == "wrong kind":
        path = folder / f"there{suffix}"
        if command in FOLDERS:
            path.write_text("precious")
        else:
            path.mkdir()
    else:
        path = make_bad(folder, kind)
    if not suffix:
        return str(path)
    if str(path).endswith(suffix):
        return str(path).removesuffix(suffix)
    if kind in ("dangling link", "link to itself", "pipe"):
        moved = Path(f"{path}{suffix}")
        if kind == "link to itself":
            moved.symlink_to(moved)
        else:
            os.rename(path, moved)
    if kind == "device":
        Path(folder / f"null{suffix}").symlink_to("/dev/null")
        return str(folder / "null")
    return str(path)


def cases():
    for command, kind in itertools.product(COMMANDS, KINDS):
        marks = () if kind in QUICK else pytest.mark.slow
        yield pytest.param(command, kind, marks=marks, id=f"{command}: {kind}")


@pytest.mark.parametrize(("command", "kind"), cases())
def test_refused_before_the_work(run_cli, dataset, tmp_path, command, kind):
    bad = tmp_path / "bad"
    bad.mkdir()
    out = bad_output(bad, command, kind)
    before = sorted(bad.rglob("*"))
    places = {
        "out": out,
        "good": tmp_path / "good",
        "missing": tmp_path / "missing",
        "dataset": dataset,
    }
    arguments = [word.format(**places) for word in COMMANDS[command].split()]
    said = one_sentence(run_cli(*arguments))
    # It speaks of the output, not of the inputs, which are not there.
    assert str(tmp_path / "missing") not in said
    shown = out if command in FOLDERS else out.rstrip()
    assert "choose" in said, said
    assert any(part in said for part in (shown, repr(shown), "whole disk", str(bad))), said
    assert sorted(bad.rglob("*")) == before
    assert not (tmp_path / "good").exists()


@pytest.mark.parametrize("name", ["x" * 300, "file"])
def test_features_look_at_their_set_first(run_cli, dataset, name):
    (dataset / "features" / "file").write_text("precious")
    try:
        said = one_sentence(run_cli("features", dataset, "--name", name))
    finally:
        (dataset / "features" / "file").unlink()
    assert "choose" in said
    assert name in said


@pytest.mark.parametrize("overwrite", [[], ["--overwrite"]])
@pytest.mark.parametrize(
    "command",
    ["prepare", "train", "audit", "demo", "deviation", "gallery", "fiftyone", "attach", "import"],
)
def test_what_becam_did_not_write_is_never_replaced(run_cli, dataset, tmp_path, command, overwrite):
    """A project of the user's with names that becam's results have, and a file of his own."""
    mine = tmp_path / "mine"
    if command in FILES:
        mine.write_text("precious")
    else:
        for name in ("index.html", "config.json", "parts/x", "catalogue/x", "metadata.json"):
            (mine / name).parent.mkdir(parents=True, exist_ok=True)
            (mine / name).write_text("precious")
        for name in ("audit.json", "items.parquet", "samples.json", "table.md", "manifest.json"):
            (mine / name).write_text("precious")
    before = {p: p.read_bytes() for p in [mine, *mine.rglob("*")] if p.is_file()}
    places = {
        "out": mine,
        "good": tmp_path / "good",
        "missing": tmp_path / "missing",
        "dataset": dataset,
    }
    arguments = [word.format(**places) for word in COMMANDS[command].split()]
    result = run_cli(*arguments, *overwrite)
    if command == "audit":  # its request comes first
        assert result[0] == 1
    else:
        said = one_sentence(result)
        assert "left as it is" in said or "already exists" in said or "not a dataset" in said, said
    assert {p: p.read_bytes() for p in [mine, *mine.rglob("*")] if p.is_file()} == before


def test_no_command_writes_over_what_it_reads(run_cli, tmp_path):
    picture = tmp_path / "x.png"
    picture.write_bytes(b"precious")
    said = one_sentence(
        run_cli("explain", "--image", picture, "--item-id", 1, "--ckpt", "c", "-o", picture)
    )
    assert "is read by this command" in said
    (tmp_path / "manifest.json").write_text("precious")
    words = ("--item-id", 1, "--ckpt", "c", "-o", tmp_path / "manifest.png")
    assert "belongs to no" in one_sentence(run_cli("words", *words))
    store = tmp_path / "store"
    store.mkdir()
    (store / "store.sqlite").write_bytes(b"precious")
    said = one_sentence(run_cli("table", 2, store, "-o", store / "store.sqlite"))
    assert "is read by this command" in said


@pytest.mark.parametrize(
    ("fiftyone", "sheet"), [("out", None), ("out/in", None), (None, "out/s.pdf")]
)
def test_outputs_of_a_gallery_do_not_lie_in_each_other(run_cli, tmp_path, fiftyone, sheet):
    options = ["--fiftyone", tmp_path / fiftyone] if fiftyone else ["--sheet", tmp_path / sheet]
    result = run_cli("gallery", "c", "--dataset", "d", "-o", tmp_path / "out", *options)
    assert "written whole" in one_sentence(result)
