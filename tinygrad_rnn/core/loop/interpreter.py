"""What a program means: its nodes evaluated one by one, as their definition in `program` says.

Slow, obvious, and independent of passes and executors: whatever these make of a program is worth the same as this.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .program import Node


class Interpreter:
    """Values of the nodes of a program for given leaves, T steps of the sequence and N of the loop."""

    def __init__(self, leaves: dict[int, Any], T: int, N: int) -> None:
        self.leaves, self.T, self.N = leaves, T, N
        self.known: dict[tuple[int, Any], Any] = {}

    def __call__(self, node: Node, t: Any = None) -> Any:
        key = (id(node), t if node.step else None)
        if key not in self.known:
            with np.errstate(all="ignore"):
                self.known[key] = self.value(node, t)
        return self.known[key]

    def value(self, node: Node, t: Any) -> Any:
        match node.op:
            case "constant":
                return node.params["value"]
            case "steps":
                p = node.params
                return p["factor"] * float(self.T) ** p["power"]
            case "input":
                return self.leaf(node, t)
            case "shift":
                other = t + node.params["by"]
                return (
                    self(node.ins[0], other) if 0 <= other < self.N else np.broadcast_to(self(node.ins[1]), node.shape)
                )
            case "ends":
                shift = node.ins[0]
                return self.value(shift, self.N if shift.params["by"] < 0 else -1)
            case "at":
                return self(node.ins[0], node.params["k"] % self.N)
            case "total":
                return sum((self(node.ins[0], t) for t in range(self.N)), 0.0 * self.zero(node))
            case "each":
                steps = [self(node.ins[0], t) for t in range(self.N)]
                return np.stack(steps[::-1] if node.params["backwards"] else steps, axis=node.params["axis"])
            case "slot":
                k = self.N - 1 - t if node.params["backwards"] else t
                return np.take(self(node.ins[0]), k, axis=node.params["axis"])
        args = [value for x in node.ins for value in (self.spread(x) if x.op == "spread" else [self(x, t)])]
        assert node.function is not None
        return node.function.forward(*args, **node.params)

    def spread(self, node: Node) -> list[Any]:
        """The values at all steps but some at the ends."""
        steps = range(node.params["start"], self.N - node.params["stop"])
        return [self(x, t) for t in (reversed(steps) if node.params["backwards"] else steps) for x in node.ins]

    def zero(self, node: Node) -> Any:
        return np.zeros(node.shape, node.dtype)

    def leaf(self, node: Node, t: Any) -> Any:
        if "tensor" in node.params:
            return node.params["tensor"].value
        value = self.leaves[node.params["leaf"]]
        if node.step:
            k = node.params["offset"] + t
            return value[self.T - 1 - k if node.params["backwards"] else k]
        return value[node.params["at"]] if "at" in node.params else value
