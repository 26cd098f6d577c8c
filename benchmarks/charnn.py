"""A character-level network, trained: a plain numpy loop as it is written for teaching, against `train.fit` compiled.

H = 100, sequences of 25 characters, one at a time, Adagrad with rate 0.1, gradients cut at ±5: the setting of the
well-known script of 112 lines, whose manner `Plain` follows in own words. Each sequence starts from the state 0.
"""

import statistics
import sys
from time import process_time
from typing import Any

import numpy as np

import tinygrad_rnn as tg
from benchmarks import table

HIDDEN, LENGTH, RATE, CUT = 100, 25, 0.1, 5.0
TINY = 1e-10  # torch's epsilon of Adagrad
SYMBOLS = 65
#: how the network is trained -> dtype, what `fit` is told, how many times as fast as the plain loop it has to be
WAYS: dict[str, tuple[str, bool | str, float | None]] = {
    "fit, uncompiled": ("float64", False, None),
    "fit, compiled, numpy": ("float64", True, 2.0),
    "fit, compiled, jit": ("float64", "jit", 6.0),
    "fit, compiled, numpy, float32": ("float32", True, None),
    "fit, compiled, jit, float32": ("float32", "jit", None),
}
UPDATES, WARM = 1500, 200


def main(write: bool, rounds: int = 5) -> None:
    """See that all train alike, count updates per second, print the table and keep it in docs/benchmarks.md."""
    characters = text(LENGTH * UPDATES + 1)
    plain = Plain()
    # Adagrad's first step turns a gradient of rounding errors into one of full length: runs part after a few updates
    losses = [plain.update(*sequence(characters, n)) for n in range(5)]
    ways = {name: way for name, way in WAYS.items() if way[1] != "jit" or _installed("numba")}
    for name, (dtype, compiled, _) in ways.items():
        found = fitted(characters, dtype, compiled, 5)[0]
        np.testing.assert_allclose(found, losses, rtol=1e-8 if dtype == "float64" else 1e-2, err_msg=name)
    rates: dict[str, list[float]] = {"plain numpy loop": []} | {name: [] for name in ways}
    for turn in range(min(rounds, 5)):
        print(f"round {turn + 1}", file=sys.stderr, flush=True)
        rates["plain numpy loop"].append(plain_rate(characters))
        for name, (dtype, compiled, _) in ways.items():
            rates[name].append(fitted(characters, dtype, compiled, UPDATES)[1])
    said = report(rates)
    print(said)
    if write:
        table.keep("charnn", said)


def report(rates: dict[str, list[float]]) -> str:
    """Updates per second of processor time; a ratio is the median of the rounds' ratios."""
    plain = rates["plain numpy loop"]
    rows = []
    for name, found in rates.items():
        target = WAYS[name][2] if name in WAYS else None
        times = statistics.median(a / b for a, b in zip(found, plain, strict=True))
        met = "" if target is None else "yes" if times >= target else "**no**"
        asked = "" if target is None else f"≥ {target:.0f}"
        rows.append([name, f"{statistics.median(found):,.0f}", f"{times:.2f}", asked, met])
    packages = table.setting(("numpy", "numba"))
    return f"{packages}\n\n{table.aligned(('how', 'updates a second', 'times plain', 'target', 'met'), rows)}"


