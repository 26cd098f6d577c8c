"""Values with their type: the arithmetic of columns, rows, matrices and samples.

Columns are samples. A column of n entries that differs from sample to sample is an (n, B) array, so one product with
a matrix serves all samples; a row is its transpose, (B, n); a scalar is (1, B). What all samples share (parameters,
numbers) is (n, 1), (1, n), (n, m) or a plain float. Only operators and functions that plain arrays and Tensors both
understand are used here. Shapes are right already when a value gets here: `shapes` has checked them.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...core.ops.contractions import inv
from ...core.ops.contractions import solve as solved
from ...core.tensor import plain

#: what one matrix, or one run, may take
MOST_BYTES = 1 << 33


class BatchError(Exception):
    """A formula that has no meaning for several samples at once."""


@dataclass(frozen=True, slots=True)
class Operand:
    """A `value` of type rows x columns; `batch` is the number of samples it differs over, None when they share it.

    `diagonal`: the value is the column on the diagonal of a square matrix. `classes`: the value holds class numbers.
    `flipped`: what this is the transpose of.
    """

    value: Any
    rows: int = 1
    columns: int = 1
    batch: int | None = None
    diagonal: bool = False
    classes: int = 0
    flipped: Operand | None = None

    @property
    def is_scalar(self) -> bool:
        return self.rows == 1 and self.columns == 1

    @property
    def is_row(self) -> bool:
        return self.rows == 1 and self.columns > 1

    @property
    def is_square(self) -> bool:
        return self.rows == self.columns > 1

    @property
    def is_matrix(self) -> bool:
        return self.rows > 1 and self.columns > 1


def column(value: Any, rows: int, batch: int | None) -> Operand:
    """A column, or a scalar when it has one row."""
    return Operand(value, rows, 1, batch)


def dense(x: Operand) -> Operand:
    """The same with a diagonal matrix written out, which needs a single sample."""
    if not x.diagonal:
        return x
    if x.batch not in (None, 1):
        raise BatchError(
            f"diag(…) is a matrix of its own for each of the {x.batch} samples: "
            "multiply it by a column, as in diag(v) @ w, or run with batch=1"
        )
    if 8 * x.rows**2 > MOST_BYTES:
        raise BatchError(
            f"diag(…) written out takes {8 * x.rows**2:,} bytes, but {MOST_BYTES:,} at most are taken: "
            "multiply it by a column, as in diag(v) @ w, or entry by entry, as in v * w"
        )
    return Operand(x.value * np.eye(x.rows), x.rows, x.columns, x.batch)


def entrywise(f: Callable[[Any], Any], x: Operand) -> Operand:
    """Apply `f` to each entry."""
    x = dense(x)
    return Operand(f(x.value), x.rows, x.columns, x.batch)


def pairwise(f: Callable[[Any, Any], Any], a: Operand, b: Operand) -> Operand:
    """Apply `f` entry by entry to two operands of one type, or to a scalar and anything."""
    a, b = dense(a), dense(b)
    larger = b if a.is_scalar else a
    batch = a.batch or b.batch
    left, right = a.value, b.value
    if a.is_scalar != b.is_scalar:
        scalar = a if a.is_scalar else b
        if scalar.batch and larger.is_matrix and scalar.batch > 1:
            raise BatchError(
                f"a number for each of the {scalar.batch} samples times a matrix is a matrix for each: run with batch=1"
            )
        if scalar.batch and larger.is_row:
            turned = np.transpose(scalar.value)
            left, right = (turned, right) if a.is_scalar else (left, turned)
    rows, columns = max(a.rows, b.rows), max(a.columns, b.columns)  # they differ in a file of batches
    return Operand(f(left, right), rows, columns, batch)


def add(a: Operand, b: Operand) -> Operand:
    return pairwise(operator.add, a, b)


def subtract(a: Operand, b: Operand) -> Operand:
    return pairwise(operator.sub, a, b)


def multiply(a: Operand, b: Operand) -> Operand:
    """Entry by entry."""
    if (a.diagonal and b.is_scalar) or (b.diagonal and a.is_scalar):
        square, scalar = (a, b) if a.diagonal else (b, a)
        return Operand(square.value * scalar.value, square.rows, square.columns, square.batch or scalar.batch, True)
    return pairwise(operator.mul, a, b)


def divide(a: Operand, b: Operand) -> Operand:
    return pairwise(operator.truediv, a, b)


def negative(x: Operand) -> Operand:
    return Operand(-x.value, x.rows, x.columns, x.batch, x.diagonal)


def power(x: Operand, exponent: float) -> Operand:
    return entrywise(lambda value: value**exponent, x)


def matrix_power(x: Operand, exponent: int) -> list[Operand]:
    """The factors of a power of a square matrix: none makes the identity, a negative one the inverse."""
    if x.diagonal:
        return [Operand(x.value**exponent, x.rows, x.columns, x.batch, True)] if exponent else [identity(x.rows)]
    if exponent < 0:
        x = inverse(x)
    return [x] * abs(exponent) or [identity(x.rows)]


def identity(rows: int) -> Operand:
    """The matrix with ones on its diagonal."""
    return Operand(np.ones((rows, 1)), rows, rows, None, True)


def row_sums(x: Operand) -> Operand:
    """The sum of each row, one below the other."""
    x = dense(x)
    if x.columns == 1:
        return x
    if x.rows == 1:
        return over_entries(lambda v: np.sum(v, axis=0, keepdims=True))(x)
    return Operand(np.sum(x.value, axis=1, keepdims=True), x.rows, 1, x.batch)


def solve(a: Operand, b: Operand) -> Operand:
    """What `a` times it gives `b`; raises numpy's `LinAlgError` when `a` is singular."""
    if a.is_scalar or a.diagonal:
        return matmul(inverse(a), b)
    b = dense(b)
    return Operand(solved(a.value, b.value), b.rows, b.columns, a.batch or b.batch)


