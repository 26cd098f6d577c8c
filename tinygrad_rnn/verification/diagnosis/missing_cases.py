"""A corrected equation in pieces, where one of its terms stands at some of its steps only: a boundary case more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ...core.errors import DerivationError
from ...derivation import HADAMARD
from ...derivation.right_terms import left_to
from ...derivation.writing import Writer
from ...language import Model
from ...language.expressions import Equation
from ...language.rewriting import substituted
from ...language.text.printer import text
from ...system import EVERYWHERE, Domain
from .terms import SignedTerm, joined
from .true_terms import RightTerm


def in_pieces(
    equation: Equation, terms: Sequence[SignedTerm], absent: Sequence[RightTerm], model: Model
) -> list[Equation] | None:
    """The equation with these terms, and with the absent ones where they stand; None where no condition says where.

    One equation where all stand at all of its steps; else one for each case, steps that stand alone by themselves.
    """
    if all(true.everywhere for true in absent):
        return [replace(equation, rhs=joined([*terms, *(true.term for true in absent)]))]
    cases = [(domain, list(terms)) for domain in own_domains(equation, model)]
    for true in absent:
        cases = [part for domain, before in cases for part in _cut(domain, before, true)]
    try:
        return [_case(equation, domain, found, model) for domain, found in cases]
    except DerivationError:
        return None


def own_domains(equation: Equation, model: Model) -> list[Domain]:
    """The steps that are left to an equation by narrower ones."""
    return [clause.domain for clause in left_to(equation, model)]


def _cut(domain: Domain, terms: list[SignedTerm], true: RightTerm) -> list[tuple[Domain, list[SignedTerm]]]:
    if true.everywhere:
        return [(domain, [*terms, true.term])]
    inside = [domain & where for where in true.domains]
    outside = [domain]
    for where in true.domains:
        outside = [rest for part in outside for rest in part.minus(where)]
    cases = [(part, [*terms, true.term]) for part in inside if not part.is_empty]
    return cases + [(part, terms) for part in outside]


def _case(equation: Equation, domain: Domain, terms: Sequence[SignedTerm], model: Model) -> Equation:
    """The equation on one domain. Raises `DerivationError` if no condition of the language says it."""
    domain = domain.simplified()
    values = {name: value for name in equation.running if (value := domain.value_of(name)) is not None and value.fixed}
    rhs = substituted(joined(terms), values)
    indices = tuple(index.substituted(values) for index in equation.target.indices)
    target = equation.target.moved_to(indices) if indices else equation.target
    running = [name for name in equation.running if name not in values]
    when = Writer(model, HADAMARD).conditions(domain.substituted(values), running, EVERYWHERE)
    return replace(equation, target=target, rhs=rhs, when=when)


def said(true: RightTerm, model: Model) -> str:
    """Where a term stands, as ` at t = T` or ` for t < T`; nothing where that is wherever its equation holds."""
    if true.everywhere:
        return ""
    names, places = true.equation.running, []
    for domain in true.domains:
        values = {name: value for name in names if (value := domain.value_of(name)) is not None and value.fixed}
        at = ", ".join(f"{name} = {value}" for name, value in values.items())
        try:
            rest = [name for name in names if name not in values]
            when = Writer(model, HADAMARD).conditions(domain.substituted(values), rest, EVERYWHERE)
        except DerivationError:
            return " at some steps"
        where = " and ".join(map(text, when))
        places.append(" ".join(part for part in (at and f"at {at}", where and f"for {where}") if part))
    return f" {' and '.join(place for place in places if place)}".rstrip()
