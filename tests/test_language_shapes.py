"""Shapes: inferred from use, misfits found before any value exists and explained with a mend."""

import pytest

from tinygrad_rnn import LanguageError
from tinygrad_rnn.language import load

FORWARD = """sizes: x = 3, h = 4, o = 5
a[t] = b + W @ h[t-1] + U @ x[t]
h[t] = tanh(a[t])
o[t] = c + V @ h[t]
L = sum(t, cross_entropy(o[t], y[t]))
gradients:
"""


def shapes(text: str) -> dict[str, tuple[int, int]]:
    return load(text).shapes


def refused(text: str) -> LanguageError:
    with pytest.raises(LanguageError) as caught:
        load(text)
    return caught.value


def test_parameters_take_their_shape_from_use():
    found = shapes(FORWARD)
    assert found["W"] == (4, 4)
    assert found["U"] == (4, 3)
    assert found["V"] == (5, 4)
    assert found["b"] == (4, 1)
    assert found["c"] == (5, 1)
    assert found["y[t]"] == (5, 1)
    assert found["a[t]"] == (4, 1)
    assert found["L"] == (1, 1)


@pytest.mark.parametrize(
    ("text", "name", "shape"),
    [
        ("sizes: h = 4\nh[t] = p * h[t-1]\nL = sum(t, sum(h[t]))", "p", (4, 1)),
        ("sizes: h = 4, alpha = 1\nh[t] = alpha * h[t-1]\nL = sum(t, sum(h[t]))", "alpha", (1, 1)),
        ("sizes: h = 4\ns[t] = w.T @ h[t-1]\nh[t] = exp(s[t]) * h[t-1]\nL = s[T]", "w", (4, 1)),
        ("sizes: h = 4\nh[t] = W @ [h[t-1]; x[t]]\nL = sum(t, sum(h[t]))\nsizes: x = 3", "W", (4, 7)),
        ("sizes: h = 4, W = 4 x 9\nh[t] = W @ [h[t-1]; x[t]]\nL = sum(t, sum(h[t]))", "x[t]", (5, 1)),
        ("sizes: h = 4\nM[t] = outer(h[t-1], h[t-2])\nh[t] = M[t] @ u\nL = sum(h[T])", "M[t]", (4, 4)),
        ("sizes: h = 4\nh[t] = diag(v) @ h[t-1]\nL = sum(h[T])", "v", (4, 1)),
        ("sizes: h = 4\nh[t] = (1 - z) * h[t-1]\nL = dot(h[T], q)", "q", (4, 1)),
        ("sizes: h = 4, y = 3\nh[t] = h[t-1]\nL = cross_entropy(V @ h[T], y[T])", "V", (3, 4)),
        ("sizes: h = 4\nh[t] = h[t-1]\nL = squared_error(V @ h[T], y[T])\nsizes: y = 2", "V", (2, 4)),
        ("sizes: h = 4\nh[t] = maximum(h[t-1], b)\nL = logsumexp(h[T])", "b", (4, 1)),
        ("sizes: x = 2, W = 3 x 2\nL = norm(W) + sum(t, sum(W @ x[t]))", "W", (3, 2)),
    ],
)
def test_a_shape_follows_from_what_is_known(text, name, shape):
    assert shapes(text)[name] == shape


def test_typed_expressions_can_be_asked():
    model = load(FORWARD + "dh[T] = V.T @ (softmax(o[T]) - onehot(y[T]))\n")
    rhs = model.gradients[0].rhs
    assert model.shapes_.of(rhs) == (4, 1)
    assert model.shapes_.of(rhs.left) == (4, 5)


def test_the_products_of_a_published_formula_do_not_fit_and_the_mend_is_named():
    error = refused(FORWARD + "dh[t] = W.T @ dh[t+1] @ diag(1 - h[t+1]**2) + V.T @ do[t]    for t < T\n")
    assert str(error).splitlines() == [
        "<text>:7:23: shapes do not fit",
        "    dh[t] = W.T @ dh[t+1] @ diag(1 - h[t+1]**2) + V.T @ do[t]    for t < T",
        "            ~~~~~~~~~~~~~ ^ ~~~~~~~~~~~~~~~~~~~",
        "    left is 4 x 1 (W.T is 4 x 4, from line 2; dh[t+1] is 4 x 1), "
        "right is 4 x 4 (h[t+1] is 4 x 1, from sizes, line 1)",
        "    a product of matrices does not commute: did you mean  W.T @ diag(1 - h[t+1]**2) @ dh[t+1] ?",
    ]


