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

from ..planning.plan import END, STEP, SUMS, Buffer, Loop, Map, Once, Plan, Ref, Stage, Tile, chunk_of
from ..result_memory import Results
from . import numpy_calls as calls
from . import numpy_sums
from .numpy_stacks import stacked

Call = Callable[[], Any]
Spread = calls.Spread
#: bytes that numpy takes by itself while it computes with parts of arrays whose rows are short
WORKING = 2 * 8 * np.getbufsize()
#: programs for so many different lengths are kept
_KEPT = 16


class NumpyRunner:
    """Runs a plan for any number of steps; call it with the values of the arguments and N."""

    def __init__(self, plan: Plan, together: bool = False) -> None:
        self.plan = plan
        self.capacity = -1
        self.arrays: dict[int, np.ndarray] = {}
        self.index = {id(b): i for i, b in enumerate(plan.arguments)}
        order = {id(ref.buffer): n for n, ref in enumerate(plan.outputs)}
        results = sorted([b for b in plan.buffers if b.kind == "result"], key=lambda b: order.get(id(b), -1))
        self.index |= {id(b): i for i, b in enumerate(results)}
        self.nothing: list[Any] = [None] * len(plan.arguments)
        self.given: list[Any] = list(self.nothing)
        self.made: list[Any] = [None] * len(results)
        seen = [
            (self.index[id(r.buffer)], partial(self.look, ref=r)) for r in plan.outputs if r.buffer.kind == "result"
        ]
        self.answers = Results(seen, together, held=len(results))
        self.shapes = [(b.shape, b.dtype) for b in results]
        for buffer in plan.buffers:
            if buffer.kind == "constant":
                self.arrays[id(buffer)] = np.asarray(buffer.value)
            elif not buffer.time and buffer.kind == "scratch":
                self.arrays[id(buffer)] = _room(buffer)
        self.chunks = chunk_of(plan.stages)
        self.scalars: dict[Any, np.ndarray] = {}
        self.wide: dict[Any, np.ndarray] = {}
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
                self.arrays[id(buffer)] = _room(buffer, slots)
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
            together, rest = stacked(self, stage.body)
            program += together
            for summing, group in groupby(rest, key=lambda instr: instr.op in SUMS):
                if summing:
                    program += numpy_sums.sums(self, list(group), 0, N, True)
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
            program += numpy_sums.sums(self, part.body, start, stop, first)
        elif isinstance(part, Loop):
            program += self._steps(part, start, stop)
        elif isinstance(part, Map) and stop > start:
            program += [calls.spanned(self, instr, start, stop) for instr in part.body]

    def _steps(self, stage: Loop, start: int, stop: int) -> list[Spread]:
        """The calls of a loop from one step to another: part of those for the longest sequence so far."""
        found = self.loops.get(id(stage))
        forwards = stage.direction > 0
        body = calls.apart(stage.body)
        if found is None:
            steps = range(self.capacity) if forwards else range(self.capacity - 1, -1, -1)
            found = self.loops[id(stage)] = calls.steps(self, body, steps, self.capacity)
        n = len(body)
        if forwards:
            return found[start * n : stop * n]
        return found[(self.capacity - stop) * n : (self.capacity - start) * n]

    def copied(self, ref: Ref, N: int) -> Call | None:
        """A copy of an output that stands in memory which the next call writes; None for what is made anew."""
        if ref.buffer.kind == "result":
            return None
        find = self.finder(ref, 0, N, span=ref.time is not None and ref.time[0] == STEP)
        return lambda: np.array(find())

    # -- arrays -------------------------------------------------------------------------------------------------------
    def is_late(self, buffer: Buffer) -> bool:
        """Whether the memory of a buffer is another one for each call."""
        return buffer.kind in ("argument", "result")

    def finder(self, ref: Ref, t: int, N: int, span: bool = False) -> Call:
        """How to get at what a reference means at step t of N (or `span`: for the steps from t to N)."""
        buffer = ref.buffer
        if not self.is_late(buffer):
            array = self.look(self.arrays[id(buffer)], ref, t, N, span)
            return lambda: array
        held = self.given if buffer.kind == "argument" else self.made
        i = self.index[id(buffer)]
        if ref.time is None and ref.rows is None and ref.groups == 1:
            if ref.view is None:
                return (lambda: held[i].T) if ref.T else (lambda: held[i])
            if not ref.T:
                return lambda: held[i].reshape(ref.view)
        elif ref.rows is not None and ref.time is None and ref.view is None and ref.groups == 1 and not ref.T:
            first, last = ref.rows
            return lambda: held[i][first:last]
        elif span and ref.T and ref.rows is None and ref.view is None and 1 in ref.shape and not t:
            rows, columns = ref.shape
            return lambda: held[i][:N].reshape(N, rows, columns)
        return lambda: self.look(held[i], ref, t, N, span)

    @staticmethod
    def look(array: np.ndarray, ref: Ref, t: int = 0, N: int = 0, span: bool = False) -> np.ndarray:
        """What a reference means in the memory of its buffer."""
        lead = 0
        if ref.time is not None:
            base, k = ref.time
            at = ref.buffer.lead + k
            if ref.buffer.kind == "chunk":
                first = t % len(array)
                array, lead = (array[first : first + N - t], 1) if span else (array[first, ...], 0)
            elif span:
                array, lead = array[at + t : at + N], 1
            else:
                array = array[at + (t if base == STEP else N if base == END else 0), ...]
        if ref.rows is not None:
            array = array[:, ref.rows[0] : ref.rows[1]] if lead else array[ref.rows[0] : ref.rows[1]]
        if ref.view is not None:
            array = array.reshape((*array.shape[:lead], *ref.view))
        if ref.groups > 1:
            size = array.shape[lead] // ref.groups
            array = array.reshape((*array.shape[:lead], ref.groups, size, *array.shape[lead + 1 :]))
        if ref.T:
            array = array.transpose(0, *range(array.ndim - 1, 0, -1)) if lead else array.T
        return array

    def scalar(self, value: float, dtype: np.dtype[Any]) -> np.ndarray:
        """A number as an array of the dtype it meets; numpy takes that sooner than a Python float."""
        key = (value.hex(), dtype)
        if key not in self.scalars:
            self.scalars[key] = np.array(value, dtype if dtype.kind == "f" else np.float64)
        return self.scalars[key]

    def columns(self, which: str, rows: int, count: int, dtype: Any) -> np.ndarray:
        """Memory for the columns of several steps side by side."""
        key = (which, rows, count, dtype)
        if key not in self.wide:
            self.wide[key] = np.empty((rows, count), dtype)
        return self.wide[key]


def run(program: list[Spread]) -> None:
    """Make all calls, one after the other."""
    deque(starmap(call, program), maxlen=0)


def _room(buffer: Buffer, *slots: int) -> np.ndarray:
    """Memory for a buffer, with whatever stands in it: a plan reads nothing that it has not written."""
    if buffer.turned:
        return np.empty((*slots, *buffer.shape[::-1]), buffer.dtype).swapaxes(-1, -2)
    return np.empty((*slots, *buffer.shape), buffer.dtype)
