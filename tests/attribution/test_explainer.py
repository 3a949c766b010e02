"""From checkpoints and a picture to heatmaps, through the public interface."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn.functional import cosine_similarity
from zoo import make_checkpoint

from becam.attribution import Explainer, explain
from becam.attribution.methods import BeCAM
from becam.attribution.view import Engine
from becam.errors import BecamError

ITEM = "0007"
EQ_2 = {"weighting": "cosine"}


@pytest.fixture(scope="module")
def encoder(load):
    return load("open_clip-vit")


@pytest.fixture(scope="module")
def plain(encoder):
    return make_checkpoint(encoder)


@pytest.fixture(scope="module")
def befa(encoder):
    return make_checkpoint(encoder, adapter="befa", seed=1)


def test_weights_are_the_cosines_of_the_definition(encoder, befa, picture):
    """Head and gate written out from the checkpoint's tensors; Eq. 8-10 and Eq. 2."""
    heatmap = explain(picture, ITEM, befa, method_options=EQ_2, randomise=False)
    found = Engine(encoder, encoder.target_layer()).view(picture)
    modality = befa.modalities["image"]
    e = befa.item_embeddings[7]
    z = found.masked_features @ modality.projection_weight.T + modality.projection_bias
    state = modality.adapter["state"]
    h = torch.relu(z @ state["w1.weight"].T + state["w1.bias"])
    gate = torch.tanh(h @ state["w2.weight"].T + state["w2.bias"])
    u = torch.relu(e.repeat(4) * gate)
    out = e * torch.sigmoid(u @ state["w3.weight"].T + state["w3.bias"])
    weights = cosine_similarity(out, e[None], dim=-1)
    assert np.allclose(heatmap.weights, weights.numpy(), atol=1e-5)
    expected = (weights[:, None, None] * found.activation).sum(0)
    assert np.allclose(heatmap.raw, expected.numpy(), rtol=1e-4, atol=1e-4)


def test_controls_against_their_definitions(encoder, plain, picture):
    heatmap = explain(picture, ITEM, plain)
    controls = heatmap.controls
    found = Engine(encoder, encoder.target_layer()).view(picture)
    assert controls.weight_mean == pytest.approx(float(heatmap.weights.mean()), abs=1e-6)
    assert controls.weight_std == pytest.approx(float(heatmap.weights.std()), abs=1e-6)
    activation = found.activation.sum(0).numpy()
    assert controls.correlation_activation == pytest.approx(
        np.corrcoef(heatmap.raw.ravel(), activation.ravel())[0, 1], abs=1e-5
    )
    explainer = Explainer(plain, randomise=False)
    views = explainer.encode(picture)
    generator = torch.Generator().manual_seed(0)
    others = [int(i) for i in torch.randperm(30, generator=generator) if i != 7][:20]
    correlations = []
    for other in others:
        (shown,) = explainer.score(views, f"0{other:03d}")
        correlations.append(np.corrcoef(heatmap.raw.ravel(), shown.raw.ravel())[0, 1])
    assert controls.correlation_others == pytest.approx(np.mean(correlations), abs=1e-4)
    assert -1 <= controls.correlation_randomised <= 1
    assert controls.stored_cosine is None


def test_the_trap_of_eq_2_after_befa_is_said(befa, plain, picture):
    """The gate keeps every cosine near one, so the map is the activation: the words must say so."""
    after = explain(picture, ITEM, befa, method_options=EQ_2, randomise=False)
    before = explain(picture, ITEM, plain, method_options=EQ_2, randomise=False)
    assert after.controls.weight_std < 0.1 * before.controls.weight_std
    assert after.controls.correlation_activation > 0.99
    words = " ".join(after.controls.warnings())
    assert "whatever the target" in words
    assert "little about this target" in words


def test_no_adapter_adds_the_column_before_it(befa, plain, picture):
    heatmaps = Explainer([plain, befa], no_adapter=True, randomise=False).explain(picture, ITEM)
    assert [h.options["space"] for h in heatmaps] == ["adapted", "content", "adapted"]
    assert "no adapter" in heatmaps[1].label
    e = befa.item_embeddings[7]
    alone = explain(picture, ITEM, befa, space="content", randomise=False)
    assert np.array_equal(alone.raw, heatmaps[1].raw)
    modality = befa.modalities["image"]
    assert e.shape[0] == modality.projection_weight.shape[0]


