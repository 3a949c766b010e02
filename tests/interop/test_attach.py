"""Another system's vectors to a checkpoint: against scikit-learn, loops and planted truth."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from planted import planted_dataset
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch.nn.functional import cosine_similarity

from becam.adapters import Identity, create_adapter
from becam.checkpoint import Checkpoint
from becam.errors import BecamError
from becam.interop.attach import attach
from becam.interop.matching import all_agreements, rank_of_own
from becam.interop.report import Agreement, Estimate, Ranks
from becam.interop.ridge import Moments, cross_validate, ridge, total
from becam.interop.vectors import NamedVectors, read_ids, read_vectors
from becam.training import evaluate

WIDTH = 12


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return planted_dataset(tmp_path_factory.mktemp("attach") / "dataset", n_items=300, width=WIDTH)


def truth(dataset, dim=6, noise=0.1, seed=0):
    """Vectors that are the pictures' features through a matrix, plus noise."""
    rng = np.random.default_rng(seed)
    x = dataset.feature_set().load("image")
    y = x @ rng.normal(size=(WIDTH, dim)) + 2 * rng.normal(size=dim)
    return (y + noise * rng.normal(size=y.shape)).astype(np.float32)


# Ridge from sums


def parts_of(x, y, part, origin=None):
    origin = origin or (x[0].astype(float), y[0].astype(float))
    return [Moments.of(x[part == k], y[part == k], *origin) for k in np.unique(part)]


