"""At the edges of the numbers: lengths of 0, values that under- or overflow on the way, powers of 0 and below.

Truth is algebra by hand, or mpmath's numbers written out.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tg

norm = np.linalg.norm
ZERO, EYE, NONE = np.zeros(2), np.eye(2), np.full((2, 2), np.nan)

#: ways to the matrix of second derivatives
HESSIANS: dict[str, Callable[[Any], Callable[[Any], Any]]] = {
    "hessian": tg.hessian,
    "hvp": lambda f: lambda x: np.stack([tg.hvp(f, x, e) for e in EYE]),
    "forward over reverse": lambda f: lambda x: np.stack([tg.jvp(tg.grad(f), [x], [e])[1] for e in EYE]),
    "reverse over forward": lambda f: (
        lambda x: np.stack([tg.grad(lambda z, e=e: tg.jvp(f, [z], [e])[1])(x) for e in EYE])
    ),
    "forward over forward": lambda f: (
        lambda x: np.array([[tg.jvp(lambda z, a=a: tg.jvp(f, [z], [a])[1], [x], [b])[1] for a in EYE] for b in EYE])
    ),
}


@pytest.mark.parametrize("way", HESSIANS)
@pytest.mark.parametrize(
    ("f", "expected"),
    [
        (lambda x: norm(x) ** 2, 2.0 * EYE),
        (lambda x: np.cos(norm(x)), -EYE),
        (lambda x: np.exp(norm(x) ** 2), 2.0 * EYE),
        (lambda x: norm(x) ** 3, 0.0 * EYE),
        (lambda x: np.cosh(norm(3.0 * x)), 9.0 * EYE),
        (lambda x: np.hypot(x[0], x[1]) ** 2, 2.0 * EYE),
        (lambda x: np.sum(np.abs(x) ** 2), 2.0 * EYE),
        (lambda x: np.sum(norm(np.reshape(x, (2, 1)), axis=1) ** 2), 2.0 * EYE),
        (lambda x: norm(np.stack([x, x]), axis=1, keepdims=True)[0, 0] ** 2, 2.0 * EYE),
        (lambda x: np.std(x) ** 2, EYE - 0.5),
        (lambda x: norm(x), NONE),
        (lambda x: norm(x) + norm(x) ** 2, NONE),
        (lambda x: np.hypot(x[0], x[1]), NONE),
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_second_derivatives_where_a_length_is_zero(way: str, f: Any, expected: Any) -> None:
    found = HESSIANS[way](f)(ZERO)
    if expected is NONE and way == "forward over forward":  # a product of nan with a direction that is not taken is 0
        found = found + 0.0 * np.diag(found)
    np.testing.assert_allclose(found, expected, rtol=1e-13, atol=1e-15)
    np.testing.assert_array_equal(tg.grad(f)(ZERO), ZERO)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_lengths_that_meet_or_are_not_zero() -> None:
    rows = np.array([[0.0, 0.0], [3.0, 4.0]])
    f = lambda x: np.sum(norm(x, axis=1) ** 2)  # noqa: E731
    np.testing.assert_allclose(tg.hessian(f)(rows).reshape(4, 4), 2.0 * np.eye(4), atol=1e-15)
    # |x| |y| has no derivative of second order where both are 0
    met = tg.hessian(lambda x: np.sum(norm(x, axis=1)) ** 2)(np.zeros((2, 2)))
    assert np.all(np.isnan(met))
    # no third derivative is told where more of the function would be needed, and the right one where not
    third = lambda f: tg.grad(lambda x: tg.hessian(f)(x)[0, 0])(ZERO)  # noqa: E731
    np.testing.assert_array_equal(third(lambda x: norm(x) ** 2), ZERO)
    assert np.all(np.isnan(third(lambda x: norm(x) ** 3)))
    assert tg.grad(lambda s: tg.hessian(lambda x: s * norm(x) ** 2)(ZERO)[1, 1])(3.0) == 2.0
    # a corner on purpose stays one: the penalty |w| has second derivative 0 there
    assert tg.grad(tg.grad(np.abs))(0.0) == 0.0


@pytest.mark.parametrize("way", [way for way in HESSIANS if way != "forward over forward"])  # there 0 meets inf
@pytest.mark.parametrize(
    "bent",
    [
        tg.relu, lambda x: np.maximum(x, 0.0), lambda x: np.maximum(0.0, x), lambda x: -np.minimum(-x, 0.0),
        lambda x: np.clip(x, 0.0, 9.0), lambda x: np.clip(x, np.zeros(2), None), lambda x: np.where(x > 0.0, x, 0.0),
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_nothing_flows_back_where_a_bend_is_flat(way: str, bent: Any) -> None:
    """The root of 0 has an infinite slope there, which nobody asks for: 0, as in torch, and not nan."""
    f, x = lambda x: np.sum(np.sqrt(bent(x))), np.array([-1.0, 4.0])
    np.testing.assert_array_equal(tg.grad(f)(x), [0.0, 0.25])
    np.testing.assert_array_equal(HESSIANS[way](f)(x), np.diag([0.0, -1.0 / 32.0]))


def test_the_spread_of_what_a_bend_made_equal_is_flat() -> None:
    f = lambda x: np.std(tg.relu(np.stack([0.0 * x, x])))  # noqa: E731
    assert (tg.grad(f)(-0.8), tg.grad(tg.grad(f))(-0.8)) == (0.0, 0.0)
    assert tg.grad(f)(0.8) == pytest.approx(0.5, rel=1e-15)


TINY = np.array([3e-200, 4e-200])


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("f", "x", "value", "gradient"),
    [
        (norm, TINY, 5e-200, [0.6, 0.8]),
        (norm, 1e400**0 * TINY * 1e300 * 1e100, 5e200, [0.6, 0.8]),
        (norm, np.array([3e-30, 4e-30], np.float32), 5e-30, [0.6, 0.8]),
        (norm, np.array([300.0, 400.0], np.float16), 500.0, [0.6, 0.8]),
        (lambda x: np.sum(norm(x, axis=1)), np.stack([TINY, [3.0, 4.0]]), 5.0, [[0.6, 0.8], [0.6, 0.8]]),
        (lambda x: norm(x, 3), np.array([1e-200, 2e-200]), 9 ** (1 / 3) * 1e-200, [9 ** (-2 / 3), 4 * 9 ** (-2 / 3)]),
        (lambda x: norm(x, 3), ZERO, 0.0, ZERO),
        (np.std, TINY, 0.5e-200, [-0.5, 0.5]),
        (lambda x: np.sum(np.hypot(x, x)), TINY[:1], 18**0.5 * 1e-200, [2**0.5]),
        (lambda x: np.log(tg.sigmoid(x)), -720.0, -720.0, 1.0),
        (lambda x: np.sum(np.log(tg.sigmoid(x))), np.array([-720.0]), -720.0, [1.0]),
        (lambda x: np.sum(np.log(tg.sigmoid(x))), np.array([-720.0, -100.0], np.float32), -820.0, [1.0, 1.0]),
        (lambda x: np.log(tg.sigmoid(x)), 800.0, 0.0, 0.0),
        (np.expm1, -50.0, -1.0, 1.9287498479639178e-22),
        (np.arcsinh, 1e200, 461.2101657793691, 1e-200),
        (np.arccosh, 1e200, 461.2101657793691, 1e-200),
        (np.arcsin, 1.0 - 2.0**-40, 1.570794977931, 741455.2000000842),
        (np.arctanh, 1.0 - 2.0**-40, 14.209517, 549755813888.25),
        (tg.softplus, -720.0, 2.032230802424293e-313, 0.0),
        (np.log1p, -1.0 + 2.0**-50, -34.657359, 2.0**50),
        (lambda x: tg.logaddexp(x, -np.inf), -np.inf, -np.inf, 0.0),
        (lambda x: tg.logaddexp(x, 1.0), -np.inf, 1.0, 0.0),
        (tg.logsumexp, np.full(3, -np.inf), -np.inf, np.zeros(3)),
        (tg.logsumexp, np.array([-np.inf, 1.0]), 1.0, [0.0, 1.0]),
        (lambda x: np.sum(tg.logsumexp(x, axis=1)[1:]), np.array([[-np.inf] * 2, [1.0, 1.0]]), 1.0 + np.log(2.0),
         [[0.0, 0.0], [0.5, 0.5]]),
        (np.max, np.ones(70_000, np.float16), 1.0, np.full(70_000, 1 / 70_000)),
        (np.mean, np.ones(70_000, np.float16), 1.0, np.full(70_000, 1 / 70_000)),
        (np.mean, np.full(1_000, 100.0, np.float16), 100.0, np.full(1_000, 1e-3)),
    ],
)  # fmt: skip
def test_extreme_values(f: Any, x: Any, value: Any, gradient: Any) -> None:
    y, g = tg.value_and_grad(f)(x)
    half = np.result_type(np.asarray(x)) == np.float16
    rtol = 1e-2 if half else 1e-6
    np.testing.assert_allclose(y, value, rtol=rtol)
    np.testing.assert_allclose(g, gradient, rtol=rtol, atol=1e-300)
    assert np.result_type(np.asarray(g)) == np.result_type(np.asarray(x))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_powers_at_zero_and_below() -> None:
    assert np.isnan(tg.grad(lambda b: (-2.0) ** b)(2.0))
    assert np.isnan(tg.grad(lambda b: np.sum(np.array([-2.0]) ** b))(np.array([2.0]))[0])
    assert tg.grad(lambda x: x**3.0)(-2.0) == 12.0
    exponents = np.array([0.0, 1.0, 2.0, 3.0])
    power = lambda x: np.sum(x**exponents)  # noqa: E731
    np.testing.assert_array_equal(tg.grad(power)(np.zeros(4)), [0.0, 1.0, 0.0, 0.0])
    np.testing.assert_array_equal(np.diag(tg.hessian(power)(np.zeros(4))), [0.0, 0.0, 2.0, 0.0])
    third = tg.grad(lambda x: np.sum(tg.grad(lambda z: np.sum(tg.grad(power)(z)))(x)))
    np.testing.assert_array_equal(third(np.zeros(4)), [0.0, 0.0, 0.0, 6.0])
    for two in (np.int64(2), np.float64(2.0), np.array(2), np.array(2.0), 2):
        for x in (0.0, 1.5):
            f: Any = functools.partial(lambda two, x: x**two, two)
            for expected in (2.0 * x, 2.0, 0.0):
                f = tg.grad(f)
                assert f(x) == expected, (two, x)
    # 0 ** b is flat in b from 0 on
    np.testing.assert_array_equal(tg.grad(lambda b: np.sum(np.zeros(3) ** b))(np.array([0.0, 1.0, 2.5])), np.zeros(3))
