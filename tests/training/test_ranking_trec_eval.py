"""Ranking metrics against trec_eval, the reference implementation of information retrieval.

Its order of tied documents is its own, so it is given an order without ties; what ties may do at
all is told by the best and the worst order of the tied items.
"""

import numpy as np
import pytest
import pytrec_eval
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from becam.training import ranking
from becam.training.ranking import CUTOFFS, rank_users

CASES = st.tuples(
    st.integers(0, 2**31),  # seed
    st.integers(1, 6),  # users
    st.integers(2, 120),  # items
    st.sampled_from([1, 2, 5, 1000]),  # distinct scores; 1000: hardly a tie
)


def draw(seed, n_users, n_items, levels):
    """Scores with ties, and positives and masked interactions, one positive for user 0 at least."""
    rng = np.random.default_rng(seed)
    scores = torch.from_numpy(rng.integers(levels, size=(n_users, n_items)).astype(np.float64))
    label = rng.choice(3, size=(n_users, n_items), p=[0.7, 0.2, 0.1])
    label[0, rng.integers(n_items)] = 1
    return scores, np.argwhere(label == 1), np.argwhere(label == 2)


def becam(scores, positives, masked):
    return rank_users(lambda users: scores[users].clone(), scores.shape[1], positives, masked)


def trec_eval(orders, positives):
    """Recall@K and NDCG@K by user of whole rankings (items by user, best first)."""
    relevant: dict[str, dict[str, int]] = {}
    for user, item in positives.tolist():
        relevant.setdefault(str(user), {})[str(item)] = 1
    ranked = {
        str(user): {str(item): float(-rank) for rank, item in enumerate(items)}
        for user, items in orders.items()
    }
    cutoffs = ",".join(map(str, CUTOFFS))
    judge = pytrec_eval.RelevanceEvaluator(relevant, {f"recall.{cutoffs}", f"ndcg_cut.{cutoffs}"})
    return judge.evaluate(ranked)


def order(scores, masked, user, tie_break):
    """A user's items, best first, without the masked ones; tied items by ``tie_break``."""
    hidden = set(masked[masked[:, 0] == user, 1].tolist())
    items = [item for item in range(scores.shape[1]) if item not in hidden]
    return sorted(items, key=lambda item: (-scores[user, item].item(), tie_break(item)))


@settings(max_examples=60)
@given(CASES)
def test_tied_items_stand_by_their_index_and_the_rest_is_trec_evals(case):
    scores, positives, masked = draw(*case)
    orders = {user: order(scores, masked, user, lambda item: item) for user in range(len(scores))}
    got, want = becam(scores, positives, masked), trec_eval(orders, positives)
    for row, user in enumerate(got.users.tolist()):
        for k in CUTOFFS:
            mine = got.values[f"recall@{k}"][row], got.values[f"ndcg@{k}"][row]
            theirs = want[str(user)][f"recall_{k}"], want[str(user)][f"ndcg_cut_{k}"]
            assert mine == pytest.approx(theirs, abs=1e-12)


@settings(max_examples=60)
@given(CASES)
def test_ties_stay_between_the_worst_and_the_best_order_of_the_tied_items(case):
    scores, positives, masked = draw(*case)
    got = becam(scores, positives, masked)
    users = got.users.tolist()
    wanted = {user: set(positives[positives[:, 0] == user, 1].tolist()) for user in users}
    best = {u: order(scores, masked, u, lambda i, u=u: i not in wanted[u]) for u in users}
    worst = {u: order(scores, masked, u, lambda i, u=u: i in wanted[u]) for u in users}
    top, bottom = trec_eval(best, positives), trec_eval(worst, positives)
    for row, user in enumerate(map(str, users)):
        for k in CUTOFFS:
            for name, theirs in ((f"recall@{k}", f"recall_{k}"), (f"ndcg@{k}", f"ndcg_cut_{k}")):
                value = got.values[name][row]
                assert bottom[user][theirs] - 1e-12 <= value <= top[user][theirs] + 1e-12


@settings(max_examples=30)
@given(CASES)
def test_ties_among_items_of_equal_relevance_change_nothing(case):
    scores, positives, masked = draw(*case)
    # Positives and others never share a score, so that every order of the tied is the same.
    scores = 2 * scores
    scores[positives[:, 0], positives[:, 1]] += 1
    got = becam(scores, positives, masked)
    want = trec_eval(
        {user: order(scores, masked, user, lambda item: item) for user in got.users.tolist()},
        positives,
    )
    for row, user in enumerate(map(str, got.users.tolist())):
        for k in CUTOFFS:
            assert got.values[f"recall@{k}"][row] == pytest.approx(want[user][f"recall_{k}"])
            assert got.values[f"ndcg@{k}"][row] == pytest.approx(want[user][f"ndcg_cut_{k}"])


def test_the_ideal_is_cut_at_k(monkeypatch):
    monkeypatch.setattr(ranking, "CUTOFFS", (2,))
    scores = torch.tensor([[4.0, 3, 2, 1]])
    positives = np.array([[0, 0], [0, 1], [0, 3]])
    got = becam(scores, positives, np.empty((0, 2), np.int64)).mean()
    judge = pytrec_eval.RelevanceEvaluator({"0": {"0": 1, "1": 1, "3": 1}}, {"ndcg_cut.2"})
    want = judge.evaluate({"0": {str(i): 4.0 - i for i in range(4)}})["0"]["ndcg_cut_2"]
    assert got["ndcg@2"] == pytest.approx(want) == 1
