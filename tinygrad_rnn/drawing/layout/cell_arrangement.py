"""One arrangement for all cells that are alike, and where each cell begins within its place on the time axis.

A cell is a step of the sequence, of a grid or of a tree, or a column without time. Edges to a cell above or below leave
through its border: in every row on their way they have a narrow place of their own, so they run behind nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from ..picture import Picture
from ..view.label_text import text_width
from .boxes import Box
from .layering import Arrangement, Layered, Pair, arrange
from .rows import RowAssignment

#: room between neighbouring cells of a tree
APART = 26.0
#: size of a frame's title
TITLE = 11.0


@dataclass(slots=True)
class Cells:
    """The arrangements by kind of cell, and for every node its kind and number there.

    `local` is each node's place within its rank, `origin` that of every cell's zero; `spans` the width of every rank.
    """

    arrangements: dict[object, Arrangement]
    item_of: list[tuple[object, int]]
    gates: dict[int, tuple[Pair | None, Pair | None]]  # for edges between cells of one rank: their ways to the border
    local: list[float]
    origin: list[float]
    spans: list[float]
    picture: Picture
    rows: RowAssignment

    def bends(self, i: int) -> list[tuple[float, int]]:
        """Where edge i, inside a rank, passes other rows: places within the rank, and rows of the page."""
        e = self.picture.edges[i]
        (key, tail), (other, head) = self.item_of[e.tail], self.item_of[e.head]
        a, b = self.picture.nodes[e.tail].column, self.picture.nodes[e.head].column
        if i not in self.gates:
            return self._on_page(a, key, (tail, head)) if a == b else []
        out, into = self.gates[i]
        return [*self._on_page(a, key, out), *self._on_page(b, other, into)]

    def _on_page(self, column: int, key: object, pair: Pair | None) -> list[tuple[float, int]]:
        bends = []
        for row, x in self.arrangements[key].bends.get(pair, []) if pair else []:
            at = self.rows.on_page(self.picture.columns[column], row)
            if at is not None:
                bends.append((self.origin[column] + x, at))
        return bends


def arrange_cells(picture: Picture, boxes: list[Box], rows: RowAssignment, gap: float) -> Cells:
    """Arrange every kind of cell once, and place its nodes."""
    members: dict[object, dict[int, int]] = {}
    items: dict[object, list[Layered]] = {}
    item_of: list[tuple[object, int]] = []
    below = {k for c in picture.columns for k in c.children}  # leaves and roots of trees are of kinds of their own
    roots = {i for i, c in enumerate(picture.columns) if c.children and i not in below}
    for i, n in enumerate(picture.nodes):
        column = picture.columns[n.column]
        key: object = ("column", n.column)
        if column.kind in ("step", "circuit"):
            key = ("axis", column.axis, bool(column.children), n.column in roots)
        index = members.setdefault(key, {})
        identity = n.slot if column.kind in ("step", "circuit", "gap") else -i - 1
        if identity not in index:
            index[identity] = len(index)
            items.setdefault(key, []).append(Layered(boxes[i].before, boxes[i].after, rows.cell[i]))
        item = items[key][index[identity]]
        item.left, item.right = max(item.left, boxes[i].before), max(item.right, boxes[i].after)
        item_of.append((key, index[identity]))
    edges: dict[object, dict[Pair, None]] = {}
    gates: dict[int, tuple[Pair | None, Pair | None]] = {}
    border = _Border(items, edges, rows.height)
    for k, e in enumerate(picture.edges):
        (a, i), (b, j) = item_of[e.tail], item_of[e.head]
        tail, head = picture.columns[picture.nodes[e.tail].column], picture.columns[picture.nodes[e.head].column]
        if tail is head and not e.delay:
            edges.setdefault(a, {})[i, j] = None
        elif tail is not head and tail.rank == head.rank:
            up = head.band > tail.band
            gates[k] = border.out(a, i, up), border.into(b, j, i, up)
        else:
            ahead = (1 if e.delay < 0 else -1) if e.delay else 1 if head.rank > tail.rank else -1
            items[a][i].pull = items[a][i].pull or ahead
            items[b][j].pull = items[b][j].pull or (ahead if e.delay else -ahead)
    arrangements = {
        key: arrange(found, list(edges.get(key, ())), gap, straight=set() if below else border.of(key))
        for key, found in items.items()
    }
    local, origin, spans = _places(picture, boxes, arrangements, item_of)
    return Cells(arrangements, item_of, gates, local, origin, spans, picture, rows)


class _Border:
    """Narrow boxes below the lowest row and above the highest, where edges to other cells leave and come in."""

    def __init__(self, items: dict[object, list[Layered]], edges: dict[object, dict[Pair, None]], height: int) -> None:
        self.items, self.edges, self.height = items, edges, height
        self.known: dict[tuple[object, object], int] = {}

    def out(self, key: object, item: int, up: bool) -> Pair:
        return item, self._gate(key, ("out", item, up), self.height if up else -1, item)

    def into(self, key: object, item: int, origin: int, up: bool) -> Pair:
        return self._gate(key, ("into", item, origin, up), -1 if up else self.height, item), item

    def of(self, key: object) -> set[int]:
        """The gates of one kind of cell, where cells stand exactly above each other."""
        return {gate for (kind, _), gate in self.known.items() if kind == key}

    def _gate(self, key: object, name: object, row: int, item: int) -> int:
        known_as = (key, name)
        if known_as not in self.known:
            self.known[known_as] = len(self.items[key])
            self.items[key].append(Layered(3.0, 3.0, row))
        gate = self.known[known_as]
        pair = (item, gate) if name[0] == "out" else (gate, item)  # type: ignore[index]
        self.edges.setdefault(key, {})[pair] = None
        return gate


def _places(
    picture: Picture, boxes: list[Box], arrangements: dict[object, Arrangement], item_of: list[tuple[object, int]]
) -> tuple[list[float], list[float], list[float]]:
    """Each node's place in its rank, every cell's origin, and how wide every rank is; equal steps reach equally far."""
    reach: dict[object, list[float]] = {}
    for (key, item), box in zip(item_of, boxes, strict=True):
        x = arrangements[key].at[item]
        span = reach.setdefault(key, [x - box.before, x + box.after])
        span[0], span[1] = min(span[0], x - box.before), max(span[1], x + box.after)
    for key, arrangement in arrangements.items():
        for bends in arrangement.bends.values():
            for _, x in bends:
                reach[key][0], reach[key][1] = min(reach[key][0], x - 4), max(reach[key][1], x + 4)
    key_of = {n.column: key for n, (key, _) in zip(picture.nodes, item_of, strict=True)}
    count = 1 + max((c.rank for c in picture.columns), default=-1)
    ends = [[0.0, 0.0] for _ in range(count)]
    shift = _tree_places(picture, {c: (reach[key][0], reach[key][1]) for c, key in key_of.items()})
    seen: set[int] = set()
    for c, key in key_of.items():
        end, rank = ends[picture.columns[c].rank], picture.columns[c].rank
        low, high = (x + shift.get(c, 0.0) for x in reach[key])
        end[0], end[1] = (min(end[0], low), max(end[1], high)) if rank in seen else (low, high)
        seen.add(rank)
    for column in picture.columns:
        low, high = ends[column.rank]
        short = text_width(column.title, TITLE) + 6.0 - (high - low) if column.kind == "step" else 0.0
        if short > 0:  # a frame holds its title
            ends[column.rank] = [low - short / 2, high + short / 2]
    origin = [shift.get(i, 0.0) - ends[c.rank][0] for i, c in enumerate(picture.columns)]
    local = [
        origin[n.column] + arrangements[key].at[item] for n, (key, item) in zip(picture.nodes, item_of, strict=True)
    ]
    return local, origin, [high - low for low, high in ends]


def _tree_places(picture: Picture, reach: dict[int, tuple[float, float]]) -> dict[int, float]:
    """The cells of a tree: leaves side by side, every other cell above the middle of its children."""
    columns = picture.columns
    below = {k for c in columns for k in c.children}
    stack = [i for i, c in enumerate(columns) if c.children and i not in below]
    if not stack:
        return {}
    order: list[int] = []
    while stack:
        i = stack.pop()
        order.append(i)
        stack.extend(reversed(columns[i].children))
    at: dict[int, float] = {}
    x = 0.0
    half = {i: (high - low) / 2 for i, (low, high) in reach.items()}
    for i in (i for i in order if not columns[i].children):
        at[i] = x + half[i]
        x += 2 * half[i] + APART
    for i in sorted((i for i in order if columns[i].children), key=lambda i: columns[i].band):
        at[i] = sum(at[k] for k in columns[i].children) / len(columns[i].children)
    stretch = 1.0
    for band in range(1, 1 + max(columns[i].band for i in order)):
        level = [i for i in order if columns[i].band == band]
        for a, b in pairwise(level):
            stretch = max(stretch, (half[a] + half[b] + APART) / (at[b] - at[a]))
    return {i: x * stretch - sum(reach[i]) / 2 for i, x in at.items()}
