"""What people train with derivatives that are not plain: equal to torch to 1e-12, by each executor.

Each case is a loss of parameters and data, written once; `differentiated` says how its gradients are taken.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tg

torch = pytest.importorskip("torch", reason="torch is not installed: pip install -e '.[parity]'")

#: None is eager; "numpy" and "jit" are the compiled ones
EXECUTORS = pytest.mark.parametrize("executor", [None, "numpy", "jit"])
Arrays = Mapping[str, Any]

rng = np.random.default_rng(0)
H, D, B, T = 4, 3, 5, 12
WEIGHTS = {"U": rng.normal(size=(H, D)), "W": 0.5 * rng.normal(size=(H, H)), "v": rng.normal(size=H)}
X, Y = rng.normal(size=(T, B, D)), rng.normal(size=(T, B))


def differentiated(loss: Callable[..., Any], executor: str | None) -> Callable[..., tuple[Any, dict[str, Any]]]:
    if executor == "jit":
        pytest.importorskip("numba", reason="numba is not installed: pip install 'tinygrad_rnn[jit]'")
    both = tg.value_and_grad(loss)
    return both if executor is None else tg.compile(both, executor=executor)


def torch_differentiated(loss: Callable[..., Any]) -> Callable[..., tuple[Any, dict[str, Any]]]:
    def both(p: Arrays, *data: Any) -> tuple[Any, dict[str, Any]]:
        leaves = {name: torch.tensor(value, requires_grad=True) for name, value in p.items()}
        value = loss(leaves, *data)
        found = torch.autograd.grad(value, list(leaves.values()), allow_unused=True)
        zeros = {name: np.zeros(np.shape(x)) for name, x in p.items()}
        grads = {k: zeros[k] if g is None else g.numpy() for k, g in zip(leaves, found, strict=True)}
        return value.item(), grads

    return both


def descended(both: Callable[..., Any], p: Arrays, batches: Any, lr: float = 0.05) -> dict[str, Any]:
    """The parameters after a step for each batch."""
    moved = dict(p)
    for batch in batches:
        grads = both(moved, *batch)[1]
        moved = {name: value - lr * grads[name] for name, value in moved.items()}
    return moved


def equal(ours: Arrays, theirs: Arrays) -> None:
    assert set(ours) == set(theirs)
    for name, value in ours.items():
        np.testing.assert_allclose(value, theirs[name], rtol=1e-12, atol=1e-13, err_msg=name)


# -- a penalty on the slope of a recurrent network by its inputs ---------------------------------------------------
def outputs(p: Arrays, x: Any, tanh: Any) -> Any:
    h = 0.0
    for t in range(len(x)):
        h = tanh(x[t] @ p["U"].T + (h @ p["W"].T if t else 0.0))
    return h @ p["v"]


def penalised(p: Arrays, x: Any) -> Any:
    slope = tg.grad(lambda z: np.sum(outputs(p, z, np.tanh)))(x)
    norms = np.sqrt(np.sum(slope**2, axis=(0, 2)))
    return np.mean((norms - 1.0) ** 2) + np.mean(outputs(p, x, np.tanh) ** 2)


def torch_penalised(p: Arrays, x: Any) -> Any:
    z = torch.tensor(x, requires_grad=True)
    slope = torch.autograd.grad(outputs(p, z, torch.tanh).sum(), z, create_graph=True)[0]
    norms = torch.sqrt((slope**2).sum(dim=(0, 2)))
    return ((norms - 1.0) ** 2).mean() + (outputs(p, torch.tensor(x), torch.tanh) ** 2).mean()


@pytest.mark.slow
@EXECUTORS
def test_gradient_penalty(executor: str | None) -> None:
    batches = [(X[:4],), (X[4:8],), (X[8:],)]
    ours = descended(differentiated(penalised, executor), WEIGHTS, batches)
    equal(ours, descended(torch_differentiated(torch_penalised), WEIGHTS, batches))


# -- two losses for one step ---------------------------------------------------------------------------------------
def last(p: Arrays, x: Any, y: Any) -> Any:
    return ((outputs(p, x, np.tanh if not torch.is_tensor(p["U"]) else torch.tanh) - y[-1]) ** 2).mean()


def weights_alone(p: Arrays) -> Any:
    return (p["W"] @ p["W"].T).sum() * 0.1  # reads W, and neither U nor v


@pytest.mark.slow
def test_two_losses_sent_back_before_one_step() -> None:
    ours = {name: tg.tensor(value, name=name) for name, value in WEIGHTS.items()}
    theirs = {name: torch.tensor(value, requires_grad=True) for name, value in WEIGHTS.items()}
    adam, torch_adam = tg.train.Adam(ours.values(), lr=0.01), torch.optim.Adam(theirs.values(), lr=0.01)
    for step in range(6):
        for optimizer, p, data in ((adam, ours, (X, Y)), (torch_adam, theirs, (torch.tensor(X), torch.tensor(Y)))):
            if step % 3 != 1:  # gradients of two rounds add up once
                optimizer.zero_grad()
            last(p, *data).backward()
            if step % 2 == 0:
                weights_alone(p).backward()
            optimizer.step()
    equal({k: p.numpy() for k, p in ours.items()}, {k: p.detach().numpy() for k, p in theirs.items()})


@EXECUTORS
def test_two_losses_added(executor: str | None) -> None:
    both = lambda p, x, y: last(p, x, y) + weights_alone(p)  # noqa: E731
    batches = [(X[t : t + 4], Y[t : t + 4]) for t in (0, 4, 8)]
    ours = descended(differentiated(both, executor), WEIGHTS, batches)
    tensors = [tuple(map(torch.tensor, batch)) for batch in batches]
    equal(ours, descended(torch_differentiated(both), WEIGHTS, tensors))


# -- truncated backpropagation through time ------------------------------------------------------------------------
def window(p: Arrays, h: Any, x: Any, y: Any) -> Any:
    total = 0.0
    for t in range(len(x)):
        h = np.tanh(x[t] @ p["U"].T + h @ p["W"].T)
        total = total + np.mean((h @ p["v"] - y[t]) ** 2)
    return total


def torch_window(p: Arrays, h: Any, x: Any, y: Any) -> Any:
    total = torch.zeros(())
    for t in range(len(x)):
        h = torch.tanh(x[t] @ p["U"].T + h @ p["W"].T)
        total = total + ((h @ p["v"] - y[t]) ** 2).mean()
    return total


def carried(p: Arrays, h: Any, x: Any) -> Any:
    """The state after a window, as numbers: no gradient goes beyond its beginning."""
    for xt in x:
        h = np.tanh(xt @ p["U"].T + h @ p["W"].T)
    return h


def truncated(both: Callable[..., Any], k: int, as_data: Callable[[Any], Any] = lambda x: x) -> dict[str, Any]:
    p, h = dict(WEIGHTS), np.zeros((B, H))
    for t in range(0, T, k):
        grads = both(p, *map(as_data, (h, X[t : t + k], Y[t : t + k])))[1]
        h = carried(p, h, X[t : t + k])
        p = {name: value - 0.05 * grads[name] for name, value in p.items()}
    return p


@EXECUTORS
@pytest.mark.parametrize("k", [1, 3, 5])
def test_truncated_backpropagation(executor: str | None, k: int) -> None:
    ours = truncated(differentiated(window, executor), k)
    equal(ours, truncated(torch_differentiated(torch_window), k, torch.tensor))


@pytest.mark.parametrize("k", [1, 3, 5])
def test_truncated_backpropagation_by_the_loop_of_the_documentation(k: int) -> None:
    ours = {name: tg.tensor(value, name=name) for name, value in WEIGHTS.items()}
    sgd = tg.train.SGD(ours.values(), lr=0.05)

    def step(t: int, h: Any) -> tuple[Any, Any]:
        h = np.tanh(X[t - 1] @ ours["U"].T + h @ ours["W"].T)
        return h, np.mean((h @ ours["v"] - Y[t - 1]) ** 2)

    for loss, _ in tg.train.truncated(step, T, tg.tensor(np.zeros((B, H)), requires_grad=False), k1=k):
        sgd.zero_grad()
        loss.backward()
        sgd.step()
    theirs = truncated(torch_differentiated(torch_window), k, torch.tensor)
    equal({name: p.numpy() for name, p in ours.items()}, theirs)


# -- estimators that go straight through, and a rule of one's own --------------------------------------------------
def hard(z: Any) -> Any:
    """0 or 1, with the slope of the sigmoid: written with `stop`."""
    soft = tg.sigmoid(z)
    return soft + tg.stop(0.5 + 0.5 * np.sign(z) - soft)


#: the same as a rule of its own
hard_rule = tg.custom_vjp(
    lambda z: np.where(z > 0, 1.0, 0.0), lambda g, y, z: g * tg.sigmoid(z) * (1.0 - tg.sigmoid(z)), name="hard"
)
#: tanh as one takes it apart by hand
tanh_rule = tg.custom_vjp(np.tanh, lambda g, y, z: g * (1.0 - y * y), name="tanh_by_hand")


def torch_hard(z: Any) -> Any:
    soft = torch.sigmoid(z)
    return soft + ((z > 0).to(soft.dtype) - soft).detach()


def gated(p: Arrays, x: Any, gate: Any, tanh: Any) -> Any:
    h = x[0] @ p["U"].T
    for t in range(1, len(x)):
        u = gate(x[t] @ p["U"].T + h * p["v"])
        h = u * tanh(h @ p["W"].T) + (1.0 - u) * h
    return (h * h).sum()


@EXECUTORS
def test_a_straight_through_estimator_by_a_rule(executor: str | None) -> None:
    _equals_torch_gated(executor, hard_rule, np.tanh)


@EXECUTORS
def test_a_straight_through_estimator_by_stop(executor: str | None) -> None:
    _equals_torch_gated(executor, hard, np.tanh)


@EXECUTORS
def test_a_custom_rule(executor: str | None) -> None:
    _equals_torch_gated(executor, hard_rule, tanh_rule)


def _equals_torch_gated(executor: str | None, gate: Any, tanh: Any) -> None:
    batches = [(X[:4],), (X[4:8],), (X[8:],), (X,)]
    ours = descended(differentiated(lambda p, x: gated(p, x, gate, tanh), executor), WEIGHTS, batches)
    theirs = torch_differentiated(lambda p, x: gated(p, torch.tensor(x), torch_hard, torch.tanh))
    equal(ours, descended(theirs, WEIGHTS, batches))
