"""The table of products of matrices and tensors, and of linear algebra."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..declare import axes_of, operand, primitive, shape_of, spells
from ..errors import ShapeError
from ..tensor import Tensor, plain


# -- matrix product ------------------------------------------------------------------------------------------------
def _matmul_left(g: Any, y: Any, a: Any, b: Any) -> Any:
    if b.ndim == 1:
        return np.expand_dims(g, -1) * b
    if a.ndim == 1:
        return np.squeeze(np.expand_dims(g, -2) @ np.swapaxes(b, -1, -2), -2)
    return np.dot(g, b.T) if b.ndim == g.ndim == 2 else g @ np.swapaxes(b, -1, -2)


def _matmul_right(g: Any, y: Any, a: Any, b: Any) -> Any:
    if a.ndim == 1:
        return np.expand_dims(a, -1) * np.expand_dims(g, -2) if b.ndim > 1 else g * a
    if b.ndim == 1:
        return np.squeeze(np.swapaxes(a, -1, -2) @ np.expand_dims(g, -1), -1)
    return np.dot(a.T, g) if a.ndim == g.ndim == 2 else np.swapaxes(a, -1, -2) @ g


@primitive("matmul", np.matmul, inputs=2, multilinear=True, label="@", vjp=(_matmul_left, _matmul_right))
def matmul(a: Any, b: Any) -> Any:
    """Matrix product; vectors and stacks of matrices as in numpy.

    Raises `ShapeError` for a scalar, and for lengths that differ.
    """
    if type(a) is float or type(b) is float:
        raise ShapeError(f"matmul: {shape_of(a)} @ {shape_of(b)}: one side is a scalar; write * instead of @")
    # np.dot costs half of np.matmul's overhead and is the same for two matrices
    return np.dot(a, b) if a.ndim == 2 and b.ndim == 2 else np.matmul(a, b)


for _name, _method in {"__matmul__": matmul, "__rmatmul__": lambda self, other: matmul(other, self)}.items():
    setattr(Tensor, _name, _method)


def _linear_weight(g: Any, y: Any, x: Any, W: Any) -> Any:
    if x.ndim != 2:
        count = int(np.prod(shape_of(x)[:-1], dtype=int))  # -1 would be ambiguous where a length is 0
        g, x = (np.reshape(rows, (count, shape_of(rows)[-1])) for rows in (g, x))
    return np.dot(g.T, x)


@primitive(
    "linear", inputs=2, multilinear=True, label="@",
    vjp=(lambda g, y, x, W: matmul(g, W), _linear_weight),
)  # fmt: skip
def linear(x: Any, W: Any) -> Any:
    """`x @ W.T`: what a matrix does to columns, for rows; the book's W h when a batch is more rows.

    Shapes: x (..., D), W (H, D), result (..., H). Raises `ShapeError` where the last lengths differ.

    >>> import numpy as np, tinygrad_rnn as tg
    >>> W = tg.tensor([[1.0, 2.0], [0.0, 1.0], [3.0, 0.0]])
    >>> tg.linear(np.array([[1.0, 1.0]]), W).numpy().tolist()
    [[3.0, 1.0, 3.0]]
    """
    if len(shape_of(W)) != 2 or not shape_of(x):
        raise ShapeError(f"linear: needs rows and a matrix, but got {shape_of(x)} and {shape_of(W)}")
    return np.dot(x, W.T)


@spells(np.dot)
def dot(a: Any, b: Any) -> Any:
    """numpy's `dot`: inner product of vectors, matrix product, product with a scalar."""
    a, b = operand(a), operand(b)
    if not shape_of(a) or not shape_of(b):
        return a * b
    if len(shape_of(b)) <= 2:
        return matmul(a, b)
    return tensordot(a, b, axes=([-1], [-2]))


@spells(np.inner)
def inner(a: Any, b: Any) -> Any:
    """Sum of products over the last axes."""
    a, b = operand(a), operand(b)
    return a * b if not shape_of(a) or not shape_of(b) else tensordot(a, b, axes=([-1], [-1]))


