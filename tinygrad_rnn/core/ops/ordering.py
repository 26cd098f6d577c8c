"""The table of functions that depend on the order of entries: sorting, and what is read off sorted entries.

Which entry comes where is an operation of its own, without derivative, so that a graph recorded once holds for other
values too; the entries themselves are picked.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..declare import axes_of, operand, primitive, shape_of, spells, undifferentiated
from ..errors import ShapeError
from ..tensor import PLAIN, Tensor, plain
from .identity import stop
from .indexing import HOLE, pick, select
from .special import astype, is_nan


@primitive("order_of", label="order")
def order_of(x: Any, axis: int = -1) -> Any:
    """Which entry comes where when sorted along `axis`; equal ones stay in their order."""
    return np.argsort(np.real(x), axis=axis, kind="stable")


def _picked_along(x: Any, indices: Any, axis: int) -> Any:
    """`x` at `indices` along `axis`, where the other axes run beside each other."""
    shape = shape_of(x)
    (axis,) = axes_of(x, axis)
    grids: list[Any] = list(np.ogrid[tuple(slice(n) for n in shape)])
    if not isinstance(indices, Tensor):
        indices = np.array(indices)
        grids[axis] = indices
        return x[tuple(grids)]
    grids[axis] = HOLE
    return pick(x, indices, index=tuple(grids))


@spells(np.take_along_axis)
def take_along_axis(arr: Any, indices: Any, axis: int | None = -1) -> Any:
    """The entries of each row (along `axis`) at that row's indices, as `argsort` gives them.

    Raises `ShapeError` for indices with another number of axes.
    """
    indices = operand(indices)
    if axis is None:
        arr, axis = np.reshape(arr, (-1,)), 0
    lengths, wanted = list(shape_of(arr)), list(shape_of(indices))
    if len(lengths) != len(wanted):
        raise ShapeError(f"take_along_axis: {tuple(lengths)} has not as many axes as the indices, {tuple(wanted)}")
    lengths[axis], wanted[axis] = 1, 1
    shape = np.broadcast_shapes(tuple(lengths), tuple(wanted))
    arr = np.broadcast_to(arr, _with(shape, axis, shape_of(arr)[axis]))
    if tuple(wanted) != shape:
        indices = np.broadcast_to(plain(indices), _with(shape, axis, shape_of(indices)[axis]))
    return _picked_along(arr, indices, axis)


def _with(shape: tuple[int, ...], axis: int, length: int) -> tuple[int, ...]:
    axis %= len(shape)
    return (*shape[:axis], length, *shape[axis + 1 :])


@spells(np.sort)
def sort(a: Any, axis: int | None = -1) -> Any:
    """Entries in ascending order along `axis`; the cotangent goes back to where each entry came from."""
    if axis is None:
        a, axis = np.reshape(a, (-1,)), -1
    return _picked_along(a, order_of(a, axis=axis), axis) if isinstance(a, Tensor) else np.sort(a, axis)


@spells(np.partition)
def partition(a: Any, kth: Any, axis: int | None = -1) -> Any:
    """The entries with the `kth` smallest at their places, smaller ones before; sorted, which is one such order.

    Raises `ShapeError` for a `kth` outside of the entries.
    """
    n = a.size if axis is None else shape_of(a)[axis]
    if np.any(np.asarray(kth) >= n) or np.any(np.asarray(kth) < -n):
        raise ShapeError(f"partition: kth={kth} lies outside of {n} entries")
    return sort(a, axis)


# -- quantiles -----------------------------------------------------------------------------------------------------
def _flat_axes(a: Any, axis: Any) -> tuple[Any, int]:
    """`a` with the axes to be reduced made one, the last, and how many entries it has."""
    shape, axes = shape_of(a), axes_of(a, axis)
    rest = [i for i in range(len(shape)) if i not in axes]
    n = int(np.prod([shape[i] for i in axes], dtype=int))
    return np.reshape(np.transpose(a, (*rest, *axes)), (*[shape[i] for i in rest], n)), n


@spells(np.quantile)
def quantile(a: Any, q: Any, axis: Any = None, method: str = "linear", keepdims: bool = False) -> Any:
    """The quantiles `q` of the entries over `axis`, by any of numpy's methods; nan where an entry is nan.

    `q` is plain data: between two sorted entries a quantile has one derivative by each of them.
    """
    a, q = operand(a), undifferentiated("quantile", "q", q)
    flat, n = _flat_axes(a, axis)
    if not n:  # of nothing: nan
        flat, n = np.full((*shape_of(flat)[:-1], 1), np.nan, a.dtype), 1
    # on the numbers 0, 1, ... numpy's quantile is the place among the sorted entries, whatever the method
    places = np.asarray(np.quantile(np.arange(float(n)), q, method=method))  # type: ignore[call-overload]
    low = np.floor(places).astype(int)
    kind = np.result_type(a.dtype, np.asarray(q).dtype) if np.ndim(q) else a.dtype
    share = (places - low).astype(kind)
    ordered = sort(flat if flat.dtype == kind else astype(flat, kind))
    result = ordered[..., low]
    if np.any(share):
        above = ordered[..., np.minimum(low + 1, n - 1)]
        result = result * (1.0 - share) + above * share
    unknown = np.sum(select(flat, 0.0, is_nan(flat)), axis=-1)
    result = result + np.reshape(stop(unknown), shape_of(unknown) + (1,) * places.ndim)
    result = np.moveaxis(result, range(result.ndim - places.ndim, result.ndim), range(places.ndim))
    return _kept(result, a, axis, places.ndim) if keepdims else result


def _kept(result: Any, a: Any, axis: Any, lead: int) -> Any:
    axes = axes_of(a, axis)
    kept = tuple(1 if i in axes else n for i, n in enumerate(shape_of(a)))
    return np.reshape(result, shape_of(result)[:lead] + kept)


@spells(np.percentile)
def percentile(a: Any, q: Any, axis: Any = None, method: str = "linear", keepdims: bool = False) -> Any:
    """The quantiles `q / 100`."""
    return quantile(a, np.asarray(undifferentiated("percentile", "q", q)) / 100.0, axis, method, keepdims)


@spells(np.median)
def median(a: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """The middle of the sorted entries over `axis`; of an even number of them, the mean of the two."""
    return quantile(a, 0.5, axis, keepdims=keepdims)


@spells(np.ptp)
def ptp(a: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """The largest entry less the smallest."""
    return np.max(a, axis=axis, keepdims=keepdims) - np.min(a, axis=axis, keepdims=keepdims)


PLAIN |= {
    np.argpartition, np.argwhere, np.flatnonzero, np.nanargmax, np.nanargmin, np.digitize, np.array_equiv, np.lexsort,
    np.isin, np.around, np.linalg.matrix_rank, np.einsum_path, np.save, np.savez,
    np.savez_compressed, np.savetxt,
}  # fmt: skip
