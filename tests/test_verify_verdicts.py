"""What a verdict is: files that agree with every number at one length or size, go round in circles, or leave gaps."""

from __future__ import annotations

import cProfile
import pstats
from unittest import mock

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.sweep import sample
from tinygrad_rnn.testing import assert_derivation
from tinygrad_rnn.verification.judge import _Judge, judge
from tinygrad_rnn.verification.measure.budget import Deadline
from tinygrad_rnn.verification.measure.trials import trials

FORWARD = "sizes: x = 3, h = 4\nh[t] = tanh(W @ h[t-1] + U @ x[t])\n"
SQUARES = FORWARD + "L = sum(t, sum(h[t]**2))\ngradients:\n"
#: by hand: h[t] is read by the loss, and by h[t+1] through W and the tanh
LAST = "dh[T] = 2*h[T]\n"
BEFORE = "dh[t] = W.T @ diag(1 - h[t+1]**2) @ dh[t+1] + 2*h[t]"
GIVEN = "given: dh\n"

#: each is right at some length, size or step only; the truth is the derivative taken by hand
ONLY_SOMEWHERE = {
    "T = 4 is a size": FORWARD + "L = mean((h[T]-y)**2)\ngradients:\ndh[T] = 2*(h[T]-y)/T\n",
    "a number for T": FORWARD + "L = mean(t, sum(h[t]**2))\ngradients:\ndh[T] = 2*h[T]/4\n",
    "T - 1 for a number": FORWARD + "L = 3*sum(h[T]**2)\ngradients:\ndh[T] = 2*(T-1)*h[T]\n",
    "four steps written out": GIVEN
    + SQUARES
    + "dU = "
    + " + ".join(f"diag(1 - h[{t}]**2) @ dh[{t}] @ x[{t}].T" for t in (1, 2, 3, 4)),
    "T = 4 alone": SQUARES + "dh[T] = 2*h[T] + (T-4)*h[T]\n",
    "up to step 12": SQUARES
    + LAST
    + f"{BEFORE}    for t < T and t <= 12\ndh[t] = W.T @ diag(1 - h[t+1]**2) @ dh[t+1]    for 12 < t < T\n",
    "even T": SQUARES + "dh[T] = 2*h[T] + (1 - 2/T * sum(t % 2 = 0, 1)) * h[T]\n",
    "square W": "sizes: h = 4\nh[t] = W @ h[t-1]\nL = sum(h[T])\ngradients:\ndh[T] = ones_like(h[T])\n"
    "dh[t] = W @ dh[t+1]    for t < T\n",
    "h[0] = 0": "sizes: h = 4\ngiven: dh\nh[t] = tanh(W @ h[t-1])\nL = sum(t, sum(h[t]**2))\ngradients:\n"
    "dW = sum(t > 1, diag(1 - h[t]**2) @ dh[t] @ h[t-1].T)\n",
    "S = T + 1": "sizes: g = 4, h = 3\nindices: t = 1..T, s = 1..S\nh[t] = tanh(W @ h[t-1])\ng[s] = tanh(V @ g[s-1])\n"
    "L = sum(h[T]**2) + mean(s, sum(g[s]))\ngradients:\ndg[S] = ones_like(g[S])/(T+1)\n",
    "the loss is flat on some probes": "sizes: h = 3, o = 1\nh[t] = tanh(W @ h[t-1])\no = v.T @ h[T]\n"
    "L = maximum(0, 1 - o)\ngradients:\ndo = -1.6 * (sign(1 - o) + 1)/2\n",
    "beside a boundary of its own": "sizes: h = 3\nh[t] = tanh(W @ h[t-1])\nL = sum(h[T]) + sum(h[T-1])\ngradients:\n"
    "dh[T] = ones_like(h[T])\ndh[T-1] = ones_like(h[T-1])\n"
    "dh[t] = W.T @ diag(1 - h[t+1]**2) @ dh[t+1]    for t < T-1\n",
    "two equations that overlap from T = 14 on": SQUARES
    + LAST
    + BEFORE
    + "    for t < T\ndh[t] = 3*h[t]    for 12 < t < T\n",
}


