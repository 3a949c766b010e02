"""Angles to behaviour against hand-worked cases, a loop from the equations, and scipy."""

from __future__ import annotations

import inspect
import json
import math
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import torch
from deviating import DIM, ITEMS, checkpoint_of, deviating
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from planted import planted_dataset
from scipy import stats
from scipy.spatial import distance

import becam
from becam.adapters import ADAPTERS
from becam.attribution.controls import DRIFT_DEGREES, OMISSION_DEGREES
from becam.contents import find_contents
from becam.data.dataset import Dataset
from becam.encoders.spec import EncoderRecord
from becam.errors import BecamError
from becam.evaluation import deviation as numbers
from becam.evaluation import deviation_summary
from becam.evaluation.deviation import compare, deviation, deviations, receivers
from becam.evaluation.deviation_report import to_markdown, write_deviations
from becam.evaluation.deviation_summary import NO_CATEGORY, summarise


def rows(*values):
    return torch.tensor(values, dtype=torch.float32)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def test_angles_by_hand():
    """e along an axis, of length 1 and 2; 45°, opposite, orthogonal, 60°, the same; and zeros."""
    behaviour = rows((1, 0), (1, 0), (0, 2), (0, 2), (0, 2), (0, 0), (1, 0))
    content = rows((1, 1), (-2, 0), (3, 0), (3**0.5, 1), (0, 7), (1, 2), (0, 0))
    found = compare(content, behaviour)
    nan = math.nan
    assert found.theta == pytest.approx([45, 180, 90, 60, 0, nan, nan], abs=1e-5, nan_ok=True)
    assert found.projection == pytest.approx([1, -2, 0, 1, 7, nan, 0], abs=1e-6, nan_ok=True)
    want = [1 - 0.5**0.5, 2, 1, 0.5, 0, nan, nan]
    assert found.deviation == pytest.approx(want, abs=1e-6, nan_ok=True)


LENGTHS = st.floats(0.0625, 100, width=32)
VECTORS = arrays(np.float32, (6, 5), elements=st.one_of(LENGTHS, LENGTHS.map(lambda x: -x)))


@given(VECTORS, VECTORS, st.floats(0.01, 100), st.floats(0.01, 100))
def test_angles_as_properties_and_against_scipy(content, behaviour, scale, stretch):
    a, e = torch.from_numpy(content), torch.from_numpy(behaviour)
    found = compare(a, e)
    assert ((found.theta >= 0) & (found.theta <= 180)).all()
    want = [
        distance.cosine(*map(np.float64, pair)) for pair in zip(content, behaviour, strict=True)
    ]
    assert found.deviation == pytest.approx(want, abs=1e-12)
    assert found.deviation == pytest.approx(1 - np.cos(np.radians(found.theta)), abs=1e-12)
    # p_i is parallel to e_i, and what is left of the content is orthogonal to it.
    unit = np.float64(behaviour) / np.linalg.norm(np.float64(behaviour), axis=1, keepdims=True)
    rest = content - found.projection[:, None] * unit
    lengths = np.linalg.norm(np.float64(content), axis=1)
    assert np.abs((rest * unit).sum(axis=1) / lengths).max() < 1e-12
    certain = np.abs(found.deviation - 1) > 1e-9
    assert ((found.projection < 0) == (found.theta > 90))[certain].all()
    # Lengths do not matter to angles; that of the content alone matters to the projection.
    scaled = compare(a.double() * scale, e.double() * stretch)
    assert scaled.theta == pytest.approx(found.theta, abs=1e-4)
    assert scaled.projection == pytest.approx(found.projection * scale, rel=1e-9, abs=1e-9)


@given(st.integers(2, 200), st.integers(0, 2**32))
def test_every_item_gets_the_content_of_one_other(n, seed):
    found = receivers(n, seed)
    assert sorted(found) == list(range(n))
    assert (found != np.arange(n)).all()
    assert (found == receivers(n, seed)).all()


