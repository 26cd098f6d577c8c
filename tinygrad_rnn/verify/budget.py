"""What judging one file may cost: values made and seconds; what is too large is named, what was found is kept.

The number of values is known before the first of them is made: steps of each equation, times the steps of its sums.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod

from ..core.errors import LanguageError
from ..language import Equation, Model
from ..language.expressions import Sum, walk

#: so many values in one run: that of the LSTM over 1000 steps has 13,000
MOST_VALUES = 2_000_000
#: seconds for one file
SECONDS = 600.0
#: seconds of them for all proofs
PROOF_SECONDS = 60.0


@dataclass
class Budget:
    """Seconds from now on."""

    seconds: float = SECONDS
    start: float = field(default_factory=time.monotonic)

    @property
    def spent(self) -> bool:
        return time.monotonic() - self.start > self.seconds


def values_of(equation: Equation, lengths: Mapping[str, int]) -> int:
    """How many terms an equation has at all its steps, counted from the ranges alone."""

    def steps(names: list[str]) -> int:
        ranges = [equation.ranges[name] for name in names if name in equation.ranges]
        return prod(max(0, within.last.at(lengths) - within.first.at(lengths) + 1) for within in ranges)

    sums = [node.over.within for node in walk(equation.rhs) if isinstance(node, Sum)]
    nested = prod(max(1, within.last.at(lengths) - within.first.at(lengths) + 1) for within in sums)
    return steps(equation.running) * nested


def check_size(model: Model, lengths: Mapping[str, int]) -> None:
    """Raises `LanguageError`, naming the equation, where a run would make too many values."""
    for equation in (*model.forward, *model.gradients):
        count = values_of(equation, lengths)
        if count > MOST_VALUES:
            said = ", ".join(f"{name} = {length}" for name, length in lengths.items())
            raise model.document.source.error(
                f"{equation.name} has {count:,} terms at {said}, more than {MOST_VALUES:,}",
                equation.span,
                hint="use a smaller --T, or --lengths for the other sequences",
            )


def fits(model: Model, lengths: Mapping[str, int]) -> bool:
    """Whether a run of these lengths is small enough."""
    try:
        check_size(model, lengths)
    except LanguageError:
        return False
    return True
