"""What the forget gate is for: a sum that has to start again, over and over.

    python demos/24_forget_gate.py [folder]

Small numbers come in without end, and now and then a signal; wanted is the sum since the last signal. The LSTM of 1997
can only add to its cell, the later one can empty it. One learns to read it off the trace: what f does at a signal.
"""

import sys
from pathlib import Path

import numpy as np

import tinygrad_rnn as tg
from tinygrad_rnn import nn, train, write

T, B = 16, 32


def stream(rng, T):
    """Numbers and signals (T, B, 2), sums since the last signal (T, B)."""
    x = np.stack([rng.uniform(0, 0.2, size=(T, B)), rng.random((T, B)) < 0.15], axis=-1)
    y, total = np.zeros((T, B)), np.zeros(B)
    for t in range(T):
        total = np.where(x[t, :, 1] > 0, 0.0, total) + x[t, :, 0]
        y[t] = total
    return x, y


class Adder(nn.Module):
    def __init__(self, **options):
        self.lstm, self.readout = nn.LSTM(2, 2, **options), nn.Linear(2, 1)

    def forward(self, x):
        h, _, trace = self.lstm(x, trace=True)
        return self.readout(h)[..., 0], trace


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for called, options in (("without", {"forget_gate": False}), ("with", {"forget_bias": 2.0})):
        rng, model = nn.manual_seed(0), Adder(**options)
        optimizer = train.Adam(model.parameters(), lr=0.03)
        for _ in range(350):
            x, y = stream(rng, T)
            optimizer.step(tg.gradients(nn.mse_loss(model(x)[0], y), optimizer.parameters))
        for steps in (T, 10 * T):
            x, y = stream(rng, steps)
            o, trace = model(x)
            told = 1 - nn.mse_loss(o.numpy(), y) / y.var()
            print(f"{called:7} forget gate, {steps:3} steps: {told:6.1%} of the variance told")
        write(o[:3], folder / f"lstm-{called}-forget-gate.svg", level="named", steps=6)
    signal, f = x[..., 1] > 0, np.stack([gate.numpy() for gate in trace["f"]])
    print("f of the two cells:", f[~signal].mean(axis=0).round(2), "and at a signal", f[signal].mean(axis=0).round(2))


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "demo"))
