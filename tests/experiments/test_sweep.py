"""The sweep over lambda: its grid, its numbers and its figure."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image
from planted import planted_dataset
from typer.testing import CliRunner

from becam.adapters import create_adapter
from becam.errors import BecamError
from becam.experiments.grid import Source
from becam.experiments.store import Run, Store
from becam.experiments.sweep import RATIOS, LambdaSweep, Spread, lambda_experiment, read_sweep
from becam.figures.sweep import lambda_figure

PAPER = ["1/8", "1/4", "1/2", "1", "2", "4", "8"]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return planted_dataset(tmp_path_factory.mktemp("planted") / "p")


@pytest.fixture
def experiment(dataset):
    return lambda_experiment(Source.open(dataset.path), model="bm3", seeds=range(3))


def enter(store, experiment, score):
    """Runs whose scores are known, in place of trainings."""
    for row in experiment.rows:
        for seed in experiment.seeds:
            value = score(row, seed)
            if value is None:
                continue
            key = row.key(seed=seed)
            store.folder(key).mkdir(parents=True)
            np.savez(store.folder(key) / "users.npz", users=np.array([0]))
            names = ("dataset", "features", "model", "adapter", "label")
            run = Run(
                **dict(zip(names, row.cell, strict=True)),
                key=key,
                seed=seed,
                fingerprint="",
                options={},
                metrics={
                    "epoch": 1,
                    "validation": {"recall@20": value},
                    "test": {"recall@20": value / 2, "ndcg@20": value / 4},
                },
                baselines={},
                parameters=1,
                seconds=1.0,
                epoch_seconds=1.0,
                epochs=1,
            )
            store.enter(run)


def test_the_grid_is_the_papers(experiment):
    labels = [row.label for row in experiment.rows]
    assert labels == ["", *(f"lambda={ratio}" for ratio in PAPER)]
    assert [row.adapter for row in experiment.rows] == ["none"] + ["befa"] * 7
    for row, ratio in zip(experiment.rows[1:], PAPER, strict=True):
        adapter = create_adapter("befa", 64, **row.options["adapter_options"])
        assert adapter.w1.out_features == 64 * Fraction(ratio)


def test_the_spread_is_over_seeds():
    spread = Spread(np.array([0.1, 0.2, 0.6]))
    assert spread.mean == pytest.approx(0.3)
    assert spread.std == pytest.approx(np.sqrt((0.04 + 0.01 + 0.09) / 2))
    assert str(spread) == "0.3000 ± 0.2646"
    assert Spread(np.array([0.4])).std == 0
    assert str(Spread(np.array([0.4]))) == "0.4000"


def test_points_are_read_by_ratio_and_chosen_on_validation(experiment, tmp_path):
    store = Store(tmp_path / "s", create=True)

    def score(row, seed):
        ratio = float(Fraction(row.label.partition("=")[2] or 0))
        if ratio == 8:
            return None  # all of its seeds failed
        if ratio == 1 and seed == 2:
            return None
        return (0.1 if ratio == 0 else 0.5 - abs(ratio - 2) / 10) + seed / 100

    enter(store, experiment, score)
    sweep = read_sweep(experiment, store)
    assert [point.ratio for point in sweep.points] == list(RATIOS[:-1])
    assert sweep.chosen.ratio == 2
    assert sweep.plain.test("recall@20").mean == pytest.approx(0.11 / 2)
    by_ratio = {float(point.ratio): point for point in sweep.points}
    assert by_ratio[1].test("ndcg@20").values == pytest.approx([0.1, 0.1025])
    assert by_ratio[4].validation.mean == pytest.approx(0.31)


@pytest.mark.parametrize("adapter", ["none", "befa"])
def test_missing_runs_are_one_sentence(experiment, tmp_path, adapter):
    store = Store(tmp_path / "s", create=True)
    enter(store, experiment, lambda row, seed: 0.1 if row.adapter == adapter else None)
    with pytest.raises(BecamError, match="lacks the runs"):
        read_sweep(experiment, store)


def test_the_figure_shows_the_numbers(experiment, tmp_path):
    store = Store(tmp_path / "s", create=True)
    values = dict(zip(["", *PAPER], np.linspace(0.1, 0.4, 8), strict=True))
    enter(store, experiment, lambda row, seed: values[row.label.partition("=")[2]] + seed / 50)
    sweep = read_sweep(experiment, store)
    figure = lambda_figure(sweep)
    for axes, share in zip(figure.axes, (2, 4), strict=True):  # Recall@20, NDCG@20 in `enter`
        ((line, _, (bars,)),) = axes.containers
        assert axes.get_xscale() == "log"
        assert [label.get_text() for label in axes.get_xticklabels()] == PAPER
        x, y = np.asarray(line.get_xydata(), dtype=float).T
        np.testing.assert_allclose(x, [float(Fraction(ratio)) for ratio in PAPER])
        np.testing.assert_allclose(y, (np.array([values[r] for r in PAPER]) + 0.02) / share)
        lengths = [segment[1][1] - segment[0][1] for segment in bars.get_segments()]
        np.testing.assert_allclose(lengths, 2 * 0.02 / share)  # the seeds lie 1/50 apart
        (plain,) = (line for line in axes.lines if line.get_label() == "without adapter")
        np.testing.assert_allclose(plain.get_ydata(), (0.1 + 0.02) / share)


def test_one_seed_has_no_spread_to_show(experiment, tmp_path):
    store = Store(tmp_path / "s", create=True)
    enter(store, experiment, lambda row, seed: 0.2)
    sweep = read_sweep(experiment, store)
    single = [replace(point, runs=point.runs[:1]) for point in (sweep.plain, *sweep.points)]
    figure = lambda_figure(LambdaSweep("t", single[0], tuple(single[1:])))
    assert "one seed" in figure.get_suptitle()


def test_the_command(dataset, tmp_path):
    from becam.cli.sweep import sweep

    arguments = ["lambda", dataset.path, "--epochs", 1, "--seeds", 1, "-o", tmp_path / "s"]
    run = CliRunner(env={"COLUMNS": "200"}).invoke
    for suffix in (".png", ".pdf"):
        figure = tmp_path / f"figure{suffix}"
        result = run(sweep, list(map(str, [*arguments, "--figure", figure])))
        assert result.exit_code == 0, result.output
        assert all(f" {ratio} " in result.output for ratio in PAPER)
        assert "without adapter" in result.output
    assert "0 runs trained, 8 were" in result.output
    assert Image.open(tmp_path / "figure.png").width > 1000
    assert (tmp_path / "figure.pdf").read_bytes().startswith(b"%PDF")


def test_a_wrong_suffix_is_told_before_training(dataset, tmp_path):
    from becam.cli.sweep import sweep

    arguments = ["lambda", dataset.path, "-o", tmp_path / "s", "--figure", "figure.doc"]
    result = CliRunner().invoke(sweep, list(map(str, arguments)))
    assert isinstance(result.exception, BecamError)
    assert not (tmp_path / "s").exists()
