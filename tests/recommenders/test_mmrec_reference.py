"""Every recommender against what the reference implementation computed on one dataset."""

import json

import numpy as np
import pytest
import torch
from zoo import SHARED

from becam.recommenders import Batch, TrainingData, create_recommender
from becam.training.ranking import rank_users

REFERENCE = SHARED / "reference" / "mmrec"
MODALITIES = ("image", "text")
pytestmark = pytest.mark.skipif(
    not REFERENCE.exists(), reason="the reference's numbers (../shared/reference/mmrec) are absent"
)

# What the reference ran with: one layer, weights of 1e-3, no dropout.
SETTINGS = {
    "bm3": ("BM3", {"options": {"layers": 1, "dropout": 0.0, "reg_weight": 1e-3}}),
    "lattice": ("LATTICE", {"options": {"reg_weight": 1e-3}}),
    "freedom": ("FREEDOM", {"options": {"dropout": 0.0, "reg_weight": 1e-3}}),
    "mgcn": ("MGCN", {"options": {"reg_weight": 1e-3, "contrast_weight": 0.01}}),
    "lattice-befa-released": (
        "LATTICE_BeFA",
        {
            "options": {"reg_weight": 1e-3},
            "adapter": "befa",
            "adapter_options": {"variant": "released", "dropout": 0.0},
        },
    ),
}


def _parameter_names(name):
    """Our parameters' names by the reference's; for features, without a shape of their own."""
    names = {
        "user_embedding": "user_embedding.weight",
        "item_embedding": "item_id_embedding.weight",
    }
    for m, letter in zip(MODALITIES, "vt", strict=True):
        names[f"features.{m}.rows"] = f"{m}_embedding.weight"
        for part in ("weight", "bias"):
            names[f"projections.{m}.{part}"] = f"{m}_trs.{part}"
            if name == "mgcn":
                names[f"gates.{m}.{part}"] = f"gate_{letter}.0.{part}"
                names[f"preferences.{m}.{part}"] = f"gate_{m}_prefer.0.{part}"
            if name == "lattice-befa-released":
                for ours, theirs in (("w1", 0), ("w2", 4), ("w3", 7)):
                    names[f"adapters.{m}.{ours}.{part}"] = f"BeFA_{letter}.{theirs}.{part}"
    if name == "bm3":
        names |= {f"predictor.{part}": f"predictor.{part}" for part in ("weight", "bias")}
    if name == "lattice":
        names["modality_weights"] = "modal_weight"
    if name == "mgcn":
        names |= {
            "query.0.weight": "query_common.0.weight",
            "query.0.bias": "query_common.0.bias",
            "query.2.weight": "query_common.2.weight",
        }
    return names


class Reference:
    """One recommender at the reference's initial weights, beside what the reference computed."""

    def __init__(self, name):
        file, config = SETTINGS[name]
        with np.load(REFERENCE / f"{file}.npz", allow_pickle=False) as archive:
            self.numbers = dict(archive)
        table = np.loadtxt(REFERENCE / "synth2k.inter", skiprows=1)
        pairs, label = table[:, :2].astype(np.int64), table[:, 4]
        self.train, self.validation, self.test = (pairs[label == k] for k in range(3))
        self.features = {
            m: np.load(REFERENCE / f"{m}_feat.npy", allow_pickle=False) for m in MODALITIES
        }
        self.names = _parameter_names(name)
        self.model = create_recommender(
            name,
            TrainingData(
                len(self.numbers["w.user_embedding.weight"]),
                len(self.numbers["w.item_id_embedding.weight"]),
                self.train,
                self.features,
            ),
            features_mode="trainable",
            **config,
        )
        with torch.no_grad():
            for ours, theirs in self.names.items():
                start = self.numbers.get(f"w.{theirs}")
                if start is None:
                    start = self.features[theirs.split("_")[0]]
                self.model.get_parameter(ours).copy_(torch.from_numpy(start))

    def matrix(self, key, shape):
        rows, columns = torch.from_numpy(self.numbers[f"{key}.idx"].astype(np.int64))
        dense = torch.zeros(shape)
        dense[rows, columns] = torch.from_numpy(self.numbers[f"{key}.val"])
        return dense


@pytest.fixture(params=sorted(SETTINGS))
def name(request):
    return request.param


@pytest.fixture
def reference(name):
    return Reference(name)


def _relative(got, want):
    return np.linalg.norm(got - want) / np.linalg.norm(want)


