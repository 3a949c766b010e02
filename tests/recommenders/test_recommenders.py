"""The contract of every recommender with every adapter, and BM3 against its equation and MMRec."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from becam.adapters import ADAPTERS
from becam.errors import BecamError
from becam.recommenders import RECOMMENDERS, Batch, create_recommender
from becam.training.ranking import rank_users

REFERENCE = Path(__file__).resolve().parents[3] / "shared" / "reference" / "mmrec"
N_USERS, N_ITEMS, D = 9, 7, 8


def small_world(modalities=("image", "text"), seed=0):
    rng = np.random.default_rng(seed)
    pairs = np.unique(rng.integers(0, [N_USERS, N_ITEMS], size=(40, 2)), axis=0)
    widths = {"image": 5, "text": 3, "audio": 4}
    features = {m: rng.normal(size=(N_ITEMS, widths[m])).astype(np.float32) for m in modalities}
    return pairs, features


@pytest.fixture(params=[["image"], ["text", "image"], ["image", "text", "audio"]], ids="-".join)
def modalities(request):
    return request.param


@pytest.fixture(params=sorted(ADAPTERS))
def adapter(request):
    return request.param


@pytest.fixture(params=sorted(RECOMMENDERS))
def name(request):
    return request.param


@pytest.fixture(params=["frozen", "trainable"])
def mode(request):
    return request.param


def build(name, adapter, mode, modalities, **config):
    torch.manual_seed(0)
    pairs, features = small_world(modalities)
    model = create_recommender(
        name,
        N_USERS,
        N_ITEMS,
        pairs,
        features,
        adapter=adapter,
        features_mode=mode,
        dim=D,
        **config,
    )
    return model, pairs, features


def test_contract(name, adapter, mode, modalities):
    model, pairs, features = build(name, adapter, mode, modalities)
    terms = model.loss(Batch(*torch.from_numpy(pairs).unbind(1)))
    assert all(term.ndim == 0 for term in terms.values())
    sum(terms.values()).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())
    users, items = model.embeddings()
    assert users.shape == (N_USERS, D)
    assert items.shape == (N_ITEMS, D)
    model.eval()
    for m in modalities:
        z = torch.from_numpy(features[m]) @ model.projection(m).weight.T + model.projection(m).bias
        torch.testing.assert_close(model.projected(m), z)
        torch.testing.assert_close(model.content(m), model.adapter(m)(z, model.item_embedding))
        rows = torch.tensor([3, 1])
        torch.testing.assert_close(model.content(m, rows), model.content(m)[rows])


def test_state_rebuilds_the_model_and_leaves_frozen_features_out(name, adapter, mode, modalities):
    model, pairs, features = build(name, adapter, mode, modalities)
    state = model.state_dict()
    assert any("features" in key for key in state) == (mode == "trainable")
    torch.manual_seed(99)
    twin = create_recommender(
        name, N_USERS, N_ITEMS, pairs, features, adapter=adapter, features_mode=mode, dim=D
    )
    twin.load_state_dict(state)
    for mine, theirs in zip(model.embeddings(), twin.embeddings(), strict=True):
        assert torch.equal(mine, theirs)


def test_features_that_do_not_fit_are_refused(name):
    pairs, features = small_world()
    with pytest.raises(BecamError, match="7 items"):
        create_recommender(name, N_USERS, N_ITEMS, pairs, {"image": features["image"][:-1]})
    with pytest.raises(BecamError, match="float32"):
        create_recommender(
            name, N_USERS, N_ITEMS, pairs, {"image": features["image"].astype(np.float64)}
        )
    with pytest.raises(BecamError, match="modality"):
        create_recommender(name, N_USERS, N_ITEMS, pairs, {})
    with pytest.raises(BecamError, match="frozen or trainable"):
        create_recommender(name, N_USERS, N_ITEMS, pairs, features, features_mode="melted")


def test_unknown_recommender_names_the_known_ones():
    with pytest.raises(BecamError, match="bm3"):
        create_recommender("bm4", N_USERS, N_ITEMS, *small_world())


@pytest.mark.parametrize("bad", [{"layers": -1}, {"dropout": 1.0}, {"reg_weight": -1.0}])
def test_bm3_refuses_values_out_of_range(bad):
    with pytest.raises(BecamError):
        create_recommender("bm3", N_USERS, N_ITEMS, *small_world(), **bad)


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("adapter", ["none", "befa"])
def test_bm3_is_its_equation(layers, adapter, modalities):
    """Loss and gradient as a loop over the batch's pairs, from dense matrices; dropout off."""
    config = {"layers": layers, "dropout": 0.0, "reg_weight": 0.05}
    if adapter == "befa":
        config["adapter_config"] = {"dropout": 0.0}
    model, pairs, _ = build("bm3", adapter, "frozen", modalities, **config)
    batch = torch.from_numpy(pairs[[0, 3, 3, 5, 8, 1]])
    dense = model.adjacency.to_dense()
    nodes = torch.cat([model.user_embedding, model.item_embedding])
    h = sum(torch.linalg.matrix_power(dense, k) @ nodes for k in range(layers + 1)) / (layers + 1)
    h_users, h_items = h[:N_USERS], h[N_USERS:] + model.item_embedding

    def miss(prediction, target):
        x, y = prediction, target.detach()
        return 1 - (x @ y) / torch.sqrt((x @ x) * (y @ y))

    want = 0.05 * (h_users.square().sum().sqrt() + h_items.square().sum().sqrt()) / N_ITEMS
    p, content = model.predictor, {m: model.content(m) for m in modalities}
    for u, i in batch.tolist():
        pair = miss(p(h_users[u]), h_items[i]) + miss(p(h_items[i]), h_users[u])
        for a in content.values():
            pair = pair + 2 * (miss(p(a[i]), h_items[i]) + miss(p(a[i]), a[i]))
        want = want + pair / len(batch)
    got = sum(model.loss(Batch(batch[:, 0], batch[:, 1])).values())
    assert got.item() == pytest.approx(want.item(), rel=1e-5)
    parameters = list(model.parameters())
    for mine, theirs in zip(
        torch.autograd.grad(got, parameters), torch.autograd.grad(want, parameters), strict=True
    ):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-6)