@pytest.mark.slow
@pytest.mark.parametrize("case", ONLY_SOMEWHERE)
def test_what_is_right_somewhere_only_fails(case):
    report = tg.verify(ONLY_SOMEWHERE[case])
    assert report.verdict == "FAIL", str(report)
    assert not report.ok


#: every equation agrees with the true values, and the file computes nothing
UNUSABLE = {
    "itself": (SQUARES + "dh[t] = dh[t]\n", "CIRCULAR"),
    "a parameter by itself": (SQUARES + "dW = dW\n", "CIRCULAR"),
    "through a helper": (SQUARES + "g[t] = dh[t]\ndh[t] = g[t]\n", "CIRCULAR"),
    "through three helpers": (SQUARES + "p[t] = q[t]\nq[t] = r[t]\nr[t] = dh[t]\ndh[t] = p[t]\n", "CIRCULAR"),
    "half of itself": (SQUARES + LAST + f"dh[t] = .5*dh[t] + .5*({BEFORE[8:]})    for t < T\n", "CIRCULAR"),
    "copies nobody states": (SQUARES + "dW = sum(t, dW[t])\n", "INCOMPLETE"),
    "no recurrence": (SQUARES + "dW = sum(t, diag(1 - h[t]**2) @ dh[t] @ h[t-1].T)\n", "INCOMPLETE"),
    "a recurrence that ends": (SQUARES + LAST + BEFORE + "    for t < T and t <= 12\n", "INCOMPLETE"),
    "no last step": (SQUARES + BEFORE + "    for t < T\n", "INCOMPLETE"),
    "a condition that never holds": (
        SQUARES + LAST + BEFORE + "    for t < T\ndh[t] = 0    for t > T\n",
        "INCONCLUSIVE",
    ),
}


@pytest.mark.parametrize("case", UNUSABLE)
def test_equations_that_compute_nothing_are_no_pass(case):
    text, verdict = UNUSABLE[case]
    report = tg.verify(text)
    assert report.verdict == verdict, str(report)
    assert not report.ok


def test_each_line_of_an_incomplete_file_keeps_its_verdict_and_all_gaps_are_told_at_once():
    report = tg.verify(SQUARES + BEFORE + "\ndU = sum(t, dU[t])\n")
    assert [(row.verdict, row.needs) for row in report.rows] == [
        ("INCONCLUSIVE", ("h[T+1]", "dh[T+1]")),
        ("PASS", ("dU[t]",)),
    ]
    (note,) = [note for note in report.notes if note.startswith("read but neither stated nor given")]
    assert all(name in note for name in ("h[T+1]", "dh[T+1]", "dU[t]"))
    assert report.to_dict()["equations"][1]["needs"] == ["dU[t]"]


def test_what_is_declared_given_is_no_gap():
    stated = "dW = sum(t, diag(1 - h[t]**2) @ dh[t] @ h[t-1].T)\n"
    assert tg.verify(SQUARES + stated).verdict == "INCOMPLETE"
    assert tg.verify(GIVEN + SQUARES + stated).ok
    with pytest.raises(tg.LanguageError, match="dq is the gradient of no quantity"):
        tg.verify(GIVEN.replace("dh", "dq") + SQUARES + stated)


# -- shapes -----------------------------------------------------------------------------------------------------------
TYPES = {
    "a product for a diagonal": ("dh[t] = W @ (1 - h[t+1]**2) @ dh[t+1]    for t < T", "SCALAR"),
    "the gradient before the diagonal": ("dh[t] = W.T @ dh[t+1] @ diag(1 - h[t+1]**2)    for t < T", "SCALAR"),
    "wrong for numbers too": ("dh[t] = 2 * W @ (1 - h[t+1]**2) @ dh[t+1]    for t < T", "ILL-TYPED"),
    "well typed and wrong": ("dh[t] = W @ diag(1 - h[t+1]**2) @ dh[t+1]    for t < T", "FAIL"),
}


@pytest.mark.parametrize("case", TYPES)
def test_what_holds_for_numbers_alone_is_scalar(case):
    equation, verdict = TYPES[case]
    report = tg.verify(
        f"sizes: h = 4\nh[t] = tanh(W @ h[t-1])\nL = sum(h[T]**2)\ngradients:\ndh[T] = 2*h[T]\n{equation}\n"
    )
    assert report.rows[1].verdict == report.verdict == verdict, str(report)
    assert report.rows[0].verdict == "PROVED"


