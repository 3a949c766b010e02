"""The altered encoder computes the same, for less: over every architecture."""

from __future__ import annotations

import pytest
import torch
from open_clip.modified_resnet import AttentionPool2d
from zoo import ENCODERS, FAMILIES

from becam.encoders.fast import FastEncoder, attention, folding
from becam.encoders.fast import encoder as fast_encoder
from becam.encoders.fast.attention import (
    FirstTokenPooling,
    FusedAttention,
    OpenClipPooledBlock,
    TimmPooledBlock,
)
from becam.errors import BecamWarning

ALL = (*ENCODERS, *FAMILIES)
# Which of them cut the picture into patches by one convolution, and how their last block is read.
FIRST_TOKEN = ("open_clip-vit", "becam-vit", "imagebind", "timm-vit", "timm-dinov2")
OTHER_TRANSFORMERS = (
    "open_clip-vit-avg",
    "open_clip-vit-custom",
    "open_clip-coca",
    "open_clip-eva",
    "open_clip-map",
    "timm-vit-avg",
    "timm-map",
    "timm-eva",
)
BATCH_NORMS = (
    "open_clip-resnet",
    "becam-resnet",
    "timm-cnn",
    "timm-efficientnet",
    "timm-mobilenetv3",
    "timm-resnet",
)
MULTIHEAD = ("open_clip-vit", "open_clip-vit-avg", "open_clip-coca", "becam-vit", "imagebind")


def test_every_encoder_is_of_one_kind():
    rest = {"open_clip-convnext", "timm-convnext", "timm-mambaout"}
    assert set(ALL) == {*FIRST_TOKEN, *OTHER_TRANSFORMERS, *BATCH_NORMS, *rest}


def pictures(encoder, count=3):
    generator = torch.Generator().manual_seed(7)
    return torch.randn(count, 3, *encoder.preprocessing.size, generator=generator)


def kinds(module, kind):
    return [part for part in module.modules() if isinstance(part, kind)]


def storages(module):
    return {parameter.data_ptr() for parameter in module.parameters()}


@torch.no_grad()
def same(fast, encoder):
    pixels = pictures(encoder)
    expected = encoder.encode_image(pixels)
    found = fast.encode_image(pixels)
    assert found.dtype == torch.float32
    return (found - expected).abs().max() <= 1e-4 * expected.abs().max()


@pytest.mark.parametrize("name", ALL)
def test_features_are_the_encoders(name, load_any):
    encoder = load_any(name)
    before = {key: value.clone() for key, value in encoder.state_dict().items()}
    types = [type(module) for module in encoder.modules()]
    with torch.no_grad():
        expected = encoder.encode_image(pictures(encoder))
    fast = FastEncoder(encoder)
    assert same(fast, encoder)
    # The encoder itself stays as it is, to the last bit.
    assert [type(module) for module in encoder.modules()] == types
    assert all(torch.equal(value, before[key]) for key, value in encoder.state_dict().items())
    with torch.no_grad():
        assert torch.equal(encoder.encode_image(pictures(encoder)), expected)
    assert not any(module._forward_hooks for module in fast._encoder.modules())


@pytest.mark.parametrize("name", ALL)
def test_speedups_are_in_place_where_they_belong(name, load_any):
    encoder = load_any(name)
    fast = FastEncoder(encoder)
    vision = fast._encoder.vision
    assert (fast.stem is not None) == (name in FIRST_TOKEN + OTHER_TRANSFORMERS)
    pooled = kinds(vision, (OpenClipPooledBlock, TimmPooledBlock))
    assert len(pooled) == (name in FIRST_TOKEN)
    attention_pools = kinds(encoder.vision, AttentionPool2d)
    assert bool(attention_pools) == (name in ("open_clip-resnet", "becam-resnet"))
    assert len(kinds(vision, FirstTokenPooling)) == len(attention_pools)
    blocks = getattr(getattr(encoder.vision, "transformer", None), "resblocks", ())
    assert len(kinds(vision, FusedAttention)) == (len(blocks) if name in MULTIHEAD else 0)
    assert bool(kinds(encoder.vision, torch.nn.BatchNorm2d)) == (name in BATCH_NORMS)
    assert not kinds(vision, torch.nn.BatchNorm2d)


