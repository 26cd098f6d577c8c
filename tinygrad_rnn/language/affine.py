"""Affine indices: an integer combination of index variables and lengths, plus a constant: `t-1`, `2*n+1`, `T+1-t`.

Arithmetic and printing only; what an index runs over stands in `indices`, sets of them in `system.domain`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True)
class Affine:
    """`terms` pairs each variable with its coefficient, sorted by name, none of them 0; lengths have capital letters.

    >>> str(affine("T") + 1 - affine("t"))
    'T+1-t'
    """

    terms: tuple[tuple[str, int], ...] = ()
    constant: int = 0

    @property
    def variables(self) -> tuple[str, ...]:
        """All names in it: index variables and lengths."""
        return tuple(name for name, _ in self.terms)

    @cached_property
    def running(self) -> tuple[str, ...]:
        """The index variables, written with a small letter."""
        return tuple(name for name, _ in self.terms if not name[0].isupper())

    @cached_property
    def lengths(self) -> tuple[str, ...]:
        """The lengths, written with a capital letter."""
        return tuple(name for name, _ in self.terms if name[0].isupper())

    @cached_property
    def fixed(self) -> bool:
        """Whether it is one step, as 0 and T are: nothing in it runs."""
        return not self.running

    @cached_property
    def variable(self) -> str | None:
        """The first index variable, or the first length if nothing runs; None for a constant."""
        return next(iter((*self.running, *self.lengths)), None)

    @property
    def scale(self) -> int:
        """The coefficient of `variable`; 1 for a constant."""
        return 1 if self.variable is None else self.coefficient(self.variable)

    @property
    def simple(self) -> bool:
        """Whether it is at most one variable, once, and a constant: t-1, T, 3."""
        return len(self.terms) <= 1 and self.scale == 1

    def coefficient(self, name: str) -> int:
        """How often a variable is in it; 0 if it is not."""
        return next((count for known, count in self.terms if known == name), 0)

    def at(self, times: Mapping[str, int]) -> int:
        """The number it stands for, given the values of its variables."""
        value = self.constant
        for name, count in self.terms:
            value += count * times[name]
        return value

    def moved(self, by: int) -> Affine:
        """So many steps later."""
        return Affine(self.terms, self.constant + by)

    def without(self, name: str) -> Affine:
        """What is left when one variable is 0."""
        return Affine(tuple(term for term in self.terms if term[0] != name), self.constant)

    def substituted(self, values: Mapping[str, Affine]) -> Affine:
        """With other affine expressions in the place of some of its variables, all at once."""
        total = Affine(tuple(term for term in self.terms if term[0] not in values), self.constant)
        for name, count in self.terms:
            if name in values:
                total = total + values[name] * count
        return total

    def solved(self, name: str, value: int, times: Mapping[str, int]) -> int | None:
        """The value of one of its variables at which it is `value`, the others being known; None if no whole number."""
        left, scale = value - self.constant, 0
        for known, count in self.terms:
            if known == name:
                scale = count
            else:
                left -= count * times[known]
        step, rest = divmod(left, scale)
        return None if rest else step

    def __add__(self, other: Affine | int) -> Affine:
        if isinstance(other, int):
            return self.moved(other)
        counts = dict(self.terms)
        for name, count in other.terms:
            counts[name] = counts.get(name, 0) + count
        terms = tuple(sorted((name, count) for name, count in counts.items() if count))
        return Affine(terms, self.constant + other.constant)

    def __sub__(self, other: Affine | int) -> Affine:
        return self + -other

    def __neg__(self) -> Affine:
        return self * -1

    def __mul__(self, factor: int) -> Affine:
        terms = tuple((name, count * factor) for name, count in self.terms) if factor else ()
        return Affine(terms, self.constant * factor)

    def __str__(self) -> str:
        more = [_times(name, count) for name, count in self.terms if count > 0]
        less = [_times(name, -count) for name, count in self.terms if count < 0]
        more += [str(self.constant)] if self.constant > 0 or not self.terms else []
        less += [str(-self.constant)] if self.constant < 0 and self.terms else []
        return "-".join(["+".join(more), *less])


def _times(name: str, count: int) -> str:
    return name if count == 1 else f"{count}*{name}"


def affine(name: str | None = None, constant: int = 0, scale: int = 1) -> Affine:
    """`scale * name + constant`, or the constant alone.

    >>> str(affine("n", 1, 2)), str(affine(None, 3))
    ('2*n+1', '3')
    """
    return Affine(() if name is None or not scale else ((name, scale),), constant)
