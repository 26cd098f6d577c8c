"""Files of row vectors: declared or found, with products, gradient shapes and batches to match."""

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.sweep import sample
from tinygrad_rnn.derivation import derive
from tinygrad_rnn.derivation.prover.prove import prove
from tinygrad_rnn.language import load, parse
from tinygrad_rnn.language.text.printer import text
from tinygrad_rnn.verification.measure.probe import Probe

VANILLA = """sizes: x = 3, h = 4, o = 5
a[t] = h[t-1] @ W + x[t] @ U + b
h[t] = tanh(a[t])
o[t] = h[t] @ V + c
L = sum(t, cross_entropy(o[t], y[t]))
gradients:
do[t] = softmax(o[t]) - onehot(y[t])
dh[T] = do[T] @ V.T
dh[t] = da[t+1] @ W.T + do[t] @ V.T    for t < T
da[t] = dh[t] * (1 - h[t]**2)
dW = sum(t, h[t-1].T @ da[t])
dU = sum(t, x[t].T @ da[t])
db = sum(t, da[t])
dV = sum(t, outer(h[t], do[t]))
dc = sum(t, do[t])
"""
FUSED = """sizes: x = 3, h = 4, y = 5, z = 8
vectors: rows
labels: y one-hot
z[t] = [h[t-1], x[t]] @ W + b
i[t] = sigmoid(rows(z[t], 1, 4))
g[t] = tanh(rows(z[t], 5, 8))
h[t] = i[t] * g[t]
p[t] = softmax(h[t] @ V)
L = sum(t, -dot(y[t], log(p[t])))
gradients:
dh[T] = (p[T] - y[T]) @ V.T
dh[t] = (p[t] - y[t]) @ V.T + rows(dz[t+1] @ W.T, 1, 4)    for t < T
dz[t] = [dh[t] * g[t] * i[t] * (1 - i[t]), dh[t] @ diag(i[t]) @ diag(1 - g[t]**2)]
dW = sum(t, [h[t-1], x[t]].T @ dz[t])
db = sum(t, dz[t])
dV = sum(t, h[t].T @ (p[t] - y[t]))
"""


@pytest.mark.parametrize("derivation", [VANILLA, FUSED])
@pytest.mark.parametrize("batch", [1, 3])
def test_a_row_major_derivation_is_right_for_one_sample_and_several(derivation, batch):
    model = load(derivation)
    probe = Probe(model, model.unroll(4, batch=batch))
    verdicts = {
        (equation.name, step): probe.judge(equation, step).verdict
        for equation in model.gradients
        for step in model.steps_of(equation, 4)
    }
    assert set(verdicts.values()) <= {"PASS", "PROVED"}, verdicts
    assert probe.reference.check().ok


@pytest.mark.slow
@pytest.mark.parametrize(
    ("derivation", "right", "wrong", "name"),
    sample(
        [
            (VANILLA, "h[t-1].T @ da[t]", "da[t].T @ h[t-1]", "dW"),
            (VANILLA, "da[t+1] @ W.T", "da[t+1] @ W", "dh[t]"),
            (VANILLA, "softmax(o[t]) - onehot(y[t])", "softmax(o[t])", "do[t]"),
            (FUSED, "(1 - g[t]**2)", "(1 - g[t])", "dz[t]"),
            (FUSED, "rows(dz[t+1] @ W.T, 1, 4)", "rows(dz[t+1] @ W.T, 4, 7)", "dh[t]"),
        ],
        2,
        "mistakes in rows",
    ),
)
def test_a_mistake_in_a_row_major_derivation_is_found(derivation, right, wrong, name):
    report = tg.verify(derivation.replace(right, wrong))
    assert [row.name for row in report.rows if row.verdict == "FAIL"] == [name]


def test_rows_are_found_where_nothing_else_fits_and_can_be_declared():
    model = load(VANILLA)
    assert model.found_rows
    assert (model.shapes["h[t]"], model.shapes["W"], model.shapes["U"]) == ((1, 4), (4, 4), (3, 4))
    assert not load("vectors: rows\n" + VANILLA).found_rows
    assert not load("sizes: h = 4\nh[t] = tanh(h[t-1])\nL = sum(h[T])").convention.rows
    assert parse(text(parse(FUSED))) == parse(FUSED)


