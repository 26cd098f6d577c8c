"""A tree instead of a chain: 64 symbols are six merges deep.

    python demos/20_recursive.py [folder]

One function merges two neighbours into one vector, until one is left. One learns what that does to the gradient: in a
chain the first symbol is 63 steps away from the loss and nothing arrives there; in a tree all are six away.
"""

import sys
from pathlib import Path

import numpy as np

import tinygrad_rnn as tg
from tinygrad_rnn import nn, write

N, D, H = 64, 3, 24


def main(folder: Path) -> None:
    rng = nn.manual_seed(0)
    x = tg.tensor(rng.normal(size=(N, D)), name="x")
    tree, chain = nn.RecursiveNet(D, H), nn.RNN(D, H)
    for called, answer in (("tree", tree(x)), ("chain", chain(x)[0][-1])):
        arriving = np.linalg.norm(tg.gradients(np.sum(answer), [x])[0], axis=-1)
        told = "  ".join(f"{n}: {arriving[n - 1]:.0e}" for n in (1, 16, 32, 48, 64))
        print(f"{called:6} gradient at symbol   {told}")

    folder.mkdir(parents=True, exist_ok=True)
    write(tree(x.value[:4], ((0, 1), (2, 3))), folder / "recursive-balanced.svg", level="named")
    write(tree(x.value[:4], (0, (1, (2, 3)))), folder / "recursive-leaning.svg", level="named")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "demo"))
