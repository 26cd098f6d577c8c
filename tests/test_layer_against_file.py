"""The equation file and the Python layer of a system say the same: every value and every gradient, to 1e-12.

`CASES` has one line for each file: a function that builds the layer, gives it the file's numbers, and answers with the
loss, the leaves by the file's symbols, and what the layer computed by the file's names. Columns of the file are rows of
the layer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import nn
from tinygrad_rnn.language import Model, Run
from tinygrad_rnn.models import names, resolve

T, BATCH = 6, 3

Place = str | tuple[Any, ...]


class Given:
    """The numbers of a file's run, as rows; the gradient of each leaf that is asked for is compared afterwards."""

    def __init__(self, model: Model, run: Run) -> None:
        self.model, self.run = model, run
        self.sizes = {name: size.rows for name, size in model.sizes.items()}
        self.leaves: dict[Place, tg.Tensor] = {}
        self.sources: dict[Place, list[Place]] = {}

    def _leaf(self, key: Place, value: np.ndarray, sources: list[Place]) -> tg.Tensor:
        if key not in self.leaves:
            self.leaves[key], self.sources[key] = tg.tensor(value), sources
        return self.leaves[key]

    def leaf(self, *place: Any) -> tg.Tensor:
        """A quantity of the file, such as ("h", 0), as a leaf (B, n)."""
        key = place if len(place) > 1 else place[0]
        return self._leaf(key, rows(self.run[key].value), [key])

    def sequence(self, symbol: str = "x", steps: Iterable[int] = range(1, T + 1)) -> tg.Tensor:
        """An input of the file as a leaf (T, B, n)."""
        places: list[Place] = [(symbol, t) for t in steps]
        return self._leaf(symbol, np.stack([rows(self.run[place].value) for place in places]), places)

    def grid(self, symbol: str, height: int, width: int) -> tg.Tensor:
        """An input of the file with two indices as a leaf (I, J, B, n)."""
        places: list[Place] = [(symbol, i, j) for i in range(1, height + 1) for j in range(1, width + 1)]
        found = np.stack([rows(self.run[place].value) for place in places])
        return self._leaf(symbol, found.reshape(height, width, *found.shape[1:]), places)

    def labels(self, *places: Any) -> np.ndarray:
        """Class numbers (T, B), of the steps 1 to T unless places are given."""
        wanted = places or [("y", t) for t in range(1, T + 1)]
        return np.stack([np.asarray(self.run[place].value).reshape(self.run.batch) for place in wanted]).astype(int)

    def start(self, *places: tuple[str, int]) -> Any:
        """Initial states as a layer takes them: (1, B, n) each, a tuple if there are several."""
        parts = tuple(np.expand_dims(self.leaf(*place), 0) for place in places)
        return parts if len(parts) > 1 else parts[0]

    def fill(self, module: nn.Module, rename: Mapping[str, str] | None = None) -> None:
        """Give each parameter of the layer the value of the file's parameter of the same name, or of its other name."""
        for p in module.parameters():
            symbol = (rename or {}).get(p.name, p.name)
            p.assign(np.asarray(self.run[symbol].value).reshape(p.shape))
            self.leaves[symbol], self.sources[symbol] = p, [symbol]

    def parameter(self, symbol: str) -> tg.Tensor:
        """A parameter of the file as a leaf of its own, a column as a vector: for a layer that keeps several in one."""
        value = np.asarray(self.run[symbol].value)
        return self._leaf(symbol, value.reshape(-1) if symbol[0] in "bc" else np.atleast_2d(value), [symbol])

    def expected_gradient(self, key: Place) -> np.ndarray:
        """The gradient of the file's loss, in the shape of the layer's leaf."""
        found = tg.gradients(self.run.loss, [self.run[place] for place in self.sources[key]])
        if key in self.run.parameters:
            return np.asarray(found[0]).reshape(self.leaves[key].shape)
        return np.stack([rows(g) for g in found]).reshape(self.leaves[key].shape)


