"""What every attribution method owes, on every encoder of the zoo."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch
from zoo import ENCODERS, VIT_CONFIG, make_checkpoint, save_open_clip

from becam.attribution import Explainer
from becam.attribution.methods import METHODS, create_method
from becam.attribution.target import SPACES, item_target, text_target, user_target
from becam.attribution.view import Engine, Settings
from becam.errors import BecamError
from becam.options import declared_options

QUICK = {
    "rise": {"masks": 24, "cells": 4},
    "integrated-gradients": {"steps": 4},
    "gscore-cam": {"top_k": 12},
}
WHATEVER_THE_TARGET = ("eigen-cam", "attention-rollout")
OF_CLASS_TOKENS = ("attention-rollout", "attention-gradient", "grad-eclip")
TRANSFORMERS = ("open_clip-vit", "becam-vit")
ON_INPUT = ("rise", "integrated-gradients")

EVERY_MASK = ("becam", "score-cam")  # slow, so on the smallest encoders alone

PAIRS = [
    (method, encoder)
    for method in METHODS
    for encoder in ENCODERS
    if (method not in OF_CLASS_TOKENS or encoder in TRANSFORMERS)
    and (method not in EVERY_MASK or not encoder.startswith("becam"))
]


def quick(name):
    return create_method(name, QUICK.get(name))


def hooks(encoder):
    return sum(
        len(module._forward_hooks) + len(module._forward_pre_hooks) + len(module._backward_hooks)
        for module in encoder.modules()
    )


def state(encoder):
    modules = list(encoder.modules())
    parameters = list(encoder.parameters())
    return (
        hooks(encoder),
        modules,
        [module.training for module in modules],
        [(id(p), p.requires_grad, p._version, p.grad is None) for p in parameters],
    )


@pytest.fixture(scope="module")
def checkpoint_of(load):
    """A checkpoint over an encoder by its name, once a module."""
    made = {}

    def get(name, adapter="none"):
        if (name, adapter) not in made:
            made[name, adapter] = make_checkpoint(load(name), adapter=adapter)
        return made[name, adapter]

    return get


@pytest.mark.parametrize(("name", "encoder_name"), PAIRS)
def test_every_method_keeps_the_contract(name, encoder_name, load, checkpoint_of, picture):
    encoder, checkpoint = load(encoder_name), checkpoint_of(encoder_name)
    odd = next(m for m in encoder.modules() if not list(m.children()))
    odd.train()
    try:
        before = state(encoder)
        view = Engine(encoder, encoder.target_layer()).view(picture)
        method = quick(name)
        method.prepare(view)
        first = method.saliency(view, item_target(checkpoint, "0007", space="adapted"))
        other = method.saliency(view, item_target(checkpoint, "0008", space="adapted"))
        again = method.saliency(view, item_target(checkpoint, "0007", space="adapted"))
        assert state(encoder) == before
    finally:
        odd.eval()

    assert first.map.dtype is torch.float32
    assert first.map.device.type == "cpu"
    assert not first.map.requires_grad
    assert first.map.isfinite().all()
    assert first.map.std() > 0
    assert tuple(first.map.shape) == (view.size if name in ON_INPUT else view.grid)
    assert torch.equal(first.map, again.map)
    apart = (first.map - other.map).abs().max() / first.map.abs().max()
    assert (apart == 0) if name in WHATEVER_THE_TARGET else (apart > 1e-5)
    if first.weights is not None:
        assert first.weights.shape == (len(view.activation),)
        expected = np.tensordot(first.weights.double().numpy(), view.activation.numpy(), 1)
        error = np.abs(first.map.numpy() - expected).max()
        assert error <= 1e-5 * np.abs(expected).max() + 1e-7 * view.activation.abs().sum(0).max()


@pytest.mark.parametrize("name", METHODS)
def test_a_second_run_and_another_batch_size_give_the_same_map(name, load, checkpoint_of, picture):
    encoder, checkpoint = load("open_clip-vit"), checkpoint_of("open_clip-vit")
    target = item_target(checkpoint, "0007", space="adapted")
    maps = []
    for batch_size in (32, 32, 5):
        torch.rand(1)  # a method that drew from the common generator would now draw other numbers
        view = Engine(encoder, encoder.target_layer(), Settings(batch_size=batch_size)).view(
            picture
        )
        maps.append(quick(name).saliency(view, target).map)
    assert torch.equal(maps[0], maps[1])
    assert (maps[0] - maps[2]).abs().max() <= 1e-4 * maps[0].abs().max()


@pytest.mark.parametrize("name", METHODS)
def test_no_method_draws_from_the_common_generator(name, load, checkpoint_of, picture):
    encoder = load("open_clip-vit")
    view = Engine(encoder, encoder.target_layer()).view(picture)
    target = item_target(checkpoint_of("open_clip-vit"), "0007", space="adapted")
    _ = view.blank, view.whole
    before = torch.get_rng_state()
    quick(name).saliency(view, target)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_the_callers_mode_changes_nothing(name, mode, load, checkpoint_of, picture):
    encoder, checkpoint = load("open_clip-vit"), checkpoint_of("open_clip-vit", "befa")
    engine = Engine(encoder, encoder.target_layer())

    def explained():
        target = item_target(checkpoint, "0007", space="adapted")
        view = engine.view(picture)
        return [quick(name).saliency(view, t).map for t in (target, *target.of_others(1))]

    expected = explained()
    with mode():
        found = explained()
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


@pytest.mark.parametrize("name", METHODS)
def test_texts_and_users_are_targets_too(name, load, checkpoint_of, picture):
    encoder = load("open_clip-vit")
    view = Engine(encoder, encoder.target_layer()).view(picture)
    checkpoint = checkpoint_of("open_clip-vit", "befa")
    user = user_target(checkpoint, "0007", "u3", space="adapted")
    for target in (user, text_target(encoder, "a red square")):
        assert quick(name).saliency(view, target).map.isfinite().all()


@pytest.mark.parametrize("name", [name for name in METHODS if name != "integrated-gradients"])
def test_a_second_target_encodes_nothing_again(name, load, checkpoint_of, picture, monkeypatch):
    """Save what gscore-cam chooses anew."""
    encoder, checkpoint = load("open_clip-vit"), checkpoint_of("open_clip-vit")
    engine = Engine(encoder, encoder.target_layer())
    view, method = engine.view(picture), quick(name)
    method.prepare(view)
    method.saliency(view, item_target(checkpoint, "0007", space="adapted"))
    calls = []
    for part in (engine.fast, encoder):
        original = part.encode_image
        monkeypatch.setattr(
            part, "encode_image", lambda x, f=original: calls.append(len(x)) or f(x)
        )
    original = engine.fast.encode_patches
    monkeypatch.setattr(
        engine.fast, "encode_patches", lambda x: calls.append(len(x)) or original(x)
    )
    method.saliency(view, item_target(checkpoint, "0008", space="adapted"))
    assert sum(calls) <= (12 if name == "gscore-cam" else 0)
    _ = engine.view(picture).whole
    assert calls[-1] == 1  # counting works


@pytest.mark.parametrize("name", ["grad-cam", "integrated-gradients", "attention-gradient"])
def test_hooks_and_modes_survive_a_failure(name, load, checkpoint_of, picture, monkeypatch):
    encoder = load("open_clip-vit")
    view = Engine(encoder, encoder.target_layer()).view(picture)
    before = state(encoder)
    target = item_target(checkpoint_of("open_clip-vit"), "0007", space="adapted")

    def fail(_self, _x, *_more, **_options):
        raise RuntimeError("out of luck")

    last = type(encoder.vision.transformer.resblocks[-1].mlp)
    monkeypatch.setattr(last, "forward", fail)
    with pytest.raises(RuntimeError, match="out of luck"):
        quick(name).saliency(view, target)
    assert state(encoder) == before


@pytest.mark.parametrize(
    "name", ["grad-cam", "grad-cam++", "layer-cam", "eigen-cam", "integrated-gradients"]
)
@pytest.mark.parametrize("encoder_name", ["open_clip-resnet", "timm-cnn"])
def test_an_encoder_left_in_training_mode_is_explained_alike(name, encoder_name, load, picture):
    """Batch norms must use what they learned, not the picture at hand, nor learn from it."""
    encoder = load(encoder_name)
    target = item_target(make_checkpoint(encoder), "0007", space="adapted")
    engine = Engine(encoder, encoder.target_layer())
    expected = quick(name).saliency(engine.view(picture), target).map
    buffers = [buffer.clone() for buffer in encoder.buffers()]
    encoder.train()
    try:
        found = quick(name).saliency(engine.view(picture), target).map
        assert all(module.training for module in encoder.modules())
    finally:
        encoder.eval()
    assert torch.equal(found, expected)
    for before, after in zip(buffers, encoder.buffers(), strict=True):
        assert torch.equal(before, after)


@pytest.mark.parametrize("name", OF_CLASS_TOKENS)
@pytest.mark.parametrize("encoder_name", ["open_clip-resnet", "timm-cnn", "becam-resnet"])
def test_attention_needs_a_transformer(name, encoder_name, load, picture):
    encoder = load(encoder_name)
    view = Engine(encoder, encoder.target_layer()).view(picture)
    with pytest.raises(BecamError, match=r"use --method grad-cam\.$") as caught:
        create_method(name).prepare(view)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", OF_CLASS_TOKENS)
def test_attention_needs_a_class_token(name, picture, tmp_path):
    from becam.encoders import load_encoder

    config = {**VIT_CONFIG, "vision_cfg": {**VIT_CONFIG["vision_cfg"], "pool_type": "avg"}}
    spec, weights = save_open_clip(tmp_path, "pooled_vit", config)
    encoder = load_encoder(spec, weights=weights)
    view = Engine(encoder, encoder.target_layer()).view(picture)
    with pytest.raises(BecamError, match=r"use --method grad-cam\.$"):
        create_method(name).prepare(view)
    # And that is indeed a way out.
    target = item_target(make_checkpoint(encoder), "0007", space="adapted")
    assert create_method("grad-cam").saliency(view, target).map.isfinite().all()


def test_a_block_of_an_unforeseen_build_is_refused(load, picture, monkeypatch):
    """Attention that does more than is recorded must not be explained as if it did not."""
    encoder = load("open_clip-vit")
    view = Engine(encoder, encoder.target_layer()).view(picture)
    _ = view.whole
    attention = type(encoder.vision.transformer.resblocks[0])
    original = attention.attention
    monkeypatch.setattr(attention, "attention", lambda self, q_x, **o: 2 * original(self, q_x, **o))
    with pytest.raises(BecamError, match=r"use --method grad-cam\.$"):
        create_method("attention-rollout").prepare(view)


@pytest.mark.parametrize(
    ("name", "module"),
    [
        ("grad-cam", "pytorch_grad_cam"),
        ("eigen-cam", "pytorch_grad_cam"),
        ("integrated-gradients", "captum.attr"),
    ],
)
def test_a_missing_library_is_named_with_its_extra(name, module, load, picture, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    encoder = load("open_clip-vit")
    view = Engine(encoder, encoder.target_layer()).view(picture)
    with pytest.raises(BecamError, match=r"pip install 'becam\[methods\]'\.$"):
        create_method(name).prepare(view)


def test_a_layer_that_the_feature_does_not_depend_on_is_refused(load, picture):
    encoder = load("open_clip-vit")

    class Aside(torch.nn.Module):
        def __init__(self, block):
            super().__init__()
            self.block = block
            self.aside = torch.nn.Identity()

        def forward(self, x, *more, **options):
            self.aside(x)
            return self.block(x, *more, **options)

    blocks = encoder.vision.transformer.resblocks
    blocks[1] = Aside(blocks[1])
    try:
        layer = encoder.layer_at("transformer.resblocks.1.aside")
        view = Engine(encoder, layer).view(picture)
        with pytest.raises(BecamError, match="does not depend on transformer"):
            create_method("grad-cam").prepare(view)
    finally:
        blocks[1] = blocks[1].block


def test_options_out_of_range_are_refused():
    for name, option, value in (
        ("rise", "masks", 0),
        ("rise", "cells", 0),
        ("rise", "keep", 0),
        ("rise", "keep", 1.5),
        ("gscore-cam", "top_k", 0),
        ("gscore-cam", "ranking", "none"),
        ("integrated-gradients", "steps", 0),
    ):
        with pytest.raises(BecamError, match=f"The option {option}"):
            create_method(name, {option: value})


def test_every_method_says_what_it_is():
    assert len({method.title for method in METHODS.values()}) == len(METHODS)
    for name, method in METHODS.items():
        assert method.name == name
        assert method.summary.endswith(".")
        for option in declared_options(method).values():
            assert option.help.endswith(".")
            assert getattr(create_method(name), option.name) == option.default


@pytest.mark.parametrize("name", METHODS)
def test_through_the_explainer_with_all_controls(name, load, checkpoint_of, picture):
    for space in (SPACES[0], SPACES[-1]):
        explainer = Explainer(
            checkpoint_of("open_clip-vit", "befa"),
            space=space,
            method=name,
            method_options=QUICK.get(name),
            randomise=space == "adapted",
        )
        (heatmap,) = explainer.explain(picture, "0007")
        assert heatmap.options["method"] == name
        assert heatmap.options["space"] == space
        assert heatmap.full().shape == (150, 100)
        controls = heatmap.controls
        assert controls.correlation_others is not None
        assert (controls.correlation_randomised is not None) is (space == "adapted")
        if name in WHATEVER_THE_TARGET:
            assert controls.correlation_others == pytest.approx(1)
            assert any("maps for others look the same" in w for w in controls.warnings())
