"""The same networks and functions as torch's and autograd's, to 1e-12 in float64.

Torch is asked live where it is installed; everywhere, what it answered once is kept in `reference/`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn.language import Evaluator, Model, Run
from tinygrad_rnn.models import resolve

from .reference import make

try:
    import torch
except ImportError:  # the parity tests against kept files still run
    torch = None


def needs_torch(test: Callable[..., Any]) -> Callable[..., Any]:
    """Skips, saying so, where there is no torch."""
    skip = pytest.mark.skipif(torch is None, reason="torch is not installed: pip install -e '.[parity]'")
    return pytest.mark.torch(skip(test))


#: torch's GRU resets after the product, and both of its biases are parameters
GRU_RESET_AFTER = """
model: GRU, reset after the product, z keeps the past
sizes: x = 3, h = 4, e = 5
r[t] = sigmoid(b_r + U_r @ x[t] + k_r + W_r @ h[t-1])
z[t] = sigmoid(b_z + U_z @ x[t] + k_z + W_z @ h[t-1])
m[t] = k_n + W_n @ h[t-1]
n[t] = tanh(b_n + U_n @ x[t] + r[t] * m[t])
h[t] = (1 - z[t]) * n[t] + z[t] * h[t-1]
e[t] = b_e + V @ h[t]
L = sum(t, cross_entropy(e[t], y[t]))

