"""The whole way as a user goes it: raw files, dataset, features, training, evaluation, heatmap."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch

from becam import Checkpoint, Dataset, Heatmap, load_encoder, read_image
from becam.data.catalogue.build import build_catalogue


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """Raw files of a shop: interactions.csv, items.csv, images/."""
    folder = tmp_path_factory.mktemp("raw") / "shop"
    return build_catalogue(folder, n_items=40, n_users=60, seed=5, image_size=64)


def test_raw_files_to_heatmap(run_cli, shop, encoder_files, tmp_path):
    spec, weights = encoder_files["timm-cnn"]
    dataset, run = tmp_path / "dataset", tmp_path / "run"
    status, printed, errors = run_cli("prepare", "csv", shop, "-o", dataset, "--k-core", 3)
    assert status == 0, errors
    assert "Users" in printed
    status, printed, errors = run_cli(
        "features", dataset, "--encoder", spec, "--weights", weights, "--name", "cnn"
    )
    assert status == 0, errors
    status, printed, errors = run_cli(
        "train", dataset, "--adapter", "befa", "--epochs", 3, "-o", run, "--device", "cpu"
    )
    assert status == 0, errors
    status, printed, errors = run_cli("evaluate", run / "befa.pt", dataset)
    assert status == 0, errors
    item = Dataset.open(dataset).item_ids[0]
    out = tmp_path / "x.png"
    status, printed, errors = run_cli(
        "explain",
        "--image",
        shop / "images" / f"{item}.jpg",
        "--item-id",
        item,
        "--ckpt",
        run / "befa.pt",
        "--no-adapter",
        "-o",
        out,
    )
    assert status == 0, errors
    assert len(json.loads(out.with_suffix(".json").read_text())["heatmaps"]) == 2
    assert Heatmap.load(tmp_path / "x.0.npz").options["encoder"].startswith("timm:")
    checkpoint = Checkpoint.load(run / "befa.pt")
    assert checkpoint.item_ids == Dataset.open(dataset).item_ids


def test_features_are_the_encoders_own(run_cli, shop, encoder_files, load, tmp_path):
    from becam.encoders.text import tfidf_svd

    spec, weights = encoder_files["open_clip-vit"]
    run_cli("prepare", "csv", shop, "-o", tmp_path / "d", "--k-core", 2)
    dataset = Dataset.open(tmp_path / "d")
    common = (
        "features",
        tmp_path / "d",
        "--encoder",
        spec,
        "--weights",
        weights,
        "--precision",
        "float32",
        "--batch-size",
        7,
    )
    assert run_cli(*common, "--name", "own")[0] == 0
    assert run_cli(*common, "--name", "lsa", "--text-encoder", "tfidf,dim=5")[0] == 0
    assert run_cli(*common, "--name", "bare", "--text-encoder", "none")[0] == 0
    assert dataset.feature_sets() == ["bare", "lsa", "own"]
    encoder = load("open_clip-vit")
    images = dataset.feature_set("own").load("image")
    for row in (0, 8, dataset.n_items - 1):
        pixels, _ = encoder.preprocessing(read_image(dataset.image_path(row)))
        assert np.allclose(images[row], encoder.encode_image(pixels[None])[0], atol=1e-4)
    texts = dataset.items["text"].to_list()
    own = encoder.encode_text(texts).numpy()
    assert np.allclose(dataset.feature_set("own").load("text"), own, atol=1e-5)
    lsa = dataset.feature_set("lsa").load("text")
    assert np.allclose(lsa, tfidf_svd(texts, dim=5), atol=1e-6)
    assert dataset.feature_set("bare").modalities == ("image",)
    assert np.array_equal(dataset.feature_set("bare").load("image"), images)
    record = dataset.feature_set("own").encoders["image"]
    assert (
        load_encoder(record["spec"], weights=record["weights"], config=record["config"]).dim == 24
    )
    # the same name with another encoder is refused, and the way out is named
    cnn, cnn_weights = encoder_files["timm-cnn"]
    status, _, errors = run_cli(
        "features", tmp_path / "d", "--encoder", cnn, "--weights", cnn_weights, "--name", "own"
    )
    assert status == 1
    assert "--overwrite" in errors.strip().splitlines()[-1]


def test_a_killed_extraction_goes_on(run_cli, shop, encoder_files, tmp_path):
    spec, weights = encoder_files["timm-cnn"]
    run_cli("prepare", "csv", shop, "-o", tmp_path / "d", "--k-core", 2)
    dataset = Dataset.open(tmp_path / "d")
    marks = tmp_path / "d" / "features" / "cnn" / "image.done"
    command = [
        sys.executable,
        "-m",
        "becam",
        "features",
        str(tmp_path / "d"),
        "--encoder",
        spec,
        "--weights",
        str(weights),
        "--name",
        "cnn",
        "--batch-size",
        "1",
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        if marks.exists() and 1 in marks.read_bytes():
            break
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    done = np.frombuffer(marks.read_bytes(), bool) if marks.exists() else np.ones(1, bool)
    assert 0 < done.sum() < dataset.n_items, "the kill came too early or too late to test anything"
    assert dataset.feature_sets() == []
    status, _, errors = run_cli(*command[3:])
    assert status == 0, errors
    assert f"{done.sum()}/{dataset.n_items}" in errors  # the bar starts where the kill came
    resumed = np.array(dataset.feature_set("cnn").load("image"))
    run_cli(*command[3:-4], "--name", "again", "--batch-size", "1")
    assert np.array_equal(resumed, dataset.feature_set("again").load("image"))


def test_the_public_names_are_there():
    import becam

    assert all(getattr(becam, name) is not None for name in becam.__all__)
    with pytest.raises(AttributeError, match="nonsense"):
        becam.nonsense  # noqa: B018


def test_help_does_not_wait_for_torch():
    code = "import sys; from becam.cli.app import app; print('torch' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"
    assert torch.__version__
