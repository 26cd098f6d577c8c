"""Twelve ways to write an LSTM and a GRU, compiled: the time of each against the same cell with its gates apart.

All ways of a cell compute the same function of the same numbers, so a difference in time is a form that the compiler
has not seen through. They run in the same rounds.
"""

import sys
from collections.abc import Callable, Sequence
from time import process_time
from typing import Any

import numpy as np

import tinygrad_rnn as tg
from benchmarks import table, timing

Arrays = dict[str, Any]
Gates = Callable[[Arrays, Any, Any, int], Sequence[Any]]
GATES = {"LSTM": "ifgo", "GRU": "rzn"}
#: hidden size, batch, steps, inputs
SIZE = (64, 16, 50, 48)
#: the highest ratio allowed
WITHIN = 1.1
sigmoid = tg.sigmoid


# -- the numbers ------------------------------------------------------------------------------------------------------
def numbers(cell: str, size: tuple[int, int, int, int] = SIZE, dtype: str = "float32") -> tuple[Arrays, Any, Any]:
    """Parameters with the gates apart, each for rows; x (T, B, D) and what each output counts, (T, B, H)."""
    H, B, T, D = size
    rng = np.random.default_rng(0)
    p: Arrays = {}
    for gate in GATES[cell]:
        p |= {f"U{gate}": rng.normal(size=(D, H)), f"W{gate}": rng.normal(size=(H, H)), f"b{gate}": rng.normal(size=H)}
    p |= {name: rng.normal(size=(B, H)) for name in ("h0", "c0")[: 2 if cell == "LSTM" else 1]}
    p |= {"c": rng.normal(size=H)} if cell == "GRU" else {}
    made = {name: (value * H**-0.5).astype(dtype) for name, value in p.items()}
    return made, *(rng.normal(size=(T, B, n)).astype(dtype) for n in (D, H))


def stacked(order: str, axis: int = 1) -> Callable[[Arrays], Arrays]:
    """The weights of all gates side by side in this order; axis 0: transposed, one above the other."""

    def pack(p: Arrays) -> Arrays:
        rest = {name: value for name, value in p.items() if name in ("h0", "c0", "c")}
        U, W = (np.concatenate([p[f"{name}{gate}"] for gate in order], 1) for name in "UW")
        b = np.concatenate([p[f"b{gate}"] for gate in order])
        turned = (lambda x: np.ascontiguousarray(x.T)) if axis == 0 else lambda x: x
        return {"U": turned(U), "W": turned(W), "b": b} | rest

    return pack


def joined(names: str, gates: str, axis: int = 0) -> Callable[[Arrays], Arrays]:
    """As `stacked`, with the weights for x and h in one matrix, of these gates; those of others stay apart."""

    def pack(p: Arrays) -> Arrays:
        V = np.concatenate([np.concatenate([p[f"{name}{gate}"] for name in names]) for gate in gates], 1)
        b = np.concatenate([p[f"b{gate}"] for gate in gates])
        rest = {name: value for name, value in p.items() if len(name) < 2 or name[1] not in gates}
        return {"V": V if axis == 0 else np.ascontiguousarray(V.T), "b": b} | rest

    return pack


def as_it_is(p: Arrays) -> Arrays:
    """Gates apart."""
    return p


# -- the cells --------------------------------------------------------------------------------------------------------
def lstm(gates: Gates, columns: bool = False) -> Callable[..., Any]:
    """A loss through an LSTM whose gates are computed so, after their nonlinearities, in the order i, f, g, o."""

    def loss(p: Arrays, x: Any, weights: Any) -> Any:
        h, c, total = p["h0"], p["c0"], 0.0
        for t in tg.steps(len(x)):
            i, f, g, o = gates(p, x[t], h, h.shape[0 if columns else 1])
            c = f * c + i * g
            h = o * np.tanh(c)
            total = total + np.sum(weights[t] * h)
        return total

    return loss


def gru(gates: Gates, columns: bool = False) -> Callable[..., Any]:
    """A loss through a GRU: r, z, and the shares of x and of h in n."""

    def loss(p: Arrays, x: Any, weights: Any) -> Any:
        h, total = p["h0"], 0.0
        inner = p["c"][:, None] if columns else p["c"]
        for t in tg.steps(len(x)):
            r, z, nx, nh = gates(p, x[t], h, h.shape[0 if columns else 1])
            n = np.tanh(nx + r * (nh + inner))
            h = (1 - z) * n + z * h
            total = total + np.sum(weights[t] * h)
        return total

    return loss


