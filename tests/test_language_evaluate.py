"""Values: each operator and function against plain numpy, on arrays and Tensors, for one sample and many."""

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn.language import parse
from tinygrad_rnn.language.functions import FUNCTIONS
from tinygrad_rnn.language.run.evaluate import evaluate, product
from tinygrad_rnn.language.run.operands import BatchError, Operand, dense, diagonal, transpose

RNG = np.random.default_rng(0)
N, M = 4, 3


def made(rows, columns, batch=None):
    if batch is None:
        return Operand(
            RNG.standard_normal((rows, columns)) if (rows, columns) != (1, 1) else float(RNG.standard_normal()),
            rows,
            columns,
        )
    return Operand(RNG.standard_normal((rows, batch)), rows, columns, batch)


def quantities(batch):
    return {
        "W": made(N, M),
        "A": made(N, N),
        "b": made(N, 1),
        "alpha": made(1, 1),
        "h": made(N, 1, batch),
        "g": made(N, 1, batch),
        "x": made(M, 1, batch),
        "s": made(1, 1, batch),
        "y": Operand(RNG.integers(0, N, batch), N, 1, batch, classes=N),
    }


def value(text, known, T=4, t=2, contract=True):
    rhs = parse(f"q[t] = {text}").forward[0].rhs
    return dense(evaluate(rhs, lambda name, step: known[name], {"T": T, "t": t}, contract=contract))


def sample(known, j):
    """One sample of the quantities as plain matrices."""
    return {
        name: np.asarray(x.value if x.batch is None else x.value[j] if x.classes else x.value[:, [j]])
        for name, x in known.items()
    }


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def softmax(x):
    return np.exp(x) / np.exp(x).sum()


