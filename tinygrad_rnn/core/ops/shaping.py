"""The table of operations that move, pick or repeat entries and never compute with them."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..declare import axes_of, primitive, shape_of, spells
from ..errors import NotDifferentiableError, ShapeError
from ..tensor import Tensor, plain
from .indexing import HOLE, pick, with_hole


@primitive("reshape", np.reshape, multilinear=True, vjp=(lambda g, y, x, shape: np.reshape(g, shape_of(x)),))
def reshape(x: Any, shape: Any) -> Any:
    """The same entries in another shape (row-major)."""
    return np.reshape(x, shape)


@spells(np.reshape, wide=True)
def _reshape(a: Any, shape: Any, order: str = "C") -> Any:
    if order == "F":  # columns first is rows first of the transpose
        lengths = (int(shape),) if np.ndim(shape) == 0 else tuple(int(n) for n in shape)
        return np.transpose(np.reshape(np.transpose(a), lengths[::-1]))
    if order != "C":
        raise NotDifferentiableError(f"order={order!r} depends on how memory lies, which a Tensor does not say: C or F")
    return reshape(a, shape)


def _transpose_vjp(g: Any, y: Any, x: Any, axes: Any = None) -> Any:
    if axes is None:
        return np.transpose(g)
    return np.transpose(g, tuple(int(i) for i in np.argsort([axis % len(axes) for axis in axes])))


@primitive("transpose", np.transpose, multilinear=True, label="ᵀ", vjp=(_transpose_vjp,))
def transpose(x: Any, axes: Any = None) -> Any:
    """Permute the axes; reverse them if `axes` is None."""
    return np.transpose(x, axes)


@primitive("broadcast_to", np.broadcast_to, multilinear=True, vjp=(lambda g, y, x, shape: g,))
def broadcast_to(x: Any, shape: Any) -> Any:
    """Repeat along new axes and axes of length 1; the cotangent is summed over them."""
    return np.broadcast_to(x, shape)


def _is_basic(index: Any) -> bool:
    parts = index if isinstance(index, tuple) else (index,)
    return all(part is None or part is Ellipsis or isinstance(part, int | np.integer | slice) for part in parts)


def _add_at(total: Any, g: Any, index: Any) -> None:
    if _is_basic(index):
        total[index] += g
    else:
        np.add.at(total, index, g)


def _scatter(g: Any, index: Any, shape: tuple[int, ...]) -> Any:
    total = np.zeros(shape, np.result_type(g))
    _add_at(total, g, index)
    return total


scatter_add = primitive("scatter_add", multilinear=True, vjp=(lambda g, y, x, index, shape: g[index],))(_scatter)
scatter_add.__doc__ = (
    "Zeros of `shape` with `g` added at `index`; repeated positions add up. The transpose of indexing."
)


@primitive(
    "getitem", multilinear=True, label="[ ]", add_into=_add_at,
    vjp=(lambda g, y, x, index: scatter_add(g, index=index, shape=shape_of(x)),),
)  # fmt: skip
def _getitem(x: Any, index: Any) -> Any:
    return np.asarray(x)[index] if type(x) is float else x[index]


def getitem(x: Tensor, index: Any) -> Tensor:
    """`x[index]` as in numpy: integers, slices, masks, integer arrays with repeats."""
    held = with_hole(index)
    return _getitem(x, index=plain(index)) if held is None else pick(x, held[0], index=held[1])


# -- joining and splitting -----------------------------------------------------------------------------------------
def _pieces(g: Any, y: Any, *xs: Any, axis: int | None = 0) -> tuple[Any, ...]:
    if axis is None:
        ends = np.cumsum([int(np.prod(shape_of(x))) for x in xs])
        return tuple(
            np.reshape(g[end - int(np.prod(shape_of(x))) : end], shape_of(x)) for x, end in zip(xs, ends, strict=True)
        )
    before = (slice(None),) * (axis % len(shape_of(g)))
    ends = np.cumsum([shape_of(x)[axis] for x in xs])
    return tuple(g[(*before, slice(int(end) - shape_of(x)[axis], int(end)))] for x, end in zip(xs, ends, strict=True))


@primitive("concatenate", np.concatenate, inputs=None, multilinear=True, label="[;]", vjp=_pieces)
def concatenate(xs: Any, axis: int | None = 0) -> Any:
    """Join along an existing axis (after flattening if `axis` is None)."""
    return np.concatenate(xs, axis=axis)


def _layers(g: Any, y: Any, *xs: Any, axis: int = 0) -> tuple[Any, ...]:
    before = (slice(None),) * (axis % len(shape_of(g)))
    return tuple(g[(*before, i)] for i in range(len(xs)))


@primitive("stack", np.stack, inputs=None, multilinear=True, label="[;]", vjp=_layers)
def stack(xs: Any, axis: int = 0) -> Any:
    """Join along a new axis."""
    return np.stack(xs, axis=axis)


# -- axes ----------------------------------------------------------------------------------------------------------
@spells(np.ravel)
def ravel(x: Any, order: str = "C") -> Any:
    """All entries in one axis."""
    return _reshape(x, (-1,), order)


@spells(np.swapaxes)
def swapaxes(x: Any, axis1: int, axis2: int) -> Any:
    """Exchange two axes."""
    axes = list(range(len(shape_of(x))))
    (i,), (j,) = axes_of(x, axis1), axes_of(x, axis2)
    axes[i], axes[j] = axes[j], axes[i]
    return np.transpose(x, tuple(axes))


@spells(np.moveaxis)
def moveaxis(x: Any, source: Any, destination: Any) -> Any:
    """Move axes to new positions. Raises `ShapeError` unless there are as many positions as axes."""
    sources, targets = axes_of(x, source), axes_of(x, destination)
    if len(sources) != len(targets):
        raise ShapeError(f"moveaxis: {len(sources)} axes cannot go to {len(targets)} places")
    axes = [i for i in range(len(shape_of(x))) if i not in sources]
    for target, origin in sorted(zip(targets, sources, strict=True)):
        axes.insert(target, origin)
    return np.transpose(x, tuple(axes))


@spells(np.expand_dims)
def expand_dims(x: Any, axis: Any) -> Any:
    """Put in axes of length 1."""
    return np.reshape(x, np.expand_dims(np.empty(shape_of(x), bool), axis).shape)


@spells(np.squeeze)
def squeeze(x: Any, axis: Any = None) -> Any:
    """Take out axes of length 1."""
    return np.reshape(x, np.squeeze(np.empty(shape_of(x), bool), axis).shape)


@spells(np.copy)
def copy(x: Any) -> Any:
    """The same tensor: its value never changes, so nobody can write into the other one."""
    return x


# -- repeating and reordering, as picks ----------------------------------------------------------------------------
@spells(np.take)
def take(x: Any, indices: Any, axis: int | None = None, mode: str = "raise") -> Any:
    """Entries at `indices` along `axis` (of the flattened input if None); repeats add up in the gradient. Indices
    outside: an error, or, by `mode`, `wrap` or `clip`.
    """
    if axis is None or not shape_of(x):
        x, axis = np.reshape(x, (-1,)), axis or 0
    (axis,) = axes_of(x, axis)
    before = (slice(None),) * axis
    if isinstance(indices, Tensor) and mode == "raise":
        return pick(x, indices, index=(*before, HOLE))
    at = np.asarray(indices if mode == "raise" else plain(indices))
    if mode != "raise":
        at = np.take(np.arange(shape_of(x)[axis]), at, mode=mode)  # type: ignore[call-overload]
    return x[(*before, at)]


def embedding(weight: Any, indices: Any) -> Any:
    """Rows of `weight` (num_embeddings, embedding_dim) at integer `indices` of any shape; raises `ShapeError` outside
    the table.

    >>> import numpy as np, tinygrad_rnn as tg
    >>> tg.embedding(np.eye(3), [2, 0]).tolist()
    [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]
    """
    return take(weight, indices, axis=0)


@spells(np.repeat)
def repeat(x: Any, repeats: Any, axis: int | None = None) -> Any:
    """Each entry several times in a row."""
    length = shape_of(x)[axis] if axis is not None and shape_of(x) else int(np.prod(shape_of(x)))
    return take(x, np.repeat(np.arange(length), repeats), axis=axis)


@spells(np.tile)
def tile(x: Any, reps: Any) -> Any:
    """The whole array several times along each axis."""
    reps = tuple(int(r) for r in np.atleast_1d(reps))
    shape = shape_of(x)
    rank = len(reps) if len(reps) > len(shape) else len(shape)
    reps, shape = (1,) * (rank - len(reps)) + reps, (1,) * (rank - len(shape)) + shape
    pairs = [n for r, s in zip(reps, shape, strict=True) for n in (r, s)]
    lone = [n for s in shape for n in (1, s)]
    return np.reshape(np.broadcast_to(np.reshape(x, lone), pairs), [r * s for r, s in zip(reps, shape, strict=True)])


@spells(np.flip)
def flip(x: Any, axis: Any = None) -> Any:
    """Reverse the order along the axes (all if None)."""
    axes = axes_of(x, axis)
    return x[tuple(slice(None, None, -1) if i in axes else slice(None) for i in range(len(shape_of(x))))]


@spells(np.flipud)
def flipud(m: Any) -> Any:
    """Reverse the order of the rows."""
    return flip(m, 0)


@spells(np.fliplr)
def fliplr(m: Any) -> Any:
    """Reverse the order of the columns."""
    return flip(m, 1)


@spells(np.rot90)
def rot90(m: Any, k: int = 1, axes: Any = (0, 1)) -> Any:
    """Turn by 90 degrees `k` times, from the first of two axes to the second."""
    first, second = axes_of(m, axes)
    if k % 2 == 0:
        return flip(m, (first, second)) if k % 4 else m
    turned = swapaxes(m, first, second)
    return flip(turned, first) if k % 4 == 1 else flip(turned, second)


@spells(np.rollaxis)
def rollaxis(a: Any, axis: int, start: int = 0) -> Any:
    """Move an axis before the one at `start`. Raises `ShapeError` for a `start` outside of the axes."""
    (i,) = axes_of(a, axis)
    rank = len(shape_of(a))
    if not -rank <= start <= rank:
        raise ShapeError(f"rollaxis: start={start} lies outside of {rank} axes")
    place = start + rank if start < 0 else start
    return moveaxis(a, i, place - 1 if i < place else place)


@spells(np.delete)
def delete(arr: Any, obj: Any, axis: int | None = None) -> Any:
    """The entries that are left when those at `obj` are taken out."""
    if axis is None:
        arr, axis = np.reshape(arr, (-1,)), 0
    return take(arr, np.delete(np.arange(shape_of(arr)[axis]), obj), axis)


@spells(np.compress, np.extract)
def compress(condition: Any, a: Any, axis: int | None = None) -> Any:
    """The entries along `axis` for which a condition (plain data) holds."""
    return take(a, np.flatnonzero(condition), axis)


@spells(np.resize)
def resize(a: Any, new_shape: Any) -> Any:
    """The entries in another shape, from the first again where they do not suffice."""
    n = int(np.prod(shape_of(a), dtype=int))
    shape = tuple(int(i) for i in np.atleast_1d(new_shape))
    return take(a, np.reshape(np.arange(int(np.prod(shape, dtype=int))) % max(n, 1), shape)) if n else np.zeros(shape)


@primitive(
    "roll", np.roll, multilinear=True,
    vjp=(lambda g, y, x, shift, axis=None: np.roll(g, np.negative(shift), axis),),
)  # fmt: skip
def roll(x: Any, shift: Any, axis: Any = None) -> Any:
    """Shift entries around the end of the axis."""
    return np.roll(x, shift, axis)


# -- triangles and diagonals ---------------------------------------------------------------------------------------
@primitive("tril", np.tril, multilinear=True, vjp=(lambda g, y, m, k=0: np.tril(g, k),))
def tril(m: Any, k: int = 0) -> Any:
    """The entries on and below diagonal `k`, zeros above."""
    return np.tril(m, k)


@primitive("triu", np.triu, multilinear=True, vjp=(lambda g, y, m, k=0: np.triu(g, k),))
def triu(m: Any, k: int = 0) -> Any:
    """The entries on and above diagonal `k`, zeros below."""
    return np.triu(m, k)


@primitive(
    "diag", multilinear=True,
    vjp=(lambda g, y, v, k=0: np.diagonal(g, k),),
)  # fmt: skip
def _diag(v: Any, k: int = 0) -> Any:
    return np.diag(v, k)


@spells(np.diag)
def diag(v: Any, k: int = 0) -> Any:
    """The square matrix with the vector `v` on diagonal `k`, or the diagonal of a matrix.

    Raises `ShapeError` for other numbers of axes.
    """
    if len(shape_of(v)) not in (1, 2):
        raise ShapeError(f"diag: needs a vector or a matrix, but the shape is {shape_of(v)}")
    return _diag(v, k=k) if len(shape_of(v)) == 1 else np.diagonal(v, k)


@spells(np.diagonal)
def diagonal(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    """The diagonal of each matrix spanned by two axes, as the last axis of the result."""
    a = moveaxis(a, (axis1, axis2), (-2, -1))
    m, n = shape_of(a)[-2:]
    along = np.arange(max(min(m + min(offset, 0), n - max(offset, 0)), 0))
    return a[..., along - min(offset, 0), along + max(offset, 0)]


@spells(np.diagflat)
def diagflat(v: Any, k: int = 0) -> Any:
    """The square matrix with all entries of `v` on diagonal `k`."""
    return _diag(np.reshape(v, (-1,)), k=k)


# -- the methods numpy users expect --------------------------------------------------------------------------------
def _method_reshape(self: Tensor, *shape: Any, **options: Any) -> Any:
    return np.reshape(self, shape[0] if len(shape) == 1 else shape, **options)


def _method_transpose(self: Tensor, *axes: Any) -> Any:
    return transpose(self, None if not axes else axes[0] if len(axes) == 1 else axes)


Tensor.__getitem__ = getitem  # type: ignore[method-assign]
for _name, _method in {"reshape": _method_reshape, "transpose": _method_transpose}.items():
    setattr(Tensor, _name, _method)
