"""Checkpointing: the same gradients, bit for bit, in the memory that the plan foretells."""

import tracemalloc
from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.compile_losses import LOSSES, inputs
from tinygrad_rnn.compile import CompileError, compile

ONE_LOOP = ["every step", "last step", "lstm", "gru in columns", "vectors", "scalars"]


@pytest.mark.parametrize("every", ["sqrt", 1, 300])
@pytest.mark.parametrize("name", ONE_LOOP)
def test_gradients_are_the_same_to_the_last_bit(name: str, every: Any) -> None:
    loss, p = LOSSES[name]
    plain = compile(tg.value_and_grad(loss))
    kept = compile(tg.value_and_grad(loss), checkpoint=every)
    for T in (1, 129, 700):
        value, grads = plain(p, inputs(T))
        found, again = kept(p, inputs(T))
        assert found == value
        assert all(np.array_equal(grads[key], again[key]) for key in grads)
    assert kept.recordings == 1


def test_peak_memory_is_what_the_plan_says_and_a_small_part_of_the_plain_run() -> None:
    loss, p = LOSSES["lstm"]
    plain, kept = compile(tg.value_and_grad(loss)), compile(tg.value_and_grad(loss), checkpoint="sqrt")
    plain(p, inputs(3)), kept(p, inputs(3))
    assert kept.peak_bytes(10_000) <= 0.05 * plain.peak_bytes(10_000)
    T = 2500
    x = inputs(T)
    kept(p, x[:200])  # calls are bound once
    kept.known_forms[0].lengths.looked_at(T, T)  # for which the function itself is recorded
    tracemalloc.start()
    kept(p, x)
    _, measured = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert measured <= kept.peak_bytes(T)


def test_several_loops_are_refused() -> None:
    loss, p = LOSSES["both directions"]
    with pytest.raises(CompileError, match="one loop forwards"):
        compile(tg.value_and_grad(loss), checkpoint="sqrt")(p, inputs(6))


def test_a_checkpoint_is_a_number_or_sqrt() -> None:
    for wrong in (0, -1, "log"):
        with pytest.raises(CompileError, match="checkpoint"):
            compile(tg.value_and_grad(LOSSES["lstm"][0]), checkpoint=wrong)


def test_equation_files_take_checkpoints() -> None:
    model = tg.load("lstm")
    values = {name: p.value for name, p in model.unroll(3).parameters.items()}
    rng = np.random.default_rng(0)
    T = 400
    values |= {"x": rng.standard_normal((T, 3, 1)), "y": rng.integers(0, 5, (T, 1))}
    values |= {("h", 0): np.zeros((4, 1)), ("c", 0): np.zeros((4, 1))}
    loss, grads = model.compile()(values)
    again, kept = model.compile(checkpoint=150)(values)
    assert loss == again and all(np.array_equal(grads[key], kept[key]) for key in grads)
