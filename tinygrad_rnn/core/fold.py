"""Fold an unfolded graph back into the recurrence that produced it.

The only question answered here is "are these steps the same step?". What a recurrence is stands in `recurrence`, how one is
unfolded again in `unfold`; drawing, derivation and compilation start from the answer, and none of them compares steps.
"""

from __future__ import annotations

from struct import pack
from typing import Any

import numpy as np

from .errors import GraphError
from .graph import Graph
from .recurrence import After, At, Carry, Constant, Each, Here, Input, Instruction, Recurrence, Reference, Root, Scopes, Shift
from .scope import Scope
from .tensor import Tensor, Value


class FoldError(GraphError):
    """The steps of a graph are not one step repeated; the message names the first operation and step that differ."""


def fold(graph: Graph) -> Recurrence:
    """The recurrence that a graph with time steps repeats, whatever its length; forward and backward graphs alike.

    Steps are the same when their operations are, one by one in the order of recording: primitive, static arguments, name,
    shape, dtype, and what is read (the same step, a step a fixed distance away, one and the same node, or a constant of
    the same value). Steps at both ends may differ (initial states; in a gradient, contributions that only inner steps
    have) and are kept apart, at most as many on either side as the longest delay plus one. A sum written in Python
    outside of the steps, as `sum(losses)`, is folded as if written inside.

    From a single length, what is T can not be told from what is constant: a loss divided by T keeps the recorded number.

    Raises `FoldError` when steps differ elsewhere, when there is no single time (2-D nets, trees, loops in loops), or when
    there are too few steps to tell.

    >>> import numpy as np, tinygrad_rnn as tg
    >>> from tinygrad_rnn.core.fold import fold
    >>> W, h = tg.tensor(0.5, name="W"), np.array(1.0)
    >>> for t in tg.steps(4):
    ...     x = tg.tensor(0.1 * t, name="x", requires_grad=False)
    ...     h = tg.name("h", np.tanh(W * h + x))
    >>> print(fold(tg.Graph(h)))
    recurrence over t = 0 .. T-1
    parameters: W ()
    inputs: x[t]
    carry: h[t-1], at the start 1.0
    for t = 0 .. T-1:
        x[t] is given
        v1 = W * h[t-1]
        v2 = v1 + x[t]
        h[t] = tanh(v2)
    outputs: h[T-1]
    """
    timeline = _Timeline(graph)
    return _Writer(timeline, _Span(timeline)).recurrence(graph)


