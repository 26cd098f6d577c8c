"""Echo state networks: recurrent weights that are drawn once and never trained, and a readout that is solved for.

The reservoir, its training in closed form and its free run stand here (document 004, section 6). The formula of a step
is written once: on arrays it runs fast and records nothing, on Tensors it is part of the graph like any other network.
"""

from __future__ import annotations

from math import inf
from numbers import Real
from typing import Any, NamedTuple

import numpy as np

from ..core.errors import GraphError, NonFiniteError, ShapeError
from ..core.ops.contractions import linear
from ..core.ops.identity import name
from ..core.scope import current, scope, step, steps
from ..core.tensor import Tensor, plain
from . import init
from .arguments import as_data, given_states, whole
from .cell import Sized
from .dropout import leaf
from .random import generator


class Weights(NamedTuple):
    """What is fixed, as arrays or as nodes: recurrent, input and feedback weights, bias, leak."""

    W: Any
    U: Any
    F: Any
    b: Any
    alpha: Any


class EchoState(Sized):
    """Jaeger's echo state network with leaky units and feedback (Jaeger 2001; document 004, sections 6 and 3.2.3).

    h[t] = (1 - alpha) h[t-1] + alpha tanh(b + W h[t-1] + U x[t] + F y[t-1]),  o[t] = c + V h[t]

    W has the given spectral radius and share of weights other than 0 (`density`); U, F and b are uniform between minus
    and plus their scale. These are buffers: saved, never trained. V and c are parameters, which `fit` solves for.

    Shapes: x (T, input_size) or (T, B, input_size), y (T, output_size) or (T, B, output_size); input_size may be 0.
    A state is the pair of h and the last output. Raises `ShapeError`, `GraphError` for what does not fit.

    >>> import numpy as np, tinygrad_rnn as tg
    >>> rng = tg.nn.manual_seed(0)
    >>> net = tg.nn.EchoState(0, 50, 1, spectral_radius=0.8, feedback_scale=1.0, bias_scale=0.2)
    >>> y = 0.5 * np.sin(np.arange(400.0) / 5)[:, None]
    >>> state = net.fit(y=y[:300], washout=100)
    >>> o, state = net.generate(100, state)
    >>> bool(np.max(np.abs(o - y[300:])) < 0.01)
    True
    """

    label = "reservoir"

    def __init__(
        self, input_size: int, hidden_size: int, output_size: int, spectral_radius: float = 0.9, alpha: float = 1.0,
        input_scale: float = 1.0, feedback_scale: float = 0.0, bias_scale: float = 0.0, density: float = 1.0,
        dtype: Any = np.float64,
    ) -> None:  # fmt: skip
        if not 0.0 < alpha <= 1.0 or not 0.0 < density <= 1.0:
            raise GraphError(f"EchoState: alpha and density lie in (0, 1], but are {alpha} and {density}")
        self.input_size = whole("EchoState", "input_size", input_size, least=0)
        self.hidden_size, self.output_size = hidden_size, output_size
        spectral_radius = from_zero("EchoState", "spectral_radius", spectral_radius)
        self.dtype, self.feedback = np.dtype(dtype), feedback_scale != 0.0
        N = hidden_size
        W = init.uniform((N, N), 1.0) * (generator().random((N, N)) < density)
        self.register_buffer("W", init.with_spectral_radius(W, spectral_radius).astype(dtype))
        self.register_buffer("U", init.uniform((N, input_size), input_scale, dtype))
        self.register_buffer("F", init.uniform((N, output_size), feedback_scale, dtype))
        self.register_buffer("b", init.uniform((N,), bias_scale, dtype))
        self.register_buffer("alpha", np.array(alpha, dtype))
        self.V, self.c = self.weight("V", output_size, N), self.weight("c", output_size)

    # -- one step ---------------------------------------------------------------------------------------------------
    def step(self, w: Weights, h: Any, x: Any, y: Any) -> Any:
        """h[t] from h[t-1], x[t] (None without input) and y[t-1] (None without feedback)."""
        a = w.b + linear(h, w.W)
        if x is not None:
            a = a + linear(x, w.U)
        if y is not None:
            a = a + linear(y, w.F)
        return (1.0 - w.alpha) * h + w.alpha * np.tanh(a)

    def arrays(self) -> Weights:
        """The fixed weights as they are."""
        return Weights(*(getattr(self, key) for key in Weights._fields))

    # -- in the graph -----------------------------------------------------------------------------------------------
    def forward(self, x: Any = None, y: Any = None, state: Any = None, T: int | None = None) -> Any:
        """o (T, ..., output_size) and the last state, recorded: with y given each step reads the true y[t-1], without
        it the network's own o[t-1] (for T steps, if there is no x either).
        """
        T, rows = self._sizes(x, y, state, T)
        x, y = (None if v is None else as_data(v, self.dtype, "EchoState", role) for role, v in (("x", x), ("y", y)))
        h, fed = self._start(rows, state)
        with scope(self.label):
            w = Weights(*(Tensor(value, None, (), None, key, current(), False) for key, value in self._named()))
            with step(0):
                h, fed = _node("h", h), _node("y", fed)
            outputs = []
            for t in steps(1, T + 1):
                x_t = None if x is None or not self.input_size else _node("x", x[t - 1])
                h = name("h", self.step(w, h, x_t, fed if self.feedback else None))
                o = name("o", self.c + linear(h, self.V))
                outputs.append(o)
                fed = o if y is None else _node("y", y[t - 1])
        return np.stack(outputs), (h, fed)

    def _named(self) -> list[tuple[str, Any]]:
        return [(key, value if value.ndim else float(value)) for key, value in self.arrays()._asdict().items()]

    # -- fast, without a graph --------------------------------------------------------------------------------------
    def states(
        self, x: Any = None, y: Any = None, state: Any = None, noise: float = 0.0
    ) -> tuple[np.ndarray, tuple[Any, Any]]:
        """h[1], ..., h[T] (T, ..., hidden_size) with y given, and the state behind them.

        `noise` adds uniform numbers between minus and plus it to every h: a readout that is fed back then runs stably.
        """
        T, rows = self._sizes(x, y, state, None)
        x, y = self._array("x", x), self._array("y", y)
        noise = from_zero("EchoState", "noise", noise)
        h, fed = self._start(rows, state)
        w, found = self.arrays(), np.empty((T, *rows, self.hidden_size), self.dtype)
        for t in range(T):
            h = self.step(w, h, None if x is None or not self.input_size else x[t], fed if self.feedback else None)
            if noise:
                h = h + generator().uniform(-noise, noise, h.shape)
            found[t] = h
            if y is not None:
                fed = y[t]
        return found, (h, fed)

    def fit(
        self, x: Any = None, y: Any = None, washout: int = 100, ridge: float = 0.0, noise: float = 0.0,
        state: Any = None,
    ) -> Any:  # fmt: skip
        """Solve for the V and c that bring o closest to y, and return the state behind the sequence.

        The first `washout` steps only forget the initial state. `ridge` weighs the squares of V: it minimises
        sum (o - y)² + ridge sum V². Several series, each with a washout and a state of its own, are lists: of y, and of
        x and the states where there are any; a list of states is then returned. Raises `GraphError` when nothing is
        left behind the washout, and for numbers below 0, `NonFiniteError` for series with nan or inf in them.
        """
        washout, ridge = whole("EchoState", "washout", washout, least=0), from_zero("EchoState", "ridge", ridge)
        several = isinstance(y, list) and bool(y) and np.ndim(plain(y[0])) > 1
        ys = y if several else [y]
        xs = _for_each("x", x, len(ys)) if several else [x]
        starts = _for_each("state", state, len(ys)) if several else [state]
        found = [self._collected(*series, washout, noise) for series in zip(xs, ys, starts, strict=True)]
        H, Y = np.concatenate([H for H, _, _ in found]), np.concatenate([Y for _, Y, _ in found])
        solution = ridge_regression(H, Y, ridge)
        self.V.assign(solution[:-1].T)
        self.c.assign(solution[-1])
        ends = [end for _, _, end in found]
        return ends if several else ends[0]

    def _collected(
        self, x: Any, y: Any, state: Any, washout: int, noise: float
    ) -> tuple[np.ndarray, np.ndarray, tuple[Any, Any]]:
        """The states behind the washout as rows, what they are to become, and the state behind the series."""
        if y is None or len(y) <= washout:
            raise GraphError(f"fit: y has {0 if y is None else len(y)} steps, and {washout} of them are washed out")
        for role, series in (("x", x), ("y", y)):
            if series is not None and len(at := np.argwhere(~np.isfinite(self._array(role, series)))):
                raise NonFiniteError(
                    f"fit: {role} holds nan or inf, first at step {at[0][0] + 1}: fit the series before and behind it, "
                    "as two in a list"
                )
        found, state = self.states(x, y, state, noise)
        Y = self._array("y", y)
        return found[washout:].reshape(-1, self.hidden_size), Y[washout:].reshape(-1, self.output_size), state

    def generate(self, T: int, state: Any, x: Any = None) -> tuple[np.ndarray, tuple[Any, Any]]:
        """Run freely for T steps: each step reads the network's own output; o (T, ..., output_size), and the state.

        Raises `ShapeError` for an x that is missing, too short or of another shape.
        """
        T, rows = whole("EchoState", "T", T), np.shape(plain(state[0]))[:-1]
        h, fed = (np.asarray(plain(part)) for part in self._start(rows, state))
        w, V, c, found = self.arrays(), self.V.value, self.c.value, []
        x = self._array("x", x if self.input_size else None)
        if x is None and self.input_size:
            raise ShapeError(f"EchoState: x is missing; it has {self.input_size} entries at each step")
        if x is not None and len(x) < T:
            raise ShapeError(f"EchoState: x has {len(x)} steps, but {T} are to be generated")
        if x is not None and x.shape[1:] != (*rows, self.input_size):
            raise ShapeError(f"EchoState: x has shape {x.shape}, but has to be {(T, *rows, self.input_size)}")
        for t in range(T):
            h = self.step(w, h, None if x is None else x[t], fed if self.feedback else None)
            fed = c + linear(h, V)
            found.append(fed)
        return np.stack(found), (h, fed)

    # -- shapes -----------------------------------------------------------------------------------------------------
    def _sizes(self, x: Any, y: Any, state: Any, T: int | None) -> tuple[int, tuple[int, ...]]:
        """How many steps, and () or (B,)."""
        for role, value, size in (("x", x, self.input_size), ("y", y, self.output_size)):
            shape = np.shape(plain(value)) if value is not None else None
            if shape is not None and (len(shape) not in (2, 3) or shape[-1] != size):
                raise ShapeError(f"EchoState: {role} has shape {shape}, but has to be (T, {size}) or (T, B, {size})")
        if x is None and self.input_size:
            raise ShapeError(f"EchoState: x is missing; it has {self.input_size} entries at each step")
        shapes = [np.shape(plain(value))[:-1] for value in (x, y) if value is not None]
        if len(shapes) == 2 and shapes[0] != shapes[1]:
            raise ShapeError(f"EchoState: x has {shapes[0]} steps and rows, y has {shapes[1]}")
        if shapes:
            return shapes[0][0], tuple(shapes[0][1:])
        if T is None:
            raise GraphError("EchoState: without x and y, say how many steps: T=")
        return T, () if state is None else np.shape(plain(state[0]))[:-1]

    def _start(self, rows: tuple[int, ...], state: Any) -> tuple[Any, Any]:
        if state is not None:
            shapes = [(*rows, self.hidden_size), (*rows, self.output_size)]
            h, fed = given_states(state, ("h", "y"), shapes, self.dtype, "EchoState")
            return h, fed
        return np.zeros((*rows, self.hidden_size), self.dtype), np.zeros((*rows, self.output_size), self.dtype)

    def _array(self, role: str, series: Any) -> Any:
        """A series as an array of the weights' dtype."""
        return None if series is None else as_data(plain(series), self.dtype, "EchoState", role)