@pytest.fixture(scope="module")
def table():
    """Columns that correlate, lie far from zero, are constant, or are on scales far apart."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=(90, 7)) @ rng.normal(size=(7, 20)) + rng.normal(size=(90, 20))
    x = x * np.logspace(-3, 3, 20) + 50
    x[:, 4] = 7.25
    y = x[:, :3] @ rng.normal(size=(3, 5)) + rng.normal(size=(90, 5)) - 10
    return x, y, rng.integers(4, size=90)


@pytest.mark.parametrize("penalty", [1e-4, 0.1, 1.0, 1e3])
def test_ridge_is_scikit_learns(table, penalty):
    x, y, part = table
    found = ridge(total(parts_of(x, y, part)), penalty)
    reference = make_pipeline(StandardScaler(), Ridge(alpha=penalty * len(x))).fit(x, y)
    assert np.allclose(found(x), reference.predict(x), rtol=1e-6, atol=1e-6)
    assert np.all(found.weight[:, 4] == 0)


def test_cross_validation_is_scikit_learns(table):
    x, y, part = table
    penalties = [1e-4, 1e-2, 1.0, 100.0]
    expected = []
    for penalty in penalties:
        errors = floor = 0.0
        for k in range(4):
            seen, unseen = part != k, part == k
            model = make_pipeline(StandardScaler(), Ridge(alpha=penalty * seen.sum()))
            errors += ((y[unseen] - model.fit(x[seen], y[seen]).predict(x[unseen])) ** 2).sum()
            floor += ((y[unseen] - y[seen].mean(0)) ** 2).sum()
        expected.append(1 - errors / floor)
    assert np.allclose(cross_validate(parts_of(x, y, part), penalties), expected, atol=1e-6)


@settings(max_examples=25)
@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.integers(1, 3), st.integers(1, 40))
def test_moments_add_up_and_their_origin_does_not_matter(seed, p, q, n):
    rng = np.random.default_rng(seed)
    x, y, part = rng.normal(size=(n, p)), rng.normal(size=(n, q)), rng.integers(3, size=n)
    whole = ridge(Moments.of(x, y, np.zeros(p), np.zeros(q)), 0.3)
    origin = rng.normal(size=p), rng.normal(size=q)
    pieces = ridge(total([Moments.none(*origin), *parts_of(x, y, part, origin)]), 0.3)
    assert np.allclose(whole.weight, pieces.weight, atol=1e-8)
    assert np.allclose(whole.bias, pieces.bias, atol=1e-8)


def test_a_column_that_only_the_others_vary_in_counts_for_nothing():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(30, 3)), rng.normal(size=(30, 2))
    x[:, 1] = 0.1
    x[0, 1] = 1e4  # the origin of the sums, and not among the rows
    found = ridge(Moments.of(x[1:], y[1:], x[0], y[0]), 0.1)
    assert np.abs(found.weight[:, 1]).max() < 1e-9


# Agreement


@pytest.mark.parametrize("adapter", ["none", "befa", "lora"])
def test_agreement_is_becams_weight(adapter):
    """Target by target and content by content, as a heatmap gets its weights."""
    torch.manual_seed(0)
    g = create_adapter(adapter, 16).eval()
    z, e = torch.randn(7, 16), torch.randn(5, 16)
    found = all_agreements(g, z, e)
    assert found.shape == (5, 7)
    for j in range(5):
        for c in range(7):
            with torch.no_grad():
                adapted = g(z[c : c + 1], e[j : j + 1])[0]
            assert found[j, c] == pytest.approx(
                float(cosine_similarity(adapted, e[j], dim=0)), abs=1e-6
            )


def test_ranks_count_what_is_beaten():
    scores = np.array([[0.5, 0.1, 0.9], [0.2, 0.2, 0.1], [0.3, 0.3, 0.3]])
    assert rank_of_own(scores).tolist() == [1.0, 1.5, 1.0]


def test_intervals_cover_the_truth_nineteen_times_in_twenty():
    rng = np.random.default_rng(3)
    found = [Estimate.of(rng.normal(2, 1, 80), 0.0, rng) for _ in range(300)]
    covered = np.mean([e.low <= 2 <= e.high for e in found])
    assert 0.9 < covered < 0.98


# The whole


def test_planted_truth_is_found_and_noise_is_not(dataset):
    report = attach(dataset, truth(dataset), dataset.item_ids).report
    image = report.modalities["image"]
    assert image.r2.low > 0.95
    assert image.says_something
    assert image.projected.content.value > 0.95
    assert report.verdicts()[0].startswith("The picture says something")
    # Text features share the tastes but not their noise.
    assert 0 < report.modalities["text"].r2.value < image.r2.low
    noise = np.random.default_rng(0).normal(size=(300, 6))
    nothing = attach(dataset, noise, dataset.item_ids, modalities=["image"]).report
    assert nothing.modalities["image"].r2.value < 0.05
    assert nothing.verdicts()[0] == (
        "The picture says nothing about these vectors: heatmaps will be noise."
    )


def test_noise_is_seldom_taken_for_something():
    rng = np.random.default_rng(5)
    zero = Estimate(0.0, 0.0, 0.0, 0.0)
    taken = 0
    for _ in range(100):
        z, e = (torch.from_numpy(rng.normal(size=(60, 5))).float() for _ in range(2))
        ranks = Ranks.of(all_agreements(Identity(5), z, e), rng)
        taken += Agreement(1.0, 60, zero, zero, ranks).says_something
    assert taken <= 2


def test_the_report_is_what_scikit_learn_says_of_unseen_items(dataset):
    """Refit by hand on the items that the report did not hold out."""
    from becam.interop.attach import _match

    vectors = truth(dataset, noise=2.0)
    named = NamedVectors.clean(vectors, dataset.item_ids, "item")
    attached = attach(dataset, vectors, dataset.item_ids, modalities=["image"], seed=4)
    found = attached.report.modalities["image"]
    items = _match(dataset, named, 5, 0.1, 4)
    unseen = items.of(5)
    assert len(unseen) == found.held_out == 30
    seen = np.setdiff1d(np.arange(300), unseen)
    x = np.array(dataset.feature_set().load("image"), dtype=float)
    model = make_pipeline(StandardScaler(), Ridge(alpha=found.penalty * len(seen)))
    predicted = model.fit(x[seen], vectors[seen]).predict(x[unseen])
    truths = vectors[unseen].astype(float)
    residual = ((truths - predicted) ** 2).sum() / ((truths - vectors[seen].mean(0)) ** 2).sum()
    assert found.r2.value == pytest.approx(1 - residual, abs=1e-5)
    # scikit-learn's floor knows the mean of the unseen items, which nobody could predict.
    weighted = r2_score(truths, predicted, multioutput="variance_weighted")
    assert weighted <= found.r2.value + 1e-9
    cosines = (
        predicted @ truths.T / np.outer(*(np.linalg.norm(a, axis=1) for a in (predicted, truths)))
    )
    assert found.cosine.value == pytest.approx(np.diag(cosines).mean(), abs=1e-5)
    beaten = [np.mean(np.delete(cosines[:, j], j) < cosines[j, j]) for j in range(30)]
    assert found.projected.content.value == pytest.approx(np.mean(beaten), abs=1e-5)
    first = [np.sum(cosines[i] > cosines[i, i]) < 10 for i in range(30)]
    assert found.projected.vector_recall.value == pytest.approx(np.mean(first), abs=1e-5)
    assert found.projected.vector_recall.floor == pytest.approx(10 / 30)
    # The checkpoint's projection has seen all items.
    modality = attached.checkpoint.modalities["image"]
    whole = make_pipeline(StandardScaler(), Ridge(alpha=found.penalty * 300)).fit(x, vectors)
    features = torch.from_numpy(x).float()
    projected = features @ modality.projection_weight.T + modality.projection_bias
    assert np.allclose(projected, whole.predict(x), atol=1e-4)


def test_held_out_items_teach_nothing(dataset):
    """Ruining the held-out items' vectors changes neither the penalty nor the floor's mean."""
    from becam.interop.attach import _match
    from becam.interop.learning import learn

    named = NamedVectors.clean(truth(dataset), dataset.item_ids, "item")
    items = _match(dataset, named, 5, 0.1, 0)
    content = dataset.feature_set().load("image")
    chosen = []
    for ruin in (0.0, 1e3):
        vectors = items.vectors.clone()
        vectors[torch.from_numpy(items.of(5))] += ruin * torch.randn(30, 6)
        changed = type(items)(items.rows, vectors, items.part, items.folds)
        rng = np.random.default_rng(0)
        chosen.append(learn(content, changed, create_adapter("none", 6), rng)[2])
    assert chosen[0].penalty == chosen[1].penalty
    assert chosen[0].r2.value > 0.9 > chosen[1].r2.value


def test_the_checkpoint_has_the_items_that_have_a_vector(dataset, tmp_path):
    vectors = np.concatenate([truth(dataset), np.ones((2, 6), np.float32)])
    ids = [*dataset.item_ids, "not-in-the-dataset", "nor-this"]
    vectors[3] = 0
    vectors[4, 1] = np.nan
    vectors[5, 1] = np.inf
    order = np.random.default_rng(0).permutation(302)[:-20]
    vectors, ids = vectors[order], [ids[i] for i in order]
    users = np.random.default_rng(1).normal(size=(9, 6))
    users[2] = 0
    attached = attach(
        dataset, vectors, ids, user_vectors=users, user_ids=[f"user-{i}" for i in range(9)]
    )
    report, usable = attached.report, np.isfinite(vectors).all(1) & vectors.any(1)
    assert report.vectors == 282
    assert report.zero + report.not_finite == 282 - usable.sum() > 0
    assert report.matched == sum(
        usable[k] and i in set(dataset.item_ids) for k, i in enumerate(ids)
    )
    assert report.matched + report.without_vector == dataset.n_items
    assert report.matched + report.without_content == usable.sum()
    attached.checkpoint.save(tmp_path / "my.pt")
    loaded = Checkpoint.load(tmp_path / "my.pt")
    assert loaded.item_ids == [i for k, i in enumerate(ids) if usable[k]]
    for k in np.flatnonzero(usable)[::50]:
        row = loaded.item_embeddings[loaded.item_index(ids[k])]
        assert np.array_equal(row.numpy(), vectors[k])
    assert loaded.user_ids == [f"user-{i}" for i in range(9) if i != 2]
    assert report.users_left_out == 1
    assert loaded.training["attach"] == report.to_dict()
    json.dumps(loaded.training)  # plain values alone
    assert set(loaded.training["features"]["sha256"]) == {"image", "text"}
    with pytest.raises(BecamError, match="no recommender to rank with"):
        evaluate(loaded, dataset)


def test_the_same_call_gives_the_same_checkpoint(dataset):
    first, again = (attach(dataset, truth(dataset), dataset.item_ids) for _ in range(2))
    assert first.report == again.report
    weights = [a.checkpoint.modalities["image"].projection_weight for a in (first, again)]
    assert torch.equal(*weights)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_one_column_and_any_float_will_do(dataset, dtype):
    vectors = truth(dataset, dim=1).astype(dtype)
    attached = attach(dataset, vectors, dataset.item_ids, modalities=["text"])
    assert attached.checkpoint.item_embeddings.shape == (300, 1)
    assert list(attached.checkpoint.modalities) == ["text"]


# Adapters


@pytest.fixture(scope="module")
def with_befa(dataset):
    """Tiny vectors, as implicit factorisation gives them."""
    return attach(
        dataset,
        truth(dataset, noise=1.0) * np.float32(1e-3),
        dataset.item_ids,
        adapter="befa",
        modalities=["image"],
    )


def test_befa_is_measured_by_what_it_cannot_game(with_befa):
    found = with_befa.report.modalities["image"]
    assert found.adapted.content.low > 0.6
    assert found.gain.value == pytest.approx(
        found.adapted.content.value - found.projected.content.value
    )
    words = " ".join(with_befa.report.verdicts())
    assert "times a gate" in words
    assert "BeFA" in words


def test_befa_on_noise_says_nothing(dataset):
    """A gate on the item's own vector would agree with it by .9; the ranks do not fall for that."""
    noise = np.random.default_rng(0).normal(size=(300, 6))
    attached = attach(
        dataset, noise, dataset.item_ids, adapter="befa", modalities=["image"], seed=1
    )
    assert not attached.report.modalities["image"].says_something
    head = attached.checkpoint.head("image")
    e = attached.checkpoint.item_embeddings
    x = torch.from_numpy(np.array(dataset.feature_set().load("image")))
    assert cosine_similarity(head(x, e), e).mean() > 0.6


