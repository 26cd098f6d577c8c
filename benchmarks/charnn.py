"""A character-level network, trained: a plain numpy loop as it is written for teaching, against `train.fit` compiled.

H = 100, sequences of 25 characters, one at a time, Adagrad with rate 0.1, gradients cut at ±5: the setting of the
well-known script of 112 lines, whose manner `Plain` follows in own words.
"""

import numpy as np

HIDDEN, LENGTH, RATE, CUT = 100, 25, 0.1, 5.0
SYMBOLS = 65


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
        """One sequence: loss, gradients, Adagrad; the last state is where the next sequence starts."""
        loss, gradients = self.loss(inputs, targets)
        for p, g, m in zip(self.parameters, gradients, self.memory, strict=True):
            m += g * g
            p += -RATE * g / np.sqrt(m + 1e-8)
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
        self.h = h[len(inputs) - 1]
        return loss, gradients
