"""BeFA whose width is learned: its gates, its equations, and what is left when units are cut."""

import math

import numpy as np
import pytest
import torch
from adapter_contract import parameters
from planted import planted_dataset
from test_adapters import affine, relu, weights

from becam.adapters import create_adapter
from becam.adapters.gates import HardConcreteGates
from becam.checkpoint import Checkpoint
from becam.errors import BecamError
from becam.training import evaluate, rebuild, train

DIM, LARGEST = 4, 32


def learned(seed=0, **config):
    """An adapter whose gates lie anywhere from closed to open, about half of them closed."""
    torch.manual_seed(seed)
    adapter = create_adapter("befa-learned", DIM, dropout=0.0, **config).eval()
    with torch.no_grad():
        adapter.gates.location.copy_(torch.randn(LARGEST) / 3)
        adapter.gates.location -= adapter.gates.location.median() + 0.24
    return adapter


def naive_gate(log_alpha: float) -> float:
    return min(1.0, max(0.0, 1.2 / (1 + math.exp(-log_alpha)) - 0.1))


def naive(w, gates, z, e):
    """The equations, one number at a time, with the gates as given."""
    h = [g * v for g, v in zip(gates, relu(affine(w["w1.weight"], w["w1.bias"], z)), strict=True)]
    inner = affine(w["w2.weight"], w["w2.bias"], h)
    u = relu([e[j % len(e)] * math.tanh(v) for j, v in enumerate(inner)])
    out = affine(w["w3.weight"], w["w3.bias"], [g * v for g, v in zip(gates, u, strict=True)])
    return [e[k] / (1 + math.exp(-out[k])) for k in range(len(e))]


def test_it_is_its_equations():
    adapter = learned()
    w = weights(adapter)
    gates = [naive_gate(a) for a in adapter.gates.log_alpha.tolist()]
    assert 0 in gates
    assert any(0 < g < 1 for g in gates)
    z, e = torch.randn(3, DIM), torch.randn(3, DIM)
    got = adapter(z, e).detach().numpy()
    for row in range(3):
        want = naive(w, gates, z[row].tolist(), e[row].tolist())
        np.testing.assert_allclose(got[row], want, rtol=1e-5, atol=1e-6)


def test_with_every_gate_open_it_is_befa_at_its_largest_ratio():
    adapter = learned()
    with torch.no_grad():
        adapter.gates.location.fill_(10.0)
    befa = create_adapter("befa", DIM, ratio=8, dropout=0.0)
    befa.load_state_dict({k: v for k, v in adapter.state_dict().items() if k.startswith("w")})
    z, e = torch.randn(5, DIM), torch.randn(5, DIM)
    torch.testing.assert_close(adapter(z, e), befa(z, e))


def test_training_draws_gates_anew():
    adapter = learned().train()
    z, e = torch.randn(5, DIM), torch.randn(5, DIM)
    assert not torch.equal(adapter(z, e), adapter(z, e))


@pytest.mark.parametrize("seed", range(5))
def test_cutting_closed_units_changes_parameters_and_not_the_output(seed):
    adapter = learned(seed)
    small = adapter.finished()
    closed = sum(naive_gate(a) == 0 for a in adapter.gates.log_alpha.tolist())
    n = LARGEST - closed
    assert 0 < n < LARGEST
    assert small.size == adapter.size == n
    assert small.effective_ratio == n / DIM
    assert parameters(small) == n * (DIM + 1) + n * (n + 1) + DIM * (n + 1)
    assert small.penalty() is None
    z, e = torch.randn(50, DIM), torch.randn(50, DIM)
    torch.testing.assert_close(small(z, e), adapter(z, e), rtol=0, atol=1e-6)


def test_cutting_leaves_the_trained_adapter_as_it_was():
    adapter = learned().train()
    before = {name: value.clone() for name, value in adapter.state_dict().items()}
    random_state = torch.get_rng_state()
    adapter.finished()
    assert torch.equal(torch.get_rng_state(), random_state)
    assert adapter.training
    assert adapter.gates.training
    assert all(torch.equal(before[name], value) for name, value in adapter.state_dict().items())


def test_with_every_unit_closed_the_gate_is_constant():
    adapter = learned()
    with torch.no_grad():
        adapter.gates.location.fill_(-10.0)
    small = adapter.finished()
    assert small.size == 0
    z, e = torch.randn(5, DIM), torch.randn(5, DIM)
    torch.testing.assert_close(small(z, e), e * torch.sigmoid(small.w3.bias))
    torch.testing.assert_close(small(z, e), adapter(z, e))


