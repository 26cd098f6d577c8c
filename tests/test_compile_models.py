"""Layers and equation files compile to what they compute."""

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.compile_poison import poisoned  # noqa: F401
from tests.shipped import LARGE
from tests.sweep import sample
from tests.test_compile_equality import apart
from tinygrad_rnn import models, nn
from tinygrad_rnn.compiler import CompileError, compile
from tinygrad_rnn.language.run.compiled_model import CompiledModel
from tinygrad_rnn.language.syntax.indices import numbers
from tinygrad_rnn.models import names

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


@pytest.mark.slow
@pytest.mark.parametrize(("name", "loss"), sample(list(product(LAYERS, [on_outputs, on_the_last_state])), 8, "layers"))
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


#: shipped models whose steps are not one step repeated, or that have several indices: compiled for given lengths
FLAT = {
    *("attention", "attention_dot", "encoder_decoder", "encoder_decoder_both", "encoder_decoder_initial"),
    *("clockwork", "memory_network", "predicted_length", "recursive", "treelstm", "two_dimensional"),
}
#: those that hold one matrix for each sample, and the reason they give
ONE_SAMPLE = {"ntm": r"M\[0\] is a matrix for each of the 3 samples: run with batch=1"}


@pytest.mark.slow
@pytest.mark.parametrize("name", sample(names(), 14, "compiled", always=["ntm", "lstm", "clockwork"]))
def test_shipped_models_compiled_equal_themselves_at_every_length_and_batch(name: str) -> None:
    model = tg.load(name)
    fast = model.compile()
    for T in (2, 3) if name in LARGE else (4, 1) if name in FLAT else (5, 9, 1):
        for batch in (1, 3):
            if batch > 1 and name in ONE_SAMPLE:
                with pytest.raises(tg.LanguageError, match=ONE_SAMPLE[name]):
                    model.unroll(T, batch=batch)
                continue
            run = model.unroll(T, seed=T, batch=batch)
            loss, grads = fast(values_of(fast, run))
            expected = tg.gradients(run.loss, run.parameters)
            assert apart(loss, run.loss.value) < 1e-12
            assert max(apart(np.asarray(grads[key]), np.asarray(expected[key])) for key in expected) < 1e-12
    assert fast.forms[0].startswith("flat (" if name in FLAT else "folded")
    assert fast.forms.count("folded") <= 2, "one for each batch size"


def test_a_file_stops_gradients_where_it_says_so(tmp_path: Path) -> None:
    file = tmp_path / "stopped.rnn"
    forward = (Path(models.__file__).parent / "vanilla.rnn").read_text().partition("# Document 004")[0]
    file.write_text(forward.replace("W @ h[t-1]", "W @ stop(h[t-1])"))
    model = tg.load(file)
    fast = model.compile()
    for T in (5, 2):
        run = model.unroll(T, seed=T, batch=2)
        _, grads = fast(values_of(fast, run))
        wanted = tg.gradients(run.loss, run.parameters)
        assert max(apart(np.asarray(grads[key]), np.asarray(wanted[key])) for key in wanted) < 1e-12
    assert fast.forms == ["folded"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["two_dimensional", "treelstm", "end_symbol", "memory_network"])
def test_values_may_be_given_place_by_place(name: str) -> None:
    model = tg.load(name)
    fast = model.compile()
    run = model.unroll(3, seed=1)
    values = values_of(fast, run, by_place=set(fast.places.over))
    stated = run.lengths if name == "end_symbol" else None  # whose labels end before it does
    loss, grads = fast(values, stated)
    expected = tg.gradients(run.loss, run.parameters)
    assert apart(loss, run.loss.value) < 1e-12
    assert max(apart(np.asarray(grads[key]), np.asarray(expected[key])) for key in expected) < 1e-12
    place = next(key for key in values if isinstance(key, tuple) and key[0] in fast.places.over)
    with pytest.raises(tg.GraphError, match=rf"missing: \['{place[0]}'|missing: \[\('{place[0]}'"):
        fast({key: value for key, value in values.items() if key != place}, run.lengths)


