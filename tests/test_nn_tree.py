"""Networks on trees equal the formulas of their papers, followed by hand from the leaves to the root."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import nn
from tinygrad_rnn.nn.tree import nodes_of, nodes_of_heads

D, H, CLASSES = 3, 4, 2
RNG = np.random.default_rng(4)
BINARY = {"recursive": nn.RecursiveNet, "TreeLSTM": nn.TreeLSTM}
binary = pytest.mark.parametrize("kind", BINARY)


def sigmoid(z):
    return 1.0 / (1.0 + np.exp(-z))


def by_hand(net, x, tree):
    """The state at the root by plain recursion over nested tuples; x is an iterator over leaves."""
    p = {key: value.value for key, value in net.named_parameters()}
    if not isinstance(tree, tuple):
        x = next(x)
        if isinstance(net, nn.RecursiveNet):
            return (np.tanh(p["b_x"] + p["V"] @ x),)
        c = sigmoid(p["b_i"] + p["U_i"] @ x) * np.tanh(p["b_g"] + p["U_g"] @ x)
        return sigmoid(p["b_o"] + p["U_o"] @ x) * np.tanh(c), c
    left, right = by_hand(net, x, tree[0]), by_hand(net, x, tree[1])
    if isinstance(net, nn.RecursiveNet):
        return (np.tanh(p["b"] + p["U"] @ left[0] + p["W"] @ right[0]),)
    (h_l, c_l), (h_r, c_r) = left, right
    z = {k: p[f"L_{k}"] @ h_l + p[f"R_{k}"] @ h_r for k in ("i", "l", "r", "g", "o")}
    i, o, g = sigmoid(p["b_i"] + z["i"]), sigmoid(p["b_o"] + z["o"]), np.tanh(p["b_g"] + z["g"])
    c = i * g + sigmoid(p["b_f"] + z["l"]) * c_l + sigmoid(p["b_f"] + z["r"]) * c_r
    return o * np.tanh(c), c


@binary
@pytest.mark.parametrize("n", [*range(1, 10), 16])
def test_balanced_tree_equals_explicit_recursion(kind, n):
    net, x = BINARY[kind](D, H), RNG.normal(size=(n, D))
    wanted = by_hand(net, iter(x), nn.balanced(n))[0]
    np.testing.assert_allclose(net(x).numpy(), wanted, atol=1e-14)
    np.testing.assert_allclose(net(x, nn.balanced(n)).numpy(), wanted, atol=1e-14)


@binary
@pytest.mark.parametrize("text", ["((the cat) sat)", "(a (b (c (d e))))", "word", "((a b) ((c d) (e f)))"])
def test_parse_tree_equals_explicit_recursion(kind, text):
    tree = nn.parse_tree(text)
    x = RNG.normal(size=(sum(not node.children for node in nodes_of(tree)), 2, D))
    net = BINARY[kind](D, H)
    root = net(x, tree).numpy()
    for b in range(2):
        np.testing.assert_allclose(root[b], by_hand(net, iter(x[:, b]), tree)[0], atol=1e-14)


@binary
@pytest.mark.parametrize("n", [5, 8])
def test_gradients_equal_the_complex_step(kind, n):
    net, x = BINARY[kind](D, H, CLASSES), RNG.normal(size=(n, D))
    assert tg.check_grads(lambda x: np.stack([net(x), net(x, nn.balanced(n))]), x, order=2)
    loss = np.sum(np.square(net(x)))
    tree_loss = np.sum(np.square(net(x, nn.balanced(n))))
    by_level, by_node = (tg.gradients(y, dict(net.named_parameters())) for y in (loss, tree_loss))
    for key in by_level:
        np.testing.assert_allclose(by_level[key], by_node[key], atol=1e-13)
    for key, p in net.named_parameters():
        check = tg.check_grads(lambda v, key=key: np.sum(np.square(with_leaf(net, key, v, x))), p.value, order=1)
        assert check, key


def with_leaf(net, key, leaf, x):
    """The network's answer with another leaf as one of its parameters."""
    before = getattr(net, key)
    setattr(net, key, leaf)
    answer = net(x)
    setattr(net, key, before)
    return answer


@pytest.mark.parametrize("n", [1, 2, 3, 8, 9, 100, 1000])
def test_a_balanced_tree_is_as_deep_as_the_logarithm(n):
    nodes = nodes_of(nn.balanced(n))
    assert [node.leaf for node in nodes if not node.children] == list(range(n))
    assert max(node.place[0] for node in nodes) == int(np.ceil(np.log2(n)))
    net = nn.RecursiveNet(D, H)
    deepest = max(node.scope.step for node in tg.Graph(net(np.zeros((n, D)))).nodes if node.scope.step is not None)
    assert deepest == int(np.ceil(np.log2(n)))