def _cut(a: Any, H: int, order: str, gates: str) -> list[Any]:
    return [a[:, order.index(k) * H : (order.index(k) + 1) * H] for k in gates]


def _lstm_of(a: Any, H: int, order: str) -> list[Any]:
    i, f, g, o = _cut(a, H, order, "ifgo")
    return [sigmoid(i), sigmoid(f), np.tanh(g), sigmoid(o)]


def _gru_of(a: Any, b: Any, H: int, order: str) -> list[Any]:
    r, z, nx = _cut(a, H, order, "rzn")
    rh, zh, nh = _cut(b, H, order, "rzn")
    return [sigmoid(r + rh), sigmoid(z + zh), nx, nh]


# -- the ways of the LSTM ---------------------------------------------------------------------------------------------
def lstm_apart(p: Arrays, x: Any, h: Any, H: int) -> list[Any]:
    """Gates apart."""
    i, f, g, o = (x @ p[f"U{k}"] + h @ p[f"W{k}"] + p[f"b{k}"] for k in "ifgo")
    return [sigmoid(i), sigmoid(f), np.tanh(g), sigmoid(o)]


def lstm_stacked(p: Arrays, x: Any, h: Any, H: int) -> list[Any]:
    """Stacked, cut into slices."""
    return _lstm_of(x @ p["U"] + h @ p["W"] + p["b"], H, "ifgo")


def lstm_sigmoids_together(p: Arrays, x: Any, h: Any, H: int) -> list[Any]:
    """Stacked in another order, one sigmoid for all."""
    a = x @ p["U"] + h @ p["W"] + p["b"]
    s, g = sigmoid(a[:, : 3 * H]), np.tanh(a[:, 3 * H :])
    return [s[:, 2 * H :], s[:, H : 2 * H], g, s[:, :H]]


def lstm_split(p: Arrays, x: Any, h: Any, H: int) -> list[Any]:
    """np.split."""
    i, f, g, o = np.split(x @ p["U"] + h @ p["W"] + p["b"], 4, axis=1)
    return [sigmoid(i), sigmoid(f), np.tanh(g), sigmoid(o)]


def lstm_h_first(p: Arrays, x: Any, h: Any, H: int) -> list[Any]:
    """h first, the bias in the middle."""
    return _lstm_of(h @ p["W"] + p["b"] + x @ p["U"], H, "ifgo")


def lstm_bias_last(p: Arrays, x: Any, h: Any, H: int) -> list[Any]:
    """The bias gate by gate."""
    a = _cut(x @ p["U"] + h @ p["W"], H, "ifgo", "ifgo")
    i, f, g, o = (part + p["b"][k * H : (k + 1) * H] for k, part in enumerate(a))
    return [sigmoid(i), sigmoid(f), np.tanh(g), sigmoid(o)]


def lstm_columns(p: Arrays, x: Any, h: Any, H: int) -> list[Any]:
    """Columns."""
    a = p["U"] @ x + p["W"] @ h + p["b"][:, None]
    return [f(a[k * H : (k + 1) * H]) for k, f in enumerate((sigmoid, sigmoid, np.tanh, sigmoid))]


def lstm_einsum(p: Arrays, x: Any, h: Any, H: int) -> list[Any]:
    """np.einsum."""
    return _lstm_of(np.einsum("bd,dk->bk", x, p["U"]) + np.einsum("bh,hk->bk", h, p["W"]) + p["b"], H, "ifgo")


def lstm_linear(p: Arrays, x: Any, h: Any, H: int) -> list[Any]:
    """tg.linear, weights as torch has them."""
    return _lstm_of(tg.linear(x, p["U"]) + tg.linear(h, p["W"]) + p["b"], H, "ifgo")


def lstm_joined(p: Arrays, x: Any, h: Any, H: int) -> list[Any]:
    """[h, x] in rows."""
    return _lstm_of(np.concatenate([h, x], axis=1) @ p["V"] + p["b"], H, "ifgo")


def lstm_joined_columns(p: Arrays, x: Any, h: Any, H: int) -> list[Any]:
    """[x; h] in columns."""
    a = p["V"] @ np.concatenate([x, h]) + p["b"][:, None]
    return [f(a[k * H : (k + 1) * H]) for k, f in enumerate((sigmoid, sigmoid, np.tanh, sigmoid))]


