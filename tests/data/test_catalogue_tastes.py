import numpy as np
import pytest

from becam.data.catalogue.attributes import COLOURS, PATTERNS, TYPES, Thing
from becam.data.catalogue.build import catalogue_scenes
from becam.data.catalogue.tastes import (
    sample_interactions,
    sample_popularity,
    sample_tastes,
)


def recall(scores, train, test, k=20):
    """Recall@k by its definition, one user at a time, what was bought before left out."""
    values = []
    for user, bought in test.items():
        order = sorted(
            (i for i in range(scores.shape[1]) if i not in train[user]),
            key=lambda i: -scores[user, i],
        )
        values.append(len(bought & set(order[:k])) / len(bought))
    return float(np.mean(values))


@pytest.fixture(scope="module")
def shop():
    rng = np.random.default_rng(4)
    products = [spec.product for spec in catalogue_scenes(400, 4)]
    tastes = sample_tastes(300, rng)
    utility = tastes.affinity(products) + sample_popularity(len(products), rng)
    return products, tastes, utility, sample_interactions(utility, rng)


def test_affinity_is_the_sum_over_type_colour_and_pattern():
    tastes = sample_tastes(7, np.random.default_rng(0))
    products = [Thing("dress", "red", "dotted"), Thing("mug", "blue", "solid")]
    affinity = tastes.affinity(products)
    for user in range(7):
        for index, product in enumerate(products):
            expected = (
                tastes.types[user, TYPES.index(product.type)]
                + tastes.colours[user, COLOURS.index(product.colour)]
                + tastes.patterns[user, PATTERNS.index(product.pattern)]
            )
            assert affinity[user, index] == pytest.approx(expected)


def test_oracle_ranks_far_better_than_popularity(shop):
    products, tastes, utility, pairs = shop
    rng = np.random.default_rng(0)
    held_out = rng.random(len(pairs)) < 0.2
    train = {user: set() for user in range(len(utility))}
    test = {}
    counts = np.zeros(len(products))
    for (user, item), hidden in zip(pairs.tolist(), held_out, strict=True):
        if hidden:
            test.setdefault(user, set()).add(item)
        else:
            train[user].add(item)
            counts[item] += 1
    oracle = recall(utility, train, test)
    taste = recall(tastes.affinity(products), train, test)
    popularity = recall(np.broadcast_to(counts, utility.shape), train, test)
    assert oracle > 2.5 * popularity
    assert taste > 2.5 * popularity  # what the product shows is most of the signal
    assert popularity > 20 / len(products)


def test_nobody_buys_twice_and_everybody_buys_12_to_25(shop):
    *_, utility, pairs = shop
    assert len(np.unique(pairs, axis=0)) == len(pairs)
    counts = np.bincount(pairs[:, 0], minlength=len(utility))
    assert counts.min() >= 12
    assert counts.max() <= 25
    assert len(set(counts.tolist())) > 8


def test_a_single_draw_follows_the_softmax_of_the_utility():
    utility = np.array([0.0, 1.0, -1.0, 2.0])
    users = 40_000
    pairs = sample_interactions(
        np.tile(utility, (users, 1)), np.random.default_rng(0), fewest=1, most=1
    )
    share = np.bincount(pairs[:, 1], minlength=4) / users
    expected = np.exp(utility) / np.exp(utility).sum()
    assert share == pytest.approx(expected, abs=5 * 0.5 / users**0.5)


def test_a_shop_smaller_than_a_basket_sells_out():
    pairs = sample_interactions(np.zeros((3, 5)), np.random.default_rng(0))
    assert sorted(map(tuple, pairs.tolist())) == [(u, i) for u in range(3) for i in range(5)]


def test_users_of_a_group_are_alike_and_yet_individual():
    tastes = sample_tastes(200, np.random.default_rng(0), groups=2)
    table = np.concatenate([tastes.types, tastes.colours, tastes.patterns], axis=1)
    likeness = np.corrcoef(table)[np.triu_indices(200, 1)]
    same = likeness > 0.4
    assert 0.4 < same.mean() < 0.6
    assert likeness[same].mean() > 0.65
    assert abs(likeness[~same].mean()) < 0.4
    assert likeness.max() < 0.999
