"""What a picture contains: nodes, edges, roles, columns and parameters, before anything has a place."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn.drawing.picture import Picture
from tinygrad_rnn.drawing.view.options import view

RNG = np.random.default_rng(0)


# -- networks (the other drawing tests use them too) -------------------------------------------------------------------
def parameter(name, *shape):
    return tg.tensor(RNG.normal(size=shape) * 0.5, name=name)


def data(name, *shape):
    return tg.tensor(RNG.normal(size=shape), name=name, requires_grad=False)


def target():
    return tg.tensor(np.array([1]), name="y", requires_grad=False)


def vanilla(T=4, chained=False, root_state=False):
    """The Deep Learning book's network with named pre-activation."""
    U, W, V = parameter("U", 4, 3), parameter("W", 4, 4), parameter("V", 5, 4)
    b, c = parameter("b", 4, 1), parameter("c", 5, 1)
    if root_state:
        h = parameter("h0", 4, 1)
    else:
        with tg.step(0):
            h = parameter("h", 4, 1)
    losses = []
    for _ in tg.steps(1, T + 1):
        x, y = data("x", 3, 1), target()
        a = tg.name("a", b + W @ h + U @ x)
        h = tg.name("h", np.tanh(a))
        o = tg.name("o", c + V @ h)
        losses.append(tg.name("L", tg.cross_entropy(o, y, axis=0)))
    total = losses[0]
    for loss in losses[1:]:
        total = total + loss
    return tg.Graph(tg.name("L", total if chained else tg.add_n(losses)))


def lstm(T=3):
    gates = {k: (parameter(f"W_{k}", 4, 4), parameter(f"U_{k}", 4, 3), parameter(f"b_{k}", 4, 1)) for k in "ifgo"}
    V = parameter("V", 5, 4)
    with tg.step(0):
        h, c = parameter("h", 4, 1), parameter("c", 4, 1)
    losses = []
    for _ in tg.steps(1, T + 1):
        x = data("x", 3, 1)
        i, f, g, o = (
            tg.name(k, (np.tanh if k == "g" else tg.sigmoid)(b + W @ h + U @ x)) for k, (W, U, b) in gates.items()
        )
        c = tg.name("c", f * c + i * g)
        h = tg.name("h", o * np.tanh(c))
        losses.append(tg.name("L", tg.cross_entropy(tg.name("e", V @ h), target(), axis=0)))
    return tg.Graph(tg.name("L", tg.add_n(losses)))


def gru(T=3):
    gates = {k: (parameter(f"W_{k}", 4, 4), parameter(f"U_{k}", 4, 3)) for k in "zrn"}
    with tg.step(0):
        h = parameter("h", 4, 1)
    for _ in tg.steps(1, T + 1):
        x = data("x", 3, 1)
        z, r = (tg.name(k, tg.sigmoid(tg.name(f"a_{k}", gates[k][0] @ h + gates[k][1] @ x))) for k in "zr")
        n = tg.name("n", np.tanh(tg.name("a_n", gates["n"][0] @ (r * h) + gates["n"][1] @ x)))
        h = tg.name("h", (1 - z) * n + z * h)
    return tg.Graph(h)


def attention(T=3):
    """Every decoder step reads every state of the encoder."""
    W, R, A, E = parameter("W", 4, 4), parameter("R", 4, 4), parameter("A", 4, 4), parameter("E", 4, 4)
    states, losses = [], []
    with tg.scope("encoder"):
        with tg.step(0):
            h = parameter("h", 4, 1)
        for _ in tg.steps(1, T + 1):
            h = tg.name("h", np.tanh(W @ h + data("x", 4, 1)))
            states.append(h)
    s = o = h
    with tg.scope("decoder"):
        for _ in tg.steps(1, T + 1):
            w = tg.name("w", tg.softmax(np.concatenate([h.T @ (A @ s) for h in states]), axis=0))
            k = tg.name("k", np.concatenate(states, axis=1) @ w)
            s = tg.name("s", np.tanh(R @ s + E @ o + k))
            o = tg.name("o", A @ s)
            losses.append(tg.name("L", tg.cross_entropy(o, target(), axis=0)))
    return tg.Graph(tg.name("L", tg.add_n(losses)))


