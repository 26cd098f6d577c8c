"""Coupled gates keep a cell in bounds: a thousand steps of the same input.

    python demos/26_coupled.py [folder]

With i = 1 - f the new cell is an average of the old one and the candidate, and stays between -1 and 1 for ever. One
learns to trace a layer, and sees three cells side by side: without a forget gate, with one, with the two gates coupled.
"""

import sys
from pathlib import Path

import numpy as np

import tinygrad_rnn as tg
from tinygrad_rnn import nn, write

CELLS = {"forget_gate=False": {"forget_gate": False}, "plain": {}, "coupled=True": {"coupled": True}}
T, H = 1000, 16


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    x = np.tile(nn.manual_seed(1).normal(size=3), (T, 1))
    print("the largest entry of the cell after so many steps")
    print(f"{'':18}", *(f"{t:7}" for t in (1, 10, 100, 1000)), "   weights")
    for called, options in CELLS.items():
        nn.manual_seed(0)
        lstm = nn.LSTM(3, H, forget_bias=None if "forget_gate" in options else 2.0, **options)
        with tg.no_grad():
            _, _, trace = lstm(x, trace=True)
        largest = [np.abs(trace["c"][t - 1].numpy()).max() for t in (1, 10, 100, 1000)]
        print(f"{called:18}", *(f"{c:7.2f}" for c in largest), f"{lstm.num_parameters():10}")
        write(lstm(x[:2])[0], folder / f"{called.partition('=')[0]}.svg", level="named")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "demo"))
