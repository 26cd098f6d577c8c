"""The table of functions that put tensors together and take them apart, composed of joining, picking and reshaping."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..declare import axes_of, operand, optional, primitive, shape_of, spells
from ..errors import NotDifferentiableError, ShapeError
from ..signatures import NOT_GIVEN
from .shaping import concatenate, stack, take
from .special import astype


# -- axes put in ---------------------------------------------------------------------------------------------------
def _with_axes(x: Any, rank: int) -> Any:
    """`x` with axes of length 1 put in front; one axis more behind for numpy's third."""
    x = operand(x)
    shape = shape_of(x)
    if rank == 3 and 0 < len(shape) < 3:
        return np.reshape(x, (1, *shape, 1) if len(shape) == 1 else (*shape, 1))
    return np.reshape(x, (1,) * (rank - len(shape)) + shape) if len(shape) < rank else x


def _each(xs: Sequence[Any], rank: int) -> Any:
    found = tuple(_with_axes(x, rank) for x in xs)
    return found[0] if len(found) == 1 else found


@spells(np.atleast_1d)
def atleast_1d(*arys: Any) -> Any:
    """A scalar as a vector of length 1."""
    return _each(arys, 1)


@spells(np.atleast_2d)
def atleast_2d(*arys: Any) -> Any:
    """A vector as a row."""
    return _each(arys, 2)


@spells(np.atleast_3d)
def atleast_3d(*arys: Any) -> Any:
    """A vector as (1, n, 1), a matrix as (m, n, 1)."""
    return _each(arys, 3)


# -- together ------------------------------------------------------------------------------------------------------
def _cast(x: Any, dtype: Any) -> Any:
    return x if dtype is None or x.dtype == dtype else astype(x, dtype)


@spells(np.concatenate, wide=True)
def _concatenate(arrays: Any, axis: int | None = 0, dtype: Any = None) -> Any:
    return _cast(concatenate(arrays, axis=axis), dtype)


@spells(np.stack, wide=True)
def _stack(arrays: Any, axis: int = 0, dtype: Any = None) -> Any:
    return _cast(stack(arrays, axis=axis), dtype)


@spells(np.vstack)
def vstack(tup: Any, dtype: Any = None) -> Any:
    """Join rows."""
    return _concatenate([_with_axes(x, 2) for x in tup], 0, dtype)


@spells(np.hstack)
def hstack(tup: Any, dtype: Any = None) -> Any:
    """Join columns (entries, for scalars and vectors)."""
    xs = [_with_axes(x, 1) for x in tup]
    return _concatenate(xs, 0 if len(shape_of(xs[0])) == 1 else 1, dtype)


@spells(np.dstack)
def dstack(tup: Any) -> Any:
    """Join along the third axis."""
    return np.concatenate([_with_axes(x, 3) for x in tup], axis=2)


@spells(np.column_stack)
def column_stack(tup: Any) -> Any:
    """Join columns; a vector is one."""
    xs = [operand(x) for x in tup]
    return np.concatenate([x if x.ndim > 1 else np.reshape(x, (-1, 1)) for x in xs], axis=1)


@spells(np.append)
def append(arr: Any, values: Any, axis: int | None = None) -> Any:
    """Join two along `axis`, or all their entries in one axis."""
    return np.concatenate([operand(arr), operand(values)], axis=axis)


@spells(np.block)
def block(arrays: Any) -> Any:
    """Join nested lists of blocks: the innermost along the last axis, the next along the one before."""
    levels = _depth(arrays)
    return _joined(arrays, -levels, max(levels, _rank_of(arrays)))


def _depth(part: Any) -> int:
    return 1 + max(map(_depth, part)) if isinstance(part, list) else 0


def _rank_of(part: Any) -> int:
    return max(map(_rank_of, part)) if isinstance(part, list) else len(shape_of(operand(part)))


def _joined(part: Any, axis: int, rank: int) -> Any:
    if not isinstance(part, list):
        return _with_leading(part, rank)
    return np.concatenate([_joined(inner, axis + 1, rank) for inner in part], axis=axis)


def _with_leading(x: Any, rank: int) -> Any:
    x = operand(x)
    return np.reshape(x, (1,) * (rank - x.ndim) + tuple(x.shape))


@spells(np.broadcast_arrays)
def broadcast_arrays(*args: Any) -> Any:
    """All of them in the shape that they have together."""
    xs = [operand(x) for x in args]
    shape = np.broadcast_shapes(*map(shape_of, xs))
    return tuple(np.broadcast_to(x, shape) for x in xs)


@spells(np.meshgrid)
def meshgrid(*xi: Any, indexing: str = "xy", sparse: bool = False, copy: bool = True) -> Any:
    """A grid from the coordinates along each axis; the first two axes are exchanged unless `indexing="ij"`."""
    if indexing not in ("xy", "ij"):
        raise ValueError(f"meshgrid: indexing is 'xy' or 'ij', not {indexing!r}")
    rank = len(xi)
    swap = indexing == "xy" and rank > 1
    grids = []
    for i, x in enumerate(map(operand, xi)):
        axis = 1 - i if swap and i < 2 else i
        grids.append(np.reshape(x, (1,) * axis + (-1,) + (1,) * (rank - 1 - axis)))
    return tuple(grids) if sparse else broadcast_arrays(*grids)