def right_to_left(T=4):
    B, A = parameter("B", 4, 4), parameter("A", 4, 3)
    with tg.step(T + 1):
        g = parameter("g", 4, 1)
    for _ in tg.steps(T, 0, -1):
        g = tg.name("g", np.tanh(B @ g + A @ data("x", 3, 1)))
    return tg.Graph(g)


def bidirectional(T=4):
    U, W, A, B = parameter("U", 4, 3), parameter("W", 4, 4), parameter("A", 4, 3), parameter("B", 4, 4)
    V, Q = parameter("V", 5, 4), parameter("Q", 5, 4)
    x, h, g = {}, {}, {}
    for t in tg.steps(1, T + 1):
        x[t] = data("x", 3, 1)
    with tg.step(0):
        h[0] = parameter("h", 4, 1)
    with tg.step(T + 1):
        g[T + 1] = parameter("g", 4, 1)
    with tg.scope("forward"):
        for t in tg.steps(1, T + 1):
            h[t] = tg.name("h", np.tanh(W @ h[t - 1] + U @ x[t]))
    with tg.scope("backward"):
        for t in tg.steps(T, 0, -1):
            g[t] = tg.name("g", np.tanh(B @ g[t + 1] + A @ x[t]))
    losses = []
    for t in tg.steps(1, T + 1):
        losses.append(tg.name("L", tg.cross_entropy(tg.name("o", V @ h[t] + Q @ g[t]), target(), axis=0)))
    return tg.Graph(tg.name("L", tg.add_n(losses)))


def stacked(T=3):
    U, W = [parameter("U_1", 4, 3), parameter("U_2", 4, 4)], [parameter("W_1", 4, 4), parameter("W_2", 4, 4)]
    h = []
    for k in range(2):
        with tg.scope(f"layer{k + 1}"), tg.step(0):
            h.append(parameter("h", 4, 1))
    for t in range(1, T + 1):
        with tg.step(t):
            below = data("x", 3, 1)
        for k in range(2):
            with tg.scope(f"layer{k + 1}"), tg.step(t):
                below = h[k] = tg.name("h", np.tanh(U[k] @ below + W[k] @ h[k]))
    return tg.Graph(h[1])


def encoder_decoder(T=3):
    W, R = parameter("W", 4, 4), parameter("R", 4, 4)
    with tg.scope("encoder"):
        with tg.step(0):
            h = parameter("h", 4, 1)
        for _ in tg.steps(1, T + 1):
            h = tg.name("h", np.tanh(W @ h + data("x", 4, 1)))
    with tg.scope("decoder"):
        for _ in tg.steps(1, T + 1):
            h = tg.name("s", np.tanh(R @ h))
    return tg.Graph(h)


def delayed(T=9, d=3):
    """A state that is read after one step and after d."""
    U, W, D, h = parameter("U", 4, 3), parameter("W", 4, 4), parameter("D", 4, 4), {}
    for t in range(1 - d, 1):
        with tg.step(t):
            h[t] = parameter("h", 4, 1)
    for t in tg.steps(1, T + 1):
        h[t] = tg.name("h", np.tanh(W @ h[t - 1] + D @ h[t - d] + U @ data("x", 3, 1)))
    return tg.Graph(h[T])


def single_output(T=5):
    U, W, V = parameter("U", 4, 3), parameter("W", 4, 4), parameter("V", 5, 4)
    with tg.step(0):
        h = parameter("h", 4, 1)
    for t in tg.steps(1, T + 1):
        h = tg.name("h", np.tanh(W @ h + U @ data("x", 3, 1)))
        if t == T:
            o = tg.name("o", V @ h)
    return tg.Graph(tg.name("L", tg.cross_entropy(o, target(), axis=0)))


