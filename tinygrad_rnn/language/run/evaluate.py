"""Values for expressions: an interpreter of our own, driven by the types.

A product is evaluated from the side of its column (or row), so that no matrix is ever multiplied by a matrix where a
column would do, and so that many samples, one in each column, give what each would give alone. Where a quantity's
value comes from is the caller's business: see `resolver`.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ...core.ops.reductions import add_n
from ...core.scope import Scope, entered
from ...core.tensor import plain
from ..expressions import Binary, Call, Concat, Expr, Number, Ref, Sum, Time, Transpose, Unary, spine
from ..functions import FUNCTIONS
from ..syntax.indices import Step
from ..types.conventions import READINGS, Convention
from ..types.powers import contexts, is_number, looks_through
from . import operands
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
    convention: Convention = Convention(),  # noqa: B008 - immutable
) -> Operand:
    """The value of an expression.

    `lookup(name, step)` gives the quantities, `times` the values of T and t (and of other lengths and indices). With
    `contract`, a column times a row adds up over the samples, as gradients of parameters do; without it that is an
    error for more than one sample. `place(sum, step)` is the scope in which the terms of an outermost sum over time are
    built, `shape_of` the typed shape for an empty sum. `convention` says whether vectors are rows,
    and which powers and products over time are those of matrices.

    >>> from tinygrad_rnn.language import parse
    >>> rhs = parse("h[t] = W @ x[t] + 1").forward[0].rhs
    >>> known = {"W": Operand(np.eye(2), 2, 2), "x": Operand(np.ones((2, 1)), 2, 1, 1)}
    >>> evaluate(rhs, lambda name, step: known[name], {"T": 1, "t": 1}).value.tolist()
    [[2.0], [2.0]]
    """
    return _Evaluation(lookup, contract, shape_of, convention).value(expr, times, place)


class _Evaluation:
    """`factor` says that an expression is a factor of a matrix product, `times` what t, T and other letters are."""

    def __init__(
        self, lookup: Lookup, contract: bool, shape_of: Callable[[Expr], tuple[int, int]], convention: Convention
    ) -> None:
        self.lookup, self.contract, self.shape_of, self.rows = lookup, contract, shape_of, convention.rows
        self.reading = convention.reading

    def value(self, expr: Expr, times: Mapping[str, int], place: Place | None, factor: bool = False) -> Operand:
        if isinstance(expr, Ref):
            return self.lookup(expr.name, expr.at(times))
        if isinstance(expr, Binary):
            return self._product(self._chain(expr, times, place, factor))
        if isinstance(expr, Number):
            return Operand(float(expr.value))
        if isinstance(expr, Time):
            return Operand(float(expr.index.at(times)))
        if isinstance(expr, Sum):
            return self._over_time(expr, times, place, factor)
        inside = looks_through(expr, factor)
        parts = [self.value(part, times, place, inside) for part in expr.children]
        if isinstance(expr, Call):
            if FUNCTIONS[expr.function].rule == "stack":
                return operands.stack(parts, side_by_side=self.rows)
            if expr.function == "rows" and self.rows and parts[0].is_row:
                return operands.columns(*parts)
            how = {"contract": self.contract} if expr.function in ("outer", "dot") else {}
            return FUNCTIONS[expr.function].evaluate(*parts, **how)
        if isinstance(expr, Transpose):
            return operands.transpose(parts[0])
        if isinstance(expr, Unary):
            return operands.negative(parts[0]) if expr.op == "-" else parts[0]
        if isinstance(expr, Concat):
            return operands.stack(parts, side_by_side=self.rows)
        raise TypeError(f"cannot evaluate {expr!r}")  # pragma: no cover

    def _product(self, factors: list[Operand]) -> Operand:
        return factors[0] if len(factors) == 1 else product(factors, self.contract)

    def _factors(self, expr: Expr, times: Mapping[str, int], place: Place | None) -> list[Operand]:
        """The factors of an expression that stands in a matrix product: products over time and powers opened, so that
        each meets the column (or row) at the end of the product and no matrix."""
        if isinstance(expr, Binary):
            return self._chain(expr, times, place, True)
        if isinstance(expr, Transpose):
            return [operands.transpose(part) for part in reversed(self._factors(expr.operand, times, place))]
        if isinstance(expr, Sum) and expr.kind == "prod":
            factors = [part for term in self._terms(expr, times, place, self._factors) for part in term]
            if not factors:
                return [_nothing(expr.kind, self.shape_of(expr.body), self.reading != "entries")]
            if self.reading != "entries" and _square(factors):
                return factors
        return [self.value(expr, times, place, True)]

    def _chain(self, expr: Binary, times: Mapping[str, int], place: Place | None, factor: bool) -> list[Operand]:
        """Operators from left to right: the factors of the product that they end with."""
        first, operators = spine(expr)
        sides = contexts(operators, factor)
        if operators[0].op == "@":
            factors = self._factors(first, times, place)
        else:
            factors = [self.value(first, times, place, sides[0][0])]
        for at, node in enumerate(operators):
            if node.op == "@":
                nested = isinstance(node.right, Binary) and node.right.op != "**"
                right = node.right
                factors += [self.value(right, times, place, True)] if nested else self._factors(right, times, place)
                continue
            left = self._product(factors)
            if node.op == "**":
                factors = self._power(left, node.right, times, sides[at + 1][0] if at + 1 < len(operators) else factor)
            else:
                factors = [_OPERATORS[node.op](left, self.value(node.right, times, place, sides[at][1]))]
        return factors

    def _power(self, base: Operand, exponent: Expr, times: Mapping[str, int], factor: bool) -> list[Operand]:
        """A power as factors: those of a square matrix in a product, else one, entry by entry."""
        if not is_number(exponent):
            return [operands.pairwise(operator.pow, base, self.value(exponent, times, None))]
        number = _number(exponent, times)
        matrix = (factor, True, False)[READINGS.index(self.reading)]
        if matrix and base.is_square and isinstance(number, int):
            return operands.matrix_power(base, number)
        return [operands.power(base, number)]

    def _terms(
        self,
        expr: Sum,
        times: Mapping[str, int],
        place: Place | None,
        term: Callable[[Expr, Mapping[str, int], Place | None], Any],
    ) -> list[Any]:
        """What `term` makes of the body at each step."""
        terms = []
        for step in expr.over.steps(times):
            inner = {**times, expr.variable: step}
            if place is None:
                terms.append(term(expr.body, inner, None))
            else:
                with entered(place(expr, step)):
                    terms.append(term(expr.body, inner, None))
        return terms

    def _over_time(self, expr: Sum, times: Mapping[str, int], place: Place | None, factor: bool) -> Operand:
        if expr.kind == "prod":
            return self._product_over_time(expr, times, place)
        terms = self._terms(expr, times, place, lambda body, inner, _: self.value(body, inner, None, factor))
        if not terms:
            return _nothing(expr.kind, self.shape_of(expr.body))
        total = _total([operands.dense(term) for term in terms])
        return total if expr.kind == "sum" else operands.divide(total, Operand(float(len(terms))))

    def _product_over_time(self, expr: Sum, times: Mapping[str, int], place: Place | None) -> Operand:
        terms = self._terms(expr, times, place, self._factors)
        if not terms:
            return _nothing(expr.kind, self.shape_of(expr.body), self.reading != "entries")
        factors = [part for term in terms for part in term]
        if self.reading != "entries" and _square(factors):
            return self._product(factors)
        result, *others = (operands.dense(self._product(term)) for term in terms)
        for other in others:
            result = operands.multiply(result, other)
        return result


def _square(factors: Sequence[Operand]) -> bool:
    """Whether a product of these is a square matrix."""
    sized = [factor for factor in factors if not factor.is_scalar]
    return bool(sized) and sized[0].rows == sized[-1].columns > 1


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


def _nothing(kind: str, shape: tuple[int, int], matrices: bool = False) -> Operand:
    """An empty sum or product over time; the product of no square matrices (`matrices`) is the identity."""
    if matrices and shape[0] == shape[1] > 1:
        return operands.identity(shape[0])
    neutral = 1.0 if kind == "prod" else 0.0
    return Operand(neutral if shape == (1, 1) else np.full(shape, neutral), *shape)


def _number(expr: Expr, times: Mapping[str, int]) -> Any:
    """An exponent: whole numbers stay whole, so that x ** 2 is a square."""
    value = evaluate(expr, _no_quantities, times).value
    return int(value) if abs(value) < 1e9 and float(value).is_integer() else value


def _no_quantities(name: str, step: Step) -> Operand:
    raise KeyError(name)  # pragma: no cover: `shapes` lets only numbers be exponents
