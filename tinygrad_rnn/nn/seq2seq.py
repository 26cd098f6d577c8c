"""Encoder and decoder: one network reads a sequence, another writes a sequence of any other length.

Here stand the book's pair of plain recurrent networks and the same with any cells. Scoring, drawing and the reading of
own labels are those of `generative.Autoregressive`; a decoder that looks back at the source stands in `attention`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.errors import GraphError, ShapeError
from ..core.ops.contractions import linear
from ..core.ops.identity import name
from ..core.scope import scope, step, steps
from ..core.tensor import Tensor, plain
from .arguments import given_sequence, given_state, running
from .cell import Cell, Sized
from .dropout import leaf
from .generative import Autoregressive

CONTEXTS = ("input", "initial", "both")


class Encoder(Sized):
    """h[s] = tanh(b + W h[s-1] + U x[s]) for s = 1, ..., S: the reader of a sequence (document 004, section 4.1).

    x (S, D) or (S, B, D). Returns all h[s]; the last of each sequence is the context C. With `lengths` (B,), a sequence
    keeps the state it had at its own end, whatever stands behind in x.
    """

    def __init__(self, input_size: int, hidden_size: int, dtype: Any = np.float64) -> None:
        self.input_size, self.hidden_size, self.dtype = input_size, hidden_size, np.dtype(dtype)
        self.W = self.weight("W", hidden_size, hidden_size)
        self.U = self.weight("U", hidden_size, input_size)
        self.b = self.weight("b", hidden_size)

    def forward(self, x: Any, rows: tuple[int, ...], lengths: Any = None, state: Any = None) -> list[Tensor]:
        with scope("encoder"):
            here = None if lengths is None else running(lengths, (len(plain(x)), *rows), "x_lengths")
            read = given_sequence(x, (*rows, self.input_size), "Encoder", self.dtype, here)
            h: Any = given_state("h", state, (*rows, self.hidden_size), "Encoder", self.dtype)
            states = []
            for s in steps(1, len(plain(x)) + 1):
                new = np.tanh(self.b + linear(h, self.W) + linear(read(s), self.U))
                h = name("h", new if here is None else held(new, h, here[s - 1]))
                states.append(h)
        return states


def held(new: Any, old: Any, here: Any) -> Any:
    """The new state where a sequence still runs, the old one behind its end."""
    return np.where(leaf("m", here[..., None]), new, old)


class EncoderDecoder(Autoregressive):
    """A plain recurrent network reads x, another one writes y (document 004, section 4.1; document 000's figure).

    h[s] = tanh(b + W h[s-1] + U x[s]),                      C = h[S]
    g[t] = tanh(b_g + W_g g[t-1] + U_g y[t-1] + R C),        g[0] = 0      context="input"
    g[t] = tanh(b_g + W_g g[t-1] + U_g y[t-1]),              g[0] = C      context="initial"
    g[t] = tanh(b_g + W_g g[t-1] + U_g y[t-1] + R C),        g[0] = C      context="both"
    o[t] = c + V g[t]

    x (S, B, D) with `x_lengths` (B,), labels y (T, B); without B for one pair. h[0] is 0, or given as `x_state`; so is
    g[0] by `state`, unless it is C. The two states may differ in size
    (`decoder_size`) unless C is the initial state. Raises `GraphError`, `ShapeError` for options that do not fit.

    >>> import numpy as np, tinygrad_rnn as tg
    >>> model = tg.nn.EncoderDecoder(3, 4, output_size=5, decoder_size=6)
    >>> x, y = np.ones((7, 2, 3)), np.array([[1, 2], [0, 4]])
    >>> model(y, x).shape, model.greedy(4, x, batch=2).shape
    ((2, 2, 5), (4, 2))
    """

    label = "decoder"

    def __init__(
        self, input_size: int, hidden_size: int, output_size: int, decoder_size: int | None = None,
        context: str = "input", start: int = 0, dtype: Any = np.float64,
    ) -> None:  # fmt: skip
        if context not in CONTEXTS:
            raise GraphError(f"{type(self).__name__}: context is 'input', 'initial' or 'both', not {context!r}")
        G = hidden_size if decoder_size is None else decoder_size
        if context != "input" and hidden_size != G:
            raise ShapeError(
                f"{type(self).__name__}: as initial state the context needs one size, not {hidden_size} and {G}"
            )
        self.context, self.output_size, self.start, self.dtype = context, output_size, start, np.dtype(dtype)
        self.hidden_size = G
        self.encoder = Encoder(input_size, hidden_size, dtype)
        self.W_g = self.weight("W_g", G, G)
        self.U_g = self.weight("U_g", G, output_size)
        self.b_g = self.weight("b_g", G)
        if context != "initial":
            self.R = self.weight("R", G, hidden_size)
        self.V = self.weight("V", output_size, G)
        self.c = self.weight("c", output_size)

    def begin(
        self, x: Any, rows: tuple[int, ...], x_lengths: Any = None, x_state: Any = None, state: Any = None
    ) -> tuple[Any, Any]:
        C = name("C", self.encoder(x, rows, x_lengths, x_state)[-1])
        g = self.initial(state if self.context == "input" else C, rows)
        return None if self.context == "initial" else linear(C, self.R), g

    def initial(self, state: Any, rows: tuple[int, ...]) -> Tensor:
        """g[0]: what is given, else zeros."""
        return given_state("g", state, (*rows, self.hidden_size), type(self).__name__, self.dtype)

    def step(self, RC: Any, g: Any, y: Tensor, t: int) -> Any:
        a = self.b_g + linear(g, self.W_g) + linear(y, self.U_g)
        return name("g", np.tanh(a if RC is None else a + RC))

    def readout(self, g: Any) -> Tensor:
        return name("o", self.c + linear(g, self.V))


class Seq2Seq(Autoregressive):
    """`EncoderDecoder` with any cells, such as two LSTMs; C is all of the encoder's last states as initial states, or
    its output beside the label at each step, or both.

    `decoder` reads output_size entries, and the encoder's output_size more if the context is an input. Raises
    `ShapeError` where cells do not fit together. Raises `GraphError` for another `context`.

    >>> import numpy as np, tinygrad_rnn as tg
    >>> nn = tg.nn
    >>> model = nn.Seq2Seq(nn.LSTMCell(3, 8), nn.LSTMCell(5, 8), output_size=5, context="initial")
    >>> model.log_likelihood(np.array([[1, 2], [0, 4]]), np.ones((7, 2, 3)), x_lengths=[7, 3]).shape
    (2,)
    """

    label = "decoder"

    def __init__(
        self, encoder: Cell, decoder: Cell, output_size: int, context: str = "initial", start: int = 0
    ) -> None:
        if context not in CONTEXTS:
            raise GraphError(f"Seq2Seq: context is 'input', 'initial' or 'both', not {context!r}")
        wanted = output_size + (encoder.output_size if context != "initial" else 0)
        if decoder.input_size != wanted:
            raise ShapeError(f"Seq2Seq: the decoder reads {decoder.input_size} entries, but is given {wanted}")
        if context != "input" and encoder.sizes != decoder.sizes:
            raise ShapeError(
                f"Seq2Seq: as initial states the context needs equal sizes, not {encoder.sizes} and {decoder.sizes}"
            )
        self.encoder, self.decoder, self.context = encoder, decoder, context
        self.output_size, self.start, self.hidden_size, self.dtype = (
            output_size,
            start,
            decoder.output_size,
            decoder.dtype,
        )
        self.V = decoder.weight("V", output_size, self.hidden_size)
        self.c = decoder.weight("c", output_size)

    def encode(self, x: Any, rows: tuple[int, ...], lengths: Any = None) -> tuple[Any, ...]:
        """The states of the encoder behind the end of each sequence."""
        with scope("encoder"):
            here = None if lengths is None else running(lengths, (len(plain(x)), *rows), "x_lengths")
            read = given_sequence(x, (*rows, self.encoder.input_size), "Seq2Seq", self.dtype, here)
            with step(0):
                states = self.encoder.initial(*rows)
            for s in steps(1, len(plain(x)) + 1):
                new = self.encoder.step(read(s), *states)
                states = new if here is None else tuple(map(held, new, states, [here[s - 1]] * len(new)))
        return states

    def begin(self, x: Any, rows: tuple[int, ...], x_lengths: Any = None, **given: Any) -> tuple[Any, Any]:
        states = self.encode(x, rows, x_lengths)
        with step(0):
            start = self.decoder.initial(*rows) if self.context == "input" else states
        return None if self.context == "initial" else name("C", states[0]), start

    def step(self, C: Any, states: Any, y: Tensor, t: int) -> Any:
        return self.decoder.step(y if C is None else np.concatenate([y, C], axis=-1), *states)

    def readout(self, states: Any) -> Tensor:
        return name("o", self.c + linear(states[0], self.V))
