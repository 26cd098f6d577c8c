"""Folding: steps that are the same are found to be, whatever the length, and steps that differ are named."""

from __future__ import annotations

import re
import time

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import tinygrad_rnn as tg
from tests.sweep import examples, sample
from tinygrad_rnn import models
from tinygrad_rnn.core.errors import FoldError
from tinygrad_rnn.core.loop.components import components
from tinygrad_rnn.core.loop.fold import fold
from tinygrad_rnn.core.loop.interpreter import Interpreter
from tinygrad_rnn.core.loop.unfold import unfold
from tinygrad_rnn.language import load

from .shipped import FOLDED

RECORDED = 13  # steps; more than the ends take that the longest delay leaves, forward and backward


# -- the nets: each builds a loss over T steps from parameters and inputs that depend on the step alone ---------------
def parameter(name, *shape):
    return tg.tensor(np.random.default_rng([1, *name.encode()]).normal(size=shape) * 0.6, name=name)


def given_at(name, t, *shape):
    value = np.random.default_rng([2, t, *name.encode()]).normal(size=shape)
    return tg.tensor(value, name=name, requires_grad=False)


def rnn(T):
    W, U, h, total = parameter("W", 4, 4), parameter("U", 4, 3), np.zeros(4), 0.0
    for t in tg.steps(T):
        h = tg.name("h", np.tanh(W @ h + U @ given_at("x", t, 3)))
        total = total + np.sum(h * h)
    return total


def lstm(T):
    W = {gate: parameter(f"W_{gate}", 4, 4) for gate in "ifgo"}
    U = {gate: parameter(f"U_{gate}", 4, 3) for gate in "ifgo"}
    h, c, total = np.zeros(4), np.zeros(4), 0.0
    for t in tg.steps(T):
        x = given_at("x", t, 3)
        i, f, o = (tg.name(gate, tg.sigmoid(W[gate] @ h + U[gate] @ x)) for gate in "ifo")
        g = tg.name("g", np.tanh(W["g"] @ h + U["g"] @ x))
        c = tg.name("c", f * c + i * g)
        h = tg.name("h", o * np.tanh(c))
        total = total + np.sum((h - given_at("y", t, 4)) ** 2)
    return total


def stacked(T):
    W1, W2, V = parameter("W1", 4, 4), parameter("W2", 5, 5), parameter("V", 5, 4)
    h, s = parameter("h0", 4), np.zeros(5)
    losses = []
    for t in tg.steps(T):
        h = tg.name("h", np.tanh(W1 @ h + given_at("x", t, 4)))
        with tg.scope("upper"):
            s = tg.name("h", np.tanh(W2 @ s + V @ h))
        losses.append(np.sum(s))
    return tg.add_n(losses)


def bidirectional(T):
    W, R, V = parameter("W", 4, 4), parameter("R", 4, 4), parameter("V", 2, 4)
    xs, h, g, hs, gs, losses = [], np.zeros(4), np.zeros(4), [], [], []
    for t in tg.steps(T):
        xs.append(given_at("x", t, 4))
        h = tg.name("h", np.tanh(W @ h + xs[t]))
        hs.append(h)
    for t in tg.steps(T - 1, -1, -1):
        g = tg.name("g", np.tanh(R @ g + xs[t]))
        gs.insert(0, g)
    for t in tg.steps(T):
        losses.append(np.sum(np.tanh(V @ (hs[t] + gs[t]))))
    return sum(losses) * 0.5


def skip(T):
    W, S, hs, total = parameter("W", 4, 4), parameter("S", 4, 4), [np.zeros(4)] * 3, 0.0
    for t in tg.steps(T):
        hs.append(tg.name("h", np.tanh(W @ hs[-1] + S @ hs[-3] + given_at("x", t, 4))))
        total = total + np.sum(hs[-1])
    return total


