"""Gates that were computed in one go, each by itself: what is cut into slices is computed slice by slice.

Gates side by side in one matrix, or [h, x] times one, are ways to have few products. Here they become what they would
be with the gates apart, which is what the later passes start from: they merge what belongs together, and what is known
before a loop leaves it. So it does not matter in which way a cell is written.

    getitem(a + b)      a[..] + b[..]              if nobody else reads a + b, and no two slices overlap
    getitem(A @ B)      A[rows] @ B, A @ B[:, cols]    likewise
    getitem([a, b])     what stands there
    [h, x] @ W          h @ W[:n] + x @ W[n:]
    einsum              the product of two matrices that it says
    scatter + scatter   the gradients of slices of one array side by side, in place of a sum of what is mostly zeros
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import numpy as np

from ...core.loop.program import Node, constant, order, rewrite, users
from ...core.primitive import PRIMITIVES
from ...core.tensor import as_value
from .features_first import reshaped, transposed

#: for each axis from where to where
Box = tuple[tuple[int, int], ...]
_PRODUCTS = frozenset({"matmul", "linear"})


def apart(outputs: list[Node]) -> list[Node]:
    """The outputs with slices computed apart, and with products by parts of what was joined."""
    outputs = rewrite(outputs, _einsum)
    while True:
        changed, outputs = _once(outputs)
        if not changed:
            return outputs


def _once(outputs: list[Node]) -> tuple[bool, list[Node]]:
    asked = {id(output) for output in outputs}
    readers = users(order(outputs))
    free = {i for i, found in readers.items() if i not in asked and _in_slices([reader for reader, _ in found])}
    changed = False

    def rule(node: Node) -> Node | None:
        nonlocal changed
        found = _sliced(node, free) or _by_parts(node)
        changed = changed or found is not None
        return found

    outputs = rewrite(outputs, rule)
    return changed, outputs


# -- slices -----------------------------------------------------------------------------------------------------------
def box_of(index: Any, shape: tuple[int, ...]) -> Box | None:
    """The entries that an index of plain slices means; None for any other index."""
    parts = index if isinstance(index, tuple) else (index,)
    if len(parts) > len(shape) or not all(isinstance(part, slice) and part.step in (None, 1) for part in parts):
        return None
    parts = (*parts, *[slice(None)] * (len(shape) - len(parts)))
    return tuple(part.indices(n)[:2] for part, n in zip(parts, shape, strict=True))


def _in_slices(readers: list[Node]) -> bool:
    """Whether all who read a value read slices along one axis that do not overlap."""
    if not readers or any(reader.op != "getitem" for reader in readers):
        return False
    found = [(reader, _axis_of(reader)) for reader in readers]
    if any(axis is None for _, axis in found) or len({axis for _, axis in found}) > 1:
        return False
    ends = sorted({_box(reader)[axis] for reader, axis in found if axis is not None})
    return all(a[1] <= b[0] for a, b in pairwise(ends))


def _box(node: Node) -> Box:
    box = box_of(node.params["index"], node.ins[0].shape)
    assert box is not None
    return box


def _axis_of(node: Node) -> int | None:
    """The one axis along which a node is a part of its input, not all and not nothing of it."""
    box = box_of(node.params["index"], node.ins[0].shape)
    if box is None:
        return None
    cut = [k for k, (ends, n) in enumerate(zip(box, node.ins[0].shape, strict=True)) if ends != (0, n)]
    return cut[0] if len(cut) == 1 and box[cut[0]][0] < box[cut[0]][1] else None


def taken(x: Node, axis: int, start: int, stop: int) -> Node:
    """A slice of a node."""
    n = x.shape[axis]
    if (start, stop) == (0, n):
        return x
    box = [(0, size) for size in x.shape]
    box[axis] = start, stop
    source = x
    if x.op == "getitem" and (inner := box_of(x.params["index"], x.ins[0].shape)) is not None:
        source = x.ins[0]
        box = [(a + first, a + last) for (a, _), (first, last) in zip(inner, box, strict=True)]
    if source.op == "constant":
        return constant(as_value(source.params["value"][tuple(slice(*ends) for ends in box)]))
    index = tuple(
        slice(None) if ends == (0, size) else slice(*ends) for ends, size in zip(box, source.shape, strict=True)
    )
    return Node(
        "getitem", [source], {"index": index}, x.step, _part(x.sample, axis, start, stop), PRIMITIVES["getitem"]
    )


def _part(sample: Any, axis: int, start: int, stop: int) -> Any:
    return sample[(*[slice(None)] * axis, slice(start, stop))]


def _sliced(node: Node, free: set[int]) -> Node | None:
    """A slice of what is computed, as what is computed of slices."""
    if node.op != "getitem":
        return None
    (x,) = node.ins
    if x.op == "reshape" and (whole := _of_an_axis(node, x)) is not None:
        return whole
    axis = _axis_of(node)
    if axis is None:
        return None
    start, stop = _box(node)[axis]
    found: Node | None = None
    if x.op == "getitem" and box_of(x.params["index"], x.ins[0].shape) is not None:
        found = taken(x, axis, start, stop)
    elif x.op == "concatenate" and x.params.get("axis", 0) is not None:
        found = _of_joined(x, axis, start, stop)
    elif id(x) in free:
        found = _of_computed(x, axis, start, stop)
    if found is not None:
        found.label = found.label or node.label
    return found


def _of_an_axis(node: Node, x: Node) -> Node | None:
    """`reshape(a, (.., m, n, ..))[.., k, ..]` is a slice of a."""
    index = node.params["index"]
    parts = index if isinstance(index, tuple) else (index,)
    (whole,) = x.ins
    picked = [k for k, part in enumerate(parts) if isinstance(part, int | np.integer) and not isinstance(part, bool)]
    if len(picked) != 1 or len(x.shape) != len(whole.shape) + 1:
        return None
    axis = picked[0]
    rest = (*parts[:axis], *parts[axis + 1 :])
    same = x.shape[:axis] == whole.shape[:axis] and x.shape[axis + 2 :] == whole.shape[axis + 1 :]
    if not same or axis >= len(whole.shape) or not all(isinstance(p, slice) and p == slice(None) for p in rest):
        return None
    k, size = int(parts[axis]) % x.shape[axis], x.shape[axis + 1]
    return taken(whole, axis, k * size, (k + 1) * size)


def _of_joined(x: Node, axis: int, start: int, stop: int) -> Node | None:
    """Of parts side by side those that stand there, if it is whole ones, or one."""
    along = int(x.params.get("axis", 0)) % len(x.shape)
    if axis != along:
        return None
    found, at = [], 0
    for part in x.ins:
        size = part.shape[along]
        first, last = max(start, at), min(stop, at + size)
        if first < last:
            found.append(taken(part, along, first - at, last - at))
        at += size
    return found[0] if len(found) == 1 else _joined(found, along)


def _joined(parts: list[Node], axis: int) -> Node:
    sample = np.concatenate([np.asarray(part.sample) for part in parts], axis)
    step = any(part.step for part in parts)
    return Node("concatenate", parts, {"axis": axis}, step, sample, PRIMITIVES["concatenate"])


def _of_computed(x: Node, axis: int, start: int, stop: int) -> Node | None:
    """A slice of a result, computed from slices of what it is computed from."""
    rank, ins = len(x.shape), list(x.ins)
    if x.function is not None and x.function.elementwise and all(map(_is_plain, x.params.values())):
        for j, y in enumerate(ins):
            k = axis - (rank - len(y.shape))
            if k >= 0 and y.shape[k] == x.shape[axis]:
                ins[j] = taken(y, k, start, stop)
    elif x.op in _PRODUCTS and all(1 <= len(y.shape) <= 2 for y in ins):
        a, b = ins
        if axis == 0 and len(a.shape) == 2:
            ins[0] = taken(a, 0, start, stop)
        elif len(b.shape) == 2:
            ins[1] = taken(b, 0 if x.op == "linear" else 1, start, stop)
        else:
            return None
    elif x.op == "transpose" and rank == 2 and x.params.get("axes") in (None, (1, 0)):
        ins[0] = taken(ins[0], 1 - axis, start, stop)
    elif x.op == "reshape" and (same := _same_axis(x, axis)) is not None:
        shape = (*x.shape[:axis], stop - start, *x.shape[axis + 1 :])
        return reshaped(taken(ins[0], same, start, stop), shape)
    else:
        return None
    return Node(x.op, ins, x.params, x.step, _part(x.sample, axis, start, stop), x.function)


def _is_plain(value: Any) -> bool:
    return not isinstance(value, np.ndarray) or not value.shape


def _same_axis(x: Node, axis: int) -> int | None:
    """The axis of the input of a reshape that is this one, if only axes of length 1 come or go."""
    before, after = x.ins[0].shape, x.shape
    if [n for n in before if n != 1] != [n for n in after if n != 1] or after[axis] == 1:
        return None
    k = sum(n != 1 for n in after[:axis])
    return [i for i, n in enumerate(before) if n != 1][k]


# -- products ---------------------------------------------------------------------------------------------------------
def _by_parts(node: Node) -> Node | None:
    """A product by what is joined along the axis that it sums over, as the sum of products by the parts."""
    if node.op not in _PRODUCTS or not node.step or not all(1 <= len(x.shape) <= 2 for x in node.ins):
        return None
    a, b = node.ins
    axes = len(a.shape) - 1, len(b.shape) - 1 if node.op == "linear" else 0
    for j, (x, weights) in enumerate(((a, b), (b, a))):
        along = int(x.params.get("axis", 0) or 0) % len(x.shape) if x.op == "concatenate" else -1
        if along != axes[j] or not x.step or weights.step:
            continue
        total, at = None, 0
        for part in x.ins:
            other = taken(weights, axes[1 - j], at, at + part.shape[along])
            at += part.shape[along]
            ins = [part, other] if j == 0 else [other, part]
            product = Node(node.op, ins, node.params, True, node.sample, node.function)
            total = (
                product if total is None else Node("add", [total, product], {}, True, node.sample, PRIMITIVES["add"])
            )
        return total
    return None


def _einsum(node: Node) -> Node | None:
    """The product of two matrices or vectors that a sum over one index is."""
    if node.op != "einsum" or len(node.ins) != 2 or not all(1 <= len(x.shape) <= 2 for x in node.ins):
        return None
    terms, arrow, output = node.params["subscripts"].replace(" ", "").partition("->")
    labels = terms.split(",")
    summed = set(labels[0]) & set(labels[-1]) - set(output)
    if not arrow or len(labels) != 2 or len(summed) != 1 or not output or "." in terms:
        return None
    (k,) = summed
    if any(len(set(names)) < len(names) for names in labels) or len(output) != len(labels[0]) + len(labels[1]) - 2:
        return None
    (a, b), (first, second) = node.ins, labels
    if output[0] in second:
        (a, b), (first, second) = (b, a), (second, first)
    left = transposed(a) if len(first) == 2 and first[0] == k else a
    right = transposed(b) if len(second) == 2 and second[1] == k else b
    if left.shape[-1] != right.shape[0]:
        return None  # an index of length 1 that is repeated
    return Node("matmul", [left, right], {}, node.step, node.sample, PRIMITIVES["matmul"], node.label)


# -- gradients of slices ----------------------------------------------------------------------------------------------
def assembled(outputs: list[Node]) -> list[Node]:
    """The outputs with sums of gradients of slices that do not overlap put side by side."""
    readers = users(order(outputs))
    asked = {id(output) for output in outputs}

    def inner(x: Node) -> bool:
        return x.op == "add" and len(readers.get(id(x), ())) == 1 and id(x) not in asked

    def rule(node: Node) -> Node | None:
        if node.op not in ("add", "scatter_add") or node.step:
            return None
        if any(reader.op == "add" for reader, _ in readers.get(id(node), ())) and (node.op != "add" or inner(node)):
            return None
        terms: list[Node] = []
        stack = [node]
        while stack:
            x = stack.pop()
            if (x is node and x.op == "add") or inner(x):
                stack += reversed(x.ins)
            else:
                terms.append(x)
        boxes = [box_of(x.params["index"], node.shape) if x.op == "scatter_add" else None for x in terms]
        if any(x.shape != node.shape for x in terms):
            return None
        slices = {box: x for box, x in zip(boxes, terms, strict=True) if box is not None}
        if len(slices) < max(2, sum(box is not None for box in boxes)):
            return None
        whole = _side_by_side({box: x.ins[0] for box, x in slices.items()}, tuple((0, n) for n in node.shape))
        if whole is None:
            return None
        for box, x in zip(boxes, terms, strict=True):
            if box is None:
                whole = Node("add", [whole, x], {}, False, node.sample, PRIMITIVES["add"])
        whole.label = node.label
        return whole

    return rewrite(outputs, rule)


def _side_by_side(pieces: dict[Box, Node], around: Box) -> Node | None:
    """What fills a box, from pieces that fill parts of it; None if they leave room, or overlap."""
    if set(pieces) == {around}:
        return pieces[around]
    for axis in range(len(around)):
        cuts = _cuts([box[axis] for box in pieces], around[axis])
        if len(cuts) < 2:
            continue
        parts = []
        for start, stop in cuts:
            inside = {box: x for box, x in pieces.items() if start <= box[axis][0] < stop}
            part = (*around[:axis], (start, stop), *around[axis + 1 :])
            found = _side_by_side(inside, part) if inside else None
            if found is None:
                return None
            parts.append(found)
        return _joined(parts, axis)
    return None


def _cuts(intervals: Iterable[tuple[int, int]], whole: tuple[int, int]) -> list[tuple[int, int]]:
    """The parts of an interval between which no other one lies across."""
    found: list[tuple[int, int]] = []
    for start, stop in sorted(set(intervals)):
        if found and start < found[-1][1]:
            found[-1] = found[-1][0], max(stop, found[-1][1])
        else:
            found.append((start, stop))
    ends = [whole[0], *[stop for _, stop in found]]
    return (
        found if found and all(a == b for a, (b, _) in zip(ends, found, strict=False)) and ends[-1] == whole[1] else []
    )
