"""Memory is written again only when nobody can see it: values of parameters, answers of compiled functions."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn.core.memory import Stretch, holders

#: ways to keep (part of) the value of a parameter
WAYS: dict[str, Callable[[Any], Any]] = {
    "its value": lambda p: p.value,
    "numpy()": lambda p: p.numpy(),
    "a part": lambda p: p.value[1:],
    "a part of a view": lambda p: p.value.T.reshape(-1)[::2],
    "detached": lambda p: p.detach(),
    "a graph": lambda p: np.transpose(p),
    "the buffer": lambda p: memoryview(p.value),
}


def numbers(held: Any) -> np.ndarray:
    return np.array(held.value if isinstance(held, tg.Tensor) else held)


@pytest.mark.slow
@pytest.mark.parametrize("executor", ["numpy", "jit"])
@pytest.mark.parametrize("way", WAYS)
def test_what_somebody_holds_of_a_value_stays_while_parameters_move(way: str, executor: str) -> None:
    if executor == "jit":
        pytest.importorskip("numba", reason="numba is not installed: pip install -e '.[jit]'")
    params = [tg.tensor(np.arange(6.0).reshape(2, 3)), tg.tensor(1.0), tg.tensor(np.ones(4))]
    adam = tg.train.Adam(params, lr=0.1)
    kept: list[tuple[Any, np.ndarray]] = []
    for n in range(6):
        if n != 3:
            held = WAYS[way](params[0])
            kept.append((held, numbers(held)))
            del held
        before = params[0].value.copy()
        adam.move(adam.end_to_end([np.ones((2, 3)), 1.0, np.ones(4)]), executor=executor)
        assert (params[0].value != before).all()
        for held, expected in kept:
            np.testing.assert_array_equal(numbers(held), expected)


def test_values_that_nobody_holds_move_where_they_are() -> None:
    params = [tg.tensor(np.ones((2, 3))), tg.tensor(1.0)]
    sgd = tg.train.SGD(params, lr=0.1)
    sgd.step([np.ones((2, 3)), 1.0])
    place = params[0].value.ctypes.data
    for _ in range(3):
        sgd.step([np.ones((2, 3)), 1.0])
        assert params[0].value.ctypes.data == place
    assert params[0].value[0, 0] == pytest.approx(0.6) and params[1].value == pytest.approx(0.6)
    with pytest.raises(ValueError, match="read-only"):
        params[0].value[0] = 1.0


def test_a_value_assigned_between_steps_is_the_one_that_moves() -> None:
    params = [tg.tensor(np.ones(3)), tg.tensor(1.0)]
    sgd = tg.train.SGD(params, lr=0.5)
    for value in (5.0, 7.0):
        sgd.step([np.ones(3), 1.0])
        params[0].assign(np.full(3, value))
        params[1].assign(value)
    sgd.step([np.ones(3), 1.0])
    assert params[0].value.tolist() == [6.5] * 3 and params[1].value == 6.5


def test_a_graph_recorded_before_a_step_is_not_differentiated_after_it() -> None:
    w = tg.tensor(np.ones(3), name="w")
    sgd = tg.train.SGD([w], lr=0.5)
    sgd.step([np.ones(3)])
    loss = np.sum(w * w)
    sgd.step([np.ones(3)])
    with pytest.raises(tg.GraphError, match="w"):
        loss.backward()


# -- answers of compiled functions ------------------------------------------------------------------------------------
def loss(p: Any, x: Any) -> Any:
    h, total = p["h"], 0.0
    for t in tg.steps(len(x)):
        h = np.tanh(tg.linear(h, p["W"]) + x[t] + p["b"])
        total = total + np.sum(h * h)
    return total


@pytest.mark.parametrize("together", [False, True])
@pytest.mark.parametrize(
    "part", [lambda g: g, lambda g: g["W"], lambda g: g["W"][1:], lambda g: g["b"][:1], lambda g: memoryview(g["b"])]
)
def test_what_somebody_keeps_of_an_answer_stays_for_later_calls(part: Callable[[Any], Any], together: bool) -> None:
    pytest.importorskip("numba", reason="numba is not installed: pip install -e '.[jit]'")
    fast = tg.compile(tg.value_and_grad(loss), executor="jit")
    fast.together = together
    p = {"h": np.zeros((1, 3)), "W": 0.5 * np.eye(3), "b": np.full(3, 0.1)}
    xs = np.random.default_rng(0).normal(size=(4, 7, 1, 3))
    flat = lambda x: [np.array(v) for v in (x.values() if isinstance(x, dict) else [x])]  # noqa: E731
    kept = []
    for x in xs:
        value, grads = fast(p, x)
        expected = tg.value_and_grad(loss)(p, x)
        np.testing.assert_allclose(value, expected[0])
        for key, g in grads.items():
            np.testing.assert_allclose(g, expected[1][key], atol=1e-13)
        kept.append((part(grads), flat(part(grads))))
        del grads
        for held, numbers in kept:
            for a, b in zip(flat(held), numbers, strict=True):
                np.testing.assert_array_equal(a, b)


def test_gradients_end_to_end_are_seen_so_and_others_are_not() -> None:
    block = np.arange(10.0)
    a, b = block[2:6].reshape(2, 2), block[6:9]
    stretch = Stretch()
    for _ in range(2):
        np.testing.assert_array_equal(stretch([a, b]), block[2:9])
    for others in ([b, a], [a, b.copy()], [a.T, b], [a, block[7:9]], [a, 1.0], [a, b.astype(np.float32)], [np.ones(2)]):
        assert stretch(others) is None
    assert holders([block]) == 3, "the name here and two views: a stretch keeps nothing"


# -- what a module was found to consist of ----------------------------------------------------------------------------
class Net(tg.nn.Module):
    def __init__(self) -> None:
        self.w = tg.nn.parameter("w", [1.0])
        self.parts = [tg.nn.Linear(2, 3)]
        self.named = {"a": {"b": tg.nn.Linear(1, 1)}}


def names(module: Any) -> list[str]:
    return [name for name, _ in module.named_parameters()]


CHANGES: dict[str, Callable[[Any], Any]] = {
    "another parameter": lambda m: setattr(m, "v", tg.nn.parameter("v", [2.0])),
    "one less": lambda m: delattr(m, "w"),
    "another name": lambda m: (setattr(m, "last", m.w), delattr(m, "w")),
    "a longer list": lambda m: m.parts.append(tg.nn.Linear(3, 3)),
    "another entry": lambda m: m.parts.__setitem__(0, tg.nn.RNN(2, 3)),
    "inside of a part": lambda m: setattr(m.parts[0], "more", tg.nn.parameter("more", 1.0)),
    "deep in a dict": lambda m: m.named["a"].__setitem__("c", tg.nn.Linear(1, 2)),
    "a key": lambda m: m.named["a"].__setitem__("z", m.named["a"].pop("b")),
    "frozen": lambda m: setattr(m.w, "requires_grad", False),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_of_a_module_is_seen_at_once(change: str) -> None:
    module, other = Net(), Net()
    first = names(module)
    assert first == names(module) and len(list(module.modules())) == 3
    CHANGES[change](module)
    CHANGES[change](other)
    assert names(module) == names(other) != first
    assert [type(m) for m in module.modules()] == [type(m) for m in other.modules()]


def test_a_module_is_gone_with_its_last_reference() -> None:
    module = Net()
    names(module)
    gone = weakref.ref(module)
    gc.disable()
    try:
        del module
        assert gone() is None
    finally:
        gc.enable()


def test_a_copy_of_a_module_has_parameters_of_its_own() -> None:
    import copy

    module = Net()
    names(module)
    other = copy.deepcopy(module)
    assert names(other) == names(module)
    assert not {id(p) for p in other.parameters()} & {id(p) for p in module.parameters()}