def test_the_values_are_those_of_numpy_code():
    run = load(VANILLA).unroll(3, batch=2, seed=4)
    M = {name: node.numpy() for name, node in run.parameters.items()}
    h, loss = run["h", 0].numpy(), 0.0
    assert h.shape == (2, 4)
    for t in (1, 2, 3):
        h = np.tanh(h @ M["W"] + run["x", t].numpy() @ M["U"] + M["b"])
        o = h @ M["V"] + M["c"]
        p = np.exp(o) / np.exp(o).sum(axis=1, keepdims=True)
        loss -= np.log(p[np.arange(2), run["y", t].numpy()]).sum()
    np.testing.assert_allclose(run.loss.numpy(), loss, rtol=1e-13)


def test_a_compiled_file_of_rows_gives_the_same_loss_and_gradients():
    model = load(VANILLA)
    run = model.unroll(5, batch=2)
    values = {name: node.numpy() for name, node in run.parameters.items()}
    values |= {name: np.stack([run[name, t].numpy() for t in range(1, 6)]) for name in ("x", "y")}
    values["h", 0] = run["h", 0].numpy()
    loss, grads = model.compile()(values)
    np.testing.assert_allclose(loss, run.loss.numpy(), rtol=1e-12)
    truth = dict(zip(run.parameters, tg.gradients(run.loss, list(run.parameters.values())), strict=True))
    for name, gradient in grads.items():
        np.testing.assert_allclose(gradient, np.asarray(truth[name]), rtol=1e-10, atol=1e-13)


def test_a_parameter_that_comes_out_as_one_number_counts_as_not_typed():
    columns = "vectors: columns\nsizes: h = 4\nh[t] = tanh(h[t-1] @ W + b)\nL = sum(t, sum(h[t]))"
    with pytest.raises(tg.LanguageError, match="W comes out as one number beside @") as caught:
        load(columns)
    assert "vectors: rows" in str(caught.value)
    assert load(columns.replace("vectors: columns\n", "")).shapes["W"] == (4, 4)
    rows = "vectors: rows\nsizes: h = 4\nh[t] = tanh(W @ h[t-1])\nL = sum(t, sum(h[t]))"
    with pytest.raises(tg.LanguageError, match="one number"):
        load(rows)
    for declared in ("sizes: h = 1\nh[t] = tanh(W @ h[t-1])", "sizes: h = 4, W = 1\nh[t] = tanh(h[t-1] @ W)"):
        assert load(declared + "\nL = sum(t, sum(h[t]))").shapes["W"] == (1, 1)


def test_a_bad_gradient_in_a_file_of_rows_is_told_as_one():
    """Columns do not fit the forward equations, so it is not their error that is told."""
    with pytest.raises(tg.LanguageError) as caught:
        load(VANILLA.replace("dU = sum(t, x[t].T @ da[t])", "dU = sum(t, da[t].T @ x[t])"))
    assert caught.value.line == 12
    assert "4 x 3" in str(caught.value)


def test_vectors_are_one_or_the_other():
    with pytest.raises(tg.LanguageError, match="columns or rows, not diagonal"):
        load("vectors: diagonal\nsizes: h = 4\nh[t] = tanh(h[t-1])\nL = sum(h[T])")


def test_a_row_major_derivation_is_derived_and_proved():
    model = load(VANILLA)
    assert all(prove(model, equation).proved for equation in model.gradients)
    wrong = load(VANILLA.replace("da[t+1] @ W.T", "da[t+1] @ W"))
    assert [e.name for e in wrong.gradients if not prove(wrong, e).proved] == ["dh[t]"]
    derived = derive(model).text().splitlines()
    assert "dh[t] = da[t+1] @ W.T + do[t] @ V.T    for t < T" in derived
    assert "dW = sum(t, h[t-1].T @ da[t])" in derived
