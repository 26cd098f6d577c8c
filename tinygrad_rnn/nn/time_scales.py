"""Cells that work on several time scales: longer connections, leaky units, clocks (document 004, section 3.2).

Each is run over a sequence by `Recurrent`, as in `Recurrent(lambda n: LeakyCell(n, 4), 3)`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..core.errors import GraphError, ShapeError
from ..core.ops.contractions import linear
from ..core.ops.elementwise import tanh
from ..core.ops.identity import name
from ..core.ops.shaping import concatenate
from ..core.scope import current
from ..core.tensor import constant
from .cell import Cell, States
from .linear import activation
from .module import parameter


class DelayCell(Cell):
    """h[t] = tanh(b + W h[t-1] + W_d h[t-d] + U x[t]): a connection that skips d steps (document 004, section 3.2.1).

    With `short=False` the connection of one step is deleted, and W stands at the long one, as section 3.2.2 has it:
    h[t] = tanh(b + W h[t-d] + U x[t]). The state holds the last d states, the latest first. Raises `GraphError` for a
    delay below 2.

    >>> import numpy as np, tinygrad_rnn as tg
    >>> layer = tg.nn.Recurrent(lambda n: tg.nn.DelayCell(n, 4, delay=3), 2)
    >>> output, (h1, h2, h3) = layer(np.ones((5, 1, 2)))
    >>> bool(np.all(h3.numpy()[0] == output.numpy()[2]))
    True
    """

    def __init__(
        self, input_size: int, hidden_size: int, delay: int = 2, short: bool = True, bias: bool = True,
        dtype: Any = np.float64,
    ) -> None:  # fmt: skip
        super().__init__(input_size, hidden_size, bias, dtype)
        if delay < 2:
            raise GraphError(f"DelayCell: delay is {delay}, but a connection longer than one step has at least 2")
        self.delay, self.short = delay, short
        self.states = ("h", *(f"h{k}" for k in range(2, delay + 1)))
        self.W = self.weight("W", hidden_size, hidden_size)
        if short:
            self.W_d = self.weight("W_d", hidden_size, hidden_size)
        self.U = self.weight("U", hidden_size, input_size)
        self.b = self.offset("b")

    def step(self, x: Any, *past: Any) -> States:
        """`past` is h[t-1], ..., h[t-d]."""
        if self.short:
            a = name("a", linear(past[0], self.W) + linear(past[-1], self.W_d) + linear(x, self.U) + self.b)
        else:
            a = name("a", linear(past[-1], self.W) + linear(x, self.U) + self.b)
        h = name("h", tanh(a))
        return (h, *past[:-1])


class LeakyCell(Cell):
    """mu[t] = α mu[t-1] + (1 - α) v[t], v being the update of section 2.2 (document 004, section 3.2.3).

    `alpha` is one number, or one for each unit, for groups that work on different time scales; it is learned, or fixed
    with `learned=False`. α near 1 remembers for long, α = 0 is the plain network.

    >>> import numpy as np, tinygrad_rnn as tg
    >>> cell = tg.nn.LeakyCell(2, 3, alpha=[0.0, 0.5, 0.9], learned=False)
    >>> cell(np.ones((1, 2))).shape, [name for name, _ in cell.named_parameters()]
    ((1, 3), ['W', 'U', 'b'])
    """

    states = ("mu",)

    def __init__(
        self, input_size: int, hidden_size: int, alpha: float | Sequence[float] = 0.5, learned: bool = True,
        nonlinearity: str = "tanh", bias: bool = True, dtype: Any = np.float64,
    ) -> None:  # fmt: skip
        super().__init__(input_size, hidden_size, bias, dtype)
        self.f = activation("LeakyCell", nonlinearity)
        self.alpha = _rates("LeakyCell", "alpha", alpha, hidden_size, (0.0, 1.0), learned, self.dtype)
        self.W = self.weight("W", hidden_size, hidden_size)
        self.U = self.weight("U", hidden_size, input_size)
        self.b = self.offset("b")

    def step(self, x: Any, mu: Any) -> States:
        return self.step_seeing(mu, x, mu)

    def step_seeing(self, seen: Any, x: Any, mu: Any) -> States:
        """`seen` is mu as W sees it: the leak itself is never hidden by dropout."""
        a = name("a", linear(seen, self.W) + linear(x, self.U) + self.b)
        v = name("v", self.f(a))
        mu = name("mu", self.alpha * mu + (1.0 - self.alpha) * v)
        return (mu,)


class TauCell(Cell):
    """Document 000's units with a time constant each: τ ds/dt = -s + σ(b + W s + U x), in steps of length dt.

    Euler's method makes s[t] = (1 - dt/τ) s[t-1] + (dt/τ) σ(b + W s[t-1] + U x[t]); for dt = 1 this is the formula
    after "1 ≤ τ < ∞". With `inside=True` the other form of that page: τ ds/dt = -s + (b + W σ(s) + U x).

    `tau` is one number, or one for each unit; learned, or fixed with `learned=False`. `derivative` is ds/dt itself.
    Raises `GraphError` for a `dt` that is not longer than 0.

    >>> import numpy as np, tinygrad_rnn as tg
    >>> cell = tg.nn.TauCell(2, 3, tau=[1.0, 4.0, 16.0], dt=0.1)
    >>> x, s = np.ones((1, 2)), np.ones((1, 3))
    >>> bool(np.allclose(cell(x, s).numpy(), s + 0.1 * cell.derivative(x, s).numpy()))
    True
    """

    states = ("s",)

    def __init__(
        self, input_size: int, hidden_size: int, tau: float | Sequence[float] = 2.0, learned: bool = True,
        dt: float = 1.0, inside: bool = False, nonlinearity: str = "sigmoid", bias: bool = True,
        dtype: Any = np.float64,
    ) -> None:  # fmt: skip
        super().__init__(input_size, hidden_size, bias, dtype)
        if not dt > 0.0:
            raise GraphError(f"TauCell: dt is {dt}, but a step of time has to be longer than 0")
        self.dt, self.inside, self.f = dt, inside, activation("TauCell", nonlinearity)
        self.tau = _rates("TauCell", "tau", tau, hidden_size, (dt, np.inf), learned, self.dtype)
        self.W = self.weight("W", hidden_size, hidden_size)
        self.U = self.weight("U", hidden_size, input_size)
        self.b = self.offset("b")

    def drive(self, x: Any, s: Any) -> Any:
        """What s is drawn to."""
        if self.inside:
            return name("v", linear(self.f(s), self.W) + linear(x, self.U) + self.b)
        return name("v", self.f(linear(s, self.W) + linear(x, self.U) + self.b))

    def derivative(self, x: Any, s: Any) -> Any:
        """ds/dt = (-s + v) / τ."""
        return (self.drive(x, s) - s) / self.tau

    def step(self, x: Any, s: Any) -> States:
        return self.step_seeing(s, x, s)

    def step_seeing(self, seen: Any, x: Any, s: Any) -> States:
        """`seen` is s as W sees it: the leak itself is never hidden by dropout."""
        v = self.drive(x, seen)
        rate = self.dt / self.tau
        s = name("s", (1.0 - rate) * s + rate * v)
        return (s,)


def _rates(
    owner: str, symbol: str, given: Any, size: int, bounds: tuple[float, float], learned: bool, dtype: Any
) -> Any:
    """One number for all units or one for each, as a parameter or as a constant."""
    values = np.array(given, dtype)
    if values.shape not in ((), (1,), (size,)):
        raise ShapeError(f"{owner}: {symbol} has shape {values.shape}, but has to be one number or ({size},)")
    if np.any(values < bounds[0]) or np.any(values > bounds[1]):
        raise GraphError(f"{owner}: {symbol} is {given}, but has to be from {bounds[0]:g} to {bounds[1]:g}")
    return parameter(symbol, values) if learned else constant(values)


class ClockworkCell(Cell):
    """Groups of units updated at different frequencies (document 004, section 3.2.3, item 6; Koutník et al. 2014).

    Group k has hidden_sizes[k] units and computes at every periods[k]-th step; between, it keeps
    its state. It reads the input, itself and the slower groups:

        h_k[t] = tanh(b_k + Σ_{j ≥ k} W_kj h_j[t-1] + U_k x[t])    for t % period = 0,   else h_k[t-1]

    Groups stand from the fastest to the slowest; the output is all of them side by side. Raises `GraphError` otherwise.
    Raises `ShapeError` unless there is a size for each period. Raises `GraphError` outside of a time step.

    >>> import numpy as np, tinygrad_rnn as tg
    >>> layer = tg.nn.Recurrent(lambda n: tg.nn.ClockworkCell(n, (4, 2), periods=(1, 2)), 3)
    >>> output, (h_1, h_2) = layer(np.ones((5, 1, 3)))
    >>> output.shape, h_2.shape
    ((5, 1, 6), (1, 1, 2))
    """

    def __init__(
        self, input_size: int, hidden_sizes: Sequence[int], periods: Sequence[int], bias: bool = True,
        dtype: Any = np.float64,
    ) -> None:  # fmt: skip
        super().__init__(input_size, sum(hidden_sizes), bias, dtype)
        self.hidden_sizes, self.periods = tuple(hidden_sizes), tuple(periods)
        if len(self.hidden_sizes) != len(self.periods) or min(self.hidden_sizes) < 1:
            raise ShapeError(f"ClockworkCell: {self.hidden_sizes} units for the periods {self.periods}")
        if min(self.periods) < 1 or list(self.periods) != sorted(self.periods):
            raise GraphError(f"ClockworkCell: periods are {self.periods}, but have to grow from at least 1")
        self.groups = range(1, len(self.periods) + 1)
        self.states = tuple(f"h_{k}" for k in self.groups)
        self.W = {
            f"{k}{j}": self.weight(f"W_{k}{j}", self.hidden_sizes[k - 1], self.hidden_sizes[j - 1])
            for k in self.groups
            for j in self.groups[k - 1 :]
        }
        self.U = {f"{k}": self.weight(f"U_{k}", self.hidden_sizes[k - 1], input_size) for k in self.groups}
        self.b = {f"{k}": self.offset(f"b_{k}", self.hidden_sizes[k - 1]) for k in self.groups}

    @property
    def sizes(self) -> tuple[int, ...]:
        return self.hidden_sizes

    @property
    def output_size(self) -> int:
        return self.hidden_size

    def output(self, *states: Any) -> Any:
        return concatenate(states, axis=-1)

    def step(self, x: Any, *h: Any) -> States:
        t = current().step
        if not isinstance(t, int):
            raise GraphError(
                "ClockworkCell: the step it computes is not known: run it in `for t in tg.steps(1, T + 1)`"
            )
        return tuple(
            self._updated(k, x, h) if t % self.periods[k - 1] == 0 else name(f"h_{k}", h[k - 1]) for k in self.groups
        )

    def _updated(self, k: int, x: Any, h: States) -> Any:
        a = linear(x, self.U[f"{k}"]) + self.b[f"{k}"]
        for j in self.groups[k - 1 :]:
            a = a + linear(h[j - 1], self.W[f"{k}{j}"])
        return name(f"h_{k}", tanh(a))
