"""Values for expressions: an interpreter of our own, driven by the types.

A product is evaluated from the side of its column (or row), so that no matrix is ever multiplied by a matrix where a
column would do, and so that many samples, one in each column, give what each would give alone. Where a quantity's
value comes from is the caller's business: see `resolver`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ..core.reductions import add_n
from ..core.scope import Scope, entered
from ..core.tensor import plain
from . import operands
from .expressions import Binary, Call, Expr, Number, Ref, Stack, Sum, Time, Transpose, Unary, spine
from .functions import FUNCTIONS
from .indices import Step
from .operands import Operand

Lookup = Callable[[str, Step], Operand]
Place = Callable[[Sum, int], Scope]
_OPERATORS = {"+": operands.add, "-": operands.subtract, "*": operands.multiply, "/": operands.divide}


def evaluate(
    expr: Expr,
    lookup: Lookup,
    times: Mapping[str, int],
    *,
    contract: bool = True,
    place: Place | None = None,
    shape_of: Callable[[Expr], tuple[int, int]] = lambda expr: (1, 1),
) -> Operand:
    """The value of an expression.

    `lookup(name, step)` gives the quantities, `times` the values of T and t (and of other lengths and indices). With
    `contract`, a column times a row adds up over the samples, as gradients of parameters do; without it that is an
    error for more than one sample. `place(sum, step)` is the scope in which the terms of an outermost sum over time are
    built, `shape_of` the typed shape for an empty sum.

    >>> from tinygrad_rnn.language import parse
    >>> rhs = parse("h[t] = W @ x[t] + 1").forward[0].rhs
    >>> known = {"W": Operand(np.eye(2), 2, 2), "x": Operand(np.ones((2, 1)), 2, 1, 1)}
    >>> evaluate(rhs, lambda name, step: known[name], {"T": 1, "t": 1}).value.tolist()
    [[2.0], [2.0]]
    """
    return _Evaluation(lookup, contract, shape_of).value(expr, times, place)


class _Evaluation:
    def __init__(self, lookup: Lookup, contract: bool, shape_of: Callable[[Expr], tuple[int, int]]) -> None:
        self.lookup, self.contract, self.shape_of = lookup, contract, shape_of

    def value(self, expr: Expr, times: Mapping[str, int], place: Place | None) -> Operand:
        if isinstance(expr, Ref):
            return self.lookup(expr.name, expr.at(times))
        if isinstance(expr, Binary):
            return self._chain(expr, times, place)
        if isinstance(expr, Call):
            args = [self.value(arg, times, place) for arg in expr.args]
            how = {"contract": self.contract} if expr.function in ("outer", "dot") else {}
            return FUNCTIONS[expr.function].evaluate(*args, **how)
        if isinstance(expr, Number):
            return Operand(float(expr.value))
        if isinstance(expr, Time):
            return Operand(float(expr.index.at(times)))
        if isinstance(expr, Transpose):
            return operands.transpose(self.value(expr.operand, times, place))
        if isinstance(expr, Unary):
            x = self.value(expr.operand, times, place)
            return operands.negative(x) if expr.op == "-" else x
        if isinstance(expr, Stack):
            return operands.stack([self.value(part, times, place) for part in expr.parts])
        if isinstance(expr, Sum):
            return self._over_time(expr, times, place)
        raise TypeError(f"cannot evaluate {expr!r}")  # pragma: no cover

    def _chain(self, expr: Binary, times: Mapping[str, int], place: Place | None) -> Operand:
        first, operators = spine(expr)
        result, at = self.value(first, times, place), 0
        while at < len(operators):
            node = operators[at]
            if node.op == "@":
                factors = [result]
                while at < len(operators) and operators[at].op == "@":
                    factors.append(self.value(operators[at].right, times, place))
                    at += 1
                result = product(factors, self.contract)
                continue
            if node.op == "**":
                result = operands.power(result, _number(node.right, times))
            else:
                result = _OPERATORS[node.op](result, self.value(node.right, times, place))
            at += 1
        return result

    def _over_time(self, expr: Sum, times: Mapping[str, int], place: Place | None) -> Operand:
        terms = []
        for step in expr.over.steps(times):
            inner = {**times, expr.variable: step}
            if place is None:
                terms.append(self.value(expr.body, inner, None))
            else:
                with entered(place(expr, step)):
                    terms.append(self.value(expr.body, inner, None))
        if not terms:
            return _nothing(expr.kind, self.shape_of(expr.body))
        terms = [operands.dense(term) for term in terms]
        if expr.kind == "prod":
            result = terms[0]
            for term in terms[1:]:
                result = operands.multiply(result, term)
            return result
        total = _total(terms)
        return total if expr.kind == "sum" else operands.divide(total, Operand(float(len(terms))))


def product(factors: Sequence[Operand], contract: bool = True) -> Operand:
    """A chain of matrix products, from the side where a column or row keeps it cheap and right for every sample."""
    if factors[-1].columns == 1:
        return _from_right(factors, contract)
    if factors[0].rows == 1:
        return _from_left(factors, contract)
    for at, factor in enumerate(factors[:-1], start=1):
        if factor.columns == 1:
            return operands.matmul(_from_right(factors[:at], contract), _from_left(factors[at:], contract), contract)
    return _from_left(factors, contract)


def _from_right(factors: Sequence[Operand], contract: bool) -> Operand:
    result = factors[-1]
    for factor in reversed(factors[:-1]):
        result = operands.matmul(factor, result, contract)
    return result


def _from_left(factors: Sequence[Operand], contract: bool) -> Operand:
    result = factors[0]
    for factor in factors[1:]:
        result = operands.matmul(result, factor, contract)
    return result


def _total(terms: list[Operand]) -> Operand:
    if len(terms) == 1:
        return terms[0]
    batch = next((term.batch for term in terms if term.batch), None)
    values = [term.value for term in terms]
    shapes = {np.shape(plain(value)) for value in values}
    if len(shapes) > 1:
        common = np.zeros(np.broadcast_shapes(*shapes))
        values = [value if np.shape(plain(value)) == common.shape else value + common for value in values]
    return Operand(add_n(values), terms[0].rows, terms[0].columns, batch)


def _nothing(kind: str, shape: tuple[int, int]) -> Operand:
    neutral = 1.0 if kind == "prod" else 0.0
    return Operand(neutral if shape == (1, 1) else np.full(shape, neutral), *shape)


def _number(expr: Expr, times: Mapping[str, int]) -> Any:
    """An exponent: whole numbers stay whole, so that x ** 2 is a square."""
    value = evaluate(expr, _no_quantities, times).value
    return int(value) if abs(value) < 1e9 and float(value).is_integer() else value


def _no_quantities(name: str, step: Step) -> Operand:
    raise KeyError(name)  # pragma: no cover: `shapes` lets only numbers be exponents