@pytest.mark.parametrize(
    ("scalar", "typed"),
    [
        (
            "dh[t] = 2 * h[t] + dh[t+1] * W * (1 - h[t+1]**2)    for t < T",
            "dh[t] = W.T @ (dh[t+1] * (1 - h[t+1]**2)) + 2 * h[t]    for t < T",
        ),
        ("dW = sum(t, dh[t] * (1 - h[t]**2) * h[t-1])", "dW = sum(t, (dh[t] * (1 - h[t]**2)) @ h[t-1].T)"),
        (
            "dW = sum(t, h[t-1] @ diag(1 - h[t]**2) @ dh[t])",
            "dW = sum(t, diag(1 - h[t]**2) @ dh[t] @ h[t-1].T)",
        ),
    ],
)
def test_what_is_scalar_is_shown_in_its_typed_form(scalar, typed):
    """The formulas of one neuron, as textbooks print them, beside those of columns."""
    text = "sizes: h = 4\nh[t] = tanh(W @ h[t-1])\nL = sum(t, sum(h[t]**2))\ngradients:\ndh[T] = 2 * h[T]\n"
    row = tg.verify(text + scalar + "\n").rows[1]
    assert row.explanation.startswith("it holds only where every size is 1: ")
    assert (row.verdict, row.correction) == ("SCALAR", typed)
    assert tg.verify(text + typed + "\n").rows[1].verdict in ("PASS", "PROVED")  # dW reads what is not stated


def test_every_line_whose_shapes_do_not_fit_has_the_verdict_that_it_has_alone():
    """By hand, with every size 1: dh[t] and dW hold, the other two do not."""
    lines = [
        "dh[T] = 2*h[T] @ h[T]",
        "dh[t] = 2*h[t] + dh[t+1] @ W.T @ diag(1 - h[t+1]**2) for t < T",
        "dW = sum(t, h[t-1] @ diag(1 - h[t]**2) @ dh[t])",
        "dU = sum(t, 3 * x[t] @ dh[t])",
    ]
    wanted = ["ILL-TYPED", "SCALAR", "SCALAR", "ILL-TYPED"]
    assert [tg.verify(SQUARES + line + "\n").rows[0].verdict for line in lines] == wanted
    assert [row.verdict for row in tg.verify(SQUARES + "\n".join(lines) + "\n").rows] == wanted


def test_what_reads_a_helper_without_a_meaning_is_not_blamed_for_it():
    report = tg.verify(GIVEN + SQUARES + "g[t] = W @ x[t]\ndU = sum(t, g[t] @ x[t].T)\ndW = sum(t, dh[t] @ x[t])\n")
    assert [row.verdict for row in report.rows] == ["ILL-TYPED", "INCONCLUSIVE", "ILL-TYPED"]


def test_a_line_whose_shapes_do_not_fit_is_stated_all_the_same():
    before = BEFORE.replace("W.T", "W @ x[t]") + "    for t < T\n"
    report = tg.verify(SQUARES + LAST + before + "dW = dh[1] @ h[0]\ndU = 3\n")
    assert [row.verdict for row in report.rows] == ["PROVED", "ILL-TYPED", "ILL-TYPED", "ILL-TYPED"]
    assert report.needs == []
    assert "stated" not in str(report)


def test_declared_sizes_that_are_equal_by_chance_hide_no_transpose():
    text = "sizes: x = 4, h = 4\n" + GIVEN + SQUARES.partition("\n")[2]
    assert tg.verify(text + "dU = sum(t, (dh[t] * (1 - h[t]**2)) @ x[t].T)\n").ok
    turned = tg.verify(text + "dU = sum(t, x[t] @ (dh[t] * (1 - h[t]**2)).T)\n")
    assert turned.verdict == "FAIL"


