"""Addition as rewriting: an encoder-decoder reads "54+321" with its numbers backwards and writes the sum."""

from __future__ import annotations

import numpy as np

import tinygrad_rnn as tg
from benchmarks.papers.outcome import Outcome, remember
from benchmarks.papers.training import train
from tinygrad_rnn import nn
from tinygrad_rnn.train.tasks import ADDITION_SYMBOLS, Pairs, reversed_addition

HIDDEN, BATCH, DIGITS, RATE = 128, 64, 3, 0.003
SYMBOLS = len(ADDITION_SYMBOLS)
END = SYMBOLS - 1


def run(seed: int, count: int = 6_000) -> None:
    """Two LSTMs, one seed: the share of sums that come out right to the last digit, on 1,000 new ones."""
    rng = nn.manual_seed(seed)
    cells = nn.LSTMCell(SYMBOLS, HIDDEN), nn.LSTMCell(SYMBOLS, HIDDEN)
    model = nn.Seq2Seq(*cells, output_size=SYMBOLS, context="initial", start=END)
    onehot = np.eye(SYMBOLS)

    def loss(model: nn.Seq2Seq, pairs: Pairs) -> tg.Tensor:
        return np.mean(tg.cross_entropy(model(pairs.y, onehot[pairs.x], x_lengths=pairs.x_lengths), pairs.y))

    optimizer = tg.train.Adam(model.parameters(), lr=RATE)
    schedule = tg.train.CosineAnnealingLR(optimizer, count)
    minutes = train(
        model, loss, lambda step: reversed_addition(BATCH, rng, DIGITS), optimizer, count, "addition",
        clip=1.0, schedule=schedule,
    )  # fmt: skip
    pairs = reversed_addition(1000, rng, DIGITS)
    said = model.greedy(len(pairs.y), onehot[pairs.x], batch=1000, x_lengths=pairs.x_lengths)
    right = 100.0 * float(np.mean(np.all(np.asarray(said) == pairs.y, axis=0)))
    setting = (
        f"LSTM H {HIDDEN} twice, context as initial state, Adam {RATE}, B {BATCH}, {DIGITS} digits, {count} updates"
    )
    remember(Outcome("reversed addition", "encoder-decoder", setting, "right sums, %", "", seed, right, count, minutes))
