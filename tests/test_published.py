"""Numbers that papers published, reached again: who solves a task, who does not, and how well.

A seed of each, some more by `python -m benchmarks soak laws`; all, with settings, are in benchmarks/papers/classics.py.
"""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.papers import classics
from tests.sweep import EVERYTHING, sample

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("seed", sample([0, 4], 1, "Reber", always=[0]))
def test_lstm_learns_the_embedded_reber_grammar(seed):
    """The first symbol is remembered across a whole string of the inner grammar, in every unseen string."""
    assert not np.isnan(classics.embedded_reber(seed))


@pytest.mark.parametrize("seed", sample([0, 1], 1, "temporal order", always=[1]))
def test_lstm_learns_temporal_order_where_a_plain_network_guesses(seed):
    sequences, right = classics.temporal_order(seed, classics.order_lstm, lr=0.05, updates=1200)
    assert right == 1.0 and sequences <= 9600
    _, guessed = classics.temporal_order(seed, classics.order_rnn, lr=0.01, updates=600)
    assert guessed < 0.5


@pytest.mark.skipif(not EVERYTHING, reason="half a minute: python -m benchmarks soak laws")
def test_only_a_forget_gate_keeps_up_with_a_continual_stream():
    """What was to be remembered is named in 99.7% of cases with the gate, in 55%, by guessing, without."""
    steps, names, updates = classics.continual_reber(0, forget=True)
    assert steps > 0.997 and names > 0.997
    _, names, _ = classics.continual_reber(0, forget=False, updates=updates)
    assert names < 0.6


@pytest.mark.parametrize(
    "letters, size, reached, seed",
    sample([("ab", 2, 65, 0), ("ab", 2, 65, 1), ("abc", 3, 18, 2), ("abc", 3, 18, 4)], 1, "peephole"),
)
def test_a_peephole_lstm_counts_further_than_it_was_taught(letters, size, reached, seed):
    """Taught a^n b^n (c^n) up to n = 10, it is right on every string up to n = 65 (18)."""
    assert classics.counting(seed, letters, size, beyond=reached) == reached


@pytest.mark.parametrize("seed", sample([0, 1, 2], 1, "Mackey-Glass"))
def test_an_echo_state_network_foretells_mackey_glass(seed):
    """84 steps ahead, 400 units, 3000 steps of training: a normalised error of 2.8e-4 in the paper."""
    assert classics.mackey_glass_error(seed) < 5e-4
