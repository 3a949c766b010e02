"""The search, over trainings whose result is known beforehand, and over real ones."""

import itertools
import shlex

import numpy as np
import polars as pl
import pytest
from planted import planted_dataset
from typer.testing import CliRunner

from becam.data.dataset import Dataset
from becam.data.integrity import fingerprint
from becam.data.manifest import Manifest
from becam.errors import BecamError
from becam.experiments.grid import SearchSettings, Source, make_row
from becam.experiments.search import Searches
from becam.experiments.store import Store
from becam.experiments.workers import Trained, WorkerDiedError
from becam.training import Epoch

LAYERS, DROPOUTS = (1, 2), (0.1, 0.3, 0.5)
SPACE = {"bm3": {"layers": LAYERS, "dropout": DROPOUTS, "reg_weight": ()}}
LARGE = {
    "bm3": {"layers": (0, 1, 2), "dropout": DROPOUTS, "reg_weight": (0.1, 0.01, 0.0)},
    "lora": {"rank": (2, 4, 8, 16)},
}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return planted_dataset(tmp_path_factory.mktemp("planted") / "p")


def row(dataset, adapter="none", **training):
    options = {"warmup": 0, "batch_size": 256, "device": "cpu"} | training
    return make_row(
        Source(dataset, "planted", "plain"), model="bm3", adapter=adapter, training=options
    )


class Known:
    """Trains nothing: its score is a formula of the options, reached over three epochs."""

    def __init__(self, stop_at=None):
        self.seen = []
        self.epochs = []
        self.stop_at = stop_at

    def score(self, options):
        own = options["model_options"]
        rank = options["adapter_options"].get("rank", 4)
        return own["layers"] / 10 - abs(own["dropout"] - 0.3) + own["reg_weight"] / 7 + rank / 99

    def __call__(self, dataset, on_epoch, options):
        self.seen.append(options)
        self.epochs.append(0)
        if len(self.seen) == self.stop_at:
            raise KeyboardInterrupt
        score = self.score(options)
        for number in (1, 2, 3):
            self.epochs[-1] = number
            best = score - (3 - number) / 1000
            on_epoch(Epoch(number, {}, {}, 0.0, number, best, 0.0))
        return Trained({"validation": {"recall@20": score}}, {})


def points(trainer):
    names = ("layers", "dropout", "reg_weight")
    return [
        (*(o["model_options"][n] for n in names), o["adapter_options"].get("rank"))
        for o in trainer.seen
    ]


def search(path, row, trials, trainer, space=SPACE, seed=0, epochs=5):
    settings = SearchSettings(trials, epochs, seed, space)
    return Searches(Store(path, create=True), settings).run(row, trainer=trainer)


def test_a_small_space_is_gone_through_once(dataset, tmp_path):
    trainer = Known()
    tuning = search(tmp_path, row(dataset), 50, trainer)
    tried = [point[:2] for point in points(trainer)]
    assert tried[0] == (1, 0.3)  # the defaults
    assert sorted(tried) == sorted(itertools.product(LAYERS, DROPOUTS))
    assert tuning.row.options["model_options"] == {"layers": 2, "dropout": 0.3, "reg_weight": 0.1}
    assert tuning.trials[0].score == max(map(trainer.score, trainer.seen))


@pytest.mark.parametrize("trials", [5, 7])
def test_the_budget_is_kept_and_no_point_is_tried_twice(dataset, tmp_path, trials):
    trainer = Known()
    search(tmp_path, row(dataset), trials, trainer)
    assert len(trainer.seen) == min(trials, 6)
    assert len(set(points(trainer))) == len(trainer.seen)


def test_trials_train_with_the_searchs_epochs_and_seed_and_never_score_the_test(dataset, tmp_path):
    trainer = Known()
    search(tmp_path, row(dataset), 3, trainer, seed=11, epochs=4)
    assert all(o["score_test"] is False for o in trainer.seen)
    assert {(o["epochs"], o["seed"]) for o in trainer.seen} == {(4, 11)}
    assert not any("output" in o for o in trainer.seen)


@pytest.mark.parametrize(
    ("space", "adapter", "stop_at"), [(SPACE, "none", 1), (SPACE, "none", 4), (LARGE, "lora", 6)]
)
def test_a_search_cut_off_ends_as_one_that_never_was(dataset, tmp_path, space, adapter, stop_at):
    whole, first, second = Known(), Known(stop_at), Known()
    expected = search(tmp_path / "whole", row(dataset, adapter), 7, whole, space)
    with pytest.raises(KeyboardInterrupt):
        search(tmp_path / "cut", row(dataset, adapter), 7, first, space)
    found = search(tmp_path / "cut", row(dataset, adapter), 7, second, space)
    assert found.trials == expected.trials
    assert points(first)[:-1] + points(second) == points(whole)


def test_a_finished_search_trains_nothing_and_more_trials_go_on(dataset, tmp_path):
    search(tmp_path, row(dataset), 3, Known())
    idle, more, all_ = Known(), Known(), Known()
    search(tmp_path, row(dataset), 3, idle)
    assert idle.seen == []
    search(tmp_path, row(dataset), 5, more)
    search(tmp_path / "other", row(dataset), 5, all_)
    assert len(more.seen) == 2
    assert points(all_)[3:] == points(more)


def test_rows_do_not_mix(dataset, tmp_path):
    for other in (row(dataset, "lora"), row(dataset, lr=5e-3), row(dataset, patience=3)):
        trainer = Known()
        search(tmp_path, other, 2, trainer)
        assert len(trainer.seen) == 2


