"""Loss, gradient and embeddings of every recommender, as loops written from its equations."""

import numpy as np
import pytest
import torch
from small_world import N_ITEMS, N_USERS, build

from becam.recommenders import Batch

ADAPTERS = {"none": None, "befa": {"dropout": 0.0}}


@pytest.fixture(params=[["image"], ["text", "image"], ["image", "text", "audio"]], ids="-".join)
def modalities(request):
    return request.param


def same_gradients(model, got, want):
    parameters = list(model.parameters())
    for mine, theirs in zip(
        torch.autograd.grad(got, parameters, allow_unused=True),
        torch.autograd.grad(want, parameters, allow_unused=True),
        strict=True,
    ):
        if mine is None or theirs is None:
            mine, theirs = (torch.zeros(1) if x is None else x for x in (mine, theirs))
            assert not mine.any()
            assert not theirs.any()
            continue
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("adapter", ["none", "befa"])
def test_bm3_is_its_equation(layers, adapter, modalities):
    """Loss and gradient as a loop over the batch's pairs, from dense matrices; dropout off."""
    config = {"layers": layers, "dropout": 0.0, "reg_weight": 0.05}
    still = {"dropout": 0.0} if adapter == "befa" else None
    model, pairs, _ = build("bm3", adapter, "frozen", modalities, still, **config)
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
    same_gradients(model, got, want)


def test_bm3_draws_one_dropout_mask_a_row():
    model, *_ = build("bm3", "none", "frozen", ["image"], dropout=0.5)
    twice = Batch(torch.tensor([2, 2]), torch.tensor([4, 4]))
    once = Batch(torch.tensor([2]), torch.tensor([4]))
    losses = []
    for batch in (once, twice):
        torch.manual_seed(5)
        losses.append({k: v.item() for k, v in model.loss(batch).items()})
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)


def powers_mean(matrix, nodes, layers):
    return sum(torch.linalg.matrix_power(matrix, k) @ nodes for k in range(layers + 1)) / (
        layers + 1
    )


def nearest_of(x, k):
    """Each row's k nearest by cosine, itself included, with the cosines: one pair at a time."""
    found = []
    for row in x:
        cosines = [(row @ other) / (row.norm() * other.norm()) for other in x]
        best = sorted(range(len(x)), key=lambda j: -cosines[j].item())[:k]
        found.append({j: cosines[j] for j in best})
    return found


def laplacian(weights):
    """D^-1/2 W D^-1/2 of one row of {column: weight} an item, as a dense matrix."""
    sums = [sum(row.values()) for row in weights]
    dense = torch.zeros(len(weights), len(weights))
    for i, row in enumerate(weights):
        for j, weight in row.items():
            if sums[i] > 0 and sums[j] > 0:
                dense[i, j] = weight / (sums[i].sqrt() * sums[j].sqrt())
    return dense


def bpr_of(users, items, rows):
    return sum(
        -torch.log(torch.sigmoid(users[u] @ items[i] - users[u] @ items[j])) for u, i, j in rows
    ) / len(rows)


def reg_of(users, items, rows):
    norms = [
        users[u].square().sum() + items[i].square().sum() + items[j].square().sum()
        for u, i, j in rows
    ]
    return sum(norms) / 2 / 2048


ROWS = [(0, 1, 2), (3, 3, 0), (3, 3, 6), (8, 5, 1), (2, 6, 4)]
BATCH = Batch(*torch.tensor(ROWS).unbind(1))


def nodes_of(model):
    return torch.cat([model.user_embedding, model.item_embedding])