def test_probability_open_is_how_often_a_drawn_gate_is_open():
    gates = HardConcreteGates(9, 0.0)
    with torch.no_grad():
        gates.location.copy_(torch.linspace(-0.5, 0.4, 9))
    torch.manual_seed(0)
    draws = 20_000
    drawn = torch.stack([gates() for _ in range(draws)]) > 0
    expected = gates.probability_open().detach()
    # Four standard errors of a share.
    error = 4 * (expected * (1 - expected) / draws).sqrt()
    assert ((drawn.double().mean(dim=0) - expected).abs() <= error).all()
    assert expected.min() < 0.1
    assert expected.max() > 0.9


def test_drawn_gates_have_the_hard_concrete_distribution():
    """P(gate <= x) has a closed form: the stretched variable is a logistic one, squashed."""
    gates = HardConcreteGates(20_000, 0.5)
    torch.manual_seed(0)
    drawn = gates().detach().numpy()
    for x in (0.0, 0.25, 0.5, 0.75):
        s = (x + 0.1) / 1.2
        share = 1 / (1 + math.exp(-(2 / 3 * math.log(s / (1 - s)) - 0.5)))
        assert abs((drawn <= x).mean() - share) < 4 * math.sqrt(share * (1 - share) / len(drawn))


def test_the_penalty_grows_from_nothing_over_the_epochs_of_annealing():
    adapter = learned(size_penalty=0.5, anneal=4)
    expected = sum(
        1 / (1 + math.exp(-(a - 2 / 3 * math.log(0.1 / 1.1))))
        for a in adapter.gates.log_alpha.tolist()
    )
    paid = []
    for epoch in (1, 2, 3, 5, 100):
        adapter.start_epoch(epoch)
        paid.append(adapter.penalty().item())
    full = 0.5 * expected / DIM
    np.testing.assert_allclose(paid, [0, full / 4, full / 2, full, full], rtol=1e-5)


def test_without_annealing_the_first_epoch_pays_it_all():
    adapter = learned(size_penalty=0.5, anneal=0)
    adapter.start_epoch(1)
    first = adapter.penalty()
    adapter.start_epoch(30)
    assert first == adapter.penalty() > 0


def test_training_closes_units_until_what_is_left_is_worth_its_price():
    """The wanted gate depends on one entry of the content, for which a few units are enough."""

    def fit(size_penalty):
        torch.manual_seed(0)
        adapter = create_adapter(
            "befa-learned", DIM, size_penalty=size_penalty, anneal=0, dropout=0.0
        )
        optimiser = torch.optim.Adam(adapter.parameters(), lr=1e-2)
        for _ in range(300):
            z, e = torch.randn(256, DIM), torch.rand(256, DIM) + 0.5
            wanted = e * torch.sigmoid(2 * z[:, :1])
            error = (adapter(z, e) - wanted).square().mean()
            optimiser.zero_grad()
            (error + adapter.penalty()).backward()
            optimiser.step()
        adapter.eval()
        constant = (e / 2 - wanted).square().mean()
        return adapter.size, ((adapter(z, e) - wanted).square().mean() / constant).item()

    (free, _), (cheap, error), (dear, _) = fit(0.0), fit(0.01), fit(0.1)
    assert free == LARGEST
    assert 0 < cheap < LARGEST / 2
    assert error < 0.1
    assert dear == 0


def test_a_checkpoint_keeps_the_open_units_and_the_recommender_all(tmp_path):
    dataset = planted_dataset(tmp_path / "planted")
    trained = train(
        dataset,
        adapter="befa-learned",
        adapter_options={"size_penalty": 0.03, "anneal": 1},
        epochs=40,
        lr=0.01,
        quiet=True,
    )
    trained.save(tmp_path / "befa.pt")
    checkpoint = Checkpoint.load(tmp_path / "befa.pt")
    assert evaluate(checkpoint, dataset).reproduced
    model = rebuild(checkpoint, dataset).eval()
    for modality in model.modalities:
        head, full = checkpoint.head(modality), model.adapter(modality)
        assert 0 < head.adapter.size == full.size < 8 * 64
        assert parameters(head.adapter) < parameters(full)
        rows = model.features[modality](None)
        torch.testing.assert_close(
            head(rows, model.item_embedding), model.content(modality), rtol=0, atol=1e-6
        )


@pytest.mark.filterwarnings("error")
def test_no_units_rebuild_without_a_warning():
    assert create_adapter("befa-learned", DIM, units=[]).size == 0


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        ({"size_penalty": -0.1}, "size_penalty"),
        ({"size_penalty": float("nan")}, "size_penalty"),
        ({"anneal": -1}, "anneal"),
        ({"dropout": 1.0}, "dropout"),
        ({"units": [0, LARGEST]}, "units"),
        ({"units": "0,1"}, "units"),
        ({"units": 3}, "units"),
        ({"ratio": 4}, "no option 'ratio'"),
    ],
)
def test_values_out_of_range_are_refused(config, problem):
    with pytest.raises(BecamError, match=problem):
        create_adapter("befa-learned", DIM, **config)
