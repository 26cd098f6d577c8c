"""Echo state networks: the formulas of the page, the best readout there is, and a free run that goes on alone."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import nn
from tinygrad_rnn.nn.init import spectral_radius
from tinygrad_rnn.nn.reservoir import ridge_regression

D, N, O, T = 2, 6, 3, 5  # noqa: E741
RNG = np.random.default_rng(9)
shapes = pytest.mark.parametrize("rows", [(), (2,)], ids=["single", "batch"])


def network(**options):
    nn.manual_seed(1)
    settings = {"spectral_radius": 0.8, "alpha": 0.4, "feedback_scale": 0.7, "bias_scale": 0.3} | options
    return nn.EchoState(D, N, O, **settings)


def by_hand(net, x, y):
    """o and h, step by step, one sequence."""
    V, c, h, fed, found = net.V.value, net.c.value, np.zeros(N), np.zeros(O), []
    for t in range(len(x)):
        h = (1 - 0.4) * h + 0.4 * np.tanh(net.b + net.W @ h + net.U @ x[t] + net.F @ fed)
        found.append((h, c + V @ h))
        fed = found[-1][1] if y is None else y[t]
    return np.array([o for _, o in found]), np.array([h for h, _ in found])


@shapes
@pytest.mark.parametrize("forced", [True, False], ids=["teacher-forced", "free"])
def test_graph_and_arrays_equal_the_page(rows, forced):
    net, x = network(), RNG.normal(size=(T, *rows, D))
    y = RNG.normal(size=(T, *rows, O)) if forced else None
    o, (h, _) = net(x, y)
    if forced:
        fast, (last, _) = net.states(x, y)
        np.testing.assert_allclose(last, h.numpy(), atol=1e-14)
    else:
        fast, _ = net.generate(T, (np.zeros((*rows, N)), np.zeros((*rows, O))), x)
    for b in np.ndindex(rows):
        at = (slice(None), *b)
        outputs, states = by_hand(net, x[at], None if y is None else y[at])
        np.testing.assert_allclose(o.numpy()[at], outputs, atol=1e-14)
        np.testing.assert_allclose(fast[at], states if forced else outputs, atol=1e-14)


def test_what_is_drawn_is_as_asked():
    net = nn.EchoState(D, 80, O, spectral_radius=1.3, input_scale=0.2, density=0.1)
    assert spectral_radius(net.W) == pytest.approx(1.3)
    assert 0.05 < np.mean(net.W != 0) < 0.15 and np.max(np.abs(net.U)) <= 0.2
    assert not np.any(net.F) and not net.feedback


def test_only_the_readout_is_trained_and_all_is_saved():
    net = network()
    assert [name for name, _ in net.named_parameters()] == ["V", "c"]
    state, other = net.state_dict(), nn.EchoState(D, N, O)
    other.load_state_dict(state)
    x = RNG.normal(size=(T, D))
    assert set(state) == {"V", "c", "W", "U", "F", "b", "alpha"}
    other.feedback = True
    np.testing.assert_array_equal(other(x)[0].numpy(), net(x)[0].numpy())


@pytest.mark.parametrize("forced", [True, False], ids=["teacher-forced", "free"])
def test_gradients_go_through_the_reservoir(forced):
    net, x = network(), RNG.normal(size=(T, D))
    y = RNG.normal(size=(T, O)) if forced else None
    assert tg.check_grads(lambda x: net(x, y)[0], x, order=2)

    def of_readout(V):
        before, net.V = net.V, V
        o, _ = net(x, y)
        net.V = before
        return o

    assert tg.check_grads(of_readout, net.V.value, order=2)


@pytest.mark.parametrize("ridge", [0.0, 1e-3, 10.0])
def test_the_readout_is_where_the_gradient_vanishes(ridge):
    H, Y = RNG.normal(size=(30, 4)), RNG.normal(size=(30, 2))
    solution = ridge_regression(H, Y, ridge)
    V, c = tg.tensor(solution[:-1].T), tg.tensor(solution[-1])
    loss = np.sum(np.square(tg.linear(H, V) + c - Y)) + ridge * np.sum(np.square(V))
    for g in tg.gradients(loss, [V, c]):
        np.testing.assert_allclose(g, 0.0, atol=1e-11)


def test_two_states_become_one_when_the_radius_is_small():
    """The echo state property: what was before is forgotten."""
    net, x = network(spectral_radius=0.5, feedback_scale=0.0), RNG.normal(size=(200, D))
    ends = [net.states(x, state=(h, np.zeros(O)))[1][0] for h in (np.ones(N), -np.ones(N))]
    np.testing.assert_allclose(*ends, atol=1e-9)


def test_a_free_run_goes_on_with_the_figure_eight():
    """Two outputs fed back reproduce a figure that crosses itself, which no function of the last point could."""
    nn.manual_seed(3)
    net = nn.EchoState(0, 100, 2, spectral_radius=0.9, feedback_scale=0.8, bias_scale=0.2, alpha=0.6)
    angle = np.arange(900) / 15.0
    y = 0.5 * np.column_stack([np.sin(angle), np.sin(2 * angle)])
    state = net.fit(y=y[:600], washout=100, noise=1e-6)
    o, _ = net.generate(300, state)
    assert np.max(np.abs(o - y[600:])) < 0.02


XS = [np.random.default_rng(0).normal(size=(n, D)) for n in (40, 25)]
YS = [np.random.default_rng(1).normal(size=(n, O)) for n in (40, 25)]
AT7 = np.arange(40)[:, None] == 7


@pytest.mark.parametrize("ridge", [0.0, 0.1])
def test_several_series_are_fitted_at_once(ridge):
    """The normal equations of all rows together, written out; each series forgets its own beginning."""
    net = network()
    ends = net.fit(XS, YS, washout=5, ridge=ridge)
    states = [net.states(x, y)[0][5:] for x, y in zip(XS, YS, strict=True)]
    H = np.column_stack([np.concatenate(states), np.ones(55)])
    Y = np.concatenate([y[5:] for y in YS])
    V = np.linalg.solve(H.T @ H + ridge * np.diag([1.0] * N + [0.0]), H.T @ Y).T
    np.testing.assert_allclose(np.column_stack([net.V.value, net.c.value]), V, rtol=1e-6, atol=1e-9)
    for end, x, y in zip(ends, XS, YS, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(end, net.states(x, y)[1], strict=True))
    one = network()
    one.load_state_dict(net.state_dict())
    one.fit(XS[:1], YS[:1], 5, ridge)
    other = one.state_dict()
    one.fit(XS[0], YS[0], 5, ridge)
    assert all(np.array_equal(value, other[key]) for key, value in one.state_dict().items())


@pytest.mark.parametrize(
    "call, told",
    [
        (lambda: network(alpha=0.0), r"alpha and density lie in \(0, 1\]"),
        (lambda: network()(np.ones((T, 3))), r"x has shape \(5, 3\), but has to be \(T, 2\)"),
        (lambda: network()(y=np.ones((T, O))), "x is missing; it has 2 entries"),
        (lambda: network()(np.ones((T, D)), np.ones((T - 1, O))), "x has .5,. steps and rows, y has .4,."),
        (lambda: network().fit(np.ones((T, D)), np.ones((T, O)), washout=5), "y has 5 steps, and 5 of them are washed"),
        (lambda: nn.EchoState(0, N, O)(), "say how many steps"),
        (lambda: network().generate(4, (np.zeros(N), np.zeros(O)), np.ones((3, D))), "x has 3 steps, but 4"),
        (lambda: network().generate(4, (np.zeros(N), np.zeros(O)), np.ones((4, 3))), r"x has shape \(4, 3\)"),
        (lambda: network().generate(4, (np.zeros(N), np.zeros(O))), "x is missing"),
        (lambda: network().generate(0, (np.zeros(N), np.zeros(O)), np.ones((4, D))), "T is 0"),
        (lambda: network().generate(4, (np.zeros(3), np.zeros(O)), np.ones((4, D))), "the state h in hx has shape"),
        (lambda: network().fit(XS[0], YS[0], washout=-1), "washout is -1, but has to be at least 0"),
        (lambda: network().fit(XS[0], YS[0], washout=2.5), "washout is 2.5, but has to be a whole number"),
        (lambda: network().fit(XS[0], YS[0], washout=3, ridge=-1e-3), "ridge is -0.001, but has to be a number from 0"),
        (lambda: network().fit(XS[0], YS[0], washout=3, ridge=np.nan), "ridge is nan"),
        (lambda: network().fit(XS[0], YS[0], washout=3, noise=-1.0), "noise is -1.0"),
        (lambda: network().fit(XS[0], np.where(AT7, np.nan, YS[0]), 3), "y holds nan or inf, first at step 8: .* two"),
        (lambda: network().fit(np.where(AT7, np.inf, XS[0]), YS[0], 3), "x holds nan or inf, first at step 8"),
        (lambda: network().fit(XS, YS[:1], 3), "y is a list of 1 series, so x has to be one as well, not a list of 2"),
        (lambda: network().fit(XS[0], YS[:1], 3), "so x has to be one as well, not ndarray"),
        (lambda: network(spectral_radius=-0.9), "spectral_radius is -0.9"),
    ],
)
def test_what_does_not_fit_is_told(call, told):
    with pytest.raises((tg.ShapeError, tg.GraphError, tg.NonFiniteError), match=told):
        call()
