"""Instructions that share a loop over entries, as the text of that loop.

What is read stands as far outside as it can, what only the group itself reads is never stored. Which instructions share
a loop is decided in `fuse`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..passes.loop_fusion import Group, key, walk
from ..planning.plan import Instr, Ref
from .operation_forms import DTYPES, FORMS, NotJittable

if TYPE_CHECKING:
    from .emit_jit import Writer


class Nest:
    """One group as nested loops: places, loads as far out as they can stand, expressions, stores."""

    def __init__(self, writer: Writer, group: Group) -> None:
        self.writer, self.group = writer, group
        pairs: dict[Any, tuple[Ref, tuple[int, ...]]] = {}
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
        self.results: dict[Any, tuple[str, Ref, Instr]] = {}  # what each place holds in the end
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
        values = [self.value(x, instr) if isinstance(x, Ref) else writer.constant(x, dtype) for x in instr.ins]
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

    def value(self, ref: Ref, instr: Instr) -> str:
        way = self.way(ref, instr)  # a vector may be read as a row and as a column
        found = self.known.get((key(ref), way))
        if found is not None:
            return found
        level = max((k + 1 for k, stride in enumerate(way) if stride), default=0)
        name = self.writer.fresh("v")
        self.loads[level].append(f"{name} = get({self.at(ref, instr)})")
        self.known[key(ref), way] = name
        return name

    def way(self, ref: Ref, instr: Instr) -> tuple[int, ...]:
        """The strides of a reference along the loops."""
        return self.ways[key(ref), ref.shape, instr.out.shape]

    def at(self, ref: Ref, instr: Instr) -> str:
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
