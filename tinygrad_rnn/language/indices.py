"""Steps and what they run over: `t-1`, `T`, `2*n+1`; `s = 1..S`; `1 < t < T`, `t % 2 = 0`.

Data only: how they are read stands in `conditions`, which equation covers which step in `quantities`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

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
class Index:
    """A step that is affine in one variable: `variable` is t, T, the variable of a sum, or None for a constant."""

    variable: str | None
    offset: int = 0
    scale: int = 1

    @property
    def fixed(self) -> bool:
        """Whether it is one step, as 0 and T are: lengths are written with a capital letter, what runs with a small."""
        return self.variable is None or self.variable[0].isupper()

    def at(self, times: Mapping[str, int]) -> int:
        """The step it means, given the values of the variables."""
        return self.offset + (self.scale * times[self.variable] if self.variable else 0)

    def moved(self, by: int) -> Index:
        """So many steps later."""
        return Index(self.variable, self.offset + by, self.scale)

    def __str__(self) -> str:
        if self.variable is None:
            return str(self.offset)
        scaled = self.variable if self.scale == 1 else f"{self.scale}*{self.variable}"
        return scaled + (f"{self.offset:+d}" if self.offset else "")


@dataclass(frozen=True)
class Range:
    """What an index runs over, from `first` to `last`; 1 to T unless declared."""

    first: Index = Index(None, 1)
    last: Index = Index("T")

    def beyond(self, index: Index) -> bool:
        """Whether a fixed index lies outside for certain: 0 before 1..T, T+1 behind it."""
        if index.variable is None:
            return self.first.variable is None and index.offset < self.first.offset
        return (index.variable, index.scale) == (self.last.variable, self.last.scale) and (
            index.offset > self.last.offset
        )

    def holds(self, step: int, times: Mapping[str, int]) -> bool:
        """Whether a step lies inside."""
        return self.first.at(times) <= step <= self.last.at(times)

    def __str__(self) -> str:
        return f"{self.first}..{self.last}"


#: the indices of a model that declares none
MAIN: Mapping[str, Range] = MappingProxyType({"t": Range()})


@dataclass(frozen=True)
class Condition:
    """The steps an equation or a sum covers: those of `within` at which `variable` passes every test.

    A test is `(relation, bound)`; the relation `% 2 =` compares the remainder.
    """

    variable: str
    tests: tuple[tuple[str, Index], ...] = ()
    within: Range = Range()

    def steps(self, times: Mapping[str, int]) -> list[int]:
        """The steps that pass, in order; the bounds are looked up in `times`."""
        low, high = self.within.first.at(times), self.within.last.at(times)
        others = []
        for relation, bound in self.tests:
            value = bound.at(times)
            if relation in ("=", ">", ">="):
                low = max(low, value + (relation == ">"))
            if relation in ("=", "<", "<="):
                high = min(high, value - (relation == "<"))
            if relation == "!=" or relation.startswith("%"):
                others.append((relation, value))
        return [step for step in range(low, high + 1) if all(_passes(step, test, value) for test, value in others)]


def _passes(step: int, relation: str, value: int) -> bool:
    modulus = modulus_of(relation)
    equal = (step - value) % modulus == 0 if modulus else step == value
    return equal != relation.endswith("!=")


def modulus_of(relation: str) -> int:
    """2 of `% 2 =`; 0 of any other relation."""
    return int(relation.split()[1]) if relation.startswith("%") else 0


def grid(over: Sequence[Condition], times: Mapping[str, int]) -> Iterator[dict[str, int]]:
    """The values of several variables together, the first one slowest; a condition may name the variables before it."""
    if not over:
        yield dict(times)
        return
    for step in over[0].steps(times):
        yield from grid(over[1:], {**times, over[0].variable: step})