def lstm_reshaped(p: Arrays, x: Any, h: Any, H: int) -> list[Any]:
    """An axis of gates."""
    a = (x @ p["U"] + h @ p["W"] + p["b"]).reshape(len(h), 4, H)
    return [f(a[:, k]) for k, f in enumerate((sigmoid, sigmoid, np.tanh, sigmoid))]


# -- the ways of the GRU ----------------------------------------------------------------------------------------------
def gru_apart(p: Arrays, x: Any, h: Any, H: int) -> list[Any]:
    """Gates apart."""
    r, z = (x @ p[f"U{k}"] + h @ p[f"W{k}"] + p[f"b{k}"] for k in "rz")
    return [sigmoid(r), sigmoid(z), x @ p["Un"] + p["bn"], h @ p["Wn"]]


def gru_stacked(p: Arrays, x: Any, h: Any, H: int) -> list[Any]:
    """Stacked, cut into slices."""
    return _gru_of(x @ p["U"] + p["b"], h @ p["W"], H, "rzn")


def gru_sigmoids_together(p: Arrays, x: Any, h: Any, H: int) -> list[Any]:
    """Stacked in another order, one sigmoid for all."""
    a, b = x @ p["U"] + p["b"], h @ p["W"]
    s = sigmoid(a[:, H:] + b[:, H:])
    return [s[:, H:], s[:, :H], a[:, :H], b[:, :H]]


def gru_split(p: Arrays, x: Any, h: Any, H: int) -> list[Any]:
    """np.split."""
    r, z, nx = np.split(x @ p["U"] + p["b"], 3, axis=1)
    rh, zh, nh = np.split(h @ p["W"], 3, axis=1)
    return [sigmoid(r + rh), sigmoid(z + zh), nx, nh]


def gru_h_first(p: Arrays, x: Any, h: Any, H: int) -> list[Any]:
    """h first, the bias in the middle."""
    b, a = h @ p["W"], x @ p["U"]
    s = sigmoid(b[:, : 2 * H] + p["b"][: 2 * H] + a[:, : 2 * H])
    return [s[:, :H], s[:, H:], a[:, 2 * H :] + p["b"][2 * H :], b[:, 2 * H :]]


def gru_bias_last(p: Arrays, x: Any, h: Any, H: int) -> list[Any]:
    """The bias gate by gate."""
    r, z, nx = _cut(x @ p["U"], H, "rzn", "rzn")
    rh, zh, nh = _cut(h @ p["W"], H, "rzn", "rzn")
    return [sigmoid(r + rh + p["b"][:H]), sigmoid(z + zh + p["b"][H : 2 * H]), nx + p["b"][2 * H :], nh]


def gru_columns(p: Arrays, x: Any, h: Any, H: int) -> list[Any]:
    """Columns."""
    a, b = p["U"] @ x + p["b"][:, None], p["W"] @ h
    return [sigmoid(a[:H] + b[:H]), sigmoid(a[H : 2 * H] + b[H : 2 * H]), a[2 * H :], b[2 * H :]]


def gru_einsum(p: Arrays, x: Any, h: Any, H: int) -> list[Any]:
    """np.einsum."""
    return _gru_of(np.einsum("bd,dk->bk", x, p["U"]) + p["b"], np.einsum("bh,hk->bk", h, p["W"]), H, "rzn")


def gru_linear(p: Arrays, x: Any, h: Any, H: int) -> list[Any]:
    """tg.linear, weights as torch has them."""
    return _gru_of(tg.linear(x, p["U"]) + p["b"], tg.linear(h, p["W"]), H, "rzn")


def gru_joined(p: Arrays, x: Any, h: Any, H: int) -> list[Any]:
    """[h, x] in rows."""
    s = sigmoid(np.concatenate([h, x], axis=1) @ p["V"] + p["b"])
    return [s[:, :H], s[:, H:], x @ p["Un"] + p["bn"], h @ p["Wn"]]


def gru_joined_columns(p: Arrays, x: Any, h: Any, H: int) -> list[Any]:
    """[x; h] in columns."""
    s = sigmoid(p["V"] @ np.concatenate([x, h]) + p["b"][:, None])
    return [s[:H], s[H:], p["Un"].T @ x + p["bn"][:, None], p["Wn"].T @ h]