def captions(T=5):
    """One vector x for all steps, and the label of the step before (document 004, section 2.5.2)."""
    R, W, U, V = parameter("R", 4, 3), parameter("W", 4, 4), parameter("U", 4, 5), parameter("V", 5, 4)
    x, y, losses = data("x", 3, 1), {}, []
    with tg.step(0):
        h, y[0] = parameter("h", 4, 1), data("y", 5, 1)
    for t in tg.steps(1, T + 1):
        h = tg.name("h", np.tanh(W @ h + R @ x + U @ y[t - 1]))
        y[t] = data("y", 5, 1)
        losses.append(tg.name("L", np.sum((V @ h - y[t]) ** 2)))
    return tg.Graph(tg.name("L", tg.add_n(losses)))


def grid(rows=3, columns=3):
    U, W, V, Q, h, o = parameter("U", 4, 3), parameter("W", 4, 4), parameter("V", 4, 4), parameter("Q", 2, 4), {}, []
    for i in range(rows):
        for j in range(columns):
            with tg.step((i, j)):
                a = U @ data("x", 3, 1)
                a = a + W @ h[i - 1, j] if i else a
                a = a + V @ h[i, j - 1] if j else a
                h[i, j] = tg.name("h", np.tanh(a))
                o.append(tg.name("o", Q @ h[i, j]))
    return tg.Graph(o)


