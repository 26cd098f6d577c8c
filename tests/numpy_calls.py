"""Calls of every numpy function that takes Tensors: away from kinks, dimensions distinct, with lengths 0 and 1."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .samples import BATCH, SQUARE, UNIT, M, P, V

N = np.array([[0.4, np.nan, -1.2], [np.nan, 2.0, 0.7]])
S = SQUARE @ SQUARE.T
STACK = np.stack([SQUARE, SQUARE.T + np.eye(3)])
MASK = M > 0.1
ONE, EMPTY, ROW, THIN = np.array([1.3]), np.zeros((0,)), M[:1], BATCH[:, :1]
NONE = np.zeros((2, 0, 3))
D = np.float64(0.7)
W3 = V[:3] ** 2 + 0.1


class Call(NamedTuple):
    """A numpy function on arrays; the first `operands` arguments, or all parts of a sequence, are differentiated."""

    function: Any
    args: tuple[Any, ...]
    options: dict[str, Any]


def call(function: Any, *args: Any, **options: Any) -> Call:
    return Call(function, args, options)


def _calls(*functions: Any, on: tuple[Any, ...] = (M, BATCH, ONE, EMPTY, NONE, D, THIN)) -> list[Call]:
    return [call(function, x) for function in functions for x in on]


def optional(name: str, *args: Any, **options: Any) -> list[Call]:
    """Of a function that not every supported release of numpy has."""
    found: Any = np
    for part in name.split("."):
        found = getattr(found, part, None)
    return [] if found is None else [call(found, *args, **options)]


ELEMENTWISE = [
    *_calls(
        np.negative, np.exp, np.expm1, np.sin, np.cos, np.tan, np.arctan, np.sinh, np.cosh, np.tanh, np.arcsinh,
        np.absolute, np.fabs, np.square, np.sign, np.exp2, np.cbrt, np.deg2rad, np.rad2deg, np.radians, np.degrees,
        np.positive, np.conjugate, np.real, np.imag, np.real_if_close, np.sinc, np.nan_to_num,
        on=(M, D, EMPTY, THIN),
    ),
    *_calls(np.log, np.log2, np.log10, np.sqrt, np.reciprocal, on=(P, D, EMPTY)),
    *_calls(np.arcsin, np.arccos, np.arctanh, np.log1p, on=(UNIT, D, EMPTY)),
    *_calls(np.arccosh, on=(P + 1.0, D + 1.0)),
    *(
        call(function, *args)
        for function in (
            np.add, np.subtract, np.multiply, np.divide, np.maximum, np.minimum, np.logaddexp, np.logaddexp2, np.hypot,
            np.arctan2, np.remainder, np.fmod, np.floor_divide, np.divmod, np.fmax, np.fmin, np.heaviside,
        )
        for args in ((M, P), (M[:, :1], P), (M, D), (EMPTY, ONE), (-M, -P[0]))
    ),
    *(call(function, *args) for function in (np.power, np.float_power) for args in ((P, M), (P[:, :1], M), (P, D))),
    call(np.fmax, N, M), call(np.fmin, M, N), call(np.nan_to_num, N), call(np.sinc, np.array([0.0, 1e-3, 1.0, -2.5])),
    call(np.sinc, np.array(0.0)), call(np.clip, M, -0.5, 0.9), call(np.clip, M, V[:3] - 1.5, V[:3] + 0.5),
    call(np.clip, M, None, P - 1.0),
    *([call(np.clip, M, min=-0.5), call(np.clip, M, max=P)] if np.__version__ >= "2.1" else []),
    call(np.where, MASK, M, P), call(np.where, MASK, M, D),
    call(np.select, [M > 1.0, M > 0.0], [M, P], 0.5), *optional("astype", M, np.float64),
    call(np.full_like, M, D),
]  # fmt: skip
REDUCTIONS = [
    *_calls(
        np.sum, np.mean, np.max, np.min, np.prod, np.var, np.std, np.cumsum, np.cumprod, np.nansum, np.nanprod,
        np.nancumsum, np.nancumprod, np.nanmean, np.nanvar, np.nanstd, np.nanmax, np.nanmin, np.median, np.ptp,
        np.sort, np.linalg.norm, np.diff, np.ediff1d, np.gradient,
        on=(M, BATCH, V, ONE, EMPTY, D, THIN, NONE),
    ),
    *(
        call(function, x, axis=axis)
        for function in (
            np.sum, np.mean, np.max, np.min, np.prod, np.var, np.std, np.cumsum, np.cumprod, np.nanmean, np.nanstd,
            np.nanmax, np.median, np.ptp, np.sort, np.diff, np.gradient,
        )
        for x in (BATCH, D, NONE, ONE)
        for axis in (0, -1, 1)
    ),
    *(
        call(function, x, **options)
        for function in (np.nansum, np.nanprod, np.nanmean, np.nanvar, np.nanstd, np.nanmax, np.nanmin, np.nancumsum)
        for x in (N, N[0])
        for options in ({}, {"axis": 0})
    ),
    call(np.var, V, ddof=3), call(np.median, V), call(np.median, N), call(np.median, N, axis=0),
    call(np.median, BATCH, axis=(0, 2), keepdims=True), call(np.quantile, V, 0.3), call(np.quantile, V, [0.3, 1.0]),
    call(np.quantile, BATCH, [[0.1, 0.5]], axis=1, keepdims=True), call(np.percentile, M, [10, 55.0], axis=0),
    call(np.quantile, M, 0.3, method="inverted_cdf"), call(np.percentile, M, 30, method="inverted_cdf"),
    *_calls(np.amax, np.amin), call(np.amax, M, where=MASK, initial=-0.2), call(np.amin, M, where=MASK, initial=0.2),
    call(np.sum, EMPTY, initial=-1),
    call(np.max, M, where=MASK, initial=-0.2), call(np.min, M, axis=0, where=MASK, initial=0.2),
    call(np.nanmax, N, axis=1, where=MASK, initial=-0.2), call(np.nanmin, N, where=MASK, initial=0.2),
    call(np.partition, M, (0, 1, 2)), call(np.partition, M, (0, 1), axis=0),
    call(np.partition, BATCH, tuple(range(24)), axis=None),
    call(np.sort, M, axis=None), call(np.average, M, axis=0, weights=P), call(np.average, M, axis=1, weights=W3),
    call(np.average, M, weights=P), call(np.average, BATCH, 0), call(np.cov, M), call(np.cov, BATCH[0]),
    call(np.cov, V), call(np.corrcoef, BATCH[0]),
    call(np.corrcoef, V), call(np.corrcoef, M, P), call(np.cov, M, P),
    call(np.trapezoid if hasattr(np, "trapezoid") else np.trapz, M, W3),
    *optional("trapezoid", BATCH, axis=1), *optional("trapz", M, W3), *optional("cumulative_sum", V),
    *optional("cumulative_prod", M, axis=0),
    call(np.gradient, V, np.array([0.0, 0.5, 1.5, 1.7])), call(np.gradient, BATCH, 0.5, axis=(1, 2)),
    call(np.gradient, V, edge_order=2), call(np.linspace, D, V[1], 4), call(np.linspace, M, P, 1),
    call(np.linspace, M, P, 5, axis=-1), call(np.linspace, D, V[1], 0),
]  # fmt: skip
SHAPING = [
    *_calls(
        np.ravel, np.transpose, np.squeeze, np.atleast_1d, np.atleast_2d, np.atleast_3d, np.copy, np.flip, np.flipud,
        np.fliplr, np.rot90, np.tril, np.triu, np.diag, np.diagflat, np.diagonal, np.trace,
    ),
    *optional("matrix_transpose", BATCH), *optional("unstack", M), *optional("linalg.matrix_transpose", BATCH),
    call(np.reshape, M, (3, -1)), call(np.reshape, D, (1, 1)), call(np.reshape, M, (3, 2), "F"),
    call(np.ravel, BATCH, "F"),
    call(np.reshape, M, 6), call(np.transpose, BATCH, (-1, 0, 1)), call(np.transpose, M, (-1, 0)),
    call(np.swapaxes, BATCH, 0, -1), call(np.moveaxis, BATCH, (0, 2), (1, 0)), call(np.moveaxis, BATCH, -1, 0),
    call(np.rollaxis, BATCH, 2), call(np.rollaxis, BATCH, 0, 3), call(np.rollaxis, BATCH, 1, -1),
    call(np.expand_dims, M, (0, -1)), call(np.expand_dims, D, 0), call(np.broadcast_to, V, (2, 4)),
    call(np.broadcast_to, D, (3,)), call(np.take, M, [2, 0, 2], axis=1), call(np.take, M, [[5, 0]]),
    call(np.take, M, [7, -9], mode="wrap"), call(np.take, D, 0, axis=0), call(np.repeat, M, [1, 3], axis=0),
    call(np.repeat, D, 3), call(np.tile, M, (2, 1, 3)), call(np.tile, D, 2), call(np.flip, BATCH, axis=(0, -1)),
    call(np.roll, M, (1, -1), axis=(0, 1)), call(np.roll, M, 2), call(np.rot90, BATCH, 3, (1, 2)),
    call(np.rot90, M, 2),
    call(np.pad, M, 1), call(np.pad, M, ((0, 1), (2, 0)), constant_values=3.0), call(np.pad, M, 1, mode="edge"),
    call(np.pad, BATCH, ((1, 0), (0, 0), (0, 2)), mode="reflect"), call(np.pad, M, (2, 3), mode="wrap"),
    call(np.pad, M, 2, mode="symmetric"),
    call(np.pad, M, {-1: (1, 2)}) if np.__version__ >= "2.2" else call(np.pad, M, 1), call(np.tril, BATCH, -1),
    call(np.triu, BATCH, 1), call(np.diag, V, 1),
    call(np.diag, BATCH[0], -1), call(np.diagflat, M, -1), call(np.diagonal, BATCH, 1, 1, 2),
    call(np.diagonal, BATCH, 9, 1, 2), call(np.diagonal, BATCH, -2, 1, 2), call(np.trace, BATCH, 1, 1, 2),
    call(np.take_along_axis, M, np.array([[2, 0], [1, 1]]), 1),
    call(np.take_along_axis, BATCH, np.argsort(BATCH, 1), 1),
    call(np.take_along_axis, M, np.array([[1, 0, 1]]), 0), call(np.take_along_axis, M, np.array([3, 0]), None),
    call(np.delete, M, 1, axis=1), call(np.delete, M, [0, 4]), call(np.compress, [True, False, True], M, axis=1),
    call(np.extract, MASK, M), call(np.resize, M, (2, 2)), call(np.resize, V, 6), call(np.diff, V, 2),
    call(np.diff, M, prepend=0.0, append=P[:, :2]), call(np.ediff1d, M, to_end=[1.0, D], to_begin=V),
]  # fmt: skip
SEQUENCES = [
    *(
        call(function, list(parts))
        for function in (np.concatenate, np.stack, np.vstack, np.hstack, np.dstack, np.column_stack)
        for parts in ((M, P), (V, V[::-1]), (D, D + 1.0), (ONE, ONE), (BATCH, BATCH), (EMPTY, EMPTY), (M,))
    ),
    call(np.concatenate, [M, V], None), call(np.stack, [M, P], -1), call(np.append, M, V),
    call(np.append, M, P, axis=1),
    call(np.append, V, [1.0, 2.0]), call(np.block, [[M, P], [P, M]]), call(np.block, [V, D]), call(np.block, [[D, D]]),
    call(np.broadcast_arrays, M, V[:3], D), call(np.meshgrid, V, W3), call(np.meshgrid, V, W3, ONE, indexing="ij"),
    call(np.meshgrid, V, W3, sparse=True), call(np.meshgrid, V), call(np.atleast_2d, V, D),
    call(np.split, BATCH, 2, -1), call(np.split, V, [1, 3]), call(np.split, V, 3), call(np.array_split, V, 3),
    call(np.hsplit, M, 3), call(np.hsplit, V, 2), call(np.vsplit, M, 2), call(np.vsplit, V, 2),
    call(np.dsplit, BATCH, 4),
]  # fmt: skip
A, B, LEAN = BATCH[0], BATCH[1].T, BATCH[:, :1, :3]
PRODUCTS = [
    *(
        call(function, *args)
        for function in (np.matmul, np.dot, np.inner, np.outer, np.vdot, np.kron)
        for args in ((SQUARE, S), (W3, W3[::-1]), (A, V), (D, M), (V, 2.0), (BATCH, V), (W3, BATCH), (EMPTY, EMPTY))
    ),
    call(np.dot, M, [1.0, 2.0, 3.0]), call(np.outer, V, [1.0, 2.0]), call(np.kron, M, V), call(np.kron, V, BATCH),
    call(np.tensordot, M, A, 1), call(np.tensordot, M, A, np.int64(1)), call(np.tensordot, BATCH, M, ([1, 0], [1, 0])),
    call(np.tensordot, M, V, 0), call(np.tensordot, M, BATCH, (0, 0)), call(np.tensordot, BATCH, A, ((-2, 2), (0, 1))),
    call(np.tensordot, M, P, 2), call(np.cross, M, W3),
    *([call(np.cross, M.T[:, :2], P.T)] if np.__version__ < "2.5" else []),
    call(np.cross, A, B.T, axis=0),
    *optional("vecdot", M, P), *optional("matvec", BATCH, V), *optional("vecmat", W3, BATCH),
    *optional("linalg.cross", M, W3), *optional("linalg.cross", A, B.T, axis=0), *optional("linalg.outer", V, W3),
    *optional("linalg.matmul", SQUARE, S),
    *optional("linalg.tensordot", M, A, axes=1), *optional("linalg.trace", BATCH, offset=1),
    *optional("linalg.diagonal", BATCH), *optional("linalg.vecdot", M, P, axis=0),
    call(np.trace, SQUARE, dtype=np.float64),
    *(
        call(np.einsum, *args)
        for args in (
            ("ij,jk->ik", M, A), ("ij,jk", M, A), ("ii->i", SQUARE), ("ii", SQUARE), ("ij->j", M),
            ("...j,jk->...k", BATCH, B),
            ("bij,i,b->j", BATCH, W3, V[:2]), ("ij,ij->i", M, M), ("ij,ij->ij", ROW, M), ("ij,ij->i", M, ROW),
            ("ij,j->i", M, ONE), ("ij,j->i", M[:, :1], W3), ("...,...->...", V, BATCH), ("...,...->...", THIN, M.T),
            ("...i,...i", BATCH, V), ("i...,j...->ij...", M, THIN[0]), ("ij,j", NONE[0].T, EMPTY), (",->", D, D),
            ("i->", V),
            ("ij , jk -> ik", M, A), (M, [0, 1], A, [1, 2], [0, 2]), (M, [0, 1], A, [1, 2]),
            (BATCH, [Ellipsis, 3], [Ellipsis]),
            ("iji->j", np.stack([SQUARE] * 3)), ("ij,ik,il->jkl", M, P, M), ("ii,i->i", M[:1, :1], V),
        )
    ),
]  # fmt: skip
LINALG = [
    call(np.linalg.det, np.ones((3, 3))), call(np.linalg.det, np.zeros((1, 1))),
    call(np.linalg.det, np.array([[0.1, 0.2], [0.3, 0.6]])), call(np.linalg.det, np.diag([2.0, 0.0, 3.0])),
    *_calls(np.linalg.inv, np.linalg.det, np.linalg.slogdet, on=(SQUARE, STACK, S[:1, :1], M, STACK[:0])),
    *_calls(np.linalg.cholesky, np.linalg.eigh, np.linalg.eigvalsh, on=(S, S[:1, :1], np.stack([S, S + np.eye(3)]))),
    *_calls(np.linalg.pinv, on=(M, M.T, SQUARE, STACK, V)),
    *(call(np.linalg.svd, x, full_matrices=False) for x in (M, M.T, SQUARE, STACK, BATCH)),
    call(np.linalg.svd, M, compute_uv=False), call(np.linalg.svd, SQUARE), *optional("linalg.svdvals", M),
    call(np.linalg.cholesky, S, upper=True) if np.__version__ >= "2" else call(np.linalg.cholesky, S),
    call(np.linalg.eigh, S, "U"), call(np.linalg.eigvalsh, SQUARE, "U"),
    *(call(np.linalg.matrix_power, x, n) for x in (SQUARE, STACK) for n in (0, 1, 2, 3, 7, -2)),
    call(np.linalg.multi_dot, [M, A, B]), call(np.linalg.multi_dot, [W3, A, V]), call(np.linalg.multi_dot, [M, A]),
    call(np.linalg.solve, SQUARE, A), call(np.linalg.solve, SQUARE, W3), call(np.linalg.solve, STACK, BATCH),
    call(np.linalg.solve, STACK, W3), call(np.linalg.solve, SQUARE, BATCH), call(np.linalg.solve, STACK, A),
    *(call(np.linalg.norm, V, n) for n in (None, 0, 1, 2, 3, 2.5, -1, np.inf, -np.inf, "fro")),
    *(call(np.linalg.norm, M, n) for n in (None, "fro", "nuc", 1, -1, 2, -2, np.inf, -np.inf, 3)),
    *(call(np.linalg.norm, BATCH, n, axis=(0, 2)) for n in (None, "nuc", 1, -np.inf)),
    *(call(np.linalg.norm, BATCH, n, axis=1, keepdims=True) for n in (None, 1, 3, np.inf)),
    call(np.linalg.norm, BATCH, "nuc", axis=(2, 0), keepdims=True), call(np.linalg.norm, BATCH, 2),
    *optional("linalg.vector_norm", BATCH), *optional("linalg.vector_norm", BATCH, axis=(0, 2), ord=3),
    *optional("linalg.matrix_norm", BATCH), *optional("linalg.matrix_norm", BATCH, ord="nuc", keepdims=True),
]  # fmt: skip
CALLS = [*ELEMENTWISE, *REDUCTIONS, *SHAPING, *SEQUENCES, *PRODUCTS, *LINALG]