def rows(column: Any) -> np.ndarray:
    """A column for each sample as a row for each sample."""
    return np.asarray(column).T


@dataclass
class Answer:
    """What a layer computed: the loss, and lists of nodes over the steps by the file's names."""

    loss: tg.Tensor
    values: dict[str, list[tg.Tensor]] = field(default_factory=dict)


Case = Callable[[Given], Answer]


def total(o: Any, y: np.ndarray) -> tg.Tensor:
    """The files' loss: the cross-entropies, summed over steps and samples."""
    return np.sum(tg.cross_entropy(o, y))


def layer(
    build: Callable[[dict[str, int]], nn.Recurrent],
    bias: str = "b_e",
    states: tuple[tuple[str, int], ...] = (("h", 0),),
    rename: Mapping[str, str] | None = None,
    named: Mapping[str, str | None] | None = None,
) -> Case:
    """A layer, and an output V h + bias at every step.

    `rename` maps the layer's symbols of parameters to the file's, `named` those of what it computes (None: not in the
    file).
    """

    def case(given: Given) -> Answer:
        recurrent = build(given.sizes)
        readout = nn.Linear(recurrent.output_size, 5, symbols=("V", bias))
        given.fill(recurrent, rename)
        given.fill(readout)
        output, _, trace = recurrent(given.sequence(), given.start(*states), trace=True)
        values = {(named or {}).get(name, name): nodes for name, nodes in trace.items() if name != "x"}
        return Answer(
            total(readout(output), given.labels()),
            {name: nodes for name, nodes in values.items() if name is not None and (name, 1) in given.run},
        )

    return case


def cell(make: Callable[[int, int], nn.Cell], **more: Any) -> Case:
    """A cell, run by `Recurrent`."""
    return layer(lambda n: nn.Recurrent(lambda d: make(d, _hidden(n)), n["x"]), **more)


def _hidden(sizes: dict[str, int]) -> int:
    return next(sizes[name] for name in ("m", "h", "mu", "s") if name in sizes)


HC = (("h", 0), ("c", 0))


def single_output(given: Given) -> Answer:
    net = nn.SingleOutput(nn.RNN(given.sizes["x"], given.sizes["h"]), nn.Linear(given.sizes["h"], 5))
    given.fill(net)
    o, _ = net(given.sequence(), given.start(("h", 0)))
    return Answer(total(o, given.labels(("y", T))[0]))


def output_to_hidden(given: Given) -> Answer:
    net = nn.OutputFeedback(given.sizes["x"], given.sizes["h"], given.sizes["o"])
    given.fill(net)
    output, _ = net(given.sequence(), given.leaf("o", 0))
    return Answer(total(output, given.labels()), {"o": [output[t] for t in range(T)]})


def taught(hidden_to_hidden: bool) -> Case:
    def case(given: Given) -> Answer:
        net = nn.OutputFeedback(given.sizes["x"], given.sizes["h"], given.sizes["o"], hidden_to_hidden)
        given.fill(net)
        before = np.eye(given.sizes["o"])[given.labels(("y", 0))[0]]
        state = (before, given.leaf("h", 0)) if hidden_to_hidden else before
        output, _ = net(given.sequence(), state, labels=given.labels())
        return Answer(total(output, given.labels()), {"o": [output[t] for t in range(T)]})

    return case


def scheduled_sampling(given: Given) -> Answer:
    n = given.sizes
    net = nn.OutputFeedback(n["x"], n["h"], n["o"], hidden_to_hidden=True, feedback="softmax")
    given.fill(net)
    before = np.eye(n["o"])[given.labels(("y", 0))[0]]
    nn.manual_seed(SEED)
    output, _ = net(given.sequence(), (before, given.leaf("h", 0)), labels=given.labels(), teacher=0.5)
    return Answer(total(output, given.labels()), {"o": [output[t] for t in range(T)]})


