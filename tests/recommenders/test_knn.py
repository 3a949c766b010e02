"""Neighbours against scikit-learn, exactly and from faiss."""

import numpy as np
import pytest
import torch
from sklearn.neighbors import NearestNeighbors

from becam.errors import BecamError
from becam.recommenders import knn
from becam.recommenders.knn import find_neighbours, nearest
from becam.training.neighbours import cached_neighbours


def from_sklearn(x, k):
    model = NearestNeighbors(n_neighbors=k, metric="cosine", algorithm="brute").fit(x)
    distances, items = model.kneighbors(x)
    return items, 1 - distances


@pytest.mark.parametrize("block", [1, 700, 1 << 24])
def test_exact_neighbours(monkeypatch, block):
    monkeypatch.setattr(knn, "_BLOCK", block)
    x = np.random.default_rng(0).normal(size=(120, 9)).astype(np.float32)
    items, cosines = from_sklearn(x, 10)
    found = find_neighbours(x, 10)
    np.testing.assert_array_equal(found.items, items)
    np.testing.assert_allclose(found.cosines, cosines, atol=1e-6)


def test_fewer_items_than_neighbours_and_a_row_of_zeros():
    found = nearest(torch.tensor([[1.0, 0.0], [0.0, 0.0], [1.0, 1.0]]), 10)
    assert found.items.shape == (3, 3)
    assert torch.isfinite(found.cosines).all()


def test_many_items_need_faiss_and_nearly_agree(monkeypatch):
    monkeypatch.setattr(knn, "EXACT_ITEMS", 500)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(20, 16))[rng.integers(20, size=2000)] + 0.1 * rng.normal(size=(2000, 16))
    x = x.astype(np.float32)
    pytest.importorskip("faiss")
    items, _ = from_sklearn(x, 10)
    found = find_neighbours(x, 10)
    shared = [
        len(set(a) & set(b)) for a, b in zip(found.items.tolist(), items.tolist(), strict=True)
    ]
    assert np.mean(shared) > 9.5


def test_without_faiss_the_way_out_is_named(monkeypatch):
    monkeypatch.setattr(knn, "EXACT_ITEMS", 5)
    monkeypatch.setitem(__import__("sys").modules, "faiss", None)
    with pytest.raises(BecamError, match=r"becam\[large\]"):
        find_neighbours(np.ones((6, 2), np.float32), 2)


def test_the_cache_is_keyed_by_features_and_k(tmp_path, monkeypatch):
    monkeypatch.setattr("becam.training.neighbours._WORTH_KEEPING", 10)
    x = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)
    find = cached_neighbours(tmp_path)
    first = find(x, 5)
    assert len(list((tmp_path / "neighbours").iterdir())) == 1
    again = find(x, 5)
    assert torch.equal(first.items, again.items)
    assert torch.equal(first.cosines, again.cosines)
    other = find(x + 1, 5)
    assert not torch.equal(first.items, other.items)
    assert find(x, 6).items.shape == (50, 6)
    assert len(list((tmp_path / "neighbours").iterdir())) == 3
    # A damaged file is found anew, and a folder that cannot be written is no hindrance.
    for path in (tmp_path / "neighbours").iterdir():
        path.write_bytes(path.read_bytes()[:100])
    assert torch.equal(find(x, 5).items, first.items)
    (tmp_path / "file").write_text("")
    assert torch.equal(cached_neighbours(tmp_path / "file")(x, 5).items, first.items)
