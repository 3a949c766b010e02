"""Noisy linear imputation against its equations, solved densely, and pytorch-grad-cam's."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from becam.evaluation.imputation import impute

MASKS = ("scattered", "block", "most")


def removed(kind, shape, rng):
    mask = rng.random(shape) < {"scattered": 0.3, "block": 0.0, "most": 0.95}[kind]
    if kind == "block":
        mask[3:, :4] = True  # reaches two borders and a corner
    return mask


@pytest.mark.parametrize("kind", MASKS)
def test_against_dense_equations(kind):
    rng = np.random.default_rng(1)
    pixels, mask = torch.randn(3, 8, 9), removed(kind, (8, 9), rng)
    found = impute(pixels, mask, rng, noise=0.0).double().numpy()
    values = pixels.double().numpy()
    matrix, right = np.eye(72), values.reshape(3, 72).T.copy()
    for y, x in zip(*np.nonzero(mask), strict=True):
        weights = {
            (y + dy, x + dx): 1 / 6 if dy * dx == 0 else 1 / 12
            for dy in (-1, 0, 1)
            for dx in (-1, 0, 1)
            if (dy or dx) and 0 <= y + dy < 8 and 0 <= x + dx < 9
        }
        for (row, column), weight in weights.items():
            matrix[y * 9 + x, row * 9 + column] -= weight / sum(weights.values())
        right[y * 9 + x] = 0.0
    want = np.linalg.solve(matrix, right).T.reshape(3, 8, 9)
    assert np.allclose(found, want, atol=1e-6)
    assert np.array_equal(found[:, ~mask], values[:, ~mask])


@pytest.mark.parametrize("kind", MASKS)
def test_against_pytorch_grad_cam(kind):
    road = pytest.importorskip("pytorch_grad_cam.metrics.road")
    rng = np.random.default_rng(2)
    pixels, mask = torch.randn(3, 20, 17), removed(kind, (20, 17), rng)
    want = road.NoisyLinearImputer(noise=0.0)(pixels, torch.from_numpy(~mask).float())
    assert torch.allclose(impute(pixels, mask, rng, noise=0.0), want, atol=1e-5)


def test_noise_is_on_removed_pixels_alone():
    pixels, mask = torch.zeros(3, 60, 60), np.zeros((60, 60), bool)
    mask[5:50, 5:50] = True
    noise = impute(pixels, mask, np.random.default_rng(0), noise=0.1).numpy()
    assert (noise[:, ~mask] == 0).all()
    assert noise[:, mask].std() == pytest.approx(0.1, rel=0.05)
    again = impute(pixels, mask, np.random.default_rng(0), noise=0.1).numpy()
    assert np.array_equal(noise, again)


def test_nothing_removed():
    pixels = torch.randn(3, 5, 5)
    found = impute(pixels, np.zeros((5, 5), bool), np.random.default_rng(0))
    assert torch.equal(found, pixels)
