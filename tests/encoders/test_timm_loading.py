"""timm's models at other sizes, and options that cannot be."""

from __future__ import annotations

import re

import pytest
import timm
import torch
from safetensors.torch import save_file
from zoo import save_family

from becam.encoders import load_encoder
from becam.errors import BecamError


def test_a_transformer_takes_another_size(tmp_path):
    """Positions are interpolated as timm does for pictures of any size."""
    spec, weights = save_family(tmp_path, "timm-dinov2")
    encoder = load_encoder(f"{spec},size=84", weights=weights)
    assert encoder.preprocessing.size == (84, 84)
    assert encoder.target_layer().grid == (6, 6)
    free = timm.create_model(
        "vit_small_patch14_reg4_dinov2",
        embed_dim=48,
        depth=3,
        num_heads=3,
        img_size=56,
        num_classes=0,
        dynamic_img_size=True,
    ).eval()
    free.load_state_dict(torch.load(weights, weights_only=True), strict=False)
    pixels = torch.randn(2, 3, 84, 84, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.allclose(encoder.encode_image(pixels), free(pixels), atol=1e-4)


def test_the_size_is_the_models_own_without_the_option(tmp_path):
    spec, weights = save_family(tmp_path, "timm-eva")
    assert load_encoder(spec, weights=weights).preprocessing.size == (56, 56)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("timm-vit", "size=abc"),
        ("timm-vit", "size=4"),
        ("timm-vit", "mean=grey"),
        ("timm-resnet", "std=0.5x"),
        ("timm-resnet", "crop_pct=most"),
    ],
)
def test_options_that_cannot_be_are_one_sentence(name, options, tmp_path):
    spec, weights = save_family(tmp_path, name)
    with pytest.raises(BecamError, match="change size, mean, std or crop_pct") as caught:
        load_encoder(f"{spec},{options}", weights=weights)
    assert "\n" not in str(caught.value)


