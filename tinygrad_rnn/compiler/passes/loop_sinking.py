"""Work back into the loops it was taken out of, where it costs less there.

For numpy, work that waits for no carry is done for all steps at once: fewer calls. In machine code a call costs nothing
and memory does: what a loop alone reads is computed in the loop, from what it reads anyway, and what is summed over
time is added while it is near. Only products of a single column stay out: over all steps at once they are far faster.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..planning.plan import STEP, Buffer, Instr, Loop, Map, MemRef, Once, Plan, Stage, Tile, overlap
from .loop_fusion import ENTRYWISE, FAR

#: bytes of a sum over time that stay in the cache from step to step: an eighth of a second level of 2 MB, which the
#: weights and the values of a step need as well
NEAR = 1 << 18
#: so few samples make poor products by themselves: 16 columns at a time take three times as long as 1,024
#: (`plan.columns`)
FEW = 16


def sunk(plan: Plan) -> Plan:
    """The same plan with instructions of maps, and sums over time, moved into the loops that are next to them."""
    stages = [_copied(stage) for stage in plan.stages]
    for i, loop in enumerate(stages):
        if isinstance(loop, Loop):
            for j in reversed(range(i)):
                body = _body_of_map(stages[j])
                if body is not None:
                    between = [instr for stage in stages[j + 1 : i] for instr in _instructions(stage)]
                    _move(body, between, loop.body)
    stages = _with_sums(stages)
    return Plan([stage for stage in stages if _instructions(stage)], plan.arguments, plan.buffers, plan.outputs)


def one_column(instr: Instr) -> bool:
    """Whether an instruction multiplies, for each step, a matrix that stays by a single column."""
    if instr.op != "dot" or len(instr.out.shape) != 2 or instr.out.shape[1] != 1:
        return False
    a, x = instr.refs
    return a.time is None and x.time is not None and instr.out.time is not None


def _copied(stage: Stage) -> Stage:
    if isinstance(stage, Tile):
        return Tile(stage.direction, stage.chunk, [_copied(inner) for inner in stage.body])
    return Loop(stage.direction, list(stage.body)) if isinstance(stage, Loop) else type(stage)(list(stage.body))


def _body_of_map(stage: Stage) -> list[Instr] | None:
    if isinstance(stage, Tile) and len(stage.body) == 1:
        (stage,) = stage.body
    return stage.body if isinstance(stage, Map) else None


def _instructions(stage: Stage) -> list[Instr]:
    if isinstance(stage, Tile):
        return [instr for inner in stage.body for instr in _instructions(inner)]
    return stage.body


# -- from a map into a loop after it ----------------------------------------------------------------------------------
def _move(body: list[Instr], between: Sequence[Instr], loop: list[Instr]) -> None:
    """Move what can be moved, from the last instruction of the map to the first, each before what first asks for it.

    If then all that is left could move too, and reads what the loop reads, it does.
    """
    near: set[int] = set()  # buffers of the map's chunk that would be written in the map and read behind it
    while True:
        left, entered = _parted(body, between, loop, near)
        written = {id(instr.out.buffer) for instr in left if instr.out.buffer.kind == "chunk"}
        lost = {id(ref.buffer) for instr in entered for ref in instr.refs} & written
        if not lost:
            body[:], loop[:] = left, entered
            return
        near |= lost


def _parted(
    body: Sequence[Instr], between: Sequence[Instr], loop: Sequence[Instr], near: set[int]
) -> tuple[list[Instr], list[Instr]]:
    """What stays in the map and what then stands in the loop; whatever reads the buffers `near` stays."""
    body, loop, stays = list(body), list(loop), list(between)
    for instr in reversed(list(body)):
        place = next((n for n, other in enumerate(loop) if _touches(other, instr.out)), None)
        free = _movable(instr) and not any(id(ref.buffer) in near for ref in instr.refs)
        if place is not None and free and _passes(instr, stays) and _enters(instr, loop):
            body.remove(instr)
            loop.insert(place, instr)
        else:
            stays.insert(0, instr)
    read = {id(ref.buffer) for instr in loop for ref in instr.refs if ref.time}
    shared = any(ref.time and id(ref.buffer) in read for instr in body for ref in instr.refs)
    if shared and all(_movable(i) and _passes(i, between) and _enters(i, loop) and _enters(i, body) for i in body):
        return [], body + loop
    return body, loop


def _movable(instr: Instr) -> bool:
    now = all(ref.time is None or ref.time[0] == STEP for ref in instr.refs)
    kind = instr.op in ENTRYWISE or instr.op == "sum" or (instr.op == "dot" and not one_column(instr) and _near(instr))
    return kind and instr.out.time == (STEP, 0) and now


def _near(instr: Instr) -> bool:
    """Whether the matrix of a product stays in a cache from step to step: two that do not drive each other out."""
    buffer = instr.refs[0].buffer
    return buffer.size * buffer.dtype.itemsize <= FAR


def _passes(instr: Instr, others: Iterable[Instr]) -> bool:
    """Whether an instruction and others can change places."""
    for other in others:
        if _touches(other, instr.out) or any(overlap(other.out, ref) for ref in instr.refs):
            return False
    return True


def _enters(instr: Instr, loop: Iterable[Instr]) -> bool:
    """Whether the loop asks for the result in its own step only, and leaves alone what it is computed from."""
    for other in loop:
        if any(overlap(ref, instr.out) and ref.time != (STEP, 0) for ref in (other.out, *other.refs)):
            return False
        if any(overlap(other.out, ref) and other.out.time != ref.time for ref in instr.refs):
            return False
    return True


def _touches(instr: Instr, place: MemRef) -> bool:
    return any(overlap(ref, place) for ref in (instr.out, *instr.refs))


# -- sums over time, into a loop before them --------------------------------------------------------------------------
def _with_sums(stages: list[Stage]) -> list[Stage]:
    """Each sum over time of what a loop computes, added up in that loop."""
    made: list[Stage] = []
    for i, stage in enumerate(stages):
        if isinstance(stage, Once):
            for instr in list(stage.body):
                loop = _loop_of(instr, made)
                if loop is not None:
                    n = stage.body.index(instr)
                    before, inside, after = _sum(instr)
                    made.insert(next(k for k, other in enumerate(made) if other is loop), Once(before))
                    loop.body += inside
                    stage.body[n : n + 1] = after
        made.append(stages[i])
    return made


def _loop_of(instr: Instr, before: Sequence[Stage]) -> Loop | None:
    """The last loop before a sum over time, if that computes one of its parts and the other is there already."""
    if instr.op not in ("contract", "total_rows") or any(r.time is None or r.time[0] != STEP for r in instr.refs):
        return None
    samples = instr.refs[0].shape[-1]
    if instr.op == "contract" and (samples < FEW or instr.out.buffer.size * instr.out.buffer.dtype.itemsize > NEAR):
        return None
    if samples == 1:
        return None
    for n in reversed(range(len(before))):
        stage = before[n]
        written = any(overlap(other.out, ref) for other in _instructions(stage) for ref in instr.refs)
        if isinstance(stage, Loop) and written:
            own = all(
                other.out.time == ref.time == (STEP, 0)
                for other in stage.body
                for ref in instr.refs
                if overlap(other.out, ref)
            )
            later = [other for after in before[n + 1 :] for other in _instructions(after)]
            return stage if own and not any(_touches(other, instr.out) for other in [*stage.body, *later]) else None
        if written:
            return None
    return None


def _sum(instr: Instr) -> tuple[list[Instr], list[Instr], list[Instr]]:
    """What stands before the loop, at the end of each turn, and behind it."""
    if instr.op == "contract":
        return [], [instr], []
    (a,), out = instr.refs, instr.out
    dtype = out.buffer.dtype
    sums, row = MemRef(Buffer("", a.shape, dtype)), MemRef(Buffer("", out.shape, dtype))
    after = [Instr("sum", row, (sums,), {"axis": (1,), "keepdims": True}), Instr("copy", out, (row,))]
    return [Instr("fill", sums, (0.0,))], [Instr("add", sums, (sums, a))], after
