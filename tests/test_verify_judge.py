"""Laws of the judge: no right derivation fails, no wrong one passes, however and however large it is written."""

from __future__ import annotations

import json
import re
from itertools import cycle
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinygrad_rnn as tg
from tests.sweep import examples, sample
from tinygrad_rnn.core.primitive import PRIMITIVES
from tinygrad_rnn.models import names, resolve
from tinygrad_rnn.verification.judge import judge
from tinygrad_rnn.verification.report import Report

from .shipped import LARGE

FORWARD = """
model: vanilla RNN
sizes: x = 3, h = 4, o = 5
a[t] = b + W @ h[t-1] + U @ x[t]
h[t] = tanh(a[t])
o[t] = c + V @ h[t]
L[t] = cross_entropy(o[t], y[t])
L = sum(t, L[t])
gradients:
"""
RIGHT = {
    "do[t]": "do[t] = softmax(o[t]) - onehot(y[t])",
    "dh[T]": "dh[T] = V.T @ do[T]",
    "dh[t]": "dh[t] = W.T @ diag(1 - h[t+1]**2) @ dh[t+1] + V.T @ do[t]    for t < T",
    "dc": "dc = sum(t, do[t])",
    "db": "db = sum(t, diag(1 - h[t]**2) @ dh[t])",
    "dV": "dV = sum(t, do[t] @ h[t].T)",
    "dW": "dW = sum(t, diag(1 - h[t]**2) @ dh[t] @ h[t-1].T)",
    "dU": "dU = sum(t, diag(1 - h[t]**2) @ dh[t] @ x[t].T)",
}


def vanilla(*changed: str) -> str:
    """The book's derivation with some equations written otherwise, known by their left-hand sides; others are added."""
    equations = dict(RIGHT)
    for equation in changed:
        equations[equation.partition(" =")[0]] = equation
    return FORWARD + "\n".join(equations.values()) + "\n"


def verdicts(report: Report) -> dict[str, str]:
    return {row.name: row.verdict for row in report.rows}


def failed(report: Report) -> list[str]:
    return [row.name for row in report.rows if row.verdict == "FAIL"]


def assert_right(report: Report) -> None:
    assert set(verdicts(report).values()) <= {"PASS", "PROVED"}, str(report)
    assert report.engine.ok
    assert report.ok


# -- a right derivation never fails -----------------------------------------------------------------------------------
def resized(text: str, sizes: list[int]) -> str:
    """A model with other sizes; what is a scalar stays one."""
    supply = cycle(sizes)

    def other(found: re.Match[str]) -> str:
        return re.sub(r"= (\d+)", lambda size: "= 1" if size[1] == "1" else f"= {next(supply)}", found[0])

    return re.sub(r"(?m)^sizes:.*$", other, text, count=1)


@pytest.mark.slow
@settings(max_examples=examples(20, 120), deadline=None, derandomize=True, database=None)
@given(
    name=st.sampled_from(names()),
    T=st.integers(3, 6),
    sizes=st.lists(st.integers(2, 6), min_size=4, max_size=4),
    seed=st.integers(0, 2**32 - 1),
)
def test_a_shipped_derivation_passes_at_any_size_length_and_seed(name, T, sizes, seed):
    text = resolve(name).read_text(encoding="utf-8")
    of_one_size = "rows(" in text or "end = [" in text  # rows(v, 1, 4) is true of one size alone
    model = tg.load(text if of_one_size else resized(text, sizes))
    T = 3 if name in LARGE else max(T, model.longest_delay + 2)
    run = model.unroll(T, seed=seed)
    values: dict[Any, Any] = {**run.parameters, **run.inputs}
    assert_right(judge(model, T=T, seeds=1, values=values, certified=False))


@pytest.mark.slow
@pytest.mark.parametrize(
    "sizes", ["x = 1, h = 1, o = 1", "x = 1, h = 4, o = 2", "x = 3, h = 1, o = 5", "x = 3, h = 4, o = 1"]
)
def test_columns_of_one_row_pass(sizes):
    report = tg.verify(vanilla().replace("x = 3, h = 4, o = 5", sizes))
    assert set(verdicts(report).values()) <= {"PASS", "PROVED"}
    assert report.engine.ok


