"""Energy shares against a loop over pixels and hand-worked cases."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from becam.errors import BecamError
from becam.evaluation.localisation import area_shares, energy_shares

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
