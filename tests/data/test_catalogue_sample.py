from collections import Counter

import numpy as np
import pytest

from becam.data.catalogue import attributes as a
from becam.data.catalogue.sample import sample_product, sample_scene


@pytest.fixture(scope="module")
def scenes():
    rng = np.random.default_rng(1)
    return [sample_scene(rng) for _ in range(3000)]


def test_products_are_uniform_over_the_vocabulary(scenes):
    for field, vocabulary in (("type", a.TYPES), ("colour", a.COLOURS), ("pattern", a.PATTERNS)):
        counts = Counter(getattr(spec.product, field) for spec in scenes)
        expected = len(scenes) / len(vocabulary)
        assert set(counts) == set(vocabulary)
        # A chi-square statistic has mean k - 1 and deviation sqrt(2 (k - 1)): five of them.
        statistic = sum((n - expected) ** 2 / expected for n in counts.values())
        freedom = len(vocabulary) - 1
        assert statistic < freedom + 5 * (2 * freedom) ** 0.5


def test_the_scene_says_nothing_of_the_product(scenes):
    """Mutual information of place and product colour is that of independent draws."""
    table = np.zeros((len(a.SCENES), len(a.COLOURS)))
    for spec in scenes:
        table[a.SCENES.index(spec.scene), a.COLOURS.index(spec.product.colour)] += 1
    expected = table.sum(1, keepdims=True) * table.sum(0) / table.sum()
    freedom = (len(a.SCENES) - 1) * (len(a.COLOURS) - 1)
    assert ((table - expected) ** 2 / expected).sum() < freedom + 5 * (2 * freedom) ** 0.5


def test_distractors_and_garments_never_repeat_the_product(scenes):
    for spec in scenes:
        garments = spec.person.garments if spec.person else ()
        assert spec.product.type not in {thing.type for thing in (*spec.others, *garments)}
        assert spec.product.colour not in {thing.colour for thing in (*spec.others, *garments)}


def test_worn_products_have_a_wearer_and_other_goods_have_none(scenes):
    for spec in scenes:
        if spec.product.type in a.WORN:
            assert spec.person is not None
            assert spec.framing != "still"
        elif spec.product.type != "handbag":
            assert spec.person is None
            assert spec.framing == "still"
    assert {spec.person is None for spec in scenes if spec.product.type == "handbag"} == {
        True,
        False,
    }


def test_everything_in_the_vocabulary_turns_up(scenes):
    people = [spec.person for spec in scenes if spec.person]
    signs = [spec.sign for spec in scenes if spec.sign]
    assert {spec.scene for spec in scenes} == set(a.SCENES)
    assert {spec.framing for spec in scenes} == set(a.FRAMINGS)
    assert {person.skin for person in people} == set(a.SKIN_TONES)
    assert {person.hair_colour for person in people} == set(a.HAIR_COLOURS)
    assert {person.hair_style for person in people} == set(a.HAIR_STYLES)
    assert {sign.word for sign in signs} == set(a.WORDS)
    assert {sign.kind for sign in signs} == set(a.SIGNS)
    assert {len(spec.others) for spec in scenes} == {0, 1, 2}


def test_sampling_is_deterministic():
    first = [sample_product(np.random.default_rng(seed)) for seed in range(20)]
    assert first == [sample_product(np.random.default_rng(seed)) for seed in range(20)]
    assert len(set(first)) > 15