def gru_reshaped(p: Arrays, x: Any, h: Any, H: int) -> list[Any]:
    """An axis of gates."""
    a, b = (y.reshape(len(h), 3, H) for y in (x @ p["U"] + p["b"], h @ p["W"]))
    return [sigmoid(a[:, 0] + b[:, 0]), sigmoid(a[:, 1] + b[:, 1]), a[:, 2], b[:, 2]]


#: for each cell its ways: how gates are computed, how weights are held, whether samples are columns
WAYS: dict[str, list[tuple[Gates, Callable[[Arrays], Arrays], bool]]] = {
    "LSTM": [
        (lstm_apart, as_it_is, False),
        (lstm_stacked, stacked("ifgo"), False),
        (lstm_sigmoids_together, stacked("ofig"), False),
        (lstm_split, stacked("ifgo"), False),
        (lstm_h_first, stacked("ifgo"), False),
        (lstm_bias_last, stacked("ifgo"), False),
        (lstm_columns, stacked("ifgo", 0), True),
        (lstm_einsum, stacked("ifgo"), False),
        (lstm_linear, stacked("ifgo", 0), False),
        (lstm_joined, joined("WU", "ifgo"), False),
        (lstm_joined_columns, joined("UW", "ifgo", 1), True),
        (lstm_reshaped, stacked("ifgo"), False),
    ],
    "GRU": [
        (gru_apart, as_it_is, False),
        (gru_stacked, stacked("rzn"), False),
        (gru_sigmoids_together, stacked("nzr"), False),
        (gru_split, stacked("rzn"), False),
        (gru_h_first, stacked("rzn"), False),
        (gru_bias_last, stacked("rzn"), False),
        (gru_columns, stacked("rzn", 0), True),
        (gru_einsum, stacked("rzn"), False),
        (gru_linear, stacked("rzn", 0), False),
        (gru_joined, joined("WU", "rz"), False),
        (gru_joined_columns, joined("UW", "rz", 1), True),
        (gru_reshaped, stacked("rzn"), False),
    ],
}


def written(cell: str, n: int, size: tuple[int, int, int, int] = SIZE, dtype: str = "float32") -> tuple[Any, Any]:
    """One way: the loss, and its arguments."""
    gates, pack, columns = WAYS[cell][n]
    p, x, weights = numbers(cell, size, dtype)
    p = pack(p)
    if columns:
        x, weights = (np.ascontiguousarray(y.swapaxes(1, 2)) for y in (x, weights))
        p |= {name: np.ascontiguousarray(p[name].T) for name in ("h0", "c0") if name in p}
    return (lstm if cell == "LSTM" else gru)(gates, columns), (p, x, weights)


def main(rounds: int, write: bool, only: str = "") -> None:
    """Time all ways of both cells with both executors, print the table, and keep it in docs/benchmarks.md."""
    ratios: dict[tuple[str, str], list[float]] = {}
    for cell in GATES:
        contestants = {}
        for executor in ("numpy", "jit"):
            for n in range(len(WAYS[cell])):
                loss, given = written(cell, n)
                fast = tg.compile(tg.value_and_grad(loss), executor=executor)
                contestants[executor, n] = lambda fast=fast, given=given: fast(*given)
        seconds = timing.interleaved(contestants, rounds, clock=process_time)  # type: ignore[arg-type]
        for executor in ("numpy", "jit"):
            apart = seconds[executor, 0]  # type: ignore[index]
            ratios[cell, executor] = [
                timing.ratio(seconds[executor, n], apart)
                for n in range(len(WAYS[cell]))  # type: ignore[index]
            ]
    names = [(gates.__doc__ or "").rstrip(".") for gates, _, _ in WAYS["LSTM"]]
    header = ["way", *(f"{cell}, {executor}" for cell, executor in ratios)]
    rows = [[name, *(f"{found[n]:.2f}" for found in ratios.values())] for n, name in enumerate(names)]
    worst = max(max(found) for found in ratios.values())
    H, B, T, D = SIZE
    said = f"H {H}, B {B}, T {T}, D {D}, float32. {table.setting(('numpy', 'numba'))} Highest ratio {worst:.2f}"
    text = f"{said} (asked for: {WITHIN:.2f}).\n\n{table.aligned(header, rows)}"
    print(text)
    if write:
        table.keep("ways", text)
    sys.exit(0 if worst <= WITHIN else 1)