def test_a_wrong_argument_beside_a_file_is_not_blamed_on_the_hub(tmp_path):
    spec, weights = save_family(tmp_path, "timm-vit")
    with pytest.raises(BecamError, match="refuses the options"):
        load_encoder(f"{spec},num_heads=5", weights=weights)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("test_vit", {"img_size": 224}),
        ("test_vit", {"img_size": 96}),
        ("deit_tiny_patch16_224", {"img_size": 96, "depth": 2}),
        ("vit_small_patch14_reg4_dinov2", {"img_size": 70, "depth": 2, "embed_dim": 48}),
        ("eva02_tiny_patch14_224", {"img_size": 112, "depth": 2}),
    ],
)
def test_a_file_at_another_img_size_is_read_as_timm_reads_it(name, options, tmp_path):
    released = {key: value for key, value in options.items() if key != "img_size"}
    if name.startswith("vit_small"):
        released["num_heads"] = options["num_heads"] = 3
        released["img_size"] = 56
    torch.manual_seed(0)
    path = tmp_path / "weights.safetensors"
    model = timm.create_model(name, **released)
    save_file(model.state_dict(), path)
    text = ",".join(f"{key}={value}" for key, value in options.items())
    ours = load_encoder(f"timm:{name},{text}", weights=path)
    theirs = timm.create_model(
        name,
        pretrained=True,
        num_classes=0,
        pretrained_cfg_overlay={"file": str(path), "source": "", "custom_load": False},
        **options,
    ).eval()
    assert ours.preprocessing.size == (options["img_size"],) * 2
    assert ours.vision.pos_embed.shape != model.pos_embed.shape
    assert torch.equal(ours.vision.pos_embed, theirs.pos_embed)
    pixels = torch.randn(2, 3, *ours.preprocessing.size, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        assert torch.allclose(ours.encode_image(pixels), theirs(pixels), atol=1e-6)


def test_names_of_a_first_release_are_read(tmp_path):
    """ConvNeXt's authors named its parts otherwise; timm's filter knows."""
    torch.manual_seed(0)
    model = timm.create_model("convnext_atto", num_classes=5)
    first = {}
    for name, value in model.state_dict().items():
        name = re.sub(r"stages\.(\d+)\.blocks\.(\d+)", r"stages.\1.\2", name)
        name = re.sub(r"stages\.(\d+)\.downsample\.(\d+)", r"downsample_layers.\1.\2", name)
        name = name.replace("stem.", "downsample_layers.0.").replace("conv_dw", "dwconv")
        name = name.replace("mlp.fc1", "pwconv1").replace("mlp.fc2", "pwconv2")
        first[name.replace("head.norm", "norm").replace("head.fc", "head")] = value
    path = tmp_path / "weights.pth"
    torch.save({"model": first}, path)
    encoder = load_encoder("timm:convnext_atto,size=64", weights=path)
    model.reset_classifier(0)
    pixels = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        assert torch.allclose(encoder.encode_image(pixels), model.eval()(pixels), atol=1e-5)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("img_size=0", "img_size is 1 to 4,096 pixels, not 0"),
        ("img_size=-1", "img_size is 1 to 4,096"),
        ("img_size=1000000000", "img_size is 1 to 4,096"),
        ("size=100000", "size is 1 to 4,096"),
        ("img_size=4096,patch_size=1", "far more than its weights|refuses the options"),
        ("img_size=nan", "img_size is a number"),
        ("mean=inf", "mean is a number"),
        ("std=0", "std is more than 0"),
        ("crop_pct=0", "crop_pct is 0.1 to 1"),
        ("crop_pct=-3", "crop_pct is 0.1 to 1"),
        ("interpolation=lanczos", "interpolation is bicubic or bilinear"),
        ("depth=1000000000", "depth is 1,000 at most"),
        ("embed_dim=1000000000", "embed_dim is 65,536 at most"),
        ("embed_dim=65536,num_heads=64", "far more than its weights"),
        ("reg_tokens=-5", "refuses the options"),
        ("unknown=3", "refuses the options"),
        ("act_layer=__import__('os').system('touch x')", "refuses the options"),
        ("norm_layer=lambda:0", "refuses the options"),
        ("checkpoint_path=/dev/zero", "'checkpoint_path' cannot be set"),
        ("pretrained_cfg=x", "'pretrained_cfg' cannot be set"),
        ("features_only=true", "'features_only' cannot be set"),
        ("num_classes=10", "'num_classes' cannot be set"),
        ("in_chans=1", "'in_chans' cannot be set"),
        ("cache_dir=/etc", "'cache_dir' cannot be set"),
        ("\x1b[31mred=1", "refuses the options"),
        ("img_size=" + "9" * 5000, "img_size is"),
    ],
)
@pytest.mark.parametrize("local", [True, False])
def test_hostile_options_are_one_sentence(options, said, local, tmp_path):
    weights = None
    if local:
        weights = tmp_path / "weights.safetensors"
        save_file(timm.create_model("test_vit").state_dict(), weights)
    with pytest.raises(BecamError, match=said) as caught:
        load_encoder(f"timm:test_vit,{options}", weights=weights)
    assert "\n" not in str(caught.value)
    assert "\x1b" not in str(caught.value)
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "*", "hf_hub:x/y", "[", "\x1b[31m", "a" * 9999]
)
def test_names_that_no_model_has_are_one_sentence(name):
    with pytest.raises(BecamError, match="timm has no model") as caught:
        load_encoder(f"timm:{name}")
    assert "\n" not in str(caught.value)
    assert "\x1b" not in str(caught.value)


def test_timms_loader_is_put_back(tmp_path):
    spec, weights = save_family(tmp_path, "timm-vit")
    load = timm.models._builder.load_pretrained
    load_encoder(spec, weights=weights)
    assert timm.models._builder.load_pretrained is load
