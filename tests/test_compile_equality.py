"""A compiled function is the function: its values and gradients, at every length, from one recording."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinygrad_rnn as tg
from tests.compile_losses import LOSSES, D, H, every_step, inputs, lstm, parameters, there_and_back
from tests.compile_poison import poisoned  # noqa: F401
from tinygrad_rnn.compiler import compile
from tinygrad_rnn.core.tensor import plain

LENGTHS = (7, 1, 2, 3, 20)


def apart(found: Any, expected: Any) -> float:
    """The largest difference, relative to the largest entry; shape and dtype have to be the same."""
    found, expected = np.asarray(found), np.asarray(plain(expected))  # eager: a Tensor where one was read from outside
    assert found.shape == expected.shape and found.dtype == expected.dtype
    distance = float(np.max(np.abs(found - expected), initial=0))
    assert np.isfinite(distance)  # `max` would lose a nan
    return distance / max(float(np.max(np.abs(expected), initial=0)), 1e-300)


def furthest(compiled: Any, loss: Any, p: Any, *args: Any) -> float:
    value, grads = tg.value_and_grad(loss)(p, *args)
    fast_value, fast_grads = compiled(p, *args)
    assert list(fast_grads) == list(grads)
    return max(apart(fast_value, value), *[apart(fast_grads[key], grads[key]) for key in grads])


@pytest.mark.slow
@pytest.mark.parametrize("name", LOSSES)
def test_values_and_gradients_at_every_length_from_one_recording(name: str) -> None:
    loss, p = LOSSES[name]
    fast = compile(tg.value_and_grad(loss))
    fast.chunk = (None, 1, 2, 3, 7)[list(LOSSES).index(name) % 5]
    lengths = [T for T in LENGTHS if T > 1] if name == "next input" else LENGTHS
    assert max(furthest(fast, loss, p, inputs(T)) for T in lengths) < 1e-13
    assert fast.forms == ["folded"] and fast.recordings <= 2


@pytest.mark.parametrize("name", ["every step", "lstm", "gru in columns", "normalised"])
def test_float32_stays_float32(name: str) -> None:
    loss, p = LOSSES[name]
    p = {key: np.asarray(value, "float32") for key, value in p.items()}
    fast = compile(tg.value_and_grad(loss))
    assert furthest(fast, loss, p, inputs(9, "float32")) < 2e-5


@pytest.mark.slow
@settings(max_examples=15, deadline=None)
@given(st.integers(1, 6), st.integers(1, 5), st.integers(1, 4), st.integers(1, 12))
def test_all_sizes(hidden: int, size: int, batch: int, T: int) -> None:
    rng = np.random.default_rng(hidden + 10 * size)
    p = {"h0": rng.standard_normal((batch, hidden)), "c0": rng.standard_normal((batch, hidden))}
    for k in "ifgo":
        p |= {"W" + k: rng.standard_normal((hidden, hidden)), "U" + k: rng.standard_normal((hidden, size))}
        p["b" + k] = rng.standard_normal(hidden)
    x = rng.standard_normal((T, batch, size))
    assert furthest(compile(tg.value_and_grad(lstm)), lstm, p, x) < 1e-12


@pytest.mark.slow
def test_ten_thousand_steps_without_recording_again() -> None:
    p = parameters("")
    fast = compile(tg.value_and_grad(every_step))
    for T in (2, 10_000, 50):
        assert furthest(fast, every_step, p, inputs(T)) < 1e-12
    assert fast.recordings == 1


def test_the_first_call_may_be_the_long_one() -> None:
    fast = compile(tg.value_and_grad(every_step))
    fast(parameters(""), inputs(3000))
    assert fast.recordings == 1 and fast.forms == ["folded"]


def test_another_batch_size_or_dtype_is_recorded_anew_and_kept() -> None:
    p, x = parameters(""), inputs(6)
    fast = compile(tg.value_and_grad(every_step))
    for batch in (1, 2, 1, 2):
        assert furthest(fast, every_step, p, x[:, :batch]) < 1e-13
    assert fast.recordings == 2


def test_results_of_one_call_outlive_the_next() -> None:
    p = parameters("")
    fast = compile(tg.value_and_grad(every_step))
    _, first = fast(p, inputs(5))
    kept = {key: np.array(value) for key, value in first.items()}
    fast(p, inputs(6))
    assert all(np.array_equal(first[key], kept[key]) for key in kept)


def test_a_plain_function_gives_its_value_and_grad_the_gradient() -> None:
    p, x = parameters(""), inputs(6)
    value, grads = tg.value_and_grad(every_step)(p, x)
    assert apart(compile(every_step)(p, x), every_step({k: tg.tensor(v) for k, v in p.items()}, x).value) < 1e-14
    assert apart(compile(tg.grad(every_step))(p, x)["W"], grads["W"]) < 1e-13
    assert value > 0


def test_gradient_with_respect_to_the_sequence() -> None:
    p, x = parameters(""), inputs(8)
    fast = compile(tg.value_and_grad(every_step, (0, 1)))
    _, (_, expected) = tg.value_and_grad(every_step, (0, 1))(p, x)
    _, (_, found) = fast(p, x)
    assert apart(found, expected) < 1e-13 and fast.forms == ["folded"]


def test_parameters_may_be_lists_and_tuples() -> None:
    def loss(p: Any, x: Any) -> Any:
        W, (U, b) = p
        return every_step({"W": W, "U": U, "b": b}, x)

    named = parameters("")
    p, x = [named["W"], (named["U"], named["b"])], inputs(6)
    _, expected = tg.value_and_grad(loss)(p, x)
    _, found = compile(tg.value_and_grad(loss))(p, x)
    assert apart(found[1][0], expected[1][0]) < 1e-13 and isinstance(found[1], tuple)


def test_a_list_of_arrays_is_a_sequence() -> None:
    def loss(p: Any, xs: Any) -> Any:
        h, total = np.zeros((2, H)), 0.0
        for t in tg.steps(len(xs)):
            h = np.tanh(tg.linear(xs[t], p["U"]) + tg.linear(h, p["W"]))
            total = total + np.sum(h)
        return total

    p = parameters("")
    fast = compile(tg.value_and_grad(loss))
    for T in (8, 3):
        x = list(inputs(T))
        assert furthest(fast, loss, p, x) < 1e-13
    assert fast.forms == ["folded"]


def test_a_step_that_is_read_by_itself_has_to_be_there() -> None:
    p = parameters("1", "2")
    fast = compile(tg.value_and_grad(there_and_back))
    assert max(furthest(fast, there_and_back, p, inputs(T)) for T in (7, 1, 2, 3)) < 1e-13
    assert fast.forms[0] == "folded" and fast.forms[1].startswith("flat (1 steps are fewer than the 2")


def test_batch_first() -> None:
    def loss(p: Any, x: Any) -> Any:
        h, total = np.zeros((x.shape[0], H)), 0.0
        for t in tg.steps(x.shape[1]):
            h = np.tanh(tg.linear(x[:, t], p["U"]) + tg.linear(h, p["W"]))
            total = total + np.sum(h**2)
        return total

    fast = compile(tg.value_and_grad(loss))
    for T in (7, 1, 12):
        assert furthest(fast, loss, parameters(""), inputs(T).swapaxes(0, 1)) < 1e-13
    assert fast.forms == ["folded"]


def test_infinities_and_nans_are_those_of_the_function() -> None:
    p, x = parameters(""), inputs(6)
    x[3, 0, 0] = np.nan
    value, grads = tg.value_and_grad(every_step)(p, x)
    fast_value, fast_grads = compile(tg.value_and_grad(every_step))(p, x)
    assert np.isnan(value) and np.isnan(fast_value)
    assert all(np.array_equal(np.isnan(fast_grads[key]), np.isnan(grads[key])) for key in "WUb")


def test_second_order_is_never_wrong() -> None:
    x = inputs(5)
    p = parameters("")

    def squared(s: Any) -> Any:
        return compile(every_step)({**p, "W": s * p["W"]}, x)

    def eager(s: Any) -> Any:
        return every_step({**p, "W": s * p["W"]}, x)

    assert apart(tg.grad(squared)(0.7), tg.grad(eager)(0.7)) < 1e-13
    assert apart(tg.grad(tg.grad(squared))(0.7), tg.grad(tg.grad(eager))(0.7)) < 1e-12

    def slope(q: Any, x: Any) -> Any:
        return np.sum(tg.grad(every_step)(q, x)["W"] ** 2)

    small = {key: p[key] for key in "WUb"}
    assert furthest(compile(tg.value_and_grad(slope)), slope, small, x) < 1e-11


def test_what_is_not_one_step_repeated_is_compiled_flat() -> None:
    def loss(p: Any, x: Any) -> Any:
        h = np.zeros((2, H))
        for t in tg.steps(len(x)):
            h = np.tanh(h @ p["W"]) if t % 2 else h + tg.linear(x[t], p["U"])
        return np.sum(h**2)

    fast = compile(tg.value_and_grad(loss))
    for T in (7, 4):
        assert furthest(fast, loss, parameters(""), inputs(T)) < 1e-13
    assert all(form.startswith("flat") for form in fast.forms)


def test_leaves_outside_are_read_at_each_call() -> None:
    W = tg.tensor(0.3 * np.eye(H), name="W", requires_grad=False)

    def loss(p: Any, x: Any) -> Any:
        h = np.zeros((2, H))
        for t in tg.steps(len(x)):
            h = np.tanh(tg.linear(h, W) + tg.linear(x[t], p["U"]))
        return np.sum(h**2)

    p, x = {"U": parameters("")["U"]}, inputs(6)
    fast = compile(tg.value_and_grad(loss))
    assert furthest(fast, loss, p, x) < 1e-13
    W.assign(-0.5 * np.eye(H))
    assert furthest(fast, loss, p, x) < 1e-13
    assert fast.recordings == 1 and D == 3
