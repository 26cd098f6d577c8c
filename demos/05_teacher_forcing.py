"""Teacher forcing cuts time: which loss says anything about which step?

    python demos/05_teacher_forcing.py [folder]

For every loss L[t] and every hidden state h[s] one asks the engine for the gradient. Running freely, the output goes
back and every loss reaches all steps before it. With the labels fed back only h[t] itself is reached: the steps can be
trained apart, in any order. With an arrow from hidden to hidden as well, back-propagation through time is needed again.
"""

import sys
from pathlib import Path

import numpy as np

import tinygrad_rnn as tg
from tinygrad_rnn import nn, write

T = 5


def reached(model, x, y, labels):
    """(T, T) of booleans: whether the gradient of L[t] by h[s] is anything but zero; and the losses."""
    o, _ = model(x, labels=labels)
    losses = [nn.cross_entropy(o[t], y[t]) for t in range(T)]
    states = [tg.Graph(o)["h", s] for s in range(1, T + 1)]
    return np.array([[np.any(g) for g in tg.gradients(L, states)] for L in losses]), o


def main(folder: Path) -> None:
    rng = nn.manual_seed(0)
    x, y = rng.normal(size=(T, 3)), rng.integers(4, size=T)
    folder.mkdir(parents=True, exist_ok=True)
    for called, labels, hidden_to_hidden in (
        ("free running", None, False),
        ("teacher forcing", y, False),
        ("teacher forcing, hidden to hidden", y, True),
    ):
        model = nn.OutputFeedback(3, 6, 4, hidden_to_hidden=hidden_to_hidden)
        table, o = reached(model, x, y, labels)
        print(f"{called}: {table.sum()} of {T * (T + 1) // 2} pairs are connected")
        for t, row in enumerate(table):
            print(f"   L[{t + 1}] reaches", *(f"h[{s + 1}]" for s in np.flatnonzero(row)))
        L = tg.name("L", nn.cross_entropy(o, y))
        write(L, folder / f"{called.replace(',', '').replace(' ', '-')}.svg", level="named")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "demo"))