def test_bm3_draws_one_dropout_mask_a_row():
    model, *_ = build("bm3", "none", "frozen", ["image"], dropout=0.5)
    twice = Batch(torch.tensor([2, 2]), torch.tensor([4, 4]))
    once = Batch(torch.tensor([2]), torch.tensor([4]))
    losses = []
    for batch in (once, twice):
        torch.manual_seed(5)
        losses.append({k: v.item() for k, v in model.loss(batch).items()})
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)


# Users and items of the paper's Table 1 with the parameters that it reports for BM3.
PAPER = {
    "TMALL": (13_104, 7_848, 9_447_104),
    "MicroLens": (46_420, 14_079, 18_358_656),
    "H&M": (43_543, 16_915, 21_260_096),
}


@pytest.mark.parametrize("data", PAPER)
def test_bm3_has_the_papers_parameters(data):
    n_users, n_items, total = PAPER[data]
    features = {m: np.zeros((n_items, 512), np.float32) for m in ("image", "text")}
    pairs = np.zeros((1, 2), np.int64)
    counts = {}
    for adapter in ("none", "befa"):
        model = create_recommender(
            "bm3", n_users, n_items, pairs, features, adapter=adapter, features_mode="trainable"
        )
        counts[adapter] = sum(p.numel() for p in model.parameters())
    assert counts == {"none": total, "befa": total + 197_760}


@pytest.fixture(scope="module")
def reference():
    if not (REFERENCE / "BM3.npz").exists():
        pytest.skip("the reference's numbers (../shared/reference/mmrec) are not here")
    with np.load(REFERENCE / "BM3.npz", allow_pickle=False) as archive:
        numbers = dict(archive)
    table = np.loadtxt(REFERENCE / "synth2k.inter", skiprows=1)
    pairs, label = table[:, :2].astype(np.int64), table[:, 4]
    splits = [pairs[label == k] for k in range(3)]
    features = {
        m: np.load(REFERENCE / f"{m}_feat.npy", allow_pickle=False) for m in ("image", "text")
    }
    model = create_recommender(
        "bm3",
        len(numbers["w.user_embedding.weight"]),
        len(numbers["w.item_id_embedding.weight"]),
        splits[0],
        features,
        features_mode="trainable",
        layers=1,
        dropout=0.0,
        reg_weight=1e-3,
    )
    return model, numbers, splits, features


