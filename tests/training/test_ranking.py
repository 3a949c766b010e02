"""Ranking metrics against hand-worked cases, a naive loop, torchmetrics and simulation."""

import math

import numpy as np
import pytest
import torch

from becam.training import ranking
from becam.training.ranking import popularity_metrics, random_metrics, rank_users


def pairs(*rows):
    return np.array(rows, dtype=np.int64).reshape(-1, 2)


def random_case(seed, n_users=30, n_items=80):
    rng = np.random.default_rng(seed)
    scores = torch.from_numpy(rng.normal(size=(n_users, n_items)))
    label = rng.choice(3, size=(n_users, n_items), p=[0.8, 0.1, 0.1])
    label[:4] = np.where(label[:4] == 2, 0, label[:4])  # users without positives
    return scores, np.argwhere(label == 2), np.argwhere(label == 1)


def run(scores, positives, masked):
    return rank_users(lambda users: scores[users].clone(), scores.shape[1], positives, masked)


def test_hand_worked():
    # Order of user 0's items: 3 (masked) 1 0 2 4 5; positives 1 and 2: ranks 1 and 3.
    scores = torch.zeros(2, 6)
    scores[0] = torch.tensor([3.0, 4, 2, 5, 1, 0])
    got = run(scores, pairs((0, 1), (0, 2)), pairs((0, 3), (1, 0))).mean()
    assert got["recall@5"] == 1
    assert got["ndcg@5"] == pytest.approx((1 + 1 / 2) / (1 + 1 / math.log2(3)))


def test_cut_between_the_positives(monkeypatch):
    monkeypatch.setattr(ranking, "CUTOFFS", (1, 2))
    scores = torch.tensor([[5.0, 4, 3, 2]])
    got = run(scores, pairs((0, 1), (0, 2), (0, 3)), pairs()).mean()
    assert got["recall@1"] == 0
    assert got["recall@2"] == pytest.approx(1 / 3)
    # The ideal has two of the three positives within K = 2.
    assert got["ndcg@2"] == pytest.approx((1 / math.log2(3)) / (1 + 1 / math.log2(3)))


@pytest.mark.parametrize("seed", range(5))
def test_naive_loop(seed):
    scores, positives, masked = random_case(seed)
    got = run(scores, positives, masked)
    assert got.users.tolist() == sorted(set(positives[:, 0].tolist()))
    for row, user in enumerate(got.users):
        wanted = set(positives[positives[:, 0] == user, 1].tolist())
        hidden = set(masked[masked[:, 0] == user, 1].tolist())
        order = sorted(set(range(80)) - hidden, key=lambda i: -scores[user, i].item())
        for k in (5, 10, 20, 50):
            ranks = [r for r, item in enumerate(order[:k]) if item in wanted]
            ideal = sum(1 / math.log2(r + 2) for r in range(min(k, len(wanted))))
            dcg = sum(1 / math.log2(r + 2) for r in ranks)
            assert got.values[f"recall@{k}"][row] == pytest.approx(len(ranks) / len(wanted))
            assert got.values[f"ndcg@{k}"][row] == pytest.approx(dcg / ideal)


@pytest.mark.parametrize("k", [5, 10, 20, 50])
def test_torchmetrics(k):
    retrieval = pytest.importorskip("torchmetrics.retrieval")
    scores, positives, masked = random_case(11)
    users = torch.arange(30)[:, None].expand(-1, 80)
    target = torch.zeros(30, 80, dtype=torch.long)
    target[positives[:, 0], positives[:, 1]] = 1
    keep = torch.ones(30, 80, dtype=torch.bool)
    keep[masked[:, 0], masked[:, 1]] = False
    got = run(scores, positives, masked).mean()
    for name, metric in (("recall", "RetrievalRecall"), ("ndcg", "RetrievalNormalizedDCG")):
        oracle = getattr(retrieval, metric)(top_k=k, empty_target_action="skip")
        # torchmetrics takes a score of 0 or less for "not retrieved".
        positive = (scores[keep] - scores.min() + 1).float()
        want = oracle(positive, target[keep], indexes=users[keep]).item()
        assert got[f"{name}@{k}"] == pytest.approx(want, abs=1e-6)


@pytest.mark.parametrize("budget", [1, 80, 81, 500])
def test_chunks_change_nothing(monkeypatch, budget):
    case = random_case(3)
    whole = run(*case)
    monkeypatch.setattr(ranking, "_CHUNK_SCORES", budget)
    parts = run(*case)
    for name, values in whole.values.items():
        np.testing.assert_array_equal(values, parts.values[name])


def test_ties_do_not_lift_what_is_masked_and_each_rank_is_used_once():
    # All scores equal: whatever the order, a positive is found once and the masked items never.
    got = run(torch.zeros(1, 8), pairs((0, 6), (0, 7)), pairs(*[(0, i) for i in range(5)]))
    assert got.mean()["recall@5"] == 1
    masked_positive = run(torch.zeros(1, 3), pairs((0, 1)), pairs((0, 1)))
    assert masked_positive.mean()["recall@50"] == 0


def test_popularity_by_hand():
    train = pairs((0, 2), (1, 2), (2, 2), (0, 1), (1, 1), (3, 0), (3, 4))
    # Order: 2, 1, then the tied 0 and 4 by index, then 3 and 5; user 0 has seen 2 and 1.
    got = popularity_metrics(train, 6, pairs((0, 4)), train).mean()
    assert got["recall@5"] == 1
    assert got["ndcg@5"] == pytest.approx(1 / math.log2(3))


def test_random_is_the_mean_of_random_orders():
    _, positives, masked = random_case(4)
    exact = random_metrics(80, positives, masked)
    generator = torch.Generator().manual_seed(0)
    rounds = [
        run(torch.rand(30, 80, generator=generator), positives, masked).mean() for _ in range(100)
    ]
    for name, value in exact.mean().items():
        sample = np.array([r[name] for r in rounds])
        assert abs(sample.mean() - value) < 4 * sample.std() / math.sqrt(len(sample)), name


def test_random_with_fewer_items_than_k():
    got = random_metrics(4, pairs((0, 0), (0, 1)), pairs((0, 3))).mean()
    assert got["recall@5"] == 1
    # Each of the three ranks holds a positive with probability 2/3.
    expected = 2 / 3 * (1 + 1 / math.log2(3) + 1 / 2)
    assert got["ndcg@5"] == pytest.approx(expected / (1 + 1 / math.log2(3)))
