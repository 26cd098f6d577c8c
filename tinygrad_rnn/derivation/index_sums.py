"""Sums over the index variables that remain in a share: bounds, values that are the only ones, sums that are one sum.

A sum whose variable has one value is that value; a body without its variable is counted; sums with the same variables
and bounds become one sum of the added bodies; sums of the same body over neighbouring steps become one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ..language.affine import Affine, affine
from ..system import Domain
from .adjoint import Share
from .algebra import Algebra
from .forms import Form


@dataclass(frozen=True)
class _Summed:
    """`body` summed over `variables` (the first one outermost) in `domain`."""

    variables: tuple[str, ...]
    domain: Domain
    body: Form


def together(shares: Sequence[Share], context: Domain, algebra: Algebra) -> Form:
    """All shares that are active on a domain, added up."""
    whole: list[Form] = []
    sums: list[_Summed] = []
    names = [name for name in context.variables if not name[0].isupper()]
    fixed = {name: value for name in names if (value := context.value_of(name)) is not None}
    for share in shares:
        solved = share.solved(algebra, context.variables)
        if solved.variables:
            # t = T leaves one value only of k = t..T
            solved = replace(solved, domain=solved.domain.substituted(fixed)).solved(algebra)
        if solved.variables:
            sums.append(_aligned(solved, context, algebra))
        else:
            whole.append(solved.form)
    return algebra.add(*whole, *(_written(summed, context, algebra) for summed in _joined(sums, algebra)))


def _aligned(share: Share, context: Domain, algebra: Algebra) -> _Summed:
    """The share with its variables counted from the step of its gradient: sum(t, da[t] @ ...), not da[t-1]."""
    if share.cotangent is not None:
        for index in share.cotangent.indices:
            name = index.variable
            if name in share.variables and index.simple and index.constant and name is not None:
                share = _shifted(share, name, index, algebra)
    order = _ordered(share)
    return _Summed(order, share.domain.simplified(context), share.form)


def _shifted(share: Share, name: str, index: Affine, algebra: Algebra) -> Share:
    return replace(share.substituted({name: affine(name, -index.constant)}, algebra), variables=share.variables)


def _ordered(share: Share) -> tuple[str, ...]:
    """The variables in the order in which the gradient names them, then as they come."""
    named = [name for index in (share.cotangent.indices if share.cotangent else ()) for name in index.running]
    return tuple(dict.fromkeys([*[name for name in named if name in share.variables], *share.variables]))


def _joined(sums: Sequence[_Summed], algebra: Algebra) -> list[_Summed]:
    """Sums over the same steps as one; then sums of one body over steps that make one domain."""
    groups: dict[str, _Summed] = {}
    for summed in sums:
        key = f"{len(summed.variables)} {_placed(summed, str(summed.domain))}"
        if key in groups:
            first = groups[key]
            values = {old: affine(new) for old, new in zip(summed.variables, first.variables, strict=True)}
            body = algebra.add(first.body, algebra.substituted(summed.body, values))
            groups[key] = _Summed(first.variables, first.domain, body)
        else:
            groups[key] = summed
    return _neighbours(list(groups.values()), algebra)


def _neighbours(sums: list[_Summed], algebra: Algebra) -> list[_Summed]:
    progress = len(sums) > 1
    while progress:
        progress = False
        for one, other in ((a, b) for i, a in enumerate(sums) for b in sums[i + 1 :]):
            if len(one.variables) != len(other.variables) or _placed(one, one.body.key) != _placed(
                other, other.body.key
            ):
                continue
            values = {old: affine(new) for old, new in zip(other.variables, one.variables, strict=True)}
            domain = one.domain.joined(other.domain.substituted(values))
            if domain is not None:
                sums = [summed for summed in sums if summed is not one and summed is not other]
                sums.append(_Summed(one.variables, domain, one.body))
                progress = True
                break
    return sums


def _placed(summed: _Summed, said: str) -> str:
    """A text with the bound variables called by their place."""
    for place, name in enumerate(summed.variables):
        said = said.replace(name, f"${place}")
    return said


def _written(summed: _Summed, context: Domain, algebra: Algebra) -> Form:
    """The sum as a form, the innermost variable first; each has the bounds that those around it leave."""
    form = summed.body
    for place in reversed(range(len(summed.variables))):
        name, later = summed.variables[place], summed.variables[place + 1 :]
        shadows = summed.domain.projected(*later)
        domain = (shadows[0] if len(shadows) == 1 else summed.domain).simplified(context)
        own = [c for c in domain.constraints if c.affine.coefficient(name) and not set(later) & {*c.affine.variables}]
        rest = [c for c in domain.constraints if c not in own]
        form = algebra.total("sum", name, own, form, Domain.of(*context.constraints, *rest))
    return form
