"""Fold an unfolded graph back into the recurrence that produced it.

The only question answered here is "are these steps the same step?". What the answer is made of stands in `program`, how
one is unfolded again in `unfold`; drawing, derivation and compilation start from the answer, none compares steps.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

from ..errors import FoldError
from ..graph import Graph, is_constant
from ..tensor import Tensor, Value
from .difference import Difference
from .program import Input, LoopProgram, Node, outside
from .timeline import Timeline, same_value


def fold(graph: Graph | Tensor) -> LoopProgram:
    """The recurrence that a graph with time steps repeats, whatever its length; forward and backward graphs alike.

    Steps are the same when their operations are, one by one in the order of recording: primitive, static arguments,
    name, shape, dtype, and what is read (the same step, a step a fixed distance away, one and the same node, or a
    constant of the same value). Steps at both ends may differ (initial states; in a gradient, contributions that only
    inner steps have) and are kept apart, at most as many on either side as the longest delay plus one. What is computed
    outside of the steps once for each, as `sum(losses)` is, folds as if it stood inside.

    From a single length T cannot be told from a constant: a loss divided by T keeps the recorded number.

    Raises `FoldError` when steps differ elsewhere, when there is no single time (2-D nets, trees, loops in loops), or
    when there are too few steps to tell.

    >>> import numpy as np, tinygrad_rnn as tg
    >>> from tinygrad_rnn.core.loop.fold import fold
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
    if not isinstance(graph, Graph):
        graph = getattr(graph, "graph", None) or Graph(graph)
    return folded(Timeline(graph))


def folded(timeline: Timeline, groups: Iterable[Sequence[Tensor]] | None = None) -> LoopProgram:
    """The same for a graph whose nodes are told apart by step already.

    groups: outputs of the graph that are one output together, as the entries of a sequence. Raises `FoldError` as
    `fold` does, and for a group that is no run over the steps.
    """
    return _Writer(timeline, _Span(timeline)).program(timeline.graph, groups)


