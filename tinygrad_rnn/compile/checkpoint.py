"""Long sequences in little memory: keep the states at some steps, and compute what lies between them a second time.

The forward loop runs segment by segment and keeps, for each, only what its first step reads; the backward loop then
takes the segments from the last to the first and runs each one forwards again before it goes back through it. Segments
end where tiles end, and sums are added tile by tile in the same order, so that gradients are the same to the last bit.
"""

from __future__ import annotations

from collections.abc import Callable
from math import isqrt
from typing import Any

import numpy as np

from .errors import CompileError
from .plan import ALL, END, STEP, Buffer, Instr, Loop, Map, Once, Plan, Ref, Stage, Tile
from .run_numpy import NumpyRunner, Spread, run

Call = Callable[[], Any]


class CheckpointRunner:
    """Runs a plan with one loop forwards and one backwards, keeping states every `every` steps (or `"sqrt"` of N)."""

    def __init__(self, plan: Plan, every: int | str) -> None:
        self.plan, self.every = plan, every
        self.parts = _Parts(plan)
        self.inner = NumpyRunner(plan)
        self.programs: dict[Any, list[Spread]] = {}
        self.capacity = -1

    def segment(self, N: int) -> int:
        """Steps of a segment: as many as asked for, up to a whole number of tiles."""
        chunk = self.parts.backward.chunk
        wanted = isqrt(max(N, 1) - 1) + 1 if self.every == "sqrt" else int(self.every)
        return max(chunk, -(-wanted // chunk) * chunk)

    def peak_bytes(self, N: int) -> int:
        """Bytes of all buffers and kept states, for N steps; what a call returns is among them."""
        length = min(self.segment(N), max(N, 1))
        kept = sum(b.size * b.dtype.itemsize * (b.lead + b.tail) for b in self.parts.forward_buffers)
        return self.plan.bytes(length) + kept * max(0, -(-N // self.segment(N)) - 1)

    def __call__(self, values: list[Any], N: int) -> list[np.ndarray]:
        length = min(self.segment(N), max(N, 1))
        runner, parts = self.inner, self.parts
        if length != self.capacity:
            runner.capacity = -1
            runner._grow(length)
            self.programs.clear()
            self.capacity = length
        whole = [np.asarray(value) for value in values]
        bounds = [(a, min(N, a + length)) for a in range(0, max(N, 1), length)]
        runner.renew()
        with np.errstate(all="ignore"):
            self._give(whole, *bounds[0])
            self._run("before", parts.before, bounds[0][1], True)
            kept = []
            for k, (a, b) in enumerate(bounds):
                self._give(whole, a, b)
                if k:
                    self._carry_on(parts.forward_buffers, length)
                kept.append([np.array(runner.arrays[id(x)][: x.lead + x.tail]) for x in parts.forward_buffers])
                self._run("forward", [parts.forward], b - a, not k)
            self._run("between", parts.between, bounds[-1][1] - bounds[-1][0], True)
            for k, (a, b) in reversed(list(enumerate(bounds))):
                last = k == len(bounds) - 1
                if not last:
                    self._give(whole, a, b)
                    ends = [np.array(runner.arrays[id(x)][: x.lead + x.tail]) for x in parts.backward_buffers]
                    for x, array in zip(parts.forward_buffers, kept[k], strict=True):
                        runner.arrays[id(x)][: x.lead + x.tail] = array
                    self._run("again", [parts.again], b - a, False)
                    for x, array in zip(parts.backward_buffers, ends, strict=True):
                        runner.arrays[id(x)][b - a : b - a + x.lead + x.tail] = array
                self._run("backward", [parts.backward], b - a, last)
            self._run("after", parts.after, bounds[0][1], True)
        runner.results[bounds[0][1]] = [runner.copied(ref, bounds[0][1]) for ref in self.plan.outputs]
        return runner.found(bounds[0][1])

    def _give(self, whole: list[np.ndarray], a: int, b: int) -> None:
        """The part of each sequence that belongs to a segment."""
        arguments = zip(self.plan.arguments, whole, strict=True)
        self.inner.given[:] = [value[a:b] if buffer.time else value for buffer, value in arguments]

    def _carry_on(self, buffers: list[Buffer], length: int) -> None:
        for x in buffers:
            array = self.inner.arrays[id(x)]
            array[: x.lead + x.tail] = array[length : length + x.lead + x.tail].copy()

    def _run(self, name: str, stages: list[Stage], N: int, first: bool) -> None:
        key = (name, N, first)
        if key not in self.programs:
            self.programs[key] = self.inner.program(stages, N, first)
        run(self.programs[key])


class _Parts:
    """The stages of a plan by the part they play; raises `CompileError` where there are others."""

    def __init__(self, plan: Plan) -> None:
        tiles = [n for n, stage in enumerate(plan.stages) if isinstance(stage, Tile)]
        loops = [n for n, stage in enumerate(plan.stages) if _holds_loop(stage)]
        if len(loops) != 2 or tiles != loops or [_direction(plan.stages[n]) for n in loops] != [1, -1]:
            raise CompileError(
                "checkpoint: this function is not one loop forwards and one back (layers one after the other, or both "
                "directions, are several): write the layers in one loop, or compile it without checkpoint"
            )
        i, j = loops
        forward, backward = plan.stages[i], plan.stages[j]
        assert isinstance(forward, Tile) and isinstance(backward, Tile)
        self.before, self.between, self.after = plan.stages[:i], plan.stages[i + 1 : j], plan.stages[j + 1 :]
        # both loops end their tiles at the same steps
        self.forward = Tile(1, backward.chunk, forward.body)
        self.again = Tile(1, backward.chunk, [stage for stage in forward.body if not isinstance(stage, Once)])
        self.backward = backward
        ahead, back = _written(forward), _written(backward)
        full = [b for b in plan.buffers if b.time and b.kind == "scratch"]
        self.forward_buffers = [b for b in full if id(b) in ahead and b.lead + b.tail]
        self.backward_buffers = [b for b in full if id(b) in back and id(b) not in ahead and b.lead + b.tail]
        for stage in self.after:
            assert isinstance(stage, Once)
            for instr in stage.body:
                _check(instr.refs, ahead)
        _check(plan.outputs, ahead)


def _check(refs: list[Ref], ahead: set[int]) -> None:
    for ref in refs:
        if id(ref.buffer) in ahead and ref.time is not None and ref.time[0] in (END, ALL, STEP):
            raise CompileError("checkpoint: states are returned, or read after the gradient: they would not be there")


def _holds_loop(stage: Stage) -> bool:
    return isinstance(stage, Loop) or (isinstance(stage, Tile) and any(isinstance(s, Loop) for s in stage.body))


def _direction(stage: Stage) -> int:
    return stage.direction if isinstance(stage, Tile) else 0


def _written(tile: Tile) -> set[int]:
    bodies: list[list[Instr]] = [stage.body for stage in tile.body if isinstance(stage, Loop | Map)]
    return {id(instr.out.buffer) for body in bodies for instr in body}
