"""Functions to compile, as people write them: what each has of its own, its sizes and its parameters.

Each entry of `LOSSES` is (loss, parameters, arguments) for H = 4 features, D = 3 inputs, B = 2 samples and T steps.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

import tinygrad_rnn as tg

H, D, B = 4, 3, 2
Arrays = dict[str, Any]
rng = np.random.default_rng(3)


def cell(p: Arrays, x: Any, h: Any, k: str = "") -> Any:
    return np.tanh(tg.linear(x, p["U" + k]) + tg.linear(h, p["W" + k]) + p["b" + k])


def zeros(x: Any) -> np.ndarray:
    return np.zeros((x.shape[1], H))


def every_step(p: Arrays, x: Any) -> Any:
    h, total = zeros(x), 0.0
    for t in tg.steps(len(x)):
        h = cell(p, x[t], h)
        total = total + np.sum(h**2)
    return total


def last_step(p: Arrays, x: Any) -> Any:
    h = p["h0"]
    for t in tg.steps(len(x)):
        h = cell(p, x[t], h)
    return np.sum(h**2)


def last_step_inside(p: Arrays, x: Any) -> Any:
    h = zeros(x)
    for t in tg.steps(len(x)):
        h = cell(p, x[t], h)
        loss = np.sum(h**2)
    return loss


def lstm(p: Arrays, x: Any) -> Any:
    h, c, total = p["h0"], p["c0"], 0.0
    for t in tg.steps(len(x)):
        a = {k: tg.linear(x[t], p["U" + k]) + tg.linear(h, p["W" + k]) + p["b" + k] for k in "ifgo"}
        c = tg.sigmoid(a["f"]) * c + tg.sigmoid(a["i"]) * np.tanh(a["g"])
        h = tg.sigmoid(a["o"]) * np.tanh(c)
        total = total + np.sum(h * h)
    return total / len(x)


def gru_in_columns(p: Arrays, x: Any) -> Any:
    h, losses = p["h0"].T, []
    for t in tg.steps(len(x)):
        column = x[t].T
        r = tg.sigmoid(p["Ur"] @ column + p["Wr"] @ h + p["br"][:, None])
        z = tg.sigmoid(p["Uz"] @ column + p["Wz"] @ h + p["bz"][:, None])
        n = np.tanh(p["Un"] @ column + p["Wn"] @ (r * h) + p["bn"][:, None])
        h = (1 - z) * n + z * h
        losses.append(np.sum(h * h))
    return sum(losses)


def vectors(p: Arrays, x: Any) -> Any:
    h, total = np.zeros(H), 0.0
    for t in tg.steps(len(x)):
        h = np.tanh(p["W"] @ h + p["U"] @ x[t, 0] + p["b"])
        total = total + np.sum(h * h)
    return total


def scalars(p: Arrays, x: Any) -> Any:
    h, total = 0.1, 0.0
    for t in tg.steps(len(x)):
        h = np.tanh(p["w"] * h + p["u"] * x[t, 0, 0])
        total = total + h * h
    return total


def layers(p: Arrays, x: Any) -> Any:
    hs = x
    for k in "12":
        h, outputs = zeros(x), []
        for t in tg.steps(len(x)):
            h = cell(p, hs[t], h, k)
            outputs.append(h)
        hs = np.stack(outputs)
    return np.sum(hs**2)


def layers_in_one_loop(p: Arrays, x: Any) -> Any:
    h1 = h2 = zeros(x)
    total = 0.0
    for t in tg.steps(len(x)):
        h1 = cell(p, x[t], h1, "1")
        h2 = cell(p, h1, h2, "2")
        total = total + np.sum(h2**2)
    return total


def both_directions(p: Arrays, x: Any) -> Any:
    h, there = zeros(x), []
    for t in tg.steps(len(x)):
        h = cell(p, x[t], h, "1")
        there.append(h)
    h, back = zeros(x), []
    for t in tg.steps(len(x) - 1, -1, -1):
        h = cell(p, x[t], h, "b")
        back.append(h)
    both = np.concatenate([np.stack(there), np.stack(back[::-1])], axis=-1)
    return np.sum(tg.linear(both, p["V"]) ** 2) / len(x)


def there_and_back(p: Arrays, x: Any) -> Any:
    """Two loops that count differently, of which both ends are read."""
    h, there = zeros(x), []
    for t in tg.steps(1, len(x) + 1):
        h = cell(p, x[t - 1], h, "1")
        there.append(h)
    h, back = zeros(x), [None] * len(x)
    for t in tg.steps(len(x) - 1, -1, -1):
        h = back[t] = cell(p, np.stack(there)[t], h, "2")
    return np.sum(back[-1] ** 2) + np.sum(np.stack(back)[0])


def delays(p: Arrays, x: Any) -> Any:
    h = older = zeros(x)
    total = 0.0
    for t in tg.steps(len(x)):
        h, older = cell(p, x[t], older), h
        total = total + np.sum(h**2)
    return total


def next_input(p: Arrays, x: Any) -> Any:
    h, total = zeros(x), 0.0
    for t in tg.steps(len(x) - 1):
        h = cell(p, x[t], h)
        total = total + np.sum((tg.linear(h, p["V"]) - x[t + 1]) ** 2)
    return total


def classes(p: Arrays, x: Any) -> Any:
    h, outputs = zeros(x), []
    for t in tg.steps(len(x)):
        h = cell(p, x[t], h)
        outputs.append(h)
    targets = np.zeros(x.shape[:2], int)
    return np.mean(tg.cross_entropy(tg.linear(np.stack(outputs), p["W"]), targets))


def many_functions(p: Arrays, x: Any) -> Any:
    h, total = zeros(x), 0.0
    for t in tg.steps(len(x)):
        h = cell(p, x[t], h)
        kept = np.concatenate([np.exp(h), np.abs(h)], axis=-1)[:, 1:6]
        total = total + np.sum(tg.softmax(h) * tg.log_softmax(h)) + np.sum(tg.softplus(h) + tg.relu(h)) + np.sum(kept)
    return total


def normalised(p: Arrays, x: Any) -> Any:
    h, total = zeros(x), 0.0
    for t in tg.steps(len(x)):
        z = tg.linear(x[t], p["U"]) + tg.linear(h, p["W"])
        z = (z - np.mean(z, axis=-1, keepdims=True)) / np.sqrt(np.var(z, axis=-1, keepdims=True) + 1e-2)
        h = np.tanh(z * p["b"])
        total = total + np.sum(h**3)
    return total


def sliced_gates(p: Arrays, x: Any) -> Any:
    h, total = zeros(x), 0.0
    for t in tg.steps(len(x)):
        z = x[t] @ p["A"] + h @ p["B"]
        h = np.tanh(z[:, :H]) * tg.sigmoid(z[:, H:])
        total = total + np.sum(h)
    return total


def without_steps(p: Arrays, x: Any) -> Any:
    return np.sum(np.tanh(tg.linear(x, p["U"])) ** 2)


def two_starts(p: Arrays, x: Any) -> Any:
    """A product with the state before it, read twice, and a state that begins as a number."""
    h, c, total = zeros(x), 0.0, 0.0
    for t in tg.steps(len(x)):
        c = 0.9 * c + cell(p, x[t], h)
        h = np.tanh(c)
        total = total + np.sum(h) + np.sum(h * tg.linear(h, p["W"]))
    return total


def weights(*shape: int) -> np.ndarray:
    return 0.6 * rng.standard_normal(shape)


def parameters(*kinds: str) -> Arrays:
    found: Arrays = {"h0": weights(B, H), "c0": weights(B, H)}
    for k in kinds:
        found |= {"W" + k: weights(H, H), "U" + k: weights(H, H if k == "2" else D), "b" + k: weights(H)}
    return found | {"V": weights(D, H), "A": weights(D, 2 * H), "B": weights(H, 2 * H)}


P = parameters("")
LOSSES: dict[str, tuple[Callable[..., Any], Arrays]] = {
    "every step": (every_step, P), "last step": (last_step, P), "last step inside": (last_step_inside, P),
    "lstm": (lstm, parameters(*"ifgo")), "gru in columns": (gru_in_columns, parameters(*"rzn")),
    "vectors": (vectors, P), "scalars": (scalars, {"w": 0.5, "u": -0.7}), "layers": (layers, parameters("1", "2")),
    "layers in one loop": (layers_in_one_loop, parameters("1", "2")),
    "both directions": (both_directions, parameters("1", "b") | {"V": weights(2, 2 * H)}), "delays": (delays, P),
    "next input": (next_input, P), "classes": (classes, P), "many functions": (many_functions, P),
    "normalised": (normalised, P), "sliced gates": (sliced_gates, P), "without steps": (without_steps, P),
    "two starts": (two_starts, P),
}  # fmt: skip


def inputs(T: int, dtype: str = "float64") -> np.ndarray:
    return np.random.default_rng(T).standard_normal((T, B, D)).astype(dtype)
