"""Maps before a loop and sums over time after it, taken together with the loop some steps at a time.

What a map leaves is then still in the cache when the loop reads it, and so is what the loop leaves for the sums; values
that nobody else reads need memory for the steps of one tile only. Sums are added up tile by tile, so their rounding
does not depend on the length of what is kept.

It is here for memory, and for checkpoints, which stand between tiles: of the time it takes 0 % (RNN, LSTM and GRU, H 32
to 256, batches of 1 and 32).
"""

from __future__ import annotations

from ..planning.plan import STEP, SUMS, Instr, Loop, Map, Once, Plan, Stage, Tile, columns

#: steps of a tile at most, so that checkpoints, which stand between tiles, need not be far apart
LONGEST = 128


def tiled(plan: Plan) -> Plan:
    """The plan with each lone loop, the map before it and the sums after it in one tile."""
    stages: list[Stage] = []
    rest = list(plan.stages)
    while rest:
        taken = _at_front(rest)
        if taken is None:
            stages.append(rest.pop(0))
            continue
        before, tile, used, left = taken
        stages += [*before, tile]
        rest = left + rest[used:]
    found = Plan([s for s in stages if s.body], plan.arguments, plan.buffers, plan.outputs)
    _shrink(found)
    return found


def _at_front(stages: list[Stage]) -> tuple[list[Stage], Tile, int, list[Stage]] | None:
    """A map, a loop and the sums after it at the front of the stages: what comes before, the tile, how many stages
    that takes, and what is left of the last of them."""
    at = 0
    inner: list[Stage] = []
    before: list[Stage] = []
    chunk = 1
    head = stages[0]
    if isinstance(head, Tile) and isinstance(head.body[0], Map) and len(head.body) == 1:
        inner.append(head.body[0])
        chunk, at = head.chunk, 1
        if at < len(stages) and isinstance(stages[at], Once):
            before.append(stages[at])
            at += 1
    loop = stages[at] if at < len(stages) else None
    if not isinstance(loop, Loop):
        return None
    at += 1
    if at < len(stages) and isinstance(stages[at], Loop):
        return None  # two loops at once: neither owns the map
    inner.append(loop)
    left: list[Instr] = []
    written = {id(instr.out.buffer) for stage in inner if isinstance(stage, Map | Loop) for instr in stage.body}
    while at < len(stages):
        after = stages[at]
        held = {id(instr.out.buffer) for instr in left}
        if isinstance(after, Once):
            sums = [instr for instr in after.body if _can_move(instr, written, held, after.body)]
            if isinstance(inner[-1], Once):  # what reads the same is moved once for all
                inner[-1].body.extend(sums)
            elif sums:
                inner.append(Once(sums))
            left += [instr for instr in after.body if instr not in sums]
        elif isinstance(after, Tile) and len(after.body) == 1 and isinstance(after.body[0], Map):
            body = after.body[0].body
            own = written | {id(instr.out.buffer) for instr in body}
            if not all(_reads_near(instr, own, held) for instr in body):
                break
            inner.append(after.body[0])
            written = own
        else:
            break
        at += 1
    if len([stage for stage in inner if stage.body]) == 1:
        return None
    batch = max((instr.out.shape[1] for instr in loop.body if len(instr.out.shape) == 2), default=1)
    sums = [instr for stage in inner if isinstance(stage, Once) for instr in stage.body]
    chunk = min(max(chunk, -(-columns(sums) // batch)), LONGEST)
    return before, Tile(loop.direction, chunk, [s for s in inner if s.body]), at, [Once(left)]


def _reads_near(instr: Instr, written: set[int], held: set[int]) -> bool:
    """Whether an instruction reads what was there before, or this very step of the tile."""
    return all(id(r.buffer) not in held and (id(r.buffer) not in written or r.time == (STEP, 0)) for r in instr.refs)


def _can_move(instr: Instr, written: set[int], held: set[int], body: list[Instr]) -> bool:
    """Whether a sum can be taken tile by tile."""
    made = {id(other.out.buffer) for other in body if other is not instr}
    return (
        instr.op in SUMS
        and len(instr.refs) == len(instr.ins)
        and all(r.time is not None and r.time[0] == STEP for r in instr.refs)
        and _reads_near(instr, written, held | made)
    )


def _shrink(plan: Plan) -> None:
    """Let buffers that live within one tile hold the steps of one tile only."""
    uses: dict[int, set[int]] = {}
    whole: set[int] = {id(ref.buffer) for ref in plan.outputs}
    for n, stage in enumerate(plan.stages):
        inside = isinstance(stage, Tile)
        bodies = stage.body if isinstance(stage, Tile) else [stage]
        for part in bodies:
            assert not isinstance(part, Tile)
            for instr in part.body:
                for ref in (instr.out, *instr.refs):
                    uses.setdefault(id(ref.buffer), set()).add(n)
                    if not inside or ref.time != (STEP, 0):
                        whole.add(id(ref.buffer))
    for buffer in plan.buffers:
        i = id(buffer)
        if buffer.time and buffer.kind == "scratch" and i not in whole and len(uses.get(i, ())) == 1:
            buffer.kind, buffer.lead, buffer.tail = "chunk", 0, 0
