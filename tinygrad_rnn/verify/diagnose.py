"""Name the mistake in a wrong equation: match its terms with the right ones, then edit what is left until it fits.

An explanation is given only when the equation, so corrected, passes on other probes as well.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.errors import TinygradError
from ..language.expressions import Equation, walk
from ..language.indices import Step
from ..language.printer import text
from .alone import diagnose_alone
from .corrections import Fix, corrected, pool_of
from .edits import FACTOR, PARENTHESES, SIGN, parenthesised
from .report import EXTRA, MISSING, PASS, RIGHT, WRONG, Diagnosis, TermVerdict
from .terms import Term, Values, joined, names, terms_of
from .truth import TrueTerm, true_terms, vocabularies

if TYPE_CHECKING:
    from .probe import Probe

BOUNDARY = "boundary"


@dataclass
class Matching:
    """User terms that are right, user terms that are not, right terms that the user does not have."""

    right: list[Term] = field(default_factory=list)
    left: list[tuple[Term, np.ndarray]] = field(default_factory=list)
    absent: list[tuple[TrueTerm, np.ndarray]] = field(default_factory=list)

    @property
    def open(self) -> int:
        return len(self.left) + len(self.absent)


def diagnose(equation: Equation, probes: Sequence[Probe]) -> Diagnosis | None:
    """The diagnosis of a failed equation on the first probe, confirmed on all; None when nothing fits."""
    values = Values(probes[0], equation)
    if not values.steps:
        return None
    matchings = list(_matchings(values))
    if not matchings:
        return diagnose_alone(values, probes)
    for matching in sorted(matchings, key=lambda m: m.open)[:4]:
        found = _explain(matching, values, probes)
        if found is not None:
            return found
    return _in_general(min(matchings, key=lambda m: m.open), equation)


# -- matching ------------------------------------------------------------------------------------------------------
def _matchings(values: Values) -> Iterator[Matching]:
    """How the user's terms compare with the right ones, for several choices of the gradients they may name."""
    equation, probe = values.equation, values.probe
    gradients = frozenset(name for name in names(equation.rhs) if probe.model.quantities.base((name, True)))
    for keep in vocabularies(probe, equation):
        for fine in (False, True):
            try:
                truth = true_terms(probe, equation, keep, fine)
            except TinygradError:
                continue
            for split in (frozenset(), gradients) if fine else (frozenset(),):
                matching = _match(values, terms_of(equation.rhs, frozenset(split)), truth)
                if matching is not None:
                    yield matching


def _match(values: Values, terms: list[Term], truth: list[TrueTerm]) -> Matching | None:
    matching = Matching()
    for term in terms:
        value = values.of(term.expr)
        if value is None:
            return None
        matching.left.append((term, value))
    for true in truth:
        value = values.of(true.term.expr, true.steps)
        if value is None:
            return None
        if np.any(value):
            matching.absent.append((true, value))
    _pair_off(matching, values)
    return matching


def _pair_off(matching: Matching, values: Values) -> None:
    """Take away what agrees: one term with one, one with the sum of two or three, either way round."""
    for few, many in ((1, 1), (1, 2), (2, 1), (1, 3), (3, 1)):
        progress = True
        while progress:
            progress = False
            for mine in combinations(range(len(matching.left)), few):
                mine_sum = _total(matching.left, mine)
                for theirs in combinations(range(len(matching.absent)), many):
                    if values.same(mine_sum, _total(matching.absent, theirs)):
                        matching.right += [matching.left[i][0] for i in mine]
                        matching.left = [pair for i, pair in enumerate(matching.left) if i not in mine]
                        matching.absent = [pair for k, pair in enumerate(matching.absent) if k not in theirs]
                        progress = True
                        break
                if progress:
                    break


def _total(pairs: Sequence[tuple[Any, np.ndarray]], chosen: Sequence[int] | None = None) -> Any:
    """The sum of the values of some terms (all if None)."""
    return sum(value for i, (_, value) in enumerate(pairs) if chosen is None or i in chosen)


# -- explaining ----------------------------------------------------------------------------------------------------
def _explain(matching: Matching, values: Values, probes: Sequence[Probe]) -> Diagnosis | None:
    left, absent = matching.left, matching.absent
    if not left and not absent:
        return None
    if not left and absent:
        return _missing(matching, values)
    if left and not absent:
        kind = "extra term"
        verdicts = [TermVerdict(str(term), EXTRA, "does not belong here") for term, _ in left]
        says = "; ".join(f"the term `{v.text}` does not belong here" for v in verdicts)
        return Diagnosis(kind, says, _right(matching) + verdicts)
    if len(left) > 1 and values.same(-_total(left), _total(absent)):
        right = joined([term.with_body(term.body, -1) for term, _ in reversed(left)])
        says = f"the sign of the right-hand side is wrong: it should be `{text(right)}`"
        return Diagnosis(
            SIGN, says, _right(matching) + [TermVerdict(str(term), WRONG, "another sign") for term, _ in left]
        )
    together = _lost_parentheses(matching, values, probes)
    if together is not None:
        return together
    if len(left) <= 3:
        return _one_by_one(matching, values, probes)
    return None


def _right(matching: Matching) -> list[TermVerdict]:
    return [TermVerdict(str(term), RIGHT, "") for term in matching.right]


def _missing(matching: Matching, values: Values) -> Diagnosis:
    verdicts, sentences = _right(matching), []
    steps = [s for s in values.steps if s is not None]
    at_an_end = bool(steps)
    for true in _grouped(matching.absent):
        here = sorted(true.steps & set(steps)) if true.steps else steps
        at_an_end = at_an_end and len(here) < len(steps) and set(here) <= {steps[0], steps[-1]}
        at = f" at t = {', '.join(map(str, here))}" if len(here) < len(steps) else ""
        verdicts.append(TermVerdict(str(true), MISSING, f"is missing{at}"))
        sentences.append(f"the term `{true}` is missing{at}")
    return Diagnosis(BOUNDARY if at_an_end else "missing term", "; ".join(sentences), verdicts)


