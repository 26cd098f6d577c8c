"""Worked numbers: values a text gives, and whether what it computes from them is right within the printed digits.

A number is compared with the true value, by the model at the given values, where the text gives enough of them; else
with the side of the chain before it. A printed decimal stands for all values that round to it, so that how far two
sides may lie apart follows from every decimal in them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np

from ..core.errors import ShapeError
from .claim_values import Alias, ClaimValues, NotDefined
from .formula_values import Calculator, OutOfRange, Point, ShapesClash
from .meaning import Derivative, GradientName, Incomprehensible, Known, Meaning, Named, Summands, rebuilt, walk
from .model_finding import Sentence
from .unrolled_model import Network, Unrolled

RIGHT, WRONG, UNKNOWN = "right", "wrong", "unknown"
#: further roundings of a decimal by hand, that a chain does not print
BY_HAND = 3.0
#: how far numbers rounded on the way may take a right result, as a share of it
ON_THE_WAY = 0.02
_STOPS = (NotDefined, Incomprehensible, OutOfRange, ShapesClash, ShapeError, ValueError, TypeError, KeyError)


@dataclass(frozen=True)
class NumberVerdict:
    """Whether a number is right, wrong or unknown, and what is said of it."""

    result: str
    said: str = ""


@dataclass
class GivenValues:
    """The values that a heading's text gives to names without computing them."""

    values: dict[Point, float] = field(default_factory=dict)

    @property
    def steps(self) -> int:
        """The last step of which something is given; 0 if nothing has a step."""
        return max((at for _, at in self.values if at is not None), default=0)


def is_number(meaning: Meaning | None) -> bool:
    """Whether a side speaks of fixed steps alone and holds a printed number."""
    if meaning is None:
        return False
    parts = list(walk(meaning))
    letters = any(isinstance(part, Named) and part.when is not None and part.when.letters for part in parts)
    return not letters and any(isinstance(part, Known) and part.digits for part in parts)


def literal(meaning: Meaning | None) -> float | None:
    """The value of a printed number with its sign; None for anything else."""
    if isinstance(meaning, Known):
        return float(meaning.value)
    if isinstance(meaning, Summands) and len(meaning.terms) == 1 and isinstance(meaning.terms[0], Known):
        sign = -1.0 if meaning.signs[0] == "-" else 1.0
        return sign * float(meaning.terms[0].value)
    return None


def given_values(sentences: list[Sentence]) -> dict[int, GivenValues]:
    """What each heading gives: `x_1 = 1`, `W = 0.3`."""
    found: dict[int, GivenValues] = {}
    for sentence in sentences:
        if len(sentence.sides) != 2 or len(sentence.links) != 1 or sentence.links[0].sign not in ("=", ":="):
            continue
        left, value = sentence.sides[0].meaning, literal(sentence.sides[1].meaning)
        if value is None or not isinstance(left, Named) or left.index:
            continue
        if left.when is None or not left.when.letters:
            at = None if left.when is None else left.when.offset
            found.setdefault(sentence.heading, GivenValues()).values.setdefault((left.key, at), value)
    return found


class NumberJudge:
    """Judges numbers under one heading, by a network at the values given there."""

    def __init__(
        self, network: Network, given: GivenValues, aliases: Mapping[str, Alias], choices: Mapping[str, str]
    ) -> None:
        self.printed = given.values
        self.steps = {"T": max(given.steps, 1)}
        self.inputs = inputs = {point: value for point, value in given.values.items() if not _computed(point, network)}

        def at_values(values: Mapping[Point, float]) -> ClaimValues:
            return ClaimValues(Unrolled(network, self.steps["T"], 0, choices, ones=True, given=values), aliases)

        self.known, self.as_printed = at_values(inputs), at_values(given.values)
        #: a value that nobody gave is chance, and no truth
        drawn = (point for point in self.known.unrolled.drawn if point[0] not in network.losses)
        self.complete = bool(inputs) and all(point in inputs or point[1] == 0 for point in drawn)

    def judged(self, first: Meaning, before: Meaning, right: Meaning) -> NumberVerdict:
        """The verdict on the last link of a chain."""
        value, slack = self._value(right, self.known if self.complete else self.as_printed)
        if value is None:
            return NumberVerdict(UNKNOWN)
        if literal(right) is None:
            slack *= BY_HAND
        near: NumberVerdict | None = None
        if before is not first or is_number(before) or self._is_printed(before):
            other, further = self._value(before, self.as_printed)
            if other is not None:
                near = _compared(other, value, slack + BY_HAND * further, "the side before is")
        truth = self._value(first, self.known)[0] if self.complete else None
        if truth is None or (truth == 0.0 and value != 0.0):  # it does not reach what it should: another model is meant
            return near or NumberVerdict(UNKNOWN)
        rounded = near is not None and near.result == RIGHT and abs(truth - value) <= ON_THE_WAY * abs(truth)
        return near if near is not None and rounded else _compared(truth, value, slack, "the true value is")

    def _is_printed(self, meaning: Meaning) -> bool:
        """Whether every name of an expression has a printed value."""
        names = [part for part in walk(meaning) if isinstance(part, Named)]
        points = {(name.key, None if name.when is None else name.when.offset) for name in names}
        return bool(names) and not _is_derived(meaning) and points <= self.printed.keys()

    def _value(self, meaning: Meaning, values: ClaimValues) -> tuple[float | None, float]:
        """A side as a number, and how far its decimals let it lie from there."""
        value = self._plain(meaning, values)
        if value is None:
            return None, 0.0
        slack = 0.0
        printed = [part for part in walk(meaning) if isinstance(part, Known) and part.digits]
        for decimal in printed if len(printed) == 1 and literal(meaning) is not None else self._rounded(printed):
            moved = Known(decimal.value + Fraction(1, 2 * 10 ** (decimal.digits or 0)), decimal.digits)
            other = self._plain(_with(meaning, decimal, moved), values)
            slack += abs((other if other is not None else value) - value)
        return value, slack

    def _rounded(self, printed: list[Known]) -> list[Known]:
        """Decimals that are no values the text gives: those are exact."""
        exact = {abs(value) for value in self.inputs.values()}
        return [part for part in printed if abs(float(part.value)) not in exact]

    def _plain(self, meaning: Meaning, values: ClaimValues) -> float | None:
        try:
            found = np.asarray(Calculator(values, self.steps).array(meaning))
        except _STOPS:
            return None
        return float(found.reshape(-1)[0]) if found.size == 1 and np.isfinite(found).all() else None


def _compared(truth: float, value: float, slack: float, said: str) -> NumberVerdict:
    near = abs(truth - value) <= (1 + 1e-9) * slack + 1e-9 * abs(truth)
    return NumberVerdict(RIGHT if near else WRONG, f"{said} {truth:.4g}")


def _with(meaning: Meaning, old: Known, new: Known) -> Meaning:
    return rebuilt(meaning, lambda part: new if part is old else None)


def _is_derived(meaning: Meaning) -> bool:
    return any(isinstance(part, (Derivative, GradientName)) for part in walk(meaning))


def _computed(point: Point, network: Network) -> bool:
    key, at = point
    return (key, at is not None) in network.definitions and at != 0
