"""Any cell as a layer: several of them on top of each other, both directions, padding, dropout, traces.

What happens within a step is said in the modules of the cells, what happens along one sequence in `sequence`; RNN, LSTM
and GRU, as torch has them, stand in `layers`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any
from warnings import warn

import numpy as np

from ..core.errors import GraphError
from ..core.ops.identity import name
from ..core.scope import Scope, current, entered, scope, step, steps
from ..core.tensor import Tensor
from .arguments import given_states, whole
from .cell import Cell, States
from .dropout import Locked, Zoneout, leaf, mask, probability
from .module import Module
from .sequence import Alter, Inputs, Padding, Trace, recording, run


class Recurrent(Module):
    """Any cell as a layer: `output, state = layer(x)`; `cell(n)` makes a cell for inputs of size n.

    Arguments as in torch: input (T, B, input_size), or (B, T, input_size) with `batch_first`, or (T, input_size) for a
    single sequence; hx holds the states to begin from, zeros if not given. output (T, B, D * n) holds the first state
    of every step of the last layer, D = 2 if `bidirectional`, else 1. A state is (num_layers * D, B, n); cells with
    several states take and return a tuple.

    `readout` is applied to the output of each step, within the step. `dropout` acts between layers;
    `variational_dropout` with one mask per sequence on what each cell's weights see; `zoneout` is a probability for
    every state, or one for each. `lengths` (B,) says where each sequence ends: outputs beyond are 0, states are those
    of the last step, or where they began if there is none, and backwards each sequence begins at its own end. `mask`
    says it step by step, 1 where a sequence runs: (T, B), or as the input without its last axis; padding may then stand
    in front. What stands in the padding is not read. `trace=True` also returns every named quantity as a list over
    time, by name; by `l0_reverse.name` where there are several cells.

    Raises `ShapeError` for shapes that do not fit, `DtypeError` for anything but numbers, `GraphError` for options that
    make no sense.

    >>> import numpy as np, tinygrad_rnn as tg
    >>> layer = tg.nn.Recurrent(lambda n: tg.nn.LSTMCell(n, 4), 3, bidirectional=True)
    >>> output, (h, c) = layer(np.ones((5, 2, 3)))
    >>> output.shape, h.shape
    ((5, 2, 8), (2, 2, 4))
    """

    def __init__(
        self, cell: Callable[[int], Cell], input_size: int, num_layers: int = 1, batch_first: bool = False,
        dropout: float = 0.0, bidirectional: bool = False, variational_dropout: float = 0.0,
        zoneout: float | tuple[float, ...] = 0.0, readout: Callable[[Any], Any] | None = None,
        label: str | None = None,
    ) -> None:  # fmt: skip
        kind = type(self).__name__
        if isinstance(cell, Cell | type):
            raise GraphError(
                f"{kind}: cell has to be a function that makes a cell for inputs of size n, "
                "as in Recurrent(lambda n: RNNCell(n, 4), 3), because every layer needs its own"
            )
        num_layers = whole(kind, "num_layers", num_layers)
        self.label, self.readout = label or kind.lower(), readout
        self.input_size, self.num_layers = input_size, num_layers
        self.batch_first, self.bidirectional = batch_first, bidirectional
        self.dropout = probability(kind, "dropout", dropout)
        if self.dropout and num_layers == 1:
            warn(
                f"{kind}: dropout={dropout} acts between layers, and there is only one",
                stacklevel=2 if type(self) is Recurrent else 4,
            )
        self.variational_dropout = probability(kind, "variational_dropout", variational_dropout)
        self.cells: list[Cell] = []
        directions = 1 + bidirectional
        several = num_layers * directions > 1
        self.labels = [
            f"l{layer}{'_reverse' * back}" if several else ""
            for layer in range(num_layers)
            for back in range(directions)
        ]
        for i, place in enumerate(self.labels):
            with entered(Scope(current(), label=place)) if place else entered(current()):
                self.cells.append(cell(input_size if i < directions else directions * self.cells[0].output_size))
        roles = self.cells[0].states
        chances = tuple(zoneout) if isinstance(zoneout, tuple | list) else (zoneout,) * len(roles)
        if len(chances) != len(roles):
            raise GraphError(f"{kind}: zoneout has {len(chances)} numbers, but the states are {', '.join(roles)}")
        self.zoneout = tuple(probability(kind, "zoneout", p) for p in chances)

    # -- forward ----------------------------------------------------------------------------------------------------
    def forward(self, input: Any, hx: Any = None, lengths: Any = None, trace: bool = False, mask: Any = None) -> Any:
        with recording(trace):
            inputs = self.inputs(input)
            padding = inputs.padding(lengths, mask)
            kept: Trace | None = {} if trace else None
            outputs, last = self.over(inputs, inputs.T, inputs.batch, hx, padding, kept)
            output = inputs.joined(outputs, padding)
        return (output, last, kept) if trace else (output, last)

    def over(
        self, inputs: Callable[[int], Any], T: int, batch: int | None, hx: Any = None, padding: Padding | None = None,
        trace: Trace | None = None,
    ) -> tuple[list[Any], Any]:  # fmt: skip
        """As `forward`, on the nodes `inputs(t)`: the outputs as a list of nodes over time, and the last states."""
        with scope(self.label):
            outputs, ends = self._layers(inputs, self._starts(hx, batch, T), T, padding, trace)
            if self.readout is not None:
                outputs = [self.readout(h) for (h,) in each([outputs])]
            last = tuple(np.stack(parts) for parts in zip(*ends, strict=True))
        return outputs, last if len(last) > 1 else last[0]

    def _layers(
        self, inputs: Any, starts: list[States], T: int, padding: Padding | None, kept: Trace | None
    ) -> tuple[list[Any], list[States]]:
        ends: list[States] = []
        directions = 1 + self.bidirectional
        outputs: list[Any] = []
        for layer in range(self.num_layers):
            if layer:
                inputs = at_step(self._dropped(outputs))
            found = []
            for back in range(directions):
                k = layer * directions + back
                out, end = self._run(k, inputs, starts[k], T, bool(back), padding, kept)
                found.append(out)
                ends.append(end)
            outputs = found[0] if len(found) == 1 else [np.concatenate(pair, axis=-1) for pair in each(found)]
        return outputs, ends

    def _run(
        self, k: int, inputs: Any, start: States, T: int, back: bool, padding: Padding | None, kept: Trace | None
    ) -> tuple[list[Any], States]:
        """One cell over the sequence, in the scope of its place where there are several."""
        cell, place = self.cells[k], self.labels[k]
        alter: list[Alter] = []
        if any(self.zoneout):
            alter.append(Zoneout(self.zoneout, self.training))
        if padding is not None:
            alter.append(padding)
        locked = None
        if self.training and self.variational_dropout:
            locked = Locked(self.variational_dropout, start[0].value, (cell.input_size, cell.output_size))
        mine: Trace | None = None if kept is None else {}
        with scope(place) if place else entered(current()):
            outputs, end = run(cell, inputs, start, T, back, locked, alter, mine)
        if kept is not None and mine is not None:
            kept.update({f"{place}.{role}" if place else role: nodes for role, nodes in mine.items()})
        return outputs, end

    def _dropped(self, outputs: list[Any]) -> list[Any]:
        """What the next layer sees of this one's outputs."""
        if not self.dropout or not self.training:
            return outputs
        return [h * leaf("dropout", mask(h.shape, self.dropout, h.dtype)) for (h,) in each([outputs])]

    # -- what comes in ----------------------------------------------------------------------------------------------
    @property
    def output_size(self) -> int:
        """How long the last layer's output is, both directions together; a readout may change it."""
        return self.cells[-1].output_size * (1 + self.bidirectional)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of the weights."""
        return self.cells[0].dtype

    def inputs(self, x: Any) -> Inputs:
        """The input as nodes of its steps; raises `ShapeError` where its shape does not fit."""
        return Inputs(x, self.input_size, self.batch_first, self.dtype, type(self).__name__)

    def _starts(self, hx: Any, batch: int | None, T: int) -> list[States]:
        """The first states of every cell, as nodes of the step before the first."""
        found: list[States] = []
        roles = self.cells[0].states
        given = None if hx is None else self._given(hx, batch)
        for k, cell in enumerate(self.cells):
            back = self.bidirectional and k % 2 == 1
            with scope(self.labels[k]) if self.labels[k] else entered(current()), step(T + 1 if back else 0):
                if given is None:
                    found.append(cell.initial(batch))
                else:
                    found.append(tuple(_start(role, part, k) for role, part in zip(roles, given, strict=True)))
        return found

    def _given(self, hx: Any, batch: int | None) -> States:
        """The states of all cells, (num_layers * directions, batch, size) each."""
        rows = () if batch is None else (batch,)
        cell = self.cells[0]
        return given_states(
            hx, cell.states, [(len(self.cells), *rows, size) for size in cell.sizes], self.dtype, type(self).__name__
        )


def _start(role: str, part: Any, k: int) -> Tensor:
    return name(role, part[k]) if isinstance(part, Tensor) else leaf(role, part[k])


def at_step(outputs: list[Any]) -> Callable[[int], Any]:
    """What is read at step t = 1 .. T."""
    return lambda t: outputs[t - 1]


def each(found: Sequence[list[Any]]) -> Iterator[tuple[Any, ...]]:
    """What several runs put out, step by step, while its step lasts."""
    for t in steps(1, len(found[0]) + 1):
        yield tuple(outputs[t - 1] for outputs in found)
