"""Features of pictures that fail, and of pictures with colour profiles."""

from __future__ import annotations

import json
import os
from dataclasses import replace

import numpy as np
import polars as pl
import profiles
import pytest
from PIL import Image
from planted import planted_dataset
from rawdata import write_picture

from becam.data import pictures
from becam.data.dataset import Dataset
from becam.encoders import load_recorded
from becam.encoders.extraction import FAILED, extract_features
from becam.encoders.spec import EncoderRecord
from becam.errors import BecamError
from becam.images import read_image

ITEMS = 9


@pytest.fixture
def dataset(tmp_path):
    """Items with a picture each, of noise."""
    made = planted_dataset(tmp_path / "d", n_items=ITEMS, features=())
    texts = [f"red blue {['dress', 'shoe', 'hat'][item % 3]}" for item in range(ITEMS)]
    names = [f"{item}.png" for item in range(ITEMS)]
    for item, name in enumerate(names):
        write_picture(tmp_path / "d" / "images" / name, item)
    items = made.items.with_columns(image=pl.Series(names), text=pl.Series(texts))
    items.write_parquet(made.path / "items.parquet")
    replace(made.manifest, image_root="images").save(made.path)
    return Dataset.open(made.path)


@pytest.fixture
def extract(dataset, encoder_files):
    spec, weights = encoder_files["timm-cnn"]

    def run(**options):
        given = {"text_encoder": "none", "batch_size": 4, "precision": "float32"} | options
        return extract_features(dataset, spec, weights=weights, name="f", **given)

    return run


def test_pictures_that_fail_hold_up_no_others(dataset, extract, monkeypatch):
    whole = np.array(extract().load("image"))
    originals = {row: dataset.image_path(row).read_bytes() for row in (1, 4, 5)}
    dataset.image_path(1).unlink()
    dataset.image_path(4).write_bytes(originals[4][:60])
    dataset.image_path(5).unlink()
    os.mkfifo(dataset.image_path(5))
    with pytest.raises(BecamError, match=r"^3 of 9 pictures cannot be read") as caught:
        extract(overwrite=True, text_encoder="tfidf,dim=2")
    failed = dataset.path / "features" / "f" / FAILED
    said = str(caught.value)
    assert "\n" not in said
    assert dataset.item_ids[1] in said
    for words in ("There is no picture at", str(failed), "prepare --overwrite"):
        assert words in said
    listed = json.loads(failed.read_text())
    assert [entry["id"] for entry in listed] == [dataset.item_ids[row] for row in (1, 4, 5)]
    assert dataset.feature_sets() == []
    # Only what is missing is encoded by the next calls.
    read = []
    monkeypatch.setattr(
        "becam.encoders.extraction.read_image",
        lambda path, **options: read.append(path.stem) or read_image(path, **options),
    )
    dataset.image_path(1).write_bytes(originals[1])
    with pytest.raises(BecamError, match=r"^2 of 9"):
        extract(text_encoder="tfidf,dim=2")
    dataset.image_path(5).unlink()
    for row in (4, 5):
        dataset.image_path(row).write_bytes(originals[row])
    mended = extract(text_encoder="tfidf,dim=2")
    assert sorted(read) == ["1", "4", "4", "5", "5"]
    assert mended.modalities == ("image", "text")
    assert np.allclose(mended.load("image"), whole, atol=1e-5)
    assert not failed.exists()


def test_what_prepare_calls_readable_is_encoded(dataset, extract):
    exif = b"Exif\0\0II*\0\x08\0\0\0\x02\0" + b"\x12\x01\x03\0\x01\0\0\0\x06\0\0\0"
    exif += b"\x1a\x01\x0a\0\x01\0\0\0\x26\0\0\0\0\0\0\0\xff\xff\xff\xff\0\0\0\0"
    Image.open(dataset.image_path(0)).save(dataset.image_path(0), "JPEG", exif=exif)
    assert pictures.readable([dataset.image_path(row) for row in range(ITEMS)]).all()
    assert extract().load("image").shape[0] == ITEMS


def test_features_remember_what_became_of_profiles(dataset, extract):
    picture = Image.open(dataset.image_path(0)).convert("L")
    picture.save(dataset.image_path(0), icc_profile=profiles.grey(1.0))
    kept = extract()
    assert kept.encoders["image"]["icc"] == "convert"
    features = {"convert": np.array(kept.load("image"))}
    ignoring = extract(icc="ignore", overwrite=True)
    assert "icc" not in ignoring.encoders["image"]  # as of all features before there was a choice
    features["ignore"] = np.array(ignoring.load("image"))
    assert np.array_equal(features["convert"][1:], features["ignore"][1:])
    assert np.abs(features["convert"][0] - features["ignore"][0]).max() > 1e-3
    # Whoever goes on, goes on in the same way; the other way is another encoder.
    assert "icc" not in extract().encoders["image"]
    with pytest.raises(BecamError, match="another encoder"):
        extract(icc="convert")
    with pytest.raises(BecamError, match="choose convert or ignore"):
        extract(icc="both")
    # Explanations read pictures as the features did.
    from becam.attribution.view import Engine

    for icc, values in features.items():
        record = replace(EncoderRecord.from_dict(ignoring.encoders["image"]), icc=icc)
        encoder = load_recorded(EncoderRecord.from_dict(record.to_dict()))
        view = Engine(encoder, encoder.target_layer(None)).view(dataset.image_path(0))
        assert np.allclose(view.whole, values[0], atol=1e-4), icc
