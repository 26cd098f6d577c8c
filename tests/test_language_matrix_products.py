"""Powers and products over time of square matrices: in their written order, empty ones the identity."""

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn.language import parse
from tinygrad_rnn.language.run.evaluate import evaluate
from tinygrad_rnn.language.run.operands import Operand, dense
from tinygrad_rnn.language.text.latex import latex
from tinygrad_rnn.language.text.mathml import mathml
from tinygrad_rnn.language.text.printer import text

RNG = np.random.default_rng(3)
W, A, x, h = (RNG.standard_normal(shape) for shape in ((4, 4), (4, 4), (4, 1), (6, 4, 1)))


def value(formula, batch=None, T=5, t=2):
    """The formula for q[t]; h[s] has values of its own at each step."""
    states = np.concatenate([h] * (batch or 1), axis=2) * np.arange(1, 1 + (batch or 1))

    def lookup(name, step):
        if name == "h":
            return Operand(states[step], 4, 1, batch)
        return {"W": Operand(W, 4, 4), "A": Operand(A, 4, 4), "x": Operand(x, 4, 1), "a": Operand(0.5)}[name]

    rhs = parse(f"q[t] = {formula}").forward[0].rhs
    return dense(evaluate(rhs, lookup, {"T": T, "t": t}, shape_of=lambda expr: (4, 4))).value


def jacobian(j):
    return W.T @ np.diag(1 - h[j][:, 0] ** 2)


@pytest.mark.parametrize(
    ("formula", "wanted"),
    [
        ("W**3 @ x", W @ W @ W @ x),
        ("(W.T)**(T-t) @ x", W.T @ W.T @ W.T @ x),
        ("(W**(T-t)).T @ x", W.T @ W.T @ W.T @ x),
        ("x.T @ W**2 @ A", x.T @ W @ W @ A),
        ("A @ W**0 @ x", A @ x),
        ("A @ W**2", A @ W @ W),
        ("W**-1 @ x", np.linalg.solve(W, x)),
        ("-W**2 @ x", -W @ W @ x),
        ("(2 * W**2 + A) @ x", (2 * W @ W + A) @ x),
        ("sum(k, W**k) @ x", sum(np.linalg.matrix_power(W, k) for k in range(1, 6)) @ x),
        ("diag(x)**2 @ h[t]", x**2 * h[2]),
        ("(A @ W)**2 @ x", A @ W @ A @ W @ x),
        ("sum(W**2)", np.sum(W**2)),
        ("W**2 * A", W**2 * A),
        ("(W**2 * A) @ x", (W**2 * A) @ x),
        ("W**2", W**2),
        ("x**2 * h[t]", x**2 * h[2]),
    ],
)
def test_a_power_is_that_of_the_matrix_where_it_is_a_factor_of_a_product(formula, wanted):
    np.testing.assert_allclose(value(formula), wanted, rtol=1e-12)


def chained(*matrices):
    return np.linalg.multi_dot(matrices)


@pytest.mark.parametrize(
    ("formula", "wanted"),
    [
        ("prod(j > t, W.T @ diag(1 - h[j]**2)) @ x", jacobian(3) @ jacobian(4) @ jacobian(5) @ x),
        ("prod(j = t+1..T, W.T @ diag(1 - h[j]**2)) @ x", jacobian(3) @ jacobian(4) @ jacobian(5) @ x),
        ("prod(j = T..t+1, W.T @ diag(1 - h[j]**2)) @ x", jacobian(5) @ jacobian(4) @ jacobian(3) @ x),
        ("x.T @ prod(j = T..t+1, W.T @ diag(1 - h[j]**2)).T", (jacobian(5) @ jacobian(4) @ jacobian(3) @ x).T),
        ("prod(j > T, W.T @ diag(h[j])) @ x", x),
        ("prod(j > T, W.T @ diag(h[j]))", np.eye(4)),
        ("prod(j = T..t+1, a * diag(h[j]) + W)", chained(*(np.diag(h[j][:, 0] / 2) + W for j in (5, 4, 3)))),
        ("prod(j < 4, h[j])", h[1] * h[2] * h[3]),
        ("prod(j < 4, a)", 0.125),
        ("prod(j = 3..1, sum(h[j]))", np.prod(h[1:4].sum(axis=(1, 2)))),
    ],
)  # fmt: skip
def test_a_product_over_time_of_square_matrices_is_theirs_in_the_written_order(formula, wanted):
    np.testing.assert_allclose(value(formula), wanted, rtol=1e-12)


