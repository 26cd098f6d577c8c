"""Longer strides: connections that skip steps, added to the short one or put in its place.

    python demos/15_delays.py [folder]

A gradient that takes d steps at a time is multiplied only T/d times on its way. One learns to compare networks by what
of the last step's gradient arrives at each earlier one, and how to give any cell to the layer `Recurrent`.
"""

import sys
from pathlib import Path

import numpy as np

import tinygrad_rnn as tg
from tinygrad_rnn import nn, write

T, H, D = 61, 16, 5
CELLS = {
    "h[t-1] alone": lambda n: nn.RNNCell(n, H),
    "h[t-1] and h[t-5]": lambda n: nn.DelayCell(n, H, delay=D),
    "h[t-5] alone": lambda n: nn.DelayCell(n, H, delay=D, short=False),
}


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    print("gradient that is left after so many steps; - where no path leads")
    print(f"{'reads':18}", *(f"{back:8}" for back in (1, 5, 10, 20, 40, 60)))
    for called, cell in CELLS.items():
        rng = nn.manual_seed(0)
        layer = nn.Recurrent(cell, 3)
        x = 0.1 * rng.normal(size=(T, 3))
        *_, trace = layer(x, trace=True)
        h = trace["h"]
        lengths = [np.linalg.norm(g) for g in tg.gradients(np.sum(h[-1]), h)]
        left = [lengths[T - 1 - back] / lengths[-1] for back in (1, 5, 10, 20, 40, 60)]
        print(f"{called:18}", *(f"{g:8.0e}" if g else f"{'-':>8}" for g in left))
        file = called.replace("[", "").replace("]", "").replace(" ", "-")
        write(layer(x[:7])[0], folder / f"{file}.svg", level="named")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "demo"))
