"""Dataset to checkpoint and back: what a run writes, and that it scores the same again."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from planted import planted_dataset

from becam.checkpoint import Checkpoint
from becam.data.dataset import Dataset
from becam.data.preparation import prepare_dataset
from becam.errors import BecamError
from becam.experiments.grid import Source
from becam.training import evaluate, loop, rebuild, train

QUICK = {"epochs": 3, "warmup": 0, "batch_size": 256, "lr": 1e-2, "device": "cpu"}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return planted_dataset(tmp_path_factory.mktemp("planted") / "dataset", features=("a", "b"))


@pytest.fixture(scope="module")
def run(dataset, tmp_path_factory):
    """A finished run's folder."""
    output = tmp_path_factory.mktemp("runs") / "run"
    train(dataset, features="a", output=output, **QUICK)
    return output


@pytest.mark.parametrize("adapter", ["none", "befa"])
@pytest.mark.parametrize("mode", ["frozen", "trainable"])
@pytest.mark.parametrize("mask_validation", [False, True])
def test_a_checkpoint_scores_the_same_again_to_the_digit(
    dataset, tmp_path, adapter, mode, mask_validation
):
    train(
        dataset,
        features="a",
        adapter=adapter,
        features_mode=mode,
        mask_validation=mask_validation,
        output=tmp_path / "run",
        **QUICK,
    )
    checkpoint = Checkpoint.load(tmp_path / "run")
    result = evaluate(checkpoint, dataset)
    assert result.test == checkpoint.metrics["test"]
    assert result.reproduced
    assert any("features" in k for k in checkpoint.state) == (mode == "trainable")


def test_validation_is_masked_at_test_on_request_alone(dataset):
    plain, masked = (
        train(dataset, features="a", mask_validation=mask, **QUICK) for mask in (False, True)
    )
    assert plain.metrics["validation"] == masked.metrics["validation"]
    users, items = (x.detach() for x in rebuild(plain, dataset).embeddings())
    scores = users @ items.T
    hits = {False: [], True: []}
    for user, positive in dataset.interactions("test"):
        for mask, found in hits.items():
            own = scores[user].clone()
            for split in ("train", "validation")[: 1 + mask]:
                seen = dataset.interactions(split)
                own[seen[seen[:, 0] == user, 1]] = -torch.inf
            found.append(positive in own.topk(20).indices)
    # One test item a user: Recall@20 is the share of hits.
    assert plain.metrics["test"]["recall@20"] == pytest.approx(np.mean(hits[False]))
    assert masked.metrics["test"]["recall@20"] == pytest.approx(np.mean(hits[True]))
    assert plain.metrics["test"] != masked.metrics["test"]


def test_it_learns_the_planted_taste(dataset):
    checkpoint = train(dataset, features="a", **QUICK | {"epochs": 12})
    result = evaluate(checkpoint, dataset)
    assert result.test["recall@20"] > 1.2 * result.popularity["recall@20"]
    assert result.popularity["recall@20"] > 0


def test_the_head_is_what_the_recommender_trained(dataset, run):
    checkpoint = Checkpoint.load(run)
    model = rebuild(checkpoint, dataset)
    features = dataset.feature_set("a")
    for modality in ("image", "text"):
        head, x = checkpoint.head(modality), torch.tensor(np.array(features.load(modality)))
        torch.testing.assert_close(head.project(x), model.projected(modality))
        torch.testing.assert_close(head(x, checkpoint.item_embeddings), model.content(modality))


def test_what_a_run_writes(dataset, run):
    assert {p.name for p in run.iterdir()} == {
        "befa.pt",
        "config.json",
        "metrics.json",
        "metrics.jsonl",
        "tensorboard",
        "users.npz",
    }
    checkpoint = Checkpoint.load(run)
    assert checkpoint.item_ids == dataset.item_ids
    assert checkpoint.user_ids == dataset.user_ids
    assert checkpoint.dataset == {"name": "planted", "fingerprint": dataset.fingerprint}
    assert checkpoint.modalities["image"].encoder == {"spec": "test"}
    config = json.loads((run / "config.json").read_text())
    assert config["dataset"] == dataset.fingerprint
    assert config["options"]["adapter_options"]["ratio"] == 4
    assert config["options"]["features"] == "a"
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["test"] == checkpoint.metrics["test"]
    assert set(metrics["baselines"]) == {"popularity", "random"}
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [line["number"] for line in lines] == [1, 2, 3]
    best = max(lines, key=lambda line: line["validation"]["recall@20"])
    assert best["number"] == metrics["epoch"]
    assert best["validation"] == metrics["validation"]


