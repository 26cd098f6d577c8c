"""What people changed in the LSTM: each variant a cell of its own, as it stands on its page.

The LSTM itself stands in `cells`, its normalised form in `normalized`. Shapes are those of `LSTMCell`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.errors import ShapeError
from ..core.ops.contractions import linear
from ..core.ops.elementwise import sigmoid, tanh
from ..core.ops.identity import name
from ..core.ops.shaping import concatenate
from .cell import States
from .cells import LSTMCell


class PeepholeLSTMCell(LSTMCell):
    """The gates also see the cell, each unit its own: W_ci of document 002, part 3, is diag(p_i) here (Gers and
    Schmidhuber 2000, whom it cites).

    The output gate sees the new cell, as in document 002; with `o_sees_new=False` the old one, as in document 004,
    section 7.1.3, item 5.
    """

    peepholes: tuple[str, ...] = ("i", "f", "o")

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, forget_bias: float | None = None,
        o_sees_new: bool = True, dtype: Any = np.float64,
    ) -> None:  # fmt: skip
        super().__init__(input_size, hidden_size, bias, forget_bias, dtype)
        self.o_sees_new = o_sees_new
        for k in self.peepholes:
            setattr(self, f"p_{k}", self.weight(f"p_{k}", hidden_size))

    def step(self, x: Any, h: Any, c: Any) -> States:
        old = c
        i = name("i", sigmoid(linear(h, self.W_i) + linear(x, self.U_i) + self.p_i * c + self.b_i))
        f = name("f", sigmoid(linear(h, self.W_f) + linear(x, self.U_f) + self.p_f * c + self.b_f))
        g = name("g", tanh(linear(h, self.W_g) + linear(x, self.U_g) + self.b_g))
        c = name("c", f * c + i * g)
        seen = c if self.o_sees_new else old
        o = name("o", sigmoid(linear(h, self.W_o) + linear(x, self.U_o) + self.p_o * seen + self.b_o))
        h = name("h", o * tanh(c))
        return h, c


class FullPeepholeLSTMCell(LSTMCell):
    """The gates also see the cell, every unit all others: the matrices of document 002, part 3, as printed (its W_c0 is
    W_co here).
    """

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, forget_bias: float | None = None,
        dtype: Any = np.float64,
    ) -> None:  # fmt: skip
        super().__init__(input_size, hidden_size, bias, forget_bias, dtype)
        self.W_ci = self.weight("W_ci", hidden_size, hidden_size)
        self.W_cf = self.weight("W_cf", hidden_size, hidden_size)
        self.W_co = self.weight("W_co", hidden_size, hidden_size)

    def step(self, x: Any, h: Any, c: Any) -> States:
        i = name("i", sigmoid(linear(x, self.U_i) + linear(h, self.W_i) + linear(c, self.W_ci) + self.b_i))
        f = name("f", sigmoid(linear(x, self.U_f) + linear(h, self.W_f) + linear(c, self.W_cf) + self.b_f))
        g = name("g", tanh(linear(x, self.U_g) + linear(h, self.W_g) + self.b_g))
        c = name("c", f * c + i * g)
        o = name("o", sigmoid(linear(x, self.U_o) + linear(h, self.W_o) + linear(c, self.W_co) + self.b_o))
        h = name("h", o * tanh(c))
        return h, c


class CoupledLSTMCell(LSTMCell):
    """Takes in exactly what it forgets: 1 - f in place of the input gate (document 002, part 3)."""

    letters = ("f", "g", "o")

    def step(self, x: Any, h: Any, c: Any) -> States:
        f = name("f", sigmoid(linear(h, self.W_f) + linear(x, self.U_f) + self.b_f))
        g = name("g", tanh(linear(h, self.W_g) + linear(x, self.U_g) + self.b_g))
        o = name("o", sigmoid(linear(h, self.W_o) + linear(x, self.U_o) + self.b_o))
        c = name("c", f * c + (1.0 - f) * g)
        h = name("h", o * tanh(c))
        return h, c


class CoupledPeepholeLSTMCell(PeepholeLSTMCell):
    """Both: 1 - f in place of the input gate, and the gates that are left see the cell (document 002, part 3)."""

    letters = ("f", "g", "o")
    peepholes = ("f", "o")

    def step(self, x: Any, h: Any, c: Any) -> States:
        old = c
        f = name("f", sigmoid(linear(h, self.W_f) + linear(x, self.U_f) + self.p_f * c + self.b_f))
        g = name("g", tanh(linear(h, self.W_g) + linear(x, self.U_g) + self.b_g))
        c = name("c", f * c + (1.0 - f) * g)
        seen = c if self.o_sees_new else old
        o = name("o", sigmoid(linear(h, self.W_o) + linear(x, self.U_o) + self.p_o * seen + self.b_o))
        h = name("h", o * tanh(c))
        return h, c


class NoForgetLSTMCell(LSTMCell):
    """The network of 1997, which has no forget gate: the cell keeps all of itself (Hochreiter and Schmidhuber, cited in
    document 002).
    """

    letters = ("i", "g", "o")

    def step(self, x: Any, h: Any, c: Any) -> States:
        i = name("i", sigmoid(linear(h, self.W_i) + linear(x, self.U_i) + self.b_i))
        g = name("g", tanh(linear(h, self.W_g) + linear(x, self.U_g) + self.b_g))
        o = name("o", sigmoid(linear(h, self.W_o) + linear(x, self.U_o) + self.b_o))
        c = name("c", c + i * g)
        h = name("h", o * tanh(c))
        return h, c


class ConcatenatedLSTMCell(LSTMCell):
    """One matrix for each gate, W_f · [h[t-1], x[t]] (documents 001 and 003); the cell is C there, its candidate C̃.

    W_f (hidden_size, hidden_size + input_size) is [W_f, U_f] of `LSTMCell` side by side.
    """

    states = ("h", "C")

    def gates(self, *letters: str, recurrent: int | None = None) -> None:
        for k in ("f", "i", "C", "o"):
            setattr(self, f"W_{k}", self.weight(f"W_{k}", self.hidden_size, self.hidden_size + self.input_size))
            setattr(self, f"b_{k}", self.offset(f"b_{k}"))

    def step(self, x: Any, h: Any, C: Any) -> States:
        hx = concatenate([h, x], axis=-1)
        f = name("f", sigmoid(linear(hx, self.W_f) + self.b_f))
        i = name("i", sigmoid(linear(hx, self.W_i) + self.b_i))
        new = name("C̃", tanh(linear(hx, self.W_C) + self.b_C))
        C = name("C", f * C + i * new)
        o = name("o", sigmoid(linear(hx, self.W_o) + self.b_o))
        h = name("h", o * tanh(C))
        return h, C


class ProjectedLSTMCell(LSTMCell):
    """The state is a projection of what the output gate lets through, h = P m, and may be shorter than the cell (Sak et
    al. 2014; torch's `proj_size`).

    Shapes: h (B, proj_size), c (B, hidden_size). Raises `ShapeError` unless 0 < proj_size < hidden_size.
    """

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, forget_bias: float | None = None,
        dtype: Any = np.float64, *, proj_size: int,
    ) -> None:  # fmt: skip
        if not 0 < proj_size < hidden_size:
            raise ShapeError(
                f"LSTM: proj_size is {proj_size}, but has to be from 1 to hidden_size - 1 = {hidden_size - 1}"
            )
        self.proj_size = proj_size
        super().__init__(input_size, hidden_size, bias, forget_bias, dtype)
        self.P = self.weight("P", proj_size, hidden_size)

    def gates(self, *letters: str, recurrent: int | None = None) -> None:
        super().gates(*letters, recurrent=self.proj_size)

    @property
    def sizes(self) -> tuple[int, ...]:
        return self.proj_size, self.hidden_size

    def step(self, x: Any, h: Any, c: Any) -> States:
        i = name("i", sigmoid(linear(h, self.W_i) + linear(x, self.U_i) + self.b_i))
        f = name("f", sigmoid(linear(h, self.W_f) + linear(x, self.U_f) + self.b_f))
        g = name("g", tanh(linear(h, self.W_g) + linear(x, self.U_g) + self.b_g))
        o = name("o", sigmoid(linear(h, self.W_o) + linear(x, self.U_o) + self.b_o))
        c = name("c", f * c + i * g)
        m = name("m", o * tanh(c))
        h = name("h", linear(m, self.P))
        return h, c
