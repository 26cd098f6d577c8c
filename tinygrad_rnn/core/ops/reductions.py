"""The table of operations that reduce axes: sums, extrema, normalised exponentials, and what is composed from them."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..declare import axes_of, primitive, shape_of, spells
from ..errors import ShapeError
from ..kinks import with_slope
from ..tensor import Tensor, plain
from .elementwise import above_nothing, divide, equal, exp
from .special import astype

Axis = int | tuple[int, ...] | None


def kept(g: Any, x: Any, axis: Axis, keepdims: bool) -> Any:
    """`g` with the reduced axes of `x` put back as axes of length 1, ready to broadcast against `x`."""
    shape = shape_of(x)
    if keepdims or not shape:
        return g
    reduced = range(len(shape)) if axis is None else np.atleast_1d(axis) % len(shape)
    return np.reshape(g, tuple(1 if i in reduced else n for i, n in enumerate(shape)))


def spread(g: Any, x: Any, axis: Axis, keepdims: bool) -> Any:
    """`g` repeated over the reduced axes of `x`."""
    return np.broadcast_to(kept(g, x, axis, keepdims), shape_of(x))


def count(x: Any, axis: Axis) -> int:
    """How many entries one reduction over `axis` takes in."""
    shape = shape_of(x)
    return int(np.prod([shape[i] for i in axes_of(x, axis)], dtype=int))


@primitive(
    "sum", np.sum, multilinear=True, label="Σ",
    vjp=(lambda g, y, x, axis=None, keepdims=False: spread(g, x, axis, keepdims),),
)  # fmt: skip
def sum(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """Sum over `axis` (all axes if None)."""
    return np.sum(x, axis=axis, keepdims=keepdims)


@primitive("add_n", inputs=None, multilinear=True, label="Σ", vjp=lambda g, y, *xs: (g,) * len(xs))
def add_n(xs: Any) -> Any:
    """The sum of a sequence of tensors of one shape, as a single node.

    >>> import tinygrad_rnn as tg
    >>> tg.add_n([tg.tensor(1.0), tg.tensor(2.0), tg.tensor(3.0)]).item()
    6.0
    """
    total = xs[0]
    for x in xs[1:]:
        total = total + x
    return total


def _extremum(g: Any, y: Any, x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    winners = equal(x, kept(y, x, axis, keepdims))
    if (n := count(x, axis) if shape_of(x) else 1) > float(np.finfo(getattr(x, "dtype", np.float64)).max):
        winners = winners * (1.0 / n)  # half precision does not count to 70,000
    return kept(g, x, axis, keepdims) * winners / np.sum(winners, axis=axis, keepdims=True)


@primitive("max", np.max, np.amax, vjp=(_extremum,))
def max(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """Largest entry over `axis`; ties share the cotangent equally."""
    return np.max(x, axis=axis, keepdims=keepdims)


@primitive("min", np.min, np.amin, vjp=(_extremum,))
def min(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """Smallest entry over `axis`; ties share the cotangent equally."""
    return np.min(x, axis=axis, keepdims=keepdims)


def _logsumexp_vjp(g: Any, y: Any, x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    return kept(g, x, axis, keepdims) * exp(x - above_nothing(kept(y, x, axis, keepdims)))


@primitive("logsumexp", vjp=(_logsumexp_vjp,))
def logsumexp(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """`log(sum(exp(x)))` over `axis`, without overflow.

    >>> import numpy as np, tinygrad_rnn as tg
    >>> round(float(tg.logsumexp(np.array([1000.0, 1000.0]))), 6)
    1000.693147
    """
    top = np.max(np.real(x), axis=axis, keepdims=True, initial=-np.inf)
    top = np.where(np.isfinite(top), top, np.zeros_like(top))
    with np.errstate(divide="ignore"):
        result = np.log(np.sum(np.exp(x - top), axis=axis, keepdims=True)) + top
    return result if keepdims else np.squeeze(result, axis=axis if axis is not None else tuple(range(result.ndim)))


def _softmax_vjp(g: Any, y: Any, x: Any, axis: int = -1) -> Any:
    return y * (g - np.sum(g * y, axis=axis, keepdims=True))


@primitive("softmax", vjp=(_softmax_vjp,))
def softmax(x: Any, axis: int = -1) -> Any:
    """`exp(x) / sum(exp(x))` along `axis`, without overflow.

    >>> import numpy as np, tinygrad_rnn as tg
    >>> tg.softmax(np.array([0.0, 0.0])).tolist()
    [0.5, 0.5]
    """
    e = np.exp(x - np.max(np.real(x), axis=axis, keepdims=True, initial=-np.inf))
    return e / np.sum(e, axis=axis, keepdims=True)


def _log_softmax_vjp(g: Any, y: Any, x: Any, axis: int = -1) -> Any:
    return g - exp(y) * np.sum(g, axis=axis, keepdims=True)


@primitive("log_softmax", vjp=(_log_softmax_vjp,))
def log_softmax(x: Any, axis: int = -1) -> Any:
    """The logarithm of `softmax`, without overflow."""
    return x - logsumexp(x, axis=axis, keepdims=True)


@primitive("onehot", label="1[ ]")
def onehot(targets: Any, classes: int = 0, axis: int = -1, dtype: Any = np.float64) -> Any:
    """1 at each target's class along a new `axis` of length `classes`, 0 elsewhere.

    >>> import tinygrad_rnn as tg
    >>> tg.onehot([2, 0], 3).tolist()
    [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]
    """
    places = np.asarray(targets)[..., None]
    found = np.zeros((*places.shape[:-1], classes), dtype)
    np.put_along_axis(found, places, 1, axis=-1)
    return np.moveaxis(found, -1, axis)


def _cross_entropy_vjp(g: Any, y: Any, logits: Any, targets: Any, axis: int = -1) -> Any:
    truth = onehot(targets, classes=shape_of(logits)[axis], axis=axis, dtype=logits.dtype)
    return kept(g, logits, axis, False) * (softmax(logits, axis=axis) - truth)


@primitive(
    "cross_entropy", inputs=2, label="CE",
    vjp=(_cross_entropy_vjp, lambda g, y, logits, targets, axis=-1: np.zeros(shape_of(targets))),
)  # fmt: skip
def _cross_entropy(logits: Any, targets: Any, axis: int = -1) -> Any:
    picked = np.take_along_axis(logits, np.expand_dims(targets, axis), axis=axis)
    return logsumexp(logits, axis=axis) - np.squeeze(picked, axis=axis)


def cross_entropy(logits: Any, targets: Any, axis: int = -1) -> Any:
    """`-log softmax(logits)[target]` for integer targets, one number for each sample.

    The loss of documents 000 and 004, section 2.2.

    logits: float, any shape with the classes along `axis`; targets: integers of that shape without `axis`. The result
    has the shape of the targets; sum or average it as the model says. Raises `ShapeError` when targets are not
    integers, do not fit, or lie outside the classes.

    >>> import numpy as np, tinygrad_rnn as tg
    >>> round(float(tg.cross_entropy(np.array([0.0, 0.0]), 1)), 6)
    0.693147
    """
    classes, wanted = shape_of(logits), np.asarray(plain(targets))
    if not classes:
        raise ShapeError("cross_entropy: the logits are a scalar; they need an axis of classes")
    (axis,) = axes_of(logits, axis)
    expected = classes[:axis] + classes[axis + 1 :]
    if wanted.dtype.kind not in "iu":
        raise ShapeError(f"cross_entropy: targets are class numbers, so integers, not {wanted.dtype}")
    if wanted.shape != expected:
        raise ShapeError(f"cross_entropy: logits {classes} need targets of shape {expected}, not {wanted.shape}")
    refuse_other_classes("cross_entropy: targets", wanted, classes[axis])
    return _cross_entropy(logits, targets if isinstance(targets, Tensor) else wanted, axis=axis)


def refuse_other_classes(what: str, numbers: np.ndarray, classes: int) -> None:
    """Raise `ShapeError` unless all numbers are those of classes, from 0 on."""
    if numbers.size and not 0 <= numbers.min() <= numbers.max() < classes:
        raise ShapeError(f"{what} run from 0 to {classes - 1}, but one is {numbers.min()} or {numbers.max()}")


@primitive(
    "norm", vjp=(lambda g, y, x, axis=None, keepdims=False: _norm_vjp(g, y, x, axis, keepdims),), label="‖·‖",
)  # fmt: skip
def euclidean(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """The root of the sum of squares over `axis`; its derivative at 0 is defined as 0."""
    with np.errstate(over="ignore", under="ignore"):
        squares = np.sum(x * x, axis=axis, keepdims=keepdims)
    limits, size = np.finfo(np.result_type(squares)), np.real(squares)
    if np.all((limits.tiny / limits.eps < size) & (size < np.inf)):
        return np.sqrt(squares)
    # squares overflow, or underflow, long before the length does
    top = np.max(np.abs(np.real(x)), axis=axis, keepdims=True, initial=0.0)
    top = np.where((top > 0.0) & np.isfinite(top), top, np.ones_like(top))
    scaled = x / top
    return np.sqrt(np.sum(scaled * scaled, axis=axis, keepdims=keepdims)) * np.reshape(top, np.shape(squares))


def _norm_vjp(g: Any, y: Any, x: Any, axis: Axis, keepdims: bool) -> Any:
    length = kept(y, x, axis, keepdims)
    part = kept(g, x, axis, keepdims) * (x / (length + equal(length, 0.0)))
    return with_slope(part, g, y, x, lambda slope: kept(slope, x, axis, keepdims))


# -- composed ------------------------------------------------------------------------------------------------------
@spells(np.mean)
def mean(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """Average over `axis`."""
    if getattr(x, "dtype", None) == np.float16:  # as numpy does: the sum can be too large where the average is not
        return astype(mean(astype(x, np.float32), axis=axis, keepdims=keepdims), np.float16)
    return divide(np.sum(x, axis=axis, keepdims=keepdims), float(count(x, axis)))


@spells(np.var)
def var(x: Any, axis: Axis = None, ddof: int = 0, keepdims: bool = False) -> Any:
    """Variance over `axis`, divided by n - ddof."""
    centred = x - mean(x, axis=axis, keepdims=True)
    return divide(np.sum(centred * centred, axis=axis, keepdims=keepdims), float(np.maximum(count(x, axis) - ddof, 0)))


@spells(np.std)
def std(x: Any, axis: Axis = None, ddof: int = 0, keepdims: bool = False) -> Any:
    """Standard deviation over `axis`; its derivative where all entries are equal is 0, as for `norm`."""
    centred = x - mean(x, axis=axis, keepdims=True)
    return divide(
        euclidean(centred, axis=axis, keepdims=keepdims), float(np.sqrt(np.maximum(count(x, axis) - ddof, 0)))
    )


@spells(np.prod)
def prod(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """Product over `axis`, by halves, so that zeros among the factors leave every derivative right."""
    shape = shape_of(x)
    axes = axes_of(x, axis) if shape or axis not in (None, 0, -1) else ()  # numpy lets a scalar have one axis
    rest = [i for i in range(len(shape)) if i not in axes]
    flat = np.reshape(np.transpose(x, (*axes, *rest)), (count(x, axes), *[shape[i] for i in rest]))
    while len(flat) > 1:
        half = len(flat) // 2
        product = flat[:half] * flat[half : 2 * half]
        flat = product if len(flat) % 2 == 0 else np.concatenate([product, flat[2 * half :]])
    result = flat[0] if len(flat) else np.ones([shape[i] for i in rest], x.dtype)
    return np.reshape(result, tuple(1 if i in axes else n for i, n in enumerate(shape))) if keepdims else result


def _cumsum_vjp(g: Any, y: Any, x: Any, axis: int | None = None) -> Any:
    if axis is None:
        return np.reshape(np.flip(np.cumsum(np.flip(g))), shape_of(x))
    return np.reshape(np.flip(np.cumsum(np.flip(g, axis=axis), axis=axis), axis=axis), shape_of(x))


@primitive("cumsum", np.cumsum, multilinear=True, vjp=(_cumsum_vjp,))
def cumsum(x: Any, axis: int | None = None) -> Any:
    """Running sum along `axis` (of the flattened input if None)."""
    return np.cumsum(x, axis=axis)