@spells(np.outer)
def outer(a: Any, b: Any) -> Any:
    """Every entry of `a` (rows) times every entry of `b` (columns)."""
    return np.reshape(a, (-1, 1)) * np.reshape(b, (1, -1))


@spells(np.tensordot)
def tensordot(a: Any, b: Any, axes: Any = 2) -> Any:
    """Sum of products over the paired axes. Raises `ShapeError` where the paired axes differ."""
    a, b = operand(a), operand(b)
    over = (range(-int(axes), 0), range(int(axes))) if np.ndim(axes) == 0 else axes
    left, right = axes_of(a, over[0]), axes_of(b, over[1])
    rows = [i for i in range(len(shape_of(a))) if i not in left]
    columns = [i for i in range(len(shape_of(b))) if i not in right]
    row_shape, column_shape = [shape_of(a)[i] for i in rows], [shape_of(b)[i] for i in columns]
    shared = int(np.prod([shape_of(a)[i] for i in left], dtype=int))
    if [shape_of(a)[i] for i in left] != [shape_of(b)[i] for i in right]:
        raise ShapeError(f"tensordot: {shape_of(a)} over axes {left} does not fit {shape_of(b)} over axes {right}")
    flat_a = np.reshape(np.transpose(a, (*rows, *left)), (int(np.prod(row_shape, dtype=int)), shared))
    flat_b = np.reshape(np.transpose(b, (*right, *columns)), (shared, int(np.prod(column_shape, dtype=int))))
    return np.reshape(flat_a @ flat_b, (*row_shape, *column_shape))


# -- Einstein summation --------------------------------------------------------------------------------------------
_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


def _explicit(subscripts: str, shapes: list[tuple[int, ...]]) -> tuple[list[str], str]:
    """Subscripts without ellipsis and with the output spelled out."""
    left, arrow, right = subscripts.replace(" ", "").partition("->")
    terms = left.split(",")
    if len(terms) != len(shapes):
        raise ShapeError(f"einsum: {subscripts!r} names {len(terms)} operands, but {len(shapes)} are given")
    free = [letter for letter in _LETTERS if letter not in subscripts]
    extra = [len(shape) - len(term) + 3 if "..." in term else 0 for term, shape in zip(terms, shapes, strict=True)]
    dots = "".join(free[: max(extra)])
    terms = [term.replace("...", dots[len(dots) - more :]) for term, more in zip(terms, extra, strict=True)]
    if not arrow:
        letters = "".join(terms)
        right = dots + "".join(sorted(c for c in set(letters) if letters.count(c) == 1 and c not in dots))
    return terms, right.replace("...", dots)


def _einsum_vjp(g: Any, y: Any, *xs: Any, subscripts: str) -> tuple[Any, ...]:
    return tuple(_einsum_vjp_of(i, g, xs, *_explicit(subscripts, [shape_of(x) for x in xs])) for i in range(len(xs)))


def _einsum_vjp_of(i: int, g: Any, xs: Any, terms: list[str], output: str) -> Any:
    """Contract the cotangent with the other operands; a repeated letter is a diagonal, a lonely one meets ones."""
    operands, subs = [g, *xs[:i], *xs[i + 1 :]], [output, *terms[:i], *terms[i + 1 :]]
    lengths = {
        (letter, n) for sub, x in zip(subs, operands, strict=True) for letter, n in zip(sub, shape_of(x), strict=True)
    }
    free = iter([letter for letter in _LETTERS if letter not in "".join(terms) + output])
    target = ""
    for letter, length in zip(terms[i], shape_of(xs[i]), strict=True):
        fresh = next(free) if letter in target else letter
        if fresh != letter:
            operands.append(np.eye(length))
            subs.append(letter + fresh)
        elif (letter, length) not in lengths:  # nowhere else, or of length 1 there
            operands.append(np.ones(length))
            subs.append(letter)
        target += fresh
    return np.einsum(",".join(subs) + "->" + target, *operands)


