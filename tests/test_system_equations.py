"""Laws of writing code as equations: the same values and gradients at every length, and nothing guessed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.sweep import sample
from tinygrad_rnn import nn
from tinygrad_rnn.core.errors import DerivationError
from tinygrad_rnn.language.text.printer import text
from tinygrad_rnn.system.equations import Equations, write_equations
from tinygrad_rnn.system.recorded_functions import equations_of

from .backward_passes import single_precision_gru, vectors
from .compile_layers import ROWS

D, H, K, N = 3, 4, 5, 2


def arrays(**shapes: tuple[int, ...]) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(len(shapes))
    return {name: rng.normal(size=shape) * 0.5 for name, shape in shapes.items()}


def data(T: int, batch: bool = False, first: bool = False) -> dict[str, np.ndarray]:
    """Inputs and labels; with samples beside time, or before it."""
    rng = np.random.default_rng(T)
    lead = ((N, T) if first else (T, N)) if batch else (T,)
    return {"x": rng.normal(size=(*lead, D)), "y": rng.integers(0, K, size=lead)}


# -- passes as people write them: columns, vectors and rows, with tg.steps and without ---------------------------------
def vanilla_columns(x, y, W, U, b, V, c):
    h, losses = np.zeros((H, 1)), []
    for t in range(len(x)):
        h = np.tanh(W @ h + U @ np.reshape(x[t], (D, 1)) + b)
        losses.append(np.sum(tg.cross_entropy(V @ h + c, np.reshape(y[t], (1,)), axis=0)))
    return sum(losses)


def rows_of_samples(x, y, Wx, Wh, b, Wy, by):
    h, loss = np.zeros((x.shape[0], H)), 0.0
    for t in range(x.shape[1]):
        h = np.tanh(x[:, t] @ Wx + h @ Wh + b)
        loss = loss + np.sum(tg.cross_entropy(h @ Wy + by, y[:, t]))
    return loss / (x.shape[0] * x.shape[1])


def fused_lstm(x, y, W, b, V):
    h, c, out = np.zeros((x.shape[1], H)), np.zeros((x.shape[1], H)), []
    for t in range(len(x)):
        z = np.concatenate([x[t], h], axis=1) @ W + b
        i, f, o = (1 / (1 + np.exp(-z[:, k * H : (k + 1) * H])) for k in range(3))
        c = f * c + i * np.tanh(z[:, 3 * H :])
        h = o * np.tanh(c)
        out.append(h @ V)
    return nn.cross_entropy(np.stack(out), y)


def gru(x, y, Wz, Uz, Wr, Ur, Wn, Un, V):
    h, total = np.zeros(H), 0.0
    for t in tg.steps(len(x)):
        z = tg.name("z", tg.sigmoid(Wz @ h + Uz @ x[t]))
        r = tg.name("r", tg.sigmoid(Wr @ h + Ur @ x[t]))
        n = tg.name("n", np.tanh(Wn @ (r * h) + Un @ x[t]))
        h = tg.name("h", (1 - z) * n + z * h)
        total = total + tg.cross_entropy(V @ h, y[t])
    return total


def delay_of_two(x, y, W, R, U, V):
    before, h, total = np.zeros(H), np.zeros(H), 0.0
    for t in tg.steps(len(x)):
        before, h = h, tg.name("h", np.tanh(W @ h + R @ before + U @ x[t]))
        total = total + tg.cross_entropy(V @ h, y[t])
    return total


def output_to_hidden(x, y, W, U, V):
    o, total = np.zeros(K), 0.0
    for t in range(len(x)):
        o = V @ np.tanh(W @ o + U @ x[t])
        total = total + tg.cross_entropy(o, y[t])
    return total


def last_step(x, y, W, U, V):
    h = None
    for t in range(len(x)):
        a = x[t] @ U
        h = np.tanh(a if h is None else a + h @ W)
    return np.sum(tg.cross_entropy(h @ V, y[-1]))


def masked(x, y, m, W, U, V):
    h, total = np.zeros((x.shape[1], H)), 0.0
    for t in range(len(x)):
        h = np.tanh(x[t] @ U + h @ W)
        total = total + np.sum(tg.cross_entropy(h @ V, y[t]) * m[t])
    return total


def masked_mean(x, y, m, W, U, V):
    h, losses = np.zeros((x.shape[1], H)), []
    for t in range(len(x)):
        h = np.tanh(x[t] @ U + h @ W)
        losses.append(tg.cross_entropy(h @ V, y[t]))
    return np.sum(np.stack(losses) * m) / np.sum(m)


def penalties(x, y, W, U, V):
    h, total = np.ones(H), 0.0
    for t in range(len(x)):
        h = np.tanh(x[t] @ U + h @ W)
        total = total + tg.cross_entropy(h @ V, y[t]) - 0.3 * np.sum(np.abs(h))
    return total / len(x) + 0.01 * np.sum(W * W) + 0.1 * np.linalg.norm(U)


def one_number_out(x, y, W, U, v):
    h, total = np.zeros((x.shape[1], H)), 0.0
    for t in range(len(x)):
        h = np.tanh(x[t] @ U + h @ W)
        total = total + np.sum((h @ v - y[t][:, None]) ** 2)
    return total


PASSES: dict[str, tuple[Callable[..., Any], dict[str, np.ndarray], dict[str, bool]]] = {
    "vanilla": (vanilla_columns, arrays(W=(H, H), U=(H, D), b=(H, 1), V=(K, H), c=(K, 1)), {}),
    "rows": (rows_of_samples, arrays(Wx=(D, H), Wh=(H, H), b=(H,), Wy=(H, K), by=(K,)), {"batch": True, "first": True}),
    "lstm": (fused_lstm, arrays(W=(D + H, 4 * H), b=(4 * H,), V=(H, K)), {"batch": True}),
    "gru": (gru, arrays(**{f"W{k}": (H, H) for k in "zrn"}, **{f"U{k}": (H, D) for k in "zrn"}, V=(K, H)), {}),
    "delay": (delay_of_two, arrays(W=(H, H), R=(H, H), U=(H, D), V=(K, H)), {}),
    "output to hidden": (output_to_hidden, arrays(W=(H, K), U=(H, D), V=(K, H)), {}),
    "last step": (last_step, arrays(W=(H, H), U=(D, H), V=(H, K)), {"batch": True}),
    "masked": (masked, arrays(W=(H, H), U=(D, H), V=(H, K)), {"batch": True}),
    "masked mean": (masked_mean, arrays(W=(H, H), U=(D, H), V=(H, K)), {"batch": True}),
    "one number": (one_number_out, arrays(W=(H, H), U=(D, H), v=(H, 1)), {"batch": True}),
    "penalties": (penalties, arrays(W=(H, H), U=(D, H), V=(H, K)), {}),
}


def example(name: str, T: int) -> tuple[Callable[..., Any], dict[str, Any]]:
    function, parameters, kind = PASSES[name]
    given = data(T, **kind)
    if "masked" in name:
        given["m"] = np.random.default_rng(1).integers(0, 2, size=given["y"].shape).astype(float)
    return function, {**given, **parameters}


def same_as_the_code(found: Equations, at: Equations, loss: float, grads: dict[str, np.ndarray]) -> None:
    """The equations found at one length, run on the numbers of another, against the code itself."""
    run = found.model.unroll(at.T, batch=at.samples, values=at.values)
    assert run.loss.item() == pytest.approx(loss, rel=1e-12)
    for name, truth in grads.items():
        mine = at.turned(name, None, np.asarray(tg.gradients(run.loss, run[name])))
        np.testing.assert_allclose(mine, truth, rtol=1e-9, atol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("name", sample(list(PASSES), 6, "other lengths"))
def test_equations_of_a_function_give_its_loss_and_gradients_at_other_lengths(name):
    function, given = example(name, 5)
    found = equations_of(function, given)
    assert text(tg.load(text(found.model.document)).document) == text(found.model.document)
    for T in (8, 13):
        function, given = example(name, T)
        learned = {key: tg.tensor(value, name=key) for key, value in given.items() if key in PASSES[name][1]}
        loss = function(**{**given, **learned})
        grads = dict(zip(learned, tg.gradients(loss, list(learned.values())), strict=True))
        same_as_the_code(found, equations_of(function, given), loss.item(), grads)


LAYERS = {
    "RNN": lambda: nn.RNN(D, H),
    "LSTM": lambda: nn.LSTM(D, H, num_layers=2),
    "GRU": lambda: nn.GRU(D, H, bidirectional=True),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", LAYERS)
def test_equations_of_a_layer_are_those_of_its_cells(name):
    layer = LAYERS[name]()

    def loss(x):
        return np.mean(layer(x)[0] ** 2)

    found = equations_of(loss, {"x": data(5, batch=True)["x"]})
    x = data(11, batch=True)["x"]
    at = equations_of(loss, {"x": x})
    learned = {name: node for (name, step), node in at.nodes.items() if step is None and node.requires_grad}
    assert len(learned) == len(list(layer.parameters()))
    truth = loss(x)
    same_as_the_code(
        found, at, truth.item(), dict(zip(learned, tg.gradients(truth, list(learned.values())), strict=True))
    )


def test_terms_that_a_loop_adds_up_are_sums_over_time():
    found = equations_of(*example("penalties", 5))
    assert text(found.model.document).splitlines()[-1] == (
        "L = (sum(t, cross_entropy(h[t] @ V, y[t])) - sum(t, 0.3 * sum(abs(h[t])))) / T "
        "+ 0.01 * sum(W * W) + 0.1 * norm(U)"
    )


def test_a_cell_reads_as_its_page():
    lines = text(equations_of(nn.LSTMCell(D, H)).model.document).splitlines()
    assert "c[t] = f[t] * c[t-1] + i[t] * g[t]" in lines
    assert "f[t] = sigmoid(W_f @ h[t-1] + U_f @ x[t] + b_f)" in lines
    assert lines[-1] == "L = sum(t, sum(h[t] * v[t]))"


# -- nothing is guessed ------------------------------------------------------------------------------------------------
def mean_over_time(h0, W, T, scale):
    h, total = h0, 0.0
    for _ in tg.steps(T):
        h = tg.name("h", np.tanh(W @ h))
        total = total + np.sum(h**2)
    return total * scale


@pytest.mark.parametrize(("T", "scale"), [(4, 1 / 4), (4, 4.0), (5, 1 / 4), (6, 1 / 12), (9, 8.0)])
def test_a_number_that_may_be_the_length_keeps_a_name_where_one_recording_cannot_tell(T, scale):
    W, h = tg.tensor(np.eye(3), name="W"), tg.tensor(np.ones(3), name="h0")
    found = write_equations(mean_over_time(h, W, T, scale))
    assert text(found.model.document).splitlines()[-1] == "L = sum(t, sum(h[t]**2)) * k_1"
    assert found.values["k_1"] == scale
    assert "may have to do with the length" in found.model.document.source_note


@pytest.mark.parametrize(
    ("scale", "written"),
    [
        (lambda x: 1 / len(x), "L = sum(t, sum(h[t]**2)) * (1 / T)"),
        (lambda x: 0.25, "L = sum(t, sum(h[t]**2)) * 0.25"),
        (lambda x: len(x) ** 2, "L = sum(t, sum(h[t]**2)) * T**2"),
        (lambda x: 2 / (len(x) - 1), "L = sum(t, sum(h[t]**2)) * (2 / (T - 1))"),
        (lambda x: 0.9 ** len(x), "L = sum(t, sum(h[t]**2)) * k_1"),
    ],
)
def test_a_function_tells_the_length_from_a_number(scale, written):
    def loss(x, W):
        h, total = np.zeros(3), 0.0
        for t in tg.steps(len(x)):
            h = tg.name("h", np.tanh(W @ h + x[t]))
            total = total + np.sum(h**2)
        return total * scale(x)

    found = equations_of(loss, (np.ones((4, 3)), np.eye(3)))
    assert text(found.model.document).splitlines()[-1] == written


def states_of(x, W):
    h, states = np.zeros(3), []
    for t in tg.steps(len(x)):
        h = tg.name("h", np.tanh(W @ h + x[t]))
        states.append(np.sum(h))
    return states


@pytest.mark.parametrize(
    ("loss", "written"),
    [
        (lambda hs: tg.add_n(hs) + hs[2], "L = sum(t, sum(h[t])) + sum(h[3])"),
        (lambda hs: tg.add_n(hs) + hs[-3], "L = sum(t, sum(h[t])) + sum(h[T-2])"),
        (lambda hs: tg.add_n(hs) * tg.add_n(hs[3:]), "L = sum(t, sum(h[t])) * sum(t > 3, sum(h[t]))"),
        (lambda hs: tg.add_n(hs) * tg.add_n(hs[:-2]), "L = sum(t, sum(h[t])) * sum(t < T-1, sum(h[t]))"),
        (lambda hs: sum(hs) - hs[0] * hs[-1], "L = sum(t, sum(h[t])) - sum(h[1]) * sum(h[T])"),
    ],
)
def test_steps_are_counted_from_the_end_they_are_meant_from(loss, written):
    found = equations_of(lambda x, W: loss(states_of(x, W)), (np.ones((5, 3)), np.eye(3)))
    assert text(found.model.document).splitlines()[-1] == written


def test_a_step_in_the_middle_of_one_recording_is_refused():
    hs = states_of(tg.tensor(np.ones((7, 3)), name="x", requires_grad=False), tg.tensor(np.eye(3), name="W"))
    with pytest.raises(DerivationError, match="step 4 of 7 is read by itself: one recording cannot tell"):
        write_equations(tg.add_n(hs) * hs[3])


def test_a_number_taken_from_values_is_given_by_name():
    def loss(x, W):
        return sum(states_of(x, W)) / float(np.max(x.numpy()[0]))

    found = equations_of(loss, (np.random.default_rng(0).normal(size=(5, 3)), np.eye(3)))
    assert text(found.model.document).splitlines()[-1] == "L = sum(t, sum(h[t])) / k_1"


def test_a_number_of_each_step_becomes_an_input():
    W, h, total = tg.tensor(np.eye(3), name="W"), np.ones(3), 0.0
    for t in tg.steps(1, 8):
        h = tg.name("h", np.tanh(W @ h))
        total = total + 0.9 ** (7 - t) * np.sum(h**2)
    assert text(write_equations(total).model.document).splitlines()[-1] == "L = sum(t, k_1[t] * sum(h[t]**2))"


def test_what_one_step_or_none_has_is_read_by_all_as_it_is():
    """A recording of 8 steps holds neither 8 nor t+7: contexts, the last state and penalties of each step."""
    rng = np.random.default_rng(0)
    W, V, c, R = (
        tg.tensor(rng.normal(size=s), name=n) for n, s in {"W": (4, 4), "V": (5, 4), "c": 5, "R": (4, 3)}.items()
    )
    k, h, states, y = tg.name("k", np.tanh(R @ rng.normal(size=3))), np.zeros(4), [], rng.normal(size=(8, 5))
    for t in range(8):
        h = np.tanh(W @ h + k)
        states.append(0.5 * np.sum((V @ h + c - y[t]) ** 2))
    o = V @ h
    found = tg.derive(sum(states) + sum(np.sum((o - y[t]) ** 2) for t in range(8)) + sum(np.sum(c) for _ in range(8)))
    assert set(found.text().splitlines()) >= {
        "dv = 2 * T * v - 2 * sum(t, k_2[t])",
        "dk = sum(t, diag(1 - h[t]**2) @ dh[t])",
        "dc = T * c + T * ones_like(c) + sum(t, V @ h[t] - k_1[t])",
    }


def test_students_passes_are_written_as_they_are():
    rng = np.random.default_rng(0)
    shapes = {"U": (4, 3), "W": (4, 4), "V": (2, 4), "b": 4, "c": 2}
    given = {name: rng.normal(size=shape) for name, shape in shapes.items()}
    given |= {"xs": [rng.normal(size=3) for _ in range(5)], "ys": [rng.normal(size=2) for _ in range(5)]}
    lines = text(equations_of(vectors.forward, given).model.document).splitlines()
    assert lines[-2:] == [
        "h[t] = tanh(U @ xs[t] + W @ h[t-1] + b)",
        "L = sum(t, 0.5 * sum((V @ h[t] + c - ys[t])**2) / T)",
    ]
    parameters = single_precision_gru.init_params(3, 4)
    given = {"p": parameters, "X": rng.normal(size=(6, 2, 3)), "h0": rng.normal(size=(2, 4)), "y": np.ones((2, 4))}
    lines = text(equations_of(single_precision_gru.gru_loss, given).model.document).splitlines()
    assert "h[t] = (1 - g[t]) * n[t] + g[t] * h[t-1]" in lines


def test_a_loss_that_picks_the_probability_of_each_target_is_a_product_with_a_label():
    def loss_fun(inputs, targets, W, U, V):
        h, loss = np.zeros((4, 1)), 0.0
        for t in range(len(inputs)):
            x = np.zeros((5, 1))
            x[inputs[t]] = 1
            h = np.tanh(U @ x + W @ h)
            p = np.exp(V @ h) / np.sum(np.exp(V @ h))
            loss += -np.log(p[targets[t], 0])
        return loss

    found = equations_of(
        loss_fun, {"inputs": [0, 3, 2, 1, 4], "targets": [1, 2, 3, 4, 0]} | arrays(W=(4, 4), U=(4, 5), V=(5, 4))
    )
    assert text(found.model.document).splitlines()[1:] == [
        "labels: y_1 one-hot",
        "",
        "h[t] = tanh(U @ k_1[t] + W @ h[t-1])",
        "L = sum(t, -log(sum(exp(V @ h[t]) / sum(exp(V @ h[t])) * y_1[t])))",
    ]


def test_data_of_each_step_under_names_of_their_own_are_one_input():
    W, total = tg.tensor(np.eye(3), name="W"), 0.0
    h = tg.tensor(np.ones(3), name="h0")
    for t, x in enumerate([tg.tensor(np.ones(3) * n, name=f"x{n}") for n in range(1, 7)]):
        with tg.step(t):
            h = tg.name("h", np.tanh(W @ (h + x)) * x)
            total = total + np.sum(h)
    lines = text(write_equations(total).model.document).splitlines()
    assert {"n[t] = tanh(W @ (h[t-1] + x[t]))", "h[t] = n[t] * x[t]"} <= set(lines)


def test_layers_above_each_other_are_no_loop():
    layers = [tg.tensor(np.eye(3) * n, name=f"W{n}") for n in range(1, 5)]
    a = tg.tensor(np.ones(3), name="x", requires_grad=False)
    for W in layers:
        a = np.tanh(W @ a)
    assert text(write_equations(np.sum(a)).model.document).splitlines()[-1] == (
        "L = sum(tanh(W4 @ tanh(W3 @ tanh(W2 @ tanh(W1 @ x)))))"
    )


# -- what cannot be written --------------------------------------------------------------------------------------------
def looped(step: Callable[[tg.Tensor, Any], Any], shape: tuple[int, ...] = (H,), T: int = 6) -> tg.Tensor:
    W, h = tg.tensor(np.eye(H), name="W"), np.ones(shape)
    for _ in tg.steps(1, T + 1):
        h = tg.name("h", step(W, h))
    return np.sum(h)


@pytest.mark.parametrize(
    ("step", "shape", "says"),
    [
        (lambda W, h: np.cumsum(W @ h), (H,), r"h \(cumsum\) at t=\d: cumsum has no equation"),
        (lambda W, h: h @ W - np.mean(h @ W, axis=0), (3, H), "a sum over the samples meets what belongs to one"),
    ],
)
def test_what_has_no_equation_is_refused_with_its_place(step, shape, says):
    with pytest.raises(DerivationError, match=says):
        write_equations(looped(step, shape))


def test_loops_of_two_lengths_are_refused_with_a_way_out():
    W, h, g = tg.tensor(np.eye(H), name="W"), np.ones(H), np.ones(H)
    for _ in range(6):
        h = np.tanh(W @ h)
    for _ in range(9):
        g = np.sin(W @ g + h)
    with pytest.raises(DerivationError, match=r"two loops with 9 and 6 steps.*two indices"):
        write_equations(np.sum(g))


def test_a_function_without_examples_says_what_it_needs():
    with pytest.raises(DerivationError, match=r"gru needs examples of its arguments: missing a required argument: 'x'"):
        tg.derive(gru)


def test_a_loop_that_stops_by_a_value_is_refused():
    def loss(x, W):
        h, t = x[0], 0
        while t < 20 and np.sum(h.value if isinstance(h, tg.Tensor) else h) > 0.1:
            h, t = np.tanh(W @ h), t + 1
        return np.sum(h)

    with pytest.raises(DerivationError, match="loss cannot be written as equations"):
        equations_of(loss, (np.ones((7, 3)), 0.5 * np.eye(3)))


def test_steps_that_differ_are_refused_by_the_first_difference():
    W, h = tg.tensor(np.eye(H), name="W"), np.ones(H)
    for t in tg.steps(8):
        h = tg.name("h", np.tanh(W @ h) if t % 2 else np.sin(W @ h))
    with pytest.raises(DerivationError, match="not one step repeated: step"):
        write_equations(np.sum(h))


# -- every kind of layer -----------------------------------------------------------------------------------------------
WRITTEN = [
    "RNN layer norm", "RNN lengths", "RNN zoneout", "LSTM two layers", "LSTM peephole", "LSTM batch first", "DelayCell",
    "DeepRNN skips, batch first", "OutputFeedback taught", "GenerativeRNN", "BernoulliStop",
]  # fmt: skip
REFUSED = {
    "ClockworkCell": "not one step repeated: step 4 differs from step 3 at h_1",
    "RNN2d": "a 2-D net, indexed by",
    "RecursiveNet tree": "it has no single time",
    "AdditiveAttention": "a product of stacks of matrices",
    "cross_entropy ignored": "equals has no equation",
    "LayerNorm": "along one axis of a matrix",
}


def of_row(name: str) -> Equations:
    row, rng = ROWS[name], np.random.default_rng(0)
    module = row.make(D, H)
    given = dict(zip("pqr", row.data(rng, 7, N, D, H), strict=False))

    def loss(**given: Any) -> Any:
        return row.loss(module, *given.values())

    return equations_of(loss, given)


@pytest.mark.slow
@pytest.mark.parametrize("name", sample(list(WRITTEN), 6, "recorded"))
def test_equations_of_a_layer_give_what_was_recorded(name):
    found = of_row(name)  # which raises where values or gradients differ from the code's
    stated = {equation.target.name for equation in tg.derive(found.model).equations}  # as do gradients of these
    assert {f"d{parameter}" for parameter in found.model.parameters} <= stated


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_recurrence_of_one_time_is_refused_and_says_why(name):
    with pytest.raises(DerivationError, match=REFUSED[name]):
        of_row(name)


def test_what_a_function_does_later_than_the_first_recordings_is_no_equation_of_it():
    def loss(x, W):
        h = np.zeros(2)
        for t in range(len(x)):
            h = tg.name("h", np.tanh(W @ h + x[t]))
            h = 2 * h if t == 14 else h
        return np.sum(h**2)

    with pytest.raises(tg.DerivationError, match="cannot be written as equations"):
        equations_of(loss, (np.ones((4, 2)), np.eye(2)))
