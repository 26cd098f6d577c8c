"""Counting with two cells: as many b's as there were a's.

    python demos/25_peephole.py [folder]

Trained on aabb, aaabbb and so on up to six letters of a kind, a network that counts will go on counting. One learns why
the gates should see the cell: a count that the output gate hides cannot be acted upon. How far a network gets varies
with its start; from three of four (seeds 0 to 3) it got further with peepholes.
"""

import sys
from pathlib import Path

import tinygrad_rnn as tg
from tinygrad_rnn import nn, train, write
from tinygrad_rnn.train.grammars import counting, predicts_the_allowed

LONGEST = 40


class Counter(nn.Module):
    def __init__(self, peephole: bool):
        self.lstm, self.readout = nn.LSTM(4, 2, peephole=peephole, forget_bias=2.0), nn.Linear(2, 4)

    def forward(self, x):
        h, _, trace = self.lstm(x, trace=True)
        return self.readout(h), trace


def reach(model) -> int:
    """The n up to which all strings are predicted right."""
    for n in range(1, LONGEST + 1):
        strings = counting([n])
        if not predicts_the_allowed(model(strings.x)[0].numpy(), strings).all():
            return n - 1
    return LONGEST


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for peephole in (False, True):
        nn.manual_seed(2)
        model, strings = Counter(peephole), counting(range(1, 7))
        optimizer = train.Adam(model.parameters(), lr=0.05)
        for _ in range(250):
            o, _ = model(strings.x)
            loss = nn.binary_cross_entropy_with_logits(o, strings.allowed, mask=strings.mask)
            optimizer.step(tg.gradients(loss, optimizer.parameters))

        called = "with peepholes" if peephole else "without"
        print(f"{called:14} trained up to n = 6, right up to n = {reach(model)}")
        _, trace = model(counting([6]).x)
        for k in range(2):
            print(f"   c_{k} while reading S aaaaaa bbbbbb: ", *(f"{c.numpy()[0, k]:5.1f}" for c in trace["c"]))
        write(model(counting([1]).x)[0], folder / f"lstm-{called.replace(' ', '-')}.svg", level="named")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "demo"))