@pytest.mark.slow
def test_a_tree_may_be_deeper_than_python_recurses():
    depth = 5000
    tree = nn.parse_tree("(" * depth + "w" + " w)" * depth)
    nodes = nodes_of(tree)
    assert len(nodes) == 2 * depth + 1 and nodes[-1].place == (0, 0)
    loss = np.sum(nn.RecursiveNet(1, 1)(np.ones((depth + 1, 1)), tree))
    loss.backward()


def test_nodes_stand_at_their_level_and_place():
    net = nn.RecursiveNet(D, H)
    graph = tg.Graph(net(np.ones((3, D)), (("the", "cat"), "sat")))
    places = [node.scope.step for node in graph.nodes if node.name == "h"]
    assert places == [(2, 0), (2, 1), (1, 0), (1, 1), (0, 0)]


@pytest.mark.parametrize("batch", [(), (2,)])
def test_child_sum_equals_its_formulas(batch):
    net = nn.ChildSumTreeLSTM(D, H)
    heads = [2, 2, 5, 2, 5, -1]
    x = RNG.normal(size=(6, *batch, D))
    p = {key: value.value for key, value in net.named_parameters()}

    def gate(k, s, x):
        return p[f"b_{k}"] + s @ p[f"W_{k}"].T + x @ p[f"U_{k}"].T

    def visit(n):
        children = [visit(k) for k, head in enumerate(heads) if head == n]
        s = sum((h for h, _ in children), np.zeros((*batch, H)))
        c = sigmoid(gate("i", s, x[n])) * np.tanh(gate("g", s, x[n]))
        c = c + sum(sigmoid(gate("f", h, x[n])) * c_k for h, c_k in children)
        return sigmoid(gate("o", s, x[n])) * np.tanh(c), c

    np.testing.assert_allclose(net(x, heads).numpy(), visit(5)[0], atol=1e-14)
    assert tg.check_grads(lambda x: net(x, heads), x, order=2)


def test_children_may_be_exchanged_in_a_child_sum():
    net, x = nn.ChildSumTreeLSTM(D, H), RNG.normal(size=(3, D))
    np.testing.assert_allclose(net(x, [2, 2, -1]).numpy(), net(x[[1, 0, 2]], [2, 2, -1]).numpy(), atol=1e-14)


def test_heads_put_children_first():
    nodes = nodes_of_heads([2, 2, -1, 2])
    assert [node.leaf for node in nodes][-1] == 2 and sorted(nodes[-1].children) == [0, 1, 2]


@pytest.mark.parametrize(
    "text, told",
    [
        ("((a b)", "<tree>:1:1: this bracket is never closed"),
        ("(a b))", "<tree>:1:6: this bracket was never opened"),
        ("(a\n (b ()))", "<tree>:2:5: there is nothing between these brackets"),
        ("a b", "one tree is expected, but there are 2"),
        ("", "one tree is expected, but there are 0"),
    ],
)
def test_brackets_that_do_not_match_are_pointed_at(text, told):
    with pytest.raises(tg.LanguageError, match=told):
        nn.parse_tree(text)


@pytest.mark.parametrize(
    "call, told",
    [
        (lambda: nn.RecursiveNet(D, H)(np.ones((2, D)), ("a", "b", "c")), "the tree has 3 leaves, but x has 2"),
        (lambda: nn.RecursiveNet(D, H)(np.ones((3, D)), ("a", "b", "c")), "node at level 0, place 0 has 3"),
        (lambda: nn.TreeLSTM(D, H)(np.ones((3, D + 1))), r"x has shape \(3, 4\), but has to be \(N, 3\)"),
        (lambda: nn.balanced(0), "at least one leaf"),
        (lambda: nn.ChildSumTreeLSTM(D, H)(np.ones((2, D)), [1, 0]), "exactly one word is the root"),
        (lambda: nn.ChildSumTreeLSTM(D, H)(np.ones((3, D)), [1, 0, -1]), "in a circle"),
        (lambda: nn.ChildSumTreeLSTM(D, H)(np.ones((3, D)), [1, -1]), r"has to be \(2, 3\)"),
    ],
)
def test_what_does_not_fit_is_told(call, told):
    with pytest.raises((tg.ShapeError, tg.GraphError), match=told):
        call()
