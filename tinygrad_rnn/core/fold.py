"""Fold an unfolded graph back into the recurrence that produced it.

The only question answered here is "are these steps the same step?". What a recurrence is stands in `recurrence`, how one is
unfolded again in `unfold`; drawing, derivation and compilation start from the answer, and none of them compares steps.
"""

from __future__ import annotations

from typing import Any

from .difference import Difference
from .graph import Graph
from .recurrence import After, At, Carry, Constant, Each, Here, Input, Instruction, Recurrence, Reference, Root, Shift
from .tensor import Tensor, Value
from .timeline import FoldError, Timeline, is_constant, same_value


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
    timeline = Timeline(graph)
    return _Writer(timeline, _Span(timeline)).recurrence(graph)


# -- which steps are the same -------------------------------------------------------------------------------------------
class _Span:
    """The longest run of same steps around a middle one: the steps `lo` to `hi`, and what the ends read beyond them."""

    def __init__(self, timeline: Timeline) -> None:
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
        raise FoldError(Difference(self.timeline, *found).text() + (f". {advice}" if few else ""))

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


# -- writing down what was found ----------------------------------------------------------------------------------------
class _Writer:
    """Turns nodes into instructions, by where they stand relative to the body."""

    def __init__(self, timeline: Timeline, span: _Span) -> None:
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
