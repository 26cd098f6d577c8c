"""The table of operations that move, pick or repeat entries and never compute with them."""

from __future__ import annotations

from typing import Any

import numpy as np

from .choosing import HOLE, pick, with_hole
from .primitives import primitive, shape_of, spells
from .tensor import Tensor, plain


@primitive("reshape", np.reshape, multilinear=True, vjp=(lambda g, y, x, shape: np.reshape(g, shape_of(x)),))
def reshape(x: Any, shape: Any) -> Any:
    """The same entries in another shape (row-major)."""
    return np.reshape(x, shape)


def _transpose_vjp(g: Any, y: Any, x: Any, axes: Any = None) -> Any:
    return np.transpose(g) if axes is None else np.transpose(g, tuple(int(i) for i in np.argsort(axes)))


@primitive("transpose", np.transpose, multilinear=True, label="ᵀ", latex=r"{0}^\top", vjp=(_transpose_vjp,))
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
    "getitem", multilinear=True, label="[ ]", latex="{0}_{{[\\,]}}", add_into=_add_at,
    vjp=(lambda g, y, x, index: scatter_add(g, index=index, shape=shape_of(x)),),
)  # fmt: skip
def _getitem(x: Any, index: Any) -> Any:
    return x[index]


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


@primitive(
    "concatenate",
    np.concatenate,
    inputs=None,
    multilinear=True,
    label="[;]",
    latex=r"\left[{0}; {1}\right]",
    vjp=_pieces,
)
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


@spells(np.split)
def split(x: Any, indices_or_sections: Any, axis: int = 0) -> list[Any]:
    """Cut into equal sections, or at the given positions, along `axis`."""
    positions = np.split(np.arange(shape_of(x)[axis]), indices_or_sections)
    before = (slice(None),) * (axis % len(shape_of(x)))
    return [x[(*before, slice(int(p[0]), int(p[-1]) + 1) if len(p) else slice(0, 0))] for p in positions]


@spells(np.vstack)
def vstack(xs: Any) -> Any:
    """Join rows."""
    return np.concatenate([x if len(shape_of(x)) > 1 else np.reshape(x, (1, -1)) for x in xs])


@spells(np.hstack)
def hstack(xs: Any) -> Any:
    """Join columns (entries, for vectors)."""
    return np.concatenate(list(xs), axis=0 if len(shape_of(xs[0])) == 1 else 1)


# -- axes ----------------------------------------------------------------------------------------------------------
@spells(np.ravel)
def ravel(x: Any) -> Any:
    """All entries in one axis."""
    return np.reshape(x, (-1,))


@spells(np.swapaxes)
def swapaxes(x: Any, axis1: int, axis2: int) -> Any:
    """Exchange two axes."""
    axes = list(range(len(shape_of(x))))
    axes[axis1], axes[axis2] = axes[axis2], axes[axis1]
    return np.transpose(x, tuple(axes))


@spells(np.moveaxis)
def moveaxis(x: Any, source: Any, destination: Any) -> Any:
    """Move axes to new positions."""
    rank = len(shape_of(x))
    sources = [int(i) % rank for i in np.atleast_1d(source)]
    targets = [int(i) % rank for i in np.atleast_1d(destination)]
    axes = [i for i in range(rank) if i not in sources]
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


@spells(np.atleast_1d)
def atleast_1d(x: Any) -> Any:
    """A scalar as a vector of length 1."""
    return x if shape_of(x) else np.reshape(x, (1,))


@spells(np.copy)
def copy(x: Any) -> Any:
    """The same tensor: its value never changes, so nobody can write into the other one."""
    return x


# -- repeating and reordering, as picks ----------------------------------------------------------------------------
@spells(np.take)
def take(x: Any, indices: Any, axis: int | None = None) -> Any:
    """Entries at `indices` along `axis` (of the flattened input if None); repeats add up in the gradient."""
    if axis is None:
        x, axis = np.reshape(x, (-1,)), 0
    before = (slice(None),) * (axis % len(shape_of(x)))
    if isinstance(indices, Tensor):
        return pick(x, indices, index=(*before, HOLE))
    return x[(*before, np.asarray(plain(indices)))]


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
    length = shape_of(x)[axis] if axis is not None else int(np.prod(shape_of(x)))
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
    rank = len(shape_of(x))
    axes = range(rank) if axis is None else [int(i) % rank for i in np.atleast_1d(axis)]
    return x[tuple(slice(None, None, -1) if i in axes else slice(None) for i in range(rank))]


