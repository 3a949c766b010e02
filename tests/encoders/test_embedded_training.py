"""The script that made the weights: its pieces against references, and a run of a few steps."""

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from becam.data.catalogue.attributes import COLOURS, PATTERNS, SceneSpec, Thing
from becam.data.catalogue.captions import pattern_words
from becam.encoders.embedded.load import build, load_files

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "train_embedded_encoders.py"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("train_embedded_encoders", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


@pytest.fixture
def config(script):
    return lambda name: script.new_config(name, ["a", "red", "dress"])


def test_trimmed_texts_have_the_features_of_full_ones(script, config):
    torch.manual_seed(0)
    values = config("vit")
    model = build(values).eval()
    ids = script.tokenizer(values)(["a red dress", "a dress a dress a dress", ""])
    with torch.inference_mode():
        expected = model.encode_text(ids)
        found = script.encode_trimmed(model, script.trimmed(ids))
    assert script.trimmed(ids).shape == (3, 8)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["vit", "resnet"])
def test_resolution_changes_and_the_optimizer_follows(script, config, name):
    torch.manual_seed(0)
    values = config(name)
    model = build(values)
    optimizer = torch.optim.AdamW(script.parameter_groups(model), lr=1e-3)
    full = values["model_cfg"]["vision_cfg"]["image_size"]
    before = {key: value.clone() for key, value in model.state_dict().items()}
    for size in (script.SMALL_SIZES[name], full):
        script.set_resolution(model, optimizer, size)
        loss = model.encode_image(torch.randn(2, 3, size, size)).square().sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    after = model.state_dict()
    assert {key: value.shape for key, value in after.items()} == {
        key: value.shape for key, value in before.items()
    }
    held = {id(p) for group in optimizer.param_groups for p in group["params"]}
    assert held == {id(p) for p in model.parameters()}


def test_info_nce_is_the_mean_of_both_cross_entropies(script):
    rng = np.random.default_rng(0)
    image, text = rng.normal(size=(2, 5, 3))
    ignore = np.zeros((5, 5), bool)
    ignore[0, 3] = ignore[3, 0] = True
    logits = np.where(ignore, -np.inf, 2.5 * image @ text.T)
    rows = [np.log(np.exp(logits[i]).sum()) - logits[i, i] for i in range(5)]
    columns = [np.log(np.exp(logits[:, i]).sum()) - logits[i, i] for i in range(5)]
    found = script.info_nce(
        torch.tensor(image), torch.tensor(text), torch.tensor(2.5), torch.tensor(ignore)
    )
    assert found.item() == pytest.approx((np.mean(rows) + np.mean(columns)) / 2)


def test_a_text_that_is_true_of_another_picture_is_no_negative_for_it(script):
    specs = [
        SceneSpec(Thing("dress", "red", "striped"), "park"),
        SceneSpec(Thing("dress", "red", "dotted"), "street"),
        SceneSpec(Thing("mug", "red", "striped"), "park"),
    ]
    texts = [
        script.ProductText("a red striped dress", "dress", "red", "striped"),
        script.ProductText("a dress", "dress", None, None),
        script.ProductText("a red mug", "mug", "red", None),
    ]
    assert script.also_true(specs, texts).tolist() == [
        [False, True, False],
        [False, False, False],
        [False, False, False],
    ]


def test_product_texts_say_what_they_claim(script):
    rng = np.random.default_rng(0)
    open_colour = open_pattern = 0
    for index in range(300):
        spec = script.scene(1, index)
        about = script.product_text(spec, rng)
        said = set(about.text.lower().replace(".", "").replace(",", "").split())
        assert about.type == spec.product.type
        assert about.type in said
        assert about.colour in (None, spec.product.colour)
        assert said & set(COLOURS) == ({about.colour} if about.colour else set())
        patterns = {p for p in PATTERNS if said & set(pattern_words(p))}
        assert patterns == ({about.pattern} if about.pattern else set())
        open_colour += about.colour is None
        open_pattern += about.pattern is None
    assert open_colour > 30
    assert open_pattern > 30


def test_learning_rate_rises_and_falls(script):
    rates = [script.schedule(done) for done in np.linspace(0, 1, 101)]
    peak = int(np.argmax(rates))
    assert 2 <= peak <= 6
    assert max(rates) <= 1.03
    assert rates[: peak + 1] == sorted(rates[: peak + 1])
    assert rates[peak:] == sorted(rates[peak:], reverse=True)
    assert rates[-1] == pytest.approx(0.01)


def test_training_and_held_out_scenes_differ(script):
    training = {script.scene(0, index) for index in range(200)}
    assert not training & {script.scene(script.HELD_OUT_SEED, index) for index in range(200)}


@pytest.fixture
def run(script, tmp_path, monkeypatch):
    """Run the script for some steps on few scenes; returns the config that it wrote."""
    monkeypatch.setattr(script, "PAIRS", 12)
    threads = torch.get_num_threads()
    arguments = ["--model", "vit", "--scenes", "24", "--batch-size", "6", "--threads", "1"]

    def call(*more):
        monkeypatch.setattr(sys, "argv", ["", *arguments, "--output", str(tmp_path), *more])
        script.main()
        return json.loads((tmp_path / "vit.json").read_text())

    yield call
    torch.set_num_threads(threads)


def test_a_short_run_writes_a_model_that_loads(run, tmp_path):
    config = run("--steps", "4")
    model, tokenizer, _ = load_files(tmp_path / "vit.safetensors", config)
    (record,) = config["training"]
    assert (record["steps"], record["scenes"], record["batch_size"]) == (4, 24, 6)
    assert config["measured"]["pairs"] == 12
    assert 0 <= config["measured"]["recall@1"] <= config["measured"]["recall@5"] <= 1
    stored = load_file(tmp_path / "vit.safetensors")
    assert {value.dtype for value in stored.values()} == {torch.float16}
    assert model.encode_text(tokenizer("a red dress")).shape == (1, 192)


def test_resuming_goes_on_from_the_weights(run, tmp_path):
    first = run("--steps", "2")
    before = load_file(tmp_path / "vit.safetensors")
    # No learning: what is written then is what was read.
    second = run("--steps", "2", "--resume", "--learning-rate", "0")
    after = load_file(tmp_path / "vit.safetensors")
    assert all(torch.equal(before[key], after[key]) for key in before)
    assert [record["steps"] for record in second["training"]] == [2, 2]
    assert second["vocabulary"] == first["vocabulary"]
    assert second["model_cfg"] == first["model_cfg"]
