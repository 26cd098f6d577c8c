"""Functions of matrices, learned exponents and indices that run backwards or twice: values and judged gradients."""

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn.derivation import derive
from tinygrad_rnn.language import load
from tinygrad_rnn.language.text.latex import latex
from tinygrad_rnn.language.text.mathml import mathml
from tinygrad_rnn.verification.measure.probe import Probe

INVERSE = """sizes: x = 4
o[t] = inv(A) @ x[t]
L = sum(t, squared_error(o[t], y[t]))
gradients:
do[t] = o[t] - y[t]
dA = sum(t, -inv(A).T @ do[t] @ o[t].T)
dx[t] = inv(A.T) @ do[t]
"""
SOLVE = """sizes: x = 4
o[t] = solve(A, x[t])
L = sum(t, squared_error(o[t], y[t]))
gradients:
do[t] = o[t] - y[t]
dA = sum(t, -outer(solve(A.T, do[t]), o[t]))
dx[t] = solve(A.T, do[t])
"""
SOFTMAX_ROWS = """sizes: x = 3, G = 4 x 3
G[t] = outer(W @ x[t], x[t])
K[t] = softmax_rows(G[t])
L = sum(t, sum(tanh(K[t])))
gradients:
dK[t] = 1 - tanh(K[t])**2 + 0 * K[t]
dG[t] = K[t] * (dK[t] - row_sums(K[t] * dK[t]) @ ones_like(x[t]).T)
dW = sum(t, dG[t] @ x[t] @ x[t].T)
"""
SOFTMAX_COLUMNS = """sizes: x = 3, G = 4 x 3
G[t] = outer(W @ x[t], x[t])
K[t] = softmax_columns(G[t])
L = sum(t, sum(tanh(K[t])))
gradients:
dK[t] = 1 - tanh(K[t])**2 + 0 * K[t]
dG[t] = K[t] * (dK[t] - ones_like(G[t] @ x[t]) @ column_sums(K[t] * dK[t]))
"""
EXPONENT = """sizes: x = 3
bounds: 0.5 < x < 2
o[t] = x[t]**p
L = sum(t, squared_error(o[t], y[t]))
gradients:
do[t] = o[t] - y[t]
dp = sum(t, do[t] * log(x[t]) * o[t])
dx[t] = do[t] * p * x[t]**(p - 1)
"""
PARTS = """sizes: x = 3, W = 4 x 6
o[t] = columns(W, 1, 3) @ x[t] + tanh(columns(W, 4, 6) @ x[t])
L = sum(t, squared_error(o[t], y[t]))
gradients:
do[t] = o[t] - y[t]
dW = sum(t, [(do[t] @ x[t].T).T; (((1 - tanh(columns(W, 4, 6) @ x[t])**2) * do[t]) @ x[t].T).T].T)
"""
BACKWARDS = """sizes: h = 3, x = 2
h[t] = tanh(W @ h[t-1] + U @ x[t])
g[t] = tanh(V @ h[T+1-t] + h[t])
L = sum(t, sum(g[t]))
gradients:
da[t] = 1 - g[t]**2
dV = sum(t, da[t] @ h[T+1-t].T)
dh[T] = da[T] + V.T @ da[1]
dh[t] = da[t] + V.T @ da[T+1-t] + W.T @ ((1 - h[t+1]**2) * dh[t+1])    for t < T
"""
BACKWARDS_TARGET = """sizes: h = 3, x = 2
h[T+1-t] = tanh(W @ h[T-t] + U @ x[T+1-t])
L = sum(t, sum(h[t]))
gradients:
dh[T] = ones_like(h[T])
dh[T-t] = ones_like(h[T]) + W.T @ ((1 - h[T-t+1]**2) * dh[T-t+1])    for t < T
"""
DIAGONAL = """sizes: D = 3, x = 2
indices: t = 1..T, s = 1..T
D[t, s] = U @ x[t] + V @ x[s]
L = sum(t, sum(tanh(D[t, t])))
gradients:
dD[t, t] = 1 - tanh(D[t, t])**2
dD[t, s] = 0
dU = sum(t, (1 - tanh(D[t, t])**2) @ x[t].T)
"""
DERIVATIONS = {
    "inv": (INVERSE, "-inv(A).T @ do", "-inv(A) @ do"),
    "solve": (SOLVE, "solve(A.T, do[t]), o[t]", "solve(A, do[t]), o[t]"),
    "softmax over rows": (SOFTMAX_ROWS, "row_sums(K[t] * dK[t])", "row_sums(dK[t])"),
    "softmax over columns": (SOFTMAX_COLUMNS, "column_sums(K[t] * dK[t])", "column_sums(K[t])"),
    "learned exponent": (EXPONENT, "do[t] * log(x[t])", "do[t] * log(2 * x[t])"),
    "its base": (EXPONENT, "**(p - 1)", "**(p - 2)"),
    "columns": (PARTS, "[(do[t] @ x[t].T).T; (((1", "[2 * (do[t] @ x[t].T).T; (((1"),
    "backwards": (BACKWARDS, "V.T @ da[T+1-t]", "V.T @ da[T-t]"),
    "backwards on the left": (BACKWARDS_TARGET, "* dh[T-t+1])", "* dh[T])"),
    "diagonal": (DIAGONAL, "dD[t, t] = 1 - tanh(D[t, t])**2", "dD[t, t] = 1 - tanh(D[t, t])"),
    "beside the diagonal": (DIAGONAL, "dD[t, s] = 0", "dD[t, s] = D[t, s]"),
}


