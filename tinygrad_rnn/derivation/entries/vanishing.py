"""Whether a polynomial is 0 at every index, for every length and every size: exactly.

Terms with the same units are grouped, whatever their indices. Each index becomes a variable of its own; a term is then
its number on a domain of these, and the numbers of a group have to add up to 0 at every tuple. That is a question about
domains, which `Domain` answers for all lengths.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import permutations
from itertools import product as combinations
from math import factorial, prod

from ...language.affine import Affine, affine
from ...language.syntax.indices import Constraint
from ...system.domain import NEVER, Domain
from . import arithmetic
from .arithmetic import Exhausted, Unprovable, Work, added, restricted, scaled
from .sums import opened, substituted
from .units import Bound, Exponent, Factors, Index, Polynomial, Term, Unit

#: equal units in one term may stand in any order; so many orders are tried
MOST_ORDERS = 24


@dataclass(frozen=True)
class Rest:
    """What does not vanish: the units, the part of the indices where they are left, and their number there."""

    factors: Factors
    domain: Domain
    number: Polynomial


@dataclass(frozen=True)
class _Open:
    """One term with its sums opened: number (a polynomial in indices), bound variables, domain, units in order."""

    number: Polynomial
    bound: tuple[str, ...]
    domain: Domain
    factors: Factors


def remainder(p: Polynomial, context: Domain, work: Work) -> tuple[Polynomial, Rest | str | None]:
    """The terms of a polynomial that do not vanish in a context, and what is left of the first of them and its like.

    A text in the place of what is left says why it could not be told.
    """
    groups: dict[tuple[object, ...], list[tuple[Term, _Open]]] = {}
    for (domain, factors), number in p.terms.items():
        term = _open(domain, factors, scaled(arithmetic.ONE, number), work)
        groups.setdefault(_shape(term), []).append(((domain, factors), term))
    left: dict[Term, Fraction] = {}
    first: Rest | str | None = None
    for terms in groups.values():
        rest: Rest | str | None
        try:
            rest = _group([term for _, term in terms], context, work)
        except Exhausted:
            raise
        except Unprovable as why:
            rest = str(why)
        if rest is not None:
            first = first or rest
            left |= {term: p.terms[term] for term, _ in terms}
    return Polynomial(left), first


def _open(domain: Domain, factors: Factors, number: Polynomial, work: Work) -> _Open:
    bound: list[str] = []
    plain: list[tuple[Unit, Exponent]] = []
    waiting = list(factors)
    indices = []
    while waiting:
        unit, exponent = waiting.pop()
        if isinstance(unit, Bound) and unit.kind == "sum" and isinstance(exponent, int) and exponent > 0:
            for _ in range(exponent):
                names, own, inner = opened(unit, work)
                bound += names
                domain = domain & own
                waiting += inner
        elif isinstance(unit, Index):
            indices.append((unit, exponent))
        else:
            plain.append((unit, exponent))
    number = arithmetic.multiplied([number, arithmetic.product(indices, work)], work)
    # equal units of different sums stand beside each other, not under one exponent
    single: list[tuple[Unit, Exponent]] = []
    for unit, e in plain:
        single += [(unit, 1)] * e if isinstance(e, int) and e > 0 else [(unit, e)]
    ordered = sorted(single, key=lambda factor: (factor[0].skeleton, str(factor[1]), factor[0].text))
    return _Open(number, tuple(bound), domain, tuple(ordered))


def _inner(form: Affine) -> Affine:
    """The part of an index that the unit itself binds."""
    return Affine(tuple(term for term in form.terms if term[0][0] == "_"))


def _shape(term: _Open) -> tuple[object, ...]:
    return tuple((u.skeleton, e, tuple(_inner(slot).terms for slot in u.slots)) for u, e in term.factors)


def _orders(shape: tuple[object, ...]) -> list[tuple[int, ...]]:
    """The orders of the factors that exchange only equal ones."""
    runs: dict[object, list[int]] = {}
    for at, part in enumerate(shape):
        runs.setdefault(part, []).append(at)
    if prod(factorial(len(run)) for run in runs.values()) > MOST_ORDERS:
        return [tuple(range(len(shape)))]
    orders = []
    for chosen in combinations(*(permutations(run) for run in runs.values())):
        order = list(range(len(shape)))
        for run, new in zip(runs.values(), chosen, strict=True):
            for at, other in zip(run, new, strict=True):
                order[at] = other
        orders.append(tuple(order))
    return orders


def _group(terms: Sequence[_Open], context: Domain, work: Work) -> Rest | None:
    orders = _orders(_shape(terms[0]))
    weights: dict[Domain, Polynomial] = {}
    for term in terms:
        for order in orders:
            work.spend()
            factors = tuple(term.factors[at] for at in order)
            domain, number = _placed(term, factors, work)
            if domain == NEVER:
                continue
            total = added([weights.get(domain, arithmetic.ZERO), number])
            weights[domain] = total
    everywhere = [(domain, number) for domain, number in weights.items() if number]
    left = _without_common(everywhere, work)
    if len(left) == 1:
        there = context & left[0][0]
        where = None if there.is_empty else (there, left[0][1])
    else:
        where = _somewhere(left, context, work)
    if where is None:
        return None
    region, number = where
    # each term was placed once for each order of its factors: those that leave all indices alone count it twice
    common = frozenset.intersection(*(domain.constraints for domain, _ in everywhere))
    same = sum(_leaves(order, terms[0].factors, region & Domain(common)) for order in orders)
    return Rest(terms[0].factors, region, scaled(number, Fraction(1, same)))


def _leaves(order: tuple[int, ...], factors: Factors, region: Domain) -> bool:
    """Whether another order of the factors has the same indices in a region."""
    sizes = [len(unit.slots) for unit, _ in factors]
    starts = [sum(sizes[:at]) for at in range(len(sizes))]
    pairs = [(starts[at] + n, starts[other] + n) for at, other in enumerate(order) for n in range(sizes[at])]
    return all(a == b or region.implies(Constraint("=", affine(f"x~{a}") - affine(f"x~{b}"))) for a, b in pairs)


def _placed(term: _Open, factors: Factors, work: Work) -> tuple[Domain, Polynomial]:
    """The domain of a term in the variables `x~0`, `x~1`, … of its indices, and its number there."""
    slots = [slot for unit, _ in factors for slot in unit.slots]
    outer = [Affine(tuple(t for t in slot.terms if t[0][0] != "_"), slot.constant) for slot in slots]
    equal = [Constraint("=", affine(f"x~{at}") - slot) for at, slot in enumerate(outer)]
    if _rank([[slot.coefficient(name) for name in term.bound] for slot in outer]) < len(term.bound):
        raise Unprovable("a sum whose variable stands in no index is left")
    whole = term.domain.where(*equal)
    number = term.number
    for name in term.bound:
        value = next((v for v in [_value(name, outer)] if v is not None), None)
        if name in number.free:
            if value is None:
                raise Unprovable("a number that depends on a variable no index gives")
            number = substituted(number, {name: value}, work)
    if set(term.bound) & number.free:
        raise Unprovable("a number that depends on a variable no index gives")
    pieces = whole.projected(*term.bound)
    if len(pieces) > 1:
        raise Unprovable("a sum whose steps cannot be told apart")
    return (pieces[0] if pieces else NEVER), number


def _without_common(weights: list[tuple[Domain, Polynomial]], work: Work) -> list[tuple[Domain, Polynomial]]:
    """The same with each index put in that is the same in all terms: what is left tells the terms apart."""
    while weights:
        common = frozenset.intersection(*(domain.constraints for domain, _ in weights))
        given = Domain(frozenset(c for c in common if c.kind == "="))
        names = sorted(name for name in given.variables if name.startswith("x~"))
        name = next((name for name in names if given.value_of(name) is not None), None)
        if name is None:
            break
        value = given.value_of(name)
        assert value is not None
        moved: dict[Domain, Polynomial] = {}
        for domain, number in weights:
            there = domain.substituted({name: value})
            own = substituted(number, {name: value}, work)
            moved[there] = added([moved.get(there, arithmetic.ZERO), own])
        weights = [(domain, number) for domain, number in moved.items() if number and domain != NEVER]
    return weights


def _value(name: str, slots: Sequence[Affine]) -> Affine | None:
    for at, slot in enumerate(slots):
        others = [other for other, _ in slot.terms if other != name and other.startswith("k~")]
        if abs(slot.coefficient(name)) == 1 and not others:
            return (affine(f"x~{at}") - slot.without(name)) * slot.coefficient(name)
    return None


def _rank(rows: list[list[int]]) -> int:
    """The rank of an integer matrix."""
    matrix = [[Fraction(value) for value in row] for row in rows]
    rank = 0
    for column in range(len(matrix[0]) if matrix else 0):
        pivot = next((r for r in range(rank, len(matrix)) if matrix[r][column]), None)
        if pivot is None:
            continue
        matrix[rank], matrix[pivot] = matrix[pivot], matrix[rank]
        for r in range(rank + 1, len(matrix)):
            factor = matrix[r][column] / matrix[rank][column]
            matrix[r] = [a - factor * b for a, b in zip(matrix[r], matrix[rank], strict=True)]
        rank += 1
    return rank


def _somewhere(
    weights: Sequence[tuple[Domain, Polynomial]], region: Domain, work: Work
) -> tuple[Domain, Polynomial] | None:
    """A part of a region where numbers on domains do not add up to 0, and what they add up to; None if they do."""
    stack = [(region, list(weights))]
    while stack:
        here, terms = stack.pop()
        work.spend()
        live: list[tuple[Domain, Polynomial, list[Constraint]]] = []
        for domain, number in terms:
            if not (here & domain).is_empty:
                missing = [c for c in sorted(domain.constraints, key=str) if not here.implies(c)]
                live.append((domain, number, missing))
        if not live:
            continue
        undecided = next((missing[0] for _, _, missing in live if missing), None)
        if undecided is None:
            total = _on(added(number for _, number, _ in live), here, work)
            if total:
                return here, total
            continue
        rest = [(domain, number) for domain, number, _ in live]
        for half in (here.where(undecided), here.where(undecided.negation)):
            if not half.is_empty:
                stack.append((half, rest))
    return None


def _on(number: Polynomial, region: Domain, work: Work) -> Polynomial:
    """A polynomial in indices with what equalities of a region say put in."""
    again = True
    while number and again:
        again = False
        for name in sorted(number.free):
            value = region.value_of(name)
            if value is not None and name not in value.variables:
                number = substituted(number, {name: value}, work)
                region = region.substituted({name: value})
                again = True
                break
    return number


def without_implied(p: Polynomial, context: Domain) -> Polynomial:
    """A polynomial without terms that vanish in a context, and without conditions that hold in it."""
    parts = []
    for (domain, factors), number in p.terms.items():
        if domain.constraints:
            if (domain & context).is_empty:
                continue
            missing = [c for c in domain.constraints if c not in context.constraints and not context.implies(c)]
            domain = Domain.of(*missing)
        parts.append(restricted(Polynomial({(Domain.of(), factors): number}), domain))
    return added(parts)
