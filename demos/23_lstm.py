"""One network, three notations: the LSTM as documents 002, 004 and 001 write it, fed with the same numbers.

    python demos/23_lstm.py [folder]

Its gates i, f, o are g, f, q in document 004; documents 001 and 003 put W and U side by side and apply them to [h, x].
One learns to read one notation into the other: losses and gradients agree to the last digits.
"""

import sys
from pathlib import Path

import numpy as np

import tinygrad_rnn as tg
from tinygrad_rnn import write

T, STEPS = 5, range(1, 6)


def as_002(p):
    """W_xf leads from the input to the forget gate, W_hf from the state to it."""
    letters = {"i": "i", "f": "f", "g": "c", "o": "o"}
    places = {"W_x": "U_", "W_h": "W_", "b_": "b_"}
    named = {new + letter: p[old + k] for new, old in places.items() for k, letter in letters.items()}
    return named | {"V": p["V"], "b_e": p["b_e"]}


def as_004(p):
    """The input gate is g, the parameters of q carry an o, those of the candidate nothing."""
    letters = {"_i": "_g", "_f": "_f", "_g": "", "_o": "_o"}
    return {w + new: p[w + k] for k, new in letters.items() for w in "WUb"} | {"V": p["V"], "c": p["b_e"]}


def as_001(p):
    """One matrix for each gate."""
    letters = {"i": "i", "f": "f", "g": "C", "o": "o"}
    stacked = {f"W_{new}": np.hstack([p[f"W_{k}"], p[f"U_{k}"]]) for k, new in letters.items()}
    return stacked | {f"b_{new}": p[f"b_{k}"] for k, new in letters.items()} | {"V": p["V"], "b_e": p["b_e"]}


def main(folder: Path) -> None:
    run = tg.load("lstm").unroll(T)
    same = {key: leaf.numpy() for key, leaf in run.inputs.items()}
    p = {name: leaf.numpy() for name, leaf in run.parameters.items()}
    ours = tg.gradients(run.loss, [run["x", t] for t in STEPS])
    folder.mkdir(parents=True, exist_ok=True)
    print(f"lstm.rnn      L = {run.loss.item():.15f}")
    for file, translated in (("lstm_002", as_002(p)), ("lstm_004", as_004(p)), ("lstm_003", as_001(p))):
        cell = "c" if file == "lstm_002" else "C"
        data = {(cell if name == "c" else name, t): value for (name, t), value in same.items()}
        ran = tg.load(file).unroll(T, values=translated | data)
        apart = np.max(np.abs(np.subtract(ours, tg.gradients(ran.loss, [ran["x", t] for t in STEPS]))))
        print(f"{file}.rnn  L = {ran.loss.item():.15f}, gradients of the inputs differ by {apart:.1e}")
        write(tg.load(file), folder / f"{file}.svg", level="named", folded="both")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "demo"))
