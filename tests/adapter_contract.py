"""What every adapter promises, as checks of one adapter of width ``DIM``; see ``CONTRACT``."""

import torch

from becam.adapters import Adapter, create_adapter
from becam.options import declared_options

DIM = 16


def perturbed(adapter: Adapter) -> Adapter:
    """Weights as training might leave them: what starts at zero would hide mistakes."""
    with torch.no_grad():
        for parameter in adapter.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    return adapter


def parameters(adapter: Adapter) -> int:
    return sum(p.numel() for p in adapter.parameters())


def shape_and_gradients(adapter):
    z, e = torch.randn(5, DIM, requires_grad=True), torch.randn(5, DIM, requires_grad=True)
    out = adapter(z, e)
    assert out.shape == (5, DIM)
    penalty = adapter.penalty()
    (out.square().sum() + (0 if penalty is None else penalty)).backward()
    assert z.grad.abs().sum() > 0
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in adapter.parameters())


def rows_are_independent(adapter):
    adapter.eval()
    z, e = torch.randn(6, DIM), torch.randn(6, DIM)
    alone = torch.cat([adapter(z[i : i + 1], e[i : i + 1]) for i in range(6)])
    torch.testing.assert_close(adapter(z, e), alone)


def every_feature_for_every_item(adapter):
    for built in (adapter.eval(), adapter.finished()):
        z, e = torch.randn(3, DIM), torch.randn(5, DIM)
        found = built(z[:, None], e[None]).expand(3, 5, DIM)
        pairs = torch.stack([built(z[i].expand(5, DIM), e) for i in range(3)])
        torch.testing.assert_close(found, pairs)


def deterministic_in_evaluation(adapter):
    adapter.eval()
    z, e = torch.randn(6, DIM), torch.randn(6, DIM)
    assert torch.equal(adapter(z, e), adapter(z, e))


def config_and_state_rebuild_it(adapter):
    z, e = torch.randn(4, DIM), torch.randn(4, DIM)
    assert torch.equal(adapter.eval()(z, e), _rebuilt(adapter)(z, e))


def finished_is_the_same_map(adapter):
    done = adapter.eval().finished()
    z, e = torch.randn(4, DIM), torch.randn(4, DIM)
    torch.testing.assert_close(_rebuilt(done)(z, e), adapter(z, e), rtol=0, atol=1e-6)
    assert done.finished() is done
    assert parameters(done) <= parameters(adapter)


def penalty_is_nothing_or_a_scalar_from_zero_up(adapter):
    for epoch in (1, 2, 50):
        adapter.start_epoch(epoch)
        penalty = adapter.penalty()
        assert penalty is None or (penalty.shape == () and penalty >= 0)


def options_have_help_defaults_and_values_to_search(adapter):
    for name, option in declared_options(type(adapter)).items():
        assert option.help.endswith(".")
        assert adapter.config()[name] == option.default
        for value in option.search:
            assert create_adapter(adapter.name, 64, **{name: value}).config()[name] == value


def _rebuilt(adapter: Adapter) -> Adapter:
    twin = create_adapter(adapter.name, DIM, **adapter.config()).eval()
    twin.load_state_dict(adapter.state_dict())
    return twin


CONTRACT = [
    every_feature_for_every_item,
    shape_and_gradients,
    rows_are_independent,
    deterministic_in_evaluation,
    config_and_state_rebuild_it,
    finished_is_the_same_map,
    penalty_is_nothing_or_a_scalar_from_zero_up,
    options_have_help_defaults_and_values_to_search,
]
