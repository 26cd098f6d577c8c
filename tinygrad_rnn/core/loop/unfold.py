"""Unfold a loop program into the graph of any length.

Every node is recorded anew, from the values of the leaves on; what repeats and what differs is known already.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..declare import MATH_ERRORS, record
from ..errors import GraphError
from ..graph import Graph
from ..primitive import Primitive
from ..scope import ROOT, Scope, current, entered
from ..tensor import Tensor, Value, as_value, plain
from .program import LoopProgram, Node, Scopes, at_step

Place = tuple[int, int]


def unfold(program: LoopProgram, T: int, values: Mapping[tuple[str, int], Any] | None = None) -> Graph:
    """The graph of a folded `program` over T steps that compute something, on the parameters it was recorded with.

    values: for a named leaf of a step its value, by (name, step); where nothing is given, the recorded value. Steps are
    numbered as in the recorded graph. Raises `GraphError` when T is too short for the steps at the ends, or a leaf has
    no value at a step.

    >>> import numpy as np, tinygrad_rnn as tg
    >>> from tinygrad_rnn.core.loop.fold import fold
    >>> from tinygrad_rnn.core.loop.unfold import unfold
    >>> w, h = tg.tensor(0.5, name="w"), tg.tensor(1.0)
    >>> for t in tg.steps(3):
    ...     h = tg.name("h", w * h)
    >>> unfold(fold(tg.Graph(h)), 10)["h", 9].item() == 0.5 ** 10
    True
    """
    shortest = program.ends + 1
    if shortest > T:
        raise GraphError(
            f"T = {T} is too short: {program.ends} steps at the ends differ from the rest, so T >= {shortest}"
        )
    known = {i.name: i for i in program.inputs} | {i.name.rpartition(".")[2]: i for i in program.inputs}
    for name, step in values or {}:
        if name not in known:
            raise GraphError(
                f"values: no leaf of a step is called {name} (at step {step}); there are {', '.join(known) or 'none'}"
            )
    return _Unfolding(program, T, dict(values or {})).graph()


class _Unfolding:
    """Builds the steps side by side: each goes on until it reads a node that is not there yet, and waits for it."""

    def __init__(self, program: LoopProgram, T: int, values: dict[tuple[str, int], Any]) -> None:
        self.program, self.values = program, values
        self.recorded = {i.name: i.values for i in program.inputs}
        self.lo = len(program.first)
        self.hi = self.lo + T - program.ends - 1
        steps = [*program.first, *[program.body] * (self.hi - self.lo + 1), *program.last]
        self.lanes = [*steps, program.after]
        self.count = len(steps)  # also the lane of what belongs to no step
        #: where nodes stand: position in the body; lane and position of all others
        self.position = {id(node): p for p, node in enumerate(program.body)}
        self.place = {
            id(node): (self.count if k is None else k % self.count, p)
            for k, step in program.blocks.items()
            for p, node in enumerate(step)
        }
        self.built: list[list[Tensor]] = [[] for _ in self.lanes]
        #: what the next node of each lane reads, as far as it is there
        self.gathered: list[list[Tensor]] = [[] for _ in self.lanes]
        self.reads: list[list[Place | Tensor]] = [[] for _ in self.lanes]
        self.waiting: dict[Place, list[int]] = {}
        self._scopes: dict[tuple[Scopes, int], Scope] = {}

    def graph(self) -> Graph:
        ready = deque(range(len(self.lanes)))
        while ready:
            lane = ready.popleft()
            while len(self.built[lane]) < len(self.lanes[lane]):
                node = self.lanes[lane][len(self.built[lane])]
                missing = self._gather(lane, node)
                if missing is not None:
                    self.waiting.setdefault(missing, []).append(lane)
                    break
                self._build(lane, node)
                ready.extend(self.waiting.pop((lane, len(self.built[lane]) - 1), ()))
        if self.waiting:
            step = self.program.start + min(self.waiting)[0]
            raise GraphError(
                f"these steps have no order at this length: nothing can be computed before a later node of step {step}"
            )
        return Graph(
            [self._node(read) for output in self.program.outputs for read in self._resolve(output, self.count)]
        )

    def _gather(self, lane: int, node: Node) -> Place | None:
        """Collect the inputs of the next node; the first one that is not there yet, if any."""
        gathered = self.gathered[lane]
        if not self.reads[lane]:
            self.reads[lane] = [read for x in node.ins for read in self._resolve(x, lane)]
        for read in self.reads[lane][len(gathered) :]:
            if not isinstance(read, Tensor) and read[1] >= len(self.built[read[0]]):
                return read
            gathered.append(self._node(read))
        return None

    def _node(self, read: Place | Tensor) -> Tensor:
        return read if isinstance(read, Tensor) else self.built[read[0]][read[1]]

    def _build(self, lane: int, node: Node) -> None:
        with entered(self._scope(node.scopes, lane)):
            if node.function is None:
                made = self._leaf(node, self.program.start + lane)
            else:
                made = compute(node.function, tuple(self.gathered[lane]), node.params or None)
                made.name = node.label or None
        self.built[lane].append(made)
        self.gathered[lane], self.reads[lane] = [], []

    def _resolve(self, x: Node, lane: int) -> list[Place | Tensor]:
        """The nodes that one stands for which a lane reads, as places or as they are."""
        while x.op == "shift":
            lane += x.params["by"]
            inside = self.lo <= lane <= self.hi
            x, lane = (x.ins[0], lane) if inside else (x.ins[1], self.count)
        if id(x) in self.position:
            return [(lane, self.position[id(x)])]
        if id(x) in self.place:
            return [self.place[id(x)]]
        match x.op:
            case "constant":
                return [Tensor(x.params["value"], None, (), None, None, ROOT, False)]
            case "input":
                return [x.params["tensor"]]
            case "spread":
                lanes = range(self.lo + x.params["start"], self.hi - x.params["stop"] + 1)
                return [
                    (i, self.position[id(node)])
                    for i in (reversed(lanes) if x.params["backwards"] else lanes)
                    for node in x.ins
                ]
        node, k = at_step(x)
        at = k + (self.lo if k >= 0 else self.hi + 1)
        distance = min(at - self.lo, 0) or max(at - self.hi, 0)
        if not distance:
            return [(at, self.position[id(node)])]
        beyond = self.program.initial.get((self.position[id(node)], distance))
        if beyond is None:
            raise GraphError(
                f"T = {self.hi - self.lo + 1 + self.program.ends} is too short: the steps at the ends read further"
            )
        return self._resolve(beyond, lane)

    def _scope(self, scopes: Scopes, lane: int) -> Scope:
        known = self._scopes.get((scopes, lane))
        if known is None:
            known = ROOT
            for label in scopes:
                known = Scope(known, label, self.program.start + lane if label is None else None)
            self._scopes[scopes, lane] = known
        return known

    def _leaf(self, node: Node, step: int) -> Tensor:
        value = node.params["value"] if node.op == "constant" else self._value(node, step)
        return Tensor(value, None, (), None, node.label or None, current(), node.requires_grad)

    def _value(self, node: Node, step: int) -> Value:
        place = node.place
        for key in ((place, step), (node.label, step)):
            if key in self.values:
                given = np.array(plain(self.values[key]), dtype=node.dtype)
                return as_value(given)
        if step not in self.recorded.get(place, {}):
            raise GraphError(
                f"{place} has no recorded value at step {step}: give one, as values={{({place!r}, {step}): ...}}"
            )
        return self.recorded[place][step]


def compute(op: Primitive, inputs: tuple[Tensor, ...], params: Mapping[str, Any] | None) -> Tensor:
    """Record `op` as its own call does: on Python floats by its scalar form, so that values agree to the last bit."""
    values = [x.value for x in inputs]
    if op.scalar is not None and params is None and all(type(value) is float for value in values):
        try:
            value = op.scalar(*values)
        except MATH_ERRORS:
            return record(op, inputs)
        return Tensor(
            value, op, inputs, None, None, current(), op.differentiable and any(x.requires_grad for x in inputs)
        )
    return record(op, inputs, None if params is None else dict(params))
