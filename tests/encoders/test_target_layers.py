"""Which layer is captured, how it becomes a grid, and which layers are refused."""

from __future__ import annotations

import copy

import open_clip
import pytest
import timm
import torch
from open_clip.transformer import Transformer
from zoo import FAMILIES

from becam.attribution.capture import capture
from becam.encoders.openclip import OpenClipEncoder
from becam.encoders.spec import EncoderRecord
from becam.encoders.timm_layers import resolve_timm_layer
from becam.errors import BecamError

TRANSFORMERS = {
    "open_clip-vit": "transformer.resblocks",
    "open_clip-vit-avg": "transformer.resblocks",
    "open_clip-vit-custom": "transformer.resblocks",
    "open_clip-coca": "transformer.resblocks",
    "imagebind": "transformer.resblocks",
    "open_clip-eva": "trunk.blocks",
    "open_clip-map": "trunk.blocks",
    "timm-vit": "blocks",
    "timm-vit-avg": "blocks",
    "timm-dinov2": "blocks",
    "timm-map": "blocks",
    "timm-eva": "blocks",
}
CONVOLUTIONAL = {
    "open_clip-convnext": "trunk.stages.3.blocks.1",
    "timm-cnn": "bn2",
    "timm-convnext": "stages.3.blocks.1",
    "timm-efficientnet": "bn2",
    "timm-mobilenetv3": "blocks.5",
    "timm-resnet": "layer4.0.act2",
}


def pixels_of(encoder, picture):
    return encoder.preprocessing(picture)[0][None]


def intermediates(vision, pixels):
    """Every block's patches on their grid, (B, D, rows, columns), as the libraries give them."""
    with torch.no_grad():
        found = vision.forward_intermediates(pixels, intermediates_only=True)
    return found["image_intermediates"] if isinstance(found, dict) else found


@pytest.mark.parametrize(("name", "blocks"), TRANSFORMERS.items())
def test_a_transformers_blocks_agree_with_forward_intermediates(name, blocks, load_any, picture):
    encoder = load_any(name)
    pixels = pixels_of(encoder, picture)
    theirs = intermediates(encoder.vision, pixels)
    assert len(theirs) == 3
    for index, expected in enumerate(theirs):
        _, ours = capture(encoder, encoder.layer_at(f"{blocks}.{index}"), pixels)
        assert torch.allclose(ours, expected, atol=1e-5)
    assert not torch.allclose(theirs[0], theirs[1], atol=1e-2)
    assert encoder.target_layer().path == f"{blocks}.1"


@pytest.mark.parametrize(("name", "path"), CONVOLUTIONAL.items())
def test_the_last_feature_map_is_the_one_before_pooling(name, path, load_any, picture):
    encoder = load_any(name)
    assert encoder.target_layer().path == path
    pixels = pixels_of(encoder, picture)
    _, ours = capture(encoder, encoder.target_layer(), pixels)
    with torch.no_grad():
        theirs = getattr(encoder.vision, "trunk", encoder.vision).forward_features(pixels)
    assert torch.allclose(ours, theirs, atol=1e-5)


def test_the_clip_resnets_last_feature_map_is_layer4(load, picture):
    encoder = load("open_clip-resnet")
    pixels = pixels_of(encoder, picture)
    _, ours = capture(encoder, encoder.target_layer(), pixels)
    theirs = intermediates(encoder.vision, pixels)[-1]
    assert torch.allclose(ours, theirs, atol=1e-5)
    assert ours.shape[1] == 8 * 32


def test_channels_may_come_last(load_any, picture):
    encoder = load_any("timm-mambaout")
    layer = encoder.target_layer()
    assert (layer.path, layer.layout) == ("stages.3", "NHWC")
    pixels = pixels_of(encoder, picture)
    _, ours = capture(encoder, layer, pixels)
    assert torch.allclose(ours, intermediates(encoder.vision, pixels)[-1], atol=1e-5)


@pytest.mark.parametrize("name", ["timm-convnext", "open_clip-convnext"])
def test_inside_a_convnext_block_the_norm_is_over_the_channels(name, load_any, picture):
    encoder = load_any(name)
    block = encoder.target_layer().path.replace("stages.3", "stages.2")
    pixels = pixels_of(encoder, picture)
    _, before = capture(encoder, encoder.target_layer(f"{block}.conv_dw"), pixels)
    _, after = capture(encoder, encoder.target_layer(f"{block}.norm"), pixels)
    norm = encoder.vision.get_submodule(f"{block}.norm")
    mean, variance = before.mean(1, keepdim=True), before.var(1, keepdim=True, unbiased=False)
    expected = (before - mean) / (variance + norm.eps).sqrt()
    expected = expected * norm.weight[:, None, None] + norm.bias[:, None, None]
    assert torch.allclose(after, expected, atol=1e-5)
    assert encoder.target_layer(f"{block}.mlp.act").layout == "NHWC"
    assert encoder.target_layer(f"{block}.mlp").layout == "NHWC"


