"""Three ways to know when a sequence ends: an end symbol, a unit that stops, a length that is predicted first.

    python demos/10_three_ways_to_stop.py [folder]

Sequences have two, five or six labels, half of them five. One learns what each of the ways can say about lengths: the
first two any distribution, the third only lengths around one number.
"""

import sys
from pathlib import Path

import numpy as np

import tinygrad_rnn as tg
from tinygrad_rnn import nn, train, write

LENGTHS, TRUE = np.arange(1, 9), np.array([0, 0.25, 0, 0, 0.5, 0.25, 0, 0])
B = 64


def main(folder: Path) -> None:
    rng = nn.manual_seed(0)
    models = {
        "end symbol": nn.EndSymbol(nn.GenerativeRNN(output_size=2, hidden_size=12)),  # one class, and the end
        "unit that stops": nn.BernoulliStop(nn.GenerativeRNN(output_size=1, hidden_size=12)),
        "predicted length": nn.PredictedLength(output_size=1, hidden_size=12, longest=8),
    }
    print(f"{'length':18}", *(f"{n:5}" for n in LENGTHS))
    print(f"{'true':18}", *(f"{p:5.2f}" for p in TRUE))
    folder.mkdir(parents=True, exist_ok=True)
    for called, model in models.items():
        optimizer = train.Adam(model.parameters(), lr=0.02)
        for _ in range(250):
            lengths = rng.choice(LENGTHS, size=B, p=TRUE)
            loss = -np.mean(model.log_likelihood(np.zeros((8, B), int), lengths=lengths))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        log_p = model.log_likelihood(np.zeros((8, 8), int), lengths=LENGTHS).numpy()
        print(f"{called:18}", *(f"{p:5.2f}" for p in np.exp(log_p)), f"  loss {-TRUE @ log_p:.2f}")
        L = tg.name("L", -np.sum(model.log_likelihood(np.zeros(3, int))))
        write(L, folder / f"{called.replace(' ', '-')}.svg", level="named")
    print(f"the least possible loss is {-np.sum(TRUE * np.log(TRUE + (TRUE == 0))):.2f}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "demo"))
