"""The table of sums, means and differences that are composed of primitives, with every argument numpy's have."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..declare import axes_of, operand, optional, shape_of, spells
from ..errors import ShapeError
from ..signatures import NOT_GIVEN
from ..tensor import Tensor
from .contractions import dot, outer
from .elementwise import divide, greater, maximum, minimum, multiply, where
from .indexing import cast, equals, select, unlike
from .reductions import Axis, count, cumsum, euclidean, max, mean, min, prod, sum
from .special import astype, is_nan


# -- reductions with the rarer arguments ---------------------------------------------------------------------------
def _as(x: Any, dtype: Any) -> Any:
    return x if dtype is None or x.dtype == dtype else astype(x, dtype)


def _among(x: Any, mask: Any, neutral: float) -> Any:
    return x if mask is True else where(mask, x, neutral)


def _widened(name: str, reduce: Callable[..., Any], join: Callable[..., Any], neutral: float) -> Callable[..., Any]:
    def call(
        a: Any, axis: Axis = None, dtype: Any = None, keepdims: bool = False, initial: Any = None, where: Any = True
    ) -> Any:
        x = _among(_as(a, dtype), where, neutral)
        if initial is not None and 0 in shape_of(x):  # nothing but the initial value
            first = initial if isinstance(initial, Tensor) else np.asarray(initial, x.dtype)
            return np.broadcast_to(first, np.sum(np.empty(shape_of(x)), axis=axis, keepdims=keepdims).shape)
        result = reduce(x, axis=axis, keepdims=keepdims)
        return result if initial is None else join(result, initial)

    call.__name__ = call.__qualname__ = name
    return call


for _functions, _reduce, _join, _neutral in (
    ((np.sum,), sum, np.add, 0.0),
    ((np.prod,), prod, multiply, 1.0),
    ((np.max, np.amax), max, maximum, -np.inf),
    ((np.min, np.amin), min, minimum, np.inf),
):
    spells(*_functions, wide=True)(_widened(_functions[0].__name__, _reduce, _join, _neutral))


def _shares(x: Any, axis: Axis, mask: Any, ddof: float = 0) -> Any:
    """By how much a sum is divided."""
    if mask is True:
        return float(np.maximum(count(x, axis) - ddof, 0))
    counted = np.sum(np.broadcast_to(mask, shape_of(x)), axis=axis, keepdims=True)
    return np.maximum(counted - ddof, 0).astype(x.dtype)


@spells(np.mean, wide=True)
def _mean(a: Any, axis: Axis = None, dtype: Any = None, keepdims: bool = False, where: Any = True) -> Any:
    x = _as(a, dtype)
    if where is True:
        return mean(x, axis=axis, keepdims=keepdims)
    total = np.sum(_among(x, where, 0.0), axis=axis, keepdims=True)
    return _without(divide(total, _shares(x, axis, where)), x, axis, keepdims)


def _without(result: Any, x: Any, axis: Axis, keepdims: bool) -> Any:
    """The reduced axes of length 1 taken out again."""
    if keepdims or not shape_of(x):
        return result
    axes = tuple(range(len(shape_of(x)))) if axis is None else axis
    return np.squeeze(result, axis=axes)


def _deviations(x: Any, axis: Axis, ddof: float, mask: Any, centre: Any, correction: Any) -> tuple[Any, Any]:
    """What is squared and summed, and by how much the sum is divided."""
    if correction is not NOT_GIVEN:
        if ddof:
            raise ValueError("ddof and correction can't be provided simultaneously.")
        ddof = correction
    if centre is NOT_GIVEN:
        centre = _mean(x, axis, keepdims=True, where=mask)
    return _among(x - centre, mask, 0.0), _shares(x, axis, mask, ddof)


@spells(np.var, wide=True)
def _var(
    a: Any, axis: Axis = None, dtype: Any = None, ddof: float = 0, keepdims: bool = False, where: Any = True,
    mean: Any = NOT_GIVEN, correction: Any = NOT_GIVEN,
) -> Any:  # fmt: skip
    x = _as(a, dtype)
    centred, share = _deviations(x, axis, ddof, where, mean, correction)
    return _without(divide(np.sum(centred * centred, axis=axis, keepdims=True), share), x, axis, keepdims)


@spells(np.std, wide=True)
def _std(
    a: Any, axis: Axis = None, dtype: Any = None, ddof: float = 0, keepdims: bool = False, where: Any = True,
    mean: Any = NOT_GIVEN, correction: Any = NOT_GIVEN,
) -> Any:  # fmt: skip
    x = _as(a, dtype)
    centred, share = _deviations(x, axis, ddof, where, mean, correction)
    return _without(divide(euclidean(centred, axis=axis, keepdims=True), np.sqrt(share)), x, axis, keepdims)


@spells(np.cumsum, wide=True)
def _cumsum(a: Any, axis: int | None = None, dtype: Any = None) -> Any:
    return cumsum(_as(a, dtype), axis=axis)


@spells(np.cumprod)
def cumprod(a: Any, axis: int | None = None, dtype: Any = None) -> Any:
    """Running product along `axis` (of the flattened input if None), by doubling, so that zeros among the factors
    leave every derivative right.
    """
    x = np.reshape(_as(a, dtype), (-1,)) if axis is None or not shape_of(a) else _as(a, dtype)
    x = np.moveaxis(x, 0 if axis is None else axis, 0)
    done = 1
    while done < len(x):
        x = np.concatenate([x[:done], x[done:] * x[:-done]])
        done *= 2
    return np.moveaxis(x, 0, 0 if axis is None else axis)


def _cumulative(name: str, function: Callable[..., Any], first: float) -> None:
    def call(x: Any, axis: int | None = None, dtype: Any = None, include_initial: bool = False) -> Any:
        if axis is None and len(shape_of(x)) != 1:
            raise ValueError(f"{name}: axis is needed for an array of {len(shape_of(x))} axes")
        axis = 0 if axis is None else axis
        result = function(x, axis=axis, dtype=dtype)
        if not include_initial:
            return result
        lead = np.full_like(np.take(np.empty(shape_of(x), x.dtype), [0], axis=axis), first)
        return np.concatenate([lead, result], axis=axis)

    call.__name__ = call.__qualname__ = name
    spells(optional(np, name))(call)


_cumulative("cumulative_sum", _cumsum, 0.0)
_cumulative("cumulative_prod", cumprod, 1.0)


# -- without nan ---------------------------------------------------------------------------------------------------
def _known(x: Any, neutral: float) -> Any:
    return select(neutral, x, is_nan(x))


@spells(np.nansum)
def nansum(
    a: Any, axis: Axis = None, dtype: Any = None, keepdims: bool = False, initial: Any = 0.0, where: Any = True
) -> Any:
    """The sum, with 0 for nan."""
    return np.sum(_known(a, 0.0), axis=axis, dtype=dtype, keepdims=keepdims, initial=initial, where=where)


@spells(np.nanprod)
def nanprod(
    a: Any, axis: Axis = None, dtype: Any = None, keepdims: bool = False, initial: Any = 1.0, where: Any = True
) -> Any:
    """The product, with 1 for nan."""
    return np.prod(_known(a, 1.0), axis=axis, dtype=dtype, keepdims=keepdims, initial=initial, where=where)


@spells(np.nancumsum)
def nancumsum(a: Any, axis: int | None = None, dtype: Any = None) -> Any:
    """The running sum, with 0 for nan."""
    return _cumsum(_known(a, 0.0), axis, dtype)


@spells(np.nancumprod)
def nancumprod(a: Any, axis: int | None = None, dtype: Any = None) -> Any:
    """The running product, with 1 for nan."""
    return cumprod(_known(a, 1.0), axis, dtype)


def _numbers(x: Any, axis: Axis) -> Any:
    """How many entries are no nan, by an operation of the graph."""
    return np.sum(cast(unlike(is_nan(x)), dtype=x.dtype), axis=axis, keepdims=True)


@spells(np.nanmean)
def nanmean(a: Any, axis: Axis = None, dtype: Any = None, keepdims: bool = False) -> Any:
    """The mean of what is no nan."""
    x = _as(a, dtype)
    total = np.sum(_known(x, 0.0), axis=axis, keepdims=True)
    return _without(divide(total, _numbers(x, axis)), x, axis, keepdims)


def _known_deviations(x: Any, axis: Axis, ddof: float) -> tuple[Any, Any]:
    share = _numbers(x, axis) - ddof
    return _known(x - nanmean(x, axis, keepdims=True), 0.0), select(share, np.nan, greater(share, 0.0))


@spells(np.nanvar)
def nanvar(a: Any, axis: Axis = None, dtype: Any = None, ddof: float = 0, keepdims: bool = False) -> Any:
    """The variance of what is no nan."""
    x = _as(a, dtype)
    centred, share = _known_deviations(x, axis, ddof)
    return _without(divide(np.sum(centred * centred, axis=axis, keepdims=True), share), x, axis, keepdims)


@spells(np.nanstd)
def nanstd(a: Any, axis: Axis = None, dtype: Any = None, ddof: float = 0, keepdims: bool = False) -> Any:
    """The standard deviation of what is no nan; its derivative where all are equal is 0, as for `norm`."""
    x = _as(a, dtype)
    centred, share = _known_deviations(x, axis, ddof)
    return _without(divide(euclidean(centred, axis=axis, keepdims=True), np.sqrt(share)), x, axis, keepdims)


def _extremum(reduce: Any, worst: float) -> Callable[..., Any]:
    def call(a: Any, axis: Axis = None, keepdims: bool = False, initial: Any = None, where: Any = True) -> Any:
        options = {} if initial is None else {"initial": initial}
        result = reduce(_known(a, worst), axis=axis, keepdims=True, where=where, **options)
        if initial is None:
            result = select(np.nan, result, equals(_numbers(a, axis), number=0))
        return _without(result, a, axis, keepdims)

    return call


spells(np.nanmax)(_extremum(np.max, -np.inf))
spells(np.nanmin)(_extremum(np.min, np.inf))


# -- weighted ------------------------------------------------------------------------------------------------------
@spells(np.average)
def average(a: Any, axis: Axis = None, weights: Any = None, returned: bool = False, keepdims: bool = False) -> Any:
    """The mean over `axis`, weighted; `returned`: the sum of the weights as well.

    Raises `ShapeError` for weights that do not fit.
    """
    a = operand(a)
    if weights is None:
        result, total = mean(a, axis=axis, keepdims=keepdims), operand(float(count(a, axis)))
    else:
        weights = operand(weights)
        if shape_of(weights) != shape_of(a):
            if not isinstance(axis, int | np.integer) or shape_of(weights) != (shape_of(a)[axis],):
                raise ShapeError(f"average: weights {shape_of(weights)} do not fit {shape_of(a)} along axis {axis}")
            lengths = [1] * len(shape_of(a))
            lengths[axis] = -1
            weights = np.broadcast_to(np.reshape(weights, lengths), shape_of(a))
        total = np.sum(weights, axis=axis, keepdims=keepdims)
        result = np.sum(multiply(a, weights), axis=axis, keepdims=keepdims) / total
    return (result, np.broadcast_to(total, shape_of(result))) if returned else result


@spells(np.cov)
def cov(
    m: Any, y: Any = None, rowvar: bool = True, bias: bool = False, ddof: int | None = None, dtype: Any = None
) -> Any:
    """Covariances of variables that are rows (columns if not `rowvar`)."""
    x = _variables(m, rowvar, dtype)
    if y is not None:
        x = np.concatenate([x, _variables(y, rowvar, dtype)])
    x = x - mean(x, axis=1, keepdims=True)
    taken = int(not bias) if ddof is None else ddof
    return np.squeeze(dot(x, x.T) / float(np.maximum(shape_of(x)[1] - taken, 0)))


def _variables(x: Any, rowvar: bool, dtype: Any) -> Any:
    x = operand(x)
    x = _as(x, np.result_type(x.dtype, np.float64) if dtype is None else dtype)
    if len(shape_of(x)) > 2:
        raise ShapeError(f"cov: has more than 2 axes: {shape_of(x)}")
    x = np.atleast_2d(x)
    return x if rowvar or len(x) == 1 else x.T


@spells(np.corrcoef)
def corrcoef(x: Any, y: Any = None, rowvar: bool = True, dtype: Any = None) -> Any:
    """Correlations of variables that are rows (columns if not `rowvar`)."""
    c = cov(x, y, rowvar, dtype=dtype)
    if not shape_of(c):
        return c / c
    deviations = np.sqrt(np.diagonal(c))
    return np.clip(c / outer(deviations, deviations), -1.0, 1.0)


# -- differences and areas -----------------------------------------------------------------------------------------
@spells(np.diff)
def diff(a: Any, n: int = 1, axis: int = -1, prepend: Any = None, append: Any = None) -> Any:
    """Differences of neighbours along `axis`, `n` times."""
    if n < 0:
        raise ValueError(f"diff: n is 0 or more, not {n}")
    a = operand(a)
    shape = shape_of(a)
    (axis,) = axes_of(a, axis)
    one = (*shape[:axis], 1, *shape[axis + 1 :])
    ends = [None if x is None else operand(x) for x in (prepend, append)]
    before, after = ([] if x is None else [x if x.ndim else np.broadcast_to(x, one)] for x in ends)
    if (before or after) and n:
        a = np.concatenate([*before, a, *after], axis=axis)
    lead = (slice(None),) * axis
    for _ in range(n):
        a = a[(*lead, slice(1, None))] - a[(*lead, slice(None, -1))]
    return a


@spells(np.ediff1d)
def ediff1d(ary: Any, to_end: Any = None, to_begin: Any = None) -> Any:
    """Differences of neighbours of all entries, between others."""
    ary = operand(ary)
    parts = [to_begin, diff(np.ravel(ary)), to_end]
    return np.concatenate([np.ravel(_as(operand(x), ary.dtype)) for x in parts if x is not None])


@spells(optional(np, "trapezoid"), optional(np, "trapz"))
def trapezoid(y: Any, x: Any = None, dx: Any = 1.0, axis: int = -1) -> Any:
    """The area below the points `y` along `axis`, at the places `x` or `dx` apart."""
    y = np.moveaxis(operand(y), axis, -1)
    if x is not None:
        x = operand(x)
        dx = diff(x) if x.ndim == 1 else np.moveaxis(diff(x, axis=axis), axis, -1)
    return np.sum(dx * (y[..., 1:] + y[..., :-1]) / 2.0, axis=-1)


@spells(np.gradient)
def gradient(f: Any, *varargs: Any, axis: Any = None, edge_order: int = 1) -> Any:
    """Slopes by central differences, one-sided at the ends, along each axis; spacings are one number, one for each
    axis, or the places along it.
    """
    f = operand(f)
    axes = axes_of(f, axis)
    spacings = list(varargs) if len(varargs) > 1 else list(varargs or (1.0,)) * len(axes)
    if len(spacings) != len(axes):
        raise TypeError(f"gradient: {len(spacings)} spacings for {len(axes)} axes")
    found = [_slope(np.moveaxis(f, i, 0), operand(h), edge_order, i) for i, h in zip(axes, spacings, strict=True)]
    return found[0] if len(found) == 1 else tuple(found)


def _slope(f: Any, h: Any, edge_order: int, axis: int) -> Any:
    if edge_order not in (1, 2):
        raise ValueError(f"gradient: edge_order is 1 or 2, not {edge_order}")
    if len(f) < edge_order + 1:
        raise ShapeError(f"gradient: needs {edge_order + 1} entries along an axis, not {len(f)}")
    steps = np.broadcast_to(h, (len(f) - 1,)) if not h.ndim else diff(h)
    if shape_of(steps) != (len(f) - 1,):
        raise ShapeError(f"gradient: {len(f)} entries along axis {axis} need as many places, not {shape_of(h)}")
    d = np.reshape(_as(steps, f.dtype), (-1,) + (1,) * (len(shape_of(f)) - 1))
    rises = (f[1:] - f[:-1]) / d
    a, b = d[:-1], d[1:]
    inner = (b * rises[:-1] + a * rises[1:]) / (a + b)
    first, last = rises[:1], rises[-1:]
    if edge_order == 2:  # the parabola through three points
        first = first + (first - rises[1:2]) * d[:1] / (d[:1] + d[1:2])
        last = last + (last - rises[-2:-1]) * d[-1:] / (d[-1:] + d[-2:-1])
    return np.moveaxis(np.concatenate([first, inner, last]), 0, axis)


# -- choosing and series -------------------------------------------------------------------------------------------
@spells(np.select)
def select_from(condlist: Any, choicelist: Any, default: Any = 0.0) -> Any:
    """The first choice whose condition holds, else `default`."""
    if len(condlist) != len(choicelist) or not len(condlist):
        raise ValueError(f"select: {len(condlist)} conditions for {len(choicelist)} choices")
    result = default
    for condition, choice in zip(reversed(condlist), reversed(choicelist), strict=True):
        result = where(condition, choice, result)
    return result


@spells(np.linspace)
def linspace(
    start: Any, stop: Any, num: int = 50, endpoint: bool = True, retstep: bool = False, dtype: Any = None, axis: int = 0
) -> Any:
    """`num` numbers from `start` to `stop` at equal distances, along a new `axis`."""
    start, stop = (operand(x) * 1.0 for x in (start, stop))
    parts = num - 1 if endpoint else num
    step = (stop - start) / parts if parts > 0 else np.nan
    rank = max_of(len(shape_of(start)), len(shape_of(stop)))
    places = np.arange(float(num)).astype(np.result_type(start.dtype, stop.dtype))
    share = np.reshape(places, (-1,) + (1,) * rank) / (parts if parts > 0 else 1)
    result = _as(np.moveaxis(start * (1.0 - share) + stop * share, 0, axis), dtype)
    return (result, step) if retstep else result


def max_of(a: int, b: int) -> int:
    """The larger of two whole numbers: `max` is the reduction here."""
    return a if a > b else b


@spells(np.full_like)
def full_like(a: Any, fill_value: Any, dtype: Any = None, shape: Any = None) -> Any:
    """`fill_value` in the shape of `a`."""
    if not isinstance(fill_value, Tensor):
        value = a.value if isinstance(a, Tensor) else a
        return np.full_like(value, fill_value, dtype=dtype, shape=shape)
    filled = np.broadcast_to(fill_value, shape_of(a) if shape is None else shape)
    return _as(filled, a.dtype if dtype is None else dtype)
