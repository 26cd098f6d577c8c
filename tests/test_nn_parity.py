"""RNN, LSTM and GRU say the same as torch's in every option torch has: values, all gradients, to 1e-12 in float64."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.sweep import sample

from .reference import make_layers as make

try:
    import torch
except ImportError:  # the tests against kept answers still run
    torch = None

CASES = make.cases()


def needs_torch(test: Callable[..., Any]) -> Callable[..., Any]:
    """Skips, saying so, where there is no torch."""
    return pytest.mark.torch(pytest.mark.skipif(torch is None, reason="torch is not installed")(test))


def by_us(case: str) -> make.Arrays:
    """What `make.by_torch` answers, from our layer."""
    kind, options, call = CASES[case]
    parameters, data = make.given(case)
    layer = getattr(tg.nn, kind)(make.INPUT, make.HIDDEN, **options)
    layer.load_torch(parameters)
    leaves = {key: tg.tensor(value, name=key) for key, value in data.items()}
    state = tuple(leaves[key] for key in ("h_0", "c_0") if key in leaves)
    output, last = layer(
        leaves["input"],
        (state if kind == "LSTM" else state[0]) if state else None,
        lengths=make.LENGTHS if call.startswith("lengths") else None,
    )
    last = last if isinstance(last, tuple) else (last,)
    outputs = {"output": output, **dict(zip(("h_n", "c_n"), last, strict=False))}
    loss = sum(np.sum(make.weights(case, key, y.shape) * y) for key, y in outputs.items())
    gradients = tg.gradients(loss, leaves | dict(layer.named_parameters()))
    found = {key: y.numpy() for key, y in outputs.items()} | {f"d{key}": gradients[key] for key in leaves}
    return found | {f"d{key}": value for key, value in as_torch_names(layer, gradients).items()}


def as_torch_names(layer: Any, gradients: make.Arrays) -> make.Arrays:
    """The gradients by torch's names: both of its biases receive what our one receives, but for the GRU's inner one."""
    shadow = type(layer)(**_options_of(layer))
    shadow.load_state_dict({key: gradients[key] for key, _ in layer.named_parameters()})
    found = shadow.to_torch()
    for key in [key for key in found if key.startswith("bias_hh")]:
        first, second = found[key.replace("hh", "ih")], found[key]
        found[key] = np.where(np.arange(len(first)) < 2 * layer.hidden_size, first, second) if _is_gru(layer) else first
    return found


def _is_gru(layer: Any) -> bool:
    return isinstance(layer, tg.nn.GRU)


def _options_of(layer: Any) -> dict[str, Any]:
    options = {key: getattr(layer, key) for key in ("input_size", "hidden_size", "num_layers", "bias", "bidirectional")}
    return options | ({"proj_size": layer.proj_size} if isinstance(layer, tg.nn.LSTM) else {})


@pytest.mark.slow
@pytest.mark.parametrize("kind", make.KINDS)
def test_layer_answers_what_torch_answered_once_in_every_case(kind):
    kept = make.load()
    ours = {case: make.digest(by_us(case)) for case in CASES if case.split()[0] == kind}
    assert [case for case, found in ours.items() if not np.allclose(found, kept[case], rtol=1e-12, atol=1e-12)] == []
    assert len(ours) == len(CASES) / len(make.KINDS)


@needs_torch
@pytest.mark.parametrize("case", sample(list(CASES), 40, "torch"))
def test_layer_equals_torch_entry_by_entry(case):
    ours, theirs = by_us(case), make.by_torch(case)
    assert ours.keys() == theirs.keys()
    for key, value in theirs.items():
        np.testing.assert_allclose(ours[key], value, rtol=1e-12, atol=1e-12, err_msg=key)


@needs_torch
@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_weights_travel_between_the_libraries_in_both_directions(kind):
    options = {"num_layers": 2, "bidirectional": True}
    theirs = getattr(torch.nn, kind)(make.INPUT, make.HIDDEN, **options, dtype=torch.float64)
    ours = getattr(tg.nn, kind)(make.INPUT, make.HIDDEN, **options)
    x = np.random.default_rng(0).standard_normal((make.T, make.BATCH, make.INPUT))
    ours.load_torch(theirs.state_dict())
    np.testing.assert_allclose(ours(x)[0].value, theirs(torch.tensor(x))[0].detach().numpy(), rtol=1e-12, atol=1e-12)
    again = getattr(torch.nn, kind)(make.INPUT, make.HIDDEN, **options, dtype=torch.float64)
    again.load_state_dict({key: torch.tensor(value) for key, value in ours.to_torch().items()})
    np.testing.assert_allclose(
        again(torch.tensor(x))[0].detach().numpy(), theirs(torch.tensor(x))[0].detach().numpy(), rtol=1e-12, atol=1e-12
    )


def test_the_kept_answers_are_small_and_the_script_that_asked_for_them_knows_nothing_of_us():
    assert make.FILE.stat().st_size < 100_000
    source = Path(make.__file__).read_text(encoding="utf-8")
    assert "import tinygrad_rnn" not in source and "from tinygrad_rnn" not in source


# -- whole networks ---------------------------------------------------------------------------------------------------
class Tagger(tg.nn.Module):
    """As a torch user writes it: names of torch, layers in a list, a tied weight."""

    def __init__(self) -> None:
        self.embed = tg.nn.Embedding(7, 4)
        self.rnns = [tg.nn.LSTM(4, 5, bidirectional=True), tg.nn.GRU(10, 4)]
        self.cell = tg.nn.LSTMCell(4, 4)
        self.head = tg.nn.Sequential(tg.nn.Linear(4, 4), np.tanh, tg.nn.LayerNorm(4))
        self.out = tg.nn.Linear(4, 7, bias=False)
        self.out.weight = self.embed.weight
        self.scale = tg.nn.parameter("s", 2.0)
        self.register_buffer("shift", np.zeros(4))

    def forward(self, x: np.ndarray) -> Any:
        h = self.embed(x)
        for rnn in self.rnns:
            h, _ = rnn(h)
        h, _ = self.cell(h[-1])
        return self.out(self.head(h * self.scale + self.shift))


def torch_tagger() -> Any:
    from torch import nn

    class Same(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed = nn.Embedding(7, 4)
            self.rnns = nn.ModuleList([nn.LSTM(4, 5, bidirectional=True), nn.GRU(10, 4)])
            self.cell = nn.LSTMCell(4, 4)
            self.head = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.LayerNorm(4))
            self.out = nn.Linear(4, 7, bias=False)
            self.out.weight = self.embed.weight
            self.scale = nn.Parameter(torch.tensor(1.5))
            self.register_buffer("shift", torch.randn(4))

        def forward(self, x: Any) -> Any:
            h = self.embed(x)
            for rnn in self.rnns:
                h, _ = rnn(h)
            h, _ = self.cell(h[-1])
            return self.out(self.head(h * self.scale + self.shift))

    torch.manual_seed(0)
    return Same().double()


@needs_torch
@pytest.mark.parametrize("prefix", ["", "module."])
def test_a_whole_network_takes_over_torchs_weights_and_gives_them_back(prefix: str) -> None:
    ours, theirs, x = Tagger(), torch_tagger(), np.random.default_rng(0).integers(0, 7, (6, 3))
    state = {prefix + key: value for key, value in theirs.state_dict().items()}
    if prefix:
        state["optimizer.lr"] = torch.tensor(1.0)
    ours.load_torch(state, prefix=prefix)
    np.testing.assert_allclose(ours(x).numpy(), theirs(torch.tensor(x)).detach().numpy(), rtol=1e-12, atol=1e-14)
    again = torch_tagger()
    again.load_state_dict({key: torch.tensor(value) for key, value in ours.to_torch().items()})
    np.testing.assert_allclose(
        again(torch.tensor(x)).detach().numpy(), theirs(torch.tensor(x)).detach().numpy(), rtol=1e-12, atol=1e-14
    )


@pytest.mark.parametrize(
    ("load", "told"),
    [
        (lambda net, state: net.load_state_dict(state), r"these are torch's names: load_torch\(state\) takes them"),
        (
            lambda net, state: net.load_torch({f"m.{k}": v for k, v in state.items()} | {"x": np.ones(1)}),
            r"under a prefix they fit: load_torch\(state, prefix='m.'\)",
        ),
        (lambda net, state: net.load_torch(state, prefix="n."), r"missing .*; these are torch's names: load_torch\(s"),
        (
            lambda net, state: net.load_state_dict({f"m.{k}": v for k, v in state.items()}),
            r"under a prefix they fit: load_torch\(state, prefix='m.'\)",
        ),
        (
            lambda net, state: net.load_torch(net.rnns[0].to_torch()),
            r"those of a part of it: module.rnns\[0\].load_torch\(state\)",
        ),
        (lambda net, state: net.load_torch({**state, "out.bias": np.ones(7)}), r"this Tagger: unknown out.bias$"),
        (lambda net, state: net.load_torch({**state, "out.weight": np.ones(7)}), r"out.weight has shape \(7,\)"),
    ],
)
def test_names_that_do_not_fit_are_told_with_the_call_that_would(load: Callable[..., Any], told: str) -> None:
    net = Tagger()
    before = net.state_dict()
    with pytest.raises((tg.GraphError, tg.ShapeError), match=told):
        load(net, net.to_torch())
    assert all(np.array_equal(value, before[key]) for key, value in net.state_dict().items())
