"""How many operations a model does in one run, counted from the ranges of its equations and sums, before it runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import prod

from ..expressions import Equation, Sum, walk
from ..syntax.indices import Range
from ..types.typed_document import TypedDocument

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


def bytes_of(model: TypedDocument, equations: Iterable[Equation], lengths: Mapping[str, int], batch: int = 1) -> int:
    """About how many bytes the parameters and the results of all operations of some equations take, each result of the
    size of its left side.

    >>> from tinygrad_rnn.language import load
    >>> model = load("sizes: h = 1000\\nh[t] = W @ h[t-1]\\nL = sum(t, sum(h[t]))\\n")
    >>> bytes_of(model, model.forward, {"T": 10})
    8120084
    """
    parameters = {(name, False): model.shapes_.names.get((name, False), (1, 1)) for name in model.parameters}
    total = 8 * sum(rows * columns for rows, columns in parameters.values())
    for equation in equations:
        key = model.quantities.base(equation.target.key) or equation.target.key
        rows, columns = model.shapes_.names.get(key, (1, 1))
        samples = batch if key not in parameters else 1
        total += 8 * rows * columns * samples * operations_of(equation, lengths) // 2  # the other half is read
    return total


def operations(model: TypedDocument, lengths: Mapping[str, int]) -> int:
    """How many operations all equations of a model do."""
    return sum(operations_of(equation, lengths) for equation in (*model.forward, *model.gradients))
