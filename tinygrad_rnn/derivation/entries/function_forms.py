"""Functions of polynomials, each in one form: odd ones of a leading plus, exp of a sum as a product, relu a step."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

from ...system.domain import EVERYWHERE
from .arithmetic import (
    ONE,
    ZERO,
    Work,
    added,
    by_cases,
    conditional,
    constant,
    multiplied,
    natural_power,
    of,
    power,
    product,
    scaled,
    whole,
)
from .units import Applied, Polynomial

#: a step of so many different steps is taken apart into their cases
MOST_CASES = 4


def apply(function: str, p: Polynomial, work: Work) -> Polynomial:
    """A function of the language's table, of one number."""
    if conditional(p):
        return by_cases(p, lambda case: apply(function, case, work), work)
    if function in _DEFINED:
        return _DEFINED[function](p, work)
    if not p and function in _AT_ZERO:
        return constant(_AT_ZERO[function])
    if function == "exp":
        return _exponential(p, work)
    if function == "log":
        return _logarithm(p, work)
    if function == "step":
        return _step(p, work)
    if function in ("tanh", "sin", "cos", "sigmoid") and p.terms[p.in_order[0]] < 0:
        mirrored = of(Applied(function, scaled(p, -1)))
        if function == "sigmoid":
            return added([ONE, scaled(mirrored, -1)])
        return mirrored if function == "cos" else scaled(mirrored, -1)
    return of(Applied(function, p))


_AT_ZERO = {"tanh": Fraction(0), "sigmoid": Fraction(1, 2), "exp": Fraction(1), "sin": Fraction(0), "cos": Fraction(1)}
_AT_ZERO |= {"step": Fraction(0)}


def _exponential(p: Polynomial, work: Work) -> Polynomial:
    """exp of a sum is a product; `exp(c * log(x))` is a power of x."""
    parts = []
    for (_, factors), number in p.terms.items():
        logarithm = factors[0][0] if len(factors) == 1 and factors[0][1] == 1 else None
        if isinstance(logarithm, Applied) and logarithm.function == "log":
            parts.append(power(logarithm.argument, whole(number), work))
            continue
        unit = Applied("exp", Polynomial({(EVERYWHERE, factors): Fraction(1)}))
        parts.append(of(unit, whole(number)))
    return multiplied(parts, work)


def _logarithm(p: Polynomial, work: Work) -> Polynomial:
    """log of a product of what is positive by its form is a sum; all else stays inside."""
    if p.number == 1:
        return ZERO
    if p.single is None:
        return of(Applied("log", p))
    _, factors, number = p.single
    parts, inside = [], []
    for unit, exponent in factors:
        if isinstance(unit, Applied) and unit.function == "exp":
            parts.append(scaled(unit.argument, Fraction(exponent)))
        elif work.positive(unit):
            argument = unit.argument if isinstance(unit, Applied) and unit.function == "^" else of(unit)
            parts.append(scaled(of(Applied("log", argument)), Fraction(exponent)))
        else:
            inside.append((unit, exponent))
    if inside or number < 0:
        parts.append(of(Applied("log", scaled(product(inside, work), number))))
    elif number != 1:
        parts.append(of(Applied("log", constant(number))))
    return added(parts)


def _step(p: Polynomial, work: Work) -> Polynomial:
    """1 where p > 0, else 0; positive factors make no difference, and a step inside is a case of its own."""
    if p.number is not None:
        return ONE if p.number > 0 else ZERO
    inside = {unit for unit in p.units() if isinstance(unit, Applied) and unit.function == "step"}
    if 0 < len(inside) <= MOST_CASES:
        first = min(inside, key=lambda unit: unit.text)
        here, there = (apply("step", _decided(p, first, on), work) for on in (True, False))
        return added([multiplied([of(first), here], work), there, scaled(multiplied([of(first), there], work), -1)])
    if p.single is not None:
        _, factors, number = p.single
        rest = [(unit, exponent) for unit, exponent in factors if not work.positive(unit)]
        sign = 1 if number > 0 else -1
        if not rest:
            return ONE if sign > 0 else ZERO
        for unit, _ in rest:
            if isinstance(unit, Applied) and unit.function == "step" and sign > 0:
                others = product([(u, e) for u, e in rest if u is not unit], work)
                if others == unit.argument:
                    return of(unit)
        p = scaled(product(rest, work), sign)
    else:
        p = scaled(p, 1 / abs(p.terms[p.in_order[0]]))
    return of(Applied("step", p))


def _decided(p: Polynomial, step: Applied, on: bool) -> Polynomial:
    """A polynomial where a step in it is 1, or 0."""
    parts = []
    for (domain, factors), number in p.terms.items():
        rest = tuple(factor for factor in factors if factor[0] != step)
        if on or rest == factors:
            parts.append(Polynomial({(domain, rest): number}))
    return added(parts)


def _tanh_slope(p: Polynomial, work: Work) -> Polynomial:
    return added([ONE, scaled(natural_power(apply("tanh", p, work), 2, work), -1)])


def _sigmoid_slope(p: Polynomial, work: Work) -> Polynomial:
    s = apply("sigmoid", p, work)
    return multiplied([s, added([ONE, scaled(s, -1)])], work)


def _sign(p: Polynomial, work: Work) -> Polynomial:
    return added([apply("step", p, work), scaled(apply("step", scaled(p, -1), work), -1)])


_DEFINED: dict[str, Callable[[Polynomial, Work], Polynomial]] = {
    "relu": lambda p, work: multiplied([p, apply("step", p, work)], work),
    "abs": lambda p, work: multiplied([p, _sign(p, work)], work),
    "sign": _sign,
    "sqrt": lambda p, work: power(p, Fraction(1, 2), work) if p else ZERO,
    "log1p": lambda p, work: apply("log", added([ONE, p]), work),
    "ones_like": lambda p, work: ONE,
    "tanh'": _tanh_slope,
    "sigmoid'": _sigmoid_slope,
    "relu'": lambda p, work: apply("step", p, work),
    "softplus'": lambda p, work: apply("sigmoid", p, work),
}


def larger(a: Polynomial, b: Polynomial, work: Work) -> Polynomial:
    """The larger of two numbers, as `(a + b + |a - b|) / 2`: at a tie the slope is shared equally."""
    difference = apply("abs", added([a, scaled(b, -1)]), work)
    return scaled(added([a, b, difference]), Fraction(1, 2))
