"""Equations made to fool a judge or a prover get the verdict they deserve, and right ones in unusual forms hold."""

from unittest import mock

import pytest

import tinygrad_rnn as tg
from benchmarks.soak.numeric import World
from benchmarks.soak.reading import read
from tests.sweep import sample
from tests.trapped import as_expected, cases, corpora, single
from tinygrad_rnn.derivation.prover.prove import prove
from tinygrad_rnn.verification.judge import judge

CASES = list(cases())
#: lengths at which numbers are asked: even and odd, short and long; S is no fixed distance from T
LENGTHS = ({"T": 5, "S": 8}, {"T": 6, "S": 4}, {"T": 25, "S": 9}, {"T": 160, "S": 3})


@pytest.mark.slow
@pytest.mark.parametrize("case", sample(CASES, 75, "traps"), ids=lambda case: case.title)
def test_each_equation_gets_the_verdict_it_deserves(case):
    with mock.patch(
        "tinygrad_rnn.verification.judge.diagnose", lambda *_: None
    ):  # verdicts are asked, not explanations
        report = judge(case.text, seeds=1, certified=False)
    verdicts = {row.line: row.verdict for row in report.rows}
    unlike = [
        f"{title}: {expected} expected, {verdicts[line]} told, line {line}"
        for line, (title, expected) in case.rows.items()
        if line in verdicts and not as_expected(expected, verdicts[line])
    ]
    assert not unlike, "\n".join(unlike) + "\n" + case.text
    if case.file:
        assert as_expected(case.file, report.verdict), f"the file is {report.verdict}\n{case.text}"
    right = [row for row in report.rows if row.line not in case.rows]
    assert all(row.verdict in ("PASS", "PROVED", "CIRCULAR") for row in right), [(r.text, r.verdict) for r in right]


@pytest.mark.slow
@pytest.mark.parametrize("case", [case for case in CASES if case.proofs], ids=lambda case: case.title)
def test_what_is_right_only_where_people_look_is_not_proved(case):
    model = tg.load(case.text)
    proved = [e.text for e in model.gradients if e.line in case.rows and prove(model, e).proved]
    assert not proved


@pytest.mark.slow
@pytest.mark.parametrize(
    "corpus", sample([c for c in corpora() if c.name not in ("batch", "rows")], 4, "numbers"), ids=lambda c: c.name
)
def test_numbers_say_what_the_corpus_says(corpus):
    """The complex step, with arithmetic of the soak's own, confirms what each trap claims to be."""
    shapes = {said.partition("[")[0]: shape for said, shape in tg.load("\n".join(corpus.model)).shapes.items()}
    unlike = []
    for trap in corpus.traps:
        if trap.expected in ("PASS", "holds", "FAIL"):
            case = single(corpus, trap)
            errors = _errors(read(case.text), shapes, _asked(trap))
            for line, (title, expected) in case.rows.items():
                right = expected in ("PASS", "holds")
                if expected in ("PASS", "holds", "FAIL") and line in errors and (errors[line] < 1e-6) != right:
                    unlike.append(f"{title}: {expected} is claimed, and the error is {errors[line]:.1e}")
    assert not unlike, "\n".join(unlike)


def _asked(trap):
    """Two short lengths, and one that is longer than any number in the trap."""
    return [*LENGTHS[:2], *([next(these for these in LENGTHS if these["T"] > trap.largest)] if trap.long else [])]


def _errors(file, shapes, lengths):
    """The largest error of each gradient equation at all these lengths, by its line."""
    found = {}
    for these in lengths:
        world = World(file, shapes, {name: these[name] for name in file.lengths}, these["T"])
        for equation in file.gradients:
            if equation.name.startswith("d") and equation.name[1:] in shapes:
                error = max(world.errors(equation).values(), default=0.0)
                found[equation.line] = max(found.get(equation.line, 0.0), error)
    return found
