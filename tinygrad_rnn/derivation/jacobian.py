"""The Jacobian of one step, read off a share: what stands before `dw` in dv is the transpose of dw/dv."""

from __future__ import annotations

from ..core.errors import DerivationError
from ..language import parse
from ..language.affine import Affine
from ..language.expressions import Expr, Ref
from ..language.syntax.indices import Constraint
from ..system import Domain
from .adjoint import Share
from .algebra import Algebra
from .forms import Chain, Form, Product, Symbol, terms_of
from .gradients import Gradients
from .writing import DIAG, EquationWriter


def jacobian(gradients: Gradients, of: str, by: str) -> Expr:
    """The matrix of derivatives of `of` by `by`, two quantities at their steps, as `h[t+1]` and `h[t]`."""
    algebra, writer = gradients.algebra, EquationWriter(gradients.model, DIAG)
    reader, read = (_quantity(gradients, written) for written in (of, by))
    forms = []
    for share in gradients.shares.get(read.key, []):
        if share.cotangent is None or share.cotangent.name != gradients.reader.prefix + reader.name:
            continue
        form = _at(share, read.indices, reader.indices, algebra)
        if form is not None:
            forms.append(form)
    if not forms:
        raise DerivationError(f"{of} does not read {by} directly; keep both names, and every name in between goes")
    variables = sorted({name for index in (*reader.indices, *read.indices) for name in index.running})
    return writer.expr(_before_gradient(algebra.add(*forms), algebra), Domain.of(), variables)


def _quantity(gradients: Gradients, written: str) -> Ref:
    """Name and steps of `h[t+1]`."""
    indices = gradients.model.document.indices
    header = "indices: " + ", ".join(f"{name} = {within}" for name, within in indices.items())
    rhs = parse(f"{header}\nq[{', '.join(indices)}] = {written}\n").forward[0].rhs
    if not isinstance(rhs, Ref):
        raise DerivationError(f"{written!r} is not a quantity at a step, as h[t+1] is")
    return rhs


def _at(share: Share, read: tuple[Affine, ...], reader: tuple[Affine, ...], algebra: Algebra) -> Form | None:
    """The share's form where it goes from one step to the other; None where it does not."""
    assert share.cotangent is not None
    if len(read) != len(share.pattern) or len(reader) != len(share.cotangent.indices):
        return None
    pairs = [*zip(share.pattern, read, strict=True), *zip(share.cotangent.indices, reader, strict=True)]
    equal = Domain.of(*(Constraint("=", own - other) for own, other in pairs))
    form = share.form
    for name in share.variables:
        value = equal.value_of(name)
        if value is None:
            return None
        equal = equal.substituted({name: value})
        form = algebra.substituted(form, {name: value})
    # a step that is asked for in general is not one that only the end has
    return form if not equal.constraints else None


def _before_gradient(form: Form, algebra: Algebra) -> Form:
    """The matrix J for a sum of terms `J.T @ dw`."""
    return algebra.combine([(c, algebra.flip(_before(part, algebra))) for c, part in terms_of(form)])


def _before(form: Form, algebra: Algebra) -> Form:
    """The matrix that multiplies the gradient in a term linear in it."""
    if isinstance(form, Symbol) and form.cotangent:
        return algebra.apply("diag", algebra.ones(form), shape=(form.shape[0], form.shape[0]))
    if isinstance(form, Product):
        inner = [f for f, n in form.factors if f.cotangents and n == 1]
        rest = algebra.product([(f, n) for f, n in form.factors if not f.cotangents])
        if len(inner) == 1 and form.shape[1] == 1:
            scale = rest
            if not rest.scalar:
                scale = algebra.apply("diag", rest, shape=(form.shape[0], form.shape[0]))
            if isinstance(inner[0], Symbol):
                return scale if not rest.scalar else algebra.mul(rest, _before(inner[0], algebra))
            if rest.scalar:
                return algebra.mul(rest, _before(inner[0], algebra))
            return algebra.dot(scale, _before(inner[0], algebra))
    if isinstance(form, Chain) and form.factors[-1].cotangents:
        last = form.factors[-1]
        before = form.factors[:-1]
        return algebra.dot(*before) if isinstance(last, Symbol) else algebra.dot(*before, _before(last, algebra))
    raise DerivationError("this Jacobian is no product of matrices and diagonals")
