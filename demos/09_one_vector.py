"""A network reads one vector and spells it: the seven strokes of a pocket calculator's digit, and the digit's name.

    python demos/09_one_vector.py [folder]

The vector can be an input at every step, the initial state, or both. One learns the three ways side by side, and that
it may come out of a network of its own, which is trained along: its gradient arrives through h[0].
"""

import sys
from pathlib import Path

import numpy as np

import tinygrad_rnn as tg
from tinygrad_rnn import nn, train, write

NAMES = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
# the strokes of each digit: a on top, then clockwise to f, g in the middle
STROKES = ["abcdef", "bc", "abged", "abgcd", "fgbc", "afgcd", "afgedc", "abc", "abcdefg", "abcdfg"]
LETTERS = " " + "".join(sorted(set("".join(NAMES))))  # a name is filled up with spaces

y = np.array([[LETTERS.index(letter) for letter in f"{name:6}"] for name in NAMES]).T  # (T, B)
x = np.array([[float(stroke in lit) for stroke in "abcdefg"] for lit in STROKES])  # (B, 7)


class Speller(nn.Module):
    def __init__(self, vector: str):
        self.look = nn.Linear(7, 20)
        self.write = nn.VectorRNN(len(LETTERS), 20, vector=vector)

    def log_likelihood(self):
        return self.write.log_likelihood(y, np.tanh(self.look(x)))

    def spell(self) -> list[str]:
        written = self.write.greedy(len(y), np.tanh(self.look(x)), batch=len(x))
        return ["".join(LETTERS[i] for i in word).strip() for word in written.T]


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for vector in ("input", "initial", "both"):
        nn.manual_seed(0)
        model = Speller(vector)
        optimizer = train.Adam(model.parameters(), lr=0.02)
        for _ in range(150):
            loss = -np.mean(model.log_likelihood())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        words = model.spell()
        right = sum(said == name for said, name in zip(words, NAMES, strict=True))
        print(f"as {vector:8} {right:2} of 10 right: {' '.join(words)}")
        L = tg.name("L", -model.write.log_likelihood(y[:3, 0], np.ones(20)))
        write(L, folder / f"one-vector-{vector}.svg", level="named")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "demo"))
