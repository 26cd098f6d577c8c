"""Copies where a reference alone would not do, or where reading what is far would be slow.

What the caller gives is copied before a loop reads it step by step; a column that meets every sample is repeated
beforehand; a value that is read at another step, or in another shape, gets memory of its own if it has none.
"""

from __future__ import annotations

import numpy as np

from ...core.loop.program import Node, rewrite, users
from ...core.primitive import PRIMITIVES
from ..planning.stages import Stages
from .features_first import FLIPPED
from .horizontal_packing import VIEWS


def with_copies(outputs: list[Node]) -> list[Node]:
    """Copies where a reference alone would not do, or where memory of the caller would be read step by step."""
    stages = Stages(outputs)
    readers = users(stages.nodes)
    copies: dict[int, Node] = {}

    def near(x: Node) -> Node:
        return copies.setdefault(id(x), _copied(x)) if x.op == "input" else x

    def spread(x: Node, node: Node) -> Node:
        if x.step or x.op == "constant" or len(x.shape) != 2 or x.shape[1] != 1 or x.shape[0] != node.shape[0]:
            return near(x)
        if id(x) not in copies:
            copies[id(x)] = _spread(x, node.shape, alone=len(readers[id(x)]) == 1)
        return copies[id(x)]

    for node in stages.nodes:
        if node.step and node.function is not None and node.function.elementwise and len(node.shape) == 2:
            # a column repeated beforehand: numpy is slow where the repeated axis is the inner one
            node.ins = [spread(x, node) for x in node.ins]
        elif stages.inside(node) or (node.step and node.op not in (*VIEWS, "gemm")):
            node.ins = [near(x) for x in node.ins]

    def rule(node: Node) -> Node | None:
        if node.op == "shift" and _has_no_memory(node.ins[0]):
            source = node.ins[0]
            sample = np.broadcast_to(source.sample, node.shape)
            node.ins[0] = Node("copy", [source], {}, True, sample, PRIMITIVES["identity"])
        elif node.op == "reshape" and _is_turned(node.ins[0]):
            node.ins[0] = _copied(node.ins[0])
        elif node.op == "transpose" and (len(node.shape) != 2 or node.params.get("axes") not in (None, (1, 0))):
            node.op = "permute"
        return None

    return rewrite(outputs, rule)


def _spread(x: Node, shape: tuple[int, ...], alone: bool) -> Node:
    """A column repeated; one that is computed for this alone (the multiple of a bias) is computed in its place."""
    full = np.broadcast_to(x.sample, shape)
    if alone and x.function is not None and x.function.elementwise:
        return Node("spread", x.ins, {"op": x.op, "params": x.params}, False, full, x.function)
    return Node("spread", [x], {"op": "copy", "params": {}}, False, full, PRIMITIVES["identity"])


def _copied(node: Node) -> Node:
    return Node("copy", [node], {}, node.step, node.sample, PRIMITIVES["identity"])


def _has_no_memory(node: Node) -> bool:
    return not node.step or node.op in ("input", "rows", "transpose", "reshape")


def _is_turned(node: Node) -> bool:
    while node.op in VIEWS:
        if node.op == "transpose":
            return True
        node = node.ins[0]
    return node.op == "input" and node.params.get("mode") == FLIPPED
