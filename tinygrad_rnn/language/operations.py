"""How many operations a model does in one run, counted from the ranges of its equations and sums, before it runs."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

from .expressions import Equation, Sum, walk
from .indices import Range
from .model import Model

#: so many in one run that nobody asked for: the LSTM over 1000 steps does 185,000, which are judged in 50 s
MOST_UNASKED = 200_000


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


def operations(model: Model, lengths: Mapping[str, int]) -> int:
    """How many operations all equations of a model do."""
    return sum(operations_of(equation, lengths) for equation in (*model.forward, *model.gradients))
