"""The main job on the Deep Learning book's recurrent network: is the hand derivation right, and what does it look like?

    python demos/01_verify_book_rnn.py [folder]

Prints a verdict for every gradient equation of the shipped file, does the same for a copy with one mistake in it, and
writes the unfolded graph of four steps.
"""

import sys
from importlib.resources import files
from pathlib import Path

import tinygrad_rnn as tg
from tinygrad_rnn import write

RIGHT = "W.T @ diag(1 - h[t+1]**2) @ dh[t+1]"
WRONG = "W.T @ diag(1 - h[t]**2) @ dh[t+1]"  # h of this step, where h of the next one belongs


def main(folder: Path) -> None:
    text = files("tinygrad_rnn").joinpath("models/vanilla.rnn").read_text(encoding="utf-8")

    print("the derivation as published, its wrong formulas corrected")
    print(tg.verify(text, T=4))

    print("\nthe same with h[t] for h[t+1] in one place")
    print(tg.verify(text.replace(RIGHT, WRONG), T=4))

    run = tg.load(text).unroll(T=4)
    folder.mkdir(parents=True, exist_ok=True)
    picture = write(run, folder / "vanilla-unfolded.svg", level="named")
    print(f"\nloss {run.loss.item():.6f}, {len(run.graph)} nodes, drawn in {picture}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "demo"))