def test_lengths_come_from_the_arrays_and_have_to_agree() -> None:
    model = tg.load("attention")
    fast = model.compile()
    values = values_of(fast, model.unroll(3, lengths={"S": 2}))
    assert values["x"].shape[0] == 2 and values["y"].shape[0] == 3
    assert np.isfinite(fast(values)[0])
    with pytest.raises(tg.ShapeError, match=r"one length, not \[2, 4\]"):
        fast(values, {"S": 4})
    grid = tg.load("two_dimensional").compile()
    values = values_of(grid, grid.model.unroll(2))
    with pytest.raises(tg.ShapeError, match="one length"):
        grid(values | {"x": values["x"][:1]})
    with pytest.raises(tg.ShapeError, match="begins with 2 lengths"):
        grid(values | {"x": np.ones(2)})
    tree = tg.load("recursive").compile()
    with pytest.raises(tg.ShapeError, match=r"x has 4 steps, but they run over 1\.\.2\*T-1"):
        tree(values_of(tree, tree.model.unroll(2)) | {"x": np.ones((4, 3))})
    alone = tg.load("sizes: h = 2\nh[t] = tanh(W @ h[t-1])\nL = sum(t, sum(h[t]))").compile()
    values = {"W": np.eye(2), ("h", 0): np.ones(2)}
    with pytest.raises(tg.GraphError, match="how long T is: add lengths="):
        alone(values)
    assert apart(alone(values, {"T": 2})[0], 2 * np.tanh(1.0) + 2 * np.tanh(np.tanh(1.0))) < 1e-14
    assert apart(alone(values, {"T": 1})[0], 2 * np.tanh(1.0)) < 1e-14


def test_what_all_samples_share_is_repeated_for_each() -> None:
    model = tg.load("vanilla")
    fast = model.compile()
    values = values_of(fast, model.unroll(4, batch=3))
    h = values["h", 0][:, :1]
    expected = fast(values | {("h", 0): np.repeat(h, 3, 1)})
    for shared in (h, h[:, 0]):
        loss, grads = fast(values | {("h", 0): shared})
        assert apart(loss, expected[0]) < 1e-13 and apart(grads["W"], expected[1]["W"]) < 1e-12


def values_of(fast: CompiledModel, run: Any, by_place: Any = ()) -> dict[Any, Any]:
    """The values of a run as a compiled model takes them."""
    places, lengths = fast.places, run.lengths
    values: dict[Any, Any] = {name: p.value for name, p in run.parameters.items()}
    # a short sequence may not read all that a model takes: the states before it, labels
    unread = [] if by_place or len(lengths) > 1 else [place for place in places.probed if place not in run.inputs]
    longer = run.model.unroll(places.at_probing["T"], batch=run.batch) if unread else run
    for place in places.read(lengths):
        value = np.asarray(run.inputs[place].value)
        key = place if place[0] in by_place else places.key_of(place, {}, lengths)
        if key in places.over:
            ranges = places.ranges(key)
            size = [within.last.at(lengths) - within.first.at(lengths) + 1 for within in ranges]
            at = tuple(i - within.first.at(lengths) for i, within in zip(numbers(place[1]), ranges, strict=True))
            values.setdefault(key, np.zeros((*size, *value.shape), value.dtype))[at] = value
        else:
            values[key] = value
    for place in unread:
        key, value = places.key_of(place, {}, places.at_probing), np.asarray(longer.inputs[place].value)
        values.setdefault(key, np.zeros((run.T, *value.shape), value.dtype) if key in places.over else value)
    return values


def values_of_first(fast: CompiledModel, model: Any) -> dict[Any, Any]:
    return values_of(fast, model.unroll(7))


def test_missing_and_unknown_values_are_named() -> None:
    model = tg.load("vanilla")
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
    model = tg.load("vanilla")
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
