"""Which instructions share one loop over entries, and how such a loop walks through memory.

Runs of instructions that work entry by entry on the same shape become one loop, so that what only they pass on to each
other stays in a register. How the loop is written belongs to `emit_jit`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import prod

from ..planning.plan import ELEMENTWISE, STEP, Instr, Loop, MemRef, Plan, overlap

Shape = tuple[int, ...]
#: what tells one place in memory from another: references with the same key are the same entries in the same order
Key = tuple[int, tuple[str, int] | None, tuple[int, int] | None, bool, Shape | None]
ENTRYWISE = ELEMENTWISE | {"copy", "fill"}
#: bytes of a matrix that no cache of one core holds, twice a second level of 2 MB: it comes from far in every step
FAR = 4_000_000


@dataclass(eq=False)
class Group:
    """Instructions in one loop over `shape`."""

    shape: Shape
    body: list[Instr] = field(default_factory=list)

    def takes(self, instr: Instr) -> bool:
        """Whether one more instruction can run in the same loop, and still see what it would see after it."""
        if self.shape != squeezed(instr.out.shape):
            return False
        for other in self.body:
            if any(_clash(other.out, ref) for ref in instr.refs) or _clash(other.out, instr.out):
                return False
            if any(_clash(ref, instr.out) for ref in other.refs):
                return False
        return True


Item = Instr | Group


def grouped(body: Iterable[Instr]) -> list[Item]:
    """Instructions in order, those that share a loop gathered."""
    items: list[Item] = []
    for instr in body:
        if instr.op not in ENTRYWISE:
            items.append(instr)
            continue
        last = items[-1] if items else None
        if not (isinstance(last, Group) and last.takes(instr)):
            last = Group(squeezed(instr.out.shape))
            items.append(last)
        last.body.append(instr)
    return items


def squeezed(shape: Shape) -> Shape:
    """Without axes of length one."""
    return tuple(n for n in shape if n != 1)


def key(ref: MemRef) -> Key:
    """The place a reference means."""
    rows = None if ref.rows is None or ref.rows == (0, ref.buffer.shape[0]) else ref.rows
    turned = ref.T and len(squeezed(ref.shape)) > 1
    return id(ref.buffer), ref.time, rows, turned, ref.view if turned else None


def _clash(a: MemRef, b: MemRef) -> bool:
    """Whether two references may mean the same entry in different turns of the loop."""
    if a.buffer is not b.buffer:
        return False
    if key(a) == key(b):
        return squeezed(a.shape) != squeezed(b.shape)
    apart = a.time is not None and b.time is not None and a.time[0] == b.time[0] and a.time[1] != b.time[1]
    if apart and a.buffer.kind != "chunk":
        return False
    return overlap(a, b)


# -- what has to reach memory -----------------------------------------------------------------------------------------
class Needed:
    """Which results are read outside of the loop over entries that computes them."""

    def __init__(self, plan: Plan) -> None:
        self.kept = {id(ref.buffer) for ref in plan.outputs}
        self.readers: dict[int, list[tuple[Instr, MemRef]]] = {}
        for _, instr in plan.instructions():
            self.readers.setdefault(id(instr.out.buffer), [])
            for ref in instr.refs:
                self.readers.setdefault(id(ref.buffer), []).append((instr, ref))

    def __call__(self, group: Group, out: MemRef) -> bool:
        """Whether a result of the group has to be stored: not if nothing else but the group itself reads it."""
        buffer = out.buffer
        if id(buffer) in self.kept or buffer.kind not in ("scratch", "chunk") or id(buffer) not in self.readers:
            return True
        writes = [n for n, instr in enumerate(group.body) if key(instr.out) == key(out)]
        # without time, what is read before it is written comes from the turn before
        first = 0 if buffer.time else writes[0] + 1
        within = {id(instr) for instr in group.body[first:]}
        return any(
            overlap(ref, out) and (id(instr) not in within or key(ref) != key(out))
            for instr, ref in self.readers[id(buffer)]
        )


def momentary(plan: Plan) -> set[int]:
    """The buffers (by `id`) with time that nobody asks for a step later: one slot is enough."""
    inside: dict[int, set[int]] = {}
    kept = {id(ref.buffer) for ref in plan.outputs}
    for stage, instr in plan.instructions():
        for ref in (instr.out, *instr.refs):
            buffer = ref.buffer
            if buffer.time and buffer.kind in ("scratch", "chunk"):
                inside.setdefault(id(buffer), set()).add(id(stage))
                if ref.time != (STEP, 0) or not isinstance(stage, Loop):
                    kept.add(id(buffer))
    return {buffer for buffer, stages in inside.items() if len(stages) == 1} - kept


# -- how a loop walks -------------------------------------------------------------------------------------------------
def offset(ref: MemRef) -> int:
    """Entries from the start of the slot to the first that is meant."""
    return 0 if ref.rows is None else ref.rows[0] * prod(ref.buffer.shape[1:])


def strides(ref: MemRef) -> Shape:
    """Entries from one to the next along each axis of `ref.shape`."""
    shape = ref.shape[::-1] if ref.T else ref.shape
    found = tuple(prod(shape[k + 1 :]) for k in range(len(shape)))
    return found[::-1] if ref.T else found


def walk(refs: Sequence[tuple[MemRef, Shape]]) -> tuple[Shape, list[Shape]]:
    """The axes of a loop, as few as possible, and the strides of each reference along them.

    Each reference comes with the shape it is spread to; without axes of length one all these are the same. A reference
    has stride 0 where it broadcasts. Neighbouring axes become one where every reference walks both as one.
    """
    sizes = list(squeezed(refs[0][1]))
    ways = [_spread(ref, shape) for ref, shape in refs]
    for k in reversed(range(len(sizes) - 1)):
        if all(way[k] == way[k + 1] * sizes[k + 1] for way in ways):
            sizes[k : k + 2] = [sizes[k] * sizes[k + 1]]
            for way in ways:
                del way[k]
    return tuple(sizes), [tuple(way) for way in ways]


def _spread(ref: MemRef, shape: Shape) -> list[int]:
    own = [0 if n == 1 else stride for n, stride in zip(ref.shape, strides(ref), strict=True)]
    spread = [0] * (len(shape) - len(own)) + own
    return [stride for stride, n in zip(spread, shape, strict=True) if n != 1]
