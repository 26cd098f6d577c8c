"""The table of linear algebra beyond products: factorisations, their kin, and norms of every order.

A factorisation has one primitive, whose result holds its parts side by side, so that its rule sees all of them at once;
`solve`, `inv` and `det` stand in `contractions`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, reduce
from typing import Any

import numpy as np

from ..declare import axes_of, operand, optional, primitive, shape_of, spells, undifferentiated
from ..errors import NotDifferentiableError, ShapeError
from ..tensor import plain
from .contractions import inv, matmul, outer, tensordot, trace
from .elementwise import equal
from .identity import stop
from .reductions import euclidean
from .shaping import diagonal, tril, triu


def _t(a: Any) -> Any:
    return np.swapaxes(a, -1, -2)


def _square(name: str, a: Any) -> int:
    shape = shape_of(a)
    if len(shape) < 2 or shape[-1] != shape[-2]:
        raise ShapeError(f"{name}: needs square matrices, but the shape is {shape}")
    return shape[-1]


def _real(a: Any) -> Any:
    # numpy takes complex matrices to be Hermitian, where the derivative of the real function is meant
    if np.iscomplexobj(a):
        raise TypeError("a factorisation of a real matrix has no complex form")
    return a


def _over_gaps(x: Any, differences: Any) -> Any:
    """`x / differences`; where both are 0, nothing depends on the difference, and it is 0."""
    return x / (differences + equal(differences, 0.0) * equal(x, 0.0))


def _symmetric(a: Any, upper: bool = False) -> Any:
    """The symmetric matrix that is given by one triangle, as numpy reads it."""
    return triu(a) + _t(triu(a, 1)) if upper else tril(a) + _t(tril(a, -1))


# -- Cholesky ------------------------------------------------------------------------------------------------------
def _cholesky_vjp(g: Any, y: Any, a: Any) -> Any:
    # Murray 2016, "Differentiation of the Cholesky decomposition", equations 9 and 10
    product = tril(_t(y) @ g)
    half = product - 0.5 * product * np.eye(shape_of(y)[-1], dtype=y.dtype)
    pulled = np.linalg.solve(_t(y), _t(np.linalg.solve(_t(y), _t(half + _t(half)))))
    return 0.5 * pulled


@primitive("cholesky", vjp=(_cholesky_vjp,), label="chol")
def _cholesky(a: Any) -> Any:
    return np.linalg.cholesky(_real(a))


@spells(np.linalg.cholesky)
def cholesky(a: Any, upper: bool = False) -> Any:
    """The lower triangular L with `L @ L.T = a` (or `upper`, U.T @ U), for positive definite matrices.

    numpy reads one triangle of `a` alone, and so the gradient is there.
    """
    _square("cholesky", a)
    factor = _cholesky(_symmetric(a, upper))
    return _t(factor) if upper else factor


# -- eigenvalues and singular values -------------------------------------------------------------------------------
def _rows(y: Any, start: int, stop: int | None) -> Any:
    return y[..., start:stop, :]


def _eigh_vjp(g: Any, y: Any, a: Any) -> Any:
    w, v, gw, gv = y[..., 0, :], _rows(y, 1, None), g[..., 0, :], _rows(g, 1, None)
    n = shape_of(w)[-1]
    gaps = np.expand_dims(w, -2) - np.expand_dims(w, -1)
    turned = _over_gaps((_t(v) @ gv) * (1.0 - np.eye(n, dtype=y.dtype)), gaps)
    return v @ (turned + np.expand_dims(gw, -2) * np.eye(n, dtype=y.dtype)) @ _t(v)


@primitive("eigh", vjp=(_eigh_vjp,))
def _eigh(a: Any) -> Any:
    w, v = np.linalg.eigh(_real(a))
    return np.concatenate([w[..., None, :], v], axis=-2)


@cache
def _result_of(function: Any) -> Any:
    """The named tuple in which numpy returns what a factorisation gives."""
    return type(function(np.eye(1)))


@spells(np.linalg.eigh)
def eigh(a: Any, UPLO: str = "L") -> Any:
    """Eigenvalues, ascending, and eigenvectors (columns) of symmetric matrices; numpy reads one triangle of `a` alone,
    and so the gradient is there. Vectors that belong to one value several times have no derivative: inf or nan.
    """
    _square("eigh", a)
    if UPLO.upper() not in ("L", "U"):
        raise ValueError("UPLO argument must be 'L' or 'U'")
    packed = _eigh(_symmetric(a, UPLO.upper() == "U"))
    return _result_of(np.linalg.eigh)(packed[..., 0, :], _rows(packed, 1, None))


@spells(np.linalg.eigvalsh)
def eigvalsh(a: Any, UPLO: str = "L") -> Any:
    """Eigenvalues of symmetric matrices, ascending."""
    return eigh(a, UPLO)[0]


def _svd_vjp(g: Any, y: Any, a: Any) -> Any:
    m, n = shape_of(a)[-2:]
    u, s, v = _rows(y, 0, m), y[..., m, :], _rows(y, m + 1, None)
    gu, gs, gv = _rows(g, 0, m), g[..., m, :], _rows(g, m + 1, None)
    k = shape_of(s)[-1]
    eye, row = np.eye(k, dtype=y.dtype), np.expand_dims(s, -2)
    gaps = row * row - _t(row * row)
    left, right = ((_t(x) @ gx - _t(_t(x) @ gx)) for x, gx in ((u, gu), (v, gv)))
    inner = _over_gaps(left, gaps) * row + _t(row) * _over_gaps(right, gaps) + np.expand_dims(gs, -2) * eye
    result = u @ inner @ _t(v)
    if m > k:
        result = result + (gu - u @ (_t(u) @ gu)) / row @ _t(v)
    if n > k:
        result = result + u @ _t((gv - v @ (_t(v) @ gv)) / row)
    return result


@primitive("svd", vjp=(_svd_vjp,))
def _svd(a: Any) -> Any:
    u, s, vh = np.linalg.svd(_real(a), full_matrices=False)
    return np.concatenate([u, s[..., None, :], np.swapaxes(vh, -1, -2)], axis=-2)


@spells(np.linalg.svd)
def svd(a: Any, full_matrices: bool = True, compute_uv: bool = True, hermitian: bool = False) -> Any:
    """Singular values, descending, with their vectors. Of a matrix that is not square, give `full_matrices=False`: the
    further vectors have no derivative. Vectors of a repeated singular value have none either: inf or nan.

    Raises `ShapeError` for less than two axes, `NotDifferentiableError` for `hermitian` and for vectors that have no
    derivative.
    """
    if len(shape_of(a)) < 2:
        raise ShapeError(f"svd: needs matrices, but the shape is {shape_of(a)}")
    if hermitian:
        raise NotDifferentiableError("np.linalg.svd on a Tensor does not take hermitian=: use np.linalg.eigh")
    m, n = shape_of(a)[-2:]
    if compute_uv and full_matrices and m != n:
        raise NotDifferentiableError(
            f"svd: of a {m} x {n} matrix the vectors beyond {min(m, n)} have no derivative: give full_matrices=False"
        )
    packed = _svd(a)
    s = packed[..., m, :]
    return _result_of(np.linalg.svd)(_rows(packed, 0, m), s, _t(_rows(packed, m + 1, None))) if compute_uv else s


@spells(optional(np.linalg, "svdvals"))
def svdvals(x: Any) -> Any:
    """Singular values, descending."""
    return svd(x, compute_uv=False)


# -- determinants, inverses, powers --------------------------------------------------------------------------------
@primitive(
    "slogdet", vjp=(lambda g, y, a: np.expand_dims(g[..., 1:], -1) * _t(np.linalg.inv(a)),),
)  # fmt: skip
def _slogdet(a: Any) -> Any:
    sign, size = np.linalg.slogdet(_real(a))
    return np.stack([sign, size], axis=-1)


@spells(np.linalg.slogdet)
def slogdet(a: Any) -> Any:
    """The sign of the determinant, which has no derivative, and the logarithm of its size."""
    _square("slogdet", a)
    packed = _slogdet(a)
    return _result_of(np.linalg.slogdet)(stop(packed[..., 0]), packed[..., 1])


def _pinv_vjp(g: Any, y: Any, a: Any, **options: Any) -> Any:
    # Golub and Pereyra 1973, equation 4.12, for matrices of constant rank
    p, pt, gt = y, _t(y), _t(g)
    return gt @ p @ pt - a @ (p @ gt @ p @ pt) + pt @ p @ gt - (pt @ p @ gt @ p) @ a - pt @ g @ pt


@primitive("pinv", vjp=(_pinv_vjp,), label="⁺")
def _pinv(a: Any, **options: Any) -> Any:
    return np.linalg.pinv(_real(a), **options)


@spells(np.linalg.pinv)
def pinv(a: Any, rcond: Any = None, hermitian: bool = False, rtol: Any = None) -> Any:
    """The pseudoinverse; its derivative holds while the rank stays as it is.

    Raises `NotDifferentiableError` for `hermitian`.
    """
    if hermitian:
        raise NotDifferentiableError("np.linalg.pinv on a Tensor does not take hermitian=: leave it out")
    given = {"rcond": rcond, "rtol": rtol}
    return _pinv(a, **{name: value for name, value in given.items() if value is not None})


@spells(np.linalg.matrix_power)
def matrix_power(a: Any, n: int) -> Any:
    """`a @ a @ ...`, n times; the inverse for n below 0."""
    size = _square("matrix_power", a)
    if n < 0:
        return matrix_power(inv(a), -n)
    if n == 0:
        return np.broadcast_to(np.eye(size, dtype=a.dtype), shape_of(a))
    half = matrix_power(a, n // 2) if n > 1 else None
    return a if half is None else half @ half @ a if n % 2 else half @ half


@spells(np.linalg.multi_dot)
def multi_dot(arrays: Any) -> Any:
    """The product of several matrices, the first and the last of which may be vectors, from left to right."""
    return reduce(np.dot, map(operand, arrays))


# -- norms ---------------------------------------------------------------------------------------------------------
def _vector_norm(x: Any, order: Any, axis: Any, keepdims: bool) -> Any:
    if order in (None, 2):
        return euclidean(x, axis=axis, keepdims=keepdims)
    if order == 0:
        return np.sum(_not_zero(x), axis=axis, keepdims=keepdims)
    if order in (np.inf, -np.inf):
        return (np.max if order > 0 else np.min)(np.abs(x), axis=axis, keepdims=keepdims)
    if order == 1:
        return np.sum(np.abs(x), axis=axis, keepdims=keepdims)
    with np.errstate(over="ignore", under="ignore"):
        total = np.sum(np.abs(x) ** order, axis=axis, keepdims=keepdims)
    limits, size = np.finfo(total.dtype), plain(total)
    if np.all((limits.tiny / limits.eps < size) & (size < np.inf)):
        return total ** (1.0 / order)
    # powers overflow, or underflow, long before the norm does: the norm of x / top, times top, is the same for any top
    top = np.max(np.abs(plain(x)), axis=axis, keepdims=True, initial=0.0)
    top = np.where((top > 0.0) & np.isfinite(top), top, np.ones_like(top))
    total = np.sum(np.abs(x / top) ** order, axis=axis, keepdims=keepdims)
    empty = equal(total, 0.0)  # the derivative at 0 is 0, as for the Euclidean norm
    return ((total + empty) ** (1.0 / order) - empty) * np.reshape(top, shape_of(total))


def _not_zero(x: Any) -> Any:
    """1 where an entry is not 0, by an operation of the graph that has no derivative."""
    return 1.0 - equal(x, 0.0)


#: order of a matrix norm -> what is summed and what is taken of the sums; of the singular values, what is taken
_SUMS: dict[Any, tuple[Callable[..., Any], int]] = {
    1: (np.max, -2), -1: (np.min, -2), np.inf: (np.max, -1), -np.inf: (np.min, -1),
}  # fmt: skip
_SINGULAR: dict[Any, Callable[..., Any]] = {"nuc": np.sum, 2: np.max, -2: np.min}


def _matrix_norm(x: Any, order: Any, axes: tuple[int, int], keepdims: bool) -> Any:
    if order in (None, "fro"):
        return euclidean(x, axis=axes, keepdims=keepdims)
    moved = np.moveaxis(x, axes, (-2, -1))
    if order in _SUMS:
        take, axis = _SUMS[order]
        result = take(np.sum(np.abs(moved), axis=axis), axis=-1)
    elif order in _SINGULAR:
        result = _SINGULAR[order](svd(moved, compute_uv=False), axis=-1)
    else:
        raise ValueError("Invalid norm order for matrices.")
    return np.expand_dims(result, tuple(i % len(shape_of(x)) for i in axes)) if keepdims else result


@spells(np.linalg.norm)
def norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    """The Euclidean (Frobenius) norm, whose derivative at 0 is defined as 0, or that of any order numpy knows, of
    vectors and of matrices.

    >>> import numpy as np, tinygrad_rnn as tg
    >>> np.linalg.norm(tg.tensor([[3.0, 0.0], [0.0, 4.0]]), "nuc").item()
    7.0
    """
    x, ord = operand(x), undifferentiated("linalg.norm", "ord", ord)
    rank = len(shape_of(x))
    if axis is None and (ord is None or (ord == 2 and rank == 1)):
        return euclidean(x, axis=None, keepdims=keepdims)
    axes = axes_of(x, axis)
    if len(axes) == 1:
        if isinstance(ord, str):
            raise ValueError(f"Invalid norm order '{ord}' for vectors")
        return _vector_norm(x, ord, axes[0], keepdims)
    if len(axes) == 2:
        return _matrix_norm(x, ord, axes, keepdims)
    raise ValueError("Improper number of dimensions to norm.")


@spells(optional(np.linalg, "vector_norm"))
def vector_norm(x: Any, axis: Any = None, keepdims: bool = False, ord: Any = 2) -> Any:
    """The norm of all entries over `axis` as one vector."""
    return _vector_norm(x, undifferentiated("linalg.vector_norm", "ord", ord), axis, keepdims)


@spells(optional(np.linalg, "matrix_norm"))
def matrix_norm(x: Any, keepdims: bool = False, ord: Any = "fro") -> Any:
    """The norm of the matrices in the last two axes."""
    return _matrix_norm(x, undifferentiated("linalg.matrix_norm", "ord", ord), (-2, -1), keepdims)


# -- products by other names ---------------------------------------------------------------------------------------
@spells(np.kron)
def kron(a: Any, b: Any) -> Any:
    """Every entry of `a` times all of `b`, as blocks."""
    a, b = operand(a), operand(b)
    rank = max(a.ndim, b.ndim)
    left, right = ((1,) * (rank - x.ndim) + shape_of(x) for x in (a, b))
    rows = np.reshape(a, [n for length in left for n in (length, 1)])
    columns = np.reshape(b, [n for length in right for n in (1, length)])
    return np.reshape(rows * columns, [m * n for m, n in zip(left, right, strict=True)])


@spells(np.vdot)
def vdot(a: Any, b: Any) -> Any:
    """The inner product of all entries."""
    return np.dot(np.ravel(operand(a)), np.ravel(operand(b)))


@spells(np.cross)
def cross(a: Any, b: Any, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: int | None = None) -> Any:
    """The vector product of vectors of length 3 (or 2, whose third entry is 0; two of them give that third alone).

    Raises `ShapeError` for other lengths.
    """
    if axis is not None:
        axisa = axisb = axisc = axis
    a, b = np.moveaxis(operand(a), axisa, -1), np.moveaxis(operand(b), axisb, -1)
    sizes = (shape_of(a)[-1], shape_of(b)[-1])
    if not {*sizes} <= {2, 3}:
        raise ShapeError(f"cross: vectors have length 2 or 3, not {sizes[0]} and {sizes[1]}")
    a1, a2, a3, b1, b2, b3 = (x[..., i] if i < shape_of(x)[-1] else 0.0 for x in (a, b) for i in range(3))
    third = a1 * b2 - a2 * b1
    if sizes == (2, 2):
        return third
    first, second = a2 * b3 - a3 * b2, a3 * b1 - a1 * b3
    return np.moveaxis(np.stack([first, second, third], axis=-1), -1, axisc)


spells(optional(np.linalg, "cross"))(lambda x1, x2, axis=-1: cross(x1, x2, axis=axis))
spells(optional(np.linalg, "outer"))(lambda x1, x2: outer(x1, x2))
spells(optional(np.linalg, "matmul"))(matmul)
spells(optional(np.linalg, "tensordot"))(lambda x1, x2, axes=2: tensordot(x1, x2, axes))
spells(optional(np.linalg, "trace"))(lambda x, offset=0, dtype=None: trace(x, offset, -2, -1, dtype))
spells(optional(np.linalg, "diagonal"))(lambda x, offset=0: diagonal(x, offset, -2, -1))


@spells(optional(np, "matrix_transpose"), optional(np.linalg, "matrix_transpose"))
def matrix_transpose(x: Any) -> Any:
    """The transpose of each matrix, the last two axes. Raises `ShapeError` for less."""
    if len(shape_of(x)) < 2:
        raise ShapeError(f"matrix_transpose: needs two axes at least, but the shape is {shape_of(x)}")
    return _t(x)


@spells(optional(np, "vecdot"), optional(np.linalg, "vecdot"))
def vecdot(x1: Any, x2: Any, axis: int = -1) -> Any:
    """Sum of products along `axis`."""
    return np.sum(np.moveaxis(operand(x1), axis, -1) * np.moveaxis(operand(x2), axis, -1), axis=-1)


spells(optional(np, "matvec"))(lambda x1, x2: np.squeeze(matmul(x1, np.expand_dims(x2, -1)), -1))
spells(optional(np, "vecmat"))(lambda x1, x2: np.squeeze(matmul(np.expand_dims(x1, -2), x2), -2))
