"""Bring what is computed for a whole sequence back into its steps.

A layer stacks its states into one array (T, B, H), and a loss takes that array at once. Entry t of such an array
belongs to step t, and so does whatever is computed from entry t alone: here each such operation becomes one operation
for each step. What looks at several entries at once stays as it is. Values do not change.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from ..core.graph import ancestors
from ..core.primitives import PRIMITIVES, record
from ..core.scope import ROOT, Scope, entered
from ..core.tensor import Tensor, as_value


class Sequence:
    """A whole sequence as its entries, in the order of the `axis` along which they were stacked; `steps` of each."""

    def __init__(self, entries: list[Tensor], steps: list[int], axis: int = 0) -> None:
        self.entries, self.steps, self.axis = entries, steps, axis


class Unstacking:
    """Rewrites a graph; `sequences` maps the ids of leaves to (number of the leaf, its length)."""

    def __init__(self, sequences: dict[int, int]) -> None:
        self.sequences = sequences
        self.became: dict[int, Tensor | Sequence] = {}
        self.leaves: dict[tuple[int, int, int | None], Tensor] = {}
        #: for each leaf made here: number of the leaf, index into it, step (None outside of the steps)
        self.origin: dict[int, tuple[int, int, int | None]] = {}
        self.backwards: set[int] = set()
        self._scopes: dict[int, Scope] = {}

    def outputs(self, outputs: Iterable[Tensor]) -> list[Tensor | Sequence]:
        """What stands for the outputs now."""
        outputs = list(outputs)
        nodes = ancestors(outputs)
        self._ways(nodes)
        for node in nodes:
            self.became[node.id] = self._rewritten(node)
        return [self.became[output.id] for output in outputs]

    def _ways(self, nodes: list[Tensor]) -> None:
        """Which sequences are read from their end to their start."""
        reads: dict[int, list[tuple[int, int]]] = {}
        readers: dict[int, set[Any]] = {}
        for node in nodes:
            for x in node.inputs:
                readers.setdefault(x.id, set()).add(node.scope.step)
        # an entry picked before its step began belongs to the only step that reads it
        self.readers = {i: steps.pop() for i, steps in readers.items() if len(steps) == 1}
        for node in nodes:
            if node.op is PRIMITIVES["getitem"] and node.inputs[0].id in self.sequences:
                at, step = _index(node), self.step_of(node)
                if at is not None and step is not None:
                    reads.setdefault(node.inputs[0].id, []).append((step, at))
        for i, pairs in reads.items():
            if len({step for step, _ in pairs}) > 1 and len({step + at for step, at in pairs}) == 1:
                self.backwards.add(self.sequences[i])

    def _rewritten(self, node: Tensor) -> Tensor | Sequence:
        if node.op is None:
            return self._whole(node) if node.id in self.sequences else node
        given = [self.became[x.id] for x in node.inputs]
        name = node.op.name
        made = next((x for x in given if isinstance(x, Sequence) and not isinstance(x, _Given)), None)
        if made is not None:
            given = [x.beside(made.steps) if isinstance(x, _Given) else x for x in given]
        if not any(isinstance(x, Sequence) for x in given):
            if name == "stack" and (found := self._stacked(node, given)) is not None:
                return found
            if all(x is y for x, y in zip(given, node.inputs, strict=True)):
                return self._again(node, node.inputs)
            return self._again(node, given)
        if name == "getitem" and (at := _index(node, given[0].axis)) is not None:
            return self._entry(node, given[0], at)
        rule = RULES.get(name) or (_entrywise if node.op.elementwise else None)
        found = rule(self, node, given) if rule is not None else None
        if found is not None:
            return found
        return self._again(node, [self.whole(x) for x in given])

    def _again(self, node: Tensor, inputs: Iterable[Tensor]) -> Tensor:
        """The same node on other inputs, with an id of its own so that ids keep the order."""
        return Tensor(node.value, node.op, tuple(inputs), node.params, node.name, node.scope, node.requires_grad)

    # -- sequences ----------------------------------------------------------------------------------------------------
    def step_of(self, node: Tensor) -> int | None:
        """The step at which an entry of a sequence is read."""
        step = node.scope.step
        step = self.readers.get(node.id) if step is None else step
        return step if isinstance(step, int) else None

    def scope(self, step: int) -> Scope:
        """The scope of a step, for what is computed there although nobody wrote it there."""
        return self._scopes.setdefault(step, Scope(ROOT, index=step))

    def _whole(self, node: Tensor) -> Sequence:
        number, length = self.sequences[node.id], len(node)
        steps = list(range(length))[::-1] if number in self.backwards else list(range(length))
        return Sequence([], steps) if not length else _Given(self, node, number, steps)

    def leaf(self, whole: Tensor, number: int, at: int, step: int | None, backwards: bool) -> Tensor:
        """Entry `at` of a given sequence, as a leaf of the step that reads it."""
        key = (number, at, step)
        if key not in self.leaves:
            value = as_value(whole.value[at])
            if step is None:
                name, place = f"@{number}:at {at}", ROOT
            elif backwards:  # a number below zero says so
                name, place = f"@{-number - 1}:{at + step}", self.scope(step)
            else:
                name, place = f"@{number}:{at - step}", self.scope(step)
            self.leaves[key] = Tensor(value, None, (), None, name, place, whole.requires_grad)
            self.origin[self.leaves[key].id] = key
        return self.leaves[key]

    def _stacked(self, node: Tensor, given: list[Any]) -> Sequence | None:
        """A stack of one entry for each of several steps in a row."""
        steps = [x.scope.step for x in given]
        if len(steps) < 2 or not all(isinstance(s, int) for s in steps):
            return None
        way = steps[1] - steps[0]
        if abs(way) != 1 or any(b - a != way for a, b in zip(steps, steps[1:], strict=False)):
            return None
        axis = (node.params or {}).get("axis", 0) % node.ndim
        return Sequence(given, steps, axis)

    def _entry(self, node: Tensor, whole: Sequence, at: int) -> Tensor:
        if isinstance(whole, _Given):
            found = whole.entry(at, self.step_of(node))
        else:
            found = whole.entries[at]
        rest = _rest(node, whole.axis)
        if rest or node.name is not None:
            with entered(node.scope):
                found = _pick(found, rest) if rest else _same(found)
            found.name = node.name
        return found

    def whole(self, x: Tensor | Sequence) -> Tensor:
        """A sequence as one array again."""
        if isinstance(x, Tensor):
            return x
        return record(PRIMITIVES["stack"], tuple(x.entries), {"axis": x.axis})

    def each(self, steps: list[int], axis: int, compute: Callable[[int], Tensor], name: str | None) -> Sequence:
        """One node for each step, in the step's scope."""
        entries = []
        for n, step in enumerate(steps):
            with entered(self.scope(step)):
                entry = compute(n)
            if name is not None:
                entry.name = name
            entries.append(entry)
        return Sequence(entries, steps, axis)


