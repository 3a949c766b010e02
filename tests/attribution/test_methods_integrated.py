"""Integrated gradients against captum run on its own, a loop from the equation, and its axiom."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from captum.attr import IntegratedGradients
from zoo import make_checkpoint

from becam.attribution.methods import create_method
from becam.attribution.target import item_target
from becam.attribution.view import Engine, Settings

STEPS = 12


@pytest.fixture(params=[("open_clip-vit", "mean"), ("timm-cnn", "blur"), ("becam-vit", "black")])
def case(request, load, picture):
    name, masking = request.param
    encoder = load(name)
    checkpoint = make_checkpoint(encoder)
    view = Engine(encoder, encoder.target_layer(), Settings(masking=masking)).view(picture)
    modality = checkpoint.modalities["image"]
    item = checkpoint.item_embeddings[7]

    def score(pixels):
        z = encoder.encode_image(pixels) @ modality.projection_weight.T + modality.projection_bias
        return z @ item / (z.norm(dim=-1) * item.norm())

    return view, item_target(checkpoint, "0007", space="adapted"), score


def test_map_equals_captums(case):
    view, target, score = case
    found = create_method("integrated-gradients", {"steps": STEPS}).saliency(view, target).map
    expected = IntegratedGradients(score).attribute(
        view.pixels[None].clone(), baselines=view.faded[None].clone(), n_steps=STEPS
    )
    expected = expected[0].detach().numpy().sum(0)
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-4 * np.abs(expected).max())


def test_map_equals_the_equation(case):
    """(x - x') times the integral of the gradient from x' to x, one node after the other."""
    view, target, score = case
    found = create_method("integrated-gradients", {"steps": STEPS}).saliency(view, target).map
    nodes, weights = np.polynomial.legendre.leggauss(STEPS)
    total = torch.zeros_like(view.pixels)
    for node, weight in zip(nodes, weights, strict=True):
        point = view.faded + (node + 1) / 2 * (view.pixels - view.faded)
        point = point.float()[None].requires_grad_()
        (slope,) = torch.autograd.grad(score(point).sum(), point)
        total += weight / 2 * slope[0]
    expected = ((view.pixels - view.faded) * total).sum(0)
    assert (found - expected).abs().max() <= 1e-4 * expected.abs().max()


def test_contributions_add_up_to_the_difference(case):
    view, target, score = case
    found = create_method("integrated-gradients", {"steps": 64}).saliency(view, target).map
    with torch.no_grad():
        whole, faded = score(torch.stack([view.pixels, view.faded]))
    assert float(found.double().sum()) == pytest.approx(float(whole - faded), abs=1e-2)
