"""Whole numbers and truth values that are arguments: read anew in every call, and refused as without compiling."""

from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.test_compile_equality import apart
from tinygrad_rnn import nn
from tinygrad_rnn.compiler import compile

T, B, D, H, C = 6, 3, 2, 4, 5
rng = np.random.default_rng(2)


class Reader(nn.Module):
    """Symbols in, an output for each class."""

    def __init__(self, dtype: Any = np.float64) -> None:
        self.embedding = nn.Embedding(C, D, dtype=dtype)
        self.rnn, self.top = nn.GRU(D, H, dtype=dtype), nn.Linear(H, C, dtype=dtype)

    def forward(self, symbols: Any, **given: Any) -> Any:
        return self.top(self.rnn(self.embedding(symbols), **given)[0])


def symbols(T: int = T) -> Any:
    return rng.integers(0, C, (T, B))


def masks(T: int = T) -> Any:
    return rng.random((T, B)) < 0.6


def equal(loss: Any, *calls: Any, executor: str = "numpy", bound: float = 1e-12) -> Any:
    """The compiled function, after it was called with all these arguments and gave what the function gives."""
    fast, eager = compile(tg.value_and_grad(loss), executor), tg.value_and_grad(loss)
    for args in calls:
        value, grads = eager(*args)
        found, fast_grads = fast(*args)
        assert apart(found, value) < bound
        assert all(apart(fast_grads[key], grads[key]) < bound for key in grads)
    return fast


def score(net: Any, x: Any, y: Any, mask: Any = None) -> Any:
    return nn.cross_entropy(net(x), y, mask=mask)


@pytest.mark.slow
@pytest.mark.parametrize("executor", ["numpy", "jit"])
def test_symbols_labels_and_masks_fold(executor: str) -> None:
    pytest.importorskip("numba")
    net = Reader()
    lengths = (T, 2, 15)
    plain = equal(score, *[(net, symbols(n), symbols(n)) for n in lengths], executor=executor)
    masked = equal(score, *[(net, symbols(n), symbols(n), masks(n)) for n in lengths], executor=executor)
    assert all(form.startswith("folded") for form in plain.forms + masked.forms)
    assert len(plain.forms) == len(masked.forms) == 1


def test_float32_stays_float32_behind_masks() -> None:
    net = Reader(np.float32)
    equal(score, *[(net, symbols(n), symbols(n), masks(n)) for n in (T, 3)], bound=2e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("first", "second"),
    [
        ((np.zeros((T, B), int), np.zeros((T, B), int), np.ones((T, B), bool)), (symbols(), symbols(), masks())),
        ((np.full((T, B), 4), np.full((T, B), 4), np.ones((T, B))), (symbols(), symbols(), masks() * 1.0)),
        ((symbols(), symbols(), np.zeros((T, B)) + (np.arange(T) == 0)[:, None]), (symbols(), symbols(), masks() * 2)),
    ],
    ids=["zeros", "the last class", "most are 0"],
)
def test_nothing_of_the_first_call_is_kept(first: Any, second: Any) -> None:
    equal(score, (Reader(), *first), (Reader(), *second))
    net = Reader()
    equal(score, (net, *first), (net, *second), (net, *first))


def test_a_function_that_looks_behind_a_tensor_is_run_as_it_is() -> None:
    def loss(W: Any, mask: Any) -> Any:
        return np.sum(W * W) * float(np.all(tg.core.tensor.plain(mask)))

    fast = compile(tg.value_and_grad(loss))
    for mask in (np.ones(3, bool), np.array([True, False, True])):
        value, grad = tg.value_and_grad(loss)(np.arange(3.0), mask)
        assert fast(np.arange(3.0), mask)[0] == value and np.array_equal(fast(np.arange(3.0), mask)[1], grad)
    assert fast.forms[0].startswith("as it is")


def test_plain_parts_of_a_result_are_those_of_each_call() -> None:
    def f(x: Any, mask: Any) -> Any:
        h = np.zeros((B, D))
        for t in tg.steps(len(x)):
            h = np.tanh(h + x[t])
        return {"h": h, "steps": len(x), "name": "h", "kept": np.where(mask, 1.0, 0.0)}

    fast = compile(f)
    for n in (T, 3, 9):
        x, mask = rng.standard_normal((n, B, D)), masks()
        found, expected = fast(x, mask), f(tg.tensor(x), mask)
        assert found["steps"] == n and found["name"] == "h" and np.array_equal(found["kept"], expected["kept"])
        assert apart(found["h"], expected["h"].value) < 1e-14