# -- lengths and sizes ------------------------------------------------------------------------------------------------
def test_lengths_fit_no_number_of_the_file_and_differ_in_parity():
    for name in ("vanilla", "attention", "delay", "two_dimensional", "ntm"):
        model = tg.load(name)
        first, second = (trial.lengths for trial in trials(model))
        mentioned = {n for shape in model.shapes.values() for n in shape}
        main = next(iter(first))
        assert (first[main] + second[main]) % 2
        for lengths in (first, second):
            for length in lengths.values():
                assert not mentioned & {length - 1, length, length + 1}
            assert len({*lengths.values()}) == len(lengths)
            if len(lengths) > 1:
                one, other = lengths.values()
                assert abs(one - other) > 1


def test_the_report_names_lengths_sizes_and_shapes():
    report = tg.verify("vanilla", seeds=1)
    said = str(report)
    assert "T = 7 and 8" in said
    assert "sizes tried: x = 3, h = 4, o = 5 and x = 4, h = 5, o = 3" in said
    assert "4 x 3: U" in said
    found = report.to_dict()
    assert found["lengths"] == [{"T": 7}, {"T": 8}]
    assert (found["T"], found["shapes"]["W"]) == (7, "4 x 4")
    assert {step["T"] for row in found["equations"] for step in row["steps"]} == {7, 8}


def test_shapes_are_those_of_sizes_that_were_tried():
    """x and h are set apart; o and y have one size, and no matrix has both."""
    text = "sizes: x = 4, h = 4\n" + GIVEN + SQUARES.partition("\n")[2]
    report = tg.verify(text + "dU = sum(t, (dh[t] * (1 - h[t]**2)) @ x[t].T)\n")
    sizes, shapes = report.sizes[0], report.shapes
    x, h = sizes["x"], sizes["h"]
    assert x != h
    assert {name: shapes[name] for name in ("x[t]", "h[t]", "W", "U")} == {
        "x[t]": f"{x} x 1",
        "h[t]": f"{h} x 1",
        "W": f"{h} x {h}",
        "U": f"{h} x {x}",
    }
    assert "x, h are declared with one size; different ones were tried" in report.notes
    assert not any("transposes" in note for note in report.notes)


@pytest.mark.parametrize(("seen", "hides"), [("o[t]", False), ("M @ o[t] + o[t]", True)])
def test_equal_sizes_hide_transposes_only_where_a_matrix_has_them_both_ways(seen, hides):
    text = f"sizes: h = 4, o = 5, y = 5\nh[t] = tanh(W @ h[t-1])\no[t] = V @ h[t]\nL = sum(t, sum({seen} - y[t]))\n"
    notes = tg.verify(text + "gradients:\ndh[T] = V.T @ do[T]\n", seeds=1).notes
    assert any(note.startswith("o, y have one size in every probe") for note in notes) == hides


def test_one_length_is_said_to_be_one():
    report = tg.verify("vanilla", T=5, seeds=1)
    assert [dict(lengths) for lengths in report.lengths] == [{"T": 5}]
    assert any("one length was used, T = 5" in note for note in report.notes)
    assert not any("one length" in note for note in tg.verify("vanilla", seeds=1).notes)


def test_other_lengths_may_be_given():
    report = tg.verify("encoder_decoder", lengths={"S": 5}, seeds=1)
    assert {lengths["S"] for lengths in report.lengths} == {5}
    with pytest.raises(tg.GraphError, match="no length R"):
        tg.verify("vanilla", lengths={"R": 5})


def test_assertions_use_the_same_lengths():
    assert_derivation(SQUARES + LAST)
    with pytest.raises(AssertionError, match="FAIL"):
        assert_derivation(ONLY_SOMEWHERE["a number for T"])


# -- probes that can tell nothing -------------------------------------------------------------------------------------
@pytest.mark.slow
def test_a_probe_on_which_a_term_is_zero_is_no_witness():
    """tanh(100) is 1 to the last digit, so that its slope, and with it a term of dh[t], is zero on every probe."""
    report = tg.verify(
        "sizes: h = 3\nbounds: 100 < b < 200\nh[t] = tanh(b + W @ h[t-1])\nL = sum(t, sum(h[t]**2))\ngradients:\n"
        "dh[T] = 2*h[T]\ndh[t] = 7*W @ ((1 - h[t+1]**2) * dh[t+1]) + 2*h[t]    for t < T\n",
        seeds=1,
    )
    assert [row.verdict for row in report.rows] == ["PROVED", "INCONCLUSIVE"]
    assert "zero or flat" in str(report)