def switches() -> dict[tuple[str, int], np.ndarray]:
    """Which labels a layer takes that draws from this seed; the first step is given its label."""
    rng = nn.manual_seed(SEED)
    drawn = [(rng.random((BATCH, 1)) < 0.5).astype(float).T for _ in range(T - 1)]
    return {("s", t): s for t, s in enumerate([np.ones((1, BATCH)), *drawn], start=1)}


def stacked(given: Given) -> Answer:
    n = given.sizes
    net = nn.Stack(nn.RNN(n["x"], n["h"]), nn.RNN(n["h"], n["z"]))
    given.fill(net.layers[0], {symbol: f"{symbol}_h" for symbol in "WUb"})
    given.fill(net.layers[1], {symbol: f"{symbol}_z" for symbol in "WUb"})
    readout = nn.Linear(n["z"], n["o"])
    given.fill(readout)
    output, _ = net(given.sequence(), [given.start(("h", 0)), given.start(("z", 0))])
    return Answer(total(readout(output), given.labels()), {"z": [output[t] for t in range(T)]})


def bidirectional(given: Given) -> Answer:
    n = given.sizes
    net = nn.RNN(n["x"], n["h"], bidirectional=True)
    forwards, backwards = net.cells
    given.fill(forwards)
    given.fill(backwards, {symbol: f"{symbol}_g" for symbol in "WUb"})
    ahead, behind = nn.Linear(n["h"], n["o"]), nn.Linear(n["h"], n["o"], bias=False, symbols=("V_g", ""))
    given.fill(ahead)
    given.fill(behind)
    start = np.concatenate([given.start(("h", 0)), np.zeros((1, BATCH, n["h"]))])
    output, _, trace = net(given.sequence(), start, trace=True)
    o = ahead(output[..., : n["h"]]) + behind(output[..., n["h"] :])
    return Answer(total(o, given.labels()), {"h": trace["l0.h"], "g": trace["l0_reverse.h"]})


def clockwork(given: Given) -> Answer:
    n = given.sizes
    net = nn.Recurrent(lambda d: nn.ClockworkCell(d, (n["h_1"], n["h_2"]), periods=(1, 2)), n["x"])
    first = nn.Linear(n["h_1"], n["o"], symbols=("V_1", "c"))
    second = nn.Linear(n["h_2"], n["o"], bias=False, symbols=("V_2", ""))
    for module in (net, first, second):
        given.fill(module)
    output, _, trace = net(given.sequence(), given.start(("h_1", 0), ("h_2", 0)), trace=True)
    o = first(output[..., : n["h_1"]]) + second(output[..., n["h_1"] :])
    return Answer(total(o, given.labels()), {name: trace[name] for name in ("h_1", "h_2")})


def two_dimensional(given: Given) -> Answer:
    n, (height, width) = given.sizes, given.run.lengths.values()
    net = nn.RNN2d(n["x"], n["h_1"])
    heads = [nn.Linear(n["h_1"], n["o"], k == 1, (f"V_{k}", "c")) for k in range(1, 5)]
    for module in (net, *heads):
        given.fill(module)
    output, _ = net(given.grid("x", height, width))
    o = sum(head(output[..., k * n["h_1"] : (k + 1) * n["h_1"]]) for k, head in enumerate(heads))
    places = [("y", i, j) for i in range(1, height + 1) for j in range(1, width + 1)]
    return Answer(total(o, given.labels(*places).reshape(height, width, BATCH)))


def deep(skips: bool) -> Case:
    def case(given: Given) -> Answer:
        n = given.sizes
        net = nn.DeepRNN(n["x"], n["h"], n["o"], (n["u"],), (n["m"],), (n["q"],), skips)
        given.fill(net, {"b_u_1": "b_u", "b_m_1": "b_m", "b_q_1": "b_q"})
        output, _, trace = net(given.sequence(), given.start(("h", 0)), trace=True)
        values = {name: trace[name] for name in ("u", "m", "h")} | {"o": [output[t] for t in range(T)]}
        return Answer(total(output, given.labels()), values)

    return case


