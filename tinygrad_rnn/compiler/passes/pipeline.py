"""All passes in their order: from a program to one with gradients, to the same with less work, to a plan.

Each pass stands in a file of its own, takes the outputs of a program and returns others that are worth the same.
"""

from __future__ import annotations

from collections.abc import Callable, Container
from typing import Any

import numpy as np

from ...core.loop.differentiate import differentiate
from ...core.loop.program import Node, constant, order, rewrite
from ..planning.lower import Lowered, lower
from ..planning.plan import Tile, walk
from ..unsupported import Unfoldable
from .features_first import features_first
from .merge_products import merge_products
from .reassociate import reassociate, sigmoids_as_tanh
from .simplify import simplify
from .split_gates import assembled
from .tiling import tiled

Pass = Callable[[list[Node]], list[Node]]
#: after each of them `simplify` clears up
PASSES: tuple[Pass, ...] = (features_first, sigmoids_as_tanh, reassociate, merge_products)


def optimised(outputs: list[Node]) -> list[Node]:
    """The outputs after all passes."""
    outputs = simplify(assembled(simplify(outputs)))
    for each in PASSES:
        outputs = simplify(each(outputs))
    return outputs


def planned(outputs: list[Node], executor: str, chunk: int | None = None) -> Lowered:
    """The plan of a program, as the executor likes it; its tiles of `chunk` steps, or as long as suits their sizes."""
    lowered = lower(outputs, pack=executor == "numpy")
    if executor == "numpy":
        lowered.plan = tiled(lowered.plan)
    for stage in walk(lowered.plan.stages):
        if chunk is not None and isinstance(stage, Tile):
            stage.chunk = chunk
    return lowered


def with_gradients(
    compiled: Any, recorder: Any, outputs: list[Node], times: Container[int] = (), ends: int = 0
) -> list[Node]:
    """The outputs, and the gradients of the first with respect to what was asked for; no `stop` is left in them.

    times: which leaves are sequences, of which so many steps (`ends`) stand outside of the loop.
    """
    found = _gradients(compiled, recorder, outputs, times, ends) if compiled.argnums else []
    # only now, that no gradient is taken any more, is what stops one worth the same as its input
    return rewrite(outputs + found, lambda node: node.ins[0] if node.op == "stop" else None)


def _gradients(compiled: Any, recorder: Any, outputs: list[Node], times: Container[int], ends: int) -> list[Node]:
    if len(outputs) != 1 or np.size(outputs[0].sample) != 1:
        raise Unfoldable("a function to differentiate returns one number")
    inputs: dict[int, list[Node]] = {}
    for node in order(outputs):
        if node.op == "input" and "leaf" in node.params:
            inputs.setdefault(node.params["leaf"], []).append(node)
    wanted = [leaf for leaf in recorder.leaves if leaf.differentiated]
    targets = [inputs.get(leaf.number, []) for leaf in wanted]
    found = iter(differentiate(outputs[0], [node for nodes in targets for node in nodes]))
    grads = []
    for leaf, nodes in zip(wanted, targets, strict=True):
        parts = [next(found) for _ in nodes]
        if any(node.step or "at" in node.params for node in nodes):
            grads.append(_of_sequence(nodes, parts, ends))
        else:
            grads.append(parts[0] if parts else _no_gradient(leaf, times))
    return grads


def _no_gradient(leaf: Any, times: Container[int]) -> Node:
    if leaf.number in times:
        raise Unfoldable("the gradient of a sequence that is not read")
    return constant(0.0 if type(leaf.array) is float else np.zeros(leaf.array.shape, leaf.array.dtype))


def _of_sequence(nodes: list[Node], parts: list[Node], ends: int) -> Node:
    """The gradient with respect to a sequence: that of each entry."""
    if len(nodes) != 1 or nodes[0].params.get("offset") != 0 or not parts[0].step:
        raise Unfoldable("the gradient of a sequence that is read in several ways")
    if ends:
        raise Unfoldable("the gradient of a sequence that is not read at each step")
    backwards = nodes[0].params["backwards"]
    return Node("each", parts, {"axis": 0, "backwards": backwards}, False, np.zeros((1, *parts[0].shape)))
