"""open_clip weights: whose activation function, whose preprocessing, whose tokenizer."""

from __future__ import annotations

import copy
import json
import warnings

import open_clip
import pytest
import torch
from safetensors.torch import save_file
from zoo import RESNET_CONFIG, VIT_CONFIG, save_open_clip

from becam.encoders import EncoderRecord, load_encoder, load_recorded
from becam.errors import BecamError, BecamWarning

MEAN, STD = (0.1, 0.2, 0.3), (0.4, 0.5, 0.6)
PLAIN = {
    "mean": (0.48145466, 0.4578275, 0.40821073),
    "std": (0.26862954, 0.26130258, 0.27577711),
    "interpolation": "bicubic",
    "resize_mode": "shortest",
}
SQUASH = {"mean": MEAN, "std": STD, "interpolation": "bilinear", "resize_mode": "squash"}


@pytest.fixture
def registry(monkeypatch, tmp_path):
    """open_clip with small models of its own, whose weights lie in local files."""
    files = {}
    for stem, config in (("ViT", VIT_CONFIG), ("RN", RESNET_CONFIG)):
        files[stem] = save_open_clip(tmp_path, f"released-{stem}", config)[1]
    configs = dict(open_clip.factory._MODEL_CONFIGS)
    for stem, config in (("ViT", VIT_CONFIG), ("RN", RESNET_CONFIG)):
        configs[f"zoo-{stem}"] = config
        configs[f"zoo-{stem}-quickgelu"] = {**config, "quick_gelu": True}
    configs["zoo-alone"] = VIT_CONFIG
    configs["zoo-SigLIP"] = VIT_CONFIG
    monkeypatch.setattr(open_clip.factory, "_MODEL_CONFIGS", configs)

    def tag(stem, quick=False, url="", preprocessing=PLAIN):
        return {
            "file": str(files[stem]),
            "url": url,
            **preprocessing,
            **({"quick_gelu": True} if quick else {}),
        }

    vit = {
        "openai": tag("ViT", quick=True, url="https://host/40d365/ViT-B-32.pt"),
        "laion400m_e32": tag("ViT", quick=True),
        "laion2b_s34b_b79k": tag("ViT"),
    }
    released = {
        "zoo-ViT": vit,
        "zoo-ViT-quickgelu": {k: v for k, v in vit.items() if v.get("quick_gelu")},
        "zoo-RN": {"openai": tag("RN", quick=True)},
        "zoo-RN-quickgelu": {"openai": tag("RN", quick=True)},
        "zoo-alone": {"openai": tag("ViT", quick=True), "webli": tag("ViT", preprocessing=SQUASH)},
        "zoo-SigLIP": {"webli": tag("ViT", preprocessing=SQUASH)},
    }
    for name, tags in released.items():
        monkeypatch.setitem(open_clip.pretrained._PRETRAINED, name, tags)
    return files


