"""A network without any input learns to close every bracket that it opens.

    python demos/08_generative.py [folder]

P(Y) is the product of P(y[t] | y[1], ..., y[t-1]), where the state stands for all that came before. One learns that
this is a distribution (over all 256 sequences it adds up to 1), how it is trained by likelihood, and how it speaks.
"""

import sys
from itertools import product
from pathlib import Path

import numpy as np

import tinygrad_rnn as tg
from tinygrad_rnn import graphical_model, nn, train, write

T = 8
EVERYTHING = np.array(list(product([0, 1], repeat=T))).T  # (T, 256), 0 opens and 1 closes


def balanced(y) -> np.ndarray:
    depth = np.cumsum(1 - 2 * y, axis=0)
    return (depth.min(axis=0) >= 0) & (depth[-1] == 0)


def text(labels) -> str:
    return "".join("()"[i] for i in labels)


def main(folder: Path) -> None:
    nn.manual_seed(0)
    model = nn.GenerativeRNN(output_size=2, hidden_size=16)
    optimizer = train.Adam(model.parameters(), lr=0.02)
    known = balanced(EVERYTHING)
    print(f"{known.sum()} of {len(known)} sequences of {T} brackets are balanced")
    for update in range(301):
        log_p = model.log_likelihood(EVERYTHING[:, known])
        if update % 100 == 0:
            p = np.exp(model.log_likelihood(EVERYTHING).numpy())
            print(f"after {update:3} updates all have probability {p.sum():.6f}, the balanced {p[known].sum():.3f}")
        loss = -np.mean(log_p)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    said = model.sample(T, batch=200)
    print(f"it says {'  '.join(text(y) for y in said.T[:4])} ...; {100 * balanced(said).mean():.1f} % are balanced")

    folder.mkdir(parents=True, exist_ok=True)
    L = tg.name("L", -np.sum(model.log_likelihood(said[:4, 0])))
    write(L, folder / "generative.svg", level="named", folded="both")
    write(graphical_model(5), folder / "every-arrow.svg")  # what P(Y) is without a state, and with one
    write(graphical_model(5, states=True), folder / "through-the-state.svg")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "demo"))
