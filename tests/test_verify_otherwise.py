"""What an equation would be if the file were read in another way, told beside its verdict."""

import pytest

from tinygrad_rnn.language import load
from tinygrad_rnn.verify.otherwise import otherwise
from tinygrad_rnn.verify.probe import Probe

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
