"""Sums, products, powers and functions of polynomials in units, each result in normal form.

A quotient is cancelled only where the divisor cannot be 0: a `Work` says which units are positive, and notes what has
to be assumed of the others. Sums over bound variables stand in `sums`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import count
from math import isqrt

from ...language.affine import Affine
from ...system.domain import EVERYWHERE, NEVER, Domain
from .units import Applied, Entry, Exponent, Factors, Index, Polynomial, Repeated, Term, Unit

#: a polynomial is multiplied out up to this power
LARGEST_POWER = 12
#: so many different conditions inside one function are told apart, case by case
MOST_CONDITIONS = 8


class Unprovable(Exception):
    """What a proof ends with: the reason, in words, and the part of the steps where it is one, if that is known."""

    def __init__(self, reason: str, where: Domain | None = None) -> None:
        super().__init__(reason)
        self.where = where


class Exhausted(Unprovable):
    """The budget of terms or time is used up."""


@dataclass
class Work:
    """What one proof may use and has used: terms and time, what it assumes, names for bound variables.

    `positive`, `vanishing` and `total` are what the model says of units: greater than 0 by their form; 0 on more than
    single points; and, of an entry's name, whether the entries are 0 or 1 (`labels`) and add up to 1.
    """

    terms: int = 200_000
    seconds: float = 2.0
    positive: Callable[[Unit], bool] = lambda unit: False
    vanishing: Callable[[Unit], str | None] = lambda unit: None
    labels: frozenset[str] = frozenset()
    simplex: frozenset[str] = frozenset()
    assumptions: dict[str, None] = field(default_factory=dict)
    cache: dict[object, object] = field(default_factory=dict)
    used: int = 0
    _numbers: Iterator[int] = field(default_factory=count)
    _started: float = field(default_factory=time.thread_time)

    def spend(self, terms: int = 1) -> None:
        """Count terms made; raises `Exhausted` when there were too many, or the time is over."""
        self.used += terms
        if self.used > self.terms:
            raise Exhausted(f"its budget of {self.terms:,} terms is used up")
        if time.thread_time() - self._started > self.seconds:
            raise Exhausted(f"its budget of {self.seconds:g} seconds is used up")

    def fresh(self) -> str:
        """A variable that is used nowhere else."""
        return f"k~{next(self._numbers)}"

    def cancel(self, unit: Unit) -> None:
        """Note that a unit is divided by; raises `Unprovable` if it can be 0 on more than single points."""
        if self.positive(unit):
            return
        why = self.vanishing(unit)
        if why is not None:
            raise Unprovable(f"it divides by {unit}, {why}")
        self.assumptions[f"{unit} is not 0"] = None


ZERO = Polynomial()
_NO_FACTORS: Factors = ()


def constant(number: Fraction | int) -> Polynomial:
    """A number."""
    return Polynomial({(EVERYWHERE, _NO_FACTORS): Fraction(number)}) if number else ZERO


ONE = constant(1)


def of(unit: Unit, exponent: Exponent = 1) -> Polynomial:
    """A unit under an exponent, taken as it is."""
    return Polynomial({(EVERYWHERE, ((unit, exponent),)): Fraction(1)})


def on(domain: Domain) -> Polynomial:
    """1 on a domain and 0 elsewhere."""
    return ZERO if domain is NEVER else Polynomial({(domain, _NO_FACTORS): Fraction(1)})


def index(form: Affine) -> Polynomial:
    """An affine index as a number."""
    terms: dict[Term, Fraction] = {(EVERYWHERE, ((Index(name), 1),)): Fraction(n) for name, n in form.terms}
    if form.constant:
        terms[EVERYWHERE, _NO_FACTORS] = Fraction(form.constant)
    return Polynomial(terms)


def added(parts: Iterable[Polynomial]) -> Polynomial:
    """The sum of several polynomials."""
    total: dict[Term, Fraction] = {}
    for part in parts:
        for term, number in part.terms.items():
            new = total.get(term, 0) + number
            if new:
                total[term] = new
            else:
                del total[term]
    return Polynomial(total)


def scaled(p: Polynomial, number: Fraction | int) -> Polynomial:
    """A polynomial times a number."""
    if number == 1:
        return p
    return Polynomial({term: value * number for term, value in p.terms.items()}) if number else ZERO


def restricted(p: Polynomial, domain: Domain) -> Polynomial:
    """A polynomial on a domain, 0 elsewhere."""
    if domain == EVERYWHERE:
        return p
    parts = []
    for (own, factors), number in p.terms.items():
        both = own & domain
        if both != NEVER:
            parts.append(Polynomial({(both, factors): number}))
    return added(parts)


def multiplied(parts: Iterable[Polynomial], work: Work) -> Polynomial:
    """The product of several polynomials, multiplied out."""
    result = ONE
    for part in parts:
        if not part:
            return ZERO
        if result is ONE:
            result = part
        elif part is not ONE:
            result = _times(result, part, work)
    return result


def _times(p: Polynomial, q: Polynomial, work: Work) -> Polynomial:
    parts = []
    work.spend(len(p.terms) * len(q.terms))
    for (domain, factors), number in p.terms.items():
        for (other, more), value in q.terms.items():
            both = domain & other
            if both == NEVER:
                continue
            parts.append(restricted(scaled(product([*factors, *more], work), number * value), both))
    return added(parts)


def product(factors: Iterable[tuple[Unit, Exponent]], work: Work) -> Polynomial:
    """The product of units under exponents: exponents of the same unit add up, and what has a rule follows it."""
    exponents: dict[Unit, Exponent] = {}
    special = False
    for unit, exponent in factors:
        if unit in exponents:
            before = exponents[unit]
            if (before < 0) != (exponent < 0):
                work.cancel(unit)
            exponents[unit] = whole(before + exponent)
        else:
            exponents[unit] = exponent
        special = special or isinstance(unit, Applied) or (isinstance(unit, Entry) and unit.name in work.labels)
    merged = {unit: exponent for unit, exponent in exponents.items() if exponent}
    if special:
        return _with_rules(merged, work)
    return Polynomial({(EVERYWHERE, _sorted(merged)): Fraction(1)})


def _with_rules(exponents: dict[Unit, Exponent], work: Work) -> Polynomial:
    for unit, exponent in exponents.items():
        idempotent = isinstance(unit, Entry) and unit.name in work.labels
        if isinstance(unit, Applied):
            idempotent = unit.function == "step"
            if unit.function == "^" and isinstance(exponent, int) and exponent > 0:
                rest = [(u, e) for u, e in exponents.items() if u is not unit]
                return multiplied([product(rest, work), natural_power(unit.argument, exponent, work)], work)
            if unit.function == "cos" and isinstance(exponent, int) and exponent >= 2:
                rest = [(u, e) for u, e in exponents.items() if u is not unit]
                square = added([ONE, scaled(of(Applied("sin", unit.argument), 2), -1)])
                return multiplied([product([*rest, (unit, exponent - 2)], work), square], work)
            if unit.function == "^" and isinstance(exponent, int) and len(unit.argument.terms) > 1:
                divided = _divided(unit, exponent, exponents, work)
                if divided is not None:
                    return divided
        if idempotent and exponent < 0:
            raise Unprovable(f"it divides by {unit}, which is 0 or 1")
        if idempotent and exponent > 1:
            return product([(u, 1 if u is unit else e) for u, e in exponents.items()], work)
    steps = [unit for unit in exponents if isinstance(unit, Applied) and unit.function == "step"]
    if len(steps) > 1 and any(scaled(a.argument, -1) == b.argument for a in steps for b in steps):
        return ZERO
    return Polynomial({(EVERYWHERE, _sorted(exponents)): Fraction(1)})


def _divided(unit: Applied, exponent: int, exponents: dict[Unit, Exponent], work: Work) -> Polynomial | None:
    """The leading term of D over D is 1 minus the other terms over D; None where the leading term is no factor."""
    divisor = unit.argument
    lead = next(term for term in reversed(divisor.in_order) if term[1])
    own = dict(lead[1])
    if any(exponents.get(u, 0) * e < e * e for u, e in own.items()):
        return None
    number = divisor.terms[lead]
    rest = product([(u, whole(e - own.get(u, 0))) for u, e in exponents.items() if u is not unit], work)
    others = Polynomial({term: value for term, value in divisor.terms.items() if term != lead})
    less = multiplied([others, product([(unit, exponent)], work)], work)
    quotient = added([product([(unit, exponent + 1)], work), scaled(less, -1)])
    return scaled(multiplied([rest, quotient], work), 1 / number)


def _sorted(exponents: dict[Unit, Exponent]) -> Factors:
    return tuple(sorted(((u, e) for u, e in exponents.items() if e), key=lambda factor: factor[0].text))


def whole(exponent: Exponent) -> Exponent:
    """An exponent as an int where it is one."""
    return int(exponent) if isinstance(exponent, Fraction) and exponent.denominator == 1 else exponent


# -- powers -----------------------------------------------------------------------------------------------------------
def power(p: Polynomial, exponent: Exponent, work: Work) -> Polynomial:
    """A polynomial under a rational exponent.

    A product is taken apart where that is right for every sign: always for a whole exponent, else only what is
    positive by its form leaves the root, so that `(x**2)**.5` does not become x.
    """
    exponent = whole(exponent)
    if isinstance(exponent, int) and exponent >= 0:
        return natural_power(p, exponent, work)
    if not p:
        raise Unprovable("it divides by what is 0" if exponent < 0 else "it takes a root of 0")
    if conditional(p):
        return by_cases(p, lambda case: power(case, exponent, work), work)
    if p.single is None:
        return _power_of_sum(p, exponent, work)
    _, factors, number = p.single
    inside, parts = [], []
    for unit, own in factors:
        root = isinstance(unit, Applied) and unit.function == "^" and isinstance(own, Fraction)
        if isinstance(exponent, int) or work.positive(unit) or (root and -1 < own < 1) or not isinstance(own, int):
            parts.append((unit, whole(own * exponent)))
        else:
            inside.append((unit, own))
    outer, inner = _root(number, exponent) if not inside else (Fraction(1), number)
    if inside or inner != 1:
        parts.append((Applied("^", scaled(product(inside, work), inner)), exponent))
    return scaled(product(parts, work), outer)


def natural_power(p: Polynomial, exponent: int, work: Work) -> Polynomial:
    """A polynomial multiplied out; a single term whatever the exponent, a sum up to `LARGEST_POWER`."""
    if p.single is not None and exponent:
        domain, factors, number = p.single
        raised = product([(unit, whole(own * exponent)) for unit, own in factors], work)
        return restricted(scaled(raised, number**exponent), domain)
    if exponent > LARGEST_POWER:
        raise Unprovable(f"a sum under the power {exponent} is not multiplied out")
    return multiplied([p] * exponent, work)


def _power_of_sum(p: Polynomial, exponent: Exponent, work: Work) -> Polynomial:
    """The common number and factors of all terms leave the power."""
    common, number = _content(p, work, isinstance(exponent, int))
    rest = Polynomial(
        {(EVERYWHERE, _without(factors, common)): value / number for (_, factors), value in p.terms.items()}
    )
    outer, inner = _root(abs(number), exponent) if not isinstance(exponent, int) else (number**exponent, Fraction(1))
    if not isinstance(exponent, int) and number < 0:
        rest = scaled(rest, -1)
    unit = Applied("^", scaled(rest, inner))
    parts = [(unit, exponent), *((unit, whole(own * exponent)) for unit, own in common.items())]
    return scaled(product(parts, work), outer)


def _content(p: Polynomial, work: Work, any_sign: bool) -> tuple[dict[Unit, Exponent], Fraction]:
    shared: dict[Unit, Exponent] | None = None
    for _, factors in p.terms:
        own = dict(factors)
        if shared is None:
            shared = {unit: e for unit, e in own.items() if any_sign or work.positive(unit)}
        else:
            shared = {
                unit: min(e, own[unit]) for unit, e in shared.items() if unit in own and (e > 0) == (own[unit] > 0)
            }
    return shared or {}, p.terms[p.in_order[0]]


def _without(factors: Factors, common: dict[Unit, Exponent]) -> Factors:
    left = {unit: whole(exponent - common.get(unit, 0)) for unit, exponent in factors}
    return _sorted(left)


def _root(number: Fraction, exponent: Exponent) -> tuple[Fraction, Fraction]:
    """`number ** exponent` as a number, and what has to stay under the power: 2 and 1 for 4 ** (1/2), 1 and 2 for 2."""
    if isinstance(exponent, int):
        return number**exponent, Fraction(1)
    if number > 0 and exponent.denominator == 2:
        top, bottom = isqrt(number.numerator), isqrt(number.denominator)
        if top * top == number.numerator and bottom * bottom == number.denominator:
            return Fraction(top, bottom) ** exponent.numerator, Fraction(1)
    return Fraction(1), number


def repeated(base: Polynomial, form: Affine, work: Work) -> Polynomial:
    """A polynomial to the power of an index: `0.9 ** (T - t)`."""
    if base.single is None or base.single[0] != EVERYWHERE:
        raise Unprovable("a sum is raised to the power of an index")
    _, factors, number = base.single
    bases: list[tuple[Unit | Fraction, int]] = []
    for factor, own in factors:
        if not isinstance(own, int):
            raise Unprovable("a root is raised to the power of an index")
        bases.append((factor, own))
    if number <= 0:
        raise Unprovable(f"{number} is raised to the power of an index")
    if number != 1:
        bases.append((number, 1))
    parts: list[tuple[Unit, Exponent]] = []
    for unit, own in bases:
        parts += [(Repeated(unit, name), own * n) for name, n in form.terms]
    return multiplied([product(parts, work), power(base, form.constant, work)], work)


# -- cases ------------------------------------------------------------------------------------------------------------
def conditional(p: Polynomial) -> bool:
    """Whether some term stands on a part of the indices only."""
    return any(domain.constraints for domain, _ in p.terms)


def by_cases(p: Polynomial, f: Callable[[Polynomial], Polynomial], work: Work) -> Polynomial:
    """`f` of a polynomial whose terms stand on different domains: f of each case, on the domain of the case."""
    conditions = {constraint for domain, _ in p.terms for constraint in domain.constraints}
    if len(conditions) > MOST_CONDITIONS:
        raise Unprovable(f"a function of {len(conditions)} cases")
    parts, open_cases = [], [EVERYWHERE]
    while open_cases:
        case = open_cases.pop()
        work.spend()
        undecided, kept = None, []
        for (domain, factors), number in p.terms.items():
            both = case & domain
            if both == NEVER or both.is_empty:
                continue
            missing = [c for c in sorted(domain.constraints, key=str) if not case.implies(c)]
            if missing:
                undecided = missing[0]
                break
            kept.append(Polynomial({(EVERYWHERE, factors): number}))
        if undecided is None:
            parts.append(restricted(f(added(kept)), case))
        else:
            halves = (case.where(undecided), case.where(undecided.negation))
            open_cases += [half for half in halves if not half.is_empty]
    return added(parts)
