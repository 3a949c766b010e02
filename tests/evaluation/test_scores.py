"""Scores of pictures, item by item and picture by picture."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from scipy import stats
from zoo import make_checkpoint

from becam.attribution.target import item_target
from becam.attribution.view import Engine, Settings
from becam.errors import BecamError
from becam.evaluation import scores
from becam.evaluation.scores import on_pictures, rank_score, similarity_score

ITEM = "0007"


@pytest.fixture(scope="module")
def encoder(load):
    return load("open_clip-vit")


@pytest.fixture(scope="module")
def features(encoder):
    return torch.randn(9, encoder.dim, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("adapter", ["none", "befa", "lora", "soft-prompt", "befa-learned"])
@pytest.mark.parametrize("space", ["adapted", "content"])
def test_ranks_against_a_loop_over_items(encoder, features, adapter, space, monkeypatch):
    """Each item is a target of its own, with its own gate."""
    checkpoint = make_checkpoint(encoder, adapter=adapter, seed=2)
    similarities = torch.stack(
        [item_target(checkpoint, i, space=space).similarity(features) for i in checkpoint.item_ids]
    )
    want = [
        (stats.rankdata(column.numpy())[7] - 1) / (len(checkpoint.item_ids) - 1)
        for column in similarities.T
    ]
    ranks = rank_score(checkpoint, ITEM, space=space)
    assert ranks.of(features).tolist() == pytest.approx(want, abs=1e-6)
    monkeypatch.setattr(scores, "_PAIRS", 20)  # two items at a time
    assert ranks.of(features).tolist() == pytest.approx(want, abs=1e-6)
    own = similarity_score(item_target(checkpoint, ITEM, space=space))
    assert torch.equal(own.of(features), similarities[7])


def test_ties_count_half(encoder, features):
    checkpoint = make_checkpoint(encoder)
    same = checkpoint.item_embeddings[7].expand(30, -1).clone()
    found = rank_score(dataclasses.replace(checkpoint, item_embeddings=same), ITEM, space="content")
    assert found.of(features).tolist() == pytest.approx([0.5] * 9)
    same[10:] = -same[10:]  # twenty that agree where the item does not
    found = rank_score(dataclasses.replace(checkpoint, item_embeddings=same), ITEM, space="content")
    agreeing = item_target(checkpoint, ITEM, space="content").similarity(features) > 0
    want = torch.where(agreeing, (20 + 9 / 2) / 29, (9 / 2) / 29)
    assert torch.allclose(found.of(features), want)


def test_memory_is_bounded(encoder, monkeypatch):
    """No more pairs than allowed go through the adapter at a time."""
    checkpoint = make_checkpoint(encoder, n_items=200, adapter="befa")
    head_type = type(checkpoint.head())
    seen = []
    original = head_type.adapt
    monkeypatch.setattr(
        head_type,
        "adapt",
        lambda self, z, e: seen.append(len(z) * e.shape[1]) or original(self, z, e),
    )
    monkeypatch.setattr(scores, "_PAIRS", 64)
    rank_score(checkpoint, ITEM, space="adapted").of(torch.randn(10, encoder.dim))
    assert sum(seen) == 200 * 10
    assert max(seen) <= 64


def test_an_item_alone_has_no_rank(encoder):
    with pytest.raises(BecamError, match="single item"):
        rank_score(make_checkpoint(encoder, n_items=1), "0000", space="adapted")
    with pytest.raises(BecamError, match="no item"):
        rank_score(make_checkpoint(encoder), "nonsense", space="adapted")


def test_pictures_are_encoded_once_for_all_scores(encoder, picture, monkeypatch):
    engine = Engine(encoder, encoder.target_layer(), Settings(batch_size=4))
    pixels = engine.view(picture).pixels
    pictures = torch.stack([pixels * part for part in torch.linspace(0, 1, 10)])
    checkpoint = make_checkpoint(encoder, adapter="befa")
    target = item_target(checkpoint, ITEM, space="adapted")
    ranks = rank_score(checkpoint, ITEM, space="adapted")
    calls = []
    original = engine.fast.encode_image
    monkeypatch.setattr(engine.fast, "encode_image", lambda x: calls.append(len(x)) or original(x))
    found = on_pictures(engine, [similarity_score(target), ranks])(pictures)
    assert calls == [4, 4, 2]
    with torch.inference_mode():
        features = encoder.encode_image(pictures)
    assert torch.allclose(found[:, 0], target.similarity(features), atol=1e-5)
    # An item or two may change places by rounding.
    assert torch.allclose(found[:, 1], ranks.of(features), atol=2 / 29)
