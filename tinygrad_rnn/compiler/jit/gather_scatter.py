"""Operations that only put entries elsewhere (parts, stacks, repetitions), as the text of loops for numba.

What an index means is asked of numpy, on an array without entries of its own: the strides of the view that it makes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from ..passes.loop_fusion import Group, squeezed, strides
from ..planning.plan import Instr, Ref
from .operation_forms import NotJittable

if TYPE_CHECKING:
    from .emit_jit import Writer

#: primitives that have a form here
MOVES = frozenset({"getitem", "scatter_add", "broadcast_to", "concatenate"})
#: entries before the first, and from one to the next along each axis
View = tuple[int, tuple[int, ...]]


def write(writer: Writer, instr: Instr) -> None:
    """The loops of one operation."""
    if instr.function.name == "scatter_add":
        writer.group(Group(squeezed(instr.out.shape), [Instr("fill", instr.out, (0.0,))]))
    for source, taken, given, shape in _moves(instr):
        start, goal = writer.fresh("o"), writer.fresh("o")
        writer.line(f"{start} = {writer.place(source)} + {taken[0]}")
        writer.line(f"{goal} = {writer.place(instr.out)} + {given[0]}")
        a, b = writer.number(source.buffer), writer.number(instr.out.buffer)
        with ExitStack() as loops:
            for n, step, stride in zip(shape, taken[1], given[1], strict=True):
                i = writer.fresh("i")
                loops.enter_context(writer.block(f"for {i} in range({n}):"))
                start, goal = f"{start} + {step} * {i}", f"{goal} + {stride} * {i}"
            writer.line(f"put(b{b}, {goal}, get(b{a}, {start}))")


def _moves(instr: Instr) -> Iterator[tuple[Ref, View, View, tuple[int, ...]]]:
    """From where to where, for each input."""
    refs, out, params, name = instr.refs, _model(instr.out), instr.params, instr.function.name
    if len(refs) < len(instr.ins) or any(ref.buffer.dtype != instr.out.buffer.dtype for ref in refs):
        raise NotJittable(f"{name} of numbers, or of different dtypes")
    if name == "concatenate":
        axis, at = params["axis"] % out.ndim, 0
        for ref in refs:
            end = at + ref.shape[axis]
            place = (*[slice(None)] * axis, slice(at, end))
            yield ref, _view(_model(ref)), _view(out, place), ref.shape
            at = end
        return
    (ref,) = refs
    model = _model(ref)
    if name == "broadcast_to":
        spread = np.broadcast_to(model, instr.out.shape)
        yield ref, (0, spread.strides), _view(out), instr.out.shape
    elif name == "getitem":
        yield ref, _view(model, _plain(params["index"])), _view(out), instr.out.shape
    else:
        yield ref, _view(model), _view(out, _plain(params["index"])), ref.shape


def _model(ref: Ref) -> np.ndarray:
    """An array with the shape of a reference, whose strides count entries."""
    return as_strided(np.empty(1, np.int8), ref.shape, strides(ref))


def _view(model: np.ndarray, index: Any = ()) -> View:
    part = model[index] if index != () else model
    if not isinstance(part, np.ndarray):
        part = model[(*index, None)][..., 0]
    addresses = [array.__array_interface__["data"][0] for array in (part, model)]
    return addresses[0] - addresses[1], part.strides


def _plain(index: Any) -> tuple[Any, ...]:
    """An index of numbers, slices and new axes; others pick entries one by one, which no strides describe."""
    parts = index if isinstance(index, tuple) else (index,)
    if not all(part is None or part is Ellipsis or isinstance(part, int | np.integer | slice) for part in parts):
        raise NotJittable("an index that is an array")
    return parts