def test_tensorboard_reads_every_epoch(run):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    events = accumulator.EventAccumulator(str(run / "tensorboard"))
    events.Reload()
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert {"loss/total", "loss/reconstruction"} <= set(events.Tags()["scalars"])
    values = [event.value for event in events.Scalars("validation/recall_at_20")]
    assert values == pytest.approx([line["validation"]["recall@20"] for line in lines])


def test_one_line_an_epoch_in_a_log(dataset, capsys):
    train(dataset, features="a", **QUICK)
    lines = capsys.readouterr().err.splitlines()
    epochs = [line for line in lines if line.startswith("epoch ")]
    assert [line.split(":")[0] for line in epochs] == ["epoch 1", "epoch 2", "epoch 3"]
    assert all("regularisation" in line and "recall@20" in line for line in epochs)


def test_a_table_on_a_terminal(dataset, capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "200")
    train(dataset, features="a", **QUICK)
    shown = capsys.readouterr().err
    assert "best validation recall@20" in shown
    assert "image to item" in shown


def test_same_seed_same_checkpoint(dataset):
    first, second = (train(dataset, features="a", seed=4, **QUICK) for _ in range(2))
    assert first.metrics == second.metrics
    assert all(torch.equal(first.state[k], second.state[k]) for k in first.state)


def test_an_earlier_run_is_kept_unless_told_otherwise(dataset, run, tmp_path):
    before = (run / "befa.pt").read_bytes()
    with pytest.raises(BecamError, match="--overwrite"):
        train(dataset, features="a", output=run, **QUICK)
    assert (run / "befa.pt").read_bytes() == before
    mine = tmp_path / "mine"
    shutil.copytree(run, mine)
    (mine / "notes.txt").write_text("keep me")
    train(dataset, features="a", output=mine, overwrite=True, **QUICK | {"epochs": 1})
    assert (mine / "notes.txt").read_text() == "keep me"
    assert len((mine / "metrics.jsonl").read_text().splitlines()) == 1


def test_a_refused_run_clears_nothing(dataset, run, tmp_path):
    mine = tmp_path / "mine"
    shutil.copytree(run, mine)
    with pytest.raises(BecamError, match="ratio"):
        train(
            dataset,
            features="a",
            adapter_options={"ratio": 5.5},
            output=mine,
            overwrite=True,
            **QUICK,
        )
    assert (mine / "befa.pt").exists()


def test_ctrl_c_writes_the_best_so_far(dataset, tmp_path, monkeypatch):
    calls = iter(range(10))

    def rank(*args):
        if next(calls) == 2:
            raise KeyboardInterrupt
        return real(*args)

    real = loop.rank_model
    monkeypatch.setattr(loop, "rank_model", rank)
    train(dataset, features="a", output=tmp_path / "run", **QUICK | {"epochs": 9})
    checkpoint = Checkpoint.load(tmp_path / "run")
    assert checkpoint.training["stopped"] == "interrupted"
    assert checkpoint.metrics["epoch"] in (1, 2)
    assert evaluate(checkpoint, dataset).reproduced


@pytest.mark.parametrize(
    "options",
    [
        {"lr": 0.0},
        {"lr": float("nan")},
        {"batch_size": 0},
        {"epochs": 0},
        {"patience": 0},
        {"warmup": -1},
        {"model_options": {"dropout": 1.5}},
        {"model_options": {"depth": 2}},
        {"model_options": {"layers": "two"}},
        {"modalities": []},
        {"modalities": ["image", "image"]},
        {"modalities": ["smell"]},
        {"adapter": "bfea"},
        {"model": "bm4"},
        {"features": "c"},
        {"features": None},  # two sets, none named
        {"features_mode": "melted"},
        {"adapter_options": {"variant": "paper"}},
        {"device": "abacus"},
    ],
    ids=str,
)
def test_a_wrong_option_is_one_sentence_and_writes_nothing(dataset, tmp_path, options):
    with pytest.raises(BecamError):
        train(dataset, **{"features": "a", "output": tmp_path / "run", **QUICK, **options})
    assert not (tmp_path / "run").exists()


