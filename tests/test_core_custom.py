"""One's own rule (`custom_vjp`) is a primitive like any other: differentiated again, compiled, drawn, judged."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tg

rng = np.random.default_rng(0)
X, W, XS = rng.normal(size=(3, 2)), rng.normal(size=(2, 2)), rng.normal(size=(5, 3, 2))


def _backward(g: Any, y: Any, x: Any, W: Any) -> Any:
    dz = g * (1.0 - y * y)
    return dz @ W.T, x.T @ dz


layer = tg.custom_vjp(lambda x, W: np.tanh(x @ W), _backward, name="layer")
wrong = tg.custom_vjp(lambda x, W: np.tanh(x @ W), lambda g, y, x, W: (_backward(g, y, x, W)[0], x.T @ g), name="layer")
straight = tg.custom_vjp(np.round, lambda g, y, x: g)


def loss(W: Any, xs: Any, f: Any = layer) -> Any:
    h = np.zeros((3, 2))
    for t in tg.steps(len(xs)):
        h = tg.name("h", f(h + xs[t], W))
    return np.sum(h * h)


def built_in(x: Any, W: Any) -> Any:
    return np.tanh(x @ W)


def test_it_is_its_forward_function_with_its_own_rule() -> None:
    np.testing.assert_array_equal(layer(X, W), np.tanh(X @ W))
    assert tg.check_grads(layer, X, W) and tg.check_grads(layer, X, W, order=2)
    np.testing.assert_allclose(tg.grad(loss)(W, XS), tg.grad(loss)(W, XS, built_in), rtol=1e-13)
    np.testing.assert_allclose(
        tg.hvp(lambda W: loss(W, XS), W, W), tg.hvp(lambda W: loss(W, XS, built_in), W, W), rtol=1e-12
    )
    ours, theirs = (tg.jvp(lambda W, f=f: loss(W, XS, f), [W], [W])[1] for f in (layer, built_in))
    assert ours == pytest.approx(theirs, rel=1e-13)


def test_a_straight_through_estimator() -> None:
    x = tg.tensor([0.4, 1.6])
    np.testing.assert_array_equal(tg.gradients(np.sum(straight(x) * x), x), [0.4, 3.6])
    assert straight(tg.tensor(1.6)).item() == 2.0 and straight(1.6) == 2.0


@pytest.mark.parametrize("executor", ["numpy", "jit"])
def test_it_folds_and_compiles(executor: str) -> None:
    if executor == "jit":
        pytest.importorskip("numba", reason="numba is not installed: pip install 'tinygrad_rnn[jit]'")
    fast = tg.compile(tg.value_and_grad(loss), executor=executor)
    for T in (5, 3):
        value, g = fast(W, XS[:T])
        expected, grads = tg.value_and_grad(loss)(W, XS[:T])
        assert value == pytest.approx(expected, rel=1e-13)
        np.testing.assert_allclose(g, grads, rtol=1e-12)
    assert all(form.startswith("folded") for form in fast.forms)


def test_it_is_drawn_by_its_name(tmp_path: Any) -> None:
    from tinygrad_rnn import write

    write(layer(tg.tensor(X), tg.tensor(W, name="W")), tmp_path / "layer.svg")
    assert "layer" in (tmp_path / "layer.svg").read_text()


def test_it_is_judged() -> None:
    assert tg.verify_backward(layer, inputs={"x": X, "W": W}).verdict == "PASS"
    rows = tg.verify_backward(wrong, inputs={"x": X, "W": W}).rows
    assert {row.name: row.verdict for row in rows} == {"dx": "PASS", "dW": "FAIL"}
    with pytest.raises(AssertionError, match="rounding explains"):
        tg.check_grads(wrong, X, W)
    with pytest.raises(AssertionError, match="rounding explains"):
        tg.check_grads(straight, X)
    with pytest.raises(tg.DerivationError, match="layer has no equation"):
        tg.derive(loss(tg.tensor(W, name="W"), XS))


def test_rules_of_one_name_or_of_a_built_in_one_stay_apart() -> None:
    square = tg.custom_vjp(np.square, lambda g, y, x: 5.0 * g * x)
    for f in (tg.grad(lambda x: square(x) + x**2), tg.compile(tg.grad(lambda x: square(x) + x**2))):
        assert f(1.0) == 7.0
    assert len({f.primitive.name for f in (layer, wrong, square)} - {"square"}) == 3
    y = np.sum(layer(tg.tensor(X), wrong(tg.tensor(X.T), tg.tensor(X))))
    assert tg.Graph(copy.deepcopy(y)).outputs[0].item() == y.item()
    with pytest.raises(tg.GraphError, match="which no file holds"):
        pickle.dumps(y)


@pytest.mark.parametrize(
    ("backward", "error", "message"),
    [
        (lambda g, y, a, b: g, tg.GraphError, "1 cotangents for 2 inputs"),
        (lambda g, y, a, b: (g, np.ones(5)), tg.ShapeError, r"shape \(5,\) for input 1, which has shape \(2,\)"),
    ],
)
def test_what_a_rule_got_wrong_is_said(backward: Any, error: type[Exception], message: str) -> None:
    f = tg.custom_vjp(np.multiply, backward)
    with pytest.raises(error, match=message):
        tg.grad(lambda a, b: np.sum(f(a, b)))(np.ones(2), np.ones(2))


def test_broadcasting_is_undone_and_none_is_zero() -> None:
    f = tg.custom_vjp(np.add, lambda g, y, a, b: (None, g))
    a, b = tg.grad(lambda a, b: np.sum(f(a, b)), argnums=(0, 1))(np.ones((3, 2)), np.ones(2))
    np.testing.assert_array_equal(a, np.zeros((3, 2)))
    np.testing.assert_array_equal(b, [3.0, 3.0])


def test_a_rule_that_leaves_the_graph_is_differentiated_once() -> None:
    f = tg.custom_vjp(np.sin, lambda g, y, x: g.item() * np.cos(np.asarray(getattr(x, "value", x))))
    with pytest.raises(tg.NotDifferentiableError, match="once only"):
        tg.grad(tg.grad(f))(1.0)
    filled = np.zeros(2)

    def into_a_buffer(x: Any) -> Any:
        return np.multiply(x, 2.0, out=filled)

    g = tg.custom_vjp(into_a_buffer, lambda g, y, x: 2.0 * g)
    y = g(tg.tensor([1.0, 2.0]))
    g(tg.tensor([5.0, 6.0]))
    assert y.numpy().tolist() == [2.0, 4.0]
