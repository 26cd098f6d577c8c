"""A function entry by entry, such as an optimiser's rule, recorded once and carried out on arrays of any length.

Its plan is a single map in which entries take the place of steps: in machine code one loop over all of them, with numpy
calls that write into memory already there, some entries at a time. What it computes of numbers alone is computed once
a call.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ..core.declare import MATH_ERRORS
from ..core.errors import GraphError
from ..core.graph import ancestors
from ..core.scope import ROOT, entered
from ..core.tensor import Tensor
from .planning.plan import ELEMENTWISE, STEP, Buffer, Instr, Map, MemRef, Plan, Tile
from .trace.guard import watched

#: entries that numpy works on at a time: what lies between its calls stays in the cache
PORTION = 32_768

#: arrays and numbers by name -> what becomes of the arrays, by name
Function = Callable[[dict[str, Any], dict[str, Any]], Mapping[str, Any]]


class Entrywise:
    """A function of arrays of one length and of numbers; `entrywise(arrays, numbers)` changes the arrays in place.

    The function takes a dict of arrays and a dict of numbers, by the names given here, and answers new arrays by the
    names of those they replace. Raises `GraphError` for an operation that is not entry by entry.
    """

    def __init__(
        self,
        function: Function,
        arrays: Sequence[str],
        numbers: Sequence[str],
        dtype: np.dtype[Any],
        executor: str = "numpy",
    ) -> None:
        leaves = {name: Tensor(np.ones(2, dtype), None, (), None, name, ROOT, False) for name in arrays}
        given = {name: Tensor(1.0, None, (), None, name, ROOT, False) for name in numbers}
        with entered(ROOT), watched(), np.errstate(all="ignore"):
            results = function(dict(leaves), dict(given))
        found = {name: x if isinstance(x, Tensor) else Tensor(float(x), None, (), None, None, ROOT, False)
                 for name, x in results.items()}  # fmt: skip
        _require_entrywise(ancestors(list(found.values())))
        self.numbers = _Numbers(list(given.values()), dtype)
        self.plan = _Planner(leaves, self.numbers, found).plan(dtype)
        held = [array for _, array in self.numbers.wanted]
        self.run: Callable[[Sequence[np.ndarray], int], Any]
        if executor == "jit":
            from .jit.run_jit import JitRunner  # numba: seconds

            runner = JitRunner(self.plan)
            self.run = lambda values, length: runner([*values, *held], length)
        else:
            self.run = _Calls(self.plan, held)

    def __call__(self, arrays: Sequence[np.ndarray], numbers: Sequence[float]) -> None:
        """Change these arrays, all contiguous and of the dtype."""
        self.numbers.fill(numbers)
        self.run(arrays, arrays[0].size)


def _require_entrywise(nodes: list[Tensor]) -> None:
    for x in nodes:
        if x.op is not None and not x.op.elementwise:
            what = "what is computed of each entry sees no other"
            raise GraphError(f"{x.op.name} is no operation entry by entry: {what}")


class _Numbers:
    """What depends on numbers alone: computed with Python's floats, then held as arrays without axes."""

    def __init__(self, given: list[Tensor], dtype: np.dtype[Any]) -> None:
        self.at = {x.id: i for i, x in enumerate(given)}
        self.start = len(given)
        self.steps: list[tuple[Callable[..., float], Callable[..., float], tuple[int, ...]]] = []
        self.buffers: dict[int, Buffer] = {}  # by place
        self.wanted: list[tuple[int, np.ndarray]] = []
        self.read: list[int] = []
        self.last: list[float] | None = None
        self.dtype = dtype

    def place(self, x: Tensor) -> int:
        """Where a number stands among all of them; what it is computed from comes before it."""
        if self.at.get(x.id, self.start) < self.start and self.at[x.id] not in self.read:
            self.read.append(self.at[x.id])
        if x.id not in self.at:
            inputs = [self.place(y) for y in x.inputs]
            self.at[x.id] = self.start + len(self.steps)
            self.steps.append((*_scalar(x), tuple(inputs)))
        return self.at[x.id]

    def buffer(self, x: Tensor) -> Buffer:
        """The argument of the plan that holds a number."""
        place = self.place(x)
        if place not in self.buffers:
            self.buffers[place] = Buffer(f"k{len(self.buffers)}", (), self.dtype, kind="argument", label=x.name or "")
            self.wanted.append((place, np.zeros((), self.dtype)))
        return self.buffers[place]

    def fill(self, given: Sequence[float]) -> None:
        """Hold the numbers for these; nothing is to be done as long as those that are read stay the same."""
        read = [given[i] for i in self.read]
        if read == self.last:
            return
        self.last, values = read, list(given)
        try:
            for function, _, inputs in self.steps:
                values.append(function(*[values[i] for i in inputs]))
        except MATH_ERRORS:  # where numpy answers inf or nan
            for _, function, inputs in self.steps[len(values) - self.start :]:
                values.append(function(*[values[i] for i in inputs]))
        for place, held in self.wanted:
            held[()] = values[place]


def _scalar(x: Tensor) -> tuple[Callable[..., float], Callable[..., float]]:
    """An operation on Python floats: as fast as it goes, and as numpy does it."""
    op, params, value = x.op, x.params or {}, float(x.value)
    if op is None:
        return lambda: value, lambda: value

    def as_numpy(*values: float) -> float:
        return float(op.forward(*map(np.float64, values), **params))

    return (op.scalar if op.scalar is not None and not params else as_numpy), as_numpy


