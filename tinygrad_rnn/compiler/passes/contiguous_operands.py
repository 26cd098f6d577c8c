"""Operands laid out as loops walk: copies of what would be read across, or spread over the samples, in every step.

A loop over entries is fast when all it reads and writes lies one after the other. A matrix that is read transposed is
turned first (`turn`, one more operation of `emit_jit`), and a column that all samples share is spread out once.
"""

from __future__ import annotations

from dataclasses import replace

from ..planning.plan import STEP, Buffer, Instr, Loop, Map, Once, Operand, Plan, Ref, Stage, Tile
from .loop_fusion import ENTRYWISE, Shape, squeezed


def straightened(plan: Plan) -> Plan:
    """The same plan with such copies, and buffers for them."""
    stages: list[Stage] = []
    for stage in plan.stages:
        once: list[Instr] = []
        made = _stage(stage, once)
        stages += [Once(once)] * bool(once) + [made]
    return Plan(stages, plan.arguments, plan.buffers, plan.outputs)


def _stage(stage: Stage, once: list[Instr]) -> Stage:
    if isinstance(stage, Tile):
        return Tile(stage.direction, stage.chunk, [_stage(inner, once) for inner in stage.body])
    if isinstance(stage, Once):
        return stage
    body = _Body(stage.body, once).straight()
    return Loop(stage.direction, body) if isinstance(stage, Loop) else Map(body)


class _Body:
    def __init__(self, body: list[Instr], once: list[Instr]) -> None:
        self.body, self.once = body, once
        self.written = {id(instr.out.buffer) for instr in body}
        self.first: list[Instr] = []
        self.copies: dict[tuple[Ref, Shape], Ref] = {}

    def straight(self) -> list[Instr]:
        body = [self.instruction(instr) for instr in self.body]
        return self.first + body

    def instruction(self, instr: Instr) -> Instr:
        if instr.op == "dot":
            a, b = instr.refs
            return replace(instr, ins=(self.weights(a, b.shape[-1]), self.product(b)))
        if instr.op not in ENTRYWISE or instr.out.T:
            return instr
        return replace(instr, ins=tuple(self.operand(x, instr.out.shape) for x in instr.ins))

    def weights(self, x: Ref, columns: int) -> Ref:
        """The left side of a product: what is packed in every step is packed faster as it lies than transposed."""
        known = x.time is None and x.view is None and id(x.buffer) not in self.written
        return self.turned(x) if x.T and known and columns > 1 and min(x.shape) > 1 else x

    def product(self, x: Ref) -> Ref:
        """The right side of a product: a matrix that changes is read faster as it is than transposed."""
        if x.T and x.time == (STEP, 0) and x.view is None and min(x.shape) > 1 and id(x.buffer) not in self.written:
            return self.turned(x)
        return x

    def turned(self, x: Ref) -> Ref:
        """A copy whose memory is that of the transpose."""
        if (x, x.shape) not in self.copies:
            copy = self.copies[x, x.shape] = Ref(Buffer("", x.shape, x.buffer.dtype))
            (self.once if x.time is None else self.first).append(Instr("turn", copy, (replace(x, T=False),)))
        return self.copies[x, x.shape]

    def operand(self, x: Operand, shape: Shape) -> Operand:
        """The operand itself, or its copy."""
        if not isinstance(x, Ref) or x.groups > 1 or id(x.buffer) in self.written:
            return x
        across = x.T and len(squeezed(x.shape)) == 2
        spread = x.time is None and 1 < len(squeezed(shape)) > len(squeezed(x.shape)) > 0
        if not (across and x.view is None and x.time in (None, (STEP, 0))) and not spread:
            return x
        if not spread:
            return self.turned(x)
        if (x, shape) not in self.copies:
            copy = self.copies[x, shape] = Ref(Buffer("", shape, x.buffer.dtype))
            self.once.append(Instr("copy", copy, (x,)))
        return self.copies[x, shape]