def test_one_heatmap_is_never_the_wrong_one_of_two(befa, plain, picture):
    with pytest.raises(BecamError, match="use Explainer"):
        explain(picture, ITEM, befa, no_adapter=True, randomise=False)
    # A checkpoint without an adapter has one map either way.
    one, same = (
        explain(picture, ITEM, plain, no_adapter=given, randomise=False) for given in (True, False)
    )
    assert np.array_equal(one.raw, same.raw)


def test_encodings_are_shared_by_checkpoints_items_and_methods(plain, befa, picture, monkeypatch):
    explainer = Explainer([plain, befa], randomise=False)
    (engine,) = explainer.engines.values()
    calls = []
    for method in ("encode_image", "encode_patches"):
        original = getattr(engine.fast, method)
        monkeypatch.setattr(
            engine.fast, method, lambda x, original=original: calls.append(len(x)) or original(x)
        )
    views = explainer.encode(picture)
    explainer.score(views, ITEM)
    channels = 48
    assert sum(calls) == channels + 1  # every mask once, and a blank picture
    calls.clear()
    explainer.score(views, "0001")
    explainer.score(views, "0001", user_id="u3", method=BeCAM("increase"))
    assert not calls


def test_two_encoders_in_one_call(load, picture):
    vit, cnn = load("open_clip-vit"), load("timm-cnn")
    maps = Explainer([make_checkpoint(vit), make_checkpoint(cnn)], randomise=False).explain(
        picture, ITEM
    )
    assert maps[0].raw.shape == (4, 4)
    assert maps[1].raw.shape == (3, 3)
    assert maps[0].full().shape == maps[1].full().shape == (150, 100)


def test_user_and_text_targets(encoder, plain, picture):
    explainer = Explainer(plain, method_options=EQ_2, randomise=False)
    views = explainer.encode(picture)
    (item,) = explainer.score(views, ITEM)
    (user,) = explainer.score(views, ITEM, user_id="u3")
    (text,) = explainer.score(views, ITEM, text="a red square")
    (view,) = views.values()
    t = encoder.encode_text(["a red square"])[0]
    expected = cosine_similarity(view.masked_features, t[None], dim=-1)
    assert np.allclose(text.weights, expected.numpy(), atol=1e-5)
    head = plain.head("image")
    expected = cosine_similarity(
        head.project(view.masked_features), plain.user_embeddings[3][None], dim=-1
    )
    assert np.allclose(user.weights, expected.numpy(), atol=1e-5)
    assert not np.allclose(item.raw, user.raw)
    assert text.controls.theta is None
    with pytest.raises(BecamError, match="not several"):
        explainer.score(views, ITEM, user_id="u3", text="x")


def test_another_picture_as_target(encoder, plain, picture, tmp_path):
    other = picture.transpose(Image.Transpose.ROTATE_180)
    other.save(tmp_path / "other.png")
    explainer = Explainer(plain, method_options=EQ_2, randomise=False)
    views = explainer.encode(picture)
    (found,) = explainer.score(views, like=tmp_path / "other.png")
    feature = encoder.encode_image(encoder.preprocessing(other)[0][None])
    (view,) = views.values()
    expected = cosine_similarity(view.masked_features, feature, dim=-1)
    assert np.allclose(found.weights, expected.numpy(), atol=1e-5)
    assert found.target == "picture other.png"
    with pytest.raises(BecamError, match="--item-id"):
        explainer.explain(picture)


def test_a_trained_feature_row_that_drifted_is_said(encoder, picture):
    pixels, _ = encoder.preprocessing(picture)
    feature = encoder.encode_image(pixels[None])[0]
    rows = torch.randn(30, encoder.dim, generator=torch.Generator().manual_seed(3))
    rows[7] = feature * 2
    same = explain(picture, ITEM, make_checkpoint(encoder, trained=rows), randomise=False)
    assert same.controls.stored_cosine == pytest.approx(1, abs=1e-5)
    other = explain(picture, "0008", make_checkpoint(encoder, trained=rows), randomise=False)
    assert other.controls.stored_cosine < 0.9
    assert any("trained the item's feature away" in w for w in other.controls.warnings())


