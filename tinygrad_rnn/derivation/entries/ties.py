"""`step(-x)` as `1 - step(x)`: the same wherever x is not 0, and at 0 too where the term has the factor x.

Both stand for themselves in the normal form, for at a tie neither is 1; so `relu(x) - relu(-x)` is x only once
`x * step(-x)` is written `x - x * step(x)`.
"""

from __future__ import annotations

from fractions import Fraction

from ...system.domain import Domain
from .arithmetic import ONE, Work, added, multiplied, product, restricted, scaled
from .function_forms import apply
from .sums import opened, summed
from .units import Applied, Bound, Factors, Polynomial

#: a polynomial is divided by an argument in so many steps
MOST_STEPS = 50


def one_sided(p: Polynomial, work: Work) -> tuple[Polynomial, list[Polynomial]]:
    """A polynomial with `1 - step(x)` for each `step(-x)`; and the x at whose zeros that may not be the same."""
    ties: list[Polynomial] = []
    parts = [_inside_sums(domain, factors, number, ties, work) for (domain, factors), number in p.terms.items()]
    p = added(parts)
    while (unit := next((u for u in p.units() if _mirrored(u)), None)) is not None:
        assert isinstance(unit, Applied)
        rest: list[Polynomial] = []
        factor: list[Polynomial] = []
        for (domain, factors), number in p.terms.items():
            own = tuple(pair for pair in factors if pair[0] != unit)
            (rest if own == factors else factor).append(Polynomial({(domain, own): number}))
        x = scaled(unit.argument, -1)
        if not _divides(x, added(factor)):
            ties.append(x)
        other = added([ONE, scaled(apply("step", x, work), -1)])
        p = added([*rest, multiplied([added(factor), other], work)])
    return p, ties


def _mirrored(unit: object) -> bool:
    return isinstance(unit, Applied) and unit.function == "step" and unit.argument.terms[unit.argument.in_order[0]] < 0


def _inside_sums(domain: Domain, factors: Factors, number: Fraction, ties: list[Polynomial], work: Work) -> Polynomial:
    """A term with the same done in each sum over bound variables."""
    plain, changed = [], []
    for unit, exponent in factors:
        if (
            isinstance(unit, Bound)
            and unit.kind == "sum"
            and exponent == 1
            and any(_mirrored(u) for u, _ in unit.factors)
        ):
            names, own, inner = opened(unit, work)
            body, more = one_sided(Polynomial({(Domain.of(), inner): Fraction(1)}), work)
            ties += more
            changed.append(summed(body, names, own, work))
        else:
            plain.append((unit, exponent))
    if not changed:
        return Polynomial({(domain, factors): number})
    return restricted(scaled(multiplied([product(plain, work), *changed], work), number), domain)


def _divides(x: Polynomial, p: Polynomial) -> bool:
    """Whether a polynomial is another one times x: its leading term is put for, again and again."""
    lead = next((term for term in reversed(x.in_order) if term[1] and not term[0].constraints), None)
    if lead is None:
        return False
    for _ in range(MOST_STEPS):
        if not p:
            return True
        term = next((t for t in p.in_order if _quotient(t[1], lead[1]) is not None), None)
        if term is None:
            return False
        left = _quotient(term[1], lead[1])
        assert left is not None
        share = p.terms[term] / x.terms[lead]
        taken = [
            Polynomial({(term[0] & domain, _merged(left, factors)): -share * number})
            for (domain, factors), number in x.terms.items()
        ]
        p = added([p, *taken])
    return False


def _quotient(factors: Factors, divisor: Factors) -> Factors | None:
    """A product without the factors of another one; None if it lacks one."""
    own = dict(factors)
    for unit, exponent in divisor:
        if own.get(unit, 0) < exponent:
            return None
        own[unit] = own[unit] - exponent
    return tuple((unit, e) for unit, e in own.items() if e)


def _merged(one: Factors, other: Factors) -> Factors:
    """The plain product: no rule of a function is asked, for only the form counts here."""
    own = dict(one)
    for unit, exponent in other:
        own[unit] = own.get(unit, 0) + exponent
    return tuple(sorted(((unit, e) for unit, e in own.items() if e), key=lambda factor: factor[0].text))
