"""Model configs of open_clip: hostile ones, and those that a file carries."""

from __future__ import annotations

import copy
import json

import pytest
import torch
from zoo import VIT_CONFIG, save_open_clip

from becam.encoders import EncoderRecord, load_encoder, load_recorded
from becam.encoders.openclip_config import check_stored_config
from becam.errors import BecamError


def changed(where, value):
    config = copy.deepcopy(VIT_CONFIG)
    *parents, last = where.split(".")
    place = config
    for parent in parents:
        place = place[parent]
    if value is None:
        del place[last]
    else:
        place[last] = value
    return config


def refusal(config, weights, tmp_path):
    path = tmp_path / "hostile.json"
    path.write_text(config if isinstance(config, str) else json.dumps(config))
    with pytest.raises(BecamError) as caught:
        load_encoder(f"open_clip:{path}", weights=weights)
    said = str(caught.value)
    assert "\n" not in said
    assert "\x1b" not in said
    return said


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return save_open_clip(tmp_path_factory.mktemp("vit"), "vit", VIT_CONFIG)[1]


@pytest.mark.parametrize(
    ("where", "value", "said"),
    [
        ("embed_dim", "many", "embed_dim: expected int, got str"),
        ("embed_dim", None, "needs embed_dim, vision_cfg and text_cfg"),
        ("embed_dim", 0, "embed_dim: expected int >= 1"),
        ("embed_dim", 10**30, "embed_dim"),
        ("vision_cfg", [], "vision_cfg: expected object, got array"),
        ("vision_cfg.layers", 10**9, "layers is not within 0 and 1,000"),
        ("vision_cfg.layers", [1, 1], "layers has 2 numbers, not 4"),
        ("vision_cfg.layers", -1, "layers is not within"),
        ("vision_cfg.layers", "3", "vision_cfg.layers: expected int"),
        ("vision_cfg.width", 10**9, "vision_cfg.width: expected int <= 65536"),
        ("vision_cfg.width", 65536, "far more than"),
        ("vision_cfg.image_size", 10**9, "image_size is not within 1 and 4,096"),
        ("vision_cfg.image_size", 0, "image_size is not within"),
        ("vision_cfg.patch_size", 0, "patch_size is not within"),
        ("vision_cfg.patch_size", 999, "far more than"),
        ("vision_cfg.head_width", 0, "vision_cfg.head_width: expected int >= 1"),
        ("vision_cfg.head_width", 4096, "open_clip cannot build"),
        ("vision_cfg.mlp_ratio", -1, "vision_cfg.mlp_ratio"),
        ("vision_cfg.unknown", 1, "open_clip cannot build"),
        ("vision_cfg.timm_model_name", 3, "vision_cfg.timm_model_name: expected str"),
        ("vision_cfg.timm_model_name", "no_such_model", "open_clip cannot build"),
        ("text_cfg.layers", 10**9, "text_cfg.layers"),
        ("text_cfg.vocab_size", 10**12, "text_cfg.vocab_size"),
        ("text_cfg.vocab_size", 1 << 22, "does not fit"),
        ("text_cfg.heads", 0, "text_cfg.heads: expected int >= 1"),
        ("text_cfg.heads", 7, "open_clip cannot build"),
        ("text_cfg.context_length", {"a": 1}, "text_cfg.context_length"),
    ],
)
def test_a_hostile_field_is_named(where, value, said, weights, tmp_path):
    found = refusal(changed(where, value), weights, tmp_path)
    assert any(part in found for part in said.split("|")), found


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "it is not JSON"),
        ("[1, 2]", "expected object, got array"),
        ("null", "expected object, got null"),
        ('{"a":' * 100_000, "nested too deeply"),
        ('{"embed_dim": NaN}', "it is not JSON"),
        ('{"model_cfg": 3}', "needs embed_dim"),
    ],
)
def test_what_is_no_config_is_told(text, said, weights, tmp_path):
    assert said in refusal(text, weights, tmp_path)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("mean", [0.5, 0.5]),
        ("mean", "grey"),
        ("std", [0, 1, 1]),
        ("size", 10**9),
        ("resize_mode", "stretch"),
        ("interpolation", 3),
        ("fill_color", 999),
    ],
)
def test_a_hostile_preprocessing_is_named(field, value, weights, tmp_path):
    document = {"model_cfg": VIT_CONFIG, "preprocess_cfg": {field: value}}
    assert field in refusal(document, weights, tmp_path)


@pytest.mark.parametrize(
    ("where", "value"),
    [
        ("vision_cfg.timm_model_name", "hf_hub:somebody/something"),
        ("vision_cfg.timm_model_name", "hf-hub:somebody/something"),
        ("vision_cfg.timm_model_name", "local-dir:/tmp"),
        ("text_cfg.hf_model_name", "somebody/something"),
        ("vision_cfg.timm_model_pretrained", True),
    ],
)
def test_a_stored_config_asks_no_hub(where, value, weights, tmp_path):
    record = EncoderRecord("open_clip:x.json", str(weights), None, changed(where, value))
    with pytest.raises(BecamError, match=r"would fetch .* from a hub"):
        load_recorded(record)


def test_a_stored_config_of_timms_own_model_is_taken():
    check_stored_config(changed("vision_cfg.timm_model_name", "test_convnext"), "The config")


@pytest.mark.parametrize(
    "envelope",
    [
        lambda state: {"model": {f"module.{name}": value for name, value in state.items()}},
        lambda state: {"state_dict": {f"_orig_mod.{n}": v for n, v in state.items()}, "epoch": 1},
        lambda state: {
            "state_dict": {
                **{f"clip.{name}": value for name, value in state.items()},
                "loss.scale": torch.ones(1),
            }
        },
    ],
)
def test_envelopes_give_the_same_features(envelope, weights, tmp_path):
    from safetensors.torch import load_file

    path = tmp_path / "vit.json"
    path.write_text(json.dumps(VIT_CONFIG))
    file = tmp_path / "weights.pth"
    torch.save(envelope(load_file(weights)), file)
    pixels = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    ours = load_encoder(f"open_clip:{path}", weights=file).encode_image(pixels)
    assert torch.equal(
        ours, load_encoder(f"open_clip:{path}", weights=weights).encode_image(pixels)
    )


def test_numbers_that_are_no_weights_are_refused(weights, tmp_path):
    from safetensors.torch import load_file, save_file

    path = tmp_path / "vit.json"
    path.write_text(json.dumps(VIT_CONFIG))
    state = load_file(weights)
    state["visual.proj"][3, 4] = torch.nan
    file = tmp_path / "weights.safetensors"
    save_file(state, file)
    with pytest.raises(BecamError, match=r"not finite in visual\.proj"):
        load_encoder(f"open_clip:{path}", weights=file)
