"""What each call of a compiled function is asked: numbers that are none of the classes, nothing to average, few steps.

A recording never sees later values, so whatever the function itself refuses is looked for before a plan runs (numbers)
or after it (an average of nothing, which is nan); the function then says what is wrong.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..core.loop.program import Node, order
from ..core.ops.indexing import axis_of

#: what passes whole numbers on
_PASSING = frozenset({"shift", "reshape", "transpose", "getitem", "copy", "at", "ends", "identity", "ranged", "stack"})


class Allowed(NamedTuple):
    """The whole numbers from `low` on and below `high`, and those of `also`; any where the argument `under` is 0."""

    low: int
    high: int
    also: frozenset[int]
    under: int | None = None

    def holds(self, numbers: Any, mask: Any = None) -> bool:
        """Whether all numbers are such, or those under the mask."""
        if mask is not None and np.shape(mask) == np.shape(numbers):
            numbers = numbers[mask != 0]
        if not np.size(numbers):
            return True
        if not self.also and not self.low and getattr(numbers, "dtype", None) == np.int64:
            return bool(np.maximum.reduce(numbers.view(np.uint64), None) < self.high)  # below 0 is very large there
        for number in self.also:
            numbers = np.where(numbers == number, self.low, numbers)
        return bool(self.low <= np.min(numbers) and np.max(numbers) < self.high)

    def both(self, other: Allowed) -> Allowed:
        """What is allowed by both."""
        also = {n for n in self.also | other.also if self._has(n) and other._has(n)}
        under = self.under if self.under == other.under else None
        return Allowed(max(self.low, other.low), min(self.high, other.high), frozenset(also), under)

    def _has(self, number: int) -> bool:
        return number in self.also or self.low <= number < self.high


class Questions(NamedTuple):
    """`allowed` numbers of each argument that has some; `nothing`: whether an average may be one of nothing; `steps`:
    how many the loop has at least, since they are read by themselves.
    """

    allowed: dict[int, Allowed]
    nothing: bool
    steps: int


def questions(outputs: list[Node]) -> Questions:
    """What has to be asked of the arguments and results of a program."""
    found: dict[int, Allowed] = {}
    nodes = order(outputs)
    for node in nodes:
        read = _read(node)
        for leaf, also, under in _leaves(read[0]) if read is not None else ():
            allowed = Allowed(read[1], read[2], also, under)  # type: ignore[index]
            found[leaf] = found[leaf].both(allowed) if leaf in found else allowed
    picked = [node.params["k"] for node in nodes if node.op == "at"]
    steps = max((k + 1 if k >= 0 else -k for k in picked), default=0)
    return Questions(found, any(node.op == "some" for node in nodes), steps)


def _read(node: Node) -> tuple[Node, int, int] | None:
    """The numbers that a node reads, the least, and the first that is too large."""
    match node.op:
        case "cross_entropy":
            return node.ins[1], 0, node.ins[0].shape[node.params.get("axis", -1)]
        case "onehot":
            return node.ins[0], 0, node.params["classes"]
        case "pick":
            axis = axis_of(node.params["index"])
            return node.ins[1], 0, node.ins[0].shape[axis or 0]
        case "ranged":
            return node.ins[0], node.params["low"], node.params["high"]
    return None


def _leaves(x: Node) -> list[tuple[int, frozenset[int], int | None]]:
    """The arguments that numbers come from, which numbers are replaced before they are read, and under which mask."""
    found: list[tuple[int, frozenset[int], int | None]] = []
    stack: list[tuple[Node, frozenset[int], int | None]] = [(x, frozenset(), None)]
    seen: set[tuple[int, frozenset[int], int | None]] = set()
    while stack:
        node, also, under = stack.pop()
        if (id(node), also, under) in seen:
            continue
        seen.add((id(node), also, under))
        if node.op == "input" and "leaf" in node.params:
            found.append((node.params["leaf"], also, under))
        elif node.op == "select" and node.ins[2].op == "equals":
            stack.append((node.ins[1], also | {node.ins[2].params["number"]}, under))
        elif node.op == "select":
            mask = node.ins[2].params.get("leaf") if node.ins[2].op == "input" else None
            stack += [(node.ins[0], also, mask), (node.ins[1], also, None)]
        elif node.op in _PASSING:
            stack += [(y, also, under) for y in node.ins]
    return found
