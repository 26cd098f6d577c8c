"""A form for all lengths is right at all of them: what depends on the length is c T or c / T, or it does not fold."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.test_compile_equality import furthest
from tinygrad_rnn.compiler import compile
from tinygrad_rnn.compiler.numpy.run_numpy import WORKING
from tinygrad_rnn.compiler.trace.length_numbers import Census, Lengths

D, B = 3, 2
P = {"w": np.random.default_rng(5).standard_normal(D)}


def inputs(T: int) -> Any:
    return np.random.default_rng(T).standard_normal((T, B, D))


def loss_with(ending: Callable[[Any, int], Any]) -> Any:
    def loss(p: Any, x: Any) -> Any:
        h = np.zeros((B, D))
        for t in tg.steps(len(x)):
            h = np.tanh(h * p["w"] + x[t])
        return ending(np.sum(h * h), len(x))

    return loss


FOLDING = {
    "c": lambda a, T: 3 * a, "T": lambda a, T: a * T, "c T": lambda a, T: a * (0.1 * T), "1 / T": lambda a, T: a / T,
    "c / T": lambda a, T: a / (3 * T), "T - 1 as two": lambda a, T: a + T - 1,
}  # fmt: skip
OTHERS = {
    "T²": lambda a, T: a * T**2, "T // 2": lambda a, T: a * (T // 2), "T % 2": lambda a, T: a * (T % 2),
    "min(T, 10)": lambda a, T: a * min(T, 10), "max(T, 10)": lambda a, T: a * max(T, 10),
    "1 / T²": lambda a, T: a / T**2, "T - 1": lambda a, T: a * (T - 1), "√T": lambda a, T: a / T**0.5,
    "of gradients alone": lambda a, T: a + T**2 * (a - tg.stop(a)), "if T > 9": lambda a, T: a if T > 9 else np.tanh(a),
}  # fmt: skip
#: seen at short or at long lengths only, and at which
LATE = {
    "min(T, 20)": (lambda a, T: a * min(T, 20), 30), "max(T, 20)": (lambda a, T: a * max(T, 20), 30),
    "if T > 20": (lambda a, T: a * (2 if T > 20 else 1), 25), "if T < 3": (lambda a, T: a * (2 if T < 3 else 1), 2),
    "T % 11": (lambda a, T: a * (T % 11), 9), "another operation": (lambda a, T: a if T > 20 else a / 2 + a / 2, 25),
}  # fmt: skip


@pytest.mark.parametrize("name", FOLDING)
def test_multiples_of_the_length_fold(name: str) -> None:
    loss = loss_with(FOLDING[name])
    fast = compile(tg.value_and_grad(loss))
    assert max(furthest(fast, loss, P, inputs(T)) for T in (1, 7, 40)) < 1e-13
    assert fast.forms == ["folded"] and fast.recordings == 1


@pytest.mark.slow
@pytest.mark.parametrize("name", OTHERS)
def test_other_numbers_of_the_length_are_right_and_their_line_is_named(name: str) -> None:
    loss = loss_with(OTHERS[name])
    fast = compile(tg.value_and_grad(loss))
    assert max(furthest(fast, loss, P, inputs(T)) for T in (7, 1, 12)) < 1e-13
    assert all(form.startswith("flat (") for form in fast.forms)
    assert "test_compile_lengths.py:" in fast.forms[0] or "if" in name


@pytest.mark.slow
@pytest.mark.parametrize("name", LATE)
@pytest.mark.parametrize("first", [False, True], ids=["later", "at first"])
def test_what_is_seen_at_one_length_only_is_looked_for_there(name: str, first: bool) -> None:
    ending, there = LATE[name]
    loss = loss_with(ending)
    fast = compile(tg.value_and_grad(loss))
    lengths = (there, 6) if first else (6, there, 6)
    assert max(furthest(fast, loss, P, inputs(T)) for T in lengths) < 1e-13
    assert all(form.startswith("flat (") for form in fast.forms)
    assert "test_compile_lengths.py:" in fast.forms[0] or name == "another operation"


@pytest.mark.parametrize("executor", ["numpy", "checkpoint"])
def test_the_plan_is_the_one_that_ran_after_a_form_was_refused(executor: str) -> None:
    loss = loss_with(LATE["min(T, 20)"][0])
    fast = compile(tg.value_and_grad(loss), checkpoint=2 if executor == "checkpoint" else None)
    fast(P, inputs(6))
    folded = str(fast.plan)
    assert fast.forms == ["folded"] and "for t in range(N)" in folded
    fast(P, inputs(30))
    assert "for t in range(N)" not in str(fast.plan) and fast.source() == str(fast.plan)
    assert fast.peak_bytes(30) == fast.plan.bytes(0) + WORKING
    assert len(fast.forms) == 1 and fast.forms[0] in repr(fast)


def test_there_is_no_plan_where_a_function_ran_as_it_is() -> None:
    def loss(p: Any, ids: Any) -> Any:
        h, total = np.zeros((2, 4)), 0.0
        for t in tg.steps(len(ids)):
            h = np.tanh(tg.embedding(p["E"], ids[t]) + h)
            total = total + np.sum(h)
        return total

    fast = compile(tg.value_and_grad(loss))
    p, ids = {"E": np.ones((5, 4))}, np.arange(14).reshape(7, 2) % 5
    fast(p, ids)
    assert fast.forms == ["folded"] and fast.plan is not None
    with pytest.raises(tg.TinygradError):
        fast(p, ids + 3)
    assert fast.plan is None and fast.source() == ""
    fast(p, ids)
    assert fast.plan is not None


def test_growing_lengths_are_not_recorded_one_by_one() -> None:
    lengths = Lengths(*[Census(T, {("add", None, None): T}, 8 * T) for T in (6, 17)])
    recorded = []
    for T in range(1, 120):
        if T not in lengths:
            recorded.append(lengths.next(T))
            lengths.looked_at(T, recorded[-1])
    assert recorded == [*range(1, 6), *range(7, 17), 18, 36, 72, 144]
    assert lengths.next(10**9) == 100_000, "no recording is longer than that"


def test_a_form_whose_gradients_are_not_those_of_the_function_is_never_used(monkeypatch: pytest.MonkeyPatch) -> None:
    from tinygrad_rnn.compiler import prepare

    differentiated = prepare.with_gradients

    def wrong(compiled: Any, recorder: Any, outputs: Any, times: Any = (), ends: int = 0) -> Any:
        value, *grads = differentiated(compiled, recorder, outputs, times, ends)
        return [value, *[value] * len(grads)] if times else [value, *grads]

    loss = loss_with(FOLDING["c"])
    fast = compile(tg.value_and_grad(loss))
    monkeypatch.setattr(prepare, "with_gradients", wrong)
    assert furthest(fast, loss, P, inputs(7)) < 1e-13
    assert fast.forms == ["flat (the plan does not give the gradients of the function)"]
