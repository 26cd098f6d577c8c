"""Systems beside the three usual layers: time scales, feedback, depth, two dimensions; and layers without time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import nn
from tinygrad_rnn.core.loop.fold import fold
from tinygrad_rnn.verification.measure.gradcheck import directional

try:
    import torch
except ImportError:
    torch = None

T, B, D, H, OUT = 6, 3, 2, 4, 5


@pytest.fixture(autouse=True)
def seeded() -> None:
    nn.manual_seed(7)


def normal(*shape: int) -> np.ndarray:
    return np.random.default_rng(11).standard_normal(shape)


def close(a: Any, b: Any, tolerance: float = 1e-13) -> None:
    np.testing.assert_allclose(getattr(a, "value", a), getattr(b, "value", b), rtol=tolerance, atol=tolerance)


def assert_gradients_equal_the_complex_step(loss: tg.Tensor, leaves: list[tg.Tensor]) -> None:
    rng = np.random.default_rng(3)
    for leaf, gradient in zip(leaves, tg.gradients(loss, leaves), strict=True):
        v = rng.standard_normal(leaf.shape)
        expected = directional(loss, [leaf], [v])
        assert abs(np.sum(v * gradient) - expected) <= 1e-12 * (1.0 + abs(expected)), leaf.name


# -- time scales ------------------------------------------------------------------------------------------------------
def test_a_leaky_unit_that_keeps_nothing_is_the_plain_network():
    leaky, plain = nn.LeakyCell(D, H, alpha=0.0), nn.RNNCell(D, H)
    plain.load_state_dict({key: value for key, value in leaky.state_dict().items() if key != "alpha"})
    close(leaky(normal(B, D), normal(B, H)), plain(normal(B, D), normal(B, H)))


@pytest.mark.parametrize("alpha", [0.2, 0.9])
def test_without_input_a_leaky_unit_forgets_by_alpha_at_each_step(alpha):
    cell = nn.LeakyCell(D, H, alpha=alpha)
    for p in (cell.W, cell.U, cell.b):
        p.assign(0.0 * p.value)
    _, end = nn.Recurrent(lambda n: cell, D)(normal(T, B, D), np.ones((1, B, H)))
    close(end, np.full((1, B, H), alpha**T))


def test_rates_are_one_number_or_one_for_each_unit_learned_or_fixed():
    names = [name for name, _ in nn.LeakyCell(D, H, alpha=0.5, learned=False).named_parameters()]
    assert "alpha" not in names
    assert nn.LeakyCell(D, H).alpha.shape == () and nn.TauCell(D, H, tau=[1.0, 2.0, 3.0, 4.0]).tau.shape == (H,)
    layer = nn.Recurrent(lambda n: nn.TauCell(n, H, tau=[1.0, 2.0, 4.0, 8.0]), D)
    output, _ = layer(normal(T, B, D))
    assert_gradients_equal_the_complex_step(np.sum(output**2), [layer.cells[0].tau])


def test_tau_1_is_no_leak_and_alpha_is_1_minus_1_over_tau():
    tau, leaky = nn.TauCell(D, H, tau=4.0), nn.LeakyCell(D, H, alpha=0.75, nonlinearity="sigmoid")
    state = {key: value for key, value in tau.state_dict().items() if key != "tau"}
    leaky.load_state_dict(state | {"alpha": np.array(0.75)})
    close(tau(normal(B, D), normal(B, H)), leaky(normal(B, D), normal(B, H)))
    tau.tau.assign(1.0)
    v = state
    expected = 1.0 / (1.0 + np.exp(-(normal(B, H) @ v["W"].T + normal(B, D) @ v["U"].T + v["b"])))
    close(tau(normal(B, D), normal(B, H)), expected)


@pytest.mark.parametrize("inside", [False, True])
def test_the_derivative_is_the_one_on_the_page(inside):
    cell, x, s = nn.TauCell(D, H, tau=[1.0, 2.0, 4.0, 8.0], inside=inside), normal(B, D), normal(B, H)
    v = cell.state_dict()

    def sigma(z: np.ndarray) -> np.ndarray:
        return 1.0 / (1.0 + np.exp(-z))

    drive = (sigma(s) if inside else s) @ v["W"].T + x @ v["U"].T + v["b"]
    expected = (-s + (drive if inside else sigma(drive))) / v["tau"]
    close(cell.derivative(x, s), expected)
    close(cell(x, s), s + expected)


@pytest.mark.parametrize("inside", [False, True])
def test_euler_steps_approach_the_differential_equation_with_first_order(inside):
    def at_time_1(steps: int) -> np.ndarray:
        nn.manual_seed(5)
        cell = nn.TauCell(D, H, tau=[1.0, 2.0, 4.0, 8.0], dt=1.0 / steps, inside=inside)
        x = np.repeat(normal(1, B, D), steps, axis=0)
        with tg.no_grad():
            return nn.Recurrent(lambda n: cell, D)(x, np.ones((1, B, H)))[1].value

    exact = 2.0 * at_time_1(512) - at_time_1(256)  # Richardson: the error of order 1 taken out
    errors = [np.max(np.abs(at_time_1(n) - exact)) for n in (16, 32, 64)]
    assert errors[0] / errors[1] == pytest.approx(2.0, rel=0.1)
    assert errors[1] / errors[2] == pytest.approx(2.0, rel=0.1)


def test_a_delay_reads_d_steps_back_and_nothing_between():
    d = 3
    layer = nn.Recurrent(lambda n: nn.DelayCell(n, H, delay=d, short=False), D)
    _, _, trace = layer(normal(T, B, D), trace=True)
    reached = tg.gradients(np.sum(trace["h"][T - 1]), trace["h"])
    assert [bool(np.any(g)) for g in reached] == [(T - 1 - t) % d == 0 for t in range(T)]
    layer = nn.Recurrent(lambda n: nn.DelayCell(n, H, delay=d), D)
    _, _, trace = layer(normal(T, B, D), trace=True)
    assert all(np.any(g) for g in tg.gradients(np.sum(trace["h"][T - 1]), trace["h"]))


def test_a_slow_group_moves_at_its_own_steps_only_and_never_hears_the_fast_one():
    layer = nn.Recurrent(lambda n: nn.ClockworkCell(n, (H, 3, 2), periods=(1, 2, 4)), D)
    x = tg.tensor(normal(8, B, D))
    _, _, trace = layer(x, trace=True)
    for k, period in ((1, 1), (2, 2), (3, 4)):
        states = [node.value for node in trace[f"h_{k}"]]
        moved = [t + 1 for t in range(1, 8) if not np.array_equal(states[t], states[t - 1])]
        assert moved == [t for t in range(2, 9) if t % period == 0]
    assert not np.any(tg.gradients(np.sum(trace["h_2"][7]), trace["h_1"][0]))
    assert np.any(tg.gradients(np.sum(trace["h_1"][7]), trace["h_3"][3]))


# -- patterns ---------------------------------------------------------------------------------------------------------
LABELS = np.random.default_rng(2).integers(0, OUT, (T, B))


def test_teacher_forcing_cuts_the_path_through_time_and_the_state_keeps_it():
    for hidden_to_hidden in (False, True):
        net = nn.OutputFeedback(D, H, OUT, hidden_to_hidden)
        x = tg.tensor(normal(T, B, D))
        free, taught = net(x)[0], net(x, labels=LABELS)[0]
        assert np.any(tg.gradients(np.sum(free[T - 1]), x)[0])
        assert np.any(tg.gradients(np.sum(taught[T - 1]), x)[0]) == hidden_to_hidden
        assert_gradients_equal_the_complex_step(np.sum(taught**2), [x, *net.parameters()])
        assert_gradients_equal_the_complex_step(np.sum(free**2), [x, *net.parameters()])


def test_taught_outputs_are_those_of_a_network_that_reads_the_labels_as_input():
    net = nn.OutputFeedback(D, H, OUT)
    cell = net.cell
    x, before = normal(T, B, D), np.concatenate([np.zeros((1, B, OUT)), np.eye(OUT)[LABELS[:-1]]])
    h = np.tanh(before @ cell.W.value.T + x @ cell.U.value.T + cell.b.value)
    close(net(x, labels=LABELS)[0], h @ cell.V.value.T + cell.c.value)


@pytest.mark.parametrize("hidden_to_hidden", [False, True])
def test_scheduled_sampling_lies_between_its_ends(hidden_to_hidden):
    net = nn.OutputFeedback(D, H, OUT, hidden_to_hidden, feedback="softmax")
    x = normal(T, B, D)
    close(net(x, labels=LABELS, teacher=0.0)[0], net(x)[0])
    mixed = net(normal(T, 2000, D)[:, :, :], labels=np.zeros((T, 2000), int), teacher=0.3)[0]
    taught = np.concatenate([node.value[:, 0] for node in tg.Graph(mixed).select(name="y")])
    assert set(np.unique(taught)) == {0.0, 1.0}
    assert abs(np.mean(taught) - 0.3) < 4.0 * np.sqrt(0.21 / taught.size)
    own = np.concatenate([node.value[:, 0] for node in tg.Graph(mixed).select(name="own")])
    assert np.array_equal(own, 1.0 - taught)
    loss = np.sum(net(x, labels=LABELS, teacher=0.5)[0] ** 2)
    assert_gradients_equal_the_complex_step(loss, list(net.parameters()))


@pytest.mark.parametrize("feedback", ["logits", "softmax", "argmax", "sample"])
def test_what_goes_back_is_what_was_asked_for(feedback):
    net = nn.OutputFeedback(D, H, OUT, feedback=feedback)
    output, _ = net(normal(2, 4000, D) * 0.0)
    o, cell = output.value[0], net.cell
    p = np.exp(o[0]) / np.sum(np.exp(o[0]))
    (fed,) = [node for node in tg.Graph(output).nodes if node.name in ("fed", "p")] or [output[0]]
    expected = {"logits": o, "softmax": np.tile(p, (4000, 1)), "argmax": np.eye(OUT)[np.argmax(o, axis=1)]}
    if feedback in expected:
        close(fed, expected[feedback])
    else:
        assert set(np.unique(fed.value)) == {0.0, 1.0} and np.all(np.sum(fed.value, axis=1) == 1.0)
        assert np.all(np.abs(np.mean(fed.value, axis=0) - p) < 4.0 * np.sqrt(p * (1.0 - p) / 4000))
    close(output[1], np.tanh(fed.value @ cell.W.value.T + cell.b.value) @ cell.V.value.T + cell.c.value)


def test_a_single_output_answers_at_the_end_of_each_sequence():
    net = nn.SingleOutput(nn.LSTM(D, H), nn.Linear(H, OUT))
    x, lengths = normal(T, B, D), [2, 6, 4]
    output, _ = net(x, lengths=lengths)
    for b, length in enumerate(lengths):
        close(output.value[b], net.readout(net.layer(x[:length, b])[0][length - 1]))
    both = nn.SingleOutput(nn.GRU(D, H, num_layers=2, bidirectional=True), nn.Linear(2 * H, OUT))
    sequence, _ = both.layer(x)
    close(both(x)[0], both.readout(np.concatenate([sequence[T - 1, :, :H], sequence[0, :, H:]], axis=1)))


# -- depth ------------------------------------------------------------------------------------------------------------
def test_a_stack_of_equal_layers_is_a_layer_of_several():
    layer, stack = nn.LSTM(D, H, num_layers=3), nn.Stack(nn.LSTM(D, H), nn.LSTM(H, H), nn.LSTM(H, H))
    for single, cell in zip(stack.layers, layer.cells, strict=True):
        single.cells[0].load_state_dict(cell.state_dict())
    x, lengths = normal(T, B, D), [3, 6, 1]
    output, states = stack(x, lengths=lengths)
    expected, (h, c) = layer(x, lengths=lengths)
    close(output, expected)
    close(np.concatenate([state[0].value for state in states]), h)
    close(np.concatenate([state[1].value for state in states]), c)
    again, _ = stack(x, states)
    close(again, layer(x, (h, c))[0])


def test_traces_of_stacks_and_of_feedback_name_what_was_computed():
    _, _, trace = nn.Stack(nn.RNN(D, H), nn.LSTM(H, 3))(normal(T, B, D), trace=True)
    assert {"l0.h", "l1.h", "l1.f", "l1.c"} <= set(trace) and len(trace["l1.f"]) == T
    output, _, trace = nn.OutputFeedback(D, H, OUT, hidden_to_hidden=True)(normal(T, B, D), trace=True)
    assert {"a", "h", "o"} <= set(trace)
    close(np.stack([node.value for node in trace["o"]]), output)


def test_with_skips_every_layer_sees_the_input_itself():
    stack = nn.Stack(nn.RNN(D, H), nn.GRU(H + D, 3), nn.RNN(3 + D, 2), skips=True)
    x = tg.tensor(normal(T, B, D))
    output, _ = stack(x)
    for p in stack.layers[1].parameters():
        p.assign(0.0 * p.value)  # nothing of the first layer gets through
    output, _ = stack(x)
    assert np.any(tg.gradients(np.sum(output), x)) and not np.any(
        tg.gradients(np.sum(output), list(stack.layers[0].parameters()))[0]
    )
    assert_gradients_equal_the_complex_step(np.sum(output**2), [x])
    assert fold(tg.name("L", np.sum(stack(x.value)[0] ** 2))).T == T


@pytest.mark.parametrize("sizes", [(), (7,), (7, 6, 3)])
@pytest.mark.parametrize("skips", [False, True])
def test_depth_in_the_transitions_is_what_the_formula_says(sizes, skips):
    net = nn.DeepRNN(D, H, OUT, sizes, sizes, sizes, skips)
    output, end = net(normal(T, B, D))
    v = {p.name: p.value for p in net.parameters()}

    def perceptron(x: np.ndarray, weight: str, bias: str) -> np.ndarray:
        for k in range(1, len(sizes) + 1):
            x = np.tanh(x @ v[f"{weight}_{k}"].T + v[f"{bias}_{k}"])
        return x

    h = np.zeros((B, H))
    for t, x in enumerate(normal(T, B, D)):
        around = h @ v["W_s"].T + x @ v["U_s"].T if skips else 0.0
        h = np.tanh(v["b"] + perceptron(h, "W", "b_m") @ v["W"].T + perceptron(x, "U", "b_u") @ v["U"].T + around)
        o = v["c"] + perceptron(h, "V", "b_q") @ v["V"].T + (h @ v["V_s"].T if skips else 0.0)
        close(output.value[t], o)
    close(end.value[0], h)


# -- two dimensions ---------------------------------------------------------------------------------------------------
def test_each_direction_knows_its_quadrant_and_all_four_the_whole_grid():
    net = nn.RNN2d(D, H)
    x = tg.tensor(normal(3, 4, D))
    output, corners = net(x)
    for i, j in ((0, 0), (1, 2), (2, 3), (2, 0)):
        for k in range(4):
            seen = np.any(tg.gradients(np.sum(output[i, j, k * H : (k + 1) * H]), x), axis=-1)
            rows = np.arange(3) <= i if k < 2 else np.arange(3) >= i
            columns = np.arange(4) <= j if k % 2 == 0 else np.arange(4) >= j
            assert np.array_equal(seen, np.outer(rows, columns))
        assert np.all(np.any(tg.gradients(np.sum(output[i, j]), x), axis=-1))
    close(
        corners,
        np.stack([output.value[at][k * H : (k + 1) * H] for k, at in enumerate([(2, 3), (2, 0), (0, 3), (0, 0)])]),
    )


def test_a_grid_of_one_row_is_a_network_in_both_directions():
    net = nn.RNN2d(D, H)
    x = normal(1, T, B, D)
    output, _ = net(x)
    for k, cell in enumerate(net.cells):
        plain = nn.RNN(D, H)
        plain.cells[0].load_state_dict({"W": cell.W_j.value, "U": cell.U.value, "b": cell.b.value})
        order = slice(None, None, 1 if k % 2 == 0 else -1)
        close(output.value[0, :, :, k * H : (k + 1) * H][order], plain(x[0][order])[0])


def test_what_stands_beyond_the_border_belongs_to_its_direction():
    net, x, border = nn.RNN2d(D, H), normal(1, 1, B, D), normal(4, B, H)
    _, corners = net(x, border)
    for k, cell in enumerate(net.cells):
        v = cell.state_dict()
        close(corners[k], np.tanh(border[k] @ (v["W_i"] + v["W_j"]).T + x[0, 0] @ v["U"].T + v["b"]))


def test_gradients_of_a_grid_equal_the_complex_step():
    net = nn.RNN2d(D, H)
    x, border = tg.tensor(normal(2, 3, B, D)), tg.tensor(normal(4, B, H))
    output, corners = net(x, border)
    assert_gradients_equal_the_complex_step(np.sum(output**2) + np.sum(corners), [x, border, *net.parameters()])


# -- layers without time ----------------------------------------------------------------------------------------------
def test_an_affine_map_starts_as_torchs_does():
    for p in nn.Linear(16, 200).parameters():
        assert np.all(np.abs(p.value) <= 0.25) and np.std(p.value) == pytest.approx(0.25 / np.sqrt(3.0), rel=0.2)


def test_an_embedding_is_a_product_with_one_hot_rows():
    layer = nn.Embedding(7, D)
    symbols = np.array([[1, 6, 1], [0, 2, 1]])
    close(layer(symbols), np.eye(7)[symbols] @ layer.weight.value)
    assert_gradients_equal_the_complex_step(np.sum(layer(symbols) ** 2), [layer.weight])


def test_a_perceptron_is_a_chain_of_affine_maps():
    mlp = nn.MLP([D, 8, 6, OUT], "relu")
    chain = nn.Sequential(mlp.layers[0], tg.relu, mlp.layers[1], tg.relu, mlp.layers[2])
    close(mlp(normal(T, B, D)), chain(normal(T, B, D)))
    assert {name for name, _ in chain.named_parameters()} == {
        f"layers.{k}.{w}" for k in (0, 2, 4) for w in ("weight", "bias")
    }
    assert np.all(nn.MLP([D, OUT], "relu", final=True)(normal(T, B, D)).value >= 0.0)


@pytest.mark.torch
@pytest.mark.skipif(torch is None, reason="torch is not installed")
def test_affine_maps_embeddings_and_layer_norm_equal_torch():
    for ours, theirs, x in (
        (nn.Linear(D, OUT), lambda: torch.nn.Linear(D, OUT), normal(T, B, D)),
        (nn.Linear(D, OUT, bias=False), lambda: torch.nn.Linear(D, OUT, bias=False), normal(D)),
        (nn.Embedding(7, D), lambda: torch.nn.Embedding(7, D), np.array([[1, 6], [0, 1]])),
        (nn.LayerNorm(D), lambda: torch.nn.LayerNorm(D), normal(T, B, D)),
    ):
        module = theirs().double()
        module.load_state_dict({key: torch.tensor(value) for key, value in ours.state_dict().items()})
        y, expected = ours(x), module(torch.tensor(x))
        close(y, expected.detach().numpy(), 1e-12)
        weights = normal(*y.shape)
        (expected * torch.tensor(weights)).sum().backward()
        gradients = tg.gradients(np.sum(weights * y), dict(ours.named_parameters()))
        for name, p in module.named_parameters():
            close(gradients[name], p.grad.numpy(), 1e-12)


# -- errors -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("call", "kind", "message"), [
    (lambda: nn.DelayCell(D, H, delay=1), tg.GraphError, "delay is 1"),
    (lambda: nn.LeakyCell(D, H, alpha=1.5), tg.GraphError, "alpha is 1.5, but has to be from 0 to 1"),
    (lambda: nn.LeakyCell(D, H, alpha=[0.5, 0.5]), tg.ShapeError, r"alpha has shape \(2,\)"),
    (lambda: nn.LeakyCell(D, H, nonlinearity="gelu"), tg.GraphError, "'gelu' is no activation"),
    (lambda: nn.TauCell(D, H, tau=0.5), tg.GraphError, "tau is 0.5, but has to be from 1 to inf"),
    (lambda: nn.TauCell(D, H, dt=0.0), tg.GraphError, "dt is 0.0"),
    (lambda: nn.ClockworkCell(D, (4, 2), (2, 1)), tg.GraphError, "have to grow"),
    (lambda: nn.ClockworkCell(D, (4, 2), (1,)), tg.ShapeError, r"\(4, 2\) units for the periods \(1,\)"),
    (lambda: nn.ClockworkCell(D, (4, 2), (1, 2))(normal(B, D)), tg.GraphError, "tg.steps"),
    (lambda: nn.OutputFeedback(D, H, OUT, feedback="best"), tg.GraphError, "logits, softmax, argmax, sample"),
    (lambda: nn.OutputFeedback(D, H, OUT)(normal(T, B, 3)), tg.ShapeError, r"has to be \(T, B, 2\)"),
    (lambda: nn.OutputFeedback(D, H, OUT)(normal(T, B, D), labels=LABELS[1:]), tg.ShapeError, "one for each output"),
    (lambda: nn.OutputFeedback(D, H, OUT)(normal(T, B, D), labels=LABELS + 1), tg.GraphError, "from 1 to 5"),
    (lambda: nn.OutputFeedback(D, H, OUT)(normal(T, B, D), labels=LABELS * 1.0), tg.DtypeError, "whole numbers"),
    (lambda: nn.OutputFeedback(D, H, OUT)(normal(T, B, D), labels=LABELS, teacher=2), tg.GraphError, "teacher is 2"),
    (lambda: nn.OutputFeedback(D, H, OUT)(normal(T, B, D), normal(B, H)), tg.ShapeError,
     r"the state o in hx has shape \(3, 4\)"),
    (lambda: nn.Stack(), tg.GraphError, "at least one"),
    (lambda: nn.Stack(nn.RNN(D, H), nn.RNN(3, H)), tg.ShapeError, "inputs of size 3, but is given 4"),
    (lambda: nn.Stack(nn.RNN(D, H))(normal(T, B, D), []), tg.ShapeError, "0 parts"),
    (lambda: nn.RNN2d(D, H)(normal(T, B, 3)), tg.ShapeError, r"\(I, J, B, 2\)"),
    (lambda: nn.RNN2d(D, H)(normal(T, T, B, D), normal(4, B, 3)), tg.ShapeError, r"has to be \(4, 3, 4\)"),
    (lambda: nn.Linear(D, H)(normal(B, 3)), tg.ShapeError, "in_features = 2"),
    (lambda: nn.Embedding(3, D)([0.5]), tg.DtypeError, "integers"),
    (lambda: nn.Embedding(3, D)([3]), tg.ShapeError, "symbols run from 0 to 2, not 3 to 3"),
    (lambda: nn.MLP([]), tg.ShapeError, "sizes are"),
])  # fmt: skip
def test_errors_say_what_was_found_and_what_is_expected(call, kind, message):
    with pytest.raises(kind, match=message):
        call()