@pytest.mark.parametrize("adapter", ADAPTERS)
@pytest.mark.parametrize("propagate", [False, True])
def test_freedom_is_its_equation(adapter, modalities, propagate):
    options = {"reg_weight": 0.05, "knn_k": 3, "propagate_content": propagate, "dropout": 0.0}
    model, _, features = build(
        "freedom", adapter, "frozen", modalities, ADAPTERS[adapter], **options
    )
    shares = {m: 1 / len(modalities) for m in modalities}
    if len(modalities) > 1:
        shares = {m: 0.1 if m == "image" else 0.9 / (len(modalities) - 1) for m in modalities}
    graph = torch.zeros(N_ITEMS, N_ITEMS)
    for m in modalities:
        for i, near in enumerate(nearest_of(torch.from_numpy(features[m]), 3)):
            for j in near:
                graph[i, j] += shares[m] / 3
    h = powers_mean(model.adjacency.to_dense(), nodes_of(model), 2)
    content = {m: model.content(m) for m in modalities}
    source = model.item_embedding
    if propagate:
        source = source + sum(content.values()) / len(content)
    users, items = h[:N_USERS], h[N_USERS:] + graph @ source
    torch.testing.assert_close(model.embeddings(), (users, items), rtol=1e-4, atol=1e-6)
    want = bpr_of(users, items, ROWS) + 0.05 * sum(
        bpr_of(users, content[m], ROWS) for m in modalities
    )
    model.start_epoch(1)  # without dropout the epoch's graph is the whole one
    got = sum(model.loss(BATCH).values())
    assert got.item() == pytest.approx(want.item(), rel=1e-5)
    same_gradients(model, got, want)


def test_freedom_keeps_rare_edges_more_often():
    """Each epoch's sample: its size, without replacement, and its chances against numpy's draws."""
    model, pairs, _ = build("freedom", "none", "frozen", ["image"], dropout=0.7)
    count = int(0.3 * len(pairs))
    chances = np.array([model.adjacency.to_dense()[u, N_USERS + i] for u, i in pairs])
    rng, rounds = np.random.default_rng(0), 3000
    want = np.zeros(len(pairs))
    got = np.zeros((N_USERS, N_ITEMS))
    for epoch in range(rounds):
        want[rng.choice(len(pairs), count, replace=False, p=chances / chances.sum())] += 1
        model.start_epoch(epoch + 1)
        kept = model._sampled.to_dense()[:N_USERS, N_USERS:]
        assert (kept > 0).sum() == count
        got += (kept > 0).numpy()
    got = got[pairs[:, 0], pairs[:, 1]]
    spread = np.sqrt(want * (1 - want / rounds))
    assert (np.abs(got - want) < 5 * np.maximum(spread, 1)).all()
    # What is kept is normalised by the degrees that are left.
    degrees = (kept > 0).sum(1)[:, None] * (kept > 0).sum(0)[None, :]
    torch.testing.assert_close(kept[kept > 0], degrees[kept > 0].float().rsqrt())


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_lattice_is_its_equation(adapter, modalities):
    options = {"reg_weight": 50.0, "knn_k": 3, "fixed_share": 0.6}
    model, _, features = build(
        "lattice", adapter, "frozen", modalities, ADAPTERS[adapter], **options
    )
    with torch.no_grad():
        model.modality_weights += torch.linspace(0, 1, len(modalities))
    weights = torch.softmax(model.modality_weights, 0)
    fixed = sum(
        w * laplacian(nearest_of(torch.from_numpy(features[m]), 3))
        for w, m in zip(weights, modalities, strict=True)
    )
    summed = [{} for _ in range(N_ITEMS)]
    for w, m in zip(weights, modalities, strict=True):
        for row, near in zip(summed, nearest_of(model.content(m), 3), strict=True):
            for j, cosine in near.items():
                row[j] = row.get(j, 0) + w * cosine
    graph = 0.6 * fixed + 0.4 * laplacian(summed)
    h = powers_mean(model.adjacency.to_dense(), nodes_of(model), 2)

    def embeddings(graph):
        hop = graph @ model.item_embedding
        return h[:N_USERS], h[N_USERS:] + hop / hop.norm(dim=1, keepdim=True)

    users, items = embeddings(graph)
    torch.testing.assert_close(model.embeddings(), (users, items), rtol=1e-4, atol=1e-6)
    want = bpr_of(users, items, ROWS) + 50 * reg_of(users, items, ROWS)
    model.start_epoch(1)
    got = sum(model.loss(BATCH).values())
    assert got.item() == pytest.approx(want.item(), rel=1e-5)
    same_gradients(model, got, want)
    # The second batch of an epoch: the same graph, without gradient.
    h = powers_mean(model.adjacency.to_dense(), nodes_of(model), 2)
    users, items = embeddings(graph.detach())
    again = sum(model.loss(BATCH).values())
    assert again.item() == pytest.approx(want.item(), rel=1e-5)
    same_gradients(model, again, bpr_of(users, items, ROWS) + 50 * reg_of(users, items, ROWS))
    with torch.no_grad():
        for m in modalities:
            model.projection(m).weight.normal_()
    assert sum(model.loss(BATCH).values()).item() == pytest.approx(want.item(), rel=1e-5)
    model.start_epoch(2)
    assert sum(model.loss(BATCH).values()).item() != pytest.approx(want.item(), rel=1e-5)