@pytest.mark.parametrize(("warmup", "epochs"), [(0, 1), (2, 3), (3, 3)])
def test_a_hopeless_trial_is_pruned_but_not_in_the_warm_up(dataset, tmp_path, warmup, epochs):
    class FallingOff(Known):
        def score(self, options):
            return 1.0 - 0.1 * len(self.seen)

    trainer = FallingOff()
    tuning = search(tmp_path, row(dataset, warmup=warmup), 6, trainer)
    # The first four only set the scale; every later one is the worst so far.
    assert trainer.epochs == [3, 3, 3, 3, epochs, epochs]
    states = ["complete"] * 4 + ["pruned" if warmup < 3 else "complete"] * 2
    assert [trial.state for trial in tuning.trials] == states


def test_a_failed_trial_counts_and_the_others_go_on(dataset, tmp_path):
    class Diverging(Known):
        def score(self, options):
            if options["model_options"]["layers"] == 2:
                raise BecamError("The loss stopped being a number.")
            return super().score(options)

    tuning = search(tmp_path, row(dataset), 6, Diverging())
    assert [trial.state for trial in tuning.trials] == ["complete"] * 3 + ["failed"] * 3
    assert tuning.trials[-1].error == "The loss stopped being a number."
    idle = Known()
    assert search(tmp_path, row(dataset), 6, idle).trials == tuning.trials
    assert idle.seen == []


def test_a_trial_whose_process_died_is_tried_again(dataset, tmp_path):
    class Dying(Known):
        def score(self, options):
            if len(self.seen) == 2:
                raise WorkerDiedError("Gone.")
            return super().score(options)

    first, second, whole = Dying(), Known(), Known()
    with pytest.raises(WorkerDiedError):
        search(tmp_path / "cut", row(dataset), 3, first)
    found = search(tmp_path / "cut", row(dataset), 3, second)
    assert found.trials == search(tmp_path / "whole", row(dataset), 3, whole).trials
    assert points(first)[:1] + points(second) == points(whole)


def test_that_all_trials_failed_is_one_sentence(dataset, tmp_path):
    class Broken(Known):
        def score(self, options):
            raise BecamError("No luck.")

    with pytest.raises(BecamError, match="No luck"):
        search(tmp_path, row(dataset), 2, Broken())


def test_nothing_to_search_trains_nothing(dataset, tmp_path):
    trainer = Known()
    fixed = row(dataset)
    space = {"bm3": {"layers": (), "dropout": (), "reg_weight": ()}}
    assert search(tmp_path, fixed, 6, trainer, space).row == fixed
    assert trainer.seen == []


def test_without_optuna_the_sentence_names_the_extra(dataset, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "optuna", None)
    with pytest.raises(BecamError, match=r"becam\[experiments\]"):
        Searches(Store(tmp_path, create=True), SearchSettings(1, 1))


def with_other_test_rows(dataset, path):
    """A copy whose test split holds other items."""
    other = planted_dataset(path)
    table = pl.read_parquet(other.path / "interactions.parquet")
    moved = (pl.col("item") + 7) % other.n_items
    item = pl.when(pl.col("split") == 2).then(moved).otherwise(pl.col("item")).cast(pl.UInt32)
    table = table.with_columns(item.alias("item"))
    table.write_parquet(other.path / "interactions.parquet")
    manifest = vars(Manifest.load(other.path))
    ids = (other.items["id"], other.users["id"])
    Manifest(**manifest | {"fingerprint": fingerprint(table, *ids)}).save(other.path)
    return Dataset.open(path)


def test_the_test_split_does_not_matter(dataset, tmp_path):
    other = with_other_test_rows(dataset, tmp_path / "p")
    assert other.fingerprint != dataset.fingerprint
    for split, same in (("train", True), ("validation", True), ("test", False)):
        assert np.array_equal(dataset.interactions(split), other.interactions(split)) == same
    results = []
    for data in (dataset, other):
        searches = Searches(Store(tmp_path / "store", create=True), SearchSettings(3, 2))
        results.append(searches.run(row(data, "befa", lr=1e-2)).trials)
    assert results[0] == results[1]


def test_the_command_reproduces_the_best(dataset, tmp_path, monkeypatch):
    """From the command line, with real trainings: train's validation is the search's."""
    import typer

    from becam.checkpoint import Checkpoint
    from becam.cli.search import search as command
    from becam.cli.train import train

    app = typer.Typer()
    app.command()(command)
    app.command()(train)
    arguments = ["--trials", "3", "--epochs", "3", "--seed", "5", "--lr", "0.01"]
    fixed = ["--adapter-option", "dropout=0.2"]
    run = CliRunner(env={"COLUMNS": "200"}).invoke
    result = run(app, ["search", str(dataset.path), *arguments, *fixed, "-o", str(tmp_path / "s")])
    assert result.exit_code == 0, result.output
    line = next(line for line in result.output.splitlines() if line.startswith("becam train"))
    assert "dropout=0.2" in line
    words = shlex.split(line)[1:-1]
    assert run(app, [*words, str(tmp_path / "run")]).exit_code == 0
    best = Checkpoint.load(tmp_path / "run").metrics["validation"]["recall@20"]
    scores = [word for word in result.output.split() if word.startswith("0.") and len(word) == 6]
    assert f"{best:.4f}" == max(scores)
