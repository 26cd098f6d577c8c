"""Laws of helpers: each is judged under its own line as the gradient it is meant to be, and blamed for its readers."""

from __future__ import annotations

import pytest

import tinygrad_rnn as tg
from tinygrad_rnn.language.text.printer import text
from tinygrad_rnn.models import resolve
from tinygrad_rnn.verification.diagnosis.helper_gradients import with_parts
from tinygrad_rnn.verification.judge import judge
from tinygrad_rnn.verification.results import Row

RIGHT = {
    "e": "V @ h[t] + c - y[t]",
    "delta_f": "ds[t] * s[t-1] * f[t] * (1 - f[t])",
    "delta_i": "ds[t] * g[t] * i[t] * (1 - i[t])",
    "delta_o": "dh[t] * tanh(s[t]) * o[t] * (1 - o[t])",
    "delta_g": "ds[t] * i[t] * (1 - g[t]**2)",
    "dh": "V.T @ e[t] + U_f.T @ delta_f[t+1] + U_i.T @ delta_i[t+1] + U_o.T @ delta_o[t+1] + U_g.T @ delta_g[t+1]",
}
FORWARD = """\
model: LSTM by deltas
sizes: x = 3, s = 4, y = 2
f[t] = sigmoid(W_f @ x[t] + U_f @ h[t-1] + b_f)
i[t] = sigmoid(W_i @ x[t] + U_i @ h[t-1] + b_i)
o[t] = sigmoid(W_o @ x[t] + U_o @ h[t-1] + b_o)
g[t] = tanh(W_g @ x[t] + U_g @ h[t-1] + b_g)
s[t] = f[t] * s[t-1] + i[t] * g[t]
h[t] = o[t] * tanh(s[t])
L = sum(t, squared_error(V @ h[t] + c, y[t]))
gradients:
dh[T] = V.T @ e[T]
ds[T] = dh[T] * o[T] * (1 - tanh(s[T])**2)
ds[t] = dh[t] * o[t] * (1 - tanh(s[t])**2) + ds[t+1] * f[t+1]    for t < T
dV = sum(t, e[t] @ h[t].T)
dc = sum(t, e[t])
"""


def lstm(**stated: str) -> str:
    """The derivation by deltas with some right-hand sides replaced."""
    lines = [f"dh[t] = {stated.pop('dh', RIGHT['dh'])}    for t < T"]
    lines += [f"{name}[t] = {stated.get(name, RIGHT[name])}" for name in RIGHT if name != "dh"]
    for k in "fiog":
        lines += [f"dW_{k} = sum(t, delta_{k}[t] @ x[t].T)", f"dU_{k} = sum(t, delta_{k}[t] @ h[t-1].T)"]
        lines += [f"db_{k} = sum(t, delta_{k}[t])"]
    return FORWARD + "\n".join(lines) + "\n"


def failed(source: str) -> dict[str, Row]:
    return {row.name: row for row in judge(source, None, seeds=2, certified=False).failed}


def test_right_helpers_are_judged_and_pass():
    report = judge(lstm(), None, seeds=2, certified=False)
    assert {f"{name}[t]" for name in RIGHT} <= {row.name for row in report.rows}
    assert {row.verdict for row in report.rows} <= {"PASS", "PROVED"}


def test_a_wrong_helper_is_blamed_and_not_its_readers():
    """delta_f lacks (1 - f): by hand, f is a sigmoid of what delta_f is the gradient of."""
    (row,) = failed(lstm(delta_f="ds[t] * s[t-1] * f[t]")).values()
    assert row.name == "delta_f[t]"
    assert (row.mistake, "the factor `1 - f[t]` is missing" in row.explanation) == ("wrong factor", True)


def test_the_same_slip_in_four_helpers_is_named_in_each():
    slips = {f"delta_{k}": RIGHT[f"delta_{k}"].replace(f" * (1 - {k}[t])", "") for k in "fio"}
    found = failed(lstm(**slips, delta_g="ds[t] * i[t] * (1 - g[t])"))
    assert {name: row.correction is not None for name, row in found.items()} == {f"delta_{k}[t]": True for k in "fiog"}
    assert "`1 - g[t]` should be `1 - g[t]**2`" in found["delta_g[t]"].explanation


def test_the_same_slip_in_four_terms_of_one_equation_is_named_in_each():
    (row,) = failed(lstm(dh=RIGHT["dh"].replace("[t+1]", "[t]"))).values()
    assert [f"`delta_{k}[t]` should be `delta_{k}[t+1]`" in row.explanation for k in "fiog"] == [True] * 4
    assert row.correction is not None


def test_a_reader_is_blamed_for_its_own_mistake():
    source = lstm().replace("dU_f = sum(t, delta_f[t] @ h[t-1].T)", "dU_f = sum(t, delta_f[t] @ h[t].T)")
    assert set(failed(source)) == {"dU_f"}


def test_a_term_that_a_helper_lacks_is_told_in_the_words_of_the_file():
    (row,) = failed(lstm(e="V @ h[t] - y[t]")).values()
    assert (row.name, row.explanation) == ("e[t]", "the term `c` is missing")


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("gru", {"v": "r[t] * h[t-1]"}),
        ("lstm_003", {"u": "[h[t-1]; x[t]]"}),
        ("ntm", {}),  # a share of dh[t], which is the whole of it at the last step
    ],
)
def test_helpers_of_shipped_derivations_have_their_parts(name, parts):
    model = with_parts(tg.load(resolve(name)))
    bodies = {equation.target.name: text(equation.rhs) for equation in model.forward}
    assert {helper: bodies[node] for helper, node in model.document.plays.items()} == parts


def test_nothing_that_is_shown_has_a_name_that_the_file_has_not():
    report = judge(tg.load(resolve("gru")), None, seeds=2, certified=False)
    assert report.subject is not None
    assert set(report.shapes) == set(tg.load(resolve("gru")).shapes)
    assert [text(e) for e in report.subject.forward] == [text(e) for e in tg.load(resolve("gru")).forward]


def test_a_helper_that_is_no_gradient_has_no_part():
    source = (
        "sizes: h = 3\nh[t] = tanh(W @ h[t-1])\nL = sum(h[T])\ngradients:\nD[t] = diag(1 - h[t]**2)\n"
        "dW = sum(t, D[t] @ dh[t] @ h[t-1].T)\n"
    )
    assert not with_parts(tg.load(source)).document.plays


def test_a_proof_speaks_of_what_the_file_names():
    report = judge(tg.load(resolve("gru")), None, seeds=2)
    (invented,) = with_parts(tg.load(resolve("gru"))).document.unnamed
    assert {row.verdict for row in report.rows} == {"PROVED"}
    assert not [row.name for row in report.rows if invented in str(row.proof) and row.name != "v[t]"]
