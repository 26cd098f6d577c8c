"""Recurrent networks over two-dimensional inputs, such as images: four directions instead of two (document 004, section
2.7, item 4).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.errors import ShapeError
from ..core.ops.contractions import linear
from ..core.ops.elementwise import tanh
from ..core.ops.identity import name
from ..core.scope import current, scope, step
from ..core.tensor import Tensor
from .arguments import as_data, given_states, shape_given
from .cell import Cell, States
from .dropout import leaf
from .module import Module
from .sequence import recording

#: for each direction where its neighbours stand: (rows, columns) away
DIRECTIONS = {1: (-1, -1), 2: (-1, 1), 3: (1, -1), 4: (1, 1)}


class GridCell(Cell):
    """One place of direction k: h_k = tanh(b_k + W_ik h_k[i∓1,j] + W_jk h_k[i,j∓1] + U_k x[i,j])."""

    def __init__(self, k: int, input_size: int, hidden_size: int, bias: bool = True, dtype: Any = np.float64) -> None:
        super().__init__(input_size, hidden_size, bias, dtype)
        self.k, self.states = k, (f"h_{k}",)
        self.W_i = self.weight(f"W_i{k}", hidden_size, hidden_size)
        self.W_j = self.weight(f"W_j{k}", hidden_size, hidden_size)
        self.U = self.weight(f"U_{k}", hidden_size, input_size)
        self.b = self.offset(f"b_{k}")

    def step(self, x: Any, above: Any, beside: Any) -> States:
        """`above` is the state of the neighbouring row, `beside` that of the neighbouring column."""
        a = linear(above, self.W_i) + linear(beside, self.W_j) + linear(x, self.U) + self.b
        return (name(f"h_{self.k}", tanh(a)),)


class RNN2d(Module):
    """A recurrent network that sweeps a grid from its four corners; every place then knows the whole grid.

    Direction 1 comes from the upper left, 2 from the upper right, 3 from the lower left, 4 from the lower right; beyond
    the borders states are 0. Steps are pairs from (1, 1) to (I, J).

    Shapes: x (I, J, B, input_size) or (I, J, input_size); output (I, J, B, 4 * hidden_size), the directions side by
    side; state (4, B, hidden_size), where each direction arrives. `hx` is what stands beyond the borders, zeros if
    nothing is given. `trace=True` also returns x, h_1, ..., h_4 of every place: trace["h_1"][i - 1][j - 1]. Raises
    `ShapeError` for shapes that do not fit. Raises `ShapeError` for an x of other axes.

    >>> import numpy as np, tinygrad_rnn as tg
    >>> output, corners = tg.nn.RNN2d(3, 4)(np.ones((5, 6, 2, 3)))
    >>> output.shape, corners.shape
    ((5, 6, 2, 16), (4, 2, 4))
    """

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True, dtype: Any = np.float64) -> None:
        self.input_size, self.hidden_size, self.dtype = input_size, hidden_size, np.dtype(dtype)
        self.cells = [GridCell(k, input_size, hidden_size, bias, dtype) for k in DIRECTIONS]

    def forward(self, input: Any, hx: Any = None, trace: bool = False) -> tuple[Any, ...]:
        shape = shape_given(input, "RNN2d")
        if len(shape) not in (3, 4) or shape[-1] != self.input_size or not shape[0] * shape[1]:
            raise ShapeError(
                f"RNN2d: the input has shape {shape}, but has to be (I, J, B, {self.input_size}) "
                f"or (I, J, {self.input_size}), with at least one place"
            )
        rows = shape[2:-1]
        state = None
        if hx is not None:
            (state,) = given_states((hx,), ("h",), [(4, *rows, self.hidden_size)], self.dtype, "RNN2d")
        with recording(trace), scope("rnn2d"):
            xs = self._places(as_data(input, self.dtype, "RNN2d"), shape[0], shape[1])
            swept = [
                self._sweep(cell, xs, shape[0], shape[1], self._border(k, state, rows))
                for k, cell in enumerate(self.cells)
            ]
            output = [[self._joined(swept, i, j) for j in range(1, shape[1] + 1)] for i in range(1, shape[0] + 1)]
            corners = [h[_last(cell.k, shape[0], shape[1])] for cell, h in zip(self.cells, swept, strict=True)]
            found = np.stack([np.stack(row) for row in output]), np.stack(corners)
        if not trace:
            return found
        named = {"x": xs} | {cell.states[0]: h for cell, h in zip(self.cells, swept, strict=True)}
        return *found, {role: _rows(nodes, shape[0], shape[1]) for role, nodes in named.items()}

    def _places(self, data: Any, height: int, width: int) -> dict[tuple[int, int], Any]:
        found: dict[tuple[int, int], Any] = {}
        for i in range(1, height + 1):
            for j in range(1, width + 1):
                with step((i, j)):
                    here = data[i - 1, j - 1]
                    found[i, j] = name("x", here) if isinstance(here, Tensor) else leaf("x", here)
        return found

    def _border(self, k: int, state: Any, rows: tuple[int, ...]) -> Any:
        if state is None:
            return Tensor(np.zeros((*rows, self.hidden_size), self.dtype), None, (), None, None, current(), False)
        return state[k]

    def _sweep(self, cell: GridCell, xs: Any, height: int, width: int, border: Any) -> dict[tuple[int, int], Any]:
        """The states of one direction, from its corner on."""
        di, dj = DIRECTIONS[cell.k]
        h: dict[tuple[int, int], Any] = {}
        for i in range(1, height + 1)[::-di]:
            for j in range(1, width + 1)[::-dj]:
                with step((i, j)):
                    (h[i, j],) = cell.step(xs[i, j], h.get((i + di, j), border), h.get((i, j + dj), border))
        return h

    def _joined(self, swept: list[dict[tuple[int, int], Any]], i: int, j: int) -> Any:
        with step((i, j)):
            return np.concatenate([h[i, j] for h in swept], axis=-1)


def _rows(nodes: dict[tuple[int, int], Any], height: int, width: int) -> list[list[Any]]:
    """What stands at each place, row by row."""
    return [[nodes[i, j] for j in range(1, width + 1)] for i in range(1, height + 1)]


def _last(k: int, height: int, width: int) -> tuple[int, int]:
    """Where direction k arrives."""
    di, dj = DIRECTIONS[k]
    return (height if di < 0 else 1), (width if dj < 0 else 1)
