"""A writer that looks back: write a word backwards, but look every letter up where it stands.

    python demos/19_attention.py [folder]

In place of one vector for the whole source there is one for each step: a weighted mean of all states of the reader. One
learns that nobody has to say where to look: the weights come out of training, and here they walk from the end of the
source to its start. With the dot product the first look is blind, since it compares with a state that is still zero.
"""

import sys
from pathlib import Path

import numpy as np

from tinygrad_rnn import heatmap, nn, train, write

LETTERS, N, B = 8, 6, 64


def words(rng):
    letters = rng.integers(LETTERS, size=(N, B))
    return np.eye(LETTERS)[letters], letters[::-1]


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for kind in ("additive", "dot"):
        rng = nn.manual_seed(0)
        model = nn.AttentionDecoder(LETTERS, 32, LETTERS, attention=kind)
        optimizer = train.Adam(model.parameters(), lr=0.01)
        for _ in range(300):
            x, y = words(rng)
            o, alpha = model(y, x)
            loss = nn.cross_entropy(o, y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

        x, y = words(rng)
        right = 100 * np.mean(model.greedy(N, x, batch=B) == y)
        _, alpha = model(y, x)
        weights = alpha.numpy().mean(axis=-1)
        print(f"{kind}: {right:.1f} % of the letters right; where each step looks, over {B} words:")
        print("\n".join(f"   y[{t + 1}]  " + " ".join(f"{w:4.2f}" for w in row) for t, row in enumerate(weights)))
        write(heatmap(weights, axes=("step t", "source s")), folder / f"attention-{kind}.svg")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "demo"))
