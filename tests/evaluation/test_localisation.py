"""Where maps lie, against loops over pixels, scikit-learn and hand-worked cases."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics import average_precision_score, jaccard_score

from becam.errors import BecamError
from becam.evaluation.localisation import (
    area_shares,
    average_precision,
    best_iou,
    energy,
    energy_shares,
    omission,
    pointing_game,
)

CLASSES = {0: "background", 1: "product", 2: "skin"}


@given(
    hnp.arrays(np.float32, (5, 6), elements=st.floats(0, 1, width=32)),
    hnp.arrays(np.uint8, (5, 6), elements=st.integers(0, 3)),
    hnp.arrays(np.bool_, (5, 6)),
)
def test_against_a_loop(saliency, labels, unseen):
    saliency = np.where(unseen, np.nan, saliency).astype(np.float32)
    found = energy_shares(saliency, labels, CLASSES)
    total, sums = 0.0, dict.fromkeys(CLASSES.values(), 0.0)
    for row in range(5):
        for column in range(6):
            value = float(saliency[row, column])
            if math.isnan(value):
                continue
            total += value
            if labels[row, column] in CLASSES:
                sums[CLASSES[labels[row, column]]] += value
    for name, value in sums.items():
        assert found[name] == pytest.approx(value / total if total else 0.0, abs=1e-9)


def test_by_hand():
    saliency = np.array([[1.0, 3.0], [0.0, np.nan]], np.float32)
    labels = np.array([[0, 1], [2, 2]], np.uint8)
    assert energy_shares(saliency, labels, CLASSES) == {
        "background": 0.25,
        "product": 0.75,
        "skin": 0.0,
    }
    assert area_shares(saliency, labels, CLASSES) == pytest.approx(
        {"background": 1 / 3, "product": 1 / 3, "skin": 1 / 3}
    )


def test_shapes_must_agree():
    with pytest.raises(BecamError, match="same picture"):
        energy_shares(np.zeros((2, 3), np.float32), np.zeros((3, 2), np.uint8), CLASSES)


MEASURES = (energy, pointing_game, best_iou, average_precision, omission)

# Few values, so that ties are common; -1 marks what the encoder never saw.
maps = hnp.arrays(np.int8, (4, 5), elements=st.integers(-1, 3)).map(
    lambda found: np.where(found < 0, np.nan, found / 3).astype(np.float32)
)
masks = hnp.arrays(np.bool_, (4, 5))


def seen(saliency, mask):
    return [
        (float(value), bool(inside))
        for value, inside in zip(saliency.ravel(), mask.ravel(), strict=True)
        if not math.isnan(value)
    ]


@given(maps, masks)
def test_energy_is_that_of_the_shares(saliency, mask):
    found = energy(saliency, mask)
    pixels = seen(saliency, mask)
    if not any(inside for _, inside in pixels) or not any(value for value, _ in pixels):
        assert math.isnan(found)
    else:
        shares = energy_shares(saliency, mask.astype(np.uint8), {1: "object"})
        assert found == pytest.approx(shares["object"])


@given(maps, masks)
def test_pointing_game_against_a_draw_among_the_maxima(saliency, mask):
    pixels = seen(saliency, mask)
    found = pointing_game(saliency, mask)
    if not any(inside for _, inside in pixels):
        assert math.isnan(found)
        return
    highest = max(value for value, _ in pixels)
    outcomes = [inside for value, inside in pixels if value == highest]
    assert found == pytest.approx(sum(outcomes) / len(outcomes))


@given(maps, masks)
def test_iou_and_precision_against_scikit_learn(saliency, mask):
    pixels = seen(saliency, mask)
    if not any(inside for _, inside in pixels):
        assert math.isnan(best_iou(saliency, mask))
        assert math.isnan(average_precision(saliency, mask))
        return
    values, truth = (np.array(part) for part in zip(*pixels, strict=True))
    ious = [jaccard_score(truth, values >= threshold) for threshold in set(values)]
    assert best_iou(saliency, mask) == pytest.approx(max(ious))
    assert average_precision(saliency, mask) == pytest.approx(
        average_precision_score(truth, values)
    )


def test_omission_by_hand():
    saliency = np.array([[1.0, 0.5, 0.49], [0.0, np.nan, 0.6]], np.float32)
    mask = np.array([[True, True, True], [True, True, False]])
    # Of four seen pixels of the object, those with 1 and 0.5 reach half of the maximum.
    assert omission(saliency, mask) == pytest.approx(0.5)
    # Half of the maximum does not move with empty background; Otsu's threshold would.
    wide = np.pad(np.nan_to_num(saliency), ((0, 0), (0, 50)))
    inside = np.pad(mask & ~np.isnan(saliency), ((0, 0), (0, 50)))
    assert omission(wide, inside) == pytest.approx(0.5)
    assert omission(np.zeros((2, 3), np.float32), mask) == 1.0


def test_a_flat_map_is_worth_its_area():
    saliency, mask = np.ones((4, 5), np.float32), np.zeros((4, 5), bool)
    mask[:2, :3] = True
    for measure in (energy, pointing_game, best_iou, average_precision):
        assert measure(saliency, mask) == pytest.approx(6 / 20)


def test_what_was_never_seen_does_not_count():
    rng = np.random.default_rng(0)
    saliency, mask = rng.random((6, 7), np.float32), rng.random((6, 7)) < 0.5
    padded = np.full((9, 12), np.nan, np.float32)
    padded[2:8, 3:10] = saliency
    around = np.ones((9, 12), bool)
    around[2:8, 3:10] = mask
    for measure in MEASURES:
        assert measure(padded, around) == pytest.approx(measure(saliency, mask))
    hidden = np.zeros((9, 12), bool)
    hidden[0] = True
    for measure in MEASURES:
        assert math.isnan(measure(padded, hidden))
        with pytest.raises(BecamError, match="same picture"):
            measure(padded, mask)


@given(maps, masks)
def test_measures_do_not_depend_on_the_maps_scale(saliency, mask):
    for measure in MEASURES:
        assert measure(saliency * 2, mask) == pytest.approx(measure(saliency, mask), nan_ok=True)
