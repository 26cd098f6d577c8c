"""A gradient that is computed in the graph is a quantity like others: its equations are written and hold."""

from __future__ import annotations

import numpy as np

import tinygrad_rnn as tg
from tinygrad_rnn.language.text.printer import text
from tinygrad_rnn.system.equations import write_equations


def test_the_gradient_of_a_gradient_norm_is_written_as_equations():
    rng = np.random.default_rng(0)
    W = tg.tensor(rng.standard_normal((3, 3)), name="W")
    with tg.step(0):
        h = tg.tensor(rng.standard_normal((3, 1)), name="h")
    loss = 0.0
    for _ in tg.steps(1, 8):
        h = tg.name("h", np.tanh(W @ h))
        loss = loss + np.sum(h * h)
    dW = tg.gradients(loss, W, create_graph=True)
    squared = np.sum(dW * dW)
    found = write_equations(squared)
    lines = text(found.model.document).splitlines()
    assert "grad_h[t] = s[t+1] + h[t] + h[t]" in lines, "dh is what the gradient of h will be called"
    run = found.run()
    np.testing.assert_allclose(tg.gradients(run.loss, run["W"]), tg.gradients(squared, W), rtol=1e-11)
