"""Outputs that depend on each other: a coin is tossed once, and the sequence is all heads or all tails.

    python demos/07_conditional.py [folder]

Given x (which says nothing here) a network without R takes its outputs to be independent, and pays log 2 for each of
the T labels. With R it reads the label before and pays log 2 once. One learns what the arrow R in the figure is for.
"""

import sys
from pathlib import Path

import numpy as np

import tinygrad_rnn as tg
from tinygrad_rnn import nn, train, write

T, B = 6, 32


class Independent(nn.Module):
    """P(y | x) = Π P(y[t] | x[1], ..., x[t]): hidden to hidden, without R."""

    def __init__(self):
        self.rnn, self.readout = nn.RNN(1, 8), nn.Linear(8, 2)

    def log_likelihood(self, y, x):
        h, _ = self.rnn(x)
        return -np.sum(nn.cross_entropy(self.readout(h), y, reduction="none"), axis=0)


def tossed(rng):
    """Labels (T, B), one toss for each sequence, and inputs that have nothing to do with them."""
    return np.broadcast_to(rng.integers(2, size=B), (T, B)), rng.normal(size=(T, B, 1))


def main(folder: Path) -> None:
    rng = nn.manual_seed(0)
    models = {"without R": Independent(), "with R": nn.ConditionalRNN(input_size=1, output_size=2, hidden_size=8)}
    print(f"the best there is: log 2 = {np.log(2):.2f}, or {T} log 2 = {T * np.log(2):.2f} if each label stands alone")
    for called, model in models.items():
        optimizer = train.Adam(model.parameters(), lr=0.02)
        for _ in range(300):
            loss = -np.mean(model.log_likelihood(*tossed(rng)))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        print(f"{called}: {loss.item():.2f} nats for a sequence of {T}")

    folder.mkdir(parents=True, exist_ok=True)
    y, x = tossed(rng)
    L = tg.name("L", -np.sum(models["with R"].log_likelihood(y[:4, 0], x[:4, 0])))
    write(L, folder / "conditional.svg", level="named", folded="both")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "demo"))
