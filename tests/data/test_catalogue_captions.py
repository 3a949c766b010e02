import re
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from becam.data.catalogue import attributes as a
from becam.data.catalogue.captions import caption, item_text, pattern_words, phrase, place
from becam.data.catalogue.sample import sample_scene


def words(text):
    return re.findall(r"[A-Za-z]+(?:-[a-z]+)*", text)


def of(vocabulary, text):
    return Counter(word for word in words(text) if word in vocabulary)


def things(spec):
    garments = spec.person.garments if spec.person else ()
    return [spec.product, *garments, *spec.others]


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_a_caption_names_everything_once_and_nothing_else(seed):
    rng = np.random.default_rng(seed)
    spec = sample_scene(rng)
    text = caption(spec, rng)
    person = spec.person
    colours = Counter(thing.colour for thing in things(spec))
    if person:
        colours[person.hair_colour] += 1  # "grey" and "blond" are no colours of products
    assert of(a.TYPES, text) == Counter(thing.type for thing in things(spec))
    assert of(a.COLOURS, text) == Counter({c: n for c, n in colours.items() if c in a.COLOURS})
    named = Counter()
    for pattern in a.PATTERNS:
        named[pattern] = sum(of(pattern_words(pattern), text).values())
    assert +named == Counter(thing.pattern for thing in things(spec))
    assert place(spec.scene) in text
    assert of(a.SCENES, text) == Counter([spec.scene])
    assert of(a.WORDS, text) == Counter([spec.sign.word] if spec.sign else [])
    assert of(a.SIGNS, text) == Counter([spec.sign.kind] if spec.sign else [])
    assert of(a.SEXES, text) == Counter([person.sex] if person else [])
    if person:
        assert {person.hair_colour, person.hair_style, person.skin} <= set(words(text))


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_a_things_words_stay_together(seed):
    """Type, colour and pattern of one thing make one phrase, so captions bind them."""
    rng = np.random.default_rng(seed)
    thing = sample_scene(rng).product
    text = phrase(thing, rng)
    assert set(of(a.TYPES, text)) == {thing.type}
    assert set(of(a.COLOURS, text)) == {thing.colour}
    assert of(pattern_words(thing.pattern), text)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_a_shops_text_is_about_the_product(seed):
    rng = np.random.default_rng(seed)
    spec = sample_scene(rng)
    text = item_text(spec, rng).lower()
    assert set(of(a.TYPES, text)) == {spec.product.type}
    assert set(of(a.COLOURS, text)) == {spec.product.colour}
    assert of(pattern_words(spec.product.pattern), text)
    assert set(of(a.SCENES, text)) <= {spec.scene}
    assert text.endswith(".")


def test_grammar_varies():
    rng = np.random.default_rng(5)
    spec = next(s for s in iter(lambda: sample_scene(rng), None) if s.sign and s.others)
    assert len({caption(spec, rng) for _ in range(60)}) > 25
    assert len({item_text(spec, rng) for _ in range(60)}) > 10


def test_articles_agree():
    rng = np.random.default_rng(0)
    for _ in range(300):
        text = caption(sample_scene(rng), rng)
        assert not re.search(r"\ba [aeiou]|\ban [^aeiou]", text), text


@pytest.mark.parametrize("kind", ["trousers", "shorts"])
def test_plurals_take_no_article(kind):
    rng = np.random.default_rng(0)
    for _ in range(50):
        text = phrase(a.Thing(kind, "red", "dotted"), rng)
        assert text.startswith("a pair of ") or not re.match(r"an? ", text)