def test_shuffling_keeps_the_encoder_and_destroys_its_knowledge(load, picture):
    from becam.attribution.randomise import shuffled

    for name in ("open_clip-vit", "open_clip-resnet", "timm-cnn"):
        encoder = load(name)
        pixels, _ = encoder.preprocessing(picture)
        batch = torch.stack([pixels, pixels.flip(-1)])
        before = encoder.encode_image(batch)
        twin = shuffled(encoder)
        assert torch.equal(encoder.encode_image(batch), before)
        after = twin.encode_image(batch)
        assert after.isfinite().all()
        assert after.std() > 1e-6
        assert not twin.training
        towers = encoder.vision.parameters(), twin.vision.parameters()
        for own, other in zip(*towers, strict=True):
            assert torch.equal(own.flatten().sort().values, other.flatten().sort().values)
        assert cosine_similarity(before[0], after[0], dim=-1) < 0.9


def test_bad_requests_are_one_sentence(encoder, plain, load, picture, tmp_path):
    with pytest.raises(BecamError, match="0007") as caught:
        explain(picture, "7", plain)
    assert "\n" not in str(caught.value)
    with pytest.raises(BecamError, match="u3"):
        Explainer(plain).explain(picture, ITEM, user_id="u33")
    for option in ("method", "space", "masking"):
        with pytest.raises(BecamError, match="Unknown"):
            explain(picture, ITEM, plain, **{option: "nonsense"})
    with pytest.raises(BecamError, match="one of centered, cosine"):
        explain(picture, ITEM, plain, method_options={"weighting": "nonsense"})
    with pytest.raises(BecamError, match="becam has no option 'speed'"):
        explain(picture, ITEM, plain, method_options={"speed": 1})
    with pytest.raises(BecamError, match="must be 1 or more"):
        explain(picture, ITEM, plain, batch_size=0)
    with pytest.raises(BecamError, match="leave --encoder out"):
        Explainer(plain, encoder="becam:vit")


def test_checkpoint_of_another_encoder(encoder, encoder_files, load, picture):
    """The features' encoder is unknown, and the one named gives features of another length."""
    from dataclasses import replace

    _, cnn_weights = encoder_files["timm-cnn"]
    checkpoint = make_checkpoint(encoder)
    image = checkpoint.modalities["image"]
    unknown = replace(checkpoint, modalities={"image": replace(image, encoder={"spec": None})})
    with pytest.raises(BecamError, match="encoder is unknown"):
        Explainer(unknown)
    spec, weights = encoder_files["open_clip-vit"]
    named = Explainer(unknown, encoder=spec, weights=[weights], randomise=False)
    assert np.array_equal(
        named.explain(picture, ITEM)[0].raw,
        explain(picture, ITEM, checkpoint, randomise=False).raw,
    )
    spec, weights = encoder_files["timm-cnn"]
    with pytest.raises(BecamError, match="trained with another encoder"):
        Explainer(unknown, encoder=spec, weights=[weights])
    with pytest.raises(BecamError, match="None of the weights given"):
        Explainer(checkpoint, weights=[cnn_weights])


def test_pictures_seen_lately_are_not_encoded_again(plain, picture, monkeypatch):
    explainer = Explainer(plain, randomise=False)
    (engine,) = explainer.engines.values()
    calls = []
    original = engine.fast.encode_patches
    monkeypatch.setattr(
        engine.fast, "encode_patches", lambda x: calls.append(len(x)) or original(x)
    )
    (first,) = explainer.explain(picture, ITEM)
    encoded = sum(calls)
    assert encoded > 0
    (again,) = explainer.explain(picture.copy(), ITEM)
    (other,) = explainer.explain(picture, "0008")
    assert sum(calls) == encoded
    assert np.array_equal(first.raw, again.raw)
    assert not np.allclose(first.raw, other.raw)
    for shift in range(1, 5):  # others take its place
        explainer.encode(picture.rotate(shift))
    before = sum(calls)
    assert before == 5 * encoded
    explainer.explain(picture, ITEM)
    assert sum(calls) == before + encoded
    # A picture of the same bytes in another shape is another picture.
    wide = picture.resize((60, 40))
    tall = Image.frombytes(wide.mode, (40, 60), wide.tobytes())
    (a,), (b,) = explainer.explain(wide, ITEM), explainer.explain(tall, ITEM)
    assert a.raw.shape == b.raw.shape
    assert not np.allclose(a.raw, b.raw)