def output_to_hidden(T):
    W, V, o, losses = parameter("W", 4, 2), parameter("V", 2, 4), tg.tensor(np.ones(2), name="o0"), []
    for t in tg.steps(T):
        h = tg.name("h", np.tanh(W @ o + given_at("x", t, 4)))
        o = tg.name("o", V @ h)
        losses.append(tg.cross_entropy(o, tg.tensor(t % 2, name="y", requires_grad=False)))
    return sum(losses)


def read_off_the_end(T):
    W, h = parameter("W", 4, 4), np.zeros(4)
    for t in tg.steps(T):
        h = tg.name("h", np.tanh(W @ h + given_at("x", t, 4)))
    return tg.name("L", np.sum(h**2))


def loss_in_the_last_step(T):
    W, h, loss = parameter("W", 4, 4), np.zeros(4), None
    for t in tg.steps(T):
        h = tg.name("h", np.tanh(W @ h + given_at("x", t, 4)))
        if t == T - 1:
            loss = tg.name("L", np.sum((h - given_at("y", t, 4)) ** 2))
    return loss


def without_inputs(T):
    W, h = parameter("W", 4, 4), parameter("h0", 4)
    for _ in tg.steps(T):
        h = tg.name("h", np.tanh(W @ h))
    return np.sum(h)


def one_input_for_all_steps(T):
    W, x, h, total = parameter("W", 4, 4), given_at("x", 0, 4), np.zeros(4), 0.0
    once = tg.tensor(np.arange(4.0), requires_grad=False)
    for _ in tg.steps(T):
        h = tg.name("h", np.tanh(W @ h + x * once))
        total = total + np.sum(h)
    return total


def input_at_the_first_step_only(T):
    W, h = parameter("W", 4, 4), None
    for t in tg.steps(T):
        h = tg.name("h", np.tanh(given_at("x", 0, 4) if t == 0 else W @ h))
    return np.sum(h)


def first_state_read_by_all_steps(T):
    W, h, total = parameter("W", 4, 4), parameter("h0", 4), 0.0
    with tg.step(0):
        h = first = tg.name("h", np.tanh(h))
    for _ in tg.steps(1, T):
        h = tg.name("h", np.tanh(W @ h + first))
        total = total + np.sum(h)
    return total


def lookahead(T):
    W, h, losses = parameter("W", 4, 4), np.zeros(4), []
    xs = [given_at("x", t, 4) for t in tg.steps(T + 1)]
    for t in tg.steps(T):
        h = tg.name("h", np.tanh(W @ h + xs[t] * xs[t + 1]))
        losses.append(np.sum(h))
    return tg.add_n(losses[::-1])


def encoder_decoder(T):
    W, R, h, s, total = parameter("W", 4, 4), parameter("R", 4, 4), np.zeros(4), np.zeros(4), 0.0
    with tg.scope("encoder"):
        for t in tg.steps(T):
            h = tg.name("h", np.tanh(W @ h + given_at("x", t, 4)))
    with tg.scope("decoder"):
        for t in tg.steps(T):
            s = tg.name("h", np.tanh(R @ s + h + given_at("x", t, 4)))
            total = total + np.sum(s)
    return total


def losses_outside(T):
    W, hs = parameter("W", 4, 4), [parameter("h0", 4)]
    for t in tg.steps(T):
        hs.append(tg.name("h", np.tanh(W @ hs[-1] + given_at("x", t, 4))))
    return sum(np.sum(h * h) for h in hs[1:]) / 2.0


def scalar(T):
    w, u, h, total = tg.tensor(0.8, name="w"), tg.tensor(-0.3, name="u"), 0.0, 0.0
    for t in tg.steps(T):
        h = tg.name("h", np.tanh(w * h + u * tg.tensor(0.1 * t, name="x", requires_grad=False)))
        total = total + h**3
    return total


def from_equations(text):
    model = load(text)
    return lambda T: model.unroll(T).loss