@pytest.mark.parametrize(
    ("equation", "mend"),
    [
        ("dh[T] = V @ do[T]", "V.T @ do[T]"),
        ("dh[T] = V.T.T @ do[T]", "V.T @ do[T]"),
        ("dV = sum(t, h[t] @ do[t].T)", "do[t] @ h[t].T"),
        ("dV = sum(t, do[t] @ h[t])", "do[t] @ h[t].T"),
        ("dW = sum(t, diag(1 - h[t]**2) @ dh[t].T @ h[t-1])", "diag(1 - h[t]**2) @ dh[t] @ h[t-1].T"),
        ("db = sum(t, (1 - h[t]**2) @ dh[t])", "diag(1 - h[t]**2) @ dh[t]"),
        ("dh[T] = dh[T].T", "dh[T].T"),
        ("dU = sum(t, x[t] @ dh[t].T)", "dh[t] @ x[t].T"),
        ("do[t] = softmax(o[t]) - y[t]", "onehot(y[t])"),
        ("dh[t] = V.T * do[t]", "V.T @ do[t]"),
        ("dh[t] = W.T @ dh[t+1] + V @ do[t]   for t < T", "V.T @ do[t]"),
    ],
)
def test_a_mend_that_fits_is_offered(equation, mend):
    error = refused(FORWARD + equation + "\n")
    assert error.line == 7
    if equation != "dh[T] = dh[T].T":
        assert mend in error.hint


def test_the_offered_mend_is_accepted():
    load(
        FORWARD
        + "dh[t] = W.T @ diag(1 - h[t+1]**2) @ dh[t+1] + V.T @ do[t]    for t < T\ndV = sum(t, do[t] @ h[t].T)\n"
    )


def test_a_target_that_does_not_fit_names_both_shapes():
    error = refused(FORWARD + "dW = sum(t, dh[t])\n")
    assert "dW has the shape of W, 4 x 4 (from line 2); the right-hand side is 4 x 1" in str(error)


def test_a_parameter_multiplied_entry_by_entry_is_pointed_out():
    wrong = FORWARD.replace("W @ h[t-1]", "W * h[t-1]")
    error = refused(wrong + "dW = sum(t, dh[t] @ h[t-1].T)\n")
    assert "line 2 multiplies W entry by entry: did you mean  W @ h[t-1]  there?" in error.hint


def test_declared_matrices_times_columns_entry_by_entry_hint_at_the_product():
    error = refused("sizes: h = 4, W = 4 x 4\nh[t] = W * h[t-1]\nL = sum(h[T])")
    assert error.column == 10
    assert "did you mean the matrix product  W @ h[t-1] ?" in error.hint


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("h[t] = tanh(h[t-1])\nL = sum(h[T])", "the size of h is not known", "sizes: h = 4"),
        (
            "sizes: x = 3\na[t] = U @ x[t]\nh[t] = tanh(a[t] + W @ h[t-1])\nL = sum(h[T])",
            "the size of h is not known",
            "h = 4",
        ),
        ("sizes: h = 3\nL = cross_entropy(V @ h[T], y[T])", "the number of classes of y is not known", "y = 4"),
        ("sizes: x = 3\nL = sum(t, x[t])", "the loss L is 3 x 1", "a sum"),
        ("sizes: x = 3, q = 2\nL = sum(t, sum(x[t]))", "no equation uses q", "write q in an equation"),
        (
            "sizes: x = 3, y = 3\nL = sum(t, sum(x[t] * y[t]) + sum(onehot(y[t])))",
            "y[t] is a class number",
            "onehot(y[t])",
        ),
        ("sizes: x = 3, y = 2\nL = sum(t, sum(x[t]**y[t]))", "shapes do not fit", ""),
        ("sizes: x = 3\nL = sum(t, sum(onehot(tanh(x[t]))))", "applies to a class number", "onehot(y[t])"),
        ("sizes: W = 3 x 3\nL = sum(softmax(W))", "shapes do not fit", "a column"),
        ("sizes: x = 3, y = 2\nL = sum(t, dot(x[t], y[t]))", "shapes do not fit", "expected 3 x 1"),
        ("sizes: x = 3, y = 2\nL = sum(t, sum(maximum(x[t], y[t])))", "shapes do not fit", "expected 3 x 1"),
        ("sizes: W = 99999 x 99999\nL = norm(W)", "W would be 99999 x 99999", "at most"),
        ("sizes: x = 3, h = 4\nh[t] = x[t]\nL = sum(h[T])", "shapes do not fit", ""),
    ],
)
def test_what_is_unknown_or_does_not_fit_is_said(text, message, hint):
    error = refused(text)
    assert message in error.message
    assert hint in error.hint


def test_a_literal_zero_fits_any_shape_and_one_does_not():
    load(FORWARD + "dh[T+1] = 0\ndW = 0\n")
    assert "shapes do not fit" in refused(FORWARD + "dh[T+1] = 1\n").message


def test_shapes_are_checked_before_any_value_exists(monkeypatch):
    from tinygrad_rnn.language.run import unroll

    monkeypatch.setattr(unroll.np.random, "default_rng", lambda *a: pytest.fail("a value was made"))
    assert "shapes do not fit" in refused(FORWARD + "dh[T] = V @ do[T]\n").message


def test_a_sum_of_two_shapes_is_refused_also_where_the_target_is_not_known_yet():
    error = refused("sizes: x = 3, h = 4\nq[t] = x[t] + h[t-1]\nh[t] = q[t]\nL = sum(h[T])")
    assert (error.line, error.column) == (2, 13)
    assert "left is 3 x 1" in str(error)
    assert "right is 4 x 1" in str(error)