# -- what rounding explains, and what it does not ---------------------------------------------------------------------
SAME = {
    "detour of 1e6": "dh[T] = (1e6 + V.T @ do[T]) - 1e6",
    "detour of 1e6 inside": "dW = sum(t, diag(1 - ((1e6 + h[t]) - 1e6)**2) @ dh[t] @ h[t-1].T)",
    "products that cancel": "dh[T] = 1e7 * (V.T @ do[T]) - 9999999 * (V.T @ do[T])",
    "logarithm and back": "dh[t] = W.T @ diag(1 - exp(2 * log(abs(h[t+1])))) @ dh[t+1] + V.T @ do[t]    for t < T",
    "difference of squares": "dh[t] = W.T @ ((1e5 - 1e5*h[t+1]) * (1 + h[t+1]) / 1e5 * dh[t+1]) + V.T@do[t]  for t < T",
    "softmax spelt out": "do[t] = exp(o[t] - 100) / sum(exp(o[t] - 100)) - onehot(y[t])",
    "tanh spelt out": "db = sum(t, diag(1 - ((exp(2 * a[t]) - 1) / (exp(2 * a[t]) + 1))**2) @ dh[t])",
    "pre-activation again": "db = sum(t, tanh'(b + W @ h[t-1] + U @ x[t]) * dh[t])",
}


@pytest.mark.slow
@pytest.mark.parametrize("way", sample(list(SAME), 4, "badly conditioned"))
def test_a_badly_conditioned_way_to_write_it_passes(way):
    assert_right(tg.verify(vanilla(SAME[way])))


@pytest.mark.slow
@pytest.mark.parametrize("detour", ["1e10", "1e13", "1e16", "1e30", "1e300"])
def test_what_rounding_could_hide_is_inconclusive_and_never_wrong(detour):
    report = tg.verify(vanilla(f"dh[T] = ({detour} + V.T @ do[T]) - {detour}"), seeds=1)
    assert verdicts(report)["dh[T]"] == "INCONCLUSIVE"
    assert {verdict for name, verdict in verdicts(report).items() if name != "dh[T]"} == {"PROVED"}
    assert report.verdict == "INCONCLUSIVE"
    assert not report.ok


@pytest.mark.slow
@pytest.mark.parametrize("size", sample(["1e-6", "1e-9", "1e-12"], 1, "small part", always=["1e-12"]))
@pytest.mark.parametrize(
    "equation",
    [
        "do[t] = softmax(o[t]) - onehot(y[t]) + SIZE * o[t]",
        "dh[T] = V.T @ do[T] + SIZE * h[T]",
        "dh[t] = W.T @ diag(1 - h[t+1]**2) @ dh[t+1] + V.T @ do[t] + SIZE * h[t]    for t < T",
        "dW = sum(t, diag(1 - h[t]**2) @ dh[t] @ h[t-1].T) + SIZE * W",
        "dc = sum(t, do[t]) - SIZE * do[1]",
    ],
)
def test_a_term_wrong_by_a_small_part_is_found_in_its_equation_alone(equation, size):
    report = tg.verify(vanilla(equation.replace("SIZE", size)), seeds=1)
    assert failed(report) == [equation.partition(" =")[0]]
    assert report.verdict == "FAIL"


@pytest.mark.slow
@pytest.mark.parametrize("size", ["1e-9", "1e-12"])
def test_a_factor_wrong_by_a_small_part_is_found(size):
    report = tg.verify(vanilla(f"{RIGHT['dh[t]'].partition(' + ')[0]} + (1 + {size}) * (V.T @ do[t])    for t < T"))
    assert failed(report) == ["dh[t]"]


def test_a_small_mistake_behind_a_large_detour_is_no_pass():
    report = tg.verify(vanilla("dh[T] = (1e12 + V.T @ do[T] * 1.000001) - 1e12"))
    assert verdicts(report)["dh[T]"] == "INCONCLUSIVE"


# -- scale ------------------------------------------------------------------------------------------------------------
WRONG_STATE = "dh[t] = W.T @ diag((1 - h[t+1])**2) @ dh[t+1] + V.T @ do[t]    for t < T"


