"""Polynomials for people: sums opened, and `x - x * v**2` collected as `x * (1 - v**2)`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from ...language.affine import affine
from ...system.domain import Domain
from ..entries.sums import renamed
from ..entries.units import Applied, Bound, Entry, Exponent, Factors, Polynomial, Unit


@dataclass(frozen=True)
class OpenedTerm:
    """One term with its sums opened; `differences` are factors `1 - unit ** exponent`."""

    number: Fraction
    domain: Domain
    bound: frozenset[str]
    factors: Factors
    differences: Factors = ()


def collected_terms(p: Polynomial) -> list[OpenedTerm]:
    """The terms of a polynomial with their sums opened, `x - x * v**2` as one."""
    return _collected([opened_term(domain, factors, number) for (domain, factors), number in p.terms.items()])


def opened_term(domain: Domain, factors: Factors, number: Fraction) -> OpenedTerm:
    """A term with its sums opened; where two use the same variables, the second gets others."""
    bound: set[str] = set()
    plain: list[tuple[Unit, Exponent]] = []
    for unit, exponent in factors:
        if isinstance(unit, Bound) and unit.kind == "sum" and isinstance(exponent, int) and exponent > 0:
            for _ in range(exponent):
                values = {name: affine(f"{name}_{len(bound)}") for name in unit.variables if name in bound}
                bound |= {str(values.get(name, name)) for name in unit.variables}
                domain = domain & unit.domain.substituted(values)
                plain += [(renamed(factor, values), e) for factor, e in unit.factors]
        else:
            plain.append((unit, exponent))
    return OpenedTerm(number, domain, frozenset(bound), tuple(sorted(plain, key=lambda factor: factor[0].text)))


def _collected(terms: Sequence[OpenedTerm]) -> list[OpenedTerm]:
    """`x - x * u**e` as one term with the factor `1 - u**e`, as often as there are such pairs."""
    found = list(terms)
    again = True
    while again:
        again = False
        for first in found:
            second = next((other for other in found if _difference(first, other) is not None), None)
            if second is not None:
                extra = _difference(first, second)
                assert extra is not None
                found = [term for term in found if term is not first and term is not second]
                differences = tuple(sorted((*first.differences, extra), key=lambda factor: factor[0].text))
                found.append(OpenedTerm(first.number, first.domain, first.bound, first.factors, differences))
                again = True
                break
    return found


def _difference(first: OpenedTerm, second: OpenedTerm) -> tuple[Unit, Exponent] | None:
    """What the second term has besides the first, if it is the first times `-u**e`."""
    same = (first.domain, first.bound, first.differences) == (second.domain, second.bound, second.differences)
    if not same or first.number != -second.number:
        return None
    own, more = dict(first.factors), dict(second.factors)
    extra = {unit: e - own.get(unit, 0) for unit, e in more.items() if e != own.get(unit, 0)}
    if len(extra) != 1 or own.keys() - more.keys():
        return None
    ((unit, exponent),) = extra.items()
    return (unit, exponent) if isinstance(unit, Entry | Applied) and exponent in (1, 2) else None