CASES = {
    "h[t] + b": lambda q: q["h"] + q["b"],
    "2 - h[t] / 4": lambda q: 2 - q["h"] / 4,
    "s[t] * h[t]": lambda q: q["s"] * q["h"],
    "s[t] * h[t].T": lambda q: q["s"] * q["h"].T,
    "b.T + h[t].T": lambda q: q["b"].T + q["h"].T,
    "-h[t]**2": lambda q: -(q["h"] ** 2),
    "alpha * h[t] + s[t]": lambda q: q["alpha"] * q["h"] + q["s"],
    "W @ x[t]": lambda q: q["W"] @ q["x"],
    "h[t].T @ W": lambda q: q["h"].T @ q["W"],
    "A.T @ diag(h[t]) @ g[t]": lambda q: q["A"].T @ np.diag(q["h"][:, 0]) @ q["g"],
    "A.T @ (diag(h[t]) @ g[t])": lambda q: q["A"].T @ np.diag(q["h"][:, 0]) @ q["g"],
    "g[t].T @ diag(h[t]) @ A": lambda q: q["g"].T @ np.diag(q["h"][:, 0]) @ q["A"],
    "diag(h[t]) @ diag(g[t]) @ h[t]": lambda q: q["h"] ** 2 * q["g"],
    "2 * diag(h[t]).T @ g[t]": lambda q: 2 * q["h"] * q["g"],
    "h[t].T @ g[t]": lambda q: q["h"].T @ q["g"],
    "b.T @ g[t]": lambda q: q["b"].T @ q["g"],
    "g[t].T @ b": lambda q: q["g"].T @ q["b"],
    "h[t].T @ A @ g[t]": lambda q: q["h"].T @ q["A"] @ q["g"],
    "h[t] @ (h[t].T @ g[t])": lambda q: q["h"] @ (q["h"].T @ q["g"]),
    "h[t] @ h[t].T @ g[t]": lambda q: q["h"] @ q["h"].T @ q["g"],
    "(h[t].T).T": lambda q: q["h"],
    "[h[t]; x[t]]": lambda q: np.vstack([q["h"], q["x"]]),
    "concat(x[t], b, s[t])": lambda q: np.vstack([q["x"], q["b"], q["s"]]),
    "dot(h[t], g[t])": lambda q: q["h"].T @ q["g"],
    "transpose(h[t])": lambda q: q["h"].T,
    "tanh(h[t])": lambda q: np.tanh(q["h"]),
    "σ(h[t])": lambda q: sigmoid(q["h"]),
    "relu(h[t])": lambda q: np.maximum(q["h"], 0),
    "softplus(h[t])": lambda q: np.log1p(np.exp(q["h"])),
    "exp(h[t])": lambda q: np.exp(q["h"]),
    "log(1 + h[t]**2)": lambda q: np.log(1 + q["h"] ** 2),
    "log1p(h[t]**2)": lambda q: np.log1p(q["h"] ** 2),
    "sqrt(h[t]**2)": lambda q: np.abs(q["h"]),
    "abs(h[t])": lambda q: np.abs(q["h"]),
    "sin(h[t]) + cos(g[t])": lambda q: np.sin(q["h"]) + np.cos(q["g"]),
    "tanh'(h[t])": lambda q: 1 - np.tanh(q["h"]) ** 2,
    "sigmoid'(h[t])": lambda q: sigmoid(q["h"]) * (1 - sigmoid(q["h"])),
    "relu'(h[t])": lambda q: (q["h"] > 0) * 1.0,
    "softplus'(h[t])": lambda q: sigmoid(q["h"]),
    "stop(h[t])": lambda q: q["h"],
    "sign(h[t])": lambda q: np.sign(q["h"]),
    "rows(h[t], 2, 3)": lambda q: q["h"][1:3],
    "ones_like(h[t]) + ones_like(alpha)": lambda q: 2 * np.ones_like(q["h"]),
    "softmax(h[t])": lambda q: softmax(q["h"]),
    "log_softmax(h[t])": lambda q: np.log(softmax(q["h"])),
    "logsumexp(h[t])": lambda q: np.log(np.exp(q["h"]).sum(keepdims=True)),
    "onehot(y[t])": lambda q: np.eye(N)[:, [q["y"]]],
    "sum(h[t])": lambda q: q["h"].sum(keepdims=True),
    "sum(h[t].T)": lambda q: q["h"].sum(keepdims=True),
    "mean(h[t])": lambda q: q["h"].mean(keepdims=True),
    "norm(h[t])": lambda q: np.sqrt((q["h"] ** 2).sum(keepdims=True)),
    "cross_entropy(h[t], y[t])": lambda q: -np.log(softmax(q["h"])[[q["y"]], :]),
    "cross_entropy(h[t], onehot(y[t]))": lambda q: -np.log(softmax(q["h"])[[q["y"]], :]),
    "squared_error(h[t], g[t])": lambda q: 0.5 * ((q["h"] - q["g"]) ** 2).sum(keepdims=True),
    "maximum(h[t], b)": lambda q: np.maximum(q["h"], q["b"]),
    "minimum(h[t], 0)": lambda q: np.minimum(q["h"], 0),
    "sum(k <= t, k * h[t])": lambda q: 3 * q["h"],
    "mean(k, k * h[t])": lambda q: 2.5 * q["h"],
    "mean(k <= t, k * h[t])": lambda q: 1.5 * q["h"],
    "prod(k < T, h[t])": lambda q: q["h"] ** 3,
    "inv(A) @ h[t]": lambda q: np.linalg.inv(q["A"]) @ q["h"],
    "solve(A, h[t])": lambda q: np.linalg.solve(q["A"], q["h"]),
    "softmax_columns(h[t])": lambda q: softmax(q["h"]),
    "softmax_columns(h[t].T)": lambda q: np.ones((1, N)),
    "softmax_rows(h[t].T)": lambda q: softmax(q["h"]).T,
    "row_sums(h[t]) + row_sums(A)": lambda q: q["h"] + q["A"].sum(axis=1, keepdims=True),
    "row_sums(h[t].T)": lambda q: q["h"].sum(keepdims=True),
    "column_sums(h[t])": lambda q: q["h"].sum(keepdims=True),
    "columns(h[t].T, 2, 3)": lambda q: q["h"][1:3].T,
    "h[t] * t / T": lambda q: q["h"] / 2,
}
#: their values add up over the samples
SUMMED = {
    "h[t] @ x[t].T": lambda q: q["h"] @ q["x"].T,
    "A @ h[t] @ x[t].T @ W.T": lambda q: q["A"] @ q["h"] @ q["x"].T @ q["W"].T,
    "diag(g[t]) @ h[t] @ x[t].T": lambda q: (q["g"] * q["h"]) @ q["x"].T,
    "outer(h[t], x[t])": lambda q: q["h"] @ q["x"].T,
}


