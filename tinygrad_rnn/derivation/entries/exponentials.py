"""sigmoid and tanh by exponentials, where a proof has both: `sigmoid(x)` as `exp(x) / (1 + exp(x))`."""

from __future__ import annotations

from fractions import Fraction

from ...system.domain import Domain
from . import arithmetic
from .arithmetic import ONE, Work, added, multiplied, of, restricted, scaled
from .function_forms import apply
from .named_functions import traits
from .sums import opened, summed
from .units import Applied, Bound, Polynomial, Unit

_BENT = ("sigmoid", "tanh")


def mixed(p: Polynomial) -> bool:
    """Whether it has sigmoid or tanh, and another of these functions or exp."""
    found = frozenset().union(*(traits(unit) for unit in p.units()))
    return len(found & {"exp()", *(f"{name}()" for name in _BENT)}) > 1


def spelled_out(p: Polynomial, work: Work) -> Polynomial:
    """A polynomial with exponentials for each sigmoid and tanh, inside sums as well."""
    parts = []
    for (domain, factors), number in p.terms.items():
        values = [arithmetic.power(_of_unit(unit, work), exponent, work) for unit, exponent in factors]
        parts.append(restricted(scaled(multiplied(values, work), number), domain))
    return added(parts)


def _of_unit(unit: Unit, work: Work) -> Polynomial:
    match unit:
        case Applied(function="sigmoid" | "tanh"):
            twice = 2 if unit.function == "tanh" else 1  # tanh(x) is 2 * sigmoid(2 * x) - 1
            e = apply("exp", scaled(unit.argument, twice), work)
            sigmoid = multiplied([e, arithmetic.power(added([ONE, e]), -1, work)], work)
            return sigmoid if twice == 1 else added([scaled(sigmoid, 2), scaled(ONE, -1)])
        case Applied(function="^"):
            return spelled_out(unit.argument, work)
        case Bound(kind="sum"):
            names, domain, factors = opened(unit, work)
            return summed(spelled_out(Polynomial({(Domain.of(), factors): Fraction(1)}), work), names, domain, work)
    return of(unit)
