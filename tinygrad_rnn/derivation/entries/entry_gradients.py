"""The gradient of a quantity entry by entry: the sum of what every equation that reads it hands back.

The gradients that a file speaks of stay as they are (`kept`); those of all other quantities are put in.
"""

from __future__ import annotations

from ...language.affine import Affine, affine
from ...language.syntax.indices import Constraint
from ...language.types.quantities import Key
from ...system.affine_system import Clause
from .arithmetic import ONE, ZERO, Unprovable, Work, added, multiplied, of
from .definitions import Definitions
from .slopes import key_of, slope
from .sums import polynomial_renamed, substituted, summed
from .units import Entry, Polynomial

#: so many quantities may lie between one and the nearest whose gradients are kept: each is put in inside the last
LONGEST_CHAIN = 100


class EntryGradients:
    """The gradients of one model, each worked out when it is first needed."""

    def __init__(self, book: Definitions, kept: frozenset[Key] | None = None) -> None:
        self.book, self.kept = book, book.kept if kept is None else kept
        self._gradients: dict[Key, tuple[Polynomial, tuple[str, ...]]] = {}

    def of(self, target: Entry, work: Work, path: tuple[Key, ...] = ()) -> Polynomial:
        """The derivative of the loss by an entry of a quantity, in the gradients of the `kept` quantities.

        It is the sum over everything that reads the entry. Raises `Unprovable` where it goes round through gradients
        that are not kept, and where too many of these are put in one inside the other.
        """
        key = key_of(target)
        if key == self.book.model.quantities.loss:
            return ONE
        if key in path:
            names = ", ".join(f"d{name}" for name, _ in (*path[path.index(key) :], key))
            raise Unprovable(f"gradients that are stated nowhere go round: {names}")
        if len(path) >= LONGEST_CHAIN:
            first, last = path[0][0], path[-1][0]
            raise Unprovable(
                f"nested too deep: between d{first} and d{last} {LONGEST_CHAIN} gradients are put in one inside the "
                "other, because none of them is stated"
            )
        if key not in self._gradients:
            before = set(work.assumptions)
            value = self._gradient(key, work, (*path, key))
            self._gradients[key] = value, tuple(told for told in work.assumptions if told not in before)
        value, assumed = self._gradients[key]
        work.assumptions.update(dict.fromkeys(assumed))
        indices = [affine(f"n~{at}") for at in range(len(target.times))]
        places, _ = self.book.places(key)
        values = {str(a): b for a, b in zip((*indices, *places), (*target.times, *target.entries), strict=True)}
        return substituted(value, values, work)

    def _gradient(self, key: Key, work: Work, path: tuple[Key, ...]) -> Polynomial:
        axes = len(self.book.model.quantities.axes_named(key[0])) if key[1] else 0
        names = tuple(affine(f"n~{at}") for at in range(axes))
        target = Entry(key[0], names, self.book.places(key)[0])
        return added(self._share(clause, target, work, path) for clause in self.book.readers.get(key, ()))

    def _share(
        self, clause: Clause, target: Entry, work: Work, path: tuple[Key, ...], step: Affine | None = None
    ) -> Polynomial:
        """What one equation that reads a quantity hands back to it (what it does at one `step`)."""
        definition = self.book.definition(clause, work)
        away = {name: affine(work.fresh()) for name in definition.variables}
        value = slope(polynomial_renamed(definition.value, away), target, work)
        if not value:
            return ZERO
        key = clause.equation.target.key
        indices = tuple(form.substituted(away) for form in clause.indices)
        reader = Entry(key[0], indices, tuple(form.substituted(away) for form in definition.entries))
        if key == self.book.model.quantities.loss:
            cotangent = ONE
        elif key in self.kept:
            cotangent = of(Entry(f"d{key[0]}", reader.times, reader.entries))
        else:
            cotangent = self.of(reader, work, path)
        domain = definition.domain.substituted(away)
        if step is not None:
            domain = domain.where(Constraint("=", indices[0] - step))
        return summed(multiplied([value, cotangent], work), [str(form) for form in away.values()], domain, work)

    def copy(self, target: Entry, step: Affine, work: Work) -> Polynomial:
        """What one step contributes to the gradient of a parameter: the share of the equations of that step."""
        readers = self.book.readers.get(key_of(target), [])
        if any(len(clause.indices) != 1 for clause in readers):
            raise Unprovable(f"what one step of {target.name} contributes, where an equation reads it that has no step")
        return added(self._share(clause, target, work, (), step) for clause in readers)