def tree(leaves=8):
    """A balanced tree, steps (level, place); an odd one out goes up alone."""
    U, W, V, Q = parameter("U", 4, 4), parameter("W", 4, 4), parameter("V", 4, 3), parameter("Q", 5, 4)
    row, level = [], 0
    for p in range(leaves):
        with tg.step((0, p)):
            row.append(tg.name("h", np.tanh(V @ data("x", 3, 1))))
    while len(row) > 1:
        level += 1
        above = row[-1:] if len(row) % 2 else []
        joined = []
        for p in range(len(row) // 2):
            with tg.step((level, p)):
                joined.append(tg.name("h", np.tanh(U @ row[2 * p] + W @ row[2 * p + 1])))
        row = joined + above
    return tg.Graph(tg.name("L", tg.cross_entropy(tg.name("o", Q @ row[0]), target(), axis=0)))


def expression():
    w, x, b, y = (tg.tensor(v, name=n) for v, n in ((2.0, "w"), (3.0, "x"), (1.0, "b"), (0.5, "y")))
    return tg.Graph(tg.name("L", (tg.name("p", np.tanh(w * x + b)) - y) ** 2))


NETWORKS = {
    network.__name__: network
    for network in (
        vanilla,
        lstm,
        gru,
        right_to_left,
        bidirectional,
        stacked,
        encoder_decoder,
        attention,
        delayed,
        single_output,
        captions,
        grid,
        tree,
        expression,
    )
}


# -- what a picture says -----------------------------------------------------------------------------------------------
def names(picture: Picture) -> list[str]:
    return [n.text.unicode for n in picture.nodes if n.named]


def arrows(picture: Picture) -> set[tuple[str, str, str]]:
    text = [n.text.unicode for n in picture.nodes]
    return {(text[e.tail], text[e.head], e.label.unicode if e.label else "") for e in picture.edges}


def roles(picture: Picture) -> dict[str, str]:
    return {n.text.unicode: n.role for n in picture.nodes}


def test_named_level_of_the_book_network_has_exactly_the_arrows_of_the_book():
    picture = view(vanilla(2), level="named")
    assert arrows(picture) == {
        ("x⁽¹⁾", "a⁽¹⁾", "U"), ("h⁽⁰⁾", "a⁽¹⁾", "W"), ("a⁽¹⁾", "h⁽¹⁾", ""), ("h⁽¹⁾", "o⁽¹⁾", "V"), ("o⁽¹⁾", "L⁽¹⁾", ""),
        ("y⁽¹⁾", "L⁽¹⁾", ""), ("x⁽²⁾", "a⁽²⁾", "U"), ("h⁽¹⁾", "a⁽²⁾", "W"), ("a⁽²⁾", "h⁽²⁾", ""), ("h⁽²⁾", "o⁽²⁾", "V"),
        ("o⁽²⁾", "L⁽²⁾", ""), ("y⁽²⁾", "L⁽²⁾", ""), ("L⁽¹⁾", "L", ""), ("L⁽²⁾", "L", ""),
    }  # fmt: skip


def test_only_keeps_the_names_asked_for_and_joins_what_is_left():
    picture = view(vanilla(2), level="named", only=("x", "h", "o", "L", "y"))
    assert {("x⁽¹⁾", "h⁽¹⁾", "U"), ("h⁽¹⁾", "h⁽²⁾", "W")} <= arrows(picture)
    assert not any(name.startswith("a") for name in names(picture))


def test_a_path_through_two_matrices_has_no_letter():
    A, B = parameter("A", 3, 3), parameter("B", 3, 3)
    with tg.step(0):
        h = parameter("h", 3, 1)
    for _ in tg.steps(1, 3):
        h = tg.name("h", np.tanh(A @ (B @ h)))
    assert arrows(view(h, level="named")) == {("h⁽⁰⁾", "h⁽¹⁾", ""), ("h⁽¹⁾", "h⁽²⁾", "")}


def test_parameters_are_never_nodes_and_stand_once_in_the_legend():
    for level in ("op", "named"):
        picture = view(vanilla(5), level=level)
        assert [p.text.unicode for p in picture.shared] == ["U", "W", "V", "b", "c"]
        assert not {"U", "W", "V", "b", "c"} & set(names(picture))


def test_op_level_shows_every_operation_and_one_stub_per_use_on_its_side():
    graph = vanilla(3)
    picture = view(graph, level="op")
    operations = [n for n in graph.nodes if n.op is not None]
    assert sum(not n.leaf for n in picture.nodes) == len(operations)
    stubs = [s.text.unicode for n in picture.nodes for s in n.stubs]
    assert sorted(stubs) == sorted(["U", "W", "V", "b", "c"] * 3)
    h = next(n for n in picture.nodes if n.text.unicode == "h⁽²⁾")
    assert (h.role, h.operation) == ("state", "tanh")


def test_a_matrix_on_the_right_has_its_stub_on_the_right():
    M = parameter("M", 3, 3)
    with tg.step(0):
        h = parameter("h", 1, 3)
    for _ in tg.steps(1, 3):
        h = tg.name("h", h @ M)
    assert [s.side for n in view(h, level="op").nodes for s in n.stubs] == [1, 1]


@pytest.mark.parametrize("level", ["op", "named"])
def test_roles_follow_from_structure(level):
    found = roles(view(vanilla(3), level=level))
    assert found["x⁽²⁾"] == "input"
    assert found["a⁽²⁾"] == "inner"
    assert found["h⁽⁰⁾"] == found["h⁽³⁾"] == "state"
    assert found["o⁽²⁾"] == "output"
    assert found["y⁽²⁾"] == "target"
    assert found["L⁽²⁾"] == found["L"] == "loss"


def test_both_states_of_an_lstm_are_states_and_its_gates_are_not():
    found = roles(view(lstm(3), level="named"))
    assert {found[f"{k}⁽²⁾"] for k in "hc"} == {"state"}
    assert {found[f"{k}⁽²⁾"] for k in "ifgo"} == {"inner"}


def test_a_sum_written_as_a_chain_of_additions_is_one_loss_at_named_level():
    assert arrows(view(vanilla(3, chained=True), level="named")) == arrows(view(vanilla(3), level="named"))


@pytest.mark.parametrize("level", ["op", "named"])
def test_an_initial_state_outside_of_time_is_a_node_and_not_a_parameter(level):
    picture = view(vanilla(3, root_state=True), level=level)
    assert roles(picture)["h_0"] == "state"
    assert "h_0" not in [p.text.unicode for p in picture.shared]


def test_columns_run_with_time_and_initial_states_have_no_frame():
    picture = view(vanilla(3), level="named")
    assert [(c.kind, c.title) for c in picture.columns] == [
        ("boundary", "t = 0"), ("step", "t = 1"), ("step", "t = 2"), ("step", "t = 3"), ("after", ""),
    ]  # fmt: skip


def test_a_net_that_runs_right_to_left_begins_at_the_right():
    picture = view(right_to_left(3), level="named")
    assert [c.kind for c in picture.columns] == ["step", "step", "step", "boundary"]
    assert ("g⁽⁴⁾", "g⁽³⁾", "B") in arrows(picture)


@pytest.mark.parametrize("network", [bidirectional, stacked])
def test_what_runs_side_by_side_shares_its_columns(network):
    picture = view(network(3), level="named")
    assert [c.title for c in picture.columns if c.kind == "step"] == ["t = 1", "t = 2", "t = 3"]


def test_what_runs_one_after_the_other_has_columns_of_its_own():
    picture = view(encoder_decoder(3), level="named")
    assert [c.title for c in picture.columns if c.kind == "step"] == ["t = 1", "t = 2", "t = 3"] * 2
    order = [n.text.base for n in sorted(picture.nodes, key=lambda n: n.column) if n.text.base in "hs"]
    assert "".join(order) == "hhhhsss"


def test_layers_with_equal_names_are_told_apart():
    lines = {n.lines for n in view(stacked(2), level="named").nodes if n.text.base == "h"}
    assert lines == {("layer1",), ("layer2",)}


@pytest.mark.parametrize("network", [vanilla, lstm, gru])
def test_the_same_quantity_has_the_same_slot_in_every_step(network):
    for level in ("op", "named"):
        picture = view(network(4), level=level)
        per_step = [sorted(n.slot for n in picture.nodes if n.column == c) for c in (1, 2, 3, 4)]
        assert per_step[0] == per_step[1] == per_step[2] == per_step[3]


def test_an_expression_without_time_is_one_drawing_with_its_leaves_as_nodes():
    picture = view(expression())
    assert [c.kind for c in picture.columns] == ["plain"]
    assert {"w", "x", "b", "y", "p", "L"} <= set(names(picture))


def test_a_node_used_twice_has_two_arrows():
    x = tg.tensor(3.0, name="x")
    picture = view(x * x)
    assert [(e.tail, e.head, e.parallel) for e in picture.edges] == [(0, 1, 0), (0, 1, 1)]


def test_long_sequences_keep_both_ends_and_say_what_is_missing():
    picture = view(vanilla(100), level="named")
    assert [c.title for c in picture.columns if c.kind == "step"] == ["t = 1", "t = 2", "t = 3", "t = 99", "t = 100"]
    assert picture.note.unicode == "steps 4 to 98 not shown"
    assert {("h⁽³⁾", "⋯", ""), ("⋯", "a⁽⁹⁹⁾", "W"), ("⋯", "L", "")} <= arrows(picture)


def test_all_steps_are_drawn_when_asked_for():
    picture = view(vanilla(30), level="named", steps="all")
    assert sum(c.kind == "step" for c in picture.columns) == 30
    assert picture.note is None


def test_gradients_do_not_flow_to_data():
    picture = view(vanilla(2), level="named", backward=True)
    text = [n.text.base for n in picture.nodes]
    assert {text[e.tail] for e in picture.edges if not e.differentiable} == {"x", "y"}


def test_values_show_the_numbers_of_small_arrays_and_the_range_of_large_ones():
    with tg.step(1):
        small = tg.tensor([0.5, -0.25], name="s")
        large = tg.tensor(np.arange(10.0), name="l")
    picture = view([small, large], level="named", values=True)
    assert [n.lines for n in picture.nodes] == [("2", "0.5, −0.25"), ("10", "0 … 9")]


def test_a_graph_a_tensor_and_anything_with_a_graph_are_drawn_alike():
    class Run:
        graph = vanilla(2)

    expected = arrows(view(Run.graph, level="named"))
    assert arrows(view(Run(), level="named")) == arrows(view(Run.graph.outputs[0], level="named")) == expected


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"level": "ops"}, "'op', 'named'"),
        ({"direction": "up"}, "'LR', 'TB'"),
        ({"level": "named", "steps": 2}, "6 or more"),
    ],
)
def test_a_wrong_option_says_what_is_right(options, words):
    with pytest.raises(tg.GraphError, match=words):
        view(vanilla(2), **options)


def test_something_else_than_a_graph_is_refused():
    with pytest.raises(tg.GraphError, match="not float"):
        view(3.0)
