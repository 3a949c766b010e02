"""Graph operators against dense numpy and torch's own autograd."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from becam.recommenders.graph import lightgcn, normalised_adjacency


def _dense(pairs, n_users, n_items):
    a = np.zeros((n_users + n_items, n_users + n_items))
    for u, i in pairs:
        a[u, n_users + i] = a[n_users + i, u] = 1
    degree = a.sum(axis=1)
    root = np.divide(1, np.sqrt(degree), where=degree > 0, out=np.zeros_like(degree))
    return root[:, None] * a * root


@settings(max_examples=50, deadline=None)
@given(st.data())
def test_adjacency_equals_dense_numpy(data):
    n_users, n_items = data.draw(st.integers(1, 8)), data.draw(st.integers(1, 8))
    pair = st.tuples(st.integers(0, n_users - 1), st.integers(0, n_items - 1))
    pairs = np.array(data.draw(st.lists(pair, min_size=1, max_size=30)), dtype=np.int64)
    got = normalised_adjacency(pairs, n_users, n_items)
    assert got.layout == torch.sparse_csr
    np.testing.assert_allclose(got.to_dense(), _dense(pairs, n_users, n_items), atol=1e-7)


def test_lightgcn_is_the_mean_of_powers_and_so_is_its_gradient():
    rng = np.random.default_rng(0)
    pairs = np.unique(rng.integers(0, [7, 5], size=(20, 2)), axis=0)
    s = normalised_adjacency(pairs, 7, 5)
    dense = s.to_dense().double()
    x = torch.randn(12, 3)
    weight = torch.randn(12, 3)
    for layers in range(4):
        mine = x.clone().requires_grad_()
        theirs = x.double().requires_grad_()
        power = [torch.linalg.matrix_power(dense, k) @ theirs for k in range(layers + 1)]
        want = torch.stack(power).mean(dim=0)
        got = lightgcn(s, mine, layers)
        torch.testing.assert_close(got.double(), want, atol=1e-6, rtol=1e-5)
        (got * weight).sum().backward()
        (want * weight).sum().backward()
        torch.testing.assert_close(mine.grad.double(), theirs.grad, atol=1e-6, rtol=1e-5)
