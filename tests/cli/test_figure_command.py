"""``becam figure`` as a user meets it."""

from __future__ import annotations

import json

import numpy as np
import pytest
from exhibited import make_shop
from PIL import Image
from sentences import one_sentence

from becam.experiments.grid import Source
from becam.experiments.store import Run, Store
from becam.experiments.sweep import lambda_experiment
from becam.figures.paper import backbones_figure
from becam.terminal import harmless

FAST = ("--budget", 8, "--no-randomise", "--dpi", 60)


@pytest.fixture(scope="module")
def shop(load, tmp_path_factory):
    return make_shop(tmp_path_factory.mktemp("shop"), load("open_clip-vit"))


@pytest.fixture
def figure(run_cli, shop):
    """Run ``becam figure NUMBER`` on checkpoints of the shop and whatever else is given."""

    def run(number, names, *more):
        checkpoints = [shop.checkpoint(name) for name in names]
        return run_cli("figure", number, *checkpoints, "--dataset", shop.dataset.path, *more)

    return run


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scenes")
    for number in range(3):
        values = np.random.default_rng(number).integers(0, 255, (30, 40, 3), dtype=np.uint8)
        Image.fromarray(values).save(folder / f"s{number}.png")
    return folder


@pytest.fixture(scope="module")
def store(shop, tmp_path_factory):
    """Runs of sweeps whose scores are known, in place of trainings."""
    made = Store(tmp_path_factory.mktemp("runs") / "store", create=True)
    source = Source.open(shop.dataset.path)
    for model in ("bm3", "freedom", "mgcn"):
        experiment = lambda_experiment(source, model=model, seeds=range(2))
        for number, row in enumerate(experiment.rows):
            if (model, row.adapter) == ("mgcn", "none"):
                continue  # nothing to compare with: no sweep
            for seed in experiment.seeds:
                enter(made, row, seed, 0.1 + number / 100 + seed / 1000)
    return made


def enter(store, row, seed, value):
    key = row.key(seed=seed)
    store.folder(key).mkdir(parents=True)
    np.savez(store.folder(key) / "users.npz", users=np.array([0]))
    metrics = {"recall@20": value, "ndcg@20": value / 2}
    names = ("dataset", "features", "model", "adapter", "label")
    store.enter(
        Run(
            **dict(zip(names, row.cell, strict=True)),
            key=key,
            seed=seed,
            fingerprint="",
            options=row.options | {"seed": seed},
            metrics={"epoch": 1, "validation": metrics, "test": metrics},
            baselines={},
            parameters=1,
            seconds=1.0,
            epoch_seconds=1.0,
            epochs=1,
        )
    )


@pytest.mark.parametrize(
    ("number", "names", "more"),
    [
        (2, ["bm3-none"], ["--count", 1]),
        (6, ["bm3-none", "bm3-befa", "lattice-none", "lattice-befa"], ["--items", "top-drift:1"]),
        (7, ["bm3-none", "bm3-lora", "bm3-befa"], ["--items", "rare:2"]),
        (9, ["bm3-none", "bm3-befa"], ["--count", 12]),
    ],
)
def test_figure_caption_and_numbers(figure, tmp_path, number, names, more):
    out = tmp_path / "deep" / "f.pdf"
    fast = FAST if number != 9 else ()
    status, printed, errors = figure(number, names, *more, *fast, "-o", out)
    assert status == 0, errors
    assert out.read_bytes().startswith(b"%PDF")
    caption = out.with_suffix(".txt").read_text()
    assert harmless(caption.strip()) in printed
    assert "does not show" in caption
    assert json.loads(out.with_suffix(".json").read_text())["figure"] == number
    beside = {path.name for path in out.parent.iterdir()}
    assert beside == {"f.pdf", "f.txt", "f.json"} | ({"f.maps"} if number != 9 else set())


def test_figure_8(figure, scenes, tmp_path):
    out = tmp_path / "f.svg"
    arguments = ("--images", scenes, "--items", "top-drift:1", "--scenes", 2, *FAST, "-o", out)
    status, printed, errors = figure(8, ["bm3-none", "bm3-befa"], *arguments, "--text", "a dress")
    assert status == 0, errors
    assert "2 of 3 pictures" in printed
    groups = json.loads(out.with_suffix(".json").read_text())["groups"]
    assert [len(group["items"]) for group in groups] == [1] * 4


