"""Rules that say the same with less: what is merged computes the same thing, and nothing else is merged."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn.compiler import compile
from tinygrad_rnn.compiler.passes.simplify import common, frozen, simplify
from tinygrad_rnn.core.loop.program import Node, constant
from tinygrad_rnn.core.primitive import PRIMITIVES

VALUE = np.arange(1.0, 4.0)
X, Y = (Node("input", (), {"name": name}, False, VALUE) for name in "xy")


def node(op: str, *ins: Node, **params: Any) -> Node:
    function = PRIMITIVES[op]
    return Node(op, ins, params, False, np.asarray(function.forward(*(x.sample for x in ins), **params)), function)


@pytest.mark.parametrize("zero", [0.0, np.zeros(3), np.zeros((1, 3))[0]])
def test_adding_zeros_is_nothing_on_either_side(zero: Any) -> None:
    assert simplify([node("add", X, constant(zero))]) == [X]
    assert simplify([node("add", constant(zero), X)]) == [X]


def test_adding_what_is_not_all_zeros_or_spreads_is_something() -> None:
    for other in (constant(np.array([0.0, 0.0, 1.0])), constant(np.zeros((2, 3)))):
        (kept,) = simplify([node("add", X, other)])
        assert kept.op == "add"


def test_ones_go_from_products_and_quotients_but_no_other_number() -> None:
    one, two = constant(1.0), constant(2.0)
    assert simplify([node("multiply", X, one), node("multiply", one, X), node("divide", X, one)]) == [X, X, X]
    kept = simplify([node("multiply", X, two), node("divide", X, two), node("divide", one, X)])
    assert [found.op for found in kept] == ["multiply", "divide", "divide"]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (node("add", X, Y), node("add", Y, X), True),
        (node("multiply", X, Y), node("multiply", Y, X), True),
        (node("subtract", X, Y), node("subtract", X, Y), True),
        (node("subtract", X, Y), node("subtract", Y, X), False),
        (node("divide", X, Y), node("divide", Y, X), False),
        (node("add", X, Y), node("multiply", X, Y), False),
        (node("sum", X, axis=0, keepdims=True), node("sum", X, axis=0, keepdims=True), True),
        (node("sum", X, axis=0, keepdims=True), node("sum", X, axis=0, keepdims=False), False),
        (node("power_constant", X, n=2), node("power_constant", X, n=3), False),
    ],
    ids=lambda x: getattr(x, "op", x),
)
def test_what_is_computed_twice_is_computed_once_and_what_differs_is_not(one: Node, other: Node, same: bool) -> None:
    first, second = common([one, other])
    assert (first is second) == same


def test_parameters_that_print_alike_are_not_the_same() -> None:
    told_apart = [1, 1.0, True, 0.0, -0.0, np.zeros(2), np.zeros(2, int), np.zeros((2, 1)), (1,), [1]]
    assert len({frozen(value) for value in told_apart}) == len(told_apart)
    assert frozen({"a": np.ones(2), "b": 1}) == frozen({"b": 1, "a": np.ones(2)})


@pytest.mark.parametrize("executor", ["numpy", "jit"])
def test_a_stacked_part_may_have_no_rows(executor: str) -> None:
    """The weights of three gates, of which one has no entries, as one matrix."""
    if executor == "jit":
        pytest.importorskip("numba", reason="numba is not installed: pip install -e '.[jit]'")
    rng = np.random.default_rng(0)
    p = {name: rng.normal(size=(rows, 3)) for name, rows in {"A": 2, "none": 0, "B": 1}.items()}

    def loss(p: Any, x: Any) -> Any:
        h, W = np.zeros((2, 3)), np.concatenate([p["A"], p["none"], p["B"]])
        for t in tg.steps(len(x)):
            h = np.tanh(tg.linear(h, W) + x[t])
        return np.sum(h * h)

    fast, eager = compile(tg.value_and_grad(loss), executor=executor), tg.value_and_grad(loss)
    for T in (4, 2):
        x = rng.normal(size=(T, 2, 3))
        (value, gradients), (found, theirs) = eager(p, x), fast(p, x)
        assert abs(found - value) < 1e-12
        for name, gradient in gradients.items():
            assert theirs[name].shape == gradient.shape
            np.testing.assert_allclose(theirs[name], gradient, atol=1e-12)
