"""Recursive networks: the same weights at every node of a tree, in place of every step of a sequence.

On a balanced tree over T leaves the network is log2(T) deep (document 004, section 5), and all nodes of a level are
computed at once. On any given tree each node stands in the scope of its (level, place). Trees are data: bracketed text,
nested tuples and heads become a list of nodes, each after its children; nothing recurses, however deep they are.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ..core.errors import GraphError, LanguageError, ShapeError
from ..core.ops.contractions import linear
from ..core.ops.elementwise import sigmoid
from ..core.ops.identity import name
from ..core.ops.reductions import add_n
from ..core.scope import scope, step
from ..core.tensor import Tensor
from .arguments import as_data, shape_given
from .cell import Sized
from .dropout import leaf

State = tuple[Any, ...]


#: a leaf (anything that is no tuple), or a tuple of trees
Tree = Any


class TreeNode(NamedTuple):
    """One node: the places of its children in the list, what stands on a leaf, and where it is drawn: its level below
    the root and its place within the level.
    """

    children: tuple[int, ...]
    leaf: Any
    place: tuple[int, int]


def parse_tree(text: str, name: str = "<tree>") -> Tree:
    """A bracketed text as nested tuples of words; brackets around a single thing mean the thing itself.

    Raises `LanguageError`, pointing at the place, for brackets that do not match or have nothing inside.

    >>> parse_tree("((the cat) sat)")
    (('the', 'cat'), 'sat')
    """
    open_: list[tuple[int, list[Tree]]] = [(0, [])]
    for token in re.finditer(r"[()]|[^\s()]+", text):
        word, at = token.group(), token.start()
        if word == "(":
            open_.append((at, []))
        elif word != ")":
            open_[-1][1].append(word)
        elif len(open_) == 1:
            raise _misread(text, name, at, "this bracket was never opened")
        else:
            start, parts = open_.pop()
            if not parts:
                raise _misread(text, name, start, "there is nothing between these brackets")
            open_[-1][1].append(parts[0] if len(parts) == 1 else tuple(parts))
    if len(open_) > 1:
        raise _misread(text, name, open_[-1][0], "this bracket is never closed")
    trees = open_[0][1]
    if len(trees) != 1:
        raise _misread(
            text, name, 0, f"one tree is expected, but there are {len(trees)}", "put brackets around them all"
        )
    return trees[0]


def _misread(text: str, name: str, at: int, message: str, hint: str = "") -> LanguageError:
    line, start = text.count("\n", 0, at), text.rfind("\n", 0, at) + 1
    excerpt = f"{text[start:].partition(chr(10))[0]}\n{' ' * (at - start)}^"
    return LanguageError(message, name, line + 1, at - start + 1, excerpt, hint)


def balanced(n: int) -> Tree:
    """The balanced binary tree over the leaves 0, ..., n - 1, left to right, of depth ceil(log2(n)).

    Node k of the heap 1, ..., 2 n - 1 has the children 2 k and 2 k + 1; those from n on are leaves. Raises `GraphError`
    for no leaves.

    >>> balanced(5)
    (((0, 1), 2), (3, 4))
    """
    if n < 1:
        raise GraphError(f"balanced: a tree has at least one leaf, not {n}")
    deepest = 1 << (n - 1).bit_length()  # the first heap number of the last level, whose leaves are read first
    heap: dict[int, Tree] = {}
    for k in range(2 * n - 1, 0, -1):
        if k < n:
            heap[k] = (heap.pop(2 * k), heap.pop(2 * k + 1))
        else:
            heap[k] = k - deepest if k >= deepest else k + n - deepest
    return heap[1]


def nodes_of(tree: Tree) -> list[TreeNode]:
    """The nodes of a tree, children before parents, the root last; leaves from left to right.

    >>> [node.children for node in nodes_of((("the", "cat"), "sat"))]
    [(), (), (0, 1), (), (2, 3)]
    """
    found: list[TreeNode] = []
    counts: dict[int, int] = {}
    # going down left to right gives each level its places, coming up gives the order
    done: list[list[int]] = [[]]
    stack: list[tuple[Tree, int, int, bool]] = [(tree, 0, 0, False)]
    while stack:
        here, level, place, visited = stack.pop()
        if not visited:
            place = counts.get(level, 0)
            counts[level] = place + 1
            if isinstance(here, tuple):
                stack.append((here, level, place, True))
                stack += [(child, level + 1, 0, False) for child in reversed(here)]
                done.append([])
                continue
        children = tuple(done.pop()) if visited else ()
        found.append(TreeNode(children, None if visited else here, (level, place)))
        done[-1].append(len(found) - 1)
    return found


def nodes_of_heads(heads: Sequence[int]) -> list[TreeNode]:
    """The nodes of a dependency tree: `heads[n]` is the word that word n depends on, -1 for the root.

    The `leaf` of each node is its word's number: in such a tree every node is a word. Raises `GraphError` unless the
    heads form one tree.

    >>> [node.leaf for node in nodes_of_heads([1, 2, -1])]  # the -> cat -> sat
    [0, 1, 2]
    """
    heads = [int(head) for head in heads]
    roots = [n for n, head in enumerate(heads) if head == -1]
    if len(roots) != 1 or not all(-1 <= head < len(heads) for head in heads):
        raise GraphError(f"heads {heads}: exactly one word is the root, with head -1; the others have heads among them")
    children: list[list[int]] = [[] for _ in heads]
    for n, head in enumerate(heads):
        if head >= 0:
            children[head].append(n)
    level, order = [roots], []
    while level[-1]:
        level.append([child for n in level[-1] for child in children[n]])
    order = [(depth, place, n) for depth, words in enumerate(level) for place, n in enumerate(words)]
    if len(order) != len(heads):
        raise GraphError(f"heads {heads}: some words depend on each other in a circle, so they hang on no root")
    number: dict[int, int] = {}
    found: list[TreeNode] = []
    for depth, place, n in reversed(order):
        number[n] = len(found)
        found.append(TreeNode(tuple(number[child] for child in children[n]), n, (depth, place)))
    return found


class TreeNetwork(Sized):
    """What all networks on trees share: running over a tree, and the readout at the root.

    x (N, D) or (N, B, D): the leaves from left to right. `tree` is a nested tuple with N leaves, of which only the form
    counts; the balanced tree if None. Returns o = c + V_o h[root] where there is an `output_size`, else h[root].
    Raises `ShapeError` where leaves and tree do not fit.
    """

    label = "tree"

    def __init__(self, input_size: int, hidden_size: int, output_size: int | None = None, dtype: Any = np.float64):
        self.input_size, self.hidden_size, self.output_size = input_size, hidden_size, output_size
        self.dtype = np.dtype(dtype)

    def leaf(self, x: Any) -> State:
        """The state of a leaf, or of many as rows: h first."""
        raise NotImplementedError(f"{type(self).__name__} does not define leaf()")

    def join(self, left: State, right: State) -> State:
        """The state of a node from those of its two children."""
        raise NotImplementedError(f"{type(self).__name__} does not define join()")

    def readout(self, h: Any) -> Any:
        """o at the root."""
        return h

    # -- running ------------------------------------------------------------------------------------------------------
    def forward(self, x: Any, tree: Tree = None) -> Any:
        x = self._leaves(x)
        with scope(self.label):
            return self.readout(self.by_levels(x)[0] if tree is None else self.by_nodes(x, tree)[0])

    def by_levels(self, x: Any) -> State:
        """The state at the root of the balanced tree over the leaves, level by level, in log2(T) steps."""
        with step(0):
            states = self.leaf(name("x", x) if isinstance(x, Tensor) else leaf("x", x))
        T, depth = len(x), 0
        lowest = 2 * T - (1 << (T - 1).bit_length())  # so many leaves stand one level below the others
        while len(states[0]) > 1:
            depth += 1
            with step(depth):
                left, right = (tuple(s[i : lowest if depth == 1 else len(s) : 2] for s in states) for i in (0, 1))
                joined = self.join(left, right)
                if depth == 1 and lowest < T:
                    joined = tuple(
                        name(s.name, np.concatenate([j, s[lowest:]])) for j, s in zip(joined, states, strict=True)
                    )
                states = joined
        return tuple(s[0] for s in states)

    def by_nodes(self, x: Any, tree: Tree) -> State:
        """The state at the root of a given tree, node by node; each stands in the scope of its (level, place).

        Raises `ShapeError` for leaves that do not fit the tree.
        """
        nodes = nodes_of(tree)
        count = sum(not node.children for node in nodes)
        if count != len(x):
            raise ShapeError(f"{type(self).__name__}: the tree has {count} leaves, but x has {len(x)}")
        states: list[State] = []
        read = 0
        for node in nodes:
            with step(node.place):
                if node.children:
                    states.append(self.join(*self._two(node, states)))
                else:
                    states.append(self.leaf(name("x", x[read]) if isinstance(x, Tensor) else leaf("x", x[read])))
                    read += 1
        return states[-1]

    def _two(self, node: TreeNode, states: list[State]) -> list[State]:
        if len(node.children) != 2:
            raise ShapeError(
                f"{type(self).__name__} joins two children, but the node at level {node.place[0]}, "
                f"place {node.place[1]} has {len(node.children)}: use ChildSumTreeLSTM, or a binary tree"
            )
        return [states[child] for child in node.children]

    def _leaves(self, x: Any) -> Any:
        shape = shape_given(x, type(self).__name__)
        if len(shape) not in (2, 3) or shape[-1] != self.input_size or not shape[0]:
            raise ShapeError(
                f"{type(self).__name__}: x has shape {shape}, but has to be (N, {self.input_size}) "
                f"or (N, B, {self.input_size})"
            )
        return as_data(x, self.dtype, type(self).__name__)


class RecursiveNet(TreeNetwork):
    """The recursive network of document 000's figure and document 004, section 5, with its letters.

    leaf n:                       h[n] = tanh(b_x + V x[n])
    node n with children l, r:    h[n] = tanh(b + U h[l] + W h[r])
    at the root:                  o = c + V_o h[n]

    >>> import numpy as np, tinygrad_rnn as tg
    >>> net = tg.nn.RecursiveNet(3, 4, output_size=2)
    >>> x = np.ones((4, 3))
    >>> bool(np.allclose(net(x).numpy(), net(x, ((0, 1), (2, 3))).numpy())), net(x, (0, ((1, 2), 3))).shape
    (True, (2,))
    """

    def __init__(self, input_size: int, hidden_size: int, output_size: int | None = None, dtype: Any = np.float64):
        super().__init__(input_size, hidden_size, output_size, dtype)
        H = hidden_size
        self.V, self.b_x = self.weight("V", H, input_size), self.weight("b_x", H)
        self.U, self.W, self.b = self.weight("U", H, H), self.weight("W", H, H), self.weight("b", H)
        if output_size is not None:
            self.V_o, self.c = self.weight("V_o", output_size, H), self.weight("c", output_size)

    def leaf(self, x: Any) -> State:
        return (name("h", np.tanh(self.b_x + linear(x, self.V))),)

    def join(self, left: State, right: State) -> State:
        return (name("h", np.tanh(self.b + linear(left[0], self.U) + linear(right[0], self.W))),)

    def readout(self, h: Any) -> Any:
        return h if self.output_size is None else name("o", self.c + linear(h, self.V_o))


class TreeLSTM(TreeNetwork):
    """LSTM on binary trees, one forget gate for each child (Tai, Socher and Manning 2015, equations 9 to 14, N = 2).

    leaf:  i, o = σ(b + U x[n]),             g = tanh(b_g + U_g x[n]),                c = i g
    node:  i, o = σ(b + L h[l] + R h[r]),    g = tanh(b_g + L_g h[l] + R_g h[r]),     c = i g + f_l c[l] + f_r c[r]
           f_l = σ(b_f + L_l h[l] + R_l h[r]),    f_r = σ(b_f + L_r h[l] + R_r h[r])
    h = o tanh(c), and at the root e = b_e + V h.
    """

    def __init__(self, input_size: int, hidden_size: int, output_size: int | None = None, dtype: Any = np.float64):
        super().__init__(input_size, hidden_size, output_size, dtype)
        H = hidden_size
        self.U_i, self.U_g, self.U_o = (self.weight(f"U_{k}", H, input_size) for k in ("i", "g", "o"))
        self.L_i, self.R_i = self.weight("L_i", H, H), self.weight("R_i", H, H)
        self.L_l, self.R_l = self.weight("L_l", H, H), self.weight("R_l", H, H)
        self.L_r, self.R_r = self.weight("L_r", H, H), self.weight("R_r", H, H)
        self.L_g, self.R_g = self.weight("L_g", H, H), self.weight("R_g", H, H)
        self.L_o, self.R_o = self.weight("L_o", H, H), self.weight("R_o", H, H)
        self.b_i, self.b_f, self.b_g, self.b_o = (self.weight(f"b_{k}", H) for k in ("i", "f", "g", "o"))
        if output_size is not None:
            self.V, self.b_e = self.weight("V", output_size, H), self.weight("b_e", output_size)

    def leaf(self, x: Any) -> State:
        i = name("i", sigmoid(self.b_i + linear(x, self.U_i)))
        g = name("g", np.tanh(self.b_g + linear(x, self.U_g)))
        o = name("o", sigmoid(self.b_o + linear(x, self.U_o)))
        c = name("c", i * g)
        return name("h", o * np.tanh(c)), c

    def join(self, left: State, right: State) -> State:
        (h_l, c_l), (h_r, c_r) = left, right
        i = name("i", sigmoid(self.b_i + linear(h_l, self.L_i) + linear(h_r, self.R_i)))
        f_l = name("f_l", sigmoid(self.b_f + linear(h_l, self.L_l) + linear(h_r, self.R_l)))
        f_r = name("f_r", sigmoid(self.b_f + linear(h_l, self.L_r) + linear(h_r, self.R_r)))
        g = name("g", np.tanh(self.b_g + linear(h_l, self.L_g) + linear(h_r, self.R_g)))
        o = name("o", sigmoid(self.b_o + linear(h_l, self.L_o) + linear(h_r, self.R_o)))
        c = name("c", i * g + f_l * c_l + f_r * c_r)
        return name("h", o * np.tanh(c)), c

    def readout(self, h: Any) -> Any:
        return h if self.output_size is None else name("e", self.b_e + linear(h, self.V))


class ChildSumTreeLSTM(Sized):
    """LSTM on trees with any number of children, a word at every node (Tai et al. 2015, equations 2 to 8).

    s = Σ h[k] over the children k;  i, o = σ(b + W s + U x),  g = tanh(b_g + W_g s + U_g x);
    f_k = σ(b_f + W_f h[k] + U_f x);  c = i g + Σ f_k c[k],  h = o tanh(c).

    x (N, D) or (N, B, D): the words; `heads` (N,) says on which word each depends, -1 for the root. Returns h of the
    root. Raises `GraphError` when the heads form no tree, `ShapeError` where x does not fit. Raises `ShapeError` for
    vectors that do not fit the tree.

    >>> import numpy as np, tinygrad_rnn as tg
    >>> tg.nn.ChildSumTreeLSTM(3, 4)(np.ones((3, 3)), heads=[1, 2, -1]).shape
    (4,)
    """

    label = "tree"

    def __init__(self, input_size: int, hidden_size: int, dtype: Any = np.float64) -> None:
        self.input_size, self.hidden_size, self.dtype = input_size, hidden_size, np.dtype(dtype)
        self.W_i, self.U_i, self.b_i = self.gate("i")
        self.W_f, self.U_f, self.b_f = self.gate("f")
        self.W_g, self.U_g, self.b_g = self.gate("g")
        self.W_o, self.U_o, self.b_o = self.gate("o")

    def gate(self, k: str) -> tuple[Tensor, Tensor, Tensor]:
        """W_k of the children, U_k of the word, b_k."""
        H, D = self.hidden_size, self.input_size
        return self.weight(f"W_{k}", H, H), self.weight(f"U_{k}", H, D), self.weight(f"b_{k}", H)

    def forward(self, x: Any, heads: Any) -> Any:
        shape = shape_given(x, "ChildSumTreeLSTM")
        if len(shape) not in (2, 3) or shape[-1] != self.input_size or shape[0] != len(heads):
            raise ShapeError(
                f"ChildSumTreeLSTM: x has shape {shape}, but has to be ({len(heads)}, {self.input_size}) "
                f"or ({len(heads)}, B, {self.input_size}) for {len(heads)} heads"
            )
        x = as_data(x, self.dtype, "ChildSumTreeLSTM")
        states: list[State] = []
        with scope(self.label):
            for node in nodes_of_heads(heads):
                with step(node.place):
                    word = name("x", x[node.leaf]) if isinstance(x, Tensor) else leaf("x", x[node.leaf])
                    states.append(self.step(word, [states[child] for child in node.children]))
        return states[-1][0]

    def step(self, x: Any, children: list[State]) -> State:
        """h and c of a node with word x."""
        if not children:
            nothing = leaf("h", np.zeros((*x.shape[:-1], self.hidden_size), self.dtype))
            children = [(nothing, leaf("c", nothing.value))]
        s = add_n([h for h, _ in children]) if len(children) > 1 else children[0][0]
        i = name("i", sigmoid(self.b_i + linear(s, self.W_i) + linear(x, self.U_i)))
        o = name("o", sigmoid(self.b_o + linear(s, self.W_o) + linear(x, self.U_o)))
        g = name("g", np.tanh(self.b_g + linear(s, self.W_g) + linear(x, self.U_g)))
        U_f_x = self.b_f + linear(x, self.U_f)
        f = [name("f", sigmoid(linear(h, self.W_f) + U_f_x)) for h, _ in children]
        c = name("c", add_n([i * g, *[f_k * c_k for f_k, (_, c_k) in zip(f, children, strict=True)]]))
        return name("h", o * np.tanh(c)), c