def inverse(x: Operand) -> Operand:
    """The inverse matrix; raises numpy's `LinAlgError` when there is none."""
    if x.is_scalar or x.diagonal:
        return Operand(1.0 / x.value, x.rows, x.columns, x.batch, x.diagonal)
    return Operand(inv(x.value), x.rows, x.columns, x.batch)


def transpose(x: Operand) -> Operand:
    """Rows for columns; the samples turn with them."""
    if x.is_scalar or x.diagonal:
        return x
    if x.flipped is not None:
        return x.flipped
    return Operand(np.transpose(x.value), x.columns, x.rows, x.batch, flipped=x)


def upright(v: Operand) -> Operand:
    """A row as the column it is the transpose of; anything else as it is."""
    return transpose(dense(v)) if v.is_row else v


def of_vector(f: Callable[[Any], Any]) -> Callable[[Operand], Operand]:
    """A function of the entries of a column, also of a row, which it leaves one."""

    def apply(v: Operand) -> Operand:
        result = entrywise(f, upright(v))
        return transpose(result) if v.is_row else result

    return apply


def diagonal(v: Operand) -> Operand:
    """The matrix with `v` on its diagonal, kept as the column it is."""
    v = upright(v)
    return v if v.is_scalar else Operand(v.value, v.rows, v.rows, v.batch, True)


def over_entries(f: Callable[[Any], Any]) -> Callable[[Operand], Operand]:
    """A reduction of all entries to one number (for each sample), from `f`, which reduces columns."""

    def reduce(x: Operand) -> Operand:
        x = dense(x)
        if x.is_matrix:
            return Operand(np.sum(f(np.reshape(x.value, (x.rows * x.columns, 1)))))
        if x.is_scalar and x.batch is None:
            return Operand(np.sum(f(np.reshape(x.value, (1, 1)))))
        value = transpose(x).value if x.is_row else x.value
        return Operand(f(value), batch=x.batch)

    return reduce


def stack(parts: Sequence[Operand], side_by_side: bool = False) -> Operand:
    """One above the other, or side by side."""
    if side_by_side:
        return transpose(stack([transpose(dense(part)) for part in parts]))
    parts = [dense(part) for part in parts]
    batch = next((part.batch for part in parts if part.batch), None)
    values = [_as_block(part, batch) for part in parts]
    return Operand(np.concatenate(values, axis=0), sum(part.rows for part in parts), parts[0].columns, batch)


def columns(x: Operand, first: Operand, last: Operand) -> Operand:
    """The columns from `first` to `last`, counted from 1, both included."""
    x = dense(x)
    low, high = int(first.value), int(last.value)
    return Operand(x.value[:, low - 1 : high], x.rows, high - low + 1, x.batch)


def rows(x: Operand, first: Operand, last: Operand) -> Operand:
    """The rows from `first` to `last`, counted from 1, both included."""
    x = dense(x)
    low, high = int(first.value), int(last.value)
    return Operand(x.value[low - 1 : high], high - low + 1, x.columns, x.batch)


def _as_block(part: Operand, batch: int | None) -> Any:
    width = batch or 1 if part.columns == 1 else part.columns
    if np.shape(plain(part.value)) == (part.rows, width):
        return part.value
    return part.value * np.ones((part.rows, width))


def matmul(a: Operand, b: Operand, contract: bool = True) -> Operand:
    """The matrix product; `contract` lets a column times a row add up over the samples, as a parameter's gradient
    does."""
    if a.diagonal or b.diagonal:
        return _with_diagonal(a, b)
    if a.is_scalar or b.is_scalar:
        product = pairwise(operator.mul, a, b)
        return Operand(product.value, a.rows, b.columns, product.batch)
    if a.rows == 1 and b.columns == 1:
        return _inner(a, b)
    if a.columns == 1:
        return _outer(a, b, contract)
    return Operand(a.value @ b.value, a.rows, b.columns, a.batch or b.batch)


def _with_diagonal(a: Operand, b: Operand) -> Operand:
    if a.diagonal and b.diagonal:
        return Operand(a.value * b.value, a.rows, b.columns, a.batch or b.batch, True)
    if a.diagonal and not b.is_matrix:
        return Operand(a.value * b.value, b.rows, b.columns, a.batch or b.batch)
    if b.diagonal and not a.is_matrix:
        return Operand(a.value * np.transpose(b.value), a.rows, a.columns, a.batch or b.batch)
    square, other = (a, b) if a.diagonal else (b, a)
    if square.batch not in (None, 1):
        dense(square)
    scale = square.value if a.diagonal else np.transpose(square.value)
    return Operand(
        scale * other.value if a.diagonal else other.value * scale, a.rows, b.columns, square.batch or other.batch
    )


def _inner(a: Operand, b: Operand) -> Operand:
    if a.batch is None:
        return Operand(a.value @ b.value, batch=b.batch)
    if b.batch is None:
        return Operand(np.transpose(a.value @ b.value), batch=a.batch)
    return Operand(np.sum(transpose(a).value * b.value, axis=0, keepdims=True), batch=a.batch)


def _outer(a: Operand, b: Operand, contract: bool) -> Operand:
    several = [x.batch for x in (a, b) if x.batch not in (None, 1)]
    if several and (not contract or len(several) == 1):
        raise BatchError(
            f"a column times a row is a matrix of its own for each of the {several[0]} samples: run with batch=1"
        )
    return Operand(
        a.value @ b.value, a.rows, b.columns, None if a.batch and b.batch and several else a.batch or b.batch
    )
