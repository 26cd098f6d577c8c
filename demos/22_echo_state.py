"""A network that is not trained predicts chaos; only its readout is solved for.

    python demos/22_echo_state.py [folder]

A random reservoir listens to the Mackey-Glass series, one least-squares problem gives the readout, and the network runs
on by itself. One learns what the spectral radius decides (whether two different starts are forgotten: only then is the
state an echo of the input), and how far ahead a chaotic series can be told.
"""

import sys
from pathlib import Path

import numpy as np

import tinygrad_rnn as tg
from tinygrad_rnn import nn, write
from tinygrad_rnn.train.tasks import mackey_glass, squash

N, TRAINED = 300, 2500


def still_apart(radius: float, steps: int, x) -> float:
    """How far two runs on the same input are from each other, measured by how far apart they started."""
    nn.manual_seed(0)
    net = nn.EchoState(1, N, 1, spectral_radius=radius)
    ends = [net.states(x[:steps], state=(h, np.zeros(1)))[1][0] for h in (np.zeros(N), np.full(N, 0.5))]
    return np.linalg.norm(ends[1] - ends[0]) / np.linalg.norm(np.full(N, 0.5))


def main(folder: Path) -> None:
    y = squash(mackey_glass(TRAINED + 500, seed=0))[:, None]
    for radius in (0.5, 0.9, 3.0):
        apart = (f"after {steps:3} steps {still_apart(radius, steps, y):.0e}" for steps in (10, 100))
        print(f"spectral radius {radius}: two starts are still apart", ", ".join(apart))

    nn.manual_seed(0)
    net = nn.EchoState(0, N, 1, spectral_radius=0.79, alpha=0.4, feedback_scale=0.56, bias_scale=0.2)
    state = net.fit(y=y[:TRAINED], washout=500, noise=1e-7)
    told, _ = net.generate(500, state)
    for ahead in (20, 84, 200, 500):
        error = np.sqrt(np.mean((told[:ahead] - y[TRAINED:][:ahead]) ** 2)) / y.std()
        print(f"{ahead:3} steps ahead, all by itself: error {error:.1e} of the series' standard deviation")

    folder.mkdir(parents=True, exist_ok=True)
    o, _ = net(y=y[:3])
    write(tg.name("L", nn.mse_loss(o, y[:3])), folder / "echo-state.svg", level="named")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "demo"))