def _reference_names():
    names = {
        "user_embedding": "user_embedding.weight",
        "item_embedding": "item_id_embedding.weight",
        "predictor.weight": "predictor.weight",
        "predictor.bias": "predictor.bias",
    }
    for m in ("image", "text"):
        names[f"features.{m}.rows"] = f"{m}_embedding.weight"
        for part in ("weight", "bias"):
            names[f"projections.{m}.{part}"] = f"{m}_trs.{part}"
    return names


def _start(model, numbers, features):
    with torch.no_grad():
        for ours, theirs in _reference_names().items():
            start = numbers.get(f"w.{theirs}")
            if start is None:
                start = features[theirs.split("_")[0]]
            model.get_parameter(ours).copy_(torch.from_numpy(start))


def _relative(got, want):
    return np.linalg.norm(got - want) / np.linalg.norm(want)


def test_bm3_agrees_with_mmrec_on_a_training_step(reference):
    model, numbers, _, features = reference
    _start(model, numbers, features)
    model.train()
    users, items, _ = torch.from_numpy(numbers["batch"].astype(np.int64))
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
    optimiser.zero_grad()
    loss = sum(model.loss(Batch(users, items)).values())
    assert loss.item() == pytest.approx(float(numbers["loss"][0]), rel=1e-6)
    loss.backward()
    names = _reference_names()
    assert set(names) == {name for name, _ in model.named_parameters()}
    for ours, theirs in names.items():
        norm = model.get_parameter(ours).grad.double().norm().item()
        assert norm == pytest.approx(float(numbers[f"gnorm.{theirs}"]), rel=1e-5), ours
    before = {ours: model.get_parameter(ours).detach().numpy().copy() for ours in names}
    optimiser.step()
    for ours, theirs in names.items():
        want = numbers[f"w1.{theirs}"]
        got = model.get_parameter(ours).detach().numpy()[: len(want)]
        start = before[ours][: len(want)]
        assert _relative(got, want) < 1e-6, ours
        # Of the step itself, where a gradient near Adam's epsilon turns rounding into per cents.
        assert _relative(got - start, want - start) < 1e-3, ours


def test_bm3_agrees_with_mmrec_on_embeddings_ranking_and_metrics(reference):
    model, numbers, (train, validation, test), features = reference
    _start(model, numbers, features)
    model.eval()
    with torch.no_grad():
        users, items = model.embeddings()
        # The reference's file holds H, before the predictor; its ranking comes after it.
        raw_users, raw_items = (
            torch.from_numpy(numbers["user_emb"]),
            torch.from_numpy(numbers["item_emb"]),
        )
        assert _relative(users.numpy(), model.predictor(raw_users).numpy()) < 1e-5
        assert _relative(items.numpy(), model.predictor(raw_items).numpy()) < 1e-5
        scores = users @ items.T
        scores[train[:, 0], train[:, 1]] = -torch.inf
        top = scores[numbers["test_users"][:200]].topk(50).indices
        np.testing.assert_array_equal(top, numbers["top50"])
        for split, key in ((validation, "metrics_valid"), (test, "metrics_test")):
            got = rank_users(lambda rows: users[rows] @ items.T, len(items), split, train).mean()
            want = json.loads(str(numbers[key]))
            assert got == pytest.approx({name: want[name] for name in got}, abs=1e-9)


def test_adjacency_agrees_with_mmrec(reference):
    model, numbers, _, _ = reference
    want = torch.sparse_coo_tensor(
        torch.from_numpy(numbers["norm_adj.idx"].astype(np.int64)),
        torch.from_numpy(numbers["norm_adj.val"]),
        model.adjacency.shape,
    )
    torch.testing.assert_close(model.adjacency.to_dense(), want.to_dense(), rtol=1e-5, atol=1e-7)
