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
    wrong: list[float] = []

    def loss(model: nn.NTM, batch: tuple[np.ndarray, np.ndarray, np.ndarray]) -> tg.Tensor:
        x, y, mask = batch
        o, _ = model(x)
        wrong.append(wrong_bits(o, y, mask))
        return nn.binary_cross_entropy_with_logits(o, y, mask=mask)

    def solved(history: tg.train.History) -> bool:
        recent = float(np.mean(wrong[-100:]))
        print(f"  copying: {history.steps * BATCH} sequences, {recent:.3f} wrong bits a sequence", flush=True)
        return recent < 0.01

    optimizer = tg.train.Adam(model.parameters(), lr=RATE)
    start = time.perf_counter()
    history = tg.train.fit(
        model, loss, lambda step: copy_task(BATCH, rng), optimizer,
        steps=count, every=100, clip=CLIP, stop=solved, log=False,
    )  # fmt: skip
    minutes = (time.perf_counter() - start) / 60
    with tg.no_grad():
        x, y, mask = copy_task(50, rng, length=50)
        longer = wrong_bits(model(x)[0], y, mask)
    sequences = history.steps * BATCH if history.stopped else float("nan")
    remember(
        Outcome(
            "NTM copy", "solved", SETTING, "sequences until solved", "30,000", seed, sequences, history.steps, minutes
        )
    )
    remember(Outcome("NTM copy", "length 50", SETTING, "wrong bits of 400", "", seed, longer, history.steps, minutes))


def wrong_bits(o: tg.Tensor, y: np.ndarray, mask: np.ndarray) -> float:
    """How many bits of a sequence are wrong, on average."""
    return float((((o.numpy() > 0) != y) * mask[..., None]).sum() / y.shape[1])
