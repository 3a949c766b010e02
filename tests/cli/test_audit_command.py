"""``becam audit`` as a user meets it: items, photographs, a kill, and what can be wrong."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal
from processes import alive, children
from sentences import one_sentence
from zoo import make_checkpoint

from becam import Dataset
from becam.cli.sharing import same_command
from becam.data.catalogue.build import build_catalogue
from becam.data.preparation import prepare_dataset
from becam.encoders.extraction import extract_features


@pytest.fixture(scope="module")
def world(load, encoder_files, tmp_path_factory):
    """A catalogue with label maps, its dataset with features, and two checkpoints on its items."""
    folder = tmp_path_factory.mktemp("world")
    shop = build_catalogue(folder / "shop", n_items=24, n_users=40, seed=5, image_size=64)
    dataset = prepare_dataset("csv", shop, folder / "dataset", k_core=2, seed=0)
    spec, weights = encoder_files["open_clip-vit"]
    extract_features(dataset, spec, weights=weights, text_encoder="none", name="tiny", icc="ignore")
    for name, adapter in (("bm3", "none"), ("befa", "befa")):
        made = make_checkpoint(load("open_clip-vit"), n_items=dataset.n_items, adapter=adapter)
        dataclasses.replace(made, item_ids=dataset.item_ids).save(folder / f"{name}.pt")
    make_checkpoint(load("timm-cnn"), n_items=dataset.n_items).save(folder / "cnn.pt")
    return folder


@pytest.fixture
def audit(run_cli, world, tmp_path):
    """Run ``becam audit`` on checkpoints by name, into ``out``, with few steps."""

    def run(names, *more, out="out"):
        paths = [world / f"{name}.pt" for name in names]
        return run_cli("audit", *paths, "--steps", 2, "-o", tmp_path / out, *more)

    return run


def test_items(audit, world, tmp_path):
    status, printed, errors = audit(
        ["bm3", "befa"],
        *("--dataset", world / "dataset", "--annotations", world / "shop"),
        *("--object", "product", "--distractor", "skin,hair", "--items", 3, "--no-adapter"),
        *("--method", "becam", "--method", "becam,weighting=cosine"),
        *("--measures", "faithfulness,localisation"),
    )
    assert status == 0, errors
    values = pl.read_parquet(tmp_path / "out" / "measures.parquet")
    assert values["picture"].n_unique() == 3
    assert set(values["picture"]) <= set(Dataset.open(world / "dataset").item_ids)
    assert (values["target"] == "item " + values["picture"]).all()
    assert values["checkpoint"].n_unique() == 3
    methods = ["becam", "becam,weighting=cosine", "random", "gaussian", "activation", "picture"]
    assert values["method"].unique(maintain_order=True).to_list() == methods
    assert values.group_by("checkpoint", "method").len()["len"].unique().to_list() == [3 * 25]
    boxes = values.filter(pl.col("measure") == "max_box_acc")
    assert boxes["curve"].is_not_null().all()
    assert boxes["value"].is_not_null().all()
    text = (tmp_path / "out" / "table.md").read_text()
    for words in ("no adapter: faithfulness by rank (n = 3)", "| energy ↑", "# Against the floors"):
        assert words in text
    assert "max box" in printed
    assert "better than every floor" in printed


def test_more_items_later(audit, world, tmp_path):
    common = ("--dataset", world / "dataset", "--measures", "sanity", "--stages", 1)
    assert audit(["bm3"], *common, "--items", 1)[0] == 0
    first = pl.read_parquet(tmp_path / "out" / "measures.parquet")
    status, _, errors = audit(["bm3"], *common, "--items", 2)
    assert status == 0
    assert "1/2" in errors or "2/2" in errors
    both = pl.read_parquet(tmp_path / "out" / "measures.parquet")
    assert both["picture"].n_unique() == 2
    assert both.head(len(first)).equals(first)
    said = one_sentence(audit(["bm3"], *common, "--items", 2, "--seed", 1))
    assert "differs in seed" in said
    assert "--overwrite" in said
    assert audit(["bm3"], *common, "--items", 1, "--seed", 1, "--overwrite")[0] == 0


def test_photographs_and_texts(audit, world, tmp_path):
    status, _, errors = audit(
        ["bm3"],
        *("--images", world / "shop" / "images", "--annotations", world / "shop"),
        *("--object", "product", "--target", "text", "--items", 2),
    )
    assert status == 0, errors
    values = pl.read_parquet(tmp_path / "out" / "measures.parquet")
    assert set(values["target"]) == {"text 'a photo of product'"}
    assert all(name.endswith(".jpg") for name in values["picture"])
    assert values["measure"].str.ends_with("_similarity").all()


def test_photographs_and_the_nearest_item(audit, world, tmp_path):
    """A picture of the catalogue is nearest to the item whose picture it is."""
    status, _, errors = audit(
        ["befa"],
        *("--images", world / "shop" / "images", "--dataset", world / "dataset"),
        *("--target", "nearest", "--items", 4),
    )
    assert status == 0, errors
    values = pl.read_parquet(tmp_path / "out" / "measures.parquet")
    known = set(Dataset.open(world / "dataset").item_ids)
    own = values.filter(pl.col("picture").str.strip_suffix(".jpg").is_in(known))
    assert len(own)
    assert (own["target"] == "item " + own["picture"].str.strip_suffix(".jpg")).all()


def test_a_killed_audit_goes_on(run_cli, world, tmp_path):
    out = tmp_path / "out"
    command = ["audit", str(world / "bm3.pt"), "--dataset", str(world / "dataset")]
    command += ["--items", "4", "--steps", "16", "-o", str(out)]
    process = subprocess.Popen(
        [sys.executable, "-m", "becam", *command],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "OMP_NUM_THREADS": "1"},  # as here: sums depend on it in the last bit
    )
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline and process.poll() is None:
        if parts(out):
            break
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    done = len(parts(out))
    assert 1 <= done < 4, "the kill came too early or too late to test anything"
    assert not (out / "measures.parquet").exists()
    status, _, errors = run_cli(*command)
    assert status == 0, errors
    assert f"{done}/4" in errors  # the bar starts where the kill came
    status, _, errors = run_cli(*command[:-1], tmp_path / "again")
    assert status == 0, errors
    resumed, whole = (
        pl.read_parquet(path / "measures.parquet") for path in (out, tmp_path / "again")
    )
    assert_frame_equal(resumed, whole, rel_tol=1e-4, abs_tol=1e-4)


def parts(folder):
    return list((folder / "parts").glob("[!.]*.parquet"))


def assert_same_audit(one, other):
    """The same values, to rounding, and the same table but for it."""
    found, wanted = (pl.read_parquet(path / "measures.parquet") for path in (one, other))
    assert_frame_equal(found, wanted, rel_tol=1e-4, abs_tol=1e-4)
    headings = [
        [line for line in (path / "table.md").read_text().splitlines() if line.startswith("#")]
        for path in (one, other)
    ]
    assert headings[0] == headings[1] != []


def test_shards_fill_one_folder(audit, world, tmp_path, monkeypatch):
    common = ("--dataset", world / "dataset", "--items", 3)
    assert audit(["bm3"], *common, out="whole")[0] == 0
    status, printed, errors = audit(["bm3"], *common, "--shard", "2/2")
    assert status == 0, errors
    assert "holds 1 of 3 pictures. Once all are there" in printed.replace("\n", " ")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["audit.json", "parts"]
    status, printed, errors = audit(["bm3"], *common, "--shard", "1/2")
    assert status == 0, errors
    assert "holds 3 of 3 pictures. Now" in printed.replace("\n", " ")
    # Pictures have the names of their parts, so the shards were those of the audit's order.
    assert {p.name for p in parts(tmp_path / "out")} == {p.name for p in parts(tmp_path / "whole")}

    def refuse(*args, **options):
        raise AssertionError("an encoder was loaded only to sum up")

    monkeypatch.setattr("becam.evaluation.request.Explainer", refuse)
    status, printed, errors = audit(["bm3"], *common)
    assert status == 0, errors
    assert "better than every floor" in printed
    assert_same_audit(tmp_path / "out", tmp_path / "whole")
    assert "differs in steps" in one_sentence(audit(["bm3"], *common, "--steps", 3, "--shard=1/2"))


def test_two_jobs_give_the_table_of_one(audit, world, tmp_path):
    common = ("--dataset", world / "dataset", "--items", 3, "--no-adapter")
    assert audit(["bm3", "befa"], *common, out="whole")[0] == 0
    (tmp_path / "out").mkdir()
    status, printed, errors = audit(["bm3", "befa"], *common, "--jobs", 2, "--overwrite")
    assert status == 0, errors
    assert errors.count("Auditing") == errors.count("/3 [")  # one bar, whose total is all pictures
    assert "3/3" in errors
    assert "better than every floor" in printed
    assert_same_audit(tmp_path / "out", tmp_path / "whole")


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="counts processes in /proc")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_stopped_parent_leaves_no_child(run_cli, world, tmp_path, number):
    out = tmp_path / "out"
    command = ["audit", world / "bm3.pt", "--dataset", world / "dataset", "--items", 20]
    command = [*map(str, command), "--steps", "64", "-o", str(out)]
    process = subprocess.Popen(
        [sys.executable, "-m", "becam", *command, "--jobs", "2"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + 300
    while not parts(out) and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.01)
    workers = children(process.pid)
    assert len(workers) == 2
    if number == signal.SIGINT:
        os.killpg(process.pid, number)  # as a terminal does
    else:
        process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    if number == signal.SIGINT:
        assert process.returncode == 130
        assert errors.strip().endswith("becam: Stopped; what was complete is kept.")
    deadline = time.monotonic() + 30
    while any(map(alive, workers)):
        assert time.monotonic() < deadline, "a process outlived its parent"
        time.sleep(0.02)
    complete = {path: path.stat().st_mtime_ns for path in parts(out)}
    assert 1 <= len(complete) < 20, "the end came too early or too late to test anything"
    status, _, errors = run_cli(*command, "--items", len(complete) + 1)
    assert status == 0, errors
    assert complete.items() <= {path: path.stat().st_mtime_ns for path in parts(out)}.items()
    assert pl.read_parquet(out / "measures.parquet")["picture"].n_unique() == len(complete) + 1


def test_pictures_of_which_none_can_be_read(audit, world, tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name in ("a.jpg", "b.jpg"):
        (folder / name).write_bytes(b"no picture")
    options = ("--images", folder, "--dataset", world / "dataset", "--target", "nearest")
    for jobs in ("--jobs=1", "--jobs=2"):
        said = one_sentence(audit(["bm3"], *options, jobs))
        assert "None of the 2 pictures can be read" in said
    assert not (tmp_path / "out" / "table.md").exists()


def test_what_processes_are_not_for(audit, world, tmp_path, monkeypatch):
    dataset = ("--dataset", world / "dataset")
    for text in ("0/2", "3/2", "2", "a/b"):
        assert "such as 1/4" in one_sentence(audit(["bm3"], *dataset, "--shard", text))
    assert "discard" in one_sentence(audit(["bm3"], *dataset, "--shard", "1/2", "--overwrite"))
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    for device in ("auto", "cuda"):
        said = one_sentence(audit(["bm3"], *dataset, "--jobs", 2, "--device", device))
        assert "One GPU serves one process" in said
    assert not (tmp_path / "out").exists()


def test_processes_get_the_same_command():
    given = ["audit", "--jobs", "2", "a.pt", "--shard=1/2", "--overwrite", "--jobs=3", "--", "b.pt"]
    assert same_command(given) == ["audit", "a.pt", "--", "b.pt"]


def test_what_can_be_wrong(audit, world, tmp_path):
    images, dataset = ("--images", world / "shop" / "images"), ("--dataset", world / "dataset")
    truth = ("--annotations", world / "shop")
    for names, options, said in [
        (["bm3"], (), "--dataset or --images"),
        (["bm3"], images, "belong to no item"),
        (["bm3"], (*images, "--target", "item"), "belong to no item"),
        (["bm3"], (*images, "--target", "farthest"), "farthest"),
        (["bm3"], (*images, "--target", "text"), "--annotations"),
        (["bm3"], (*images, "--target", "nearest"), "--dataset"),
        (["cnn"], (*images, *dataset, "--target", "nearest"), "no features of the checkpoint"),
        (["cnn"], (*images, *truth, "--target", "text"), "no text tower"),
        (["bm3", "befa"], (*images, *truth, "--target", "text"), "one of each encoder"),
        (["bm3"], (*dataset, "--measures", "localisation"), "--annotations and --object"),
        (["bm3"], (*dataset, "--measures", "speed"), "speed"),
        (["bm3"], (*dataset, "--object", "product"), "--annotations"),
        (["bm3"], (*dataset, *truth, "--object", "elephant"), "elephant"),
        (["bm3"], (*dataset, *truth, "--object", "skin", "--distractor", "skin"), "at once"),
        (["bm3"], (*dataset, "--method", "nonsense"), "nonsense"),
        (["bm3"], (*dataset, "--method", "becam,weighting=heavy"), "weighting"),
        (["bm3"], (*dataset, "--method", "random"), "floor"),
        (["bm3"], ("--images", tmp_path / "none", "--target", "nearest"), "none"),
        (["bm3"], (*dataset, "--annotations", tmp_path / "none.json"), "none.json"),
        (["none"], dataset, "none.pt"),
        (["cnn"], dataset, "no item with a picture"),
    ]:
        assert said in one_sentence(audit(names, *options)), options
    assert not (tmp_path / "out" / "table.md").exists()


def test_an_unreadable_picture_is_left_out_and_named(audit, world, tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    good, broken, *_ = sorted((world / "shop" / "images").iterdir())
    (folder / good.name).write_bytes(good.read_bytes())
    (folder / broken.name).write_bytes(broken.read_bytes()[:200])
    options = ("--images", folder, "--dataset", world / "dataset", "--target", "nearest")
    status, _, errors = audit(["bm3"], *options)
    assert status == 0, errors
    assert f"cannot be read: 1 of 2 ({broken.name})" in errors
    measured = pl.read_parquet(tmp_path / "out" / "measures.parquet")["picture"]
    assert measured.unique().to_list() == [good.name]
    # Mended, it is measured, and the other is not measured again.
    (folder / broken.name).write_bytes(broken.read_bytes())
    status, _, errors = audit(["bm3"], *options)
    assert status == 0, errors
    assert "left out" not in errors
    assert pl.read_parquet(tmp_path / "out" / "measures.parquet")["picture"].n_unique() == 2


def test_help_teaches(run_cli):
    status, printed, _ = run_cli("audit", "--help")
    assert status == 0
    for word in ("--annotations", "--distractor", "--shard", "nearest", "Example", "faithfulness"):
        assert word in printed


def test_annotations_that_are_damaged(audit, world, tmp_path):
    """The damaged ones are left out by name; where none is left, a sentence says why."""
    names = [f"item{number:04}" for number in range(4)]
    boxes = [[8, 8, 30, 30], [1, 2], [8, 8, float("nan"), 30], [8, 8, 20, 20]]
    payload = {
        "images": [{"id": n, "file_name": f"x\\{name}.jpg"} for n, name in enumerate(names)],
        "categories": [{"id": 1, "name": "product"}],
        "annotations": [
            {"image_id": str(n), "category_id": 1, "bbox": b} for n, b in enumerate(boxes)
        ],
    }
    path = tmp_path / "some.json"
    more = ("--images", world / "shop" / "images", "--annotations", path, "--object", "product")
    more += ("--dataset", world / "dataset", "--target", "nearest", "--measures", "localisation")
    more += ("--method", "becam,budget=2", "--items", 9)
    path.write_text(json.dumps(payload))
    status, _, errors = audit(["bm3"], *more)
    assert status == 0, errors
    assert "annotations cannot be used: 2." in errors
    for name in names[1:3]:
        assert f"of x\\{name}.jpg" in errors
    values = pl.read_parquet(tmp_path / "out" / "measures.parquet")
    assert {Path(name).stem for name in values["picture"]} == {names[0], names[3]}
    payload["annotations"] = payload["annotations"][1:3]
    path.write_text(json.dumps(payload))
    assert "2 left out" in one_sentence(audit(["bm3"], *more, out="none"))