def test_a_training_step(reference):
    model, numbers, names = reference.model, reference.numbers, reference.names
    assert set(names) == {key for key, _ in model.named_parameters()}
    model.train()
    batch = Batch(*torch.from_numpy(numbers["batch"].astype(np.int64)))
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
    loss = sum(model.loss(batch).values())
    assert loss.item() == pytest.approx(numbers["loss"].item(), rel=1e-5)
    loss.backward()
    for ours, theirs in names.items():
        # In float32, as the reference took it: that alone is worth up to 2.6e-5.
        norm = model.get_parameter(ours).grad.norm().item()
        # FREEDOM's biases cancel in p - n: what is left of their gradients is rounding.
        want = numbers[f"gnorm.{theirs}"].item()
        assert norm == pytest.approx(want, rel=1e-5, abs=1e-11), ours
    before = {ours: model.get_parameter(ours).detach().numpy().copy() for ours in names}
    optimiser.step()
    for ours, theirs in names.items():
        want = numbers[f"w1.{theirs}"]
        got = model.get_parameter(ours).detach().numpy()[: len(want)]
        if numbers[f"gnorm.{theirs}"] < 1e-11:
            continue
        assert _relative(got, want) < 1e-5, ours
        start = before[ours][: len(want)]
        moved = np.abs(want - start) > 0
        if moved.any():
            # Of the step itself: a gradient near Adam's epsilon turns rounding into per cents.
            assert _relative((got - start)[moved], (want - start)[moved]) < 5e-3, ours


def test_embeddings_ranking_and_metrics(name, reference):
    model, numbers = reference.model.eval(), reference.numbers
    with torch.no_grad():
        users, items = model.embeddings()
        want = [torch.from_numpy(numbers[f"{side}_emb"]) for side in ("user", "item")]
        if name == "bm3":  # its file holds H, before the predictor; its ranking comes after it
            want = [model.predictor(x) for x in want]
        for got, expected in zip((users, items), want, strict=True):
            assert _relative(got.numpy(), expected.numpy()) < 1e-5
        scores = users @ items.T
        train = reference.train
        scores[train[:, 0], train[:, 1]] = -torch.inf
        top = scores[numbers["test_users"][:200]].topk(50).indices
        np.testing.assert_array_equal(top, numbers["top50"])
        for split, key in ((reference.validation, "valid"), (reference.test, "test")):
            got = rank_users(lambda rows: users[rows] @ items.T, len(items), split, train).mean()
            expected = json.loads(str(numbers[f"metrics_{key}"]))
            assert got == pytest.approx({k: expected[k] for k in got}, abs=1e-9)


def test_adjacency(reference):
    adjacency = reference.model.adjacency
    want = reference.matrix("norm_adj", adjacency.shape)
    torch.testing.assert_close(adjacency.to_dense(), want, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("name", ["mgcn", "lattice-befa-released"])
def test_views_over_content(reference):
    for m in MODALITIES:
        graph = reference.model.item_graphs[m]
        want = reference.matrix(f"{m}_original_adj", graph.shape)
        torch.testing.assert_close(graph.to_dense(), want, rtol=1e-5, atol=1e-6)
    users = reference.model.user_view
    torch.testing.assert_close(users.to_dense(), reference.matrix("R", users.shape))


@pytest.mark.parametrize("name", ["lattice"])
def test_the_fixed_item_graph(reference):
    model = reference.model
    for m in MODALITIES:
        dense = torch.zeros(model.n_items, model.n_items)
        dense.scatter_(
            1, model.get_buffer(f"fixed_items_{m}"), model.get_buffer(f"fixed_weights_{m}")
        )
        want = reference.matrix(f"{m}_original_adj", dense.shape)
        torch.testing.assert_close(dense, want, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["freedom"])
def test_the_frozen_item_graph_and_the_edges_chances(reference):
    model, numbers = reference.model, reference.numbers
    want = reference.matrix("mm_adj", model.item_graph.shape)
    torch.testing.assert_close(model.item_graph.to_dense(), want, rtol=1e-5, atol=1e-7)
    # The reference has its edges in another order.
    assert sorted(model._chances) == pytest.approx(sorted(numbers["edge_prob"]), rel=1e-5)
    reference.model.dropout = 0.8
    model.start_epoch(1)
    assert len(model._sampled.values) == 2 * (len(numbers["masked.val"]) // 2)
