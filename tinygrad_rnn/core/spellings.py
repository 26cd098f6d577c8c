"""How numpy's and torch's other names are spelled here: one table for every hint in an error."""

from __future__ import annotations

from collections.abc import Container
from typing import Any

import numpy as np

#: torch's names of arguments -> numpy's
KEYWORDS = {"dim": "axis", "dims": "axis", "keepdim": "keepdims", "unbiased": "ddof"}

#: names that are asked of this package or of a Tensor -> what to write
SPELLINGS = {
    "addmm": "b + x @ W",
    "arange": "np.arange(...), and tg.tensor(...) of it to differentiate",
    "as_tensor": "tg.tensor(x)",
    "asarray": "tg.tensor(x), or x.numpy() for the value",
    "array": "tg.tensor(x), or np.stack([a, b]) for an array of Tensors",
    "bmm": "a @ b",
    "cat": "np.concatenate([a, b], axis=0)",
    "chunk": "np.array_split(x, sections)",
    "clamp": "np.clip(x, low, high)",
    "clone": "np.copy(x); a Tensor is never changed, so x itself will do",
    "cpu": "x: everything is computed where it stands",
    "cuda": "x: everything is computed by the processor",
    "device": "x: everything is computed by the processor",
    "dim": "x.ndim",
    "double": "x.astype(np.float64)",
    "empty": "tg.tensor(np.empty(shape))",
    "eye": "tg.tensor(np.eye(n))",
    "float": "x.astype(np.float32)",
    "from_numpy": "tg.tensor(x)",
    "full": "tg.tensor(np.full(shape, value))",
    "gather": "np.take_along_axis(x, indices, axis)",
    "half": "x.astype(np.float16)",
    "index_select": "np.take(x, indices, axis)",
    "is_leaf": "x.op is None",
    "logdet": "np.linalg.slogdet(x).logabsdet",
    "lerp": "a + weight * (b - a)",
    "manual_seed": "np.random.default_rng(seed)",
    "masked_fill": "np.where(mask, value, x)",
    "mm": "a @ b",
    "mv": "a @ b",
    "narrow": "x[start:stop]",
    "numel": "x.size",
    "ones": "tg.tensor(np.ones(shape))",
    "permute": "np.transpose(x, axes)",
    "pow": "x ** n",
    "rand": "tg.tensor(np.random.default_rng(seed).random(shape))",
    "randn": "tg.tensor(np.random.default_rng(seed).standard_normal(shape))",
    "requires_grad_": "tg.tensor(x.value) for a leaf that is differentiated, x.detach() for one that is not",
    "rsqrt": "1.0 / np.sqrt(x)",
    "sub": "a - b",
    "mul": "a * b",
    "div": "a / b",
    "t": "x.T",
    "to": "x.astype(dtype)",
    "type": "x.astype(dtype)",
    "unbind": "list(x)",
    "unsqueeze": "np.expand_dims(x, axis)",
    "view": "np.reshape(x, shape)",
    "expand": "np.broadcast_to(x, shape)",
    "zero_": "a new Tensor: values are not written in place",
    "zeros": "tg.tensor(np.zeros(shape))",
}


_NEW = "build the new array with np.where(mask, new, old), np.stack or np.concatenate"
_WAYS = {
    "apply_along_axis": "np.stack([f(row) for row in x]) has one",
    "bincount": "np.sum(np.where(mask, weights, 0.0)) has one; np.bincount(x.numpy()) counts",
    "choose": "np.select(conditions, choices) has one",
    "cond": "np.linalg.svd(x, compute_uv=False) has one, and so has the quotient of its first and last entry",
    "convolve": "write it as a sum of shifted slices",
    "copysign": "np.abs(x1) * np.where(np.signbit(x2), -1.0, 1.0) has one",
    "correlate": "write it as a sum of shifted slices",
    "eig": "np.linalg.eigh does symmetric matrices",
    "eigvals": "np.linalg.eigvalsh does symmetric matrices",
    "histogram": "np.histogram(x.numpy()) counts",
    "insert": "np.concatenate([x[:i], values, x[i:]]) has one",
    "interp": "clip x to xp[0] .. xp[-1], and with i = np.searchsorted(xp[1:-1], x) write "
    "fp[i] + (x - xp[i]) * (fp[i + 1] - fp[i]) / (xp[i + 1] - xp[i])",
    "ldexp": "x1 * 2.0**x2 has one",
    "lstsq": "np.linalg.pinv(a) @ b is the solution",
    "nanmedian": "take np.median of x[mask]",
    "nanpercentile": "take np.percentile of x[mask]",
    "nanquantile": "take np.quantile of x[mask]",
    "piecewise": "np.select(conditions, [f(x), g(x)]) has one",
    "polyval": "write it by Horner's rule, (p[0] * x + p[1]) * x + p[2]",
    "qr": "np.linalg.cholesky(a.T @ a).T is R up to signs",
    "tensorinv": "reshape, and use np.linalg.inv",
    "tensorsolve": "reshape, and use np.linalg.solve",
    "trim_zeros": "take the slice that np.flatnonzero(x.numpy()) tells",
    "unique": "x[np.unique(x.numpy(), return_index=True)[1]] has one",
    "vander": "np.stack([x**2, x, x**0], axis=-1) has one",
    **dict.fromkeys(["copyto", "fill_diagonal", "place", "put", "put_along_axis", "putmask"], _NEW),
    **dict.fromkeys(np.fft.__all__, "multiply by matrices of np.cos and np.sin, as results here are real"),
}


def way(name: str) -> str:
    """What to do instead of a numpy function that has no declared derivative.

    >>> way("eig")
    'np.linalg.eigh does symmetric matrices'
    """
    return _WAYS.get(name, "compose it from functions that have one")


def hint(name: str, functions: Container[Any]) -> str:
    """How a name that does not exist here is written, as the end of an error message; empty if nobody knows.

    `functions` are the numpy functions that take Tensors.

    >>> hint("cat", ()), hint("tanh", [np.tanh]), hint("florp", ())
    (': write np.concatenate([a, b], axis=0)', ': write np.tanh(...), which takes Tensors', '')
    """
    if name in SPELLINGS:
        return f": write {SPELLINGS[name]}"
    for module, prefix in ((np, "np"), (np.linalg, "np.linalg")):
        if not name.startswith("_") and getattr(module, name, None) in functions:
            return f": write {prefix}.{name}(...), which takes Tensors"
    return ""