gradients:
de[t] = softmax(e[t]) - onehot(y[t])
dh[T] = V.T @ de[T]
dh[t] = V.T @ de[t] + z[t+1] * dh[t+1] + W_n.T @ dm[t+1] + W_r.T @ ar[t+1] + W_z.T @ az[t+1]    for t < T
an[t] = dh[t] * (1 - z[t]) * (1 - n[t]**2)
az[t] = dh[t] * (h[t-1] - n[t]) * z[t] * (1 - z[t])
ar[t] = an[t] * m[t] * r[t] * (1 - r[t])
dm[t] = an[t] * r[t]
dW_r = sum(t, ar[t] @ h[t-1].T)
dW_z = sum(t, az[t] @ h[t-1].T)
dW_n = sum(t, dm[t] @ h[t-1].T)
dU_r = sum(t, ar[t] @ x[t].T)
dU_z = sum(t, az[t] @ x[t].T)
dU_n = sum(t, an[t] @ x[t].T)
db_r = sum(t, ar[t])
db_z = sum(t, az[t])
db_n = sum(t, an[t])
dk_r = sum(t, ar[t])
dk_z = sum(t, az[t])
dk_n = sum(t, dm[t])
dV = sum(t, de[t] @ h[t].T)
db_e = sum(t, de[t])
"""

SYSTEMS = sorted(make.GATES)


def model_of(system: str) -> Model:
    return tg.load(GRU_RESET_AFTER if system == "gru_reset_after" else resolve(system))


def run_of(system: str, values: make.Arrays) -> Run:
    """Our equations on the given values."""
    given: dict[Any, np.ndarray] = {name: value for name, value in values.items() if name not in ("h0", "c0")}
    given |= {(name[0], 0): values[name] for name in ("h0", "c0") if name in values}
    return model_of(system).unroll(make.T, batch=make.SAMPLES, values=given)


def place(name: str) -> str | tuple[str, int]:
    return (name[0], 0) if name in ("h0", "c0") else name


def by_us(system: str, values: make.Arrays) -> make.Arrays:
    """What `make.by_torch` answers, from the equation file."""
    run, steps = run_of(system, values), range(1, make.T + 1)
    _, logits = make.names_of_output(system)
    found = {f"={name}": np.stack([run[name, t].value for t in steps]) for name in ("h", logits)}
    found["=loss"] = np.asarray(run.loss.value)
    found |= {f"={name}_n": run[name, make.T].value for name in ("h", "c") if (name, 0) in run}
    names = [name for name in values if name not in ("x", "y")]
    leaves = [run[place(name)] for name in names] + [run["x", t] for t in steps]
    gradients = tg.gradients(run.loss, leaves)
    found |= {f"d{name}": g for name, g in zip(names, gradients, strict=False)}
    found["dx"] = np.stack(gradients[len(names) :])
    return found


def given_part(kept: make.Arrays) -> make.Arrays:
    return {name: value for name, value in kept.items() if f"d{name}" in kept or name == "y"}


def assert_same(ours: make.Arrays, theirs: make.Arrays) -> None:
    assert set(ours) == set(theirs)
    for name, value in theirs.items():
        np.testing.assert_allclose(ours[name], value, rtol=1e-12, atol=1e-12, err_msg=name)


# -- networks ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("system", SYSTEMS)
def test_equation_file_equals_what_torch_answered_once(system):
    kept = make.load(system)
    values = given_part(kept)
    assert_same(by_us(system, values), {name: value for name, value in kept.items() if name not in values})


@pytest.mark.parametrize("system", SYSTEMS)
def test_gradients_derived_by_hand_equal_what_torch_answered_once(system):
    kept = make.load(system)
    run = run_of(system, given_part(kept))
    evaluator = Evaluator(run.model, run)
    stated = [equation for equation in run.model.gradients if not equation.target.key[1]]
    assert {f"d{name}" for name in run.model.parameters} == {equation.name for equation in stated}
    for equation in stated:
        # no lookup: each equation reads the other equations, none reads the engine
        value = evaluator.right_hand_side(equation, None).value
        np.testing.assert_allclose(value, kept[equation.name], rtol=1e-12, atol=1e-12, err_msg=equation.name)


@needs_torch
@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("seed", [1, 2])
def test_equation_file_equals_torch(system, seed):
    values = make.given(system, seed)
    assert_same(by_us(system, values), make.by_torch(system, values))


@needs_torch
@pytest.mark.parametrize("system", SYSTEMS)
def test_kept_files_are_what_torch_answers(system):
    kept = make.load(system)
    values = given_part(kept)
    assert_same({name: value for name, value in kept.items() if name not in values}, make.by_torch(system, values))


def test_kept_files_are_small_and_hold_plain_numbers():
    files = [make.FOLDER / f"{system}.npz" for system in SYSTEMS]
    assert sum(file.stat().st_size for file in files) < 200_000
    assert {value.dtype.kind for system in SYSTEMS for value in make.load(system).values()} == {"f", "i"}


def test_the_script_that_made_the_files_knows_nothing_of_us():
    source = Path(make.__file__).read_text(encoding="utf-8")
    assert "import tinygrad_rnn" not in source
    assert "from tinygrad_rnn" not in source


# -- functions --------------------------------------------------------------------------------------------------------
_rng = np.random.default_rng(5)


def normal(*shape: int) -> np.ndarray:
    return _rng.standard_normal(shape)


SQUARE = normal(3, 3) + 3.0 * np.eye(3)
TIED = np.array([[1.0, 2.0, 2.0], [0.5, 0.5, 0.5]])
TIED_WITH_IT = np.array([[1.0, 3.0, 0.0], [0.5, 0.0, 1.0]])
ROWS = np.array([2, 0, 2, 2])
LABELS = np.array([1, 3, 3])
Case = tuple[Callable[..., Any], Callable[..., Any], tuple[np.ndarray, ...]]

CASES: dict[str, Case] = {
    "softmax": (lambda x: tg.softmax(x, axis=1), lambda x: torch.softmax(x, 1), (normal(2, 3, 4),)),
    "softmax of large entries": (tg.softmax, lambda x: torch.softmax(x, -1), (1000.0 * normal(2, 3),)),
    "log_softmax": (lambda x: tg.log_softmax(x, axis=0), lambda x: torch.log_softmax(x, 0), (normal(4, 3),)),
    "cross_entropy": (
        lambda x: tg.cross_entropy(x, LABELS),
        lambda x: torch.nn.functional.cross_entropy(x, torch.tensor(LABELS), reduction="none"),
        (normal(3, 4),),
    ),
    "cross_entropy along the first axis": (
        lambda x: tg.cross_entropy(x, LABELS, axis=0),
        lambda x: torch.nn.functional.cross_entropy(x.T, torch.tensor(LABELS), reduction="none"),
        (normal(4, 3),),
    ),
    "logsumexp": (lambda x: tg.logsumexp(x, axis=(0, 2)), lambda x: torch.logsumexp(x, (0, 2)), (normal(2, 3, 4),)),
    "logaddexp": (np.logaddexp, lambda a, b: torch.logaddexp(a, b), (normal(2, 3), normal(3))),
    "matmul, batch by matrix": (np.matmul, lambda a, b: a @ b, (normal(5, 2, 3), normal(3, 4))),
    "matmul, matrix by batch": (np.matmul, lambda a, b: a @ b, (normal(2, 3), normal(5, 3, 4))),
    "matmul, batches broadcast": (np.matmul, lambda a, b: a @ b, (normal(2, 1, 2, 3), normal(5, 3, 4))),
    "matmul, batch by vector": (np.matmul, lambda a, b: a @ b, (normal(5, 2, 3), normal(3))),
    "matmul, vector by batch": (np.matmul, lambda a, b: a @ b, (normal(3), normal(5, 3, 2))),
    "matmul, vectors": (np.matmul, lambda a, b: a @ b, (normal(3), normal(3))),
    "einsum": (
        lambda a, b: np.einsum("bij,jk,b->ik", a, b, np.arange(1.0, 3.0)),
        lambda a, b: torch.einsum("bij,jk,b->ik", a, b, torch.arange(1.0, 3.0, dtype=a.dtype)),
        (normal(2, 3, 4), normal(4, 2)),
    ),
    "norm": (np.linalg.norm, lambda x: torch.linalg.norm(x), (normal(3, 4),)),
    "norm along an axis": (
        lambda x: np.linalg.norm(x, axis=1, keepdims=True),
        lambda x: torch.linalg.vector_norm(x, dim=1, keepdim=True),
        (normal(3, 4),),
    ),
    "rows with repeats": (lambda x: x[ROWS], lambda x: x[torch.tensor(ROWS)], (normal(3, 2),)),
    "rows with repeats, squared": (lambda x: x[ROWS] ** 2, lambda x: x[torch.tensor(ROWS)] ** 2, (normal(3, 2),)),
    "entries with repeats": (
        lambda x: x[ROWS, [0, 1, 0, 0]] ** 3,
        lambda x: x[torch.tensor(ROWS), torch.tensor([0, 1, 0, 0])] ** 3,
        (normal(3, 2),),
    ),
    "slice backwards": (lambda x: x[::-1, 1:] ** 2, lambda x: x.flip(0)[:, 1:] ** 2, (normal(3, 4),)),
    "mask": (lambda x: x[TIED > 1] ** 2, lambda x: x[torch.tensor(TIED > 1)] ** 2, (normal(2, 3),)),
    "embedding": (
        lambda w: tg.embedding(w, ROWS) ** 2,
        lambda w: torch.nn.functional.embedding(torch.tensor(ROWS), w) ** 2,
        (normal(3, 2),),
    ),
    "cumsum": (lambda x: np.cumsum(x, axis=1) ** 2, lambda x: torch.cumsum(x, 1) ** 2, (normal(2, 4),)),
    "prod": (lambda x: np.prod(x, axis=1), lambda x: torch.prod(x, 1), (normal(2, 5),)),
    "prod with a zero": (np.prod, lambda x: torch.prod(x), (np.array([2.0, 0.0, 3.0, -1.0]),)),
    "prod with two zeros": (np.prod, lambda x: torch.prod(x), (np.array([2.0, 0.0, 3.0, 0.0]),)),
    "var": (lambda x: np.var(x, axis=0, ddof=1), lambda x: torch.var(x, 0), (normal(4, 3),)),
    "std": (lambda x: np.std(x, axis=0, ddof=1), lambda x: torch.std(x, 0), (normal(4, 3),)),
    "max with ties": (lambda x: np.max(x, axis=1), lambda x: torch.amax(x, 1), (TIED,)),
    "maximum with ties": (np.maximum, lambda a, b: torch.maximum(a, b), (TIED, TIED_WITH_IT)),
    "sort": (lambda x: np.sort(x, axis=0) ** 2, lambda x: torch.sort(x, 0).values ** 2, (normal(4, 3),)),
    "where": (
        lambda a, b: np.where(TIED > 1, a * a, np.exp(b)),
        lambda a, b: torch.where(torch.tensor(TIED > 1), a * a, torch.exp(b)),
        (normal(2, 3), normal(2, 3)),
    ),
    "sigmoid": (tg.sigmoid, lambda x: torch.sigmoid(x), (30.0 * normal(7),)),
    "softplus": (tg.softplus, lambda x: torch.nn.functional.softplus(x, threshold=1e9), (5.0 * normal(7),)),
    "power": (np.power, lambda a, b: torch.pow(a, b), (np.exp(normal(2, 3)), normal(3))),
    "concatenate": (
        lambda a, b: np.concatenate([a, b, a], axis=1) ** 2,
        lambda a, b: torch.cat([a, b, a], 1) ** 2,
        (normal(2, 3), normal(2, 1)),
    ),
    "roll": (lambda x: np.roll(x, 2, axis=1) ** 2, lambda x: torch.roll(x, 2, 1) ** 2, (normal(2, 5),)),
    "solve": (np.linalg.solve, lambda a, b: torch.linalg.solve(a, b), (SQUARE, normal(3, 2))),
    "inv": (np.linalg.inv, lambda a: torch.linalg.inv(a), (SQUARE,)),
    "det": (np.linalg.det, lambda a: torch.linalg.det(a), (SQUARE,)),
}  # fmt: skip


def orders(f: Callable[..., Any], args: list[Any], grad: Callable[..., Any], weigh: Callable[..., Any]) -> list[Any]:
    """The value, then its gradients of orders 1 and 2, each order weighted by fixed random numbers."""
    y = f(*args)
    found = [y]
    for order in (1, 2):
        scalar = sum(weigh(part, order, i) for i, part in enumerate(found[-len(args) :] if order > 1 else found))
        found += grad(scalar, args)
    return found


def weights(shape: tuple[int, ...], *seed: int) -> np.ndarray:
    return np.random.default_rng((*seed, 3)).standard_normal(shape)


@needs_torch
@pytest.mark.parametrize("case", CASES)
def test_function_and_its_gradients_of_orders_1_and_2_equal_torch(case):
    f, g, args = CASES[case]
    ours = orders(
        f,
        [tg.tensor(x) for x in args],
        lambda y, xs: tg.gradients(y, xs, create_graph=True),
        lambda y, order, i: np.sum(weights(y.shape, order, i) * y),
    )
    theirs = orders(
        g,
        [torch.tensor(x, requires_grad=True) for x in args],
        _torch_gradients,
        lambda y, order, i: torch.sum(torch.tensor(weights(tuple(y.shape), order, i)) * y),
    )
    for mine, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(mine.value, other.detach().numpy(), rtol=1e-12, atol=1e-12)


def _torch_gradients(y: Any, xs: list[Any]) -> list[Any]:
    if not y.requires_grad:
        return [torch.zeros_like(x) for x in xs]
    found = torch.autograd.grad(y, xs, create_graph=True, allow_unused=True)
    return [torch.zeros_like(x) if g is None else g for x, g in zip(xs, found, strict=True)]


@needs_torch
def test_second_order_gradient_of_an_lstm_step_equals_torch():
    names = [name for name in make.given("lstm", 4) if name not in ("x", "y", "V", "b_e")]
    values = {name: value for name, value in make.given("lstm", 4).items() if name in names}
    x = make.given("lstm", 4)["x"][0]

    def step(v: dict[str, Any], tanh: Any, sigmoid: Any, x: Any) -> Any:
        i, f, g, o = (v[f"b_{k}"] + v[f"W_{k}"] @ v["h0"] + v[f"U_{k}"] @ x for k in "ifgo")
        c = sigmoid(f) * v["c0"] + sigmoid(i) * tanh(g)
        return sigmoid(o) * tanh(c)

    ours = orders(
        lambda *xs: step(dict(zip(names, xs, strict=True)), np.tanh, tg.sigmoid, x),
        [tg.tensor(values[name]) for name in names],
        lambda y, xs: tg.gradients(y, xs, create_graph=True),
        lambda y, order, i: np.sum(weights(y.shape, order, i) * y),
    )
    theirs = orders(
        lambda *xs: step(dict(zip(names, xs, strict=True)), torch.tanh, torch.sigmoid, torch.tensor(x)),
        [torch.tensor(values[name], requires_grad=True) for name in names],
        _torch_gradients,
        lambda y, order, i: torch.sum(torch.tensor(weights(tuple(y.shape), order, i)) * y),
    )
    assert len(ours) == 1 + 2 * len(names)
    for mine, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(mine.value, other.detach().numpy(), rtol=1e-12, atol=1e-12)


AUTOGRAD_CASES: dict[str, tuple[Callable[[Any], Callable[..., Any]], tuple[np.ndarray, ...]]] = {
    "chain": (lambda np: lambda W, x: np.tanh(W @ np.tanh(W @ x)) * np.exp(-x), (normal(4, 4), normal(4))),
    "einsum": (lambda np: lambda a, b: np.einsum("ij,kj->ik", a, b) ** 2, (normal(2, 3), normal(4, 3))),
    "tensordot": (lambda np: lambda a, b: np.tensordot(a, b, axes=([1], [0])), (normal(2, 3), normal(3, 2))),
    "prod": (lambda np: lambda x: np.prod(x, axis=0), (normal(3, 2),)),
    "var": (lambda np: lambda x: np.var(x, axis=1), (normal(3, 4),)),
    "cumsum": (lambda np: lambda x: np.cumsum(x, axis=0) ** 2, (normal(3, 2),)),
    "repeats": (lambda np: lambda x: x[ROWS] ** 2, (normal(3, 2),)),
    "solve": (lambda np: lambda a, b: np.linalg.solve(a, b), (SQUARE, normal(3))),
    "where": (lambda np: lambda x: np.where(TIED > 1, x**2, np.sin(x)), (normal(2, 3),)),
}


@pytest.mark.parametrize("case", AUTOGRAD_CASES)
def test_gradient_equals_autograd(case):
    autograd = pytest.importorskip("autograd", reason="autograd is not installed: pip install -e '.[parity]'")
    import autograd.numpy as anp

    make_f, args = AUTOGRAD_CASES[case]
    weight = weights(np.shape(make_f(np)(*args)), 1)
    numbers = tuple(range(len(args)))
    ours = tg.grad(lambda *xs: np.sum(weight * make_f(np)(*xs)), numbers)(*args)
    theirs = autograd.grad(lambda *xs: anp.sum(weight * make_f(anp)(*xs)), numbers)(*args)
    for mine, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-12, atol=1e-12)
