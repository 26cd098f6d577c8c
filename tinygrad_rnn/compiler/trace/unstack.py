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

from ...core.declare import record
from ...core.graph import ancestors
from ...core.primitive import PRIMITIVES
from ...core.scope import ROOT, Scope, entered
from ...core.tensor import Tensor, as_value
from .sequences import Free, Given, Sequence, index_of, pick, rest_of, same
from .unstack_rules import RULES, entrywise


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
                return self._again(node, node.inputs)
            return self._again(node, given)
        if name == "getitem" and (at := index_of(node, given[0].axis)) is not None:
            return self._entry(node, given[0], at)
        rule = RULES.get(name) or (entrywise if node.op.elementwise else None)
        found = rule(self, node, given) if rule is not None else None
        if rule is not None and made is None and isinstance(found, Sequence) and not isinstance(found, Given):
            return Free(found, partial(rule, self, node), given)
        if found is not None:
            return found
        return self._again(node, [self.whole(x) for x in given])

    def _outside(self, node: Tensor) -> Tensor:
        """A Tensor made before the recording: as a leaf with a name, since one without is taken for a constant."""
        leaf = Tensor(node.value, None, (), None, "outside", ROOT, False)
        self.outside[leaf.id] = node
        return leaf

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
