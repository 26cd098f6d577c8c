"""Arguments on which each primitive and each composed function is tested: away from kinks, all dimensions distinct."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

import tinygrad_rnn as tg
from tinygrad_rnn.core.ops import contractions, elementwise, indexing, reductions, shaping
from tinygrad_rnn.core.ops.identity import identity
from tinygrad_rnn.core.ops.indexing import HOLE

_rng = np.random.default_rng(7)


def _around(low: float, high: float, *shape: int) -> np.ndarray:
    """Distinct values spread over an interval, so that no two tie."""
    n = int(np.prod(shape))
    return _rng.permutation(np.linspace(low, high, n)).reshape(shape)


M = _around(-1.5, 1.7, 2, 3)
P = _around(0.2, 2.5, 2, 3)
UNIT = _around(-0.8, 0.9, 2, 3)
V = _around(-1.3, 1.1, 4)
SQUARE = np.eye(3) * 2.0 + _around(-0.4, 0.5, 3, 3)
BATCH = _around(-1.0, 1.0, 2, 3, 4)

Case = tuple[Callable[..., object], tuple[np.ndarray, ...]]

_POSITIVE = {"log", "sqrt", "reciprocal"}
_UNIT = {"arcsin", "arccos", "arctanh"}


def _elementwise_cases() -> dict[str, list[Case]]:
    cases: dict[str, list[Case]] = {}
    for name in [
        "exp",
        "expm1",
        "log",
        "log1p",
        "sqrt",
        "sin",
        "cos",
        "tan",
        "arcsin",
        "arccos",
        "arctan",
        "sinh",
        "cosh",
        "tanh",
        "arcsinh",
        "arccosh",
        "arctanh",
        "sigmoid",
        "softplus",
        "relu",
        "negative",
        "square",
        "reciprocal",
        "identity",
    ]:
        x = (
            P
            if name in _POSITIVE
            else UNIT
            if name in _UNIT or name == "log1p"
            else P + 1.0
            if name == "arccosh"
            else M
        )
        f = identity if name == "identity" else getattr(elementwise, name)
        cases[name] = [(f, (x,)), (f, (x[0, 0],)), (f, (x[:0],))]
    cases["abs"] = [(np.abs, (M,)), (np.abs, (M[0, 0],))]
    for name in ["add", "subtract", "multiply", "divide", "logaddexp", "maximum", "minimum"]:
        f = getattr(elementwise, name)
        other = _around(0.3, 1.9, 3)
        cases[name] = [
            (f, (M, P)),
            (f, (M, other)),
            (f, (other[:, None], M[:, None, :])),
            (f, (M, other[0])),
            (f, (M[0, 0], other[1])),
        ]
    cases["power"] = [
        (np.power, (P, M)),
        (np.power, (P, M[0])),
        (np.power, (P[0, 0], M[0, 0])),
        (lambda b: 2.0**b, (M,)),
    ]
    cases["power_constant"] = [
        (lambda x: x**3, (M,)),
        (lambda x: x**-1.5, (P,)),
        (lambda x: x**0, (M,)),
        (lambda x: x**1, (M,)),
        (lambda x: x**3, (M[0, 0],)),
    ]
    cases["clip"] = [(lambda x: np.clip(x, -1.0, 1.0), (M,))]
    cases["select"] = [
        (lambda a, b: indexing.select(a, b, M > 0), (M, P)),
        (lambda a: indexing.select(a, 0.0, M > 0), (M,)),
    ]
    cases["where"] = [(lambda a, b: np.where(M > 0, a, b), (M, P)), (lambda a: np.where(M > 0, a, 0.0), (M,))]
    return cases


def _reduction_cases() -> dict[str, list[Case]]:
    cases: dict[str, list[Case]] = {}
    for name, f in {"sum": np.sum, "max": np.max, "min": np.min, "logsumexp": tg.logsumexp}.items():
        cases[name] = [
            (lambda x, f=f: f(x), (M,)),
            (lambda x, f=f: f(x, axis=0), (M,)),
            (lambda x, f=f: f(x, axis=-1, keepdims=True), (M,)),
            (lambda x, f=f: f(x, axis=(0, 2)), (BATCH,)),
        ]
    cases["sum"].append((lambda x: np.sum(x, axis=0), (M[:, :0],)))
    cases["add_n"] = [(lambda a, b, c: tg.add_n([a, b, c, a]), (M, P, UNIT))]
    for name, f in {"softmax": tg.softmax, "log_softmax": tg.log_softmax}.items():
        cases[name] = [(lambda x, f=f: f(x), (M,)), (lambda x, f=f: f(x, axis=0), (BATCH,))]
    cases["cross_entropy"] = [
        (lambda x: tg.cross_entropy(x, np.array([2, 0])), (M,)),
        (lambda x: tg.cross_entropy(x, np.array([1, 0, 1]), axis=0), (M,)),
        (lambda x: tg.cross_entropy(x, 2), (V,)),
    ]
    cases["norm"] = [(np.linalg.norm, (M,)), (lambda x: np.linalg.norm(x, axis=1, keepdims=True), (M,))]
    cases["norm"] += [
        (lambda x: np.linalg.norm(x, ord=1, axis=0), (M,)),
        (lambda x: np.linalg.norm(x, ord=np.inf), (V,)),
    ]
    cases["mean"] = [(np.mean, (M,)), (lambda x: np.mean(x, axis=(0, -1)), (BATCH,))]
    cases["var"] = [(np.var, (M,)), (lambda x: np.var(x, axis=1, ddof=1, keepdims=True), (M,))]
    cases["std"] = [(np.std, (M,)), (lambda x: np.std(x, axis=0), (BATCH,))]
    cases["prod"] = [
        (np.prod, (M,)),
        (lambda x: np.prod(x, axis=1), (BATCH,)),
        (np.prod, (np.array([2.0, 0.0, 3.0, 0.5, -1.0]),)),
    ]
    cases["prod"].append((lambda x: np.prod(x, axis=-1, keepdims=True), (M,)))
    cases["cumsum"] = [
        (np.cumsum, (M,)),
        (lambda x: np.cumsum(x, axis=1), (M,)),
        (lambda x: np.cumsum(x, axis=-2), (BATCH,)),
    ]
    return cases


def _shaping_cases() -> dict[str, list[Case]]:
    rows = np.array([1, 0, 1, 1])
    return {
        "reshape": [(lambda x: np.reshape(x, (3, -1)), (M,)), (lambda x: x.reshape(6), (M,))],
        "transpose": [
            (np.transpose, (M,)),
            (lambda x: np.transpose(x, (2, 0, 1)), (BATCH,)),
            (lambda x: x.T, (BATCH,)),
        ],
        "broadcast_to": [
            (lambda x: np.broadcast_to(x, (2, 3, 4)), (V,)),
            (lambda x: np.broadcast_to(x, (5, 2, 3)), (M,)),
        ],
        "getitem": [
            (lambda x: x[1], (M,)),
            (lambda x: x[:, ::-2], (M,)),
            (lambda x: x[rows], (M,)),
            (lambda x: x[rows, np.array([0, 2, 0, 0])], (M,)),
            (lambda x: x[M > 0], (M,)),
            (lambda x: x[..., None, 1], (BATCH,)),
            (lambda x: x[1, 2], (M,)),
            (lambda x: x[:, [0, 0], 1:], (BATCH,)),
        ],
        "scatter_add": [(lambda g: shaping.scatter_add(g, index=rows, shape=(3,)), (V,))],
        "pick": [
            (lambda x: indexing.pick(x, rows, index=(HOLE,)), (M,)),
            (lambda x: indexing.pick(x, [[2, 0], [1, 1]], index=(slice(None), HOLE)), (BATCH,)),
            (lambda x: indexing.pick(x, [0, 2, 0, 0], index=(rows, HOLE)), (M,)),
        ],
        "pick_add": [(lambda g: indexing.pick_add(g, rows, index=(HOLE,), shape=(3,)), (V,))],
        "concatenate": [
            (lambda a, b: np.concatenate([a, b, a]), (M, P)),
            (lambda a, b: np.concatenate([a, b[:, :1]], axis=-1), (M, P)),
            (lambda a, b: np.concatenate([a, b], axis=None), (M, V)),
        ],
        "stack": [(lambda a, b: np.stack([a, b], axis=1), (M, P)), (lambda a, b: np.stack([a, b], axis=-1), (M, P))],
        "split": [(lambda x: np.split(x, 2, axis=-1)[1], (BATCH,)), (lambda x: np.split(x, [1, 3])[1], (V,))],
        "vstack": [(lambda a, b: np.vstack([a, b]), (M, P)), (lambda a, b: np.vstack([a, b]), (V, V[::-1].copy()))],
        "hstack": [(lambda a, b: np.hstack([a, b]), (M, P)), (lambda a, b: np.hstack([a, b]), (V, V[:2]))],
        "ravel": [(np.ravel, (M,))],
        "swapaxes": [(lambda x: np.swapaxes(x, 0, -1), (BATCH,))],
        "moveaxis": [(lambda x: np.moveaxis(x, 0, -1), (BATCH,)), (lambda x: np.moveaxis(x, (0, 2), (1, 0)), (BATCH,))],
        "expand_dims": [(lambda x: np.expand_dims(x, 1), (M,)), (lambda x: np.expand_dims(x, (0, -1)), (M,))],
        "squeeze": [(lambda x: np.squeeze(x[None, :, None]), (M,))],
        "copy": [(lambda x: np.copy(x) * x, (M,)), (lambda x: x.copy() * x, (M,))],
        "take": [(lambda x: np.take(x, [2, 0, 2], axis=1), (M,)), (lambda x: np.take(x, [[5, 0]]), (M,))],
        "embedding": [(lambda w: tg.embedding(w, [[1, 0], [1, 1]]), (M,))],
        "repeat": [(lambda x: np.repeat(x, 2), (M,)), (lambda x: np.repeat(x, [1, 3], axis=0), (M,))],
        "tile": [(lambda x: np.tile(x, 3), (M,)), (lambda x: np.tile(x, (2, 1, 3)), (M,))],
        "flip": [(np.flip, (M,)), (lambda x: np.flip(x, axis=1), (M,))],
        "roll": [(lambda x: np.roll(x, 2), (M,)), (lambda x: np.roll(x, (1, -1), axis=(0, 1)), (M,))],
        "pad": [
            (lambda x: np.pad(x, 1), (M,)),
            (lambda x: np.pad(x, ((0, 1), (2, 0)), constant_values=3.0), (M,)),
            (lambda x: np.pad(x, 1, mode="edge"), (M,)),
            (lambda x: np.pad(x, 1, mode="reflect"), (M,)),
        ],
        "sort": [(np.sort, (M,)), (lambda x: np.sort(x, axis=0), (M,)), (lambda x: np.sort(x, axis=None), (M,))],
        "tril": [(np.tril, (SQUARE,)), (lambda x: np.tril(x, -1), (BATCH,))],
        "triu": [(np.triu, (SQUARE,)), (lambda x: np.triu(x, 1), (BATCH,))],
        "diag": [(np.diag, (V,)), (lambda v: np.diag(v, 1), (V,)), (np.diag, (M,))],
        "diagonal": [
            (np.diagonal, (M,)),
            (lambda x: np.diagonal(x, 1, 1, 2), (BATCH,)),
            (lambda x: np.diagonal(x, -1), (SQUARE,)),
        ],
    }


def _contraction_cases() -> dict[str, list[Case]]:
    A, B, W = _around(-1, 1, 2, 3), _around(-1, 1, 3, 4), _around(-1, 1, 3)
    return {
        "linear": [(tg.linear, (A, B.T.copy())), (tg.linear, (A[0], B.T.copy())), (tg.linear, (BATCH, B))],
        "matmul": [
            (np.matmul, (A, B)),
            (np.matmul, (A, W)),
            (np.matmul, (W, B)),
            (np.matmul, (W, W[::-1].copy())),
            (np.matmul, (BATCH, V)),
            (np.matmul, (W, BATCH)),
            (np.matmul, (A, BATCH)),
            (np.matmul, (BATCH[:, None], B.T)),
        ],
        "dot": [(np.dot, (A, B)), (np.dot, (W, W)), (np.dot, (A, BATCH)), (np.dot, (A, W[0]))],
        "inner": [(np.inner, (A, W)), (np.inner, (A, B.T)), (np.inner, (A, W[0]))],
        "outer": [(np.outer, (W, V)), (np.outer, (A, V))],
        "tensordot": [
            (lambda a, b: np.tensordot(a, b, axes=1), (A, B)),
            (lambda a, b: np.tensordot(a, b, axes=([1, 0], [1, 0])), (BATCH, A)),
            (lambda a, b: np.tensordot(a, b, axes=0), (A, V)),
        ],
        "einsum": [
            (lambda a, b: np.einsum("ij,jk->ik", a, b), (A, B)),
            (lambda a, b: np.einsum("ij,jk", a, b), (A, B)),
            (lambda a: np.einsum("ii->i", a), (SQUARE,)),
            (lambda a: np.einsum("ii", a), (SQUARE,)),
            (lambda a: np.einsum("ij->j", a), (A,)),
            (lambda a, b: np.einsum("...j,jk->...k", a, b), (BATCH[..., :3] if False else BATCH.transpose(0, 2, 1), B)),
            (lambda a, b, c: np.einsum("bij,i,b->j", a, b, c), (BATCH, W, V[:2])),
            (lambda a: np.einsum("ij,ij->i", a, a), (A,)),
        ],
        "trace": [(np.trace, (SQUARE,)), (lambda x: np.trace(x, 1, 1, 2), (BATCH,))],
        "solve": [
            (np.linalg.solve, (SQUARE, B)),
            (np.linalg.solve, (SQUARE, W)),
            (np.linalg.solve, (SQUARE + np.zeros((2, 1, 1)), BATCH)),
        ],
        "inv": [(np.linalg.inv, (SQUARE,)), (np.linalg.inv, (SQUARE + np.array([0.0, 0.2])[:, None, None],))],
        "det": [(np.linalg.det, (SQUARE,)), (np.linalg.det, (SQUARE + np.array([0.0, 0.2])[:, None, None],))],
    }


def _special_cases() -> dict[str, list[Case]]:
    cases: dict[str, list[Case]] = {
        f.__name__: [(f, (M,)), (f, (M[0, 0],))] for f in (np.exp2, np.cbrt, np.sinc, np.deg2rad)
    }
    cases |= {f.__name__: [(f, (P,)), (f, (P[0, 0],))] for f in (np.log2, np.log10)}
    for f in (np.logaddexp2, np.hypot, np.arctan2, np.remainder, np.fmod):
        cases[f.__name__] = [(f, (M, P)), (f, (M, P[0])), (f, (M[0, 0], P[0, 0]))]
    cases["astype"] = [(lambda x: x.astype(x.dtype) * x, (M,))]
    return cases


def _linalg_cases() -> dict[str, list[Case]]:
    S = SQUARE @ SQUARE.T
    return {
        "cholesky": [(np.linalg.cholesky, (S,))],
        "eigh": [(lambda a: np.linalg.eigh(a)[0], (S,)), (lambda a: np.linalg.eigh(a)[1], (S,))],
        "svd": [
            (lambda a, part=part: np.linalg.svd(a, full_matrices=False)[part], (a,))
            for part in (0, 1, 2)
            for a in (M, M.T.copy())
        ],
        "slogdet": [(lambda a: np.linalg.slogdet(a)[1], (SQUARE,))],
        "pinv": [(np.linalg.pinv, (M,)), (np.linalg.pinv, (M.T.copy(),))],
    }


CASES: dict[str, list[Case]] = (
    _elementwise_cases()
    | _special_cases()
    | _linalg_cases()
    | _reduction_cases()
    | _shaping_cases()
    | _contraction_cases()
)

#: comparisons that derivatives use: they have no derivative themselves
WITHOUT_DERIVATIVE = {"greater", "equal", "sign", "onehot", "stop"}
#: of use where a length is 0 only (tests/test_core_edges.py)
WITHOUT_DERIVATIVE |= {"apex", "nowhere", "once"}
WITHOUT_DERIVATIVE |= {
    "floor_divide",
    "is_nan",
    "order_of",
    "cast",
    "equals",
    "unlike",
    "inside",
    "ranged",
    "some",
}  # of whole numbers

__all__ = ["CASES", "WITHOUT_DERIVATIVE", "contractions", "reductions"]
