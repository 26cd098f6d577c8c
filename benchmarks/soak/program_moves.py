"""Functions that put entries into places: shapes, pieces, indices, padding, choices."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.soak import program_torch as other
from benchmarks.soak.program_draws import Draw, Nothing, Ref
from benchmarks.soak.program_table import Arguments, Function, own
from benchmarks.soak.program_torch import linear, moving


def _factors(d: Draw, size: int) -> tuple[int, ...]:
    """A shape of so many entries."""
    shape = []
    while size > 1 and len(shape) < 3:
        factor = d.rng.choice([f for f in range(1, size + 1) if size % f == 0])
        shape.append(factor)
        size //= factor
    return (*shape, size) if size != 1 or d.rng.random() < 0.3 else tuple(shape)


def _reshape(d: Draw) -> Arguments:
    x = d.any()
    shape = list(_factors(d, d.of(x).size))
    if shape and d.of(x).size and d.rng.random() < 0.4:
        shape[d.rng.randrange(len(shape))] = -1
    return (x, tuple(shape)), d.options(order=("C", "F", "A"))


def _transpose(d: Draw) -> Arguments:
    x = d.any()
    ndim = d.of(x).ndim
    axes = tuple(axis - ndim if d.rng.random() < 0.4 else axis for axis in d.rng.sample(range(ndim), ndim))
    return ((x,), {}) if d.rng.random() < 0.2 else ((x, axes), {})


def _two_axes(d: Draw, *more: Any) -> Arguments:
    x = d.array(1)
    return (x, d.axis(x, False, False), d.axis(x, False, False), *more), {}


def _on_axis(d: Draw, least: int = 1, none: bool = False, several: bool = False) -> Arguments:
    x = d.array(least)
    return (x, d.axis(x, none, several)), {}


def _inserted(d: Draw) -> Arguments:
    x = d.any(lambda v: v.ndim <= 3)
    ndim = d.of(x).ndim
    return (x, d.rng.choice((0, -1, d.rng.randint(-ndim - 1, ndim), (0, -1)))), {}


def _squeezed(d: Draw) -> Arguments:
    x = d.array(1)
    ones = [axis for axis, length in enumerate(d.of(x).shape) if length == 1]
    if not ones or d.rng.random() < 0.4:
        return (x,), {}
    axis = d.rng.choice(ones)
    return (x,), {"axis": d.rng.choice((axis, axis - d.of(x).ndim, (axis,)))}


def _broadcast(d: Draw) -> Arguments:
    x = d.any(lambda v: v.ndim <= 2)
    shape = [d.rng.choice((2, 3, 0)) if length == 1 and d.rng.random() < 0.7 else length for length in d.of(x).shape]
    return (x, (*([2] if d.rng.random() < 0.5 else []), *shape)), {}


def _tiled(d: Draw) -> Arguments:
    x = d.any(lambda v: v.ndim <= 3)
    return (x, d.rng.choice((2, (2, 1), (1, 3), (2, 1, 2), 1, 0, ()))), {}


def _repeated(d: Draw) -> Arguments:
    x = d.array(1, 3)
    axis = d.axis(x, several=False)
    length = d.of(x).size if axis is None else d.of(x).shape[axis]
    counts: Any = np.array([d.rng.choice((0, 1, 2)) for _ in range(length)], dtype=int)
    return (x, d.rng.choice((2, 1, 0, counts, counts))), {"axis": axis}


def _rolled(d: Draw) -> Arguments:
    x = d.array(1)
    axis = d.axis(x)
    shift = tuple(d.rng.choice((1, -1, 2)) for _ in axis) if isinstance(axis, tuple) else d.rng.choice((1, -2, 7, 0))
    return (x, shift), {"axis": axis}


def _turned(d: Draw) -> Arguments:
    x = d.array(2)
    axes = tuple(d.rng.sample(range(d.of(x).ndim), 2))
    return (x,), d.options(k=(0, 1, 2, 3, -1)) | ({"axes": axes} if d.rng.random() < 0.5 else {})


def _several(d: Draw, function: Callable[..., Any], **keywords: Any) -> Arguments:
    """A list that the function takes."""
    first = d.any()
    found = [first]
    for _ in range(d.rng.choice((1, 1, 2))):
        ref = d.any(lambda v: _takes(function, [*map(d.of, found), v], keywords))
        found.append(ref)
    return (found,), keywords


def _takes(function: Callable[..., Any], arrays: list[np.ndarray], keywords: dict[str, Any]) -> bool:
    try:
        return bool(np.ndim(function(arrays, **keywords)) <= 4)
    except (ValueError, IndexError):
        return False


def _joined(function: Callable[..., Any], *axes: Any) -> Callable[[Draw], Arguments]:
    def draw(d: Draw) -> Arguments:
        axis = d.rng.choice((*axes, "not said"))
        return _several(d, function, **({} if axis == "not said" else {"axis": axis}))

    return draw


def _block(d: Draw) -> Arguments:
    x = d.array(1, 2)
    y = d.like(x)
    return d.rng.choice((([x, y],), ([[x, y], [y, x]],))), {}


def _appended(d: Draw) -> Arguments:
    axis = d.rng.choice((None, 0, -1))
    first = d.array(1)

    def fits(value: np.ndarray) -> bool:
        return _takes(lambda both: np.append(*both, axis=axis), [d.of(first), value], {})

    return (first, d.any(fits)), {"axis": axis}


def _pieces(function: Callable[..., Any], *, axis: bool) -> Callable[[Draw], Arguments]:
    """Sections that the function can cut an array into."""

    def draw(d: Draw) -> Arguments:
        x = d.array(1)
        keywords = {"axis": d.axis(x, False, False)} if axis else {}
        parts = d.rng.choice((1, 2, 3, [1], [1, 2], (0, 1), [-1]))
        try:
            pieces = function(d.of(x), parts, **keywords)
        except (ValueError, IndexError):
            raise Nothing from None
        return (x, parts), keywords | {"[]": d.rng.randrange(len(pieces))}

    return draw


def _padded(d: Draw) -> Arguments:
    x = d.filled(1)
    ndim = d.of(x).ndim
    width = d.rng.choice((1, (1, 0), (0, 2), tuple((d.rng.choice((0, 1)), d.rng.choice((0, 2))) for _ in range(ndim))))
    mode = d.rng.choice(("constant", "constant", "edge", "reflect", "symmetric", "wrap", "mean", "linear_ramp", None))
    keywords = {} if mode is None else {"mode": mode}
    if mode == "constant" and d.rng.random() < 0.5:
        keywords["constant_values"] = d.rng.choice((0.0, 1.5, (2.0, -1.0)))
    if mode == "linear_ramp" and d.rng.random() < 0.5:
        keywords["end_values"] = 2.0
    return (x, width), keywords


def _extreme_padded(d: Draw) -> Arguments:
    return (d.filled(1), d.rng.choice((1, (0, 2)))), {"mode": d.rng.choice(("maximum", "minimum"))}


def _torch_extreme(x: Any, width: Any, mode: str) -> Any:
    """numpy pads axis by axis with the largest entry of a line."""
    before, after = width if isinstance(width, tuple) else (width, width)
    for axis in range(x.ndim):
        line = x.amax(axis, keepdim=True) if mode == "maximum" else x.amin(axis, keepdim=True)
        x = other._torch().cat([line] * before + [x] + [line] * after, dim=axis)
    return x


def _triangle(d: Draw) -> Arguments:
    return (d.array(2),), d.options(k=(0, 1, -1, 2))


def _diagonal(d: Draw) -> Arguments:
    return (d.array(1, 2),), d.options(k=(1, -1, 2))


def _diagonals(d: Draw) -> Arguments:
    x = d.array(2)
    return (x,), d.options(offset=(1, -1)) | ({"axis1": -1, "axis2": 0} if d.rng.random() < 0.4 else {})


def _taken(d: Draw) -> Arguments:
    x = d.filled(1)
    axis = d.axis(x, several=False)
    length = d.of(x).size if axis is None else d.of(x).shape[axis]
    mode = d.rng.choice(("raise", "wrap", "clip"))
    beyond = 0 if mode == "raise" else 3
    numbers = [d.rng.randrange(-length if mode == "raise" else -beyond, length + beyond) for _ in range(4)]
    indices: Any = d.rng.choice((np.array(numbers), np.array(numbers).reshape(2, 2), numbers[0], numbers[:2]))
    return (x, indices), {"axis": axis} | ({"mode": mode} if mode != "raise" else {})


def _taken_along(d: Draw) -> Arguments:
    x = d.filled(1)
    axis = d.axis(x, False, False)
    shape = list(d.of(x).shape)
    shape[axis] = 2
    numbers = [d.rng.randrange(d.of(x).shape[axis]) for _ in range(int(np.prod(shape)))]
    return (x, np.array(numbers, dtype=int).reshape(shape)), {"axis": axis}


def _chosen(d: Draw) -> Arguments:
    first, second = d.pair()
    shape = np.broadcast_shapes(*(d.of(p).shape if isinstance(p, Ref) else () for p in (first, second)))
    mask = np.array([d.rng.random() < 0.5 for _ in range(int(np.prod(shape)))], dtype=bool).reshape(shape)
    return (mask, first, second), {}


def _selected(d: Draw) -> Arguments:
    first = d.array(1)
    shape = d.of(first).shape
    masks = [np.array([d.rng.random() < 0.5 for _ in range(d.of(first).size)], dtype=bool).reshape(shape) for _ in "ab"]
    return (masks, [first, d.like(first)]), d.options(default=(0.5, 0))


def _clipped(d: Draw) -> Arguments:
    return (d.any(), *d.rng.choice(((-0.5, 0.7), (None, 0.4), (-0.3, None), (-1, 1)))), {}


def _torch_clip(x: Any, low: Any, high: Any) -> Any:
    return other._torch().clamp(x, low, high)


def _indexed(d: Draw) -> Arguments:
    x = d.any()
    return (x, d.index(d.of(x).shape)), {}


def _embedded(d: Draw) -> Arguments:
    weight = d.any(lambda v: v.ndim == 2 and v.size)
    return (weight, np.array([d.rng.randrange(len(d.of(weight))) for _ in range(3)])), {}


def _labelled(d: Draw) -> Arguments:
    x = d.filled(1)
    axis = d.rng.choice((-1, d.axis(x, False, False)))
    shape = list(d.of(x).shape)
    classes = shape.pop(axis)
    labels = np.array([d.rng.randrange(classes) for _ in range(int(np.prod(shape)))], dtype=int).reshape(shape)
    return (x, labels), {} if axis == -1 else {"axis": axis}


def _same(d: Draw) -> Arguments:
    x = d.any()
    return ([x, d.like(x)],), {}


def _added(values: Any) -> Any:
    return values[0] + values[1]


def _parts(name: str) -> Any:
    """A function with several results: one of them is taken."""
    function = own(name)

    def call(*args: Any, **keywords: Any) -> Any:
        number = keywords.pop("[]")
        return function(*args, **keywords)[number]

    return moving(call)


def _grids(d: Draw) -> Arguments:
    return (d.array(1, 1), d.array(1, 1)), {"[]": d.rng.randrange(2)} | d.options(indexing=("ij", "xy"))


def _broadcast_both(d: Draw) -> Arguments:
    first, second = d.pair()
    return (first, second), {"[]": d.rng.randrange(2)}


def moves() -> list[Function]:
    """The table; torch's side is by where numpy moves numbers."""
    table: dict[str, Callable[[Draw], Arguments]] = {
        "np.reshape": _reshape,
        ".reshape": _reshape,
        "np.transpose": _transpose,
        "np.swapaxes": _two_axes,
        "np.moveaxis": _two_axes,
        "np.rollaxis": lambda d: ((d.array(2), d.rng.choice((-1, 0, 1)), d.rng.choice((0, 1))), {}),
        "np.expand_dims": _inserted,
        "np.squeeze": _squeezed,
        ".squeeze": _squeezed,
        "np.broadcast_to": _broadcast,
        "np.tile": _tiled,
        "np.repeat": _repeated,
        ".repeat": _repeated,
        "np.roll": _rolled,
        "np.flip": lambda d: _on_axis(d, none=True, several=True),
        "np.flipud": lambda d: ((d.array(1),), {}),
        "np.fliplr": lambda d: ((d.array(2),), {}),
        "np.rot90": _turned,
        "np.ravel": lambda d: ((d.any(),), d.options(order=("C", "F"))),
        ".flatten": lambda d: ((d.any(),), {}),
        "np.concatenate": _joined(np.concatenate, 0, 1, -1, None),
        "np.stack": _joined(np.stack, 0, 1, -1),
        "np.hstack": lambda d: _several(d, np.hstack),
        "np.vstack": lambda d: _several(d, np.vstack),
        "np.dstack": lambda d: _several(d, np.dstack),
        "np.column_stack": lambda d: _several(d, np.column_stack),
        "np.append": _appended,
        "np.block": _block,
        "np.split": _pieces(np.split, axis=True),
        "np.array_split": _pieces(np.array_split, axis=True),
        "np.hsplit": _pieces(np.hsplit, axis=False),
        "np.vsplit": _pieces(np.vsplit, axis=False),
        "np.atleast_1d": lambda d: ((d.any(),), {}),
        "np.atleast_2d": lambda d: ((d.any(),), {}),
        "np.atleast_3d": lambda d: ((d.any(),), {}),
        "np.tril": _triangle,
        "np.triu": _triangle,
        "np.diag": _diagonal,
        "np.diagflat": _diagonal,
        "np.diagonal": _diagonals,
        "np.take": _taken,
        ".take": _taken,
        "np.take_along_axis": _taken_along,
        "np.where": _chosen,
        "tg.where": _chosen,
        "np.select": _selected,
        ".copy": lambda d: ((d.any(),), {}),
        ".mT": lambda d: ((d.array(2),), {}),
        ".ravel": lambda d: ((d.any(),), {}),
        ".swapaxes": _two_axes,
        ".diagonal": _diagonals,
        "np.matrix_transpose": lambda d: ((d.array(2),), {}),
        "np.permute_dims": _transpose,
        "np.concat": _joined(np.concatenate, 0, 1, -1),
        "np.copy": lambda d: ((d.any(),), {}),
        "np.meshgrid": _grids,
        "np.broadcast_arrays": _broadcast_both,
        "[]": _indexed,
        ".T": lambda d: ((d.any(),), {}),
    }
    special: dict[str, Callable[..., Any]] = {
        ".flatten": np.ravel,
        "[]": lambda x, index: x[index],
        ".T": lambda x: x.T,
        ".mT": lambda x: x.swapaxes(-1, -2),
        "tg.where": np.where,
    }
    with_parts = {"np.split", "np.array_split", "np.hsplit", "np.vsplit", "np.meshgrid", "np.broadcast_arrays"}
    made = []
    for name, draw in table.items():
        plain = name if name.startswith("np.") else f"np{name}"
        torch = _parts(name) if name in with_parts else moving(special[name] if name in special else own(plain))
        made.append(Function(name, draw, torch))
    return [
        *made,
        Function("[]", _indexed, moving(special["[]"])),
        Function("[]", _indexed, moving(special["[]"])),
        Function("np.pad", _padded, linear(np.pad)),
        Function("np.pad", _extreme_padded, _torch_extreme),
        Function("np.clip", _clipped, _torch_clip),
        Function(".clip", _clipped, _torch_clip),
        Function("tg.embedding", _embedded, lambda w, i: w[other._torch().from_numpy(i)]),
        Function("tg.cross_entropy", _labelled, other.cross_entropy),
        Function("tg.add_n", _same, _added),
    ]