def test_the_order_of_batch_and_tokens_is_read_from_the_module(load, picture):
    """The same tower, built as older versions of open_clip did: tokens first."""
    encoder = load("open_clip-vit")
    model = copy.deepcopy(encoder.model)
    old = Transformer(48, 3, 3, batch_first=False)
    old.load_state_dict(model.visual.transformer.state_dict())
    model.visual.transformer = old
    config = {
        "size": 64,
        "mean": (0.5,) * 3,
        "std": (0.5,) * 3,
        "resize_mode": "shortest",
        "interpolation": "bicubic",
    }
    older = OpenClipEncoder(model, encoder.tokenizer, config, encoder.record)
    # As many pictures as tokens: the shape of the output does not tell the two apart.
    pixels = torch.randn(17, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    layer = older.target_layer()
    assert layer.layout == "LND"
    expected, theirs = capture(encoder, encoder.target_layer(), pixels)
    features, ours = capture(older, layer, pixels)
    assert torch.allclose(features, expected, atol=1e-5)
    assert torch.allclose(ours, theirs, atol=1e-5)
    assert older.target_layer("transformer.resblocks.0.mlp").layout == "LND"
    assert older.target_layer("ln_pre").layout == "NLD"
    with pytest.raises(BecamError, match=r"only the \[CLS\] token"):
        older.target_layer("transformer.resblocks.2")


@pytest.mark.parametrize("name", FAMILIES)
def test_every_default_passes_the_check_that_choices_get(name, load_any):
    encoder = load_any(name)
    assert encoder.target_layer(encoder.default_target_layer().path) == encoder.target_layer()


def gradient_at_patches(encoder, path, pixels):
    """What a change of a module's output at the patches does to the feature, to first order."""
    leaves = []

    def cut(_module, _inputs, output):
        first = output[0] if isinstance(output, tuple) else output
        leaf = first.detach().clone().requires_grad_()
        leaves.append(leaf)
        again = leaf.clone()
        return (again, *output[1:]) if isinstance(output, tuple) else again

    handle = encoder.vision.get_submodule(path).register_forward_hook(cut)
    try:
        encoder.encode_image(pixels).square().sum().backward()
    except RuntimeError:  # nothing that requires a gradient took part
        return None
    finally:
        handle.remove()
    if leaves[-1].grad is None:
        return torch.zeros(1)
    prefix = encoder.layer_at(path).prefix_tokens
    return leaves[-1].grad[:, prefix:] if prefix else leaves[-1].grad


@pytest.mark.parametrize(
    "name",
    [
        "open_clip-vit",
        "open_clip-vit-avg",
        "open_clip-coca",
        "open_clip-eva",
        "timm-vit",
        "timm-map",
        "timm-resnet",
        "timm-mobilenetv3",
    ],
)
def test_a_layer_is_taken_where_its_patches_have_a_gradient(name, load_any, picture):
    encoder = load_any(name)
    pixels = pixels_of(encoder, picture)
    taken, silent = set(), set()
    for path, _ in encoder.vision.named_modules():
        if not path:
            continue
        try:
            encoder.target_layer(path)
        except BecamError as error:
            if "say nothing" in str(error):
                silent.add(path)
                assert not gradient_at_patches(encoder, path, pixels).any(), path
        else:
            taken.add(path)
            assert gradient_at_patches(encoder, path, pixels).any(), path
    assert encoder.target_layer().path in taken
    assert bool(silent) == (name in ("open_clip-vit", "open_clip-eva", "timm-vit"))


@pytest.mark.parametrize(
    ("name", "path", "said"),
    [
        ("open_clip-vit", "transformer.resblocks.2", r"only the \[CLS\] token reaches the output"),
        ("open_clip-vit", "transformer.resblocks.2.mlp.c_fc", r"only the \[CLS\] token"),
        ("open_clip-vit", "ln_post", r"only the \[CLS\] token"),
        ("open_clip-vit", "transformer.resblocks.0.attn.out_proj", "takes no part"),
        ("open_clip-vit", "transformer.resblocks", "takes no part"),
        ("open_clip-vit-avg", "ln_post", "after pooling"),
        ("open_clip-coca", "attn_pool", "attention pooling"),
        ("open_clip-coca", "ln_post", "attention pooling"),
        ("open_clip-eva", "trunk.blocks.2", r"only the \[CLS\] token"),
        ("open_clip-eva", "head", "after pooling"),
        ("open_clip-map", "trunk.attn_pool", "after pooling"),
        ("timm-dinov2", "blocks.2", r"only the \[CLS\] token"),
        ("timm-dinov2", "blocks.0.attn.q_norm", "not NLD over a 4 x 4 grid"),
        ("timm-mobilenetv3", "conv_head", "after pooling"),
        ("timm-mobilenetv3", "blocks.0.0.se.conv_reduce", "after pooling"),
        ("timm-mobilenetv3", "blocks", None),
        ("open_clip-resnet", "attnpool", "after pooling"),
        ("open_clip-resnet", "attnpool.q_proj", "takes no part"),
        ("imagebind", "transformer.resblocks.2", r"only the \[CLS\] token"),
    ],
)
def test_what_cannot_work_is_refused_and_told_why(name, path, said, load_any):
    encoder = load_any(name)
    if said is None:
        assert encoder.target_layer(path).path == path
        return
    with pytest.raises(BecamError, match=said) as caught:
        encoder.target_layer(path)
    assert "\n" not in str(caught.value)
    assert encoder.default_target_layer().path in str(caught.value) or "another" in str(
        caught.value
    )


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("open_clip-vit-avg", "transformer.resblocks.2"),
        ("open_clip-coca", "transformer.resblocks.2"),
        ("open_clip-map", "trunk.blocks.2"),
        ("timm-vit-avg", "blocks.2"),
        ("timm-eva", "blocks.2"),
        ("open_clip-vit", "transformer.resblocks.2.ln_1"),
    ],
)
def test_a_last_block_is_taken_where_pooling_reads_its_patches(name, path, load_any):
    assert load_any(name).target_layer(path).path == path


