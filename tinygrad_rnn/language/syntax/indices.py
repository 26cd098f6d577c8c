"""Steps and what they run over: `s = 1..S`; `1 < t < T`, `t % 2 = 0`; and constraints, which say the same as data.

Data only: how they are read stands in `conditions`, which equation covers which step in `quantities`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from ..affine import Affine, affine

#: a step of a quantity: a number, several numbers for several indices, None for what has no time
Step = int | tuple[int, ...] | None
#: how long each sequence is, by its capital letter
Lengths = Mapping[str, int]


def numbers(step: Step) -> tuple[int, ...]:
    """A step as numbers: one, several, or none."""
    return step if isinstance(step, tuple) else () if step is None else (step,)


def as_lengths(lengths: int | Lengths) -> Lengths:
    """A number alone is T."""
    return {"T": lengths} if isinstance(lengths, int) else lengths


@dataclass(frozen=True)
class Constraint:
    """What an affine expression has to be: `>=`, `=` or `!=` 0; `|` or `!|`: divisible by `modulus`, or not."""

    kind: str
    affine: Affine
    modulus: int = 0

    def holds(self, times: Mapping[str, int]) -> bool:
        """Whether it is true for these values of its variables."""
        value = self.affine.at(times)
        match self.kind:
            case ">=":
                return value >= 0
            case "=":
                return value == 0
            case "!=":
                return value != 0
            case "|":
                return value % self.modulus == 0
        return value % self.modulus != 0

    @property
    def negation(self) -> Constraint:
        """The constraint that holds exactly where this one does not."""
        if self.kind == ">=":
            return Constraint(">=", -self.affine - 1)
        other = {"=": "!=", "!=": "=", "|": "!|", "!|": "|"}[self.kind]
        return Constraint(other, self.affine, self.modulus)

    def substituted(self, values: Mapping[str, Affine]) -> Constraint:
        """With affine expressions in the place of some variables."""
        return Constraint(self.kind, self.affine.substituted(values), self.modulus)

    def __str__(self) -> str:
        if self.modulus:
            return f"{self.affine} % {self.modulus} {'=' if self.kind == '|' else '!='} 0"
        return f"{self.affine} {self.kind} 0"


_ONE, _LENGTH = affine(None, 1), affine("T")


@dataclass(frozen=True)
class Range:
    """What an index runs over, from `first` to `last`; 1 to T unless declared."""

    first: Affine = _ONE
    last: Affine = _LENGTH

    def beyond(self, index: Affine) -> bool:
        """Whether a fixed index lies outside for certain: 0 before 1..T, T+1 behind it."""
        if index.variable is None:
            return self.first.variable is None and index.constant < self.first.constant
        return index.terms == self.last.terms and index.constant > self.last.constant

    def holds(self, step: int, times: Mapping[str, int]) -> bool:
        """Whether a step lies inside."""
        return self.first.at(times) <= step <= self.last.at(times)

    def constraints(self, index: Affine) -> tuple[Constraint, ...]:
        """That an index lies inside."""
        return Constraint(">=", index - self.first), Constraint(">=", self.last - index)

    def __str__(self) -> str:
        return f"{self.first}..{self.last}"


#: the indices of a model that declares none
MAIN: Mapping[str, Range] = MappingProxyType({"t": Range()})

#: the relations of a test, each with what it is when its sides are exchanged
MIRRORED = {"<": ">", ">": "<", "<=": ">=", ">=": "<=", "=": "=", "!=": "!="}


@dataclass(frozen=True)
class Comparison:
    """`relation bound`, said of a variable; with a `modulus` it is the remainder that is compared (by = or !=)."""

    relation: str
    bound: Affine
    modulus: int = 0

    def of(self, variable: Affine) -> Constraint:
        """The test of one variable as a constraint."""
        more, less = variable - self.bound, self.bound - variable
        if self.modulus:
            return Constraint("|" if self.relation == "=" else "!|", more, self.modulus)
        match self.relation:
            case "<":
                return Constraint(">=", less - 1)
            case "<=":
                return Constraint(">=", less)
            case ">":
                return Constraint(">=", more - 1)
            case ">=":
                return Constraint(">=", more)
        return Constraint(self.relation, more)

    def __str__(self) -> str:
        return f"% {self.modulus} {self.relation} {self.bound}" if self.modulus else f"{self.relation} {self.bound}"


@dataclass(frozen=True)
class Condition:
    """The steps an equation or a sum covers: those of `within` at which `variable` passes every test.

    A test that names another end than `within` does stands as written: `k = 0..T-1` begins at 0 although the steps of
    the sequence begin at 1, while `t <= 20` leaves the end at T. `descending`: they are taken from the last to the
    first, which matters in a product of matrices; the tests then begin with the bound above and the bound below, as in
    `j = T..k+1`.
    """

    variable: str
    tests: tuple[Comparison, ...] = ()
    within: Range = Range()
    descending: bool = False

    @property
    def interval(self) -> tuple[Comparison, Comparison] | None:
        """The two tests of what is written `1 < t <= T`; None for any other condition."""
        relations = [test.relation for test in self.tests if not test.modulus]
        if len(self.tests) != 2 or relations not in ([low, high] for low in (">", ">=") for high in ("<", "<=")):
            return None
        low, high = self.tests
        return Comparison(MIRRORED[low.relation], low.bound), high

    @property
    def constraints(self) -> tuple[Constraint, ...]:
        """What the condition says of its variable: the range, then the tests."""
        variable = affine(self.variable)
        low, high = self.within.constraints(variable)
        ends = [end for end, stands in ((low, self._begins), (high, self._ends)) if stands]
        return (*ends, *(test.of(variable) for test in self.tests))

    @property
    def _begins(self) -> bool:
        """Whether it begins where the range does: no test gives another end so many steps before or after that one."""
        return not self._limited((">", ">=", "="), self.within.first)

    @property
    def _ends(self) -> bool:
        return not self._limited(("<", "<=", "="), self.within.last)

    def _limited(self, relations: tuple[str, ...], end: Affine) -> bool:
        tests = [test for test in self.tests if test.relation in relations and not test.modulus]
        return any(test.bound.terms == end.terms for test in tests)

    def steps(self, times: Mapping[str, int]) -> list[int]:
        """The steps that pass, in order (see `descending`); the bounds are looked up in `times`."""
        lows = [self.within.first.at(times)] if self._begins else []
        highs = [self.within.last.at(times)] if self._ends else []
        others: list[tuple[Comparison, int]] = []
        for test in self.tests:
            value = test.bound.at(times)
            if test.modulus or test.relation == "!=":
                others.append((test, value))
                continue
            if test.relation in ("=", ">", ">="):
                lows.append(value + (test.relation == ">"))
            if test.relation in ("=", "<", "<="):
                highs.append(value - (test.relation == "<"))
        low, high = max(lows), min(highs)
        steps = range(high, low - 1, -1) if self.descending else range(low, high + 1)
        return [step for step in steps if all(_passes(step, test, value) for test, value in others)]


def _passes(step: int, test: Comparison, value: int) -> bool:
    equal = (step - value) % test.modulus == 0 if test.modulus else step == value
    return equal != (test.relation == "!=")


def grid(over: Sequence[Condition], times: Mapping[str, int]) -> Iterator[dict[str, int]]:
    """The values of several variables together, the first one slowest; a condition may name the variables before it."""
    if not over:
        yield dict(times)
        return
    for step in over[0].steps(times):
        yield from grid(over[1:], {**times, over[0].variable: step})
