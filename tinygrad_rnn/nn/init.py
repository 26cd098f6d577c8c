"""Where weights start. Every function returns an array drawn from the package's generator; none makes a parameter.

Shapes are (rows, columns) = (fan out, fan in), as a weight stands in front of a column.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.errors import GraphError
from .random import generator


def uniform(shape: tuple[int, ...], bound: float, dtype: Any = np.float64) -> np.ndarray:
    """Uniform between -bound and bound: torch's start for recurrent layers, with bound 1/sqrt(hidden_size)."""
    return generator().uniform(-bound, bound, shape).astype(dtype, copy=False)


def normal(shape: tuple[int, ...], std: float = 1.0, mean: float = 0.0, dtype: Any = np.float64) -> np.ndarray:
    """Normal with the given mean and standard deviation."""
    return generator().normal(mean, std, shape).astype(dtype, copy=False)


def constant(shape: tuple[int, ...], value: float, dtype: Any = np.float64) -> np.ndarray:
    """The same value everywhere."""
    return np.full(shape, value, dtype)


def zeros(shape: tuple[int, ...], dtype: Any = np.float64) -> np.ndarray:
    """Zero everywhere."""
    return np.zeros(shape, dtype)


def xavier_uniform(shape: tuple[int, ...], gain: float = 1.0, dtype: Any = np.float64) -> np.ndarray:
    """Uniform with variance gain² · 2 / (fan in + fan out) (Glorot and Bengio 2010)."""
    return uniform(shape, gain * float(np.sqrt(6.0 / sum(shape))), dtype)


def orthogonal(shape: tuple[int, int], gain: float = 1.0, dtype: Any = np.float64) -> np.ndarray:
    """Rows or columns, whichever are fewer, orthonormal times `gain` (Saxe et al. 2013).

    >>> import numpy as np
    >>> from tinygrad_rnn.nn import init
    >>> W = init.orthogonal((3, 3))
    >>> bool(np.allclose(W @ W.T, np.eye(3)))
    True
    """
    rows, columns = shape
    q, r = np.linalg.qr(generator().normal(size=(max(shape), min(shape))))
    q = q * np.sign(np.diag(r))
    return (gain * (q if rows >= columns else q.T)).astype(dtype, copy=False)


def spectral_radius(W: np.ndarray) -> float:
    """The largest absolute value of an eigenvalue of a square matrix.

    >>> from tinygrad_rnn.nn import init
    >>> init.spectral_radius(np.diag([0.5, -2.0]))
    2.0
    """
    return float(np.max(np.abs(np.linalg.eigvals(W))))


def with_spectral_radius(W: np.ndarray, radius: float) -> np.ndarray:
    """The matrix scaled so that its spectral radius is `radius`; raises `GraphError` for a nilpotent one."""
    found = spectral_radius(W)
    if found < 1e-12:
        raise GraphError(
            "a matrix whose eigenvalues are all zero cannot be scaled to a spectral radius: draw it denser"
        )
    return W * (radius / found)
