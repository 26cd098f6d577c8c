"""What an operation on a whole sequence is at each step; None where it is no such thing.

Each rule gets the operation and its inputs, some of them sequences, and answers with a sequence, or with one tensor
where time is summed over.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core.declare import record
from ...core.loop.timeline import is_constant
from ...core.ops.indexing import HOLE
from ...core.primitive import PRIMITIVES
from ...core.tensor import Tensor, constant
from .sequences import Given, Sequence, pick, same

if TYPE_CHECKING:
    from .unstack import Unstacking

Rule = Callable[[Any, Tensor, list[Any]], "Tensor | Sequence | None"]


def _same_steps(given: list[Any]) -> tuple[list[int], int] | None:
    """The steps and the axis (from the end) that all sequences among the inputs share."""
    found = {(tuple(x.steps), x.axis - _rank(x)) for x in given if isinstance(x, Sequence)}
    if len(found) != 1:
        return None
    steps, axis = found.pop()
    return list(steps), axis


def _rank(x: Sequence) -> int:
    return x.node.ndim if isinstance(x, Given) else x.entries[0].ndim + 1


def entrywise(owner: Unstacking, node: Tensor, given: list[Any]) -> Sequence | None:
    shared = _same_steps(given)
    if shared is None or _has_arrays(node.params):
        return None
    steps, axis = shared
    columns: list[list[Tensor]] = []
    for x in given:
        if isinstance(x, Sequence):
            columns.append(x.entries)
        elif x.ndim < -axis:
            columns.append([x] * len(steps))
        elif x.shape[axis] == 1:
            flat: Any = np.reshape(x, [n for i, n in enumerate(x.shape) if i != x.ndim + axis])
            columns.append([flat] * len(steps))
        else:
            return None
    if any(c[0].ndim >= node.ndim for c in columns):
        return None
    assert node.op is not None
    op: Any = node.op
    return owner.each(
        steps, node.ndim + axis, lambda n: record(op, tuple(c[n] for c in columns), node.params), node.name
    )


def _has_arrays(params: Any) -> bool:
    return any(isinstance(value, np.ndarray) for value in (params or {}).values())


def _reduced(owner: Unstacking, node: Tensor, given: list[Any]) -> Tensor | Sequence | None:
    """A sum over all axes, or over some of them."""
    (x,) = given
    params = node.params or {}
    rank, axis, keepdims = _rank(x), params.get("axis"), params.get("keepdims", False)
    axes = list(range(rank)) if axis is None else sorted(int(i) % rank for i in np.atleast_1d(axis))
    if keepdims and x.axis in axes:
        return None
    inner = tuple(i - (i > x.axis) for i in axes if i != x.axis)
    over = not inner and x.axis in axes
    parts = (
        x
        if over
        else owner.each(
            x.steps,
            x.axis - (0 if keepdims else sum(i < x.axis for i in axes)),
            lambda n: record(PRIMITIVES["sum"], (x.entries[n],), {"axis": inner, "keepdims": keepdims}),
            None if x.axis in axes else node.name,
        )
    )
    if x.axis not in axes:
        return parts
    total = record(PRIMITIVES["add_n"], tuple(parts.entries))
    total.name = node.name
    return total


def _product(owner: Unstacking, node: Tensor, given: list[Any]) -> Sequence | None:
    """x @ W and x @ W.T with the sequence on the left and a matrix on the right."""
    x, w = given
    if not isinstance(x, Sequence) or isinstance(w, Sequence) or w.ndim != 2 or x.axis == _rank(x) - 1:
        return None
    if x.entries[0].ndim == 0:
        return None
    op: Any = node.op
    return owner.each(x.steps, x.axis, lambda n: record(op, (x.entries[n], w), node.params), node.name)


def _transposed(owner: Unstacking, node: Tensor, given: list[Any]) -> Sequence:
    (x,) = given
    rank = _rank(x)
    axes = (node.params or {}).get("axes")
    axes = tuple(range(rank))[::-1] if axes is None else tuple(int(i) % rank for i in axes)
    inner = tuple(i - (i > x.axis) for i in axes if i != x.axis)
    where = axes.index(x.axis)
    if inner == tuple(range(rank - 1)):
        if isinstance(x, Given) and node.name is None:
            return Given(owner, x.node, x.number, x.steps, where)
        return Sequence(x.entries, x.steps, where) if node.name is None else _named(owner, x, where, node.name)
    op = PRIMITIVES["transpose"]
    return owner.each(x.steps, where, lambda n: record(op, (x.entries[n],), {"axes": inner}), node.name)


def _named(owner: Unstacking, x: Sequence, axis: int, name: str) -> Sequence:
    return owner.each(x.steps, axis, lambda n: same(x.entries[n]), name)


def _along(owner: Unstacking, node: Tensor, given: list[Any]) -> Sequence | None:
    """softmax and its kin: one axis that is not that of time."""
    x = given[0]
    params = dict(node.params or {})
    keeps = (node.op is not None and node.op.name in ("softmax", "log_softmax")) or params.get("keepdims", False)
    if not isinstance(x, Sequence) or params.get("axis", -1) is None or isinstance(params.get("axis", -1), tuple):
        return None
    rank = _rank(x)
    axis = params.get("axis", -1) % rank
    if axis == x.axis:
        return None
    params["axis"] = axis - (axis > x.axis)
    rest: list[Any] = [y if isinstance(y, Sequence) else _uniform(y, x) for y in given[1:]]
    if any(y is None or y.steps != x.steps for y in rest):
        return None
    where = x.axis if keeps else x.axis - (axis < x.axis)
    op: Any = node.op
    return owner.each(
        x.steps,
        where,
        lambda n: record(op, (x.entries[n], *[y.entries[n] for y in rest]), params),
        node.name,
    )


def _uniform(y: Tensor, like: Sequence) -> Sequence | None:
    """A constant that is the same at each step, as the sequence it is."""
    if not is_constant(y) or like.axis or y.ndim < 1 or len(y) != len(like.steps) or np.any(y.value != y.value[:1]):
        return None
    return Sequence([constant(y.value[0])] * len(y), like.steps)


def _onehot(owner: Unstacking, node: Tensor, given: list[Any]) -> Sequence | None:
    (x,) = given
    params = dict(node.params or {})
    rank = _rank(x) + 1
    axis = params.get("axis", -1) % rank
    where = x.axis + (axis <= x.axis)
    params["axis"] = axis - (axis > where)
    op: Any = node.op
    return owner.each(x.steps, where, lambda n: record(op, (x.entries[n],), params), node.name)


def _taken(owner: Unstacking, node: Tensor, given: list[Any]) -> Sequence | None:
    """Part of each entry: the index leaves the axis of time alone and comes after it."""
    x = given[0]
    index = (node.params or {})["index"]
    parts = index if isinstance(index, tuple) else (index,)
    if not isinstance(x, Sequence) or x.axis != 0 or any(isinstance(p, np.ndarray) for p in parts) or parts[0] is None:
        return None
    if parts[0] is Ellipsis:
        short = sum(p is not None for p in parts) <= _rank(x)  # so that it stands for the axis of time at least
        return owner.each(x.steps, 0, lambda n: pick(x.entries[n], parts), node.name) if short else None
    if parts[0] != slice(None):
        if isinstance(parts[0], slice) and all(p == slice(None) for p in parts[1:]) and not isinstance(x, Given):
            return Sequence(x.entries[parts[0]], x.steps[parts[0]])
        return None
    rest = parts[1:]
    return owner.each(x.steps, 0, lambda n: pick(x.entries[n], rest), node.name)


def _joined(owner: Unstacking, node: Tensor, given: list[Any]) -> Sequence | None:
    """Sequences side by side, joined along an axis that is not that of time."""
    if not all(isinstance(x, Sequence) for x in given) or _same_steps(given) is None:
        return None
    axis = (node.params or {}).get("axis", 0)
    x = given[0]
    if axis is None or axis % _rank(x) == x.axis:
        return None
    axis = axis % _rank(x)
    inner = {"axis": axis - (axis > x.axis)}
    op: Any = node.op
    return owner.each(
        x.steps,
        x.axis,
        lambda n: record(op, tuple(y.entries[n] for y in given), inner),
        node.name,
    )


def _reshaped(owner: Unstacking, node: Tensor, given: list[Any]) -> Sequence | None:
    """Another shape that leaves the axis of time, and what stands before it, alone."""
    (x,) = given
    T, axis = len(x.steps), x.axis
    before = x.node.shape[:axis] if isinstance(x, Given) else x.entries[0].shape[:axis]
    if node.shape[: axis + 1] != (*before, T):
        return None
    return _shaped(owner, node, x, axis)


def _repeated(owner: Unstacking, node: Tensor, given: list[Any]) -> Sequence | None:
    """Repetition along other axes than that of time."""
    (x,) = given
    axis = node.ndim + x.axis - _rank(x)
    return _shaped(owner, node, x, axis) if node.shape[axis] == len(x.steps) else None


def _shaped(owner: Unstacking, node: Tensor, x: Sequence, axis: int) -> Sequence:
    shape, op = node.shape[:axis] + node.shape[axis + 1 :], node.op
    assert op is not None
    return owner.each(x.steps, axis, lambda n: record(op, (x.entries[n],), {"shape": shape}), node.name)


def _picked(owner: Unstacking, node: Tensor, given: list[Any]) -> Sequence | None:
    """Rows of a table at numbers of each step; or one entry of each row of a sequence, at numbers of its step."""
    x, at = given
    params = dict(node.params or {})
    index, op = params["index"], node.op
    assert op is not None
    if not isinstance(at, Sequence):
        return None
    if not isinstance(x, Sequence):
        if index[-1] is not HOLE or any(part != slice(None) for part in index[:-1]):
            return None
        return owner.each(
            at.steps, len(index) - 1 + at.axis, lambda n: record(op, (x, at.entries[n]), params), node.name
        )
    rows = index[0]
    if x.axis or at.axis or x.steps != at.steps or rows is HOLE or np.size(rows) != len(x.steps) == np.shape(rows)[0]:
        return None
    parts: list[Any] = [part if part is HOLE else np.asarray(part) for part in index[1:]]
    if not np.array_equal(np.ravel(rows), np.arange(len(x.steps))) or any(p is not HOLE and len(p) != 1 for p in parts):
        return None
    params["index"] = tuple([part if part is HOLE else part[0] for part in parts])
    return owner.each(x.steps, 0, lambda n: record(op, (x.entries[n], at.entries[n]), params), node.name)


RULES: dict[str, Rule] = {
    "sum": _reduced, "linear": _product, "matmul": _product, "transpose": _transposed, "softmax": _along,
    "log_softmax": _along, "logsumexp": _along, "cross_entropy": _along, "onehot": _onehot, "getitem": _taken,
    "concatenate": _joined, "reshape": _reshaped, "broadcast_to": _repeated, "pick": _picked,
}  # fmt: skip
