"""Class activation maps against pytorch-grad-cam run on its own, and against the equations."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from pytorch_grad_cam import EigenCAM, GradCAM, GradCAMPlusPlus, LayerCAM
from similarity import Similarity, token_maps
from sklearn.decomposition import PCA
from zoo import make_checkpoint

from becam.attribution.methods import create_method
from becam.attribution.target import item_target
from becam.attribution.view import Engine

ENCODERS = ("open_clip-vit", "open_clip-resnet", "timm-cnn", "becam-vit")
ITEM = 7


def run(kind, encoder, checkpoint, path, pixels):
    """The map before its scaling, the activation and its gradient, by the library end to end."""
    cam = kind(
        Similarity(encoder, checkpoint, ITEM),
        [encoder.vision.get_submodule(path)],
        reshape_transform=token_maps if hasattr(encoder.vision, "transformer") else None,
    )
    raw, make = [], cam.get_cam_image
    cam.get_cam_image = lambda *a, **o: raw.append(make(*a, **o)) or raw[-1]
    with cam:
        cam(pixels[None].clone().requires_grad_(), [lambda output: output[0]])
        found = cam.activations_and_grads
        activation = found.activations[0][0].double().numpy()
        gradient = found.gradients[0][0].double().numpy() if found.gradients else None
    return raw[0][0], activation, gradient


@pytest.fixture(params=ENCODERS)
def case(request, load, picture):
    """A view, a target, and a function that runs the library."""
    encoder = load(request.param)
    checkpoint = make_checkpoint(encoder)
    layer = encoder.target_layer()
    view = Engine(encoder, layer).view(picture)
    target = item_target(checkpoint, f"0{ITEM:03d}", space="adapted")
    return view, target, lambda kind: run(kind, encoder, checkpoint, layer.path, view.pixels)


@pytest.mark.parametrize(("name", "kind"), [("grad-cam", GradCAM), ("layer-cam", LayerCAM)])
def test_maps_equal_the_librarys(case, name, kind):
    view, target, run = case
    found = create_method(name).saliency(view, target)
    expected, activation, gradient = run(kind)
    np.testing.assert_allclose(found.map.numpy(), expected, atol=1e-4 * np.abs(expected).max())
    if name == "grad-cam":
        np.testing.assert_allclose(found.weights, gradient.mean((1, 2)), rtol=1e-3, atol=1e-8)
    np.testing.assert_allclose(view.activation, activation, atol=1e-5)


def test_grad_cam_keeps_its_sign(case):
    """Cosines turn over with the vector, and so must the map: the library's output does not."""
    view, target, _ = case
    found = create_method("grad-cam").saliency(view, target).map
    turned = create_method("grad-cam").saliency(view, replace(target, vector=-target.vector)).map
    assert torch.allclose(found, -turned, atol=1e-5 * float(found.abs().max()))
    assert found.abs().max() > 0


def plus_plus(activation, gradient, eps):
    """Eq. 19 of Grad-CAM++, one cell at a time."""
    total = np.zeros(activation.shape[1:])
    for channel, slopes in zip(activation, gradient, strict=True):
        weight = 0.0
        for slope in slopes.ravel():
            below = 2 * slope**2 + channel.sum() * slope**3 + eps
            alpha = slope**2 / below if slope else 0.0
            weight += alpha * max(slope, 0.0)
        total += weight * channel
    return total


def test_grad_cam_plus_plus_is_its_equation(case):
    """Without the library's epsilon, which is larger than the squared gradients of a cosine."""
    view, target, run = case
    found = create_method("grad-cam++").saliency(view, target).map.numpy()
    raw, activation, gradient = run(GradCAMPlusPlus)
    with_eps = plus_plus(activation, gradient, 1e-6)
    np.testing.assert_allclose(raw, with_eps, atol=1e-3 * np.abs(with_eps).max())
    exact = plus_plus(activation, gradient, 0.0)
    np.testing.assert_allclose(found, exact, atol=1e-3 * np.abs(exact).max())


def test_eigen_cam_is_the_first_principal_component(case):
    view, target, run = case
    found = create_method("eigen-cam").saliency(view, target).map.numpy()
    raw, activation, _ = run(EigenCAM)
    scale = np.abs(raw).max()
    assert min(np.abs(found - raw).max(), np.abs(found + raw).max()) < 1e-3 * scale
    scores = PCA(1, svd_solver="full").fit_transform(activation.reshape(len(activation), -1).T)
    np.testing.assert_allclose(np.abs(found.ravel()), np.abs(scores[:, 0]), atol=1e-3 * scale)
    assert found.max() == np.abs(found).max()


@pytest.mark.parametrize(
    ("encoder_name", "path"),
    [("open_clip-vit", "transformer.resblocks.0"), ("open_clip-resnet", "layer2.0.act3")],
)
def test_another_target_layer(encoder_name, path, load, picture):
    """A layer deeper in, where a following operation may work in place on the layer's output."""
    encoder = load(encoder_name)
    checkpoint = make_checkpoint(encoder)
    view = Engine(encoder, encoder.target_layer(path)).view(picture)
    target = item_target(checkpoint, f"0{ITEM:03d}", space="adapted")
    for name, kind in (("grad-cam", GradCAM), ("layer-cam", LayerCAM)):
        found = create_method(name).saliency(view, target).map.numpy()
        expected, _, _ = run(kind, encoder, checkpoint, path, view.pixels)
        assert np.abs(expected).max() > 0
        np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())


def test_a_layer_that_is_worked_on_in_place_afterwards(load, picture):
    """A bottleneck adds its input to what its last norm gave, in place, before the last ReLU."""
    encoder = load("open_clip-resnet")
    checkpoint = make_checkpoint(encoder)
    target = item_target(checkpoint, f"0{ITEM:03d}", space="adapted")
    view = Engine(encoder, encoder.target_layer("layer4.0.bn3")).view(picture)
    found = create_method("grad-cam").saliency(view, target)
    _, after, gradient = run(GradCAM, encoder, checkpoint, "layer4.0.act3", view.pixels)
    expected = (gradient * (after > 0)).mean((1, 2))
    np.testing.assert_allclose(found.weights, expected, rtol=1e-3, atol=1e-8)
