"""One call for several values: operations of the same kind on values that lie side by side.

Each operation entry by entry at the same depth of a stage, of the same kind and shape, is a candidate; a pack of k of
them needs its results in a row, and each operand in a row too, or the same for all. Which orders of the gates make most
packs possible is found by trying. Nothing is computed differently: the order of things in memory is all that is chosen.
"""

from __future__ import annotations

from itertools import permutations, product
from typing import Any

from ...core.loop.program import Node, is_number, users
from ...core.primitive import PRIMITIVES
from ..planning.chains import Cell, Chains, Link
from ..planning.stages import LOOP, ONCE, Stages
from .simplify import frozen

#: what only looks at memory in another way
VIEWS = frozenset({"shift", "rows", "transpose", "reshape"})
_COMMUTATIVE = frozenset({"add", "multiply", "maximum", "minimum"})
#: a value up to this size is copied if that saves a call in a loop
_SMALL = 8192


class Packing:
    """Cells and chains for the values of a program, and the packs: lists of nodes computed by one call."""

    def __init__(self, stages: Stages, outputs: list[Node], pack: bool = True, reuse: bool = True) -> None:
        self.stages, self.pack, self.reuse = stages, pack, reuse
        self.readers = users(stages.nodes)
        self.asked = {id(output) for output in outputs}
        self.chains = Chains()
        self.cell: dict[int, Cell] = {}
        self.virtual: dict[int, list[Node]] = {}  # products and joins whose memory is that of other nodes, in order
        self.packs: list[list[Node]] = []
        self._known_columns: dict[tuple[int, ...], list[list[Link]] | None] = {}
        self.depth = self._depths()
        self._cells()
        groups = self._groups()
        self._aliases()
        ranked = [(group, max(stages.rank[id(part)] for part in self.virtual[id(group)])) for group in groups]
        for rank in sorted({stages.rank[id(n)] for n in stages.nodes}, key=lambda r: (r % 3 != LOOP, r % 3 == ONCE, r)):
            self._stage(rank, [group for group, at in ranked if at == rank])

    @property
    def in_loops(self) -> bool:
        """Whether any call of a loop serves several values."""
        return any(self.stages.inside(pack[0]) for pack in self.packs)

    # -- cells --------------------------------------------------------------------------------------------------------
    def _depths(self) -> dict[int, int]:
        """How many operations of its own stage a node has to wait for."""
        depth: dict[int, int] = {}
        rank = self.stages.rank
        for node in self.stages.nodes:
            ins = node.ins[1:] if node.op == "shift" else node.ins
            before = [depth[id(x)] for x in ins if rank[id(x)] == rank[id(node)] and id(x) in depth]
            depth[id(node)] = max(before, default=0) + (node.op not in VIEWS)
        return depth

    def _cells(self) -> None:
        for node in self.stages.nodes:
            if (node.step or node.op == "spread") and node.op not in (*VIEWS, "input", "constant", "join"):
                self.cell[id(node)] = Cell(node)

    def _groups(self) -> list[Node]:
        """Products read by parts, and joins: the parts have to stand side by side."""
        found = []
        for node in self.stages.nodes:
            parts = self._parts(node)
            if parts is not None:
                found.append(node)
                self.virtual[id(node)] = parts
                if node.op == "gemm":
                    self.cell.pop(id(node), None)
                    for part in parts:
                        self.cell[id(part)] = Cell(part)
        return found

    def _parts(self, node: Node) -> list[Node] | None:
        if node.op == "gemm" and node.step:
            parts = sorted((r for r, _ in self.readers.get(id(node), [])), key=lambda r: r.params.get("start", -1))
            ends = [0, *[r.params["stop"] for r in parts if r.op == "rows"]]
            whole = [r.op == "rows" and r.params["start"] == e for r, e in zip(parts, ends, strict=False)]
            return parts if len(parts) > 1 and all(whole) and ends[-1] == node.shape[0] else None
        if node.op == "join" and node.step:
            distinct = len({id(x) for x in node.ins}) == len(node.ins)
            return node.ins if distinct and all(id(x) in self.cell for x in node.ins) else None
        return None

    def _aliases(self) -> None:
        """A value takes the place of an operand that nobody else reads."""
        for node in self.stages.nodes:
            if id(node) not in self.cell or node.function is None or not node.function.elementwise:
                continue
            x = self._replaced(node)
            if x is not None:
                self.cell[id(node)] = self.cell[id(x)]
                self.cell[id(x)].nodes.append(node)

    def _replaced(self, node: Node) -> Node | None:
        """The operand whose place a value takes: one made for it before the loop, or the only one of its own stage."""
        own = [x for x in node.ins if x.step and self.stages.together(x, node)]
        before = [x for x in node.ins if x.step and not self.stages.together(x, node) and self._gives_way(x, node)]
        if self.reuse and self.stages.inside(node) and len(before) == 1:
            return before[0]
        return own[0] if len(own) == 1 and self._gives_way(own[0], node) else None

    def _gives_way(self, x: Node, node: Node) -> bool:
        """Whether nobody else reads a value, so that what is computed from it can stand in its memory."""
        return (
            id(x) in self.cell
            and [reader for reader, _ in self.readers[id(x)]] == [node]
            and id(x) not in self.asked
            and x.shape == node.shape
            and x.dtype == node.dtype
        )

    # -- stage by stage -----------------------------------------------------------------------------------------------
    def _stage(self, rank: int, groups: list[Node]) -> None:
        levels = self._levels(rank) if self.pack else []
        orders = [self._orders(self.virtual[id(g)]) for g in groups] if rank % 3 == LOOP and levels else []
        if groups and orders and _count(orders) <= 600:
            best, least = None, None
            for choice in product(*orders):
                mark = self.chains.mark()
                if self._force(groups, choice):
                    packs = self._greedy(levels)
                    calls = -sum(len(p) - 1 for p in packs)
                    if least is None or calls < least:
                        best, least = choice, calls
                self.chains.undo(mark)
            if best is not None:
                self._force(groups, best)
        if levels:
            self.packs += self._greedy(levels)
        for group in groups:
            self._settle(group)

    @staticmethod
    def _orders(parts: list[Node]) -> list[list[Node]]:
        if len(parts) <= 4:
            return [list(order) for order in permutations(parts)]
        return [parts, parts[::-1]]

    def _force(self, groups: list[Node], choice: Any) -> bool:
        return all(self.chains.sequence([(self.cell[id(p)], 0) for p in parts]) for parts in choice)

    def _settle(self, group: Node) -> None:
        """Fix the order of a group as its parts now stand; if they cannot stand together, they are copied."""
        parts = self.virtual[id(group)]
        cells = [self.cell[id(part)] for part in parts]
        found = self.chains.together(cells) if len({id(c) for c in cells}) == len(cells) else None
        if found is None:
            del self.virtual[id(group)]
            if group.op == "gemm":
                self.cell[id(group)] = Cell(group)
            return
        order = [next(p for p in parts if self.cell[id(p)] is cell) for cell in found]
        self._reorder(group, parts, order)
        self.virtual[id(group)] = order

    def _reorder(self, group: Node, parts: list[Node], order: list[Node]) -> None:
        """Put the rows of a product or join into another order, and those of all that goes with it."""
        if [id(p) for p in parts] == [id(p) for p in order]:
            return
        by = [next(i for i, p in enumerate(parts) if p is q) for q in order]
        sizes = [p.shape[0] for p in parts]
        starts = [sum(sizes[:i]) for i in range(len(sizes))]
        moved: dict[int, int] = {}
        at = 0
        for i in by:
            moved[starts[i]] = at
            at += sizes[i]
        if group.op == "gemm":
            weights = group.ins[0]
            _reordered(weights, by)
            _moved(self.readers[id(group)], moved)
            return
        group.ins = [group.ins[i] for i in by]
        for reader, j in self.readers[id(group)]:
            if reader.op == "gemm" and j == 1:
                _reordered(reader.ins[0], by)
            elif reader.op in ("contract", "total_rows") and j == 0:
                _moved(self.readers[id(reader)], moved)

    # -- packs --------------------------------------------------------------------------------------------------------
    def _levels(self, rank: int) -> list[list[Node]]:
        """Candidates for packs: what is of one kind, and at one depth."""
        found: dict[Any, list[Node]] = {}
        for node in self.stages.nodes:
            if self.stages.rank[id(node)] != rank or id(node) not in self.cell or node.function is None:
                continue
            if not node.function.elementwise or len(node.shape) != 2:
                continue
            kept = rank % 3 != LOOP and any(
                not self.stages.together(reader, node) for reader, _ in self.readers.get(id(node), ())
            )  # what only a map reads does not go into a buffer that outlives it
            number = tuple(frozen(x.params["value"]) if is_number(x) else None for x in node.ins)
            key = (self.depth[id(node)], self.stages.loop.get(id(node)), node.op, node.shape, node.dtype, kept, number)
            found.setdefault((*key, frozen(node.params)), []).append(node)
        levels = []
        for key in sorted(found, key=lambda key: key[0]):
            nodes = found[key]
            if len(nodes) > 1:
                levels += self._with_common_operand(nodes)
        return levels

    def _with_common_operand(self, nodes: list[Node]) -> list[list[Node]]:
        """First those that share an operand, then the rest."""
        count: dict[int, list[Node]] = {}
        for node in nodes:
            for x in {id(x): x for x in node.ins if x.shape == node.shape}:
                count.setdefault(x, []).append(node)
        levels, rest = [], list(nodes)
        for group in sorted(count.values(), key=len, reverse=True):
            group = [n for n in group if any(n is r for r in rest)]
            if len(group) > 1:
                levels.append(group)
                rest = [n for n in rest if not any(n is g for g in group)]
        if len(rest) > 1:
            levels.append(rest)
        return levels

    def _greedy(self, levels: list[list[Node]]) -> list[list[Node]]:
        packs = []
        for nodes in levels:
            rest = nodes
            while len(rest) > 1:
                found = self._largest(rest)
                if found is None:
                    break
                packs.append(found)
                rest = [n for n in rest if not any(n is p for p in found)]
        return packs

    def _largest(self, nodes: list[Node]) -> list[Node] | None:
        if len(nodes) > 6:
            for size in (len(nodes), 4):
                for start in range(0, len(nodes) - size + 1):
                    found = self._pack(nodes[start : start + size])
                    if found is not None:
                        return found
            nodes = nodes[:6]
        found = self._pack(nodes)
        if found is None and len(nodes) > 2:
            for left in range(len(nodes)):
                rest = nodes[:left] + nodes[left + 1 :]
                found = self._largest(rest) if len(nodes) < 5 else self._pack(rest)
                if found is not None:
                    return found
        return found

    def _pack(self, nodes: list[Node]) -> list[Node] | None:
        """The nodes in an order in which one call can compute them; None if there is none."""
        key = tuple(map(id, nodes))
        if key not in self._known_columns:  # asked again for every order of the gates
            self._known_columns[key] = self._columns(nodes)
        columns = self._known_columns[key]
        if columns is None:
            return None
        tries = permutations(range(len(nodes))) if len(nodes) <= 4 else iter([tuple(range(len(nodes)))])
        for order in tries:
            mark = self.chains.mark()
            if all(self.chains.sequence([column[i] for i in order]) for column in columns):
                return [nodes[i] for i in order]
            self.chains.undo(mark)
        return None

    def _columns(self, nodes: list[Node]) -> list[list[Link]] | None:
        """The cells of the results and of each operand that is not the same for all."""
        columns: list[list[Link]] = [[(self.cell[id(node)], 0) for node in nodes]]
        for operands in zip(*[self.operands(node) for node in nodes], strict=True):
            if all(x is operands[0] for x in operands) or all(is_number(x) for x in operands):
                continue
            links = [self.link_of(x) for x in operands]
            if any(link is None for link in links) or len({id(x) for x in operands}) < len(operands):
                return None
            if any(x.shape[:1] != node.shape[:1] for x, node in zip(operands, nodes, strict=True)):
                return None
            columns.append([link for link in links if link is not None])
        return columns

    def operands(self, node: Node) -> list[Node]:
        """The operands, like with like if their order does not matter."""
        if node.op not in _COMMUTATIVE:
            return node.ins
        return sorted(node.ins, key=self._likeness)

    def _likeness(self, x: Node) -> Any:
        source, shifts = x, 0
        while source.op == "shift":
            source, shifts = source.ins[0], shifts + 1
        return (source.op == "constant", -len(self.readers.get(id(x), ())), source.op, shifts, self.stages.rank[id(x)])

    def link_of(self, x: Node) -> Link | None:
        """The cell that holds a value, and how much later than now it was (or will be) computed."""
        shift = 0
        while x.op == "shift":
            shift += x.params["by"]
            x = x.ins[0]
        return (self.cell[id(x)], -shift) if id(x) in self.cell else None


def _count(orders: list[list[Any]]) -> int:
    total = 1
    for order in orders:
        total *= len(order)
    return total


def _reordered(join: Node, by: list[int]) -> None:
    join.ins = [join.ins[i] for i in by]


def _moved(readers: list[tuple[Node, int]], moved: dict[int, int]) -> None:
    for reader, _ in readers:
        size = reader.params["stop"] - reader.params["start"]
        start = moved[reader.params["start"]]
        reader.params = {**reader.params, "start": start, "stop": start + size}


__all__ = ["PRIMITIVES", "VIEWS", "Packing"]
