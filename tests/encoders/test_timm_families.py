"""One model of every family of timm: it encodes, takes its own weights, and can be explained.

The families are timm's modules. Models are small ones with random weights; where a family has none,
options make one small.
"""

from __future__ import annotations

import pytest
import timm
import torch
from planted import planted_dataset
from safetensors.torch import save_file
from zoo import lively

from becam.attribution.capture import capture
from becam.encoders import extraction, load_encoder
from becam.encoders.reach import probe, refusal
from becam.errors import BecamError, BecamWarning

_TINY = ",embed_dim=48,depth=3,num_heads=3"
_VLM = ",embed_dim=64,depth=3,num_heads=4,img_size=96"

FAMILIES = {
    "beit": f"beit_base_patch16_224{_TINY}",
    "byoanet": "halonet_h1",
    "byobnet": "mobileone_s1,size=96",
    "cait": "cait_xxs24_224,depth=4,img_size=64",
    "coat": "coat_tiny,img_size=96",
    "convit": "convit_tiny",
    "convmixer": "convmixer_768_32,size=64",
    "convnext": "test_convnext,size=96",
    "cpubone": "cpubone_nano,size=96",
    "crossvit": "crossvit_tiny_240",
    "csatv2": "csatv2,size=256",
    "cspnet": "cs3darknet_focus_s,size=96",
    "cspnext": "cspnext_tiny,size=96",
    "davit": "davit_tiny,size=224",
    "deepseek_vit": "deepseek_vit_412m,embed_dim=64,depth=3,num_heads=4,img_size=84",
    "deit": "deit_tiny_patch16_224,img_size=64",
    "densenet": "densenet121,size=96",
    "dla": "dla46x_c,size=96",
    "dpn": "dpn48b,size=96",
    "edgenext": "edgenext_xx_small,size=96",
    "efficientformer": "efficientformer_l1",
    "efficientformer_v2": "efficientformerv2_s0",
    "efficientnet": "test_efficientnet,size=96",
    "efficientvim": "efficientvim_m1,size=128",
    "efficientvit_mit": "efficientvit_b0,size=96",
    "efficientvit_msra": "efficientvit_m0,size=128",
    "eva": "eva02_tiny_patch14_224,depth=3,img_size=56",
    "fasternet": "fasternet_t0,size=96",
    "fastvit": "fastvit_t8,size=128",
    "focalnet": "focalnet_tiny_srf,size=96",
    "gcvit": "gcvit_xxtiny",
    "gemma4_vit": f"gemma4_vit_167m{_VLM}",
    "ghostnet": "ghostnet_050,size=96",
    "hardcorenas": "hardcorenas_b,size=96",
    "hgnet": "hgnetv2_b0,size=96",
    "hiera": "hiera_tiny_224",
    "hieradet_sam2": "sam2_hiera_tiny,size=256",
    "hrnet": "hrnet_w18_small,size=96",
    "iformer": "iformer_t,size=128",
    "inception_next": "inception_next_atto,size=96",
    "inception_resnet_v2": "inception_resnet_v2,size=160",
    "inception_v3": "inception_v3,size=160",
    "inception_v4": "inception_v4,size=160",
    "lcnetv2": "lcnetv2_small,size=96",
    "levit": "levit_128s",
    "lowformer": "lowformer_b0,size=96",
    "mambaout": "test_mambaout,size=96",
    "maxxvit": "test_maxvit,img_size=160",
    "metaformer": "poolformerv2_s12,size=96",
    "mlp_mixer": "gmlp_ti16_224",
    "mobilenetv3": "mobilenetv3_small_050,size=96",
    "mobilenetv5": "mobilenetv5_base,size=96",
    "mobilevit": "mobilevit_xxs,size=128",
    "mvitv2": "mvitv2_tiny",
    "naflexvit": "naflexvit_base_patch16_gap,size=96",
    "nasnet": "nasnetalarge,size=128",
    "nest": "nest_tiny",
    "nextvit": "nextvit_small,size=96",
    "nfnet": "test_nfnet,size=96",
    "pit": "pit_ti_224",
    "pnasnet": "pnasnet5large,size=128",
    "pvt_v2": "pvt_v2_b0,size=96",
    "qwen3_vit": f"qwen3_vit_88m{_VLM}",
    "rdnet": "rdnet_tiny,size=96",
    "regnet": "regnetx_002,size=96",
    "repghost": "repghostnet_050,size=96",
    "repvit": "repvit_m1,size=96",
    "res2net": "res2next50,size=96",
    "resnest": "resnest14d,size=96",
    "resnet": "test_resnet,size=96",
    "resnetv2": "resnetv2_18,size=96",
    "rexnet": "rexnet_100,size=96",
    "selecsls": "selecsls42,size=96",
    "senet": "legacy_seresnet18,size=96",
    "sequencer": "sequencer2d_s",
    "shvit": "shvit_s1,size=128",
    "sknet": "skresnet18,size=96",
    "starnet": "starnet_s050,size=96",
    "swiftformer": "swiftformer_xs",
    "swin_transformer": "swin_tiny_patch4_window7_224",
    "swin_transformer_v2": "swinv2_tiny_window8_256",
    "swin_transformer_v2_cr": "swinv2_cr_tiny_224",
    "tiny_vit": "tiny_vit_5m_224",
    "tnt": "tnt_s_legacy_patch16_224,depth=3",
    "tresnet": "tresnet_m,size=96",
    "twins": "twins_svt_small",
    "vgg": "vgg11,size=64",
    "visformer": "visformer_tiny",
    "vision_transformer": "test_vit",
    "vision_transformer_hybrid": "vit_tiny_r_s16_p8_224",
    "vision_transformer_relpos": "test_vit_relpos",
    "vision_transformer_sam": f"samvit_base_patch16_224{_TINY}",
    "vitamin": "vitamin_small_224",
    "volo": "volo_d1_224",
    "vovnet": "ese_vovnet19b_slim_dw,size=96",
    "xception": "legacy_xception,size=96",
    "xception_aligned": "xception41p,size=96",
    "xcit": "xcit_nano_12_p8_224,depth=3,img_size=64",
}
NO_GRID = {
    "coat": "the scales are mixed after each block",
    "tnt": "a block gives pixels before patches",
}
"""Families that timm lays out on grids although no single module gives one."""

