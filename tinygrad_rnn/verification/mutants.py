"""Certify a probe: run wrong versions of an equation on it, and see that each would be noticed.

The mutants are made of what the file states, one change each, of the kinds people make; of an equation that is wrong,
from the right one. A mutant that no probe can tell from the truth says the same and is not counted; one that only other
probes can tell has survived, and then this probe proves nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ..core.errors import DerivationError
from ..language.expressions import Binary, Call, Equation, Expr, Number, Ref, Sum, walk
from ..language.rewriting import factors_of, product, transposed, with_children
from ..language.syntax.indices import Comparison, Condition
from ..language.syntax.source import NOWHERE
from .diagnosis.edits import shifted
from .diagnosis.terms import ProbeValues, SignedTerm, terms_of
from .diagnosis.true_terms import RightTerm, true_terms, vocabularies
from .measure.budget import Deadline
from .results import Certificate

if TYPE_CHECKING:
    from .measure.probe import Probe

#: a mutant counts as noticed when it differs from the truth by more than this share of it
NOTICED = 1e-9


def certify(equation: Equation, probes: Sequence[Probe], strong: Iterable[Probe], budget: Deadline) -> Certificate:
    """Run the mutants of one equation on the probes; of those that none notices `strong` probes of the same length,
    which are not drawn before, decide which are wrong.

    Those that are left when the budget is spent are not tried, and the certificate says so.
    """
    on_probes = [ProbeValues([probe], equation) for probe in probes]
    truth = _stated(on_probes) or _derived(equation, probes[0])
    if not truth:
        return Certificate(uncertified=(equation.name,))
    total = Certificate()
    for name, mutant in _mutants(truth):
        if budget.spent:
            return total + Certificate(untried=(equation.name,))
        if any(_noticed(values, mutant) for values in on_probes):
            total += Certificate(1, 1)
        elif any(_noticed(ProbeValues([probe], equation), mutant) for probe in strong):
            total += Certificate(1, 0, 0, (f"{equation.name}: {name}",))
        else:
            total += Certificate(equivalent=1)
    return total


def _noticed(values: ProbeValues, mutant: Sequence[RightTerm]) -> bool:
    """Whether a mutant differs at some step; looked for step by step, for most differ at the first."""
    scale = float(np.max(np.abs(values.truth), initial=0.0))
    for point, (probe, step) in enumerate(values.points):
        truth = values.part(values.truth, point)
        total = np.zeros_like(truth)
        for true in mutant:
            if true.stands(probe.run.lengths, step):
                value = values.at(true.term.expr, point)
                if value is None:
                    return True  # it has no value or no such shape: reported before any number is compared
                total = total + value
        if np.max(np.abs(total - truth), initial=0.0) > NOTICED * scale:
            return True
    return False


def _stated(on_probes: Sequence[ProbeValues]) -> list[RightTerm]:
    """The terms of the equation as stated, if it is right; else none."""
    equation = on_probes[0].equation
    stated = [RightTerm(term, equation) for term in terms_of(equation.rhs)]
    return [] if any(_noticed(values, stated) for values in on_probes) else stated


def _derived(equation: Equation, probe: Probe) -> list[RightTerm]:
    """The terms of the right equation for one that is wrong; none where it has no such form."""
    for keep in vocabularies(probe.model, equation):
        try:
            return true_terms(probe.model, equation, keep)
        except DerivationError:
            continue
    return []


def _mutants(truth: list[RightTerm]) -> Iterator[tuple[str, list[RightTerm]]]:
    for i, true in enumerate(truth):
        rest = [*truth[:i], *truth[i + 1 :]]
        yield f"without {true}", rest
        for name, term in _mutated(true.term):
            yield f"{name} in {true}", [*rest, replace(true, term=term)]


def _mutated(term: SignedTerm) -> Iterator[tuple[str, SignedTerm]]:
    yield "another sign", SignedTerm(-term.sign, term.body, term.over)
    if term.over is not None:
        variable, within = term.over.variable, term.over.over.within
        yield "mean for sum", SignedTerm(term.sign, term.body, Sum(NOWHERE, "mean", term.over.over, term.body))
        for name, test in (
            ("last step only", Comparison("=", within.last)),
            ("first step left out", Comparison(">", within.first)),
            ("last step left out", Comparison("<", within.last)),
        ):
            over = Sum(NOWHERE, "sum", Condition(variable, (test,), within), term.body)
            yield name, SignedTerm(term.sign, term.body, over)
    for name, body in _changed(term.body):
        yield name, SignedTerm(term.sign, body, term.over)


def _changed(expr: Expr) -> Iterator[tuple[str, Expr]]:
    """One change somewhere in an expression."""
    yield from _changed_here(expr)
    factors, ops = factors_of(expr)
    if len(factors) > 1:
        for i, factor in enumerate(factors):
            for name, changed in _changed(factor):
                yield name, product([*factors[:i], changed, *factors[i + 1 :]], ops)
        return
    for i, child in enumerate(expr.children):
        for name, changed in _changed(child):
            yield name, with_children(expr, [*expr.children[:i], changed, *expr.children[i + 1 :]])


def _changed_here(expr: Expr) -> Iterator[tuple[str, Expr]]:
    if isinstance(expr, Ref) and expr.index is not None:
        for position in range(len(expr.indices)):
            for by in (-1, 1):
                yield f"{expr} a step off", shifted(expr, position, by)
    if isinstance(expr, Ref) and expr.index is None:
        yield f"{expr} transposed", transposed(expr)
    if isinstance(expr, Binary) and expr.op in "+-":
        yield "another sign inside", Binary(expr.span, "-" if expr.op == "+" else "+", expr.left, expr.right, expr.sign)
        if isinstance(expr.left, Number) and isinstance(expr.right, Binary) and expr.right.op == "**":
            inner = expr.right.left
            yield (
                "(1 - v)**2",
                Binary(NOWHERE, "**", Binary(NOWHERE, "-", expr.left, inner, NOWHERE), expr.right.right, NOWHERE),
            )
            yield "v * (1 - v)", Binary(NOWHERE, "*", inner, Binary(NOWHERE, "-", expr.left, inner, NOWHERE), NOWHERE)
            once_more = Call(NOWHERE, "tanh", (inner,))
            yield (
                "tanh twice",
                Binary(NOWHERE, "-", expr.left, Binary(NOWHERE, "**", once_more, expr.right.right, NOWHERE), NOWHERE),
            )
    factors, ops = factors_of(expr)
    for i in range(len(factors)):
        if len(factors) > 1 and not (i == 0 and ops[0] == "/"):
            left = ops[1:] if i == 0 else [*ops[: i - 1], *ops[i:]]
            yield "a factor dropped", product([*factors[:i], *factors[i + 1 :]], left)
        if len(factors) > 1 and not any(isinstance(n, Ref) and n.name.startswith("d") for n in walk(factors[i])):
            squared = Binary(NOWHERE, "**", factors[i], Number(NOWHERE, 2), NOWHERE)
            if i == 0 or ops[i - 1] in "*/":
                yield "a factor squared", product([*factors[:i], squared, *factors[i + 1 :]], ops)
