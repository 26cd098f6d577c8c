"""Bring what is computed for a whole sequence back into its steps.

A layer stacks its states into one array (T, B, H), and a loss takes that array at once. Entry t of such an array
belongs to step t, and so does whatever is computed from entry t alone: here each such operation becomes one operation
for each step. What looks at several entries at once stays as it is. Values do not change.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

from ...core.declare import record
from ...core.graph import ancestors, is_constant, with_inputs
from ...core.ops.indexing import HOLE
from ...core.primitive import PRIMITIVES
from ...core.scope import ROOT, Scope, entered
from ...core.tensor import Tensor, as_value, constant


# -- a whole sequence as its entries -----------------------------------------------------------------------------------
class Sequence:
    """A whole sequence as its entries, in the order of the `axis` along which they were stacked; `steps` of each."""

    def __init__(self, entries: list[Tensor], steps: list[int], axis: int = 0) -> None:
        self.entries, self.steps, self.axis = entries, steps, axis


class Given(Sequence):
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


class Free(Sequence):
    """What is computed from given sequences alone: it belongs to whatever steps it is used in."""

    def __init__(self, found: Sequence, again: Callable[[list[Any]], Any], given: list[Any]) -> None:
        super().__init__(found.entries, found.steps, found.axis)
        self.again, self.given = again, given
        self._beside: dict[tuple[int, ...], Sequence] = {tuple(found.steps): self}

    def beside(self, steps: list[int]) -> Sequence:
        """The same, computed in other steps."""
        key = tuple(steps)
        if key not in self._beside:
            moved = self.again([x.beside(steps) if isinstance(x, Given | Free) else x for x in self.given])
            alike = isinstance(moved, Sequence) and moved.steps == steps and moved.axis == self.axis
            self._beside[key] = moved if alike else self
        return self._beside[key]

    def entry(self, at: int, step: int | None) -> Tensor:
        """One entry, computed in the step that reads it."""
        if step is None:
            return self.entries[at]
        found = self.beside(list(range(step - at, step - at + len(self.steps))))
        return found.entries[at]


# -- single indices -----------------------------------------------------------------------------------------------
def index_of(node: Tensor, axis: int = 0) -> int | None:
    """The entry a `getitem` picks along an axis, None if it picks otherwise."""
    parts = parts_of(node)
    if len(parts) <= axis or any(not isinstance(p, slice) or p != slice(None) for p in parts[:axis]):
        return None
    if isinstance(parts[axis], int | np.integer) and not isinstance(parts[axis], bool):
        return int(parts[axis]) % node.inputs[0].shape[axis]
    return None


def rest_of(node: Tensor, axis: int) -> tuple[Any, ...]:
    """What is picked of the entry."""
    parts = parts_of(node)
    rest = parts[:axis] + parts[axis + 1 :]
    return () if all(isinstance(p, slice) and p == slice(None) for p in rest) else rest


def parts_of(node: Tensor) -> tuple[Any, ...]:
    index = (node.params or {})["index"]
    return index if isinstance(index, tuple) else (index,)


def pick(x: Tensor, index: tuple[Any, ...]) -> Tensor:
    return record(PRIMITIVES["getitem"], (x,), {"index": index})


def same(x: Tensor) -> Tensor:
    return record(PRIMITIVES["identity"], (x,))


# -- a graph rewritten ----------------------------------------------------------------------------------------------
class Unstacking:
    """Rewrites a graph; `sequences` maps the ids of leaves that are sequences to their numbers, `others` those of the
    other leaves.

    Which steps lie inside of given lengths (`inside`) is a sequence as well: `derived` says for its number of which
    argument, the least number there may be, and by how much the largest lies below the number of steps.
    """

    def __init__(
        self, sequences: dict[int, int], others: dict[int, int], count: int, length: int, first_id: int
    ) -> None:
        self.sequences, self.others, self.count, self.length = sequences, others, count, length
        #: leaves older than that were made outside of the function, and may be given other values
        self.first_id = first_id
        self.outside: dict[int, Tensor] = {}
        self.derived: dict[int, tuple[int, int, int]] = {}
        self.became: dict[int, Tensor | Sequence] = {}
        self.leaves: dict[tuple[int, int, int | None], Tensor] = {}
        #: for each leaf made here: number of the leaf, index into it, step (None outside of the steps)
        self.origin: dict[int, tuple[int, int, int | None]] = {}
        self.backwards: set[int] = set()
        self.steps: set[Any] = set()
        self._scopes: dict[int, Scope] = {}

    def outputs(self, outputs: Iterable[Tensor]) -> list[Tensor | Sequence]:
        """What stands for the outputs now."""
        outputs = list(outputs)
        nodes = ancestors(outputs)
        self._derive(nodes)
        self._ways(nodes)
        for node in nodes:
            self.became[node.id] = self._rewritten(node)
        return [self.became[output.id] for output in outputs]

    def _derive(self, nodes: list[Tensor]) -> None:
        """The sequences that say which steps lie inside of lengths that are an argument."""
        for node in nodes:
            ends = node.inputs[0] if node.op is PRIMITIVES["inside"] else None
            if ends is None or ends.op is not PRIMITIVES["ranged"] or ends.inputs[0].id not in self.others:
                continue
            number, params = self.count + len(self.derived), ends.params or {}
            leaf, steps = self.others[ends.inputs[0].id], (node.params or {})["steps"]
            if steps != self.length:
                continue
            self.derived[number] = leaf, params["low"], params["high"] - steps
            self.sequences[node.id] = number

    def _ways(self, nodes: list[Tensor]) -> None:
        """Which sequences are read from their end to their start."""
        reads: dict[int, list[tuple[int, int]]] = {}
        readers: dict[int, set[Any]] = {}
        for node in nodes:
            for x in node.inputs:
                readers.setdefault(x.id, set()).add(node.scope.step)
        self.steps = {node.scope.step for node in nodes if node.op is not None}
        # an entry picked before its step began belongs to the only step that reads it
        self.readers = {i: steps.pop() for i, steps in readers.items() if len(steps) == 1}
        for node in nodes:
            if node.op is PRIMITIVES["getitem"] and node.inputs[0].id in self.sequences:
                at, step = index_of(node), self.step_of(node)
                if at is not None and step is not None:
                    reads.setdefault(node.inputs[0].id, []).append((step, at))
        for i, pairs in reads.items():
            if len({step for step, _ in pairs}) > 1 and len({step + at for step, at in pairs}) == 1:
                self.backwards.add(self.sequences[i])

    def _rewritten(self, node: Tensor) -> Tensor | Sequence:
        if node.id in self.sequences:
            return self._whole(node)
        if node.op is None:
            old = node.id < self.first_id and node.name is None and not node.requires_grad
            return self._outside(node) if old else node
        given: list[Any] = [self.became[x.id] for x in node.inputs]
        name = node.op.name
        made = next((x for x in given if isinstance(x, Sequence) and not isinstance(x, Given | Free)), None)
        if made is not None:
            given = [x.beside(made.steps) if isinstance(x, Given | Free) else x for x in given]
        if not any(isinstance(x, Sequence) for x in given):
            if name == "stack" and (stacked := self._stacked(node, given)) is not None:
                return stacked
            if all(x is y for x, y in zip(given, node.inputs, strict=True)):
                return with_inputs(node, node.inputs)
            return with_inputs(node, given)
        if name == "getitem" and (at := index_of(node, given[0].axis)) is not None:
            return self._entry(node, given[0], at)
        rule = RULES.get(name) or (entrywise if node.op.elementwise else None)
        found = rule(self, node, given) if rule is not None else None
        if rule is not None and made is None and isinstance(found, Sequence) and not isinstance(found, Given):
            return Free(found, partial(rule, self, node), given)
        if found is not None:
            return found
        return with_inputs(node, [self.whole(x) for x in given])

    def _outside(self, node: Tensor) -> Tensor:
        """A Tensor made before the recording: as a leaf with a name, since one without is taken for a constant."""
        leaf = Tensor(node.value, None, (), None, "outside", ROOT, False)
        self.outside[leaf.id] = node
        return leaf

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
        first = int(length in self.steps)  # whoever counts from 1 has a step of this number
        steps = list(range(first, first + length))
        steps = steps[::-1] if number in self.backwards else steps
        return Sequence([], steps) if not length else Given(self, node, number, steps)

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
        if abs(way) != 1 or any(b - a != way for a, b in pairwise(steps)):
            return None
        axis = (node.params or {}).get("axis", 0) % node.ndim
        return Sequence(given, steps, axis)

    def _entry(self, node: Tensor, whole: Sequence, at: int) -> Tensor:
        found = whole.entry(at, self.step_of(node)) if isinstance(whole, Given | Free) else whole.entries[at]
        rest = rest_of(node, whole.axis)
        if rest or node.name is not None:
            with entered(node.scope):
                found = pick(found, rest) if rest else same(found)
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


# -- what an operation on a whole sequence is at each step; None where it is no such thing -----------------------------
Rule = Callable[[Any, Tensor, list[Any]], Tensor | Sequence | None]


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
