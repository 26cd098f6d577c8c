"""What is to be computed, as a graph over all steps: the form that every pass reads and writes.

A node is computed once (`step` False) or at each step (`step` True). An edge stays within a step; time is crossed by
the nodes of `CROSSING` alone, so that a loop is a cycle through a `shift`:

    shift    at step t its first input of step t + by (by = -1 or 1); where there is no such step, its second input
    at       once: its input at one step, params k: 0, 1, .. from the first, -1, .. from the last
    total    once: the sum of its input over all steps
    ends     once: what a `shift` gives beyond the last step it can see (the state after the loop), N >= 0
    each     once: its input at all steps, as one array with time first

Leaves are `parameter` and `input` (params leaf, offset, backwards), `constant` (params value) and `steps` (how many
steps the sequence has). All else is a primitive of the core by name, with the params of its forward function.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from ..errors import FoldError
from ..tensor import Value

CROSSING = frozenset({"shift", "at", "total", "ends", "each"})
LEAVES = frozenset({"input", "constant", "steps"})


class Node:
    """One operation; `sample` is a value it had when it was recorded, and so its shape and dtype."""

    __slots__ = ("function", "ins", "label", "number", "op", "params", "sample", "step")

    def __init__(
        self,
        op: str,
        ins: Iterable[Node] = (),
        params: dict[str, Any] | None = None,
        step: bool = False,
        sample: Value = 0.0,
        function: Any = None,
        label: str = "",
    ) -> None:
        self.op, self.ins, self.params = op, list(ins), params or {}
        self.step, self.sample, self.function, self.label = step, sample, function, label
        self.number = -1

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape at one step."""
        return np.shape(self.sample)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype; float64 for what is held as a Python float."""
        return np.dtype(np.float64) if type(self.sample) is float else self.sample.dtype

    def __repr__(self) -> str:
        ins = ", ".join(f"{x.op}#{id(x) % 9973}" for x in self.ins)
        return f"<{self.op}{'[t]' if self.step else ''} {self.shape} ({ins}) {self.params or ''}>"


def constant(value: Value) -> Node:
    """A node for a number or an array."""
    return Node("constant", (), {"value": value}, False, value)


def is_number(node: Node, number: float | None = None) -> bool:
    """Whether a node is a constant with one entry (of that value)."""
    if node.op != "constant" or node.shape:
        return False
    return number is None or float(node.params["value"]) == number


def order(outputs: Iterable[Node]) -> list[Node]:
    """Every node the outputs depend on, each after its inputs but for what a `shift` takes from another step.

    Raises `FoldError` for a node that depends on itself within a step.
    """
    done: dict[int, Node] = {}
    begun: set[int] = set()
    later: list[Node] = list(outputs)
    while later:
        stack = [(later.pop(), False)]
        while stack:
            node, ready = stack.pop()
            if ready:
                done[id(node)] = node
            elif id(node) not in done:
                if id(node) in begun:
                    raise FoldError(f"{node.op} depends on itself within a step")
                begun.add(id(node))
                stack.append((node, True))
                ins = node.ins
                if node.op == "shift":
                    later.append(ins[0])
                    ins = ins[1:]
                stack += [(x, False) for x in reversed(ins) if id(x) not in done]
    return list(done.values())


def users(nodes: Iterable[Node]) -> dict[int, list[tuple[Node, int]]]:
    """For each node (by `id`) who reads it, and as which input."""
    found: dict[int, list[tuple[Node, int]]] = {}
    for node in nodes:
        for j, x in enumerate(node.ins):
            found.setdefault(id(x), []).append((node, j))
    return found


def rewrite(outputs: list[Node], rule: Callable[[Node], Node | None]) -> list[Node]:
    """The outputs after `rule` gave for each node, its inputs first, another one (or None to keep it).

    Nodes are changed in place where only their inputs differ; so whoever holds one sees the change.
    """
    became: dict[int, Node] = {}
    nodes = order(outputs)
    for node in nodes:
        for j, x in enumerate(node.ins):
            node.ins[j] = became.get(id(x), x)
        new = rule(node)
        if new is not None and new is not node:
            became[id(node)] = new
    if became:
        for node in nodes + list(became.values()):
            for j, x in enumerate(node.ins):
                node.ins[j] = _last(became, x)
    return [_last(became, x) for x in outputs]


def _last(became: dict[int, Node], node: Node) -> Node:
    while id(node) in became:
        node = became[id(node)]
    return node