def heard(spec, weights=None):
    """What a user hears while an encoder is loaded, and the encoder."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        encoder = load_encoder(spec, weights=weights)
    return [warning for warning in caught if warning.category is not DeprecationWarning], encoder


@pytest.mark.parametrize(
    ("spec", "way_out"),
    [
        ("open_clip:zoo-ViT:openai", "use open_clip:zoo-ViT-quickgelu:openai"),
        ("open_clip:zoo-ViT:laion400m_e32", "use open_clip:zoo-ViT-quickgelu:laion400m_e32"),
        ("open_clip:zoo-RN:openai", "use open_clip:zoo-RN-quickgelu:openai"),
        ("open_clip:zoo-alone:openai", 'set "quick_gelu": true in a model config'),
        ("open_clip:zoo-ViT-quickgelu:openai", None),
        ("open_clip:zoo-RN-quickgelu:openai", None),
        ("open_clip:zoo-ViT:laion2b_s34b_b79k", None),
    ],
)
def test_a_tag_of_the_other_activation_is_told_in_one_sentence(spec, way_out, registry):
    said, _ = heard(spec)
    if way_out is None:
        assert not said
        return
    (warning,) = said  # open_clip's own is not heard beside it
    assert warning.category is BecamWarning
    sentence = str(warning.message)
    assert "were trained with QuickGELU but the model" in sentence
    assert sentence.endswith(".")
    assert way_out in sentence
    assert "\n" not in sentence


def test_open_clip_itself_would_have_warned(registry):
    """Ours replaces a warning that open_clip still gives."""
    with pytest.warns(UserWarning, match="QuickGELU"):
        open_clip.create_model("zoo-ViT", pretrained="openai")


@pytest.mark.parametrize(
    ("spec", "file", "trained"),
    [
        ("open_clip:zoo-ViT", "vit_b_32-quickgelu-laion400m_e32-46683a32.safetensors", "QuickGELU"),
        ("open_clip:zoo-ViT", "my_quick-gelu_run.safetensors", "QuickGELU"),
        ("open_clip:zoo-ViT", "ViT-OpenAI.safetensors", "QuickGELU"),
        ("open_clip:zoo-ViT", "ViT-B-32.pt", "QuickGELU"),
        ("open_clip:zoo-ViT:openai", "mine.safetensors", "QuickGELU"),
        ("open_clip:zoo-ViT-quickgelu", "ViT-laion2B-s34B-b79K.safetensors", "GELU"),
        ("open_clip:zoo-ViT-quickgelu:laion2b_s34b_b79k", "mine.safetensors", "GELU"),
        ("open_clip:zoo-ViT", "mine.safetensors", None),
        ("open_clip:zoo-ViT", "notopenai.safetensors", None),
        ("open_clip:zoo-ViT-quickgelu", "mine.safetensors", None),
        ("open_clip:zoo-ViT", "ViT-laion2B-s34B-b79K.safetensors", None),
        ("open_clip:zoo-ViT-quickgelu", "openai.safetensors", None),
        ("open_clip:zoo-ViT-quickgelu:openai", "mine.safetensors", None),
    ],
)
def test_a_file_is_judged_by_its_name_or_the_tag_beside_it(spec, file, trained, registry, tmp_path):
    folder = tmp_path / "local"
    folder.mkdir()
    path = folder / file
    if path.suffix == ".pt":
        torch.save(open_clip.factory.load_state_dict(str(registry["ViT"])), path)
    else:
        path.write_bytes(registry["ViT"].read_bytes())
    said, _ = heard(spec, path)
    if trained is None:
        assert not said
    else:
        assert [warning.category for warning in said] == [BecamWarning]
        assert f"{file} were trained with {trained} but the model" in str(said[0].message)


@pytest.mark.parametrize(
    ("model_cfg", "name", "warned"),
    [
        ({"quick_gelu": True}, "zoo-ViT", True),
        ({"quick_gelu": True}, "zoo-ViT-quickgelu", False),
        ({}, "zoo-ViT-quickgelu", True),
        ({}, "zoo-ViT", False),
    ],
)
def test_a_file_is_judged_by_the_config_beside_it(model_cfg, name, warned, registry, tmp_path):
    folder = tmp_path / "local"
    folder.mkdir()
    path = folder / "open_clip_model.safetensors"
    path.write_bytes(registry["ViT"].read_bytes())
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": model_cfg}))
    said, _ = heard(f"open_clip:{name}", path)
    assert len(said) == warned
    (folder / "open_clip_config.json").write_text("{")
    assert not heard(f"open_clip:{name}", path)[0]


def test_the_activation_is_worth_a_warning(registry):
    pixels = torch.randn(4, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    plain = heard("open_clip:zoo-ViT:openai")[1].encode_image(pixels)
    quick = heard("open_clip:zoo-ViT-quickgelu:openai")[1].encode_image(pixels)
    assert (plain - quick).norm() > 1e-3 * quick.norm()


@pytest.mark.parametrize(
    ("spec", "squashes"),
    [
        ("open_clip:zoo-SigLIP", True),  # all its released weights agree
        ("open_clip:zoo-SigLIP:webli", True),
        ("open_clip:zoo-alone:webli", True),
        ("open_clip:zoo-alone", False),  # they do not: open_clip's default
        ("open_clip:zoo-ViT", False),
    ],
)
def test_a_file_gets_the_preprocessing_of_the_released_weights(spec, squashes, registry, tmp_path):
    path = tmp_path / "mine.safetensors"
    path.write_bytes(registry["ViT"].read_bytes())
    found = load_encoder(spec, weights=path).preprocessing
    expected = SQUASH if squashes else PLAIN
    assert (found.mean, found.std) == (expected["mean"], expected["std"])
    assert (found.resize_mode, found.interpolation) == (
        expected["resize_mode"],
        expected["interpolation"],
    )
    assert found.size == (64, 64)


def test_a_hub_repositorys_config_brings_its_preprocessing(registry, tmp_path, picture):
    document = {"model_cfg": copy.deepcopy(VIT_CONFIG), "preprocess_cfg": SQUASH}
    config = tmp_path / "open_clip_config.json"
    config.write_text(json.dumps(document))
    path = tmp_path / "open_clip_model.safetensors"
    path.write_bytes(registry["ViT"].read_bytes())
    encoder = load_encoder(f"open_clip:{config}", weights=path)
    assert encoder.preprocessing.mean == MEAN
    assert encoder.preprocessing.resize_mode == "squash"
    record = EncoderRecord.from_dict(encoder.record.to_dict())
    moved = tmp_path / "elsewhere" / "other.safetensors"
    moved.parent.mkdir()
    path.rename(moved)
    config.unlink()
    again = load_recorded(record, weights=moved)
    assert again.preprocessing == encoder.preprocessing
    pixels = encoder.preprocessing(picture)[0][None]
    assert torch.equal(again.encode_image(pixels), encoder.encode_image(pixels))


def test_without_its_tokenizer_a_model_encodes_pictures_alone(registry, monkeypatch):
    def offline(name):
        raise OSError("no hub")

    monkeypatch.setattr(open_clip, "get_tokenizer", offline)
    encoder = load_encoder("open_clip:zoo-ViT:laion2b_s34b_b79k")
    assert not encoder.has_text
    assert encoder.encode_image(torch.zeros(2, 3, 64, 64)).shape == (2, encoder.dim) == (2, 24)
    with pytest.raises(BecamError, match="pip install transformers") as caught:
        encoder.encode_text(["a mug"])
    assert "\n" not in str(caught.value)


def test_a_model_that_cannot_be_built_is_told(registry, monkeypatch):
    def misses(*arguments, **options):
        raise RuntimeError("Please install transformers.\nAnd then more.")

    monkeypatch.setattr(open_clip, "create_model", misses)
    with pytest.raises(BecamError, match=r"cannot build zoo-ViT \(Please install transformers\)"):
        load_encoder("open_clip:zoo-ViT", weights=registry["ViT"])


def test_cocas_features_are_not_scaled_to_unit_length(load_any):
    encoder = load_any("open_clip-coca")
    pixels = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    features, texts = encoder.encode_image(pixels), encoder.encode_text(["a red dress"])
    assert not torch.allclose(features.norm(dim=-1), torch.ones(2), atol=1e-2)
    theirs = encoder.model.encode_image(pixels)  # of unit length
    assert torch.allclose(features / features.norm(dim=-1, keepdim=True), theirs, atol=1e-6)
    assert not torch.allclose(texts.norm(dim=-1), torch.ones(1), atol=1e-2)


def test_half_precision_files_load_as_float32(registry, tmp_path):
    state = open_clip.factory.load_state_dict(str(registry["ViT"]))
    path = tmp_path / "half.safetensors"
    save_file({name: tensor.half() for name, tensor in state.items()}, path)
    encoder = load_encoder("open_clip:zoo-ViT", weights=path)
    assert encoder.encode_image(torch.zeros(1, 3, 64, 64)).dtype == torch.float32
