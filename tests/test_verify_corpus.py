"""The corpus of wrong derivations: each file holds one mistake and names, in comments, what the tool has to answer.

- `mistake`: what was done, in a sentence
- `flagged`: the equation to be flagged
- `kind`: one of KINDS
- `expect`: what an explanation has to quote: the missing or the corrected term or factor, as `derive` prints it, or
  what is too much
- `steps`: the steps that fail (T = 4), where they are not all the equation's steps
"""

from __future__ import annotations

import re
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

import tinygrad_rnn as tg
from tests.sweep import sample
from tinygrad_rnn.language.text.printer import text
from tinygrad_rnn.models import names, resolve
from tinygrad_rnn.verification.judge import judge
from tinygrad_rnn.verification.results import Row

CORPUS = Path(__file__).parent / "corpus"
WRONG = sorted((CORPUS / "wrong").glob("*.rnn"))
ILLTYPED = sorted((CORPUS / "illtyped").glob("*.rnn"))
KINDS = {
    "missing term",
    "extra term",
    "wrong step",
    "wrong factor",
    "sign",
    "transpose",
    "boundary",
    "parentheses",
    "wrong sum",
}

#: what is said of these is not what their files say; a file that is named rightly has to leave this table
MISSES = {
    "gru_after_reset_without_inner_bias": "the bias missing inside a product is told as a wrong factor",
    "lstm_004_derivative_of_the_square": "parentheses of a square are told as a wrong factor",
    "vanilla_diag_on_the_left": "factors in the wrong order are told as `order`, in the corpus a wrong factor",
}
#: each of the mistakes in several models, and what diagnosis is known to miss
SOME = sample(WRONG, 28, "corpus", always=[path for path in WRONG if path.stem in MISSES])
some_wrong_files = pytest.mark.parametrize("path", SOME, ids=lambda path: path.stem)
few_wrong_files = pytest.mark.parametrize("path", sample(WRONG, 10, "steps"), ids=lambda path: path.stem)


def headers(path: Path) -> dict[str, str]:
    return dict(re.findall(r"^# (\w+): (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE))


def header(path: Path, key: str) -> str:
    assert key in headers(path), f"{path.name} does not say '# {key}:'"
    return headers(path)[key].strip()


@cache
def judged(path: Path) -> tg.Report:
    """The report on a wrong file; the probe needs no certificate to find something wrong."""
    return judge(model(path), None, seeds=2, certified=False)


def applied(of: tg.Model, row: Row) -> str:
    """The file with a row's correction in the place of its equation."""
    assert row.correction is not None
    (stated,) = [equation for equation in of.gradients if (equation.name, equation.line) == (row.name, row.line)]
    source = of.document.source.text
    return source[: stated.span.start] + row.correction + source[stated.span.stop :]


@cache
def shipped() -> dict[str, Path]:
    return {model(path).name: path for path in map(resolve, names())}


@cache
def model(path: Path) -> tg.Model:
    return tg.load(path)


def right(path: Path) -> Path:
    """The shipped model that a wrong file is a copy of."""
    title = model(path).name
    assert title in shipped(), f"{path.name} is a copy of no shipped model"
    return shipped()[title]


@cache
def equations(path: Path) -> tuple[list[str], dict[str, list[str]]]:
    """The forward equations, and the gradient equations of each quantity."""
    gradients: dict[str, list[str]] = {}
    for equation in model(path).gradients:
        gradients.setdefault(quantity(equation.name), []).append(written(text(equation)))
    return [text(equation) for equation in model(path).forward], gradients


def written(line: str) -> str:
    return " ".join(line.split())


def quantity(name: str) -> str:
    return re.split(r"\[| =", name, maxsplit=1)[0]


def test_the_corpus_is_large_enough():
    assert len(WRONG) >= 190
    assert ILLTYPED


@pytest.mark.slow
def test_every_shipped_model_and_every_kind_of_mistake_is_in_the_corpus():
    assert {right(path) for path in WRONG} == set(shipped().values())
    kinds = Counter(header(path, "kind") for path in WRONG)
    assert set(kinds) == KINDS
    assert min(kinds.values()) >= 3


@pytest.mark.slow
@some_wrong_files
def test_the_wrong_equation_is_flagged_and_no_other(path):
    report = judged(path)
    assert [row.name for row in report.rows if row.verdict == "FAIL"] == [header(path, "flagged")]
    assert all(row.verdict in ("PASS", "PROVED") for row in report.rows if row.verdict != "FAIL")
    assert not report.ok


def _steps_known(path: Path) -> int:
    """The length of which the file says at which steps its mistake shows."""
    return max(4, model(path).longest_delay + 2)


@pytest.mark.slow
@few_wrong_files
def test_the_mistake_is_found_at_the_steps_where_it_shows_and_at_no_other(path):
    (row,) = judge(model(path), _steps_known(path), seeds=2, certified=False).failed
    failing = [step.t for step in row.steps if step.verdict == "FAIL"]
    if "steps" in headers(path):
        assert sorted(set(failing)) == [int(step) for step in header(path, "steps").split(",")]
    else:
        assert failing == [step.t for step in row.steps], "say '# steps:' where the mistake shows only at some"


@some_wrong_files
def test_a_wrong_file_is_a_shipped_model_but_for_the_flagged_quantity(path):
    forward, gradients = equations(path)
    true_forward, truth = equations(right(path))
    assert forward == true_forward
    assert {name for name in truth if gradients.get(name) != truth[name]} == {quantity(header(path, "flagged"))}
    assert gradients.keys() == truth.keys()


@pytest.mark.slow
@some_wrong_files
def test_what_an_explanation_has_to_quote_is_the_truth_or_what_is_too_much(path):
    expected = header(path, "expect")
    (stated,) = [written(row.text) for row in judged(path).rows if row.verdict == "FAIL"]
    if header(path, "kind") == "extra term" or expected == "/ T":
        without = {re.sub(re.escape(part) + "(?= |$)", "", stated) for part in (f" + {expected}", f" {expected}")}
        without.add(stated.replace(f"= {expected} + ", "= "))
        assert without & set(truth(path)), f"without {expected} the equation should be true"
    else:
        assert any(expected in line for line in truth(path))


def truth(path: Path) -> list[str]:
    """The flagged quantity's equations, as published and as derived; for the first step, with its indices."""
    flagged = header(path, "flagged")
    published = equations(right(path))[1][quantity(flagged)]
    derived = [line for line in _derived(right(path)) if quantity(line) == quantity(flagged)]
    if not flagged.endswith("[1]"):
        return published + derived
    return [line.replace("[t-1]", "[0]").replace("[t]", "[1]") for line in published + derived]


@cache
def _derived(path: Path) -> list[str]:
    return [written(line) for line in tg.derive(path).text().splitlines()]


def test_every_wrong_file_says_what_its_mistake_is():
    assert [path.stem for path in WRONG if header(path, "kind") not in KINDS or len(header(path, "mistake")) <= 8] == []


def test_no_two_wrong_files_are_the_same():
    bodies = Counter(re.sub(r"^#.*$", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE) for path in WRONG)
    assert max(bodies.values()) == 1


@pytest.mark.slow
@pytest.mark.parametrize("path", ILLTYPED, ids=lambda path: path.stem)
def test_an_ill_typed_equation_is_refused_with_both_shapes(path):
    report = tg.verify(path)
    (row,) = report.failed
    assert row.verdict == report.verdict == "ILL-TYPED"
    assert re.search(r"\d+ x \d+.*\d+ x \d+", row.excerpt)