def test_the_cases_cover_every_function():
    names = {"σ": "sigmoid"}
    used = {
        names.get(piece, piece)
        for text in (*CASES, *SUMMED)
        for piece in text.replace("(", " ( ").replace("-", " ").split()
    }
    assert set(FUNCTIONS) <= used


@pytest.mark.parametrize("batch", [1, 3, 4])
@pytest.mark.parametrize("text", CASES)
def test_each_sample_gets_what_plain_matrices_give(text, batch):
    known = quantities(batch)
    result = value(text, known)
    for j in range(batch):
        expected = CASES[text](sample(known, j))
        whole = np.reshape(result.value, (1, -1)) if result.is_scalar else result.value
        got = whole[[j], :] if result.is_row else whole[:, [j]]
        assert got.shape == expected.shape
        np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("batch", [1, 3, 4])
@pytest.mark.parametrize("text", SUMMED)
def test_sums_over_the_samples(text, batch):
    known = quantities(batch)
    expected = sum(SUMMED[text](sample(known, j)) for j in range(batch))
    np.testing.assert_allclose(value(text, known).value, expected, rtol=1e-12)


@pytest.mark.parametrize("text", [*CASES, *SUMMED])
def test_tensors_give_the_values_of_plain_arrays(text):
    known = quantities(3)
    recorded = {
        name: x if x.classes else Operand(tg.tensor(x.value, name=name), x.rows, x.columns, x.batch)
        for name, x in known.items()
    }
    plain, traced = value(text, known), value(text, recorded)
    held = traced.value.value if isinstance(traced.value, tg.Tensor) else traced.value
    np.testing.assert_array_equal(held, plain.value)
    assert (plain.rows, plain.columns, plain.batch) == (traced.rows, traced.columns, traced.batch)
    assert isinstance(traced.value, tg.Tensor) or "onehot" in text or "ones_like" in text


def test_a_chain_ending_in_a_column_never_multiplies_matrices():
    known = {
        name: Operand(tg.tensor(x.value), x.rows, x.columns, x.batch)
        for name, x in quantities(2).items()
        if not x.classes
    }
    rhs = parse("q[t] = A @ A @ A @ diag(h[t]) @ A @ g[t]").forward[0].rhs
    graph = tg.Graph(evaluate(rhs, lambda name, step: known[name], {"T": 1, "t": 1}).value)
    products = graph.select(op="matmul")
    assert len(products) == 4
    assert all(node.shape == (N, 2) for node in products)


@pytest.mark.parametrize("text", ["A @ diag(h[t])", "diag(h[t]) + A", "s[t] * A", "b @ x[t].T"])
def test_a_matrix_for_each_sample_is_refused_and_one_sample_is_fine(text):
    with pytest.raises(BatchError, match="sample"):
        value(text, quantities(3))
    assert value(text, quantities(1)).rows == N


def test_a_forward_outer_product_does_not_add_up_over_samples():
    with pytest.raises(BatchError, match="samples"):
        value("h[t] @ x[t].T", quantities(3), contract=False)


def test_a_sum_over_time_is_one_node():
    x = tg.tensor(np.ones((2, 1)))
    rhs = parse("L = sum(k, x[k])").forward[0].rhs
    total = evaluate(rhs, lambda name, step: Operand(x, 2, 1, 1), {"T": 5}).value
    assert total.op.name == "add_n"
    assert len(total.inputs) == 5


def test_an_empty_sum_is_zero_of_the_right_shape():
    rhs = parse("q[t] = sum(k < t, x[k])").forward[0].rhs
    result = evaluate(
        rhs, lambda name, step: pytest.fail("nothing is read"), {"T": 5, "t": 1}, shape_of=lambda expr: (3, 1)
    )
    assert result.value.tolist() == [[0.0]] * 3


def test_a_diagonal_stays_a_column_as_long_as_it_can():
    v, w = made(N, 1, 5), made(N, 1, 5)
    assert product([diagonal(v), w]).value.tolist() == (v.value * w.value).tolist()
    assert product([transpose(w), diagonal(v)]).value.tolist() == (v.value * w.value).T.tolist()
