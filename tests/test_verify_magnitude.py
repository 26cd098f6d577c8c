"""The rounding bound against the truth: mpmath at 50 digits says how wrong a float64 value really is.

A bound has to be larger than every error, else a right derivation would fail, and not much larger than the errors
that do occur, else a wrong one would pass. The complex step, which judges the engine, is held to the same truth.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import tinygrad_rnn as tg
from tinygrad_rnn.verification.measure.gradcheck import directional
from tinygrad_rnn.verification.measure.rounding import EPS, SAFETY, magnitudes

mpmath = pytest.importorskip("mpmath", reason="mpmath is not installed: pip install -e '.[test]'")
DIGITS = 50
SAMPLES = 48
#: the bound, without its safety, may be so many times the largest error among the samples
SLACK = 1e4

#: each operation in our words and in mpmath's; every one rounds, so that there is an error to find
UNARY: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "tanh": (np.tanh, mpmath.tanh),
    "sigmoid": (tg.sigmoid, lambda x: 1 / (1 + mpmath.exp(-x))),
    "softplus": (tg.softplus, lambda x: mpmath.log(1 + mpmath.exp(x))),
    "exp": (np.exp, mpmath.exp),
    "sin": (np.sin, mpmath.sin),
    "arctan": (np.arctan, mpmath.atan),
    "arcsinh": (np.arcsinh, mpmath.asinh),
    "log of a square": (lambda x: np.log(x * x + 0.1), lambda x: mpmath.log(x * x + mpmath.mpf(0.1))),
    "root of a square": (lambda x: np.sqrt(x * x + 0.1), lambda x: mpmath.sqrt(x * x + mpmath.mpf(0.1))),
    "cube": (lambda x: x**3, lambda x: x**3),
    "a third": (lambda x: x / 3.0, lambda x: x / 3),
}
BINARY: dict[str, tuple[Callable[[Any, Any], Any], Callable[[Any, Any], Any]]] = {
    "+": (lambda a, b: a + b, lambda a, b: a + b),
    "-": (lambda a, b: a - b, lambda a, b: a - b),
    "*": (lambda a, b: a * b, lambda a, b: a * b),
    "/": (lambda a, b: a / (b * b + 0.5), lambda a, b: a / (b * b + mpmath.mpf(0.5))),
}
#: an expression: the number of a leaf, or an operation and its arguments
Tree = int | tuple[str, Any] | tuple[str, Any, Any]


def trees(depth: int) -> st.SearchStrategy[Tree]:
    leaves = st.integers(0, 3)
    return st.recursive(
        leaves,
        lambda inner: st.one_of(
            st.tuples(st.sampled_from(sorted(UNARY)), inner), st.tuples(st.sampled_from(sorted(BINARY)), inner, inner)
        ),
        max_leaves=depth,
    ).filter(lambda tree: isinstance(tree, tuple))


def value(tree: Tree, leaves: Sequence[Any], side: int) -> Any:
    """The expression on Tensors (side 0) or on mpmath's numbers (side 1)."""
    if isinstance(tree, int):
        return leaves[tree]
    f = (UNARY if len(tree) == 2 else BINARY)[tree[0]][side]
    return f(*(value(part, leaves, side) for part in tree[1:]))


def read_once(tree: Tree, counter: list[int]) -> Tree:
    """The same expression in which every leaf is another one, so that no error can cancel another."""
    if isinstance(tree, int):
        counter[0] += 1
        return counter[0] - 1
    return (tree[0], *(read_once(part, counter) for part in tree[1:]))  # type: ignore[return-value]


def points(number: int, seed: int, spread: float = 1.0) -> list[np.ndarray]:
    return list(np.random.default_rng(seed).standard_normal((number, SAMPLES)) * spread)


def true_values(tree: Tree, leaves: Sequence[np.ndarray]) -> list[mpmath.mpf]:
    return [value(tree, [mpmath.mpf(float(leaf[i])) for leaf in leaves], 1) for i in range(SAMPLES)]


def true_errors(found: np.ndarray, truth: Sequence[mpmath.mpf]) -> np.ndarray:
    return np.array([float(abs(mpmath.mpf(float(y)) - t)) for y, t in zip(np.ravel(found), truth, strict=True)])


@pytest.fixture(autouse=True)
def _fifty_digits():
    with mpmath.workdps(DIGITS):
        yield


law = settings(max_examples=60, deadline=None, derandomize=True, database=None)


