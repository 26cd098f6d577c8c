"""A few values stacked into one array, as the last states of a layer are, as the values they are.

Equations speak of one vector at a time. What is computed with such an array entry by entry, picked from it or added up
over all of it becomes as many operations on the values; anything else stacks them again.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.declare import record
from ..core.graph import Graph, with_inputs
from ..core.primitive import PRIMITIVES
from ..core.scope import entered
from ..core.tensor import Tensor

Parts = list[Tensor]


def taken_apart(loss: Tensor) -> Tensor:
    """The graph again with every stack along a first axis as its parts."""
    nodes = Graph(loss).nodes
    if not any(node.op is PRIMITIVES["stack"] for node in nodes):
        return loss
    became: dict[int, Tensor | Parts] = {}
    for node in nodes:
        given = [became[x.id] for x in node.inputs]
        with entered(node.scope):
            became[node.id] = _rewritten(node, given)
    found = became[loss.id]
    return found if isinstance(found, Tensor) else _stacked(found)


def _rewritten(node: Tensor, given: list[Tensor | Parts]) -> Tensor | Parts:
    if node.op is None:
        return node
    if node.name is None:
        if node.op is PRIMITIVES["stack"] and not (node.params or {}).get("axis", 0):
            return [x if isinstance(x, Tensor) else _stacked(x) for x in given]
        if any(isinstance(x, list) for x in given):
            apart = _apart(node, given)
            if apart is not None:
                return apart
    inputs = tuple(x if isinstance(x, Tensor) else _stacked(x) for x in given)
    return with_inputs(node, inputs)


def _apart(node: Tensor, given: list[Tensor | Parts]) -> Tensor | Parts | None:
    """An operation on parts, if it is one on each; None for any other."""
    assert node.op is not None
    counts = {len(x) for x in given if isinstance(x, list)}
    params = dict(node.params or {})
    if node.op.elementwise and len(counts) == 1:
        whole = [x for x in given if isinstance(x, Tensor)]
        if any(x.ndim >= node.ndim for x in whole) or any(isinstance(value, np.ndarray) for value in params.values()):
            return None
        (count,) = counts
        columns = [x if isinstance(x, list) else [x] * count for x in given]
        return [record(node.op, tuple(c[n] for c in columns), node.params) for n in range(count)]
    (x, *others) = given
    if others or not isinstance(x, list):
        return None
    if node.op is PRIMITIVES["getitem"]:
        return _picked(x, params["index"])
    if node.op is PRIMITIVES["sum"] and params.get("axis") is None and not params.get("keepdims"):
        return _added([record(node.op, (part,), {"axis": None, "keepdims": False}) for part in x])
    if node.op is PRIMITIVES["sum"] and params.get("axis") == 0 and not params.get("keepdims"):
        return _added(x)
    return None


def _picked(parts: Parts, index: Any) -> Tensor | None:
    first, *rest = index if isinstance(index, tuple) else (index,)
    if not isinstance(first, int | np.integer) or isinstance(first, bool):
        return None
    part = parts[int(first)]
    return record(PRIMITIVES["getitem"], (part,), {"index": tuple(rest)}) if rest else part


def _added(parts: Parts) -> Tensor:
    return parts[0] if len(parts) == 1 else record(PRIMITIVES["add_n"], tuple(parts))


def _stacked(parts: Parts) -> Tensor:
    return record(PRIMITIVES["stack"], tuple(parts), {"axis": 0})
