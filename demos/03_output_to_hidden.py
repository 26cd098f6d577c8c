"""What a network forgets that feeds back its output only.

    python demos/03_output_to_hidden.py [folder]

Two tasks, both taught with the right labels fed back. In the first the output says all there is to remember (is the
number of ones so far odd?); in the second it does not (which bit came two steps before?). One learns that the arrow
from output to hidden can only carry what the output says; an arrow from hidden to hidden carries anything.
"""

import sys
from pathlib import Path

import numpy as np

import tinygrad_rnn as tg
from tinygrad_rnn import nn, train, write

T, B = 10, 64


def odd_so_far(bits):
    return np.cumsum(bits, axis=0) % 2


def two_steps_before(bits):
    return np.concatenate([np.zeros((2, B), int), bits[:-2]])


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for task in (odd_so_far, two_steps_before):
        for hidden_to_hidden in (False, True):
            rng = nn.manual_seed(0)
            model = nn.OutputFeedback(1, 12, 2, hidden_to_hidden=hidden_to_hidden, feedback="argmax")
            optimizer = train.Adam(model.parameters(), lr=0.02)
            for _ in range(200):
                bits = rng.integers(2, size=(T, B))
                y = task(bits)
                o, _ = model(bits[..., None] - 0.5, labels=y)
                loss = nn.cross_entropy(o, y)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()

            free, _ = model(bits[..., None] - 0.5)  # nobody tells it the labels now
            right = 100 * np.mean(np.argmax(free.numpy(), axis=-1)[2:] == y[2:])
            way = "hidden to hidden as well" if hidden_to_hidden else "output to hidden alone  "
            print(f"{task.__name__.replace('_', ' '):17} {way} {right:3.0f} % right")

    free, _ = nn.OutputFeedback(1, 12, 2)(bits[:4, 0, None])
    L = tg.name("L", nn.cross_entropy(free, y[:4, 0]))
    write(L, folder / "output-to-hidden.svg", level="named")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "demo"))