RIGHT_TO_LEFT = (
    "sizes: x = 2, g = 3\na[t] = b + U @ x[t]\ng[t] = tanh(R @ g[t+1] + a[t])\ng[T+1] = 0\nL = sum(t, sum(g[t]))"
)
DELAY_3 = "sizes: h = 3\nh[t] = tanh(W @ h[t-1] + S @ h[t-3] + x[t])\nL = sum(h[T])"
BOTH = (
    "sizes: x = 2, h = 3, g = 3\nh[t] = tanh(W @ h[t-1] + U @ x[t])\ng[t] = tanh(R @ g[t+1] + Q @ x[t])\ng[T+1] = 0\n"
    "L[t] = sum(h[t] * g[t])\nL = sum(t, L[t])"
)
NETS = {
    f.__name__: f
    for f in (
        rnn,
        lstm,
        stacked,
        bidirectional,
        skip,
        output_to_hidden,
        read_off_the_end,
        loss_in_the_last_step,
        without_inputs,
        one_input_for_all_steps,
        input_at_the_first_step_only,
        first_state_read_by_all_steps,
        lookahead,
        encoder_decoder,
        losses_outside,
        scalar,
    )
} | {
    **{f"{name}.rnn": from_equations(models.resolve(name)) for name in FOLDED},
    "right to left": from_equations(RIGHT_TO_LEFT),
    "delay 3": from_equations(DELAY_3),
    "both ways": from_equations(BOTH),
}


# -- the passes over a net --------------------------------------------------------------------------------------------
def forward(loss):
    return tg.Graph(loss)


def backward(loss):
    parameters = tg.Graph(loss).parameters
    return tg.Graph([loss, *tg.gradients(loss, list(parameters), create_graph=True)])


def backward_twice(loss):
    parameters = list(tg.Graph(loss).parameters)
    total = tg.add_n([np.sum(g * g) for g in tg.gradients(loss, parameters, create_graph=True)])
    return tg.Graph(tg.gradients(total, parameters, create_graph=True))


PASSES = {"forward": forward, "backward": backward}
CASES = [(net, way) for net in NETS for way in PASSES]
#: nets in which T itself is a number of the graph, or which hold a second sequence of another length, or what is drawn
#: anew for each length without belonging to a step
OF_ONE_LENGTH = {"predicted_length.rnn", *(f"{name}.rnn" for name in FOLDED if name.startswith("encoder_decoder"))} | {
    f"{name}.rnn" for name in FOLDED if (document := load(models.resolve(name)).document).inputs or document.fixed
}
OF_ANY_LENGTH = [(net, way) for net, way in CASES if net not in OF_ONE_LENGTH]


def record(net, way, T):
    return PASSES[way](NETS[net](T))


def is_constant(node):
    return node.op is None and node.name is None and not node.requires_grad


def assert_isomorphic(one, other):
    """The same operations on the same values, node for node; unnamed constants count as values."""
    assert len(one.outputs) == len(other.outputs)
    partner = {}
    back = {}
    stack = list(zip(one.outputs, other.outputs, strict=True))
    while stack:
        a, b = stack.pop()
        if a.id in partner and not is_constant(a):
            assert partner[a.id] == b.id, "a node shared by two uses in one graph is two nodes in the other"
            continue
        assert (a.op, a.name, a.requires_grad) == (b.op, b.name, b.requires_grad)
        assert is_constant(a) or a.scope.step == b.scope.step
        assert is_constant(a) or [s.label for s in a.scope.path] == [s.label for s in b.scope.path]
        assert (a.params or {}).keys() == (b.params or {}).keys()
        assert all(np.array_equal(a.params[key], b.params[key]) for key in a.params or {})
        assert (a.shape, a.dtype, type(a.value)) == (b.shape, b.dtype, type(b.value))
        np.testing.assert_allclose(a.value, b.value, rtol=1e-12, atol=1e-14)
        assert is_constant(a) or b.id not in back, "two nodes of one graph are one node in the other"
        partner[a.id], back[b.id] = b.id, a.id
        stack.extend(zip(a.inputs, b.inputs, strict=True))


