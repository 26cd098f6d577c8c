"""In whichever way a cell is written, the same plan comes out as with its gates apart, and the same gradients."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tg
from benchmarks import ways
from tinygrad_rnn.compiler.planning.plan import Loop, walk

SMALL = (4, 2, 7, 3)


def work(fast: Any) -> list[Counter[str]]:
    """How often each operation stands in each loop."""
    loops = [stage for stage in walk(fast.plan.stages) if isinstance(stage, Loop)]
    return [Counter(instr.op for instr in loop.body) for loop in loops]


def compiled(loss: Callable[..., Any], *given: Any) -> tuple[Any, Any]:
    """A compiled function that agrees with the eager one, and its value."""
    fast = tg.compile(tg.value_and_grad(loss))
    value, grads = fast(*given)
    true, true_grads = tg.value_and_grad(loss)(*given)
    assert fast.forms == ["folded"]
    np.testing.assert_allclose(value, true, rtol=1e-13)
    for name in true_grads:
        np.testing.assert_allclose(grads[name], true_grads[name], rtol=1e-11, atol=1e-13)
    return fast, value


@pytest.fixture(scope="module", params=ways.WAYS)
def apart(request: pytest.FixtureRequest) -> tuple[str, list[Counter[str]], float]:
    loss, given = ways.written(request.param, 0, SMALL, "float64")
    fast, value = compiled(loss, *given)
    return request.param, work(fast), value


@pytest.mark.slow
@pytest.mark.parametrize("n", range(1, 12))
def test_every_way_to_write_a_cell_does_the_work_of_gates_apart(apart: Any, n: int) -> None:
    cell, expected, value = apart
    loss, given = ways.written(cell, n, SMALL, "float64")
    fast, found = compiled(loss, *given)
    assert work(fast) == expected
    np.testing.assert_allclose(found, value, rtol=1e-12)


def overlapping(a: Any) -> Any:
    return a[:, :6] * a[:, 2:]


def whole_as_well(a: Any) -> Any:
    return a[:, :6] + a[:, 2:] * np.sum(a)


def of_samples(a: Any) -> Any:
    return np.concatenate([a[:1, :6], a[1:, :6] * 2.0])


def in_two_directions(a: Any) -> Any:
    return np.concatenate([a[:1, :4] + a[1:, :4], a[1:, 4:] - a[:1, 4:]], axis=0)[:, [0, 1, 2, 3, 0, 1]]


def from_the_end(a: Any) -> Any:
    return a[:, -6:] + np.tanh(a[:, :2])[:, :1]


def every_other(a: Any) -> Any:
    return a[:, 1:7] * np.repeat(a[:, ::4], 3, axis=1)


def across_parts(a: Any) -> Any:
    both = np.concatenate([a[:, :5], a[:, 5:]], axis=1)
    return both[:, 1:7] * both[:, 2:3]


def turned(a: Any) -> Any:
    return (np.tanh(a).T[2:]).T * (a.T[:2].T)[:, 1:]


@pytest.mark.parametrize(
    "cut", [overlapping, whole_as_well, of_samples, in_two_directions, from_the_end, every_other, across_parts, turned]
)
def test_slices_of_other_kinds_keep_their_values_and_gradients(cut: Callable[[Any], Any]) -> None:
    def loss(p: Any, x: Any) -> Any:
        h, total = np.zeros((2, 6)), 0.0
        for t in tg.steps(len(x)):
            h = np.tanh(cut(np.concatenate([h[:, 1:], x[t]], axis=1) @ p["W"] + p["b"]))
            if len(h) < 2:
                h = np.concatenate([h, 0.5 * h], axis=0)
            total = total + np.sum(h**2)
        return total

    rng = np.random.default_rng(0)
    p = {"W": rng.normal(size=(8, 8)) / 3, "b": rng.normal(size=8)}
    compiled(loss, p, rng.normal(size=(9, 2, 3)))


@pytest.mark.parametrize("subscripts", ["bd,dk->bk", "bd,kd->bk", "dk,bd->bk", "db,dk->kb", "b,bk->k", "kb,b->k"])
def test_a_sum_over_one_index_is_a_product_of_matrices(subscripts: str) -> None:
    terms, _, output = subscripts.replace(",", " ").partition("->")
    first, second = terms.split()
    sizes = {"b": 3, "d": 3, "k": 3}

    def loss(p: Any, x: Any) -> Any:
        h, total = np.zeros([3] * len(first)), 0.0
        for t in tg.steps(len(x)):
            new = np.tanh(np.einsum(subscripts, h + x[t], p["W"]))
            h = new if len(output) == len(first) else np.stack([new] * 3)
            total = total + np.sum(new * h)
        return total

    rng = np.random.default_rng(1)
    p = {"W": rng.normal(size=[sizes[k] for k in second])}
    fast, _ = compiled(loss, p, rng.normal(size=(8, *[3] * len(first))))
    assert "einsum" not in str(fast.plan) and "dot" in work(fast)[0]
