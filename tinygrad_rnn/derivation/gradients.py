"""All gradients of a model in one vocabulary: shares composed, and the regions on which each gradient is one form."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

from ..core.errors import DerivationError
from ..language import Model
from ..language.affine import Affine, affine
from ..language.syntax.indices import Constraint, Range
from ..system import Domain, System
from .adjoint import Key, Share
from .algebra import RULES, Algebra
from .compose import Adjoint, reader_of, without_zeros
from .from_expressions import Reader
from .limits import Limits
from .named_quotients import Quotients, distributions, means
from .regions import Region, regions_of
from .vocabulary import vocabulary


class Gradients:
    """The gradients of a model's loss, for every length, in terms of those of the names in `keep`.

    `keep` as asked, or what the model's own gradients speak of; `rules` are those of the normal form (all of them
    unless told otherwise); `fine` leaves common factors multiplied in, so that there are more and smaller terms. Raises
    `DerivationError` for a name that nothing computes, and for what has no derivative here.
    """

    def __init__(
        self, model: Model, keep: Collection[str] | None = None, fine: bool = False, rules: Iterable[str] = RULES
    ) -> None:
        self.model = model
        if model.convention.samples:
            told = "names of this file are matrices with a column for each sample (batch: columns)"
            raise DerivationError(f"{told}: without that line its equations hold for each sample, and are derived")
        rules = [rule for rule in rules if not (fine and rule == "factor")]
        self.system = System.of(model)
        asked = vocabulary(model, self.system) if keep is None else _checked(keep, self.system, model)
        self.reader = Reader(model, Algebra(rules))
        self.reader.algebra.by_rows = model.convention.rows
        self.algebra = Algebra(rules, naming=Quotients(self.system, self.reader))
        self.reader.algebra = self.algebra
        self.algebra.by_rows = model.convention.rows
        self.algebra.distributions = distributions(model)
        self.algebra.means = means(self.system, self.reader)
        self.limits = Limits()
        with self.limits.running():
            self.adjoint = Adjoint(self.system, self.reader, asked, self.limits)
        self.shares = without_zeros(self.adjoint.shares, self.adjoint.kept)
        self._regions: dict[Key, tuple[Region, ...]] = {}

    def axes(self, key: Key) -> tuple[str, ...]:
        """The index variables of a quantity, as its own equation calls them."""
        if not key[1]:
            return ()
        for clause in self.system.forward.get(key, ()):
            simple = all(index.simple and index.running and not index.constant for index in clause.indices)
            if simple:
                return tuple(str(index.variable) for index in clause.indices)
        names = self.model.quantities.axes_named(key[0])
        others = [name for name in self.model.document.indices if name not in names]
        return tuple(name if name not in names[:place] else others.pop(0) for place, name in enumerate(names))

    def regions(self, key: Key) -> tuple[Region, ...]:
        """The gradient of a quantity at all of its steps, as regions that exclude each other and cover the steps at
        which an equation defines it or something reads it.
        """
        if key not in self._regions:
            axes = self.axes(key)
            steps = [affine(axis) for axis in axes]
            clauses = [clause for clause in self.system.forward.get(key, ()) if self.adjoint.hands_back(clause)]
            defined = [piece for clause in clauses for piece in clause.claimed(steps)]
            self._regions[key] = self._cut(key, axes, self.shares.get(key, []), defined)
        return self._regions[key]

    def copies(self, name: str) -> tuple[Region, ...]:
        """What each step adds to a parameter's gradient: that of its copy, dW[t]."""
        shares = [replace(share, pattern=share.place) for share in self.shares.get((name, False), [])]
        axes = self.model.quantities.axes_named(f"d{name}")
        return self._cut((name, False), axes, [share for share in shares if len(share.pattern) == len(axes)], [])

    def _cut(
        self, key: Key, axes: Sequence[str], shares: Sequence[Share], defined: Sequence[Domain]
    ) -> tuple[Region, ...]:
        indices = self.model.document.indices
        bounds = [bound for axis in axes for bound in indices.get(axis, Range()).constraints(affine(axis))]
        with self.limits.running():
            self.limits.check(key[0])
            regions = regions_of(shares, axes, _apart(defined), Domain.of(*bounds), self.algebra)
        nothing = self.algebra.combine([], self.model.shapes_.names[key])
        return tuple(region if region.shares else replace(region, form=nothing) for region in regions)

    def is_read(self, key: Key, region: Region) -> bool:
        """Whether another equation reads this gradient at a step of the region."""
        for shares in self.shares.values():
            for share in shares:
                if share.cotangent is not None and reader_of(share) == key:
                    pairs = zip(region.indices, share.cotangent.indices, strict=True)
                    equal = [Constraint("=", own - read) for own, read in pairs]
                    if not (share.domain & region.domain).where(*equal).is_empty:
                        return True
        return False


def placed(region: Region, indices: Sequence[Affine], algebra: Algebra) -> Region | None:
    """The region written in the variables of other indices for the same steps; None where they have no step in common.

    Raises `DerivationError` where the steps can't be written in these variables, as those of dh[2*n+1] in dh[t].
    """
    # apart from the names in `indices`, which may be the same
    renamed = {name: affine(f"{name}~own~") for name in region.variables}
    own = [index.substituted(renamed) for index in region.indices]
    equal = [Constraint("=", index - other) for index, other in zip(own, indices, strict=True)]
    domain = region.domain.substituted(renamed).where(*equal)
    if domain.is_empty:
        return None
    form = algebra.substituted(region.form, renamed)
    same = Domain.of(*equal)  # h[t] rather than h[T], where the region is that one step
    for other in renamed.values():
        name = str(other.variable)
        value = same.value_of(name) or domain.value_of(name)
        if value is None:
            raise DerivationError(f"the steps {', '.join(map(str, region.indices))} can't be written here")
        domain = domain.substituted({name: value})
        form = algebra.substituted(form, {name: value})
    return replace(region, indices=tuple(indices), domain=domain, form=form)


def _apart(domains: Sequence[Domain]) -> list[Domain]:
    """The same tuples as domains that exclude each other."""
    found: list[Domain] = []
    for domain in domains:
        left: tuple[Domain, ...] = (domain,)
        for other in found:
            left = tuple(rest for part in left for rest in part.minus(other))
        found += left
    return found


def _checked(keep: Collection[str], system: System, model: Model) -> list[str]:
    names = [keep] if isinstance(keep, str) else list(keep)
    known = dict.fromkeys(key[0] for key in system.forward if key != model.quantities.loss)
    for name in names:
        if name not in known:
            raise DerivationError(f"keep: nothing computed is called {name!r}; names are {', '.join(sorted(known))}")
    return names