def values_of(graph):
    return {
        (leaf.name, leaf.scope.step): leaf.value for leaf in graph.leaves if leaf.name and leaf.scope.step is not None
    }


# -- unfolding what was folded ----------------------------------------------------------------------------------------
@pytest.mark.slow
@pytest.mark.parametrize(("net", "way"), sample(CASES, 40, "unfolding gives the graph back"))
def test_unfolding_a_fold_gives_the_graph_back(net, way):
    graph = record(net, way, RECORDED)
    recurrence = fold(graph)
    again = unfold(recurrence, recurrence.T)
    assert_isomorphic(graph, again)
    assert str(fold(again)) == str(recurrence)


@pytest.mark.slow
@pytest.mark.parametrize("net", NETS)
def test_a_folded_program_means_the_values_of_its_graph(net):
    graph = record(net, "backward", RECORDED)
    program = fold(graph)
    count = program.T - program.ends
    steps = range(program.start, program.start + len(program.first) + count + len(program.last))
    run = Interpreter({i.name: [i.values.get(step) for step in steps] for i in program.inputs}, len(steps), count)
    for node, output in zip(program.outputs, graph.outputs, strict=True):
        np.testing.assert_allclose(run(node), output.value, rtol=1e-12, atol=1e-14)


def test_scalars_are_recomputed_to_the_last_bit():
    graph = record("scalar", "backward", 200)
    again = unfold(fold(graph), 200)
    assert [output.value for output in again.outputs] == [output.value for output in graph.outputs]


@pytest.mark.slow
@settings(max_examples=examples(15, 80), deadline=None)
@given(case=st.sampled_from(OF_ANY_LENGTH), T=st.integers(2, 17))  # a sum over one step is recorded as the step itself
def test_unfolding_to_any_length_equals_the_net_run_for_that_length(case, T):
    recurrence = fold(record(*case, RECORDED))
    assume(recurrence.ends < T)
    fresh = record(*case, T)
    assert_isomorphic(fresh, unfold(recurrence, T, values_of(fresh)))


@pytest.mark.slow
@pytest.mark.parametrize(("net", "way"), sample(OF_ANY_LENGTH, 40, "independent of the length"))
def test_what_fold_finds_is_independent_of_the_length(net, way):
    assert str(fold(record(net, way, RECORDED))) == str(fold(record(net, way, RECORDED + 5)))


@pytest.mark.slow
@pytest.mark.parametrize("net", ["rnn", "lstm", "bidirectional", "skip", "vanilla.rnn"])
def test_a_second_derivative_folds_too(net):
    graph = backward_twice(NETS[net](20))
    longer = backward_twice(NETS[net](23))
    assert_isomorphic(longer, unfold(fold(graph), 23, values_of(longer)))


# -- what is found ----------------------------------------------------------------------------------------------------
def carried(recurrence):
    return {(c.name, c.shift) for c in recurrence.carry}


@pytest.mark.parametrize(
    ("net", "carries"),
    [
        ("vanilla.rnn", {("h", -1)}),
        ("lstm.rnn", {("h", -1), ("c", -1)}),
        ("gru.rnn", {("h", -1)}),
        ("skip", {("h", -1), ("h", -3), ("v7", -1)}),  # v7 is the loss so far
        ("output_to_hidden", {("o", -1), ("v7", -1)}),
        ("right to left", {("g", 1)}),
        ("both ways", {("h", -1), ("g", 1)}),
        ("without_inputs", {("h", -1)}),
        ("delay 3", {("h", -1), ("h", -3)}),
    ],
)
def test_carries_are_what_one_step_takes_from_another(net, carries):
    assert carried(fold(record(net, "forward", RECORDED))) == carries


