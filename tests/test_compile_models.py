"""Layers and equation files compile to what they compute."""

from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.test_compile_equality import apart
from tinygrad_rnn import nn
from tinygrad_rnn.compile import CompileError, compile
from tinygrad_rnn.compile.equations import CompiledModel
from tinygrad_rnn.models import load_any, names

H, D, B = 4, 3, 2
rng = np.random.default_rng(5)
X = rng.standard_normal((9, B, D))

LAYERS: dict[str, Any] = {
    "RNN": lambda: nn.RNN(D, H), "LSTM": lambda: nn.LSTM(D, H), "GRU": lambda: nn.GRU(D, H),
    "two layers": lambda: nn.LSTM(D, H, num_layers=2), "both directions": lambda: nn.GRU(D, H, bidirectional=True),
    "two layers, both directions": lambda: nn.LSTM(D, H, num_layers=2, bidirectional=True),
    "peephole": lambda: nn.LSTM(D, H, peephole=True), "batch first": lambda: nn.LSTM(D, H, batch_first=True),
    "dropout at rest": lambda: nn.LSTM(D, H, num_layers=2, dropout=0.5).eval(),
}  # fmt: skip


def on_outputs(layer: Any, x: Any) -> Any:
    output, _ = layer(x)
    return np.mean(output**2)


def on_the_last_state(layer: Any, x: Any) -> Any:
    _, state = layer(x)
    return np.sum((state[0] if isinstance(state, tuple) else state) ** 2)


@pytest.mark.parametrize("loss", [on_outputs, on_the_last_state])
@pytest.mark.parametrize("name", LAYERS)
def test_layers(name: str, loss: Any) -> None:
    nn.random.manual_seed(1)
    layer = LAYERS[name]()
    fast = compile(tg.value_and_grad(loss))
    for T in (9, 1, 3):
        x = X[:T].swapaxes(0, 1) if name == "batch first" else X[:T]
        value, grads = tg.value_and_grad(loss)(layer, x)
        found, fast_grads = fast(layer, x)
        assert apart(found, value) < 1e-12
        assert max(apart(fast_grads[key], grads[key]) for key in grads) < 1e-12
    assert fast.forms == ["folded"]


def test_a_step_of_the_optimiser_is_seen_by_the_next_call() -> None:
    layer = nn.RNN(D, H)
    fast = compile(tg.value_and_grad(on_outputs))
    for _ in range(3):
        value, grads = tg.value_and_grad(on_outputs)(layer, X)
        found, fast_grads = fast(layer, X)
        assert apart(found, value) < 1e-12
        for name, p in layer.named_parameters():
            p.assign(p.value - 0.1 * fast_grads[name])
            assert apart(fast_grads[name], grads[name]) < 1e-12
    assert fast.recordings == 1


def test_chance_is_never_frozen() -> None:
    layer = nn.LSTM(D, H, num_layers=2, dropout=0.5)
    with pytest.raises(CompileError, match="random numbers"):
        compile(tg.value_and_grad(on_outputs))(layer, X)


@pytest.mark.parametrize("name", names())
def test_shipped_models(name: str) -> None:
    model = load_any(name)
    fast = CompiledModel(model)
    try:
        lengths = [T for T in (5, 9) for _ in [fast._wanted()]]
    except CompileError:
        return
    for T in lengths:
        for batch in (1, 3):
            try:
                run = model.unroll(T, seed=T, batch=batch)
            except tg.LanguageError:
                continue
            try:
                loss, grads = fast(values_of(fast, run))
            except CompileError as error:
                assert "unroll" in str(error)
                return
            expected = tg.gradients(run.loss, run.parameters)
            assert apart(loss, run.loss.value) < 1e-12
            assert max(apart(np.asarray(grads[key]), np.asarray(expected[key])) for key in expected) < 1e-12


def values_of(fast: CompiledModel, run: Any) -> dict[Any, Any]:
    """The values of a run as a compiled model takes them."""
    values: dict[Any, Any] = {name: p.value for name, p in run.parameters.items()}
    sequences: dict[str, dict[int, Any]] = {}
    for (name, step), leaf in run.inputs.items():
        if step is None or name in fast.at_the_end:
            values[name] = leaf.value
        elif step < 1:
            values[name, step] = leaf.value
        else:
            sequences.setdefault(name, {})[step] = leaf.value
    return values | {name: np.stack([found[t] for t in sorted(found)]) for name, found in sequences.items()}


def test_most_shipped_models_have_a_folded_form() -> None:
    folded = {"vanilla", "lstm", "gru", "gru_after", "peephole", "stacked", "bidirectional", "ntm", "delay", "leaky"}
    for name in folded & set(names()):
        model = load_any(name)
        fast = model.compile()
        fast(values_of_first(fast, model))
        assert fast.forms == ["folded"] and fast.recordings <= 2


def values_of_first(fast: CompiledModel, model: Any) -> dict[Any, Any]:
    fast._wanted()
    return values_of(fast, model.unroll(7))


def test_missing_and_unknown_values_are_named() -> None:
    model = load_any("vanilla")
    with pytest.raises(tg.GraphError, match=r"missing: \['b'"):
        model.compile()({})
    values = values_of_first(model.compile(), model)
    with pytest.raises(tg.GraphError, match=r"unknown: \['weight'\]"):
        model.compile()(values | {"weight": 1.0})
    with pytest.raises(tg.ShapeError, match="one length"):
        model.compile()(values | {"x": values["x"][:3]})


def test_a_model_with_hostile_names_leaves_no_trace_in_the_plan() -> None:
    model = tg.load(
        "sizes: system = 2, globals = 3\n"
        "system[t] = tanh(os @ system[t-1] + sys @ globals[t])\n"
        "L = sum(t, sum(system[t]))"
    )
    fast = model.compile()
    fast(values_of_first(fast, model))
    assert not any(name in str(fast.plan) for name in ("os", "sys", "globals"))


def test_labels_outside_of_the_classes_are_never_read_as_others() -> None:
    def loss(layer: Any, x: Any, y: Any) -> Any:
        output, _ = layer(x)
        return nn.cross_entropy(output, y)

    layer, y = nn.RNN(D, H), np.zeros((9, B), int)
    fast, eager = compile(tg.value_and_grad(loss)), tg.value_and_grad(loss)
    assert apart(fast(layer, X, y)[0], eager(layer, X, y)[0]) < 1e-12
    y[2, 1] = -100  # ignored, as in torch
    assert apart(fast(layer, X, y)[0], eager(layer, X, y)[0]) < 1e-12
    y[2, 1] = H
    with pytest.raises(tg.ShapeError):
        fast(layer, X, y)
    model = load_any("vanilla")
    compiled = model.compile()
    values = values_of_first(compiled, model)
    compiled(values)
    with pytest.raises(tg.ShapeError, match="class numbers"):
        compiled(values | {"y": values["y"] + 100})


def test_buffers_of_a_module_are_read_at_each_call() -> None:
    class Scaled(nn.Module):
        def __init__(self) -> None:
            self.rnn = nn.RNN(D, H)
            self.register_buffer("scale", np.array(2.0))

        def forward(self, x: Any) -> Any:
            return np.sum(self.rnn(x)[0]) * float(self.scale)

    model = Scaled()
    fast = compile(tg.value_and_grad(lambda m, x: m(x)))
    first = fast(model, X)[0]
    model.scale = np.array(3.0)
    assert apart(fast(model, X)[0], 1.5 * first) < 1e-12