def adapted(checkpoint, modality, z, e):
    """The adapters' equations on single vectors, in double precision."""
    name = checkpoint.adapter_name(modality)
    state = checkpoint.modalities[modality].adapter["state"]
    w = {key: value.double().numpy() for key, value in state.items()}
    if name == "none":
        return z
    if name == "lora":
        return z + w["b.weight"] @ (w["a.weight"] @ z)
    if name == "soft-prompt":
        return z + w["prompt"]
    config = checkpoint.modalities[modality].adapter["config"]
    units = config.get("units") or list(range(len(w["w1.bias"])))
    h = np.maximum(w["w1.weight"] @ z + w["w1.bias"], 0)
    lifted = np.array([e[unit % DIM] for unit in units])
    u = np.maximum(lifted * np.tanh(w["w2.weight"] @ h + w["w2.bias"]), 0)
    return e * sigmoid(w["w3.weight"] @ u + w["w3.bias"])


def between(a, b):
    """Degrees, and 1 - cos."""
    cosine = sum(x * y for x, y in zip(a, b, strict=True)) / (
        math.sqrt(sum(x * x for x in a)) * math.sqrt(sum(x * x for x in b))
    )
    return math.degrees(math.acos(cosine)), 1 - cosine


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_all_adapters_against_a_loop(adapter, tmp_path, monkeypatch):
    """In chunks of seven, the last one not full."""
    monkeypatch.setattr(numbers, "_ROWS", 7)
    checkpoint, dataset = deviating(tmp_path / "data", adapter)
    found = deviation(checkpoint, dataset=dataset, seed=3)
    assert [(each.modality, each.adapter) for each in found] == [
        ("image", adapter),
        ("text", adapter),
    ]
    circle = receivers(ITEMS, 3)
    for each in found:
        features = dataset.feature_set("plain").load(each.modality)
        trained = checkpoint.modalities[each.modality]
        weight, bias = (
            x.double().numpy() for x in (trained.projection_weight, trained.projection_bias)
        )
        table = each.items
        assert table["id"].to_list() == dataset.item_ids
        assert table["category"].to_list() == dataset.items["category"].to_list()
        for i in range(ITEMS):
            e = checkpoint.item_embeddings[i].double().numpy()
            (other,) = np.flatnonzero(circle == i)
            contents = {"": features[i], "_permuted": features[other]}
            for control, content in contents.items():
                z = weight @ content + bias
                for when, value in (
                    ("before", z),
                    ("after", adapted(checkpoint, each.modality, z, e)),
                ):
                    row = table.row(i, named=True)
                    theta, f = between(value, e)
                    assert row[f"theta{control}_{when}"] == pytest.approx(theta, abs=1e-3)
                    if control:
                        continue
                    assert row[f"deviation_{when}"] == pytest.approx(f, abs=1e-6)
                    length = float(value @ e) / math.sqrt(float(e @ e))
                    assert row[f"projection_{when}"] == pytest.approx(length, abs=1e-5)
                    assert row[f"omission_{when}"] == (theta > 60)
                    assert row[f"drift_{when}"] == (theta > 90)
        if adapter != "none":
            assert (table["theta_before"] - table["theta_after"]).abs().max() > 1


def test_items_are_found_by_their_ids(tmp_path):
    """The checkpoint knows other items too, and in another order."""
    checkpoint, dataset = deviating(tmp_path / "data")
    ids = ["unknown", *reversed(dataset.item_ids[5:])]
    turned = checkpoint_of(dataset, ids=ids)
    (image, _) = deviation(turned, dataset=dataset)
    assert image.items["id"].to_list() == dataset.item_ids[5:]
    features = dataset.feature_set("plain").load("image")
    head = turned.head("image")
    for row in image.items.iter_rows(named=True):
        content = head.project(torch.tensor(features[dataset.item_ids.index(row["id"])]))
        e = turned.item_embeddings[ids.index(row["id"])]
        theta, _ = between(content.tolist(), e.tolist())
        assert row["theta_before"] == pytest.approx(theta, abs=1e-3)
        assert row["category"] == f"taste {int(row['id']) % 5}"
    assert deviation(checkpoint, dataset=dataset)[0].items["id"].to_list() == dataset.item_ids


