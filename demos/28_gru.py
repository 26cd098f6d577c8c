"""The four networks that are all called GRU: which of them are the same, and which only look alike.

    python demos/28_gru.py [folder]

z may keep the past or let the new in; the reset may come before the product or after it. One learns that the first is a
matter of sign (with the weights of z negated it is the same network), while the second makes another one.
"""

import sys
from pathlib import Path

import numpy as np

import tinygrad_rnn as tg
from tinygrad_rnn import nn, write

T, B, D, H = 6, 3, 3, 8


def with_weights_of(other, **options):
    """A GRU with the weights of another one, those of z negated where z means the opposite."""
    gru = nn.GRU(D, H, **options)
    sign = 1 if gru.cells[0].z_keeps == other.cells[0].z_keeps else -1
    theirs = other.state_dict()
    gru.load_state_dict(
        {name: sign * theirs[name] if name.endswith("_z") else theirs[name] for name in gru.state_dict()}
    )
    return gru


def main(folder: Path) -> None:
    x = nn.manual_seed(0).normal(size=(T, B, D))
    torchs = nn.GRU(D, H, reset_after=True, z_keeps=True)
    expected = torchs(x)[0].numpy()
    folder.mkdir(parents=True, exist_ok=True)
    print("the same weights in all four; how far the states are from those of torch's GRU")
    for reset_after in (True, False):
        for z_keeps in (True, False):
            gru = with_weights_of(torchs, reset_after=reset_after, z_keeps=z_keeps)
            h = gru(x)[0]
            place = "reset after " if reset_after else "reset before"
            role = "z keeps the past   " if z_keeps else "z lets the new in  "
            print(f"{place}, {role} {np.abs(h.numpy() - expected).max():.1e}")
            called = f"gru-{'after' if reset_after else 'before'}-{'keeps' if z_keeps else 'new'}.svg"
            write(tg.name("L", np.sum(gru(x[:2, 0])[0])), folder / called, level="named")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "demo"))
