"""The table of operations that read whole numbers or truth values which are part of the graph: which rows, which of
two, how many steps.

An index or a condition that is plain data is a static parameter and stands in `shaping` and `elementwise`; one that is
a Tensor becomes an input here, so that a graph recorded once holds for other numbers too.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..declare import primitive, shape_of
from ..tensor import Tensor


class _Hole:
    """Where the numbers belong in an index."""

    def __repr__(self) -> str:
        return "·"


HOLE = _Hole()
Index = tuple[Any, ...]


def _filled(index: Index, at: Any) -> Index:
    return tuple([np.asarray(at) if part is HOLE else part for part in index])


def _no_gradient(g: Any, y: Any, *xs: Any, **params: Any) -> Any:
    return np.zeros(shape_of(xs[-1]))


@primitive(
    "pick_add", inputs=2,
    vjp=(lambda g, y, x, at, index, shape: pick(g, at, index=index), _no_gradient),
)  # fmt: skip
def pick_add(x: Any, at: Any, index: Any, shape: Any) -> Any:
    """Zeros of `shape` with `x` added at `index`; repeated positions add up. The transpose of `pick`."""
    total = np.zeros(shape, np.result_type(x))
    np.add.at(total, _filled(index, at), x)
    return total


@primitive(
    "pick", inputs=2, label="[ ]",
    vjp=(lambda g, y, x, at, index: pick_add(g, at, index=index, shape=shape_of(x)), _no_gradient),
)  # fmt: skip
def pick(x: Any, at: Any, index: Any) -> Any:
    """`x[index]` with the whole numbers `at` in place of the `HOLE` in the index."""
    return np.asarray(x)[_filled(index, at)]


def axis_of(index: Index) -> int | None:
    """Which axis the numbers run along; None where that depends on more than the parts before them."""
    before = index[: next((k for k, part in enumerate(index) if part is HOLE), 0)]
    known = all(isinstance(p, slice | int | np.integer) or np.asarray(p).dtype.kind in "iu" for p in before)
    return len(before) if known else None


def with_hole(index: Any) -> tuple[Any, Index] | None:
    """The numbers of an index that are a Tensor, and the index around them; None for an index of another kind."""
    parts = index if isinstance(index, tuple) else (index,)
    held = [k for k, part in enumerate(parts) if isinstance(part, Tensor)]
    if len(held) != 1 or parts[held[0]].dtype.kind not in "iu":
        return None
    around = (*parts[: held[0]], HOLE, *parts[held[0] + 1 :])
    return None if axis_of(around) is None else (parts[held[0]], around)


@primitive(
    "select", inputs=3, elementwise=True, label="?:",
    vjp=(
        lambda g, y, a, b, condition: select(g, 0.0, condition),
        lambda g, y, a, b, condition: select(0.0, g, condition),
        _no_gradient,
    ),
)  # fmt: skip
def select(a: Any, b: Any, condition: Any) -> Any:
    """`a` where the condition holds, `b` elsewhere; the condition is an array, or a Tensor of the graph."""
    return np.where(condition, a, b)


@primitive("cast", elementwise=True)
def cast(x: Any, dtype: Any) -> Any:
    """Whole numbers or truth values as numbers of another dtype; they have no derivative."""
    return np.asarray(x).astype(dtype)


@primitive("equals", elementwise=True)
def equals(x: Any, number: int) -> Any:
    """Which of the whole numbers are this one, as truth values."""
    return np.asarray(x) == number


@primitive("unlike", elementwise=True)
def unlike(condition: Any) -> Any:
    """Where the condition does not hold, as truth values."""
    return np.logical_not(condition)


@primitive("ranged", elementwise=True)
def ranged(x: Any, low: int, high: int) -> Any:
    """Whole numbers as they are, of which is known that they run from `low` to below `high`."""
    return np.asarray(x)


@primitive("some", elementwise=True)
def some(count: Any) -> Any:
    """A number of things as it is, of which is known that it is not 0."""
    return count


@primitive("inside")
def inside(lengths: Any, steps: int) -> Any:
    """Which of so many steps lie inside of each sequence, as truth values (steps, ...)."""
    ends = np.asarray(lengths)
    return np.arange(steps).reshape((-1,) + (1,) * ends.ndim) < ends