# -- which steps are the same -----------------------------------------------------------------------------------------
class _Span:
    """The longest run of same steps around a middle one: the steps `lo` to `hi`, and what the ends read beyond them."""

    def __init__(self, timeline: Timeline) -> None:
        self.timeline = timeline
        self.template, neighbours = self._middle()
        self.reads = timeline.reads(self.template, *neighbours)
        stride = timeline.stride
        shifts = {(p + read) // stride for p, row in enumerate(self.reads) for read in row if type(read) is int}
        self.reach = max(map(abs, shifts), default=0)
        loose: list[tuple[int, int, int]] = []
        self.lo = self.hi = self.template
        while self.lo > 0 and timeline.difference(self.template, self.lo - 1, self.reads, loose) is None:
            self.lo -= 1
        while (
            self.hi + 1 < len(timeline.lists)
            and timeline.difference(self.template, self.hi + 1, self.reads, loose) is None
        ):
            self.hi += 1
        for place in sorted(loose, key=lambda place: -abs(place[0] - self.template)):
            if not self._may_differ(*place):
                self._leave(place[0])
        self.initial = self._initial()
        self._check()

    def _middle(self) -> tuple[int, list[int]]:
        """The middle of the longest run of steps with the same operations, and its neighbours in that run."""
        best, run, before = range(0), range(0), None
        for i, nodes in enumerate(self.timeline.lists):
            ops = [node.op for node in nodes]
            run = range(run.start if ops == before else i, i + 1)
            before = ops
            if self.timeline.busy[i] and len(run) > len(best):
                best = run
        middle = best[len(best) // 2] if best else 0
        return middle, [i for i in (middle - 1, middle + 1) if i in best]

    def _may_differ(self, t: int, p: int, j: int) -> bool:
        """Whether step t reads an initial value there: from beyond the body, and from that very step if it exists."""
        source = t + (p + self.reads[p][j]) // self.timeline.stride
        found = self.timeline.split(self.timeline.lists[t][p].inputs[j])
        elsewhere = found is not None and found[0] != source and 0 <= source < len(self.timeline.lists)
        return not elsewhere and not self.lo <= source <= self.hi

    def _leave(self, t: int) -> None:
        if self.lo <= t < self.template:
            self.lo = t + 1
        elif self.template < t <= self.hi:
            self.hi = t - 1

    def _initial(self) -> dict[tuple[int, int], Tensor]:
        """What the body reads beyond its ends, by position and distance; a step that reads something else leaves."""
        while True:
            found: dict[tuple[int, int], Tensor] = {}
            near = [t for t in range(self.lo, self.hi + 1) if min(t - self.lo, self.hi - t) < self.reach]
            clash = next((t for t in near if not self._read_beyond(t, found)), None)
            if clash is None:
                return found
            if clash == self.template:
                raise FoldError(self._advice())
            self._leave(clash)

    def _read_beyond(self, t: int, found: dict[tuple[int, int], Tensor]) -> bool:
        """Note what step t reads beyond the ends; whether it agrees with what others read there."""
        for p, row in enumerate(self.reads):
            for read, x in zip(row, self.timeline.lists[t][p].inputs, strict=True):
                if type(read) is not int:
                    continue
                shift, position = divmod(p + read, self.timeline.stride)
                distance = min(t + shift - self.lo, 0) or max(t + shift - self.hi, 0)
                if distance:
                    known = found.setdefault((position, distance), x)
                    if known is not x and not (
                        is_constant(known) and is_constant(x) and same_value(known.value, x.value)
                    ):
                        return False
        return True

    def _check(self) -> None:
        busy = self.timeline.busy
        if not any(busy):
            raise FoldError("the steps of this graph hold leaves only: nothing is computed in them")
        ends = sum(busy[: self.lo]), sum(busy[self.hi + 1 :])
        if max(ends) <= self.most and self.hi - self.lo + 1 >= max(2, self.reach):
            return
        found = self._first_difference()
        if found is None:
            raise FoldError(self._advice())
        raise FoldError(str(found) + (f". {self._advice()}" if sum(busy) < self._enough else ""))

    @property
    def most(self) -> int:
        """How many steps may differ at either end: the delay's ends lack its contributions, and one may hold a loss."""
        return self.reach + 1

    @property
    def _enough(self) -> int:
        return 2 * self.most + max(2, self.reach)

    def _advice(self) -> str:
        count = sum(self.timeline.busy)
        steps = "1 step is" if count == 1 else f"{count} steps are"
        enough = max(self._enough, count + 1)
        return f"{steps} too few to tell the ends of the sequence from its middle: unroll {enough} or more"

    def _first_difference(self) -> Difference | None:
        """The first two neighbouring steps that differ; those at the ends are asked last, as they may differ."""
        timeline = self.timeline
        steps = [i for i, busy in enumerate(timeline.busy) if busy]
        pairs = list(pairwise(steps))
        for a, b in pairs[self.most : -self.most] + pairs:
            loose: list[tuple[int, int, int]] = []
            others = [b] if a == steps[0] else [a - 1, b]
            found = timeline.difference(a, b, timeline.reads(a, *others), loose)
            first = min([place[1:] for place in loose] + ([found] if found else []), default=None)
            if first is not None:
                return Difference(timeline, a, b, *first)
        return None


# -- writing down what was found --------------------------------------------------------------------------------------
class _Writer:
    """Writes a node for each of those recorded, by where it stands relative to the body."""

    def __init__(self, timeline: Timeline, span: _Span) -> None:
        self.timeline, self.span = timeline, span
        lists = timeline.lists
        self.body = [self.node(x, {"offset": span.lo, "backwards": False}, True) for x in lists[span.template]]
        self.ends = {i: [self.node(x, {"at": self.counted(i, None)}) for x in lists[i]] for i in self.end_steps()}
        self.after = [self.node(x, {}) for x in timeline.after]
        self.shifts: dict[tuple[int, int], Node] = {}
        self.once: dict[tuple[int, int], Node] = {}
        #: what is read as it is, by the id of the recorded node
        self.known = {x.id: node for x, node in zip(timeline.after, self.after, strict=True)}
        for i, step in self.ends.items():
            self.known.update({x.id: node for x, node in zip(lists[i], step, strict=True)})

    def end_steps(self) -> list[int]:
        return [*range(self.span.lo), *range(self.span.hi + 1, len(self.timeline.lists))]

    def node(self, x: Tensor, at: dict[str, Any], step: bool = False) -> Node:
        """A node without what it reads; `at` says of a leaf which of its values it is."""
        scopes = self.timeline.labels(x.scope)
        if x.op is not None:
            params = dict(x.params) if x.params else None
            return Node(x.op.name, (), params, step, x.value, x.op, x.name or "", scopes, x.requires_grad)
        if x.name is None:
            return Node("constant", (), {"value": x.value}, False, x.value, None, "", scopes, x.requires_grad)
        node = Node("input", (), at, step, x.value, None, x.name, scopes, x.requires_grad)
        node.params = {"leaf": node.place, **at}
        return node

    def program(self, graph: Graph, groups: Iterable[Sequence[Tensor]] | None) -> LoopProgram:
        lists, lo, hi = self.timeline.lists, self.span.lo, self.span.hi
        for p, node in enumerate(self.body):
            node.ins = [self.body_read(p, read) for read in self.span.reads[p]]
        for i, step in self.ends.items():
            for node, x in zip(step, lists[i], strict=True):
                node.ins = [self.read(y, i) for y in x.inputs]
        for node, x in zip(self.after, self.timeline.after, strict=True):
            node.ins = self.sequence(x.inputs)
        outputs = self.sequence(graph.outputs) if groups is None else list(map(self.whole, groups))
        self.begin_shifts()
        return LoopProgram(
            body=tuple(self.body),
            first=tuple(tuple(self.ends[i]) for i in range(lo)),
            last=tuple(tuple(self.ends[i]) for i in range(hi + 1, len(lists))),
            after=tuple(self.after),
            outputs=tuple(outputs),
            inputs=self.inputs(graph),
            parameters=graph.parameters,
            start=self.timeline.start,
            T=sum(self.timeline.busy),
        )

    def body_read(self, p: int, read: Any) -> Node:
        """What the node at p of the body reads: a difference of places, or one and the same node in every step."""
        if type(read) is not int:
            return self.read(read)
        by, position = divmod(p + read, self.timeline.stride)
        return self.shift(position, by) if by else self.body[position]

    def shift(self, p: int, by: int) -> Node:
        """The node at p of another step, as a chain of shifts by one; where they begin is told later."""
        way = 1 if by > 0 else -1
        source = self.body[p]
        for n in range(1, abs(by) + 1):
            key = (p, way * n)
            if key not in self.shifts:
                self.shifts[key] = Node("shift", [source], {"by": way}, True, source.sample, label=source.label)
            source = self.shifts[key]
        return source

    def begin_shifts(self) -> None:
        """What shifts give beyond the ends, which may read further ones."""
        begun = 0
        while begun < len(self.shifts):
            for key, node in list(self.shifts.items())[begun:]:
                node.ins.append(self.read(self.span.initial[key]))
                begun += 1

    def read(self, x: Tensor, i: int | None = None) -> Node:
        """A read of step i at an end, or of what belongs to no step."""
        if x.id in self.known:
            return self.known[x.id]
        found = self.timeline.split(x)
        if found is not None:
            return self.of_body(found[0], i, found[1])
        node = outside(x)
        if node.op != "constant":  # which uses shared one constant is not kept
            self.known[x.id] = node
        return node

    def of_body(self, step: int, reader: int | None, p: int) -> Node:
        """The node at p of a step of the body."""
        k = self.counted(step, reader)
        return self.at(k - self.span.lo if k >= 0 else k + len(self.timeline.lists) - 1 - self.span.hi, p)

    def at(self, k: int, p: int) -> Node:
        """The node at p of step k of the body, counted from its first or its last; what lies at the end of a loop that
        carries it is the loop's result."""
        by = {-1: -1, 0: 1}.get(k, 0)
        if (k, p) not in self.once:
            node = self.body[p]
            if (p, by) in self.span.initial:
                self.once[k, p] = Node("ends", [self.shift(p, by)], {}, False, node.sample)
            else:
                self.once[k, p] = Node("at", [node], {"k": k}, False, node.sample)
        return self.once[k, p]

    def counted(self, step: int, reader: int | None) -> int:
        """The number of a step from the end it belongs to: its own, its reader's if that is near, or the nearer one."""
        span, n = self.span, len(self.timeline.lists)
        if span.lo <= step <= span.hi and reader is not None and abs(step - reader) <= span.reach:
            return step if reader < span.lo else step - n
        return step if step < span.lo or (step <= span.hi and step - span.lo < span.hi - step) else step - n

    def whole(self, group: Sequence[Tensor]) -> Node:
        """A single output, or all entries of a sequence as one."""
        found = self.sequence(group)
        if len(found) > 1:
            raise FoldError("a sequence whose ends differ is an output")
        return found[0]

    def sequence(self, nodes: Sequence[Tensor]) -> list[Node]:
        """Reads from outside of the steps; those that run over the body are one `spread`."""
        lo, hi = self.span.lo, self.span.hi
        groups: list[tuple[int, list[int]]] = []  # neighbours of one step, as (step, positions); -1 for other nodes
        others: list[Tensor] = []
        for x in nodes:
            found = self.timeline.split(x)
            if found is None or not lo <= found[0] <= hi:
                groups.append((-1, [len(others)]))
                others.append(x)
            elif groups and groups[-1][0] == found[0]:
                groups[-1][1].append(found[1])
            else:
                groups.append((found[0], [found[1]]))
        result: list[Node] = []
        i = 0
        while i < len(groups):
            step, positions = groups[i]
            end = self.run_end(groups, i)
            if step < 0:
                result.append(self.read(others[positions[0]]))
            elif 2 * (end - i) > hi - lo + 1:
                low, high = sorted((step, groups[end - 1][0]))
                run = {"start": low - lo, "stop": hi - high, "backwards": step > groups[i + 1][0]}
                result.append(Node("spread", [self.body[p] for p in positions], run))
            else:
                end = i + 1
                result += [self.of_body(step, None, p) for p in positions]
            i = end
        return result

    @staticmethod
    def run_end(groups: list[tuple[int, list[int]]], i: int) -> int:
        """Where the run of neighbouring steps that begins at i ends."""
        step, positions = groups[i]
        way = groups[i + 1][0] - step if step >= 0 and i + 1 < len(groups) else 0
        end = i + 1
        while abs(way) == 1 and end < len(groups) and groups[end] == (step + way * (end - i), positions):
            end += 1
        return end

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
                raise FoldError(f"two leaves are called {name} at step {at}: give each a name of its own")
            values.setdefault(name, {})[at] = node.value
        order = {node.place: p for p, node in enumerate(self.body) if node.op == "input"}
        named = sorted(values, key=lambda name: order.get(name, len(self.body)))
        return tuple(Input(name, name in order, values[name]) for name in named)
