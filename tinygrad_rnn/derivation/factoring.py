"""Lists of terms and of factors in the normal form: like ones collected, numbers taken out, put in order."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from .forms import Apply, Chain, Combination, Factor, Flip, Form, Product, Shape, Step, Symbol, Term, Total, factors_of


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


def is_power(form: Form) -> bool:
    return isinstance(form, Apply) and form.function == "**"


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
        if (
            isinstance(form, Combination)
            and len(form.terms) == 1
            and n.denominator == 1
            and (form.terms[0][0] or n > 0)
        ):
            coefficient *= form.terms[0][0] ** n.numerator
            rest += [(f, k * n) for f, k in factors_of(form.terms[0][1])]
        else:
            rest.append((form, n))
    return coefficient, rest


# -- common factors ---------------------------------------------------------------------------------------------------
def own_gradient(form: Form) -> str | None:
    return next((f.key for f, n in factors_of(form) if n == 1 and isinstance(f, Symbol) and f.cotangent), None)


def inner_product(form: Form) -> str | None:
    """x.T @ dh, by what stands behind x.T."""
    if isinstance(form, Chain) and form.scalar and len(form.factors) == 2 and isinstance(form.factors[0], Flip):
        return form.factors[1].key if form.factors[1].cotangents else None
    return None


def names_of_gradients(form: Form) -> str | None:
    return ", ".join(sorted({symbol.name for symbol in form.cotangents})) or None


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
    kind = -1 if form.cotangents and not isinstance(form, Combination) else kinds.get(type(form), 3)
    return (n < 0, kind, form.key)
