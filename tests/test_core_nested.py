"""Derivatives inside of derivatives, and what a function may return: never a silent zero.

Truth is algebra by hand, or torch where it is installed.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn.core.autodiff import reached_from

#: ways to take dy f(x, y) at y by a closure over x; all have to see that the result depends on x
INNER: dict[str, Callable[[Callable[[Any], Any], float], Any]] = {
    "grad": lambda f, y: tg.grad(f)(y),
    "value_and_grad": lambda f, y: tg.value_and_grad(f)(y)[1],
    "vjp": lambda f, y: tg.vjp(f, y)[1](1.0)[0],
    "jvp": lambda f, y: tg.jvp(f, [y], [1.0])[1],
    "jacobian": lambda f, y: tg.jacobian(f)(y),
    "keyword": lambda f, y: tg.grad(lambda z, g: g(z))(y, g=f),
    "tree": lambda f, y: tg.grad(lambda z: f(z["y"][0]))({"y": [y]})["y"][0],
    "array": lambda f, y: np.sum(tg.grad(lambda z: np.sum(f(z)))(np.array([y]))),
}
OUTER: dict[str, Callable[[Callable[[Any], Any], float], Any]] = {key: INNER[key] for key in ("grad", "vjp", "jvp")}


@pytest.mark.parametrize(("outer", "inner"), list(itertools.product(OUTER, INNER)))
def test_an_inner_derivative_depends_on_what_its_function_read(outer: str, inner: str) -> None:
    # d/dx [x dy (x y^2)] = d/dx [2 x^2 y] = 4 x y
    f = lambda x: x * INNER[inner](lambda y: x * y * y, 3.0)  # noqa: E731
    assert OUTER[outer](f, 2.0) == pytest.approx(24.0, rel=1e-15)


def test_the_published_example_and_its_kin() -> None:
    assert tg.grad(lambda x: x * tg.grad(lambda y: x * y)(2.0))(1.0) == 2.0
    assert tg.grad(lambda x: x * tg.grad(lambda y: x + y)(2.0))(1.0) == 1.0
    assert tg.grad(lambda x: tg.grad(lambda y: x + y)(2.0))(1.0) == 0.0
    assert tg.grad(lambda x: tg.grad(lambda y: 3.0 * y)(2.0))(1.0) == 0.0
    assert tg.grad(lambda x: tg.hessian(lambda y: x * y**3)(2.0))(1.0) == 12.0
    assert tg.grad(lambda x: tg.hvp(lambda y: x * y**3, 2.0, 5.0))(1.0) == 60.0
    assert tg.grad(lambda x: tg.hvp(lambda y: y**3, 2.0, x))(1.0) == 12.0


@pytest.mark.parametrize("ways", list(itertools.product(("grad", "jvp", "vjp"), repeat=3)), ids="-".join)
def test_three_levels_that_all_read_all_variables(ways: tuple[str, str, str]) -> None:
    # dz (x y z^3) = 3 x y z^2; times y, dy: 6 x y z^2; times x, dx: 12 x y z^2
    a, b, c = (INNER[way] for way in ways)
    f = lambda x: x * b(lambda y: y * c(lambda z: x * y * z**3, 2.0), 3.0)  # noqa: E731
    assert a(f, 5.0) == pytest.approx(12.0 * 5.0 * 3.0 * 4.0, rel=1e-14)


@pytest.mark.slow
def test_a_gradient_penalty_reaches_parameters_that_only_the_closure_holds() -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed: pip install -e '.[parity]'")
    rng = np.random.default_rng(0)
    net, X = tg.nn.Linear(3, 2), rng.normal(size=(4, 3))
    weights = {name: torch.tensor(p.numpy(), requires_grad=True) for name, p in net.named_parameters()}

    def penalty(net: Any) -> Any:
        return np.sum(tg.grad(lambda x: np.sum(np.tanh(net(x)) ** 2))(X) ** 2)

    x = torch.tensor(X, requires_grad=True)
    y = torch.sum(torch.tanh(torch.nn.functional.linear(x, *weights.values())) ** 2)
    torch.sum(torch.autograd.grad(y, x, create_graph=True)[0] ** 2).backward()
    penalty(net).backward()
    functional = tg.grad(penalty)(net)
    for name, p in net.named_parameters():
        np.testing.assert_allclose(p.grad, weights[name].grad.numpy(), rtol=1e-12)
        np.testing.assert_allclose(functional[name], weights[name].grad.numpy(), rtol=1e-12)


def test_plain_arguments_and_no_tensor_read_give_plain_numbers() -> None:
    value, g = tg.value_and_grad(lambda x: np.sum(x * x))(np.ones(2))
    assert type(value) is float and type(g) is np.ndarray
    assert all(type(part) is np.ndarray for part in tg.jvp(np.tanh, [np.ones(2)], [np.ones(2)]))
    # a Tensor that asks for no gradient, or was made on the way, is no reason for a graph
    c = tg.tensor(2.0, requires_grad=False)
    assert type(tg.grad(lambda x: c * x * tg.tensor(3.0))(1.0)) is float


def test_what_an_inner_call_does_not_need_it_does_not_walk() -> None:
    history = tg.tensor(1.0)
    for _ in range(2000):
        history = history * 1.0
    leaf = tg.tensor(1.0)
    active, outside = reached_from(history * leaf, [leaf], leaf.id, leaf.id)
    assert outside and len(active) == 2


# -- what has lost its gradient, or never had one ------------------------------------------------------------------
WAYS: dict[str, Callable[[Callable[..., Any]], Any]] = {
    "grad": lambda f: tg.grad(f)(3.0),
    "jacobian": lambda f: tg.jacobian(f)(3.0),
    "vjp": lambda f: tg.vjp(f, 3.0),
    "jvp": lambda f: tg.jvp(f, [3.0], [1.0]),
    "hvp": lambda f: tg.hvp(f, 3.0, 1.0),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("f", "error", "message"),
    [
        (lambda x: x.item() ** 2, tg.NotDifferentiableError, r"took a value out of the graph \(by item\(\)"),
        (lambda x: x.value**2, tg.NotDifferentiableError, "took a value out of the graph"),
        (lambda x: (x * 1.0).numpy() ** 2, tg.NotDifferentiableError, "compute with the Tensor itself"),
        (lambda x: (x, x), tg.GraphError, "returned a tuple: .*np.stack"),
        (lambda x: {"y": x}, tg.GraphError, "returned a dict"),
        (lambda x: x > 1.0, tg.DtypeError, "which has no derivative"),
        (lambda x: np.argmax(x), tg.DtypeError, "which has no derivative"),
        (lambda x: None, tg.GraphError, "returned None"),
        (lambda x: "x", tg.DtypeError, "returned a str"),
        (lambda x: x * 1j, tg.DtypeError, "complex128"),
        (lambda x: 2.0 + 1j, tg.DtypeError, "complex"),
    ],
    ids=["item", "value", "numpy", "tuple", "dict", "bool", "argmax", "none", "text", "complex", "complex constant"],
)
def test_a_result_without_a_gradient_is_an_error(way: str, f: Callable[..., Any], error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        WAYS[way](f)


def test_constants_have_gradient_zero() -> None:
    zero = np.zeros(2)
    for f in (lambda x: 3.0, lambda x: tg.tensor(3.0, requires_grad=False), lambda x: tg.tensor(2.0) * 1.5):
        assert tg.grad(f)(1.0) == 0.0
        value, pull = tg.vjp(f, np.ones(2))
        assert float(getattr(value, "value", value)) == 3.0
        np.testing.assert_array_equal(np.asarray(getattr(pull(1.0)[0], "value", pull(1.0)[0])), zero)
        assert float(getattr(tg.jvp(f, [1.0], [1.0])[1], "value", tg.jvp(f, [1.0], [1.0])[1])) == 0.0
    assert tg.grad(lambda x: np.floor(x.detach().value))(1.5) == 0.0, "constant nearby"
    y, pull = tg.vjp(lambda x: np.ones(3), np.ones(2))
    np.testing.assert_array_equal(y, np.ones(3))
    np.testing.assert_array_equal(pull(np.ones(3))[0], zero)
    np.testing.assert_array_equal(tg.jvp(lambda x: np.ones(3), [np.ones(2)], [np.ones(2)])[1], np.zeros(3))
    assert tg.jacobian(lambda x: np.ones(3))(np.ones(2)).shape == (3, 2)


@pytest.mark.parametrize("f", [np.sign, tg.stop, lambda y: np.floor_divide(y, 1.0), lambda y: tg.stop(y) + 1.0])
@pytest.mark.parametrize("way", ["jvp", "jacobian", "vjp"])
def test_what_has_no_derivative_has_derivative_zero_under_another_one(f: Callable[..., Any], way: str) -> None:
    inner = {
        "jvp": lambda x: tg.jvp(f, [np.full(2, 0.37)], [x])[1],
        "jacobian": lambda x: tg.jacobian(f)(x),
        "vjp": lambda x: tg.vjp(f, x)[1](x)[0],
    }[way]
    np.testing.assert_array_equal(tg.grad(lambda x: np.sum(inner(x)) + np.sum(x))(np.ones(2)), np.ones(2))


def test_a_tensor_made_of_tensors_is_an_error_that_names_stack() -> None:
    x = tg.tensor(2.0)
    for held in ([x, 2 * x], [[1.0, x]], x * 1.0, x):
        with pytest.raises(tg.NotDifferentiableError, match=r"np\.stack"):
            tg.tensor(held)
    assert tg.tensor([x.detach(), 1.0]).numpy().tolist() == [2.0, 1.0]


def test_complex_numbers_between_real_ones_are_an_error() -> None:
    x = tg.tensor(np.ones(2))
    with pytest.raises(tg.DtypeError, match="complex128"):
        tg.gradients(np.sum(x * 1j), x)
    with pytest.raises(tg.DtypeError, match="complex128"):
        np.sum(x * 1j).backward()
    with pytest.raises(tg.DtypeError, match="real numbers"):
        tg.gradients(np.sum(x), x, seed=1j)


@pytest.mark.parametrize("seed", [np.ones((2, 3)), np.ones(3), 1.0, [1.0, 1.0, 1.0], np.ones((1, 2))], ids=str)
@pytest.mark.parametrize("create_graph", [False, True])
def test_a_seed_of_another_shape_is_an_error(seed: Any, create_graph: bool) -> None:
    v = tg.tensor(np.ones(2))
    with pytest.raises(tg.ShapeError, match=r"for an output of shape \(2,\)"):
        tg.gradients(2.0 * v, v, seed=seed, create_graph=create_graph)
    with pytest.raises(tg.ShapeError, match=r"for an output of shape \(2,\)"):
        tg.vjp(lambda x: 2.0 * x, np.ones(2))[1](seed)
    with pytest.raises(tg.ShapeError, match="tangent"):
        tg.jvp(lambda x: 2.0 * x, [np.ones(2)], [seed])


def test_what_no_grad_computed_is_no_zero() -> None:
    w = tg.tensor(2.0)
    with tg.no_grad():
        y = w * w
        with pytest.raises(tg.GraphError, match="no_grad"):
            tg.grad(lambda x: x * x)(2.0)
    with pytest.raises(tg.GraphError, match="no_grad"):
        tg.gradients(y, w)
    with pytest.raises(tg.GraphError):
        y.backward()
    before = w * w
    with tg.no_grad():
        assert tg.gradients(before, w) == 4.0, "what was recorded may be differentiated anywhere"


# -- arguments of every form ---------------------------------------------------------------------------------------
def test_trees_keywords_and_more_arguments() -> None:
    f = lambda p, scale=1.0: scale * np.sum(p["W"] @ p["b"] * p["b"])  # noqa: E731
    rng = np.random.default_rng(0)
    W, b, v = rng.normal(size=(2, 2)), rng.normal(size=2), rng.normal(size=2)
    p, tangent = {"W": W, "b": b}, {"b": v, "W": np.zeros((2, 2))}  # in another order
    value, pull = tg.vjp(f, p, scale=2.0)
    assert value == pytest.approx(2.0 * b @ W @ b)
    np.testing.assert_allclose(pull(1.0)[0]["b"], 2.0 * (W + W.T) @ b)
    np.testing.assert_allclose(tg.jvp(f, [p], [tangent], scale=2.0)[1], 2.0 * v @ (W + W.T) @ b)
    np.testing.assert_allclose(tg.hvp(f, p, tangent, scale=2.0)["b"], 2.0 * (W + W.T) @ v)
    np.testing.assert_allclose(tg.hvp(lambda z, A: z @ A @ z, b, v, W), (W + W.T) @ v)
    np.testing.assert_allclose(tg.hvp(lambda z: z[0] @ W @ z[0], [b], [v])[0], (W + W.T) @ v)
    JW, Jb = tg.jacobian(lambda W, b, k: k * (W @ b), argnums=(0, 1))(W, b, k=3.0)
    np.testing.assert_allclose(Jb, 3.0 * W)
    np.testing.assert_allclose(JW, 3.0 * np.einsum("ij,k->ijk", np.eye(2), b))
    assert set(tg.jacobian(lambda p: p["W"] @ p["b"])(p)) == {"W", "b"}
    with pytest.raises(tg.ShapeError, match="keys W, b"):
        tg.jvp(f, [p], [{"b": v}])
    with pytest.raises(tg.ShapeError, match="1 arrays take 1 tangents"):
        tg.jvp(np.tanh, [b], [v, v])
    with pytest.raises(tg.GraphError, match="argument 2 is to be differentiated, but 2 are given"):
        tg.grad(lambda a, b: a, argnums=2)(1.0, 2.0)


@pytest.mark.parametrize("order", [1, 2])
def test_tangents_equal_the_jacobian_for_every_primitive(order: int) -> None:
    from .samples import CASES

    rng = np.random.default_rng(0)
    for name, cases in CASES.items():
        for f, args in cases[:2]:
            args = [np.asarray(x, float) if np.ndim(x) else float(x) for x in args]
            tangents = [rng.normal(size=np.shape(x)) if np.ndim(x) else rng.normal() for x in args]
            if order == 2:
                f = lambda *xs, f=f, tangents=tangents: tg.jvp(f, xs, tangents)[1]  # noqa: E731
            y, pull = tg.vjp(f, *args)
            u = rng.normal(size=np.shape(y)) if np.ndim(y) else rng.normal()
            expected = sum(np.sum(g * t) for g, t in zip(pull(u), tangents, strict=True))
            found = np.sum(tg.jvp(f, args, tangents)[1] * u)
            np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12, err_msg=name)