def test_refusing_leaves_no_hook_and_draws_no_random_number(load_any):
    encoder = load_any("timm-vit")
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    for path in ("blocks.0", "blocks.2"):
        try:
            encoder.target_layer(path)
        except BecamError:
            assert path == "blocks.2"
    assert torch.equal(torch.rand(3), expected)
    assert not any(module._forward_hooks for module in encoder.modules())


@pytest.mark.parametrize(
    ("name", "path", "channels", "grid"),
    [
        ("resnet18", "layer4.1.act2", 512, (7, 7)),
        ("resnet50", "layer4.2.act3", 2048, (7, 7)),
        ("resnetv2_50", "norm", 2048, (7, 7)),
        ("mobilenetv2_100", "bn2", 1280, (7, 7)),
        ("mobilenetv3_large_100", "blocks.6", 960, (7, 7)),
        ("mobilenetv4_conv_small", "blocks.4", 960, (7, 7)),
        ("efficientnet_b0", "bn2", 1280, (7, 7)),
        ("convnext_atto", "stages.3.blocks.1", 320, (7, 7)),
        ("convnextv2_tiny", "stages.3.blocks.2", 768, (7, 7)),
        ("vit_tiny_patch16_224", "blocks.10", 192, (14, 14)),
        ("vit_small_patch14_dinov2", "blocks.10", 384, (37, 37)),
        ("vit_small_patch14_reg4_dinov2", "blocks.10", 384, (37, 37)),
        ("vit_base_patch16_siglip_224", "blocks.10", 768, (14, 14)),
        ("eva02_tiny_patch14_224", "blocks.10", 192, (16, 16)),
        ("swin_tiny_patch4_window7_224", "layers.3", 768, (7, 7)),
        ("regnety_008", "s4", 768, (7, 7)),
    ],
)
def test_released_timm_models(name, path, channels, grid):
    with torch.device("meta"):
        model = timm.create_model(name, num_classes=0).eval()
    layer = resolve_timm_layer(model, EncoderRecord(f"timm:{name}"))
    assert layer.path == path
    outputs = []
    model.get_submodule(path).register_forward_hook(lambda m, i, o: outputs.append(o))
    model(torch.zeros(1, *model.pretrained_cfg["input_size"], device="meta"))
    assert layer.to_channels(outputs[0]).shape == (1, channels, *grid)


@pytest.mark.parametrize("name", ["samvit_base_patch16", "volo_d1_224"])
def test_where_the_layout_is_unknown_the_user_must_choose(name):
    with torch.device("meta"):
        model = timm.create_model(name, num_classes=0)
    with pytest.raises(BecamError, match="name one with --target-layer"):
        resolve_timm_layer(model, EncoderRecord(f"timm:{name}"))


def test_a_single_block_is_told():
    model = open_clip.CLIP(
        24,
        {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 16},
        {"context_length": 8, "vocab_size": 100, "width": 16, "heads": 2, "layers": 1},
    )
    config = {
        "size": 32,
        "mean": (0.5,) * 3,
        "std": (0.5,) * 3,
        "resize_mode": "squash",
        "interpolation": "bicubic",
    }
    encoder = OpenClipEncoder(model, None, config, EncoderRecord("open_clip:one"))
    with pytest.raises(BecamError, match="a single block"):
        encoder.target_layer()
    assert encoder.target_layer("ln_pre").prefix_tokens == 1
    with pytest.raises(BecamError, match="choose another --target-layer"):
        encoder.target_layer("transformer.resblocks.0")
