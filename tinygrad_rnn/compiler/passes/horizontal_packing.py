"""What lies beside what in memory, so that one call serves several values.

A cell is the memory of one value, or of several that take each other's place. Cells that follow one another form a
chain, which becomes one buffer: a product can write or read all of them, and operations entry by entry of the same kind
and shape, at the same depth of a stage, become one call where results and operands stand in a row. In a chain each cell
has a lag: at step t its slot holds the value of step t - lag, so that a state carried over from the step before can
stand beside values of this one. Nothing is computed differently.

Measured over RNN, LSTM and GRU (H 32 to 256, batches of 1 and 32): 6 % of the time, 16 % at H 32. Parts of a product
stand in the order in which it has them: a search through all orders found nothing faster.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise, permutations
from typing import Any

import numpy as np

from ...core.loop.program import Node, is_number, users
from ..planning.stages import LOOP, Stages
from .simplify import COMMUTATIVE, frozen

#: what only looks at memory in another way
VIEWS = frozenset({"shift", "rows", "transpose", "reshape"})
#: so many nodes are tried in every order, which are 24; more only in the order they have
_TRIED = 4


class ChainCell:
    """Memory for the values of `nodes`, the last of which stays."""

    __slots__ = ("nodes",)

    def __init__(self, node: Node) -> None:
        self.nodes = [node]

    @property
    def last(self) -> Node:
        """The value that stays."""
        return self.nodes[-1]

    @property
    def kind(self) -> tuple[bool, tuple[int, ...], np.dtype]:
        """What neighbours have to share: steps or not, the shape after the rows, the dtype."""
        return self.last.step, self.last.shape[1:], self.last.dtype


Link = tuple[ChainCell, int]


class Packing:
    """Cells and chains for the values of a program, and `packs`: lists of nodes computed by one call."""

    def __init__(self, stages: Stages, outputs: list[Node], pack: bool = True, reuse: bool = True) -> None:
        self.stages, self.reuse = stages, reuse
        self.readers = users(stages.nodes)
        self.asked = {id(output) for output in outputs}
        self.chains: dict[int, tuple[Link, ...]] = {}
        self.cell = {
            id(node): ChainCell(node)
            for node in stages.nodes
            if (node.step or node.op == "spread") and node.op not in (*VIEWS, "input", "constant", "join")
        }
        self.virtual: dict[int, list[Node]] = {}  # products and joins whose memory is that of other nodes, in order
        self.packs: list[list[Node]] = []
        self.depth = self._depths()
        groups = [(node, parts) for node in stages.nodes if (parts := self._parts(node)) is not None]
        for group, parts in groups:
            if group.op == "gemm":
                self.cell |= {id(part): ChainCell(part) for part in parts}
        self._aliases()
        for group, parts in groups:
            if self._beside([[(self.cell[id(part)], 0) for part in parts]]):
                self.virtual[id(group)] = parts
                self.cell.pop(id(group), None)
        for nodes in self._levels() if pack else ():
            self._packed(nodes)

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

    def _parts(self, node: Node) -> list[Node] | None:
        """What has to stand side by side: the parts by which a product is read, or what is joined."""
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
        """A value takes the place of an operand that nobody else reads: one made for it before the loop, or the only
        one of its own stage."""
        for node in self.stages.nodes:
            if id(node) not in self.cell or node.function is None or not node.function.elementwise:
                continue
            own = [x for x in node.ins if x.step and self.stages.together(x, node)]
            before = [x for x in node.ins if x.step and not self.stages.together(x, node) and self._gives_way(x, node)]
            if self.reuse and self.stages.inside(node) and len(before) == 1:
                x = before[0]
            elif len(own) == 1 and self._gives_way(own[0], node):
                x = own[0]
            else:
                continue
            self.cell[id(node)] = self.cell[id(x)]
            self.cell[id(x)].nodes.append(node)

    def _gives_way(self, x: Node, node: Node) -> bool:
        """Whether nobody else reads a value, so that what is computed from it can stand in its memory."""
        alone = [reader for reader, _ in self.readers[id(x)]] == [node] and id(x) not in self.asked
        return id(x) in self.cell and alone and x.shape == node.shape and x.dtype == node.dtype

    # -- chains -------------------------------------------------------------------------------------------------------
    def chain(self, cell: ChainCell) -> tuple[Link, ...]:
        """The chain of a cell, as (cell, lag)."""
        return self.chains.get(id(cell)) or ((cell, 0),)

    def _link(self, a: ChainCell, b: ChainCell, lag: int) -> bool:
        """Let b follow a, with that much more lag; False if something else follows a already, or precedes b."""
        left, right = self.chain(a), self.chain(b)
        if a is b:
            return False
        if left is right:
            at = next(i for i, (cell, _) in enumerate(left) if cell is a)
            return at + 1 < len(left) and left[at + 1][0] is b and left[at + 1][1] - left[at][1] == lag
        if left[-1][0] is not a or right[0][0] is not b or a.kind != b.kind or not a.last.shape:
            return False
        shift = left[-1][1] + lag - right[0][1]
        merged = left + tuple((cell, n + shift) for cell, n in right)
        self.chains |= {id(cell): merged for cell, _ in merged}
        return True

    def _beside(self, columns: Sequence[Sequence[Link]]) -> bool:
        """Let the cells of each column follow one another; nothing is done where that is impossible."""
        before = dict(self.chains)
        if all(self._link(a, b, n - m) for column in columns for (a, m), (b, n) in pairwise(column)):
            return True
        self.chains = before
        return False

    # -- packs --------------------------------------------------------------------------------------------------------
    def _levels(self) -> list[list[Node]]:
        """Candidates for packs, those of loops first: what is of one kind, and at one depth."""
        found: dict[Any, list[Node]] = {}
        for node in self.stages.nodes:
            if id(node) not in self.cell or node.function is None:
                continue
            if not node.function.elementwise or len(node.shape) != 2:
                continue
            rank = self.stages.rank[id(node)]
            kept = rank % 3 != LOOP and any(
                not self.stages.together(reader, node) for reader, _ in self.readers.get(id(node), ())
            )  # what only a map reads does not go into a buffer that outlives it
            number = tuple(frozen(x.params["value"]) if is_number(x) else None for x in node.ins)
            place = (rank % 3 != LOOP, rank, self.depth[id(node)])
            key = (self.stages.loop.get(id(node)), node.op, node.shape, node.dtype, kept, number, frozen(node.params))
            found.setdefault((place, key), []).append(node)
        levels = [found[key] for key in sorted(found, key=lambda key: key[0]) if len(found[key]) > 1]
        return [group for nodes in levels for group in _with_common_operand(nodes)]

    def _packed(self, nodes: list[Node]) -> None:
        """Packs of these: each as large as it gets, taking one after the other where not all can be one."""
        while len(nodes) > 1:
            chosen = nodes if (best := self._pack(nodes)) else nodes[:1]
            for node in nodes[1:] if best is None else ():
                before = dict(self.chains)
                if (larger := self._pack([*chosen, node])) is not None:
                    best, chosen = larger, [*chosen, node]
                    self.chains = before  # tried again with one more
            if best is not None:
                self._beside(self._columns(best) or [])
                self.packs.append(best)
            nodes = [node for node in nodes if not any(node is x for x in chosen)]

    def _pack(self, nodes: list[Node]) -> list[Node] | None:
        """The nodes in an order in which one call can compute them; None if there is none."""
        columns = self._columns(nodes)
        if columns is None:
            return None
        places = range(len(nodes))
        for order in permutations(places) if len(nodes) <= _TRIED else [tuple(places)]:
            if self._beside([[column[i] for i in order] for column in columns]):
                return [nodes[i] for i in order]
        return None

    def _columns(self, nodes: list[Node]) -> list[list[Link]] | None:
        """The cells of the results and of each operand that is not the same for all."""
        columns: list[list[Link]] = [[(self.cell[id(node)], 0) for node in nodes]]
        for operands in zip(*[self.operands(node) for node in nodes], strict=True):
            if all(x is operands[0] for x in operands) or all(is_number(x) for x in operands):
                continue
            links = [self._link_of(x) for x in operands]
            if any(link is None for link in links) or len({id(x) for x in operands}) < len(operands):
                return None
            if any(x.shape[:1] != node.shape[:1] for x, node in zip(operands, nodes, strict=True)):
                return None
            columns.append([link for link in links if link is not None])
        return columns

    def operands(self, node: Node) -> list[Node]:
        """The operands, like with like if their order does not matter."""
        return sorted(node.ins, key=self._likeness) if node.op in COMMUTATIVE else node.ins

    def _likeness(self, x: Node) -> Any:
        source, shifts = x, 0
        while source.op == "shift":
            source, shifts = source.ins[0], shifts + 1
        return (source.op == "constant", -len(self.readers.get(id(x), ())), source.op, shifts, self.stages.rank[id(x)])

    def _link_of(self, x: Node) -> Link | None:
        """The cell that holds a value, and how much later than now it was (or will be) computed."""
        shift = 0
        while x.op == "shift":
            shift += x.params["by"]
            x = x.ins[0]
        return (self.cell[id(x)], -shift) if id(x) in self.cell else None


def _with_common_operand(nodes: list[Node]) -> list[list[Node]]:
    """First those that share an operand, then the rest."""
    sharing: dict[int, list[Node]] = {}
    for node in nodes:
        for x in {id(x): x for x in node.ins if x.shape == node.shape}:
            sharing.setdefault(x, []).append(node)
    levels, rest = [], list(nodes)
    for group in sorted(sharing.values(), key=len, reverse=True):
        group = [n for n in group if any(n is r for r in rest)]
        if len(group) > 1:
            levels.append(group)
            rest = [n for n in rest if not any(n is g for g in group)]
    return [*levels, rest]
