"""Deeper in every step, and what that does to the gradient on its way through time.

    python demos/14_deep_transition.py [folder]

With more layers between h[t-1] and h[t] the way from step to step is longer, and less of the gradient arrives;
connections around the layers keep the short way open. One learns to measure it: the gradient at every state, from the
last one back.
"""

import sys
from pathlib import Path

import numpy as np

import tinygrad_rnn as tg
from tinygrad_rnn import nn, write

T, H = 20, 32
NETWORKS = {
    "one layer": {},
    "two layers": {"state_layers": (H,)},
    "three layers": {"state_layers": (H, H)},
    "three, and connections around": {"state_layers": (H, H), "skips": True},
}


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    print("gradient that is left after so many steps")
    print(f"{'from state to state':30}", *(f"{back:9}" for back in (1, 2, 5, 10)))
    for called, options in NETWORKS.items():
        rng = nn.manual_seed(0)
        model = nn.DeepRNN(3, H, 5, **options)
        output, _, trace = model(rng.normal(size=(T, 3)), trace=True)
        lengths = [np.linalg.norm(g) for g in tg.gradients(np.sum(output[-1]), trace["h"])]
        print(f"{called:30}", *(f"{lengths[T - 1 - back] / lengths[-1]:9.1e}" for back in (1, 2, 5, 10)))
        small, _ = model(rng.normal(size=(3, 3)))
        write(small, folder / f"{called.replace(',', '').replace(' ', '-')}.svg", level="named")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "demo"))
