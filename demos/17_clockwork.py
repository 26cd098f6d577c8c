"""Two clocks in one network: a fast group that moves at every step, a slow one that moves at every fourth.

    python demos/17_clockwork.py [folder]

Between its beats the slow group stands still, so that a gradient passes it unchanged. One learns to trace a network
with more than one state, to see the groups tick, and what is left of the gradient on either way.
"""

import sys
from itertools import pairwise
from pathlib import Path

import numpy as np

import tinygrad_rnn as tg
from tinygrad_rnn import nn, write

T, PERIODS = 33, (1, 4)


def main(folder: Path) -> None:
    rng = nn.manual_seed(0)
    layer = nn.Recurrent(lambda n: nn.ClockworkCell(n, hidden_sizes=(12, 12), periods=PERIODS), 3)
    *_, trace = layer(rng.normal(size=(T, 3)), trace=True)
    for k, period in enumerate(PERIODS, start=1):
        h = trace[f"h_{k}"]
        moved = [np.any(now.numpy() != before.numpy()) for before, now in pairwise(h)]
        gradients = tg.gradients(np.sum(h[-1]), h)
        left = [np.linalg.norm(gradients[T - 1 - back]) / np.sqrt(12) for back in (8, 16, 32)]
        print(
            f"period {period}: {''.join('.#'[int(step)] for step in moved)}   gradient left after 8, 16, 32 steps:",
            *(f"{g:.0e}" for g in left),
        )

    folder.mkdir(parents=True, exist_ok=True)
    write(layer(rng.normal(size=(6, 3)))[0], folder / "clockwork.svg", level="named")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "demo"))
