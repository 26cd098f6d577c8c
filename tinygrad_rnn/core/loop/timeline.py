"""Which node stands where in time, and where two steps first differ.

The nodes of a graph, step by step in the order of recording. `fold` asks here whether two steps correspond; what
to make of the answer, and how to say it to a person, is not decided here.
"""

from __future__ import annotations

from struct import pack
from typing import Any

import numpy as np

from ..errors import FoldError
from ..graph import Graph, is_constant
from ..scope import Scope
from ..tensor import Tensor, Value
from .program import Scopes


class Timeline:
    """The nodes step by step in the order of recording, and those that belong to no step.

    `place` holds for each node of a step `step number * stride + position`: two nodes correspond exactly if the
    differences to the places of what they read are the same.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
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
        self.place = {
            node.id: i * self.stride + p for i, nodes in enumerate(self.lists) for p, node in enumerate(nodes)
        }
        self._labels: dict[int, Scopes] = {}
        self._interned: dict[Scopes, Scopes] = {}

    def _after(self, outside: list[Tensor]) -> list[Tensor]:
        """The nodes outside that read steps. What is computed there once for each step joins the steps.

        `sum(losses)` is a chain of additions, one for each step; its gradient makes one node for each step to read.
        """
        at = {node.id: i for i, nodes in enumerate(self.lists) for node in nodes}
        self._join(outside, at, _by_what_they_read(outside, at))
        self._join(outside, at, _by_who_reads_them(outside, self.lists, at))
        for nodes in self.lists:
            nodes.sort(key=lambda node: node.id)
        after: dict[int, Tensor] = {}
        for node in outside:
            if node.id not in at and any(x.id in at or x.id in after for x in node.inputs):
                after[node.id] = node
        return list(after.values())

    def _join(self, outside: list[Tensor], at: dict[int, int], guess: dict[int, int]) -> None:
        """Let those nodes join the steps that are there, of one kind, for most of the steps."""
        groups: dict[Any, list[Tensor]] = {}
        for node in outside:
            if node.id in guess:
                groups.setdefault((node.op, node.name), []).append(node)
        for nodes in groups.values():
            if 2 * len({guess[node.id] for node in nodes}) > max(sum(self.busy), 2):
                for node in nodes:
                    at[node.id] = guess[node.id]
                    self.lists[at[node.id]].append(node)

    def labels(self, scope: Scope) -> Scopes:
        """The labels on a scope's path, None for the index of the step; one object for each sequence of labels."""
        known = self._labels.get(id(scope))
        if known is None:
            named = (s for s in scope.path if s.label is not None or s.index is not None)
            labels = tuple(s.label if s.index is None else None for s in named)
            known = self._labels[id(scope)] = self._interned.setdefault(labels, labels)
        return known

    def split(self, x: Tensor) -> tuple[int, int] | None:
        """Step (from 0) and position of a node, None if it belongs to no step."""
        code = self.place.get(x.id)
        return None if code is None else divmod(code, self.stride)

    def difference(
        self, a: int, b: int, reads: list[list[Any]], loose: list[tuple[int, int, int]]
    ) -> tuple[int, int] | None:
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
                or (
                    (type(v) is not float or type(w) is not float)
                    and (np.shape(v) != np.shape(w) or node.dtype != old.dtype)
                )
                or (node.params is not old.params and not same_static(node.params, old.params))
                or (node.scope is not old.scope and self.labels(node.scope) is not self.labels(old.scope))
                or (
                    node.op is None
                    and (node.requires_grad != old.requires_grad or (node.name is None and not same_value(v, w)))
                )
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

    def reads(self, a: int, *others: int) -> list[list[Any]]:
        """What each node of step a reads: a difference of places, or the node itself if the others read the same."""
        rows: list[list[Any]] = []
        for p, node in enumerate(self.lists[a]):
            beside = [self.lists[b][p].inputs for b in others if p < len(self.lists[b])]
            row: list[Any] = []
            for j, x in enumerate(node.inputs):
                code = self.place.get(x.id)
                fixed = bool(beside) and all(j < len(inputs) and inputs[j] is x for inputs in beside)
                row.append(x if code is None or fixed else code - a * self.stride - p)
            rows.append(row)
        return rows


def _by_what_they_read(outside: list[Tensor], at: dict[int, int]) -> dict[int, int]:
    guess: dict[int, int] = {}
    for node in outside:
        steps = {at[x.id] for x in node.inputs if x.id in at}
        # the sum so far is of the node's own kind, and says nothing about where the node belongs
        kind = (node.op, node.name)
        steps = steps or {guess[x.id] for x in node.inputs if x.id in guess and (x.op, x.name) != kind}
        if len(steps) == 1:
            guess[node.id] = steps.pop()
    return guess


def _by_who_reads_them(outside: list[Tensor], lists: list[list[Tensor]], at: dict[int, int]) -> dict[int, int]:
    readers: dict[int, set[int]] = {node.id: set() for node in outside if node.op is not None and node.id not in at}
    for i, nodes in enumerate(lists):
        for node in nodes:
            for x in node.inputs:
                if x.id in readers:
                    readers[x.id].add(i)
    guess: dict[int, int] = {}
    for node in reversed(outside):
        steps = readers.get(node.id, ())
        if len(steps) == 1 and not any(x.id in at for x in node.inputs):
            (guess[node.id],) = steps
        for x in node.inputs:
            if node.id in readers and x.id in readers:
                readers[x.id] |= steps or {-1}
    return guess


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
                raise FoldError(
                    f"steps within steps, as at {scope}: give the inner loop labels (tg.scope) instead of tg.steps"
                )
    missing = [t for t in range(min(steps), max(steps)) if t not in steps]
    if missing:
        raise FoldError(
            f"the steps run from {min(steps)} to {max(steps)}, but nothing of step {missing[0]} leads to the outputs"
        )


def same_value(a: Value, b: Value) -> bool:
    """Whether two values are the same bytes."""
    if a is b:
        return True
    if type(a) is float or type(b) is float:
        return type(a) is type(b) and pack("d", a) == pack("d", b)
    return a.shape == b.shape and a.dtype == b.dtype and a.tobytes() == b.tobytes()


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