def times(factor: str, *changed: str) -> str:
    """The loss, and with it every gradient, multiplied by a factor."""
    return vanilla(f"do[t] = {factor} * (softmax(o[t]) - onehot(y[t]))", *changed).replace(
        "L = sum(t, L[t])", f"L = {factor} * sum(t, L[t])"
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    "factor",
    sample(["1e-250", "1e-90", "1e-30", "1e-8", "1e8", "1e30", "1e150"], 2, "loss", always=["1e-250", "1e150"]),
)
def test_the_size_of_the_loss_changes_no_verdict(factor):
    assert_right(tg.verify(times(factor), seeds=1))
    assert failed(tg.verify(times(factor, WRONG_STATE), seeds=1)) == ["dh[t]"]
    tiny = "dh[T] = 1.000001 * (V.T @ do[T])"
    assert failed(tg.verify(times(factor, tiny), seeds=1)) == ["dh[T]"]


def test_gradients_too_small_for_full_precision_make_nothing_wrong():
    other_way = "dh[t] = (W.T @ (3 * (diag(1 - h[t+1]**2) @ dh[t+1]))) / 3 + V.T @ do[t]    for t < T"
    assert failed(tg.verify(times("1e-312", other_way))) == []


@pytest.mark.slow
@pytest.mark.parametrize("scale", sample([1e-6, 1e-3, 0.1, 1.0, 3.0, 10.0], 2, "probe", always=[1e-6, 10.0]))
def test_the_size_of_the_probe_makes_nothing_right_wrong_and_nothing_wrong_right(scale):
    assert failed(tg.verify(vanilla(), scale=scale, seeds=1)) == []
    report = tg.verify(vanilla(WRONG_STATE), scale=scale, seeds=1)
    assert failed(report) in ([], ["dh[t]"])
    assert not report.ok


@pytest.mark.slow
def test_a_probe_of_zeros_proves_nothing():
    assert not tg.verify(vanilla(), scale=0.0).ok


# -- the engine is judged as well -------------------------------------------------------------------------------------
def slope_of_sigmoid(g, y, x):
    return (g * y * (1.0 - y),)


def slope_of_tanh_with_a_grain(g, y, x):
    return (g * (1.0 - y * y) * (1.0 + 1e-9),)


@pytest.mark.slow
@pytest.mark.parametrize("rule", [slope_of_sigmoid, slope_of_tanh_with_a_grain])
def test_a_broken_rule_of_the_engine_is_noticed_and_never_passes(monkeypatch, rule):
    monkeypatch.setattr(PRIMITIVES["tanh"], "joint", rule)
    report = tg.verify(vanilla())
    assert not report.engine.ok
    assert "DISAGREE" in str(report)
    assert not report.ok
    assert report.verdict == "INCONCLUSIVE"
    assert not report.failed
    assert report.to_dict()["engine"]["ok"] is False


@pytest.mark.slow
def test_a_broken_contraction_of_the_engine_is_noticed(monkeypatch):
    left, right = PRIMITIVES["matmul"].separate
    monkeypatch.setattr(PRIMITIVES["matmul"], "separate", (lambda g, y, a, b: 0.5 * left(g, y, a, b), right))
    report = tg.verify(vanilla())
    assert not report.engine.ok
    assert not report.ok


def test_the_sound_engine_agrees_and_the_report_says_so():
    report = tg.verify(vanilla())
    assert report.engine.ok
    assert report.engine.worst < 1e-14
    assert "engine and complex step agree" in str(report)


@pytest.mark.slow
def test_a_broken_engine_is_noticed_at_any_size_of_the_loss(monkeypatch):
    monkeypatch.setattr(PRIMITIVES["tanh"], "joint", slope_of_sigmoid)
    assert not tg.verify(times("1e-120")).engine.ok


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_values_that_are_not_finite_are_not_blamed_on_the_engine():
    report = tg.verify(OVERFLOW)
    assert "DISAGREE" not in str(report)


