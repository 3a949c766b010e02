"""Faithfulness against loops over pixels, scikit-learn, pytorch-grad-cam and hand-worked cases."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics import auc

from becam.errors import BecamError
from becam.evaluation.faithfulness import (
    Protocol,
    area,
    curve,
    drop,
    faithfulness,
    gain,
    ranking,
    road,
    shown,
    upsampled,
)

SIZE = (6, 8)


def two_scores(pictures):
    """The mean of a corner and a product of two pixels."""
    corner = pictures[:, :, :3, :3].mean(dim=(1, 2, 3))
    return torch.stack([corner, pictures[:, 0, 0, 0] * pictures[:, 1, 5, 7]], dim=-1)


def test_deletion_and_insertion_against_a_loop():
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randn(3, *SIZE, generator=generator)
    blurred = torch.randn(3, *SIZE, generator=generator)
    saliency = torch.randint(0, 4, SIZE, generator=generator).float()  # with many ties
    order = ranking(saliency)
    by_hand = sorted(range(48), key=lambda i: (-float(saliency.flatten()[i]), i))
    assert order.tolist() == by_hand
    for start, end in ((pixels, torch.zeros(3, *SIZE)), (blurred, pixels)):
        found = curve(two_scores, start, end, order, steps=16)
        assert found.shape == (17, 2)
        picture = start.clone()
        for step in range(17):
            for pixel in by_hand[: 3 * step]:
                picture[:, pixel // 8, pixel % 8] = end[:, pixel // 8, pixel % 8]
            assert torch.allclose(found[step], two_scores(picture[None])[0], atol=1e-6)
        want = [auc(np.arange(17) / 16, found[:, column].numpy()) for column in range(2)]
        assert area(found).tolist() == pytest.approx(want, abs=1e-6)


@pytest.mark.parametrize("steps", [1, 5, 7, 48, 60])
def test_steps_are_equal_and_reach_the_end(steps):
    changed = curve(
        lambda pictures: pictures.sum(dim=(1, 2, 3)) / 3,
        torch.zeros(3, *SIZE),
        torch.ones(3, *SIZE),
        torch.randperm(48),
        steps,
    )
    assert changed[0] == 0
    assert changed[-1] == 48
    assert (changed.diff() - 48 / steps).abs().max() <= 1


# Hundredths, which float32 tells apart however a score is shifted.
unit = hnp.arrays(np.int8, 6, elements=st.integers(0, 100)).map(lambda x: np.float32(x / 100))


@given(unit, unit)
def test_drop_and_gain_against_their_definitions(whole, masked):
    y, o = torch.from_numpy(whole), torch.from_numpy(masked)
    for found, a, b in zip(drop(y, o).tolist(), whole.tolist(), masked.tolist(), strict=True):
        assert found == pytest.approx(max(0.0, a - b) / a if a > 0 else 0.0, abs=1e-4)
    for found, a, b in zip(gain(y, o).tolist(), whole.tolist(), masked.tolist(), strict=True):
        assert found == pytest.approx(max(0.0, b - a) / (1 - a) if a < 1 else 0.0, abs=1e-4)
    # Cosines are taken as (1 + s) / 2 would be.
    assert torch.allclose(drop(2 * y - 1, 2 * o - 1, -1.0), drop(y, o), atol=1e-3)
    assert torch.allclose(drop(1 - y, 1 - o), gain(y, o), atol=1e-3)


def test_maps_on_the_input():
    saliency = torch.tensor([[-1.0, 0.0], [1.0, 3.0]])
    assert upsampled(saliency, (2, 2)).equal(saliency)
    wide = upsampled(saliency, (4, 4))
    want = cv2.resize(saliency.numpy(), (4, 4), interpolation=cv2.INTER_LINEAR)
    assert np.allclose(wide, want, atol=1e-6)
    assert shown(saliency, (2, 2)).equal(torch.tensor([[0.0, 0.0], [1 / 3, 1.0]]))
    assert not shown(-saliency.abs(), (4, 4)).any()
    # Order needs the signs that the display drops.
    assert ranking(saliency).tolist() == [3, 2, 1, 0]


class Linear(torch.nn.Module):
    """A score of pictures of 20 x 20 pixels."""

    def __init__(self):
        super().__init__()
        generator = torch.Generator().manual_seed(3)
        self.weight = torch.randn(1200, 2, generator=generator) / 30

    def forward(self, pictures):
        return torch.tanh(pictures.flatten(1) @ self.weight)


def test_road_against_pytorch_grad_cam(monkeypatch):
    reference = pytest.importorskip("pytorch_grad_cam.metrics.road")
    generator = torch.Generator().manual_seed(4)
    pixels = torch.randn(3, 20, 20, generator=generator)
    saliency = torch.rand(20, 20, generator=generator)
    monkeypatch.setattr(torch, "randn_like", torch.zeros_like)
    model = Linear()
    morf, lerf = road(model, pixels, ranking(saliency), noise=0.0)
    for column in range(2):
        arguments = (
            pixels[None],
            saliency[None].numpy(),
            [lambda output, column=column: output[column]],
            model,
        )
        whole = model(pixels[None])[0, column]
        for own, metric in (
            (morf, reference.ROADMostRelevantFirstAverage()),
            (lerf, reference.ROADLeastRelevantFirstAverage()),
        ):
            assert float(own[column] - whole) == pytest.approx(
                float(metric(*arguments)[0]), abs=1e-4
            )
        both = float((lerf - morf)[column] / 2)
        assert both == pytest.approx(float(reference.ROADCombined()(*arguments)[0]), abs=1e-4)


def measured(saliency, score=None, **options):
    generator = torch.Generator().manual_seed(5)
    mask = torch.zeros(16, 16)
    mask[4:10, 6:12] = 1.0
    pixels = torch.rand(3, 16, 16, generator=generator) + 2 * mask

    def object_alone(pictures):
        return (pictures * mask).sum(dim=(1, 2, 3)) / (pixels * mask).sum()

    return faithfulness(
        score or object_alone,
        pixels,
        mask if saliency is None else saliency,
        faded=torch.zeros(3, 16, 16),
        blurred=torch.zeros(3, 16, 16),
        least=torch.tensor(0.0),
        most=torch.tensor(1.0),
        **options,
    )


def test_the_true_map_is_the_most_faithful():
    """The score sums the pixels of an object, so its mask is the truth, and its inverse the lie."""
    truth = measured(None)
    generator = torch.Generator().manual_seed(6)
    noise = measured(torch.rand(16, 16, generator=generator))
    inside = torch.zeros(16, 16)
    inside[4:10, 6:12] = 1.0
    lie = measured(1 - inside)
    assert truth["deletion"] < noise["deletion"] < lie["deletion"]
    assert truth["insertion"] > noise["insertion"] > lie["insertion"]
    assert truth["road"] > noise["road"] > lie["road"]
    assert truth["drop"] == pytest.approx(0.0, abs=1e-6)
    assert lie["drop"] == pytest.approx(1.0)
    assert truth["road_morf"] < truth["road_lerf"]
    assert set(truth) == {
        *("deletion", "insertion", "drop", "increase", "gain"),
        *("road_morf", "road_lerf", "road"),
    }


def test_increase_and_gain_of_a_score_that_the_background_lowers():
    mask = torch.zeros(16, 16)
    mask[4:10, 6:12] = 1.0

    def score(pictures):
        return (0.5 - 0.01 * (pictures * (1 - mask)).sum(dim=(1, 2, 3)) / 100).clamp(0, 1)

    found = measured(mask, score)
    assert found["increase"] == 1.0
    assert found["drop"] == 0.0
    assert 0 < found["gain"] < 1
    assert measured(1 - mask, score)["increase"] == 0.0


def test_several_scores_at_once_are_those_one_by_one():
    generator = torch.Generator().manual_seed(7)
    saliency = torch.randn(4, 4, generator=generator)
    weights = torch.randn(3, 16, 16, 2, generator=generator)

    def both(pictures):
        return torch.einsum("nchw,chwk->nk", pictures, weights).sigmoid()

    together = measured(saliency, both, protocol=Protocol(steps=5, percentiles=(20, 60)))
    for column in range(2):
        alone = measured(
            saliency,
            lambda pictures, column=column: both(pictures)[:, column],
            protocol=Protocol(steps=5, percentiles=(20, 60)),
        )
        for name, value in alone.items():
            assert together[name][column] == pytest.approx(float(value), abs=1e-6)


def test_bad_protocols():
    with pytest.raises(BecamError, match="--steps"):
        Protocol(steps=0)
    for percentiles in ((), (0, 50), (50, 100)):
        with pytest.raises(BecamError, match="percentiles"):
            Protocol(percentiles=percentiles)
