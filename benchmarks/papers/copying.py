"""Copying up to 20 random vectors with a neural Turing machine, and then 50, more than it ever saw."""

from __future__ import annotations

import time

import numpy as np

import tinygrad_rnn as tg
from benchmarks.papers.outcome import Outcome, remember
from tinygrad_rnn import nn
from tinygrad_rnn.train.tasks import copy_task

BITS, HIDDEN, BATCH, RATE, CLIP = 8, 100, 16, 0.003, 1.0
SETTING = (
    f"LSTM controller H {HIDDEN}, memory 128 x 20, lengths 1 to 20, Adam {RATE}, B {BATCH}, norm clipped at {CLIP:g}"
)


def run(seed: int, count: int = 2_000) -> None:
    """One seed: sequences until 100 batches in a row hold less than .01 wrong bits a sequence; then length 50."""
    rng = nn.manual_seed(seed)
    model = nn.NTM(BITS + 1, HIDDEN, BITS)
    optimizer = tg.train.Adam(model.parameters(), lr=RATE)
    rule = tg.train.clip.by_norm(CLIP)
    wrong: list[float] = []
    start = time.perf_counter()
    for k in range(1, count + 1):
        x, y, mask = copy_task(BATCH, rng)
        o, _ = model(x)
        grads, _ = rule(tg.gradients(nn.binary_cross_entropy_with_logits(o, y, mask=mask), optimizer.parameters))
        optimizer.step(grads)
        wrong.append(wrong_bits(o, y, mask))
        if k % 100 == 0:
            recent = float(np.mean(wrong[-100:]))
            print(f"  copying: {k * BATCH} sequences, {recent:.3f} wrong bits a sequence", flush=True)
            if recent < 0.01:
                break
    minutes = (time.perf_counter() - start) / 60
    with tg.no_grad():
        x, y, mask = copy_task(50, rng, length=50)
        longer = wrong_bits(model(x)[0], y, mask)
    solved = float(np.mean(wrong[-100:])) < 0.01
    sequences = k * BATCH if solved else float("nan")
    remember(Outcome("NTM copy", "solved", SETTING, "sequences until solved", "30,000", seed, sequences, k, minutes))
    remember(Outcome("NTM copy", "length 50", SETTING, "wrong bits of 400", "", seed, longer, k, minutes))


def wrong_bits(o: tg.Tensor, y: np.ndarray, mask: np.ndarray) -> float:
    """How many bits of a sequence are wrong, on average."""
    return float((((o.numpy() > 0) != y) * mask[..., None]).sum() / y.shape[1])
