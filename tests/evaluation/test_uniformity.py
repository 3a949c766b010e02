"""Uniformity and alignment against double loops from the definitions and known values."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from becam.errors import BecamError
from becam.evaluation import uniformity as module
from becam.evaluation.uniformity import alignment, uniformity, uniformity_of_sphere


def drawn(n, d, seed=0):
    return np.random.default_rng(seed).normal(size=(n, d)) * np.linspace(0.1, 9, n)[:, None]


def length_one(row):
    return [value / math.sqrt(sum(v * v for v in row)) for value in row]


def naive(features, t):
    """log of the mean of exp(-t |x - y|^2) over pairs of different rows of length one."""
    rows = [length_one(row) for row in features.tolist()]
    values = [
        math.exp(-t * sum((a - b) ** 2 for a, b in zip(rows[i], rows[j], strict=True)))
        for i in range(len(rows))
        for j in range(i)
    ]
    return math.log(sum(values) / len(values))


@pytest.mark.parametrize("t", [0.5, 2.0, 6.0])
@pytest.mark.parametrize(("n", "d"), [(2, 3), (7, 2), (41, 16)])
def test_a_double_loop(n, d, t, monkeypatch):
    features = drawn(n, d)
    assert uniformity(features, t=t) == pytest.approx(naive(features, t), rel=1e-9)
    monkeypatch.setattr(module, "_ROWS", 3)  # in several blocks
    assert uniformity(features, t=t) == pytest.approx(naive(features, t), rel=1e-9)


def test_values_worked_out_by_hand():
    assert uniformity(np.array([[3.0, 0.0], [5.0, 0.0]])) == pytest.approx(0)
    assert uniformity(np.array([[3.0, 0.0], [-1.0, 0.0]])) == pytest.approx(-8)  # |x - y|^2 = 4
    corners = np.array([[1.0, 0], [0, 1], [-1, 0], [0, -1]])
    # Four pairs are at a right angle, |x - y|^2 = 2, and two are opposite.
    assert uniformity(corners) == pytest.approx(math.log((4 * math.exp(-4) + 2 * math.exp(-8)) / 6))


@given(st.integers(0, 50), st.floats(0.01, 100))
def test_only_directions_count_and_no_direction_is_special(seed, scale):
    features = drawn(12, 4, seed)
    turn, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(4, 4)))
    want = uniformity(features)
    assert uniformity(scale * features @ turn) == pytest.approx(want, abs=1e-9)
    assert -8 <= want <= 1e-12


@pytest.mark.parametrize("dim", [2, 3, 64])
@pytest.mark.parametrize("t", [0.5, 2.0])
def test_the_even_sphere(dim, t):
    points = np.random.default_rng(1).normal(size=(3000, dim))
    assert uniformity(points, t=t) == pytest.approx(uniformity_of_sphere(dim, t=t), abs=0.02)


def test_the_even_sphere_in_closed_form():
    # In three dimensions cosines are even over [-1, 1]: the mean of exp(k u) is sinh(k) / k.
    assert uniformity_of_sphere(3) == pytest.approx(math.log(math.sinh(4) / 4) - 4)


def test_alignment_is_the_mean_distance():
    a, b = drawn(9, 5), drawn(9, 5, seed=1)
    pairs = [(length_one(x), length_one(y)) for x, y in zip(a.tolist(), b.tolist(), strict=True)]
    squares = [sum((p - q) ** 2 for p, q in zip(x, y, strict=True)) for x, y in pairs]
    assert alignment(a, b) == pytest.approx(sum(squares) / 9)
    assert alignment(a, b, alpha=1) == pytest.approx(sum(map(math.sqrt, squares)) / 9)
    assert alignment(a, 7 * a) == pytest.approx(0, abs=1e-12)
    assert alignment(a, -a) == pytest.approx(4)


@pytest.mark.parametrize("bad", [0.0, np.nan, np.inf])
def test_no_direction_is_told(bad):
    features = drawn(4, 3)
    features[2] = bad
    for call in (lambda: uniformity(features), lambda: alignment(features, drawn(4, 3))):
        with pytest.raises(BecamError, match="no direction"):
            call()
    with pytest.raises(BecamError, match="two items or more"):
        uniformity(drawn(1, 3))