@pytest.mark.parametrize("name", DERIVATIONS)
def test_the_right_derivation_passes_and_the_mistake_is_found(name):
    """Every reference gradient is compared with the complex step."""
    derivation, right, wrong = DERIVATIONS[name]
    for text, verdicts in ((derivation, {"PASS"}), (derivation.replace(right, wrong), {"PASS", "FAIL"})):
        model = load(text)
        probe = Probe(model, model.unroll(4))
        assert probe.reference.check().ok
        stated = [equation for equation in model.gradients if model.role(equation) != "helper"]
        found = {probe.judge(equation, step).verdict for equation in stated for step in model.steps_of(equation, 4)}
        assert found == verdicts


CUBE = """sizes: x = 3, h = 4, A = 4 x 4
h[t] = tanh(A**3 @ h[t-1] + U @ x[t])
L = sum(t, sum(row_sums(h[t])**2))
"""
SIDE_BY_SIDE = """sizes: x = 3, h = 4, z = 8
vectors: rows
z[t] = [h[t-1], x[t]] @ W + b
h[t] = sigmoid(rows(z[t], 1, 4)) * tanh(rows(z[t], 5, 8))
L = sum(t, sum(h[t]**2))
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "source", [INVERSE, SOLVE, SOFTMAX_ROWS, SOFTMAX_COLUMNS, EXPONENT, PARTS, BACKWARDS, DIAGONAL, CUBE, SIDE_BY_SIDE]
)
def test_what_is_derived_is_right_at_other_lengths(source):
    forward, _, _ = source.partition("gradients:\n")
    model = load(f"{forward}gradients:\n{derive(load(forward)).text()}")
    for T in (3, 5):
        probe = Probe(model, model.unroll(T, seed=7))
        stated = [equation for equation in model.gradients if model.role(equation) != "helper"]
        assert {probe.judge(e, step).verdict for e in stated for step in model.steps_of(e, T)} <= {
            "PASS",
            "INCONCLUSIVE",
        }
    assert any(equation.name[1:] in model.parameters for equation in model.gradients)


def test_values_are_those_of_numpy():
    text = """sizes: x = 4
    fixed: A
    a = sum(inv(A) @ A**2 @ x) + sum(solve(A, x)) + sum(softmax_rows(A) * A)
    b = sum(softmax_columns(A)**2) + dot(row_sums(A), x) + sum(column_sums(A**2)) + sum(columns(A, 2, 3))
    L = a + b"""
    run = load(text).unroll(1)
    A, x = run["A"].numpy(), run["x"].numpy()
    rows = np.exp(A) / np.exp(A).sum(axis=1, keepdims=True)
    columns = np.exp(A) / np.exp(A).sum(axis=0)
    a = (A @ x).sum() + np.linalg.solve(A, x).sum() + (rows * A).sum()
    b = (columns**2).sum() + A.sum(axis=1) @ x[:, 0] + (A**2).sum() + A[:, 1:3].sum()
    np.testing.assert_allclose(run.loss.numpy(), a + b, rtol=1e-11)


def test_functions_of_a_vector_take_several_samples():
    model = load("sizes: x = 4\no[t] = softmax_columns(solve(A, x[t]))\nL = sum(t, sum(o[t]**2))")
    run = model.unroll(2, batch=3)
    assert run["o", 1].shape == (4, 3)
    alone = model.unroll(2, values={("x", t): run["x", t].numpy()[:, :1] for t in (1, 2)})
    np.testing.assert_allclose(run["o", 2].numpy()[:, :1], alone["o", 2].numpy(), rtol=1e-12)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("sizes: W = 3 x 4\nL = sum(inv(W))", "a square matrix, to which inv applies"),
        ("sizes: A = 3 x 3, x = 2\nL = sum(solve(A, x))", "3 rows, as the matrix has"),
        ("sizes: W = 3 x 4\nL = sum(columns(W, 3, 5))", "a column of 4 at most"),
        ("sizes: W = 3 x 4\nL = sum(rows(W, 2, 4))", "a row of 3 at most"),
        ("sizes: W = 3 x 4\nL = sum(rows(W, 0, 2))", "two whole numbers, the first and the last row"),
        ("sizes: W = 3 x 4\nL = sum(rows(W, 3, 2))", "two whole numbers, the first and the last row"),
        ("sizes: x = 3, y = 2\nL = sum(x**y)", "shapes do not fit"),
    ],
)
def test_what_does_not_fit_is_told(text, told):
    with pytest.raises(tg.LanguageError) as caught:
        load(text)
    assert told in str(caught.value)


@pytest.mark.parametrize(("part", "entries"), [("rows(W, 1, 3)", 12), ("rows(W, 3, 3)", 4), ("columns(W, 4, 4)", 3)])
def test_the_last_row_and_column_can_be_taken(part, entries):
    run = load(f"sizes: W = 3 x 4\nL = sum(0 * {part} + 1)").unroll(1)
    assert run.loss.item() == entries


def test_inverses_and_powers_of_entries_are_printed():
    model = load("sizes: A = 3 x 3, x = 3\nL = sum(inv(A) @ A**2 @ x) + sum(A**2) + sum(solve(A, x)**2)")
    said = latex(model.forward[0], model)
    assert r"\mathbf{A}^{-1} \mathbf{A}^{2} x" in said
    assert r"\mathbf{A}^{\odot 2}" in said
    assert r"\left(\mathbf{A}^{-1} x\right)^{2}" in said
    html = mathml(model.forward[0], model)
    assert "<mrow><mo>−</mo><mn>1</mn></mrow></msup>" in html
    assert "<mo>⊙</mo><mn>2</mn>" in html
