"""Checkpointing: the same gradients, bit for bit, in the memory that the plan foretells."""

import tracemalloc
from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tg
from benchmarks import ways
from tests.compile_losses import LOSSES, inputs
from tinygrad_rnn.compiler import CompileError, compile
from tinygrad_rnn.compiler.numpy.rematerialize import CheckpointRunner

ONE_LOOP = ["every step", "last step", "lstm", "gru in columns", "vectors", "scalars"]


@pytest.mark.slow
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


@pytest.mark.slow
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


def _sum_of_what_is_the_same_at_each_step(p: Any, x: Any) -> Any:
    h, total = p["h0"], 0.0
    for t in tg.steps(len(x)):
        h = np.tanh(tg.linear(x[t], p["U"]) + tg.linear(h, p["W"]))
        total = total + np.sum(h) + 0.1 * np.sum(p["W"] ** 2)
    return total


def _adjoint_in_the_place_of_what_the_forward_loop_left(p: Any, x: Any) -> Any:
    h, total = p["h0"], 0.0
    for t in tg.steps(len(x)):
        h = 0.5 * h + 0.3 * np.tanh(h)
        total = total + np.sum(tg.linear(h, p["W"]) * np.sin(x[t, :, :1]))
    return total + np.sum(h)


def _first_step_read_after_the_loop(p: Any, x: Any) -> Any:
    h, states = p["h0"], []
    for t in tg.steps(len(x)):
        h = np.tanh(tg.linear(x[t], p["U"]) + tg.linear(h, p["W"]))
        states.append(h)
    return np.sum(states[0] ** 2 * h) + np.sum(states[-1] ** 3)


def _steps_before_the_last_read_after_the_loop(p: Any, x: Any) -> Any:
    h, c, d = p["h0"], p["h0"], p["h0"]
    for t in tg.steps(len(x)):
        h, c, d = np.tanh(tg.linear(x[t], p["U"]) + tg.linear(h, p["W"])), h, c
    return np.sum(h**2 * c) + np.sum(d**3)


def _state_that_no_gradient_reads(p: Any, x: Any) -> Any:
    h, c, total = p["h0"], np.ones((x.shape[1], 4)), 0.0
    for t in tg.steps(len(x)):
        c = 0.5 * c + tg.stop(h)
        h = np.tanh(tg.linear(x[t], p["U"]) + tg.linear(h, p["W"]) + tg.stop(c))
        total = total + np.sum(h)
    return total


CROSSING = [
    _sum_of_what_is_the_same_at_each_step,
    _adjoint_in_the_place_of_what_the_forward_loop_left,
    _first_step_read_after_the_loop,
    _steps_before_the_last_read_after_the_loop,
    _state_that_no_gradient_reads,
]


@pytest.mark.parametrize("loss", CROSSING, ids=lambda loss: loss.__name__.strip("_").replace("_", " "))
def test_what_crosses_from_one_segment_to_another_is_eagers(loss: Any) -> None:
    rng = np.random.default_rng(1)
    p = {"h0": rng.normal(size=(2, 4)), "U": rng.normal(size=(4, 3)), "W": rng.normal(size=(4, 4))}
    sequence = loss is _sum_of_what_is_the_same_at_each_step
    eager = tg.value_and_grad(loss, argnums=(0, 1) if sequence else (0,))
    for chunk, every in ((1, 1), (2, 3), (3, "sqrt")):
        kept = compile(eager, checkpoint=every)
        kept.chunk = chunk
        for T in (9, 4, 6, 25):
            value, grads = eager(p, inputs(T))
            found, again = kept(p, inputs(T))
            assert kept.forms == ["folded"]
            assert np.isclose(found, value, rtol=1e-12)
            for key in p:
                np.testing.assert_allclose(again[0][key], grads[0][key], 1e-10, 1e-12)
            for x, y in zip(again[1:], grads[1:], strict=True):
                np.testing.assert_allclose(x, y, 1e-10, 1e-12)


def test_a_loss_that_reads_each_state_where_the_next_step_does_is_summed_over_all_segments() -> None:
    loss, (p, x, weights) = ways.written("GRU", 1, (4, 2, 300, 3), "float64")
    eager = tg.value_and_grad(loss)
    for chunk, every, lengths in ((2, 3, (7, 4, 9)), (None, "sqrt", (300,))):
        kept = compile(eager, checkpoint=every)
        kept.chunk = chunk
        for T in lengths:
            value, grads = eager(p, x[:T], weights[:T])
            found, again = kept(p, x[:T], weights[:T])
            assert kept.forms == ["folded"] and np.isclose(found, value, rtol=1e-11)
            for key in p:
                np.testing.assert_allclose(again[key], grads[key], 1e-9, 1e-11)


def test_a_form_that_is_wrong_across_segments_is_never_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CheckpointRunner, "_put", lambda *arguments: None)
    loss, p = LOSSES["lstm"]
    kept = compile(tg.value_and_grad(loss), checkpoint="sqrt")
    kept(p, inputs(5))
    assert kept.forms[0].startswith("flat (the plan does not give the")
