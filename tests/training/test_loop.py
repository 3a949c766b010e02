"""The loop: stopping on scripted metrics, determinism, the best epoch kept, Ctrl-C."""

import numpy as np
import pytest
import torch

from becam.errors import BecamError
from becam.recommenders import RECOMMENDERS, TrainingData, create_recommender
from becam.training import loop
from becam.training.loop import Schedule, fit, rank_model, seeded
from becam.training.ranking import UserMetrics
from becam.training.stopping import EarlyStopping


def stop_epoch(scores, **options):
    stopping = EarlyStopping(**options)
    for epoch, score in enumerate(scores, start=1):
        stopping.update(epoch, score)
        if stopping.exhausted(epoch):
            return epoch, stopping.best_epoch
    return None, stopping.best_epoch


@pytest.mark.parametrize(
    ("scores", "patience", "warmup", "want"),
    [
        ([0.1, 0.2, 0.2, 0.2], 2, 0, (4, 2)),  # an equal score is no improvement
        ([0.1, 0.2, 0.1, 0.21, 0.1, 0.1], 2, 0, (6, 4)),
        ([0.3, 0.1, 0.1, 0.1, 0.1], 2, 3, (5, 1)),  # a best of the warm-up stands
        ([0.1, 0.0, 0.0, 0.0, 0.4, 0.3, 0.3], 2, 4, (7, 5)),
        ([0.1, 0.2, 0.3], 1, 0, (None, 3)),
        ([0.1, 0.100001, 0.100002, 0.1], 1, 0, (4, 3)),  # unrounded
    ],
)
def test_early_stopping(scores, patience, warmup, want):
    assert stop_epoch(scores, patience=patience, warmup=warmup) == want


@pytest.fixture
def world():
    rng = np.random.default_rng(0)
    pairs = np.argwhere(rng.random((40, 20)) < 0.3)
    rng.shuffle(pairs)
    features = {"image": rng.normal(size=(20, 6)).astype(np.float32)}
    return pairs[:160], pairs[160:], features


def build(world, name="bm3", **config):
    train, _, features = world
    return create_recommender(name, TrainingData(40, 20, train, features), dim=8, **config)


def schedule(epochs):
    return Schedule(lr=1e-2, batch_size=32, epochs=epochs, patience=3, warmup=0)


@pytest.mark.parametrize("config", [{"adapter": "befa"}, {"features_mode": "trainable"}])
@pytest.mark.parametrize("name", RECOMMENDERS)
def test_same_seed_same_bits_and_another_seed_others(world, name, config):
    states = []
    for seed in (7, 7, 8):
        with seeded(seed):
            model = build(world, name, **config)
            fit(model, *world[:2], schedule(2))
        states.append(model.state_dict())
    assert all(torch.equal(states[0][k], states[1][k]) for k in states[0])
    assert not torch.equal(states[0]["item_embedding"], states[2]["item_embedding"])


def test_seeded_leaves_the_callers_randomness_alone():
    torch.manual_seed(1)
    want = torch.rand(3)
    torch.manual_seed(1)
    with seeded(5):
        torch.rand(10)
    assert torch.equal(torch.rand(3), want)


def scripted(monkeypatch, scores, on_call=lambda call: None):
    """Let validation return these scores in turn; collect the item embeddings it saw."""
    seen = []

    def rank(model, positives, masked):
        seen.append(model.item_embedding.detach().clone())
        on_call(len(seen))
        return UserMetrics(np.arange(1), {"recall@20": np.array([scores[len(seen) - 1]])})

    monkeypatch.setattr(loop, "rank_model", rank)
    return seen


def test_stops_by_patience_with_the_weights_of_the_best_epoch(world, monkeypatch):
    seen = scripted(monkeypatch, [0.1, 0.3, 0.2, 0.25, 0.3, 0.9])
    epochs = []
    model = build(world)
    fitted = fit(model, *world[:2], schedule(50), on_epoch=epochs.append)
    assert (fitted.best_epoch, fitted.epochs, fitted.stopped) == (2, 5, "patience")
    assert torch.equal(model.item_embedding, seen[1])
    assert not model.training
    assert [e.number for e in epochs] == [1, 2, 3, 4, 5]
    assert [e.best_epoch for e in epochs] == [1, 2, 2, 2, 2]
    # Three more, of which each epoch that is no better takes one.
    left = [e.remaining / np.mean([x.seconds for x in epochs[: e.number]]) for e in epochs]
    assert left == pytest.approx([3, 3, 2, 1, 0])


