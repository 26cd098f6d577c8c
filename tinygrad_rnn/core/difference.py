"""Say where two steps of a graph differ: by the path from a named quantity, what stands there and what stood before."""

from __future__ import annotations

import numpy as np

from .tensor import Tensor
from .timeline import Timeline, same_static


class Difference:
    """Says where two steps differ, by the path from a named quantity of the step."""

    def __init__(self, timeline: Timeline, a: int, b: int, position: int, slot: int) -> None:
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
