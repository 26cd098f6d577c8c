"""Name the mistake in a wrong equation by its value alone, where the right one has no textbook form.

What lacks is known as numbers, not as terms. A mistake is named when one small change of one term, or one term more or
less, makes the equation right; a term that lacks is looked for in the other equations for the same gradient.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ...language.affine import Affine
from ...language.expressions import Expr, Ref, walk
from ...language.rewriting import map_refs
from ...language.text.printer import text
from ..results import EXTRA, MISSING, WRONG, TermVerdict
from .corrections import corrected, pool_of
from .edits import SIGN, known_forms
from .finding import Story, right_terms
from .terms import ProbeValues, SignedTerm, joined, terms_of


def stories_alone(values: ProbeValues) -> Iterator[Story]:
    """Explanations of an equation that has a value at each of its steps, none for one that has not."""
    terms = terms_of(values.equation.rhs)
    numbers: list[Any] = [values.of(term.expr) for term in terms]
    if any(value is None for value in numbers):
        return
    rest = values.truth - sum(numbers)
    for term, value in zip(terms, numbers, strict=True):
        if values.same(value, -rest):
            others = [other for other in terms if other is not term]
            verdict = TermVerdict(term.expr, EXTRA, "does not belong here")
            said = f"the term `{term}` does not belong here"
            yield Story("extra term", said, [*right_terms(others), verdict], values.with_terms(others))
    if len(terms) > 1 and values.same(values.truth, -sum(numbers)):
        turned = [term.opposite for term in terms[::-1]]
        said = f"the sign of the right-hand side is wrong: it should be `{text(joined(turned))}`"
        short = "the sign of the right-hand side is wrong"
        verdicts = [TermVerdict(term.expr, WRONG, short, corrected=term.opposite.expr) for term in terms]
        yield Story(SIGN, said, verdicts, values.with_terms(turned))
    for term, value in zip(terms, numbers, strict=True):
        others = [other for other in terms if other is not term]
        for fix, _ in corrected(term, [value + rest], values, _pool(term, values)):
            verdicts = [*right_terms(others), fix.verdict(term)]
            changed = [fix.term if other is term else other for other in terms]
            yield Story(fix.kind, fix.sentence, verdicts, values.with_terms(changed))
    for term in _of_other_steps(values):
        if values.same(values.of(term.expr), rest):
            verdict = TermVerdict(term.expr, MISSING, "is missing")
            said = f"the term `{term}` is missing"
            yield Story("missing term", said, [*right_terms(terms), verdict], values.with_terms([*terms, term]))


def _pool(term: SignedTerm, values: ProbeValues) -> list[Expr]:
    """Factors that stand beside the gradients a term names: what is known of the derivatives of those quantities."""
    quantities = values.model.quantities
    gradients = values.gradients
    pool = pool_of([], [term.body], gradients)
    for node in walk(term.body):
        base = quantities.base(node.key) if isinstance(node, Ref) else None
        if isinstance(node, Ref) and base is not None and base[1]:
            pool += known_forms(Ref(node.span, base[0], node.index, node.more), gradients)
    return list(dict.fromkeys(pool))


def _of_other_steps(values: ProbeValues) -> Iterator[SignedTerm]:
    """The terms of the other equations for this gradient, with the indices of this one: what holds at S, at s."""
    target = values.equation.target
    for other in values.model.gradients:
        if other is values.equation or other.target.key != target.key:
            continue
        moves = {a: b for a, b in zip(other.target.indices, target.indices, strict=True) if a != b}
        for term in terms_of(other.rhs):
            yield term.with_body(_moved(term.body, moves))


def _moved(expr: Expr, moves: dict[Affine, Affine]) -> Expr:
    def at_other_steps(ref: Ref) -> Ref:
        return ref.moved_to(tuple(moves.get(index, index) for index in ref.indices)) if ref.indices else ref

    return map_refs(expr, at_other_steps)
