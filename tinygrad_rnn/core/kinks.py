"""Second derivatives where a length is 0.

The gradient of a function of ‖x‖ is g x / ‖x‖, and at x = 0 it is defined as 0. It has a derivative there only if g,
as a function of the length alone, is 0 at 0; then that is g' times the identity: for ‖x‖² twice the identity. What the
rule of a length cannot see by itself is looked up in the graph of g, when a gradient is recorded at such a point.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .autodiff import pullback, reached_from
from .declare import primitive, record
from .tensor import Tensor

#: operations whose result is the length of something
LENGTHS = frozenset(["abs", "hypot", "norm"])


@primitive(
    "apex", inputs=2, elementwise=True, label="∧",
    vjp=(
        lambda g, y, x, slope, mask: np.where(mask, g * slope, 0.0),
        lambda g, y, x, slope, mask: np.where(mask, g * x, 0.0),
    ),
)  # fmt: skip
def apex(x: Any, slope: Any, mask: Any) -> Any:
    """`slope * x` where the mask holds, and there x is 0: a value of 0 with a derivative, or with none (nan)."""
    return np.where(mask & (np.asarray(x) != 0.0), slope * x, np.zeros_like(x))


@primitive("nowhere", elementwise=True, label="∄", vjp=(lambda g, y, x: nowhere(g),))
def nowhere(x: Any) -> Any:
    """nan where x is not 0, as is its derivative: a product with what does not exist."""
    return np.where(np.asarray(x) == 0.0, x, x * np.nan)


@primitive("once", elementwise=True, label="=", vjp=(lambda g, y, x: nowhere(g),))
def once(x: Any) -> Any:
    """The same value, without a derivative: where a function is known at one point only."""
    return np.array(x)


def with_slope(
    part: Any, g: Any, y: Any, x: Any, spread: Callable[[Any], Any] = lambda slope: slope, strict: bool = True
) -> Any:
    """`part`, what x receives from the cotangent g of its length y, with its derivative where y is 0.

    `spread` brings what has the shape of y to that of x. Where there is no derivative it is nan, or with `strict=False`
    0, as for a corner that a network has on purpose.
    """
    if not isinstance(g, Tensor) or not isinstance(y, Tensor):
        return part
    zero = np.asarray(y.value) == 0.0
    if not zero.any():
        return part
    flat = np.asarray(g.value) == 0.0
    slope, separate = _slope(g, y, zero)
    if strict:
        slope = np.where(zero & ~flat, nowhere(g), np.where(zero & ~separate, np.nan, slope))
    else:
        slope = np.where(zero & ~(flat & separate), 0.0, slope)
    return part + apex(x, spread(slope), mask=np.broadcast_to(spread(zero), x.shape))


def _slope(g: Tensor, y: Tensor, zero: np.ndarray) -> tuple[Tensor | np.ndarray, np.ndarray]:
    """The derivative of each entry of g by the entry of y where that is 0; and of which entries g reads no other."""
    if g.id not in reached_from(g, [y], 0, y.id)[0]:
        return np.zeros(y.shape, y.dtype), np.ones(y.shape, bool)
    weights = np.where(zero, 1.0 + np.arange(zero.size).reshape(zero.shape) / zero.size, 0.0)
    slope = pullback([g], [zero.astype(y.dtype)], [y], create_graph=True)[0]
    weighted = pullback([g], [weights], [y])[0]
    # with other weights for its entries g would have another sum of derivatives, if entries met in it
    separate = np.isclose(weighted, weights * np.asarray(slope.value), rtol=1e-9, atol=0.0)
    return _at_one_length(slope, y), separate


def _at_one_length(slope: Tensor, y: Tensor) -> Tensor:
    """The same slope from a length that is not differentiated by: more derivatives need more than this slope."""
    active, _ = reached_from(slope, [y], 0, y.id)
    again = {y.id: once(y)}
    for i in sorted(active):
        node = active[i]
        if i != y.id and node.op is not None:
            again[i] = record(node.op, tuple([again.get(x.id, x) for x in node.inputs]), node.params)
    return again.get(slope.id, slope)
