"""Layered drawing of one step: which row each slot stands in, in what order, and where along the row.

Longest paths give the rows, barycentre sweeps the order, and an exact least-squares fit (pool adjacent violators) the
places. Everything is iterative; a chain of 20,000 operations is laid out like any other.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Set
from dataclasses import dataclass, field
from itertools import pairwise

Pair = tuple[int, int]
#: with more boxes than this fewer sweeps have to do
MANY = 4000
#: weight of an edge that is to be upright, against 1 of any other
FIRM = 500.0


def acyclic(count: int, edges: list[Pair]) -> tuple[list[int], list[Pair]]:
    """A topological order, and the edges that agree with it (a union of unequal steps may hold a cycle)."""
    heads: list[list[int]] = [[] for _ in range(count)]
    waiting = [0] * count
    for a, b in edges:
        heads[a].append(b)
        waiting[b] += 1
    ready = [i for i in range(count) if not waiting[i]]
    order: list[int] = []
    placed = [False] * count
    remaining = iter(range(count))
    while len(order) < count:
        while ready:
            i = ready.pop()
            if placed[i]:
                continue
            placed[i] = True
            order.append(i)
            for h in heads[i]:
                waiting[h] -= 1
                if not waiting[h]:
                    ready.append(h)
        # a cycle is left: break it at the first node not placed
        ready.extend(i for i in [next((i for i in remaining if not placed[i]), -1)] if i >= 0)
    rank = {i: k for k, i in enumerate(order)}
    return order, [(a, b) for a, b in edges if rank[a] < rank[b]]


def rows_of(count: int, edges: list[Pair], bottom: set[int], above: dict[int, int]) -> list[int]:
    """Rows by longest path: `bottom` slots in row 0, the rest above; a source stands just below what reads it.

    `above[s] = r` puts s one row above r (targets above their loss).
    """
    flow = [(a, b) for a, b in edges if a not in above and a != b]
    order, flow = acyclic(count, flow)
    base = 1 if bottom else 0
    rows = [0 if s in bottom else base for s in range(count)]
    heads: list[list[int]] = [[] for _ in range(count)]
    sources = [True] * count
    for a, b in flow:
        heads[a].append(b)
        sources[b] = False
    for a in order:
        for b in heads[a]:
            rows[b] = max(rows[b], rows[a] + 1)
    for a in reversed(order):
        if sources[a] and a not in bottom and heads[a]:
            rows[a] = max(base, min(rows[b] for b in heads[a]) - 1)
    for s, r in above.items():
        rows[s] = rows[r] + 1
    return rows


@dataclass(slots=True)
class Layered:
    """A box to place: its reach to both sides, its row, and the side that neighbouring steps pull it to."""

    left: float
    right: float
    row: int
    pull: int = 0


@dataclass(slots=True)
class Arrangement:
    """Places along the rows: `at[i]` of item i, and the bends of every edge that passes other rows."""

    at: list[float]
    bends: dict[Pair, list[tuple[int, float]]] = field(default_factory=dict)


def arrange(
    items: list[Layered], edges: list[Pair], gap: float, sweeps: int = 6, straight: Set[int] = frozenset()
) -> Arrangement:
    """Order every row and place its items, with room `gap` between them; edges join items of different rows.

    Edges to the items in `straight` are kept upright before all others.
    """
    boxes = [Layered(i.left, i.right, i.row, i.pull) for i in items]
    segments, chains = _with_bends(boxes, edges)
    firm = {frozenset(pair) for edge, chain in chains.items() for pair in pairwise([edge[0], *chain, edge[1]])
            if straight and not {*edge}.isdisjoint(straight)}  # fmt: skip
    firm |= {frozenset(edge) for edge in segments if straight and not {*edge}.isdisjoint(straight)}
    below: list[list[int]] = [[] for _ in boxes]
    above: list[list[int]] = [[] for _ in boxes]
    for a, b in segments:
        below[b].append(a)
        above[a].append(b)
    rows: dict[int, list[int]] = {}
    for i, box in enumerate(boxes):
        rows.setdefault(box.row, []).append(i)
    levels = [rows[r] for r in sorted(rows)]
    if any(len(level) > 1 for level in levels):
        levels = _ordered(levels, below, above, sweeps if len(boxes) < MANY else 2)
        if len(boxes) < MANY // 8:
            pulled = _ordered([sorted(level, key=lambda i: boxes[i].pull) for level in levels], below, above, sweeps)
            levels = min(pulled, levels, key=lambda order: _crossings(order, above))
            _swap_neighbours(levels, below, above)
    at = _placed(levels, below, above, boxes, gap, len(items), firm)
    bends = {edge: [(boxes[i].row, at[i]) for i in chain] for edge, chain in chains.items()}
    return Arrangement(at[: len(items)], bends)


def _with_bends(boxes: list[Layered], edges: list[Pair]) -> tuple[list[Pair], dict[Pair, list[int]]]:
    """Cut edges that pass rows into pieces, each piece ending in a narrow box of its own in that row."""
    segments: list[Pair] = []
    chains: dict[Pair, list[int]] = {}
    budget = len(boxes) + 2000
    for a, b in dict.fromkeys(edges):
        low, high = (a, b) if boxes[a].row <= boxes[b].row else (b, a)
        span = boxes[high].row - boxes[low].row
        if span == 0:
            continue
        budget -= span - 1
        if span == 1 or budget < 0:
            segments.append((low, high))
            continue
        chain = list(range(len(boxes), len(boxes) + span - 1))
        boxes.extend(Layered(3.0, 3.0, boxes[low].row + k) for k in range(1, span))
        segments.extend(zip([low, *chain], [*chain, high], strict=True))
        chains[a, b] = chain if low == a else chain[::-1]
    return segments, chains


def _ordered(levels: list[list[int]], below: list[list[int]], above: list[list[int]], sweeps: int) -> list[list[int]]:
    best, fewest = [list(level) for level in levels], _crossings(levels, above)
    for sweep in range(sweeps):
        upward = sweep % 2 == 0
        neighbours = below if upward else above
        walk = levels[1:] if upward else levels[-2::-1]
        position = {
            i: k / max(1, len(level) - 1) if len(level) > 1 else 0.5 for level in levels for k, i in enumerate(level)
        }
        for level in walk:
            weight = {}
            for k, i in enumerate(level):
                near = [position[j] for j in neighbours[i]]
                weight[i] = sum(near) / len(near) if near else (k + 0.5) / len(level)
            level.sort(key=weight.__getitem__)
            for k, i in enumerate(level):
                position[i] = k / (len(level) - 1) if len(level) > 1 else 0.5
        crossings = _crossings(levels, above)
        if crossings < fewest:
            best, fewest = [list(level) for level in levels], crossings
        if not fewest:
            break
    return best


def _swap_neighbours(levels: list[list[int]], below: list[list[int]], above: list[list[int]]) -> None:
    """Exchange neighbours while that removes crossings: what barycentres cannot see because of ties."""
    position = {i: k for level in levels for k, i in enumerate(level)}
    for _ in range(4):
        changed = False
        for level in levels:
            for k in range(len(level) - 1):
                a, b = level[k], level[k + 1]
                gain = 0
                for near in (below, above):
                    for i in near[a]:
                        for j in near[b]:
                            gain += (position[i] > position[j]) - (position[i] < position[j])
                if gain > 0:
                    level[k], level[k + 1] = b, a
                    position[a], position[b] = k + 1, k
                    changed = True
        if not changed:
            return


def _crossings(levels: list[list[int]], above: list[list[int]]) -> int:
    """Number of crossing pairs between neighbouring rows."""
    total = 0
    for low, high in pairwise(levels):
        position = {i: k for k, i in enumerate(high)}
        passed: list[int] = []
        for i in low:
            ends = sorted(position[j] for j in above[i] if j in position)
            for end in ends:
                total += len(passed) - bisect_right(passed, end)
            for end in ends:
                insort(passed, end)
    return total


def _placed(
    levels: list[list[int]],
    below: list[list[int]],
    above: list[list[int]],
    boxes: list[Layered],
    gap: float,
    real: int,
    firm: set[frozenset[int]],
) -> list[float]:
    at = [0.0] * len(boxes)
    for level in levels:
        x = 0.0
        for i in level:
            at[i] = x + boxes[i].left
            x = at[i] + boxes[i].right + gap
        middle = (x - gap) / 2
        for i in level:
            at[i] -= middle
    for sweep in range(9):
        upward = sweep % 2 == 0  # the last one is: what stands alone above a node stands straight above it
        for level in levels if upward else reversed(levels):
            wanted, weights = [], []
            for i in level:
                near = (below[i] if upward else above[i]) or (above[i] if upward else below[i])
                if sweep == 6:
                    near = below[i] + above[i]
                # a long edge is to be straight before anything else is
                share = [8.0 if i >= real and j >= real else 1.0 for j in near]
                if firm:
                    share = [FIRM if frozenset((i, j)) in firm else s for j, s in zip(near, share, strict=True)]
                wanted.append(sum(at[j] * s for j, s in zip(near, share, strict=True)) / sum(share) if near else at[i])
                weights.append(max(0.5, sum(share)))
            for i, x in zip(level, _spread(level, wanted, weights, boxes, gap), strict=True):
                at[i] = x
    for level in reversed(levels):
        # sources go straight below what reads them, where there is room; the others stay
        free = [not below[i] and bool(above[i]) for i in level]
        wanted = [
            sum(at[j] for j in above[i]) / len(above[i]) if f else at[i] for i, f in zip(level, free, strict=True)
        ]
        weights = [1.0 if f else 1e4 for f in free]
        for i, x in zip(level, _spread(level, wanted, weights, boxes, gap), strict=True):
            at[i] = x
    return at


def _spread(
    level: list[int], wanted: list[float], weights: list[float], boxes: list[Layered], gap: float
) -> list[float]:
    """The places nearest to the wanted ones (least squares) that keep the order and the distances."""
    offsets = [0.0]
    for a, b in pairwise(level):
        offsets.append(offsets[-1] + boxes[a].right + gap + boxes[b].left)
    blocks: list[list[float]] = []  # sum of weighted values, weight, number of items
    for x, w, o in zip(wanted, weights, offsets, strict=True):
        blocks.append([(x - o) * w, w, 1])
        while len(blocks) > 1 and blocks[-2][0] / blocks[-2][1] > blocks[-1][0] / blocks[-1][1]:
            top = blocks.pop()
            blocks[-1] = [blocks[-1][0] + top[0], blocks[-1][1] + top[1], blocks[-1][2] + top[2]]
    means = [b[0] / b[1] for b in blocks for _ in range(int(b[2]))]
    return [m + o for m, o in zip(means, offsets, strict=True)]
