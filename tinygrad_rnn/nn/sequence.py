"""Run one cell over one sequence: reading the input step by step, padding, and keeping what was computed.

How several runs make a layer is said in `recurrent`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np

from ..core.errors import GraphError, ShapeError
from ..core.graph import ancestors
from ..core.ops.identity import name
from ..core.scope import Scope, current, entered, steps
from ..core.tensor import Tensor, next_id, tensor
from .arguments import as_data, hidden, running, shape_given, truths
from .cell import Cell, States
from .dropout import Locked, leaf, replaced

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
        self.owner = owner
        self.time_axis = int(batch_first and len(shape) == 3)
        self.T, self.batch = shape[self.time_axis], shape[1 - self.time_axis] if len(shape) == 3 else None
        if not self.T:
            raise ShapeError(f"{owner}: the input has no time steps: its shape is {shape}")
        data = as_data(x, dtype, owner)
        self.x = data if isinstance(data, Tensor) else np.ascontiguousarray(np.moveaxis(data, self.time_axis, 0))
        self.seen: list[Tensor | None] = [None] * self.T

    def padding(self, lengths: Any, mask: Any = None) -> Padding | None:
        """What is known of the ends of the sequences, or of each step; what does not count is hidden from here on.

        Raises `GraphError` for lengths and a mask at once, `ShapeError` for lengths of a single sequence.
        """
        if lengths is None and mask is None:
            return None
        rows = () if self.batch is None else (self.batch,)
        if lengths is None:
            shape = (*rows, self.T) if self.time_axis else (self.T, *rows)
            here = truths(mask, shape, self.owner)
            here = np.swapaxes(here, 0, 1) if self.time_axis else here
        elif mask is not None:
            raise GraphError(f"{self.owner}: lengths or mask, not both: a mask says at each step what lengths say")
        elif not rows:
            raise ShapeError("lengths are for a batch of sequences: a single one, (T, size), ends where it ends")
        else:
            here = running(lengths, (self.T, *rows))
        found = Padding(np.expand_dims(here, -1))
        if isinstance(found.here, Tensor) and not isinstance(self.x, Tensor):
            self.x = tensor(np.moveaxis(self.x, 0, self.time_axis), requires_grad=False)
        self.x = hidden(self.x, self._as_input(found.here) if isinstance(self.x, Tensor) else found.here)
        return found

    def joined(self, outputs: list[Any], padding: Padding | None) -> Any:
        """What the steps put out, as one array in the input's order of axes: 0 where a sequence has ended."""
        output = np.stack(outputs, axis=self.time_axis)
        if padding is None:
            return output
        return hidden(output, self._as_input(padding.here))

    def _as_input(self, here: Any) -> Any:
        """Time first or batch first, as the input."""
        return np.swapaxes(here, 0, 1) if self.time_axis else here

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
    """Steps of a batch that are not part of every sequence: there its state stays as it is, forwards and backwards.

    `here` (T, B, 1), or (T, 1), says where a sequence runs.
    """

    def __init__(self, here: Any) -> None:
        self.here = here

    def __call__(self, t: int, roles: tuple[str, ...], new: States, old: States) -> States:
        on = leaf("on", self.here[t - 1])
        return tuple(replaced(role, n, np.where(on, n, o)) for role, n, o in zip(roles, new, old, strict=True))


def recording(trace: bool) -> AbstractContextManager[Scope]:
    """A trace is made of recorded nodes, also under `no_grad`."""
    return entered(Scope(current(), recording=True) if trace else current())


def run(
    cell: Cell, inputs: Callable[[int], Any], states: States, T: int, backwards: bool = False,
    locked: Locked | None = None, alter: Sequence[Alter] = (), trace: Trace | None = None,
) -> tuple[list[Any], States]:  # fmt: skip
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
