"""What a compiled function reads besides its arguments is looked at in every call, or refused by its name."""

import random
import re
import sys
from collections import OrderedDict, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from types import ModuleType, SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn.compiler import CompileError

SCALE = 1.0
settings = ModuleType("settings_of_a_test")
settings.scale = 1.0  # type: ignore[attr-defined]
table = {"scale": [1.0]}
weights = np.ones(3)
x = np.random.default_rng(0).normal(size=(8, 2, 3))


def run(scale: Callable[[], Any], p: Any, x: Any) -> Any:
    h, total = np.zeros((2, 3)), 0.0
    for t in tg.steps(len(x)):
        h = np.tanh(scale() * h * p + x[t])
        total = total + np.sum(h**2)
    return total


def helped() -> Any:
    return SCALE


class Options:
    kind = 1.0

    def __init__(self) -> None:
        self.scale = 1.0
        self.list = [1.0, {"a": np.ones(3)}]

    def get(self) -> Any:
        return self.scale * Options.kind


class Slotted:
    __slots__ = ("scale",)


options, slotted, space = Options(), Slotted(), SimpleNamespace(scale=1.0)
slotted.scale = 1.0
default: Any = {"scale": 1.0}


def by_default(held: Any = default) -> Any:
    return held["scale"]


def a_closure() -> tuple[Callable[[], Any], Callable[[], None]]:
    held = 1.0

    def change() -> None:
        nonlocal held
        held = 1.5

    return (lambda: held), change


read_closure, change_closure = a_closure()


def set_global() -> None:
    global SCALE
    SCALE = 1.5


def read_options_array() -> Any:
    return options.list[1]["a"]


PLACES: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {
    "a global": (lambda: SCALE, set_global),
    "a global of a helper": (lambda: helped(), set_global),
    "a closure": (read_closure, change_closure),
    "a module": (lambda: settings.scale, lambda: setattr(settings, "scale", 1.5)),  # type: ignore[attr-defined]
    "a list in a dict": (lambda: table["scale"][0], lambda: table["scale"].__setitem__(0, 1.5)),
    "an array": (lambda: weights, lambda: weights.__setitem__(1, 1.5)),
    "an attribute": (lambda: options.scale, lambda: setattr(options, "scale", 1.5)),
    "a method": (options.get, lambda: setattr(options, "scale", 1.5)),
    "a class": (options.get, lambda: setattr(Options, "kind", 1.5)),
    "an array in a dict in a list": (read_options_array, lambda: options.list[1]["a"].__setitem__(0, 1.5)),
    "a slot": (lambda: slotted.scale, lambda: setattr(slotted, "scale", 1.5)),
    "a namespace": (lambda: space.scale, lambda: setattr(space, "scale", 1.5)),
    "a default": (by_default, lambda: default.__setitem__("scale", 1.5)),
    "a partial": (partial(by_default, default), lambda: default.__setitem__("scale", 1.5)),
}


@pytest.fixture(autouse=True)
def as_before() -> None:
    reset()


def reset() -> None:
    global SCALE
    SCALE, Options.kind, options.scale, slotted.scale, space.scale = 1.0, 1.0, 1.0, 1.0, 1.0
    settings.scale = 1.0  # type: ignore[attr-defined]
    sys.modules[settings.__name__] = settings
    table["scale"][0], weights[:], default["scale"] = 1.0, 1.0, 1.0
    options.list[1]["a"][:] = 1.0  # type: ignore[index]


@pytest.mark.slow
@pytest.mark.parametrize("place", PLACES)
def test_what_changes_besides_the_arguments_is_recorded_anew(place: str) -> None:
    read, change = PLACES[place]

    def loss(p: Any, x: Any) -> Any:
        return run(read, p, x)

    fast, p = tg.compile(tg.value_and_grad(loss)), np.full(3, 0.5)
    before = fast(p, x)[0]
    assert fast(p, x)[0] == before and fast.recordings == 1
    change()
    value, grad = fast(p, x)
    expected, slope = tg.value_and_grad(loss)(p, x)
    assert abs(expected - before) > 1e-3 and fast.recordings == 2
    np.testing.assert_allclose([value, *grad], [expected, *slope], rtol=1e-12)
    assert fast(p, x)[0] == value and fast.recordings == 2


def test_a_state_that_comes_back_is_not_recorded_again() -> None:
    fast, p = tg.compile(lambda p, x: run(lambda: SCALE, p, x)), np.full(3, 0.5)
    first = fast(p, x)
    set_global()
    second = fast(p, x)
    reset()
    assert fast(p, x) == first != second and fast.recordings == 2


def test_what_changes_in_every_call_is_named_and_not_recorded_for_ever() -> None:
    fast, p = tg.compile(lambda p, x: run(lambda: options.scale, p, x)), np.full(3, 0.5)
    for n in range(12):
        options.scale = 1.0 + n
        np.testing.assert_allclose(fast(p, x), run(lambda: options.scale, p, x), rtol=1e-12)
    assert fast.recordings <= 5
    assert any("options.scale changes from call to call: make it an argument" in told for told in fast.forms)
    assert fast(p, x) == fast(p, x) and fast.recordings <= 6  # it stays: recorded at its second call