# -- which node stands where --------------------------------------------------------------------------------------------
class _Timeline:
    """The nodes step by step in the order of recording, and those that belong to no step.

    `place` holds for each node of a step `step number * stride + position`: two nodes correspond exactly if the
    differences to the places of what they read are the same.
    """

    def __init__(self, graph: Graph) -> None:
        steps: dict[Any, list[Tensor]] = {}
        outside: list[Tensor] = []
        for node in graph.nodes:
            if not is_constant(node):
                step = node.scope.step
                (outside if step is None else steps.setdefault(step, [])).append(node)
        _check_times(steps)
        self.start = min(steps)
        self.lists = [steps[t] for t in range(self.start, self.start + len(steps))]
        self.busy = [any(node.op is not None for node in nodes) for nodes in self.lists]
        self.after = self._after(outside)
        self.stride = max(map(len, self.lists))
        self.place = {node.id: i * self.stride + p for i, nodes in enumerate(self.lists) for p, node in enumerate(nodes)}
        self._labels: dict[int, Scopes] = {}
        self._interned: dict[Scopes, Scopes] = {}

    def _after(self, outside: list[Tensor]) -> list[Tensor]:
        """The nodes outside that read steps. What is computed there once for each step joins the steps."""
        at = {node.id: i for i, nodes in enumerate(self.lists) for node in nodes}
        after: dict[int, Tensor] = {}
        guess: dict[int, int] = {}
        groups: dict[Any, list[Tensor]] = {}
        for node in outside:
            if not any(x.id in at or x.id in after for x in node.inputs):
                continue
            after[node.id] = node
            kind = (node.op, node.name)
            read = {at[x.id] for x in node.inputs if x.id in at}
            # the sum so far is of the node's own kind, and says nothing about where the node belongs
            read = read or {guess[x.id] for x in node.inputs if x.id in guess and (x.op, x.name) != kind}
            if len(read) == 1:
                guess[node.id] = read.pop()
                groups.setdefault(kind, []).append(node)
        for nodes in groups.values():
            if 2 * len({guess[node.id] for node in nodes}) > max(sum(self.busy), 2):
                for node in nodes:
                    self.lists[guess[node.id]].append(after.pop(node.id))
        for nodes in self.lists:
            nodes.sort(key=lambda node: node.id)
        return list(after.values())

    def labels(self, scope: Scope) -> Scopes:
        """The labels on a scope's path, None for the index of the step; one object for each sequence of labels."""
        known = self._labels.get(id(scope))
        if known is None:
            labels = tuple(s.label if s.index is None else None for s in scope.path)
            known = self._labels[id(scope)] = self._interned.setdefault(labels, labels)
        return known

    def split(self, x: Tensor) -> tuple[int, int] | None:
        """Step (from 0) and position of a node, None if it belongs to no step."""
        code = self.place.get(x.id)
        return None if code is None else divmod(code, self.stride)

    def difference(self, a: int, b: int, reads: list[list[Any]], loose: list[tuple[int, int, int]]) -> tuple[int, int] | None:
        """Where step b first differs from step a, as (position, input or -1); `reads` are the reads of a.

        Reads of other steps that do not correspond are only noted in `loose`, as (step, position, input).
        """
        model, nodes = self.lists[a], self.lists[b]
        place = self.place.get
        here = b * self.stride
        for p, (old, node) in enumerate(zip(model, nodes)):  # noqa: B905 - lengths are compared below
            v, w = node.value, old.value
            if (
                node.op is not old.op
                or node.name != old.name
                or len(node.inputs) != len(old.inputs)
                or (type(v) is not float or type(w) is not float) and (np.shape(v) != np.shape(w) or node.dtype != old.dtype)
                or (node.params is not old.params and not same_static(node.params, old.params))
                or (node.scope is not old.scope and self.labels(node.scope) is not self.labels(old.scope))
                or (node.op is None and (node.requires_grad != old.requires_grad or node.name is None and not same_value(v, w)))
            ):
                return p, -1
            for j, x in enumerate(node.inputs):
                read = reads[p][j]
                if type(read) is int:
                    code = place(x.id)
                    if code is None or code - here - p != read:
                        if 0 <= p + read < self.stride:
                            return p, j
                        loose.append((b, p, j))
                elif x is not read and not (is_constant(x) and is_constant(read) and same_value(x.value, read.value)):
                    return p, j
        return None if len(model) == len(nodes) else (min(len(model), len(nodes)), -1)

    def reads(self, a: int, b: int | None) -> list[list[Any]]:
        """What each node of step a reads: a difference of places, or the node itself where step b reads the same one."""
        found = []
        for p, node in enumerate(self.lists[a]):
            row: list[Any] = []
            other = self.lists[b][p].inputs if b is not None and p < len(self.lists[b]) else ()
            for j, x in enumerate(node.inputs):
                code = self.place.get(x.id)
                row.append(x if code is None or (j < len(other) and other[j] is x) else code - a * self.stride - p)
            found.append(row)
        return found