@law
@given(tree=trees(12), seed=st.integers(0, 10**6), spread=st.sampled_from([1e-3, 1.0, 3.0]))
def test_the_bound_holds_for_any_expression(tree, seed, spread):
    with mpmath.workdps(DIGITS), np.errstate(all="ignore"):
        leaves = points(4, seed, spread)
        y = value(tree, [tg.tensor(leaf) for leaf in leaves], 0)
        (size,) = magnitudes([y])
        assume(np.all(np.isfinite(size)) and np.all(np.abs(y.value) < 1e100))
        assert np.all(true_errors(y.value, true_values(tree, leaves)) <= SAFETY * EPS * size)


@law
@given(tree=trees(8), seed=st.integers(0, 10**6))
def test_the_bound_is_not_far_above_the_error(tree, seed):
    with mpmath.workdps(DIGITS), np.errstate(all="ignore"):
        counter = [0]
        tree = ("a third", read_once(tree, counter))
        leaves = points(counter[0], seed)
        y = value(tree, [tg.tensor(leaf) for leaf in leaves], 0)
        (size,) = magnitudes([y])
        assume(np.all(np.isfinite(size)) and np.all(np.abs(y.value) < 1e100))
        errors = true_errors(y.value, true_values(tree, leaves))
        assert np.max(errors / size) * SLACK >= EPS


@law
@given(tree=trees(6), seed=st.integers(0, 10**6))
def test_the_bound_holds_for_recorded_gradients(tree, seed):
    with mpmath.workdps(DIGITS), np.errstate(all="ignore"):
        leaves = [leaf[:8] for leaf in points(4, seed)]
        tensors = [tg.tensor(leaf) for leaf in leaves]
        y = np.sum(value(tree, tensors, 0))
        for k, g in enumerate(tg.gradients(y, tensors, create_graph=True)):
            (size,) = magnitudes([g])
            assume(np.all(np.isfinite(size)) and np.all(size < 1e100))
            errors = true_errors(g.value, true_partials(tree, leaves, k))
            assert np.all(errors <= SAFETY * EPS * size + 1e-25)  # what mpmath's own difference leaves


def true_partials(tree: Tree, leaves: Sequence[np.ndarray], k: int) -> list[mpmath.mpf]:
    """The derivative with respect to leaf k, by differences of fourth order in 50 digits."""
    h = mpmath.mpf(10) ** -15
    found = []
    for i in range(len(leaves[0])):
        at = [mpmath.mpf(float(leaf[i])) for leaf in leaves]
        moved = [value(tree, [*at[:k], at[k] + s * h, *at[k + 1 :]], 1) for s in (-2, -1, 1, 2)]
        found.append((moved[0] - 8 * moved[1] + 8 * moved[2] - moved[3]) / (12 * h))
    return found


@law
@given(tree=trees(10), seed=st.integers(0, 10**6))
def test_the_complex_step_is_exact_to_rounding(tree, seed):
    with mpmath.workdps(DIGITS), np.errstate(all="ignore"):
        leaves = [leaf[:6] for leaf in points(4, seed)]
        tensors = [tg.tensor(leaf) for leaf in leaves]
        y = np.sum(value(tree, tensors, 0))
        for k, (x, g) in enumerate(zip(tensors, tg.gradients(y, tensors, create_graph=True), strict=True)):
            v = np.random.default_rng(seed).standard_normal(6)
            truth = sum(mpmath.mpf(float(a)) * b for a, b in zip(v, true_partials(tree, leaves, k), strict=True))
            size = float(np.sum(magnitudes([g])[0] * np.abs(v)))
            assume(np.isfinite(size) and size < 1e100)
            error = abs(mpmath.mpf(directional(y, [x], [v])) - truth)
            assert error <= SAFETY * EPS * size + 1e-25


#: x - max(x) rounds in units of max(x), however small the result


# -- operations that reduce -------------------------------------------------------------------------------------------
def matrix(x: np.ndarray) -> mpmath.matrix:
    return mpmath.matrix([[mpmath.mpf(float(entry)) for entry in row] for row in np.atleast_2d(x)])


def total_of_exp(x: mpmath.matrix) -> mpmath.mpf:
    return mpmath.fsum(mpmath.exp(entry) for entry in x)