# -- ways to write a derivation ---------------------------------------------------------------------------------------
BEYOND = vanilla("dh[t] = W.T @ diag(1 - h[t+1]**2) @ dh[t+1] + V.T @ do[t]", "dh[T+1] = 0", "h[T+1] = 0").replace(
    RIGHT["dh[T]"] + "\n", ""
)
CONVENTIONS = {
    "helper": vanilla("delta[t] = (1 - h[t]**2) * dh[t]", "db = sum(t, delta[t])", "dW = sum(t, delta[t] @ h[t-1].T)"),
    "helper of a helper": vanilla("s[t] = 1 - h[t]**2", "delta[t] = s[t] * dh[t]", "db = sum(t, delta[t])"),
    "helper without time": vanilla("G = sum(t, do[t])", "dc = G"),
    "helper before its use or after": vanilla("db = sum(t, delta[t])", "delta[t] = (1 - h[t]**2) * dh[t]"),
    "helper on the forward side": vanilla("db = sum(t, s[t] * dh[t])").replace("o[t]", "s[t] = 1 - h[t]**2\no[t]", 1),
    "nothing beyond the end": BEYOND,
    "helper beyond the end": vanilla(
        "delta[t] = (1 - h[t]**2) * dh[t]", "delta[T+1] = 0", "dh[t] = W.T @ delta[t+1] + V.T @ do[t]"
    ).replace(RIGHT["dh[T]"] + "\n", ""),
    "copies of a parameter": vanilla(
        "dW[t] = diag(1 - h[t]**2) @ dh[t] @ h[t-1].T",
        "dW = sum(t, dW[t])",
        "dV[t] = do[t] @ h[t].T",
        "dV = sum(t, dV[t])",
    ),
    "initial state": vanilla("dh[0] = W.T @ diag(1 - h[1]**2) @ dh[1]"),
    "inputs": vanilla("dx[t] = U.T @ ((1 - h[t]**2) * dh[t])"),
    "pre-activations": vanilla("da[t] = (1 - h[t]**2) * dh[t]", "dh[t] = W.T @ da[t+1] + V.T @ do[t]    for t < T"),
    "losses": vanilla("dL[t] = 1", "dL = 1"),
    "last step apart": vanilla("do[T] = softmax(o[T]) - onehot(y[T])"),
    "first step apart": vanilla(
        "dW = diag(1 - h[1]**2) @ dh[1] @ h[0].T + sum(t > 1, diag(1 - h[t]**2) @ dh[t] @ h[t-1].T)"
    ),
    "Greek": vanilla().replace(RIGHT["dh[t]"], "∇h[t] = Wᵀ·((1 − h⁽ᵗ⁺¹⁾²) ⊙ ∇h[t+1]) + Vᵀ·∇o[t]  for t < T"),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("convention", sample(list(CONVENTIONS), 7, "conventions"))
def test_a_convention_of_writing_passes(convention):
    assert_right(tg.verify(CONVENTIONS[convention], seeds=2))


WRONG_CONVENTIONS = {
    "copy with this state": ("dW[t] = diag(1 - h[t]**2) @ dh[t] @ h[t].T", "dW[t]", "copies of a parameter"),
    "copies averaged": ("dW = mean(t, dW[t])", "dW", "copies of a parameter"),
    "initial state of the second step": ("dh[0] = W.T @ diag(1 - h[2]**2) @ dh[2]", "dh[0]", "initial state"),
    "inputs without slope": ("dx[t] = U.T @ dh[t]", "dx[t]", "inputs"),
    "losses of another weight": ("dL[t] = 2", "dL[t]", "losses"),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", WRONG_CONVENTIONS)
def test_a_mistake_in_a_convention_of_writing_fails_there(case):
    equation, name, convention = WRONG_CONVENTIONS[case]
    lines = [line for line in CONVENTIONS[convention].splitlines() if not line.startswith(name + " =")]
    assert failed(tg.verify("\n".join([*lines, equation, ""]), seeds=1)) == [name]


def test_something_stated_beyond_the_end_fails_there_alone():
    assert failed(tg.verify(BEYOND.replace("dh[T+1] = 0", "dh[T+1] = V.T @ do[T]"))) == ["dh[T+1]"]


def test_a_mistake_in_a_helper_is_found_there_and_not_where_it_is_used():
    report = tg.verify(vanilla("delta[t] = (1 - h[t])**2 * dh[t]", "db = sum(t, delta[t])"))
    assert failed(report) == ["delta[t]"]


@pytest.mark.slow
def test_a_mistake_does_not_spread_to_equations_that_read_it():
    report = tg.verify(vanilla("do[t] = softmax(o[t]) + onehot(y[t])"))
    assert failed(report) == ["do[t]"]


@pytest.mark.slow
def test_only_the_steps_that_are_wrong_are_flagged():
    report = tg.verify(vanilla("do[2] = softmax(o[2])"), T=5)
    rows = {row.name: {step.t: step.verdict for step in row.steps} for row in report.rows}
    assert rows["do[2]"] == {2: "FAIL"}
    assert rows["do[t]"] == dict.fromkeys((1, 3, 4, 5), "PASS")
    report = tg.verify(vanilla("dh[t] = W.T @ diag(1 - h[t+1]**2) @ dh[t+1] + V.T @ do[T-1]    for t < T"), T=5)
    (row,) = [row for row in report.rows if row.verdict == "FAIL"]
    assert {step.t: step.verdict for step in row.steps} == {1: "FAIL", 2: "FAIL", 3: "FAIL", 4: "PASS"}


def test_a_block_in_markdown_is_judged_with_the_lines_of_the_file(tmp_path):
    page = tmp_path / "notes.md"
    page.write_text(f"# Notes\n\nThe book says:\n\n```rnn{vanilla()}```\n\nand so on: `h[t] = 0`.\n", encoding="utf-8")
    report = tg.verify(page)
    assert_right(report)
    lines = page.read_text(encoding="utf-8").splitlines()
    assert all(
        lines[row.line - 1] == row.text or lines[row.line - 1].startswith(f"{row.name} =") for row in report.rows
    )


# -- the report as data -----------------------------------------------------------------------------------------------
OVERFLOW = "sizes: h = 2\nh[t] = exp(exp(W @ h[t-1] + 10))\nL = sum(t, sum(h[t]))\ngradients:\ndh[T] = 1 + 0 * h[T]\n"


@pytest.mark.slow
@pytest.mark.parametrize("text", [vanilla(), vanilla(WRONG_STATE), OVERFLOW], ids=["right", "wrong", "not finite"])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_the_report_is_json_without_nan(text):
    found = tg.verify(text).to_dict()
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found["ok"] is (text == vanilla())


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_what_is_not_finite_is_null_and_inconclusive():
    report = tg.verify(OVERFLOW)
    (row,) = report.to_dict()["equations"]
    assert row["verdict"] == row["steps"][0]["verdict"] == "INCONCLUSIVE"
    assert row["steps"][0]["error"] is None
    assert row["steps"][0]["bound"] is None
    assert "not finite" in str(report)


def test_the_text_of_a_report_quotes_what_is_wrong():
    text = str(tg.verify(vanilla(WRONG_STATE)))
    assert " ".join(WRONG_STATE.split()) in text
    assert "wrong at t = 1 to 6 (T = 7)" in text


@pytest.mark.slow
def test_verdicts_do_not_depend_on_the_order_of_the_equations():
    lines = vanilla(WRONG_STATE).rstrip().split("gradients:\n")
    turned = lines[0] + "gradients:\n" + "\n".join(reversed(lines[1].splitlines())) + "\n"
    assert verdicts(tg.verify(turned, seeds=1)) == verdicts(tg.verify(vanilla(WRONG_STATE), seeds=1))


def test_the_same_file_gives_the_same_report():
    first, second = (tg.verify(vanilla(), seeds=1).to_dict() for _ in range(2))
    assert first == second


def test_no_probe_at_all_is_refused_by_name():
    with pytest.raises(tg.TinygradError):
        tg.verify(vanilla(), seeds=0)


def test_verify_leaves_the_engine_and_numpy_as_they_were():
    before = np.geterr(), np.random.get_state()[1].tolist()
    tg.verify(vanilla())
    assert (np.geterr(), np.random.get_state()[1].tolist()) == before
