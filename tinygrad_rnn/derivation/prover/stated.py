"""The right-hand side of a gradient equation entry by entry, with every name it reads meaning what it means there.

Forward quantities and gradients stand for themselves at the steps where they exist. A gradient beyond these is 0 if the
file states one there; a helper is put in with its own equations, on the steps that these claim. What is read where
nothing is stated is no proof.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import combinations

from ...language.affine import Affine
from ...language.expressions import Ref
from ...language.syntax.indices import Constraint
from ...language.types.quantities import Key
from ...system.affine_system import Clause
from ...system.domain import Domain
from ...system.existence import uncovered
from ..entries.arithmetic import ZERO, Unprovable, Work, added, of, restricted, scaled
from ..entries.definitions import Definition, Definitions
from ..entries.entry_gradients import EntryGradients
from ..entries.entrywise import as_index
from ..entries.named_functions import matched
from ..entries.slopes import key_of
from ..entries.units import Applied, Entry, Polynomial, Unit
from ..entries.vanishing import without_implied
from .entry_text import EntryText
from .wording import steps

#: so many helpers may be put in one inside the other
DEEPEST_HELPERS = 40


class Stated:
    """What the names in gradient equations of one model mean."""

    def __init__(
        self, book: Definitions, gradients: EntryGradients, work: Work, lengths: Domain, disguised: Mapping[Key, Key]
    ) -> None:
        self.book, self.gradients, self.work = book, gradients, work
        self.disguised = disguised  # helpers that are gradients by another name
        #: those of them that were read
        self.taken: dict[Key, None] = {}
        self.lengths = lengths  # what is asked of them
        self.quantities = book.model.quantities
        self.helpers: list[str] = []
        self._written: dict[int, Definition] = {}
        self._open: list[Key] = []

    def written(self, clause: Clause) -> Definition:
        """A stated equation entry by entry."""
        if id(clause) not in self._written:
            asked = replace(clause, domain=clause.domain & self.lengths)
            definition = self.book.written(asked, self.meaning, self.work)
            self._check(definition)
            self._written[id(clause)] = definition
        return self._written[id(clause)]

    def meaning(self, ref: Ref, places: tuple[Affine, ...], context: Domain) -> Polynomial:
        """An entry of what a name stands for."""
        base = self.quantities.base(ref.key)
        if base is not None:
            if ref.key[1] and not base[1]:
                return self._copy(ref, base, places, context)
            return self._existing(ref, base, places, context, ZERO)
        if ref.key in self.quantities.used:
            return self._existing(ref, ref.key, places, context, None)
        return self._helper(ref, places, context)

    def _existing(
        self, ref: Ref, base: Key, places: tuple[Affine, ...], context: Domain, beyond: Polynomial | None
    ) -> Polynomial:
        """A quantity or gradient where it exists, and elsewhere what the file states beyond the ends."""
        unit = of(Entry(ref.name, ref.indices, places))
        if not ref.key[1]:
            return unit
        steps = self.book.existence.steps(base, ref.indices)
        outside = uncovered(context, steps)
        if not outside:
            return unit
        clauses = self.book.system.gradients.get(ref.key, ())
        claims = [(clause, claim) for clause in clauses for claim in clause.claimed(ref.indices)]
        for part in outside:
            missing = uncovered(part, [claim for _, claim in claims])
            if missing:
                raise _unstated(ref, missing[0], context)
        parts = [self._inside(unit, steps, outside, context)]
        if beyond is None:
            for clause in clauses:
                value = self.book.at(self.written(clause), ref.indices, places, self.work)
                parts += [restricted(value, part) for part in outside]
        return added(parts)

    def _inside(
        self, unit: Polynomial, steps: list[Domain], outside: tuple[Domain, ...], context: Domain
    ) -> Polynomial:
        """A unit on the steps at which it exists, told by one domain if there is one that tells it."""
        for piece in steps:
            if all((part & piece).is_empty for part in outside) and not uncovered(context, [piece, *outside]):
                return without_implied(restricted(unit, piece), context)
        return added([unit, *(scaled(restricted(unit, part), -1) for part in outside)])

    def _copy(self, ref: Ref, base: Key, places: tuple[Affine, ...], context: Domain) -> Polynomial:
        (step,) = ref.indices
        ranges = self.quantities.ranges_of(ref.name)
        missing = uncovered(context, [Domain.of(*ranges[0].constraints(step))])
        if missing:
            raise _unstated(ref, missing[0], context)
        return without_implied(self.gradients.copy(Entry(base[0], (), places), step, self.work), context)

    def _helper(self, ref: Ref, places: tuple[Affine, ...], context: Domain) -> Polynomial:
        """A helper by its own equations, on the steps that these claim."""
        clauses = self.book.system.gradients.get(ref.key, ())
        if ref.key[1]:
            claims = [(clause, claim) for clause in clauses for claim in clause.claimed(ref.indices)]
            missing = uncovered(context, [claim for _, claim in claims])
            if missing:
                raise _unstated(ref, missing[0], context)
            for (one, here), (other, there) in combinations(claims, 2):
                if one.equation is not other.equation and not (context & here & there).is_empty:
                    raise Unprovable(f"it reads {ref}, which is stated twice{_where(context & here & there, context)}")
        base = self.disguised.get(ref.key)
        if base is not None:
            self.taken[ref.key] = None
            return self._gradient(Ref(ref.span, f"d{base[0]}", ref.index, ref.more), base, places, context)
        if ref.key in self._open:
            raise Unprovable(f"the helper {ref.name} is defined by itself")
        if len(self._open) >= DEEPEST_HELPERS:
            raise Unprovable(f"nested too deep: {DEEPEST_HELPERS} helpers are put in one inside the other")
        if ref.name not in self.helpers:
            self.helpers.append(ref.name)
        self._open.append(ref.key)
        definitions = [self.written(clause) for clause in clauses]
        self._open.pop()
        parts = [self.book.at(definition, ref.indices, places, self.work) for definition in definitions]
        return without_implied(added(parts), context)

    def _gradient(self, ref: Ref, base: Key, places: tuple[Affine, ...], context: Domain) -> Polynomial:
        """A gradient where its quantity exists, and 0 beyond."""
        unit = of(Entry(ref.name, ref.indices, places))
        steps = self.book.existence.steps(base, ref.indices)
        outside = uncovered(context, steps)
        return self._inside(unit, steps, outside, context) if outside else unit

    def _check(self, definition: Definition) -> None:
        """That functions and quotients are asked for nothing that is not certain, or that the forward asks for too."""
        for kind, argument, context in definition.asked:
            if self._certain(kind, argument, context):
                continue
            said = EntryText(self.book.model, context).text(argument)
            if kind != "/":
                raise Unprovable(f"{kind}({said}) is defined only where its argument is positive")
            reasons = [self.book.signs.vanishing(unit) for unit in argument.units()]
            why = next((reason for reason in reasons if reason), "and nothing says that this is not 0")
            raise Unprovable(f"it divides by {said}, {why}" if argument else "it divides by 0")

    def _certain(self, kind: str, argument: Polynomial, context: Domain, seen: frozenset[str] = frozenset()) -> bool:
        """Whether what is asked of an argument holds by its form, or is asked by the forward equations too.

        A product is not 0 where no factor is, a root where what it is of is not, a name where what defines it in the
        context is not; `seen` are the names met on the way.
        """
        lies = self.book.signs.ranges.of_polynomial(argument)
        if lies.positive or (kind == "root" and lies.nonnegative) or _counts(argument, context):
            return True
        enough = {"/": ("/", "root", "log"), "root": ("root", "log")}.get(kind, (kind,))
        if self._asked_too(enough, argument, context):
            return True
        if kind != "/" or len(argument.terms) != 1:
            return False
        ((_, factors),) = argument.terms
        return bool(factors) and all(self._never_zero(unit, argument, context, seen) for unit, _ in factors)

    def _asked_too(self, kinds: tuple[str, ...], argument: Polynomial, context: Domain) -> bool:
        """Whether the forward equations ask the same of an argument at every step of a context."""
        there: list[Domain] = []
        for kind in kinds:
            for own, domain in self.book.asked(kind, argument.skeleton, self.work):
                running = {name for name in own.free | domain.variables if not name[0].isupper()}
                values = matched(sorted(running & own.free), own, argument)
                if values is not None:
                    pieces = domain.projected(*sorted(running - own.free))
                    there += [piece.substituted(values) for piece in pieces]
        return bool(there) and not uncovered(context, there)

    def _never_zero(self, unit: Unit, whole: Polynomial, context: Domain, seen: frozenset[str]) -> bool:
        if of(unit) != whole and self._certain("/", of(unit), context, seen):
            return True
        if isinstance(unit, Applied) and unit.function == "^":
            return self._certain("/", unit.argument, context, seen)
        if not isinstance(unit, Entry) or unit.skeleton in seen:
            return False
        for clause in self.book.system.forward.get(key_of(unit), ()):
            if any(context.within(claim) for claim in clause.claimed(unit.times)):
                value = self.book.definition(clause, self.work).value
                return self._certain("/", value, clause.domain, seen | {unit.skeleton})
        return False


def _counts(argument: Polynomial, context: Domain) -> bool:
    """Whether it is an index that is positive in a context: the T-t of `/ (T-t)` for t < T."""
    try:
        return context.implies(Constraint(">=", as_index(argument) - 1))
    except Unprovable:  # it is no index
        return False


def _unstated(ref: Ref, missing: Domain, context: Domain) -> Unprovable:
    return Unprovable(f"it reads {ref}, which nothing states{_where(missing, context)}", missing)


def _where(domain: Domain, context: Domain) -> str:
    where = steps(domain, context)
    return f" where {where}" if where else ""
