"""Memory that runs out: less at a time, the same results, and one warning."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from planted import planted_dataset
from shown import make_shop

import becam
from becam.attribution import Explainer
from becam.attribution.encodings import encode_masks
from becam.data.dataset import Dataset
from becam.encoders.base import Encoder
from becam.encoders.extraction import extract_features
from becam.encoders.fast import FastEncoder
from becam.encoders.openclip import OpenClipEncoder
from becam.errors import BecamError, BecamWarning
from becam.memory import Batches, memory_errors, out_of_memory
from becam.training.ranking import rank_users

CPU = "[enforce fail at alloc_cpu.cpp:117] . DefaultCPUAllocator: can't allocate memory: you tried"


def full(batch: int, most: int) -> None:
    """As PyTorch complains, on either device in turn."""
    if batch > most:
        raise torch.OutOfMemoryError("CUDA out of memory.") if batch % 2 else RuntimeError(CPU)


def halvings(caught):
    return [str(each.message) for each in caught if "Memory ran out" in str(each.message)]


def test_what_the_libraries_say_is_known():
    for allocate in (
        lambda: torch.empty(1 << 50, dtype=torch.uint8),
        lambda: np.empty(1 << 50, dtype=np.uint8),
        lambda: bytearray(1 << 62),
    ):
        with pytest.raises((RuntimeError, MemoryError)) as error:
            allocate()
        assert out_of_memory(error.value)
    assert not out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    assert not out_of_memory(ValueError("out of memory"))
    said = r"^The machine ran out of memory; do less\.$"
    with pytest.raises(BecamError, match=said), memory_errors("do less"):
        torch.empty(1 << 50, dtype=torch.uint8)
    with pytest.raises(RuntimeError, match="shapes"), memory_errors("do less"):
        raise RuntimeError("shapes")


@pytest.mark.parametrize("most", [1, 2, 3, 7, 16])
@pytest.mark.parametrize("count", [0, 1, 5, 33])
def test_parts_are_all_there_in_their_order(most, count):
    def work(part):
        full(len(part), most)
        return [2 * value for value in part]

    sizes = Batches(16)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        done = [value for _, found in sizes.split(list(range(count)), work) for value in found]
    assert done == [2 * value for value in range(count)]
    assert len(caught) == (min(count, 16) > most)
    assert all(issubclass(each.category, BecamWarning) for each in caught)


def test_not_even_one_is_a_sentence():
    def work(part):
        full(len(part) + 1, 1)

    with (
        pytest.warns(BecamWarning, match="with 8 pictures at a time"),
        pytest.raises(BecamError, match=r"^Memory ran out with one of the pictures at a time; "),
    ):
        list(Batches(8).split(range(20), work))


def test_other_errors_pass():
    def work(part):
        raise RuntimeError("shapes")

    with pytest.raises(RuntimeError, match="shapes"):
        list(Batches(8).split(range(20), work))


def test_masks_are_encoded_in_smaller_batches():
    coefficients = torch.rand(37, 3, 3, generator=torch.Generator().manual_seed(0))

    def encode(part):
        full(len(part), 5)
        return part.flatten(1) * 2

    with pytest.warns(BecamWarning) as caught:
        found = encode_masks(encode, coefficients, batch_size=16)
    assert torch.equal(found, coefficients.flatten(1) * 2)
    assert len(halvings(caught)) == 1


@pytest.fixture(scope="module")
def shop(tmp_path_factory, load, encoder_files):
    return make_shop(tmp_path_factory.mktemp("memory"), load, encoder_files)


@pytest.fixture
def tight(monkeypatch):
    """Encoders that have memory for no more than three pictures or texts."""

    def tighten(cls, name):
        whole = getattr(cls, name)

        def encode(self, given, *args):
            full(len(given), 3)
            return whole(self, given, *args)

        monkeypatch.setattr(cls, name, encode)

    def make():
        for name in ("encode_image", "encode_text"):
            tighten(OpenClipEncoder, name)

    return make


def test_features_are_the_same(shop, encoder_files, tight):
    spec, weights = encoder_files["open_clip-vit"]
    how = {"weights": weights, "precision": "float32", "batch_size": 16}
    ample = extract_features(Dataset.open(shop.dataset.path), spec, name="ample", **how)
    tight()
    with pytest.warns(BecamWarning) as caught:
        small = extract_features(Dataset.open(shop.dataset.path), spec, name="small", **how)
    assert len(halvings(caught)) == 2  # pictures, texts
    for modality in ("image", "text"):
        np.testing.assert_allclose(small.load(modality), ample.load(modality), atol=1e-5)


def test_maps_are_the_same(shop, tight):
    picture = shop.dataset.image_path(0)
    name = shop.dataset.item_ids[0]

    def explained():
        (path,) = shop.paths("bm3")
        return Explainer([path], batch_size=16, randomise=False).explain(picture, name)[0]

    ample = explained()
    tight()
    with pytest.warns(BecamWarning) as caught:
        small = explained()
    assert len(halvings(caught)) == 1
    np.testing.assert_allclose(small.raw, ample.raw, atol=1e-5)


def test_a_fast_encoder_does_not_take_it_for_a_foreign_build(load, monkeypatch):
    encoder: Encoder = load("open_clip-vit")
    monkeypatch.setattr(
        "becam.encoders.fast.encoder._altered", lambda *_: torch.empty(1 << 50, dtype=torch.uint8)
    )
    with pytest.raises(RuntimeError, match="allocate"):
        FastEncoder(encoder)


def test_ranking_does_not_depend_on_the_chunk():
    rng = np.random.default_rng(0)
    scores = torch.from_numpy(rng.normal(size=(40, 30)).astype(np.float32))
    positives = np.stack([np.repeat(np.arange(40), 2), rng.integers(0, 30, 80)], 1)
    masked = np.stack([np.arange(40), rng.integers(0, 30, 40)], 1)
    whole = rank_users(lambda users: scores[users].clone(), 30, positives, masked)

    def tight_score(users):
        full(len(users), 7)
        return scores[users].clone()

    with pytest.warns(BecamWarning) as caught:
        small = rank_users(tight_score, 30, positives, masked)
    assert len(halvings(caught)) == 1
    for name, values in whole.values.items():
        np.testing.assert_array_equal(small.values[name], values)


def test_training_says_it_in_one_sentence(tmp_path, monkeypatch):
    dataset = planted_dataset(tmp_path / "data")

    def loss(*_):
        full(2, 1)

    monkeypatch.setattr("becam.recommenders.bm3.BM3.loss", loss)
    with pytest.raises(BecamError, match=r"ran out of memory; train with a smaller --batch-size"):
        becam.train(dataset, quiet=True, epochs=1)
