"""Arguments read where they are: what is copied once, whole and as it lies, needs no copy in machine code.

For numpy such a copy pays, since what stands in one place needs to be looked for once only.
"""

from __future__ import annotations

from dataclasses import replace

from .plan import Buffer, Instr, Loop, Once, Operand, Plan, Ref, Stage, Tile


def direct(plan: Plan) -> Plan:
    """The same plan without copies of whole arguments into memory that nothing else is written to."""
    writes: dict[int, int] = {}
    for _, instr in plan.instructions():
        writes[id(instr.out.buffer)] = writes.get(id(instr.out.buffer), 0) + 1
    kept = {id(ref.buffer) for ref in plan.outputs}
    found: dict[int, Buffer] = {}
    for stage, instr in plan.instructions():
        out = instr.out.buffer
        if isinstance(stage, Once) and _is_whole(instr) and out.kind == "scratch" and writes[id(out)] == 1:
            source = instr.refs[0].buffer
            if source.kind == "argument" and id(source) not in writes and id(out) not in kept:
                found[id(out)] = source
    return Plan([_stage(s, found) for s in plan.stages], plan.arguments, plan.buffers, plan.outputs) if found else plan


def _is_whole(instr: Instr) -> bool:
    if instr.op != "copy" or not instr.refs:
        return False
    a, b = instr.out, instr.refs[0]
    plain = all((x.time, x.rows, x.view, x.T, x.groups) == (None, None, None, False, 1) for x in (a, b))
    return plain and not a.buffer.time and (a.buffer.shape, a.buffer.dtype) == (b.buffer.shape, b.buffer.dtype)


def _stage(stage: Stage, found: dict[int, Buffer]) -> Stage:
    if isinstance(stage, Tile):
        return Tile(stage.direction, stage.chunk, [_stage(inner, found) for inner in stage.body])
    body = [_instr(i, found) for i in stage.body if id(i.out.buffer) not in found]
    return Loop(stage.direction, body) if isinstance(stage, Loop) else type(stage)(body)


def _instr(instr: Instr, found: dict[int, Buffer]) -> Instr:
    return replace(instr, ins=tuple(_operand(x, found) for x in instr.ins))


def _operand(x: Operand, found: dict[int, Buffer]) -> Operand:
    if isinstance(x, Ref) and id(x.buffer) in found:
        return replace(x, buffer=found[id(x.buffer)])
    return x
