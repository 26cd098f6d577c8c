"""Functions by name, each with its slope: those everybody means, and smooth ones nobody knows for letters left open.

All are written with operators and `np.*` only, so they take arrays and Tensors of a graph alike.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any

import numpy as np

from .meaning import Incomprehensible

Function = Callable[[Any], Any]


def _sigmoid(x: Any) -> Any:
    return 1.0 / (1.0 + np.exp(-x))


def _softmax(x: Any) -> Any:
    grown = np.exp(x)
    return grown / grown.sum()


#: value and slope; None where the slope is no function entry by entry
KNOWN: dict[str, tuple[Function, Function | None]] = {
    "tanh": (np.tanh, lambda x: 1.0 - np.tanh(x) ** 2),
    "sigmoid": (_sigmoid, lambda x: _sigmoid(x) * (1.0 - _sigmoid(x))),
    "softmax": (_softmax, None),
    "exp": (np.exp, np.exp),
    "log": (np.log, lambda x: 1.0 / x),
    "sqrt": (np.sqrt, lambda x: 0.5 / np.sqrt(x)),
    "sin": (np.sin, np.cos),
    "cos": (np.cos, lambda x: -np.sin(x)),
    "tan": (np.tan, lambda x: 1.0 + np.tan(x) ** 2),
    "softplus": (lambda x: np.log(1.0 + np.exp(x)), _sigmoid),
    "relu": (lambda x: np.maximum(x, 0.0), lambda x: (x > 0) * 1.0),
    "identity": (lambda x: x, lambda x: x * 0.0 + 1.0),
}


def generator(seed: int, *names: object) -> np.random.Generator:
    """Random numbers that depend on these names and nothing else."""
    return np.random.default_rng([seed, zlib.crc32(repr(names).encode())])


def opaque(name: str, seed: int) -> tuple[Function, Function]:
    """A smooth function of one number with its slope, another for each name and seed.

    >>> f, slope = opaque("phi", 0)
    >>> bool(abs((f(1.0 + 1e-6) - f(1.0 - 1e-6)) / 2e-6 - slope(1.0)) < 1e-8)
    True
    """
    a, b, c = generator(seed, "opaque", name).uniform(0.4, 1.2, 3)
    return (lambda x: np.sin(a * x + b) + c * x), (lambda x: a * np.cos(a * x + b) + c)


def mixing(name: str, seed: int, arguments: tuple[Any, ...], shape: tuple[int, ...]) -> Any:
    """A smooth function of several arguments of any shape, with values of the given shape (() for a number)."""
    wide = 4 if shape == () else max(shape)
    random = generator(seed, "mixing", name, shape)
    total: Any = 0.0
    for argument in arguments:
        size = np.shape(argument)
        if size == ():
            total = total + random.normal(size=(wide, 1)) * argument
        elif size[1] == 1:
            total = total + random.normal(size=(wide, size[0])) @ argument
        elif size[0] == 1:
            total = total + random.normal(size=(wide, size[1])) @ argument.T
        else:
            total = total + random.normal(size=(wide, size[0])) @ argument @ random.normal(size=(size[1], 1))
    bent = np.sin(total) + 0.3 * total * total
    if shape == ():
        return bent.sum()
    if shape[0] != 1 and shape[1] != 1:
        raise Incomprehensible(f"{name}: a function nobody defines with a matrix for a value")
    return bent if shape[1] == 1 else bent.T
