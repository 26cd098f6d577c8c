"""Depth in recurrent networks, in the two ways of document 004, section 2.8: states in layers, and a multilayer
perceptron in each of the three transformations, with or without connections around them.

Layers of equal cells stand in `recurrent` (`num_layers`); here layers may differ in kind and size.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from ..core.errors import GraphError, ShapeError
from ..core.ops.contractions import linear
from ..core.ops.elementwise import tanh
from ..core.ops.identity import name
from ..core.scope import scope
from .cell import Cell, States
from .linear import MLP, Linear
from .module import Module
from .recurrent import Recurrent, at_step, each
from .sequence import Inputs, Padding, Trace, recording


class Stack(Module):
    """Layers of states, each reading the one below at the same step; they may differ in kind and size.

    With `skips` every layer above the first also reads the input itself (its input_size has to count both). The layers
    are `Recurrent`s: RNN, LSTM, GRU and so on. `output, state = stack(x, hx=None, lengths=None, mask=None)`: a state is
    a list with the state of each layer, a trace has names as `l1.h`. Shapes are those of `Recurrent`, time first.
    Raises `ShapeError` where one layer does not fit on another. Raises `GraphError` for anything but recurrent layers,
    or none.

    >>> import numpy as np, tinygrad_rnn as tg
    >>> stack = tg.nn.Stack(tg.nn.RNN(3, 4), tg.nn.LSTM(4 + 3, 6), skips=True)
    >>> output, (h, (z, c)) = stack(np.ones((5, 2, 3)))
    >>> output.shape, h.shape, z.shape
    ((5, 2, 6), (1, 2, 4), (1, 2, 6))
    """

    def __init__(self, *layers: Recurrent, skips: bool = False) -> None:
        if not layers or not all(isinstance(layer, Recurrent) for layer in layers):
            found = ", ".join(type(layer).__name__ for layer in layers) or "none"
            raise GraphError(f"Stack: there have to be recurrent layers, at least one, not {found}")
        self.layers, self.skips = list(layers), skips
        for below, above in pairwise(layers):
            offered = below.output_size + (layers[0].input_size if skips else 0)
            if above.input_size != offered:
                raise ShapeError(
                    f"Stack: a layer takes inputs of size {above.input_size}, but is given {offered}: "
                    f"{below.output_size} by the layer below{' and the rest by the input' * skips}"
                )

    def forward(
        self, input: Any, hx: Sequence[Any] | None = None, lengths: Any = None, trace: bool = False, mask: Any = None
    ) -> tuple[Any, ...]:
        with recording(trace):
            inputs = self.layers[0].inputs(input)
            padding = inputs.padding(lengths, mask)
            outputs, ends, kept = self._run(inputs, self._starts(hx), padding, trace)
            output = inputs.joined(outputs, padding)
        return (output, ends, kept) if trace else (output, ends)

    def _run(
        self, inputs: Inputs, starts: list[Any], padding: Padding | None, trace: bool
    ) -> tuple[list[Any], list[Any], Trace]:
        read: Any = inputs
        outputs: list[Any] = []
        ends: list[Any] = []
        kept: Trace = {}
        for k, (layer, start) in enumerate(zip(self.layers, starts, strict=True)):
            mine: Trace | None = {} if trace else None
            with scope(f"l{k}"):
                if outputs:
                    read = at_step(self._beside(inputs, outputs) if self.skips else outputs)
                outputs, end = layer.over(read, inputs.T, inputs.batch, start, padding, mine)
            ends.append(end)
            kept |= {f"l{k}.{role}": nodes for role, nodes in (mine or {}).items()}
        return outputs, ends, kept

    def _starts(self, hx: Sequence[Any] | None) -> list[Any]:
        given = [None] * len(self.layers) if hx is None else list(hx)
        if len(given) != len(self.layers):
            raise ShapeError(f"Stack: hx has {len(given)} parts, but there are {len(self.layers)} layers")
        return given

    def _beside(self, inputs: Inputs, outputs: list[Any]) -> list[Any]:
        """What the layer below puts out, and the input beside it."""
        xs = [inputs(t) for t in range(1, inputs.T + 1)]
        return [np.concatenate([h, x], axis=-1) for h, x in each([outputs, xs])]


class DeepTransitionCell(Cell):
    """A perceptron from input to state, one from state to state (document 004, section 2.8, item 2):

        u = tanh(b_u + U_1 x[t]),  m = tanh(b_m + W_1 h[t-1]),  h[t] = tanh(b + W m + U u)

    `input_layers` and `state_layers` are the sizes of their hidden layers, any number of them (layer k has the biases
    b_u_k and b_m_k). With `skips` there is a connection around each, h[t] = tanh(... + W_s h[t-1] + U_s x[t]), which
    makes the path through time short again.

    >>> import numpy as np, tinygrad_rnn as tg
    >>> cell = tg.nn.DeepTransitionCell(3, 4, input_layers=(6,), state_layers=(7, 5), skips=True)
    >>> cell(np.ones((2, 3))).shape
    (2, 4)
    """

    def __init__(
        self, input_size: int, hidden_size: int, input_layers: Sequence[int], state_layers: Sequence[int],
        skips: bool = False, dtype: Any = np.float64,
    ) -> None:  # fmt: skip
        super().__init__(input_size, hidden_size, True, dtype)
        self.skips = skips
        self.of_input = MLP([input_size, *input_layers], final=True, symbols=("U", "b_u"), dtype=dtype)
        self.of_state = MLP([hidden_size, *state_layers], final=True, symbols=("W", "b_m"), dtype=dtype)
        self.W = self.weight("W", hidden_size, [hidden_size, *state_layers][-1])
        self.U = self.weight("U", hidden_size, [input_size, *input_layers][-1])
        self.b = self.offset("b")
        if skips:
            self.W_s = self.weight("W_s", hidden_size, hidden_size)
            self.U_s = self.weight("U_s", hidden_size, input_size)

    def step(self, x: Any, h: Any) -> States:
        u = name("u", self.of_input(x))
        m = name("m", self.of_state(h))
        a = linear(m, self.W) + linear(u, self.U) + self.b
        if self.skips:
            a = a + linear(h, self.W_s) + linear(x, self.U_s)
        h = name("h", tanh(a))
        return (h,)


class DeepOutput(Module):
    """A perceptron from state to output: q = tanh(b_q + V_1 h), o = c + V q, and with `skips` also V_s h."""

    def __init__(
        self, hidden_size: int, layers: Sequence[int], output_size: int, skips: bool = False, dtype: Any = np.float64
    ) -> None:
        self.of_output = MLP([hidden_size, *layers], final=True, symbols=("V", "b_q"), dtype=dtype)
        self.top = Linear([hidden_size, *layers][-1], output_size, dtype=dtype)
        self.around = Linear(hidden_size, output_size, bias=False, symbols=("V_s", ""), dtype=dtype) if skips else None

    def forward(self, h: Any) -> Any:
        q = name("q", self.of_output(h))
        o = self.top(q)
        return name("o", o if self.around is None else o + self.around(h))


class DeepRNN(Recurrent):
    """A recurrent network with a multilayer perceptron in each of its three transformations (document 004, section
    2.8), and with `skips` a connection around each of them.

    `input_layers`, `state_layers` and `output_layers` are the sizes of the hidden layers. output (T, B, output_size).

    >>> import numpy as np, tinygrad_rnn as tg
    >>> output, h = tg.nn.DeepRNN(3, 4, 5, input_layers=(6,), state_layers=(7,), output_layers=(2,))(np.ones((5, 2, 3)))
    >>> output.shape, h.shape
    ((5, 2, 5), (1, 2, 4))
    """

    def __init__(
        self, input_size: int, hidden_size: int, output_size: int, input_layers: Sequence[int] = (),
        state_layers: Sequence[int] = (), output_layers: Sequence[int] = (), skips: bool = False,
        batch_first: bool = False, dtype: Any = np.float64,
    ) -> None:  # fmt: skip
        super().__init__(
            lambda n: DeepTransitionCell(n, hidden_size, input_layers, state_layers, skips, dtype),
            input_size,
            batch_first=batch_first,
            readout=DeepOutput(hidden_size, output_layers, output_size, skips, dtype),
        )
