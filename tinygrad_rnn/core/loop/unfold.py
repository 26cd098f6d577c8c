"""Unfold a recurrence into the graph of any length.

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
from .recurrence import After, At, Constant, Each, Here, Instruction, Recurrence, Reference, Root, Scopes, Shift

Place = tuple[int, int]


def unfold(recurrence: Recurrence, T: int, values: Mapping[tuple[str, int], Any] | None = None) -> Graph:
    """The graph of `recurrence` over T steps that compute something, on the parameters it was recorded with.

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
    shortest = recurrence.ends + 1
    if shortest > T:
        raise GraphError(
            f"T = {T} is too short: {recurrence.ends} steps at the ends differ from the rest, so T >= {shortest}"
        )
    known = {i.name: i for i in recurrence.inputs} | {i.name.rpartition(".")[2]: i for i in recurrence.inputs}
    for name, step in values or {}:
        if name not in known:
            raise GraphError(
                f"values: no leaf of a step is called {name} (at step {step}); there are {', '.join(known) or 'none'}"
            )
    return _Unfolding(recurrence, T, dict(values or {})).graph()


class _Unfolding:
    """Builds the steps side by side: each goes on until it reads a node that is not there yet, and waits for it."""

    def __init__(self, recurrence: Recurrence, T: int, values: dict[tuple[str, int], Any]) -> None:
        self.recurrence, self.values = recurrence, values
        self.recorded = {i.name: i.values for i in recurrence.inputs}
        self.lo = len(recurrence.first)
        self.hi = self.lo + T - recurrence.ends - 1
        steps = [*recurrence.first, *[recurrence.body] * (self.hi - self.lo + 1), *recurrence.last]
        self.program = [*steps, recurrence.after]
        self.count = len(steps)  # also the lane of what belongs to no step
        self.built: list[list[Tensor]] = [[] for _ in self.program]
        self.gathered: list[list[Tensor]] = [
            [] for _ in self.program
        ]  # what the next node reads, as far as it is there
        self.reads: list[list[Place | Tensor]] = [[] for _ in self.program]
        self.waiting: dict[Place, list[int]] = {}
        self._scopes: dict[tuple[Scopes, int], Scope] = {}

    def graph(self) -> Graph:
        ready = deque(range(len(self.program)))
        while ready:
            lane = ready.popleft()
            while len(self.built[lane]) < len(self.program[lane]):
                instruction = self.program[lane][len(self.built[lane])]
                missing = self._gather(lane, instruction)
                if missing is not None:
                    self.waiting.setdefault(missing, []).append(lane)
                    break
                self._build(lane, instruction)
                ready.extend(self.waiting.pop((lane, len(self.built[lane]) - 1), ()))
        if self.waiting:
            step = self.recurrence.start + min(self.waiting)[0]
            raise GraphError(
                f"these steps have no order at this length: nothing can be computed before a later node of step {step}"
            )
        return Graph(
            [self._node(read) for output in self.recurrence.outputs for read in self._resolve(output, self.count)]
        )

    def _gather(self, lane: int, instruction: Instruction) -> Place | None:
        """Collect the inputs of the next node; the first one that is not there yet, if any."""
        gathered = self.gathered[lane]
        if not self.reads[lane]:
            self.reads[lane] = [read for reference in instruction.inputs for read in self._resolve(reference, lane)]
        for read in self.reads[lane][len(gathered) :]:
            if not isinstance(read, Tensor) and read[1] >= len(self.built[read[0]]):
                return read
            gathered.append(self._node(read))
        return None

    def _node(self, read: Place | Tensor) -> Tensor:
        return read if isinstance(read, Tensor) else self.built[read[0]][read[1]]

    def _build(self, lane: int, instruction: Instruction) -> None:
        with entered(self._scope(instruction.scopes, lane)):
            if instruction.op is None:
                node = self._leaf(instruction, self.recurrence.start + lane)
            else:
                node = compute(instruction.op, tuple(self.gathered[lane]), instruction.params)
                node.name = instruction.name
        self.built[lane].append(node)
        self.gathered[lane], self.reads[lane] = [], []

    def _resolve(self, reference: Reference, lane: int) -> list[Place | Tensor]:
        """The nodes a reference stands for, as places or as they are."""
        match reference:
            case Here(position):
                return [(lane, position)]
            case Shift(position, shift):
                return self._of_body(position, lane + shift)
            case At(step, position):
                at = step if step >= 0 else self.count + step
                if step >= self.lo or step < -len(self.recurrence.last):
                    return self._of_body(position, at)
                return [(at, position)]
            case Each():
                lanes = range(self.lo + reference.start, self.hi - reference.stop + 1)
                return [
                    (i, p) for i in (reversed(lanes) if reference.backwards else lanes) for p in reference.positions
                ]
            case After(position):
                return [(self.count, position)]
            case Root(node):
                return [node]
            case Constant(value):
                return [Tensor(value, None, (), None, None, ROOT, False)]
        raise TypeError(f"no way to resolve {reference!r}")

    def _of_body(self, position: int, lane: int) -> list[Place | Tensor]:
        """A node of the body, or what stands for it beyond the ends."""
        distance = min(lane - self.lo, 0) or max(lane - self.hi, 0)
        if not distance:
            return [(lane, position)]
        found = self.recurrence.initial.get((position, distance))
        if found is None:
            raise GraphError(
                f"T = {self.hi - self.lo + 1 + self.recurrence.ends} is too short: the steps at the ends read further"
            )
        return self._resolve(found, lane)

    def _scope(self, scopes: Scopes, lane: int) -> Scope:
        known = self._scopes.get((scopes, lane))
        if known is None:
            known = ROOT
            for label in scopes:
                known = Scope(known, label, self.recurrence.start + lane if label is None else None)
            self._scopes[scopes, lane] = known
        return known

    def _leaf(self, instruction: Instruction, step: int) -> Tensor:
        value = self._value(instruction, step) if instruction.value is None else instruction.value
        return Tensor(value, None, (), None, instruction.name, current(), instruction.requires_grad)

    def _value(self, instruction: Instruction, step: int) -> Value:
        place = instruction.place or ""
        for key in ((place, step), (instruction.name, step)):
            if key in self.values:
                given = np.array(plain(self.values[key]), dtype=instruction.dtype)
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
