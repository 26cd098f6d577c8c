"""Laws of explanations: what is told is true, in the words of the file, and its correction was judged."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.sweep import sample
from tests.test_verify_corpus import applied
from tinygrad_rnn.cli import main
from tinygrad_rnn.core.errors import GraphError
from tinygrad_rnn.language import parse
from tinygrad_rnn.language.expressions import Equation, Unary, walk
from tinygrad_rnn.language.text.printer import text
from tinygrad_rnn.models import resolve
from tinygrad_rnn.verification.diagnosis.diagnose import diagnose
from tinygrad_rnn.verification.diagnosis.helper_gradients import with_parts
from tinygrad_rnn.verification.diagnosis.repairs import Repairs
from tinygrad_rnn.verification.diagnosis.terms import joined, terms_of
from tinygrad_rnn.verification.diagnosis.true_terms import RightTerm
from tinygrad_rnn.verification.explain import explained
from tinygrad_rnn.verification.judge import judge
from tinygrad_rnn.verification.measure.probe import Probe
from tinygrad_rnn.verification.mutants import _mutants
from tinygrad_rnn.verification.report import Report
from tinygrad_rnn.verification.results import Row

#: what was written wrongly, what has to be said of it, and what the corrected right-hand side is (by hand)
CASES = {
    "an index that is no t": (
        "indices: k = 1..K\nsizes: h = 4, o = 3\nh[k] = tanh(W @ h[k-1] + x[k])\no[k] = V @ h[k]\n"
        "L = sum(k, squared_error(o[k], y[k]))\ngradients:\n"
        "dW = diag(1 - h[K]**2) @ dh[K] @ h[K-1].T",
        "should be `sum(k, diag(1 - h[k]**2) @ dh[k] @ h[k-1].T)`",
        "sum(k, diag(1 - h[k]**2) @ dh[k] @ h[k-1].T)",
    ),
    "a hinge": (
        "sizes: x = 3, h = 4\nh[t] = tanh(W @ h[t-1] + U @ x[t])\nL = sum(t, sum(relu(1 - y[t] * h[t])))\n"
        "gradients:\ndh[T] = -2 * y[T] * relu'(1 - y[T] * h[T])",
        "the factor `2` does not belong",
        None,
    ),
    "a relu' that is 1 wherever the gradient is not 0": (
        "sizes: h = 3\nh[t] = tanh(W @ h[t-1])\nL = relu(v.T @ h[T])\ngradients:\ndh[T] = v",
        "the factor `relu'(v.T @ h[T])` is missing in `v`",
        "v * relu'(v.T @ h[T])",
    ),
    "a relu' that is 0 on the usual probes": (
        "sizes: h = 4, q = 1\nh[t] = tanh(W @ h[t-1])\nL = sum(h[T]) * relu(q - 2)\ngradients:\ndq = sum(h[T])",
        "relu'(",
        None,
    ),
    "one step apart, lacking terms of the others": (
        "sizes: h = 4, o = 3, a = 2\nh[t] = tanh(W @ h[t-1])\na = softmax([v.T @ h[T-1]; v.T @ h[T]])\n"
        "o = V @ (rows(a, 1, 1) * h[T-1] + rows(a, 2, 2) * h[T])\nL = squared_error(o, y)\ngradients:\n"
        "dh[T-1] = W.T @ diag(1 - h[T]**2) @ dh[T]",
        "is missing",
        None,
    ),
    "a target that is no label": (
        "sizes: h = 4, y_hat = 3\nh[t] = tanh(W @ h[t-1] + x[t])\ny_hat[t] = softmax(V @ h[t])\n"
        "L = sum(t, -y[t].T @ log(y_hat[t]))\ngradients:\ndy_hat[t] = y_hat[t] - y[t]",
        "should be `-(y[t] / y_hat[t])`",
        "-(y[t] / y_hat[t])",
    ),
    "a sign before a matrix": (
        "sizes: h = 4\nh[t] = tanh(-W @ h[t-1] + x[t])\nL = sum(t, sum(h[t]**2))\ngradients:\n"
        "dh[t] = -W @ diag(1 - h[t+1]**2) @ dh[t+1] + 2 * h[t]    for t < T",
        "`W` should be `W.T`",
        "-(W.T @ diag(1 - h[t+1]**2) @ dh[t+1]) + 2 * h[t]    for t < T",
    ),
    "bounds that saturate": (
        "sizes: x = 3, h = 4\nbounds: 100 < b < 200\nh[t] = tanh(W @ h[t-1] + U @ x[t] + b)\n"
        "L = sum(t, sum(h[t]**2))\ngiven: dh\ngradients:\n"
        "dh[t] = W.T @ diag(1 - h[t+1]**2) @ dh[t+1] + h[t]    for t < T",
        "the factor `2` is missing in `h[t]`",
        "W.T @ diag(1 - h[t+1]**2) @ dh[t+1] + 2 * h[t]    for t < T",
    ),
    "a last step forgotten": (
        "sizes: h = 4\nh[t] = tanh(W @ h[t-1])\nL = sum(t, sum(h[t]**2))\ngradients:\ndh[t] = 2 * h[t]",
        "is missing for t < T",
        "2 * h[t] + W.T @ (dh[t+1] * (1 - h[t+1]**2))    for t < T\ndh[T] = 2 * h[T]",
    ),
    "a mean of as many entries as it has here": (
        "sizes: h = 4\nh[t] = tanh(W @ h[t-1] + x[t])\nL = mean(t, sum(h[t]**2))\ngradients:\ndh[T] = 2 * h[T]",
        "`2 * h[T]`",
        "2 * h[T] / T",
    ),
}


def wrong(source: str, **how) -> tuple[Report, Row]:
    report = judge(source + "\n", how.get("T"), seeds=2, certified=False)
    (row,) = report.failed
    return report, row


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_an_explanation_is_true_and_its_correction_passes(case):
    source, said, right = CASES[case]
    report, row = wrong(source)
    assert said in row.explanation
    assert row.correction is not None
    assert report.subject is not None
    if right is not None:
        assert row.correction == f"{row.name} = {right}"
    again = judge(applied(report.subject, row), None, seeds=2)  # where a file's bounds saturate only a proof can tell
    assert {r.verdict for r in again.rows} <= {"PASS", "PROVED"}


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_no_correction_repeats_what_was_written_or_has_two_signs_in_a_row(case):
    report, row = wrong(CASES[case][0])
    assert report.subject is not None
    header = f"indices: {', '.join(f'{k} = {v}' for k, v in report.subject.document.indices.items())}\n"
    for equation in parse(header + str(row.correction) + "\n").forward:
        assert equation.text != row.text
        pairs = ((node, child) for node in walk(equation.rhs) for child in node.children)
        assert not any(isinstance(node, Unary) and isinstance(child, Unary) for node, child in pairs)


MUTATED = ["vanilla", "leaky", "gru_after", "conditional", "recursive", "encoder_decoder"]


@pytest.mark.slow
@pytest.mark.parametrize("name", sample(MUTATED, 2, "corrected"))
def test_every_wrong_version_of_a_right_equation_is_given_a_correction_that_passes(name):
    """One mutant of each equation, at random; the correction is tried at a length the diagnosis has not seen."""
    model, rng = tg.load(resolve(name)), random.Random(name)
    for number, stated in enumerate(model.gradients):
        terms = [RightTerm(term, stated) for term in terms_of(stated.rhs)]
        said, mutant = rng.choice(list(_mutants(terms)))
        changed = replace(stated, rhs=joined([true.term for true in mutant]))
        gradients = tuple(changed if equation is stated else equation for equation in model.gradients)
        try:
            wrong_model = with_parts(tg.Model(parse(text(replace(model.document, gradients=gradients)))))
        except tg.LanguageError:
            continue  # no shapes fit
        equation = wrong_model.gradients[number]
        probes = [Probe(wrong_model, wrong_model.unroll(T, seed=T)) for T in (4, 5)]
        if not any(_fails(equation, probe) for probe in probes):
            continue  # it says the same, or reads what does not exist
        diagnosis = diagnose(equation, probes)
        assert diagnosis is not None
        assert diagnosis.correction is not None, f"{said}: {text(changed)}"
        seven = Probe(wrong_model, wrong_model.unroll(7, seed=7))
        assert Repairs(equation, [seven]).applied(corrections(wrong_model, diagnosis.correction)) is not None


def corrections(model: tg.Model, said: str) -> list[Equation]:
    indices = ", ".join(f"{name} = {within}" for name, within in model.document.indices.items())
    return list(parse(f"indices: {indices}\n{said}\n").forward)


def _fails(equation: Equation, probe: Probe) -> bool:
    steps = probe.model.steps_of(equation, probe.run.lengths)
    try:
        return any(probe.judge(equation, step).verdict == "FAIL" for step in steps)
    except tg.LanguageError:
        return False


# -- what an input is taken to be --------------------------------------------------------------------------------------
OUTSIDE = (
    "sizes: x = 3, h = 4, yhat = 5\n{labels}h[t] = tanh(W @ h[t-1] + U @ x[t])\nz[t] = V @ h[t]\n"
    "yhat[t] = softmax(z[t])\nL = sum(t, -y[t].T @ log(yhat[t]))\ngradients:\ndz[t] = {dz}"
)


@pytest.mark.parametrize(("kind", "dz"), [("simplex", "yhat[t] - y[t]"), ("one-hot", "yhat[t] - y[t] * y[t]")])
def test_what_is_right_for_labels_only_is_told_with_how_to_declare_them(kind, dz):
    """By hand: d(-y.T log softmax(z)) = softmax(z) sum(y) - y, and y * y = y where y is 0 or 1."""
    row = wrong(OUTSIDE.format(labels="", dz=dz))[1]
    assert (row.mistake, f"`labels: y {kind}`" in row.explanation) == ("label", True)
    declared = judge(OUTSIDE.format(labels=f"labels: y {kind}\n", dz=dz), None, seeds=2, certified=False)
    assert {r.verdict for r in declared.rows} <= {"PASS", "PROVED"}


# -- proposals for shapes that do not fit ------------------------------------------------------------------------------
SQUARE = "sizes: h = 3\nh[t] = tanh(W @ h[t-1])\nL = sum(t, sum(h[t]**2))\ngradients:\n"


@pytest.mark.parametrize(
    ("written", "right"),
    [
        ("dW = sum(t, h[t-1] @ diag(1 - h[t]**2) @ dh[t].T)", "dW = sum(t, diag(1 - h[t]**2) @ dh[t] @ h[t-1].T)"),
        ("dW = sum(t, dh[t].T @ h[t-1])", None),  # every order and transpose lacks the slope
    ],
)
def test_a_proposal_for_shapes_is_told_only_if_it_is_right(written, right):
    document = parse(SQUARE + written + "\n")
    with pytest.raises(tg.LanguageError) as caught:
        tg.Model(document)
    (equation,) = document.gradients
    bare = tg.Model(replace(document, gradients=()))
    hint, correction = Repairs(equation, [Probe(bare, bare.unroll(4))]).mended(caught.value)
    assert len(caught.value.mends) > 0
    assert correction == right
    assert bool(hint) == (right is not None)


# -- one line in full --------------------------------------------------------------------------------------------------
def test_one_line_is_explained_in_full():
    source = SQUARE + "dh[T] = 2 * h[T]\ndh[t] = W @ diag(1 - h[t+1]**2) @ dh[t+1] + 2 * h[t]    for t < T\n"
    report = tg.verify(source)
    said = explained(report, 6)
    for part in (
        "dh[t] on line 6: FAIL",
        "W is 3 x 3",
        "derived     dh[t] = W.T @ diag(1 - h[t+1]**2) @ dh[t+1] + 2 * h[t]    for t < T",
        "right    2 * h[t]",
        "should be   W.T @ diag(1 - h[t+1]**2) @ dh[t+1]",
        "t = 1, ",
        "difference",
    ):
        assert part in said
    right = explained(report, 5)
    assert "dh[T] on line 5: PROVED" in right
    assert "2 * h[T]   is   2 * h[T]" in right
    with pytest.raises(GraphError, match="they stand on 5, 6"):
        explained(report, 4)


def test_the_command_line_explains_a_line(tmp_path, capsys):
    file = tmp_path / "wrong.rnn"
    file.write_text(SQUARE + "dh[T] = 3 * h[T]\n", encoding="utf-8")
    assert main(["verify", str(file), "--explain", "5"]) == 1
    assert "derived     dh[T] = 2 * h[T]" in capsys.readouterr().out
    page = tmp_path / "notes.md"
    page.write_text(f"# Notes\n\n```rnn\n{SQUARE}dh[T] = 3 * h[T]\n```\n", encoding="utf-8")
    assert main(["verify", str(page), "--explain", "8"]) == 1
    assert "dh[T] on line 8: FAIL" in capsys.readouterr().out


def test_values_at_the_first_wrong_step_are_those_of_the_equation():
    source = SQUARE + "dh[T] = 3 * h[T]\n"
    report = tg.verify(source, T=3)
    h = tg.load(source).unroll(3)["h", 3].numpy().reshape(-1)
    assert np.array2string(3 * h, precision=4) in explained(report, 5)


def test_a_correction_that_would_go_round_is_not_told():
    """`da[t] = da[t]` agrees with every number; what is right and can be used is `ds[t] * s[t] * (1 - s[t])`."""
    text = """sizes: x = 4, s = 2, y = 2
