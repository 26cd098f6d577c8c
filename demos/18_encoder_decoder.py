"""One network reads a word, another one writes it backwards: sequences in, sequences of another length out.

    python demos/18_encoder_decoder.py [folder]

All that passes from reader to writer is the context C, the reader's last state: as an input at every step, as the
initial state, or both. One learns the three ways, and that the end of the output is the writer's own decision.
"""

import sys
from pathlib import Path

import numpy as np

import tinygrad_rnn as tg
from tinygrad_rnn import nn, train, write

LETTERS, END, LONGEST, B = "abcd", 4, 4, 64


def words(rng):
    """Letters (S, B, 4) one-hot, how many there are (B,), and the same backwards with an end symbol (T, B)."""
    n = rng.integers(1, LONGEST + 1, size=B)
    letters = rng.integers(len(LETTERS), size=(LONGEST, B))
    back = np.full((LONGEST + 1, B), END)
    for b in range(B):
        back[: n[b], b] = letters[: n[b], b][::-1]
    return np.eye(len(LETTERS))[letters], n, back


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for context in ("input", "initial", "both"):
        rng = nn.manual_seed(0)
        model = nn.EncoderDecoder(len(LETTERS), 32, output_size=len(LETTERS) + 1, context=context, start=END)
        optimizer = train.Adam(model.parameters(), lr=0.005)
        for _ in range(250):
            x, n, y = words(rng)
            loss = -np.mean(model.log_likelihood(y, x, lengths=n + 1, x_lengths=n))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

        x, n, y = words(rng)
        written = model.greedy(LONGEST + 1, x, batch=B, x_lengths=n)
        right = np.mean([np.array_equal(written[: m + 1, b], y[: m + 1, b]) for b, m in enumerate(n)])
        print(f"context as {context:8} {100 * right:3.0f} % of the words right, {model.num_parameters()} parameters")
        L = tg.name("L", -model.log_likelihood(y[:3, 0], x[:2, 0]))
        write(L, folder / f"encoder-decoder-{context}.svg", level="named")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "demo"))
