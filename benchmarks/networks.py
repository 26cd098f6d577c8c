"""The three cells and the numbers they run on, for every contestant of `speed`.

The equations stand here once, for any library with numpy's operators; the gates are stacked in one matrix, the fastest
way to write a cell op by op. Nothing is timed here.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

Arrays = dict[str, np.ndarray]
#: gates in torch's order; the GRU resets after the product, as torch does
GATES = {"RNN": "h", "LSTM": "ifgo", "GRU": "rzn"}
STATES = {"RNN": "h", "LSTM": "hc", "GRU": "h"}


@dataclass(frozen=True)
class Size:
    """Hidden size H, batch B, steps T, inputs D."""

    H: int
    B: int
    T: int
    D: int

    def __str__(self) -> str:
        return f"{self.H}, {self.B}, {self.T}" + (f" (D {self.D})" if self.D != self.H else "")


@dataclass(frozen=True)
class Problem:
    """One training step: the loss is the sum of all outputs, each times a fixed number.

    `parameters` are W (H, gates·H), U (D, gates·H), b (gates·H,) and for the GRU c (H,), the bias inside of the reset;
    x is (T, B, D), `weights` (T, B, H), each state (B, H).
    """

    cell: str
    size: Size
    parameters: Arrays
    x: np.ndarray
    weights: np.ndarray
    states: Arrays

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.x.dtype


def problem(cell: str, size: Size, dtype: str = "float32") -> Problem:
    """Random numbers of order one, the same for each dtype."""
    rng = np.random.default_rng(0)
    H, B, T, D = size.H, size.B, size.T, size.D
    width = len(GATES[cell]) * H
    shapes = {"W": (H, width), "U": (D, width), "b": (width,)} | ({"c": (H,)} if cell == "GRU" else {})
    parameters = {name: (H**-0.5 * rng.standard_normal(shape)).astype(dtype) for name, shape in shapes.items()}
    x, weights = (rng.standard_normal((T, B, n)).astype(dtype) for n in (D, H))
    states = {f"{name}0": rng.standard_normal((B, H)).astype(dtype) for name in STATES[cell]}
    return Problem(cell, size, parameters, x, weights, states)


@dataclass(frozen=True)
class Ops:
    """What a library calls the three functions that are no operators."""

    tanh: Callable[[Any], Any]
    sigmoid: Callable[[Any], Any]
    stack: Callable[[list[Any]], Any]


def rnn(p: Mapping[str, Any], ops: Ops, a: Any, h: Any) -> tuple[Any, ...]:
    """h = tanh(a + h W), where a = x U + b, here and below"""
    return (ops.tanh(a + h @ p["W"]),)


def lstm(p: Mapping[str, Any], ops: Ops, a: Any, h: Any, c: Any) -> tuple[Any, ...]:
    """The LSTM with forget gate."""
    a = a + h @ p["W"]
    n = h.shape[-1]
    i, f, o = ops.sigmoid(a[:, :n]), ops.sigmoid(a[:, n : 2 * n]), ops.sigmoid(a[:, 3 * n :])
    c = f * c + i * ops.tanh(a[:, 2 * n : 3 * n])
    return o * ops.tanh(c), c


def gru(p: Mapping[str, Any], ops: Ops, a: Any, h: Any) -> tuple[Any, ...]:
    """The GRU that resets after the product; z keeps the past."""
    m = h @ p["W"]
    n = h.shape[-1]
    rz = ops.sigmoid(a[:, : 2 * n] + m[:, : 2 * n])
    new = ops.tanh(a[:, 2 * n :] + rz[:, :n] * (m[:, 2 * n :] + p["c"]))
    return (new + rz[:, n:] * (h - new),)


CELLS: dict[str, Callable[..., tuple[Any, ...]]] = {"RNN": rnn, "LSTM": lstm, "GRU": gru}


def loss(cell: str, p: Mapping[str, Any], ops: Ops, x: Any, weights: Any, *states: Any) -> Any:
    """Run over the sequence, one operation at a time."""
    outputs = []
    for x_t in x:
        states = CELLS[cell](p, ops, x_t @ p["U"] + p["b"], *states)
        outputs.append(states[0])
    return (ops.stack(outputs) * weights).sum()
