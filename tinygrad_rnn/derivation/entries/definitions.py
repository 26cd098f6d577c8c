"""The forward equations of a model entry by entry, as they are written: what a proof takes for granted.

What follows from them stands beside this: gradients in `gradients`, names for functions in `names`, signs in `signs`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from ...core.memory import weakly
from ...language import Model
from ...language.affine import Affine, affine
from ...language.expressions import Ref
from ...language.syntax.indices import Constraint
from ...language.types.quantities import Key, refs
from ...system.affine_system import Clause, System
from ...system.domain import Domain
from ...system.existence import Existence
from .arithmetic import Work, added, of, restricted
from .entrywise import EntryReader, entries, one_hot
from .signs import Signs
from .sizes import Sizes
from .slopes import key_of
from .sums import polynomial_renamed, summed
from .units import Entry, Polynomial

ROW, COLUMN = affine("r~"), affine("c~")


@dataclass(frozen=True)
class Definition:
    """`target[indices](entries) = value` on a domain of `variables`, which run through the indices and the entries."""

    clause: Clause
    entries: tuple[Affine, ...]
    domain: Domain
    value: Polynomial
    #: what functions and quotients in it ask of their arguments, and where: (function, argument, domain)
    asked: tuple[tuple[str, Polynomial, Domain], ...]
    assumed: tuple[str, ...]

    @property
    def variables(self) -> tuple[str, ...]:
        """The variables of the indices and of the entries."""
        return (*self.clause.variables, *(str(form) for form in self.entries))


class Definitions:
    """The forward equations of one model as polynomials, each worked out when it is first needed."""

    def __init__(self, model: Model, kept: Iterable[Key] = ()) -> None:
        self.model, self.system = model, System.of(model)
        self.sizes = Sizes(model)
        self.existence = Existence(self.system.forward)
        quantities = model.quantities
        kinds = quantities.labels
        self.labels = frozenset([one_hot(name) for name, _ in quantities.classes])
        self.labels |= frozenset(name for (name, _), kind in kinds.items() if kind == "one-hot")
        self.simplex = self.labels | frozenset(name for name, _ in kinds)
        self.signs = Signs(model, self.system, self.existence, self.labels, weakly(self._value))
        self._definitions: dict[int, Definition] = {}
        self._asked: dict[tuple[str, str], list[tuple[Polynomial, Domain]]] | None = None
        #: the equations that read a quantity
        self.readers: dict[Key, list[Clause]] = {}
        for clauses in self.system.forward.values():
            for clause in clauses:
                for key in dict.fromkeys(ref.key for ref in refs(clause.equation)):
                    self.readers.setdefault(key, []).append(clause)
        named = [e.target.key for e in model.gradients] + [r.key for e in model.gradients for r in refs(e)]
        bases = {key: quantities.base(key) for key in named}
        #: the quantities whose gradients the file speaks of; those of the others are put in
        self.kept = frozenset(base for key, base in bases.items() if base is not None and base[1] == key[1]) | set(kept)

    def _length(self, key: Key) -> Affine | None:
        """The number of entries of a column, or of a row."""
        rows, columns = self.sizes.quantity(key)
        return columns if rows is None else rows

    def work(self, terms: int, seconds: float) -> Work:
        """What a proof about this model may use."""
        rows = {("rows", one_hot(key[0])): self._length(key) for key in self.model.quantities.classes}
        rows |= {("rows", key[0]): self._length(key) for key in self.model.quantities.labels}
        return Work(
            terms,
            seconds,
            positive=self.signs.positive,
            vanishing=self.signs.vanishing,
            labels=self.labels,
            simplex=self.simplex,
            cache=dict(rows),
        )

    # -- definitions --------------------------------------------------------------------------------------------------
    def places(self, key: Key) -> tuple[tuple[Affine, ...], Domain]:
        """The entries of a quantity as variables, and what these run over."""
        found: list[Affine] = []
        constraints: list[Constraint] = []
        for form, size in zip((ROW, COLUMN), self.sizes.quantity(key), strict=True):
            if size is not None:
                found.append(form)
                constraints += entries(str(form), size).constraints
        return tuple(found), Domain.of(*constraints)

    def definition(self, clause: Clause, work: Work) -> Definition:
        """A forward equation entry by entry, as it is written."""
        if id(clause) not in self._definitions:
            self._definitions[id(clause)] = self.written(clause, _as_entry, work)
        definition = self._definitions[id(clause)]
        work.assumptions.update(dict.fromkeys(definition.assumed))
        return definition

    def _value(self, clause: Clause) -> Polynomial:
        """The right-hand side of a forward equation entry by entry, whatever it costs."""
        return self.definition(clause, self.work(200_000, 60.0)).value

    def written(
        self, clause: Clause, meaning: Callable[[Ref, tuple[Affine, ...], Domain], Polynomial], work: Work
    ) -> Definition:
        """An equation entry by entry, with a meaning for the names it reads."""
        key = clause.equation.target.key
        places, domain = self.places(self.model.quantities.base(key) or key)
        before = set(work.assumptions)
        reader = EntryReader(self.sizes, meaning, work)
        row, column = self._row_and_column(key, places)
        value = reader.entry(clause.equation.rhs, row, column, clause.domain)
        assumed = tuple(told for told in work.assumptions if told not in before)
        return Definition(clause, places, clause.domain & domain, value, tuple(reader.asked), assumed)

    def _row_and_column(self, key: Key, places: tuple[Affine, ...]) -> tuple[Affine | None, Affine | None]:
        rows, columns = self.sizes.quantity(self.model.quantities.base(key) or key)
        return (ROW if rows is not None else None), (COLUMN if columns is not None else None)

    def at(
        self, definition: Definition, indices: tuple[Affine, ...], places: tuple[Affine, ...], work: Work
    ) -> Polynomial:
        """A definition at certain indices and entries, on the part of them for which it holds."""
        away = {name: affine(work.fresh()) for name in definition.variables}
        value = polynomial_renamed(definition.value, away)
        own = [form.substituted(away) for form in (*definition.clause.indices, *definition.entries)]
        equal = [Constraint("=", a - b) for a, b in zip(own, (*indices, *places), strict=True)]
        domain = definition.clause.domain.substituted(away).where(*equal)
        return summed(value, [str(form) for form in away.values()], domain, work)

    def put_in(self, unit: Entry, work: Work) -> Polynomial | None:
        """An entry of a forward quantity as its equations have it, itself where none defines it; None for a leaf."""
        clauses = self.system.forward.get(key_of(unit))
        if clauses is None:
            return None
        parts = [self.at(self.definition(clause, work), unit.times, unit.entries, work) for clause in clauses]
        rest: tuple[Domain, ...] = (Domain.of(),)
        for clause in clauses:
            for claim in clause.claimed(unit.times):
                rest = tuple(part for domain in rest for part in domain.minus(claim))
        return added([*parts, *(restricted(of(unit), domain) for domain in rest)])

    def asked(self, kind: str, skeleton: str, work: Work) -> Sequence[tuple[Polynomial, Domain]]:
        """What the forward equations ask to be positive, or not 0 (`kind`), of one form, and where they ask it."""
        if self._asked is None:
            self._asked = {}
            for clauses in self.system.forward.values():
                for clause in clauses:
                    for own, argument, domain in self.definition(clause, work).asked:
                        self._asked.setdefault((own, argument.skeleton), []).append((argument, domain))
        return self._asked.get((kind, skeleton), ())


def _as_entry(ref: Ref, places: tuple[Affine, ...], context: Domain) -> Polynomial:
    return of(Entry(ref.name, ref.indices, places))
