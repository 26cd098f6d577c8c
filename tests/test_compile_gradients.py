"""Loops with right values and wrong gradients: a compiled gradient is the eager one, or it is not taken."""

from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.compile_poison import poisoned  # noqa: F401
from tests.test_compile_equality import furthest
from tinygrad_rnn.compiler import compile

H, D, B = 4, 3, 2
rng = np.random.default_rng(12)
P = {"W": rng.standard_normal((H, H)), "U": rng.standard_normal((H, D)), "w": rng.standard_normal(D)}


def inputs(T: int, size: int = D) -> Any:
    return np.random.default_rng(T).standard_normal((T, B, size))


def stopped_loss(p: Any, x: Any) -> Any:
    h, total = np.zeros((B, H)), 0.0
    for t in tg.steps(len(x)):
        h = np.tanh(tg.linear(x[t], p["U"]) + tg.linear(h, p["W"]))
        total = total + np.sum(tg.stop(h)) + 0.1 * np.sum(h * tg.stop(h))
    return total


def stopped_state(p: Any, x: Any) -> Any:
    h, total = np.zeros((B, H)), 0.0
    for t in tg.steps(len(x)):
        h = np.tanh(tg.linear(x[t], p["U"]) + tg.linear(tg.stop(h), p["W"]))
        total = total + np.sum(h * h)
    return total / len(x)


def straight_through(p: Any, x: Any) -> Any:
    h = np.zeros((B, H))
    for t in tg.steps(len(x)):
        a = np.tanh(tg.linear(x[t], p["U"]) + tg.linear(h, p["W"]))
        h = a + tg.stop(np.sign(a) - a)
    return np.sum(h * tg.linear(h, p["W"]))


def halves_of_two(p: Any, x: Any) -> Any:
    h, total = np.zeros((B, H)), 0.0
    for t in tg.steps(len(x)):
        a = tg.linear(x[t], p["U"])
        h = np.concatenate([a[:, :2], h[:, :2]], 1)
        total = total + np.sum(np.cos(h))
    return total


def softmax_as_state(p: Any, x: Any) -> Any:
    h = np.zeros((B, D))
    for t in tg.steps(len(x)):
        h = tg.softmax(h * p["w"] + x[t])
    return np.sum(h * h)


def normalised_state(p: Any, x: Any) -> Any:
    h, total = np.zeros((B, D)), 0.0
    for t in tg.steps(len(x)):
        h = h * p["w"] + x[t]
        h = h - tg.logsumexp(h, axis=1, keepdims=True)
        total = total + np.sum(h * h)
    return total


def penalty_in_each_step(p: Any, x: Any) -> Any:
    total = 0.0
    for t in tg.steps(len(x)):
        h = x[t]
        total = total + np.sum(p["w"] ** 2)
    return total + np.sum(h * p["w"])


def state_without_steps(p: Any, x: Any) -> Any:
    s, total = np.zeros(D), 0.0
    for t in tg.steps(len(x)):
        h = s
        s = 2 * p["w"]
        total = total + np.sum(h * x[t])
    return total


LOOPS = [
    penalty_in_each_step,
    state_without_steps,
    stopped_loss,
    stopped_state,
    straight_through,
    halves_of_two,
    softmax_as_state,
    normalised_state,
]


@pytest.mark.parametrize("loss", LOOPS, ids=lambda loss: loss.__name__)
def test_gradients_are_those_of_the_function(loss: Any) -> None:
    fast = compile(tg.value_and_grad(loss))
    assert max(furthest(fast, loss, P, inputs(T)) for T in (7, 1, 2, 3, 20)) < 1e-11
    assert fast.forms == ["folded"]


def test_machine_code_reads_what_it_wrote() -> None:
    pytest.importorskip("numba")
    fast = compile(tg.value_and_grad(softmax_as_state), executor="jit")
    assert max(furthest(fast, softmax_as_state, P, inputs(T)) for T in (7, 2)) < 1e-11
    assert fast.forms == ["folded"]


def two_loops(p: Any, x: Any) -> Any:
    a = b = np.zeros(H)
    total = 0.0
    for t in tg.steps(len(x)):
        a = np.tanh(x[t] + p["w"] * a)
        c = np.concatenate((a, b, a), axis=0) * 0.3
        b = np.tanh(c[:H] + c[H : 2 * H] * c[2 * H :])
        total = total + np.sum(b)
    return total


@pytest.mark.parametrize("executor", ["numpy", "jit"])
def test_what_lives_in_a_chunk_is_read_in_that_chunk(executor: str) -> None:
    pytest.importorskip("numba")
    p, fast = {"w": P["W"][0]}, compile(tg.value_and_grad(two_loops), executor)
    fast.chunk = 3
    assert max(furthest(fast, two_loops, p, inputs(T, H)[:, 0]) for T in (7, 1, 20)) < 1e-13
    assert fast.forms == ["folded"]


def test_the_gradient_of_a_sequence_that_is_not_read_has_its_shape() -> None:
    def loss(p: Any, x: Any, z: Any) -> Any:
        h = 0.0
        for t in tg.steps(len(x)):
            h = np.tanh(h + p["w"] * z[t])
        return np.sum(h)

    fast = compile(tg.value_and_grad(loss, (0, 1)))
    for T in (9, 4):
        _, (_, found) = fast(P, inputs(T), inputs(T))
        assert found.shape == (T, B, D) and not found.any()


def test_a_loop_that_overflows_in_the_longer_recording_is_compared_where_it_is_finite() -> None:
    def cubed(p: Any, x: Any) -> Any:
        h = np.ones((B, D))
        for t in tg.steps(len(x)):
            h = tg.linear(h, p["A"])[:, :D] ** 3 + x[t] - tg.logsumexp(h, axis=1, keepdims=True)
        return np.sum(h)

    p = {"A": np.concatenate([1.3 * np.eye(D), np.eye(D)])}
    fast = compile(tg.value_and_grad(cubed))
    T = 4
    assert furthest(fast, cubed, p, 0.1 * np.abs(inputs(T))) < 1e-12
    assert np.isnan(tg.value_and_grad(cubed)(p, 0.1 * np.abs(inputs(17)))[0])
    assert fast.forms == ["folded"]


def test_single_precision_that_meets_a_double_constant_folds() -> None:
    scale = np.array([0.52, 0.42, 0.7])

    def scaled(p: Any, x: Any) -> Any:
        h, total = np.zeros((B, H), np.float32), 0.0
        for t in tg.steps(len(x)):
            h = tg.sigmoid(tg.linear(x[t], p["U"]) + tg.linear(h, p["W"]))
            total = total + scale * np.sum(h)
        return total

    fast = compile(scaled)
    p, x = {key: P[key].astype(np.float32) for key in "UW"}, inputs(9).astype(np.float32)
    np.testing.assert_allclose(fast(p, x), scaled(p, x), 1e-5)
    assert fast.forms == ["folded"]


def test_a_compiled_function_within_one_that_is_differentiated_stays_in_its_graph() -> None:
    layer = tg.nn.RNN(D, H)

    def inner(layer: Any, x: Any) -> Any:
        return np.sum(layer(x)[0] ** 2)

    fast = compile(inner)

    def outer(layer: Any, x: Any) -> Any:
        return 3 * fast(layer, x)

    x = inputs(5)
    _, wanted = tg.value_and_grad(inner)(layer, x)
    for slope in (tg.grad(outer), compile(tg.grad(outer))):
        found = slope(layer, x)
        assert all(np.allclose(found[key], 3 * wanted[key], 1e-13) for key in wanted)
    assert isinstance(fast(layer, x), float)
