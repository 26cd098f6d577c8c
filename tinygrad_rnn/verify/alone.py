"""Name the mistake in a wrong equation where the right one has no textbook form: by its value alone.

What lacks is known as numbers, not as terms. A mistake is named when one small change of one term, or one term more or
less, makes the equation right on two probes; a term that lacks is looked for in the other equations for the same
gradient.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ..core.errors import TinygradError
from ..language.affine import Affine
from ..language.expressions import Equation, Expr, Ref, walk
from ..language.printer import text
from .corrections import corrected, pool_of
from .edits import SIGN, known_forms, with_children
from .report import EXTRA, MISSING, PASS, RIGHT, WRONG, Diagnosis, TermVerdict
from .terms import Term, Values, joined, terms_of

if TYPE_CHECKING:
    from .probe import Probe


def diagnose_alone(values: Values, probes: Sequence[Probe]) -> Diagnosis | None:
    """The diagnosis of an equation that has a value at each of its steps, None for one that has not."""
    terms = terms_of(values.equation.rhs)
    found = [values.of(term.expr) for term in terms]
    numbers = [value for value in found if value is not None]
    if len(numbers) < len(terms):
        return None
    rest = values.truth - sum(numbers)
    for term, value in zip(terms, numbers, strict=True):
        if values.same(value, -rest):
            verdict = TermVerdict(str(term), EXTRA, "does not belong here")
            said = f"the term `{term}` does not belong here"
            return Diagnosis("extra term", said, [*_right(terms, term), verdict])
    turned = [Term(-term.sign, term.body, term.over) for term in terms]
    if len(terms) > 1 and _passes(values, turned, probes):
        said = f"the sign of the right-hand side is wrong: it should be `{text(joined(turned[::-1]))}`"
        return Diagnosis(SIGN, said, [TermVerdict(str(term), WRONG, "another sign") for term in terms])
    for term, value in zip(terms, numbers, strict=True):
        others = [other for other in terms if other is not term]
        for fix, _ in corrected(term, [value + rest], values, _pool(term, values)):
            if fix.term is not None and _passes(values, [*others, fix.term], probes):
                return Diagnosis(fix.kind, fix.says, [*_right(terms, term), TermVerdict(str(term), WRONG, fix.says)])
    for term in _of_other_steps(values):
        if values.same(values.of(term.expr), rest) and _passes(values, [*terms, term], probes):
            verdict = TermVerdict(str(term), MISSING, "is missing")
            return Diagnosis("missing term", f"the term `{term}` is missing", [*_right(terms), verdict])
    said = "no small change of one term makes this right; what is right has no textbook form here"
    return Diagnosis("wrong term", said, [TermVerdict(str(term), WRONG, "may be wrong") for term in terms])


def _right(terms: Sequence[Term], but: Term | None = None) -> list[TermVerdict]:
    return [TermVerdict(str(term), RIGHT, "") for term in terms if term is not but]


def _pool(term: Term, values: Values) -> list[Expr]:
    """Factors that stand beside the gradients a term names: what is known of the derivatives of those quantities."""
    quantities = values.probe.model.quantities
    found = pool_of([], [term.body])
    for node in walk(term.body):
        base = quantities.base(node.key) if isinstance(node, Ref) else None
        if isinstance(node, Ref) and base is not None and base[1]:
            found += known_forms(Ref(node.span, base[0], node.index, node.more))
    return list(dict.fromkeys(found))


def _of_other_steps(values: Values) -> Iterator[Term]:
    """The terms of the other equations for this gradient, with the indices of this one: what holds at S, at s."""
    target = values.equation.target
    for other in values.probe.model.gradients:
        if other is values.equation or other.target.key != target.key:
            continue
        moves = {a: b for a, b in zip(other.target.indices, target.indices, strict=True) if a != b}
        for term in terms_of(other.rhs):
            yield term.with_body(_moved(term.body, moves))


def _moved(expr: Expr, moves: dict[Affine, Affine]) -> Expr:
    if isinstance(expr, Ref) and expr.index is not None:
        return expr.moved_to(tuple(moves.get(index, index) for index in expr.indices))
    return with_children(expr, [_moved(child, moves) for child in expr.children])


def _passes(values: Values, terms: Sequence[Term], probes: Sequence[Probe]) -> bool:
    fixed: Equation = replace(values.equation, rhs=joined(terms))
    try:
        return all(probe.judge(fixed, step).verdict == PASS for probe in probes[:2] for step in values.steps)
    except TinygradError:
        return False
