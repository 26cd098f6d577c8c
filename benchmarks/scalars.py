"""Scalar expressions, written once and run on any engine of scalars (ours, micrograd's, a counter of operations).

An engine is a class of scalars and its `relu`. The expressions use nothing but Python's operators; their leaves exist
before the clock starts.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

Relu = Callable[[Any], Any]


@dataclass(frozen=True)
class Expression:
    """Values of the leaves, and the function from leaves to a result."""

    start: Sequence[float]
    function: Callable[[Sequence[Any], Relu], Any]


def readme(leaves: Sequence[Any], relu: Relu) -> Any:
    """The example that opens micrograd's own page."""
    a, b = leaves
    c = a + b
    d = a * b + b**3
    c = c + c + 1
    c = c + 1 + c + (-a)
    d = d + d * 2 + relu(b + a)
    d = d + 3 * d + relu(b - a)
    e = c - d
    f = e**2
    g = f / 2.0
    return g + 10.0 / f


SIZES = (2, 16, 16, 1)


def perceptron(leaves: Sequence[Any], relu: Relu) -> Any:
    """A multilayer perceptron of single scalars, as micrograd's demonstration trains it."""
    parameters = iter(leaves)
    values: list[Any] = [0.5, -0.25]
    for layer, units in enumerate(SIZES[1:], start=1):
        outputs = []
        for _ in range(units):
            activation = next(parameters)
            for x in values:
                activation = activation + next(parameters) * x
            outputs.append(activation if layer == len(SIZES) - 1 else relu(activation))
        values = outputs
    return (1 - values[0]) ** 2


def _parameters() -> list[float]:
    generator = random.Random(0)
    count = sum((width + 1) * units for width, units in pairwise(SIZES))
    return [generator.uniform(-1, 1) for _ in range(count)]


EXPRESSIONS = {
    "micrograd's own example": Expression((-4.0, 2.0), readme),
    "perceptron, 337 parameters": Expression(_parameters(), perceptron),
}


class Counter:
    """Stands in for a scalar and counts the operations applied to it."""

    count = 0

    def _operation(self, other: object = None) -> Counter:
        Counter.count += 1
        return self

    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = __pow__ = _operation
    __neg__ = relu = _operation


def operations(expression: Expression) -> int:
    """How many operations an expression applies, counted as they are written."""
    Counter.count = 0
    expression.function([Counter() for _ in expression.start], Counter.relu)
    return Counter.count