def test_initial_states_are_named_values_or_constants():
    assert "carry: h[t-1], at the start h[0]" in str(fold(record("vanilla.rnn", "forward", 5)))
    assert "carry: c[t-1], at the start 0.0 of shape (4,)" in str(fold(record("lstm", "forward", 5)))
    assert "carry: h[t-1], at the start h0" in str(fold(record("without_inputs", "forward", 5)))
    assert "carry: h[t-3], at the start h[-2], h[-1], h[0]" in str(fold(record("delay 3", "forward", 8)))


def test_inputs_keep_their_recorded_values_by_step():
    graph = record("rnn", "forward", 5)
    (x,) = fold(graph).inputs
    assert (x.name, sorted(x.values)) == ("x", [0, 1, 2, 3, 4])
    np.testing.assert_array_equal(x.values[3], graph["x", 3].value)


@settings(deadline=None)
@given(st.lists(st.lists(st.integers(0, 7), max_size=4), min_size=8, max_size=8))
def test_components_are_the_classes_of_mutual_reachability(reads):
    reach = np.eye(8, dtype=bool)
    for p, targets in enumerate(reads):
        reach[p, targets] = True
    for _ in range(3):
        reach = reach @ reach
    found = components(dict(enumerate(reads)))
    assert sorted(p for component in found for p in component) == list(range(8))
    for i, component in enumerate(found):
        assert all((reach[p, q] and reach[q, p]) == (q in component) for p in component for q in range(8))
        assert not any(reach[p, q] for p in component for later in found[i + 1 :] for q in later)


def test_printed_it_reads_like_code():
    W, h = tg.tensor(np.eye(2), name="W"), np.zeros(2)
    for _ in tg.steps(1, 6):
        x = tg.tensor(np.ones(2), name="x", requires_grad=False)
        h = tg.name("h", np.tanh(W @ h + x))
    assert str(fold(tg.Graph(tg.name("L", np.sum(h))))).splitlines() == [
        "recurrence over t = 1 .. T",
        "parameters: W (2, 2)",
        "inputs: x[t]",
        "carry: h[t-1], at the start 0.0 of shape (2,)",
        "for t = 1 .. T:",
        "    x[t] is given",
        "    v1 = W @ h[t-1]",
        "    v2 = v1 + x[t]",
        "    h[t] = tanh(v2)",
        "after:",
        "    L = sum(h[T])",
        "outputs: L",
    ]


@pytest.mark.slow
@pytest.mark.parametrize("way", sample(list(PASSES), 1, "ten thousand", always=["backward"]))
def test_ten_thousand_steps_take_seconds_and_no_recursion(way):
    graph = record("scalar", way, 10_000)
    before = time.perf_counter()
    recurrence = fold(graph)
    assert time.perf_counter() - before < 5.0
    assert len(unfold(recurrence, 10_000)) >= len(graph)


# -- steps that are not the same step ---------------------------------------------------------------------------------
def loop(change, T=8):
    """h[t] = tanh(0.4 * h[t-1] + x[t]), where `change(t, h)` may give another value for 0.4 * h[t-1]."""
    h = tg.tensor(np.ones(3), name="h0")
    hs = [h, h]
    for t in tg.steps(T):
        x = tg.tensor(np.full(3, 0.1 * t), name="x", requires_grad=False)
        inner = change(t, hs)
        hs.append(tg.name("h", np.tanh(inner + x)))
    return tg.Graph(tg.add_n(hs[2:]))


def random_mask(t, hs):
    return hs[-1] * np.random.default_rng(t).random(3)


UNNAMED = (
    "an unnamed array of shape (3,) has other values at each step; name it inside the step, "
    'as in tg.tensor(x, name="x", requires_grad=False), and it becomes an input'
)
CONDITION = "its condition, a static array, has other values at each step; compute with a named 0/1 tensor instead"