def views_of(model, features, modalities, k):
    dense = model.adjacency.to_dense()
    views = {}
    for m in modalities:
        gated = model.content(m)
        if not model.adapter(m).is_gate:
            gate = model.gates[m]
            gated = model.item_embedding * torch.sigmoid(gated @ gate.weight.T + gate.bias)
        items = laplacian(nearest_of(torch.from_numpy(features[m]), k)) @ gated
        views[m] = torch.cat([dense[:N_USERS, N_USERS:] @ items, items])
    return views


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_mgcn_is_its_equation(adapter, modalities):
    options = {"reg_weight": 50.0, "knn_k": 4, "contrast_weight": 0.3}
    model, _, features = build("mgcn", adapter, "frozen", modalities, ADAPTERS[adapter], **options)
    h = powers_mean(model.adjacency.to_dense(), nodes_of(model), 2)
    z = views_of(model, features, modalities, 4)
    logits = {m: torch.tanh(z[m] @ model.query[0].weight.T + model.query[0].bias) for m in z}
    scores = torch.stack([logits[m] @ model.query[2].weight[0] for m in modalities])
    alpha = torch.exp(scores) / torch.exp(scores).sum(0)
    common = sum(a[:, None] * z[m] for a, m in zip(alpha, modalities, strict=True))
    side = common
    for m in modalities:
        own = model.preferences[m]
        side = side + torch.sigmoid(h @ own.weight.T + own.bias) * (z[m] - common)
    side = side / (len(modalities) + 1)
    nodes = h + side
    users, items = nodes[:N_USERS], nodes[N_USERS:]
    torch.testing.assert_close(model.embeddings(), (users, items), rtol=1e-4, atol=1e-6)

    def contrast(rows):
        a = [side[r] / side[r].norm() for r in rows]
        b = [h[r] / h[r].norm() for r in rows]
        total = 0
        for i in range(len(rows)):
            against = sum(torch.exp(a[i] @ other / 0.2) for other in b)
            total = total - torch.log(torch.exp(a[i] @ b[i] / 0.2) / against)
        return total / len(rows)

    want = (
        bpr_of(users, items, ROWS)
        + 50 * reg_of(users, items, ROWS)
        + 0.3 * contrast([u for u, _, _ in ROWS])
        + 0.3 * contrast([N_USERS + i for _, i, _ in ROWS])
    )
    got = sum(model.loss(BATCH).values())
    assert got.item() == pytest.approx(want.item(), rel=1e-5)
    same_gradients(model, got, want)


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_lattice_befa_as_released_is_its_equation(adapter, modalities):
    model, _, features = build(
        "lattice-befa-released",
        adapter,
        "frozen",
        modalities,
        ADAPTERS[adapter],
        reg_weight=50.0,
        knn_k=4,
    )
    h = powers_mean(model.adjacency.to_dense(), nodes_of(model), 2)
    nodes = h + sum(views_of(model, features, modalities, 4).values()) / len(modalities)
    users, items = nodes[:N_USERS], nodes[N_USERS:]
    torch.testing.assert_close(model.embeddings(), (users, items), rtol=1e-4, atol=1e-6)
    want = bpr_of(users, items, ROWS) + 50 * reg_of(users, items, ROWS)
    got = sum(model.loss(BATCH).values())
    assert got.item() == pytest.approx(want.item(), rel=1e-5)
    same_gradients(model, got, want)
