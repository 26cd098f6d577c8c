"""What is done with the entries of a form: added up, a diagonal taken out, some rows taken, zeros put around.

Each is linear, so each goes through sums; each takes factors of one entry out.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from .forms import ONE, SCALAR, Apply, Chain, Flip, Form, Padded, Product, Rows, Sum, Symbol, factors_of, is_zero, zero

if TYPE_CHECKING:
    from .algebra import Algebra

Factor = tuple[Form, Fraction]


def entries(algebra: Algebra, form: Form) -> Form:
    """The sum of all entries."""
    if form.scalar:
        return form
    if isinstance(form, Sum) and (form.cotangents or len(form.terms) <= 1):
        return algebra.combine([(c, entries(algebra, part)) for c, part in algebra.filled(form)])
    if isinstance(form, Sum) and algebra.means and _without_mean(algebra, form):
        return zero(SCALAR)
    if isinstance(form, Apply) and form.function in ("onehot", "softmax"):
        return ONE
    if isinstance(form, Symbol) and form.name in algebra.distributions:
        return ONE
    if isinstance(form, Padded | Flip):
        return entries(algebra, form.inner)
    if isinstance(form, Product):
        return _entries_of_product(algebra, form)
    return Apply(SCALAR, "sum", (form,))


def _without_mean(algebra: Algebra, form: Sum) -> bool:
    """Whether a sum is what is left of a vector without its mean, so that its entries add up to nothing."""
    terms = []
    for c, part in algebra.filled(form):
        factors: list[Factor] = []
        for f, n in factors_of(part):
            known = algebra.means.get(f.name) if isinstance(f, Symbol) and not f.cotangent and n == 1 else None
            if known is None or not isinstance(f, Symbol):
                factors.append((f, n))
            else:
                factors.append((algebra.substituted(known[1], dict(zip(known[0], f.indices, strict=True))), n))
        terms.append((c, entries(algebra, algebra.product(factors))))
    return is_zero(algebra.combine(terms))


def _entries_of_product(algebra: Algebra, form: Product) -> Form:
    scalars = [(f, n) for f, n in form.factors if f.scalar]
    wide = [(f, n) for f, n in form.factors if not f.scalar]
    if scalars:
        return algebra.product([*scalars, (entries(algebra, algebra.product(wide)), Fraction(1))])
    gradients = [f for f, n in wide if f.cotangents and n == 1]
    if len(gradients) == 1 and len(wide) > 1 and 1 in form.shape:
        rest = algebra.product([(f, n) for f, n in wide if f is not gradients[0]])
        column = form.shape[1] == 1
        turned = algebra.flip(rest)
        return algebra.dot(turned, gradients[0]) if column else algebra.dot(gradients[0], turned)
    return Apply(SCALAR, "sum", (form,))


def diagonal(algebra: Algebra, form: Form, like: Form) -> Form:
    """The diagonal of a square matrix, as a vector in the shape of `like`."""
    if like.shape[0] == 1:
        return algebra.flip(diagonal(algebra, form, algebra.flip(like)))
    if isinstance(form, Sum) and form.terms:
        return algebra.combine([(c, diagonal(algebra, part, like)) for c, part in algebra.filled(form)], like.shape)
    if isinstance(form, Chain):
        for i, factor in enumerate(form.factors[:-1], start=1):
            if factor.shape[1] == 1:
                return algebra.mul(algebra.dot(*form.factors[:i]), algebra.flip(algebra.dot(*form.factors[i:])))
    if isinstance(form, Product) and any(f.scalar for f, _ in form.factors):
        wide = algebra.product([(f, n) for f, n in form.factors if not f.scalar])
        return algebra.product(
            [*[(f, n) for f, n in form.factors if f.scalar], (diagonal(algebra, wide, like), Fraction(1))]
        )
    if is_zero(form):
        return zero(like.shape)
    ones = algebra.ones(like)
    return algebra.dot(algebra.mul(form, algebra.apply("diag", ones, shape=form.shape)), ones)


def rows(algebra: Algebra, form: Form, first: int, last: int) -> Form:
    """Some of the rows of a form, counted from 1."""
    height, shape = form.shape[0], (last - first + 1, form.shape[1])
    if (first, last) == (1, height):
        return form
    if isinstance(form, Sum) and (form.cotangents or len(form.terms) <= 1):
        return algebra.combine([(c, rows(algebra, part, first, last)) for c, part in algebra.filled(form)], shape)
    if isinstance(form, Product) and any(f.scalar for f, _ in form.factors):
        return algebra.product([(f if f.scalar else rows(algebra, f, first, last), n) for f, n in form.factors])
    if isinstance(form, Rows):
        return rows(algebra, form.inner, form.first + first - 1, form.first + last - 1)
    if isinstance(form, Padded):
        if form.first <= first and last <= form.last:
            return rows(algebra, form.inner, first - form.first + 1, last - form.first + 1)
        if last < form.first or form.last < first:
            return zero(shape)
    return Rows(shape, form, first, last)


def padded(algebra: Algebra, form: Form, first: int, height: int) -> Form:
    """A form as the rows from `first` on of something with `height` rows."""
    shape = (height, form.shape[1])
    if form.shape[0] == height:
        return form
    if isinstance(form, Sum) and (form.cotangents or len(form.terms) <= 1):
        return algebra.combine([(c, padded(algebra, part, first, height)) for c, part in algebra.filled(form)], shape)
    if isinstance(form, Product) and not form.scalar and any(f.scalar for f, _ in form.factors):
        wide = algebra.product([(f, n) for f, n in form.factors if not f.scalar])
        return algebra.product(
            [*[(f, n) for f, n in form.factors if f.scalar], (Padded(shape, wide, first), Fraction(1))]
        )
    return Padded(shape, form, first)


def into_padded(algebra: Algebra, factors: list[Factor]) -> list[Factor]:
    """A product entry by entry with something padded is padded itself: the other rows are zero."""
    at = next((i for i, (f, n) in enumerate(factors) if isinstance(f, Padded) and n == 1), None)
    wide = [(f, n) for i, (f, n) in enumerate(factors) if i != at and not f.scalar]
    if at is None or not wide:
        return factors
    pad = factors[at][0]
    assert isinstance(pad, Padded)
    cut = [(rows(algebra, f, pad.first, pad.last), n) for f, n in wide]
    inner = algebra.product([(pad.inner, Fraction(1)), *cut])
    scalars = [(f, n) for i, (f, n) in enumerate(factors) if i != at and f.scalar]
    return [*scalars, (Padded(pad.shape, inner, pad.first), Fraction(1))]