@primitive("einsum", inputs=None, multilinear=True, label="einsum", vjp=_einsum_vjp)
def _einsum(xs: Any, subscripts: str) -> Any:
    return np.einsum(subscripts, *xs)


def _in_letters(arguments: tuple[Any, ...]) -> tuple[str, tuple[Any, ...]]:
    """Operands each followed by the numbers of its axes, and those of the result, as subscripts and operands."""
    terms = ["".join("..." if i is Ellipsis else _LETTERS[i] for i in labels) for labels in arguments[1::2]]
    result = (
        ""
        if len(arguments) % 2 == 0
        else "->" + "".join("..." if i is Ellipsis else _LETTERS[i] for i in arguments[-1])
    )
    operands = arguments[0 : len(arguments) // 2 * 2 : 2]
    return ",".join(terms) + result, operands


@spells(np.einsum)
def einsum(subscripts: Any, *operands: Any) -> Any:
    """Einstein summation, explicit or implicit, with ellipsis and repeated letters, or with lists of axes' numbers.

    >>> import numpy as np, tinygrad_rnn as tg
    >>> tg.grad(lambda a: np.einsum("ii", a))(np.ones((2, 2))).tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    if not isinstance(subscripts, str):
        subscripts, operands = _in_letters((subscripts, *operands))
    return _einsum(operands, subscripts=subscripts)


@spells(np.trace)
def trace(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1, dtype: Any = None) -> Any:
    """Sum of the diagonal."""
    return np.sum(np.diagonal(a, offset, axis1, axis2), axis=-1, dtype=dtype)


# -- linear algebra ------------------------------------------------------------------------------------------------
def _t(a: Any) -> Any:
    return np.swapaxes(a, -1, -2)


def _solve_matrix(g: Any, y: Any, a: Any, b: Any) -> Any:
    w = np.linalg.solve(_t(a), g)
    return -(np.expand_dims(w, -1) * y if b.ndim == 1 else w @ _t(y))


@primitive(
    "solve", inputs=2, label="\\",
    vjp=(_solve_matrix, lambda g, y, a, b: np.linalg.solve(_t(a), g)),
)  # fmt: skip
def _solve(a: Any, b: Any) -> Any:
    return np.linalg.solve(a, b)


@spells(np.linalg.solve)
def solve(a: Any, b: Any) -> Any:
    """x with `a @ x = b`, a vector or the columns of a matrix; raises numpy's `LinAlgError` when `a` is singular."""
    if len(shape_of(a)) > 2 and len(shape_of(operand(b))) == 1:  # one vector for a stack of matrices
        return np.squeeze(_solve(a, np.expand_dims(operand(b), -1)), -1)
    return _solve(a, b)


@primitive("inv", np.linalg.inv, label="⁻¹", vjp=(lambda g, y, a: -(_t(y) @ g @ _t(y)),))
def inv(a: Any) -> Any:
    """The inverse matrix; raises numpy's `LinAlgError` when there is none."""
    return np.linalg.inv(a)


def _det_vjp(g: Any, y: Any, a: Any) -> Any:
    n = shape_of(a)[-1]
    if not n or n > 30 or np.all(np.linalg.cond(plain(a)) < 1e8):
        return np.expand_dims(np.expand_dims(g * y, -1), -1) * _t(np.linalg.inv(a))
    # y * inv(a) says nothing where both are rounding: the cofactors, which are determinants again
    others = np.array([[j for j in range(n) if j != i] for i in range(n)], dtype=int).reshape(n, n - 1)
    minors = np.linalg.det(a[..., others[:, None, :, None], others[None, :, None, :]])
    return np.expand_dims(np.expand_dims(g, -1), -1) * minors * (-1.0) ** np.add.outer(np.arange(n), np.arange(n))


@primitive("det", np.linalg.det, vjp=(_det_vjp,))
def det(a: Any) -> Any:
    """The determinant; its gradient is the matrix of cofactors, also where the matrix is singular."""
    return np.linalg.det(a)
