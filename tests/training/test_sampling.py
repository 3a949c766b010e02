"""Negatives: never the user's own, always of the training items, uniform among the rest."""

import numpy as np
import torch

from becam.training.loop import seeded
from becam.training.sampling import NegativeSampler


def test_negatives_are_uniform_over_what_the_user_has_not():
    rng = np.random.default_rng(0)
    train = np.unique(rng.integers(0, [6, 12], size=(30, 2)), axis=0)
    train = train[~np.isin(train[:, 1], [3, 7])]  # items that only others' splits have
    sampler = NegativeSampler(train, torch.device("cpu"))
    users = torch.arange(6).repeat_interleave(4000)
    with seeded(0):
        items = sampler.draw(users)
    known = set(train[:, 1].tolist())
    for user in range(6):
        own = set(train[train[:, 0] == user, 1].tolist())
        drawn, counts = np.unique(items[users == user], return_counts=True)
        assert set(drawn.tolist()) == known - own
        expected = 4000 / len(drawn)
        assert ((counts - expected) ** 2 / expected).sum() < 5 * len(drawn)


def test_a_user_with_everything_does_not_hang():
    train = np.array([[0, 0], [0, 1], [1, 0]])
    drawn = NegativeSampler(train, torch.device("cpu")).draw(torch.tensor([0, 1, 1]))
    assert drawn[1] == drawn[2] == 1
