"""Gradients for more than descending, against torch: penalties, truncation, two losses, rules of one's own."""

from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn.compiler import compile

torch = pytest.importorskip("torch")

H, D, B, T = 4, 3, 2, 8
rng = np.random.default_rng(4)
P = {"W": 0.5 * rng.standard_normal((H, H)), "U": rng.standard_normal((H, D)), "b": rng.standard_normal(H)}
X = rng.standard_normal((T, B, D))
ROUNDED = tg.custom_vjp(lambda x: np.round(3 * x) / 3, lambda g, y, x: g * (1 - x * x), name="rounded")


class Rounded(torch.autograd.Function):
    """The same rule for torch."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        ctx.save_for_backward(x)
        return torch.round(3 * x) / 3

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        (x,) = ctx.saved_tensors
        return g * (1 - x * x)


def straight_through(p: Any, x: Any) -> Any:
    h, total = np.zeros((B, H)), 0.0
    for t in tg.steps(len(x)):
        a = np.tanh(x[t] @ p["U"].T + h @ p["W"].T + p["b"])
        h = a + tg.stop(np.sign(a) - a)
        total = total + np.sum((h @ p["W"]) ** 2)
    return total / len(x)


def straight_through_torch(p: Any, x: Any) -> Any:
    h, total = torch.zeros(B, H), 0.0
    for x_t in x:
        a = torch.tanh(x_t @ p["U"].T + h @ p["W"].T + p["b"])
        h = a + (torch.sign(a) - a).detach()
        total = total + ((h @ p["W"]) ** 2).sum()
    return total / len(x)


def own_rule(p: Any, x: Any) -> Any:
    h = np.zeros((B, H))
    for t in tg.steps(len(x)):
        h = ROUNDED(np.tanh(x[t] @ p["U"].T + h @ p["W"].T + p["b"]))
    return np.sum(h * (h @ p["W"]))


def own_rule_torch(p: Any, x: Any) -> Any:
    h = torch.zeros(B, H)
    for x_t in x:
        h = Rounded.apply(torch.tanh(x_t @ p["U"].T + h @ p["W"].T + p["b"]))
    return (h * (h @ p["W"])).sum()


def truncated(p: Any, x: Any, window: int = 1) -> Any:
    h, total = np.zeros((B, H)), 0.0
    for t in tg.steps(len(x)):
        h = tg.stop(h) if t % window == 0 else h
        h = np.tanh(x[t] @ p["U"].T + h @ p["W"].T + p["b"])
        total = total + np.sum(h**2)
    return total


def truncated_torch(p: Any, x: Any, window: int = 1) -> Any:
    h, total = torch.zeros(B, H), 0.0
    for t, x_t in enumerate(x):
        h = h.detach() if t % window == 0 else h
        h = torch.tanh(x_t @ p["U"].T + h @ p["W"].T + p["b"])
        total = total + (h**2).sum()
    return total


def energy(p: Any, x: Any) -> Any:
    h = np.zeros((B, H))
    for t in tg.steps(len(x)):
        h = np.tanh(x[t] @ p["U"].T + h @ p["W"].T + p["b"])
    return np.sum(h**2)


def penalised(p: Any, x: Any) -> Any:
    value, slope = tg.value_and_grad(energy, 1)(p, x)
    return value + np.sum(slope**2)


def penalised_torch(p: Any, x: Any) -> Any:
    x = x.clone().requires_grad_()
    h = torch.zeros(B, H)
    for x_t in x:
        h = torch.tanh(x_t @ p["U"].T + h @ p["W"].T + p["b"])
    value = (h**2).sum()
    (slope,) = torch.autograd.grad(value, x, create_graph=True)
    return value + (slope**2).sum()


def truth(loss: Any, p: dict[str, np.ndarray], x: np.ndarray, *more: Any) -> tuple[float, dict[str, np.ndarray]]:
    leaves = {key: torch.tensor(value, requires_grad=True) for key, value in p.items()}
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        value = loss(leaves, torch.tensor(x), *more)
        value.backward()
    finally:
        torch.set_default_dtype(before)
    return value.item(), {key: leaf.grad.numpy() for key, leaf in leaves.items()}


def distance(found: Any, wanted: Any) -> float:
    value, grads = wanted
    gaps = [np.max(np.abs(found[1][key] - g)) / max(1.0, np.max(np.abs(g))) for key, g in grads.items()]
    return max(abs(found[0] - value) / max(1.0, abs(value)), *gaps)


PAIRS = {
    "straight through": (straight_through, straight_through_torch, "folded"),
    "own rule": (own_rule, own_rule_torch, "folded"),
    "truncated at each step": (truncated, truncated_torch, "folded"),
    "gradient penalty": (penalised, penalised_torch, "f"),
}


@pytest.mark.parametrize("name", PAIRS)
def test_gradients_are_those_of_torch(name: str) -> None:
    ours, theirs, form = PAIRS[name]
    fast = compile(tg.value_and_grad(ours))
    for n in (T, 3, T):
        assert distance(fast(P, X[:n]), truth(theirs, P, X[:n])) < 1e-12
    assert fast.forms[0].startswith(form)


def test_truncation_every_few_steps() -> None:
    fast = compile(tg.value_and_grad(truncated))
    assert distance(fast(P, X, 3), truth(truncated_torch, P, X, 3)) < 1e-12


def test_descending_two_losses_ends_where_torch_ends() -> None:
    losses = [(straight_through, straight_through_torch), (truncated, truncated_torch)]
    fast = [compile(tg.value_and_grad(ours)) for ours, _ in losses]
    p, q = dict(P), dict(P)
    for _ in range(5):
        ours = [each(p, X)[1] for each in fast]
        theirs = [truth(loss, q, X)[1] for _, loss in losses]
        p = {key: p[key] - 0.05 * sum(g[key] for g in ours) for key in p}
        q = {key: q[key] - 0.05 * sum(g[key] for g in theirs) for key in q}
    assert max(np.max(np.abs(p[key] - q[key])) for key in P) < 1e-12
