"""Is there a peak? At every step, say whether a number is larger than the one before and the one after.

    python demos/11_bidirectional.py [folder]

A network that runs forwards does not know the number to come. One learns what `bidirectional=True` adds, and how to see
which inputs an output depends on: in its gradient.
"""

import sys
from pathlib import Path

import numpy as np

import tinygrad_rnn as tg
from tinygrad_rnn import nn, train, write

T, B = 9, 32


class Peaks(nn.Module):
    def __init__(self, bidirectional: bool):
        self.rnn = nn.RNN(1, 12, bidirectional=bidirectional)
        self.readout = nn.Linear(24 if bidirectional else 12, 1)

    def forward(self, x):
        h, _ = self.rnn(x)
        return self.readout(h)[..., 0]


def mountains(rng):
    x = rng.normal(size=(T + 2, B))
    peak = (x[1:-1] > x[:-2]) & (x[1:-1] > x[2:])
    return x[..., None], peak.astype(float)


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for bidirectional in (False, True):
        rng = nn.manual_seed(0)
        model = Peaks(bidirectional)
        optimizer = train.Adam(model.parameters(), lr=0.01)
        for _ in range(400):
            x, y = mountains(rng)
            z = model(x)[1:-1]  # neither the first nor the last number has two neighbours
            loss = nn.binary_cross_entropy_with_logits(z, y)
            optimizer.step(tg.gradients(loss, optimizer.parameters))

        right = 100 * np.mean((z.numpy() > 0) == y)
        x = tg.tensor(x[:, :1], name="x")
        seen = np.abs(tg.gradients(model(x)[5, 0], [x])[0])[:, 0, 0]  # that of step 6: steps count from 1
        called = "both ways" if bidirectional else "forwards"
        print(f"{called:10} {right:3.0f} % right; output 6 reads inputs", *np.flatnonzero(seen) + 1)
        write(model(x.value[:4]), folder / f"{called.replace(' ', '-')}.svg", level="named")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "demo"))
