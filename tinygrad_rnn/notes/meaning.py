"""Formulas as their document means them: quantities at times, products, derivatives.

A tree of meaning is written by `resolving` from a tree of notation under the conventions of the document. What a sign
of multiplication does is still open here (it is settled by shapes and votes when a tree is evaluated), everything
else is settled.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from fractions import Fraction
from typing import Any


class Incomprehensible(Exception):
    """A formula that was read, but of which nobody can say what it means; the argument says why."""


@dataclass(frozen=True)
class When:
    """A time: letters with whole coefficients and an offset, `t-1` or `T+t-i`. "T" is the last step.

    >>> When((("t", 1),), -1).at({"t": 3})
    2
    """

    terms: tuple[tuple[str, int], ...] = ()
    offset: int = 0

    def at(self, steps: Mapping[str, int]) -> int:
        """The step it is, with a step for each letter; KeyError for a letter without."""
        return sum(steps[letter] * coefficient for letter, coefficient in self.terms) + self.offset

    def plus(self, other: When, sign: int = 1) -> When:
        """The sum, or with sign -1 the difference.

        >>> str(When((("t", 1),)).plus(When((), 1)))
        't+1'
        """
        totals = dict(self.terms)
        for letter, coefficient in other.terms:
            totals[letter] = totals.get(letter, 0) + sign * coefficient
        kept = tuple(sorted((letter, c) for letter, c in totals.items() if c))
        return When(kept, self.offset + sign * other.offset)

    @property
    def letters(self) -> tuple[str, ...]:
        """The letters it depends on."""
        return tuple(letter for letter, _ in self.terms)

    def __str__(self) -> str:
        parts = [f"{'-' if c < 0 else '+'}{'' if abs(c) == 1 else abs(c)}{letter}" for letter, c in self.terms]
        if self.offset or not parts:
            parts.append(f"{self.offset:+d}")
        return "".join(parts).removeprefix("+")


@dataclass(frozen=True)
class Meaning:
    """A part of a formula as it is meant."""


@dataclass(frozen=True)
class Known(Meaning):
    """A number; `digits` is how many decimals it was printed with, None where it is exact."""

    value: Fraction
    digits: int | None = None


@dataclass(frozen=True)
class StepNumber(Meaning):
    """A time as a number: T in `1/T`."""

    when: When


@dataclass(frozen=True)
class Named(Meaning):
    """A name of the model, at a time or of no time, or one entry of it (`index`: letters and numbers, from 1)."""

    key: str
    when: When | None = None
    index: tuple[str | int, ...] = ()


@dataclass(frozen=True)
class FunctionOf(Meaning):
    """A function of arguments; `slopes` counts the primes at it."""

    function: str
    arguments: tuple[Meaning, ...]
    slopes: int = 0


@dataclass(frozen=True)
class Factors(Meaning):
    """Factors and the sign between each two, as in the notation."""

    factors: tuple[Meaning, ...]
    operators: tuple[str, ...]


@dataclass(frozen=True)
class Summands(Meaning):
    """Terms with a sign each."""

    terms: tuple[Meaning, ...]
    signs: tuple[str, ...]


@dataclass(frozen=True)
class Quotient(Meaning):
    """One thing over another, entry by entry."""

    top: Meaning
    bottom: Meaning


@dataclass(frozen=True)
class Power(Meaning):
    """A power: of a square matrix, or entry by entry; the exponent is a number or a difference of times."""

    base: Meaning
    exponent: Meaning | When


@dataclass(frozen=True)
class Transposed(Meaning):
    """Rows for columns."""

    base: Meaning


@dataclass(frozen=True)
class EntryOf(Meaning):
    """One entry of a vector or matrix that is no single name."""

    base: Meaning
    index: tuple[str | int, ...]


@dataclass(frozen=True)
class Length(Meaning):
    """The length of a vector (`||x||`)."""

    base: Meaning


@dataclass(frozen=True)
class Accumulated(Meaning):
    """A sum or product over steps, over entries, or over a batch of one example (`over`: time, entries, examples)."""

    kind: str
    letter: str
    over: str
    lower: When | None
    upper: When | None
    body: Meaning
    above: str = ""


@dataclass(frozen=True)
class Blocks(Meaning):
    """Blocks on top of each other and side by side."""

    rows: tuple[tuple[Meaning, ...], ...]


@dataclass(frozen=True)
class PartOf(Meaning):
    """The part of a stack that is one of its names: `number` counts from 0."""

    base: Meaning
    number: int
    parts: tuple[Named, ...]


@dataclass(frozen=True)
class Derivative(Meaning):
    """The derivative of something by a quantity. `of` None is the loss. `note` are words that restrict the path."""

    of: Meaning | None
    by: Meaning
    note: str = ""
    sign: str = "partial"


@dataclass(frozen=True)
class GradientName(Meaning):
    """A name for a derivative of the loss, such as `\\delta_t` or `dW`: settled by `gradient_names`."""

    key: str
    when: When | None = None
    index: tuple[str | int, ...] = ()


@dataclass(frozen=True)
class Continued(Meaning):
    """Dots: the terms before it go on in the same way."""


@dataclass(frozen=True)
class Said(Meaning):
    """Words where mathematics was expected."""

    text: str = field(default="", compare=False)


def children(node: Meaning) -> Iterator[Meaning]:
    """The parts of a node, in order."""
    for part in fields(node):
        yield from _meanings(getattr(node, part.name))


def _meanings(value: object) -> Iterator[Meaning]:
    if isinstance(value, Meaning):
        yield value
    elif isinstance(value, tuple):
        for item in value:
            yield from _meanings(item)


def walk(node: Meaning) -> Iterator[Meaning]:
    """The node and everything in it."""
    yield node
    for child in children(node):
        yield from walk(child)


def rebuilt(node: Meaning, change: Callable[[Meaning], Meaning | None]) -> Meaning:
    """The node with `change` applied to each part; `change` returns None where it leaves a part as it is."""
    changed = change(node)
    if changed is not None:
        return changed
    parts = {part.name: _changed(getattr(node, part.name), change) for part in fields(node)}
    return replace(node, **parts)


def _changed(value: Any, change: Callable[[Meaning], Meaning | None]) -> Any:
    if isinstance(value, Meaning):
        return rebuilt(value, change)
    if isinstance(value, tuple):
        return tuple(_changed(item, change) for item in value)
    return value


def shifted(node: Meaning, letter: str, to: When) -> Meaning:
    """The node with another time for a letter."""
    return rebuilt(node, lambda part: _shifted_part(part, letter, to))


def _shifted_part(part: Meaning, letter: str, to: When) -> Meaning | None:
    if isinstance(part, (Named, GradientName)) and part.when is not None:
        return replace(part, when=_moved(part.when, letter, to))
    if isinstance(part, StepNumber):
        return StepNumber(_moved(part.when, letter, to))
    if isinstance(part, Power) and isinstance(part.exponent, When):
        return Power(shifted(part.base, letter, to), _moved(part.exponent, letter, to))
    if isinstance(part, Accumulated):
        lower = None if part.lower is None else _moved(part.lower, letter, to)
        upper = None if part.upper is None else _moved(part.upper, letter, to)
        body = part.body if part.letter == letter else shifted(part.body, letter, to)
        return replace(part, lower=lower, upper=upper, body=body)
    return None


def _moved(when: When, letter: str, to: When) -> When:
    result = When((), when.offset)
    for name, coefficient in when.terms:
        part = to if name == letter else When(((name, 1),))
        for _ in range(abs(coefficient)):
            result = result.plus(part, 1 if coefficient > 0 else -1)
    return result
