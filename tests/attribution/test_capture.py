"""Hooks and modes are as they were, whatever happened in between."""

from __future__ import annotations

import pytest
import torch
from zoo import ENCODERS

from becam.attribution.capture import capture, captured, evaluating
from becam.attribution.view import Engine, Settings
from becam.encoders.base import TargetLayer
from becam.errors import BecamError


def hooks(encoder):
    return sum(len(module._forward_hooks) for module in encoder.modules())


@pytest.mark.parametrize("name", ENCODERS)
def test_hooks_and_modes_survive_an_exception(name, load, picture, monkeypatch):
    encoder = load(name)
    before = hooks(encoder)
    odd = next(m for m in encoder.modules() if not list(m.children()))
    odd.train()
    modes = [module.training for module in encoder.modules()]
    engine = Engine(encoder, encoder.target_layer(), Settings(batch_size=4))
    fast = engine.fast
    calls = []

    def fails_later(original):
        def encode(batch):
            calls.append(len(batch))
            if len(calls) > 3:
                raise RuntimeError("out of luck")
            return original(batch)

        return encode

    for method in ("encode_image", "encode_patches"):
        monkeypatch.setattr(fast, method, fails_later(getattr(fast, method)))
    with pytest.raises(RuntimeError, match="out of luck"):
        _ = engine.view(picture).masked_features
    assert len(calls) == 4
    assert hooks(encoder) == before
    assert [module.training for module in encoder.modules()] == modes
    odd.eval()


def test_hook_is_gone_when_the_forward_fails():
    module = torch.nn.Linear(2, 2)
    with pytest.raises(RuntimeError), captured(module):
        module(torch.zeros(1, 3))
    assert not module._forward_hooks


def test_evaluating_restores_mixed_modes():
    model = torch.nn.Sequential(torch.nn.Dropout(), torch.nn.BatchNorm1d(2))
    model.train()
    model[1].eval()
    with evaluating(model):
        assert not model[0].training
    assert model[0].training
    assert not model[1].training


def test_a_layer_that_takes_no_part_is_named(load, picture):
    encoder = load("open_clip-vit")
    encoder.vision.add_module("unused", torch.nn.Identity())
    pixels, _ = encoder.preprocessing(picture)
    try:
        with pytest.raises(BecamError, match="unused took no part"):
            capture(encoder, TargetLayer("unused", "NCHW"), pixels[None])
    finally:
        del encoder.vision.unused


def test_activation_is_a_copy(load, picture):
    """The ReLU after the hook works in place in ResNets; the capture must not change with it."""
    encoder = load("open_clip-resnet")
    pixels, _ = encoder.preprocessing(picture)
    layer = TargetLayer("layer4.0.bn3", "NCHW")
    _, before_relu = capture(encoder, layer, pixels[None])
    assert (before_relu < 0).any()
