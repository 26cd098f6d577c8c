"""What the experiments share: a recurrent layer with a linear readout, and one update."""

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


def updates(
    loss_of: Callable[[int], Any],
    optimizer: Any,
    count: int,
    clip: float | None,
    by_value: bool = False,
    told: str = "",
) -> float:
    """Take `count` steps; `loss_of(k)` is the k-th loss. Returns the minutes it took."""
    parameters = optimizer.parameters
    rule = (tg.train.clip.by_value if by_value else tg.train.clip.by_norm)(clip) if clip else None
    start = time.perf_counter()
    for k in range(count):
        loss = loss_of(k)
        grads = tg.gradients(loss, parameters)
        if rule is not None:
            grads, _ = rule(grads)
        optimizer.step(grads)
        if told and k % max(1, count // 20) == 0:
            print(
                f"  {told}: update {k}, loss {loss.item():.4f}, {(time.perf_counter() - start) / 60:.1f} min",
                flush=True,
            )
    return (time.perf_counter() - start) / 60
