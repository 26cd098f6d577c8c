"""Recurrent layers: what holds for every cell and every option, beside being the same as torch's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import nn
from tinygrad_rnn.compiler import compile as compiled
from tinygrad_rnn.core.loop.fold import fold
from tinygrad_rnn.core.loop.unfold import unfold
from tinygrad_rnn.verification.measure.gradcheck import directional

T, B, D, H = 5, 3, 2, 4

#: every cell that runs over a sequence
CELLS: dict[str, Callable[[int], nn.Cell]] = {
    "rnn": lambda n: nn.RNNCell(n, H),
    "rnn relu": lambda n: nn.RNNCell(n, H, nonlinearity="relu"),
    "rnn layer_norm": lambda n: nn.LayerNormRNNCell(n, H),
    "lstm": lambda n: nn.LSTMCell(n, H),
    "lstm without bias": lambda n: nn.LSTMCell(n, H, bias=False),
    "lstm peephole": lambda n: nn.PeepholeLSTMCell(n, H),
    "lstm peephole old": lambda n: nn.PeepholeLSTMCell(n, H, o_sees_new=False),
    "lstm full peephole": lambda n: nn.FullPeepholeLSTMCell(n, H),
    "lstm coupled": lambda n: nn.CoupledLSTMCell(n, H),
    "lstm coupled peephole": lambda n: nn.CoupledPeepholeLSTMCell(n, H),
    "lstm 1997": lambda n: nn.NoForgetLSTMCell(n, H),
    "lstm concatenated": lambda n: nn.ConcatenatedLSTMCell(n, H),
    "lstm projected": lambda n: nn.ProjectedLSTMCell(n, H, proj_size=3),
    "lstm layer_norm": lambda n: nn.LayerNormLSTMCell(n, H),
    "gru": lambda n: nn.GRUCell(n, H),
    "gru before": lambda n: nn.GRUCell(n, H, reset_after=False),
    "gru z new": lambda n: nn.GRUCell(n, H, z_keeps=False),
    "gru before, z new": lambda n: nn.GRUCell(n, H, reset_after=False, z_keeps=False),
    "gru layer_norm": lambda n: nn.LayerNormGRUCell(n, H),
    "gru layer_norm before": lambda n: nn.LayerNormGRUCell(n, H, reset_after=False),
    "delay": lambda n: nn.DelayCell(n, H, delay=2),
    "deleted": lambda n: nn.DelayCell(n, H, delay=3, short=False),
    "leaky": lambda n: nn.LeakyCell(n, H, alpha=[0.0, 0.3, 0.6, 0.9]),
    "tau": lambda n: nn.TauCell(n, H, tau=[1.0, 2.0, 4.0, 8.0]),
    "tau inside": lambda n: nn.TauCell(n, H, inside=True, dt=0.5),
    "clockwork": lambda n: nn.ClockworkCell(n, (3, 2), periods=(1, 2)),
    "deep transition": lambda n: nn.DeepTransitionCell(n, H, (6,), (7, 5), skips=True),
    "output to hidden": lambda n: nn.OutputFeedbackCell(n, H, 3),
    "output and hidden to hidden": lambda n: nn.OutputFeedbackCell(n, H, 3, hidden_to_hidden=True),
}
#: what does not fold: its steps differ, on purpose
PERIODIC = {"clockwork"}

every_cell = pytest.mark.parametrize("make", CELLS.values(), ids=CELLS)


@pytest.fixture(autouse=True)
def seeded() -> None:
    nn.manual_seed(7)


def sequence(*shape: int) -> np.ndarray:
    return np.random.default_rng(11).standard_normal(shape or (T, B, D))


def scalar(parts: Any) -> tg.Tensor:
    """A weighted sum of everything a layer returned."""
    flat = [p for part in parts for p in (part if isinstance(part, tuple) else (part,))]
    weights = np.random.default_rng(13)
    return sum((np.sum(weights.standard_normal(p.shape) * p) for p in flat[1:]), np.sum(flat[0] ** 2))


def close(a: Any, b: Any, tolerance: float = 1e-13) -> None:
    np.testing.assert_allclose(getattr(a, "value", a), getattr(b, "value", b), rtol=tolerance, atol=tolerance)


# -- every cell -------------------------------------------------------------------------------------------------------
@pytest.mark.slow
@every_cell
@pytest.mark.parametrize("order", [1, 2])
def test_gradient_of_every_weight_input_and_state_equals_the_complex_step(make, order):
    layer = nn.Recurrent(make, D)
    x = tg.tensor(sequence(3, 2, D), name="x")
    start = tuple(tg.tensor(sequence(1, 2, n)) for n in layer.cells[0].sizes)
    loss = scalar(layer(x, start if len(start) > 1 else start[0]))
    leaves = [x, *start, *layer.parameters()]
    rng = np.random.default_rng(3)
    for _ in range(1, order):
        found = tg.gradients(loss, leaves, create_graph=True)
        loss = sum(np.sum(rng.standard_normal(g.shape) * g) for g in found)
    ours = tg.gradients(loss, leaves)
    for leaf, gradient in zip(leaves, ours, strict=True):
        v = rng.standard_normal(leaf.shape)
        expected = directional(loss, [leaf], [v])
        assert abs(np.sum(v * gradient) - expected) <= 1e-12 * (1.0 + abs(expected)), leaf.name


@pytest.mark.slow
@every_cell
@pytest.mark.parametrize("bidirectional", [False, True])
def test_a_padded_sequence_is_treated_as_if_it_were_alone(make, bidirectional):
    layer = nn.Recurrent(make, D, num_layers=2, bidirectional=bidirectional)
    lengths, x = [2, 5, 3], sequence()
    x[2:, 0] = np.nan  # whatever stands behind the end is not looked at
    x[3:, 2] = np.inf
    output, state = layer(x, lengths=lengths)
    states = state if isinstance(state, tuple) else (state,)
    loss = scalar((output, state))
    gradients = tg.gradients(loss, dict(layer.named_parameters()))
    for b, length in enumerate(lengths):
        alone, end = layer(x[:length, b])
        close(output.value[:length, b], alone)
        assert not np.any(output.value[length:, b])
        for padded, own in zip(states, end if isinstance(end, tuple) else (end,), strict=True):
            close(padded.value[:, b], own)
    assert all(np.all(np.isfinite(g)) for g in gradients.values())


def test_padding_renames_nothing_that_an_earlier_step_computed():
    layer = nn.Recurrent(CELLS["deleted"], D)
    output, _, trace = layer(sequence(), lengths=[5, 2, 3], trace=True)
    assert [node.name for node in trace["h"]] == ["h"] * T
    assert len(tg.Graph(output).select(name="h_new")) == T


def test_padding_and_zoneout_go_together():
    layer = nn.LSTM(D, H, bidirectional=True, zoneout=(0.3, 0.6)).eval()
    output, _ = layer(sequence(), lengths=[2, 5, 3])
    for b, length in enumerate([2, 5, 3]):
        close(output.value[:length, b], layer(sequence()[:length, b])[0])


@every_cell
def test_a_batch_is_its_samples_and_batch_first_is_the_same_transposed(make):
    layer = nn.Recurrent(make, D)
    x = sequence()
    output, _ = layer(x)
    for b in range(B):
        close(output.value[:, b], layer(x[:, b])[0])
    layer.batch_first = True
    close(layer(x.swapaxes(0, 1))[0].value.swapaxes(0, 1), output)


@every_cell
def test_a_sequence_in_two_parts_is_the_whole(make):
    layer = nn.Recurrent(make, D)
    x = sequence(6, B, D)
    whole, last = layer(x)
    first, middle = layer(x[:4])  # a multiple of the clock's periods
    second, end = layer(x[4:], middle)
    close(np.concatenate([first.value, second.value]), whole)
    for a, b in zip(*((s if isinstance(s, tuple) else (s,)) for s in (end, last)), strict=True):
        close(a, b)


@every_cell
def test_contributions_of_the_steps_add_up_to_the_gradient(make):
    layer = nn.Recurrent(make, D)
    loss = scalar(layer(sequence()))
    parameters = list(layer.parameters())
    steps = tg.gradients(loss, parameters, per_step=True)
    for part, whole in zip(steps, tg.gradients(loss, parameters), strict=True):
        assert set(part) <= set(range(1, T + 1))
        close(sum(part.values()), whole)


@pytest.mark.parametrize("name", [name for name in CELLS if name not in PERIODIC])
def test_a_layer_folds_and_unfolds_to_another_length(name):
    layer = nn.Recurrent(CELLS[name], D)
    x = sequence(9, B, D)
    recurrence = fold(tg.name("L", np.sum(layer(x[:8])[0] ** 2)))
    longer = unfold(recurrence, 9, {("x", t): x[t - 1] for t in range(1, 10)})
    close(longer.outputs[0], np.sum(layer(x)[0].value ** 2), 1e-12)


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind",
    [
        lambda: nn.RNN(D, H, bidirectional=True),
        lambda: nn.LSTM(D, H, num_layers=2),
        lambda: nn.GRU(D, H, batch_first=True),
    ],
)
def test_a_layer_compiles_and_then_runs_at_other_lengths(kind):
    layer = kind()

    def loss(layer: nn.Module, x: Any) -> Any:
        return np.sum(layer(x)[0] ** 2)

    fast = compiled(tg.value_and_grad(loss))
    for x in (sequence(), sequence(9, 2, D)):
        value, gradients = fast(layer, x)
        expected = loss(layer, x)
        close(value, expected, 1e-12)
        for name, g in tg.gradients(expected, dict(layer.named_parameters())).items():
            close(gradients[name], g, 1e-12)


@pytest.mark.parametrize("trace", [False, True])
def test_a_node_stands_in_the_scopes_of_its_layer_cell_and_step_alone(trace):
    with tg.scope("net"), tg.no_grad() if trace else tg.scope("part"):
        output = nn.LSTM(D, H, num_layers=2)(sequence(), trace=trace)[0]
    above = ["net"] if trace else ["net", "part"]
    for node in tg.Graph(output).select(name="h"):
        assert [s.label for s in node.scope.path][:-1] in ([*above, "lstm", "l0"], [*above, "lstm", "l1"])


def test_lengths_that_are_an_argument_of_a_compiled_function_are_read_in_every_call():
    layer = nn.RNN(D, H)
    fast = compiled(lambda layer, x, lengths: np.sum(layer(x, lengths=lengths)[0]))
    for lengths in ([5, 5, 5], [5, 2, 3]):
        expected = np.sum(layer(sequence(), lengths=lengths)[0]).numpy()
        np.testing.assert_allclose(fast(layer, sequence(), np.array(lengths)), expected, rtol=1e-13)
    with pytest.raises(tg.GraphError, match="lengths run from -1 to 3"):
        fast(layer, sequence(), np.array([1, -1, 3]))


def test_arrays_are_data_and_tensors_of_a_graph_stay_in_it():
    layer = nn.RNN(D, H)
    data = tg.tensor(sequence(), requires_grad=False)
    for x in (sequence(), data, sequence().tolist()):
        graph = tg.Graph(layer(x)[0])
        assert [node.op for node in graph.select(name="x")] == [None] * T
        assert not any(node is data for node in graph.nodes)
    named, grown = tg.tensor(sequence(), name="data", requires_grad=False), 2.0 * data
    for x in (named, grown, tg.tensor(sequence())):
        graph = tg.Graph(layer(x)[0])
        assert [node.op.name for node in graph.select(name="x")] == ["getitem"] * T
        assert any(node is x for node in graph.nodes)


@every_cell
def test_a_trace_names_what_was_computed_and_can_be_differentiated(make):
    layer = nn.Recurrent(make, D)
    output, state, trace = layer(sequence(), trace=True)
    cell = layer.cells[0]
    assert set(cell.states) - {"h2", "h3"} <= set(trace), "states that were only handed on have no new value"
    assert {len(nodes) for nodes in trace.values()} == {T}
    close(np.stack([cell.output(*(trace[r][t] for r in cell.states if r in trace)).value for t in range(T)]), output)
    assert all(node.scope.step == t for nodes in trace.values() for t, node in enumerate(nodes, start=1))
    first = cell.states[0]
    per_step = tg.gradients(scalar((output, state)), trace[first])
    assert len(per_step) == T and all(np.any(g) for g in per_step)
    with tg.no_grad():
        unrecorded = layer(sequence(), trace=True)[2]
    assert set(unrecorded) == set(trace)


def test_initial_states_are_leaves_of_the_step_before_the_first():
    graph = tg.Graph(nn.LSTM(D, H, bidirectional=True)(sequence())[0])
    first = [(node.name, node.scope.step) for node in graph.leaves if node.name in ("h", "c")]
    assert sorted(first) == [("c", 0), ("c", T + 1), ("h", 0), ("h", T + 1)]


def test_a_trace_of_several_cells_says_which():
    trace = nn.GRU(D, H, num_layers=2, bidirectional=True)(sequence(), trace=True)[2]
    assert {"l0.z", "l1_reverse.h", "l1.n"} <= set(trace)
    assert trace["l0_reverse.h"][0].scope.step == 1


@pytest.mark.parametrize("kind", [nn.RNN, nn.LSTM, nn.GRU])
def test_single_precision_stays_single(kind):
    layer = kind(D, H, num_layers=2, bidirectional=True, dropout=0.5, zoneout=0.1, dtype=np.float32)
    output, state = layer(sequence())
    assert output.dtype == np.float32
    assert {g.dtype for g in tg.gradients(scalar((output, state)), list(layer.parameters()))} == {np.dtype(np.float32)}


@pytest.mark.parametrize("kind", [nn.RNN, nn.LSTM, nn.GRU])
def test_weights_start_as_torchs_and_the_seed_repeats_them(kind):
    first = {name: p.value for name, p in kind(D, 25).named_parameters()}
    assert all(np.all(np.abs(value) <= 0.2) and np.max(np.abs(value)) > 0.15 for value in first.values())
    nn.manual_seed(7)
    for name, p in kind(D, 25).named_parameters():
        assert np.array_equal(p.value, first[name])


def test_a_module_in_eval_mode_ignores_all_dropout():
    noisy = nn.LSTM(D, H, num_layers=3, dropout=0.5, variational_dropout=0.4)
    plain = nn.LSTM(D, H, num_layers=3)
    plain.load_state_dict(noisy.state_dict())
    assert not np.array_equal(noisy(sequence())[0].value, plain(sequence())[0].value)
    assert np.array_equal(noisy.eval()(sequence())[0].value, plain(sequence())[0].value)


# -- dropout and zoneout ----------------------------------------------------------------------------------------------
def test_dropout_keeps_the_mean_and_hides_the_right_share():
    kept = nn.Dropout(0.3)(np.ones((200, 200))).value
    assert set(np.unique(kept)) == {0.0, 1.0 / 0.7}
    assert abs(np.mean(kept == 0.0) - 0.3) < 4.0 * np.sqrt(0.21 / kept.size)
    assert nn.Dropout(0.0)(3.0) == 3.0


def test_dropout_acts_between_layers_and_not_behind_the_last():
    layer = nn.RNN(D, H, num_layers=2, nonlinearity="relu", dropout=0.9)
    with pytest.warns(UserWarning, match="RNN: dropout=0.9 acts between layers, and there is only one") as told:
        lone = nn.RNN(D, H, dropout=0.9)
    assert told[0].filename == __file__
    x = sequence()
    nodes = tg.Graph(layer(x)[0]).select(name="dropout")
    assert [node.scope.step for node in nodes] == list(range(1, T + 1))
    assert tg.Graph(lone(x)[0]).select(name="dropout") == []
    assert not all(np.array_equal(nodes[0].value, node.value) for node in nodes), "a new mask at every step"


@pytest.mark.parametrize("kind", ["rnn", "lstm", "gru", "gru before", "gru layer_norm", "leaky", "tau"])
def test_variational_dropout_is_one_mask_for_the_whole_sequence_on_what_the_weights_see(kind):
    layer = nn.Recurrent(CELLS[kind], D, variational_dropout=0.5)
    output, _ = layer(sequence())
    x_mask, h_mask = (node.value for node in tg.Graph(output).select(name="dropout"))
    assert (x_mask.shape, h_mask.shape) == ((B, D), (B, H))
    (cell,), states = layer.cells, layer.cells[0].initial(B)
    for t in range(T):
        # what a mask hides from the weights is as if those columns were 0 for that sample
        states = _with_hidden_columns(cell, sequence()[t], states, x_mask, h_mask)
        close(output.value[t], states[0])


def _with_hidden_columns(cell: nn.Cell, x: np.ndarray, states: Any, x_mask: np.ndarray, h_mask: np.ndarray) -> Any:
    rows = []
    kept = cell.state_dict()
    for b in range(B):
        for name, p in cell.named_parameters():
            if name.startswith(("W", "U")):
                p.assign(kept[name] * (h_mask[b] if name.startswith("W") else x_mask[b]))
        rows.append(cell.step(x[b], *(np.asarray(s.value if isinstance(s, tg.Tensor) else s)[b] for s in states)))
    cell.load_state_dict(kept)
    return tuple(np.stack([row[k].value for row in rows]) for k in range(len(states)))


def test_zoneout_keeps_units_as_they_were_and_takes_the_mean_in_eval_mode():
    layer = nn.LSTM(D, H, zoneout=(0.5, 0.25))
    _, _, trace = layer(sequence(40, 50, D), trace=True)
    for role, p in (("h", 0.5), ("c", 0.25)):
        states, keep = (np.stack([node.value for node in trace[name]]) for name in (role, f"keep_{role}"))
        candidates = np.stack([node.value for node in trace[f"{role}_new"]])
        assert set(np.unique(keep)) == {0.0, 1.0}
        assert abs(np.mean(keep) - p) < 4.0 * np.sqrt(p * (1.0 - p) / keep.size)
        close(states[1:], np.where(keep[1:], states[:-1], candidates[1:]))
    _, _, trace = layer.eval()(sequence(), trace=True)
    close(trace["c"][3], 0.25 * trace["c"][2].value + 0.75 * trace["c_new"][3].value)
    close(trace["h"][3], 0.5 * trace["h"][2].value + 0.5 * trace["h_new"][3].value)


def test_noise_repeats_with_the_seed():
    layer = nn.GRU(D, H, num_layers=2, dropout=0.3, variational_dropout=0.2, zoneout=0.1)
    runs = []
    for seed in (1, 1, 2):
        nn.manual_seed(seed)
        runs.append(layer(sequence())[0].value)
    assert np.array_equal(runs[0], runs[1]) and not np.array_equal(runs[0], runs[2])


# -- variants ---------------------------------------------------------------------------------------------------------
def test_full_peepholes_with_diagonal_matrices_are_the_diagonal_ones():
    diagonal, full = nn.PeepholeLSTMCell(D, H), nn.FullPeepholeLSTMCell(D, H)
    state = diagonal.state_dict()
    full.load_state_dict(
        {key: value for key, value in state.items() if key[0] != "p"}
        | {f"W_c{k}": np.diag(state[f"p_{k}"]) for k in "ifo"}
    )
    x, start = sequence(B, D), (sequence(B, H), sequence(B, H)[::-1])
    for a, b in zip(diagonal(x, start), full(x, start), strict=True):
        close(a, b)


def test_with_document_004s_peepholes_the_output_gate_sees_the_old_cell():
    cell, x, h, c = nn.PeepholeLSTMCell(D, H, o_sees_new=False), sequence(B, D), sequence(B, H), sequence(B, H)[::-1]
    v = cell.state_dict()

    def inside(k: str) -> np.ndarray:
        return h @ v[f"W_{k}"].T + x @ v[f"U_{k}"].T + v[f"b_{k}"] + (v[f"p_{k}"] * c if k != "g" else 0.0)

    i, f, o = (1.0 / (1.0 + np.exp(-inside(k))) for k in "ifo")
    new = f * c + i * np.tanh(inside("g"))
    for ours, expected in zip(cell(x, (h, c)), (o * np.tanh(new), new), strict=True):
        close(ours, expected)


def test_one_matrix_for_state_and_input_is_two_side_by_side():
    split, joined = nn.LSTMCell(D, H), nn.ConcatenatedLSTMCell(D, H)
    state = split.state_dict()
    for ours, theirs in {"i": "i", "f": "f", "C": "g", "o": "o"}.items():
        getattr(joined, f"W_{ours}").assign(np.concatenate([state[f"W_{theirs}"], state[f"U_{theirs}"]], axis=1))
        getattr(joined, f"b_{ours}").assign(state[f"b_{theirs}"])
    for a, b in zip(split(sequence(B, D)), joined(sequence(B, D)), strict=True):
        close(a, b)


def test_the_two_gates_z_turn_into_each_other_with_negated_weights():
    keeps, lets_in = nn.GRUCell(D, H), nn.GRUCell(D, H, z_keeps=False)
    lets_in.load_state_dict({k: -v if k.endswith("_z") else v for k, v in keeps.state_dict().items()})
    close(keeps(sequence(B, D), sequence(B, H)), lets_in(sequence(B, D), sequence(B, H)))


@pytest.mark.parametrize(
    "option",
    [
        {},
        {"peephole": True},
        {"coupled": True},
        {"peephole": True, "coupled": True},
        {"concatenated": True},
        {"proj_size": 2},
    ],
)
def test_the_forget_bias_is_where_the_forget_gate_starts(option):
    layer = nn.LSTM(D, H, forget_bias=1.5, **option)
    assert np.all(layer.cells[0].b_f.value == 1.5)
    assert np.all(np.abs(layer.cells[0].b_o.value) <= 0.5)


@pytest.mark.parametrize("kind", ["rnn layer_norm", "lstm layer_norm", "gru layer_norm before"])
def test_layer_norm_makes_the_scale_of_the_weights_irrelevant(kind):
    cell = CELLS[kind](D)
    x, states = 100.0 * sequence(B, D), [100.0 * sequence(B, H) for _ in cell.states]
    before = cell.step(x, *states)
    for name, p in cell.named_parameters():
        if name[0] in "WU":
            p.assign(3.0 * p.value)
    for a, b in zip(before, cell.step(x, *states), strict=True):
        close(a, b, 1e-6)  # as far as the constant added to the variance allows


def test_layer_norm_gives_mean_0_and_variance_1_before_gain_and_bias():
    found = nn.normalized.normalized(5.0 + 3.0 * sequence(B, 50), 1.0)
    close(np.mean(found, axis=-1), np.zeros(B))
    close(np.var(found, axis=-1), np.ones(B), 1e-5)


# -- torch's weights --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("layer", [
    lambda: nn.RNN(D, H, 2, bidirectional=True), lambda: nn.RNN(D, H, bias=False), lambda: nn.LSTM(D, H, 2),
    lambda: nn.LSTM(D, H, proj_size=2, bidirectional=True), lambda: nn.GRU(D, H, 2, bidirectional=True),
])  # fmt: skip
def test_weights_go_to_torch_and_back_unchanged(layer):
    first, second = layer(), layer()
    second.load_torch(first.to_torch())
    for (name, a), (_, b) in zip(first.named_parameters(), second.named_parameters(), strict=True):
        assert np.array_equal(a.value, b.value), name


def test_two_biases_become_one_except_inside_the_reset():
    gru = nn.GRU(D, H)
    state = gru.to_torch() | {"bias_ih_l0": np.arange(12.0), "bias_hh_l0": 100.0 * np.arange(12.0)}
    gru.load_torch(state)
    (cell,) = gru.cells
    assert cell.b_r.value.tolist() == [0, 101, 202, 303] and cell.b_n.value.tolist() == [8, 9, 10, 11]
    assert cell.c_n.value.tolist() == [800, 900, 1000, 1100]


def test_a_state_that_does_not_fit_changes_nothing():
    layer = nn.LSTM(D, H)
    before, state = layer.state_dict(), layer.to_torch()
    for wrong, kind, message in (
        ({}, tg.GraphError, "missing bias_hh_l0, bias_ih_l0"),
        (state | {"weight_hr_l0": np.ones(1)}, tg.GraphError, "unknown weight_hr_l0"),
        (state | {"weight_ih_l0": np.ones((3, 3))}, tg.ShapeError, r"weight_ih_l0 has shape \(3, 3\)"),
    ):
        with pytest.raises(kind, match=message):
            layer.load_torch(wrong)
    assert all(np.array_equal(value, before[key]) for key, value in layer.state_dict().items())


@pytest.mark.parametrize("layer", [
    lambda: nn.LSTM(D, H, peephole=True), lambda: nn.LSTM(D, H, coupled=True), lambda: nn.RNN(D, H, layer_norm=True),
    lambda: nn.GRU(D, H, reset_after=False), lambda: nn.GRU(D, H, z_keeps=False),
])  # fmt: skip
def test_what_torch_does_not_have_says_so(layer):
    with pytest.raises(tg.GraphError, match="torch has no"):
        layer().to_torch()


# -- errors -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("call", "kind", "message"), [
    (lambda: nn.LSTM(D, H)(np.ones((T, B, 3))), tg.ShapeError,
     r"LSTM: the input has shape \(5, 3, 3\), but has to be \(T, B, 2\) or \(T, 2\)"),
    (lambda: nn.GRU(D, H, batch_first=True)(np.ones((T, 3))), tg.ShapeError, r"has to be \(B, T, 2\) or \(T, 2\)"),
    (lambda: nn.RNN(D, H)(np.ones((0, B, D))), tg.ShapeError, "no time steps"),
    (lambda: nn.RNN(D, H)(sequence(), np.ones((1, B, 3))), tg.ShapeError,
     r"the state h in hx has shape \(1, 3, 3\), but has to be \(1, 3, 4\)"),
    (lambda: nn.LSTM(D, H)(sequence(), np.ones((1, B, H))), tg.ShapeError, r"has to be \(h, c\)"),
    (lambda: nn.LSTMCell(D, H)(np.ones((B, 3))), tg.ShapeError, r"LSTMCell: x has shape \(3, 3\)"),
    (lambda: nn.RNN(0, H), tg.ShapeError, "input_size is 0"),
    (lambda: nn.RNN(D, H, num_layers=0), tg.ShapeError, "num_layers is 0"),
    (lambda: nn.RNN(D, H, nonlinearity="gelu"), tg.GraphError, "'tanh' or 'relu'"),
    (lambda: nn.RNN(D, H, dropout=1.0), tg.GraphError, "RNN: dropout is 1.0"),
    (lambda: nn.RNN(D, H, zoneout=-0.1), tg.GraphError, "zoneout is -0.1"),
    (lambda: nn.LSTM(D, H, zoneout=(0.1,)), tg.GraphError, "the states are h, c"),
    (lambda: nn.LSTM(D, H, proj_size=H), tg.ShapeError, "proj_size is 4"),
    (lambda: nn.LSTM(D, H, peephole="some"), tg.GraphError, "'diagonal' or 'full'"),
    (lambda: nn.LSTM(D, H, peephole="full", coupled=True), tg.GraphError, "peephole='full' and coupled=True: only"),
    (lambda: nn.LSTM(D, H, bias=False, forget_bias=1.0), tg.GraphError, "forget gate with a bias"),
    (lambda: nn.LSTM(D, H, forget_gate=False, forget_bias=1.0), tg.GraphError, "forget gate with a bias"),
    (lambda: nn.RNN(D, H)(sequence(), lengths=[1, 2]), tg.ShapeError, "one number for each of the 3 samples"),
    (lambda: nn.RNN(D, H)(sequence(), lengths=[1, 2, 6]), tg.GraphError, "from 1 to 6, .* from 0 to 5, the number"),
    (lambda: nn.RNN(D, H)(sequence(), lengths=[-1, 2, 3]), tg.GraphError, "from -1 to 3, .* from 0 to 5"),
    (lambda: nn.RNN(D, H)(sequence(), lengths=[1.0, 2.0, 3.0]), tg.DtypeError, "whole numbers"),
    (lambda: nn.RNN(D, H)(sequence(T, D), lengths=[3]), tg.ShapeError, "lengths"),
    (lambda: nn.Dropout(1.5), tg.GraphError, "p is 1.5"),
])  # fmt: skip
def test_errors_say_what_was_found_and_what_is_expected(call, kind, message):
    with pytest.raises(kind, match=message):
        call()


def test_a_misfit_inside_a_step_names_operation_layer_and_step():
    class Wrong(nn.RNNCell):
        def step(self, x, h):
            return (tg.name("h", np.tanh(tg.linear(h, self.W) + tg.linear(h, self.U))),)

    with pytest.raises(tg.ShapeError, match=r"linear at mine, t=1: h \(3, 4\) @ U \(4, 2\)"):
        nn.Recurrent(lambda n: Wrong(n, H), D, label="mine")(sequence())
