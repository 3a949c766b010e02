"""Graph operators against dense numpy and torch's own autograd."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from becam.recommenders.graph import SparseMatrix, lightgcn, normalised_adjacency
from becam.recommenders.lattice import row_normalised_adjacency


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
    np.testing.assert_allclose(got.to_dense(), _dense(pairs, n_users, n_items), atol=1e-7)


@pytest.mark.parametrize("build", [normalised_adjacency, row_normalised_adjacency])
def test_lightgcn_is_the_mean_of_powers_and_so_is_its_gradient(build):
    rng = np.random.default_rng(0)
    pairs = np.unique(rng.integers(0, [7, 5], size=(20, 2)), axis=0)
    s = build(pairs, 7, 5)
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


def test_row_normalised_adjacency_by_hand():
    # User 0 has items 0 and 1, user 1 item 1; each node also has itself.
    got = row_normalised_adjacency(np.array([[0, 0], [0, 1], [1, 1]]), 2, 2).to_dense()
    third, half = 1 / 3, 1 / 2
    want = [[third, 0, third, third], [0, half, 0, half], [half, 0, half, 0]]
    want.append([third, third, 0, third])
    np.testing.assert_allclose(got, want, rtol=1e-6)


@settings(max_examples=50, deadline=None)
@given(st.data())
def test_a_sparse_matrix_multiplies_as_its_dense_self(data):
    n, m, count = (data.draw(st.integers(1, 6)) for _ in range(3))
    rows = data.draw(st.lists(st.integers(0, n - 1), min_size=count, max_size=count))
    columns = data.draw(st.lists(st.integers(0, m - 1), min_size=count, max_size=count))
    values = torch.arange(1.0, count + 1)
    sparse = SparseMatrix(torch.tensor(rows), torch.tensor(columns), values, (n, m))
    dense = torch.zeros(n, m)
    for row, column, value in zip(rows, columns, values, strict=True):
        dense[row, column] += value
    assert torch.equal(sparse.to_dense(), dense)
    x = torch.randn(m, 3, requires_grad=True)
    weight = torch.randn(n, 3)
    torch.testing.assert_close(sparse(x), dense @ x)
    (gradient,) = torch.autograd.grad((sparse(x) * weight).sum(), x)
    torch.testing.assert_close(gradient, dense.T @ weight)