def _grouped(absent: Sequence[tuple[TrueTerm, np.ndarray]]) -> list[TrueTerm]:
    """Terms without a gradient (softmax(o) - onehot(y)) belong together; the others stand alone."""
    whole = [
        true
        for true, _ in absent
        if not any(name.startswith("d") for name in names(true.term.body)) and true.term.over is None
    ]
    if len(whole) < 2 or any(true.steps != whole[0].steps for true in whole):
        return [true for true, _ in absent]
    return [true for true, _ in absent if true not in whole] + [
        TrueTerm(Term(1, joined([t.term for t in whole])), whole[0].steps)
    ]


def _one_by_one(matching: Matching, values: Values, probes: Sequence[Probe]) -> Diagnosis | None:
    """Correct each wrong term by one edit; what then still lacks is missing, what cannot be corrected stays open."""
    fixes: list[tuple[Term, Fix]] = []
    absent = list(matching.absent)
    pool = pool_of([true.term.body for true, _ in absent], [term.body for term, _ in matching.left])
    for n, (term, value) in enumerate(matching.left):
        goals = [v for _, v in absent]
        if len(matching.left) == 1 and len(absent) > 1:
            goals.append(_total(absent))
        elif len(matching.left) > 1:
            goals.append(_total(absent) - (_total(matching.left) - value))
        for fix, reached in corrected(term, goals, values, pool):
            remaining = _without(absent, reached, values)
            last = n == len(matching.left) - 1  # earlier corrections are confirmed together with the last
            if not last or _confirmed(matching, [*fixes, (term, fix)], remaining, values, probes):
                fixes.append((term, fix))
                absent = remaining
                break
        else:
            return None
    verdicts = _right(matching) + [TermVerdict(str(term), WRONG, fix.says) for term, fix in fixes]
    says = [fix.says for _, fix in fixes]
    for true, _ in absent:
        verdicts.append(TermVerdict(str(true), MISSING, "is missing"))
        says.append(f"the term `{true}` is missing")
    return Diagnosis(fixes[0][1].kind, "; ".join(says), verdicts)


def _without(
    absent: list[tuple[TrueTerm, np.ndarray]], reached: np.ndarray, values: Values
) -> list[tuple[TrueTerm, np.ndarray]]:
    for n in range(1, len(absent) + 1):
        for chosen in combinations(range(len(absent)), n):
            if values.same(_total(absent, chosen), reached):
                return [pair for k, pair in enumerate(absent) if k not in chosen]
    return absent


def _lost_parentheses(matching: Matching, values: Values, probes: Sequence[Probe]) -> Diagnosis | None:
    if len(matching.left) != 2:
        return None
    (first, _), (second, _) = matching.left
    for one, two in ((first, second), (second, first)):
        if one.over is not two.over:
            continue
        for edit in parenthesised(one.body, one.sign * two.sign, two.body):
            term = one.with_body(edit.expr)
            reached = values.of(term.expr)
            if values.same(reached, _total(matching.absent)):
                says = f"parentheses are missing: `{one}` and `{two}` should be `{term}`"
                if _confirmed(matching, [(one, Fix(PARENTHESES, says, term))], [], values, probes):
                    verdicts = _right(matching) + [TermVerdict(str(t), WRONG, says) for t in (one, two)]
                    return Diagnosis(PARENTHESES, says, verdicts)
    return None


def _confirmed(
    matching: Matching,
    fixes: Sequence[tuple[Term, Fix]],
    absent: list[tuple[TrueTerm, np.ndarray]],
    values: Values,
    probes: Sequence[Probe],
) -> bool:
    """Whether the equation with all its corrections passes on other probes too."""
    if any(true.steps is not None for true, _ in absent):
        return True  # a term of some steps only cannot stand in one equation with the others
    terms = [
        *matching.right,
        *[fix.term for _, fix in fixes if fix.term is not None],
        *[true.term for true, _ in absent],
    ]
    equation = values.equation
    fixed = Equation(equation.target, equation.when, joined(terms), equation.span, equation.text)
    return all(_passes(probe, fixed, step) for probe in probes[:2] for step in values.steps)


def _passes(probe: Probe, equation: Equation, step: Step) -> bool:
    try:
        return probe.judge(equation, step).verdict == PASS
    except TinygradError:
        return False


def _in_general(matching: Matching, equation: Equation) -> Diagnosis:
    """No small edit fits: say which terms are right, which are not, and what the right ones are."""
    verdicts = _right(matching)
    if not matching.open:
        return Diagnosis("", "it differs by less than a billionth of its size: no term explains it", verdicts)
    verdicts += [TermVerdict(str(term), WRONG, "is not a term of the right equation") for term, _ in matching.left]
    verdicts += [TermVerdict(str(true), MISSING, "is missing") for true, _ in matching.absent]
    wrong = ", ".join(f"`{term}`" for term, _ in matching.left)
    right = ", ".join(f"`{true}`" for true, _ in matching.absent)
    kind = "wrong term"
    if equation.fixed:
        kind = BOUNDARY
    elif len(matching.left) == len(matching.absent) == 1 and _share_a_factor(
        matching.left[0][0], matching.absent[0][0].term
    ):
        kind = FACTOR
    return Diagnosis(kind, f"{wrong} should be {right}" if wrong else f"{right} is missing", verdicts)


def _share_a_factor(a: Term, b: Term) -> bool:
    mine, theirs = ({text(node) for node in walk(term.body)} for term in (a, b))
    return bool(mine & theirs)