# -- apart ---------------------------------------------------------------------------------------------------------
@spells(np.array_split)
def array_split(ary: Any, indices_or_sections: Any, axis: int = 0) -> list[Any]:
    """Cut into sections as equal as possible, or at the given positions, along `axis`."""
    n = shape_of(ary)[axis]
    before = (slice(None),) * (axis % len(shape_of(ary)))
    positions = np.array_split(np.arange(n), indices_or_sections)
    return [ary[(*before, slice(int(p[0]), int(p[-1]) + 1) if len(p) else slice(0, 0))] for p in positions]


@spells(np.split)
def split(ary: Any, indices_or_sections: Any, axis: int = 0) -> list[Any]:
    """Cut into equal sections, or at the given positions, along `axis`.

    Raises `ShapeError` where the sections would not be equal.
    """
    if np.ndim(indices_or_sections) == 0 and shape_of(ary)[axis] % int(indices_or_sections):
        raise ShapeError(
            f"split: {shape_of(ary)[axis]} entries along axis {axis} are not {indices_or_sections} equal parts"
        )
    return array_split(ary, indices_or_sections, axis)


def _split_along(name: str, ary: Any, indices_or_sections: Any, axis: int) -> list[Any]:
    if len(shape_of(ary)) < (rank := {"hsplit": 1, "vsplit": 2, "dsplit": 3}[name]):
        raise ShapeError(f"{name}: needs {rank} axes at least, but the shape is {shape_of(ary)}")
    return split(ary, indices_or_sections, axis)


@spells(np.hsplit)
def hsplit(ary: Any, indices_or_sections: Any) -> list[Any]:
    """Cut columns (entries, for a vector)."""
    return _split_along("hsplit", ary, indices_or_sections, 0 if len(shape_of(ary)) == 1 else 1)


@spells(np.vsplit)
def vsplit(ary: Any, indices_or_sections: Any) -> list[Any]:
    """Cut rows."""
    return _split_along("vsplit", ary, indices_or_sections, 0)


@spells(np.dsplit)
def dsplit(ary: Any, indices_or_sections: Any) -> list[Any]:
    """Cut along the third axis."""
    return _split_along("dsplit", ary, indices_or_sections, 2)


# -- margins -------------------------------------------------------------------------------------------------------
def _pad_vjp(g: Any, y: Any, x: Any, pad_width: Any, mode: str = "constant", constant_values: Any = 0) -> Any:
    widths = np.broadcast_to(pad_width, (len(shape_of(x)), 2))
    return g[tuple(slice(int(before), int(before) + n) for (before, _), n in zip(widths, shape_of(x), strict=True))]


@primitive("pad", vjp=(_pad_vjp,))
def _pad_constant(x: Any, pad_width: Any, mode: str = "constant", constant_values: Any = 0) -> Any:
    return np.pad(x, pad_width, mode="constant", constant_values=constant_values)


#: modes that copy entries
_COPIES = ("edge", "reflect", "symmetric", "wrap")


@spells(np.pad)
def pad(
    array: Any, pad_width: Any, mode: str = "constant", constant_values: Any = NOT_GIVEN, reflect_type: Any = NOT_GIVEN
) -> Any:
    """Add entries around: constant ones (`constant_values`), or copies of entries (`edge`, `reflect`, `symmetric`,
    `wrap`). `NotDifferentiableError` names another mode.
    """
    rank = len(shape_of(array))
    if isinstance(pad_width, dict):
        widths = {axes_of(array, axis)[0]: width for axis, width in pad_width.items()}
        pad_width = [np.broadcast_to(widths.get(axis, 0), 2).tolist() for axis in range(rank)]
    given = {"constant_values": constant_values, "reflect_type": reflect_type}
    options = {name: value for name, value in given.items() if value is not NOT_GIVEN}
    if mode == "constant":
        return _pad_constant(array, pad_width=pad_width, **options)
    if mode not in _COPIES or options.get("reflect_type", "even") != "even":
        refused = f"mode={mode!r}" if mode not in _COPIES else f"reflect_type={reflect_type!r}"
        raise NotDifferentiableError(
            f"np.pad on a Tensor does not take {refused}: it takes mode='constant', {', '.join(map(repr, _COPIES))}; "
            "np.concatenate joins other margins"
        )
    entries = np.arange(int(np.prod(shape_of(array), dtype=int))).reshape(shape_of(array))
    return take(array, np.pad(entries, pad_width, mode=mode, **options))  # type: ignore[call-overload]


@spells(optional(np, "unstack"))
def unstack(x: Any, axis: int = 0) -> tuple[Any, ...]:
    """The entries along an axis, one by one."""
    return tuple(np.moveaxis(x, axis, 0))
