"""What is large is not made, or refused before it is."""

import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn.verification.measure.rounding import magnitudes

CLASSES = 3000
LINEAR = "sizes: h = 1000\nh[t] = W @ h[t-1]\nL = sum(t, sum(h[t]))\ngradients:\ndL = 1\n"


def peak(call: Callable[[], Any]) -> int:
    """The bytes that a call takes at its height."""
    call()
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_no_square_of_the_classes_is_made() -> None:
    targets, logits = np.array([1, 2, CLASSES - 1]), np.zeros((3, CLASSES))
    assert peak(lambda: tg.onehot(targets, CLASSES)) < 40 * CLASSES
    assert peak(lambda: tg.grad(lambda z: np.sum(tg.cross_entropy(z, targets)))(logits)) < 400 * CLASSES
    column = tg.tensor(np.linspace(0, 1, 300), name="o")
    assert peak(lambda: magnitudes([tg.softmax(column)])) < 300 * 300


def test_onehot_is_a_row_of_the_identity() -> None:
    targets = np.array([[0, 2], [1, 1]])
    for axis in (-1, 0, 1):
        np.testing.assert_array_equal(tg.onehot(targets, 3, axis=axis), np.moveaxis(np.eye(3)[targets], -1, axis))
    assert tg.onehot(2, 3, dtype=np.float32).tolist() == [0, 0, 1]
    with pytest.raises(IndexError):
        tg.onehot([3], 3)


def test_a_run_that_is_too_large_is_refused_before_it_is_made() -> None:
    model = tg.load(LINEAR)
    asked = [lambda: model.unroll(1000, batch=10_000), lambda: model.unroll(1_000_000)]
    for call in asked:
        tracemalloc.start()
        try:
            with pytest.raises(
                tg.ShapeError, match=r"T = .* samples takes about [\d,]+ bytes, but .* at most are taken"
            ):
                call()
            assert tracemalloc.get_traced_memory()[1] < 1e6
        finally:
            tracemalloc.stop()


def test_a_derivation_that_is_too_large_is_refused_with_its_largest_equation() -> None:
    text = LINEAR + "dW = sum(t, dh[t] @ h[t-1].T)\ndh[t] = ones_like(h[t]) + W.T @ dh[t+1]\n"
    with pytest.raises(tg.LanguageError, match=r"dW takes about [\d,]+ bytes; all equations together may take"):
        tg.verify(text, T=2000)


def test_a_diagonal_is_written_out_up_to_a_limit() -> None:
    text = "sizes: h = 40000\nh[t] = tanh(b)\nL = sum(t, sum((diag(h[t]) + 0 * diag(h[t])) @ h[t]))\n"
    with pytest.raises(tg.TinygradError, match="bytes"):
        tg.load(text).unroll(2)
