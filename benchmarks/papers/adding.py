"""The adding problem over 100 steps: an LSTM remembers two numbers, a plain RNN guesses their sum."""

from __future__ import annotations

import numpy as np

import tinygrad_rnn as tg
from benchmarks.papers.outcome import Outcome, remember
from benchmarks.papers.training import LastStep, train
from tinygrad_rnn import nn
from tinygrad_rnn.train.tasks import adding_problem

PUBLISHED = {"LSTM": "7e-4", "RNN": "7e-2"}


def squared_error(model: LastStep, batch: tuple[np.ndarray, np.ndarray]) -> tg.Tensor:
    """The mean over the sequences of a batch."""
    x, y = batch
    return np.mean((model(x)[:, 0] - y) ** 2)


def run(seed: int, count: int = 8000) -> None:
    """Both layers, one seed."""
    for form in PUBLISHED:
        rng = nn.manual_seed(seed)
        model = LastStep(getattr(nn, form)(2, 8), 8, 1)

        def batch(step: int, rng: np.random.Generator = rng, size: int = 32) -> tuple[np.ndarray, np.ndarray]:
            return adding_problem(size, rng)

        optimizer = tg.train.Adam(model.parameters(), lr=5e-3)
        minutes = train(model, squared_error, batch, optimizer, count, f"adding {form}", clip=1.0)
        with tg.no_grad():
            error = squared_error(model, batch(0, size=2000)).item()
        setting = f"H 8, Adam .005, B 32, T 100, clip 1, {count} updates"
        remember(
            Outcome("adding problem", form, setting, "mean squared error", PUBLISHED[form], seed, error, count, minutes)
        )
