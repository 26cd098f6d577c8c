"""The derivation of a gradient that is itself a named quantity: each printed equation holds numerically."""

from __future__ import annotations

import numpy as np

import tinygrad_rnn as tg
from tinygrad_rnn.language.evaluate import evaluate
from tinygrad_rnn.language.operands import Operand

T = 7


def test_the_gradient_of_a_gradient_norm_is_derived():
    rng = np.random.default_rng(0)
    W = tg.tensor(rng.standard_normal((3, 3)), name="W")
    with tg.step(0):
        h = tg.tensor(rng.standard_normal((3, 1)), name="h")
    loss = 0.0
    for _ in tg.steps(1, T + 1):
        h = tg.name("h", np.tanh(W @ h))
        loss = loss + np.sum(h * h)
    dW = tg.gradients(loss, W, create_graph=True)
    squared = np.sum(dW * dW)
    derivation = tg.derive(squared, keep=["h", "dh", "dW"])
    assert "Dh[t] = " in derivation.text(), "first gradients are called d…, so second ones are called D…"

    graph = tg.Graph(squared)
    named = {(n.name, n.scope.step): n for n in graph.nodes if n.name}
    found = tg.gradients(squared, list(named.values()))
    values = {place: node.value for place, node in named.items()}
    values |= {(f"D{name}", step): g for (name, step), g in zip(named, found, strict=True)}

    def lookup(name, step):
        value = np.asarray(values[name, step])
        return Operand(value, *value.shape)

    checked = 0
    for equation in derivation.equations:
        steps = [None] if equation.target.index is None else equation.covers(T)
        for step in steps:
            stated = evaluate(equation.rhs, lookup, equation.binding(step, T)).value
            np.testing.assert_allclose(stated, values[equation.target.name, step], rtol=1e-11, atol=1e-13)
            checked += 1
    assert checked >= 2 * T
