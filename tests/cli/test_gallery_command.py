"""``becam gallery`` as a user meets it: what it writes, a kill, shards, and what can be wrong."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import polars as pl
import pytest
from PIL import Image
from sentences import one_sentence
from shown import HOSTILE, PLAIN, make_shop

QUICK = ("--budget", 4, "--no-randomise", "--no-words")


@pytest.fixture(scope="module")
def shop(load, encoder_files, tmp_path_factory):
    return make_shop(tmp_path_factory.mktemp("shop"), load, encoder_files)


@pytest.fixture
def gallery(run_cli, shop, tmp_path):
    """Run ``becam gallery`` on checkpoints by name, into ``out``."""

    def run(names, *more, out="out"):
        dataset = ("--dataset", shop.dataset.path)
        return run_cli("gallery", *shop.paths(*names), *dataset, "-o", tmp_path / out, *more)

    return run


def contents(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def parts(folder):
    return list((folder.with_name(folder.name + ".parts") / "parts").glob("[!.]*.npz"))


def test_everything_that_is_written(gallery, shop, tmp_path):
    sheets = [tmp_path / "sheet.pdf", tmp_path / "sheet.png"]
    status, printed, errors = gallery(
        ["bm3", "befa"],
        *("--items", "top-drift:3", "--no-adapter", "--method", "becam", "--method", "eigen-cam"),
        *("--budget", 6, "--no-randomise", "--picture-size", 64),
        *(word for path in sheets for word in ("--sheet", path)),
        *("--fiftyone", tmp_path / "fo"),
    )
    assert status == 0, errors
    assert "Explaining" in errors
    assert "3 items: the largest angles to behaviour before the adapter (BM3 (" in printed
    assert "--items least-drift:3" in printed
    for path in (*sheets, tmp_path / "fo", tmp_path / "out" / "index.html"):
        assert f"Wrote {path}" in printed
        assert path.exists()
    assert f"{tmp_path / 'out.parts'}, for other --items" in printed
    assert len(parts(tmp_path / "out")) == 3
    rows = pl.read_parquet(tmp_path / "out" / "items.parquet")
    assert rows["id"].n_unique() == 3
    assert rows["method"].to_list() == ["becam,budget=6", "eigen-cam"] * 9
    first = rows.filter(pl.col("column") == 0)
    assert first["theta"].to_list() == sorted(first["theta"], reverse=True)
    samples = json.loads((tmp_path / "fo" / "samples.json").read_text())["samples"]
    assert [sample["item_id"] for sample in samples] == first["id"].to_list()
    for path in (tmp_path / "out").rglob("*.jpg"):
        with Image.open(path) as image:
            assert max(image.size) <= 64


def test_a_killed_gallery_goes_on(run_cli, shop, tmp_path):
    out = tmp_path / "out"
    command = ["gallery", *map(str, shop.paths("bm3", "befa")), "--dataset"]
    command += [str(shop.dataset.path), "--items", "all", "--no-words", "-o", str(out)]
    process = subprocess.Popen(
        [sys.executable, "-m", "becam", *command],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "OMP_NUM_THREADS": "1"},  # as here: sums depend on it in the last bit
    )
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline and process.poll() is None and not parts(out):
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    done, total = len(parts(out)), len(HOSTILE) + len(PLAIN)
    assert 1 <= done < total, "the kill came too early or too late to test anything"
    assert not out.exists()
    status, _, errors = run_cli(*command)
    assert status == 0, errors
    assert f"{done}/{total}" in errors  # the bar starts where the kill came
    status, _, errors = run_cli(*command[:-1], tmp_path / "whole")
    assert status == 0, errors
    assert contents(out) == contents(tmp_path / "whole")


def test_shards_and_jobs_fill_one_folder(gallery, tmp_path, monkeypatch):
    common = ("--items", "sample:4", *QUICK)
    assert gallery(["bm3"], *common, out="whole")[0] == 0
    status, printed, errors = gallery(["bm3"], *common, "--shard", "2/2")
    assert status == 0, errors
    assert "holds the maps of 2 of 4 items" in printed.replace("\n", " ")
    assert not (tmp_path / "out").exists()
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    status, printed, errors = gallery(["bm3"], *common, "--jobs", 2)
    assert status == 0, errors
    assert "4/4" in errors
    whole, found = (pl.read_parquet(tmp_path / n / "items.parquet") for n in ("whole", "out"))
    assert found["id"].to_list() == whole["id"].to_list()
    assert found["map_max"].to_list() == pytest.approx(whole["map_max"].to_list(), rel=1e-4)
    assert "4 items" in printed


def test_going_on_with_the_worst_of_becam_deviation(run_cli, gallery, shop, tmp_path):
    paths, dataset = shop.paths("bm3"), ("--dataset", shop.dataset.path)
    status, printed, errors = run_cli(
        "deviation", *paths, *dataset, "--worst", 2, "-o", tmp_path / "far", "--modality", "image"
    )
    assert status == 0, errors
    (line,) = [line for line in printed.splitlines() if "becam gallery" in line]
    _, _, command = line.partition("becam gallery ")
    status, _, errors = run_cli("gallery", *command.split(), *QUICK)
    assert status == 0, errors
    rows = pl.read_parquet(tmp_path / "far-gallery" / "items.parquet")
    worst = json.loads((tmp_path / "far" / "worst.json").read_text())[0]["before"]
    assert rows["id"].to_list() == [row["id"] for row in worst]
    assert gallery(["bm3"], "--items", tmp_path / "far" / "worst.json", *QUICK)[0] == 0
    assert pl.read_parquet(tmp_path / "out" / "items.parquet")["id"].equals(rows["id"])


def test_unreadable_pictures_are_counted(run_cli, gallery, load, encoder_files, tmp_path):
    own = make_shop(tmp_path / "own", load, encoder_files)
    own.dataset.image_path(2).write_bytes(b"broken")
    status, printed, errors = run_cli(
        "gallery",
        *own.paths("bm3"),
        *("--dataset", own.dataset.path, "--items", "all", *QUICK, "-o", tmp_path / "out"),
    )
    assert status == 0
    (line,) = [line for line in errors.splitlines() if line.startswith("becam:")]
    assert line == (
        "becam: Items left out because their pictures cannot be read: 1 of 20 (a/b\\c)."
    )
    assert "19 items" in printed


def test_what_can_be_wrong(gallery, shop, load, tmp_path):
    (tmp_path / "empty.txt").write_text("\n")
    for names, options, said in [
        (["bm3"], ("--items", "worst"), "neither a file of item ids nor a rule"),
        (["bm3"], ("--items", "sample:0"), "names no number of items"),
        (["bm3"], ("--items", "top-change"), "No item has what top-change goes by"),
        (["bm3"], ("--items", tmp_path / "empty.txt"), "names no item"),
        (["bm3"], ("--method", "nonsense"), "nonsense"),
        (["bm3"], ("--method", "eigen-cam", "--budget", 3), "--budget is an option of becam"),
        (["bm3"], ("--sheet", tmp_path / "x.svg"), ".pdf or .png"),
        (["bm3"], ("--omission", 120), "--omission"),
        (["bm3"], ("--space", "nonsense"), "nonsense"),
        (["bm3"], ("--masking", "nonsense"), "nonsense"),
        (["bm3"], ("--precision", "nonsense"), "nonsense"),
        (["bm3"], ("--device", "nonsense"), "nonsense"),
        (["bm3"], ("--shard", "3/2"), "such as 1/4"),
        (["bm3"], ("--shard", "1/2", "--overwrite"), "discard"),
        (["none"], (), "none.pt"),
        (["bm3"], ("--fiftyone", tmp_path), "already exists"),
    ]:
        assert said in one_sentence(gallery(names, *options)), options
    assert not (tmp_path / "out").exists()
    said = one_sentence(gallery(["bm3"], "--target-layer", "nonsense", *QUICK))
    assert "nonsense" in said
    (tmp_path / "there").mkdir()
    assert "already exists" in one_sentence(gallery(["bm3"], out="there"))
    assert not (tmp_path / "there.parts").exists()


def test_it_is_listed(run_cli):
    _, printed, _ = run_cli()
    assert "gallery" in printed
    status, printed, _ = run_cli("gallery", "--help")
    assert status == 0
    for word in ("--items", "top-drift", "--sheet", "--fiftyone", "--budget", "--shard", "Example"):
        assert word in printed
