from dataclasses import replace

import cv2
import numpy as np
import pytest

from becam.data.catalogue import attributes as a
from becam.data.catalogue.attributes import Person, SceneSpec, Sign, Thing
from becam.data.catalogue.render import render
from becam.data.catalogue.sample import sample_scene

SIZE = 160
MOSTLY_TRIM = {"watch": 0.3, "vase": 0.5, "lamp": 0.5}
"""Types of which dials, blooms and stands are a large part; 0.6 of the rest changes colour."""


def scene(seed, **product):
    spec = sample_scene(np.random.default_rng(seed))
    return replace(spec, product=replace(spec.product, **product)) if product else spec


def scene_of(kind, seed=0):
    return sample_scene(np.random.default_rng([seed, 7]), Thing(kind, "red", "striped"))


def grown(mask, pixels=2):
    size = 2 * pixels + 1
    return cv2.dilate(mask.astype(np.uint8), np.ones((size, size), np.uint8)).astype(bool)


def changed(first, second):
    return np.abs(first.image.astype(int) - second.image.astype(int)).max(axis=2) > 0


def confined(difference, mask):
    """Nothing changed away from the mask, save where covered edges shine through soft seams."""
    return (difference & ~grown(mask)).sum() < 0.0015 * mask.size


@pytest.mark.parametrize("kind", a.TYPES)
def test_the_product_mask_is_where_the_product_colour_shows(kind):
    for seed in range(3):
        spec = replace(scene_of(kind, seed), product=Thing(kind, "red"))
        before = render(spec, SIZE)
        after = render(replace(spec, product=Thing(kind, "blue")), SIZE)
        product = before.labels == a.PRODUCT
        difference = changed(before, after)
        assert np.array_equal(before.labels, after.labels)
        assert confined(difference, product)
        assert difference[product].mean() > MOSTLY_TRIM.get(kind, 0.6)


@pytest.mark.parametrize("kind", a.TYPES)
def test_a_solid_product_has_the_colour_it_is_named_for(kind):
    """Hue angle of the colour that the mask shows, against the sRGB hue of its name."""
    hues = {"red": 0, "yellow": 48, "green": 134, "blue": 222}
    for colour, hue in hues.items():
        drawn = render(replace(scene_of(kind), product=Thing(kind, colour)), SIZE)
        pixels = drawn.image[drawn.labels == a.PRODUCT].astype(np.float32)[None] / 255
        hsv = cv2.cvtColor(pixels, cv2.COLOR_RGB2HSV)[0]
        angle = np.abs((hsv[:, 0] - hue + 180) % 360 - 180)
        near = (angle < 25) & (hsv[:, 1] > 0.35)
        assert near.mean() > MOSTLY_TRIM.get(kind, 0.6) - 0.1, colour


@pytest.mark.parametrize("pattern", a.PATTERNS[1:])
def test_a_pattern_shows_on_the_product_and_nowhere_else(pattern):
    for kind in ("dress", "jumper", "mug", "backpack"):
        spec = scene_of(kind)
        plain = render(replace(spec, product=Thing(kind, "red")), SIZE)
        printed = render(replace(spec, product=Thing(kind, "red", pattern)), SIZE)
        product = plain.labels == a.PRODUCT
        difference = changed(plain, printed)
        assert np.array_equal(plain.labels, printed.labels)
        assert confined(difference, product)
        assert 0.1 < difference[product].mean() < 0.9


def test_patterns_differ_from_each_other():
    spec = scene_of("dress")
    drawn = [
        render(replace(spec, product=Thing("dress", "red", pattern)), SIZE)
        for pattern in a.PATTERNS
    ]
    for i, first in enumerate(drawn):
        for second in drawn[:i]:
            assert changed(first, second)[first.labels == a.PRODUCT].mean() > 0.1


def test_the_same_specification_gives_the_same_pixels():
    for seed in range(6):
        first, second = render(scene(seed), SIZE), render(scene(seed), SIZE)
        assert np.array_equal(first.image, second.image)
        assert np.array_equal(first.labels, second.labels)


def test_the_seed_of_the_scene_changes_the_picture():
    spec = scene(3)
    assert changed(render(spec, SIZE), render(replace(spec, seed=spec.seed + 1), SIZE)).mean() > 0.2


@pytest.mark.parametrize("aspect", [1.0, 0.75, 1.3333])
@pytest.mark.parametrize("size", [64, 256])
def test_shape_follows_size_and_aspect(aspect, size):
    drawn = render(replace(scene(1), aspect=aspect), size)
    rows, columns = drawn.labels.shape
    assert min(rows, columns) == size
    assert columns / rows == pytest.approx(aspect, rel=0.02)
    assert drawn.image.shape == (rows, columns, 3)
    assert drawn.image.dtype == drawn.labels.dtype == np.uint8


