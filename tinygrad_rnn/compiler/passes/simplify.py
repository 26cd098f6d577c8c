"""Say the same with less: common subexpressions, constants, identities, sums that were written as a running total.

Every rule here leaves values as they are, but for the order in which the terms of a sum over time are added.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...core.loop.program import CROSSING, LEAVES, Node, constant, is_number, order, rewrite, users
from ...core.primitive import PRIMITIVES
from ...core.tensor import as_value

COMMUTATIVE = frozenset({"add", "multiply", "maximum", "minimum"})


def simplify(outputs: list[Node]) -> list[Node]:
    """The outputs with all rules applied until nothing changes."""
    outputs = running_totals(outputs)
    while True:
        before = len(order(outputs))
        outputs = common(rewrite(outputs, _rule))
        if len(order(outputs)) == before:
            return outputs


# -- common subexpressions ----------------------------------------------------------------------------------------
def common(outputs: list[Node]) -> list[Node]:
    """One node for each thing that is computed."""
    known: dict[Any, Node] = {}

    def rule(node: Node) -> Node | None:
        key = _key(node)
        return None if key is None else known.setdefault(key, node)

    return rewrite(outputs, rule)


def _key(node: Node) -> Any:
    ins = [id(x) for x in node.ins]
    if node.op in COMMUTATIVE:
        ins.sort()
    return (node.op, node.step, *ins, frozen(node.params))


def frozen(value: Any) -> Any:
    """A parameter as something that can be compared and hashed."""
    if isinstance(value, dict):
        return tuple((key, frozen(value[key])) for key in sorted(value))
    if isinstance(value, list | tuple):
        return (type(value), *map(frozen, value))
    if isinstance(value, np.ndarray):
        return ("array", value.shape, value.dtype.str, value.tobytes() if value.size < 1_000_000 else id(value))
    if isinstance(value, slice):
        return ("slice", value.start, value.stop, value.step)
    if isinstance(value, float):
        return ("float", value.hex())
    try:
        hash(value)
    except TypeError:
        return ("object", id(value))
    return (type(value), value)


# -- sums written as a running total ------------------------------------------------------------------------------
def running_totals(outputs: list[Node]) -> list[Node]:
    """`n = n[t-1] + term`, of which only the end is asked for, is the first value plus a sum over time."""
    nodes = order(outputs)
    readers = users(nodes)
    asked = {id(output) for output in outputs}
    became: dict[int, Node] = {}
    for node in nodes:
        if node.op != "ends" or node.ins[0].op != "shift" or id(node.ins[0]) in asked:
            continue
        shift = node.ins[0]
        total, first = shift.ins
        if total.op != "add" or shift not in total.ins or total.ins[0] is total.ins[1] or id(total) in asked:
            continue
        term = total.ins[1] if total.ins[0] is shift else total.ins[0]
        alone = all(reader is shift for reader, _ in readers[id(total)])
        seen = {id(reader) for reader, _ in readers[id(shift)]}
        if alone and seen <= {id(total), id(node)} and term.shape == total.shape:
            summed = Node("total", [term], {}, False, term.sample)
            became[id(node)] = Node("add", [first, summed], {}, False, total.sample, PRIMITIVES["add"])
    return rewrite(outputs, lambda node: became.get(id(node)))


# -- local rules --------------------------------------------------------------------------------------------------
def _rule(node: Node) -> Node | None:
    if node.op == "shift" and node.ins[0] is node and node.ins[1].shape == node.shape:
        return node.ins[1]  # what goes round unchanged
    if node.op == "at" and not node.ins[0].step:
        return node.ins[0]
    if node.op == "ends" and node.ins[0].op != "shift" and not node.ins[0].step:
        return node.ins[0]
    if node.op in LEAVES or node.op in CROSSING or node.op == "slot":
        return None
    if node.step and node.function is not None and not any(x.step for x in node.ins):
        node.step = False  # the same at each step
    if node.ins and all(x.op == "constant" for x in node.ins) and node.function is not None:
        with np.errstate(all="ignore"):
            return constant(as_value(node.function.forward(*(x.params["value"] for x in node.ins), **node.params)))
    rule = _RULES.get(node.op)
    found = rule(node) if rule is not None else None
    if found is not None:
        return found
    if node.function is not None and node.function.elementwise:
        _without_spreading(node)
    return None


def _without_spreading(node: Node) -> None:
    """An operand need not be repeated to the full shape where another one has it."""
    for j, x in enumerate(node.ins):
        if not any(y.shape == node.shape for i, y in enumerate(node.ins) if i != j):
            continue
        if x.op == "broadcast_to":
            node.ins[j] = x.ins[0]
        elif x.op == "constant" and x.shape and x.sample.dtype.kind == "f" and np.ptp(x.sample) == 0:
            node.ins[j] = constant(float(x.sample.flat[0]))


def _same(node: Node) -> Node | None:
    return node.ins[0] if node.ins[0].shape == node.shape else None


def _multiply(node: Node) -> Node | None:
    a, b = node.ins
    for one, other in ((a, b), (b, a)):
        if is_number(one, 1.0) and other.shape == node.shape and other.dtype == node.dtype:
            return other
    return None


def _add(node: Node) -> Node | None:
    a, b = node.ins
    for zero, other in ((a, b), (b, a)):
        if zero.op == "constant" and not np.any(zero.params["value"]) and other.shape == node.shape:
            return other
    return None


def _divide(node: Node) -> Node | None:
    a, b = node.ins
    return a if is_number(b, 1.0) and a.shape == node.shape else None


def _transpose(node: Node) -> Node | None:
    (x,) = node.ins
    if x.op == "transpose" and node.params.get("axes") is None and x.params.get("axes") is None:
        return x.ins[0]
    return x if len(node.shape) < 2 else None


def _reshape(node: Node) -> Node | None:
    (x,) = node.ins
    if x.op == "reshape":
        return Node("reshape", x.ins, node.params, node.step, node.sample, node.function)
    return _same(node)


def _getitem(node: Node) -> Node | None:
    """New axes alone are another shape."""
    index = node.params["index"]
    parts = index if isinstance(index, tuple) else (index,)
    if any(p is None for p in parts) and all(p is None or (isinstance(p, slice) and p == slice(None)) for p in parts):
        return Node("reshape", node.ins, {"shape": node.shape}, node.step, node.sample, PRIMITIVES["reshape"])
    return None


def _stack(node: Node) -> Node:
    """Entries side by side along a new axis are entries with one more axis, joined."""
    axis = int(node.params.get("axis", 0)) % len(node.shape)
    parts = []
    for x in node.ins:
        shape = (*x.shape[:axis], 1, *x.shape[axis:])
        sample = np.reshape(x.sample, shape)
        parts.append(Node("reshape", [x], {"shape": shape}, x.step, sample, PRIMITIVES["reshape"]))
    if len(parts) == 1:
        return parts[0]
    return Node("concatenate", parts, {"axis": axis}, node.step, node.sample, PRIMITIVES["concatenate"], node.label)


def _concatenate(node: Node) -> Node | None:
    """With its axis said; entries one after the other (axis None) are vectors, joined."""
    axis = node.params.get("axis", 0)
    if axis is not None and "axis" in node.params:
        return None if node.step else _of_transposes(node, axis)
    parts = node.ins
    if axis is None:
        parts = []
        for x in node.ins:
            shape = (int(np.size(x.sample)),)
            sample = np.reshape(x.sample, shape)
            parts.append(Node("reshape", [x], {"shape": shape}, x.step, sample, PRIMITIVES["reshape"]))
    return Node("concatenate", parts, {"axis": axis or 0}, node.step, node.sample, node.function, node.label)


def _of_transposes(node: Node, axis: int) -> Node | None:
    """Matrices that are all read transposed are joined as they lie: at H 256 the other way takes ten times as long."""
    if len(node.shape) != 2 or not all(x.op == "transpose" for x in node.ins):
        return None
    sample = np.transpose(node.sample)
    joined = Node("concatenate", [x.ins[0] for x in node.ins], {"axis": 1 - axis % 2}, False, sample, node.function)
    return Node("transpose", [joined], {}, False, node.sample, PRIMITIVES["transpose"], node.label)


def _add_n(node: Node) -> Node | None:
    total = node.ins[0]
    for x in node.ins[1:]:
        total = Node("add", [total, x], {}, node.step, node.sample, PRIMITIVES["add"])
    return total


_RULES: dict[str, Any] = {
    "identity": lambda node: node.ins[0], "ranged": lambda node: node.ins[0],
    "some": lambda node: node.ins[0], "broadcast_to": _same, "reshape": _reshape,
    "multiply": _multiply, "add": _add, "divide": _divide, "transpose": _transpose, "add_n": _add_n,
    "stack": _stack, "concatenate": _concatenate,
}  # fmt: skip
