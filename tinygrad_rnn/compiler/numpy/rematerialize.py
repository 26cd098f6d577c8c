"""Long sequences in little memory: keep the states at some steps, and compute what lies between them a second time.

The forward loop runs segment by segment and keeps, for each, only what its first step reads; the backward loop then
takes the segments from the last to the first and runs each one forwards again before it goes back through it. Segments
end where tiles end, and sums are added tile by tile in the same order, so that gradients are the same to the last bit.

The buffers hold one segment. What runs once sees the whole sequences and all N steps; what it reads of a first or last
step is copied while the segment that has this step is there, and what it leaves beyond the last step is put there.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from math import isqrt
from typing import Any

import numpy as np

from ..passes.tiling import LONGEST
from ..planning.plan import END, START, STEP, SUMS, Buffer, Instr, Loop, Map, MemRef, Once, Plan, Stage, Tile, overlap
from ..unsupported import CompileError
from .run_numpy import WORKING, NumpyRunner, Spread, run

Call = Callable[[], Any]
#: programs of so many parts and lengths are kept
_KEPT = 64


class CheckpointRunner:
    """Runs a plan with one loop forwards and one backwards, keeping states every `every` steps (or `"sqrt"` of N)."""

    blas = "numpy"

    def __init__(self, plan: Plan, every: int | str) -> None:
        self.every, self.whole = every, plan
        self.parts = _Parts(plan)
        self.plan = self.parts.plan
        self.inner = NumpyRunner(self.plan)
        self.programs: dict[Any, list[Spread]] = {}
        self.capacity = -1

    def shortened(self) -> CheckpointRunner:
        """The same with segments of four steps: what crosses from one to another is seen in a short run."""
        tiles = [_tile(stage) if _holds_loop(stage) else stage for stage in self.whole.stages]
        stages = [Tile(stage.direction, 2, stage.body) if isinstance(stage, Tile) else stage for stage in tiles]
        return CheckpointRunner(Plan(stages, self.whole.arguments, self.whole.buffers, self.whole.outputs), 4)

    def segment(self, N: int) -> int:
        """Steps of a segment: as many as asked for, up to a whole number of tiles, and all that are read by name."""
        chunk = self.parts.backward.chunk
        wanted = isqrt(max(N, 1) - 1) + 1 if self.every == "sqrt" else int(self.every)
        return -(-max(wanted, self.parts.reach) // chunk) * chunk

    def bounds(self, N: int) -> list[tuple[int, int]]:
        """Where segments begin and end; the last one has at least the steps that are read by name."""
        starts = list(range(0, max(N, 1), self.segment(N)))
        if len(starts) > 1 and N - starts[-1] < self.parts.reach:
            starts.pop()
        return list(zip(starts, [*starts[1:], N], strict=True))

    def peak_bytes(self, N: int) -> int:
        """Bytes of all buffers and kept states, for N steps; what a call returns is among them."""
        bounds = self.bounds(N)
        kept = sum(edge.bytes for edge in self.parts.earlier)
        returned = sum(ref.buffer.size * ref.buffer.dtype.itemsize for ref in self.plan.outputs if _is_sequence(ref))
        return self.plan.bytes(_longest(bounds)) + kept * (len(bounds) - 1) + returned * N + WORKING

    def source(self) -> str:
        """The plan, which is followed line by line."""
        return str(self.plan)

    def __call__(self, values: list[Any], N: int) -> list[np.ndarray]:
        runner, parts, bounds = self.inner, self.parts, self.bounds(N)
        self._hold(_longest(bounds))
        whole = [np.asarray(value) for value in values]
        sequences = {
            n: np.empty((N, *ref.shape), ref.buffer.dtype)
            for n, ref in enumerate(self.plan.outputs)
            if _is_sequence(ref)
        }
        runner.renew()
        with np.errstate(all="ignore"):
            self._once("before", parts.before, whole, N)
            kept = []
            for k, (a, b) in enumerate(bounds):
                self._give(whole, a, b)
                if k:
                    self._put(parts.earlier, self._taken(parts.earlier, a - bounds[k - 1][0]), 0)
                kept.append(self._taken(parts.earlier, 0))
                self._run("forward", [parts.forward], b - a, not k)
                if not k:
                    self._moment("first", b - a)
            self._moment("last", b - a)
            self._once("between", parts.between, whole, N)
            self._moment("ends", b - a)
            self._give(whole, a, b)
            for k, (a, b) in reversed(list(enumerate(bounds))):
                last, before = k == len(bounds) - 1, kept.pop()
                if not last:
                    self._give(whole, a, b)
                    after = self._taken(parts.later, 0)
                    self._put(parts.earlier, before, 0)
                    self._run("again", [parts.again], b - a)
                    self._put(parts.later, after, b - a)
                if not k:
                    self._moment("starts", b - a)
                self._run("backward", [parts.backward], b - a, last)
                for n, array in sequences.items():
                    ref = self.plan.outputs[n]
                    array[a:b] = runner.finder(ref, 0, b - a, span=True)()
                if last:
                    self._moment("back last", b - a)
            self._moment("back first", b - a)
            self._once("after", parts.after, whole, N)
        runner.results[N] = [
            partial(sequences.__getitem__, n) if n in sequences else runner.copied(ref, N)
            for n, ref in enumerate(self.plan.outputs)
        ]
        return runner.found(N)

    def _hold(self, length: int) -> None:
        """Memory for segments of this length."""
        if length != self.capacity:
            self.inner.capacity = -1
            self.inner._grow(length)
            self.programs.clear()
            self.capacity = length
        elif len(self.programs) > _KEPT:
            self.programs.clear()

    def _give(self, whole: list[np.ndarray], a: int, b: int) -> None:
        """The part of each sequence that belongs to a segment."""
        arguments = zip(self.plan.arguments, whole, strict=True)
        self.inner.given[:] = [value[a:b] if buffer.time else value for buffer, value in arguments]

    def _taken(self, edges: list[_Edge], at: int) -> list[np.ndarray]:
        """What stands in a segment from step `at` on that another segment reads."""
        return [np.array(edge.of(self.inner.arrays, at)) for edge in edges]

    def _put(self, edges: list[_Edge], values: list[np.ndarray], at: int) -> None:
        for edge, value in zip(edges, values, strict=True):
            edge.of(self.inner.arrays, at)[...] = value

    def _once(self, name: str, body: list[Instr], whole: list[np.ndarray], N: int) -> None:
        self.inner.given[:] = whole
        self._run(name, [Once(body)], N)

    def _moment(self, name: str, N: int) -> None:
        if self.parts.moments[name]:
            self._run(name, [Once(self.parts.moments[name])], N)

    def _run(self, name: str, stages: list[Stage], N: int, first: bool = True) -> None:
        key = (name, N, first)
        if key not in self.programs:
            self.programs[key] = self.inner.program(stages, N, first)
        run(self.programs[key])


@dataclass(frozen=True)
class _Edge:
    """Slots of a buffer, counted from a step on, that one segment writes and another reads; or all of it, if it has
    one slot for all steps."""

    buffer: Buffer
    rows: tuple[int, int] | None
    start: int = 0
    stop: int = 1

    def of(self, arrays: Mapping[int, np.ndarray], at: int) -> np.ndarray:
        """The memory of them."""
        array, b = arrays[id(self.buffer)], self.buffer
        part = array[b.lead + at + self.start : b.lead + at + self.stop] if b.time else array[None]
        return part if self.rows is None else part[:, self.rows[0] : self.rows[1]]

    @property
    def bytes(self) -> int:
        """The size of them."""
        rows = 1.0 if self.rows is None else (self.rows[1] - self.rows[0]) / self.buffer.shape[0]
        return int((self.stop - self.start) * rows * self.buffer.size) * self.buffer.dtype.itemsize


class _Parts:
    """A plan and its stages by the part they play; raises `CompileError` where there are others."""

    def __init__(self, plan: Plan) -> None:
        loops = [n for n, stage in enumerate(plan.stages) if _holds_loop(stage)]
        others = [n for n, stage in enumerate(plan.stages) if isinstance(stage, Tile) and n not in loops]
        tiles = [_tile(plan.stages[n]) for n in loops]
        if others or [tile.direction for tile in tiles] != [1, -1]:
            raise CompileError(
                "checkpoint: this function is not one loop forwards and one back (layers one after the other, or both "
                "directions, are several): write the layers in one loop, or compile it without checkpoint"
            )
        (i, j), (forward, backward) = loops, tiles
        between, ahead = _summed(_once(plan.stages[i + 1 : j]), [forward])
        after, back = _summed(_once(plan.stages[j + 1 :]), [forward, backward])
        forward = Tile(1, forward.chunk, [*forward.body, Once(ahead)])
        self.backward = Tile(-1, backward.chunk, [*backward.body, Once(back)])
        # both loops end their tiles at the same steps
        self.forward = Tile(1, self.backward.chunk, forward.body)
        self.again = Tile(1, self.backward.chunk, [stage for stage in forward.body if not isinstance(stage, Once)])
        self.buffers = list(plan.buffers)
        self._ahead, self._back = _written(forward), _written(self.backward)
        #: what runs while the first or the last segment is there, on the way forwards and on the way back
        moments = ("first", "last", "ends", "starts", "back first", "back last")
        self.moments: dict[str, list[Instr]] = {moment: [] for moment in moments}
        self.copies: dict[Any, Buffer] = {}
        self.reach = 0
        self.before = [self._alone(instr, "before") for instr in _once(plan.stages[:i])]
        self.between = [self._alone(instr, "between") for instr in between]
        self.after = [self._alone(instr, "after") for instr in after]
        outputs = [ref if _is_sequence(ref) else self._seen(ref, "after") for ref in plan.outputs]
        #: what a segment reads that an earlier one wrote, or a later one on the way back
        started = {id(instr.out.buffer) for instr in self.before}
        self.earlier = _edges(_instructions(forward), 1, started)
        self.later = _edges(_instructions(forward) + _instructions(self.backward), -1)
        stages: list[Stage] = [Once(self.before), self.forward, Once(self.between), self.backward, Once(self.after)]
        self.plan = Plan(stages, plan.arguments, self.buffers, outputs)

    def _alone(self, instr: Instr, part: str) -> Instr:
        """An instruction that runs once, without reference to steps of which only a segment is there."""
        ins = tuple(self._seen(x, part) if isinstance(x, MemRef) else x for x in instr.ins)
        out = instr.out
        if out.time is not None and (part != "before" or out.time[0] != START):
            made = self._buffer(out.buffer)
            moment = "ends" if out.time[0] == END else "starts"
            self.moments[moment].append(Instr("copy", replace(out, T=False, view=None), (MemRef(made, rows=out.rows),)))
            out = replace(out, buffer=made, time=None)
        return Instr(instr.op, out, ins, instr.params, instr.function)

    def _seen(self, ref: MemRef, part: str) -> MemRef:
        """A reference as it is to be read in a part: a copy of what stands in another segment."""
        carried = ref.time is None and part == "after" and id(ref.buffer) in self._ahead - self._back
        if not _in_segment(ref) and not carried:
            return ref
        if ref.time is not None and ref.time[0] == STEP:
            raise CompileError("checkpoint: all steps are read again after the loop: they would not be there")
        last = ref.time is None or ref.time[0] == END
        returning = part == "after" and (id(ref.buffer) in self._back or not last)
        moment = ("back " if returning else "") + ("last" if last else "first")
        key = (moment, id(ref.buffer), ref.time)
        if key not in self.copies:
            made = self.copies[key] = self._buffer(ref.buffer)
            self.moments[moment].append(Instr("copy", MemRef(made), (MemRef(ref.buffer, ref.time),)))
            if ref.time is not None:  # so many steps of this segment have to be there
                self.reach = max(self.reach, -ref.time[1] if last else ref.time[1] + 1)
        return replace(ref, buffer=self.copies[key], time=None)

    def _buffer(self, like: Buffer) -> Buffer:
        made = Buffer(f"{like.name}_{len(self.buffers)}", like.shape, like.dtype, label=like.label)
        self.buffers.append(made)
        return made


def _once(stages: Iterable[Stage]) -> list[Instr]:
    return [instr for stage in stages if isinstance(stage, Once) for instr in stage.body]


def _summed(body: list[Instr], tiles: list[Tile]) -> tuple[list[Instr], list[Instr]]:
    """What runs once after tiles, without the sums over their steps; and these, which the last tile takes along."""
    sums = [instr for instr in body if _is_sum_of(instr, tiles)]
    return [instr for instr in body if instr not in sums], sums


def _is_sum_of(instr: Instr, tiles: list[Tile]) -> bool:
    """Whether it adds up what is there when the last tile is done with its steps, or has been before."""
    if instr.op not in SUMS or not any(map(_in_segment, instr.refs)):
        return False
    last = tiles[-1]
    for ref in instr.refs:
        if ref.time is None or ref.time[0] != STEP:
            return False
        times = [write.out.time for write in _instructions(last) if overlap(write.out, ref)]
        if any(time is not None and last.direction * (ref.time[1] - time[1]) > 0 for time in times):
            return False
    return True


def _in_segment(ref: MemRef) -> bool:
    """Whether it means a step in memory that holds one segment."""
    return ref.time is not None and ref.buffer.kind != "argument"


def _is_sequence(ref: MemRef) -> bool:
    return ref.time is not None and ref.time[0] == STEP


def _longest(bounds: list[tuple[int, int]]) -> int:
    return max(1, *[b - a for a, b in bounds])


def _holds_loop(stage: Stage) -> bool:
    return isinstance(stage, Loop) or (isinstance(stage, Tile) and any(isinstance(s, Loop) for s in stage.body))


def _tile(stage: Stage) -> Tile:
    if isinstance(stage, Tile):
        return stage
    assert isinstance(stage, Loop)
    return Tile(stage.direction, LONGEST, [stage])


def _instructions(tile: Tile) -> list[Instr]:
    return [instr for stage in tile.body if isinstance(stage, Loop | Map) for instr in stage.body]


def _edges(body: list[Instr], direction: int, started: Container[int] = ()) -> list[_Edge]:
    """What steps write where those of the next segment in this direction may read it; `started`: buffers with a value
    before the first step."""
    found: dict[_Edge, None] = {}
    for instr in body:
        b, time, rows = instr.out.buffer, instr.out.time, instr.out.rows
        if time is None and id(b) in started:
            found[_Edge(b, rows)] = None
        elif time is not None and b.kind == "scratch":
            start, stop = (-b.lead, time[1]) if direction > 0 else (time[1], b.tail)
            if stop > start:
                found[_Edge(b, rows, start, stop)] = None
    return list(found)


def _written(tile: Tile) -> set[int]:
    return {id(instr.out.buffer) for instr in _instructions(tile)}