@primitive(
    "roll", np.roll, multilinear=True,
    vjp=(lambda g, y, x, shift, axis=None: np.roll(g, np.negative(shift), axis),),
)  # fmt: skip
def roll(x: Any, shift: Any, axis: Any = None) -> Any:
    """Shift entries around the end of the axis."""
    return np.roll(x, shift, axis)


def _pad_vjp(g: Any, y: Any, x: Any, pad_width: Any, mode: str = "constant", constant_values: Any = 0) -> Any:
    widths = np.broadcast_to(pad_width, (len(shape_of(x)), 2))
    return g[tuple(slice(int(before), int(before) + n) for (before, _), n in zip(widths, shape_of(x), strict=True))]


@primitive("pad", vjp=(_pad_vjp,))
def _pad_constant(x: Any, pad_width: Any, mode: str = "constant", constant_values: Any = 0) -> Any:
    return np.pad(x, pad_width, mode="constant", constant_values=constant_values)


@spells(np.pad)
def pad(x: Any, pad_width: Any, mode: str = "constant", **options: Any) -> Any:
    """Add entries around: constant ones, or copies of entries (`edge`, `reflect`, `symmetric`, `wrap`)."""
    if mode == "constant":
        return _pad_constant(x, pad_width=pad_width, **options)
    positions = np.pad(np.arange(int(np.prod(shape_of(x)))).reshape(shape_of(x)), pad_width, mode=mode, **options)  # type: ignore[call-overload]
    return take(x, positions)


@spells(np.sort)
def sort(x: Any, axis: int | None = -1) -> Any:
    """Entries in ascending order along `axis`; the cotangent goes back to where each entry came from."""
    if axis is None:
        x, axis = np.reshape(x, (-1,)), -1
    values = np.asarray(plain(x))
    grids = list(np.ogrid[tuple(slice(n) for n in values.shape)])
    grids[axis] = np.argsort(np.real(values), axis=axis, kind="stable")
    return x[tuple(grids)]


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
    "diag", multilinear=True, latex=r"\operatorname{{diag}}\left({0}\right)",
    vjp=(lambda g, y, v, k=0: np.diagonal(g, k),),
)  # fmt: skip
def _diag(v: Any, k: int = 0) -> Any:
    return np.diag(v, k)


@spells(np.diag)
def diag(v: Any, k: int = 0) -> Any:
    """The square matrix with the vector `v` on diagonal `k`, or the diagonal of a matrix."""
    return _diag(v, k=k) if len(shape_of(v)) == 1 else np.diagonal(v, k)


@spells(np.diagonal)
def diagonal(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    """The diagonal of each matrix spanned by two axes, as the last axis of the result."""
    a = moveaxis(a, (axis1, axis2), (-2, -1))
    rows, columns = np.nonzero(np.eye(shape_of(a)[-2], shape_of(a)[-1], k=offset))
    return a[..., rows, columns]


# -- the methods numpy users expect --------------------------------------------------------------------------------
def _method_reshape(self: Tensor, *shape: Any) -> Any:
    return reshape(self, shape[0] if len(shape) == 1 else shape)


def _method_transpose(self: Tensor, *axes: Any) -> Any:
    return transpose(self, None if not axes else axes[0] if len(axes) == 1 else axes)


for _name, _method in {
    "__getitem__": getitem,
    "reshape": _method_reshape, "transpose": _method_transpose, "ravel": ravel, "flatten": ravel, "squeeze": squeeze,
    "swapaxes": swapaxes, "repeat": repeat, "take": take, "diagonal": diagonal, "copy": copy,
}.items():  # fmt: skip
    setattr(Tensor, _name, _method)
