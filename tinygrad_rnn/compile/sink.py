"""Work back into the loops it was taken out of, where it costs less there.

For numpy, work that waits for no carry is done for all steps at once: fewer calls. In machine code a call costs nothing
and memory does: what a loop alone reads is computed in the loop, from what it reads anyway, and never stored.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from .fuse import ENTRYWISE
from .plan import STEP, Instr, Loop, Map, Plan, Ref, Stage, Tile


def sunk(plan: Plan) -> Plan:
    """The same plan with instructions of maps moved into the loops that read their results."""
    stages = [_copied(stage) for stage in plan.stages]
    for i, loop in enumerate(stages):
        if not isinstance(loop, Loop):
            continue
        for j in reversed(range(i)):
            body = _body_of_map(stages[j])
            if body is not None:
                between = [instr for stage in stages[j + 1 : i] for instr in _instructions(stage)]
                _move(body, between, loop.body)
    return Plan([stage for stage in stages if _instructions(stage)], plan.arguments, plan.buffers, plan.outputs)


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


def _move(body: list[Instr], between: Sequence[Instr], loop: list[Instr]) -> None:
    """Move what can be moved, from the last instruction of the map to the first, each before what first asks for it."""
    stays = list(between)
    for instr in reversed(list(body)):
        place = next((n for n, other in enumerate(loop) if _touches(other, instr.out)), None)
        if place is not None and _entrywise(instr) and _passes(instr, stays) and _enters(instr, loop):
            body.remove(instr)
            loop.insert(place, instr)
        else:
            stays.insert(0, instr)


def _entrywise(instr: Instr) -> bool:
    now = all(ref.time is None or ref.time[0] == STEP for ref in instr.refs)
    return instr.op in ENTRYWISE and instr.out.time == (STEP, 0) and now


def _passes(instr: Instr, later: Iterable[Instr]) -> bool:
    """Whether nothing that now comes before it sees the difference."""
    for other in later:
        if _touches(other, instr.out) or any(_overlap(other.out, ref) for ref in instr.refs):
            return False
    return True


def _enters(instr: Instr, loop: Iterable[Instr]) -> bool:
    """Whether the loop asks for the result in its own step only, and leaves alone what it is computed from."""
    for other in loop:
        if any(_overlap(ref, instr.out) and ref.time != (STEP, 0) for ref in (other.out, *other.refs)):
            return False
        if any(_overlap(other.out, ref) and other.out.time != ref.time for ref in instr.refs):
            return False
    return True


def _touches(instr: Instr, place: Ref) -> bool:
    return any(_overlap(ref, place) for ref in (instr.out, *instr.refs))


def _overlap(a: Ref, b: Ref) -> bool:
    """Whether two references may mean the same entries, at whatever steps."""
    if a.buffer is not b.buffer:
        return False
    return a.rows is None or b.rows is None or (a.rows[0] < b.rows[1] and b.rows[0] < a.rows[1])
