"""What lies beside what in memory.

A cell is the memory of one value, or of several that take each other's place. Cells that follow one another form a
chain, which becomes one buffer; so one call can work on several values, and a product can write or read all of them.
In a chain each cell has a lag: at step t its slot holds the value of step t - lag, so that a state carried over from
the step before can stand beside values of this one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise, permutations

import numpy as np

from ...core.loop.program import Node


class Cell:
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


Link = tuple[Cell, int]


class Chains:
    """All chains; `mark` and `undo` take links back."""

    def __init__(self) -> None:
        self.of: dict[int, tuple[Link, ...]] = {}
        self._log: list[tuple[int, tuple[Link, ...] | None]] = []

    def chain(self, cell: Cell) -> tuple[Link, ...]:
        """The chain of a cell, as (cell, lag)."""
        return self.of.get(id(cell)) or ((cell, 0),)

    def mark(self) -> int:
        """A point to which `undo` can go back."""
        return len(self._log)

    def undo(self, mark: int) -> None:
        """Take back all links made since the mark."""
        while len(self._log) > mark:
            key, chain = self._log.pop()
            if chain is None:
                del self.of[key]
            else:
                self.of[key] = chain

    def link(self, a: Cell, b: Cell, lag: int = 0) -> bool:
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
        for cell, _ in merged:
            self._log.append((id(cell), self.of.get(id(cell))))
            self.of[id(cell)] = merged
        return True

    def sequence(self, cells: Sequence[Link]) -> bool:
        """Let these follow one another; links may have been made when it returns False."""
        return all(self.link(a, b, n - m) for (a, m), (b, n) in pairwise(cells))

    def together(self, cells: Sequence[Cell], order: Iterable[int] | None = None) -> list[Cell] | None:
        """Let these stand side by side in some order, and return it; None, and nothing done, if they cannot."""
        pieces: list[list[Cell]] = []
        left = {id(cell) for cell in cells}
        for cell in cells:
            if id(cell) not in left:
                continue
            chain = [c for c, _ in self.chain(cell)]
            inside = [i for i, c in enumerate(chain) if any(c is x for x in cells)]
            if inside[-1] - inside[0] != len(inside) - 1:
                return None
            piece = chain[inside[0] : inside[-1] + 1]
            left -= {id(c) for c in piece}
            pieces.append(piece)
        tries = permutations(pieces) if len(pieces) < 5 else iter([pieces])
        mark = self.mark()
        for attempt in tries:
            if all(self.link(a[-1], b[0]) for a, b in pairwise(attempt)):
                lags = {n for c, n in self.chain(cells[0]) if any(c is x for x in cells)}
                if len(lags) == 1:
                    return [cell for piece in attempt for cell in piece]
            self.undo(mark)
        return None
