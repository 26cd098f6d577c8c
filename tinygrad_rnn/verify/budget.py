"""What judging one file may cost: values made and seconds; what is too large is named, what was found is kept.

The number of operations is known before the first of them is done: those of each equation, times its steps and those
of its sums.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod

from ..language import Equation, Model
from ..language.expressions import Sum, walk
from ..language.indices import Range

#: so many operations in one run that was asked for, some 10 minutes and 3 GB: the LSTM over 1000 steps does 185,000 in
#: 50 s; in a run whose lengths nobody chose; and in one that takes a few seconds
MOST, MOST_UNASKED, QUICK = 2_000_000, 200_000, 100_000
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


def operations_of(equation: Equation, lengths: Mapping[str, int]) -> int:
    """How many operations an equation does at all its steps, reading included, counted from the ranges alone.

    >>> from tinygrad_rnn.language import parse
    >>> operations_of(parse("h[t] = sum(k, sum(j, x[j])) + sum(k, x[k])").forward[0], {"T": 10})
    1230
    """

    def steps(within: Range) -> int:
        return max(1, within.last.at(lengths) - within.first.at(lengths) + 1)

    counts: dict[int, int] = {}
    for node in walk(equation.rhs):
        inside = sum(counts[id(child)] for child in node.children)
        counts[id(node)] = 1 + (steps(node.over.within) if isinstance(node, Sum) else 1) * inside
    ranges = (equation.ranges[name] for name in equation.running if name in equation.ranges)
    return prod(steps(within) for within in ranges) * counts[id(equation.rhs)]


def check_size(model: Model, lengths: Mapping[str, int], asked: bool = True) -> None:
    """Raises `LanguageError`, naming the largest equation, where a run would do too many operations.

    Lengths that nobody `asked` for may cost less.
    """
    counts = {equation: operations_of(equation, lengths) for equation in (*model.forward, *model.gradients)}
    most = MOST if asked else MOST_UNASKED
    if sum(counts.values()) > most:
        largest = max(counts, key=lambda equation: counts[equation])
        said = ", ".join(f"{name} = {length}" for name, length in lengths.items())
        smaller = "use a smaller --T, or --lengths for the other sequences"
        raise model.document.source.error(
            f"{largest.name} takes {counts[largest]:,} operations at {said}; all equations together may take {most:,}"
            + ("" if asked else ", if no length is asked for"),
            largest.span,
            hint=smaller if asked else f"{smaller}: what is asked for may take {MOST:,}",
        )


def is_quick(model: Model, lengths: Mapping[str, int]) -> bool:
    """Whether a run of these lengths is small enough to be chosen without being asked for."""
    return sum(operations_of(equation, lengths) for equation in (*model.forward, *model.gradients)) <= QUICK
