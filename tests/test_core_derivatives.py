"""Every primitive and composed function: derivatives of orders 1 and 2 against the complex step or Richardson."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn.core.primitive import PRIMITIVES

from .samples import CASES, WITHOUT_DERIVATIVE

every_sample = pytest.mark.parametrize("name", CASES)


def test_every_primitive_has_a_sample():
    assert set(PRIMITIVES) - set(CASES) - WITHOUT_DERIVATIVE == set()


@every_sample
@pytest.mark.parametrize("order", [1, 2])
def test_derivative_equals_complex_step(name, order):
    for f, args in CASES[name]:
        assert tg.check_grads(f, *args, order=order), args


@every_sample
def test_value_equals_numpy(name):
    for f, args in CASES[name]:
        recorded = f(*[tg.tensor(x) for x in args])
        plain = f(*args)
        np.testing.assert_allclose(recorded.value, plain, rtol=1e-14, atol=1e-15)
        assert recorded.shape == np.shape(plain)


@every_sample
def test_float32_stays_float32(name):
    for f, args in CASES[name]:
        leaves = [tg.tensor(np.asarray(x, np.float32)) for x in args]
        y = f(*leaves)
        assert y.dtype == np.float32
        for leaf, g in zip(leaves, tg.gradients(np.sum(y), leaves), strict=True):
            assert g.dtype == np.float32
            assert g.shape == leaf.shape


@every_sample
def test_gradient_recorded_as_graph_equals_numeric_gradient(name):
    for f, args in CASES[name]:
        leaves = [tg.tensor(x) for x in args]
        loss = np.sum(np.sin(f(*leaves)))
        plain = tg.gradients(loss, leaves)
        graph = tg.gradients(loss, leaves, create_graph=True)
        for a, b in zip(plain, graph, strict=True):
            np.testing.assert_allclose(a, b.value, rtol=1e-12, atol=1e-14)
