"""Why long memories are hard to learn: a small change of the state, thirty steps later.

    python demos/31_long_ways.py [folder]

What a change becomes is a product of Jacobians, one for each step. In a linear network that is a power of W, and its
largest eigenvalue decides; tanh shrinks it by 1 - h². One learns to look at these products, for a plain network of
three strengths and for two with gates, where the way back is nearly the identity.
"""

import sys
from pathlib import Path

import numpy as np

import tinygrad_rnn as tg
from tinygrad_rnn import nn

T, D, H = 30, 3, 16
BACK = (1, 3, 10, 30)


def plain(radius: float):
    """A recurrent network whose W has this spectral radius."""
    rnn = nn.RNN(D, H)
    rnn.cells[0].W.assign(nn.init.with_spectral_radius(nn.init.normal((H, H)), radius))
    return rnn


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    rng = nn.manual_seed(0)
    x = 0.3 * rng.normal(size=(T + 1, 1, D))
    print("the longest that a change of length one becomes, so many steps later")
    print(f"{'':30}", *(f"{k:8}" for k in BACK))
    networks = {f"plain, spectral radius {radius}": plain(radius) for radius in (0.5, 1.0, 2.0)}
    networks |= {"LSTM, f near 1": nn.LSTM(D, H, forget_bias=4.0), "GRU, z near 1": nn.GRU(D, H)}
    networks["GRU, z near 1"].cells[0].b_z.assign(np.full(H, 4.0))
    for called, network in networks.items():
        output, _ = network(x)
        products = tg.analysis.jacobians(output)
        lengths = products.norms()[:, 0]
        print(f"{called:30}", *(f"{lengths[k]:8.0e}" for k in BACK))
        products.plot(folder / f"long-ways-{called.replace(',', '').replace(' ', '-')}.svg", title=called)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "demo"))
