"""What users do wrong with layers, and what torch users expect of them: each mistake is told before it spreads."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import nn
from tinygrad_rnn.compiler import CompileError

T, B, D, H = 5, 3, 2, 4
X = np.random.default_rng(0).standard_normal((T, B, D))
LABELS = np.zeros((T, B), int)


class NoTuple(nn.RNNCell):
    def step(self, x: Any, h: Any) -> Any:
        return super().step(x, h)[0]


class TooFew(nn.LSTMCell):
    def step(self, x: Any, h: Any, c: Any) -> Any:
        return (h,)


@pytest.mark.parametrize(("call", "message"), [
    (lambda: nn.LSTM(D, H, bidirection=True), "LSTM has no option bidirection: did you mean bidirectional"),
    (lambda: nn.GRU(D, H, zone_out=0.1), "GRU has no option zone_out: did you mean zoneout"),
    (lambda: nn.RNN(D, H, device="cpu"), "RNN has no option device: there are input_size, hidden_size, .*, label"),
])  # fmt: skip
def test_a_misspelt_option_is_told_with_the_one_that_was_meant(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        call()


@pytest.mark.parametrize(("call", "kind", "message"), [
    # options
    (lambda: nn.GRU(D, 4.0), tg.ShapeError, "GRUCell: hidden_size is 4.0, but has to be a whole number"),
    (lambda: nn.GRU(D, "4"), tg.ShapeError, "hidden_size is '4'"),
    (lambda: nn.GRU(D, H, num_layers=1.5), tg.ShapeError, "GRU: num_layers is 1.5"),
    (lambda: nn.GRU(D, H, 2, dropout="0.1"), tg.GraphError, "dropout is '0.1'"),
    (lambda: nn.LSTM(D, H, peephole=[1]), tg.GraphError, "peephole is "),
    (lambda: nn.LSTM(D, H, coupled=True, forget_gate=False), tg.GraphError, "run it by Recurrent"),
    (lambda: nn.Linear(0, H), tg.ShapeError, "Linear: in_features is 0"),
    (lambda: nn.Embedding(0, H), tg.ShapeError, "Embedding: num_embeddings is 0"),
    (lambda: nn.GenerativeRNN(3, 0), tg.ShapeError, r"GenerativeRNN: a size of W \(0, 0\) is 0"),
    (lambda: nn.MemoryNetwork(D, 2, -1, 3), tg.ShapeError, "is -1, but has to be at least 1"),
    (lambda: nn.AttentionDecoder(D, H, 3, attention_size=0), tg.ShapeError, "attention_size is 0"),
    (lambda: nn.Recurrent(nn.RNNCell(D, H), D), tg.GraphError, "a function that makes a cell"),
    (lambda: nn.Recurrent(nn.RNNCell, D), tg.GraphError, "a function that makes a cell"),
    (lambda: nn.Stack(nn.RNN(D, H), nn.Linear(H, H)), tg.GraphError, "recurrent layers, at least one, not RNN, Linear"),
    # inputs
    (lambda: nn.LSTM(D, H)(np.full((T, B, D), "a")), tg.DtypeError, "LSTM: the input .* real numbers, not <U1"),
    (lambda: nn.LSTM(D, H)(np.full((T, B, D), None)), tg.DtypeError, "not object"),
    (lambda: nn.LSTM(D, H)(X * 1j), tg.DtypeError, "not complex128"),
    (lambda: nn.LSTM(D, H)([[1.0, 2.0], [1.0]]), tg.ShapeError, "LSTM: the input is no array"),
    (lambda: nn.RNN2d(D, H)(np.full((T, T, B, D), "a")), tg.DtypeError, "RNN2d"),
    (lambda: nn.Sequential(nn.RNN(D, H), nn.Linear(H, 2))(X), tg.ShapeError, r"Linear: .* returns \(output, state\)"),
    (lambda: nn.Embedding(3, D)([-1]), tg.ShapeError, "symbols run from 0 to 2, not -1 to -1"),
    (lambda: nn.LayerNorm(1)(X), tg.ShapeError, "LayerNorm: .* has to be 1"),
    (lambda: nn.RNN(D, H)(X[:, 0], lengths=[T]), tg.ShapeError, "lengths are for a batch"),
    (lambda: nn.GRUCell(D, H)(np.ones((B, D)), np.zeros(H)), tg.ShapeError, r"h in hx has shape \(4,\).* \(3, 4\)"),
    (lambda: nn.LSTMCell(D, H)(np.ones((B, D)), np.zeros((B, H))), tg.ShapeError, r"hx has 1 parts.*\(h, c\)"),
    (lambda: nn.GRUCell(D, H)(np.ones((B, D)), (np.zeros((B, H)),) * 2), tg.ShapeError, "hx has 2 parts"),
    # systems
    (lambda: nn.GenerativeRNN(3, H)(LABELS[:0]), tg.ShapeError, "the number of steps is 0"),
    (lambda: nn.AttentionDecoder(D, H, 3)(LABELS, X, x_lengths=[9, 0, 2]), tg.GraphError, "x_lengths run from 0 to 9"),
    (lambda: nn.GenerativeRNN(3, H).log_likelihood(LABELS, lengths=[1.0, 2.0, 3.0]), tg.DtypeError, "whole numbers"),
    # cells of one's own
    (lambda: nn.Recurrent(lambda n: NoTuple(n, H), D)(X), tg.GraphError, r"NoTuple: step\(\) .* \(h,\), not Tensor"),
    (lambda: NoTuple(D, H)(np.ones((B, D))), tg.GraphError, "not Tensor"),
    (lambda: nn.Recurrent(lambda n: TooFew(n, H), D)(X), tg.GraphError, r"\(h, c,\), not a tuple of 1"),
])  # fmt: skip
def test_a_mistake_is_told_with_what_was_found_and_what_to_do(call: Any, kind: type, message: str) -> None:
    with pytest.raises(kind, match=message):
        call()


@pytest.mark.parametrize("name", ["ModuleList", "CrossEntropyLoss", "Tanh", "utils", "functional"])
def test_names_that_only_torch_has_say_what_stands_in_their_place(name: str) -> None:
    with pytest.raises(AttributeError, match=f"has no attribute '{name}': here it is "):
        getattr(nn, name)
    assert not hasattr(nn, "NoSuchThing")


# -- dtypes -----------------------------------------------------------------------------------------------------------
F32 = np.float32
FLOAT32: dict[str, Callable[[], Any]] = {
    "cell": lambda: nn.GRUCell(D, H, dtype=F32)(X[0]),
    "layer": lambda: nn.LSTM(D, H, dtype=F32)(X, (np.zeros((1, B, H)),) * 2, lengths=[5, 2, 1])[0],
    "unnamed Tensor": lambda: nn.LSTM(D, H, dtype=F32)(tg.tensor(X, requires_grad=False))[0],
    "two dimensions": lambda: nn.RNN2d(D, H, dtype=F32)(X[None], np.zeros((4, B, H)))[0],
    "one vector": lambda: nn.VectorRNN(3, H, dtype=F32).log_likelihood(LABELS, np.ones((B, H))),
    "conditional": lambda: nn.ConditionalRNN(D, 3, H, dtype=F32).log_likelihood(LABELS, X),
    "attention": lambda: nn.AttentionDecoder(D, H, 3, dtype=F32)(LABELS, X)[0],
    "cells": lambda: nn.Seq2Seq(nn.GRUCell(D, H, dtype=F32), nn.GRUCell(3, H, dtype=F32), 3)(LABELS, X),
    "machine": lambda: nn.NTM(D, H, 3, cells=4, width=2, dtype=F32)(X)[0],
    "memory": lambda: nn.MemoryNetwork(D, D, H, 3, dtype=F32)(X[0], X)[0],
    "tree": lambda: nn.ChildSumTreeLSTM(D, H, dtype=F32)(X.tolist(), heads=[1, 2, 3, 4, -1]),
}


@pytest.mark.parametrize("run", FLOAT32.values(), ids=FLOAT32)
def test_float64_data_in_a_float32_model_stay_float32(run: Callable[[], Any]) -> None:
    assert run().dtype == F32


@pytest.mark.parametrize("give", ["input", "hx"])
def test_a_result_of_another_dtype_is_an_error_as_in_torch(give: str) -> None:
    layer, other = nn.RNN(D, H, dtype=F32), tg.tensor(X if give == "input" else np.zeros((1, B, H)))
    with pytest.raises(tg.DtypeError, match="is float64, the weights are float32"):
        layer(**{"input": X, give: other})


# -- edges ------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", [nn.RNN, nn.LSTM, nn.GRU])
def test_no_samples_one_step_and_whole_numbers_are_inputs_like_others(kind: Any) -> None:
    layer = kind(D, H)
    assert layer(np.ones((T, 0, D)), lengths=[])[0].shape == (T, 0, H)
    assert layer(X[:1])[0].shape == (1, B, H)
    whole = np.ones((T, B, D), int)
    assert np.array_equal(layer(whole)[0].numpy(), layer(whole * 1.0)[0].numpy())


def test_one_sample_that_is_nan_leaves_the_others_alone() -> None:
    layer, x = nn.GRU(D, H), X.copy()
    x[2, 0] = np.nan
    output = layer(x)[0].numpy()
    assert np.isnan(output[2:, 0]).all() and np.array_equal(output[:, 1:], layer(X)[0].numpy()[:, 1:])


@pytest.mark.slow
def test_ten_thousand_steps_are_recorded_and_differentiated() -> None:
    layer = nn.RNN(1, 2)
    output, _ = layer(np.ones((10_000, 1, 1)))
    np.sum(output[-1]).backward()
    assert layer.cells[0].W.grad.shape == (2, 2)


@pytest.mark.parametrize("cell", [nn.RNNCell, nn.LSTMCell, nn.GRUCell])
def test_first_states_are_called_hx_as_in_torch(cell: Any) -> None:
    one, states = cell(D, H), [np.full((B, H), 0.5), np.full((B, H), -0.5)]
    layer = nn.Recurrent(lambda n: one, D)
    given = tuple(states[: len(one.states)])
    step = one(input=X[0], hx=given)
    whole = layer(input=X[:1], hx=tuple(s[None] for s in given))[0]
    assert np.array_equal((step[0] if isinstance(step, tuple) else step).numpy(), whole.numpy()[0])


# -- states of other models -------------------------------------------------------------------------------------------
def test_a_state_that_does_not_fit_changes_nothing() -> None:
    model = nn.LSTM(D, H)
    before = model.state_dict()
    last = list(before)[-1]
    for state, kind, message in (
        (None, tg.GraphError, "a state is a dict"),
        (nn.GRU(D, H).state_dict(), tg.GraphError, "missing cells.0.U_f"),
        (nn.LSTM(D, 5).state_dict(), tg.ShapeError, r"cells.0.W_i has shape \(4, 4\)"),
        (before | {last: np.full(H, "a")}, tg.DtypeError, f"{last} holds float64, the state <U1"),
        (before | {last: np.ones(H) * 1j}, tg.DtypeError, "complex128"),
    ):
        changed = {name: value + 1.0 for name, value in state.items() if name != last} if state else {}
        with pytest.raises(kind, match=message):
            model.load_state_dict(state | changed if kind is tg.DtypeError else state)
        assert all(np.array_equal(value, before[name]) for name, value in model.state_dict().items())


# -- traces -----------------------------------------------------------------------------------------------------------
def test_a_single_output_traces_every_step_of_its_layer() -> None:
    net = nn.SingleOutput(nn.LSTM(D, H), nn.Linear(H, 2))
    output, (h, _), trace = net(X, lengths=[5, 2, 3], trace=True)
    assert output.shape == (B, 2) and {"i", "f", "g", "o", "c", "h", "x"} <= set(trace)
    assert [len(trace["f"]), len(tg.gradients(np.sum(output), trace["f"]))] == [T, T]
    assert np.array_equal(trace["h"][-1].numpy(), h.numpy()[0])
    assert np.array_equal(net(X, lengths=[5, 2, 3])[0].numpy(), output.numpy())


@pytest.mark.parametrize("recorded", [True, False])
def test_a_grid_traces_every_place_in_every_direction(recorded: bool) -> None:
    net, x = nn.RNN2d(D, H), np.random.default_rng(1).standard_normal((2, 3, B, D))
    with tg.no_grad() if not recorded else tg.step(7):
        output, _, trace = net(x, trace=True)
    assert sorted(trace) == ["h_1", "h_2", "h_3", "h_4", "x"]
    for i, j in np.ndindex(2, 3):
        there = np.concatenate([trace[f"h_{k}"][i][j].numpy() for k in range(1, 5)], axis=-1)
        assert np.array_equal(there, output.numpy()[i, j]) and np.array_equal(trace["x"][i][j].numpy(), x[i, j])
    dh = tg.gradients(np.sum(output[1, 2]), trace["h_1"][0][0])
    assert np.any(dh), "the upper left is seen from the lower right"


# -- variants ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("o_sees_new", [True, False])
def test_peepholes_and_coupled_gates_together_are_the_formula(o_sees_new: bool) -> None:
    cell = nn.CoupledPeepholeLSTMCell(D, H, o_sees_new=o_sees_new)
    assert [k for k, _ in cell.named_parameters() if k[0] == "p"] == ["p_f", "p_o"] and not hasattr(cell, "W_i")
    w = {name: p.value for name, p in cell.named_parameters()}
    x, h, c = X[0], np.full((B, H), 0.3), np.linspace(-1, 1, B * H).reshape(B, H)
    a = {k: h @ w[f"W_{k}"].T + x @ w[f"U_{k}"].T + w[f"b_{k}"] for k in "fgo"}
    f = 1 / (1 + np.exp(-(a["f"] + w["p_f"] * c)))
    new = f * c + (1 - f) * np.tanh(a["g"])
    o = 1 / (1 + np.exp(-(a["o"] + w["p_o"] * (new if o_sees_new else c))))
    found_h, found_c = cell(x, (h, c))
    np.testing.assert_allclose(found_c.numpy(), new, rtol=1e-13)
    np.testing.assert_allclose(found_h.numpy(), o * np.tanh(new), rtol=1e-13)
    assert type(nn.LSTM(D, H, peephole=True, coupled=True).cells[0]) is nn.CoupledPeepholeLSTMCell


def test_the_draft_lstm_of_document_000_is_the_lstm_with_states_counted_one_later() -> None:
    cell = nn.LSTMCell(D, H)
    w = {name: p.value for name, p in cell.named_parameters()}
    s, h = {1: np.zeros((B, H))}, {1: np.zeros((B, H))}  # s[t+1], h[t+1] from x[t] and the gates of step t
    for t in range(1, T + 1):
        gate = {k: X[t - 1] @ w[f"U_{k}"].T + h[t] @ w[f"W_{k}"].T + w[f"b_{k}"] for k in "ifgo"}
        i, f, q = (1 / (1 + np.exp(-gate[k])) for k in "ifo")
        s[t + 1] = f * s[t] + i * np.tanh(gate["g"])  # the draft has σ for this tanh
        h[t + 1] = np.tanh(s[t + 1]) * q
    output, _ = nn.Recurrent(lambda n: cell, D)(X)
    np.testing.assert_allclose(output.numpy(), np.stack([h[t + 1] for t in range(1, T + 1)]), rtol=1e-13)


# -- noise and compile ------------------------------------------------------------------------------------------------
OPTIONS: dict[str, dict[str, float]] = {
    "before the layers": {},
    "between layers": {"dropout": 0.5},
    "variational": {"variational_dropout": 0.5},
    "zoneout": {"zoneout": 0.5},
}


class Noisy(nn.Module):
    def __init__(self, options: dict[str, float]) -> None:
        self.drop, self.rnn = nn.Dropout(0.0 if options else 0.5), nn.RNN(D, H, 2, **options)

    def forward(self, x: Any) -> Any:
        return np.sum(self.rnn(self.drop(x))[0])


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_noise_is_not_compiled_into_a_function_but_its_mean_is(options: dict[str, float]) -> None:
    model = Noisy(options)
    fast = tg.compile(lambda model, x: model(x))
    with pytest.raises(CompileError, match=r"test_nn_misuse.py:\d+.* draws random numbers .*model.eval\(\)"):
        fast(model, X)
    model.eval()
    np.testing.assert_allclose(fast(model, X), model(X).numpy(), rtol=1e-12)
    assert np.isfinite(model.train()(X).numpy()), "outside of a recording nothing is refused"


@pytest.mark.parametrize("ignored", [0, 2, -100])
def test_targets_to_ignore_are_looked_for_in_every_call_of_a_compiled_function(ignored: int) -> None:
    logits = np.random.default_rng(0).random((4, 3))
    fast = tg.compile(lambda logits, y: nn.cross_entropy(logits, y, ignore_index=ignored))
    for y in ([1, 1, 2, 1], [0, 1, 2, ignored], [ignored, 1, ignored, 1]):
        expected = nn.cross_entropy(logits, np.array(y), ignore_index=ignored)
        np.testing.assert_allclose(fast(logits, np.array(y)), expected, rtol=1e-14)


# -- another dtype ----------------------------------------------------------------------------------------------------
def test_what_astype_cannot_do_is_told() -> None:
    net = nn.Linear(2, 1)
    adam = tg.train.Adam(net.parameters())
    with pytest.raises(tg.DtypeError, match="floats, not int64"):
        net.astype(np.int64)
    np.sum(net.astype(F32)(np.ones(2, F32))).backward()
    with pytest.raises(tg.GraphError, match=r"V is float32, but the optimizer was made when it was float64"):
        adam.step()
    assert net.weight.dtype == F32


# -- masks ------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("loss", ["cross_entropy", "nll_loss", "mse_loss", "binary_cross_entropy_with_logits"])
def test_nan_behind_a_mask_reaches_neither_loss_nor_gradient(loss: str) -> None:
    f, mask, classes = getattr(nn, loss), np.array([1.0, 0.0, 2.0]), loss in ("cross_entropy", "nll_loss")
    outputs = -np.random.default_rng(5).random((3, 2))
    targets = np.array([1, 0, 1]) if classes else np.random.default_rng(6).random((3, 2))
    broken, wrong = outputs.copy(), targets.copy()
    broken[1] = np.nan
    if not classes:
        wrong[1] = np.nan
    found = []
    for o, y in ((outputs, targets), (broken, wrong)):
        leaf = tg.tensor(o)
        value = f(leaf, y, mask=mask)
        found.append((value.item(), tg.gradients(value, leaf)))
    assert found[0][0] == found[1][0]
    np.testing.assert_array_equal(found[0][1], found[1][1])


# -- after a mistake --------------------------------------------------------------------------------------------------
def test_an_error_inside_a_layer_leaves_no_scope_behind() -> None:
    layer = nn.Recurrent(lambda n: nn.RNNCell(n, H), D, readout=nn.Linear(H + 1, 2))
    with pytest.raises(tg.ShapeError) as kept:  # its traceback holds the loop over the steps
        layer(X)
    del kept
    gc.collect()
    assert tg.tensor(1.0).scope.path == ()
