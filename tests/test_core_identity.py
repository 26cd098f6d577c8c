"""What a node is: an identity that no copy shares, a value that nobody changes, static parameters of its own, a scope.

Also that a scalar and an array of one entry are the same to the last bit.
"""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn.core.tensor import DIFFERENTIABLE

COPIES = pytest.mark.parametrize(
    "copied", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))], ids=["deepcopy", "through a file"]
)


@COPIES
def test_a_copy_is_another_leaf(copied: Callable[[Any], Any]) -> None:
    w = tg.tensor([1.0, 2.0], name="w")
    w.grad = np.ones(2)
    w0 = copied(w)
    loss = np.sum((w - 0.5 * w0) ** 2)
    np.testing.assert_array_equal(tg.gradients(loss, w), [1.0, 2.0])
    np.testing.assert_array_equal(tg.gradients(loss, w0), [-0.5, -1.0])
    assert (w0.name, w0.grad.tolist()) == ("w", [1.0, 1.0])
    with pytest.raises(ValueError, match="read-only"):
        w0.value[0] = 3.0
    w0.assign(np.zeros(2))
    assert w.numpy().tolist() == [1.0, 2.0]


@COPIES
def test_what_shared_a_node_shares_its_copy(copied: Callable[[Any], Any]) -> None:
    w = tg.tensor([1.0, 2.0], name="w")
    with tg.step(3):
        h = tg.name("h", w * w)
    y = np.sum(h) * np.max(h[np.array([1, 1])])
    again = copied({"h": h, "rest": [y, w]})
    found = tg.gradients(again["rest"][0], [again["h"], again["rest"][1]])
    for ours, theirs in zip(found, tg.gradients(y, [h, w]), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert again["h"].scope.step == 3
    np.testing.assert_array_equal(tg.gradients(again["rest"][0], w), [0.0, 0.0])


@COPIES
def test_a_module_copied_is_another_module(copied: Callable[[Any], Any]) -> None:
    net = tg.nn.LSTM(2, 3)
    other = copied(net)
    x = np.ones((2, 1, 2))
    loss = np.sum(net(x)[0] ** 2)
    assert not any(np.any(g) for g in tg.gradients(loss, other.parameters()))
    assert loss.item() == np.sum(other(x)[0] ** 2).item()


@COPIES
def test_a_long_graph_is_copied_without_recursion(copied: Callable[[Any], Any]) -> None:
    x = y = tg.tensor(1.0)
    for _ in range(5_000):
        y = y * 1.0001
    again, start = copied([y, x])
    assert tg.gradients(again, start) == tg.gradients(y, x)


def test_a_shallow_copy_is_a_node_of_its_own() -> None:
    w = tg.tensor(3.0)
    assert tg.gradients(copy.copy(w) * w, w) == 3.0
    y = w * w
    assert tg.gradients(copy.copy(y), w) == 6.0


# -- values --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "f",
    [lambda x: x * 2.0, np.tanh, np.sum, lambda x: x @ x, lambda x: x[:1], lambda x: np.stack([x, x]), tg.softmax,
     lambda x: np.add(x, x, dtype=None), lambda x: x.T],
)  # fmt: skip
def test_computed_values_are_read_only(f: Callable[..., Any]) -> None:
    x = tg.tensor(np.ones((2, 2)))
    for y in (f(x), tg.gradients(np.sum(f(x) ** 2), x, create_graph=True)):
        if y.shape:
            with pytest.raises(ValueError, match="read-only"):
                y.value[...] = 0.0


