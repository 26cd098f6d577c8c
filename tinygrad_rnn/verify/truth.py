"""The right equation in the user's own vocabulary: what the derivation of this run says, term by term.

The terms come from the same graph as the reference values, so the judge and the author can never disagree.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ..core.errors import DerivationError
from ..derive.adjoint import Contribution, contributions
from ..derive.algebra import RULES, Algebra, Form, Sum
from ..derive.cases import Span, latest, moved
from ..derive.derivation import check_one_time, default_names
from ..derive.writing import DIAG, HADAMARD, write
from ..language.affine import Affine, affine
from ..language.expressions import Call, Equation, walk
from ..language.expressions import Sum as TimeSum
from ..language.indices import Condition, Lengths, Step
from ..language.rewriting import addends, names
from ..language.source import NOWHERE
from .helpers import in_own_words
from .terms import Term

if TYPE_CHECKING:
    from .probe import Probe


@dataclass(frozen=True)
class TrueTerm:
    """One term of the right equation, and the steps of the target at which it stands (None: at all)."""

    term: Term
    steps: frozenset[int] | None

    def stands(self, lengths: Lengths, step: Step) -> bool:
        """Whether the term stands at a step of the target."""
        return self.steps is None or step in self.steps

    def __str__(self) -> str:
        return str(self.term)


def vocabularies(probe: Probe, equation: Equation) -> list[tuple[str, ...]]:
    """Sets of names to keep, those nearest the user's own words first."""
    quantities = probe.model.quantities
    used = {
        key[0]
        for name in names(equation.rhs)
        for key in [quantities.base((name, True)), quantities.base((name, False))]
        if key
    }
    stated = {key[0] for e in probe.model.gradients if (key := quantities.base(e.target.key)) and key[1]}
    default = set(default_names(probe.run.loss))
    own = {equation.target.name[1:]} if equation.target.index is not None else set()
    indexed = {key[0] for key in quantities.defined if key[1]}
    choices = [used | own | stated, used | own | stated | default, used | own, used | own | default]
    return list(dict.fromkeys(tuple(sorted(choice & indexed)) for choice in choices))


def true_terms(probe: Probe, equation: Equation, keep: tuple[str, ...], fine: bool = False) -> list[TrueTerm]:
    """The additive terms of the right equation when the gradients of `keep` may appear. Raises `DerivationError`.

    `fine` leaves common factors multiplied in, so that there are more and smaller terms.
    """
    document = probe.model.document
    terms = []
    for true in _derived(probe, equation, keep, fine):
        body = in_own_words(true.term.body, document)
        parts = [(1, body)] if body is true.term.body else addends(body)
        terms += [replace(true, term=Term(true.term.sign * sign, part, true.term.over)) for sign, part in parts]
    return terms


def _derived(probe: Probe, equation: Equation, keep: tuple[str, ...], fine: bool) -> list[TrueTerm]:
    rules = [rule for rule in RULES if rule != "factor"] if fine else list(RULES)
    algebra = Algebra(rules)
    base = probe.model.quantities.base(equation.target.key)
    check_one_time(probe.model)
    if base is None:
        raise DerivationError("only the gradient of a quantity can be derived")
    shares = _shares(probe, keep, algebra)
    style = DIAG if any(_uses_diag(e) for e in probe.model.gradients) else HADAMARD
    if base[1]:
        states = [s for s in shares if s.target.name == base[0] and s.target.scope.step is not None]
        return _state_terms(states, algebra, style, _step_written(equation))
    of_parameter = [s for s in shares if s.target.name == base[0] and s.target.scope.step is None]
    return _parameter_terms(of_parameter, algebra, style, probe.run.T, equation)


def _uses_diag(equation: Equation) -> bool:
    return any(isinstance(node, Call) and node.function == "diag" for node in walk(equation.rhs))


def _step_written(equation: Equation) -> Affine | None:
    """The index of a target that names one step; None where it runs over t."""
    return equation.target.index if equation.fixed else None


def _shares(probe: Probe, keep: tuple[str, ...], algebra: Algebra) -> list[Contribution]:
    cache: dict[Any, Any] = probe.derived
    key = (keep, algebra.rules)
    if key not in cache:
        try:
            cache[key] = contributions(probe.run.loss, keep, Algebra(algebra.rules, length=probe.run.T))
        except DerivationError as error:
            cache[key] = error
    if isinstance(cache[key], DerivationError):
        raise cache[key]
    return cache[key]


def _state_terms(shares: list[Contribution], algebra: Algebra, style: str, at: Affine | None) -> list[TrueTerm]:
    totals: dict[int, list[Form]] = {}
    for share in shares:
        step = share.target.scope.step
        assert isinstance(step, int)
        totals.setdefault(step, []).append(moved(share.form, -step, algebra))
    found: dict[str, tuple[float, Form, set[int]]] = {}
    for step, forms in totals.items():
        for c, part in _parts(algebra.add(*forms)):
            key = f"{c}{part.key}"
            found.setdefault(key, (c, part, set()))[2].add(step)
    everywhere = set(totals)
    return [
        TrueTerm(_term(c, part, style, algebra, at), None if steps == everywhere else frozenset(steps))
        for c, part, steps in found.values()
    ]


def _parts(form: Form) -> list[tuple[float, Form]]:
    return list(form.terms) if isinstance(form, Sum) else [(1.0, form)]


def _term(c: float, part: Form, style: str, algebra: Algebra, at: Affine | None = None) -> Term:
    return Term(1 if c > 0 else -1, write(algebra.scale(abs(c), part), style, at))


def _parameter_terms(
    shares: list[Contribution], algebra: Algebra, style: str, T: int, equation: Equation
) -> list[TrueTerm]:
    found: dict[str, tuple[float, Form, set[int | None]]] = {}
    for share in shares:
        for c, part in _parts(share.form):
            step = share.consumer.scope.step if share.consumer is not None else latest(part)
            form = moved(part, -step, algebra) if isinstance(step, int) else part
            found.setdefault(f"{c}{form.key}", (c, form, set()))[2].add(step if isinstance(step, int) else None)
    terms = []
    for c, form, places in found.values():
        term = _term(c, form, style, algebra, _step_written(equation))
        steps = {step for step in places if step is not None}
        if equation.target.index is not None:
            terms.append(TrueTerm(term, None if steps == set(range(1, T + 1)) else frozenset(steps)))
        elif steps == {T}:
            terms.append(TrueTerm(_term(c, form, style, algebra, affine("T")), None))
        elif not steps:
            terms.append(TrueTerm(term, None))
        elif steps == {0}:
            terms.append(TrueTerm(_term(c, form, style, algebra, affine(None, 0)), None))
        else:
            over = TimeSum(NOWHERE, "sum", _span(steps, T).condition() or Condition("t"), term.body)
            terms.append(TrueTerm(Term(term.sign, term.body, over), None))
    return terms


def _span(steps: set[int], T: int) -> Span:
    """The steps as a derivation counts them: what comes late, from the end."""
    lo, hi = min(steps), max(steps)
    return Span(lo, hi, False, False) if lo == hi else Span(lo, hi - T, False, True)
