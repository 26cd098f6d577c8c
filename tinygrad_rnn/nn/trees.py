"""Trees as data: bracketed text, nested tuples and heads become a list of nodes, each after its children.

A tree is a leaf, or a tuple of trees. Nothing recurses, so a tree may be as deep as it likes. What a network computes
on a tree stands in `tree`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from ..core.errors import GraphError, LanguageError

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