WRONG_LOOPS = {
    "a constant": (
        lambda t, hs: hs[-1] * (0.5 if t == 3 else 0.4),
        (3, "h/tanh/add/multiply", "constant 0.5 against 0.4"),
    ),
    "even and odd": (
        lambda t, hs: hs[-1] * (0.5 if t % 2 else 0.4),
        (3, "h/tanh/add/multiply", "constant 0.5 against 0.4"),
    ),
    "an operation": (
        lambda t, hs: hs[-1] / 2.0 if t == 4 else hs[-1] * 2.0,
        (4, "h/tanh/add", "divide against multiply"),
    ),
    "one more operation": (
        lambda t, hs: (-hs[-1] if t == 3 else hs[-1]) * 2.0,
        (3, "h/tanh/add/multiply", "negative against multiply, 5 nodes against 4"),
    ),
    "a delay": (
        lambda t, hs: hs[-2 if t == 4 else -1] * 2.0,
        (4, "h/tanh/add/multiply", "h[t-2] against h[t-1]"),
    ),
    "what is read": (
        lambda t, hs: (hs[0] if t == 4 else hs[-1]) * 2.0,
        (4, "h/tanh/add/multiply", "h0 against h[t-1]"),
    ),
    "an axis": (
        lambda t, hs: np.sum(np.outer(hs[-1], hs[-1]), axis=t % 2),
        (3, "h/tanh/add/sum", "axis = 1 against 0"),
    ),
    "a name": (
        lambda t, hs: tg.name("g" if t == 3 else "f", hs[-1] * 2.0),
        (3, "g/multiply", "the name g against f"),
    ),
    "a label": (
        lambda t, hs: labelled("odd" if t == 3 else "even", hs[-1]),
        (3, "h/tanh/add/multiply", "recorded at t=3, odd against t=2, even"),
    ),
    "a mask": (random_mask, (3, "h/tanh/add/multiply", UNNAMED)),
    "a condition": (
        lambda t, hs: np.where(np.arange(3) == t % 3, hs[-1], 0.0),
        (3, "h/tanh/add/where", CONDITION),
    ),
    "growing memory": (
        lambda t, hs: tg.add_n(hs[1:]),
        (3, "h/tanh/add/add_n", "4 inputs against 3"),
    ),
}


def labelled(label, h):
    with tg.scope(label):
        return h * 2.0


@pytest.mark.parametrize("kind", WRONG_LOOPS)
def test_the_first_step_that_differs_is_named_with_the_path_to_it(kind):
    change, (step, path, what) = WRONG_LOOPS[kind]
    with pytest.raises(FoldError) as caught:
        fold(loop(change))
    assert str(caught.value).startswith(f"step {step} differs from step {step - 1} at {path}: {what}")


def test_work_prepared_outside_for_some_steps_only_is_named():
    u = tg.tensor(2.0, name="u")
    ready = [u * np.full(3, float(t)) for t in range(3, 6)]
    with pytest.raises(FoldError, match=r"^step 3 differs from step 2 at h/tanh/add: multiply against h0"):
        fold(loop(lambda t, hs: ready[t - 3] if 3 <= t < 6 else hs[0]))


def test_a_named_mask_is_an_input():
    def drop(t, hs):
        mask = (np.random.default_rng(t).random(3) < 0.5).astype(float)
        return hs[-1] * tg.tensor(mask, name="mask", requires_grad=False)

    assert [i.name for i in fold(loop(drop)).inputs] == ["x", "mask"]


def test_the_same_array_at_every_step_is_a_constant():
    graph = loop(lambda t, hs: hs[-1] * np.array([1.0, 0.0, 1.0]))
    assert "v1 = h[t-1] * array of shape (3,)" in str(fold(graph))


def test_a_state_that_starts_differently_for_two_readers_makes_the_first_step_different():
    w, h = tg.tensor(0.5, name="w"), None
    for _ in tg.steps(5):
        h = tg.name("h", w * 2.0 + 3.0 * w if h is None else w * h + h * w)
    recurrence = fold(tg.Graph(h))
    assert len(recurrence.first) == 1 and unfold(recurrence, 5).outputs[0].item() == h.item()