def test_every_class_is_there_exactly_when_the_scene_has_it():
    for seed in range(150):
        spec = scene(seed)
        counts = np.bincount(render(spec, SIZE).labels.ravel(), minlength=len(a.CLASSES))
        person = spec.person is not None
        expected = {
            a.PRODUCT: True,
            a.SKIN: person,
            a.HAIR: person,
            a.CLOTHING: person,
            a.TEXT: spec.sign is not None,
            a.OTHER: bool(spec.others),
        }
        for label, present in expected.items():
            what = (seed, a.CLASSES[label])
            assert (counts[label] >= 10) if present else (counts[label] == 0), what
        assert counts[a.PRODUCT] > 0.008 * counts.sum(), seed
        assert counts[a.BACKGROUND] > 0.15 * counts.sum(), seed


def test_the_product_lies_in_what_a_square_crop_keeps():
    for seed in range(60):
        labels = render(scene(seed), SIZE).labels
        top, left = ((side - SIZE) // 2 for side in labels.shape)
        kept = (labels[top : top + SIZE, left : left + SIZE] == a.PRODUCT).sum()
        assert kept > 0.75 * (labels == a.PRODUCT).sum(), seed


def dressed():
    person = Person("woman", "light", "blond", "long", (Thing("skirt", "blue"),))
    return SceneSpec(Thing("jumper", "green"), "park", "full", person, seed=11)


def test_hair_and_skin_masks_are_where_hair_and_skin_show():
    spec = dressed()
    before = render(spec, SIZE)
    hair, skin = before.labels == a.HAIR, before.labels == a.SKIN
    black = render(replace(spec, person=replace(spec.person, hair_colour="black")), SIZE)
    dark = render(replace(spec, person=replace(spec.person, skin="dark")), SIZE)
    assert changed(before, black)[hair].all()
    assert confined(changed(before, black), hair | skin)  # brows are part of the face
    assert changed(before, dark)[skin].mean() > 0.9
    assert confined(changed(before, dark), skin)


def test_the_mask_of_other_clothing_is_where_it_shows():
    spec = dressed()
    before = render(spec, SIZE)
    clothing = before.labels == a.CLOTHING
    red = render(
        replace(spec, person=replace(spec.person, garments=(Thing("skirt", "red"),))), SIZE
    )
    assert changed(before, red)[clothing].mean() > 0.7  # the rest is shoes
    assert confined(changed(before, red), clothing)


@pytest.mark.parametrize("kind", a.SIGNS)
def test_the_text_mask_covers_the_letters(kind):
    spec = replace(scene_of("mug"), sign=Sign("LUNA", kind))
    luna = render(spec, SIZE)
    moda = render(replace(spec, sign=Sign("MODA", kind)), SIZE)
    text = luna.labels == a.TEXT
    assert changed(luna, moda)[text].mean() > 0.1
    assert confined(changed(luna, moda), text)


def test_other_objects_hide_only_what_their_mask_covers():
    spec = replace(scene_of("mug"), others=(Thing("lamp", "blue"), Thing("shoe", "green")))
    drawn = render(spec, SIZE)
    without = render(replace(spec, others=()), SIZE)
    other = drawn.labels == a.OTHER
    assert cv2.connectedComponents(other.astype(np.uint8))[0] - 1 >= 2
    assert np.array_equal(drawn.labels[~other], without.labels[~other])
    recoloured = replace(spec, others=(Thing("lamp", "red"), Thing("shoe", "yellow")))
    assert confined(changed(drawn, render(recoloured, SIZE)), other)


@pytest.mark.parametrize("scene_name", a.SCENES)
def test_scenes_are_told_apart_by_their_background(scene_name):
    """Nearest mean colour layout over other seeds of the same scenes finds the scene."""

    def layout(name, seed):
        spec = SceneSpec(Thing("chair", "red"), name, seed=seed)
        return cv2.resize(render(spec, 64).image, (8, 8), interpolation=cv2.INTER_AREA).astype(
            float
        )

    means = {name: np.mean([layout(name, s) for s in range(12)], 0) for name in a.SCENES}
    hits = 0
    for seed in range(100, 112):
        picture = layout(scene_name, seed)
        nearest = min(means, key=lambda name: np.abs(means[name] - picture).sum())
        hits += nearest == scene_name
    assert hits >= 6  # of 12, where 2 are expected by chance
