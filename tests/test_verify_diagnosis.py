"""Laws of the diagnosis: the mistake is named as its file says, and its correction makes the equation right."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.sweep import sample
from tests.test_verify_corpus import MISSES, WRONG, applied, header, judged, model, quantity, some_wrong_files
from tinygrad_rnn.models import names, resolve
from tinygrad_rnn.verification.measure.probe import Probe
from tinygrad_rnn.verification.results import Row

from .shipped import LARGE, verified

#: the share of the corpus whose mistake has to be named as its file says
RATE = 0.9


def failed(report: tg.Report) -> Row:
    (row,) = [row for row in report.rows if row.verdict == "FAIL"]
    return row


def spaced(words: str) -> str:
    return " ".join(words.split())


def named(path) -> bool:
    row = failed(judged(path))
    return row.mistake == header(path, "kind") and spaced(header(path, "expect")) in spaced(row.explanation)


# -- the corpus --------------------------------------------------------------------------------------------------------
@pytest.mark.slow
@some_wrong_files
def test_the_mistake_is_named_as_its_file_says(path):
    row = failed(judged(path))
    if path.stem in MISSES:
        assert not named(path), f"{path.stem} is named rightly now: take it out of MISSES"
        return
    assert row.mistake == header(path, "kind"), row.explanation
    assert spaced(header(path, "expect")) in spaced(row.explanation)


def test_nine_in_ten_are_named_rightly_and_every_miss_is_a_file():
    assert set(MISSES) <= {path.stem for path in WRONG}
    assert len(MISSES) <= (1 - RATE) * len(WRONG)  # each other one is asserted above


@some_wrong_files
def test_every_failed_equation_has_an_explanation_and_a_verdict_for_each_of_its_terms(path):
    row = failed(judged(path))
    assert row.mistake
    assert row.explanation
    assert {term.verdict for term in row.terms} <= {"right", "wrong", "extra", "missing"}
    assert [term for term in row.terms if term.verdict != "right"]
    assert all(term.explanation for term in row.terms if term.verdict != "right")


@some_wrong_files
def test_equations_that_pass_have_neither_terms_nor_a_mistake(path):
    for row in judged(path).rows:
        if row.verdict != "FAIL":
            assert (row.mistake, row.explanation, row.terms) == ("", "", [])


@pytest.mark.slow
@pytest.mark.parametrize("name", sample(names(), 8, "right"))
def test_a_right_derivation_has_neither_terms_nor_a_mistake(name):
    rows = verified(name).rows
    assert all((row.mistake, row.explanation, row.terms) == ("", "", []) for row in rows)


# -- the correction, applied -------------------------------------------------------------------------------------------
@pytest.mark.slow
@some_wrong_files
def test_the_correction_applied_makes_the_equation_right(path):
    """In the file, at a length and with values that no diagnosis has seen."""
    row = failed(judged(path))
    mended = tg.load(applied(model(path), row))
    probe = Probe(mended, mended.unroll(5, seed=77))
    equations = [equation for equation in mended.gradients if quantity(equation.name) == quantity(row.name)]
    steps = [(equation, step) for equation in equations for step in mended.steps_of(equation, probe.run.lengths)]
    assert {probe.judge(equation, step).verdict for equation, step in steps} == {"PASS"}, row.correction


@some_wrong_files
def test_each_term_that_is_wrong_alone_says_what_it_should_be(path):
    terms = failed(judged(path)).terms
    for term in terms:
        assert term.text != term.correction
        if term.verdict == "wrong" and "missing" not in {term.verdict for term in terms}:
            assert term.correction


# -- more than one mistake ---------------------------------------------------------------------------------------------
def vanilla(**stated: str) -> str:
    """The shipped vanilla derivation with some right-hand sides replaced: `dh` is that of dh[t]."""
    lines = []
    for line in resolve("vanilla").read_text(encoding="utf-8").splitlines():
        left, _, right = line.partition(" = ")
        name = left.removesuffix("[t]")
        condition = f"    for{right.partition('    for')[2]}" if "    for" in right else ""
        lines.append(f"{left} = {stated[name]}{condition}" if name in stated and right else line)
    return "\n".join(lines) + "\n"


PATH, OUT = "W.T @ diag(1 - h[t+1]**2) @ dh[t+1]", "V.T @ do[t]"


TWO = {
    "transpose and missing": ("W @ diag(1 - h[t+1]**2) @ dh[t+1]", ["`W` should be `W.T`", f"term `{OUT}` is missing"]),
    "step and sign": (f"{PATH.replace('h[t+1]**2', 'h[t]**2')} - {OUT}", ["`h[t]` should be `h[t+1]`", "sign"]),
    "both signs": (f"-({PATH}) - {OUT}", ["the sign of the right-hand side is wrong", PATH, OUT]),
    "two too many": (
        f"{PATH} + {OUT} + h[t] + 0.5 * h[t-1]",
        ["`h[t]` does not belong", "`0.5 * h[t-1]` does not belong"],
    ),
    "nothing": ("0 * h[t]", [f"`{PATH}`", f"`{OUT}`"]),
    "twice and a transpose": (f"{PATH} + {PATH} + V @ do[t]", []),
    "everything": ("W @ dh[t] + V @ do[t+1]", []),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", TWO)
def test_two_mistakes_in_one_equation_are_both_told(case):
    stated, said = TWO[case]
    row = failed(tg.verify(vanilla(dh=stated).replace("o = 5", "o = 4")))  # o = 4: V is square and may be transposed
    assert row.name == "dh[t]"
    assert row.mistake
    assert [words for words in said if words not in row.explanation] == [], row.explanation
    assert [term for term in row.terms if term.verdict != "right"]


@pytest.mark.slow
def test_mistakes_in_several_equations_are_told_apart():
    report = tg.verify(
        vanilla(
            dh=f"{PATH} - {OUT}",
            db="sum(t, dh[t])",
            dW="sum(t, diag(1 - h[t]**2) @ dh[t] @ h[t].T)",
            dV="do[T] @ h[T].T",
        )
    )
    found = {row.name: row.mistake for row in report.rows if row.verdict == "FAIL"}
    assert found == {"dh[t]": "sign", "db": "wrong factor", "dW": "wrong step", "dV": "wrong sum"}


@pytest.mark.slow
def test_a_mistake_of_a_nonsensical_kind_is_given_the_right_terms():
    row = failed(tg.verify(vanilla(dW="sum(t, sin(W) * sum(h[t]) * sum(dh[t]))")))
    assert "`sum(t, diag(1 - h[t]**2) @ dh[t] @ h[t-1].T)`" in row.explanation
    assert {term.verdict for term in row.terms} == {"wrong", "missing"}


@pytest.mark.slow
def test_names_of_the_user_s_own_are_used():
    """Whoever states da[t] is told of da[t+1], not of dh[t+1] and a slope."""
    source = vanilla(dh="V.T @ do[t]").replace("gradients:", "gradients:\nda[t] = (1 - h[t]**2) * dh[t]\n")
    row = failed(tg.verify(source))
    assert row.explanation == "the term `W.T @ da[t+1]` is missing"


@pytest.mark.slow
def test_a_helper_of_the_user_s_own_does_not_confuse():
    source = vanilla(dW="sum(t, delta[t] @ h[t].T)").replace(
        "gradients:", "gradients:\ndelta[t] = (1 - h[t]**2) * dh[t]\n"
    )
    row = failed(tg.verify(source))
    assert (row.mistake, "`h[t-1]`" in row.explanation) == ("wrong step", True)


# -- probes that prove nothing -----------------------------------------------------------------------------------------
BAD = {
    "one step": {"T": 1},
    "two steps": {"T": 2},
    "zeros": {"scale": 0.0},
    "tiny": {"scale": 1e-3},
    "tiny and one step": {"scale": 1e-3, "T": 1},
    "huge": {"scale": 1e3},
    "one seed": {"seeds": 1},
    "long": {"T": 12, "seeds": 1},
}


#: of the usual size: what a bad probe says does not depend on how many equations there are
USUAL = [path for path in WRONG if not path.stem.startswith(tuple(LARGE))][::40]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("path", "how"),
    sample([(path, how) for path in USUAL for how in BAD], 6, "bad probes"),
    ids=lambda x: getattr(x, "stem", x),
)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_bad_probe_says_what_it_can_and_never_passes(path, how):
    report = tg.verify(path, **BAD[how])
    assert not report.ok
    for row in report.rows:
        assert (row.verdict in ("FAIL", "CIRCULAR")) == bool(row.explanation)
        assert row.verdict != "FAIL" or row.name == header(path, "flagged")


@pytest.mark.slow
def test_states_of_zero_leave_a_diagnosis_possible():
    path = next(path for path in WRONG if path.stem == "vanilla_transpose_missing")
    row = failed(tg.verify(path, values={("h", 0): np.zeros((4, 1))}))
    assert row.mistake == "transpose"


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_values_that_are_not_finite_are_not_diagnosed():
    report = tg.verify(
        "sizes: h = 2\nh[t] = exp(exp(W @ h[t-1] + 10))\nL = sum(t, sum(h[t]))\ngradients:\ndh[T] = 1 + 0 * h[T]\n"
    )
    assert [row.mistake for row in report.rows] == [""]