def test_features_that_the_checkpoint_trained_come_first(tmp_path):
    frozen, dataset = deviating(tmp_path / "data")
    moved = -torch.from_numpy(np.array(dataset.feature_set("plain").load("image")))
    trained = checkpoint_of(dataset, trained=moved)
    (alone, _), (with_data, _) = deviation(trained), deviation(trained, dataset=dataset.path)
    assert alone.items["category"].null_count() == ITEMS
    assert with_data.items["category"].null_count() == 0
    same = [name for name in alone.items.columns if name != "category"]
    assert alone.items.select(same).equals(with_data.items.select(same))
    head = trained.head("image")
    want = compare(head.project(moved), trained.item_embeddings)
    assert alone.items["theta_before"].to_numpy() == pytest.approx(want.theta)
    stored = deviation(frozen, dataset=dataset)[0].items["theta_before"]
    assert (stored - alone.items["theta_before"]).abs().max() > 5
    assert alone.summary.categories["category"].to_list() == [None]


def test_which_feature_set(tmp_path):
    """The file of the training by its hash; else one by the same encoder, if that is enough."""
    dataset = planted_dataset(tmp_path / "data", n_items=ITEMS, features=("a", "b", "plain"))
    checkpoint = checkpoint_of(dataset)
    matrices = {name: dataset.feature_set(name).load("image") for name in ("a", "b", "plain")}

    def chosen(encoder=None, **training):
        changed = replace(checkpoint, training=training)
        if encoder is not None:
            record = EncoderRecord(encoder).to_dict()
            image = replace(checkpoint.modalities["image"], encoder=record)
            changed = replace(changed, modalities={"image": image})
        found = find_contents(changed, "image", dataset)
        (name,) = [n for n, matrix in matrices.items() if np.array_equal(matrix, found.matrix)]
        return name

    hashes = {name: dataset.feature_set(name).records["image"]["sha256"] for name in matrices}
    assert chosen(features={"sha256": {"image": hashes["b"]}}) == "b"
    assert chosen(encoder="tfidf", features={"sha256": {"image": hashes["plain"]}}) == "plain"
    assert chosen(features={"sha256": {"image": "0"}}) == "a"  # any by the same encoder
    assert chosen() == "a"
    for encoder in ("another", "tfidf", "tfidf,dim=6"):
        with pytest.raises(BecamError, match="no features of the checkpoint's encoder"):
            chosen(encoder=encoder)
    found = find_contents(checkpoint, "image", dataset, features="b")
    assert np.array_equal(found.matrix, matrices["b"])


@pytest.mark.parametrize("spec", [None, "tfidf", "tfidf,dim=12"])
def test_an_encoder_that_does_not_decide_the_features(spec, tmp_path):
    """TF-IDF fitted on other texts has other axes, and an unknown encoder may be any."""
    record = EncoderRecord(spec).to_dict()
    dataset = planted_dataset(tmp_path / "data", n_items=ITEMS)
    path = dataset.path / "features" / "plain" / "features.json"
    path.write_text(path.read_text().replace('{\n        "spec": "test"\n      }', "RECORD"))
    path.write_text(path.read_text().replace("RECORD", json.dumps(record)))
    dataset = Dataset.open(dataset.path)
    assert dataset.feature_set("plain").encoders["text"] == record
    checkpoint = checkpoint_of(dataset)
    modalities = {n: replace(m, encoder=record) for n, m in checkpoint.modalities.items()}
    checkpoint = replace(checkpoint, modalities=modalities)
    assert len(deviation(checkpoint, dataset=dataset)) == 2
    with pytest.raises(BecamError, match="no features of the checkpoint's encoder"):
        deviation(replace(checkpoint, training={}), dataset=dataset)


