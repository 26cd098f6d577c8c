"""What the experiments share: a recurrent layer with a linear readout, and a run of `train.fit` that is timed."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

import tinygrad_rnn as tg
from tinygrad_rnn import nn


class LastStep(nn.Module):
    """A layer whose last output is read linearly."""

    def __init__(self, layer: nn.Module, size: int, outputs: int) -> None:
        self.layer = layer
        self.V = nn.parameter("V", nn.init.uniform((outputs, size), size**-0.5))
        self.c = nn.parameter("c", np.zeros(outputs))

    def forward(self, x: np.ndarray) -> Any:
        output, _ = self.layer(x)
        return tg.linear(output[-1], self.V) + self.c


def train(
    model: nn.Module,
    loss: Callable[[Any, Any], Any],
    batch: Callable[[int], Any],
    optimizer: Any,
    count: int,
    told: str,
    **more: Any,
) -> float:
    """Train by `train.fit` for `count` steps, saying now and then how it goes; returns the minutes it took."""
    start = time.perf_counter()

    def say(line: str) -> None:
        print(f"  {told}: {line}, {(time.perf_counter() - start) / 60:.1f} min", flush=True)

    tg.train.fit(model, loss, batch, optimizer, steps=count, every=max(1, count // 20), log=say, **more)
    return (time.perf_counter() - start) / 60
