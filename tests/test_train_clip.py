"""Clipping: the document's formulas, torch's numbers, and gradients that are not numbers."""

from __future__ import annotations

from math import inf, nan
from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import nn
from tinygrad_rnn.train import clip

RNG = np.random.default_rng(0)
GRADS = [RNG.normal(size=(3, 2)), 0.7, RNG.normal(size=4).astype(np.float32)]
RULES = {
    "value": clip.by_value(0.3),
    "norm": clip.by_norm(0.3),
    "each": clip.by_norm(0.3, per_parameter=True),
    "random": clip.by_random_direction(0.3),
}


def as_one(grads: Any) -> np.ndarray:
    return np.concatenate([np.ravel(g) for g in grads]).astype(float)


@pytest.mark.parametrize("v", [0.3, 100.0])
def test_by_value_is_the_formula_of_the_document(v: float) -> None:
    clipped, norm = clip.by_value(v)(GRADS)
    g = as_one(GRADS)
    np.testing.assert_allclose(as_one(clipped), np.where(np.abs(g) <= v, g, np.sign(g) * v), rtol=1e-7)
    assert norm == pytest.approx(np.sqrt(np.sum(g * g)))


@pytest.mark.parametrize("v", [0.3, 100.0])
def test_by_norm_is_the_formula_of_the_document(v: float) -> None:
    clipped, norm = clip.by_norm(v, eps=0.0)(GRADS)
    g = as_one(GRADS)
    length = np.sqrt(np.sum(g * g))
    np.testing.assert_allclose(as_one(clipped), g if length <= v else g * v / length, rtol=1e-6)
    assert norm == pytest.approx(length)


def test_per_parameter_each_has_its_own_length() -> None:
    clipped, _ = clip.by_norm(0.3, eps=0.0, per_parameter=True)([np.ones(4), np.full(2, 0.1), -5.0])
    assert [float(np.linalg.norm(g)) for g in clipped] == pytest.approx([0.3, np.sqrt(0.02), 0.3])


def test_random_direction_has_the_length_and_forgets_the_direction() -> None:
    nn.manual_seed(0)
    rule = clip.by_random_direction(2.0)
    big = [np.full((40, 30), 3.0), 5.0]
    drawn = [as_one(rule(big)[0]) for _ in range(2)]
    assert [float(np.linalg.norm(g)) for g in drawn] == pytest.approx([2.0, 2.0])
    assert abs(drawn[0] @ as_one(big)) < 0.2 * 2.0 * clip.total_norm(big) and abs(drawn[0] @ drawn[1]) < 0.2 * 4.0
    small = [np.full(3, 0.1)]
    assert rule(small)[0][0] is small[0]
    nn.manual_seed(0)
    np.testing.assert_array_equal(as_one(rule(big)[0]), drawn[0])


@pytest.mark.parametrize("kind", RULES)
def test_rules_keep_shapes_dtypes_and_the_given_arrays(kind: str) -> None:
    before = [np.copy(g) for g in GRADS]
    clipped, _ = RULES[kind](GRADS)
    assert [np.shape(g) for g in clipped] == [np.shape(g) for g in GRADS]
    assert clipped[0].dtype == np.float64 and type(clipped[1]) is float and clipped[2].dtype == np.float32
    for g, old in zip(GRADS, before, strict=True):
        np.testing.assert_array_equal(g, old)


@pytest.mark.parametrize("bad", [nan, inf, -inf])
@pytest.mark.parametrize("kind", ["value", "norm", "each"])
def test_a_gradient_that_is_no_number_is_an_error_that_says_which(kind: str, bad: float) -> None:
    with pytest.raises(tg.core.errors.NonFiniteError, match="the gradient of number 1 holds nan or inf"):
        RULES[kind]([GRADS[0], np.array([1.0, bad])])
    params = [tg.tensor(1.0, name="a"), tg.tensor([1.0, 2.0], name="W_f")]
    params[0].grad, params[1].grad = 9.0, np.array([bad, 1.0])
    with pytest.raises(FloatingPointError, match="W_f holds nan"):
        tg.train.clip_grad_norm_(params, 1.0)
    assert params[0].grad == 9.0, "nothing changed"


def test_a_random_step_leads_away_from_nan() -> None:
    clipped, norm = clip.by_random_direction(2.0)([np.array([nan, 1.0]), inf])
    assert np.isfinite(as_one(clipped)).all() and np.linalg.norm(as_one(clipped)) == pytest.approx(2.0)
    assert not np.isfinite(norm)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_exploded_gradients_whose_squares_overflow_have_a_length(dtype: Any) -> None:
    huge = np.array([3.0, 4.0]) * np.sqrt(float(np.finfo(dtype).max)) * 10
    clipped, norm = clip.by_norm(5.0, eps=0.0)([huge.astype(dtype)])
    assert norm == pytest.approx(np.hypot(*huge), rel=1e-6)
    np.testing.assert_allclose(clipped[0], [3.0, 4.0], rtol=1e-6)


def test_nothing_to_clip_is_no_error() -> None:
    assert clip.by_norm(1.0)([]) == ([], 0.0) and tg.train.clip_grad_norm_([tg.tensor(1.0)], 1.0) == 0.0


@pytest.mark.slow
@pytest.mark.torch
@pytest.mark.parametrize("norm_type", [1.0, 2.0, 3.0, inf])
@pytest.mark.parametrize("v", [0.3, 3.0, 100.0])
def test_clipping_equals_torch(norm_type: float, v: float) -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed: pip install -e '.[parity]'")
    ours = [tg.tensor(np.zeros(np.shape(g))) for g in GRADS]
    theirs = [torch.zeros(np.shape(g), dtype=torch.float64, requires_grad=True) for g in GRADS]
    for by_value in (False, True):
        for p, q, g in zip(ours, theirs, GRADS, strict=True):
            p.grad, q.grad = np.array(g, float), torch.tensor(np.array(g, float))
        if by_value:
            tg.train.clip_grad_value_(ours, v)
            torch.nn.utils.clip_grad_value_(theirs, v)
        else:
            norm = tg.train.clip_grad_norm_(ours, v, norm_type)
            assert norm == pytest.approx(torch.nn.utils.clip_grad_norm_(theirs, v, norm_type).item(), rel=1e-12)
        for p, q in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(p.grad, q.grad.numpy(), rtol=1e-12)
