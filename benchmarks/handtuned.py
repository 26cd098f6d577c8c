"""Backpropagation through time as somebody writes it in numpy who wants it fast and knows how.

One product for all gates; the inputs' products and the weights' gradients once for all steps; every buffer allocated
and every view sliced beforehand; sigmoid(a) = tanh(a/2)/2 + 1/2 in place, the first 1/2 multiplied into a copy of the
weights. Two layouts: one sample a row, or one sample a column, where the gates of a step are contiguous; the lines that
work entry by entry are the same for both.
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from benchmarks.networks import Arrays, Problem, Size

Result = tuple[float, Arrays]


class Layout(Protocol):
    """Where samples stand, and so how products are written."""

    def array(self, steps: int, features: int) -> np.ndarray: ...
    def turned(self, x: np.ndarray) -> np.ndarray: ...
    def part(self, a: np.ndarray, start: int, stop: int) -> np.ndarray: ...
    def bias(self, b: np.ndarray) -> np.ndarray: ...
    def products(self, x: np.ndarray, U: np.ndarray, out: np.ndarray) -> None: ...
    def forward(self, h: np.ndarray, W: np.ndarray, out: np.ndarray) -> None: ...
    def backward(self, d: np.ndarray, W: np.ndarray, out: np.ndarray) -> None: ...
    def outer(self, x: np.ndarray, d: np.ndarray) -> np.ndarray: ...
    def total(self, d: np.ndarray) -> np.ndarray: ...


class Rows:
    """Arrays are (steps, samples, features), weights (from, to)."""

    def __init__(self, size: Size, dtype: Any) -> None:
        self.size, self.dtype = size, dtype
        self.ones = np.ones(size.T * size.B, dtype)

    def array(self, steps: int, features: int) -> np.ndarray:
        return np.zeros((steps, self.size.B, features), self.dtype)

    def turned(self, x: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(x)

    def part(self, a: np.ndarray, start: int, stop: int) -> np.ndarray:
        return a[..., start:stop]

    def bias(self, b: np.ndarray) -> np.ndarray:
        return b

    def products(self, x: np.ndarray, U: np.ndarray, out: np.ndarray) -> None:
        np.dot(_flat(x), U, out=_flat(out))

    def forward(self, h: np.ndarray, W: np.ndarray, out: np.ndarray) -> None:
        np.dot(h, W, out=out)

    def backward(self, d: np.ndarray, W: np.ndarray, out: np.ndarray) -> None:
        np.dot(d, W.T, out=out)

    def outer(self, x: np.ndarray, d: np.ndarray) -> np.ndarray:
        return np.dot(_flat(x).T, _flat(d))

    def total(self, d: np.ndarray) -> np.ndarray:
        return np.dot(self.ones, _flat(d))


class Columns:
    """Arrays are (steps, features, samples), weights (to, from)."""

    def __init__(self, size: Size, dtype: Any) -> None:
        self.size, self.dtype = size, dtype
        self.ones = np.ones(size.T * size.B, dtype)
        self.buffers: dict[tuple[str, int], np.ndarray] = {}

    def array(self, steps: int, features: int) -> np.ndarray:
        return np.zeros((steps, features, self.size.B), self.dtype)

    def turned(self, x: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(np.swapaxes(x, -1, -2))

    def part(self, a: np.ndarray, start: int, stop: int) -> np.ndarray:
        return a[..., start:stop, :]

    def bias(self, b: np.ndarray) -> np.ndarray:
        return b[:, None]

    def products(self, x: np.ndarray, U: np.ndarray, out: np.ndarray) -> None:
        np.matmul(U, x, out=out)

    def forward(self, h: np.ndarray, W: np.ndarray, out: np.ndarray) -> None:
        np.dot(W, h, out=out)

    def backward(self, d: np.ndarray, W: np.ndarray, out: np.ndarray) -> None:
        np.dot(W.T, d, out=out)

    def outer(self, x: np.ndarray, d: np.ndarray) -> np.ndarray:
        return np.dot(self._wide("d", d), self._wide("x", x).T)

    def total(self, d: np.ndarray) -> np.ndarray:
        return np.dot(self._wide("d", d), self.ones)

    def _wide(self, which: str, a: np.ndarray) -> np.ndarray:
        """All steps side by side, so that their sum over time is one product; into a buffer kept for it."""
        steps, features, samples = a.shape
        wide = self.buffers.setdefault((which, features), np.empty((features, steps * samples), self.dtype))
        np.copyto(wide.reshape(features, steps, samples), a.transpose(1, 0, 2))
        return wide


LAYOUTS: dict[str, Callable[[Size, Any], Layout]] = {"rows": Rows, "columns": Columns}


class Tuned:
    """What the three cells share: buffers, the first states, products before and after the loops."""

    order: tuple[int, ...]  # which of torch's gates stands where in U and b
    sigmoids: slice  # which of those are sigmoids
    order_W: tuple[int, ...] | None = None  # the same for W, if it differs
    sigmoids_W: slice | None = None

    def __init__(self, case: Problem, layout: str) -> None:
        size, self.case = case.size, case
        self.at = at = LAYOUTS[layout](size, case.dtype)
        self.T, self.H, self.gates = size.T, size.H, len(self.order)
        self.orders = {"U": self.order, "b": self.order, "W": self.order_W or self.order}
        self.parameters = {name: self._ordered(name, value) for name, value in case.parameters.items()}
        self.halved = {name: self.parameters[name].copy() for name in self.orders}
        self.x, self.weights = at.turned(case.x), at.turned(case.weights)
        self.Z, self.hs = at.array(self.T, self.gates * self.H), at.array(self.T + 1, self.H)
        self.hs[0] = at.turned(case.states["h0"])
        self.dh, self.half = at.array(1, self.H)[0], case.dtype.type(0.5)
        self.one = np.ones((), case.dtype)

    def gate(self, a: np.ndarray, start: int, stop: int | None = None) -> list[np.ndarray]:
        """The gates from `start` to before `stop`, one view for each step."""
        return list(self.at.part(a, start * self.H, (start + 1 if stop is None else stop) * self.H))

    def prepare(self) -> None:
        """What does not wait for the states: halved weights, and the inputs' products for all steps."""
        for name, halved in self.halved.items():
            np.copyto(halved, self.parameters[name])
            sigmoids = self.sigmoids_W if name == "W" and self.sigmoids_W else self.sigmoids
            part = slice(sigmoids.start * self.H, sigmoids.stop * self.H)
            (halved[part] if name == "b" else self.at.part(halved, part.start, part.stop))[...] *= self.half
        self.at.products(self.x, self.halved["U"], self.Z)
        self.Z += self.at.bias(self.halved["b"])

    def loss(self) -> float:
        return float(np.dot(self.hs[1:].reshape(-1), self.weights.reshape(-1)))

    def canonical(self, gradients: Arrays) -> Arrays:
        """The gradients in torch's order of gates, one sample a row."""
        turned = {name: self._turned(value) for name, value in gradients.items()}
        undo = {name: np.argsort(order) for name, order in self.orders.items()}
        return {name: _permuted(value, undo[name]) if name in undo else value for name, value in turned.items()}

    def _ordered(self, name: str, value: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(self._turned(_permuted(value, self.orders[name]) if name in self.orders else value))

    def _turned(self, value: np.ndarray) -> np.ndarray:
        return value.T if isinstance(self.at, Columns) else value


class RNN(Tuned):
    """h = tanh(a)"""

    order, sigmoids = (0,), slice(0, 0)

    def __init__(self, case: Problem, layout: str) -> None:
        super().__init__(case, layout)
        self.dZ = self.at.array(self.T, self.H)
        self.tmp = self.at.array(1, self.H)[0]
        h = list(self.hs)
        self.steps = list(zip(self.Z, h[:-1], h[1:], self.weights, self.dZ, strict=True))

    def __call__(self) -> Result:
        at, dh, tmp, one = self.at, self.dh, self.tmp, self.one
        self.prepare()
        W = self.parameters["W"]
        for z, h, h_new, _, _ in self.steps:
            at.forward(h, W, h_new)
            h_new += z
            np.tanh(h_new, out=h_new)
        dh.fill(0)
        for _, _, h_new, weights, dz in reversed(self.steps):
            dh += weights
            np.multiply(h_new, h_new, out=tmp)
            np.subtract(one, tmp, out=tmp)
            np.multiply(dh, tmp, out=dz)
            at.backward(dz, W, dh)
        return self.loss(), {
            "b": at.total(self.dZ), "W": at.outer(self.hs[:-1], self.dZ), "U": at.outer(self.x, self.dZ), "h0": dh,
        }  # fmt: skip


class LSTM(Tuned):
    """Gates in the order i, f, o, g: the three sigmoids side by side."""

    order, sigmoids = (0, 1, 3, 2), slice(0, 3)

    def __init__(self, case: Problem, layout: str) -> None:
        super().__init__(case, layout)
        at, T, H = self.at, self.T, self.H
        self.dZ, self.cs, self.tcs = at.array(T, 4 * H), at.array(T + 1, H), at.array(T, H)
        self.cs[0] = at.turned(case.states["c0"])
        self.dc, self.tmp, self.product = at.array(1, H)[0], at.array(1, H)[0], at.array(1, 4 * H)[0]
        self.tmp3 = at.array(1, 3 * H)[0]
        h, c = list(self.hs), list(self.cs)
        z = [list(self.Z), self.gate(self.Z, 0, 3), *(self.gate(self.Z, k) for k in range(4))]
        self.ahead = list(zip(*z, h[:-1], h[1:], c[:-1], c[1:], self.tcs, strict=True))
        d = [list(self.dZ), self.gate(self.dZ, 0, 3), *(self.gate(self.dZ, k) for k in range(4))]
        self.back = list(zip(*z[1:], *d, c[:-1], self.tcs, self.weights, strict=True))[::-1]

    def __call__(self) -> Result:
        at, dh, dc, tmp, tmp3, product, half, one = (
            self.at, self.dh, self.dc, self.tmp, self.tmp3, self.product, self.half, self.one,
        )  # fmt: skip
        self.prepare()
        W = self.halved["W"]
        for z, sigmoids, i, f, o, g, h, h_new, c, c_new, tc in self.ahead:
            at.forward(h, W, product)
            z += product
            np.tanh(z, out=z)
            sigmoids *= half
            sigmoids += half
            np.multiply(f, c, out=c_new)
            np.multiply(i, g, out=tmp)
            c_new += tmp
            np.tanh(c_new, out=tc)
            np.multiply(o, tc, out=h_new)
        dh.fill(0)
        dc.fill(0)
        W = self.parameters["W"]
        for sigmoids, i, f, o, g, dz, dsigmoids, di, df, do, dg, c, tc, weights in self.back:
            dh += weights
            np.multiply(dh, tc, out=do)
            np.multiply(tc, tc, out=tmp)
            np.subtract(one, tmp, out=tmp)
            tmp *= o
            tmp *= dh
            dc += tmp
            np.multiply(dc, g, out=di)
            np.multiply(dc, c, out=df)
            np.multiply(sigmoids, sigmoids, out=tmp3)
            np.subtract(sigmoids, tmp3, out=tmp3)
            dsigmoids *= tmp3
            np.multiply(g, g, out=tmp)
            np.subtract(one, tmp, out=tmp)
            tmp *= i
            np.multiply(dc, tmp, out=dg)
            dc *= f
            at.backward(dz, W, dh)
        return self.loss(), {
            "b": at.total(self.dZ), "W": at.outer(self.hs[:-1], self.dZ), "U": at.outer(self.x, self.dZ),
            "h0": dh, "c0": dc,
        }  # fmt: skip


class GRU(Tuned):
    """Gates in the order n, r, z; those of W, whose product is reset, in the order r, z, n.

    The gradients of n, r, z and of the reset product stand in this order in one array, so that its first three parts
    belong to U and its last three to W.
    """

    order, sigmoids = (2, 0, 1), slice(1, 3)
    order_W, sigmoids_W = (0, 1, 2), slice(0, 2)

    def __init__(self, case: Problem, layout: str) -> None:
        super().__init__(case, layout)
        at, T, H = self.at, self.T, self.H
        self.dA, self.ms = at.array(T, 4 * H), at.array(T, H)
        self.tmp, self.tmp2, self.product = at.array(1, H)[0], at.array(1, 2 * H)[0], at.array(1, 3 * H)[0]
        h = list(self.hs)
        gates = [self.gate(self.Z, 1, 3), *(self.gate(self.Z, k) for k in (1, 2, 0))]
        self.ahead = list(zip(*gates, h[:-1], h[1:], self.ms, strict=True))
        d = [self.gate(self.dA, 1, 4), self.gate(self.dA, 1, 3), *(self.gate(self.dA, k) for k in range(4))]
        self.back = list(zip(*gates, *d, h[:-1], self.ms, self.weights, strict=True))[::-1]

    def __call__(self) -> Result:
        at, dh, tmp, tmp2, half, one, H = self.at, self.dh, self.tmp, self.tmp2, self.half, self.one, self.H
        gates, inner = at.part(self.product, 0, 2 * H), at.part(self.product, 2 * H, 3 * H)
        self.prepare()
        W, c = self.halved["W"], at.bias(self.parameters["c"])
        for rz, r, z, n, h, h_new, m in self.ahead:
            at.forward(h, W, self.product)
            rz += gates
            np.tanh(rz, out=rz)
            rz *= half
            rz += half
            np.add(inner, c, out=m)
            np.multiply(r, m, out=tmp)
            n += tmp
            np.tanh(n, out=n)
            np.subtract(h, n, out=h_new)
            h_new *= z
            h_new += n
        dh.fill(0)
        W = self.parameters["W"]
        for rz, r, z, n, d_state, drz, dn, dr, dz, dm, h, m, weights in self.back:
            dh += weights
            np.subtract(h, n, out=tmp)
            np.multiply(dh, tmp, out=dz)
            np.multiply(n, n, out=tmp)
            np.subtract(one, tmp, out=tmp)
            np.multiply(dh, z, out=dm)
            dh -= dm
            np.multiply(dh, tmp, out=dn)
            np.copyto(dh, dm)
            np.multiply(dn, m, out=dr)
            np.multiply(rz, rz, out=tmp2)
            np.subtract(rz, tmp2, out=tmp2)
            drz *= tmp2
            np.multiply(dn, r, out=dm)
            at.backward(d_state, W, tmp)
            dh += tmp
        d_in, d_state = at.part(self.dA, 0, 3 * H), at.part(self.dA, H, 4 * H)
        return self.loss(), {
            "b": at.total(d_in), "U": at.outer(self.x, d_in), "W": at.outer(self.hs[:-1], d_state),
            "c": at.total(at.part(d_state, 2 * H, 3 * H)), "h0": dh,
        }  # fmt: skip


CELLS: dict[str, type[Tuned]] = {"RNN": RNN, "LSTM": LSTM, "GRU": GRU}


def _permuted(value: np.ndarray, order: Sequence[int]) -> np.ndarray:
    """The gates, which stand side by side on the last axis, in another order."""
    parts = np.split(value, len(order), axis=-1)
    return np.concatenate([parts[k] for k in order], axis=-1)


def _flat(a: np.ndarray) -> np.ndarray:
    return a.reshape(-1, a.shape[-1])
