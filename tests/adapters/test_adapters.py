"""Every adapter keeps the contract; BeFA equals a loop written from its equations."""

import math

import numpy as np
import pytest
import torch

from becam.adapters import ADAPTERS, Adapter, create_adapter
from becam.errors import BecamError

DIM = 16


@pytest.fixture(params=sorted(ADAPTERS))
def adapter(request) -> Adapter:
    torch.manual_seed(0)
    return create_adapter(request.param, DIM)


def test_shape_and_gradient_reach_both_inputs_or_the_adapter_ignores_e(adapter):
    z, e = torch.randn(5, DIM, requires_grad=True), torch.randn(5, DIM, requires_grad=True)
    out = adapter(z, e)
    assert out.shape == (5, DIM)
    out.square().sum().backward()
    assert z.grad.abs().sum() > 0
    assert all(p.grad is not None for p in adapter.parameters())


def test_rows_are_independent(adapter):
    adapter.eval()
    z, e = torch.randn(6, DIM), torch.randn(6, DIM)
    alone = torch.cat([adapter(z[i : i + 1], e[i : i + 1]) for i in range(6)])
    torch.testing.assert_close(adapter(z, e), alone)


def test_config_and_state_rebuild_the_same_adapter(adapter):
    adapter.eval()
    twin = create_adapter(adapter.name, DIM, **adapter.config()).eval()
    twin.load_state_dict(adapter.state_dict())
    z, e = torch.randn(4, DIM), torch.randn(4, DIM)
    assert torch.equal(adapter(z, e), twin(z, e))


def test_identity_is_the_projected_feature():
    z = torch.randn(3, DIM)
    assert torch.equal(create_adapter("none", DIM)(z, torch.randn(3, DIM)), z)


def test_unknown_adapter_names_the_known_ones():
    with pytest.raises(BecamError, match="none, befa"):
        create_adapter("bfea", DIM)


def _naive_befa(variant: str, ratio: float, weights: dict, z: np.ndarray, e: np.ndarray):
    """Eq. 8-10, one number at a time."""
    dim, hidden = len(z), round(len(z) * ratio)

    def affine(name, x):
        w, b = weights[f"{name}.weight"], weights[f"{name}.bias"]
        return [sum(w[r][c] * x[c] for c in range(len(x))) + b[r] for r in range(len(b))]

    def relu(x):
        return [max(0.0, v) for v in x]

    h = relu(affine("w1", z))
    if variant == "equations":
        if ratio >= 1:
            lifted = list(e) * round(ratio)
        else:
            n = round(1 / ratio)
            lifted = [sum(e[j * n + i] for i in range(n)) / n for j in range(hidden)]
        u = relu([a * math.tanh(b) for a, b in zip(lifted, affine("w2", h), strict=True)])
    else:
        u = relu(affine("w2", [math.tanh(v) for v in h]))
    gate = affine("w3", u)
    return [e[k] / (1 + math.exp(-gate[k])) for k in range(dim)]


@pytest.mark.parametrize("variant", ["equations", "released"])
@pytest.mark.parametrize("ratio", [1 / 8, 1 / 4, 1 / 2, 1, 2, 3, 4, 8])
def test_befa_is_its_equations(variant, ratio):
    torch.manual_seed(1)
    befa = create_adapter("befa", DIM, variant=variant, ratio=ratio).eval()
    z, e = torch.randn(2, DIM), torch.randn(2, DIM)
    weights = {name: value.double().numpy() for name, value in befa.state_dict().items()}
    got = befa(z, e).detach().numpy()
    for row in range(2):
        want = _naive_befa(variant, ratio, weights, z[row].tolist(), e[row].tolist())
        np.testing.assert_allclose(got[row], want, rtol=1e-5, atol=1e-6)


def test_befa_has_the_papers_size():
    for variant in ("equations", "released"):
        befa = create_adapter("befa", 64, variant=variant, ratio=4)
        assert sum(p.numel() for p in befa.parameters()) == 98_880


def test_befa_dropout_is_random_in_training_only():
    befa = create_adapter("befa", DIM, dropout=0.5)
    z, e = torch.randn(8, DIM), torch.randn(8, DIM)
    assert not torch.equal(befa(z, e), befa(z, e))
    befa.eval()
    assert torch.equal(befa(z, e), befa(z, e))


@pytest.mark.parametrize("ratio", [0, -1, 1 / 16, 16, 1.5, 1 / 3, float("nan"), float("inf")])
def test_befa_refuses_ratios_that_do_not_divide(ratio):
    with pytest.raises(BecamError, match="ratio"):
        create_adapter("befa", 64, ratio=ratio)


@pytest.mark.parametrize("config", [{"variant": "paper"}, {"dropout": 1.0}, {"dropout": -0.1}])
def test_befa_refuses_other_values_out_of_range(config):
    with pytest.raises(BecamError, match="BeFA"):
        create_adapter("befa", DIM, **config)
