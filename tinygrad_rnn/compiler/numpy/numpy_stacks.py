"""Arguments put one above the other in one call: the weights of all gates as one matrix.

A plan writes each part into its rows by an instruction of its own. numpy joins all parts of a buffer at once, and
scales at once the rows that are scaled by one number; for small networks these calls are a large part of the time.
Large parts that are scaled are better scaled on their way.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from ..planning.plan import Instr, Ref

if TYPE_CHECKING:
    from .run_numpy import NumpyRunner

Call = Callable[[], Any]
#: entries of a part from which on passing over it twice costs more than a call
LARGE = 4096


def stacked(runner: NumpyRunner, body: Sequence[Instr]) -> tuple[list[Call], list[Instr]]:
    """Calls that fill buffers whose rows are arguments, and the instructions that are left."""
    groups: dict[int, list[Instr]] = {}
    for instr in body:
        if _is_part(instr):
            groups.setdefault(id(instr.out.buffer), []).append(instr)
    calls: list[Call] = []
    taken: set[int] = set()
    for group in groups.values():
        group = sorted(group, key=lambda instr: _rows(instr.out)[0])
        ends = [_rows(instr.out) for instr in group]
        ranks = {len(instr.refs[0].buffer.shape) for instr in group}
        large = any(instr.op == "multiply" and instr.out.buffer.size > LARGE * len(group) for instr in group)
        if len(group) > 1 and len(ranks) == 1 and not large and all(a[1] == b[0] for a, b in pairwise(ends)):
            calls += _filled(runner, group)
            taken |= {id(instr) for instr in group}
    return calls, [instr for instr in body if id(instr) not in taken]


def _rows(ref: Ref) -> tuple[int, int]:
    return ref.rows or (0, ref.buffer.shape[0])


def _is_part(instr: Instr) -> bool:
    """Whether an instruction writes an argument, or a multiple of it, into some rows of a buffer."""
    numbers = [x for x in instr.ins if isinstance(x, float)]
    given = instr.refs
    return (
        instr.op in ("copy", "multiply")
        and len(given) == 1
        and len(numbers) == (instr.op == "multiply")
        and instr.out.time is None
        and len(instr.out.buffer.shape) == 2
        and given[0] in (Ref(given[0].buffer), Ref(given[0].buffer, view=(*given[0].buffer.shape, 1)))
        and given[0].buffer.kind == "argument"
        and given[0].buffer.dtype == instr.out.buffer.dtype
        and given[0].shape == instr.out.shape
    )


def _filled(runner: NumpyRunner, group: list[Instr]) -> list[Call]:
    memory = runner.arrays[id(group[0].out.buffer)]
    whole = memory[_rows(group[0].out)[0] : _rows(group[-1].out)[1]]
    if len(group[0].refs[0].buffer.shape) == 1:
        whole = whole[:, 0]
    held, numbers = runner.given, [runner.index[id(instr.refs[0].buffer)] for instr in group]

    def join() -> None:
        np.concatenate([held[i] for i in numbers], out=whole)

    calls: list[Call] = [join]
    scaled: list[tuple[float, int, int]] = []
    for instr in group:
        first, last = _rows(instr.out)
        for x in instr.ins:
            if not isinstance(x, float):
                continue
            if scaled and scaled[-1][0] == x and scaled[-1][2] == first:
                scaled[-1] = (x, scaled[-1][1], last)
            else:
                scaled.append((x, first, last))
    for factor, first, last in scaled:
        part = memory[first:last]
        calls.append(partial(np.multiply, part, runner.scalar(factor, memory.dtype), part))
    return calls