#: a gradient with its relu' forgotten, and the right one: h[T] is read through v.T @ h[T] alone
LAST_STATE = "sizes: h = 3\nh[t] = tanh(W @ h[t-1])\n"
KINKED = {
    "a clip": (
        "z = v.T @ h[T]\nL = minimum(z, 1)\ngradients:\n",
        ("dz = 1\ndv = h[T]", "dz = relu'(1 - z)\ndv = h[T] * relu'(1 - z)"),
    ),
    "a clip from both sides": (
        "z = sum(h[T])\nL = minimum(maximum(z, -1), 1)\ngradients:\n",
        ("dz = 1", "dz = relu'(1 - z) * relu'(1 + z)"),
    ),
    "a hinge": (
        "L = sum(t, maximum(0, 1 - y[t] * (v.T @ h[t])))\ngradients:\n",
        ("dh[T] = -y[T]*v", "dh[T] = -y[T]*v * relu'(1 - y[T] * (v.T @ h[T]))"),
    ),
    "a squared hinge": (
        "z = v.T @ h[T]\nL = relu(1 - z)**2\ngradients:\n",
        ("dz = -2*(1 - z)", "dz = -2*relu(1 - z)"),
    ),
    "a triplet": (
        "L = relu(1 + sum((h[T]-p)**2) - sum((h[T]-n)**2))\ngradients:\n",
        ("dh[T] = 2*(n - p)", "dh[T] = 2*(n - p) * relu'(1 + sum((h[T]-p)**2) - sum((h[T]-n)**2))"),
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", sample(list(KINKED), 5, "kinked"))
def test_a_forgotten_slope_fails_though_it_is_one_on_the_usual_probes(case):
    loss, (wrong, right) = KINKED[case]
    assert {row.verdict for row in tg.verify(LAST_STATE + loss + wrong).rows} == {"FAIL"}
    assert {row.verdict for row in tg.verify(LAST_STATE + loss + right).rows} <= {"PASS", "PROVED"}


def test_a_kink_seen_from_one_side_only_is_not_decided():
    """The values that are given hold q above zero, where relu' is 1; for other values the equation is wrong."""
    text = "sizes: h = 3, q = 1\nh[t] = tanh(W @ h[t-1])\nL = relu(q) * sum(h[T])\ngradients:\n"
    report = tg.verify(text + "dq = sum(h[T])\n", values={"q": 0.7})
    assert [row.verdict for row in report.rows] == ["INCONCLUSIVE"]
    assert "one side of a kink" in str(report)
    right = tg.verify(text + "dq = sum(h[T]) * relu'(q)\n", values={"q": 0.7})
    assert [row.verdict for row in right.rows] == ["PROVED"]


def test_a_zero_of_the_file_itself_is_no_dead_probe():
    """Nothing reads b, and h[0] is zero, by the form of the equations."""
    text = "sizes: h = 3\nh[0] = 0\nh[t] = tanh(W @ h[t-1] + v)\nL = sum(h[T]) + 0 * sum(b)\ngradients:\n"
    assert tg.verify(text.replace("+ 0 * sum(b)", "") + "dh[T] = ones_like(h[T])\n").ok


def test_a_constant_divisor_of_zero_is_an_error_with_its_place():
    with pytest.raises(tg.LanguageError, match="divides by zero") as caught:
        tg.verify("sizes: h = 3\nh[t] = tanh(W @ h[t-1]) / (2 - 2)\nL = sum(h[T])\ngradients:\ndh[T] = 0\n")
    assert (caught.value.line, caught.value.column) == (2, 28)
    with pytest.raises(tg.LanguageError, match="divides by zero") as caught:
        tg.verify(SQUARES + "dW = W @ h[1]\ndh[T] = 2*h[T] / (2 - 2)\n")
    assert (caught.value.line, caught.value.column) == (6, 19)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("line", "name", "why"),
    [
        ("sin(h[t]) = 3", "sin(h[t])", "sin is a function, not a quantity"),
        ("3 = 4", "3", "starts with what it defines"),
        ("T = 2*h[T]", "T", "T is a time, not a quantity"),
        ("W.T = 0", "W.T", "cannot stand on the left"),
        ("dh[S] = h[T]", "dh[S]", "S is not a length"),
        (" = 2*h[T]", "= 2*h[T]", "starts with what it defines"),
    ],
)
def test_a_left_side_that_is_no_quantity_is_a_verdict_of_its_line(line, name, why):
    report = tg.verify(SQUARES + f"dh[T] = 2*h[T]\n{line}\ndh[T-1] = h[1]\n")
    assert [(row.name, row.verdict) for row in report.rows] == [
        ("dh[T]", "PROVED"), (name, "ILL-TYPED"), ("dh[T-1]", "FAIL"),
    ]  # fmt: skip
    assert why in str(report)
    assert why in report.to_markdown()
    assert why in report.to_html()
    assert [row.verdict for row in tg.verify(SQUARES + line + "\n").rows] == ["ILL-TYPED"]
    with pytest.raises(tg.LanguageError, match=why):  # what reads no verdicts refuses the file
        tg.load(SQUARES + line + "\n")


def test_a_line_that_fails_makes_the_file_fail_where_the_loss_is_outside_of_its_domain():
    forward = "sizes: h = 4, x = 3, y = 5\nz[t] = V @ h[t]\nh[t] = tanh(W @ h[t-1] + U @ x[t])\np[t] = softmax(z[t])\n"
    report = tg.verify(forward + "L = sum(t, -log(sum(y[t] * p[t])))\ngradients:\ndz[t] = p[t] - y[t]\n")
    assert [row.verdict for row in report.rows] == [report.verdict] == ["FAIL"]
    assert not report.engine.ok
    assert "DISAGREE" not in str(report)
    assert "`log` is outside of its domain" in str(report)


MASKED = "z = 3 * (v.T @ h[T])\nw = 3 * (u.T @ h[T])\nL = relu(z - 4) * relu(w + 4)\ngradients:\n"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("forgets", "right"),
    [
        ("dz = relu'(z - 4) * (w + 4)", "dz = relu'(z - 4) * relu(w + 4)"),
        ("dw = relu(z - 4)", "dw = relu(z - 4) * relu'(w + 4)"),
    ],
)
def test_a_kink_behind_a_mask_is_looked_at_where_the_mask_is_open(forgets, right):
    """`relu(a) * relu(b)`: while a is off nothing comes of the side of b, and few probes have a on and b off."""
    forward = "sizes: x = 3, h = 4, v = 4, u = 4, z = 1, w = 1\nh[t] = tanh(W @ h[t-1] + U @ x[t])\n"
    assert tg.verify(forward + MASKED + forgets + "\n").verdict == "FAIL"
    assert tg.verify(forward + MASKED + right + "\n").verdict == "PROVED"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stated", "verdicts"),
    [("relu'(z - w)", {"FAIL", "INCONCLUSIVE"}), ("relu'(z - maximum(w, s - 2))", {"PASS", "PROVED"})],
)
def test_the_largest_of_three_needs_a_probe_where_each_of_them_decides(stated, verdicts):
    forward = "sizes: h = 4\nh[t] = tanh(W @ h[t-1])\nz = v.T @ h[T]\nL = maximum(z, maximum(w, s - 2))\n"
    assert tg.verify(forward + f"gradients:\ndz = {stated}").rows[0].verdict in verdicts


