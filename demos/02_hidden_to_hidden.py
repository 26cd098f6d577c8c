"""A recurrent layer learns to answer late: at every step, the symbol that came three steps before.

    python demos/02_hidden_to_hidden.py [folder]

Only the state can carry a symbol over three steps. One learns how a layer is used (as in torch), how it is trained,
and that the gradient of a shared weight is a sum: each time step contributes its part.
"""

import sys
from pathlib import Path

import numpy as np

import tinygrad_rnn as tg
from tinygrad_rnn import nn, train, write

LAG, SYMBOLS, T, B = 3, 4, 12, 32


class Late(nn.Module):
    def __init__(self):
        self.rnn, self.readout = nn.RNN(SYMBOLS, 24), nn.Linear(24, SYMBOLS)

    def forward(self, x):
        h, _ = self.rnn(x)
        return self.readout(h)


def sequences(rng):
    symbols = rng.integers(SYMBOLS, size=(T, B))
    return np.eye(SYMBOLS)[symbols], symbols[:-LAG]


def main(folder: Path) -> None:
    rng = nn.manual_seed(0)
    model = Late()
    optimizer = train.Adam(model.parameters(), lr=0.01)
    for _ in range(400):
        x, y = sequences(rng)
        loss = nn.cross_entropy(model(x)[LAG:], y)
        optimizer.step(tg.gradients(loss, optimizer.parameters))

    x, y = sequences(rng)
    o = model(x)[LAG:]
    right = np.mean(np.argmax(o.numpy(), axis=-1) == y)
    print(f"{100 * right:.1f} % right, by chance {100 / SYMBOLS:.0f} %")

    W = model.rnn.cells[0].W
    parts = tg.gradients(nn.cross_entropy(o, y), W, per_step=True)
    print("how much of dW each step contributes:", *(f"{np.linalg.norm(part):.0e}" for part in parts.values()))

    folder.mkdir(parents=True, exist_ok=True)
    write(model.rnn(x[:4])[0], folder / "hidden-to-hidden.svg", level="named", folded="both")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "demo"))
