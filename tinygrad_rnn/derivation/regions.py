"""From shares to equations: the gradient at each index, as regions on which the same shares are active.

The steps of a quantity are cut wherever a share begins or ends, so that boundary cases fall out with no case logic;
what remains of a share's variables is summed over. Neighbouring regions that say the same become one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import product as combinations
from math import lcm

from ..language.affine import Affine, affine
from ..language.syntax.indices import Constraint
from ..system import Domain
from .adjoint import Share
from .algebra import Algebra
from .forms import Form
from .index_sums import together

#: a domain, whether equations define the quantity there, and the shares that are active
Piece = tuple[Domain, bool, tuple[Share, ...]]


@dataclass(frozen=True)
class Region:
    """The gradient at the steps `indices` is `form`, for the values of their variables in `domain`.

    `shares` are those that make it up, solved for the variables; `defined` says whether an equation defines the
    quantity there (h[0] may be read, and so have a gradient, where none does), `inside` whether the variables are
    within their ranges.
    """

    indices: tuple[Affine, ...]
    domain: Domain
    shares: tuple[Share, ...]
    form: Form
    defined: bool = True
    inside: bool = True

    @property
    def variables(self) -> tuple[str, ...]:
        """The index variables of the steps."""
        return tuple(name for index in self.indices for name in index.running)

    @property
    def fixed(self) -> dict[str, Affine]:
        """The variables that have one value on the whole region: t = T."""
        values = {name: self.domain.value_of(name) for name in self.variables}
        return {name: value for name, value in values.items() if value is not None and value.fixed}

    @property
    def values(self) -> dict[str, Affine]:
        """What may be written in the place of variables: T where t = T, t where s = t."""
        values: dict[str, Affine] = {}
        for place, name in reversed(list(enumerate(self.variables))):
            value = self.domain.substituted(values).value_of(name)
            if value is not None and set(value.running) <= set(self.variables[:place]):
                values[name] = value
        return values

    @property
    def only_at(self) -> tuple[Constraint, ...]:
        """What is said of the lengths alone once `values` are put in."""
        domain = self.domain.substituted(self.values)
        return tuple(constraint for constraint in domain.constraints if not constraint.affine.running)

    def told(self, known: Domain) -> tuple[dict[str, Affine], Domain]:
        """The values that are written, and what is to be said of the other variables; `known` is what is known of the
        lengths.

        A step that is the last one of even sequences only is written t, for t = T and t % 2 = 0.
        """
        values = self.values
        domain = self.domain.substituted(values).simplified(known)
        lengths = [c for c in domain.constraints if not c.affine.running]
        fixed = {name: value for name, value in values.items() if value.fixed and len(value.terms) == 1}
        if not lengths or not fixed:
            return values, domain
        name, value = next(iter(fixed.items()))
        length = affine(name) - value.constant  # T is t, where t = T
        moved = [c.substituted({str(value.variable): length}) if c in lengths else c for c in domain.constraints]
        values = {other: kept for other, kept in values.items() if other != name}
        return values, Domain.of(*moved, Constraint("=", affine(name) - value))


def regions_of(
    shares: Sequence[Share], axes: Sequence[str], defined: Sequence[Domain], ranges: Domain, algebra: Algebra
) -> tuple[Region, ...]:
    """The regions of one quantity, whose indices are called `axes` and run over `ranges`; `defined` is where equations
    define it.
    """
    if not axes:
        return (Region((), Domain.of(), tuple(shares), together(shares, Domain.of(), algebra)),)
    scales = [_scale(shares, place) for place in range(len(axes))]
    regions: list[Region] = []
    for residues in combinations(*map(range, scales)):
        indices = tuple(affine(axis, rest, scale) for axis, rest, scale in zip(axes, residues, scales, strict=True))
        regions += _regions_at(indices, shares, axes, defined, ranges, algebra)
    return tuple(merged(regions, algebra))


def _scale(shares: Sequence[Share], place: int) -> int:
    """How the index at a place has to be written so that every pattern is solved: as 2n and 2n+1 where h[2*n] is
    read.
    """
    found = 1
    for share in shares:
        counts = [abs(count) for name, count in share.pattern[place].terms if not name[0].isupper()]
        if counts and min(counts) > 1:
            found = lcm(found, min(counts))
    return found


def _regions_at(
    indices: tuple[Affine, ...],
    shares: Sequence[Share],
    axes: Sequence[str],
    defined: Sequence[Domain],
    ranges: Domain,
    algebra: Algebra,
) -> list[Region]:
    at = dict(zip(axes, indices, strict=True))
    pieces: list[Piece] = [(domain.substituted(at), True, ()) for domain in defined]
    pieces = [piece for piece in pieces if not piece[0].is_empty]
    for share in shares:
        equal = [Constraint("=", index - pattern) for index, pattern in zip(indices, share.pattern, strict=True)]
        domain = share.domain.where(*equal)
        if domain.is_empty:
            continue
        solved = replace(share, domain=domain).solved(algebra, frozenset(axes))
        for guard in solved.domain.projected(*solved.variables):
            if solved.variables:
                guard = _relaxed(guard, ranges)
            pieces = _cut(pieces, guard, solved)
    regions = []
    for domain, known, active in pieces:
        for part, inside in [(domain & ranges, True), *((rest, False) for rest in domain.minus(ranges))]:
            if not part.is_empty:
                simple = part.simplified()
                regions.append(Region(indices, simple, active, together(active, simple, algebra), known, inside))
    return regions


def _relaxed(guard: Domain, ranges: Domain) -> Domain:
    """The guard of a sum without what depends on another length than the range of the index does: a sum that is empty
    there, because S is larger than T, is zero anyway.
    """
    own = {name for name in ranges.variables if name[0].isupper()}
    return Domain.of(*(c for c in guard.constraints if own.issuperset(c.affine.lengths)))


def restaged(region: Region, shares: Sequence[Share], algebra: Algebra) -> Form:
    """The form of a region in another algebra, whose shares of the same origin these are."""
    origins = {share.origin for share in region.shares}
    found: list[Share] = []
    for share in shares:
        pairs = zip(region.indices, share.pattern, strict=True)
        domain = share.domain.where(*(Constraint("=", index - pattern) for index, pattern in pairs))
        if share.origin in origins and not (domain & region.domain).is_empty:
            found.append(replace(share, domain=domain).solved(algebra, frozenset(region.variables)))
    return together(found, region.domain, algebra)


def _cut(pieces: Iterable[Piece], guard: Domain, share: Share) -> list[Piece]:
    """The pieces with a share active where its guard holds; what no piece covers yet becomes a piece of its own."""
    result: list[Piece] = []
    left: tuple[Domain, ...] = (guard,)
    for domain, defined, active in pieces:
        left = tuple(rest for part in left for rest in part.minus(domain))
        inside = domain & guard
        if inside.is_empty or any(other is share for other in active):
            result.append((domain, defined, active))
            continue
        outside = domain.minus(guard)
        result.append((domain if not outside else inside, defined, (*active, share)))
        result += [(rest, defined, active) for rest in outside]
    return result + [(rest, False, (share,)) for rest in left if not rest.is_empty]


# -- merging ----------------------------------------------------------------------------------------------------------
def merged(regions: Sequence[Region], algebra: Algebra) -> list[Region]:
    """Cells that say the same, after the values fixed in one are put in, and whose domains make one."""
    found = list(regions)
    progress = True
    while progress:
        progress = False
        for one, other in ((a, b) for a in found for b in found if a is not b):
            joined = _joined(one, other, algebra)
            if joined is not None:
                found = [joined if region is other else region for region in found if region is not one]
                progress = True
                break
    return found


def _joined(one: Region, other: Region, algebra: Algebra) -> Region | None:
    """One region for both: in the form of `other`, whose values at the fixed steps of `one` are those of `one`."""
    if (
        one.indices != other.indices
        or (one.defined, one.inside) != (other.defined, other.inside)
        or len(other.fixed) > len(one.fixed)
    ):
        return None
    if Counter(s.name for s in one.form.cotangents) != Counter(s.name for s in other.form.cotangents):
        return None
    fixed = one.fixed
    if algebra.substituted(one.form, fixed).key != algebra.substituted(other.form, fixed).key:
        return None
    domain = one.domain.joined(other.domain)
    return None if domain is None else replace(other, domain=domain)