def test_ignored_targets_count_nothing_in_any_call() -> None:
    net, y = Reader(), symbols()
    holes = np.where(masks(), y, -100)
    fast = equal(score, (net, symbols(), holes), (net, symbols(), y), (net, symbols(), np.where(masks(), y, -100)))
    assert fast.forms == ["folded"]
    equal(score, (net, symbols(), y), (net, symbols(), holes))
    equal(score, *[(net, symbols(), np.where(masks(), y, -100), masks()) for _ in range(2)])


def test_what_is_refused_is_refused_with_the_same_words() -> None:
    net, x, y, mask = Reader(), symbols(), symbols(), masks()
    fast = equal(score, (net, x, y, mask))
    for symbol in (-1, C):
        wrong = x.copy()
        wrong[2, 1] = symbol
        with pytest.raises(tg.ShapeError, match="Embedding: symbols run from 0 to 4"):
            fast(net, wrong, y, mask)
        wrong, counted = y.copy(), mask.copy()
        wrong[2, 1], counted[2, 1] = symbol, False
        equal(score, (net, x, wrong, counted))
        counted[2, 1] = True
        with pytest.raises(tg.ShapeError, match="targets run from 0 to 4"):
            fast(net, x, wrong, counted)
    with pytest.raises(tg.GraphError, match="nothing to average"):
        fast(net, x, y, np.zeros((T, B), bool))
    equal(score, (net, x, y, mask))


def test_lengths_fold_and_are_checked() -> None:
    def loss(net: Any, x: Any, lengths: Any) -> Any:
        return np.sum(net(x, lengths=lengths) ** 2)

    net = Reader()
    calls = [(T, [6, 6, 6]), (T, [1, 4, 6]), (9, [2, 9, 7]), (2, [1, 2, 2])]
    fast = equal(loss, *[(net, symbols(n), np.array(ends)) for n, ends in calls])
    assert fast.forms == ["folded"] and fast.recordings == 1
    for wrong in ([-1, 1, 2], [1, 2, 7]):
        with pytest.raises(tg.GraphError, match="lengths run from"):
            fast(net, symbols(), np.array(wrong))
    named = equal(loss, *[(net, symbols(n), ends) for n, ends in calls])
    assert all(form.startswith("flat") for form in named.forms), "whole numbers in a list are no array"


def test_rows_of_a_table_and_entries_of_rows_by_hand() -> None:
    def loss(p: Any, x: Any, y: Any, mask: Any) -> Any:
        h, total = np.zeros((B, D)), 0.0
        for t in tg.steps(len(x)):
            new = np.tanh(h @ p["R"] + p["E"][x[t]])
            h = np.where(mask[t][:, None], new, h)
            o = tg.log_softmax(h @ p["V"])
            total = total - np.sum(o[np.arange(B), y[t]] * mask[t])
        return total

    p = {"R": rng.standard_normal((D, D)), "E": rng.standard_normal((C, D)), "V": rng.standard_normal((D, C))}
    fast = equal(loss, *[(p, symbols(n), symbols(n), masks(n)) for n in (T, 1, 12)])
    assert all(form == "folded" for form in fast.forms[:1])


def test_tensors_made_before_are_read_at_each_call_whatever_they_are() -> None:
    fixed = tg.tensor(np.eye(D), requires_grad=False)

    def loss(p: Any, x: Any) -> Any:
        h = np.zeros((B, D))
        for t in tg.steps(len(x)):
            h = np.tanh(h @ fixed + x[t] * p)
        return np.sum(h)

    fast, x, p = compile(tg.value_and_grad(loss)), rng.standard_normal((T, B, D)), np.ones(D)
    for scale in (1.0, 0.5):
        fixed.assign(scale * np.eye(D))
        assert apart(fast(p, x)[0], tg.value_and_grad(loss)(p, x)[0]) < 1e-13
    assert fast.recordings == 1
