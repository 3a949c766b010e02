"""What a cascade shuffles, and what sanity checks say of maps whose dependence is known."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn.modules.batchnorm import _BatchNorm
from zoo import ENCODERS, make_checkpoint

from becam.attribution.methods import BeCAM
from becam.attribution.methods.base import Method, Saliency
from becam.attribution.randomise import noise_pictures
from becam.attribution.target import item_target, text_target
from becam.attribution.view import Engine
from becam.evaluation.cascade import cascade, shuffled_head, weights_from_the_output
from becam.evaluation.floors import FLOOR_METHODS, gaussian_map, random_map
from becam.evaluation.likeness import likeness
from becam.evaluation.sanity import blank_view, randomised_engines, randomised_views, sanity

ITEM = "0007"


@pytest.fixture(scope="module")
def pixels(load, picture):
    def of(name):
        pixels, _ = load(name).preprocessing(picture)
        return torch.stack([pixels, pixels.flip(-1), pixels.flip(-2)])

    return of


def in_depth(names, *parts):
    """Whether the weights named after one part all come before those named after the next."""
    places = [[i for i, name in enumerate(names) if f".{part}" in f".{name}"] for part in parts]
    return all(places) and all(max(near) < min(far) for near, far in itertools.pairwise(places))


def test_order_of_weights_is_that_of_the_layers(load, pixels):
    names = weights_from_the_output(load("open_clip-vit"))
    assert in_depth(
        names,
        *("visual.proj", "visual.ln_post", "visual.transformer.resblocks.2"),
        *("visual.transformer.resblocks.1", "visual.transformer.resblocks.0"),
        *("visual.ln_pre", "visual.conv1"),
    )
    assert not any("token_embedding" in name or "text" in name for name in names)
    names = weights_from_the_output(load("timm-cnn"))
    assert in_depth(names, "conv_head", "blocks.6", "blocks.3", "blocks.0", "conv_stem")


@pytest.mark.parametrize("name", ENCODERS)
def test_cascade_shuffles_from_the_output_and_leaves_the_encoder(load, pixels, name):
    encoder, pictures = load(name), pixels(name)
    before = {key: value.clone() for key, value in encoder.state_dict().items()}
    weights = dict(encoder.named_parameters())
    norms = {id(m) for m in encoder.modules() if isinstance(m, _BatchNorm)}
    with torch.inference_mode():
        feature = encoder.encode_image(pictures)
    order = weights_from_the_output(encoder)
    assert len(set(order)) == len(order)
    stages = cascade(encoder, stages=3)
    for number, stage in enumerate(stages, start=1):
        chosen = set(order[: round(len(order) * number / 3)])
        for key, value in stage.named_parameters():
            if key in chosen:
                assert value.flatten().sort().values.equal(weights[key].flatten().sort().values)
            else:
                assert value is weights[key]
            assert not value.requires_grad
        for (path, module), (_, own) in zip(
            stage.named_modules(), encoder.named_modules(), strict=True
        ):
            if id(own) in norms and not {f"{path}.weight", f"{path}.bias"} & chosen:
                assert module.running_mean is own.running_mean
        assert not any(module.training for module in stage.modules())
        with torch.inference_mode():
            shuffled = stage.encode_image(pictures)
        assert shuffled.isfinite().all()
        assert not torch.allclose(shuffled, feature, rtol=0.1)
    for key, value in encoder.state_dict().items():
        assert torch.equal(value, before[key])
    assert not any(parameter.requires_grad for parameter in encoder.parameters())
    again = cascade(encoder, stages=3)[-1].state_dict()
    assert all(torch.equal(value, again[key]) for key, value in stages[-1].state_dict().items())


def test_shuffled_norms_are_measured_anew(load):
    """Their statistics are those of what reaches them now."""
    (stage,) = cascade(load("timm-cnn"), stages=1)
    norm = stage.vision.bn1
    seen = []
    handle = norm.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    with torch.inference_mode():
        stage.encode_image(noise_pictures(stage))
    handle.remove()
    assert torch.allclose(norm.running_mean, seen[0].mean(dim=(0, 2, 3)), atol=1e-5)
    assert torch.allclose(norm.running_var, seen[0].var(dim=(0, 2, 3)), rtol=1e-3)


def test_heads(load):
    head = make_checkpoint(load("open_clip-vit"), adapter="befa").head()
    for parts in ({"adapter"}, {"projection"}, {"adapter", "projection"}):
        for name, value in shuffled_head(head, parts).state_dict().items():
            own = head.state_dict()[name]
            assert torch.equal(value, own) != (name.partition(".")[0] in parts)
            assert value.flatten().sort().values.equal(own.flatten().sort().values)


class Planted(Method):
    """A map whose dependence is known: on nothing, the head, the item, or the encoder."""

    name, title, summary = "planted", "Planted", ""

    def __init__(self, source):
        self.source = source

    def saliency(self, view, target):
        values = {
            "nothing": lambda: torch.arange(16.0),
            "adapter": lambda: target.head.adapter.w1.weight.flatten()[:16],
            "projection": lambda: target.head.projection.weight.flatten()[:16],
            "item": lambda: target.vector[:16],
            "encoder": lambda: view.whole[:16],
        }[self.source]()
        return Saliency(values.detach().reshape(4, 4).clone())


@pytest.fixture(scope="module")
def staged(load, picture):
    encoder = load("open_clip-vit")
    engine = Engine(encoder, encoder.target_layer())
    view = engine.view(picture)
    engines = randomised_engines(engine, stages=2)
    return view, randomised_views(engines, view), blank_view(view)


def checked(method, target, staged):
    view, randomised, blank = staged
    saliency = method.saliency(view, target.on(view)).map
    return sanity(method, view, target, saliency, randomised=randomised, blank=blank)


STAGES = ("adapter", "projection", "encoder_1of2", "encoder_2of2", "others", "blank")


@pytest.mark.parametrize(
    ("source", "changing"),
    [
        ("nothing", ()),
        ("adapter", ("adapter", "projection", "encoder_1of2", "encoder_2of2")),
        ("projection", ("projection", "encoder_1of2", "encoder_2of2")),
        ("item", ("others",)),
        ("encoder", ("encoder_1of2", "encoder_2of2", "blank")),
    ],
)
def test_a_map_changes_with_what_it_depends_on_alone(load, staged, source, changing):
    checkpoint = make_checkpoint(load("open_clip-vit"), adapter="befa")
    found = checked(Planted(source), item_target(checkpoint, ITEM, space="adapted"), staged)
    assert set(found) == {f"{kind}_{stage}" for kind in ("spearman", "ssim") for stage in STAGES}
    for stage in STAGES:
        alike = found[f"spearman_{stage}"] > 0.999 and found[f"ssim_{stage}"] > 0.999
        assert alike == (stage not in changing), (stage, found)


def test_stages_that_do_not_exist_are_left_out(load, staged):
    encoder = load("open_clip-vit")
    without_adapter = {"projection", "encoder_1of2", "encoder_2of2", "others", "blank"}
    for adapter, space in (("none", "adapted"), ("befa", "content")):
        target = item_target(make_checkpoint(encoder, adapter=adapter), ITEM, space=space)
        found = checked(Planted("nothing"), target, staged)
        assert {name.partition("_")[2] for name in found} == without_adapter
    found = checked(Planted("nothing"), text_target(encoder, "a mug"), staged)
    assert {name.partition("_")[2] for name in found} == without_adapter - {"projection", "others"}


def test_others_are_a_mean_over_items(load, staged):
    view, _, _ = staged
    checkpoint = make_checkpoint(load("open_clip-vit"))
    target = item_target(checkpoint, ITEM, space="adapted")
    method = BeCAM()
    own = method.saliency(view, target).map
    values = [
        likeness(own, method.saliency(view, other).map, view.size) for other in target.of_others(5)
    ]
    found = checked(method, target, staged)
    for kind in ("spearman", "ssim"):
        want = sum(value[kind] for value in values) / 5
        assert found[f"{kind}_others"] == pytest.approx(want)


def test_a_map_of_changes_is_made_for_each_picture(load, staged):
    checkpoint = make_checkpoint(load("open_clip-vit"), adapter="befa")
    target = item_target(checkpoint, ITEM, space="change").on(staged[0])
    found = checked(BeCAM(), target, staged)
    assert not math.isnan(found["spearman_encoder_1of2"])
    assert found["spearman_encoder_2of2"] < 0.999


def test_floors_are_blind(load, staged):
    checkpoint = make_checkpoint(load("open_clip-vit"), adapter="befa")
    target = item_target(checkpoint, ITEM, space="adapted")
    for name, floor in FLOOR_METHODS.items():
        found = checked(floor, target, staged)
        for stage in ("adapter", "projection", "others"):
            assert found[f"spearman_{stage}"] == pytest.approx(1.0), name
        blind = name not in ("activation", "picture")
        assert (found["spearman_encoder_2of2"] > 0.999) == blind


def test_floors(load, staged):
    target = item_target(make_checkpoint(load("open_clip-vit")), ITEM, space="adapted")
    view, _, blank = staged

    def made(name, of=view):
        return FLOOR_METHODS[name].saliency(of, target).map

    assert torch.allclose(made("activation"), view.activation.sum(0), atol=1e-4)
    assert torch.equal(made("gaussian"), made("gaussian").flip(0).flip(1))
    assert made("random").shape == view.grid
    likeness = torch.cosine_similarity(view.masked_features, view.whole[None], dim=-1)
    weights = (likeness - likeness[view.live].mean()) * view.live
    itself = (weights[:, None, None] * view.activation).sum(0)
    assert torch.allclose(made("picture"), itself, atol=1e-4 * float(itself.abs().max()))
    assert torch.equal(made("random"), made("random"))
    assert not torch.equal(made("random"), made("random", blank))
    settings = replace(view.engine.settings, seed=1)
    reseeded = type(view)(replace(view.engine, settings=settings), view.pixels, view.geometry)
    assert not torch.equal(made("random"), made("random", reseeded))


def test_a_blank_picture_is_blank(staged):
    view, _, blank = staged
    assert blank.size == view.size
    assert not blank.pixels.any()
    assert torch.allclose(blank.whole, view.blank, atol=1e-4)


def test_noise_and_gaussian():
    gaussian = gaussian_map((7, 9))
    assert gaussian.argmax() == 3 * 9 + 4
    assert np.allclose(gaussian, gaussian[::-1, ::-1])
    first = random_map((7, 7), np.random.default_rng(3))
    assert first.min() == 0
    assert first.max() == 1
