"""Taught with right labels, left alone with its own: scheduled sampling gets a network used to its mistakes.

    python demos/06_scheduled_sampling.py [folder]

The task is a running sum of digits, modulo three. A network that was always given the right sum has learned to trust
what it is given: after one wrong label much of what follows is wrong. With a chance that falls from 1 to 0 in the
course of training it is given the label, else what it drew itself, and learns to trust its own state.
"""

import sys
from pathlib import Path

import numpy as np

import tinygrad_rnn as tg
from tinygrad_rnn import nn, train, write

T, B, UPDATES = 15, 64, 500


def sums(rng):
    digits = rng.integers(3, size=(T, B))
    return np.eye(3)[digits], np.cumsum(digits, axis=0) % 3


def right(o, y):
    return 100 * np.mean(np.argmax(o.numpy(), axis=-1) == y)


def main(folder: Path) -> None:
    for called, chance in (("teacher forcing", lambda k: 1.0), ("scheduled sampling", lambda k: 1 - k / UPDATES)):
        rng = nn.manual_seed(0)
        model = nn.OutputFeedback(3, 24, 3, hidden_to_hidden=True, feedback="sample")
        optimizer = train.Adam(model.parameters(), lr=0.01)
        for update in range(UPDATES):
            x, y = sums(rng)
            o, _ = model(x, labels=y, teacher=chance(update))
            loss = nn.cross_entropy(o, y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

        x, y = sums(rng)
        half = T // 2
        _, (_, h) = model(x[:half], labels=y[:half])
        lie = np.eye(3)[(y[half - 1] + 1) % 3]
        taught, free, deceived = model(x, labels=y)[0], model(x)[0], model(x[half:], (lie, h))[0]
        print(f"{called:18}  taught {right(taught, y):5.1f} %   free {right(free, y):5.1f} %", end="")
        print(f"   free after one lie {right(deceived, y[half:]):5.1f} %")

    folder.mkdir(parents=True, exist_ok=True)
    o, _ = model(x[:3, :1], labels=y[:3, :1], teacher=0.5)
    write(tg.name("L", nn.cross_entropy(o, y[:3, :1])), folder / "scheduled-sampling.svg", level="named")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "demo"))
