"""Controls against scipy and hand-worked cases."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.stats import pearsonr

from becam.attribution.controls import (
    Controls,
    angle,
    correlation,
    mean_correlation,
    strongest_share,
)

QUIET = {
    "weight_mean": 0.1,
    "weight_std": 0.1,
    "flat_channels": 0,
    "strongest_share": 0.1,
    "correlation_activation": 0.2,
    "correlation_others": 0.1,
    "correlation_randomised": 0.0,
    "positive_share": 0.6,
    "theta": 40.0,
}


def test_correlation_agrees_with_scipy():
    rng = np.random.default_rng(0)
    for _ in range(10):
        a, b = rng.normal(size=(2, 7, 7)) * 10 ** rng.uniform(-6, 6)
        found = correlation(torch.from_numpy(a), torch.from_numpy(b))
        assert found == pytest.approx(pearsonr(a.ravel(), b.ravel()).statistic, abs=1e-12)


def test_correlation_of_a_flat_map_is_none():
    assert correlation(torch.ones(3, 3), torch.rand(3, 3)) is None
    assert mean_correlation(torch.rand(3, 3), torch.ones(2, 3, 3)) is None


def test_mean_correlation_leaves_flat_maps_out():
    a = torch.tensor([[1.0, 2.0], [3.0, 5.0]])
    assert mean_correlation(a, torch.stack([a, -a, a, torch.ones(2, 2)])) == pytest.approx(1 / 3)


def test_strongest_share_by_hand():
    activation = torch.tensor([[[1.0, -1.0]], [[3.0, 0.0]], [[5.0, 5.0]]])
    weights = torch.tensor([-2.0, 1.0, 0.0])
    assert strongest_share(activation, weights) == pytest.approx(4 / 7)
    assert strongest_share(activation, torch.zeros(3)) == 0.0


def test_angle_by_hand():
    assert angle(torch.tensor([1.0, 0.0]), torch.tensor([1.0, 1.0])) == pytest.approx(45.0)
    assert angle(torch.tensor([1.0, 0.0]), torch.tensor([-2.0, 0.0])) == pytest.approx(180.0)
    assert math.isfinite(angle(torch.ones(64), torch.ones(64) * 3))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"correlation_others": 0.98}, "little about this target"),
        ({"correlation_activation": 0.99}, "where the encoder is active"),
        ({"correlation_activation": -0.99}, "Upside down"),
        ({"correlation_randomised": 0.95}, "hardly matters"),
        ({"similarity_spread": 0.0004}, "Next to nothing hangs on any region"),
        ({"strongest_share": 0.8}, "One channel makes 80%"),
        ({"positive_share": 0.0}, "No region agrees"),
    ],
)
def test_each_control_can_object(change, said):
    assert Controls(**QUIET).warnings() == []
    warnings = Controls(**{**QUIET, **change}).warnings()
    assert len(warnings) == 1
    assert said in warnings[0]


@pytest.mark.parametrize(("theta", "said"), [(40, "agree"), (75, "omission"), (120, "drift")])
def test_the_angle_is_put_into_words(theta, said):
    assert any(said in line for line in Controls(**{**QUIET, "theta": theta}).words())


def test_likeness_with_the_picture_itself_is_said_and_no_objection():
    for r, said in ((0.9, True), (0.7, False)):
        controls = Controls(**{**QUIET, "correlation_itself": r})
        assert controls.warnings() == []
        assert any("what the encoder sees" in line for line in controls.words()) == said


def test_an_angle_that_a_blank_picture_has_too_says_little():
    for blank, said in ((40.2, "a blank picture is as near"), (60.0, "agree")):
        (line,) = Controls(**{**QUIET, "theta": 40.0, "theta_blank": blank})._angle().splitlines()
        assert said in line