def autoregressive(
    build: Callable[[dict[str, int]], nn.Autoregressive], x: str = "", state: str = "h", source: bool = False
) -> Case:
    """A network that reads its own labels; the files' loss is the likelihood of y[1], ..., y[T] after y[0]."""

    def case(given: Given) -> Answer:
        net = build(given.sizes)
        given.fill(net)
        net.start = given.labels(("y", 0))[0]
        options = {"state": given.leaf(state, 0)} if state else {}
        if source:
            options |= {"x_state": given.leaf("h", 0)}
        lengths = given.run.lengths
        read = given.sequence("x", range(1, lengths["S"] + 1)) if source else given.leaf("x") if x else None
        y = given.labels()
        return Answer(
            -np.sum(net.log_likelihood(y, read, **options)), {"o": [turn.o for turn in net.given(y, read, **options)]}
        )

    return case


def end_symbol(given: Given) -> Answer:
    net = nn.EndSymbol(nn.GenerativeRNN(given.sizes["o"], given.sizes["h"]))
    given.fill(net)
    net.model.start = given.labels(("y", 0))[0]
    # a label before the end may be the end symbol's class in the file, never in the layer: the network itself takes it
    y = np.concatenate([given.labels(*[("y", t) for t in range(1, T)]), np.full((1, BATCH), net.end)])
    return Answer(-np.sum(net.model.log_likelihood(y, state=given.leaf("h", 0))))


def bernoulli_stop(given: Given) -> Answer:
    net = nn.BernoulliStop(nn.GenerativeRNN(given.sizes["o"], given.sizes["h"]))
    given.fill(net)
    net.model.start = given.labels(("y", 0))[0]
    return Answer(-np.sum(net.log_likelihood(given.labels(), state=given.leaf("h", 0))))


def predicted_length(given: Given) -> Answer:
    net = nn.PredictedLength(given.sizes["o"], given.sizes["h"])
    given.fill(net)
    net.start, h = given.labels(("y", 0))[0], given.leaf("h", 0)
    labels = sum(cross for cross in (np.sum(tg.cross_entropy(turn.o, turn.y)) for turn in net.given(
        given.labels(), state=h, lengths=np.full(BATCH, T))))  # fmt: skip
    return Answer(labels + 0.5 * np.sum(np.square(net.length(h, (BATCH,)) - float(T))))


def tree(build: Callable[[dict[str, int]], nn.TreeNetwork], by_nodes: bool) -> Case:
    """A network on the balanced tree, of which leaf n of the file is read in this order from left to right."""
    deepest = 1 << (T - 1).bit_length()
    order = [*range(deepest, 2 * T), *range(T, deepest)]

    def case(given: Given) -> Answer:
        net = build(given.sizes)
        given.fill(net)
        o = net(given.sequence("x", order), nn.balanced(T) if by_nodes else None)
        return Answer(total(o, given.labels("y")[0]))

    return case


def echo_state(given: Given) -> Answer:
    n = given.sizes
    net = nn.EchoState(n["x"], n["h"], n["o"], feedback_scale=1.0)
    given.fill(net)
    for fixed in ("W", "U", "F", "b", "alpha"):
        setattr(net, fixed, np.squeeze(np.asarray(given.run[fixed].value)))
    y = np.stack([rows(given.run["y", t].value) for t in range(1, T + 1)])
    o, _ = net(given.sequence(), y, (given.leaf("h", 0), rows(given.run["y", 0].value)))
    return Answer(0.5 * np.sum(np.square(o - y)), {"o": [o[t] for t in range(T)]})


def memory_network(given: Given) -> Answer:
    n, S = given.sizes, given.run.lengths["S"]
    net = nn.MemoryNetwork(n["x"], n["m"], n["u"], n["o"], hops=T)
    given.fill(net)
    q = [[np.ravel(given.run["q", t, s].value) for s in range(1, S + 1)] for t in range(1, T + 1)]
    loss = net.loss(given.leaf("x"), given.sequence("m", range(1, S + 1)), given.labels("y")[0], np.array(q))
    return Answer(np.sum(loss))


