"""The gradient of a program, as more of the same program.

The rules are those of the primitives, run on one step with the core's own Tensors; here stands only what crosses time.
What goes through a `shift` forwards comes back through a shift the other way; a contribution at each step to something
computed once is a sum over the steps. So all steps of the backward pass are alike, the last one included, whose share
from a later step is what the shift gives beyond the end: the adjoint of the state after the loop, or zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..backward import fit
from ..errors import GraphError
from ..primitive import PRIMITIVES
from ..scope import ROOT, entered
from ..tensor import Tensor, as_value
from .program import Node, constant, of_tensor, order, users


def differentiate(output: Node, targets: Sequence[Node]) -> list[Node]:
    """The gradient of a scalar output with respect to each target, of the target's shape.

    Raises `GraphError` for an output of several entries.
    """
    if output.shape and output.sample.size != 1:
        raise GraphError(f"a gradient starts from a scalar, but this function returns shape {output.shape}: sum it")
    nodes = order([output])
    sweep = _Sweep(nodes, targets)
    with entered(ROOT), np.errstate(all="ignore"):
        sweep.give(output, constant(1.0 if type(output.sample) is float else np.ones_like(output.sample)))
        for node in reversed(nodes):
            sweep.visit(node)
    return [sweep.total(target) or zeros(target) for target in targets]


def zeros(node: Node) -> Node:
    """A constant of zeros like the node."""
    return constant(0.0 if type(node.sample) is float else np.zeros(node.shape, node.dtype))


class _Sweep:
    def __init__(self, nodes: list[Node], targets: Sequence[Node]) -> None:
        self.active = _active(nodes, targets)
        self.parts: dict[int, list[Node]] = {}
        self.totals: dict[int, Node | None] = {}
        self.back: dict[int, Node] = {}  # for each shift, the shift the other way that its adjoint goes through
        for node in nodes:
            if node.op == "shift" and id(node) in self.active:
                back = Node("shift", [], {"by": -node.params["by"]}, True, node.sample, label=_d(node.label))
                back.ins = [zeros(node), zeros(node)]
                self.back[id(node)] = back
                if id(node.ins[0]) in self.active:
                    self.give(node.ins[0], back, node)

    def give(self, node: Node, part: Node, reader: Node | None = None) -> None:
        """One more contribution to the adjoint of a node: from each step, if a `reader` reads it there."""
        if reader is not None and not node.step:  # what is computed once is read at all steps
            part = Node("total", [part], {}, False, part.sample)
        self.parts.setdefault(id(node), []).append(part)

    def total(self, node: Node) -> Node | None:
        """The sum of all contributions; None where there are none."""
        if id(node) not in self.totals:
            parts = self.parts.get(id(node), [])
            result = parts[0] if parts else None
            for part in parts[1:]:
                assert result is not None
                result = _compute("add", result, part)
            if result is not None and node.label and not result.label:
                result.label = _d(node.label)
            self.totals[id(node)] = result
        return self.totals[id(node)]

    def visit(self, node: Node) -> None:
        if id(node) not in self.active:
            return
        g = self.total(node)
        if node.op == "shift":
            self._through_shift(node, g)
        elif g is None or node.op in ("input", "constant", "steps"):
            return
        elif node.op == "ends":
            self.back[id(node.ins[0])].ins[1] = g
        elif node.op == "at":
            x = node.ins[0]
            self.give(x, _pulse(g, node.params["k"], x) if x.step else g)
        elif node.op == "total":
            self.give(node.ins[0], g, node)
        elif node.op == "each":
            self.give(node.ins[0], Node("slot", [g], dict(node.params), True, node.ins[0].sample), node)
        else:
            self._through_primitive(node, g)

    def _through_shift(self, node: Node, g: Node | None) -> None:
        back = self.back[id(node)]
        if g is not None:
            back.ins[0] = g
        first = node.ins[1]
        if id(first) in self.active:
            end = Node("ends", [back], {}, False, back.sample)
            self.give(first, _fitted(end, first))

    def _through_primitive(self, node: Node, g: Node) -> None:
        for x, part in zip(node.ins, _parts(node, g, [id(x) in self.active for x in node.ins]), strict=True):
            if part is not None:
                self.give(x, part, node if node.step else None)


def _d(label: str) -> str:
    return f"d{label}" if label else ""


def _active(nodes: list[Node], targets: Sequence[Node]) -> set[int]:
    """The nodes that depend on a target in a way that can be differentiated."""
    readers = users(nodes)
    found = {id(target) for target in targets}
    stack = list(targets)
    while stack:
        for reader, _ in readers.get(id(stack.pop()), ()):
            function = reader.function
            if id(reader) not in found and (function is None or function.differentiable):
                found.add(id(reader))
                stack.append(reader)
    return found


def _pulse(g: Node, k: int, like: Node) -> Node:
    """`g` at step k, zero at all others."""
    by = 1 if k < 0 else -1
    pulse = Node("shift", [zeros(like), g], {"by": by}, True, like.sample)
    for _ in range(-k - 1 if k < 0 else k):
        pulse = Node("shift", [pulse, zeros(like)], {"by": by}, True, like.sample)
    return pulse


# -- the primitives' own rules, on stand-ins ----------------------------------------------------------------------
def _stand_in(node: Node) -> Tensor:
    return Tensor(node.sample, None, (), None, None, ROOT, True)


def _parts(node: Node, g: Node, wanted: list[bool]) -> list[Node | None]:
    """What each wanted input of a node receives."""
    op = node.function
    assert op is not None
    known: dict[int, Node] = {}
    seed, y = _stand_in(g), _stand_in(node)
    xs = [_stand_in(x) for x in node.ins]
    for tensor, stood_for in [(seed, g), (y, node), *zip(xs, node.ins, strict=True)]:
        known[tensor.id] = stood_for
    if op.joint is not None:
        parts: list[Any] = list(op.joint(seed, y, *xs, **node.params))
    else:
        parts = [rule(seed, y, *xs, **node.params) if w else None for rule, w in zip(op.separate, wanted, strict=False)]
    return [
        _as_node(fit(part, x), known) if w and part is not None else None
        for part, x, w in zip(parts, xs, wanted, strict=True)
    ]


def _as_node(part: Any, known: dict[int, Node]) -> Node:
    """The program's form of what a rule recorded."""
    return of_tensor(part, known, lambda x: constant(x.value)) if isinstance(part, Tensor) else constant(part)


def _compute(name: str, *ins: Node) -> Node:
    op = PRIMITIVES[name]
    with np.errstate(all="ignore"):
        sample = as_value(op.forward(*(x.sample for x in ins)))
    return Node(name, ins, {}, any(x.step for x in ins), sample, op)


def _fitted(part: Node, x: Node) -> Node:
    """The part summed over the axes along which x was broadcast."""
    if part.shape == x.shape:
        return part
    stand_in = _stand_in(part)
    return _as_node(fit(stand_in, _stand_in(x)), {stand_in.id: part})
