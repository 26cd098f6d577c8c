"""What generated code calls over classes, in numba: softmax, its logarithm, cross entropy, and numbers as unit vectors.

An array is seen as (outer, classes, inner): class c of column (o, i) stands at (o * classes + c) * inner + i. As in
`kernels`, a 4 or an 8 at the end of a name is the bytes of an entry.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from .kernels import LOOSE, compiled, exp4, exp8, get, place4, place8, place_int, put


@njit
def checked(number: int, count: int) -> int:
    """The number of a class; raises where it is none, since here it is a place in memory."""
    if number < 0 or number >= count:
        raise IndexError("cross_entropy: a target is not the number of a class")
    return number


def _of_dtype(place: Any, exp: Any, kind: Any) -> tuple[Any, ...]:
    size = np.dtype(kind).itemsize

    @compiled(size, fastmath=LOOSE)
    def top(source: int, start: int, count: int, step: int) -> Any:
        """The largest entry of a column; 0 if that is infinite, as `logsumexp` has it."""
        x = place(source, 0, 1)
        found = get(x, start)
        for c in range(1, count):
            found = max(found, get(x, start + c * step))
        return found if np.isfinite(found) else kind(0)

    @compiled(size, fastmath=LOOSE)
    def mass(source: int, start: int, count: int, step: int, high: Any) -> Any:
        """The sum of exp(x - high) over a column."""
        x, s = place(source, 0, 1), kind(0)
        for c in range(count):
            s += exp(get(x, start + c * step) - high)
        return s

    @compiled(size)
    def softmax(source: int, target: int, outer: int, count: int, inner: int) -> None:
        x, y = place(source, 0, 2), place(target, 1, 2)
        for n in range(outer * inner):
            start = n // inner * count * inner + n % inner
            high = top(source, start, count, inner)
            s = mass(source, start, count, inner, high)
            for c in range(count):
                put(y, start + c * inner, exp(get(x, start + c * inner) - high) / s)

    @compiled(size)
    def log_softmax(source: int, target: int, outer: int, count: int, inner: int) -> None:
        x, y = place(source, 0, 2), place(target, 1, 2)
        for n in range(outer * inner):
            start = n // inner * count * inner + n % inner
            high = top(source, start, count, inner)
            s = np.log(mass(source, start, count, inner, high)) + high
            for c in range(count):
                put(y, start + c * inner, get(x, start + c * inner) - s)

    @compiled(size)
    def logsumexp(source: int, target: int, outer: int, count: int, inner: int) -> None:
        y = place(target, 0, 1)
        for n in range(outer * inner):
            start = n // inner * count * inner + n % inner
            high = top(source, start, count, inner)
            put(y, n, np.log(mass(source, start, count, inner, high)) + high)

    @compiled(size)
    def cross_entropy(source: int, numbers: int, target: int, outer: int, count: int, inner: int) -> None:
        x, k, y = place(source, 0, 3), place_int(numbers, 1, 3), place(target, 2, 3)
        for n in range(outer * inner):
            start = n // inner * count * inner + n % inner
            high = top(source, start, count, inner)
            picked = get(x, start + checked(get(k, n), count) * inner)
            put(y, n, np.log(mass(source, start, count, inner, high)) + high - picked)

    @compiled(size)
    def onehot(numbers: int, target: int, outer: int, count: int, inner: int) -> None:
        k, y = place_int(numbers, 0, 2), place(target, 1, 2)
        for n in range(outer * inner * count):
            put(y, n, kind(0))
        for n in range(outer * inner):
            put(y, (n // inner * count + checked(get(k, n), count)) * inner + n % inner, kind(1))

    return softmax, log_softmax, logsumexp, cross_entropy, onehot


softmax4, log_softmax4, logsumexp4, cross_entropy4, onehot4 = _of_dtype(place4, exp4, np.float32)
softmax8, log_softmax8, logsumexp8, cross_entropy8, onehot8 = _of_dtype(place8, exp8, np.float64)
