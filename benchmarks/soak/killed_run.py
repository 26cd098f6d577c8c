"""A training run that others kill, always the same one.

`python -m benchmarks.soak.killed_run FOLDER [eager|numpy|jit]` runs it, or goes on with it.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

import tinygrad_rnn as tg
from tinygrad_rnn import nn, train
from tinygrad_rnn.nn.random import generator

STEPS, EVERY = 150, 3
#: what `fit(compile=)` is told
EXECUTORS: dict[str, bool | str] = {"eager": False, "numpy": True, "jit": "jit"}


class Net(nn.Module):
    """A tanh network with noise in it and a state carried from batch to batch: everything a resume could lose."""

    def __init__(self, carries: bool) -> None:
        self.W = nn.parameter("W", nn.init.orthogonal((5, 5)))
        self.U = nn.parameter("U", nn.init.uniform((5, 2), 0.5))
        self.b = nn.parameter("b", np.zeros(5))
        self.v = nn.parameter("v", 0.3)
        self.register_buffer("h", np.zeros((4, 5)))
        self.carries = carries  # a compiled function has nowhere to put it

    def forward(self, x: np.ndarray, noise: np.ndarray) -> Any:
        h: Any = self.h
        for t in tg.steps(len(x)):
            h = tg.name("h", np.tanh(tg.linear(h, self.W) + tg.linear(x[t], self.U) + self.b + noise[t]))
        if self.carries:
            self.h = np.array(h.numpy())
        return h


def loss(model: Net, batch: tuple[np.ndarray, np.ndarray, np.ndarray]) -> Any:
    """Remember the first input's sum."""
    x, noise, y = batch
    return np.mean((model.v * np.sum(model(x, noise), axis=1) - y) ** 2)


def batch(step: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Drawn, so that the generator's state matters as well."""
    x = generator().normal(size=(4, 4, 2))
    return x, generator().normal(0, 0.05, (4, 4, 5)), x[0].sum(axis=1)


def run(folder: str | None, steps: int = STEPS, executor: str = "eager") -> tuple[dict[str, np.ndarray], train.History]:
    """The run: its final weights and what it was like."""
    nn.manual_seed(5)
    model = Net(carries=executor == "eager")
    groups = [{"params": [model.W, model.U], "weight_decay": 0.01}, {"params": [model.b, model.v], "lr": 0.02}]
    adam = train.Adam(groups, lr=0.01, amsgrad=True)
    schedule = train.SequentialLR(
        adam, [train.LinearLR(adam, 0.2, total_iters=20), train.ExponentialLR(adam, 0.99)], [20]
    )
    history = train.fit(
        model,
        loss,
        batch,
        adam,
        steps=steps,
        every=EVERY,
        clip=train.clip.by_random_direction(3.0),
        schedule=schedule,
        validate=lambda model: loss(model, batch(0)),
        early_stopping=train.EarlyStopping(patience=1000, restore=False),
        checkpoint=folder,
        compile=EXECUTORS[executor],
        log=False,
    )
    return model.state_dict(), history


if __name__ == "__main__":
    run(sys.argv[1], executor=sys.argv[2] if len(sys.argv) > 2 else "eager")
