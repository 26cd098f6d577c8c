"""What is known of the sign of a unit: between which numbers it lies, and whether it can be 0 for many arguments."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable
from fractions import Fraction

from ...core.memory import weakly
from ...language import Model
from ...language.affine import affine
from ...language.types.quantities import Key
from ...system.affine_system import Clause, System
from ...system.domain import Domain
from ...system.existence import Existence
from .arithmetic import Unprovable
from .ranges import REAL, Interval, Ranges
from .slopes import key_of
from .units import Applied, Bound, Entry, Polynomial, Repeated, Unit


class Signs:
    """The signs of the units of one model, by what its quantities are defined as.

    `value` is the right-hand side of an equation, entry by entry; `labels` are the names of one-hot columns.
    """

    def __init__(
        self,
        model: Model,
        system: System,
        existence: Existence,
        labels: Container[str],
        value: Callable[[Clause], Polynomial],
    ) -> None:
        self.model, self.system, self.existence = model, system, existence
        self.labels, self.value = labels, value
        self.ranges = Ranges(weakly(self._range))
        self._ranges: dict[Key, Interval] = {}
        self._vanishing: dict[Key, str | None] = {}

    def positive(self, unit: Unit) -> bool:
        """Whether a unit is greater than 0 by its form."""
        return self.ranges.of(unit).positive

    def _range(self, unit: Entry) -> Interval:
        key = key_of(unit)
        if key not in self._ranges:
            self._ranges[key] = REAL  # what goes round may lie anywhere
            self._ranges[key] = self._range_of(key)
        return self._ranges[key]

    def _range_of(self, key: Key) -> Interval:
        if key[0] in self.labels:
            return Interval(0, 1, False, False)
        clauses = self.system.forward.get(key, ())
        try:
            found = [self.ranges.of_polynomial(self.value(clause)) for clause in clauses]
        except Unprovable:  # an equation without entries says nothing
            return REAL
        if not clauses or self.is_leaf_somewhere(key, clauses):
            found.append(self._declared(key[0]))
        low, high = min(i.low for i in found), max(i.high for i in found)
        open_low = all(i.open_low for i in found if i.low == low)
        return Interval(low, high, open_low, all(i.open_high for i in found if i.high == high))

    def _declared(self, name: str) -> Interval:
        """What a file says of the values of a leaf."""
        bounds = self.model.document.bounds.get(name)
        if bounds is None:
            return REAL
        low = REAL.low if bounds.low is None else Fraction(repr(bounds.low))
        high = REAL.high if bounds.high is None else Fraction(repr(bounds.high))
        return Interval(low, high, bounds.open_low, bounds.open_high)

    def is_leaf_somewhere(self, key: Key, clauses: Iterable[Clause]) -> bool:
        """Whether a quantity is read at a step at which no equation defines it."""
        if not key[1]:
            return False
        indices = tuple(affine(f"i~{at}") for at in range(len(self.model.quantities.axes_named(key[0]))))
        claims = [claim for clause in clauses for claim in clause.claimed(indices)]
        for steps in self.existence.steps(key, indices):
            rest: tuple[Domain, ...] = (steps,)
            for claim in claims:
                rest = tuple(part for domain in rest for part in domain.minus(claim))
            if rest:
                return True
        return False

    def vanishing(self, unit: Unit) -> str | None:
        """Why a unit can be 0 on more than single points of its arguments; None if it is not known to be."""
        match unit:
            case Entry():
                return self._entry_vanishing(unit)
            case Applied(function="step"):
                return "which is 0 wherever its argument is negative"
            case Applied():
                return next((why for inner in unit.argument.units() if (why := self.vanishing(inner))), None)
            case Bound():
                return next((why for inner, _ in unit.factors if (why := self.vanishing(inner))), None)
            case Repeated():
                return self.vanishing(unit.base) if isinstance(unit.base, Unit) else None
        return None

    def _entry_vanishing(self, unit: Entry) -> str | None:
        key = key_of(unit)
        if key[0] in self.labels:
            return "which is 0 or 1"
        if self.model.quantities.base(key) is not None:
            return "a gradient, which may be 0"
        if key not in self._vanishing:
            self._vanishing[key] = None
            for clause in self.system.forward.get(key, ()):
                value = self.value(clause)
                reasons = [self.vanishing(inner) for inner in value.units()]
                if not value:
                    self._vanishing[key] = "which is 0 at some steps"
                elif any(reasons):
                    self._vanishing[key] = "which can be 0 for a whole range of values"
        return self._vanishing[key]
