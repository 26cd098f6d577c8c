"""Batches: an equation holds for each sample; with `batch: columns` names are matrices with a column for each."""

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn.derivation import derive
from tinygrad_rnn.derivation.prover.prove import prove
from tinygrad_rnn.language import Model, load, parse
from tinygrad_rnn.language.text.printer import text
from tinygrad_rnn.verification.measure.probe import Probe

VANILLA = """sizes: x = 4, h = 5, o = 2
batch: columns
a[t] = W @ h[t-1] + U @ x[t] + b
h[t] = alpha * h[t-1] + p * tanh(a[t])
o[t] = V @ h[t] + c
L = sum(t, cross_entropy(o[t], y[t])) + sum(t, sum(s[t]**2))
s[t] = w.T @ h[t]
gradients:
do[t] = softmax(o[t]) - onehot(y[t])
ds[t] = 2 * s[t]
dV = sum(t, do[t] @ h[t].T)
dc = sum(t, row_sums(do[t]))
dw = sum(t, h[t] @ ds[t].T)
dh[T] = V.T @ do[T] + w @ ds[T]
dh[t] = V.T @ do[t] + w @ ds[t] + W.T @ da[t+1] + alpha * dh[t+1]    for t < T
da[t] = p * (1 - tanh(a[t])**2) * dh[t]
dW = sum(t, da[t] @ h[t-1].T)
dU = sum(t, da[t] @ x[t].T)
db = sum(t, row_sums(da[t]))
dp = sum(t, row_sums(dh[t] * tanh(a[t])))
dalpha = sum(t, sum(dh[t] * h[t-1]))
"""
SIZED = VANILLA.replace("o = 2", "o = 2, s = 1, alpha = 1, p = 5")


def verdicts(source, **how):
    model = source if isinstance(source, Model) else load(source)
    probe = Probe(model, model.unroll(4, **how))
    assert probe.reference.check().ok
    return {e.name: {probe.judge(e, step).verdict for step in model.steps_of(e, 4)} for e in model.gradients}


def test_a_derivation_on_matrices_of_columns_passes():
    assert set.union(*verdicts(SIZED).values()) == {"PASS"}
    model = load(SIZED)
    assert model.convention.samples == 3
    assert (model.shapes["h[t]"], model.shapes["b"], model.shapes["s[t]"]) == ((5, 3), (5, 1), (1, 3))
    assert parse(text(parse(SIZED))) == parse(SIZED)


def test_the_values_are_those_of_numpy_code():
    run = load(SIZED).unroll(3, seed=2)
    M = {name: node.numpy() for name, node in run.parameters.items()}
    h, loss = run["h", 0].numpy(), 0.0
    for t in (1, 2, 3):
        h = M["alpha"] * h + M["p"] * np.tanh(M["W"] @ h + M["U"] @ run["x", t].numpy() + M["b"])
        o = M["V"] @ h + M["c"]
        loss -= np.log(np.exp(o) / np.exp(o).sum(axis=0))[run["y", t].numpy(), np.arange(3)].sum()
        loss += ((M["w"].T @ h) ** 2).sum()
    np.testing.assert_allclose(run.loss.numpy(), loss, rtol=1e-13)


@pytest.mark.parametrize(
    ("right", "wrong", "line"),
    [
        ("db = sum(t, row_sums(da[t]))", "db = sum(t, da[t])", 19),
        ("dalpha = sum(t, sum(dh[t] * h[t-1]))", "dalpha = sum(t, dh[t].T @ h[t-1])", 21),
        ("da[t] = p * (1 - tanh(a[t])**2) * dh[t]", "da[t] = p * (diag(1 - tanh(a[t])**2) @ dh[t])", 16),
        ("dU = sum(t, da[t] @ x[t].T)", "dU = sum(t, outer(da[t], x[t]))", 18),
    ],
)
def test_what_is_right_for_a_batch_of_one_only_does_not_fit_and_is_told(right, wrong, line):
    assert right in SIZED
    source = SIZED.replace(right, wrong)
    with pytest.raises(tg.LanguageError, match="batch of 1 only") as caught:
        load(source)
    assert caught.value.line == line
    assert set.union(*verdicts(Model(parse(source), samples=0)).values()) == {"PASS"}


@pytest.mark.parametrize(
    ("right", "wrong", "name"),
    [
        ("row_sums(do[t])", "row_sums(do[t]) / 3", "dc"),
        ("da[t] @ h[t-1].T", "da[t] @ h[t].T", "dW"),
        ("sum(dh[t] * h[t-1])", "sum(row_sums(dh[t]) * row_sums(h[t-1]))", "dalpha"),
    ],
)
def test_a_mistake_on_columns_is_found(right, wrong, name):
    found = verdicts(SIZED.replace(right, wrong))
    assert [key for key, each in found.items() if each != {"PASS"}] == [name]
    if name == "dalpha":  # right for one sample alone
        one = Model(parse(SIZED.replace(right, wrong).replace("row_sums", "")), samples=0)
        assert set.union(*verdicts(one).values()) == {"PASS"}


def test_without_the_header_an_equation_holds_for_each_sample_and_parameters_sum_over_them():
    alone = SIZED.replace("batch: columns\n", "").replace("row_sums", "")
    alone = alone.replace("sum(dh[t] * h[t-1])", "dh[t].T @ h[t-1]")
    assert set.union(*verdicts(alone, batch=3).values()) == {"PASS"}


def test_given_values_tell_how_many_columns_there_are():
    model = load(SIZED)
    assert model.columns_in({"x": np.zeros((4, 4, 7))}) == 7
    assert model.columns_in({"y": np.zeros((4, 6), dtype=int)}) == 6
    assert model.columns_in({("h", 0): np.zeros((5, 2)), "W": np.zeros((5, 5))}) == 2
    assert model.columns_in({"x": np.zeros((4, 4)), "W": np.zeros((5, 5))}) == 1
    run = Model(parse(SIZED), samples=7).unroll(2, values={"x": np.ones((2, 4, 7))})
    assert run["h", 1].shape == (5, 7)
    with pytest.raises(tg.ShapeError, match="matrices of 3 columns"):
        model.unroll(2, batch=2)


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("batch: rows\nL = x", "a column for each sample"),
        ("vectors: rows\nbatch: columns\nL = x", "vectors are columns"),
        ("batch: columns\nsizes: x = 4\nh[t] = x[t] @ W\nL = sum(t, sum(h[t]))", "W would be 3 x"),
    ],
)
def test_a_batch_that_cannot_be_is_told(source, told):
    with pytest.raises(tg.LanguageError) as caught:
        load(source)
    assert told in str(caught.value)


def test_a_file_of_batches_is_neither_derived_nor_proved_and_the_reason_is_told():
    model = load(SIZED)
    assert "number of samples" in prove(model, model.gradients[0]).reason
    with pytest.raises(tg.DerivationError, match="without that line"):
        derive(model)


def test_a_file_of_batches_is_not_compiled():
    with pytest.raises(tg.GraphError, match="not compiled"):
        load(SIZED).compile()