def _picked(W: Any, i: Any, mask: Any) -> list[Any]:
    listed = i.tolist()
    results = [
        W[i], W[:, i], W[i, i], W[mask], np.take(W, i, axis=0), tg.embedding(W, i), np.where(mask, W.T, 0.0).T,
        tg.nn.mse_loss(W, np.zeros((3, 2)), mask=mask), tg.nn.cross_entropy(W, i, mask=mask),
        tg.cross_entropy(W, i), W[listed], W * mask[:, None], np.repeat(W, i + 1, axis=0),
        np.roll(W, (shift := np.array([1])), axis=0), np.transpose(W, (axes := [1, 0])),
        np.pad(W, (wide := [[1, 1], [0, 0]])),
        np.clip(W, (low := np.full(2, -0.1)), None),
    ]  # fmt: skip
    i[:], mask[:], shift[:], low[:] = 0, False, 2, 9.0
    listed[:], axes[:] = [0, 0, 0], [0, 1]
    wide[0][0] = 5
    return results


def test_index_and_mask_arrays_that_are_filled_anew_do_not_reach_the_graph() -> None:
    rng = np.random.default_rng(0)
    value = rng.normal(size=(3, 2))
    given = lambda: (np.array([1, 0, 1]), np.array([True, False, True]))  # noqa: E731
    W = tg.tensor(value)
    i, mask = given()
    for n, y in enumerate(_picked(W, i, mask)):
        g = tg.gradients(np.sum(y), W)
        once = tg.tensor(value)
        fresh = _first_gradient(once, n, *given())
        np.testing.assert_allclose(g, fresh, rtol=1e-6, atol=1e-8, err_msg=f"number {n}")


def _first_gradient(W: Any, n: int, i: Any, mask: Any) -> Any:
    """The gradient of the same result, taken before anything is filled anew: from the numbers, one entry at a time."""
    values = np.zeros(W.shape)
    for place in np.ndindex(*W.shape):
        for step in (1e-6, -1e-6):
            moved = W.numpy().copy()
            moved[place] += step
            y = _picked(tg.tensor(moved), i.copy(), mask.copy())[n]
            values[place] += float(np.sum(y).item()) / (2 * step)
    return values


# -- scopes --------------------------------------------------------------------------------------------------------
def test_steps_that_run_side_by_side_leave_their_scopes() -> None:
    for ends in ((3, 3), (5, 3), (3, 5)):
        seen = [((a, b), str((tg.tensor(1.0) * 1.0).scope)) for a, b in zip(*map(tg.steps, ends), strict=False)]
        assert seen == [((t, t), f"t={t}, t={t}") for t in range(3)]
        assert str((tg.tensor(1.0) * 1.0).scope) == ""
    for a in tg.steps(2):
        for b in tg.steps(2):
            assert str((tg.tensor(1.0) * 1.0).scope) == f"t={a}, t={b}"
        assert str((tg.tensor(1.0) * 1.0).scope) == f"t={a}"
    assert str((tg.tensor(1.0) * 1.0).scope) == ""


# -- scalars are arrays of one entry -------------------------------------------------------------------------------
EDGES = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, -1.0, 1e-320, 720.0, -720.0, 1e200, -1e200]


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_scalars_and_arrays_agree_to_the_last_bit() -> None:
    functions = set(DIFFERENTIABLE.values()) | {tg.sigmoid, tg.relu, tg.softplus, tg.logaddexp}
    checked = 0
    for f in functions:
        op = getattr(f, "primitive", None)
        if op is None or not op.elementwise or op.scalar is None:
            continue
        checked += 1
        try:
            f(1.0)
            pairs = [(x,) for x in EDGES]
        except TypeError:
            pairs = [(x, y) for x in EDGES for y in EDGES]
        for xs in pairs:
            scalars, arrays = [tg.tensor(x) for x in xs], [tg.tensor([x]) for x in xs]
            y, ys = f(*scalars), f(*arrays)
            same(y.item(), ys.numpy()[0], op, xs)
            for g, gs in zip(tg.gradients(y, scalars), tg.gradients(np.sum(ys), arrays), strict=True):
                same(g, gs[0], op, xs)
    assert checked > 25


def same(a: float, b: float, op: Any, xs: Any) -> None:
    # math's last bit is not numpy's; nan, inf and what is 0 have to be the same
    assert np.isclose(a, b, rtol=1e-14, atol=0.0, equal_nan=True), (op, xs, a, b)
