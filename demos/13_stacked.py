"""Two recurrent layers, one above the other and untrained: what does each of them know of the past?

    python demos/13_stacked.py [folder]

A noise goes in; a straight line through the states of a layer, read with an error of 0.02, tries to tell the input of
some steps ago. One learns how layers are stacked and traced, and that the upper one knows less of the present and more
of the past: fine time below, coarse time above.
"""

import sys
from pathlib import Path

import numpy as np

import tinygrad_rnn as tg
from tinygrad_rnn import nn, write

T, H, LAYERS, LAGS = 2000, 30, 2, range(9)


def told(h, x) -> float:
    """The share of x (n,) that a linear function of the states h (n, H) explains."""
    h = np.column_stack([h, np.ones(len(h))])
    rest = x - h @ np.linalg.lstsq(h, x, rcond=None)[0]
    return 1 - rest.var() / x.var()


def main(folder: Path) -> None:
    rng = nn.manual_seed(1)
    rnn = nn.RNN(1, H, num_layers=LAYERS)
    x = rng.uniform(-1, 1, size=(T, 1))
    with tg.no_grad():
        _, _, trace = rnn(x, trace=True)

    print("share known of the input of so many steps ago")
    print("        ", *(f"{lag:4}" for lag in LAGS), "  mean")
    for layer in range(LAYERS):
        h = np.stack([state.numpy() for state in trace[f"l{layer}.h"]])
        h += 0.02 * rng.normal(size=h.shape)
        known = np.array([told(h[100:], x[100 - lag : T - lag, 0]) for lag in LAGS])
        print(f"layer {layer} ", *(f"{share:4.2f}" for share in known), f"{known @ LAGS / known.sum():6.1f} steps")

    folder.mkdir(parents=True, exist_ok=True)
    write(rnn(x[:4])[0], folder / "stacked.svg", level="named", folded="both")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "demo"))
