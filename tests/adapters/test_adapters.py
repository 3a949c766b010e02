"""Every adapter keeps the contract, and each equals a loop written from its equations."""

import math

import numpy as np
import pytest
import torch
from adapter_contract import CONTRACT, DIM, parameters, perturbed

from becam.adapters import ADAPTERS, Adapter, create_adapter
from becam.errors import BecamError


def weights(adapter: Adapter) -> dict[str, np.ndarray]:
    return {name: value.double().numpy() for name, value in adapter.state_dict().items()}


def affine(w, b, x):
    return [sum(w[r][c] * x[c] for c in range(len(x))) + b[r] for r in range(len(w))]


def relu(x):
    return [max(0.0, v) for v in x]


@pytest.mark.parametrize("check", CONTRACT, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", ADAPTERS)
def test_every_adapter_keeps_the_contract(name, check):
    torch.manual_seed(0)
    check(perturbed(create_adapter(name, DIM)))


def test_identity_is_the_projected_feature():
    z = torch.randn(3, DIM)
    assert torch.equal(create_adapter("none", DIM)(z, torch.randn(3, DIM)), z)


def test_unknown_adapter_names_the_known_ones():
    with pytest.raises(BecamError, match="none, befa"):
        create_adapter("bfea", DIM)


def test_unknown_option_names_the_known_ones():
    with pytest.raises(BecamError, match="lora has no option 'ratio'; it has rank"):
        create_adapter("lora", DIM, ratio=4)


def test_options_may_come_as_text():
    assert create_adapter("befa", DIM, ratio="1/2").config()["ratio"] == 0.5


@pytest.mark.parametrize(
    ("name", "count"), [("none", 0), ("befa", 197_760), ("lora", 4_096), ("soft-prompt", 128)]
)
def test_two_modalities_have_the_papers_parameters(name, count):
    assert 2 * parameters(create_adapter(name, 64)) == count


def test_lora_is_its_equation():
    torch.manual_seed(2)
    lora = perturbed(create_adapter("lora", DIM, rank=3))
    w = weights(lora)
    z, e = torch.randn(2, DIM), torch.randn(2, DIM)
    got = lora(z, e).detach().numpy()
    for row in range(2):
        x = z[row].tolist()
        low = affine(w["a.weight"], [0.0] * 3, x)
        want = [a + b for a, b in zip(x, affine(w["b.weight"], [0.0] * DIM, low), strict=True)]
        np.testing.assert_allclose(got[row], want, rtol=1e-5, atol=1e-6)


def test_soft_prompt_adds_one_vector_to_every_row():
    prompt = perturbed(create_adapter("soft-prompt", DIM))
    z = torch.randn(3, DIM)
    moved = (prompt(z, torch.randn(3, DIM)) - z).detach()
    torch.testing.assert_close(moved, prompt.state_dict()["prompt"].expand(3, DIM))


@pytest.mark.parametrize("name", ["lora", "soft-prompt"])
def test_training_begins_without_an_adapter(name):
    z = torch.randn(3, DIM)
    assert torch.equal(create_adapter(name, DIM)(z, torch.randn(3, DIM)), z)


@pytest.mark.parametrize("rank", [0, -1, DIM + 1, "2.5"])
def test_lora_refuses_other_ranks(rank):
    with pytest.raises(BecamError, match="rank"):
        create_adapter("lora", DIM, rank=rank)


def _naive_befa(variant: str, ratio: float, w: dict, z: list[float], e: list[float]):
    """Eq. 8-10, one number at a time."""
    dim, hidden = len(z), round(len(z) * ratio)
    h = relu(affine(w["w1.weight"], w["w1.bias"], z))
    if variant == "equations":
        if ratio >= 1:
            lifted = list(e) * round(ratio)
        else:
            n = round(1 / ratio)
            lifted = [sum(e[j * n + i] for i in range(n)) / n for j in range(hidden)]
        inner = affine(w["w2.weight"], w["w2.bias"], h)
        u = relu([a * math.tanh(b) for a, b in zip(lifted, inner, strict=True)])
    else:
        u = relu(affine(w["w2.weight"], w["w2.bias"], [math.tanh(v) for v in h]))
    gate = affine(w["w3.weight"], w["w3.bias"], u)
    return [e[k] / (1 + math.exp(-gate[k])) for k in range(dim)]


@pytest.mark.parametrize("variant", ["equations", "released"])
@pytest.mark.parametrize("ratio", [1 / 8, 1 / 4, 1 / 2, 1, 2, 3, 4, 8])
def test_befa_is_its_equations(variant, ratio):
    torch.manual_seed(1)
    befa = create_adapter("befa", DIM, variant=variant, ratio=ratio).eval()
    z, e = torch.randn(2, DIM), torch.randn(2, DIM)
    got = befa(z, e).detach().numpy()
    for row in range(2):
        want = _naive_befa(variant, ratio, weights(befa), z[row].tolist(), e[row].tolist())
        np.testing.assert_allclose(got[row], want, rtol=1e-5, atol=1e-6)


def test_both_variants_of_befa_have_the_papers_size():
    for variant in ("equations", "released"):
        assert parameters(create_adapter("befa", 64, variant=variant, ratio=4)) == 98_880


def test_befa_dropout_is_random_in_training():
    befa = create_adapter("befa", DIM, dropout=0.5)
    z, e = torch.randn(8, DIM), torch.randn(8, DIM)
    assert not torch.equal(befa(z, e), befa(z, e))


@pytest.mark.parametrize("ratio", [0, -1, 1 / 16, 16, 1.5, 1 / 3, float("nan"), float("inf")])
def test_befa_refuses_ratios_that_do_not_divide(ratio):
    with pytest.raises(BecamError, match="ratio"):
        create_adapter("befa", 64, ratio=ratio)


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        ({"variant": "paper"}, "variant is one of equations, released"),
        ({"dropout": 1.0}, "dropout must be 0 or more and below 1, not 1.0"),
        ({"dropout": -0.1}, "dropout must be 0 or more and below 1"),
        ({"dropout": float("nan")}, "dropout must be"),
    ],
)
def test_befa_refuses_other_values_out_of_range(config, problem):
    with pytest.raises(BecamError, match=problem):
        create_adapter("befa", DIM, **config)
