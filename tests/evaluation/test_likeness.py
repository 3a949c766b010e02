"""Structural similarity against torchmetrics and a loop; rank correlation by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torchmetrics.functional.image import structural_similarity_index_measure

from becam.evaluation.likeness import likeness, spearman, ssim


def pictures(seed, shape=(40, 33)):
    rng = np.random.default_rng(seed)
    return rng.random(shape), np.clip(rng.random(shape) * 0.4 + np.linspace(0, 1, shape[1]), 0, 1)


@pytest.mark.parametrize("seed", range(3))
def test_against_torchmetrics(seed):
    first, second = pictures(seed)
    tensors = [torch.from_numpy(found)[None, None] for found in (first, second)]
    _, everywhere = structural_similarity_index_measure(
        *tensors, data_range=1.0, return_full_image=True
    )
    # Its mean is over windows that reach over the border too, into a reflection.
    want = float(everywhere[..., 5:-5, 5:-5].mean())
    assert ssim(first, second) == pytest.approx(want, abs=1e-6)
    assert ssim(first, first) == pytest.approx(1.0)


def test_against_a_loop_over_windows():
    first, second = pictures(5, (14, 13))
    line = np.exp(-0.5 * (np.arange(-5, 6) / 1.5) ** 2)
    window = np.outer(line, line) / np.outer(line, line).sum()
    values = []
    for y in range(4):
        for x in range(3):
            a, b = (m[y : y + 11, x : x + 11] for m in (first, second))
            mean_a, mean_b = (window * a).sum(), (window * b).sum()
            var_a = (window * (a - mean_a) ** 2).sum()
            var_b = (window * (b - mean_b) ** 2).sum()
            both = (window * (a - mean_a) * (b - mean_b)).sum()
            values.append(
                (2 * mean_a * mean_b + 1e-4)
                * (2 * both + 9e-4)
                / ((mean_a**2 + mean_b**2 + 1e-4) * (var_a + var_b + 9e-4))
            )
    assert ssim(first, second) == pytest.approx(np.mean(values))


def test_rank_correlation_by_hand():
    # Ranks 1 2 3 4 and 2 1 4 3: 1 - 6 (1 + 1 + 1 + 1) / (4 (16 - 1)) = 0.6
    first = torch.tensor([[0.1, 5.0], [7.0, 90.0]])
    second = torch.tensor([[-2.0, -3.0], [4.0, 0.0]])
    assert spearman(first, second) == pytest.approx(0.6)


def test_maps_of_a_grid():
    generator = torch.Generator().manual_seed(0)
    first, second = torch.randn(2, 4, 4, generator=generator)
    found = likeness(first, second, (64, 64))
    assert -1 <= found["spearman"] < 1
    same = likeness(first, first * 3 + 1, (64, 64))  # neither shift nor scale matters
    assert same == pytest.approx({"spearman": 1.0, "ssim": 1.0}, abs=1e-6)
    turned = likeness(first, -first, (64, 64))
    assert turned["spearman"] == pytest.approx(-1.0)
    assert turned["ssim"] < 0.5
    assert all(math.isnan(v) for v in likeness(first, torch.ones(4, 4), (64, 64)).values())