def test_errors_name_the_way_out(tmp_path):
    checkpoint, dataset = deviating(tmp_path / "data")
    with pytest.raises(BecamError, match="--dataset"):
        deviation(checkpoint)
    pictures = replace(checkpoint, modalities={"image": checkpoint.modalities["image"]})
    with pytest.raises(BecamError, match=r"without text features.*--modality text"):
        deviation(pictures, dataset=dataset, modalities=["image", "text"])
    (only,) = deviation(checkpoint, dataset=dataset, modalities=["text"])
    assert only.modality == "text"
    strangers = replace(checkpoint, item_ids=[f"x{i}" for i in range(ITEMS)])
    with pytest.raises(BecamError, match="no item that the checkpoint knows"):
        deviation(strangers, dataset=dataset)
    trained = checkpoint_of(dataset, ids=strangers.item_ids, trained=torch.randn(ITEMS, 12))
    with pytest.raises(BecamError, match="no item that the checkpoint knows"):
        deviation(trained, dataset=dataset)
    for degrees in (0, -3, 90.1, math.nan):
        with pytest.raises(BecamError, match="--omission"):
            deviation(checkpoint, dataset=dataset, omission=degrees)
    with pytest.raises(BecamError, match="2 labels"):
        deviation(checkpoint, dataset=dataset, labels=["a", "b"])


def frame(theta_before, theta_after, permuted=(90.0, 90.0), categories=None, omission=60.0):
    """Items with given angles; null where an angle is NaN."""
    n = len(theta_before)
    table = pl.DataFrame(
        {
            "id": [f"i{k:03d}" for k in range(n)],
            "category": pl.Series(
                [None] * n if categories is None else categories, dtype=pl.String
            ),
            "checkpoint": ["c"] * n,
            "modality": ["image"] * n,
            "theta_before": theta_before,
            "theta_after": theta_after,
            "theta_permuted_before": np.full(n, permuted[0]),
            "theta_permuted_after": np.full(n, permuted[1]),
        }
    ).with_columns(pl.col(pl.Float64).fill_nan(None))
    whens = ("before", "after")
    return table.with_columns(
        *((1 - pl.col(f"theta_{w}").radians().cos()).alias(f"deviation_{w}") for w in whens),
        *((pl.col(f"theta_{w}") > omission).alias(f"omission_{w}") for w in whens),
        *((pl.col(f"theta_{w}") > 90).alias(f"drift_{w}") for w in whens),
    )


def summed(items, adapter="befa", **changes):
    options = {"label": "BM3", "modality": "image", "adapter": adapter, "omission": 60.0}
    return summarise(items, **{**options, **changes})


def test_means_shares_and_tests_of_each_category():
    rng = np.random.default_rng(0)
    before, after = rng.uniform(40, 130, 60), rng.uniform(30, 110, 60)
    categories = ["dress"] * 30 + ["coat"] * 20 + [None] * 10
    before[3] = np.nan
    found = summed(frame(before, after, categories=categories)).categories
    assert found["category"].to_list() == [None, "dress", "coat", NO_CATEGORY]
    assert found["n"].to_list() == [59, 29, 20, 10]
    known = ~np.isnan(before)
    groups = [
        np.ones(60, bool),
        *(np.array([c == name for c in categories]) for name in ("dress", "coat", None)),
    ]
    p = []
    for row, group in zip(found.iter_rows(named=True), groups, strict=True):
        for when, theta in (("before", before[group & known]), ("after", after[group & known])):
            assert row[f"theta_{when}"] == pytest.approx(theta.mean())
            assert row[f"omission_{when}"] == pytest.approx(np.mean(theta > 60))
            assert row[f"drift_{when}"] == pytest.approx(np.mean(theta > 90))
            delta = 1 - np.cos(np.radians(theta)).mean()
            assert row[f"deviation_{when}"] == pytest.approx(delta)
            interval = stats.bootstrap(
                (theta,), np.mean, n_resamples=4000, method="percentile", rng=rng
            ).confidence_interval
            slack = 0.2 * theta.std() / len(theta) ** 0.5
            assert row[f"theta_{when}_low"] == pytest.approx(interval.low, abs=slack)
            assert row[f"theta_{when}_high"] == pytest.approx(interval.high, abs=slack)
        chosen = group & known
        assert row["change"] == pytest.approx((after - before)[chosen].mean())
        p.append(stats.wilcoxon(after[chosen], before[chosen]).pvalue)
    assert found["p"].to_list() == pytest.approx(p)
    order, reached, want = np.argsort(p), 0.0, [0.0] * 4
    for place, k in enumerate(order):
        reached = max(reached, min(1.0, p[k] * (4 - place)))
        want[k] = reached
    assert found["p_holm"].to_list() == pytest.approx(want)