LABEL = 1
REDUCING: dict[str, tuple[Callable[..., Any], Callable[..., Any], list[tuple[int, ...]]]] = {
    "sum": (np.sum, lambda x: [mpmath.fsum(x)], [(1, 300)]),
    "matmul": (np.matmul, lambda a, b: list(a * b), [(4, 50), (50, 3)]),
    "three matrices": (lambda a, b, c: a @ b @ c, lambda a, b, c: list(a * b * c), [(3, 9), (9, 9), (9, 2)]),
    "logsumexp": (lambda x: tg.logsumexp(x), lambda x: [mpmath.log(total_of_exp(x))], [(1, 9)]),
    "softmax": (lambda x: tg.softmax(x), lambda x: [mpmath.exp(e) / total_of_exp(x) for e in x], [(1, 9)]),
    "log_softmax": (lambda x: tg.log_softmax(x), lambda x: [e - mpmath.log(total_of_exp(x)) for e in x], [(1, 9)]),
    "cross_entropy": (
        lambda x: tg.cross_entropy(x, np.array([LABEL])),
        lambda x: [mpmath.log(total_of_exp(x)) - x[LABEL]],
        [(1, 9)],
    ),
    "norm": (np.linalg.norm, lambda x: [mpmath.sqrt(mpmath.fsum(e * e for e in x))], [(1, 30)]),
    "softmax of a product": (
        lambda a, b: tg.softmax(a @ b, axis=0),
        lambda a, b: [mpmath.exp(e) / total_of_exp(a * b) for e in a * b],
        [(5, 7), (7, 1)],
    ),
    "solve": (
        lambda a, b: np.linalg.solve(a + 4.0 * np.eye(4), b),
        lambda a, b: list(mpmath.lu_solve(a + 4 * mpmath.eye(4), b)),
        [(4, 4), (4, 1)],
    ),
}  # fmt: skip


def sizes_and_errors(name: str, spread: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The magnitude of each entry of a reduction of random numbers, and its true error."""
    ours, truth, shapes = REDUCING[name]
    rng = np.random.default_rng((seed, len(name)))
    leaves = [rng.standard_normal(shape) * spread for shape in shapes]
    y = ours(*[tg.tensor(leaf) for leaf in leaves])
    (size,) = magnitudes([y])
    return np.ravel(size), true_errors(np.asarray(y.value), truth(*[matrix(leaf) for leaf in leaves]))


@pytest.mark.slow
@pytest.mark.parametrize("spread", [1e-3, 1.0, 30.0])
@pytest.mark.parametrize("name", REDUCING)
def test_the_bound_holds_for_reductions(name, spread):
    for seed in range(20):
        size, errors = sizes_and_errors(name, spread, seed)
        assert np.all(errors <= SAFETY * EPS * size)


@pytest.mark.parametrize("spread", [1e-3, 1.0])
@pytest.mark.parametrize("name", REDUCING)
def test_the_bound_is_close_for_reductions(name, spread):
    ratios = [errors / size for size, errors in (sizes_and_errors(name, spread, seed) for seed in range(6))]
    assert np.max(ratios) * SLACK >= EPS


# -- what the bound knows ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize("detour", [1e3, 1e8, 1e15])
def test_a_cancellation_raises_the_bound_with_the_size_of_what_cancels(detour):
    x = tg.tensor(0.7)
    (size,) = magnitudes([(x + detour) - detour])
    assert detour <= float(size) <= 10.0 * detour


def test_a_function_raises_the_bound_by_its_condition():
    x = tg.tensor(30.0)
    (size,) = magnitudes([np.exp(x)])
    np.testing.assert_allclose(float(size), 31.0 * np.exp(30.0))


def test_what_is_taken_as_exact_counts_with_its_own_size():
    x = tg.tensor(0.7)
    middle = tg.name("m", (x + 1e9) - 1e9)
    (whole,), (line,) = magnitudes([2.0 * middle]), magnitudes([2.0 * middle], exact={middle.id})
    assert float(whole) > 1e9
    assert float(line) < 10.0


def test_a_bound_has_the_shape_of_its_value_and_is_nowhere_below_it():
    rng = np.random.default_rng(0)
    W, x = tg.tensor(rng.standard_normal((4, 3))), tg.tensor(rng.standard_normal((3, 2)))
    for y in (W @ x, tg.softmax(W @ x, axis=0), np.sum(W), np.tanh(W @ x) * 2.0, np.concatenate([W, x.T])):
        (size,) = magnitudes([y])
        assert np.shape(size) == y.shape
        assert np.all(size >= np.abs(y.value))