def ntm(given: Given) -> Answer:
    n, part = given.sizes, given.parameter
    net = nn.NTM(n["x"], n["h"], n["o"], cells=6, width=2, controller="rnn")
    net.controller.W, net.controller.b = part("W"), part("b")
    net.controller.U = np.concatenate([part("U"), part("R")], axis=1)
    for k in "kbgsy":  # of all heads: the one that writes, then the one that reads
        setattr(net, f"W_{k}", np.concatenate([part(f"W_{k}w"), part(f"W_{k}r")]))
        setattr(net, f"b_{k}", np.concatenate([part(f"b_{k}w"), part(f"b_{k}r")]))
    for symbol in ("W_e", "b_e", "W_a", "b_a", "V", "V_r", "c"):
        setattr(net, symbol, part(symbol))
    M = np.expand_dims(np.transpose(given.leaf("M", 0)), 0)
    w = np.stack([given.leaf("w_w", 0), given.leaf("w_r", 0)], axis=1)
    o, _, w = net(given.sequence(), nn.NTMState((given.leaf("h", 0),), given.leaf("r", 0), M, w), trace=True)
    weights = {name: [w[t, :, head] for t in range(T)] for head, name in enumerate(("w_w", "w_r"))}
    return Answer(total(o, given.labels()), {"o": [o[t] for t in range(T)], **weights})


PAST = (("h", 0), ("h", -1), ("h", -2))

CASES: dict[str, Case] = {
    "vanilla": layer(lambda n: nn.RNN(n["x"], n["h"]), "c"),
    "single_output": single_output,
    "output_to_hidden": output_to_hidden,
    "teacher_forcing": taught(hidden_to_hidden=False),
    "scheduled_sampling": scheduled_sampling,
    "conditional": taught(hidden_to_hidden=True),
    "lstm": layer(lambda n: nn.LSTM(n["x"], n["h"]), states=HC),
    "lstm_002": layer(
        lambda n: nn.LSTM(n["x"], n["h"]),
        states=HC,
        rename={f"{ours}_{k}": f"{theirs}{'c' if k == 'g' else k}" for k in "ifgo" for ours, theirs in
                (("W", "W_h"), ("U", "W_x"), ("b", "b_"))},
        named={"g": "c̃"},
    ),
    "lstm_003": layer(lambda n: nn.LSTM(n["x"], n["h"], concatenated=True), states=(("h", 0), ("C", 0))),
    "lstm_004": layer(
        lambda n: nn.LSTM(n["x"], n["h"]),
        "c",
        states=(("h", 0), ("C", 0)),
        rename={f"{w}_i": f"{w}_g" for w in "WUb"} | {f"{w}_g": w for w in "WUb"},
        named={"i": "g", "g": None, "o": "q", "c": "C"},
    ),
    "lstm_1997": layer(lambda n: nn.LSTM(n["x"], n["h"], forget_gate=False), states=HC),
    "lstm_projection": layer(lambda n: nn.LSTM(n["x"], n["m"], proj_size=n["h"]), states=HC),
    "peephole": layer(lambda n: nn.LSTM(n["x"], n["h"], peephole=True), states=HC),
    "coupled": layer(lambda n: nn.LSTM(n["x"], n["h"], coupled=True), states=HC),
    "gru": layer(lambda n: nn.GRU(n["x"], n["h"], reset_after=False)),
    "gru_z_new": layer(lambda n: nn.GRU(n["x"], n["h"], reset_after=False, z_keeps=False)),
    "gru_after": layer(lambda n: nn.GRU(n["x"], n["h"])),
    "gru_after_z_new": layer(lambda n: nn.GRU(n["x"], n["h"], z_keeps=False)),
    "leaky": cell(nn.LeakyCell, bias="c", states=(("mu", 0),)),
    "leaky_tau": cell(lambda d, h: nn.TauCell(d, h, tau=[2.0] * h), bias="c", states=(("s", 0),)),
    "delay": cell(lambda d, h: nn.DelayCell(d, h, delay=3), bias="c", states=PAST),
    "deleted": cell(lambda d, h: nn.DelayCell(d, h, delay=3, short=False), bias="c", states=PAST),
    "clockwork": clockwork,
    "stacked": stacked,
    "bidirectional": bidirectional,
    "two_dimensional": two_dimensional,
    "deep_transition": deep(skips=False),
    "deep_transition_skip": deep(skips=True),
    "generative": autoregressive(lambda n: nn.GenerativeRNN(n["o"], n["h"])),
    "vector_input": autoregressive(lambda n: nn.VectorRNN(n["o"], n["h"], n["x"]), "x"),
    "vector_initial": autoregressive(lambda n: nn.VectorRNN(n["o"], n["h"], vector="initial"), "x", state=""),
    "vector_both": autoregressive(lambda n: nn.VectorRNN(n["o"], n["h"], vector="both"), "x", state=""),
    "end_symbol": end_symbol,
    "bernoulli_stop": bernoulli_stop,
    "predicted_length": predicted_length,
    "encoder_decoder": autoregressive(
        lambda n: nn.EncoderDecoder(n["x"], n["h"], n["o"], n["g"]), state="g", source=True),
    "encoder_decoder_initial": autoregressive(
        lambda n: nn.EncoderDecoder(n["x"], n["h"], n["o"], context="initial"), state="", source=True),
    "encoder_decoder_both": autoregressive(
        lambda n: nn.EncoderDecoder(n["x"], n["h"], n["o"], context="both"), state="", source=True),
    "attention": autoregressive(
        lambda n: nn.AttentionDecoder(n["x"], n["h"], n["o"], n["g"], attention_size=n["m"]), state="g", source=True),
    "attention_dot": autoregressive(
        lambda n: nn.AttentionDecoder(n["x"], n["h"], n["o"], attention="dot"), state="g", source=True),
    "recursive": tree(lambda n: nn.RecursiveNet(n["x"], n["h"], n["o"]), by_nodes=False),
    "treelstm": tree(lambda n: nn.TreeLSTM(n["x"], n["h"], n["e"]), by_nodes=True),
    "echo_state": echo_state,
    "memory_network": memory_network,
    "ntm": ntm,
}  # fmt: skip
#: changes to a file's text before it is read: torch's two directions have states of one size
EDITS = {"bidirectional": ("g = 6", "g = 4")}