def test_a_product_of_jacobians_meets_the_column_of_each_sample():
    formula = "prod(j = T..t+1, W.T @ diag(1 - h[j]**2)) @ h[1]"
    both = value(formula, batch=2)
    np.testing.assert_allclose(both[:, :1], value(formula), rtol=1e-12)
    assert both.shape == (4, 2)


LINEAR = """sizes: x = 3, h = 4, o = 2
h[t] = W @ h[t-1] + U @ x[t]
o = V @ h[T]
L = squared_error(o, q)
gradients:
do = o - q
dh[t] = (W.T)**(T-t) @ V.T @ do
dU = sum(t, (W**(T-t)).T @ V.T @ do @ x[t].T)
"""
TANH = """sizes: x = 3, h = 4, o = 2
h[t] = tanh(W @ h[t-1] + U @ x[t])
o[t] = V @ h[t]
L = sum(t, squared_error(o[t], y[t]))
gradients:
do[t] = o[t] - y[t]
dh[t] = sum(s >= t, prod(j = t+1..s, W.T @ diag(1 - h[j]**2)) @ V.T @ do[s])
dW = sum(t, sum(k <= t, diag(1 - h[k]**2) @ prod(j = k+1..t, W.T @ diag(1 - h[j]**2)) @ V.T @ do[t] @ h[k-1].T))
dU = sum(t, sum(k <= t, (do[t].T @ V @ prod(j = t..k+1, diag(1 - h[j]**2) @ W) @ diag(1 - h[k]**2)).T @ x[k].T))
"""


#: gradients of two indices: what step t contributes at step k
PAIRS = """sizes: x = 3, h = 4, o = 2
indices: t = 1..T, k = 1..T, j = 1..T
h[t] = tanh(W @ h[t-1] + U @ x[t])
o[t] = V @ h[t]
L = sum(t, squared_error(o[t], y[t]))
gradients:
do[t] = o[t] - y[t]
J[t, k] = prod(j = t..k+1, diag(1 - h[j]**2) @ W)    for k <= t
dW = sum(t, sum(k <= t, diag(1 - h[k]**2) @ J[t, k].T @ V.T @ do[t] @ h[k-1].T))
delta[t, t] = V.T @ do[t]
delta[t, k] = W.T @ diag(1 - h[k+1]**2) @ delta[t, k+1]    for k < t
dU = sum(t, sum(k <= t, diag(1 - h[k]**2) @ delta[t, k] @ x[k].T))
dh[k] = sum(t >= k, delta[t, k])
"""


@pytest.mark.slow
@pytest.mark.parametrize("derivation", [LINEAR, TANH, PAIRS])
def test_textbook_sums_over_products_of_jacobians_pass(derivation):
    """The truth is the complex step behind every verdict."""
    assert tg.verify(derivation).ok


