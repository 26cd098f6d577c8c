"""A large memory behind a small window: the state is a projection of what the cells put out.

    python demos/27_projection.py [folder]

Every gate's matrix meets the state, so a state of 4 in front of 48 cells makes the layer a seventh of its size. One
learns to count weights, and to ask with a straight line what is known of the input some steps ago: the cells know, even
where the state no longer shows it.
"""

import sys
from pathlib import Path

import numpy as np

import tinygrad_rnn as tg
from tinygrad_rnn import nn, write

T, H, LAGS = 1200, 48, (0, 2, 4, 6, 8)


def told(states, x) -> str:
    """The shares of the inputs some steps ago that a linear function of the states (T, n) explains."""
    shares = []
    for lag in LAGS:
        h, y = np.column_stack([states[100:], np.ones(T - 100)]), x[100 - lag : T - lag, 0]
        rest = y - h @ np.linalg.lstsq(h, y, rcond=None)[0]
        shares.append(1 - rest.var() / y.var())
    return " ".join(f"{share:5.2f}" for share in shares)


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for proj_size in (0, 4):
        rng = nn.manual_seed(0)
        lstm = nn.LSTM(1, H, proj_size=proj_size)
        x = rng.uniform(-1, 1, size=(T, 1))
        with tg.no_grad():
            _, _, trace = lstm(x, trace=True)
        print(f"state of {proj_size or H}, {H} cells: {lstm.num_parameters()} weights;  known {LAGS} steps later")
        for role, what in (("h", "by the state"), ("c", "by the cells")):
            states = np.stack([state.numpy() for state in trace[role]])
            print(f"   {what}  {told(states + 1e-3 * rng.normal(size=states.shape), x)}")
        write(lstm(x[:2])[0], folder / f"{'projected' if proj_size else 'plain'}-lstm.svg", level="named")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "demo"))
