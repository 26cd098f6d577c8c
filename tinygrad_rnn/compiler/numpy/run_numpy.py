"""Carry out a plan with numpy: views made once, then nothing but calls that write into memory already there.

For each number of steps there is a program, a list of calls bound to their views; what depends on the arguments of this
very call, or on memory that the caller keeps, looks it up when it runs. What a plan means is said in `plan`. Sums over
time are products over as many steps at once as make them efficient.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import groupby, starmap
from operator import call
from typing import Any

import numpy as np

from ...core.ops.indexing import HOLE
from ...core.primitive import PRIMITIVES
from ..planning.plan import (
    END,
    STEP,
    SUMS,
    Buffer,
    Instr,
    Loop,
    Map,
    MemRef,
    Once,
    Operand,
    Plan,
    Stage,
    Tile,
    chunk_of,
    columns,
)  # fmt: skip
from ..result_memory import Results

Call = Callable[[], Any]
#: a function and its arguments
Spread = tuple[Any, ...]
#: bytes that numpy takes by itself while it computes with parts of arrays whose rows are short
WORKING = 2 * 8 * np.getbufsize()
#: programs for so many different lengths are kept
_KEPT = 16


# -- memory ------------------------------------------------------------------------------------------------------------
class Memory:
    """The arrays of a plan's buffers, and what its references mean in them.

    `given` and `made` are the arguments and results of this very call; `index` says which of them a buffer is.
    """

    def __init__(self, plan: Plan) -> None:
        self.arrays: dict[int, np.ndarray] = {}
        order = {id(ref.buffer): n for n, ref in enumerate(plan.outputs)}
        self.fresh = sorted([b for b in plan.buffers if b.kind == "result"], key=lambda b: order.get(id(b), -1))
        self.index = {id(b): i for buffers in (plan.arguments, self.fresh) for i, b in enumerate(buffers)}
        self.given: list[Any] = [None] * len(plan.arguments)
        self.made: list[Any] = [None] * len(self.fresh)
        for buffer in plan.buffers:
            if buffer.kind == "constant":
                self.arrays[id(buffer)] = np.asarray(buffer.value)
            elif not buffer.time and buffer.kind == "scratch":
                self.arrays[id(buffer)] = room(buffer)
        self.scalars: dict[Any, np.ndarray] = {}
        self.wide: dict[Any, np.ndarray] = {}

    def is_late(self, buffer: Buffer) -> bool:
        """Whether the memory of a buffer is another one for each call."""
        return buffer.kind in ("argument", "result")

    def finder(self, ref: MemRef, t: int, N: int, span: bool = False) -> Call:
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
    def look(array: np.ndarray, ref: MemRef, t: int = 0, N: int = 0, span: bool = False) -> np.ndarray:
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


def room(buffer: Buffer, *slots: int) -> np.ndarray:
    """Memory for a buffer, with whatever stands in it: a plan reads nothing that it has not written."""
    return np.empty((*slots, *buffer.shape), buffer.dtype)


# -- what numpy calls it -----------------------------------------------------------------------------------------------
def _maximum(a: Any, b: Any, out: np.ndarray) -> Any:
    return np.maximum(a, b, out=out)  # of these two numpy wants it by name


def _minimum(a: Any, b: Any, out: np.ndarray) -> Any:
    return np.minimum(a, b, out=out)


_UFUNCS: dict[str, Any] = {
    "add": np.add, "subtract": np.subtract, "multiply": np.multiply, "divide": np.divide, "negative": np.negative,
    "tanh": np.tanh, "exp": np.exp, "expm1": np.expm1, "log": np.log, "log1p": np.log1p, "sqrt": np.sqrt,
    "square": np.square, "reciprocal": np.reciprocal, "maximum": _maximum, "minimum": _minimum, "sin": np.sin,
    "cos": np.cos, "tan": np.tan, "arctan": np.arctan, "sinh": np.sinh, "cosh": np.cosh, "arcsinh": np.arcsinh,
    "logaddexp": np.logaddexp, "power": np.power, "abs": np.absolute,
}  # fmt: skip
#: primitives that take one more axis in front, if their `axis` is counted from there
_WITH_AXIS = frozenset({"softmax", "log_softmax", "logsumexp", "cross_entropy", "onehot", "concatenate"})


# -- one step -----------------------------------------------------------------------------------------------------
def steps(memory: Memory, body: Sequence[Instr], times: Sequence[int], N: int) -> list[Spread]:
    """The calls of a loop, in order; a view that several calls share is made once, since views have to be read too."""
    late = [any(memory.is_late(ref.buffer) for ref in (instr.out, *instr.refs)) for instr in body]
    early = [instr for instr, is_late in zip(body, late, strict=True) if not is_late]
    refs = dict.fromkeys(ref for instr in early for ref in (instr.out, *instr.refs))
    views = {ref: memory.look(memory.arrays[id(ref.buffer)], ref, 0, N, False) for ref in refs if ref.time is None}
    moving = [(ref, memory.arrays[id(ref.buffer)]) for ref in refs if ref.time is not None]
    calls: list[Spread] = []
    for t in times:
        for ref, array in moving:
            views[ref] = memory.look(array, ref, t, N, False)
        for instr, is_late in zip(body, late, strict=True):
            calls.append(spread(bound(memory, instr, t, N) if is_late else _viewed(memory, instr, views)))
    return calls


def spread(call: Call | Spread) -> Spread:
    """A function with what it is given: less to read from memory than an object that holds both."""
    if isinstance(call, tuple):
        return call
    return (call.func, *call.args) if isinstance(call, partial) and not call.keywords else (call,)


def _viewed(memory: Memory, instr: Instr, views: Mapping[MemRef, np.ndarray]) -> Call:
    """The call for an instruction whose references are seen so."""
    dtype = instr.out.buffer.dtype
    return _call(instr, views[instr.out], [_operand(memory, x, dtype, views) for x in instr.ins], False)


def _operand(memory: Memory, x: Operand, dtype: np.dtype[Any], views: Mapping[MemRef, np.ndarray]) -> np.ndarray:
    return views[x] if isinstance(x, MemRef) else memory.scalar(x, dtype)


def bound(memory: Memory, instr: Instr, t: int, N: int) -> Call:
    """The call for an instruction at one step."""
    return _bound(memory, instr, t, N, False)


def spanned(memory: Memory, instr: Instr, start: int, stop: int) -> Call:
    """The call for an instruction for the steps from start to stop."""
    return _bound(memory, instr, start, stop, True)


def _bound(memory: Memory, instr: Instr, t: int, N: int, span: bool) -> Call:
    late = any(memory.is_late(r.buffer) for r in (instr.out, *instr.refs))
    dtype = instr.out.buffer.dtype
    if not late:
        out = memory.look(memory.arrays[id(instr.out.buffer)], instr.out, t, N, span)
        ins = [
            memory.look(memory.arrays[id(x.buffer)], x, t, N, span)
            if isinstance(x, MemRef)
            else memory.scalar(x, dtype)
            for x in instr.ins
        ]
        return _call(instr, out, ins, span)
    get_out = memory.finder(instr.out, t, N, span)
    getters = [
        memory.finder(x, t, N, span) if isinstance(x, MemRef) else partial(memory.scalar, x, dtype) for x in instr.ins
    ]
    simple = _UFUNCS.get(instr.op) if not span else None
    if instr.op == "copy" and len(instr.out.shape) == len(
        instr.ins[0].shape if isinstance(instr.ins[0], MemRef) else ()
    ):
        (get,) = getters
        return lambda: np.copyto(get_out(), get())
    if simple is not None and len(getters) == 2:
        first, second = getters
        return lambda: simple(first(), second(), get_out())
    return lambda: _call(instr, get_out(), [get() for get in getters], span)()


def _call(instr: Instr, out: np.ndarray, ins: list[Any], span: bool) -> Call:
    op, lead = instr.op, int(span)
    if span and op not in ("call", "dot", "sum"):
        ins = [_widened(x, array, out.ndim) for x, array in zip(instr.ins, ins, strict=True)]
    ufunc = _UFUNCS.get(op)
    if ufunc is not None:
        return partial(ufunc, *ins, out)
    if op == "dot":
        return _product(out, ins[0], ins[1], lead)
    if op in ("copy", "fill"):
        return partial(np.copyto, out, ins[0])
    if op == "sum":
        axes = tuple(axis + lead for axis in instr.params["axis"])
        return partial(np.add.reduce, ins[0], axes, None, out, instr.params["keepdims"])
    if op == "call" and span:
        return _call_of_steps(instr, out, ins)
    if op == "call" and instr.function.name == "concatenate" and all(x.dtype == out.dtype for x in ins):
        return partial(np.concatenate, ins, instr.params["axis"], out)
    function = instr.function.forward if instr.function is not None else PRIMITIVES[op].forward
    return partial(_write, out, partial(function, *ins, **instr.params))


def _widened(x: Any, array: np.ndarray, rank: int) -> np.ndarray:
    """A value of each step with axes put in after that of time, so that it broadcasts as it does within a step."""
    if not isinstance(x, MemRef) or x.time is None or array.ndim == rank:
        return array
    return array.reshape((len(array), *[1] * (rank - array.ndim), *array.shape[1:]))


def _product(out: np.ndarray, a: np.ndarray, b: np.ndarray, lead: int) -> Call:
    # the method: np.dot asks in Python whether an argument overrides it, for a quarter of a small product's time
    alike = a.dtype == b.dtype == out.dtype
    if not lead and alike and out.flags.c_contiguous:
        return partial(a.dot, b, out)
    if not lead and alike and out.flags.f_contiguous:
        return partial(b.T.dot, a.T, out.T)
    if lead and alike and a.ndim == 2 and b.ndim == 3 and b.shape[2] == 1:
        x, y = b[..., 0], out[..., 0]
        if x.flags.c_contiguous and y.flags.c_contiguous:
            return partial(x.dot, a.T, y)  # all steps of one column are one product
    return partial(np.matmul, a, b, out)


def samples(array: np.ndarray) -> np.ndarray:
    """(steps, rows, batch) as (steps * batch, rows): a view, if samples are rows in memory."""
    steps, rows, batch = array.shape
    return array.swapaxes(1, 2).reshape(steps * batch, rows)


def _write(out: np.ndarray, function: Call) -> None:
    out[...] = function()


def _call_of_steps(instr: Instr, out: np.ndarray, ins: list[Any]) -> Call:
    """A primitive that is no operation entry by entry, for several steps."""
    name, params = instr.function.name, dict(instr.params)
    timed = [isinstance(x, MemRef) and x.time is not None for x in instr.ins]
    axis = params.get("axis", 0 if name == "concatenate" else -1)
    if name in _WITH_AXIS and all(timed) and isinstance(axis, int):
        rank = out.ndim if name == "onehot" else ins[0].ndim
        params["axis"] = axis + 1 if axis >= 0 else axis + rank
        return partial(_write, out, partial(instr.function.forward, *ins, **params))
    if instr.function.elementwise:
        wide = [_widened(x, array, out.ndim) for x, array in zip(instr.ins, ins, strict=True)]
        return partial(_write, out, partial(instr.function.forward, *wide, **params))
    if name == "pick" and timed == [False, True] and params["index"] == (HOLE,):
        return partial(_write, out, partial(instr.function.forward, *ins, **params))
    return partial(_each_step, instr, out, ins, timed)


def _each_step(instr: Instr, out: np.ndarray, ins: list[Any], timed: list[bool]) -> None:
    for t in range(len(out)):
        now = [np.asarray(x[t]) if moving else x for x, moving in zip(ins, timed, strict=True)]
        out[t] = instr.function.forward(*now, **instr.params)


# -- sums over time ----------------------------------------------------------------------------------------------------
def sums(memory: Memory, body: Sequence[Instr], start: int, stop: int, first: bool) -> list[Call]:
    """Sums over the steps from start to stop, as a beginning (`first`) or added to what is there.

    They are products over as many steps at once as make them efficient; the columns of several steps are put side by
    side, once for all sums that read them.
    """
    if stop <= start:
        return [_zeros(memory, instr) for instr in body] if first else []
    program: list[Call] = [_total(memory, i, start, stop, first) for i in body if i.op == "total"]
    products = [instr for instr in body if instr.op != "total"]
    needed = _rows_needed(products)
    batch = max((instr.refs[0].shape[1] for instr in products), default=1)
    chunk = max(1, columns(products) // max(1, batch))
    for at in range(start, stop, chunk):
        end = min(stop, at + chunk)
        moved: dict[Any, np.ndarray] = {}
        for instr in products:
            left = _columns(memory, instr.refs[0], at, end, needed, moved, program)
            if instr.op == "contract":
                right = _columns(memory, instr.refs[1], at, end, needed, moved, program)
            else:
                right = _Ones(np.ones(((end - at) * instr.refs[0].shape[1], 1), instr.out.buffer.dtype))
            begins = first and at == start
            program.append(_added_product(memory, instr, left, right, begins))
    return program


def _total(memory: Memory, instr: Instr, start: int, stop: int, first: bool) -> Call:
    (x,), dtype = instr.ins, instr.out.buffer.dtype
    if not isinstance(x, MemRef) or x.time is None:
        get = memory.finder(x, 0, stop) if isinstance(x, MemRef) else partial(memory.scalar, x, dtype)

        def part() -> Any:
            return get() * dtype.type(stop - start)

    else:
        find = memory.finder(x, start, stop, span=True)

        def part() -> Any:
            return np.add.reduce(find(), 0)

    made, i = memory.made, memory.index[id(instr.out.buffer)]

    def begin() -> None:
        made[i][...] = part()

    def more() -> None:
        made[i] += part()

    return begin if first else more


def _rows_needed(products: list[Instr]) -> dict[Any, tuple[int, int]]:
    """Which rows of each buffer the sums read, from the first to the last."""
    needed: dict[Any, tuple[int, int]] = {}
    for instr in products:
        for ref in instr.refs:
            key = (id(ref.buffer), ref.time)
            first, last = ref.rows or (0, ref.buffer.shape[0] if ref.buffer.shape else 0)
            known = needed.get(key, (first, last))
            needed[key] = min(first, known[0]), max(last, known[1])
    return needed


class _Ones:
    """A right side that adds up columns."""

    def __init__(self, ones: np.ndarray) -> None:
        self.turned = ones.T

    def __call__(self) -> np.ndarray:
        return self.turned


def _zeros(memory: Memory, instr: Instr) -> Call:
    made, i = memory.made, memory.index[id(instr.out.buffer)]
    return lambda: made[i].fill(0)


def _added_product(memory: Memory, instr: Instr, left: Call, right: Call, begins: bool) -> Call:
    """The beginning of a sum, or what is added to it by way of memory kept for that."""
    made, i, out = memory.made, memory.index[id(instr.out.buffer)], instr.out.buffer
    alike = all(ref.buffer.dtype == out.dtype for ref in instr.refs)

    def first() -> None:
        left().dot(right().T, made[i])

    def first_of_another_dtype() -> None:
        made[i][...] = left().dot(right().T)

    if begins:
        return first if alike else first_of_another_dtype
    part = memory.columns("part", out.shape[0], out.shape[1], out.dtype)

    def more() -> None:
        total = made[i]
        np.add(total, left().dot(right().T, part), total)

    def more_of_another_dtype() -> None:
        made[i] += left().dot(right().T)

    return more if alike else more_of_another_dtype


def _columns(
    memory: Memory,
    ref: MemRef,
    start: int,
    stop: int,
    needed: dict[Any, tuple[int, int]],
    moved: dict[Any, np.ndarray],
    program: list[Call],
) -> Call:
    """(steps, rows, batch) as (rows, steps * batch)."""
    rows, batch = ref.shape
    count = stop - start
    find = memory.finder(ref, start, stop, span=True)
    if batch == 1:
        if not memory.is_late(ref.buffer):
            array = find()
            beside = samples(array).T
            if np.may_share_memory(array, beside):  # a copy would keep what stood there when it was made
                return lambda: beside
        return lambda: samples(find()).T
    if ref.T and ref.rows is None and ref.view is None and ref.buffer.kind == "argument":
        return lambda: samples(find()).T  # in rows already: nothing moves
    if ref.T or ref.view is not None or not ref.buffer.shape:
        return lambda: np.ascontiguousarray(find().transpose(1, 0, 2)).reshape(rows, count * batch)
    key = (id(ref.buffer), ref.time)
    first, last = needed[key]
    if key not in moved:
        whole, size = MemRef(ref.buffer, ref.time, (first, last)), last - first
        wide = moved[key] = memory.columns(ref.buffer.name + str(ref.time), size, count * batch, ref.buffer.dtype)
        get, place = memory.finder(whole, start, stop, span=True), wide.reshape(size, count, batch)
        program.append(lambda: _lay_out(place, get()))
    at = (ref.rows[0] if ref.rows else 0) - first
    part = moved[key][at : at + rows]
    return lambda: part


def _lay_out(place: np.ndarray, array: np.ndarray) -> None:
    """(steps, rows, batch) into (rows, steps, batch), the samples of a row as one item: short rows take numpy long."""
    if array.strides[2] == array.itemsize:
        item = np.dtype((np.void, array.shape[2] * array.itemsize))
        np.copyto(place.view(item)[:, :, 0], array.view(item)[:, :, 0].T)
    else:
        np.copyto(place, array.transpose(1, 0, 2))


# -- programs ---------------------------------------------------------------------------------------------------------
class NumpyRunner(Memory):
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
                self.arrays[id(buffer)] = room(buffer, slots)
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
        return [spread(each) for each in found]

    def _bind(self, stage: Stage, N: int, program: list[Any], first: bool) -> None:
        if isinstance(stage, Once):
            for summing, group in groupby(stage.body, key=lambda instr: instr.op in SUMS):
                if summing:
                    program += sums(self, list(group), 0, N, True)
                else:
                    program += [bound(self, instr, 0, N) for instr in group]
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
            program += sums(self, part.body, start, stop, first)
        elif isinstance(part, Loop):
            program += self._steps(part, start, stop)
        elif isinstance(part, Map) and stop > start:
            program += [spanned(self, instr, start, stop) for instr in part.body]

    def _steps(self, stage: Loop, start: int, stop: int) -> list[Spread]:
        """The calls of a loop from one step to another: part of those for the longest sequence so far."""
        found = self.loops.get(id(stage))
        forwards = stage.direction > 0
        if found is None:
            times = range(self.capacity) if forwards else range(self.capacity - 1, -1, -1)
            found = self.loops[id(stage)] = steps(self, stage.body, times, self.capacity)
        n = len(stage.body)
        if forwards:
            return found[start * n : stop * n]
        return found[(self.capacity - stop) * n : (self.capacity - start) * n]

    def copied(self, ref: MemRef, N: int) -> Call | None:
        """A copy of an output that stands in memory which the next call writes; None for what is made anew."""
        if ref.buffer.kind == "result":
            return None
        find = self.finder(ref, 0, N, span=ref.time is not None and ref.time[0] == STEP)
        return lambda: np.array(find())


def run(program: list[Spread]) -> None:
    """Make all calls, one after the other."""
    deque(starmap(call, program), maxlen=0)