def test_values_on_a_kink_are_not_blamed_on_the_engine():
    """h + |b - h| is b where h is below b: from then on the two are equal."""
    forward = "sizes: h = 4\nh[t] = h[t-1] + maximum(b, h[t-1]) - minimum(b, h[t-1])\nL = sum(h[T])\ngradients:\n"
    right, wrong = tg.verify(forward + "dh[T] = ones_like(h[T])\n"), tg.verify(forward + "dh[T] = h[T]\n")
    assert (right.verdict, wrong.verdict) == ("INCONCLUSIVE", "FAIL")
    assert "stands exactly on a kink" in str(right)
    assert "DISAGREE" not in str(right)


# -- cost -------------------------------------------------------------------------------------------------------------
@pytest.mark.slow
def test_the_work_grows_with_the_length_and_no_faster():
    def calls(T: int) -> int:
        profile = cProfile.Profile()
        profile.enable()
        judge(SQUARES + LAST + BEFORE + "    for t < T\n", T, 1)
        profile.disable()
        return pstats.Stats(profile).total_calls

    calls(10)  # what is made once is made here
    assert calls(80) <= 2.3 * calls(40)


# -- numbers too small for eps to say anything -------------------------------------------------------------------------
def test_a_rounding_among_subnormal_numbers_is_no_mistake():
    """(2.3e-200 * 4.4e-122) * .51 and 2.3e-200 * (4.4e-122 * .51) differ by the last unit there is, 5e-324."""
    values = {"c": np.array([[2.3e-200], [1.0]]), "v": np.array([[0.3], [0.7]]), "d": 4.4e-122, "e": 0.51}
    assert (values["c"][0, 0] * values["d"]) * values["e"] != values["c"][0, 0] * (values["d"] * values["e"])
    text = "sizes: v = 2, c = 2, d = 1, e = 1\nL = sum(c * v * d * e)\ngradients:\ndv = (c * d) * e\n"
    assert [row.verdict for row in tg.verify(text, values=values).rows] == ["PROVED"]
    wrong = tg.verify(text.replace("(c * d) * e", "(c * d) * e * e"), values=values)
    assert [row.verdict for row in wrong.rows] == ["FAIL"]