def _check_times(steps: dict[Any, list[Tensor]]) -> None:
    if not steps:
        raise FoldError("nothing in this graph belongs to a time step: run its loop as `for t in tg.steps(T)`")
    paths = [step for step in steps if isinstance(step, tuple)]
    if paths:
        lengths = {len(path) for path in paths}
        examples = ", ".join(map(str, sorted(paths)[:3]))
        kind = f"a {len(paths[0])}-D net, indexed by" if len(lengths) == 1 else "a tree, indexed by paths such as"
        raise FoldError(f"this graph is {kind} {examples}: it has no single time along which steps could repeat")
    for nodes in steps.values():
        for scope in {id(node.scope): node.scope for node in nodes}.values():
            if sum(s.index is not None for s in scope.path) > 1:
                raise FoldError(f"steps within steps, as at {scope}: give the inner loop labels (tg.scope) instead of tg.steps")
    missing = [t for t in range(min(steps), max(steps)) if t not in steps]
    if missing:
        raise FoldError(f"the steps run from {min(steps)} to {max(steps)}, but nothing belongs to step {missing[0]}: number them in a row")


def is_constant(node: Tensor) -> bool:
    """Whether a node is nothing but a value: a leaf without a name that asks for no gradient."""
    return node.op is None and node.name is None and not node.requires_grad


def same_value(a: Value, b: Value) -> bool:
    """Whether two values are the same bytes."""
    if a is b:
        return True
    if type(a) is float or type(b) is float:
        return type(a) is type(b) and pack("d", a) == pack("d", b)
    return a.shape == b.shape and a.dtype == b.dtype and a.tobytes() == b.tobytes()  # type: ignore[union-attr]


def same_static(a: Any, b: Any) -> bool:
    """Whether two static arguments are equal, arrays by value."""
    if type(a) is not type(b):
        return False
    if isinstance(a, np.ndarray):
        return same_value(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same_static(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same_static, a, b))
    return bool(a == b)


