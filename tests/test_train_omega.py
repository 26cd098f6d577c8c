"""Omega of Pascanu et al.: its value, its exact gradient by second derivatives, and the published approximation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn.core.autodiff import pullback
from tinygrad_rnn.models import resolve
from tinygrad_rnn.nn.regularize import omega

T, B, H, D = 4, 3, 4, 2
Values = dict[str, np.ndarray]


@pytest.fixture
def values() -> Values:
    rng = np.random.default_rng(3)
    shapes = {"W": (H, H), "U": (H, D), "b": (H,), "V": (D, H), "h0": (B, H)}
    return {name: rng.normal(0.0, 0.7, shape) for name, shape in shapes.items()}


X = np.random.default_rng(4).normal(size=(T, B, D))
Y = np.random.default_rng(5).normal(size=(T, B, D))


def recorded(values: Values) -> tuple[Any, dict[str, Any]]:
    """The loss of a tanh network, rows of samples, and its leaves."""
    leaves = {name: tg.tensor(value, name=name) for name, value in values.items() if name != "h0"}
    with tg.step(0):
        h = leaves["h0"] = tg.tensor(values["h0"], name="h")
    losses = []
    for t in tg.steps(1, T + 1):
        h = tg.name("h", np.tanh(tg.linear(h, leaves["W"]) + tg.linear(X[t - 1], leaves["U"]) + leaves["b"]))
        losses.append(np.sum((tg.linear(h, leaves["V"]) - Y[t - 1]) ** 2))
    return sum(losses), leaves


def by_hand(values: Values) -> tuple[Any, Values]:
    """Omega and Pascanu's immediate partial with respect to W, in numpy, from the document's formulas; also complex."""
    W, U, b, V, h0 = (values[name] for name in ("W", "U", "b", "V", "h0"))
    h = [h0]
    for x in X:
        h.append(np.tanh(h[-1] @ W.T + x @ U.T + b))
    dh = [np.zeros_like(h0)] * (T + 2)
    total, immediate = 0.0, np.zeros_like(W)
    for t in range(T, 0, -1):
        dh[t] = 2 * (h[t] @ V.T - Y[t - 1]) @ V
        if t < T:
            dh[t] = dh[t] + (dh[t + 1] * (1 - h[t + 1] ** 2)) @ W
        scaled = dh[t] * (1 - h[t] ** 2)  # diag(1 - h[t]^2) dL/dh[t]
        back = scaled @ W
        length, found = (np.sqrt(np.sum(v * v, axis=1)) for v in (dh[t], back))
        total = total + np.mean((found / length - 1) ** 2)
        factor = 2 * (found / length - 1) / (length * found) / B
        immediate = immediate + (scaled * factor[:, None]).T @ back
    return total, {"W": immediate}


def complex_step(f: Any, values: Values, name: str) -> np.ndarray:
    """The gradient of a real function of arrays, exact to rounding."""
    gradient = np.zeros(values[name].shape)
    for at in np.ndindex(gradient.shape):
        moved = values[name].astype(complex)
        moved[at] += 1e-30j
        gradient[at] = f({**values, name: moved}).imag / 1e-30
    return gradient


def test_value_is_the_formula_of_the_document(values: Values) -> None:
    loss, _ = recorded(values)
    assert omega(loss).item() == pytest.approx(by_hand(values)[0], rel=1e-12)
    assert omega(loss, exact=False).item() == pytest.approx(by_hand(values)[0], rel=1e-12)


@pytest.mark.parametrize("name", ["W", "U", "b", "V", "h0"])
def test_exact_gradient_equals_complex_step(values: Values, name: str) -> None:
    loss, leaves = recorded(values)
    exact = tg.gradients(omega(loss), leaves[name])
    truth = complex_step(lambda v: by_hand(v)[0], values, name)
    np.testing.assert_allclose(exact, truth, rtol=1e-8, atol=1e-8 * np.abs(truth).max())
    np.testing.assert_allclose(exact, truth, rtol=1e-11, atol=1e-11 * np.abs(truth).max())


def test_a_loss_with_omega_is_differentiated_as_a_whole(values: Values) -> None:
    loss, leaves = recorded(values)
    both = tg.gradients(loss + 0.5 * omega(loss), leaves["W"])
    parts = tg.gradients(loss, leaves["W"]) + 0.5 * tg.gradients(omega(loss), leaves["W"])
    np.testing.assert_allclose(both, parts, rtol=1e-12)


def test_approximation_is_the_immediate_partial_of_the_paper(values: Values) -> None:
    loss, leaves = recorded(values)
    term = omega(loss, exact=False)
    np.testing.assert_allclose(tg.gradients(term, leaves["W"]), by_hand(values)[1]["W"], rtol=1e-12)
    for name in ("U", "b", "V", "h0"):
        assert not np.any(tg.gradients(term, leaves[name])), f"{name} does not stand in dh[t]/dh[t-1]"


def test_approximation_of_an_lstm_takes_gates_and_cells_as_constants() -> None:
    rng = np.random.default_rng(6)
    W = {gate: rng.normal(0, 0.8, (H, H)) for gate in "ifgo"}
    leaves = {gate: tg.tensor(value, name=f"W_{gate}") for gate, value in W.items()}
    given = [tg.tensor(rng.normal(size=(B, H)), name=name) for name in ("h", "c")]
    h, c = given
    kept = []
    for t in tg.steps(1, T + 1):
        a = {gate: tg.linear(h, leaves[gate]) + float(t) / 3 for gate in "ifgo"}
        i, f, o, g = tg.sigmoid(a["i"]), tg.sigmoid(a["f"]), tg.sigmoid(a["o"]), np.tanh(a["g"])
        before, c = c, f * c + i * g
        h = tg.name("h", o * np.tanh(c))
        kept.append((h, [v.numpy() for v in (i, f, g, o, before, c)]))
    loss = np.sum(h**2) + np.sum(kept[1][0])
    states = [given[0], *(h for h, _ in kept)]
    dL = tg.gradients(loss, states)

    def by_hand(W: Values) -> Any:
        total = 0.0
        for (_, (i, f, g, o, before, c)), dh in zip(kept, dL[1:], strict=True):
            dc = dh * o * (1 - np.tanh(c) ** 2)
            parts = {
                "i": dc * g * i * (1 - i),
                "f": dc * before * f * (1 - f),
                "g": dc * i * (1 - g**2),
                "o": dh * np.tanh(c) * o * (1 - o),
            }
            back = sum(part @ W[gate] for gate, part in parts.items())
            ratio = np.sqrt(np.sum(back * back, axis=1)) / np.linalg.norm(dh, axis=1)
            total = total + np.mean((ratio - 1) ** 2)
        return total

    term = omega(loss, states, exact=False)
    assert term.item() == pytest.approx(by_hand(W), rel=1e-12)
    for gate, leaf in leaves.items():
        np.testing.assert_allclose(tg.gradients(term, leaf), complex_step(by_hand, W, gate), rtol=1e-9, atol=1e-14)
    exact = omega(loss, states)
    gradient = tg.gradients(exact, leaves["f"])
    graph = tg.Graph(exact)
    moved = W["f"].astype(complex)
    moved[1, 2] += 1e-30j
    assert graph.replay({leaves["f"]: moved})[0].imag / 1e-30 == pytest.approx(gradient[1, 2], rel=1e-10)


def test_columns_of_an_equation_file_are_measured_along_the_first_axis() -> None:
    run = tg.load(resolve("vanilla")).unroll(T=3, batch=2)
    assert omega(run.graph.outputs[0], axis=0).item() > 0


def test_a_network_that_keeps_lengths_has_omega_zero_and_no_gradient() -> None:
    W = tg.tensor(tg.nn.init.orthogonal((H, H)), name="W")
    with tg.step(0):
        h = tg.tensor(np.ones((B, H)), name="h")
    for _ in tg.steps(1, 6):
        h = tg.name("h", tg.linear(h, W))
    term = omega(np.sum(h[:, 0] ** 2))
    assert term.item() < 1e-28 and np.abs(tg.gradients(term, W)).max() < 1e-12


def test_states_that_no_gradient_reaches_count_nothing() -> None:
    w = tg.tensor(0.5, name="w")
    h, states = tg.tensor(1.0), []
    for _ in tg.steps(1, 5):
        h = tg.name("h", w * h)
        states.append(h)
    term = omega(states[2], states)
    assert term.item() == pytest.approx(0.5) and tg.gradients(term, w) == pytest.approx(-2.0)


def test_the_graph_of_omega_grows_by_the_same_with_each_step() -> None:
    def nodes(length: int) -> int:
        w, h = tg.tensor([[0.5]], name="w"), tg.tensor([[1.0]], name="h")
        for _ in tg.steps(1, length + 1):
            h = tg.name("h", np.tanh(w @ h))
        return len(tg.Graph(omega(np.sum(h))))

    assert nodes(40) - nodes(30) == nodes(30) - nodes(20)


def test_what_omega_cannot_use_is_said() -> None:
    w, h = tg.tensor(0.5, name="w"), tg.tensor(1.0, requires_grad=False)
    with pytest.raises(tg.GraphError, match="at least two states"):
        omega(w * 1.0, "h")
    states = []
    for _ in tg.steps(2):
        for layer in ("below", "above"):
            with tg.scope(layer):
                h = tg.name("h", w * h)
                states.append(h)
    with pytest.raises(tg.GraphError, match="several nodes are called 'h' at t=0"):
        omega(h)
    with pytest.raises(tg.GraphError, match="ask for a gradient"):
        omega(h, [tg.tensor(1.0, requires_grad=False), tg.tensor(1.0, requires_grad=False)])


# -- what it rests on -----------------------------------------------------------------------------------------------
def test_pullback_takes_inputs_as_coordinates_of_their_own() -> None:
    rng = np.random.default_rng(0)
    c = tg.name("c", np.tanh(tg.tensor(rng.normal(size=3))))
    h = tg.name("h", np.sin(c))
    y = np.exp(h * c)
    g = rng.normal(size=3)
    dh, dc = pullback([y], [g], [h, c])
    np.testing.assert_allclose(dh, g * y.value * c.value, rtol=1e-14)
    np.testing.assert_allclose(dc, g * y.value * h.value, rtol=1e-14)
    both = pullback([h, y], [np.ones(3), g], [c])
    np.testing.assert_allclose(both[0], tg.gradients(y, c, seed=g) + tg.gradients(h, c, seed=np.ones(3)), rtol=1e-14)


def test_pullback_of_what_does_not_depend_is_zero() -> None:
    a, b = tg.tensor(1.0), tg.tensor(2.0)
    assert pullback([a * 2.0], [1.0], [b, a]) == [0.0, 2.0]
