"""Carry out a plan with numpy: views made once, then nothing but calls that write into memory already there.

For each number of steps there is a program, a list of calls bound to their views; what depends on the arguments of this
very call, or on memory that the caller keeps, looks it up when it runs. What a plan means is said in `plan`; how single
instructions become calls stands in `numpy_calls`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from itertools import groupby, starmap
from operator import call
from typing import Any

import numpy as np

from ..planning.plan import STEP, SUMS, Loop, Map, Once, Plan, Ref, Stage, Tile, chunk_of
from ..result_memory import Results
from . import numpy_calls as calls

Call = Callable[[], Any]
Spread = calls.Spread
#: bytes that numpy takes by itself while it computes with parts of arrays whose rows are short
WORKING = 2 * 8 * np.getbufsize()
#: programs for so many different lengths are kept
_KEPT = 16


class NumpyRunner(calls.Memory):
    """Runs a plan for any number of steps; call it with the values of the arguments and N."""

    blas = "numpy"

    def __init__(self, plan: Plan, together: bool = False) -> None:
        super().__init__(plan)
        self.plan = plan
        self.capacity = -1
        self.nothing: list[Any] = list(self.given)
        seen = [
            (self.index[id(r.buffer)], partial(self.look, ref=r)) for r in plan.outputs if r.buffer.kind == "result"
        ]
        self.answers = Results(seen, together, held=len(self.made))
        self.shapes = [(b.shape, b.dtype) for b in self.fresh]
        self.chunks = chunk_of(plan.stages)
        self.loops: dict[int, list[Spread]] = {}
        self.programs: dict[int, list[Spread]] = {}
        self.results: dict[int, list[Call | None]] = {}

    def __call__(self, values: list[Any], N: int) -> list[np.ndarray]:
        if self.capacity < N:
            self._grow(N)
        self.given[:] = map(np.asarray, values)
        program = self.programs.get(N)
        if program is None:
            program = self._program(N)
        self.renew()
        with np.errstate(all="ignore"):
            run(program)
        found = self.found(N)
        self.given[:] = self.nothing  # what was given may be written to by whoever gave it
        return found

    def peak_bytes(self, N: int) -> int:
        """Bytes of all buffers for N steps."""
        return self.plan.bytes(N) + WORKING

    def source(self) -> str:
        """The plan, which is followed line by line."""
        return str(self.plan)

    def renew(self) -> None:
        """Memory for what is returned: that of the call before, unless somebody holds any of it."""
        made = self.answers.renewed(self.shapes)
        if made is not None:
            self.made[:] = made

    def found(self, N: int) -> list[np.ndarray]:
        """What is returned after a run of N steps."""
        answers = iter(self.answers)
        return [next(answers) if find is None else find() for find in self.results[N]]

    def _grow(self, N: int) -> None:
        self.capacity = N if self.capacity < 0 else max(N, 2 * self.capacity)
        for buffer in self.plan.buffers:
            if buffer.time:
                chunk = self.chunks.get(id(buffer))
                slots = buffer.slots(self.capacity, chunk and min(chunk, max(1, self.capacity)))
                self.arrays[id(buffer)] = calls.room(buffer, slots)
        self.loops.clear()
        self.programs.clear()
        self.results.clear()

    def _program(self, N: int) -> list[Spread]:
        if len(self.programs) >= _KEPT:
            oldest = next(iter(self.programs))
            del self.programs[oldest], self.results[oldest]
        program = self.programs[N] = self.program(self.plan.stages, N)
        self.results[N] = [self.copied(ref, N) for ref in self.plan.outputs]
        return program

    def program(self, stages: list[Stage], N: int, first: bool = True) -> list[Spread]:
        """The calls of some stages; `first`: whether sums begin there."""
        found: list[Any] = []
        for stage in stages:
            self._bind(stage, N, found, first)
        return [calls.spread(each) for each in found]

    def _bind(self, stage: Stage, N: int, program: list[Any], first: bool) -> None:
        if isinstance(stage, Once):
            for summing, group in groupby(stage.body, key=lambda instr: instr.op in SUMS):
                if summing:
                    program += calls.sums(self, list(group), 0, N, True)
                else:
                    program += [calls.bound(self, instr, 0, N) for instr in group]
        elif isinstance(stage, Loop):
            program += self._steps(stage, 0, N)
        else:
            assert isinstance(stage, Tile)
            starts = range(0, max(N, 1), stage.chunk)
            order = starts if stage.direction > 0 else reversed(starts)
            for n, start in enumerate(order):
                for part in stage.body:
                    self._part(part, start, min(N, start + stage.chunk), first and n == 0, program)

    def _part(self, part: Stage, start: int, stop: int, first: bool, program: list[Any]) -> None:
        """What a tile does with the steps from start to stop."""
        if isinstance(part, Once):
            program += calls.sums(self, part.body, start, stop, first)
        elif isinstance(part, Loop):
            program += self._steps(part, start, stop)
        elif isinstance(part, Map) and stop > start:
            program += [calls.spanned(self, instr, start, stop) for instr in part.body]

    def _steps(self, stage: Loop, start: int, stop: int) -> list[Spread]:
        """The calls of a loop from one step to another: part of those for the longest sequence so far."""
        found = self.loops.get(id(stage))
        forwards = stage.direction > 0
        if found is None:
            steps = range(self.capacity) if forwards else range(self.capacity - 1, -1, -1)
            found = self.loops[id(stage)] = calls.steps(self, stage.body, steps, self.capacity)
        n = len(stage.body)
        if forwards:
            return found[start * n : stop * n]
        return found[(self.capacity - stop) * n : (self.capacity - start) * n]

    def copied(self, ref: Ref, N: int) -> Call | None:
        """A copy of an output that stands in memory which the next call writes; None for what is made anew."""
        if ref.buffer.kind == "result":
            return None
        find = self.finder(ref, 0, N, span=ref.time is not None and ref.time[0] == STEP)
        return lambda: np.array(find())


def run(program: list[Spread]) -> None:
    """Make all calls, one after the other."""
    deque(starmap(call, program), maxlen=0)
