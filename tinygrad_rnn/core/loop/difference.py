"""Say where two steps of a graph differ: the path from a named quantity, what stands there, what stood there before."""

from __future__ import annotations

import numpy as np

from ..graph import is_constant
from ..tensor import Tensor
from .timeline import Timeline, same_static


class Difference:
    """The first difference of step `b` from step `a`: at `position`, in input `slot` (-1: in the node itself)."""

    def __init__(self, timeline: Timeline, a: int, b: int, position: int, slot: int) -> None:
        self.timeline, self.a, self.b = timeline, a, b
        self.position, self.slot = position, slot
        self.old, self.new = timeline.lists[a], timeline.lists[b]
        self.common = min(len(self.old), len(self.new))

    def __str__(self) -> str:
        start, path = self.timeline.start, self.path()
        return f"step {start + self.b} differs from step {start + self.a}{f' at {path}' if path else ''}: {self.what()}"

    def path(self) -> str:
        """From the first named quantity that uses the node down to it, as `h/tanh/add`; short of one that differs."""
        nodes = self.new if self.position < len(self.new) else self.old
        user: dict[int, Tensor] = {}
        for node in nodes:
            for x in node.inputs:
                user.setdefault(x.id, node)
        here: Tensor | None = nodes[self.position]
        found: list[str] = []
        while here is not None:
            found += [here.op.name] if here.op is not None else []
            if here.name is not None:
                found.append(here.name)
                break
            here = user.get(here.id)
        agree = self.position < self.common and self.old[self.position].op is self.new[self.position].op
        return "/".join(reversed(found if agree else found[1:]))

    def what(self) -> str:
        """What stands there, against what stood there a step before."""
        counts = f"{len(self.new)} nodes against {len(self.old)}"
        if self.position >= self.common:
            return counts
        old, new = self.old[self.position], self.new[self.position]
        if self.slot >= 0:
            return self.reads(old.inputs[self.slot], new.inputs[self.slot])
        if old.op is not new.op:
            return self.reads(old, new) + (f", {counts}" if len(self.old) != len(self.new) else "")
        if old.name != new.name:
            return f"the name {new.name} against {old.name}"
        if len(old.inputs) != len(new.inputs):
            return f"{len(new.inputs)} inputs against {len(old.inputs)}"
        if old.shape != new.shape or old.dtype != new.dtype:
            return f"{new.dtype} of shape {new.shape} against {old.dtype} of shape {old.shape}"
        if self.timeline.labels(old.scope) != self.timeline.labels(new.scope):
            return f"recorded at {new.scope} against {old.scope}"
        return self.static(old, new) or "it asks for a gradient in one of them only"

    def static(self, old: Tensor, new: Tensor) -> str | None:
        before, now = old.params or {}, new.params or {}
        for key in {**before, **now}:
            a, b = before.get(key), now.get(key)
            if isinstance(a, np.ndarray) and isinstance(b, np.ndarray) and not same_static(a, b):
                return (
                    f"its {key}, a static array, has other values at each step; compute with a named 0/1 tensor instead"
                )
            if not same_static(a, b):
                return f"{key} = {b} against {a}"
        return self.reads(old, new) if old.op is None and old.requires_grad == new.requires_grad else None

    def reads(self, old: Tensor, new: Tensor) -> str:
        outside = [x.op is not None and self.timeline.split(x) is None for x in (old, new)]
        if all(outside):
            return f"each step reads a {_kind(new)} of its own made outside of the steps; compute it inside them"
        leaves = all(x.op is None and x.name is None and x.shape == new.shape for x in (old, new))
        if leaves and not new.shape:
            return f"constant {new.item():g} against {old.item():g}"
        if leaves:
            return (
                f"an unnamed array of shape {new.shape} has other values at each step; name it inside the step, "
                'as in tg.tensor(x, name="x", requires_grad=False), and it becomes an input'
            )
        shown = self.show(new, self.b), self.show(old, self.a)
        if shown[0] == shown[1]:
            places = [self.timeline.split(x) or (0, 0) for x in (new, old)]
            shown = f"{shown[0]} as node {places[0][1]} of its step", f"as node {places[1][1]}"
        return f"{shown[0]} against {shown[1]}"

    def show(self, x: Tensor, step: int) -> str:
        if is_constant(x):
            return f"an array of shape {x.shape}" if x.shape else f"constant {x.item():g}"
        found = self.timeline.split(x)
        if found is None or (found[0] == step and x.name is None):
            return _kind(x)
        return f"{_kind(x)}[t{found[0] - step:+d}]" if found[0] != step else f"{x.name}[t]"


def _kind(x: Tensor) -> str:
    return x.name or (x.op.name if x.op is not None else "leaf")