a[t] = U @ x[t] + W @ s[t-1] + b
s[t] = sigmoid(a[t])
L = sum(t, squared_error(s[t], y[t]))
gradients:
ds[t] = W.T @ da[t+1] + s[t] - y[t]    for t < T
ds[T] = s[T] - y[T]
da[t] = da[t] * s[t] * (1 - s[t])
"""
    report = tg.verify(text + "db = sum(t, da[t])\n")
    (row,) = report.failed
    assert row.correction == "da[t] = ds[t] * s[t] * (1 - s[t])"
    assert report.reach().endswith("these cannot be computed by the file alone: ds[t], db")


# -- letters other than t ----------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("stated", "said", "right"),
    [
        (
            "dh[k] = 2 * h[k] + W.T @ diag(1 - h[k]**2) @ dh[k+1]    for k < T",
            "`h[k]` should be `h[k+1]`",
            "dh[k] = 2 * h[k] + W.T @ diag(1 - h[k+1]**2) @ dh[k+1]    for k < T",
        ),
        (
            "dh[k] = 2 * h[k]",
            "is missing for k < T",
            "dh[k] = 2 * h[k] + W.T @ (dh[k+1] * (1 - h[k+1]**2))    for k < T\ndh[T] = 2 * h[T]",
        ),
    ],
)
def test_an_equation_in_a_letter_that_is_not_declared_is_explained_in_this_letter(stated, said, right):
    report, row = wrong(f"sizes: h = 4\nh[t] = tanh(W @ h[t-1])\nL = sum(t, sum(h[t]**2))\ngradients:\n{stated}")
    assert said in row.explanation
    assert row.correction == right
    assert "wrong at k = 1 to 5 (T = 6)" in str(report)


def test_a_length_is_called_by_its_name():
    forward = "indices: k = 1..K\nsizes: h = 4\nh[k] = tanh(W @ h[k-1])\nL = sum(k, sum(h[k]**2))\n"
    report, _ = wrong(f"{forward}gradients:\ndh[K] = 2 * h[K]\ndh[k] = 2 * h[k]    for k < K")
    for said in (str(report), report.to_markdown(), report.to_html()):
        assert "K = 6" in said
        assert "T = 6" not in said


# -- terms that belong at some steps -----------------------------------------------------------------------------------
SHARE = "W.T @ diag(1 - h[t+1]**2) @ dh[t+1]"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("forward", "said", "extra", "lacking"),
    [
        # a stop cuts the share of h[2], and of no other
        (
            "h[t] = tanh(W @ h[t-1] + x[t])    for t != 3\nh[3] = tanh(W @ stop(h[2]) + x[3])",
            f"the term `{SHARE}` does not belong at t = 2 (`stop` in line 3)",
            (2,),
            None,
        ),
        # from step 5 on the matrix is 2 W
        (
            "h[t] = tanh(W @ h[t-1] + x[t])\nh[t] = tanh(2 * W @ h[t-1] + x[t])    for t >= 5",
            f"`{SHARE}` should be `2 * ({SHARE})` for 3 < t < T",
            (4, 5, 6, 7),
            (4, 5, 6, 7),
        ),
    ],
)
def test_a_term_that_belongs_at_some_steps_is_told_with_the_others(forward, said, extra, lacking):
    stated = f"dh[T] = 2 * h[T]\ndh[t] = 2 * h[t] + {SHARE}    for t < T"
    report, row = wrong(f"sizes: x = 4, h = 4\n{forward}\nL = sum(t, sum(h[t]**2))\ngradients:\n{stated}")
    assert row.explanation == said
    steps = {term.verdict: term.steps for term in row.terms}
    assert (steps["extra"], steps.get("missing")) == (extra, lacking)
    assert report.subject is not None
    again = judge(applied(report.subject, row), None, seeds=2, certified=False)
    assert {r.verdict for r in again.rows} <= {"PASS", "PROVED"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("wrong", "correction"),
    [
        ("dz = relu(w)", "dz = relu(w) * relu'(z)"),
        ("dw = z * relu'(w)", "dw = relu(z) * relu'(w)"),
        ("dz = relu'(z) * w", "dz = relu'(z) * relu(w)"),
    ],
)
def test_a_mask_is_named_though_the_truth_is_zero_where_it_shows(wrong, correction):
    """Where a mask is forgotten the truth is 0: no term is extra, and no factor lacks inside of another function."""
    forward = "sizes: h = 4, z = 1, w = 1, v = 4, u = 4\nh[t] = tanh(W @ h[t-1])\n"
    masks = "z = 3 * (v.T @ h[T])\nw = 3 * (u.T @ h[T])\n"
    (row,) = tg.verify(f"{forward}{masks}L = relu(z) * relu(w)\ngradients:\n{wrong}\n").rows
    assert (row.verdict, row.mistake, row.correction) == ("FAIL", "wrong factor", correction)


@pytest.mark.parametrize("wrong", ["2*(T-1)*h[T]", "(1 + (-1)**T) * h[T]"])
def test_a_wrong_factor_at_the_last_step_is_no_boundary(wrong):
    text = f"sizes: h = 4\nh[t] = tanh(W @ h[t-1])\nL = 3 * sum(h[T]**2)\ngradients:\ndh[T] = {wrong}\n"
    (row,) = tg.verify(text).rows
    assert (row.verdict, row.mistake, row.correction) == ("FAIL", "wrong factor", "dh[T] = 6 * h[T]")
