"""A sigmoid is a tanh: sigma(z) = tanh(z / 2) / 2 + 1/2, so that one call of tanh serves all gates.

The 1/2 before the tanh is moved into the weights, exactly, since it is a power of two. The result agrees with the
sigmoid to half an ulp of 1 in absolute terms; where its logarithm or its reciprocal is taken, that is not enough, and
the sigmoid stays.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...core.loop.program import Node, constant, order, rewrite, users
from ...core.primitive import PRIMITIVES
from ...core.tensor import as_value

_NEEDS_RELATIVE = frozenset({"log", "log1p", "divide", "reciprocal", "power", "power_constant", "sqrt"})


def sigmoids_as_tanh(outputs: list[Node]) -> list[Node]:
    """The outputs with the sigmoids of the steps written so."""
    readers = users(order(outputs))

    def rule(node: Node) -> Node | None:
        if node.op != "sigmoid" or not node.step or not node.shape:
            return None
        if any(reader.op in _NEEDS_RELATIVE for reader, _ in readers.get(id(node), ())):
            return None
        halved = _halved(node.ins[0], readers)
        tanh = entrywise("tanh", halved)
        result = entrywise("add", entrywise("multiply", tanh, constant(0.5)), constant(0.5))
        result.label = node.label
        return result

    return rewrite(outputs, rule)


def entrywise(op: str, *ins: Node) -> Node:
    """A node for an operation entry by entry."""
    function: Any = PRIMITIVES[op]
    with np.errstate(all="ignore"):
        sample = as_value(function.forward(*(x.sample for x in ins)))
    return Node(op, ins, {}, any(x.step for x in ins), sample, function)


def _halved(node: Node, readers: dict[int, Any]) -> Node:
    """Half of a node, with the factor as near to the weights as it can get: not past what others read as well."""
    alone = len(readers.get(id(node), ())) == 1  # a sigmoid that was rewritten before has no readers
    if node.op == "add" and alone:
        return entrywise("add", *[_halved(x, readers) for x in node.ins])
    if node.op == "gemm" and alone:
        for j, x in enumerate(node.ins):
            if not x.step:
                ins = list(node.ins)
                ins[j] = entrywise("multiply", x, constant(0.5))
                return Node("gemm", ins, node.params, node.step, node.sample)
    return entrywise("multiply", node, constant(0.5))