#: files that are run for one sample: a state is a matrix
SAMPLES = {"ntm": 1}
#: inputs of a file that a layer draws for itself
SEED = 11
VALUES = {"scheduled_sampling": switches}


def given_by(file: str) -> Given:
    text = resolve(file).read_text(encoding="utf-8").partition("\ngradients:")[0]
    old, new = EDITS.get(file, ("", ""))
    model = tg.load(text.replace(old, new) if old else text)
    values = VALUES[file]() if file in VALUES else None
    return Given(model, model.unroll(T, seed=3, batch=SAMPLES.get(file, BATCH), values=values))


@pytest.mark.slow
@pytest.mark.parametrize("file", CASES)
def test_layer_equals_equation_file(file):
    given = given_by(file)
    answer, run = CASES[file](given), given.run
    np.testing.assert_allclose(answer.loss.item(), run.loss.item(), rtol=1e-12)
    for name, nodes in answer.values.items():
        for t, node in enumerate(nodes, start=1):
            np.testing.assert_allclose(
                node.value, rows(run[name, t].value), rtol=1e-12, atol=1e-12, err_msg=f"{name}[{t}]"
            )
    assert set(run.parameters) <= given.leaves.keys(), "every parameter of the file has its place in the layer"
    ours = tg.gradients(answer.loss, given.leaves)
    for key, gradient in ours.items():
        theirs = given.expected_gradient(key)
        np.testing.assert_allclose(gradient, theirs, rtol=1e-12, atol=1e-12, err_msg=f"gradient of {key}")


def test_every_shipped_file_has_a_layer():
    assert set(CASES) == set(names())