def from_zero(kind: str, what: str, number: Any) -> float:
    """A number from 0 on; raises `GraphError` for anything else."""
    if not isinstance(number, Real) or not 0.0 <= float(number) < inf:
        raise GraphError(f"{kind}: {what} is {number!r}, but has to be a number from 0 on")
    return float(number)


def _for_each(role: str, parts: Any, count: int) -> list[Any]:
    """One for each series; None for each where none is given."""
    if parts is None:
        return [None] * count
    if not isinstance(parts, list) or len(parts) != count:
        found = f"a list of {len(parts)}" if isinstance(parts, list) else type(parts).__name__
        raise ShapeError(f"fit: y is a list of {count} series, so {role} has to be one as well, not {found}")
    return parts


def _node(role: str, value: Any) -> Tensor:
    return name(role, value) if isinstance(value, Tensor) else leaf(role, np.asarray(value))


def ridge_regression(H: np.ndarray, Y: np.ndarray, ridge: float = 0.0) -> np.ndarray:
    """The rows of V transposed, and below them c, that minimise sum (H V.T + c - Y)² + ridge sum V².

    H (n, N), Y (n, O); the result is (N + 1, O). Least squares of stacked rows: more exact than normal equations.

    >>> import numpy as np
    >>> ridge_regression(np.array([[0.0], [1.0], [2.0]]), np.array([[1.0], [3.0], [5.0]])).round(12).ravel().tolist()
    [2.0, 1.0]
    """
    n, N = H.shape
    ridge = from_zero("ridge_regression", "ridge", ridge)
    left, right = np.column_stack([H, np.ones(n)]), Y
    if ridge:
        left = np.vstack([left, np.sqrt(ridge) * np.eye(N, N + 1)])
        right = np.vstack([Y, np.zeros((N, Y.shape[1]))])
    return np.linalg.lstsq(left, right, rcond=None)[0]