def test_the_engine_is_not_blamed_where_the_complex_step_underflows():
    """The slope of log(sigmoid(x)) at -700 is 1; sigmoid(-700) times the complex step is no number above zero."""
    report = tg.verify(
        "sizes: x = 1\nbounds: -702 < x < -698\ninputs: x\na = log(sigmoid(x))\nL = sum(a)\ngradients:\nda = 1\n", T=3
    )
    assert "DISAGREE" not in str(report)
    assert report.verdict in ("INCONCLUSIVE", "PROVED")


# -- budgets ----------------------------------------------------------------------------------------------------------
def test_what_is_too_large_is_named_before_it_is_made():
    text = "sizes: h = 1\nindices: i = 1..I, j = 1..J, k = 1..K\nh[i, j, k] = tanh(w * h[i-1, j, k])\n"
    text += "L = sum(h[I, J, K])\n"
    with pytest.raises(tg.LanguageError, match=r"h\[i, j, k\] takes [0-9,]+ operations at I = 200"):
        tg.verify(text + "gradients:\ndh[I, J, K] = 1\n", T=200, lengths={"J": 200, "K": 200})


@pytest.mark.slow
def test_nested_sums_are_counted_before_they_are_run():
    letters = "abcdefgi"
    nested = "".join(f"sum({k}, " for k in letters) + "sum(" + " * ".join(f"h[{k}]" for k in letters) + ")" * 9
    text = f"sizes: h = 4\nh[t] = tanh(W @ h[t-1])\nL = {nested}\ngradients:\ndh[T] = 2*h[T]"
    with pytest.raises(tg.LanguageError, match=r"L takes 1,\d{3},\d{3} operations at T = 4"):
        tg.verify(text)
    with pytest.raises(tg.DerivationError, match=r"cannot be checked, so it is not shown: L takes"):
        tg.derive(text).text()


def test_many_indices_are_tried_at_the_shortest_lengths():
    axes, places = "ijkmnp", "j, k, m, n, p"
    text = f"sizes: h = 2\nindices: {', '.join(f'{k} = 1..{k.upper()}' for k in axes)}\nh[i, {places}] = "
    model = tg.load(
        f"{text}tanh(W @ h[i-1, {places}] + x[i, {places}])\nL = "
        + "".join(f"sum({k}, " for k in axes)
        + f"sum(h[i, {places}]**2)"
        + ")" * 6
    )
    assert [sorted(set(trial.lengths.values())) for trial in trials(model)] == [[3, 4], [3, 4]]


def test_a_spent_budget_keeps_what_was_found(monkeypatch):
    monkeypatch.setattr(Deadline, "spent", property(lambda self: len(judged) > 1))
    judged: list[str] = []
    by_value = _Judge.by_value
    monkeypatch.setattr(
        _Judge, "by_value", lambda self, equation: judged.append(equation.name) or by_value(self, equation)
    )
    report = tg.verify("vanilla", seeds=1)
    assert [row.verdict for row in report.rows] == ["PASS", "PASS", *["INCONCLUSIVE"] * 6]
    assert report.verdict == "INCONCLUSIVE"
    assert "not reached" in str(report)


