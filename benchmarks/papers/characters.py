"""A language model of characters, as in the well-known 112-line script, on a text that ships with Python."""

from __future__ import annotations

import numpy as np

import tinygrad_rnn as tg
from benchmarks.papers.outcome import Outcome, remember
from benchmarks.papers.training import train
from tinygrad_rnn import nn
from tinygrad_rnn.train.tasks import character_text

HIDDEN, LENGTH = 100, 25
SETTING = "tanh RNN, H 100, 25 characters an update, Adagrad .1, gradients clipped at 5"


class Characters(nn.Module):
    """h[t] from the character before, scores of the next one: W, U, b, V, c start as in the script, at 0.01 normal."""

    def __init__(self, symbols: int) -> None:
        self.layer = nn.RNN(symbols, HIDDEN)
        self.V = nn.parameter("V", np.zeros((symbols, HIDDEN)))
        self.c = nn.parameter("c", np.zeros(symbols))
        for p in self.parameters():
            p.assign(nn.init.normal(p.shape, 0.01) if p.ndim == 2 else np.zeros(p.shape))

    def forward(self, x: np.ndarray, h: np.ndarray) -> tuple[tg.Tensor, np.ndarray]:
        output, h_n = self.layer(x, h)
        return tg.linear(output, self.V) + self.c, h_n.numpy()


def run(seed: int, count: int = 100_000) -> None:
    """One seed: the smooth loss of 25 characters after `count` updates."""
    nn.manual_seed(seed)
    codes, alphabet = character_text("topics")
    onehot = np.eye(len(alphabet))
    model = Characters(len(alphabet))
    smooth = np.log(len(alphabet)) * LENGTH
    h, place = np.zeros((1, HIDDEN)), 0

    def batch(step: int) -> tuple[np.ndarray, np.ndarray]:
        nonlocal h, place
        if place + LENGTH + 1 > len(codes):
            h, place = np.zeros((1, HIDDEN)), 0
        place += LENGTH
        return codes[place - LENGTH : place], codes[place - LENGTH + 1 : place + 1]

    def loss(model: Characters, batch: tuple[np.ndarray, np.ndarray]) -> tg.Tensor:
        nonlocal h, smooth
        x, y = batch
        scores, h = model(onehot[x], h)
        total = np.sum(tg.cross_entropy(scores, y))
        smooth = 0.999 * smooth + 0.001 * total.item()
        return total

    optimizer = tg.train.Adagrad(model.parameters(), lr=0.1)
    minutes = train(model, loss, batch, optimizer, count, "characters", clip=tg.train.clip.by_value(5.0))
    setting = f"{SETTING}, {count} updates, pydoc's topics"
    remember(
        Outcome(
            "min-char-rnn", "RNN", setting, "smooth loss", "43.1 (on its own text)", seed, float(smooth), count, minutes
        )
    )
