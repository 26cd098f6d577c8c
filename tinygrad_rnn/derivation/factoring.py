"""What the normal form does with a list of terms or factors: like ones collected, common ones taken out, all in
order.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING

from .forms import ONE, Apply, Chain, Flip, Form, Padded, Product, Shape, Step, Sum, Symbol, Total, factors_of, is_zero

if TYPE_CHECKING:
    from .algebra import Algebra

Factor = tuple[Form, Fraction]
Term = tuple[Fraction, Form]


def collected(terms: list[Term]) -> list[Term]:
    """Like terms added up."""
    totals: dict[str, Term] = {}
    for c, form in terms:
        before = totals.get(form.key, (Fraction(0), form))[0]
        totals[form.key] = (before + c, form)
    return [(c, form) for c, form in totals.values() if c]


def merged(factors: list[Factor]) -> list[Factor]:
    """Equal factors as one power."""
    totals: dict[str, Factor] = {}
    for form, n in factors:
        before = totals.get(form.key, (form, Fraction(0)))[1]
        totals[form.key] = (form, before + n)
    return [(form, n) for form, n in totals.values() if n]


def powers_added(algebra: Algebra, factors: list[Factor]) -> list[Factor]:
    """x**(p-1) * x as x**p, for exponents that are no numbers."""
    named = {f.args[0].key: f.args[0] for f, _ in factors if isinstance(f, Apply) and f.function == "**"}
    for key, base in named.items():
        same = [(f, n) for f, n in factors if f.key == key or (_is_power(f) and f.parts[0].key == key)]
        if len(same) > 1:
            rest = [factor for factor in factors if factor not in same]
            exponents = [algebra.scale(n, f.parts[1] if _is_power(f) else ONE) for f, n in same]
            factors = [*rest, *factors_of(algebra.raised(base, algebra.add(*exponents)))]
    return factors


def _is_power(form: Form) -> bool:
    return isinstance(form, Apply) and form.function == "**"


def stacked(algebra: Algebra, terms: list[Term]) -> list[Term]:
    """Padded terms that fill all rows together, one above the other."""
    groups: dict[str, list[tuple[Fraction, Padded, list[Factor]]]] = {}
    rest: list[Term] = []
    for c, form in terms:
        pads = [f for f, n in factors_of(form) if isinstance(f, Padded) and n == 1]
        others = [(f, n) for f, n in factors_of(form) if not isinstance(f, Padded)]
        if len(pads) != 1 or not all(f.scalar for f, _ in others):
            rest.append((c, form))
            continue
        key = "*".join(sorted(f"{f.key}^{n}" for f, n in others))
        groups.setdefault(key, []).append((c, pads[0], others))
    for key, group in list(groups.items()):
        if key and len(groups) > 1:
            _fetch_numbers(algebra, group, groups.get("", []))
    for group in groups.values():
        rest += _filled(algebra, group)
    return rest


def _fetch_numbers(
    algebra: Algebra,
    group: list[tuple[Fraction, Padded, list[Factor]]],
    loose: list[tuple[Fraction, Padded, list[Factor]]],
) -> None:
    """Rows of one entry that have the factors beside a group in them join it: s * [x; y] rather than s * [x; 0] + [0;
    s * y].
    """
    others = group[0][2]
    for entry in list(loose):
        c, pad, _ = entry
        table = {f.key: (f, n) for f, n in factors_of(pad.inner)}
        if pad.inner.scalar and all(table.get(f.key, (f, Fraction(0)))[1] == n for f, n in others):
            beside = {f.key for f, _ in others}
            inner = algebra.product([(f, n) for f, n in table.values() if f.key not in beside])
            group.append((c, Padded(pad.shape, inner, pad.first), others))
            loose.remove(entry)


def _filled(algebra: Algebra, group: Sequence[tuple[Fraction, Padded, list[Factor]]]) -> list[Term]:
    if not group:
        return []
    places: dict[tuple[int, int], list[Term]] = {}
    for c, pad, _ in group:
        places.setdefault((pad.first, pad.last), []).append((c, pad.inner))
    shape, others = group[0][1].shape, group[0][2]
    ordered = sorted(places)
    covered = [1, *[last + 1 for _, last in ordered]]
    if [first for first, _ in ordered] == covered[:-1] and covered[-1] == shape[0] + 1:
        parts = tuple(algebra.combine(places[place]) for place in ordered)
        form: Form = Apply(shape, "stack", parts)
        return [(Fraction(1), algebra.product([*others, (form, Fraction(1))]) if others else form)]
    result: list[Term] = []
    for first, last in ordered:
        inner = algebra.combine(places[first, last])
        if not is_zero(inner):
            padded: Form = Padded(shape, inner, first)
            result.append((Fraction(1), Product(shape, (*others, (padded, Fraction(1)))) if others else padded))
    return result


# -- single factors ---------------------------------------------------------------------------------------------------
def cancel(factors: Sequence[Factor], others: Sequence[Factor]) -> bool:
    """Whether what one product divides by is a factor of the other."""
    signs = {f.key: n > 0 for f, n in factors}
    return any(f.key in signs and signs[f.key] != (n > 0) for f, n in others)


def is_ones(form: Form) -> bool:
    """Whether a form is ones_like(v), or its transpose."""
    inner = form.inner if isinstance(form, Flip) else form
    return isinstance(inner, Apply) and inner.function == "ones_like"


def without_ones(factors: list[Factor], shape: Shape) -> list[Factor]:
    """Ones in a product of the same shape say nothing, unless nothing else has that shape."""
    others = [(f, n) for f, n in factors if not (isinstance(f, Apply) and f.function == "ones_like")]
    if any(f.shape == shape for f, _ in others):
        return others
    ones = [(f, Fraction(1)) for f, n in factors if isinstance(f, Apply) and f.function == "ones_like"]
    return [*others, *ones[:1]]


def numbers_out(factors: list[Factor]) -> tuple[Fraction, list[Factor]]:
    """The number in a product, and the other factors."""
    coefficient, rest = Fraction(1), list[Factor]()
    for form, n in factors:
        if isinstance(form, Sum) and len(form.terms) == 1 and n.denominator == 1 and (form.terms[0][0] or n > 0):
            coefficient *= form.terms[0][0] ** n.numerator
            rest += [(f, k * n) for f, k in factors_of(form.terms[0][1])]
        else:
            rest.append((form, n))
    return coefficient, rest


# -- common factors ---------------------------------------------------------------------------------------------------
def factored(algebra: Algebra, terms: list[Term]) -> list[Term]:
    """`dh * a - dh * b` becomes `dh * (a - b)`, and `p * dp - p * (p.T @ dp)` becomes `p * (dp - p.T @ dp)`."""
    for group_of in (_own_gradient, _inner_product, _names_of_gradients):
        groups: dict[str, list[Term]] = {}
        for c, form in terms:
            groups.setdefault(group_of(form) or f"alone {form.key}", []).append((c, form))
        terms = []
        for key, group in groups.items():
            if len(group) == 1 or key.startswith("alone"):
                terms += group
            elif group_of is _inner_product:
                terms += _rows_added(algebra, group)
            else:
                terms += _taken_out(algebra, group)
    if len(terms) > 1 and all(form.cotangents for _, form in terms):
        terms = _taken_out(algebra, terms)
    return terms


def _own_gradient(form: Form) -> str | None:
    return next((f.key for f, n in factors_of(form) if n == 1 and isinstance(f, Symbol) and f.cotangent), None)


def _inner_product(form: Form) -> str | None:
    """x.T @ dh, by what stands behind x.T."""
    if isinstance(form, Chain) and form.scalar and len(form.factors) == 2 and isinstance(form.factors[0], Flip):
        return form.factors[1].key if form.factors[1].cotangents else None
    return None


def _names_of_gradients(form: Form) -> str | None:
    return ", ".join(sorted({symbol.name for symbol in form.cotangents})) or None


def _rows_added(algebra: Algebra, terms: list[Term]) -> list[Term]:
    chains = [form for _, form in terms if isinstance(form, Chain)]
    before = algebra.combine([(c, algebra.flip(chain.factors[0])) for (c, _), chain in zip(terms, chains, strict=True)])
    return [(Fraction(1), algebra.dot(algebra.flip(before), chains[0].factors[1]))]


def _taken_out(algebra: Algebra, terms: list[Term]) -> list[Term]:
    tables = [{f.key: (f, n) for f, n in factors_of(form)} for _, form in terms]
    common = [(f, n) for key, (f, n) in tables[0].items() if all(t.get(key, (f, None))[1] == n for t in tables[1:])]
    if not common:
        return terms
    taken = {f.key for f, _ in common}
    rests = []
    for (c, _), table in zip(terms, tables, strict=True):
        rest = algebra.product([(f, n) for f, n in table.values() if f.key not in taken])
        rests.append((c, rest))
    signs = {c for c, _ in rests}
    if len(signs) == 1 and -1 in signs:
        inner, sign = algebra.combine([(-c, rest) for c, rest in rests]), Fraction(-1)
    else:
        inner, sign = algebra.combine(rests), Fraction(1)
    if is_zero(inner):
        return []
    # built by hand: multiplying out again what was just taken out would never end
    shape = next((form.shape for _, form in terms if not form.scalar), terms[0][1].shape)
    number = inner.terms[0] if isinstance(inner, Sum) and len(inner.terms) == 1 else None
    if number is not None:
        sign, inner = sign * number[0], number[1]
    factors = [*common, *factors_of(inner)]
    return [(sign, Product(shape, tuple(sorted(merged(factors), key=factor_order))))]


# -- order ------------------------------------------------------------------------------------------------------------
def _delay(symbol: Symbol) -> tuple[bool, tuple[int, ...], tuple[int, ...]]:
    offsets = tuple(index.constant for index in symbol.indices if index.running)
    return not any(offsets), tuple(map(abs, offsets)), offsets


def term_order(term: Term) -> tuple[object, ...]:
    """Gradients of other steps first, the nearest of them before; in a polynomial the number first; what is added
    before what is taken away.
    """
    c, form = term
    if form.cotangents:
        summed = isinstance(form, Total)
        return (0, summed, min(map(_delay, form.cotangents)), c < 0, form.cotangents[0].name, form.key)
    is_number = isinstance(form, Product) and not form.factors
    return (1, False, (), "", c < 0, "" if is_number else form.key)


def factor_order(factor: Factor) -> tuple[object, ...]:
    """The gradient first, then quantities, then functions, then sums."""
    form, n = factor
    kinds = {Step: 0, Symbol: 1, Flip: 1, Chain: 2, Apply: 2}
    kind = -1 if form.cotangents and not isinstance(form, Sum) else kinds.get(type(form), 3)
    return (n < 0, kind, form.key)