def test_an_adapter_gets_vectors_of_a_scale_it_can_learn_from(with_befa, dataset):
    e = with_befa.checkpoint.item_embeddings
    assert 0.7 < e.square().mean().sqrt() < 1.5
    given = torch.from_numpy(truth(dataset, noise=1.0) * np.float32(1e-3))
    assert torch.equal(e, given * with_befa.report.scale)
    assert float(with_befa.report.scale).hex().startswith("0x1.0000")


def test_options_reach_the_adapter(dataset):
    attached = attach(
        dataset,
        truth(dataset),
        dataset.item_ids,
        adapter="lora",
        adapter_options={"rank": "2"},
        modalities=["text"],
    )
    assert attached.checkpoint.modalities["text"].adapter["config"] == {"rank": 2}


# What can be wrong


def failing(dataset, vectors, ids, **options):
    with pytest.raises(BecamError) as caught:
        attach(dataset, vectors, ids, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_bad_vectors_and_ids_are_one_sentence(dataset):
    good, ids = truth(dataset), dataset.item_ids
    assert "299 ids" in failing(dataset, good, ids[1:])
    assert "'0001' names more than one" in failing(dataset, good, [*ids[:-1], "0001"])
    assert "int64" in failing(dataset, good.astype(int), ids)
    assert "(300,)" in failing(dataset, good[:, 0], ids)
    assert "All 300 item vectors" in failing(dataset, good * np.nan, ids)
    assert "all the same" in failing(dataset, np.ones_like(good), ids)
    assert "both or neither" in failing(dataset, good, ids, user_vectors=good)
    assert "6 columns and user vectors 5" in failing(
        dataset, good, ids, user_vectors=good[:, :5], user_ids=ids
    )
    for options, said in [
        ({"folds": 1}, "--folds"),
        ({"held_out": 0.0}, "--held-out"),
        ({"held_out": float("nan")}, "--held-out"),
        ({"adapter": "nonsense"}, "nonsense"),
        ({"adapter": "befa", "adapter_options": {"size": 3}}, "size"),
        ({"features": "nonsense"}, "nonsense"),
        ({"modalities": ["sound"]}, "sound"),
    ]:
        assert said in failing(dataset, good, ids, **options)


def test_ids_that_lost_their_zeros_show_both_sides(dataset):
    said = failing(dataset, truth(dataset), [str(int(i)) for i in dataset.item_ids])
    assert "'0000', '0001', '0002'" in said
    assert "'0', '1', '2'" in said
    assert "leading zeros" in said


def test_ids_are_text_from_any_file(tmp_path):
    names = ["007", "8", "a,b", "ü"]
    quoted = '\ufeffitem_id\r\n007\r\n8\r\n"a,b"\r\nü\r\n'
    (tmp_path / "quoted.csv").write_bytes(quoted.encode())
    assert read_ids(tmp_path / "quoted.csv", 4, {"007"}) == names
    (tmp_path / "plain.txt").write_text("007\n8\n9")
    assert read_ids(tmp_path / "plain.txt", 3, ()) == ["007", "8", "9"]
    # Not a header but an id too many, which attach then says.
    assert read_ids(tmp_path / "plain.txt", 2, {"007"}) == ["007", "8", "9"]
    np.save(tmp_path / "text.npy", np.array(names))
    assert read_ids(tmp_path / "text.npy", 4, ()) == names
    np.save(tmp_path / "whole.npy", np.array([7, 8]))
    assert read_ids(tmp_path / "whole.npy", 2, ()) == ["7", "8"]


def test_bad_files_are_one_sentence(tmp_path):
    (tmp_path / "columns.csv").write_text("row,id\n0,007\n")
    (tmp_path / "gap.csv").write_text("1\n\n2\n")
    (tmp_path / "bytes.csv").write_bytes(b"\xff\xfe\x00")
    np.save(tmp_path / "floats.npy", np.array([1.0, 2.0]))
    for name, said in [
        ("columns.csv", "2 columns"),
        ("gap.csv", "Line 2"),
        ("bytes.csv", "not UTF-8"),
        ("floats.npy", "float64"),
        ("none.csv", "no file"),
    ]:
        with pytest.raises(BecamError, match=said):
            read_ids(tmp_path / name, 2, ())
    np.save(tmp_path / "objects.npy", np.array([{}], dtype=object), allow_pickle=True)
    np.savez(tmp_path / "several.npz", a=np.zeros(2))
    (tmp_path / "cut.npy").write_bytes(b"\x93NUMPY")
    for name, said in [
        ("objects.npy", "could run code"),
        ("several.npz", "several arrays"),
        ("cut.npy", "damaged"),
        ("none.npy", "no file"),
        (".", "is a folder"),
    ]:
        with pytest.raises(BecamError, match=said):
            read_vectors(tmp_path / name)