class _Given(Sequence):
    """A sequence given by the caller; its entries become leaves of the steps that read them."""

    def __init__(self, owner: Unstacking, node: Tensor, number: int, steps: list[int], axis: int = 0) -> None:
        self.owner, self.node, self.number, self.steps, self.axis = owner, node, number, steps, axis

    @property
    def entries(self) -> list[Tensor]:  # type: ignore[override]
        return [self.entry(at, step) for at, step in enumerate(self.steps)]

    def entry(self, at: int, step: int | None, backwards: bool | None = None) -> Tensor:
        """One entry, as a leaf of the step."""
        way = self.number in self.owner.backwards if backwards is None else backwards
        return self.owner.leaf(self.node, self.number, at % len(self.node), step, way)

    def beside(self, steps: list[int]) -> Sequence:
        """The entries as leaves of other steps: those of a sequence they are used with."""
        if steps == self.steps or len(steps) != len(self.steps):
            return self
        way = len(steps) > 1 and steps[1] < steps[0]
        return Sequence([self.entry(at, step, way) for at, step in enumerate(steps)], steps, self.axis)


# -- single indices -----------------------------------------------------------------------------------------------
def _index(node: Tensor, axis: int = 0) -> int | None:
    """The entry a `getitem` picks along an axis, None if it picks otherwise."""
    parts = _parts(node)
    if len(parts) <= axis or any(not isinstance(p, slice) or p != slice(None) for p in parts[:axis]):
        return None
    if isinstance(parts[axis], int | np.integer) and not isinstance(parts[axis], bool):
        return int(parts[axis]) % node.inputs[0].shape[axis]
    return None


def _rest(node: Tensor, axis: int) -> tuple[Any, ...]:
    """What is picked of the entry."""
    parts = _parts(node)
    rest = parts[:axis] + parts[axis + 1 :]
    return () if all(isinstance(p, slice) and p == slice(None) for p in rest) else rest


def _parts(node: Tensor) -> tuple[Any, ...]:
    index = (node.params or {})["index"]
    return index if isinstance(index, tuple) else (index,)


def _pick(x: Tensor, index: tuple[Any, ...]) -> Tensor:
    return record(PRIMITIVES["getitem"], (x,), {"index": index})


def _same(x: Tensor) -> Tensor:
    return record(PRIMITIVES["identity"], (x,))


# -- rules: what an operation on a whole sequence is at each step -------------------------------------------------
Rule = Callable[[Unstacking, Tensor, list[Any]], "Tensor | Sequence | None"]


def _same_steps(given: list[Any]) -> tuple[list[int], int] | None:
    """The steps and the axis (from the end) that all sequences among the inputs share."""
    found = {(tuple(x.steps), x.axis - _rank(x)) for x in given if isinstance(x, Sequence)}
    if len(found) != 1:
        return None
    steps, axis = found.pop()
    return list(steps), axis


