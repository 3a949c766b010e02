"""What every encoder promises, over every family."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from zoo import ENCODERS, FAMILIES, RESNET_CONFIG, VIT_CONFIG, save_open_clip, save_timm

from becam.attribution.capture import capture
from becam.encoders import EncoderRecord, load_encoder, load_recorded
from becam.encoders.spec import EncoderSpec, slug
from becam.errors import BecamError


@pytest.mark.parametrize("name", [*ENCODERS, *FAMILIES])
def test_contract(name, load_any, picture):
    encoder = load_any(name)
    assert not encoder.training
    assert not any(p.requires_grad for p in encoder.parameters())
    pixels, geometry = encoder.preprocessing(picture)
    assert pixels.shape == (3, *encoder.preprocessing.size)
    assert pixels.dtype == torch.float32
    assert (geometry.width, geometry.height) == picture.size
    batch = torch.stack([pixels, pixels.flip(-1), pixels])
    features = encoder.encode_image(batch)
    assert features.shape == (3, encoder.dim)
    assert torch.allclose(features[0], features[2], atol=1e-5)
    assert not torch.allclose(features[0], features[1], atol=1e-5)
    alone, activation = capture(encoder, encoder.target_layer(), pixels[None])
    assert torch.allclose(alone[0], features[0], atol=1e-4)
    assert activation.ndim == 4
    assert activation.isfinite().all()
    assert min(activation.shape[2:]) > 1
    if encoder.has_text:
        texts = encoder.encode_text(["a red dress", "a mug"])
        assert texts.shape == (2, encoder.dim)
        assert not torch.allclose(texts[0], texts[1], atol=1e-6)
    else:
        with pytest.raises(BecamError, match="no text tower"):
            encoder.encode_text(["a mug"])
    with pytest.raises(BecamError, match="no module 'nonsense'"):
        encoder.target_layer("nonsense")


@pytest.mark.parametrize("name", ENCODERS)
def test_the_grid_is_not_flipped_or_turned(name, load):
    """What changes in one corner of the picture changes the activation most in that corner."""
    encoder = load(name)
    height, width = encoder.preprocessing.size
    rng = np.random.default_rng(0)
    base = torch.from_numpy(rng.normal(0, 0.5, (3, height, width)).astype(np.float32))
    # A layer in the middle of the network: at its end, receptive fields cover everything.
    path = encoder.default_target_layer().path
    early = {
        "open_clip-vit": "transformer.resblocks.0",
        "becam-vit": "transformer.resblocks.0",
        "open_clip-resnet": "layer1.0.act3",
        "becam-resnet": "layer1.0.act3",
        "timm-cnn": "blocks.1",
    }[name]
    assert path != early
    layer = encoder.target_layer(early)
    _, before = capture(encoder, layer, base[None])
    corners = {}
    for row in (0, 1):
        for column in (0, 1):
            changed = base.clone()
            quarter = (
                slice(0, height // 4) if row == 0 else slice(-(height // 4), None),
                slice(0, width // 4) if column == 0 else slice(-(width // 4), None),
            )
            changed[:, quarter[0], quarter[1]] += 2.0
            _, after = capture(encoder, layer, changed[None])
            change = (after - before)[0].norm(dim=0)
            rows, columns = change.shape
            where = divmod(int(change.argmax()), columns)
            corners[row, column] = (where[0] >= rows / 2, where[1] >= columns / 2)
    assert corners == {(r, c): (bool(r), bool(c)) for r in (0, 1) for c in (0, 1)}


def test_weights_that_do_not_fit_are_named(tmp_path):
    vit, vit_weights = save_open_clip(tmp_path, "vit", VIT_CONFIG)
    resnet, _ = save_open_clip(tmp_path, "resnet", RESNET_CONFIG)
    timm_spec, timm_weights = save_timm(tmp_path)
    with pytest.raises(BecamError, match="does not fit"):
        load_encoder(resnet, weights=vit_weights)
    with pytest.raises(BecamError, match="does not fit"):
        load_encoder(timm_spec, weights=vit_weights)
    with pytest.raises(BecamError, match="does not fit"):
        load_encoder(vit, weights=timm_weights)
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(vit_weights.read_bytes()[:5000])
    with pytest.raises(BecamError, match="cannot be read as weights"):
        load_encoder(vit, weights=cut)
    with pytest.raises(BecamError, match="There is no weights file"):
        load_encoder(vit, weights=tmp_path / "none.pt")


def test_a_pickle_is_not_run(tmp_path):
    import os
    import pickle

    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "owned"),)

    (tmp_path / "evil.pt").write_bytes(pickle.dumps({"a": Evil()}))
    vit, _ = save_open_clip(tmp_path, "vit", VIT_CONFIG)
    for spec in (vit, "timm:mobilenetv2_050"):
        with pytest.raises(BecamError):
            load_encoder(spec, weights=tmp_path / "evil.pt")
    assert not (tmp_path / "owned").exists()


def test_no_hub_names_the_way_out(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    for spec in ("open_clip:ViT-B-32:laion2b_s34b_b79k", "timm:mobilenetv2_050"):
        with pytest.raises(BecamError, match="--weights FILE") as caught:
            load_encoder(spec)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("resnet", "names no encoder"),
        ("keras:resnet", "no encoder family 'keras'"),
        ("open_clip:ViT-B-33", "no model 'ViT-B-33'"),
        ("timm:mobilenetv9", "no model"),
        ("open_clip:RN50", "names no weights"),
        ("open_clip:RN50:nonsense", "knows no weights"),
        ("timm:resnet18,a", "KEY=VALUE"),
        ("open_clip:none.json", "no model config"),
        ("timm:mobilenetv2_050,nonsense=3", "refuses the options"),
        ("imagebind:small", "no encoder imagebind:small"),
        ("imagebind:huge:tag", "without tag or options"),
        ("imagebind:huge", "CC-BY-NC"),
        ("becam:vit2", "no embedded encoder"),
    ],
)
def test_bad_specs_are_one_sentence(spec, said, monkeypatch):
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(BecamError, match=said) as caught:
        load_encoder(spec)
    assert "\n" not in str(caught.value)


def test_specs_round_trip():
    for text in ("becam:vit", "open_clip:ViT-B-32:laion2b", "timm:a,pad_type=same,mean=0.5"):
        assert str(EncoderSpec.parse(text)) == text
    assert slug("open_clip:ViT-B-32:laion2b") == "open_clip-ViT-B-32-laion2b"


def test_a_record_is_enough_to_rebuild(encoder_files, load, picture, tmp_path):
    _, weights = encoder_files["open_clip-vit"]
    encoder = load("open_clip-vit")
    record = EncoderRecord.from_dict(encoder.record.to_dict())
    pixels = encoder.preprocessing(picture)[0][None]
    again = load_recorded(record)
    assert torch.equal(again.encode_image(pixels), encoder.encode_image(pixels))
    moved = tmp_path / "moved.safetensors"
    moved.write_bytes(weights.read_bytes())
    lost = EncoderRecord(
        record.spec, str(tmp_path / "gone.pt"), record.weights_sha256, record.config
    )
    with pytest.raises(BecamError, match="no longer at"):
        load_recorded(lost)
    assert load_recorded(lost, weights=moved).dim == encoder.dim
    other = EncoderRecord(record.spec, None, "0" * 64, record.config)
    with pytest.raises(BecamError, match="was trained on features of"):
        load_recorded(other, weights=moved)
    with pytest.raises(BecamError, match="unknown"):
        load_recorded(EncoderRecord(None))


def test_tfidf_puts_like_texts_together():
    from becam.encoders.text import load_text_encoder, tfidf_svd

    texts = [f"{c} cotton {k}" for c in ("red", "blue", "green") for k in ("dress", "shirt", "mug")]
    rows = tfidf_svd(texts * 3, dim=6)
    similar = rows @ rows.T
    assert np.allclose(np.diag(similar), 1, atol=1e-5)
    assert similar[0, 9] == pytest.approx(1, abs=1e-5)  # the same text again
    assert similar[0, 1] > similar[0, 4]  # red dress: nearer to red shirt than to blue shirt
    encode, record = load_text_encoder("tfidf,dim=3")
    assert encode(texts * 3).shape == (27, 3)
    assert record.config == {"dim": 3, "seed": 0}
    with pytest.raises(BecamError, match=r"too few words|no word in common"):
        tfidf_svd(["", "", ""], dim=3)
    with pytest.raises(BecamError, match="no text encoder"):
        load_text_encoder("word2vec")


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("open_clip:/home/ann/my models/small.json", "open_clip:small.json"),
        ("open_clip:../small.json", "open_clip:small.json"),
        ("open_clip:ViT-B-32:laion2b", "open_clip:ViT-B-32:laion2b"),
        ("timm:hf-hub:timm/vit_small,mean=0.5", "timm:hf-hub:timm/vit_small,mean=0.5"),
    ],
)
def test_what_is_passed_on_names_no_folder(spec, said):
    assert EncoderRecord(spec).describe() == said