def test_runs_to_the_last_epoch(world):
    fitted = fit(build(world), *world[:2], schedule(2))
    assert (fitted.epochs, fitted.stopped) == (2, "epochs")


def test_ctrl_c_keeps_the_best_so_far(world, monkeypatch):
    def interrupt(call):
        if call == 3:
            raise KeyboardInterrupt

    seen = scripted(monkeypatch, [0.2, 0.1, 0.3], interrupt)
    model = build(world)
    fitted = fit(model, *world[:2], schedule(50))
    assert (fitted.best_epoch, fitted.stopped) == (1, "interrupted")
    assert torch.equal(model.item_embedding, seen[0])


def test_ctrl_c_in_the_first_epoch_is_said(world, monkeypatch):
    def interrupt(call):
        raise KeyboardInterrupt

    scripted(monkeypatch, [0.2], interrupt)
    with pytest.raises(BecamError, match="nothing to keep"):
        fit(build(world), *world[:2], schedule(50))


def test_a_diverging_loss_is_said(world):
    model = build(world)
    with torch.no_grad():
        model.item_embedding[0, 0] = float("nan")
    with pytest.raises(BecamError, match="lower --lr"):
        fit(model, *world[:2], schedule(2))


def test_no_validation_is_said(world):
    with pytest.raises(BecamError, match="validation"):
        fit(build(world), world[0], np.zeros((0, 2), np.int64), schedule(2))


def test_loss_falls_and_every_training_pair_is_seen(world, monkeypatch):
    model = build(world)
    seen = []
    loss = model.loss

    def spy(batch):
        seen.append(torch.stack([batch.users, batch.items], dim=1))
        return loss(batch)

    monkeypatch.setattr(model, "loss", spy)
    epochs = []
    fit(model, *world[:2], schedule(3), on_epoch=epochs.append)
    assert sum(epochs[-1].loss.values()) < sum(epochs[0].loss.values())
    per_epoch = len(seen) // 3
    orders = [torch.cat(seen[i * per_epoch : (i + 1) * per_epoch]) for i in range(3)]
    for order in orders:
        assert sorted(map(tuple, order.tolist())) == sorted(map(tuple, world[0].tolist()))
    assert not torch.equal(orders[0], orders[1])


def test_validation_ranks_without_dropout(world):
    model = build(world, adapter="befa").train()
    first, second = (rank_model(model, world[1], world[0]).mean() for _ in range(2))
    assert first == second


def test_the_learning_rate_follows_the_recipe(world, monkeypatch):
    model = build(world, "mgcn")
    rates = []
    monkeypatch.setattr(
        loop.torch.optim.Adam,
        "step",
        lambda self: rates.append(self.param_groups[0]["lr"]),
    )
    scripted(monkeypatch, np.linspace(0.1, 0.9, 101))
    fit(model, *world[:2], schedule(101))
    per_epoch = len(rates) // 101
    assert rates[0] == rates[per_epoch - 1] == 1e-2
    # MGCN's is multiplied by .96 every 50 epochs.
    assert rates[50 * per_epoch] == pytest.approx(0.96e-2)
    assert rates[100 * per_epoch] == pytest.approx(0.96**2 * 1e-2)


def test_adapters_hear_of_epochs_and_their_penalties_are_minimised(world, monkeypatch):
    model = build(world)
    adapter = model.adapter("image")
    weight = torch.nn.Parameter(torch.tensor(2.0))
    model.register_parameter("extra", weight)
    heard, epochs = [], []
    monkeypatch.setattr(adapter, "start_epoch", heard.append)
    monkeypatch.setattr(adapter, "penalty", lambda: weight.square())
    fit(model, *world[:2], schedule(2), on_epoch=epochs.append)
    assert heard == [1, 2]
    assert epochs[1].loss["image_size"] < epochs[0].loss["image_size"] < 4
