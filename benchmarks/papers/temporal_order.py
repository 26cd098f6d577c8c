"""Pascanu's temporal order problem, small: what clipping and the regulariser Omega do for a plain tanh network."""

from __future__ import annotations

import numpy as np

import tinygrad_rnn as tg
from benchmarks.papers.outcome import Outcome, remember
from benchmarks.papers.training import LastStep, train
from tinygrad_rnn import nn
from tinygrad_rnn.nn.regularize import omega
from tinygrad_rnn.train.tasks import pascanu_temporal_order

#: form -> (threshold of the norm, weight of Omega)
FORMS: dict[str, tuple[float | None, float]] = {
    "neither": (None, 0.0),
    "clipping": (1.0, 0.0),
    "clipping and Omega": (1.0, 0.5),
}
HIDDEN, BATCH, RATE, SHORTEST, LONGEST = 100, 20, 0.01, 20, 50


def run(seed: int, count: int = 10_000) -> None:
    """All three forms, one seed: the share of wrong answers on 2,000 new sequences."""
    for form, (threshold, weight) in FORMS.items():
        rng = nn.manual_seed(seed)
        model = LastStep(nn.RNN(6, HIDDEN), HIDDEN, 4)
        for p in model.parameters():
            p.assign(nn.init.normal(p.shape, 0.1) if p.ndim == 2 else np.zeros(p.shape))

        def batch(step: int, rng: np.random.Generator = rng) -> tuple[np.ndarray, np.ndarray]:
            return pascanu_temporal_order(BATCH, rng, int(rng.integers(SHORTEST, LONGEST + 1)))

        def loss(model: LastStep, batch: tuple[np.ndarray, np.ndarray], weight: float = weight) -> tg.Tensor:
            x, y = batch
            error = np.mean(tg.cross_entropy(model(x), y))
            return error + weight * omega(error, "h", exact=False) if weight else error

        optimizer = tg.train.SGD(model.parameters(), lr=RATE)
        minutes = train(model, loss, batch, optimizer, count, f"temporal order, {form}", clip=threshold)
        setting = f"tanh RNN, H {HIDDEN}, SGD {RATE}, B {BATCH}, T {SHORTEST} to {LONGEST}, {count} updates"
        published = "0 % within 10,000" if weight else ""
        wrong = 100.0 * _wrong(model, rng)
        remember(Outcome("temporal order", form, setting, "wrong answers, %", published, seed, wrong, count, minutes))


def _wrong(model: LastStep, rng: np.random.Generator) -> float:
    found = []
    with tg.no_grad():
        for length in range(SHORTEST, LONGEST + 1):
            x, y = pascanu_temporal_order(2000 // (LONGEST - SHORTEST + 1) + 1, rng, length)
            found.append(np.argmax(model(x).numpy(), axis=-1) != y)
    return float(np.mean(np.concatenate(found)))
