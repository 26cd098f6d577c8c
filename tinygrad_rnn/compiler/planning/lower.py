"""From a program to a plan: buffers for values, instructions for nodes, stages for ranks.

What lies beside what was decided by `packing`. Here each chain becomes a buffer, everything that only looks at memory
in another way becomes a reference, and every other node one instruction, or one for its whole pack.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...core.loop.program import Node
from ..passes.horizontal_packing import VIEWS, Packing
from ..passes.materialize import with_copies
from ..unsupported import Unfoldable
from .plan import ELEMENTWISE, END, START, SUMS, Instr, Loop, Map, Once, Operand, Plan, Ref, Stage, Tile
from .stages import LOOP, Stages
from .storage import Storage

#: entries of one value that a map works on at a time, so that what it leaves stays in the cache
CHUNK = 65536


class Lowered:
    """A plan; for each argument where its values come from, for each output how it is handed back."""

    def __init__(self, plan: Plan, sources: list[dict[str, Any]], results: list[dict[str, Any]]) -> None:
        self.plan, self.sources, self.results = plan, sources, results


def lower(outputs: list[Node], pack: bool = True) -> Lowered:
    """The plan of a program."""
    outputs = with_copies(outputs)
    packing = Packing(Stages(outputs), outputs, pack)
    if pack and not packing.in_loops:
        packing = Packing(Stages(outputs), outputs, pack=False)
    return _Lowering(outputs, packing).lowered()


class _Lowering(Storage):
    """Instructions and stages on top of the storage."""

    # -- instructions -------------------------------------------------------------------------------------------------
    def instr(self, node: Node) -> list[Instr]:
        """What computes a node."""
        if node.op == "join":
            out = self.out(node)
            made, at = [], out.rows[0] if out.rows else 0
            for x in node.ins:
                place = Ref(out.buffer, out.time, (at, at + x.shape[0]))
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
            assert isinstance(a, Ref) and isinstance(b, Ref)
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
        assert isinstance(base, Ref)
        start = (base.rows[0] if base.rows else 0) + node.params["start"]
        return Ref(base.buffer, base.time, (start, start + node.shape[0]))

    def packed(self, pack: list[Node]) -> Instr:
        """One instruction for a pack."""
        first = pack[0]
        k = len(pack)
        out = self._stacked(self.out(first), first.shape[0] * k)
        ins: list[Operand] = []
        grouped = False
        for operands in zip(*[self.packing.operands(node) for node in pack], strict=True):
            x = self.ref(operands[0])
            if isinstance(x, Ref) and any(y is not operands[0] for y in operands):
                x = self._stacked(x, operands[0].shape[0] * k)
            elif isinstance(x, Ref):
                grouped = True
            ins.append(x)
        if grouped:
            ins = [_grouped(x, k) if self._is_stack(x, pack, j) else x for j, x in enumerate(ins)]
            return Instr(first.op, Ref(out.buffer, out.time, out.rows, out.T, k), tuple(ins), dict(first.params))
        return Instr(first.op, out, tuple(ins), dict(first.params))

    def _is_stack(self, x: Operand, pack: list[Node], j: int) -> bool:
        operands = [self.packing.operands(node)[j] for node in pack]
        return isinstance(x, Ref) and any(y is not operands[0] for y in operands)

    @staticmethod
    def _stacked(ref: Ref, size: int) -> Ref:
        start = ref.rows[0] if ref.rows else 0
        whole = start == 0 and size == ref.buffer.shape[0]
        return Ref(ref.buffer, ref.time, None if whole else (start, start + size), ref.T, 1, None)

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
            assert isinstance(out, Ref)
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

    def _results(self, stages: list[Stage]) -> tuple[list[Ref], list[dict[str, Any]]]:
        refs, results = [], []
        extra: list[Instr] = []
        for output in self.outputs:
            if output.op == "each":
                ref = self.ref(output.ins[0])
                if not isinstance(ref, Ref) or ref.time is None:
                    raise Unfoldable("a sequence of constants is an output")
                refs.append(ref)
                results.append({"each": output.params, "float": False})
                continue
            ref = self.ref(output)
            if isinstance(ref, float):
                made = self.buffer("w", (), output.dtype)
                extra.append(Instr("fill", Ref(made), (ref,)))
                ref = Ref(made)
            refs.append(ref)
            results.append({"float": type(output.sample) is float})
        if extra:
            stages.append(Once(extra))
        return refs, results


def _turned(ref: Ref, turned: bool) -> Ref:
    return Ref(ref.buffer, ref.time, ref.rows, turned != ref.T, ref.groups, ref.view)


def _grouped(ref: Operand, k: int) -> Operand:
    return Ref(ref.buffer, ref.time, ref.rows, ref.T, k, ref.view) if isinstance(ref, Ref) else ref


def _chunk(body: list[Instr]) -> int:
    """How many steps a map takes at a time."""
    largest = max(instr.out.buffer.size for instr in body)
    return max(1, CHUNK // max(1, largest))
