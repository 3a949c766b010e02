"""``becam attach`` from the outside, and explanations through what it writes."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch
import typer
from PIL import Image
from planted import planted_dataset
from typer.testing import CliRunner

from becam import Checkpoint, Heatmap
from becam.cli.attach import attach
from becam.cli.evaluate import evaluate
from becam.cli.explain import explain
from becam.data.features import FeatureWriter
from becam.errors import BecamError

ITEMS = 80

app = typer.Typer()
for command in (attach, explain, evaluate):
    app.command()(command)


@pytest.fixture(scope="module")
def shop(load, tmp_path_factory):
    """A dataset with a real encoder's features of noisy coloured pictures, and its vectors.

    The vectors are the pictures' mean colours through a matrix, so pictures do say something.
    """
    folder = tmp_path_factory.mktemp("shop")
    dataset = planted_dataset(folder / "dataset", n_items=ITEMS, features=())
    encoder, rng = load("open_clip-vit"), np.random.default_rng(0)
    colours = rng.integers(30, 220, (ITEMS, 1, 1, 3))
    pixels = np.clip(colours + rng.normal(0, 20, (ITEMS, 64, 64, 3)), 0, 255).astype(np.uint8)
    pictures = [Image.fromarray(p) for p in pixels]
    for name, picture in zip(dataset.item_ids, pictures, strict=True):
        picture.save(folder / f"{name}.png")
    inputs = torch.stack([encoder.preprocessing(picture)[0] for picture in pictures])
    writer = FeatureWriter(
        dataset, "tiny", "image", encoder.record.to_dict(), encoder.dim, modalities=("image",)
    )
    writer.write(np.arange(ITEMS), encoder.encode_image(inputs).numpy())
    writer.finish()
    vectors = (colours[:, 0, 0] / 100.0 - 1.25) @ rng.normal(size=(3, 10))
    np.save(folder / "V.npy", vectors.astype(np.float32))
    (folder / "ids.csv").write_text("\n".join(["item_id", *dataset.item_ids]))
    np.save(folder / "U.npy", rng.normal(size=(7, 10)))
    np.save(folder / "users.npy", np.arange(7))
    return folder


def invoke(*arguments):
    return CliRunner(env={"COLUMNS": "200"}).invoke(app, [str(a) for a in arguments])


def attached(shop, output, *more):
    vectors = ("--item-vectors", shop / "V.npy", "--ids", shop / "ids.csv")
    return invoke("attach", shop / "dataset", *vectors, "-o", output, *more)


@pytest.fixture(scope="module")
def checkpoint(shop, tmp_path_factory):
    path = tmp_path_factory.mktemp("out") / "my.pt"
    users = ("--user-vectors", shop / "U.npy", "--user-ids", shop / "users.npy")
    result = attached(shop, path, *users)
    assert result.exit_code == 0, result.output
    assert "80 items of the dataset have a vector." in result.output
    assert "The picture says something" in result.output
    assert "rank of own content" in result.output
    assert f"--ckpt {path}" in result.output
    return path


def test_vectors_to_heatmap(shop, checkpoint, load, tmp_path):
    out = tmp_path / "x.png"
    picture = shop / "0007.png"
    common = ("explain", "--image", picture, "--item-id", "0007", "--ckpt", checkpoint)
    result = invoke(*common, "-o", out)
    assert result.exit_code == 0, result.output
    assert "ATTACHED" in result.output
    with Image.open(out) as sheet:
        sheet.load()
    # The angle to behaviour, from the files alone.
    loaded = Checkpoint.load(checkpoint)
    modality, encoder = loaded.modalities["image"], load("open_clip-vit")
    x = encoder.encode_image(encoder.preprocessing(Image.open(picture))[0][None])[0]
    z = modality.projection_weight.double() @ x.double() + modality.projection_bias.double()
    e = np.load(shop / "V.npy")[7].astype(float)
    expected = math.degrees(math.acos(z.numpy() @ e / np.linalg.norm(z) / np.linalg.norm(e)))
    (record,) = json.loads(out.with_suffix(".json").read_text())["heatmaps"]
    assert record["controls"]["theta"] == pytest.approx(expected, abs=0.1)
    assert np.isfinite(Heatmap.load(out.with_suffix(".npz")).raw).all()
    result = invoke(*common, "--user-id", "3", "--no-randomise", "-o", tmp_path / "user.png")
    assert result.exit_code == 0, result.output


def test_with_an_adapter(shop, tmp_path):
    path = tmp_path / "lora.pt"
    result = attached(shop, path, "--adapter", "lora", "--adapter-option", "rank=2")
    assert result.exit_code == 0, result.output
    assert "LoRA" in result.output
    explained = ("--image", shop / "0007.png", "--item-id", "0007", "--ckpt", path)
    out = ("--no-adapter", "--no-randomise", "-o", tmp_path / "x.png")
    result = invoke("explain", *explained, *out)
    assert result.exit_code == 0, result.output
    assert "ATTACHED + LoRA" in result.output


def test_evaluate_has_nothing_to_rank_with(shop, checkpoint):
    result = invoke("evaluate", checkpoint, shop / "dataset")
    assert isinstance(result.exception, BecamError)
    assert "no recommender to rank with" in str(result.exception)


def test_bad_input_is_one_sentence_and_writes_nothing(shop, checkpoint, tmp_path):
    before = checkpoint.read_bytes()
    result = attached(shop, checkpoint)
    assert "--overwrite" in str(result.exception)
    assert checkpoint.read_bytes() == before
    new = tmp_path / "new.pt"
    (tmp_path / "bare.csv").write_text("\n".join(str(i) for i in range(ITEMS)))
    for more, said in [
        (("--ids", tmp_path / "bare.csv"), "leading zeros"),
        (("--ids", tmp_path / "none.csv"), "no file"),
        (("--item-vectors", shop / "ids.csv"), "not a .npy"),
        (("--user-vectors", shop / "U.npy"), "belong together"),
        (("--adapter", "nonsense"), "nonsense"),
        (("--adapter-option", "nonsense"), "NAME=VALUE"),
        (("--folds", "1"), "--folds"),
        (("--held-out", "0"), "--held-out"),
        (("--modality", "text"), "text"),
    ]:
        result = attached(shop, new, *more)
        assert isinstance(result.exception, BecamError), more
        assert said in str(result.exception)
        assert "\n" not in str(result.exception)
        assert not new.exists()


def test_help_teaches():
    shown = CliRunner(env={"COLUMNS": "160"}).invoke(app, ["attach", "--help"]).output
    for word in ("--item-vectors", "--ids", "--user-vectors", "--adapter", "Example"):
        assert word in shown
