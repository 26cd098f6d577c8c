"""The neural Turing machine: a network that reads and writes a memory at soft addresses which it works out itself.

Addressing is four small functions, in the order of Graves, Wayne and Danihelka (2014), section 3.3; the machine puts
them around a controller (document 004, section 8, item 2). All heads are computed at once: they are one axis of every
array, (B, heads, ...), the writing ones first. A memory that is only read stands in `memory_network`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..core.errors import GraphError, ShapeError
from ..core.ops.contractions import linear
from ..core.ops.elementwise import sigmoid, softplus
from ..core.ops.identity import name
from ..core.ops.linalg import norm
from ..core.ops.reductions import softmax
from ..core.scope import scope, step, steps
from ..core.tensor import Tensor
from .arguments import as_data, given_sequence, shape_given
from .cell import Cell, Sized, States
from .cells import LSTMCell, RNNCell
from .dropout import leaf
from .module import parameter

#: keeps the cosine with an empty cell finite; far below the rounding of any other cell
EMPTY = 1e-16


def content(k: Any, beta: Any, M: Any) -> Any:
    """w_c = softmax of beta · cosine(k, M[i]) over the cells i (equations 5 and 6).

    Keys k (B, heads, width), strengths beta (B, heads, 1), memory M (B, cells, width); weights (B, heads, cells).
    """
    lengths = np.expand_dims(norm(M, axis=-1), -2) * norm(k, axis=-1, keepdims=True)
    cosine = (k @ np.swapaxes(M, -1, -2)) / (lengths + EMPTY)
    return softmax(beta * cosine)


def interpolate(w_c: Any, g: Any, w: Any) -> Any:
    """w_g = g w_c + (1 - g) w[t-1] (equation 7), g (B, heads, 1)."""
    return w + g * (w_c - w)


def shift(w_g: Any, s: Any) -> Any:
    """w_s[i] = Σ_j s[j] w_g[i - j] round the cells, for j = -1, 0, 1 or further (equation 8), s (B, heads, shifts)."""
    reach = s.shape[-1] // 2
    moved = [np.roll(w_g, j, axis=-1) if j else w_g for j in range(-reach, reach + 1)]
    terms = [s[..., n : n + 1] * w for n, w in enumerate(moved)]
    return sum(terms[1:], terms[0])


def sharpen(w_s: Any, gamma: Any) -> Any:
    """w = w_s^gamma / Σ w_s^gamma (equation 9), gamma (B, heads, 1) of at least 1."""
    n = w_s**gamma
    return n / np.sum(n, axis=-1, keepdims=True)


class NTMState(NamedTuple):
    """What is carried from step to step: the controller's states, what was read, the memory, all heads' weights."""

    controller: States
    r: Any
    M: Any
    w: Any


class FeedForwardCell(Cell):
    """A controller without a memory of its own: h[t] = tanh(b + U x[t])."""

    def __init__(self, input_size: int, hidden_size: int, dtype: Any = np.float64) -> None:
        super().__init__(input_size, hidden_size, dtype=dtype)
        self.U, self.b = self.weight("U", hidden_size, input_size), self.offset("b")

    def step(self, x: Any, *states: Any) -> States:
        return (name("h", np.tanh(linear(x, self.U) + self.b)),)


CONTROLLERS = {"lstm": LSTMCell, "rnn": RNNCell, "feedforward": FeedForwardCell}


class NTM(Sized):
    """Neural Turing machine (Graves, Wayne and Danihelka 2014): `o, state = ntm(x)`.

    h[t] = controller([x[t]; r[t-1]]), and from it each head's k, beta, g, s, gamma;  w[t] by content, interpolation,
    shift and sharpening, looking at M[t-1];  M[t] = M[t-1] Π (1 - w_w e) + Σ w_w a;  r[t] = w_r M[t];
    o[t] = c + V h[t] + V_r r[t].

    Shapes: x (T, B, input_size) or (T, input_size); o (T, B, output_size). The memory has `cells` cells of `width`
    numbers. `controller` is "lstm", "rnn" or "feedforward". At the start M is 1e-6 everywhere (Collier and Beel 2018),
    and the heads look where the learned w_0 says, first at cell 0. `trace=True` also returns w (T, B, heads, cells).
    Raises `GraphError`, `ShapeError` for what does not fit. Raises `ShapeError` for an x of another shape.

    >>> import numpy as np, tinygrad_rnn as tg
    >>> ntm = tg.nn.NTM(3, 5, output_size=2, cells=6, width=4)
    >>> o, state, w = ntm(np.ones((7, 2, 3)), trace=True)
    >>> o.shape, state.M.shape, w.shape, bool(np.allclose(w.numpy().sum(axis=-1), 1))
    ((7, 2, 2), (2, 6, 4), (7, 2, 2, 6), True)
    """

    label = "ntm"

    def __init__(
        self, input_size: int, hidden_size: int, output_size: int, cells: int = 128, width: int = 20,
        controller: str = "lstm", read_heads: int = 1, write_heads: int = 1, shifts: int = 3, dtype: Any = np.float64,
    ) -> None:  # fmt: skip
        if controller not in CONTROLLERS:
            raise GraphError(f"NTM: controller is {', '.join(map(repr, CONTROLLERS))}, not {controller!r}")
        if read_heads < 1 or write_heads < 1 or shifts % 2 == 0 or shifts > cells:
            raise GraphError(
                "NTM: it needs a head that reads, one that writes, and an odd number of shifts that fits the cells, "
                f"not {read_heads}, {write_heads} and {shifts}"
            )
        H, K, reads = hidden_size, read_heads + write_heads, read_heads * width
        self.input_size, self.hidden_size, self.output_size, self.dtype = input_size, H, output_size, np.dtype(dtype)
        self.cells, self.width, self.read_heads, self.write_heads = cells, width, read_heads, write_heads
        self.controller = CONTROLLERS[controller](input_size + reads, H, dtype=dtype)
        self.W_k, self.b_k = self.weight("W_k", K * width, H), self.weight("b_k", K * width)
        self.W_b, self.b_b = self.weight("W_b", K, H), self.weight("b_b", K)
        self.W_g, self.b_g = self.weight("W_g", K, H), self.weight("b_g", K)
        self.W_s, self.b_s = self.weight("W_s", K * shifts, H), self.weight("b_s", K * shifts)
        self.W_y, self.b_y = self.weight("W_y", K, H), self.weight("b_y", K)
        self.W_e, self.b_e = self.weight("W_e", write_heads * width, H), self.weight("b_e", write_heads * width)
        self.W_a, self.b_a = self.weight("W_a", write_heads * width, H), self.weight("b_a", write_heads * width)
        self.V, self.V_r = self.weight("V", output_size, H), self.weight("V_r", output_size, reads)
        self.c = self.weight("c", output_size)
        self.w_0 = parameter("w_0", np.tile(10.0 * (np.arange(cells) == 0), (K, 1)).astype(dtype))
        self.r_0 = self.weight("r_0", reads)

    # -- one step ---------------------------------------------------------------------------------------------------
    def address(self, h: Any, M: Any, w: Any) -> Any:
        """The weights of all heads over the cells, (B, heads, cells)."""
        k = np.tanh(self.per_head(h, self.W_k, self.b_k))
        beta = softplus(self.per_head(h, self.W_b, self.b_b))
        g = sigmoid(self.per_head(h, self.W_g, self.b_g))
        s = softmax(self.per_head(h, self.W_s, self.b_s))
        gamma = 1.0 + softplus(self.per_head(h, self.W_y, self.b_y))
        return sharpen(shift(interpolate(content(k, beta, M), g, w), s), gamma)

    def per_head(self, h: Any, W: Tensor, b: Tensor) -> Any:
        """W h + b, cut into (B, heads, n)."""
        return np.reshape(linear(h, W) + b, (h.shape[0], self.read_heads + self.write_heads, -1))

    def write(self, h: Any, M: Any, w_w: Any) -> Any:
        """M[t]: erased cell by cell and head by head, then added to (equations 3 and 4)."""
        rows = (h.shape[0], self.write_heads, self.width)
        e = np.reshape(sigmoid(linear(h, self.W_e) + self.b_e), rows)
        a = np.reshape(np.tanh(linear(h, self.W_a) + self.b_a), rows)
        columns = np.swapaxes(w_w, -1, -2)
        for n in range(self.write_heads):
            M = M - M * (columns[..., n : n + 1] * e[:, n : n + 1])
        return M + columns @ a

    def step(self, x: Any, state: NTMState) -> NTMState:
        """The state of a step from x (B, input_size) and the state before."""
        states = self.controller.step(np.concatenate([x, state.r], axis=-1), *state.controller)
        h = states[0]
        w = name("w", self.address(h, state.M, state.w))
        M = name("M", self.write(h, state.M, w[:, : self.write_heads]))
        r = name("r", np.reshape(w[:, self.write_heads :] @ M, (h.shape[0], -1)))
        return NTMState(states, r, M, w)

    def initial(self, batch: int) -> NTMState:
        """Where everything begins."""
        M = leaf("M", np.full((batch, self.cells, self.width), 1e-6, self.dtype))
        w = name("w", np.broadcast_to(softmax(self.w_0), (batch, *self.w_0.shape)))
        r = name("r", np.broadcast_to(self.r_0, (batch, *self.r_0.shape)))
        return NTMState(self.controller.initial(batch), r, M, w)

    # -- a sequence -------------------------------------------------------------------------------------------------
    def forward(self, input: Any, hx: NTMState | None = None, trace: bool = False) -> Any:
        shape = shape_given(input, "NTM")
        if len(shape) not in (2, 3) or shape[-1] != self.input_size or not shape[0]:
            raise ShapeError(
                f"NTM: x has shape {shape}, but has to be (T, B, {self.input_size}) or (T, {self.input_size})"
            )
        x = as_data(input, self.dtype, "NTM")
        if len(shape) == 2:
            x = np.expand_dims(x, 1)
        read = given_sequence(x, x.shape[1:], "NTM", self.dtype)
        outputs, weights = [], []
        with scope(self.label):
            with step(0):
                state = self.initial(x.shape[1]) if hx is None else hx
            for t in steps(1, shape[0] + 1):
                state = self.step(read(t), state)
                outputs.append(name("o", self.c + linear(state.controller[0], self.V) + linear(state.r, self.V_r)))
                weights.append(state.w)
            o = np.stack(outputs)
            o = o if len(shape) == 3 else o[:, 0]
            return (o, state, np.stack(weights)) if trace else (o, state)