def test_intervals_of_many_items_are_normal(monkeypatch):
    theta = np.random.default_rng(1).uniform(20, 120, 500)
    monkeypatch.setattr(deviation_summary, "_LARGE", 499)
    row = summed(frame(theta, theta / 2)).overall
    low, high = stats.norm.interval(0.95, theta.mean(), stats.sem(theta))
    assert (row["theta_before_low"], row["theta_before_high"]) == pytest.approx(
        (low, high), abs=1e-3
    )
    monkeypatch.undo()
    resampled = summed(frame(theta, theta / 2)).overall
    assert resampled["theta_before_low"] != row["theta_before_low"]
    assert resampled["theta_before_low"] == pytest.approx(low, abs=0.3)


def test_histograms_and_the_farthest_items():
    theta = [0.0, 0.5, 1.0, 59.99, 60.0, 90.0, 179.5, 180.0, np.nan]
    found = summed(frame(theta, np.full(9, 12.5)))
    counts = found.histograms["theta_before"]
    assert {int(k): int(counts[k]) for k in counts.nonzero()[0]} == {
        0: 2, 1: 1, 59: 1, 60: 1, 90: 1, 179: 2,
    }  # fmt: skip
    assert found.histograms["theta_after"][12] == 8  # the item without an angle is nowhere
    assert found.undefined == 1
    assert "do not count: 1." in found.sentences()[-1]
    farthest = found.farthest["before"]
    assert [item["id"] for item in farthest[:4]] == ["i007", "i006", "i005", "i004"]
    assert farthest[0]["theta_after"] == 12.5
    assert [item["id"] for item in found.farthest["after"][:3]] == ["i000", "i001", "i002"]


@pytest.mark.parametrize(
    ("adapter", "own", "control", "first", "nothing"),
    [
        ("befa", (80, 3.0), (89, 3.5), "After BeFA θ is small for any content", True),
        ("befa", (80, 3.0), (89, 4.0), "After BeFA θ is small for any content", True),
        ("befa", (80, 3.0), (89, 4.1), "After BeFA θ does depend on the content", False),
        ("lora", (89, 89.0), (89, 89.5), "After LoRA θ says nothing about the item's", True),
        ("none", (89, 89.0), (89.5, 89.5), "Without an adapter θ says nothing", True),
        ("none", (70, 70.0), (89, 89.0), "Without an adapter θ does depend", False),
    ],
)
def test_what_an_angle_is_worth(adapter, own, control, first, nothing):
    found = summed(frame([own[0]] * 5, [own[1]] * 5, control), adapter)
    sentence, *others = found.sentences()
    assert sentence.startswith(first)
    assert ("says nothing about" in sentence) == nothing
    assert found.says_nothing("after") == nothing
    assert len(others) == (adapter != "none")