def _rank(x: Sequence) -> int:
    return x.node.ndim if isinstance(x, _Given) else x.entries[0].ndim + 1


def _entrywise(owner: Unstacking, node: Tensor, given: list[Any]) -> Sequence | None:
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
            flat = np.reshape(x, [n for i, n in enumerate(x.shape) if i != x.ndim + axis])
            columns.append([flat] * len(steps))
        else:
            return None
    if any(c[0].ndim >= node.ndim for c in columns):
        return None
    assert node.op is not None
    op = node.op
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
    if keepdims:
        return None
    inner = tuple(i - (i > x.axis) for i in axes if i != x.axis)
    over = not inner and x.axis in axes
    parts = (
        x
        if over
        else owner.each(
            x.steps,
            x.axis - sum(i < x.axis for i in axes),
            lambda n: record(PRIMITIVES["sum"], (x.entries[n],), {"axis": inner, "keepdims": False}),
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
    op = node.op
    return owner.each(x.steps, x.axis, lambda n: record(op, (x.entries[n], w), node.params), node.name)  # type: ignore[arg-type]


def _transposed(owner: Unstacking, node: Tensor, given: list[Any]) -> Sequence:
    (x,) = given
    rank = _rank(x)
    axes = (node.params or {}).get("axes")
    axes = tuple(range(rank))[::-1] if axes is None else tuple(int(i) % rank for i in axes)
    inner = tuple(i - (i > x.axis) for i in axes if i != x.axis)
    where = axes.index(x.axis)
    if inner == tuple(range(rank - 1)):
        if isinstance(x, _Given) and node.name is None:
            return _Given(owner, x.node, x.number, x.steps, where)
        return Sequence(x.entries, x.steps, where) if node.name is None else _named(owner, x, where, node.name)
    op = PRIMITIVES["transpose"]
    return owner.each(x.steps, where, lambda n: record(op, (x.entries[n],), {"axes": inner}), node.name)


def _named(owner: Unstacking, x: Sequence, axis: int, name: str) -> Sequence:
    return owner.each(x.steps, axis, lambda n: _same(x.entries[n]), name)


def _along(owner: Unstacking, node: Tensor, given: list[Any]) -> Sequence | None:
    """softmax and its kin: one axis that is not that of time."""
    x = given[0]
    params = dict(node.params or {})
    keeps = node.op is not None and node.op.name in ("softmax", "log_softmax") or params.get("keepdims", False)
    if not isinstance(x, Sequence) or params.get("axis", -1) is None or isinstance(params.get("axis", -1), tuple):
        return None
    rank = _rank(x)
    axis = params.get("axis", -1) % rank
    if axis == x.axis:
        return None
    params["axis"] = axis - (axis > x.axis)
    rest = given[1:]
    if any(not isinstance(y, Sequence) or y.steps != x.steps for y in rest):
        return None
    where = x.axis if keeps else x.axis - (axis < x.axis)
    op = node.op
    return owner.each(
        x.steps, where, lambda n: record(op, (x.entries[n], *[y.entries[n] for y in rest]), params), node.name  # type: ignore[arg-type]
    )


def _onehot(owner: Unstacking, node: Tensor, given: list[Any]) -> Sequence | None:
    (x,) = given
    params = dict(node.params or {})
    rank = _rank(x) + 1
    axis = params.get("axis", -1) % rank
    where = x.axis + (axis <= x.axis)
    params["axis"] = axis - (axis > where)
    op = node.op
    return owner.each(x.steps, where, lambda n: record(op, (x.entries[n],), params), node.name)  # type: ignore[arg-type]


def _taken(owner: Unstacking, node: Tensor, given: list[Any]) -> Sequence | None:
    """Part of each entry: the index leaves the axis of time alone and comes after it."""
    x = given[0]
    index = (node.params or {})["index"]
    parts = index if isinstance(index, tuple) else (index,)
    if x.axis != 0 or any(p is None or p is Ellipsis or isinstance(p, np.ndarray) for p in parts):
        return None
    if parts[0] != slice(None):
        if isinstance(parts[0], slice) and all(p == slice(None) for p in parts[1:]) and not isinstance(x, _Given):
            return Sequence(x.entries[parts[0]], x.steps[parts[0]])
        return None
    rest = parts[1:]
    return owner.each(x.steps, 0, lambda n: _pick(x.entries[n], rest), node.name)


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
    op = node.op
    return owner.each(
        x.steps, x.axis, lambda n: record(op, tuple(y.entries[n] for y in given), inner), node.name  # type: ignore[arg-type]
    )


RULES: dict[str, Rule] = {
    "sum": _reduced, "linear": _product, "matmul": _product, "transpose": _transposed, "softmax": _along,
    "log_softmax": _along, "logsumexp": _along, "cross_entropy": _along, "onehot": _onehot, "getitem": _taken,
    "concatenate": _joined,
}  # fmt: skip

