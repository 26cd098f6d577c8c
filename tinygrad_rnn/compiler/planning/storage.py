"""Where values live: a buffer for each chain, and how a node is referred to.

What lies beside what was decided by `packing`; which of it needs a slot for each step, one slot that every step writes
anew, or only the steps of a map, is decided here. What only looks at memory in another way becomes a reference.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...core.loop.program import Node
from ..passes.features_first import COLUMN, FLIPPED
from ..passes.horizontal_packing import VIEWS, Cell, Packing
from ..unsupported import Unfoldable
from .plan import END, START, STEP, SUMS, Buffer, Operand, Ref
from .stages import MAP, Stages


class Storage:
    """Buffers and references of a program; `packing` says what stands in chains."""

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
    def _rows(cell: Cell) -> int:
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
            return Ref(self.constant(node), None, rows, turned, 1, view)
        if node.op == "input":
            made = self.argument(node)
            if node.params.get("mode") == FLIPPED:
                turned = not turned
            elif node.params.get("mode") == COLUMN and view is None:
                view = node.shape
            return Ref(made, (base, k) if node.step else None, rows, turned, 1, view)
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
        return Ref(made, (base, k + lag) if made.time else None, None if whole else (start, stop), turned, 1, view)

    def out(self, node: Node) -> Ref:
        """Where a node is written."""
        found = self.ref(node)
        assert isinstance(found, Ref)
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


def _seen(node: Node) -> Node:
    """What a node is a view of."""
    while node.op in VIEWS:
        node = node.ins[0]
    return node
