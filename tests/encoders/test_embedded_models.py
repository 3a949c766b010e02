"""The weights that ship: what they are, and what they can do on scenes nobody has seen."""

from importlib.resources import files

import numpy as np
import pytest
import torch
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image

from becam.data.catalogue.attributes import COLOURS, PATTERNS, TYPES
from becam.data.catalogue.captions import caption, item_text
from becam.data.catalogue.render import render
from becam.data.catalogue.sample import sample_scene
from becam.encoders.embedded.load import NAMES, load_embedded
from becam.errors import BecamError

SCENES = 200
MEGABYTE = 1_000_000


@pytest.fixture(scope="module")
def fresh():
    """Scenes of a seed of this test alone, their captions and pictures."""
    result = []
    for index in range(SCENES):
        rng = np.random.default_rng([987654321, index])
        spec = sample_scene(rng)
        result.append((spec, caption(spec, rng), Image.fromarray(render(spec, 256).image)))
    return result


@pytest.fixture(scope="module", params=NAMES)
def embedded(request, fresh):
    model, tokenizer, config = load_embedded(request.param)
    preprocess = image_transform_v2(PreprocessCfg(**config["preprocess_cfg"]), is_train=False)
    with torch.inference_mode():
        pixels = torch.stack([preprocess(picture) for *_, picture in fresh])
        image = model.encode_image(pixels, normalize=True)
    return model, tokenizer, config, image


def encode(embedded, texts):
    model, tokenizer, *_ = embedded
    with torch.inference_mode():
        return model.encode_text(tokenizer(texts), normalize=True)


def test_models_are_open_clips_own_and_ready(embedded):
    from open_clip.model import CLIP

    model, tokenizer, config, _ = embedded
    assert isinstance(model, CLIP)
    assert not model.training
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert all(torch.isfinite(p).all() for p in model.parameters())
    assert tokenizer.vocab_size == model.token_embedding.num_embeddings
    assert tokenizer.context_length == model.positional_embedding.shape[0]
    assert config["preprocess_cfg"]["size"] == config["model_cfg"]["vision_cfg"]["image_size"]


def test_captions_are_found_far_above_chance(embedded, fresh):
    *_, image = embedded
    similarity = image @ encode(embedded, [text for _, text, _ in fresh]).T
    rank = (similarity > similarity.diagonal()[:, None]).sum(1)
    assert (rank == 0).float().mean() > 100 / SCENES  # chance: 1 / SCENES
    assert (rank < 5).float().mean() > 0.8


def test_the_config_reports_what_the_weights_do(embedded, fresh):
    """Zero-shot accuracy on other scenes agrees with the config's within sampling error."""
    *_, config, image = embedded
    products = [spec.product for spec, *_ in fresh]
    kind = torch.tensor([TYPES.index(product.type) for product in products])

    def agrees(guess, truth, key):
        measured = config["measured"][key]
        accuracy = (guess == torch.tensor(truth)).float().mean().item()
        error = (measured * (1 - measured) * (1 / SCENES + 1 / config["measured"]["pairs"])) ** 0.5
        assert accuracy == pytest.approx(measured, abs=4 * error + 0.005), key

    by_type = encode(embedded, [f"a {name}" for name in TYPES])
    agrees((image @ by_type.T).argmax(1), kind.tolist(), "zero_shot_type")
    for key, values, field in (
        ("zero_shot_colour", COLOURS, "colour"),
        ("zero_shot_pattern", PATTERNS, "pattern"),
    ):
        shown = ["plain" if value == "solid" else value for value in values]
        prompts = encode(embedded, [f"a {v} {name}" for name in TYPES for v in shown])
        prompts = prompts.reshape(len(TYPES), len(values), -1)[kind]
        guess = torch.einsum("id,icd->ic", image, prompts).argmax(1)
        truth = [values.index(getattr(product, field)) for product in products]
        agrees(guess, truth, key)
        assert config["measured"][key] > 3 / len(values)


def test_every_word_of_the_catalogue_is_known(embedded):
    _, tokenizer, *_ = embedded
    rng = np.random.default_rng(77)
    for _ in range(1500):
        spec = sample_scene(rng)
        for text in (caption(spec, rng), item_text(spec, rng)):
            row = tokenizer(text)[0]
            assert 1 not in row, text
            assert row[-1] in (0, tokenizer.end)
            assert len(tokenizer.encode(text)) <= tokenizer.context_length - 2


def test_a_larger_picture_of_the_same_scene_has_nearly_the_same_feature(embedded, fresh):
    model, _, config, image = embedded
    preprocess = image_transform_v2(PreprocessCfg(**config["preprocess_cfg"]), is_train=False)
    spec = fresh[0][0]
    with torch.inference_mode():
        pixels = preprocess(Image.fromarray(render(spec, 400).image))[None]
        again = model.encode_image(pixels, normalize=True)[0]
    assert image[0] @ again > 0.9
    assert image[0] @ again > (image[1:] @ again).max()


def test_the_grids_are_fine_enough_for_a_heatmap(embedded):
    _, _, config, _ = embedded
    vision = config["model_cfg"]["vision_cfg"]
    assert vision["image_size"] // vision.get("patch_size", 32) >= 5


def test_package_data_fits_in_20_megabytes():
    folder = files("becam")
    sizes = [
        path.stat().st_size
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    ]
    assert sum(sizes) < 20 * MEGABYTE


def test_an_unknown_name_is_told():
    with pytest.raises(BecamError, match="vit or resnet"):
        load_embedded("vgg")