def test_figure_10(run_cli, store, tmp_path):
    out = tmp_path / "f.pdf"
    status, printed, errors = run_cli("figure", 10, store.path, "-o", out)
    assert status == 0, errors
    assert {path.name for path in tmp_path.iterdir()} == {"f.pdf", "f.txt", "f.json"}
    bm3, freedom = json.loads(out.with_suffix(".json").read_text())["sweeps"]
    assert bm3["title"] == "BM3 on planted, real"
    assert freedom["chosen"] == "8"
    ratios = [point["ratio"] for point in bm3["points"]]
    assert ratios == [None, "1/8", "1/4", "1/2", "1", "2", "4", "8"]
    assert bm3["points"][3]["test_recall@20"] == pytest.approx([0.13, 0.131])
    assert "more than seeds do" in printed
    assert run_cli("figure", 10, store.path, "-o", out, "--model", "bm3")[0] == 0
    (only,) = json.loads(out.with_suffix(".json").read_text())["sweeps"]
    assert only == bm3


def test_options_reach_the_figure(figure, shop, tmp_path):
    out = tmp_path / "f.png"
    status, _, errors = figure(
        *(6, ["bm3-befa"], "--no-adapter", "--items", "sample:2", "--seed", 5, "--scale", "shared"),
        *("--width", "column", "--font", "STIXGeneral", "--font-size", 9, "--masking", "black"),
        *("--method", "becam,weighting=cosine", *FAST, "-o", out),
    )
    assert status == 0, errors
    with Image.open(out) as sheet:
        assert sheet.width == pytest.approx(3.35 * 60, abs=1)
    written = json.loads(out.with_suffix(".json").read_text())
    want = backbones_figure(
        shop.checkpoint("bm3-befa"),
        shop.dataset,
        items="sample:2",
        no_adapter=True,
        seed=5,
        randomise=False,
        masking="black",
        method_options={"budget": 8, "weighting": "cosine"},
    )
    assert written == json.loads(json.dumps(want.numbers))
    assert "share one scale" in out.with_suffix(".txt").read_text()


def test_drawn_again_it_takes_its_maps(figure, tmp_path, monkeypatch):
    from becam.attribution import Explainer

    out = tmp_path / "f.pdf"
    arguments = (2, ["bm3-none"], "--count", 1, *FAST, "-o", out)
    assert figure(*arguments)[0] == 0
    monkeypatch.setattr(Explainer, "__init__", lambda *_, **__: pytest.fail("loaded again"))
    assert figure(*arguments, "--width", "column", "--scale", "shared")[0] == 0


@pytest.mark.parametrize(
    ("number", "names", "more", "said"),
    [
        (6, ["bm3-none"], [], "BM3 has no checkpoint with an adapter"),
        (6, ["bm3-befa"], [], "--no-adapter"),
        (7, ["bm3-none", "bm3-befa", "lattice-none", "lattice-befa"], [], "shows one recommender"),
        (6, ["bm3-none", "bm3-befa"], ["--items", "best"], "neither a file of item ids nor a rule"),
        (6, ["bm3-none", "bm3-befa"], ["--scale", "log"], "no scale 'log'"),
        (6, ["bm3-none", "bm3-befa"], ["--space", "content"], "before the adapter"),
        (6, ["bm3-none", "bm3-befa"], ["--items", "all", "--width", "2"], "show fewer items"),
        (2, ["bm3-none"], ["--width", "broad"], "is no width"),
        (2, ["bm3-none"], ["--font", "Comic Nonsense"], "no font"),
        (2, ["bm3-none"], ["--method", "magic"], "Unknown method"),
        (2, ["nothing"], [], "no checkpoint at"),
        (9, ["bm3-none"], [], "BM3 has no checkpoint with an adapter"),
        (9, ["bm3-none", "bm3-befa"], ["--modality", "text"], "not trained on 'text'"),
        (8, ["bm3-none", "bm3-befa"], ["--images", "/nowhere"], "/nowhere"),
    ],
)
def test_errors_are_one_sentence_and_leave_nothing(figure, tmp_path, number, names, more, said):
    assert said in one_sentence(figure(number, names, *more, "-o", tmp_path / "out" / "f.pdf"))
    assert not list(tmp_path.iterdir())


def test_files_that_cannot_be_written_are_told_first(run_cli, figure, tmp_path):
    # Before the checkpoints, which are not there.
    assert "not end in a format" in one_sentence(figure(2, ["nothing"], "-o", tmp_path / "f.doc"))
    assert "not a store" in one_sentence(run_cli("figure", 10, tmp_path, "-o", tmp_path / "f.pdf"))


def test_a_store_without_a_sweep(run_cli, tmp_path):
    Store(tmp_path / "store", create=True)
    arguments = ("figure", 10, tmp_path / "store", "-o", tmp_path / "f.pdf")
    assert "becam sweep lambda makes one" in one_sentence(run_cli(*arguments))
    assert "no sweep over lambda of mgcn" in one_sentence(run_cli(*arguments, "--model", "mgcn"))


def test_help(run_cli):
    _, printed, _ = run_cli("figure", "--help")
    for number in (2, 6, 7, 8, 9, 10):
        assert f" {number} " in printed
        status, own, _ = run_cli("figure", number, "--help")
        assert status == 0
        for word in ("--output", "--width", "--font", "Example"):
            assert word in own
