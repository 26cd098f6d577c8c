"""What judging one file may cost: values made and seconds; what is too large is named, what was found is kept.

The number of values is known before the first of them is made: steps of each equation, times the steps of its sums.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod

from ..language import Equation, Model
from ..language.expressions import Sum, walk
from ..language.indices import Range

#: so many values in one run, some 10 minutes and 3 GB: the LSTM over 1000 steps makes 50,000 in 50 s
MOST_VALUES, QUICK_VALUES = 400_000, 20_000
#: seconds for one file
SECONDS = 600.0
#: seconds of them for all proofs
PROOF_SECONDS = 60.0
#: seconds of them for all mutants
MUTANT_SECONDS = 30.0


@dataclass
class Budget:
    """Seconds from now on."""

    seconds: float = SECONDS
    start: float = field(default_factory=time.monotonic)

    @property
    def spent(self) -> bool:
        return time.monotonic() - self.start > self.seconds


def values_of(equation: Equation, lengths: Mapping[str, int]) -> int:
    """How many terms an equation has at all its steps, counted from the ranges alone.

    >>> from tinygrad_rnn.language import parse
    >>> values_of(parse("h[t] = sum(k, sum(j, x[j])) + sum(k, x[k])").forward[0], {"T": 10})
    1100
    """

    def steps(within: Range) -> int:
        return max(1, within.last.at(lengths) - within.first.at(lengths) + 1)

    counts: dict[int, int] = {}
    for node in walk(equation.rhs):
        inside = sum(counts[id(child)] for child in node.children)
        counts[id(node)] = steps(node.over.within) * max(1, inside) if isinstance(node, Sum) else inside
    ranges = (equation.ranges[name] for name in equation.running if name in equation.ranges)
    return prod(steps(within) for within in ranges) * max(1, counts[id(equation.rhs)])


def check_size(model: Model, lengths: Mapping[str, int]) -> None:
    """Raises `LanguageError`, naming the largest equation, where a run would make too many values."""
    counts = {equation: values_of(equation, lengths) for equation in (*model.forward, *model.gradients)}
    if sum(counts.values()) > MOST_VALUES:
        largest = max(counts, key=lambda equation: counts[equation])
        said = ", ".join(f"{name} = {length}" for name, length in lengths.items())
        raise model.document.source.error(
            f"{largest.name} has {counts[largest]:,} terms at {said}; all equations together may have {MOST_VALUES:,}",
            largest.span,
            hint="use a smaller --T, or --lengths for the other sequences",
        )


def is_quick(model: Model, lengths: Mapping[str, int]) -> bool:
    """Whether a run of these lengths is small enough to be chosen without being asked for."""
    return sum(values_of(equation, lengths) for equation in (*model.forward, *model.gradients)) <= QUICK_VALUES