def test_another_dataset_is_refused(run, tmp_path):
    other = planted_dataset(tmp_path / "other", seed=1, features=("a",))
    with pytest.raises(BecamError, match="fingerprint"):
        evaluate(Checkpoint.load(run), other)


def test_other_features_are_refused(dataset, run, tmp_path):
    shutil.copytree(dataset.path, tmp_path / "copy")
    copy = Dataset.open(tmp_path / "copy")
    assert evaluate(Checkpoint.load(run), copy).reproduced
    shutil.copy(copy.path / "features/b/text.npy", copy.path / "features/a/text.npy")
    with pytest.raises(BecamError, match=r"text\.npy is damaged: it is not what was written"):
        evaluate(Checkpoint.load(run), copy)
    one, other = (copy.path / "features" / name / "features.json" for name in "ab")
    records = [json.loads(path.read_text()) for path in (one, other)]
    records[0]["modalities"]["text"] = records[1]["modalities"]["text"]
    one.write_text(json.dumps(records[0]))
    with pytest.raises(BecamError, match="text features"):
        evaluate(Checkpoint.load(run), copy)


def test_weights_that_do_not_fit_are_refused(dataset, run):
    checkpoint = Checkpoint.load(run)
    state = {k: v for k, v in checkpoint.state.items() if k != "predictor.weight"}
    with pytest.raises(BecamError, match="do not fit"):
        evaluate(replace(checkpoint, state=state), dataset)


def test_changed_metrics_do_not_pass_as_reproduced(dataset, run):
    checkpoint = Checkpoint.load(run)
    test = checkpoint.metrics["test"]
    test["recall@20"] = float(np.nextafter(test["recall@20"], 1))
    assert not evaluate(checkpoint, dataset).reproduced


@pytest.fixture
def unvalidated(tmp_path):
    """Nobody has three interactions."""
    folder = tmp_path / "short"
    folder.mkdir()
    rng = np.random.default_rng(0)
    pairs = [(user, item) for user in range(40) for item in rng.choice(12, 2, replace=False)]
    lines = ["userID\titemID", *(f"{user}\t{item}" for user, item in pairs)]
    (folder / "short.inter").write_text("\n".join(lines))
    np.save(folder / "image_feat.npy", rng.normal(size=(12, 4)).astype(np.float32))
    return prepare_dataset("mmrec", folder, tmp_path / "dataset")


def test_nothing_to_validate_is_refused_before_anything_is_cleared(unvalidated, tmp_path):
    (tmp_path / "run").mkdir()
    with pytest.raises(BecamError, match=r"no validation interactions.*--no-validation"):
        train(unvalidated, output=tmp_path / "run", **QUICK)
    assert list((tmp_path / "run").iterdir()) == []


@pytest.mark.parametrize("model", ["bm3", "lattice", "freedom", "mgcn"])
def test_training_without_validation_keeps_the_last_epoch(unvalidated, tmp_path, capsys, model):
    options = QUICK | {"epochs": 4, "patience": 1}
    kept = train(unvalidated, model=model, validate=False, output=tmp_path / "run", **options)
    assert (kept.metrics["epoch"], kept.training["epochs"]) == (4, 4)
    assert (kept.metrics["validation"], kept.metrics["test"]) == ({}, {})
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["validation"] for line in lines] == [{}] * 4
    assert "validation" not in capsys.readouterr().err
    again = train(unvalidated, model=model, validate=False, quiet=True, **options)
    assert torch.equal(again.item_embeddings, kept.item_embeddings)
    assert train(unvalidated, model=model, validate=False, output=tmp_path / "run", resume=True,
                 **options).metrics == kept.metrics  # fmt: skip
    with pytest.raises(BecamError, match="no test interactions"):
        evaluate(Checkpoint.load(tmp_path / "run"), unvalidated)


def test_the_last_epoch_without_validation_is_that_of_a_validated_run_of_the_same_length(dataset):
    """Validation draws nothing, so one epoch is the same with it and without."""
    options = QUICK | {"epochs": 1}
    with_it, without = (
        train(dataset, features="a", validate=validate, quiet=True, **options)
        for validate in (True, False)
    )
    assert torch.equal(with_it.user_embeddings, without.user_embeddings)
    assert with_it.metrics == without.metrics


def test_what_cannot_be_validated_is_no_part_of_an_experiment(unvalidated):
    with pytest.raises(BecamError, match="has no validation interactions"):
        Source.open(unvalidated.path)