# -- which steps are the same -------------------------------------------------------------------------------------------
class _Span:
    """The longest run of same steps around a middle one: the steps `lo` to `hi`, and what the ends read beyond them."""

    def __init__(self, timeline: _Timeline) -> None:
        self.timeline = timeline
        self.template, neighbour = self._middle()
        self.reads = timeline.reads(self.template, neighbour)
        stride = timeline.stride
        shifts = {(p + read) // stride for p, row in enumerate(self.reads) for read in row if type(read) is int}
        self.reach = max(map(abs, shifts), default=0)
        loose: list[tuple[int, int, int]] = []
        self.lo = self.hi = self.template
        while self.lo > 0 and timeline.difference(self.template, self.lo - 1, self.reads, loose) is None:
            self.lo -= 1
        while self.hi + 1 < len(timeline.lists) and timeline.difference(self.template, self.hi + 1, self.reads, loose) is None:
            self.hi += 1
        for t, p, j in sorted(loose, key=lambda place: -abs(place[0] - self.template)):
            if self.lo <= t + (p + self.reads[p][j]) // stride <= self.hi:
                self._leave(t)
        self.initial = self._initial()
        self._check()

    def _middle(self) -> tuple[int, int | None]:
        """The middle of the longest run of steps with the same operations, and a neighbour of it in that run."""
        timeline = self.timeline
        best = run = (0, -1)
        before: list[Any] = []
        for i, nodes in enumerate(timeline.lists):
            ops = [node.op for node in nodes]
            run = (run[0] if ops == before else i, i)
            before = ops
            if timeline.busy[i] and run[1] - run[0] > best[1] - best[0]:
                best = run
        middle = sum(best) // 2 if best[1] >= 0 else 0
        return middle, middle + 1 if middle < best[1] else middle - 1 if middle > best[0] else None

    def _leave(self, t: int) -> None:
        if self.lo <= t < self.template:
            self.lo = t + 1
        elif self.template < t <= self.hi:
            self.hi = t - 1

    def _initial(self) -> dict[tuple[int, int], Tensor]:
        """What the body reads beyond its ends, by position and distance; a step that sees something else there leaves."""
        while True:
            clash, found = None, {}
            for t in sorted({*range(self.lo, self.lo + self.reach), *range(self.hi - self.reach + 1, self.hi + 1)}):
                if self.lo <= t <= self.hi and clash is None:
                    clash = self._read_beyond(t, found)
            if clash is None or clash == self.template:
                return found
            self._leave(clash)

    def _read_beyond(self, t: int, found: dict[tuple[int, int], Tensor]) -> int | None:
        for p, row in enumerate(self.reads):
            for read, x in zip(row, self.timeline.lists[t][p].inputs, strict=True):
                if type(read) is not int:
                    continue
                shift, position = divmod(p + read, self.timeline.stride)
                distance = min(t + shift - self.lo, 0) or max(t + shift - self.hi, 0)
                if distance:
                    known = found.setdefault((position, distance), x)
                    if known is not x and not (is_constant(known) and is_constant(x) and same_value(known.value, x.value)):
                        return t
        return None

    def _check(self) -> None:
        busy, most = self.timeline.busy, self.reach + 1
        if not any(busy):
            raise FoldError("the steps of this graph hold leaves only: nothing is computed in them")
        ends = sum(busy[: self.lo]), sum(busy[self.hi + 1 :])
        if max(ends) <= most and self.hi - self.lo + 1 >= max(2, self.reach):
            return
        few = sum(busy) < 2 * most + max(2, self.reach)
        advice = f"{sum(busy)} steps are too few to tell the ends of the sequence from its middle: unroll {2 * most + max(2, self.reach)} or more"
        found = self._first_difference(most)
        if found is None:
            raise FoldError(advice)
        raise FoldError(_Difference(self.timeline, *found).text() + (f". {advice}" if few else ""))

    def _first_difference(self, most: int) -> tuple[int, int, int, int] | None:
        """The first two neighbouring steps that differ, and where; those at the ends are asked last, as they may differ."""
        steps = [i for i, busy in enumerate(self.timeline.busy) if busy]
        pairs = list(zip(steps, steps[1:], strict=False))
        for a, b in pairs[most:-most] + pairs:
            loose: list[tuple[int, int, int]] = []
            found = self.timeline.difference(a, b, self.timeline.reads(a, b), loose)
            inner = [place for place in loose if found is None or place[1:] < found]
            if inner or found:
                return (a, b, *(inner[0][1:] if inner else found))  # type: ignore[misc]
        return None


class _Difference:
    """Says where two steps differ, by the path from a named quantity of the step."""

    def __init__(self, timeline: _Timeline, a: int, b: int, position: int, slot: int) -> None:
        self.timeline, self.a, self.b = timeline, a, b
        self.position, self.slot = position, slot
        self.old, self.new = timeline.lists[a], timeline.lists[b]

    def text(self) -> str:
        start = self.timeline.start
        path, what = self.path(), self.what()
        return f"step {start + self.b} differs from step {start + self.a}{f' at {path}' if path else ''}: {what}"

    def path(self) -> str:
        """From the first named node that uses the differing one down to it; an operation that differs is not on its path."""
        nodes = self.new if self.position < len(self.new) else self.old
        position = self.position
        used_by: dict[int, int] = {}
        for q, node in enumerate(nodes):
            for x in node.inputs:
                used_by.setdefault(x.id, q)
        here: Tensor | None = nodes[position]
        ops: list[str] = []
        while here is not None:
            ops.append(here.op.name if here.op is not None else here.name or "leaf")
            if here.name is not None:
                ops.append(here.name)
                break
            here = nodes[used_by[here.id]] if here.id in used_by else None
        return "/".join(reversed(ops if self.slot >= 0 or self.ops_agree() else ops[1:]))

    def ops_agree(self) -> bool:
        p = self.position
        return p < min(len(self.old), len(self.new)) and self.old[p].op is self.new[p].op

    def what(self) -> str:
        p = self.position
        counts = f"{len(self.new)} nodes against {len(self.old)}"
        if p >= min(len(self.old), len(self.new)):
            return counts
        old, new = self.old[p], self.new[p]
        if self.slot >= 0:
            return self.operands(old.inputs[self.slot], new.inputs[self.slot])
        if old.op is not new.op:
            return f"{self.show(new, self.b)} against {self.show(old, self.a)}" + (f", {counts}" if len(self.old) != len(self.new) else "")
        if old.name != new.name:
            return f"the name {new.name} against {old.name}"
        if old.shape != new.shape or old.dtype != new.dtype:
            return f"{new.dtype} of shape {new.shape} against {old.dtype} of shape {old.shape}"
        if len(old.inputs) != len(new.inputs):
            return f"{len(new.inputs)} inputs against {len(old.inputs)}"
        for key in {**(old.params or {}), **(new.params or {})}:
            a, b = (old.params or {}).get(key), (new.params or {}).get(key)
            if not same_static(a, b):
                if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
                    return f"the static argument {key} is an array with other values; compute with a named 0/1 tensor instead"
                return f"{key} = {b} against {a}"
        if self.timeline.labels(old.scope) != self.timeline.labels(new.scope):
            return f"recorded at {new.scope} against {old.scope}"
        return self.operands(old, new) if old.op is None and old.name is None else "it asks for a gradient in one of them only"

    def operands(self, old: Tensor, new: Tensor) -> str:
        unnamed = all(x.op is None and x.name is None and x.shape for x in (old, new))
        if unnamed and old.shape == new.shape:
            return (
                f"an unnamed array of shape {new.shape} has other values at each step; name it inside the step, as in "
                'tg.tensor(x, name="x", requires_grad=False), and it becomes an input'
            )
        return f"{self.show(new, self.b)} against {self.show(old, self.a)}"

    def show(self, x: Tensor, step: int) -> str:
        found = self.timeline.split(x)
        if x.op is None and x.name is None:
            return f"constant {x.item():g}" if not x.shape else f"an array of shape {x.shape}"
        called = x.name or (x.op.name if x.op is not None else "leaf")
        if found is None:
            return called if x.op is None else f"{called}, computed outside of the steps,"
        if found[0] == step:
            return f"{called}[t]" if x.name else called
        return f"{called}[t{found[0] - step:+d}]"


# -- writing down what was found ----------------------------------------------------------------------------------------
class _Writer:
    """Turns nodes into instructions, by where they stand relative to the body."""

    def __init__(self, timeline: _Timeline, span: _Span) -> None:
        self.timeline, self.span = timeline, span
        self.after = {node.id: i for i, node in enumerate(timeline.after)}

    def recurrence(self, graph: Graph) -> Recurrence:
        lines, span = self.timeline.lists, self.span
        return Recurrence(
            carry=self.carry(),
            inputs=self.inputs(graph),
            outputs=self.sequence(graph.outputs),
            parameters=graph.parameters,
            body=tuple(self.instruction(node, self.body_reads(p)) for p, node in enumerate(lines[span.template])),
            first=tuple(self.step(i) for i in range(span.lo)),
            last=tuple(self.step(i) for i in range(span.hi + 1, len(lines))),
            after=tuple(self.instruction(node, self.sequence(node.inputs)) for node in self.timeline.after),
            start=self.timeline.start,
            T=sum(self.timeline.busy),
        )

    def step(self, i: int) -> tuple[Instruction, ...]:
        return tuple(self.instruction(n, tuple(self.read(x, i) for x in n.inputs)) for n in self.timeline.lists[i])

    def instruction(self, node: Tensor, inputs: tuple[Reference, ...]) -> Instruction:
        value = node.value if node.op is None and node.name is None else None
        scopes = self.timeline.labels(node.scope)
        return Instruction(node.op, node.params, node.name, inputs, scopes, node.shape, node.dtype, node.requires_grad, value)

    def body_reads(self, p: int) -> tuple[Reference, ...]:
        found: list[Reference] = []
        for read in self.span.reads[p]:
            if type(read) is int:
                shift, position = divmod(p + read, self.timeline.stride)
                found.append(Shift(position, shift) if shift else Here(position))
            else:
                found.append(self.read(read))
        return tuple(found)

    def read(self, x: Tensor, i: int | None = None) -> Reference:
        """A read of step i, or of what belongs to no step."""
        found = self.timeline.split(x)
        if found is None:
            return Constant(x.value) if is_constant(x) else After(self.after[x.id]) if x.id in self.after else Root(x)
        step, position = found
        return Here(position) if step == i else At(self.counted(step, i), position)

    def counted(self, step: int, reader: int | None) -> int:
        """The number of a step from the end it belongs to: its own, its reader's if that is near, or the nearer one."""
        span, n = self.span, len(self.timeline.lists)
        if span.lo <= step <= span.hi and reader is not None and abs(step - reader) <= span.reach:
            return step if reader < span.lo else step - n
        return step if step < span.lo or (step <= span.hi and step - span.lo < span.hi - step) else step - n

    def sequence(self, nodes: tuple[Tensor, ...]) -> tuple[Reference, ...]:
        """Reads from outside of the steps; those that run over the body are written as one."""
        groups: list[tuple[int, list[int]]] = []  # neighbours of one step, as (step, positions); -1 for other nodes
        others: list[Tensor] = []
        for x in nodes:
            found = self.timeline.split(x)
            if found is None or not self.span.lo <= found[0] <= self.span.hi:
                groups.append((-1, [len(others)]))
                others.append(x)
            elif groups and groups[-1][0] == found[0]:
                groups[-1][1].append(found[1])
            else:
                groups.append((found[0], [found[1]]))
        result: list[Reference] = []
        i = 0
        while i < len(groups):
            step, positions = groups[i]
            end = self.run_end(groups, i)
            if step < 0:
                result.append(self.read(others[positions[0]]))
            elif 2 * (end - i) > self.span.hi - self.span.lo + 1:
                low, high = sorted((step, groups[end - 1][0]))
                result.append(Each(tuple(positions), low - self.span.lo, self.span.hi - high, step > groups[i + 1][0]))
            else:
                end = i + 1
                result += [At(self.counted(step, None), p) for p in positions]
            i = end
        return tuple(result)

    @staticmethod
    def run_end(groups: list[tuple[int, list[int]]], i: int) -> int:
        """Where the run of neighbouring steps that begins at i ends."""
        step, positions = groups[i]
        way = groups[i + 1][0] - step if step >= 0 and i + 1 < len(groups) else 0
        end = i + 1
        while abs(way) == 1 and end < len(groups) and groups[end] == (step + way * (end - i), positions):
            end += 1
        return end

    def carry(self) -> tuple[Carry, ...]:
        span, found = self.span, {}
        for p, row in enumerate(span.reads):
            for read in row:
                if type(read) is int:
                    shift, position = divmod(p + read, self.timeline.stride)
                    found[position, shift] = shift
        carried = []
        for position, shift in sorted(found):
            if shift:
                node = self.timeline.lists[span.template][position]
                distances = range(shift, 0) if shift < 0 else range(1, shift + 1)
                initial = tuple(self.read(span.initial[position, n]) for n in distances)
                carried.append(Carry(node.name or f"v{position}", position, shift, initial))
        return tuple(carried)

    def inputs(self, graph: Graph) -> tuple[Input, ...]:
        """The named leaves that are no parameters, those of the body first."""
        values: dict[str, dict[int | None, Value]] = {}
        parameters = {node.id for node in graph.parameters}
        for node in graph.leaves:
            if node.name is None or node.id in parameters:
                continue
            name = ".".join([*[label for label in self.timeline.labels(node.scope) if label], node.name])
            at: Any = node.scope.step
            if at is not None and at in values.setdefault(name, {}):
                raise FoldError(f"two leaves are called {name} at step {at}: give them names of their own, so that values can be told apart")
            values.setdefault(name, {})[at] = node.value
        body = [self.instruction(node, ()) for node in self.timeline.lists[self.span.template]]
        positions = {node.place: p for p, node in enumerate(body) if node.op is None and node.name is not None}
        ordered = sorted(values, key=lambda name: positions.get(name, len(body)))
        return tuple(Input(name, positions.get(name), values[name]) for name in ordered)


__all__ = ["FoldError", "fold"]
