"""Between which numbers a unit lies by its form: exp(x) > 0, 0 < sigmoid(x) < 1, a sum of squares plus 1 is at least 1.

Interval arithmetic with open and closed ends. What a quantity is defined by counts; what a file declares in `bounds:`
does too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from math import inf

from ...system.domain import Domain
from .units import Applied, Bound, Entry, Exponent, Factors, Index, Polynomial, Repeated, Unit

Number = Fraction | float


@dataclass(frozen=True)
class Interval:
    """From `low` to `high`; an end that is `open` is not reached."""

    low: Number = -inf
    high: Number = inf
    open_low: bool = True
    open_high: bool = True

    @property
    def positive(self) -> bool:
        """Whether all of it lies above 0."""
        return self.low > 0 or (self.low == 0 and self.open_low)

    @property
    def nonnegative(self) -> bool:
        """Whether nothing of it lies below 0."""
        return self.low >= 0

    def plus(self, other: Interval) -> Interval:
        """The sums of a number of each."""
        low, high = self.low + other.low, self.high + other.high
        return Interval(low, high, self.open_low or other.open_low, self.open_high or other.open_high)

    def scaled(self, number: Fraction) -> Interval:
        """Its numbers times one number."""
        if number > 0:
            return Interval(_times(self.low, number), _times(self.high, number), self.open_low, self.open_high)
        return Interval(_times(self.high, number), _times(self.low, number), self.open_high, self.open_low)

    def times(self, other: Interval) -> Interval:
        """The products of a number of each."""
        if self.nonnegative and other.nonnegative:
            low = _times(self.low, other.low)
            high = _times(self.high, other.high)
            open_low = self.open_low or other.open_low if low else self.positive and other.positive
            return Interval(low, high, open_low, bool(high) and (self.open_high or other.open_high))
        ends = [_times(a, b) for a in (self.low, self.high) for b in (other.low, other.high)]
        return Interval(min(ends), max(ends), False, False) if all(-inf < e < inf for e in ends) else REAL

    def to(self, exponent: Exponent) -> Interval:
        """Its numbers under a power."""
        if self.nonnegative:
            if exponent < 0 and self.positive:
                low = 0 if self.high == inf else _power(self.high, exponent)
                high = inf if self.low == 0 else _power(self.low, exponent)
                return Interval(low, high, self.open_high or self.high == inf, self.open_low or self.low == 0)
            if exponent > 0:
                high = inf if self.high == inf else _power(self.high, exponent)
                return Interval(_power(self.low, exponent), high, self.open_low, self.open_high)
            return REAL
        if isinstance(exponent, int) and exponent > 0 and exponent % 2 == 0:
            size = max(-self.low, self.high)
            return Interval(0, inf if size == inf else _power(size, exponent), False, self.open_low and self.open_high)
        return Interval(0, inf, False) if isinstance(exponent, int) and exponent % 2 == 0 else REAL


def _times(a: Number, b: Number) -> Number:
    return Fraction(0) if a == 0 or b == 0 else a * b


def _power(number: Number, exponent: Exponent) -> Number:
    return number**exponent if number or exponent > 0 else inf


REAL = Interval()
_KNOWN = {
    "exp": Interval(0, inf),
    "softplus": Interval(0, inf),
    "sigmoid": Interval(0, 1),
    "tanh": Interval(-1, 1),
    "sin": Interval(-1, 1, False, False),
    "cos": Interval(-1, 1, False, False),
    "step": Interval(0, 1, False, False),
}


class Ranges:
    """Intervals of units; `defined` gives that of an entry by its quantity's definition."""

    def __init__(self, defined: Callable[[Entry], Interval]) -> None:
        self.defined = defined

    def of(self, unit: Unit) -> Interval:
        """Where a unit lies."""
        match unit:
            case Entry():
                return self.defined(unit)
            case Index():
                return Interval(1, inf, False) if unit.name[0].isupper() else REAL
            case Applied(function="^") | Applied(function="stop"):
                return self.of_polynomial(unit.argument)
            case Applied():
                return _KNOWN.get(unit.function, REAL)
            case Repeated():
                base = Interval(unit.base, unit.base, False) if isinstance(unit.base, Fraction) else self.of(unit.base)
                return Interval(0, inf) if base.positive else REAL
            case Bound():
                return self._sum(unit)
        return REAL

    def _sum(self, unit: Bound) -> Interval:
        own = self._product(unit.factors)
        if not own.nonnegative:
            return REAL
        return Interval(0, inf, own.positive and unit.kind == "sum" and _never_empty(unit))

    def _product(self, factors: Factors) -> Interval:
        result = Interval(1, 1, False, False)
        for unit, exponent in factors:
            result = result.times(self.of(unit).to(exponent))
        return result

    def of_polynomial(self, p: Polynomial) -> Interval:
        """Where a polynomial lies; a term that stands on a part of the indices may also be 0."""
        result = Interval(0, 0, False, False)
        for (domain, factors), number in p.terms.items():
            own = self._product(factors).scaled(number)
            if domain.constraints:
                own = Interval(
                    min(own.low, 0), max(own.high, 0), own.open_low and own.low < 0, own.open_high and own.high > 0
                )
            result = result.plus(own)
        return result


def _never_empty(unit: Bound) -> bool:
    """Whether the sum has a term, whatever the indices outside."""
    names = set(unit.variables)
    inside = Domain.of(*unit.domain.constraints)
    return all(not shadow.constraints or _for_all(shadow) for shadow in inside.projected(*sorted(names))[:1]) and bool(
        inside.projected(*sorted(names))
    )


def _for_all(domain: Domain) -> bool:
    """Whether it holds for all lengths, and says nothing of indices."""
    everywhere = Domain.of()
    return all(name[0].isupper() for name in domain.variables) and all(
        everywhere.implies(c) for c in domain.constraints
    )
