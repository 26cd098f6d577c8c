"""Which way a value lies in memory for numpy: features first, or one sample a row.

Parts of a slot (the gates of a cell) are contiguous with features first. Where a loop reads and writes whole slots
only, one sample a row is better: a product over all steps is then one product, and sums over time need no copies.
Weights that a loop reads transposed lie transposed. What is computed, and how it is referred to, stays the same.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..planning.plan import Buffer, Instr, Loop, Plan, Ref, walk


def turned(plan: Plan) -> Plan:
    """The plan, its buffers marked."""
    looped = [instr for stage in walk(plan.stages) if isinstance(stage, Loop) for instr in stage.body]
    weights = {id(ref.buffer) for ref in _weights(looped)}
    rows = _batch(looped) > 1 and all(_is_whole(ref) for instr in looped for ref in (instr.out, *instr.refs))
    seen = {
        id(ref.buffer) for _, instr in plan.instructions() for ref in (instr.out, *instr.refs) if not _is_plain(ref)
    }
    for buffer in plan.buffers:
        if len(buffer.shape) != 2 or buffer.kind not in ("scratch", "chunk") or id(buffer) in seen:
            continue
        buffer.turned = rows if id(buffer) not in weights else _always_transposed(buffer, looped)
    return plan


def _weights(body: list[Instr]) -> Iterator[Ref]:
    """The left factors of a loop's products that are known beforehand."""
    for instr in body:
        if instr.op == "dot" and isinstance(instr.ins[0], Ref) and not instr.ins[0].buffer.time:
            yield instr.ins[0]


def _always_transposed(buffer: Buffer, body: list[Instr]) -> bool:
    return _batch(body) > 1 and all(ref.T for ref in _weights(body) if ref.buffer is buffer)


def _batch(body: list[Instr]) -> int:
    return max((instr.out.shape[1] for instr in body if len(instr.out.shape) == 2), default=1)


def _is_whole(ref: Ref) -> bool:
    return ref.rows is None or ref.rows == (0, ref.buffer.shape[0])


def _is_plain(ref: Ref) -> bool:
    return ref.view is None and ref.groups == 1
