"""From a program to a plan: buffers for values, instructions for nodes, stages for ranks.

What lies beside what was decided by `horizontal_packing`. Here copies are put in where a reference alone would not do;
each chain becomes a buffer, with a slot for each step, one slot that every step writes anew, or only the steps of a
map; what only looks at memory in another way becomes a reference, and every other node one instruction, or one for its
whole pack.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...core.loop.program import Node, rewrite, users
from ...core.primitive import PRIMITIVES
from ..passes.features_first import COLUMN, FLIPPED
from ..passes.horizontal_packing import VIEWS, ChainCell, Packing
from ..unsupported import Unfoldable
from .plan import (
    ELEMENTWISE,
    END,
    START,
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
)
from .stages import LOOP, MAP, Stages

#: entries of one value that a map works on at a time, so that what it leaves (half a megabyte of float64) stays in the
#: cache of one core: four calls over 4 M entries of float32 take 9.4 ms in pieces of 4,096 (calls), 6.1 in pieces of
#: 65,536, 9.1 at once (memory)
CHUNK = 65536


class Lowered:
    """A plan; for each argument where its values come from, for each output how it is handed back."""

    def __init__(self, plan: Plan, sources: list[dict[str, Any]], results: list[dict[str, Any]]) -> None:
        self.plan, self.sources, self.results = plan, sources, results


def lower(outputs: list[Node], pack: bool = True) -> Lowered:
    """The plan of a program."""
    outputs = with_copies(outputs)
    packing = Packing(Stages(outputs), outputs, pack, reuse=pack)
    if pack and not packing.in_loops:
        packing = Packing(Stages(outputs), outputs, pack=False)
    return _Lowering(outputs, packing).lowered()


class _Lowering:
    """Buffers, references, instructions and stages of a program; `packing` says what stands in chains."""

    def __init__(self, outputs: list[Node], packing: Packing) -> None:
        self.outputs, self.packing = outputs, packing
        self.stages = Stages(outputs)
        self.nodes = self.stages.nodes
        self.asked = {id(output) for output in outputs}
        self.arguments: list[Buffer] = []
        self.sources: list[dict[str, Any]] = []
        self.buffers: list[Buffer] = []
        self.given: dict[Any, Buffer] = {}
        self.constants: dict[int, Buffer] = {}
        self.home: dict[int, tuple[Buffer, int, int]] = {}  # of a cell or a node computed once: buffer, row, lag
        self.needs: dict[int, tuple[int, int]] = {}
        self.names: dict[str, int] = {}
        self._check()
        self.place()
        self._once_homes()

    def _check(self) -> None:
        for node in self.nodes:
            if node.op == "slot" or any(x.op == "each" for x in node.ins):
                raise Unfoldable("the whole sequence is read at once")

    # -- buffers ------------------------------------------------------------------------------------------------------
    def buffer(self, letter: str, shape: tuple[int, ...], dtype: Any, **options: Any) -> Buffer:
        n = self.names[letter] = self.names.get(letter, -1) + 1
        made = Buffer(f"{letter}{n}", shape, np.dtype(dtype), **options)
        (self.arguments if made.kind == "argument" else self.buffers).append(made)
        return made

    def argument(self, node: Node) -> Buffer:
        source = {key: value for key, value in node.params.items() if key != "mode"}
        key = (*sorted((k, id(v) if k == "tensor" else v) for k, v in source.items()), node.step)
        if key not in self.given:
            mode = node.params.get("mode")
            sample = node.sample.T if mode == FLIPPED else node.sample[:, 0] if mode == COLUMN else node.sample
            self.given[key] = self.buffer(
                "x" if node.step else "p", np.shape(sample), node.dtype, time=node.step, kind="argument"
            )
            self.sources.append({**source, "step": node.step})
        return self.given[key]

    def constant(self, node: Node) -> Buffer:
        if id(node) not in self.constants:
            value = np.asarray(node.params["value"])
            self.constants[id(node)] = self.buffer("k", value.shape, value.dtype, kind="constant", value=value)
        return self.constants[id(node)]

    def place(self) -> None:
        """A buffer for each chain."""
        reads = self._reads()
        for node in self.nodes:
            cell = self.packing.cell.get(id(node))
            if cell is None or id(cell) in self.home:
                continue
            chain = self.packing.chain(cell)
            least = min(lag for _, lag in chain)
            low = high = 0
            kept = len({lag for _, lag in chain}) > 1
            outside = False
            for link, lag in chain:
                for last in link.nodes:
                    for shift, elsewhere in reads.get(id(last), ()):
                        kept, outside = kept or shift != 0, outside or elsewhere
                        low, high = min(low, shift + lag - least), max(high, shift + lag - least)
                high = max(high, lag - least)
            kinds = {self.stages.rank[id(link.last)] % 3 for link, _ in chain}
            size = sum(self._rows(link) for link, _ in chain)
            shape = (size, *cell.last.shape[1:]) if cell.last.shape else ()
            carried = self._carried(chain, reads) and least == max(lag for _, lag in chain)
            full = kept or outside or len({self.stages.rank[id(n)] for link, _ in chain for n in link.nodes}) > 1
            if carried:
                made = self.buffer("c", shape, cell.last.dtype)
            elif full:
                made = self.buffer("s", shape, cell.last.dtype, time=True, lead=-low, tail=high)
            elif not cell.last.step:
                made = self.buffer("w", shape, cell.last.dtype)
            elif kinds == {MAP}:
                made = self.buffer("m", shape, cell.last.dtype, time=True, kind="chunk")
            else:
                made = self.buffer("t", shape, cell.last.dtype)
            at = 0
            for link, lag in chain:
                self.home[id(link)] = made, at, lag - least
                at += self._rows(link)

    def _carried(self, chain: Any, reads: dict[int, list[tuple[int, bool]]]) -> bool:
        """Whether one slot is enough: every step reads what the step before left, then writes its own."""
        for cell, _ in chain:
            if not self.stages.inside(cell.last) or id(cell.last) in self.asked:
                return False
            if any(not self.stages.together(node, cell.last) for node in cell.nodes):
                return False
            written = self.packing.depth[id(cell.nodes[0])]
            found = [(shift, elsewhere) for node in cell.nodes for shift, elsewhere in reads.get(id(node), ())]
            if {abs(shift) for shift, _ in found} - {0} != {1}:
                return False
            for node, shift in self.readers_of.get(id(cell.last), ()):
                if node.op == "ends":
                    continue
                late = shift != 0 and self.packing.depth[id(node)] >= written
                if not self.stages.together(node, cell.last) or late:
                    return False
        return True

    @staticmethod
    def _rows(cell: ChainCell) -> int:
        return cell.last.shape[0] if cell.last.shape else 0

    def _reads(self) -> dict[int, list[tuple[int, bool]]]:
        """For each node with memory how it is read: how many steps away, and whether by another stage."""
        found: dict[int, list[tuple[int, bool]]] = {}
        self.readers_of: dict[int, list[tuple[Node, int]]] = {}
        for node in self.nodes:
            if node.op in VIEWS and id(node) not in self.packing.cell:
                continue
            for x in node.ins:
                # what is read at one of its ends stands before the first step, or after the last
                self._note(x, 0, node, found)
        for output in self.outputs:
            if output.step:
                found.setdefault(id(output), []).append((0, True))
        for node in self.nodes:
            if node.op == "shift":
                self._note(node, 0, node, found)
        return found

    def _note(self, x: Node, shift: int, reader: Node, found: dict[int, list[tuple[int, bool]]]) -> None:
        while x.op in VIEWS and id(x) not in self.packing.cell:
            shift += x.params["by"] if x.op == "shift" else 0
            x = x.ins[0]
        if id(x) in self.packing.virtual or x.op == "join":
            for part in self.packing.virtual.get(id(x), x.ins):
                self._note(part, shift, reader, found)
        elif x.step:
            self.readers_of.setdefault(id(x), []).append((reader, shift))
            found.setdefault(id(x), []).append((shift, not self.stages.together(x, reader)))

    # -- references ---------------------------------------------------------------------------------------------------
    def ref(self, node: Node, time: tuple[str, int] = (STEP, 0)) -> Operand:
        """How to read a node."""
        base, k = time
        rows: tuple[int, int] | None = None
        turned, view = False, None
        while True:
            if node.op in ("ends", "at") or (
                node.op in VIEWS and id(node) not in self.packing.cell and id(node) not in self.home
            ):
                if node.op == "ends":
                    base, k = (END, 0) if node.ins[0].params["by"] < 0 else (START, -1)
                elif node.op == "at":
                    base, k = (START, node.params["k"]) if node.params["k"] >= 0 else (END, node.params["k"])
                elif node.op == "shift":
                    k += node.params["by"]
                elif node.op == "rows":
                    start = node.params["start"] + (rows[0] if rows else 0)
                    rows = (start, start + (rows[1] - rows[0] if rows else node.params["stop"] - node.params["start"]))
                elif node.op == "transpose":
                    turned = not turned
                elif view is None:
                    view = node.shape
                node = node.ins[0]
                continue
            break
        return self._read(node, base, k, rows, turned, view)

    def _read(self, node: Node, base: str, k: int, rows: Any, turned: bool, view: Any) -> Operand:
        if node.op == "constant":
            if not node.shape and rows is None and view is None:
                return float(node.params["value"])
            return MemRef(self.constant(node), None, rows, turned, 1, view)
        if node.op == "input":
            made = self.argument(node)
            if node.params.get("mode") == FLIPPED:
                turned = not turned
            elif node.params.get("mode") == COLUMN and view is None:
                view = node.shape
            return MemRef(made, (base, k) if node.step else None, rows, turned, 1, view)
        if id(node) in self.packing.virtual:
            parts = self.packing.virtual[id(node)]
            made, at, lag = self.home[id(self.packing.cell[id(parts[0])])]
            size = sum(part.shape[0] for part in parts)
        else:
            made, at, lag = self.home[id(self.packing.cell.get(id(node), node))]
            size = node.shape[0] if node.shape else 0
        start = at + (rows[0] if rows else 0)
        stop = start + (rows[1] - rows[0] if rows else size)
        whole = not made.shape or (start == 0 and stop == made.shape[0])
        return MemRef(made, (base, k + lag) if made.time else None, None if whole else (start, stop), turned, 1, view)

    def out(self, node: Node) -> MemRef:
        """Where a node is written."""
        found = self.ref(node)
        assert isinstance(found, MemRef)
        return found

    def _once_homes(self) -> None:
        """Memory for what is computed once; parts of a stack directly in their place."""
        readers: dict[int, int] = {}
        for node in self.nodes:
            for x in node.ins:
                readers[id(x)] = readers.get(id(x), 0) + 1
        handed = {id(_seen(output)) for output in self.outputs}
        for node in reversed(self.nodes):
            if (
                node.step
                or id(node) in self.home
                or id(node) in self.packing.cell
                or node.op in (*VIEWS, "input", "constant", "ends", "at", "each")
            ):
                continue
            if node.op == "steps":
                key = ("steps", *sorted(node.params.items()))
                if key not in self.given:
                    self.given[key] = self.buffer("n", (), np.float64, kind="argument")
                    self.sources.append({"steps": dict(node.params)})
                self.home[id(node)] = self.given[key], 0, 0
                continue
            # what is put together last, for the caller, needs no copy for him
            kind = "result" if node.op in SUMS or (node.op == "concatenate" and id(node) in handed) else "scratch"
            made = self.buffer("w" if kind == "scratch" else "g", node.shape, node.dtype, kind=kind)
            self.home[id(node)] = made, 0, 0
            if node.op == "join":
                at = 0
                for x in node.ins:
                    computed = x.function is not None and x.op not in VIEWS and not x.step
                    if computed and readers[id(x)] == 1 and id(x) not in self.asked and id(x) not in self.home:
                        self.home[id(x)] = made, at, 0
                    at += x.shape[0]
        for node in self.nodes:
            if node.op == "join" and node.step and id(node) not in self.packing.virtual:
                made = self.buffer("j", node.shape, node.dtype, time=True)
                self.home[id(node)] = made, 0, 0

    # -- instructions -------------------------------------------------------------------------------------------------
    def instr(self, node: Node) -> list[Instr]:
        """What computes a node."""
        if node.op == "join":
            out = self.out(node)
            made, at = [], out.rows[0] if out.rows else 0
            for x in node.ins:
                place = MemRef(out.buffer, out.time, (at, at + x.shape[0]))
                if self.ref(x) != place:
                    made.append(Instr("copy", place, (self.ref(x),)))
                at += x.shape[0]
            return made
        if node.op == "rows":  # of a product that could not be written in their order
            return [Instr("copy", self.out(node), (self.ref_below(node),))]
        ins = tuple(self.ref(x) for x in node.ins)
        out = self.out(node)
        if node.op == "gemm":
            a, b = ins
            assert isinstance(a, MemRef) and isinstance(b, MemRef)
            return [Instr("dot", out, (_turned(a, node.params["ta"]), _turned(b, node.params["tb"])))]
        if node.op in SUMS:
            return [Instr(node.op, out, ins)]
        if node.op == "steps":
            return []
        if node.op == "spread":
            return [Instr(node.params["op"], out, ins, dict(node.params["params"]))]
        if node.op in ("copy", "identity"):
            return [Instr("copy", out, ins)]
        if node.op in ELEMENTWISE:
            return [Instr(node.op, out, ins, dict(node.params))]
        if node.op == "sum":
            axis = node.params.get("axis")
            axes = range(len(node.ins[0].shape)) if axis is None else np.atleast_1d(axis)
            params = {"axis": tuple(int(i) % len(node.ins[0].shape) for i in axes)}
            return [Instr("sum", out, ins, {**params, "keepdims": bool(node.params.get("keepdims", False))})]
        return [Instr("call", out, ins, dict(node.params), node.function)]

    def ref_below(self, node: Node) -> Operand:
        base = self.ref(node.ins[0])
        assert isinstance(base, MemRef)
        start = (base.rows[0] if base.rows else 0) + node.params["start"]
        return MemRef(base.buffer, base.time, (start, start + node.shape[0]))

    def packed(self, pack: list[Node]) -> Instr:
        """One instruction for a pack."""
        first = pack[0]
        k = len(pack)
        out = self._stacked(self.out(first), first.shape[0] * k)
        ins: list[Operand] = []
        grouped = False
        for operands in zip(*[self.packing.operands(node) for node in pack], strict=True):
            x = self.ref(operands[0])
            if isinstance(x, MemRef) and any(y is not operands[0] for y in operands):
                x = self._stacked(x, operands[0].shape[0] * k)
            elif isinstance(x, MemRef):
                grouped = True
            ins.append(x)
        if grouped:
            ins = [_grouped(x, k) if self._is_stack(x, pack, j) else x for j, x in enumerate(ins)]
            return Instr(first.op, MemRef(out.buffer, out.time, out.rows, out.T, k), tuple(ins), dict(first.params))
        return Instr(first.op, out, tuple(ins), dict(first.params))

    def _is_stack(self, x: Operand, pack: list[Node], j: int) -> bool:
        operands = [self.packing.operands(node)[j] for node in pack]
        return isinstance(x, MemRef) and any(y is not operands[0] for y in operands)

    @staticmethod
    def _stacked(ref: MemRef, size: int) -> MemRef:
        start = ref.rows[0] if ref.rows else 0
        whole = start == 0 and size == ref.buffer.shape[0]
        return MemRef(ref.buffer, ref.time, None if whole else (start, start + size), ref.T, 1, None)

    # -- stages -------------------------------------------------------------------------------------------------------
    def lowered(self) -> Lowered:
        stages: list[Stage] = []
        ranks = sorted({self.stages.rank[id(node)] for node in self.nodes})
        bodies: dict[tuple[int, int], list[Instr]] = {}
        for rank in ranks:
            for loop, body in self._bodies(rank):
                bodies[rank, loop] = body
        starts = self._starts()
        for rank in sorted({*ranks, *starts}):
            before = starts.get(rank, [])
            if rank % 3 == 0:
                stages.append(Once(bodies.get((rank, -1), []) + before))
                continue
            if before:
                stages.append(Once(before))
            for (r, loop), body in bodies.items():
                if r != rank or not body:
                    continue
                if rank % 3 == LOOP:
                    stages.append(Loop(self.stages.direction[loop], body))
                else:
                    stages.append(Tile(1, _chunk(body), [Map(body)]))
        stages = [stage for stage in stages if stage.body]
        outputs, results = self._results(stages)
        return Lowered(Plan(stages, self.arguments, self.buffers, outputs), self.sources, results)

    def _bodies(self, rank: int) -> list[tuple[int, list[Instr]]]:
        """The instructions of a rank, for each loop (or -1)."""
        packed = {id(node): pack for pack in self.packing.packs for node in pack}
        done: set[int] = set()
        found: dict[int, list[Instr]] = {}
        depth = self.packing.depth
        own = [node for node in self.nodes if self.stages.rank[id(node)] == rank]
        own.sort(key=lambda node: depth.get(id(node), 0)) if rank % 3 else None
        for node in own:
            if id(node) in done or not self._computes(node):
                continue
            body = found.setdefault(self.stages.loop.get(id(node), -1), [])
            pack = packed.get(id(node))
            if pack is not None:
                body.append(self.packed(pack))
                done |= {id(n) for n in pack}
            else:
                body += self.instr(node)
        return list(found.items())

    def _computes(self, node: Node) -> bool:
        if node.op in ("input", "constant", "ends", "at", "steps", "each"):
            return False
        if node.op == "rows" and id(node) in self.packing.cell:
            return id(node.ins[0]) not in self.packing.virtual
        return node.op not in VIEWS and not (node.op == "join" and id(node) in self.packing.virtual)

    def _starts(self) -> dict[int, list[Instr]]:
        """What has to stand before the first step, or after the last, by the rank before which it is written."""
        found: dict[int, list[Instr]] = {}
        written: dict[Any, Node] = {}
        for node in self.nodes:
            if node.op != "shift":
                continue
            by = node.params["by"]
            out = self.ref(node, (START, 0) if by < 0 else (END, -1))
            assert isinstance(out, MemRef)
            first = node.ins[1]
            if out in written:
                if written[out] is not first:
                    raise Unfoldable("one value starts in two ways")
                continue
            written[out] = first
            value = self.ref(first)
            instr = Instr("fill" if isinstance(value, float) else "copy", out, (value,))
            found.setdefault(self.stages.rank[id(node)], []).append(instr)
        return found

    def _results(self, stages: list[Stage]) -> tuple[list[MemRef], list[dict[str, Any]]]:
        refs, results = [], []
        extra: list[Instr] = []
        for output in self.outputs:
            if output.op == "each":
                ref = self.ref(output.ins[0])
                if not isinstance(ref, MemRef) or ref.time is None:
                    raise Unfoldable("a sequence of constants is an output")
                refs.append(ref)
                results.append({"each": output.params, "float": False})
                continue
            ref = self.ref(output)
            if isinstance(ref, float):
                made = self.buffer("w", (), output.dtype)
                extra.append(Instr("fill", MemRef(made), (ref,)))
                ref = MemRef(made)
            refs.append(ref)
            results.append({"float": type(output.sample) is float})
        if extra:
            stages.append(Once(extra))
        return refs, results


def _turned(ref: MemRef, turned: bool) -> MemRef:
    return MemRef(ref.buffer, ref.time, ref.rows, turned != ref.T, ref.groups, ref.view)


def _grouped(ref: Operand, k: int) -> Operand:
    return MemRef(ref.buffer, ref.time, ref.rows, ref.T, k, ref.view) if isinstance(ref, MemRef) else ref


def _chunk(body: list[Instr]) -> int:
    """How many steps a map takes at a time."""
    largest = max(instr.out.buffer.size for instr in body)
    return max(1, CHUNK // max(1, largest))


def _seen(node: Node) -> Node:
    """What a node is a view of."""
    while node.op in VIEWS:
        node = node.ins[0]
    return node


# -- copies, before anything has a place -------------------------------------------------------------------------------
def with_copies(outputs: list[Node]) -> list[Node]:
    """Copies where a reference alone would not do, or where memory of the caller would be read step by step."""
    stages = Stages(outputs)
    readers = users(stages.nodes)
    copies: dict[int, Node] = {}

    def near(x: Node) -> Node:
        return copies.setdefault(id(x), _copied(x)) if x.op == "input" else x

    def spread(x: Node, node: Node) -> Node:
        if x.step or x.op == "constant" or len(x.shape) != 2 or x.shape[1] != 1 or x.shape[0] != node.shape[0]:
            return near(x)
        if id(x) not in copies:
            copies[id(x)] = _spread(x, node.shape, alone=len(readers[id(x)]) == 1)
        return copies[id(x)]

    for node in stages.nodes:
        if node.step and node.function is not None and node.function.elementwise and len(node.shape) == 2:
            # a column repeated beforehand: numpy is slow where the repeated axis is the inner one
            node.ins = [spread(x, node) for x in node.ins]
        elif stages.inside(node) or (node.step and node.op not in (*VIEWS, "gemm")):
            node.ins = [near(x) for x in node.ins]

    def rule(node: Node) -> Node | None:
        if node.op == "shift" and _has_no_memory(node.ins[0]):
            source = node.ins[0]
            sample = np.broadcast_to(source.sample, node.shape)
            node.ins[0] = Node("copy", [source], {}, True, sample, PRIMITIVES["identity"])
        elif node.op == "reshape" and _is_turned(node.ins[0]):
            node.ins[0] = _copied(node.ins[0])
        elif node.op == "transpose" and (len(node.shape) != 2 or node.params.get("axes") not in (None, (1, 0))):
            node.op = "permute"
        return None

    return rewrite(outputs, rule)


def _spread(x: Node, shape: tuple[int, ...], alone: bool) -> Node:
    """A column repeated; one that is computed for this alone (the multiple of a bias) is computed in its place."""
    full = np.broadcast_to(x.sample, shape)
    if alone and x.function is not None and x.function.elementwise:
        return Node("spread", x.ins, {"op": x.op, "params": x.params}, False, full, x.function)
    return Node("spread", [x], {"op": "copy", "params": {}}, False, full, PRIMITIVES["identity"])


def _copied(node: Node) -> Node:
    return Node("copy", [node], {}, node.step, node.sample, PRIMITIVES["identity"])


def _has_no_memory(node: Node) -> bool:
    return not node.step or node.op in ("input", "rows", "transpose", "reshape")


def _is_turned(node: Node) -> bool:
    while node.op in VIEWS:
        if node.op == "transpose":
            return True
        node = node.ins[0]
    return node.op == "input" and node.params.get("mode") == FLIPPED
