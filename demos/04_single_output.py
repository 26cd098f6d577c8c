"""One answer after the whole sequence: which symbol came first?

    python demos/04_single_output.py [folder]

The only loss hangs on the last state; its gradient travels back through all the others. One learns to watch it: before
training nearly nothing of it arrives at the first step, afterwards the network has made a way for it.
"""

import sys
from pathlib import Path

import numpy as np

import tinygrad_rnn as tg
from tinygrad_rnn import nn, train, write

SYMBOLS, T, B = 3, 12, 32


class Reader(nn.Module):
    def __init__(self):
        self.rnn = nn.RNN(SYMBOLS, 16)
        self.readout = nn.Linear(16, SYMBOLS)

    def forward(self, x):
        _, h, trace = self.rnn(x, trace=True)
        return tg.name("o", self.readout(h[-1])), trace["h"]


def arriving(L, states) -> str:
    """The length of the gradient at some of the states, measured by that at the last one."""
    lengths = [np.linalg.norm(g) for g in tg.gradients(L, states)]
    return "   ".join(f"h[{t}] {lengths[t - 1] / lengths[-1]:.1e}" for t in (T, T // 2, 1))


def main(folder: Path) -> None:
    rng = nn.manual_seed(0)
    model = Reader()
    optimizer = train.Adam(model.parameters(), lr=0.005)
    for update in range(401):
        symbols = rng.integers(SYMBOLS, size=(T, B))
        o, states = model(np.eye(SYMBOLS)[symbols])
        L = tg.name("L", nn.cross_entropy(o, symbols[0]))
        if update % 200 == 0:
            right = np.mean(np.argmax(o.numpy(), axis=-1) == symbols[0])
            print(f"after {update:3} updates {right:4.0%} right; of the gradient arrives   {arriving(L, states)}")
        optimizer.zero_grad()
        L.backward()
        optimizer.step()

    folder.mkdir(parents=True, exist_ok=True)
    write(L, folder / "single-output.svg", level="named", steps=6)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "demo"))
