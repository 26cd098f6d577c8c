"""The three cells that everybody means by RNN, LSTM and GRU, each as it stands on its page.

Rows are samples, so the book's W h reads `linear(h, W)`. Weights of the state are W, of the input U, biases b; the
letter behind names the gate. Variants stand in `lstm_variants` and `normalized`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.errors import GraphError
from ..core.ops.contractions import linear
from ..core.ops.elementwise import relu, sigmoid, tanh
from ..core.ops.identity import name
from ..core.tensor import Tensor
from . import init
from .cell import Cell, States

NONLINEARITIES = {"tanh": tanh, "relu": relu}


class RNNCell(Cell):
    """The plain recurrent network (document 004, section 2.2; document 000, where h is s).

    Shapes: x (B, input_size), h (B, hidden_size). `nonlinearity` is "tanh" or "relu"; raises `GraphError` for another.

    >>> import numpy as np, tinygrad_rnn as tg
    >>> cell = tg.nn.RNNCell(3, 4)
    >>> cell(np.ones((2, 3))).shape, [name for name, _ in cell.named_parameters()]
    ((2, 4), ['W', 'U', 'b'])
    """

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, nonlinearity: str = "tanh", dtype: Any = np.float64
    ) -> None:
        super().__init__(input_size, hidden_size, bias, dtype)
        if nonlinearity not in NONLINEARITIES:
            raise GraphError(f"RNNCell: nonlinearity is {nonlinearity!r}, but has to be 'tanh' or 'relu'")
        self.nonlinearity, self.f = nonlinearity, NONLINEARITIES[nonlinearity]
        self.W = self.weight("W", hidden_size, hidden_size)
        self.U = self.weight("U", hidden_size, input_size)
        self.b = self.offset("b")

    def step(self, x: Any, h: Any) -> States:
        a = name("a", linear(h, self.W) + linear(x, self.U) + self.b)
        h = name("h", self.f(a))
        return (h,)


class LSTMCell(Cell):
    """Long short-term memory with forget gate (document 002, part 2; document 004, section 7.1).

    Shapes: x (B, input_size); h, c (B, hidden_size). The gates are i (input), f (forget), o (output), g is the
    candidate, in torch's order i, f, g, o; document 004 writes g for i and q for o, document 002 c̃ for g. The draft in
    document 000 is the same network counted otherwise: its s[t+1] and h[t+1] are c[t] and h[t] here, made from x[t] and
    from the states before by the gates of step t; its candidate is squashed by σ in place of tanh.
    `forget_bias` is what b_f starts at (torch's random start if None).

    >>> import numpy as np, tinygrad_rnn as tg
    >>> h, c = tg.nn.LSTMCell(3, 4)(np.ones((2, 3)))
    >>> h.shape, c.name
    ((2, 4), 'c')
    """

    states = ("h", "c")
    letters: tuple[str, ...] = ("i", "f", "g", "o")

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, forget_bias: float | None = None,
        dtype: Any = np.float64,
    ) -> None:  # fmt: skip
        super().__init__(input_size, hidden_size, bias, dtype)
        self.gates(*self.letters)
        self.set_forget_bias(forget_bias)

    def set_forget_bias(self, value: float | None) -> None:
        """Let b_f start at `value`; raises `GraphError` where there is no b_f."""
        if value is None:
            return
        if not isinstance(getattr(self, "b_f", None), Tensor):
            raise GraphError(f"{type(self).__name__}: forget_bias={value} needs a forget gate with a bias")
        self.b_f.assign(init.constant((self.hidden_size,), value, self.dtype))

    def step(self, x: Any, h: Any, c: Any) -> States:
        i = name("i", sigmoid(linear(h, self.W_i) + linear(x, self.U_i) + self.b_i))
        f = name("f", sigmoid(linear(h, self.W_f) + linear(x, self.U_f) + self.b_f))
        g = name("g", tanh(linear(h, self.W_g) + linear(x, self.U_g) + self.b_g))
        o = name("o", sigmoid(linear(h, self.W_o) + linear(x, self.U_o) + self.b_o))
        c = name("c", f * c + i * g)
        h = name("h", o * tanh(c))
        return h, c


class GRUCell(Cell):
    """Gated recurrent unit (document 002, part 4; document 004, section 7.2; document 003), in its four forms.

    reset_after=True    n = tanh(b_n + U_n x + r * m),  m = W_n h + c_n     torch
    reset_after=False   n = tanh(b_n + U_n x + W_n (r * h))                 documents 000, 002, 003, 004
    z_keeps=True        h = (1 - z) * n + z * h     z keeps the past: torch, documents 000 (its u), 002, 004
    z_keeps=False       h = z * n + (1 - z) * h     z lets the new in: document 003 (its Γ_u)

    Shapes: x (B, input_size), h (B, hidden_size). Gate order r, z, n as in torch.

    >>> import numpy as np, tinygrad_rnn as tg
    >>> tg.nn.GRUCell(3, 4, reset_after=False)(np.ones((2, 3))).shape
    (2, 4)
    """

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, reset_after: bool = True, z_keeps: bool = True,
        dtype: Any = np.float64,
    ) -> None:  # fmt: skip
        super().__init__(input_size, hidden_size, bias, dtype)
        self.reset_after, self.z_keeps = reset_after, z_keeps
        self.gates("r", "z", "n")
        if reset_after:
            self.c_n = self.offset("c_n")

    def step(self, x: Any, h: Any) -> States:
        return self.step_seeing(h, x, h)

    def step_seeing(self, seen: Any, x: Any, h: Any) -> States:
        """`seen` is the state as the weights see it: h itself, unless dropout hides a part of it."""
        r = name("r", sigmoid(linear(seen, self.W_r) + linear(x, self.U_r) + self.b_r))
        z = name("z", sigmoid(linear(seen, self.W_z) + linear(x, self.U_z) + self.b_z))
        if self.reset_after:
            m = name("m", linear(seen, self.W_n) + self.c_n)
            n = name("n", tanh(r * m + linear(x, self.U_n) + self.b_n))
        else:
            n = name("n", tanh(linear(r * seen, self.W_n) + linear(x, self.U_n) + self.b_n))
        h = name("h", (1.0 - z) * n + z * h if self.z_keeps else z * n + (1.0 - z) * h)
        return (h,)
