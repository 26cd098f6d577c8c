"""The text of loops over entries, for numba: instructions that share a loop, and what only puts entries elsewhere.

`Writer` is what generated code is written on: lines, names, numbers of buffers, places in them. In a loop, what is read
stands as far outside as it can, and what only the loop itself reads is never stored. Which instructions share a loop is
decided in `loop_fusion`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from math import isfinite
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from ..passes.loop_fusion import Group, Needed, key, momentary, offset, squeezed, strides, walk
from ..planning.plan import END, START, STEP, Buffer, Instr, MemRef, Plan
from ..unsupported import NotJittable

#: what a dtype is called in names of kernels, and in full
DTYPES = {
    np.dtype(np.float32): ("4", "np.float32"),
    np.dtype(np.float64): ("8", "np.float64"),
    np.dtype(np.int64): ("_int", "np.int64"),  # numbers of classes: to be copied and looked up
}
_INFIX = {"add": "{0} + {1}", "subtract": "{0} - {1}", "multiply": "{0} * {1}", "divide": "{0} / {1}"}
FORMS = _INFIX | {
    "negative": "-{0}",
    "square": "{0} * {0}",
    "reciprocal": "{one} / {0}",
    "copy": "{0}",
    "fill": "{0}",
    "tanh": "kernels.tanh{d}({0})",
    "exp": "kernels.exp{d}({0})",
    "sigmoid": "kernels.sigmoid{d}({0})",
    "relu": "{0} if {0} > {zero} or {0} != {0} else {zero}",
    "maximum": "{0} if {0} > {1} or {0} != {0} else {1}",
    "minimum": "{0} if {0} < {1} or {0} != {0} else {1}",
    "greater": "{one} if {0} > {1} else {zero}",
    "equal": "{one} if {0} == {1} else {zero}",
    "sign": "{one} if {0} > {zero} else -{one} if {0} < {zero} else {0}",
    "abs": "abs({0})",
    "power": "{0} ** {1}",
    "power_constant": "{0} ** {n}",
    "softplus": "kernels.logaddexp({0}, {zero})",
    "logaddexp": "kernels.logaddexp({0}, {1})",
}
FORMS |= {name: f"np.{name}({{0}})" for name in ("expm1", "log", "log1p", "sqrt", "sin", "cos", "tan")}
FORMS |= {name: f"np.{name}({{0}})" for name in ("arctan", "sinh", "cosh", "arcsinh")}
#: the steps over which a sum over time runs that stands in a loop
NOW = ("t", "t + 1")


class Writer:
    """Lines of a function, and what they say of a plan: numbers of its buffers, slots, addresses, constants.

    `bounds` are the steps from which to which the present stage runs; `chunks` the lengths of tiles by buffer.
    """

    def __init__(self, plan: Plan, chunks: dict[int, int]) -> None:
        self.chunks = chunks
        self.momentary = momentary(plan)
        self.needed = Needed(plan)
        self.lines: list[str] = []
        self.depth = 1
        self.counter = 0
        self.constants: dict[tuple[str, str], str] = {}
        self.buffers: dict[int, int] = {}  # id -> number, in the order of first use
        self.listed: list[Buffer] = []
        self.bounds = ("0", "N")

    def line(self, text: str) -> None:
        self.lines.append("    " * self.depth + text)

    @contextmanager
    def block(self, head: str) -> Iterator[None]:
        self.line(head)
        self.depth += 1
        yield
        self.depth -= 1

    def fresh(self, letter: str) -> str:
        self.counter += 1
        return f"{letter}{self.counter}"

    def number(self, buffer: Buffer) -> int:
        if buffer.dtype not in DTYPES:
            raise NotJittable(f"a buffer of dtype {buffer.dtype}")
        if id(buffer) not in self.buffers:
            self.buffers[id(buffer)] = len(self.listed)
            self.listed.append(buffer)
        return self.buffers[id(buffer)]

    def constant(self, value: float, dtype: np.dtype[Any]) -> str:
        value = float(value)
        text = repr(value) if isfinite(value) else f"np.{'nan' if value != value else 'inf' if value > 0 else '-inf'}"
        kind = DTYPES[dtype][1]
        return self.constants.setdefault((kind, text.replace("np.-inf", "-np.inf")), f"c{len(self.constants)}")

    def slot(self, ref: MemRef) -> str:
        """Which slot of the buffer is meant."""
        buffer = ref.buffer
        if ref.time is None or id(buffer) in self.momentary:
            return "0"
        base, k = ref.time
        if base == STEP:
            if buffer.kind == "chunk":
                return f"(t + {k}) % {self.chunks[id(buffer)]}" if k else f"t % {self.chunks[id(buffer)]}"
            return f"t + {buffer.lead + k}" if buffer.lead + k else "t"
        if base == START:
            return str(buffer.lead + k)
        if base == END:
            return f"N + {buffer.lead + k}"
        raise NotJittable("a sequence read as a whole")

    def place(self, ref: MemRef, slot: str | None = None) -> str:
        """The first entry that is meant, counted from the start of the buffer."""
        slot, at = self.slot(ref) if slot is None else slot, offset(ref)
        if slot == "0":
            return str(at)
        text = f"{slot} * {ref.buffer.size}" if slot.isidentifier() else f"({slot}) * {ref.buffer.size}"
        return f"{text} + {at}" if at else text

    def address(self, ref: MemRef, slot: str | None = None) -> str:
        place, n = self.place(ref, slot), self.number(ref.buffer)
        return f"a{n}" if place == "0" else f"a{n} + {ref.buffer.dtype.itemsize} * ({place})"

    @property
    def one_step(self) -> bool:
        """Whether what is written runs in a loop, for its current step alone."""
        return self.bounds == NOW

    def summed(self) -> AbstractContextManager[None]:
        """The steps that a sum over time runs over: those of the stage, or the current one of a loop."""
        return nullcontext() if self.one_step else self.block(f"for t in range({self.bounds[0]}, {self.bounds[1]}):")

    def group(self, group: Group) -> None:
        """One loop for instructions that share it."""
        Nest(self, group).write()

    def turn(self, instr: Instr) -> None:
        """The memory of the transpose."""
        (a,), (rows, columns) = instr.refs, instr.refs[0].shape
        size = a.buffer.dtype.itemsize
        self.number(instr.out.buffer)
        self.line(f"kernels.turn{size}({self.address(a)}, {rows}, {columns}, {self.address(instr.out)}, {rows})")


class Nest:
    """One group as nested loops: places, loads as far out as they can stand, expressions, stores."""

    def __init__(self, writer: Writer, group: Group) -> None:
        self.writer, self.group = writer, group
        pairs: dict[Any, tuple[MemRef, tuple[int, ...]]] = {}
        for instr in group.body:
            for ref in (*instr.refs, instr.out):
                pairs.setdefault((key(ref), ref.shape, instr.out.shape), (ref, instr.out.shape))
        self.keys = list(pairs)
        self.sizes, ways = walk(list(pairs.values()))
        self.ways = dict(zip(self.keys, ways, strict=True))
        self.places: dict[Any, str] = {}
        self.known: dict[Any, str] = {}  # key of a place and its strides -> variable that holds its current value
        self.loads: list[list[str]] = [[] for _ in range(len(self.sizes) + 1)]  # by number of loops around them
        self.inside: list[str] = []
        self.results: dict[Any, tuple[str, MemRef, Instr]] = {}  # what each place holds in the end
        self.setup: dict[str, str] = {}  # place -> the variable it is computed into

    def write(self) -> None:
        for instr in self.group.body:
            self.instruction(instr)
        for value, out, instr in self.results.values():
            if self.writer.needed(self.group, out):
                self.inside.append(f"put({self.at(out, instr)}, {value})")
        writer = self.writer
        for place, name in self.setup.items():
            writer.line(f"{name} = {place}")
        depth = writer.depth
        for level, size in enumerate(self.sizes):
            for line in self.loads[level]:
                writer.line(line)
            writer.line(f"for {'ijklm'[level]} in range({size}):")
            writer.depth += 1
        for line in (*self.loads[-1], *self.inside):
            writer.line(line)
        writer.depth = depth

    def instruction(self, instr: Instr) -> None:
        writer, dtype = self.writer, instr.out.buffer.dtype
        if dtype not in DTYPES or (dtype.kind == "i" and instr.op != "copy"):
            raise NotJittable(f"{instr.op} with results of dtype {dtype}")
        d, kind = DTYPES[dtype]
        values = [self.value(x, instr) if isinstance(x, MemRef) else writer.constant(x, dtype) for x in instr.ins]
        wider = any(ref.buffer.dtype != dtype for ref in instr.refs)
        form = FORMS[instr.op]
        named = {word: writer.constant(x, dtype) for word, x in (("one", 1.0), ("zero", 0.0)) if f"{{{word}}}" in form}
        if instr.op == "power_constant":
            named["n"] = writer.constant(instr.params["n"], dtype)
        text = form.format(*values, d=d, **named)
        result = writer.fresh("v")
        self.inside.append(f"{result} = {kind}({text})" if wider else f"{result} = {text}")
        self.known[key(instr.out), self.way(instr.out, instr)] = result
        self.results[key(instr.out)] = result, instr.out, instr

    def value(self, ref: MemRef, instr: Instr) -> str:
        way = self.way(ref, instr)  # a vector may be read as a row and as a column
        found = self.known.get((key(ref), way))
        if found is not None:
            return found
        level = max((k + 1 for k, stride in enumerate(way) if stride), default=0)
        name = self.writer.fresh("v")
        self.loads[level].append(f"{name} = get({self.at(ref, instr)})")
        self.known[key(ref), way] = name
        return name

    def way(self, ref: MemRef, instr: Instr) -> tuple[int, ...]:
        """The strides of a reference along the loops."""
        return self.ways[key(ref), ref.shape, instr.out.shape]

    def at(self, ref: MemRef, instr: Instr) -> str:
        """Buffer and index of the entry that a turn of the loops means."""
        found, n = (key(ref), ref.shape, instr.out.shape), self.writer.number(ref.buffer)
        if found not in self.places:
            place = self.writer.place(ref)
            if not place.isdigit():
                place = self.setup.setdefault(place, self.writer.fresh("o"))
            self.places[found] = place
        terms = [self.places[found]] if self.places[found] != "0" else []
        for letter, stride in zip("ijklm", self.ways[found], strict=False):
            if stride:
                terms.append(letter if stride == 1 else f"{stride} * {letter}")
        return f"b{n}, {' + '.join(terms) or '0'}"


# -- what only puts entries elsewhere ---------------------------------------------------------------------------------
#: primitives that have a form here
MOVES = frozenset({"getitem", "scatter_add", "broadcast_to", "concatenate"})
#: entries before the first, and from one to the next along each axis
View = tuple[int, tuple[int, ...]]


def move(writer: Writer, instr: Instr) -> None:
    """The loops of one operation."""
    if instr.function.name == "scatter_add":
        writer.group(Group(squeezed(instr.out.shape), [Instr("fill", instr.out, (0.0,))]))
    for source, taken, given, shape in _moves(instr):
        start, goal = writer.fresh("o"), writer.fresh("o")
        writer.line(f"{start} = {writer.place(source)} + {taken[0]}")
        writer.line(f"{goal} = {writer.place(instr.out)} + {given[0]}")
        a, b = writer.number(source.buffer), writer.number(instr.out.buffer)
        with ExitStack() as loops:
            for n, step, stride in zip(shape, taken[1], given[1], strict=True):
                i = writer.fresh("i")
                loops.enter_context(writer.block(f"for {i} in range({n}):"))
                start, goal = f"{start} + {step} * {i}", f"{goal} + {stride} * {i}"
            writer.line(f"put(b{b}, {goal}, get(b{a}, {start}))")


def _moves(instr: Instr) -> Iterator[tuple[MemRef, View, View, tuple[int, ...]]]:
    """From where to where, for each input."""
    refs, out, params, name = instr.refs, _model(instr.out), instr.params, instr.function.name
    if len(refs) < len(instr.ins) or any(ref.buffer.dtype != instr.out.buffer.dtype for ref in refs):
        raise NotJittable(f"{name} of numbers, or of different dtypes")
    if name == "concatenate":
        axis, at = params["axis"] % out.ndim, 0
        for ref in refs:
            end = at + ref.shape[axis]
            place = (*[slice(None)] * axis, slice(at, end))
            yield ref, _view(_model(ref)), _view(out, place), ref.shape
            at = end
        return
    (ref,) = refs
    model = _model(ref)
    if name == "broadcast_to":
        spread = np.broadcast_to(model, instr.out.shape)
        yield ref, (0, spread.strides), _view(out), instr.out.shape
    elif name == "getitem":
        yield ref, _view(model, _plain(params["index"])), _view(out), instr.out.shape
    else:
        yield ref, _view(model), _view(out, _plain(params["index"])), ref.shape


def _model(ref: MemRef) -> np.ndarray:
    """An array with the shape of a reference, whose strides count entries."""
    return as_strided(np.empty(1, np.int8), ref.shape, strides(ref))


def _view(model: np.ndarray, index: Any = ()) -> View:
    part = model[index] if index != () else model
    if not isinstance(part, np.ndarray):
        part = model[(*index, None)][..., 0]
    addresses = [array.__array_interface__["data"][0] for array in (part, model)]
    return addresses[0] - addresses[1], part.strides


def _plain(index: Any) -> tuple[Any, ...]:
    """An index of numbers, slices and new axes; others pick entries one by one, which no strides describe."""
    parts = index if isinstance(index, tuple) else (index,)
    if not all(part is None or part is Ellipsis or isinstance(part, int | np.integer | slice) for part in parts):
        raise NotJittable("an index that is an array")
    return parts
