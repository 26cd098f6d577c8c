"""What an equation would be if the file were read in another way, told beside its verdict."""

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn.language import load
from tinygrad_rnn.verification.diagnosis.other_readings import otherwise
from tinygrad_rnn.verification.measure.probe import Probe

POWER = """sizes: x = 4, W = 4 x 4
L = sum(t, sum(W @ x[t])) + {}
gradients:
dW = sum(t, ones_like(x[t]) @ x[t].T) + {}
"""
DISTANT = """sizes: x = 3, h = 4, o = 2
h[t] = W @ h[t-1] + U @ x[t]
o = V @ h[T]
L = squared_error(o, q)
gradients:
do = o - q
dh[t] = {} @ V.T @ do
"""
BATCH = """sizes: x = 4, h = 5, alpha = 1
batch: columns
h[t] = alpha * tanh(W @ x[t])
L = sum(t, sum(h[t]**2))
gradients:
dalpha = sum(t, {})
"""


def judged(model, equation):
    probe = Probe(model, model.unroll(4))
    found = {probe.judge(equation, step).verdict for step in model.steps_of(equation, 4)}
    return "FAIL" if "FAIL" in found else found.pop()


def told(source, *stated):
    model = load(source.format(*stated))
    equation = model.gradients[-1]
    return otherwise(equation, model, judged(model, equation), lambda other: judged(other, equation))


@pytest.mark.parametrize(
    ("source", "stated", "wanted"),
    [
        (POWER, "sum(W**2) | 2 * W", []),
        (POWER, "sum(W**2) | W.T @ ones_like(W) + ones_like(W) @ W.T", ["taken as those of matrices it is PASS"]),
        (POWER, "sum(W @ ones_like(x[1])) | 3 * W**2", []),
        (DISTANT, "(W.T)**(T-t)", ["entry by entry it is FAIL, as written PASS"]),
        (DISTANT, "(W.T)**(T-t+1)", []),
        (BATCH, "2 * sum(h[t] * h[t]) / alpha", []),
        (BATCH, "2 * sum(row_sums(h[t]) * row_sums(h[t])) / alpha", ["right for a batch of 1 only, not for 3 columns"]),
    ],
)
def test_another_reading_is_told_where_it_changes_the_verdict(source, stated, wanted):
    said = told(source, *stated.split(" | "))
    assert len(said) == bool(wanted)
    assert all(any(piece in line for line in said) for piece in wanted)


COLUMNS = """sizes: x = 4, h = 5
h[t] = tanh(W @ x[t] + b)
L = sum(t, sum(h[t]**2))
gradients:
dh[t] = 2 * h[t]
dW = sum(t, ((1 - h[t]**2) * dh[t]) @ x[t].T)
db = sum(t, {})
"""


@pytest.mark.slow
def test_values_of_several_columns_make_names_matrices_of_columns():
    """What adds up the samples is right for three columns, what does not for one only."""
    x = np.random.default_rng(0).standard_normal((4, 4, 3))
    right = COLUMNS.format("row_sums((1 - h[t]**2) * dh[t])")
    assert tg.verify(right, values={"x": x}).ok
    assert tg.verify(right, values={"x": x[:, :, 0]}).ok
    wrong = tg.verify(COLUMNS.format("(1 - h[t]**2) * dh[t]"), values={"x": x})
    assert [row.verdict for row in wrong.rows] == ["PASS", "PASS", "ILL-TYPED"]
    assert "batch of 1 only" in wrong.rows[-1].explanation
    assert any("3 columns are given" in note for note in wrong.notes)
    assert tg.verify(COLUMNS.format("(1 - h[t]**2) * dh[t]"), values={"x": x[:, :, 0]}).ok


def test_rows_that_were_found_are_told_and_tried_at_other_sizes():
    source = "sizes: h = 4\nh[t] = tanh(h[t-1] @ W)\nL = sum(h[T])\ngradients:\ndh[T] = {}\n"
    report = tg.verify(source.format("ones_like(h[T])"))
    assert any("read as rows" in note for note in report.notes)
    assert "1 x 4: h[t]" in report.said_shapes
    assert len({sizes["h"] for sizes in report.sizes}) == 2
    assert not tg.verify(source.format("4 * h[T] / (h[T] @ h[T].T)")).ok
