"""Truncated backpropagation: the example that can be checked by hand, and what each window counts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn.train import detach_state, truncated, windows


def dh_dw(k1: int, k2: int | None, lr: float = 0.0) -> list[float]:
    """h[t] = w h[t-1] from h[0] = 0.9 with w = 0.2: the derivatives of the windows' summed states."""
    w = tg.tensor(0.2, name="w")

    def step(t: int, h: Any) -> tuple[Any, Any]:
        h = tg.name("h", w * h)
        return h, h

    found = []
    for loss, _ in truncated(step, 3, tg.tensor(0.9, requires_grad=False), k1, k2):
        found.append(tg.gradients(loss, w))
        w.assign(w.item() - lr * found[-1])
    return found


@pytest.mark.parametrize(
    ("k1", "k2", "expected"),
    [
        (1, 3, [0.9, 0.36, 0.108]),  # far enough back: h0, 2 w h0, 3 w^2 h0
        (1, 9, [0.9, 0.36, 0.108]),
        (1, 1, [0.9, 0.18, 0.036]),  # one step back: h[t-1] alone
        (1, 2, [0.9, 0.36, 0.072]),
        (3, 3, [0.9 + 0.36 + 0.108]),
        (3, None, [0.9 + 0.36 + 0.108]),
        (2, 2, [0.9 + 0.36, 0.036]),
        (3, 1, [0.036]),  # losses farther back than k2 are not counted
    ],
)
def test_the_example_that_can_be_checked_by_hand(k1: int, k2: int | None, expected: list[float]) -> None:
    assert dh_dw(k1, k2) == pytest.approx(expected, rel=1e-14)


def test_the_whole_gradient_of_each_step_needs_no_truncation() -> None:
    w, h = tg.tensor(0.2, name="w"), tg.tensor(0.9)
    found = []
    for _ in tg.steps(1, 4):
        h = w * h
        found.append(tg.gradients(h, w))
    assert found == pytest.approx([0.9, 0.36, 0.108], rel=1e-14)


def test_updates_between_windows_run_earlier_steps_again_with_the_weights_of_now() -> None:
    first, second, third = dh_dw(1, 2, lr=0.1)
    w1 = 0.2 - 0.1 * 0.9
    w2 = w1 - 0.1 * second
    h1 = w1 * 0.9  # as the second window, the last to run step 1, left it
    assert (first, second) == pytest.approx((0.9, 2 * w1 * 0.9))
    assert third == pytest.approx(2 * w2 * h1)


@pytest.mark.parametrize("T", [1, 2, 5, 7, 8])
@pytest.mark.parametrize("k1", [1, 2, 3, 8])
@pytest.mark.parametrize("k2", [1, 2, 4, 20])
def test_each_loss_counts_once_and_windows_look_back_k2_steps(T: int, k1: int, k2: int) -> None:
    found = list(windows(T, k1, k2))
    counted = [t for w in found for t in range(w.counted, w.last + 1)]
    assert counted == sorted(set(counted)) and (k2 < k1 or counted == list(range(1, T + 1)))
    assert all(w.last - w.first + 1 == min(k2, w.last) for w in found[:-1])
    assert k1 != k2 or all(w.first == w.counted for w in found), "nothing is run twice"
    assert found[-1].last == T and all(w.last % k1 == 0 for w in found[:-1])


def test_only_the_first_window_reaches_the_initial_state() -> None:
    w, h0 = tg.tensor(0.5, name="w"), tg.tensor(1.0, name="h")
    reached = [tg.gradients(loss, h0) for loss, _ in truncated(lambda t, h: (w * h, (w * h) ** 2), 4, h0, k1=2)]
    assert reached[0] != 0.0 and reached[1] == 0.0


def test_windows_without_losses_are_passed_over() -> None:
    w = tg.tensor(0.5, name="w")

    def step(t: int, h: Any) -> tuple[Any, Any]:
        h = w * h
        return h, (h if t == 4 else None)

    found = list(truncated(step, 4, tg.tensor(1.0), k1=1))
    assert len(found) == 1 and found[0][0].item() == pytest.approx(0.0625)


def test_detached_states_keep_structure_names_and_values() -> None:
    h = tg.name("h", tg.tensor([1.0, 2.0]) * 2.0)
    state = {"lstm": (h, None), "list": [h, 3]}
    free = detach_state(state)
    assert free["lstm"][0].name == "h" and free["lstm"][0].op is None and not free["lstm"][0].requires_grad
    np.testing.assert_array_equal(free["list"][0].value, h.value)
    assert free["lstm"][1] is None and free["list"][1] == 3 and detach_state(free["list"][0]) is free["list"][0]


def test_steps_are_recorded_at_their_own_time() -> None:
    w = tg.tensor(0.5, name="w")
    times = []

    def step(t: int, h: Any) -> tuple[Any, Any]:
        h = tg.name("h", w * h)
        times.append((t, h.scope.step))
        return h, h

    list(truncated(step, 4, tg.tensor(1.0), k1=2, k2=3))
    assert times == [(t, t) for t in (1, 2, 2, 3, 4)]


@pytest.mark.parametrize(("k1", "k2"), [(0, 1), (1, 0), (-1, None)])
def test_windows_of_no_step_are_refused(k1: int, k2: int | None) -> None:
    with pytest.raises(ValueError, match="k1 >= 1 and k2 >= 1"):
        list(windows(3, k1, k2))
