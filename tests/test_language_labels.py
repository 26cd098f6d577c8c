"""What a label may be: a class number, a one-hot column, a distribution; declared, or seen from its size."""

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn.language import load, parse
from tinygrad_rnn.language.text.printer import text

OUTSIDE = """sizes: x = 3, h = 4, yhat = 5
{labels}
h[t] = tanh(W @ h[t-1] + U @ x[t])
z[t] = V @ h[t]
yhat[t] = softmax(z[t])
L = sum(t, -y[t].T @ log(yhat[t]))
gradients:
dz[t] = {dz}
dV = sum(t, dz[t] @ h[t].T)
"""


def test_a_label_may_be_declared_with_its_index():
    assert load(OUTSIDE.format(labels="labels: y[t] simplex", dz="yhat[t]")).document.labels["y"].kind == "simplex"


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["one-hot", "simplex"])
def test_the_softmax_gradient_is_right_for_a_declared_label_and_a_wrong_sign_is_not(kind):
    """The sum of y is one: the Jacobian of softmax leaves yhat - y."""
    assert tg.verify(OUTSIDE.format(labels=f"labels: y {kind}", dz="yhat[t] - y[t]")).ok
    wrong = tg.verify(OUTSIDE.format(labels=f"labels: y {kind}", dz="yhat[t] + y[t]"))
    assert [row.verdict for row in wrong.rows] == ["FAIL", "PROVED"]


def test_an_undeclared_label_may_have_any_sum():
    assert not tg.verify(OUTSIDE.format(labels="", dz="yhat[t] - y[t]")).ok
    assert tg.verify(OUTSIDE.format(labels="", dz="yhat[t] * sum(y[t]) - y[t]")).ok


def test_what_holds_for_one_hot_columns_alone_fails_on_the_simplex():
    """y * y is y for zeros and ones only."""
    stated = "yhat[t] - y[t] * y[t]"
    assert tg.verify(OUTSIDE.format(labels="labels: y one-hot", dz=stated)).ok
    assert not tg.verify(OUTSIDE.format(labels="labels: y simplex", dz=stated)).ok


def test_labels_are_drawn_as_declared():
    for kind in ("one-hot", "simplex"):
        run = load(OUTSIDE.format(labels=f"labels: y {kind}", dz="yhat[t] - y[t]")).unroll(6, batch=3)
        for step in range(1, 7):
            y = run["y", step].numpy()
            assert y.shape == (5, 3)
            np.testing.assert_allclose(y.sum(axis=0), 1.0)
            assert y.min() >= 0
            assert bool(np.all(y * y == y)) == (kind == "one-hot")


def test_the_sized_target_of_a_cross_entropy_is_a_column_else_a_class():
    """Truth by hand: d(-y.T log softmax(o)) = softmax(o) sum(y) - y, and the sum is one."""
    forward = "sizes: x = 3, o = 5{}\no[t] = V @ x[t]\nL = sum(t, cross_entropy(o[t], y[t]))\ngradients:\ndo[t] = {}\n"
    assert tg.verify(forward.format(", y = 5", "softmax(o[t]) - y[t]")).ok
    assert tg.verify(forward.format("", "softmax(o[t]) - onehot(y[t])")).ok
    assert tg.verify(forward.format(", y = 5", "softmax(o[t]) - onehot(y[t])")).ok  # onehot says that it is a number
    assert not tg.verify(forward.format(", y = 5", "softmax(o[t]) - y[t] / 2")).ok
    with pytest.raises(tg.LanguageError, match="labels: y one-hot"):
        load(forward.format("", "softmax(o[t]) - y[t]"))


def test_given_labels_are_checked_and_class_numbers_become_columns():
    model = load(OUTSIDE.format(labels="labels: y one-hot", dz="yhat[t] - y[t]"))
    run = model.unroll(2, values={"y": np.array([4, 0])})
    assert run["y", 1].numpy().ravel().tolist() == [0, 0, 0, 0, 1]
    with pytest.raises(tg.ShapeError, match="one-hot"):
        model.unroll(2, values={"y": np.full((2, 5), 0.2)})
    with pytest.raises(tg.ShapeError, match="0 to 4"):
        model.unroll(2, values={"y": np.array([5, 0])})


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("labels: y twohot", "declares no label"),
        ("labels: y one-hot, y simplex", "declared twice"),
        ("labels: q one-hot", "no equation uses q"),
        ("labels: h one-hot", "defined on line 3"),
    ],
)
def test_a_label_that_cannot_be_is_told(line, told):
    with pytest.raises(tg.LanguageError, match=told):
        load(OUTSIDE.format(labels=line, dz="yhat[t] - y[t]"))


def test_the_header_is_printed():
    document = parse(OUTSIDE.format(labels="labels: y one-hot", dz="yhat[t] - y[t]"))
    assert "labels: y one-hot" in text(document)
    assert parse(text(document)) == document


@pytest.mark.parametrize("header", ["labels: y one-hot", "sizes: y = 5"])
def test_a_file_with_labels_as_columns_is_compiled_over_time(header):
    model = load(
        f"sizes: x = 4, h = 3\n{header}\nh[t] = tanh(W @ h[t-1] + U @ x[t])\n"
        "L = sum(t, cross_entropy(V @ h[t], y[t]))\n" + ("sizes: V = 5 x 3" if "y =" not in header else "")
    )
    run, fast = model.unroll(6, batch=2), model.compile()
    values = {name: node.numpy() for name, node in run.parameters.items()} | {("h", 0): run["h", 0].numpy()}
    values |= {name: np.stack([run[name, t].numpy() for t in range(1, 7)]) for name in ("x", "y")}
    loss, _ = fast(values)
    np.testing.assert_allclose(loss, run.loss.numpy(), rtol=1e-12)
    assert fast.forms == ["folded"]
