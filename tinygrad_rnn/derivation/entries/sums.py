"""Sums over bound variables in one normal form, whether they run over time, over entries or over samples.

Nested sums in a product become one; a variable with one value is put in; what does not depend on the bound variables
leaves; what falls into unconnected parts becomes a product; a sum of ones is a count. Then bound variables are shifted
so that an index of the first unit is the variable itself, and numbered by what they do.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from itertools import permutations
from itertools import product as combinations

from ...language.affine import Affine, affine
from ...language.syntax.indices import Constraint
from ...system.domain import EVERYWHERE, NEVER, Domain
from . import arithmetic
from .arithmetic import ONE, ZERO, Unprovable, Work, added, index, multiplied, on, product, restricted, scaled
from .function_forms import apply
from .units import Applied, Bound, Entry, Exponent, Factors, Index, Polynomial, Repeated, Unit, factors_text

#: orders of bound variables that look alike are all tried, up to so many
MOST_ORDERS = 720


# -- other indices ----------------------------------------------------------------------------------------------------
def substituted(p: Polynomial, values: Mapping[str, Affine], work: Work) -> Polynomial:
    """A polynomial with affine indices in the place of some variables, in normal form again."""
    if not p.free & values.keys():
        return p
    parts = []
    for (domain, factors), number in p.terms.items():
        there = domain.substituted(values)
        if there != NEVER:
            parts.append(restricted(scaled(factors_substituted(factors, values, work), number), there))
    return added(parts)


def factors_substituted(factors: Factors, values: Mapping[str, Affine], work: Work) -> Polynomial:
    """The same for a product of units."""
    plain: list[tuple[Unit, Exponent]] = []
    others: list[Polynomial] = []
    for unit, exponent in factors:
        if not unit.free & values.keys():
            plain.append((unit, exponent))
        elif isinstance(unit, Entry):
            plain.append((_entry_moved(unit, values), exponent))
        else:
            moved = _unit_substituted(unit, values, work)
            if isinstance(unit, Applied) and unit.function == "^":
                others.append(arithmetic.power(substituted(unit.argument, values, work), exponent, work))
            else:
                others.append(arithmetic.power(moved, exponent, work))
    return multiplied([product(plain, work), *others], work) if others else product(plain, work)


def _entry_moved(unit: Entry, values: Mapping[str, Affine]) -> Entry:
    times = tuple(form.substituted(values) for form in unit.times)
    return Entry(unit.name, times, tuple(form.substituted(values) for form in unit.entries))


def _unit_substituted(unit: Unit, values: Mapping[str, Affine], work: Work) -> Polynomial:
    key = (unit, *((name, values[name]) for name in sorted(unit.free & values.keys())))
    found = work.cache.get(key)
    if found is None:
        found = work.cache[key] = _substituted_now(unit, values, work)
    assert isinstance(found, Polynomial)
    return found


def _substituted_now(unit: Unit, values: Mapping[str, Affine], work: Work) -> Polynomial:
    match unit:
        case Index():
            return index(values[unit.name])
        case Applied():
            if unit.function == "^":
                return substituted(unit.argument, values, work)
            return apply(unit.function, substituted(unit.argument, values, work), work)
        case Repeated():
            base = unit.base if isinstance(unit.base, Unit) else None
            moved = arithmetic.constant(unit.base) if isinstance(unit.base, Fraction) else ONE
            if base is not None:
                moved = factors_substituted(((base, 1),), values, work)
            return arithmetic.repeated(moved, values.get(unit.index, affine(unit.index)), work)
        case Bound():
            variables, domain, factors = opened(unit, work)
            there = domain.substituted(values)
            if unit.kind == "prod":
                return bound_product(variables[0], there, factors_substituted(factors, values, work), work)
            return _closed_terms(variables, there, factors_substituted(factors, values, work), work)
    raise TypeError(f"no rule for {unit!r}")  # pragma: no cover


def opened(unit: Bound, work: Work) -> tuple[tuple[str, ...], Domain, Factors]:
    """A bound unit with variables that are used nowhere else: their names, the domain, the factors."""
    values = {name: affine(work.fresh()) for name in unit.variables}
    names = tuple(str(form) for form in values.values())
    factors = tuple((renamed(factor, values), exponent) for factor, exponent in unit.factors)
    return names, unit.domain.substituted(values), factors


def renamed(unit: Unit, values: Mapping[str, Affine]) -> Unit:
    """A unit with other names for some variables; its form is kept, so no rule is asked again."""
    if not unit.free & values.keys():
        return unit
    match unit:
        case Entry():
            return _entry_moved(unit, values)
        case Index():
            return Index(str(values[unit.name]))
        case Applied():
            return Applied(unit.function, polynomial_renamed(unit.argument, values))
        case Repeated():
            base = renamed(unit.base, values) if isinstance(unit.base, Unit) else unit.base
            return Repeated(base, str(values.get(unit.index, unit.index)))
        case Bound():
            factors = tuple((renamed(factor, values), exponent) for factor, exponent in unit.factors)
            return Bound(unit.variables, unit.domain.substituted(values), factors, unit.kind)
    raise TypeError(f"no rule for {unit!r}")  # pragma: no cover


def polynomial_renamed(p: Polynomial, values: Mapping[str, Affine]) -> Polynomial:
    """A polynomial with other names for some variables."""
    terms = {}
    for (domain, factors), number in p.terms.items():
        moved = tuple(sorted(((renamed(u, values), e) for u, e in factors), key=lambda factor: factor[0].text))
        terms[domain.substituted(values), moved] = number
    return Polynomial(terms)


# -- closing ----------------------------------------------------------------------------------------------------------
def summed(p: Polynomial, variables: Sequence[str], domain: Domain, work: Work) -> Polynomial:
    """The sum of a polynomial over all values of some variables in a domain, in normal form."""
    return _closed_terms(tuple(variables), domain, p, work)


def _closed_terms(variables: tuple[str, ...], domain: Domain, p: Polynomial, work: Work) -> Polynomial:
    parts = []
    for (own, factors), number in p.terms.items():
        both = own & domain
        if both != NEVER:
            parts.append(scaled(_closed(frozenset(variables), both, factors, work), number))
    return added(parts)


def _closed(bound: frozenset[str], domain: Domain, factors: Factors, work: Work) -> Polynomial:
    """`sum over bound in domain of factors`."""
    work.spend()
    bound, domain, factors = _fused(bound, domain, factors, work)
    if domain == NEVER:
        return ZERO
    for name in sorted(bound):
        value = domain.value_of(name)
        if value is not None:
            there = domain.substituted({name: value})
            moved = factors_substituted(factors, {name: value}, work)
            return _closed_terms(tuple(bound - {name}), there, moved, work)
    inside = [factor for factor in factors if factor[0].free & bound]
    outside = [factor for factor in factors if not factor[0].free & bound]
    within = [c for c in domain.constraints if set(c.affine.variables) & bound]
    around = Domain.of(*(c for c in domain.constraints if not set(c.affine.variables) & bound))
    parts = [product(outside, work)]
    for names, own, constraints in _connected(bound, inside, within):
        parts.append(_component(names, Domain.of(*constraints), own, work))
    return restricted(multiplied(parts, work), around)


def _fused(
    bound: frozenset[str], domain: Domain, factors: Factors, work: Work
) -> tuple[frozenset[str], Domain, Factors]:
    """Sums inside that depend on a bound variable become part of this one."""
    names, again = set(bound), True
    waiting = list(factors)
    while again:
        again = False
        flat: list[tuple[Unit, Exponent]] = []
        pending, waiting = waiting, []
        for unit, exponent in pending:
            nested = isinstance(unit, Bound) and unit.kind == "sum" and unit.free & names
            if isinstance(unit, Bound) and nested and isinstance(exponent, int) and exponent > 0:
                for _ in range(exponent):
                    variables, own, inner = opened(unit, work)
                    names |= set(variables)
                    domain = domain & own
                    waiting += inner
                again = True
            else:
                flat.append((unit, exponent))
        waiting = flat + waiting
    if len(waiting) == len(factors) and names == bound:
        return bound, domain, factors
    merged = product(waiting, work)
    if merged.single is None or merged.single[0] != EVERYWHERE or merged.single[2] != 1:
        # a rule of products applies to what was joined: leave it unmerged, equal units beside each other
        return frozenset(names), domain, tuple(waiting)
    return frozenset(names), domain, merged.single[1]


def _connected(
    bound: Iterable[str], factors: list[tuple[Unit, Exponent]], constraints: list[Constraint]
) -> list[tuple[frozenset[str], Factors, list[Constraint]]]:
    """Bound variables that stand together in a factor or a constraint, with these; groups share no variable."""
    groups: list[set[str]] = [{name} for name in bound]
    together = [unit.free for unit, _ in factors] + [frozenset(c.affine.variables) for c in constraints]
    for names in together:
        touched = [group for group in groups if group & names]
        if len(touched) > 1:
            groups = [group for group in groups if group not in touched] + [set().union(*touched)]
    parts = []
    for group in sorted(groups, key=lambda group: min(group)):
        own = tuple(factor for factor in factors if factor[0].free & group)
        parts.append((frozenset(group), own, [c for c in constraints if set(c.affine.variables) & group]))
    return parts


def _component(names: frozenset[str], domain: Domain, factors: Factors, work: Work) -> Polynomial:
    if len(names) == 1:
        (name,) = names
        ends = _ends(name, domain)
        if ends is not None:
            low, high = ends
            counted = all(isinstance(unit, Index) for unit, _ in factors)
            if counted and sum(e for _, e in factors) <= 3 and all(isinstance(e, int) and e > 0 for _, e in factors):
                return _power_sum(sum(int(e) for _, e in factors), low, high, work)
            if len(factors) == 1 and factors[0][1] == 1 and isinstance(factors[0][0], Entry):
                unit = factors[0][0]
                whole = low == affine(None, 1) and unit.entries == (affine(name),)
                if unit.name in work.simplex and whole and high == work.cache.get(("rows", unit.name)):
                    return ONE
    for name in sorted(names) if len(names) > 1 else ():
        own = [factor for factor in factors if name in factor[0].free]
        times = [e for unit, e in own if isinstance(unit, Index) and isinstance(e, int) and e > 0]
        if len(times) < len(own) or sum(times) > 3:
            continue
        domain = domain.simplified()
        ends = _ends(name, Domain.of(*(c for c in domain.constraints if c.affine.coefficient(name))))
        if ends is not None:  # it is counted, and nothing more
            rest = [factor for factor in factors if name not in factor[0].free]
            total = multiplied([product(rest, work), _power_sum(sum(times), *ends, work)], work)
            around = Domain.of(*(c for c in domain.constraints if not c.affine.coefficient(name)))
            return _closed_terms(tuple(names - {name}), around, total, work)
    return _canonical(names, domain, factors, work)


def _ends(name: str, domain: Domain) -> tuple[Affine, Affine] | None:
    """The first and the last value of a variable that runs over every value between two affine ones."""
    low = high = None
    for constraint in domain.constraints:
        if constraint.kind != ">=" or abs(constraint.affine.coefficient(name)) != 1:
            return None
        rest = constraint.affine.without(name)
        if constraint.affine.coefficient(name) == 1:
            if low is not None:
                return None
            low = -rest
        else:
            if high is not None:
                return None
            high = rest
    return None if low is None or high is None else (low, high)


def _power_sum(exponent: int, low: Affine, high: Affine, work: Work) -> Polynomial:
    """`sum(k = low..high, k ** exponent)` as a polynomial in the ends, where there is a value between them."""
    upto = [_upto(exponent, form, work) for form in (high, low - 1)]
    some = Domain.of(Constraint(">=", high - low + 1))  # from low - 1 on, the formula gives 0 there as well
    return restricted(added([upto[0], scaled(upto[1], -1)]), _known(some))


def _known(domain: Domain) -> Domain:
    """Without what holds for all lengths."""
    lengths = all(name[0].isupper() for name in domain.variables)
    return EVERYWHERE if lengths and all(EVERYWHERE.implies(c) for c in domain.constraints) else domain


def _upto(exponent: int, form: Affine, work: Work) -> Polynomial:
    n = index(form)
    if exponent == 0:
        return n
    next_one, twice = added([n, ONE]), added([scaled(n, 2), ONE])
    if exponent == 1:
        return scaled(multiplied([n, next_one], work), Fraction(1, 2))
    if exponent == 2:
        return scaled(multiplied([n, next_one, twice], work), Fraction(1, 6))
    return scaled(multiplied([n, n, next_one, next_one], work), Fraction(1, 4))


def bound_product(name: str, domain: Domain, p: Polynomial, work: Work) -> Polynomial:
    """A product over one variable, kept as it is under a canonical name."""
    value = domain.value_of(name)
    if value is not None:
        raise Unprovable("a product over one step")
    inner: Factors = ((Applied("^", p), 1),)
    level = 1 + p.level
    values = {name: affine(f"_{level}_0")}
    factors = tuple((renamed(unit, values), exponent) for unit, exponent in inner)
    return arithmetic.of(Bound((f"_{level}_0",), domain.substituted(values), factors, "prod"))


# -- names ------------------------------------------------------------------------------------------------------------
def _canonical(names: frozenset[str], domain: Domain, factors: Factors, work: Work) -> Polynomial:
    """The component under names that depend on what the variables do, not on what they were called."""
    values = {name: value for name in sorted(names) if (value := _shift(name, names, factors)) is not None}
    values = {name: value for name, value in values.items() if value != affine(name)}
    if values:
        moved = factors_substituted(factors, values, work)
        if moved.single is None or moved.single[0] != EVERYWHERE or moved.single[2] != 1:
            return _closed_terms(tuple(names), domain.substituted(values), moved, work)
        domain, factors = domain.substituted(values), moved.single[1]
    level = 1 + max((unit.level for unit, _ in factors), default=0)
    orders = _orders(sorted(names), domain, factors)
    best: tuple[str, tuple[str, ...], Domain, Factors] | None = None
    for order in orders:
        new = tuple(f"_{level}_{place}" for place in range(len(order)))
        renaming = {old: affine(name) for old, name in zip(order, new, strict=True)}
        own = tuple(sorted(((renamed(unit, renaming), e) for unit, e in factors), key=lambda factor: factor[0].text))
        text = factors_text(own)
        there = domain.substituted(renaming)
        text = f"{text} {there}" if len(orders) > 1 else text
        if best is None or text < best[0]:
            best = (text, new, there, own)
    assert best is not None
    return arithmetic.of(Bound(best[1], best[2], best[3]))


def _shift(name: str, names: frozenset[str], factors: Factors) -> Affine | None:
    """What to put in for a variable so that an index of the first unit it stands in becomes the variable itself."""
    best: tuple[str, int] | None = None
    forms: list[Affine] = []
    for unit, exponent in factors:
        for place, slot in enumerate(unit.slots):
            if abs(slot.coefficient(name)) != 1 or any(
                other != name for other in slot.running if _internal(other, names)
            ):
                continue
            rank = (f"{unit.skeleton}^{exponent}", place)
            if best is None or rank < best:
                best, forms = rank, [slot]
            elif rank == best:
                forms.append(slot)
    if not forms:
        return None
    slot = forms[0]
    for other in forms[1:]:
        apart = (other - slot) if other.coefficient(name) == slot.coefficient(name) else (other + slot)
        if not apart.terms and apart.constant * slot.coefficient(name) < 0:
            slot = other
    sign = slot.coefficient(name)
    return (affine(name) - slot.without(name)) * sign if sign == 1 else slot.without(name) - affine(name)


def _internal(name: str, names: frozenset[str]) -> bool:
    """Whether a variable is bound here or further inside."""
    return name in names or name[0] == "_"


def _orders(names: list[str], domain: Domain, factors: Factors) -> list[tuple[str, ...]]:
    """The orders of the variables that agree with their colours: one, unless some look alike."""
    if len(names) == 1:
        return [tuple(names)]
    colours = dict.fromkeys(names, "")
    for _ in range(3):
        colours = {name: _colour(name, colours, domain, factors) for name in names}
        ranks = {colour: str(rank) for rank, colour in enumerate(sorted(set(colours.values())))}
        colours = {name: ranks[colour] for name, colour in colours.items()}
    groups = [[n for n in names if colours[n] == colour] for colour in sorted(set(colours.values()), key=int)]
    total = 1
    for group in groups:
        for size in range(2, len(group) + 1):
            total *= size
    if total > MOST_ORDERS:
        return [tuple(name for group in groups for name in group)]
    return [tuple(n for part in parts for n in part) for parts in combinations(*(permutations(g) for g in groups))]


def _colour(name: str, colours: Mapping[str, str], domain: Domain, factors: Factors) -> str:
    seen = []
    for unit, exponent in factors:
        if name in unit.free:
            seen.append(f"{unit.skeleton}^{exponent}:{','.join(_mark(slot, name, colours) for slot in unit.slots)}")
    for constraint in domain.constraints:
        if constraint.affine.coefficient(name):
            seen.append(f"{constraint.kind}{constraint.modulus}:{_mark(constraint.affine, name, colours)}")
    return f"{colours[name]} {sorted(seen)}"


def _mark(form: Affine, name: str, colours: Mapping[str, str]) -> str:
    """An index with the variable marked, other bound ones by their colour."""
    parts = [f"{'@' if n == name else '#' + colours[n] if n in colours else n}*{count}" for n, count in form.terms]
    return f"{sorted(parts)}{form.constant}"


__all__ = ["bound_product", "on", "opened", "polynomial_renamed", "renamed", "substituted", "summed"]