def test_a_rate_of_a_module_is_looked_at() -> None:
    class Scaled(tg.nn.Module):
        def __init__(self) -> None:
            self.w, self.rate, self.inner = tg.nn.parameter("w", np.full(3, 0.5)), 1.0, tg.nn.Linear(3, 3)

        def forward(self, x: Any) -> Any:
            return run(lambda: self.rate, self.w, x)

    net = Scaled()
    fast = tg.compile(tg.value_and_grad(lambda net, x: net(x)))
    fast(net, x)
    net.rate = 0.25
    np.testing.assert_allclose(fast(net, x)[0], net(x).item(), rtol=1e-12)
    assert fast.recordings == 2


def test_what_a_recording_leaves_behind_is_refused_by_its_name() -> None:
    class Stateful(tg.nn.Module):
        def __init__(self) -> None:
            self.h: Any = np.zeros((2, 3))

        def forward(self, p: Any, x: Any) -> Any:
            for t in tg.steps(len(x)):
                self.h = np.tanh(self.h * p + x[t])
            return np.sum(self.h)

    net = Stateful()
    with pytest.raises(CompileError, match=r"\.h keeps a Tensor"):
        tg.compile(lambda p, x: net(p, x))(np.ones(3), x)


def test_a_count_of_calls_is_left_alone() -> None:
    calls: list[int] = []

    def loss(p: Any, x: Any) -> Any:
        calls.append(len(x))
        return run(lambda: 1.0, p, x)

    fast = tg.compile(loss)
    assert fast(np.ones(3), x) == fast(np.ones(3), x) and fast.recordings == 1


generator, legacy, python = np.random.default_rng(0), np.random.RandomState(0), random.Random(0)


@pytest.mark.parametrize(
    ("name", "draw"),
    [("draw", generator.random), ("generator", lambda: generator.random()), ("legacy", lambda: legacy.rand()),
     ("python", lambda: python.random()), ("np.random", lambda: np.random.rand()), ("random", lambda: random.random())],
)  # fmt: skip
def test_chance_that_comes_out_alike_is_not_kept(name: str, draw: Callable[[], float]) -> None:
    def loss(p: Any, x: Any) -> Any:
        return run(lambda: 1.0, p, x) * (1.0 if draw() < 2.0 else 0.0)

    fast = tg.compile(loss)
    for _ in range(3):
        assert fast(np.ones(3), x) == loss(np.ones(3), x)
    (told,) = fast.forms
    assert re.fullmatch(rf"as it is \(it draws random numbers from .*{name}.*: make them an argument\)", told)


def test_what_is_too_much_to_be_looked_at_runs_as_it_is() -> None:
    held = [0.0] * 60_000

    def loss(p: Any, x: Any) -> Any:
        return run(lambda: held[0] + 1.0, p, x)

    fast = tg.compile(loss)
    assert fast(np.ones(3), x) == loss(np.ones(3), x)
    held[0] = 1.0
    assert fast(np.ones(3), x) == loss(np.ones(3), x)
    assert "too much to be looked at in every call: make it an argument" in fast.forms[0]


# -- arguments of other kinds -----------------------------------------------------------------------------------------
class Own(dict):  # type: ignore[type-arg]
    pass


class Pair(NamedTuple):
    w: Any
    scale: Any


@dataclass
class Config:
    scale: float = 1.0
    list: Any = field(default_factory=lambda: [1.0])


@pytest.mark.parametrize("kind", [dict, OrderedDict, Own, lambda d: defaultdict(float, d)])
def test_dicts_of_all_kinds_are_taken_apart(kind: Callable[[Any], Any]) -> None:
    def loss(p: Any, x: Any) -> Any:
        return run(lambda: p["scale"], p["w"], x)

    fast = tg.compile(tg.value_and_grad(loss))
    for scale in (1.0, 0.5, np.float32(0.25)):
        p = kind({"w": np.full(3, 0.5), "scale": scale})
        value, grads = fast(p, x)
        expected, slopes = tg.value_and_grad(loss)(p, x)
        np.testing.assert_allclose(value, expected, rtol=1e-12)
        np.testing.assert_allclose(grads["w"], slopes["w"], rtol=1e-12)
        np.testing.assert_allclose(grads["scale"], slopes["scale"], rtol=1e-6)
    assert fast.recordings == 2


def test_a_named_tuple_comes_back_as_one() -> None:
    fast = tg.compile(tg.grad(lambda p, x: run(lambda: p.scale, p.w, x)))
    found = fast(Pair(np.ones(3), 0.5), x)
    assert isinstance(found, Pair) and found.w.shape == (3,)


@pytest.mark.parametrize("held", [Config(), Options(), SimpleNamespace(scale=1.0), [[1.0, set()]], {1, 2}])
def test_an_object_as_an_argument_is_looked_at(held: Any) -> None:
    def loss(p: Any, x: Any, held: Any) -> Any:
        found = held[0][0] if isinstance(held, list) else len(held) if isinstance(held, set) else held.scale
        return run(lambda: found, p, x)

    fast, p = tg.compile(loss), np.full(3, 0.5)
    fast(p, x, held)
    if isinstance(held, list):
        held[0][0] = 0.25
    elif isinstance(held, set):
        held.add(3)
    else:
        held.scale = 0.25
    np.testing.assert_allclose(fast(p, x, held), loss(p, x, held), rtol=1e-12)


def test_equal_objects_share_a_form() -> None:
    fast, p = tg.compile(lambda p, x, c: run(lambda: c.scale, p, x)), np.full(3, 0.5)
    assert fast(p, x, Config(0.5)) == fast(p, x, Config(0.5)) != fast(p, x, Config(0.25))
    assert fast.recordings == 2