def sequence(characters: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """The n-th sequence, and what follows each of its characters."""
    at = n * LENGTH
    return characters[at : at + LENGTH], characters[at + 1 : at + LENGTH + 1]


def plain_rate(characters: np.ndarray) -> float:
    """Updates per second of the plain loop."""
    plain = Plain()
    start = 0.0
    for n in range(UPDATES):
        if n == WARM:
            start = process_time()
        plain.update(*sequence(characters, n))
    return (UPDATES - WARM) / (process_time() - start)


class Network(tg.nn.Module):
    """The same network with the same first weights, one sample a row."""

    def __init__(self, dtype: str) -> None:
        start = Plain()
        named = {"U": start.Wxh, "W": start.Whh, "V": start.Why, "b": start.bh[:, 0], "c": start.by[:, 0]}
        for name, value in named.items():
            setattr(self, name, tg.nn.parameter(name, value.astype(dtype)))
        self.h = np.zeros((1, HIDDEN), dtype)


def loss(model: Any, batch: tuple[Any, Any]) -> Any:
    """The sum of -log p(target): x (T, 1, V) are unit vectors, targets (T, 1) numbers."""
    x, targets = batch
    h, total = model.h, 0.0
    for t in tg.steps(len(x)):
        h = np.tanh(tg.linear(x[t], model.U) + tg.linear(h, model.W) + model.b)
        total = total + np.sum(tg.cross_entropy(tg.linear(h, model.V) + model.c, targets[t]))
    return total


def fitted(characters: np.ndarray, dtype: str, compiled: bool | str, updates: int) -> tuple[list[float], float]:
    """The losses, and updates per second once it is warm, of `train.fit`."""
    model, units = Network(dtype), np.eye(SYMBOLS, dtype=dtype)
    marks: list[float] = []

    def batch(step: int) -> tuple[np.ndarray, np.ndarray]:
        marks.append(process_time())
        inputs, targets = sequence(characters, step)
        return units[inputs][:, None], targets[:, None]

    optimizer = tg.train.Adagrad(model.parameters(), lr=RATE, eps=TINY)
    rule = tg.train.clip.by_value(CUT)
    history = tg.train.fit(model, loss, batch, optimizer, steps=updates, clip=rule, compile=compiled, log=False)
    warm = min(WARM, updates // 2)
    return list(history.loss), (len(marks) - 1 - warm) / (marks[-1] - marks[warm])


def text(length: int = 100_000, seed: int = 0) -> np.ndarray:
    """Characters as numbers: a random walk over the symbols in which some follow others more often."""
    rng = np.random.default_rng(seed)
    likely = rng.integers(SYMBOLS, size=(SYMBOLS, 4))
    found, symbol = np.empty(length, int), 0
    for n in range(length):
        symbol = int(likely[symbol, rng.integers(4)]) if rng.random() < 0.9 else int(rng.integers(SYMBOLS))
        found[n] = symbol
    return found


class Plain:
    """Column vectors, one step at a time, every product by itself."""

    def __init__(self, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.Wxh = 0.01 * rng.standard_normal((HIDDEN, SYMBOLS))
        self.Whh = 0.01 * rng.standard_normal((HIDDEN, HIDDEN))
        self.Why = 0.01 * rng.standard_normal((SYMBOLS, HIDDEN))
        self.bh, self.by = np.zeros((HIDDEN, 1)), np.zeros((SYMBOLS, 1))
        self.h = np.zeros((HIDDEN, 1))
        self.memory = [np.zeros_like(p) for p in self.parameters]

    @property
    def parameters(self) -> list[np.ndarray]:
        return [self.Wxh, self.Whh, self.Why, self.bh, self.by]

    def update(self, inputs: np.ndarray, targets: np.ndarray) -> float:
        """One sequence: loss, gradients, Adagrad."""
        loss, gradients = self.loss(inputs, targets)
        for p, g, m in zip(self.parameters, gradients, self.memory, strict=True):
            m += g * g
            p += -RATE * g / (np.sqrt(m) + TINY)
        return loss

    def loss(self, inputs: np.ndarray, targets: np.ndarray) -> tuple[float, list[np.ndarray]]:
        """The sum of -log p(target) and its gradients, cut."""
        x, h, p, loss = {}, {-1: self.h}, {}, 0.0
        for t in range(len(inputs)):
            x[t] = np.zeros((SYMBOLS, 1))
            x[t][inputs[t]] = 1
            h[t] = np.tanh(np.dot(self.Wxh, x[t]) + np.dot(self.Whh, h[t - 1]) + self.bh)
            y = np.dot(self.Why, h[t]) + self.by
            p[t] = np.exp(y) / np.sum(np.exp(y))
            loss += -np.log(p[t][targets[t], 0])
        dWxh, dWhh, dWhy, dbh, dby = gradients = [np.zeros_like(parameter) for parameter in self.parameters]
        dh_next = np.zeros_like(self.h)
        for t in reversed(range(len(inputs))):
            dy = np.copy(p[t])
            dy[targets[t]] -= 1
            dWhy += np.dot(dy, h[t].T)
            dby += dy
            dh = np.dot(self.Why.T, dy) + dh_next
            da = (1 - h[t] * h[t]) * dh
            dbh += da
            dWxh += np.dot(da, x[t].T)
            dWhh += np.dot(da, h[t - 1].T)
            dh_next = np.dot(self.Whh.T, da)
        for gradient in gradients:
            np.clip(gradient, -CUT, CUT, out=gradient)
        return loss, gradients


def _installed(module: str) -> bool:
    from importlib.util import find_spec

    return find_spec(module) is not None