class _Planner:
    """Gives each result a place: where it has to go if nobody needs what stands there any more, else memory between."""

    def __init__(self, leaves: dict[str, Tensor], numbers: _Numbers, results: Mapping[str, Tensor]) -> None:
        self.leaves, self.numbers, self.results = leaves, numbers, results
        nodes = [x for x in ancestors(list(results.values())) if x.shape]
        self.nodes = [x for x in nodes if x.op is not None]
        self.last = {y.id: n for n, x in enumerate(self.nodes) for y in x.inputs}
        for x in results.values():
            self.last.setdefault(x.id, -1)
        self.ends = {x.id for x in results.values()}

    def plan(self, dtype: np.dtype[Any]) -> Plan:
        arguments = {name: Buffer(name, (), dtype, time=True, kind="argument") for name in self.leaves}
        self.refs = {x.id: _now(arguments[name]) for name, x in self.leaves.items()}
        self.between: list[Buffer] = []
        self.free: list[MemRef] = []
        self.dtype = dtype
        body, later = [], []
        for n, x in enumerate(self.nodes):
            ins = tuple(self.operand(y) for y in x.inputs)
            target = self.target(n, x, arguments)
            self.release(n, x)
            self.refs[x.id] = target or (self.free.pop() if self.free else self.fresh())
            body.append(_instr(x, self.refs[x.id], ins))
        for name, x in self.results.items():
            source = self.operand(x)
            if source != _now(arguments[name]):
                later.append((_now(arguments[name]), source))
        read = [source for _, source in later]
        for _, source in later:
            if any(source == other for other, _ in later):  # it is written too: keep what it was
                kept = self.fresh()
                body.append(Instr("copy", kept, (source,)))
                read[read.index(source)] = kept
        body += [Instr("copy", target, (source,)) for (target, _), source in zip(later, read, strict=True)]
        given = [*arguments.values(), *self.numbers.buffers.values()]
        return Plan([Tile(1, PORTION, [Map(body)])], given, self.between, [])

    def operand(self, x: Tensor) -> Any:
        if x.shape:
            return self.refs[x.id]
        return MemRef(self.numbers.buffer(x))

    def target(self, n: int, x: Tensor, arguments: dict[str, Buffer]) -> MemRef | None:
        """Where a result is to be written, if what stands there is not read after this."""
        for name, wanted in self.results.items():
            if wanted is not x:
                continue
            leaf = self.leaves[name]
            if self.last.get(leaf.id, -1) <= n and leaf.id not in self.ends:
                return _now(arguments[name])
        return None

    def release(self, n: int, x: Tensor) -> None:
        """Memory between results is free again after its last reader."""
        for y in {y.id: y for y in x.inputs}.values():
            ref = self.refs.get(y.id)
            if ref is not None and ref.buffer.kind == "chunk" and self.last[y.id] == n and y.id not in self.ends:
                self.free.append(ref)

    def fresh(self) -> MemRef:
        self.between.append(Buffer(f"m{len(self.between)}", (), self.dtype, time=True, kind="chunk"))
        return _now(self.between[-1])


def _now(buffer: Buffer) -> MemRef:
    return MemRef(buffer, (STEP, 0))


def _instr(x: Tensor, out: MemRef, ins: tuple[Any, ...]) -> Instr:
    op = x.op
    assert op is not None
    return Instr(op.name if op.name in ELEMENTWISE else "call", out, ins, x.params or {}, op)


class _Calls:
    """The plan as numpy calls, `PORTION` entries at a time."""

    def __init__(self, plan: Plan, numbers: list[np.ndarray]) -> None:
        ((body,),) = [[stage.body for stage in tile.body] for tile in plan.stages if isinstance(tile, Tile)]
        timed = [b for b in plan.arguments if b.time]
        place = {id(b): n for n, b in enumerate([*timed, *plan.buffers, *plan.arguments[len(timed) :]])}
        self.between = [np.empty(PORTION, b.dtype) for b in plan.buffers]
        self.numbers = numbers
        self.program: list[tuple[Any, int, int | None, int]] = []
        for instr in body:
            assert isinstance(instr, Instr)
            at = [place[id(ref.buffer)] for ref in instr.refs]
            self.program.append((_call(instr), at[0], at[1] if len(at) > 1 else None, place[id(instr.out.buffer)]))

    def __call__(self, arrays: Sequence[np.ndarray], length: int) -> None:
        between, size = self.between, PORTION
        for start in range(0, length, size):
            here = slice(start, start + size)
            if length - start < size:
                between = [x[: length - start] for x in between]
            x = [*[array[here] for array in arrays], *between, *self.numbers]
            for function, i, j, k in self.program:
                if j is None:
                    function(x[i], x[k])
                else:
                    function(x[i], x[j], x[k])


def _call(instr: Instr) -> Callable[..., Any]:
    """`function(*ins, out)`."""
    if instr.op == "copy":
        return lambda x, out: np.copyto(out, x)
    forward, params = instr.function.forward, instr.params
    if forward in (np.maximum, np.minimum):  # the only ones that want to be told `out` by name
        return lambda x, y, out: forward(x, y, out=out)
    if isinstance(forward, np.ufunc):
        return forward
    return lambda *args: np.copyto(args[-1], forward(*args[:-1], **params))