def test_two_steps_that_differ_are_too_few_to_fold():
    with pytest.raises(FoldError, match=r"^1 step is too few to tell the ends of the sequence from its middle"):
        fold(record("rnn", "forward", 1))
    with pytest.raises(FoldError, match=r"3 steps are too few to tell .* unroll 6 or more"):
        fold(record("rnn", "backward", 3))


# -- graphs that are something else -----------------------------------------------------------------------------------
def test_a_graph_without_steps_says_so():
    with pytest.raises(
        FoldError, match=r"nothing in this graph belongs to a time step: run its loop as `for t in tg\.steps"
    ):
        fold(tg.Graph(tg.tensor(1.0) * 2.0))


def grid(paths):
    w, made = tg.tensor(0.5, name="w"), []
    for path in paths:
        with tg.step(path):
            made.append(tg.name("h", w * (made[-1] if made else 1.0)))
    return tg.Graph(made[-1])


def test_a_net_of_two_dimensions_and_a_tree_say_what_they_are():
    with pytest.raises(
        FoldError, match=re.escape("this graph is a 2-D net, indexed by (0, 0), (0, 1), (1, 0): it has no single time")
    ):
        fold(grid([(0, 0), (0, 1), (1, 0), (1, 1)]))
    with pytest.raises(
        FoldError,
        match=re.escape("this graph is a tree, indexed by paths such as (), (0,), (1,): it has no single time"),
    ):
        fold(grid([(0,), (1,), ()]))


def test_steps_within_steps_and_gaps_are_named():
    w, h = tg.tensor(0.5, name="w"), tg.tensor(1.0, name="h0")
    for _ in tg.steps(3):
        for _ in tg.steps(2):
            h = w * h
    with pytest.raises(FoldError, match="steps within steps, as at t=0, t=0: give the inner loop labels"):
        fold(tg.Graph(h))
    for t in (0, 1, 3):
        with tg.step(t):
            h = w * h.detach()
    with tg.step(1):
        early = w * 2.0
    with tg.step(4):
        late = w * early
    with pytest.raises(FoldError, match="the steps run from 1 to 4, but nothing of step 2 leads to the outputs"):
        fold(tg.Graph(late))


def test_two_leaves_of_one_name_in_a_step_are_refused():
    graph = loop(lambda t, hs: hs[-1] * tg.tensor(np.ones(3), name="x", requires_grad=False))
    with pytest.raises(FoldError, match="two leaves are called x at step 0"):
        fold(graph)


# -- unfolding refuses ------------------------------------------------------------------------------------------------
def test_unfolding_names_the_leaf_without_a_value_and_the_unknown_name():
    recurrence = fold(record("rnn", "forward", 4))
    with pytest.raises(
        tg.GraphError, match=re.escape("x has no recorded value at step 4: give one, as values={('x', 4): ...}")
    ):
        unfold(recurrence, 5)
    assert len(unfold(recurrence, 5, {("x", 4): np.ones(3)})) > 0
    with pytest.raises(tg.GraphError, match="values: no leaf of a step is called X"):
        unfold(recurrence, 4, {("X", 1): np.ones(3)})


def test_unfolding_below_the_ends_says_how_many_steps_it_takes():
    with pytest.raises(tg.GraphError, match="T = 2 is too short: 2 steps at the ends differ from the rest, so T >= 3"):
        unfold(fold(record("rnn", "backward", 8)), 2)


def test_a_leaf_of_one_scope_is_given_by_its_full_name():
    fresh = record("encoder_decoder", "forward", 7)
    values = {
        (f"{leaf.scope.path[0].label}.x", leaf.scope.step): leaf.value for leaf in fresh.leaves if leaf.name == "x"
    }
    assert_isomorphic(fresh, unfold(fold(record("encoder_decoder", "forward", 5)), 7, values))
