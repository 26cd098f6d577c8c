"""Run one cell over one sequence: reading the input step by step, padding, and keeping what was computed.

How several runs make a layer is said in `recurrent`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np

from ..core.choosing import cast, inside, ranged, unlike
from ..core.errors import DtypeError, GraphError, ShapeError
from ..core.functions import name
from ..core.graph import ancestors
from ..core.scope import Scope, current, entered, steps
from ..core.tensor import Tensor, next_id, plain, tensor
from .cell import Cell, States
from .dropout import Locked, leaf, replaced
from .given import as_data, in_graph, shape_given

Trace = dict[str, list[Tensor]]
#: (t, names of the states, new states, old states) -> the states that are carried on
Alter = Callable[[int, tuple[str, ...], States, States], States]


class Inputs:
    """A sequence, time first, read step by step: `inputs(t)` is the node x of step t = 1 .. T.

    Data are sliced outside of the graph and enter each step as a leaf; a Tensor that belongs to a graph is sliced in
    the graph. Raises `ShapeError` for anything but (T, B, size), or (B, T, size), or (T, size).
    """

    def __init__(self, x: Any, size: int, batch_first: bool, dtype: Any, owner: str) -> None:
        shape = shape_given(x, owner)
        if len(shape) not in (2, 3) or shape[-1] != size:
            wanted = f"(B, T, {size})" if batch_first else f"(T, B, {size})"
            raise ShapeError(f"{owner}: the input has shape {shape}, but has to be {wanted} or (T, {size})")
        self.time_axis = int(batch_first and len(shape) == 3)
        self.T, self.batch = shape[self.time_axis], shape[1 - self.time_axis] if len(shape) == 3 else None
        if not self.T:
            raise ShapeError(f"{owner}: the input has no time steps: its shape is {shape}")
        data = as_data(x, dtype, owner)
        self.x = data if isinstance(data, Tensor) else np.ascontiguousarray(np.moveaxis(data, self.time_axis, 0))
        self.seen: list[Tensor | None] = [None] * self.T

    def padding(self, lengths: Any, dtype: Any) -> Padding | None:
        """What is known of the ends of the sequences; what stands behind them is hidden from here on."""
        if lengths is None:
            return None
        found = Padding(lengths, self.T, self.batch, dtype)
        self._hide(found.here)
        return found

    def joined(self, outputs: list[Any], padding: Padding | None) -> Any:
        """What the steps put out, as one array in the input's order of axes: 0 where a sequence has ended."""
        output = np.stack(outputs, axis=self.time_axis)
        if padding is None:
            return output
        return output * (np.swapaxes(padding.on, 0, 1) if self.time_axis else padding.on)

    def _hide(self, here: Any) -> None:
        """Put 0 where a sequence has ended, whatever stood there (`here` is (T, B, 1))."""
        if isinstance(here, Tensor) and not isinstance(self.x, Tensor):
            self.x = tensor(np.moveaxis(self.x, 0, self.time_axis), requires_grad=False)
        if isinstance(self.x, Tensor):
            self.x = np.where(np.swapaxes(here, 0, 1) if self.time_axis else here, self.x, 0.0)
        else:
            self.x = np.where(here, self.x, 0.0)

    def __call__(self, t: int) -> Tensor:
        x = self.seen[t - 1]
        if x is None:  # the two directions of a layer read the same nodes
            if isinstance(self.x, Tensor):
                x = name("x", self.x[:, t - 1] if self.time_axis else self.x[t - 1])
            else:
                x = leaf("x", self.x[t - 1])
            self.seen[t - 1] = x
        return x


class Padding:
    """Sequences of different lengths in one batch: a state stays as it is where a sequence has ended, or, backwards,
    where it has not begun. Raises `ShapeError`, `DtypeError` or `GraphError` for lengths that do not fit.
    """

    def __init__(self, lengths: Any, T: int, batch: int | None, dtype: Any) -> None:
        found = np.asarray(plain(lengths))
        if batch is None:
            raise ShapeError("lengths are for a batch of sequences: a single one, (T, size), ends where it ends")
        if found.shape != (batch,):
            raise ShapeError(
                f"lengths has shape {found.shape}, but has to hold one number for each of the {batch} samples"
            )
        if batch and found.dtype.kind not in "iu":
            raise DtypeError(f"lengths are whole numbers, not {found.dtype}")
        if batch and (found.min() < 1 or found.max() > T):
            raise GraphError(f"lengths run from {found.min()} to {found.max()}, but have to be from 1 to T = {T}")
        numbers = ranged(lengths, low=1, high=T + 1) if in_graph(lengths) else found
        self.here = inside(numbers, steps=T)[:, :, None]
        self.on, self.off = cast(self.here, dtype=dtype), cast(unlike(self.here), dtype=dtype)

    def __call__(self, t: int, roles: tuple[str, ...], new: States, old: States) -> States:
        on, off = leaf("on", self.on[t - 1]), leaf("off", self.off[t - 1])
        return tuple(replaced(role, n, on * n + off * o) for role, n, o in zip(roles, new, old, strict=True))


def recording(trace: bool) -> AbstractContextManager[Scope]:
    """A trace is made of recorded nodes, also under `no_grad`."""
    return entered(Scope(current(), recording=True) if trace else current())


def run(
    cell: Cell,
    inputs: Callable[[int], Any],
    states: States,
    T: int,
    backwards: bool = False,
    locked: Locked | None = None,
    alter: Sequence[Alter] = (),
    trace: Trace | None = None,
) -> tuple[list[Any], States]:
    """The outputs over time, and the states after the last step taken. Steps are 1 .. T, as in the book."""
    outputs: list[Any] = [None] * T
    for t in steps(T, 0, -1) if backwards else steps(1, T + 1):
        began = 0 if trace is None else next_id()
        x = inputs(t)
        new = cell.stepped(cell.step(x, *states) if locked is None else locked.step(cell, x, states))
        for change in alter:
            new = change(t, cell.states, new, states)
        states = new
        outputs[t - 1] = cell.output(*new)
        if trace is not None:
            keep(trace, t, T, new, began)
    return outputs, states


def keep(trace: Trace, t: int, T: int, states: States, began: int) -> None:
    """Put down everything of this step that has a name: what the new states were computed from, since node `began`."""
    here = current()
    for node in ancestors([s for s in states if isinstance(s, Tensor)], stop=range(began)):
        if node.name and node.scope is here:
            trace.setdefault(node.name, [node] * T)[t - 1] = node