SQUARES = "sizes: x = 3, h = 4\nh[t] = tanh(W @ h[t-1] + U @ x[t])\nL = sum(t, sum(h[t]**2))\ngradients:\n"
STEP = "dh[T] = 2*h[T]\ndh[t] = 2*h[t] + W.T @ diag(1-h[t+1]**2) @ dh[t+1] + {} for t < T\n"
LATE = {
    "two ends of one sum, from T = 26 on": STEP.format("sum(k > 12 and k < T-12, h[k])"),
    "two sums, from T = 42 on": "given: dh\ndU = sum(t, diag(1-h[t]**2) @ dh[t] @ x[t].T)"
    " + sum(t > 3, sum(k > t+37, h[k] @ x[t].T))\n",
    "two remainders, from T = 35 on": STEP.format("sum(k % 7 = 0 and k % 5 = 0, h[k])"),
    "three helpers, from T = 29 on": "g[t] = sum(k > t+9, h[k])\ng[t] = 0*h[t] for t > T-9\nf[t] = g[t+9]\n"
    "f[t] = 0*h[t] for t > T-9\ne[t] = f[t+9]\ne[t] = 0*h[t] for t > T-9\n" + STEP.format("e[t]"),
}


@pytest.mark.slow
@pytest.mark.parametrize("gradients", sample(list(LATE.values()), 4, "late"))
def test_lengths_are_long_enough_for_conditions_together(gradients):
    """Each names only small numbers, and what is wrong begins later than any of them says by itself."""
    head, _, tail = gradients.rpartition("given: dh\n")
    text = SQUARES.replace("gradients:\n", "given: dh\ngradients:\n") if "given" in gradients else SQUARES
    assert judge(text + head + tail, None, 1).verdict == "FAIL"


def test_it_is_said_why_an_equation_that_passes_is_not_proved():
    forward = "sizes: x = 3, s = 4\nf[t] = sigmoid(U @ x[t])\ns[t] = f[t] * s[t-1]\nL = sum(t, sum(s[t]))\ngradients:\n"
    gates = "ds[T] = ones_like(s[T])\nds[t] = ones_like(s[t]) + ds[t+1] * f[t+1]    for t < T\n"
    helper = "delta[t] = ds[t] * s[t-1] * f[t]\ndU = sum(t, delta[t] @ x[t].T)"
    report = tg.verify(forward + gates + helper)
    (last,) = (row for row in report.to_dict()["equations"] if row["name"] == "dU")
    assert (last["verdict"], last["unproved"]) == ("PASS", "it reads delta[t], which is wrong on line 8")
    assert "not proved: it reads delta[t], which is wrong on line 8" in str(report)


def test_a_size_of_one_that_makes_every_line_fit_is_proposed():
    """p is a column by its exponent, and the stated dp is one number."""
    text = "sizes: h = 4\nbounds: p > 0\nh[t] = sigmoid(W @ h[t-1])\nL = sum(t, sum(h[t]**p))\ngradients:\n"
    stated = "dp = sum(t, sum(h[t]**p * log(h[t])))\n"
    report = tg.verify(text + stated)
    assert report.verdict == "ILL-TYPED"
    assert report.notes[-1] == "the shapes of every line fit if p is one number: declare   sizes: p = 1"
    assert tg.verify("sizes: h = 4, p = 1" + text[text.index("\n") :] + stated).ok
    assert not any("declare   sizes" in note for note in tg.verify(text + stated + "dW = h[1]\n").notes)


def test_what_mistakes_do_downstream_has_a_budget():
    with mock.patch("tinygrad_rnn.verification.judge.FOLLOW_SECONDS", -1.0):
        report = tg.verify(SQUARES + LAST.replace("2", "3") + BEFORE + "    for t < T\n")
    assert [row.verdict for row in report.rows] == ["FAIL", "PROVED"]
    assert report.follow == []
    assert "it ends before dh[T] (line 5)" in str(report)