@pytest.mark.parametrize("name", FIRST_TOKEN + OTHER_TRANSFORMERS)
def test_a_tower_entered_at_its_patches_gives_the_same(name, load_any):
    encoder = load_any(name)
    fast = FastEncoder(encoder)
    pixels = pictures(encoder)
    with torch.no_grad():
        patches = fast.stem.projection(pixels).flatten(2).transpose(1, 2)
        expected = encoder.encode_image(pixels)
        found = fast.encode_patches(patches)
    assert (found - expected).abs().max() <= 1e-4 * expected.abs().max()


@pytest.mark.parametrize("name", FIRST_TOKEN + OTHER_TRANSFORMERS)
def test_a_transformers_weights_are_shared(name, load_any):
    encoder = load_any(name)
    assert storages(FastEncoder(encoder)._encoder) <= storages(encoder)


@pytest.mark.parametrize("name", BATCH_NORMS)
def test_only_convolutions_get_weights_of_their_own(name, load_any):
    encoder = load_any(name)
    twin = FastEncoder(encoder)._encoder
    others = [p for p, m in twin.named_modules() if not isinstance(m, torch.nn.Conv2d)]
    own = {
        parameter.data_ptr()
        for path in others
        for parameter in twin.get_submodule(path).parameters(recurse=False)
    }
    assert own <= storages(encoder)


def wrong(original, by):
    def altered(self, *arguments, **options):
        return original(self, *arguments, **options) * by

    return altered


@pytest.mark.parametrize("by", [1.1, float("nan")])
@pytest.mark.parametrize(
    ("name", "where", "what"),
    [
        ("open_clip-vit", attention.FusedAttention, "pooled"),
        ("open_clip-vit-avg", attention.FusedAttention, "_attend"),
        ("timm-vit", attention.TimmPooledBlock, "_attention"),
        ("open_clip-resnet", attention.FirstTokenPooling, "forward"),
    ],
)
def test_a_copy_that_disagrees_is_not_used(name, where, what, by, load_any, monkeypatch):
    encoder = load_any(name)
    monkeypatch.setattr(where, what, wrong(getattr(where, what), by))
    fast = FastEncoder(encoder)
    assert fast.stem is None
    expected_types = [type(module) for module in encoder.modules()]
    assert [type(module) for module in fast._encoder.modules()] == expected_types
    assert same(fast, encoder)
    assert storages(fast._encoder) == storages(encoder)


def test_a_wrong_folding_is_not_used(load_any, monkeypatch):
    encoder = load_any("timm-resnet")
    fuse = folding.fuse_conv_bn_weights

    def wrongly(*arguments):
        weight, bias = fuse(*arguments)
        return weight, bias + 1

    monkeypatch.setattr(folding, "fuse_conv_bn_weights", wrongly)
    fast = FastEncoder(encoder)
    assert len(kinds(fast._encoder, torch.nn.BatchNorm2d)) == len(
        kinds(encoder, torch.nn.BatchNorm2d)
    )
    assert same(fast, encoder)


def test_a_copy_that_breaks_is_not_used(load_any, monkeypatch):
    """A tower that does something else with its tokens than the block's stand-in supposes."""
    encoder = load_any("timm-vit")

    def breaks(self, x):
        raise IndexError("too few tokens")

    monkeypatch.setattr(attention.TimmPooledBlock, "_attention", breaks)
    fast = FastEncoder(encoder)
    assert fast.stem is None
    assert same(fast, encoder)


def test_an_encoder_that_loses_too_much_in_bfloat16_runs_in_float32(load_any, monkeypatch):
    encoder = load_any("timm-cnn")
    monkeypatch.setattr(fast_encoder, "_LOSS", 1e-6)
    with pytest.warns(BecamWarning, match="in bfloat16, so it runs in float32"):
        fast = FastEncoder(encoder, torch.bfloat16)
    assert fast.dtype is torch.float32
    assert same(fast, encoder)
    assert {p.dtype for p in fast._encoder.vision.parameters()} == {torch.float32}


def test_bfloat16_features_are_near_and_float32(load_any):
    encoder = load_any("open_clip-vit")
    pixels = pictures(encoder)
    with torch.no_grad():
        expected = encoder.encode_image(pixels)
        found = FastEncoder(encoder, torch.bfloat16).encode_image(pixels)
    assert found.dtype == torch.float32
    assert torch.nn.functional.cosine_similarity(found, expected).min() > 0.999
    assert not torch.allclose(found, expected, atol=1e-6)