SAMPLE = ("convnext", "levit", "shvit", "vision_transformer", "xcit", "tnt")


def own_model(name, options):
    """timm's model with a classifier, its layers as after some training."""
    torch.manual_seed(0)
    return lively(timm.create_model(name, **options)).eval()


def check(family, folder):
    """A family's model does what every encoder does, or says that it has no default layer."""
    name, *pairs = FAMILIES[family].split(",")
    options = {k: int(v) for k, v in (pair.split("=") for pair in pairs) if k != "size"}
    model = own_model(name, options)
    weights = folder / f"{family}.safetensors"
    save_file({k: v.clone().contiguous() for k, v in model.state_dict().items()}, weights)
    encoder = load_encoder(f"timm:{FAMILIES[family]}", weights=weights)
    pixels = probe(encoder)
    with torch.inference_mode():
        features = encoder.encode_image(pixels)
        assert features.shape == (1, encoder.dim)
        assert features.isfinite().all()
    trunk = timm.create_model(
        name,
        pretrained=True,
        num_classes=0,
        pretrained_cfg_overlay={"state_dict": model.state_dict(), "source": ""},
        **options,
    )
    theirs = trunk.state_dict()
    if "size=" not in FAMILIES[family].replace("img_size=", ""):
        assert encoder.vision.state_dict().keys() == theirs.keys()
        for key, value in encoder.vision.state_dict().items():
            assert torch.equal(value, theirs[key]), key
    if family in NO_GRID:
        with pytest.raises(BecamError, match="name one with --target-layer"):
            encoder.default_target_layer()
        return
    layer = encoder.default_target_layer()
    assert refusal(encoder, layer) is None
    assert encoder.target_layer(layer.path) == layer
    _, activation = capture(encoder, layer, pixels)
    assert min(activation.shape[2:]) > 1
    maps = encoder.vision.forward_intermediates(pixels, intermediates_only=True)
    assert any(
        each.shape == activation.shape and torch.allclose(each, activation, atol=1e-3, rtol=1e-3)
        for each in maps
    ) or _is_beside(family)


def _is_beside(family):
    """Families in which timm's last features are from before the last layers of the trunk."""
    return family in ("ghostnet", "repghost", "efficientnet", "resnetv2")


def test_every_family_of_timm_is_here():
    known = set(timm.models.list_modules()) - {"zoo"}  # what other tests register
    assert known <= set(FAMILIES)


@pytest.mark.parametrize("family", SAMPLE)
def test_a_family(family, tmp_path):
    check(family, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("family", [each for each in FAMILIES if each not in SAMPLE])
def test_every_family(family, tmp_path):
    check(family, tmp_path)


def test_features_say_beforehand_that_no_layer_is_known(tmp_path, monkeypatch):
    torch.manual_seed(0)
    weights = tmp_path / "tnt.safetensors"
    spec = "tnt_s_legacy_patch16_224,depth=2"
    save_file(timm.create_model("tnt_s_legacy_patch16_224", depth=2).state_dict(), weights)
    dataset = planted_dataset(tmp_path / "d", n_items=9, features=())
    begun = []
    monkeypatch.setattr(extraction, "FeatureWriter", lambda *a, **k: begun.append(1) or 1 / 0)
    with (
        pytest.warns(BecamWarning, match="explaining pictures will need a --target-layer") as said,
        pytest.raises(ZeroDivisionError),
    ):
        extraction.extract_features(dataset, f"timm:{spec}", weights=weights, text_encoder="none")
    assert begun == [1]
    (sentence,) = [str(each.message) for each in said if each.category is BecamWarning]
    assert "No target layer is known for TNT" in sentence
    assert "or another encoder" in sentence
    encoder = load_encoder(f"timm:{spec}", weights=weights)
    # The way out works: the last norm gives the class token and the patches.
    with pytest.raises(BecamError, match="reaches the output"):
        encoder.target_layer("norm")
    assert encoder.target_layer("blocks.0.mlp").grid == (14, 14)


def test_a_layer_of_ones_own_is_laid_out_by_its_shape(tmp_path):
    torch.manual_seed(0)
    weights = tmp_path / "levit.safetensors"
    model = lively(timm.create_model("levit_128s"))
    save_file(model.state_dict(), weights)
    encoder = load_encoder("timm:levit_128s", weights=weights)
    layer = encoder.target_layer("stages.1.blocks.2.mlp.ln1")
    assert (layer.layout, layer.grid, layer.prefix_tokens) == ("NLD", (7, 7), 0)
    assert encoder.target_layer("stem.conv1").layout == "NCHW"
