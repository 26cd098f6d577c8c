"""Products of vectors and matrices, and linear algebra."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.soak import program_torch as other
from benchmarks.soak.program_draws import Draw, Nothing
from benchmarks.soak.program_table import Arguments, Function, torch_function
from benchmarks.soak.program_torch import linear


def products() -> list[Function]:
    """The table."""
    torch = other._torch
    return [
        *(Function(name, _product, lambda a, b: torch().matmul(a, b)) for name in ("@", "np.matmul", "tg.matmul")),
        Function("np.dot", lambda d: _fitting(d, np.dot), other.dot),
        Function(".dot", lambda d: _fitting(d, np.dot), other.dot),
        Function("np.inner", lambda d: _fitting(d, np.inner), other.inner),
        Function("np.outer", lambda d: ((d.any(), d.any()), {}), lambda a, b: a.reshape(-1)[:, None] * b.reshape(-1)),
        Function("np.kron", lambda d: ((d.array(1, 2), d.array(1, 2)), {}), _kron),
        Function("np.vdot", lambda d: _alike(d), lambda a, b: (a.reshape(-1) * b.reshape(-1)).sum()),
        Function("np.tensordot", _tensordot, other.tensordot),
        Function("np.einsum", _einsum, _torch_einsum),
        Function("tg.linear", lambda d: _fitting(d, _rows), lambda x, w: x @ w.T),
        Function("np.trace", _traced, linear(np.trace)),
        Function("np.cross", lambda d: _fitting(d, _crossed), lambda a, b: torch().linalg.cross(a, b)),
        Function("np.linalg.inv", lambda d: ((_regular(d),), {}), torch_function("linalg.inv")),
        Function("np.linalg.det", lambda d: ((_regular(d),), {}), torch_function("linalg.det")),
        Function("np.linalg.slogdet", lambda d: ((_regular(d),), {}), lambda x: torch().linalg.slogdet(x).logabsdet),
        Function("np.linalg.solve", _solved, lambda a, b: torch().linalg.solve(a, b)),
        Function("np.linalg.cholesky", lambda d: ((_definite(d),), {}), torch_function("linalg.cholesky")),
        Function("np.linalg.eigvalsh", lambda d: ((_definite(d),), {}), torch_function("linalg.eigvalsh")),
        Function("np.linalg.eigh", lambda d: ((_definite(d),), {"[]": 0}), _eigenvalues),
        Function("np.linalg.svdvals", lambda d: ((_definite(d),), {}), torch_function("linalg.svdvals")),
        Function("np.cov", _spread, _cov),
        Function("np.linalg.pinv", lambda d: ((_regular(d),), {}), torch_function("linalg.inv")),
        Function("np.linalg.matrix_power", _powered, lambda x, n: torch().linalg.matrix_power(x, n)),
        Function("np.linalg.multi_dot", _chain, lambda all: torch().linalg.multi_dot(all)),
        Function("np.linalg.vecdot", lambda d: _alike(d, 1), lambda a, b: (a * b).sum(-1)),
    ]  # fmt: skip


def _rows(x: np.ndarray, weight: np.ndarray) -> np.ndarray:
    if weight.ndim != 2:
        raise ValueError
    return x @ weight.T


def _powered(d: Draw) -> Arguments:
    return (_regular(d), d.rng.choice((0, 1, 2, 3, -1))), {}


def _eigenvalues(x: Any, **part: int) -> Any:
    return other._torch().linalg.eigvalsh(x)


def _spread(d: Draw) -> Arguments:
    return (d.any(lambda v: v.ndim == 2 and v.shape[1] > 1),), d.options(ddof=(0, 1))


def _cov(x: Any, ddof: int = 1) -> Any:
    off = x - x.mean(1, keepdim=True)
    return (off @ off.T / (x.shape[1] - ddof)).squeeze()


def _kron(a: Any, b: Any) -> Any:
    return other._torch().kron(a.contiguous(), b.contiguous())


def _crossed(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    if a.shape != b.shape or a.shape[-1] != 3:
        raise ValueError
    return np.cross(a, b)


def _fitting(d: Draw, function: Callable[..., Any]) -> Arguments:
    """Two arrays that the function takes."""
    first = d.any()

    def fits(value: np.ndarray) -> bool:
        try:
            return function(d.of(first), value).ndim <= 4
        except (ValueError, IndexError, TypeError):
            return False

    return (first, d.any(fits)), {}


def _product(d: Draw) -> Arguments:
    return _fitting(d, np.matmul)


def _alike(d: Draw, least: int = 0) -> Arguments:
    first = d.array(least)
    return (first, d.like(first)), {}


def _tensordot(d: Draw) -> Arguments:
    first = d.any()
    for _ in range(8):
        second, a, b = d.any(), d.of(first), None
        b = d.of(second)
        pairs = [(i, j) for i in range(a.ndim) for j in range(b.ndim) if a.shape[i] == b.shape[j]]
        if d.rng.random() < 0.4 or not pairs:
            axes: Any = d.rng.choice((0, 1, 2, np.int64(1)))
        else:
            i, j = d.rng.choice(pairs)
            axes = d.rng.choice((([i], [j]), (i, j), ((i - a.ndim,), (j,))))
        try:
            if np.tensordot(a, b, axes).ndim <= 4:
                return (first, second), {"axes": axes}
        except (ValueError, IndexError):
            continue
    raise Nothing


EINSUMS = (
    "ij,jk->ik",
    "ij,kj->ik",
    "i,i->",
    "i,j->ij",
    "ij->ji",
    "ij->j",
    "ii->i",
    "ii",
    "ij,ij->i",
    "bi,ij->bj",
    "ijk,k->ij",
    "...i,ij->...j",
    "...,...->...",
    "i...->...",
    "ij,jk",
    "ijk->kji",
    "ij,jk,k->i",
    "...ij,...jk->...ik",
    "i,ij,j->",
    "ij,ij->",
)


def _einsum(d: Draw) -> Arguments:
    for _ in range(8):
        text = d.rng.choice(EINSUMS)
        given = [d.any() for _ in range(text.partition("->")[0].count(",") + 1)]
        if text.startswith("ii") and len(set(np.shape(d.of(given[0])))) > 1:  # numpy takes a diagonal of 0 x 2 as well
            continue
        try:
            if np.einsum(text, *map(d.of, given)).ndim <= 4:
                return (text, *given), d.options(optimize=(True, False))
        except ValueError:
            continue
    raise Nothing


def _torch_einsum(text: str, *given: Any, optimize: Any = False) -> Any:
    """As numpy, which lets a label of length 1 stand for any length."""
    if "..." not in text:
        labels = text.partition("->")[0].split(",")
        lengths: dict[str, int] = {}
        for letters, tensor in zip(labels, given, strict=True):
            for letter, length in zip(letters, tensor.shape, strict=True):
                lengths[letter] = length if lengths.get(letter, 1) == 1 else lengths[letter]
        given = tuple(x.expand([lengths[one] for one in letters]) for letters, x in zip(labels, given, strict=True))
    return other._torch().einsum(text, *given)


def _traced(d: Draw) -> Arguments:
    x = d.any(lambda v: v.ndim in (2, 3))
    return (x,), d.options(offset=(1, -1)) | ({"axis1": -1, "axis2": 0} if d.rng.random() < 0.3 else {})


def _regular(d: Draw) -> Any:
    """A well-conditioned square matrix, or a stack of them."""
    x = d.matrix(square=True)
    return d.emit("np.add", (d.emit("np.multiply", (d.emit("np.tanh", (x,)), 0.3)), 2.0 * np.eye(d.of(x).shape[-1])))


def _definite(d: Draw) -> Any:
    x = d.matrix(square=True)
    half = d.emit("np.tanh", (x,))
    gram = d.emit("@", (half, d.emit("np.swapaxes", (half, -1, -2))))
    return d.emit("np.add", (gram, np.diag(1.0 + np.arange(d.of(x).shape[-1]))))


def _solved(d: Draw) -> Arguments:
    a = _regular(d)
    n, ndim = d.of(a).shape[-1], d.of(a).ndim
    return (a, d.any(lambda v: (v.ndim == 1 or v.ndim == ndim) and v.shape[-2:][0] == n and v.size)), {}


def _chain(d: Draw) -> Arguments:
    first = d.any(lambda v: v.ndim == 2 and v.size)
    second = d.any(lambda v: v.ndim == 2 and v.size and len(v) == d.of(first).shape[1])
    third = d.any(lambda v: v.ndim in (1, 2) and v.size and len(v) == d.of(second).shape[1])
    return ([first, second, third],), {}
