"""How a Turing machine made of gradients points at a cell, and why what it wrote is still there later.

    python demos/30_ntm.py [folder]

An address is worked out in four steps: compare contents, keep some of the last address, move, sharpen. One learns to
read them one by one, and what a memory is good for: where nothing is written, content and gradient stay as they are,
over any number of steps.
"""

import sys
from pathlib import Path

import numpy as np

import tinygrad_rnn as tg
from tinygrad_rnn import nn, write
from tinygrad_rnn.nn.ntm import content, interpolate, sharpen, shift

CELLS, WIDTH = 8, 5


def show(step, w) -> None:
    print(f"   {step:34}", *(f"{x:4.2f}" for x in w.numpy()[0, 0]))


def main(folder: Path) -> None:
    rng = nn.manual_seed(0)
    M = tg.tensor(rng.normal(size=(1, CELLS, WIDTH)), name="M")
    key = M.value[:, 3:4] + 0.3 * rng.normal(size=(1, 1, WIDTH))
    print("a head looks for what stands in cell 3 (counted from 0), remembered badly, and wants the cell behind")
    w = content(key, np.full((1, 1, 1), 8.0), M)
    show("by content", w)
    w = interpolate(w, np.full((1, 1, 1), 0.9), np.eye(CELLS)[None, :1])
    show("a tenth of the last address, cell 0", w)
    w = shift(w, np.array([[[0.0, 0.1, 0.9]]]))
    show("moved by one", w)
    w = sharpen(w, np.full((1, 1, 1), 4.0))
    show("sharpened", w)

    ntm, rnn = nn.NTM(3, 6, 2, cells=CELLS, width=WIDTH), nn.RNN(3, CELLS * WIDTH)
    elsewhere = np.eye(CELLS)[None, 5:6]  # all the writing goes to cell 5
    for T in (1, 10, 100):
        kept = M
        for _ in tg.steps(T):
            kept = ntm.write(rng.normal(size=(1, 6)), kept, elsewhere)
        (g,) = tg.gradients(np.sum(kept[0, 3]), [M])
        *_, trace = rnn(rng.normal(size=(T + 1, 3)), trace=True)
        first, last = map(np.linalg.norm, tg.gradients(np.sum(trace["h"][-1]), trace["h"][::T]))
        left = np.linalg.norm(g[0, 3]) / np.sqrt(WIDTH)
        print(f"gradient left after {T:3} steps: cell 3 {left:.3f}, a plain network's state {first / last:.0e}")

    folder.mkdir(parents=True, exist_ok=True)
    write(ntm(rng.normal(size=(2, 3)))[0], folder / "ntm.svg", level="named")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "demo"))