def test_befa_knows_no_content_and_aligned_content_is_seen(tmp_path):
    """Real adapters: BeFA's angle is small for any content; content made of e is nearer to e."""
    checkpoint, dataset = deviating(tmp_path / "data", "befa")
    for each in deviation(checkpoint, dataset=dataset):
        assert each.summary.says_nothing("after")
        assert each.summary.overall["theta_after"] < 45
    weight = checkpoint_of(dataset).modalities["image"].projection_weight
    aligned = checkpoint.item_embeddings @ torch.linalg.pinv(weight).T
    (image, _) = deviation(checkpoint_of(dataset, trained=aligned), dataset=dataset)
    assert image.summary.overall["theta_before"] < 40
    assert image.summary.overall["theta_permuted_before"] > 70
    assert not image.summary.says_nothing("before")


def test_zero_embeddings_and_a_single_item(tmp_path):
    checkpoint, dataset = deviating(tmp_path / "data", "lora")
    embeddings = checkpoint.item_embeddings.clone()
    embeddings[[2, 5]] = 0
    (image, _) = deviation(replace(checkpoint, item_embeddings=embeddings), dataset=dataset)
    assert image.summary.undefined == 2
    nulls = image.items.filter(pl.col("theta_before").is_null())
    assert nulls["id"].to_list() == ["0002", "0005"]
    assert nulls["drift_after"].null_count() == nulls["omission_before"].null_count() == 2
    (single, _) = deviation(checkpoint_of(dataset, ids=["0003"]), dataset=dataset)
    assert single.items["theta_permuted_before"].null_count() == 1
    assert "no second item" in single.summary.sentences()[0]
    assert single.summary.overall["theta_before_low"] is None
    nobody = replace(checkpoint, item_embeddings=torch.zeros(ITEMS, DIM))
    (none_left, _) = deviation(nobody, dataset=dataset)
    assert none_left.summary.overall["n"] == 0
    (line,) = (
        line for line in to_markdown([none_left.summary]).splitlines() if "all items" in line
    )
    assert line.split()[:6] == ["|", "all", "items", "|", "0", "|"]
    assert set(line.split()[6:]) == {"-", "|", "(n/a)"}


def test_what_is_written(tmp_path):
    checkpoint, dataset = deviating(tmp_path / "data", "befa")
    plain = checkpoint_of(dataset)
    labels = ["BM3 | plain", "BM3 + BeFA"]
    found = deviation([plain, checkpoint], dataset=dataset, labels=labels)
    folder = tmp_path / "out"
    folder.mkdir()
    lazily = deviations([plain, checkpoint], dataset=dataset, labels=labels)
    assert inspect.isgenerator(lazily)  # one at a time, however many there are
    summaries = write_deviations(lazily, folder, worst=3)
    names = {"items.parquet", "categories.parquet", "table.md", "worst.json"}
    assert {path.name for path in folder.iterdir()} == names
    written = pl.read_parquet(folder / "items.parquet")
    assert written.equals(pl.concat([each.items for each in found]))
    assert len(written) == 4 * ITEMS
    categories = pl.read_parquet(folder / "categories.parquet")
    assert len(categories) == 4 * 6  # all items and five tastes
    text = (folder / "table.md").read_text()
    assert "over 60°" in text
    assert "whatever the content" in text
    assert "## BM3 \\| plain: image" in text
    assert text.count("| all items | 40 | ") == len(summaries) == 4
    for each in summaries:
        for sentence in each.sentences():
            assert sentence in text
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    assert {line.replace("\\|", "").count("|") for line in lines} == {8, 14}
    change = found[2].summary.overall["change"]
    assert f"| {change:.1f}° [" in text
    assert deviation(plain, dataset=dataset, omission=75)[0].items["omission_before"].sum() == int(
        (found[0].items["theta_before"] > 75).sum()
    )


def test_it_is_exported_and_keeps_to_one_threshold():
    from becam.cli.deviation import deviation as command

    assert becam.deviation is deviation
    default = inspect.signature(command).parameters["omission"].default
    assert default == OMISSION_DEGREES < DRIFT_DEGREES
