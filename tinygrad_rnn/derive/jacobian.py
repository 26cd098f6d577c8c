"""The Jacobian of one step, read off a gradient: what stands before `dw` in dv is the transpose of dw/dv."""

from __future__ import annotations

from ..core.errors import DerivationError
from .algebra import Algebra, Apply, Chain, Form, Product, Sum, Symbol


def jacobian_form(share: Form, algebra: Algebra) -> Form:
    """The matrix J for a contribution `J.T @ dw`; raises `DerivationError` when it is no product with matrices.

    Shapes: rows of w by rows of v.
    """
    terms = share.terms if isinstance(share, Sum) else ((1.0, share),)
    return algebra.combine([(c, algebra.flip(_before(part, algebra))) for c, part in terms])


def _before(form: Form, algebra: Algebra) -> Form:
    """The matrix that multiplies the gradient in a term linear in it."""
    n = form.cotangents[0].shape[0] if form.cotangents else 0
    if isinstance(form, Symbol) and form.cotangent:
        return Apply((n, n), "diag", (algebra.apply("ones_like", form),))
    if isinstance(form, Product):
        inner = [f for f, power in form.factors if f.cotangents and power == 1.0]
        rest = algebra.product([(f, power) for f, power in form.factors if not f.cotangents])
        if len(inner) == 1:
            scale = Apply((form.shape[0], form.shape[0]), "diag", (rest,))
            return scale if isinstance(inner[0], Symbol) else algebra.dot(scale, _before(inner[0], algebra))
    if isinstance(form, Chain) and form.factors[-1].cotangents:
        last = form.factors[-1]
        return (
            algebra.dot(*form.factors[:-1])
            if isinstance(last, Symbol)
            else algebra.dot(*form.factors[:-1], _before(last, algebra))
        )
    raise DerivationError("this Jacobian is no product of matrices and diagonals")
