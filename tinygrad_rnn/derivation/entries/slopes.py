"""Derivatives of polynomials entry by entry, and the gradient of a quantity as the sum over everything that reads it.

`d(rhs) / d(q[n](i))` of an entry `q[psi](k)` is `[psi = n] * [k = i]`; sums over what is equal go by themselves.
"""

from __future__ import annotations

from fractions import Fraction

from ...language.affine import Affine
from ...language.syntax.indices import Constraint
from ...language.types.quantities import Key
from ...system.domain import Domain
from . import arithmetic
from .arithmetic import ONE, ZERO, Unprovable, Work, added, index, multiplied, of, on, product, restricted, scaled
from .function_forms import apply
from .sums import opened, summed
from .units import Applied, Bound, Entry, Exponent, Factors, Polynomial, Repeated, Unit


def slope(p: Polynomial, target: Entry, work: Work) -> Polynomial:
    """The derivative of a polynomial by one entry of a quantity."""
    key = key_of(target)
    parts = []
    for (domain, factors), number in p.terms.items():
        if any(key in keys_in(unit) for unit, _ in factors):
            parts.append(restricted(scaled(_of_product(factors, target, work), number), domain))
    return added(parts)


def _of_product(factors: Factors, target: Entry, work: Work) -> Polynomial:
    key = key_of(target)
    parts = []
    for at, (unit, exponent) in enumerate(factors):
        if key in keys_in(unit):
            rest = list(factors[:at] + factors[at + 1 :])
            inner = _of_unit(unit, exponent, target, work)
            parts.append(multiplied([product(rest, work), inner], work))
    return added(parts)


def _of_unit(unit: Unit, exponent: Exponent, target: Entry, work: Work) -> Polynomial:
    """The derivative of a unit under an exponent."""
    if isinstance(unit, Repeated):
        assert isinstance(unit.base, Unit)
        times = scaled(index(Affine(((unit.index, 1),))), Fraction(exponent))
        outer = product([(unit, exponent), (unit.base, -1)], work)
        return multiplied([times, outer, _of_unit(unit.base, 1, target, work)], work)
    outer = scaled(
        product([(unit, arithmetic.whole(exponent - 1))], work) if exponent != 1 else ONE, Fraction(exponent)
    )
    match unit:
        case Entry():
            inner = on(_same(unit, target))
        case Applied():
            inner = slope(unit.argument, target, work)
            if unit.function != "^":
                inner = multiplied([_outer(unit, work), inner], work) if inner else ZERO
        case Bound(kind="sum"):
            names, domain, factors = opened(unit, work)
            inner = summed(_of_product(factors, target, work), names, domain, work)
        case _:
            raise Unprovable("the derivative of a product over time has no normal form here")
    return multiplied([outer, inner], work)


def _same(unit: Entry, target: Entry) -> Domain:
    pairs = zip((*unit.times, *unit.entries), (*target.times, *target.entries), strict=True)
    return Domain.of(*(Constraint("=", a - b) for a, b in pairs))


def _outer(unit: Applied, work: Work) -> Polynomial:
    """The derivative of the function itself, at the argument."""
    p = unit.argument
    match unit.function:
        case "tanh" | "sigmoid":
            return apply(f"{unit.function}'", p, work)
        case "softplus":
            return apply("sigmoid", p, work)
        case "exp":
            return of(unit)
        case "log":
            return arithmetic.power(p, -1, work)
        case "sin":
            return apply("cos", p, work)
        case "cos":
            return scaled(apply("sin", p, work), -1)
        case "step" | "stop":
            return ZERO
    raise Unprovable(f"no derivative of {unit.function} is known here")


def key_of(unit: Entry) -> Key:
    """The quantity an entry belongs to."""
    return unit.name, bool(unit.times)


def keys_in(unit: Unit) -> frozenset[Key]:
    """The quantities a unit depends on; what stands in `stop` is not among them."""
    known = unit.__dict__.get("_keys")
    if known is None:
        known = unit.__dict__["_keys"] = _keys_now(unit)
    return known


def _keys_now(unit: Unit) -> frozenset[Key]:
    match unit:
        case Entry():
            return frozenset([key_of(unit)])
        case Applied():
            if unit.function == "stop":
                return frozenset()
            return frozenset().union(*(keys_in(inner) for inner in unit.argument.units()))
        case Repeated():
            return keys_in(unit.base) if isinstance(unit.base, Unit) else frozenset()
        case Bound():
            return frozenset().union(*(keys_in(inner) for inner, _ in unit.factors))
    return frozenset()
