"""Score-CAM against pytorch-grad-cam, gScoreCAM against a loop written from its definition."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pytorch_grad_cam import ScoreCAM
from pytorch_grad_cam.activations_and_gradients import ActivationsAndGradients
from scipy.special import softmax
from similarity import Similarity, token_maps
from zoo import make_checkpoint

from becam.attribution.methods import create_method
from becam.attribution.target import item_target
from becam.attribution.view import Engine

ITEM = 7


@pytest.fixture(params=["open_clip-vit", "open_clip-resnet"])
def case(request, load, picture):
    encoder = load(request.param)
    checkpoint = make_checkpoint(encoder)
    view = Engine(encoder, encoder.target_layer()).view(picture)
    reshape = token_maps if "vit" in request.param else None
    return encoder, checkpoint, view, reshape


def test_score_cam_equals_the_librarys(case, monkeypatch):
    encoder, checkpoint, view, reshape = case
    # The library's masks are upsampled with their corners aligned, BeCAM's are not.
    monkeypatch.setattr(
        torch.nn, "UpsamplingBilinear2d", lambda size: torch.nn.Upsample(size, mode="bilinear")
    )
    cam = ScoreCAM(
        Similarity(encoder, checkpoint, ITEM),
        [encoder.vision.get_submodule(view.engine.layer.path)],
        reshape_transform=reshape,
    )
    with cam:
        cam.activations_and_grads(view.pixels[None])
        activation = cam.activations_and_grads.activations[0].numpy()
        weights = cam.get_cam_weights(
            view.pixels[None], None, [lambda output: output[0]], activation, None
        )[0]
    found = create_method("score-cam").saliency(
        view, item_target(checkpoint, "0007", space="adapted")
    )
    live = view.live.numpy()
    assert live.sum() > 10
    assert found.encoded == live.sum()
    # The library lets channels without range take part as blank pictures; here they weigh nothing.
    expected = np.where(live, weights, 0) / weights[live].sum()
    np.testing.assert_allclose(found.weights.numpy(), expected, atol=1e-6)
    total = np.tensordot(expected.astype(float), activation[0], 1)
    np.testing.assert_allclose(found.map.numpy(), total, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("ranking", ["absolute", "signed"])
def test_gscore_cam_equals_a_naive_loop(case, ranking):
    encoder, checkpoint, view, reshape = case
    model = Similarity(encoder, checkpoint, ITEM)
    hooks = ActivationsAndGradients(
        model, [encoder.vision.get_submodule(view.engine.layer.path)], reshape
    )
    model(view.pixels[None].clone().requires_grad_()).sum().backward()
    activation = hooks.activations[0][0].numpy()
    gradient = hooks.gradients[0][0].numpy()
    hooks.release()
    size, strengths = view.size, []
    for slopes in gradient:
        strengths.append(np.mean(np.abs(slopes)) if ranking == "absolute" else np.mean(slopes))
    masks = []
    for channel in activation:
        up = torch.nn.functional.interpolate(
            torch.from_numpy(channel)[None, None], size=size, mode="bilinear"
        )[0, 0]
        span = up.max() - up.min()
        masks.append((up - up.min()) / span if span > 1e-6 * up.abs().max() else None)
    order = [k for k in np.argsort(strengths)[::-1] if masks[k] is not None]
    chosen = order[:9]
    with torch.no_grad():
        scores = [float(model((view.pixels * masks[k])[None])) for k in chosen]
    expected = np.zeros(len(activation))
    expected[chosen] = softmax(scores)

    method = create_method("gscore-cam", {"top_k": 9, "ranking": ranking})
    found = method.saliency(view, item_target(checkpoint, "0007", space="adapted"))
    assert found.encoded == 9
    np.testing.assert_allclose(found.weights.numpy(), expected, atol=1e-6)
    total = np.tensordot(expected, activation, 1)
    np.testing.assert_allclose(found.map.numpy(), total, rtol=1e-3, atol=1e-4)


def test_gscore_cam_of_all_channels_is_score_cam(case):
    _, checkpoint, view, _ = case
    target = item_target(checkpoint, "0007", space="adapted")
    everything = create_method("gscore-cam", {"top_k": 100_000}).saliency(view, target)
    score_cam = create_method("score-cam").saliency(view, target)
    assert everything.encoded == score_cam.encoded
    np.testing.assert_allclose(everything.weights, score_cam.weights, atol=1e-6)


def test_gscore_cam_encodes_a_channel_once(case, monkeypatch):
    _, checkpoint, view, _ = case
    encode, encoded = view.encode, []
    monkeypatch.setattr(view, "encode", lambda masks: encoded.append(len(masks)) or encode(masks))
    method = create_method("gscore-cam", {"top_k": 9})
    method.prepare(view)
    assert not encoded
    union = set()
    for item in ("0007", "0008", "0009", "0007"):
        weights = method.saliency(view, item_target(checkpoint, item, space="adapted")).weights
        union |= set(weights.nonzero()[:, 0].tolist())
    assert sum(encoded) == len(union)
    assert 9 < len(union) < 27  # the targets choose differently, but not altogether