@pytest.mark.slow
@pytest.mark.parametrize(
    ("derivation", "right", "wrong", "line"),
    [
        (LINEAR, "(W.T)**(T-t) @", "(W.T)**(T-t+1) @", 6),
        (LINEAR, "(W**(T-t)).T", "W**(T-t)", 7),
        (TANH, "dh[t] = sum(s >= t, prod(j = t+1..s", "dh[t] = sum(s >= t, prod(j = s..t+1", 6),
        (TANH, "diag(1 - h[k]**2) @ prod(j = k+1..t", "diag(1 - h[k]**2) @ prod(j = t..k+1", 7),
        (TANH, "prod(j = t..k+1, diag", "prod(j = k+1..t, diag", 8),
        (TANH, "prod(j = k+1..t, W.T", "prod(j = k..t, W.T", 7),
        (PAIRS, "@ J[t, k].T @", "@ J[t, k] @", 8),
        (PAIRS, "sum(t >= k, delta", "sum(t > k, delta", 12),
    ],
)
def test_the_order_and_the_ends_of_a_product_are_judged(derivation, right, wrong, line):
    assert right in derivation
    report = tg.verify(derivation.replace(right, wrong))
    (row,) = [row for row in report.rows if row.verdict == "FAIL"]
    assert row.line - 1 == line
    assert row.correction is not None  # applied and judged again, with its empty products


def test_a_model_may_be_made_of_powers_and_products():
    forward = """sizes: x = 4, h = 4
    h[t] = (W**2 + A) @ x[t]
    g = prod(t, diag(h[t]) @ W) @ v
    L = norm(g)
    """
    run = tg.load(forward).unroll(3, seed=1)
    M = {name: node.numpy() for name, node in run.parameters.items()}
    states = [(M["W"] @ M["W"] + M["A"]) @ run["x", t].numpy() for t in (1, 2, 3)]
    g = np.linalg.multi_dot([np.diag(state[:, 0]) @ M["W"] for state in states]) @ M["v"]
    np.testing.assert_allclose(run.loss.numpy(), np.linalg.norm(g), rtol=1e-12)


def test_a_range_runs_down_where_the_larger_bound_is_known_to_come_first():
    def steps(formula, **times):
        return parse(formula).forward[0].rhs.over.steps({"T": 5, **times})

    assert steps("q[t] = prod(j = T..t, W)", t=3) == [5, 4, 3]
    assert steps("q[t] = prod(j = t..1, W)", t=3) == [3, 2, 1]
    assert steps("q[t] = prod(j = 1..t, W)", t=3) == [1, 2, 3]
    assert steps("q[t] = prod(j = t+1..T, W)", t=5) == []
    assert steps("q[t] = prod(j = T..t+1, W)", t=5) == []
    assert steps("q = prod(j = 4..2, W)") == [4, 3, 2]
    below = parse("indices: t = 1..T, k = 1..T\nJ[t, k] = prod(j = t..k+1, W)    for k < t").forward[0].rhs
    assert below.over.steps({"T": 5, "t": 4, "k": 2}) == [4, 3]
    for bounds, wanted in (("t..k+1", [4, 3]), ("k+1..t", [3, 4]), ("t-1..k", [3, 2]), ("k..t-1", [2, 3])):
        anywhere = parse(f"indices: t = 1..T, k = 1..T\nJ[t, k] = prod(j = {bounds}, W)").forward[0].rhs
        assert anywhere.over.steps({"T": 5, "t": 4, "k": 2}) == wanted


def test_descending_products_are_printed():
    equation = parse("q[t] = prod(j = T..t+1, W.T @ diag(h[j])) @ x").forward[0]
    assert text(equation) == "q[t] = prod(j = T..t+1, W.T @ diag(h[j])) @ x"
    assert r"\prod_{j=T}^{t+1}" in latex(equation)
    assert "<mi>j</mi><mo>=</mo><mi>T</mi></mrow><mrow><mi>t</mi><mo>+</mo><mn>1</mn></mrow>" in mathml(equation)


def test_a_letter_that_has_a_value_is_not_bound_again():
    for formula in ("h[t] = sum(t, x[t])", "h[t] = sum(t < T, x[t])", "h = sum(t, sum(t, x[t]))"):
        with pytest.raises(tg.LanguageError, match="t has a value here already") as caught:
            parse(formula)
        assert "sum(k, …)" in str(caught.value)
