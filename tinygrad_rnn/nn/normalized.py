"""Cells with layer normalisation: what stands inside each gate has mean 0 and variance 1 before gain and bias.

N(a; γ) is a less its mean, divided by its standard deviation, times the gain γ (Ba et al. 2016). Each gate is
normalised by itself, with a gain of its own that starts at 1; the plain cells stand in `cells`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.ops.contractions import linear
from ..core.ops.elementwise import sigmoid, tanh
from ..core.ops.identity import name
from ..core.ops.reductions import mean
from . import init
from .cell import Cell, States
from .cells import GRUCell, LSTMCell, RNNCell
from .module import parameter

#: added to the variance, as in torch
EPS = 1e-5


def normalized(a: Any, gain: Any, eps: float = EPS) -> Any:
    """N(a; γ): mean 0 and variance 1 along the last axis, times the gain.

    >>> import numpy as np
    >>> normalized(np.array([1.0, 3.0]), np.array([1.0, 10.0]), eps=0.0).tolist()
    [-1.0, 10.0]
    """
    centred = a - mean(a, axis=-1, keepdims=True)
    return centred / np.sqrt(mean(centred * centred, axis=-1, keepdims=True) + eps) * gain


def _gains(cell: Cell, *letters: str) -> None:
    for k in letters:
        setattr(cell, f"γ{k}", parameter(f"γ{k}", init.constant((cell.hidden_size,), 1.0, cell.dtype)))


class LayerNormRNNCell(RNNCell):
    """h = f(N(W h + U x) + b)."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        _gains(self, "")

    def step(self, x: Any, h: Any) -> States:
        a = name("a", normalized(linear(h, self.W) + linear(x, self.U), self.γ) + self.b)
        h = name("h", self.f(a))
        return (h,)


class LayerNormLSTMCell(LSTMCell):
    """i = σ(N(W_i h + U_i x) + b_i) and so on; h = o * tanh(N(c) + b_c)."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        _gains(self, "_i", "_f", "_g", "_o", "_c")
        self.b_c = parameter("b_c", init.zeros((self.hidden_size,), self.dtype)) if self.bias else 0.0

    def step(self, x: Any, h: Any, c: Any) -> States:
        i = name("i", sigmoid(normalized(linear(h, self.W_i) + linear(x, self.U_i), self.γ_i) + self.b_i))
        f = name("f", sigmoid(normalized(linear(h, self.W_f) + linear(x, self.U_f), self.γ_f) + self.b_f))
        g = name("g", tanh(normalized(linear(h, self.W_g) + linear(x, self.U_g), self.γ_g) + self.b_g))
        o = name("o", sigmoid(normalized(linear(h, self.W_o) + linear(x, self.U_o), self.γ_o) + self.b_o))
        c = name("c", f * c + i * g)
        h = name("h", o * tanh(normalized(c, self.γ_c) + self.b_c))
        return h, c


class LayerNormGRUCell(GRUCell):
    """r = σ(N(W_r h + U_r x) + b_r), z the same; n = tanh(N(r * m + U_n x) + b_n), or with W_n (r * h) for r * m."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        _gains(self, "_r", "_z", "_n")

    def step_seeing(self, seen: Any, x: Any, h: Any) -> States:
        r = name("r", sigmoid(normalized(linear(seen, self.W_r) + linear(x, self.U_r), self.γ_r) + self.b_r))
        z = name("z", sigmoid(normalized(linear(seen, self.W_z) + linear(x, self.U_z), self.γ_z) + self.b_z))
        if self.reset_after:
            m = name("m", linear(seen, self.W_n) + self.c_n)
            n = name("n", tanh(normalized(r * m + linear(x, self.U_n), self.γ_n) + self.b_n))
        else:
            n = name("n", tanh(normalized(linear(r * seen, self.W_n) + linear(x, self.U_n), self.γ_n) + self.b_n))
        h = name("h", (1.0 - z) * n + z * h if self.z_keeps else z * n + (1.0 - z) * h)
        return (h,)
