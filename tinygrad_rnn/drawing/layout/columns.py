"""Which nodes stand in one column, and where every column stands: one after the other, in a grid, or in a tree.

Parts of a model that run side by side (the layers of a stack, both directions of a bidirectional net) share their
columns; parts that run one after the other (encoder, decoder) follow each other. The graph tells them apart: side by
side, equal steps are joined. Steps whose index is a pair form a grid: i downwards, j to the right. Steps of which each
is read by one other at most, and some read several, form a tree, whatever their index: leaves at the bottom, root on
top.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ...core.tensor import Tensor
from ..picture import Column, Picture
from ..view.label_text import index_text
from ..view.levels import ViewEdge

#: beyond this many labelled parts nobody sees an order, and all share one axis
MANY_PARTS = 40

ScopePath = tuple[str, ...]
ColumnKey = tuple[ScopePath, tuple[int, ...]]


def scope_of(node: Tensor) -> ColumnKey | None:
    """The labels and the indices on the way to this node, or None outside of time."""
    if node.scope.step is None:
        return None
    path = node.scope.path
    labels = tuple(s.label for s in path if s.label is not None)
    indices: list[int] = []
    for s in path:
        if s.index is not None:
            indices.extend(s.index if isinstance(s.index, tuple) else (s.index,))
    return labels, tuple(indices)


def arrange_in_time(drawn: list[Tensor], links: Iterable[ViewEdge]) -> tuple[list[Column], dict[int, int]]:
    """The columns from left to right, and the column of every drawn tensor by its id."""
    links = list(links)
    places = {n.id: scope_of(n) for n in drawn}
    if not any(places.values()):
        return [Column("plain", 0)], dict.fromkeys(places, 0)
    axis_of = _time_axes(places, links)
    outer = outer_indices(drawn)
    keys: dict[int, Any] = {}
    titles: dict[Any, str] = {}
    for n in drawn:
        scope = places[n.id]
        if scope is not None:
            index = scope[1][:outer]
            keys[n.id] = (axis_of[scope[0]], 1, index)
            titles[keys[n.id]] = "t = " + index_text(index if len(index) > 1 else index[0])
    last = max(key[0] for key in keys.values())
    _place_the_timeless(drawn, links, keys, last)
    boundary = _boundaries(drawn, links, keys)
    order = sorted(set(keys.values()))
    columns = []
    for key in order:
        axis, part, _ = key
        kind = "step" if part == 1 else "after" if axis > last else "before" if axis == 0 else "between"
        columns.append(Column("boundary" if key in boundary else kind, axis, titles.get(key, ""), key[2]))
    number = {key: i for i, key in enumerate(order)}
    return columns, {i: number[key] for i, key in keys.items()}


def outer_indices(drawn: list[Tensor]) -> int | None:
    """How many indices say the column, when some nodes have more than others: alpha[t, s] stands with the rest of t.

    None, for all of them, unless no name has both: a tree's nodes are named alike at every depth.
    """
    depths: dict[str, set[int]] = {}
    for n in drawn:
        if n.name is not None and (scope := scope_of(n)) is not None:
            depths.setdefault(n.name, set()).add(len(scope[1]))
    all_depths = {depth for lengths in depths.values() for depth in lengths}
    return min(all_depths) if len(all_depths) > 1 and all(len(lengths) == 1 for lengths in depths.values()) else None


def _time_axes(places: dict[int, ColumnKey | None], links: list[ViewEdge]) -> dict[ScopePath, int]:
    """Number the parts of the model so that parts joined at equal steps have one number."""
    groups = sorted({scope[0] for scope in places.values() if scope})
    equal: dict[tuple[ScopePath, ScopePath], int] = {}
    for link in links:
        start, end = places[link.tail.id], places[link.head.id]
        if start and end and start[0] != end[0]:
            pair = (start[0], end[0])
            equal[pair] = equal.get(pair, 0) + (1 if start[1] == end[1] else -1)
    for pair in _through_the_timeless(places, links):
        equal[pair] = min(equal.get(pair, 0), 0) - 1
    parent = {g: g for g in groups}

    def root(g: ScopePath) -> ScopePath:
        while parent[g] != g:
            g = parent[g]
        return g

    after = {pair for pair, surplus in equal.items() if surplus < 0}
    apart = after | {(b, a) for a, b in after}
    if not apart or len(groups) > MANY_PARTS:
        return dict.fromkeys(groups, 0)
    for a in groups:
        for b in groups:
            # parts that never meet (two directions that only the output joins) run side by side as well
            if a < b and root(a) != root(b) and not _conflict(root(a), root(b), apart, groups, root):
                parent[root(b)] = root(a)
    roots = sorted({root(g) for g in groups})
    depth = dict.fromkeys(roots, 0)
    for _ in roots:
        for a, b in after:
            if root(a) != root(b):
                depth[root(b)] = max(depth[root(b)], min(depth[root(a)] + 1, len(roots)))
    ranked = sorted(roots, key=lambda g: (depth[g], g))
    return {g: ranked.index(root(g)) for g in groups}


def _through_the_timeless(
    places: dict[int, ColumnKey | None], links: list[ViewEdge]
) -> set[tuple[ScopePath, ScopePath]]:
    """Pairs of parts of which the second reads what was made, outside of time, of the first."""
    made_of: dict[int, set[ScopePath]] = {}
    pairs: set[tuple[ScopePath, ScopePath]] = set()
    for link in sorted(links, key=lambda k: k.head.id):
        start, end = places[link.tail.id], places[link.head.id]
        if end is None:
            made_of.setdefault(link.head.id, set()).update({start[0]} if start else made_of.get(link.tail.id, ()))
        elif start is None:
            pairs |= {(group, end[0]) for group in made_of.get(link.tail.id, ()) if group != end[0]}
    return pairs


def _conflict(
    a: ScopePath, b: ScopePath, apart: set[tuple[ScopePath, ScopePath]], groups: list[ScopePath], root: Any
) -> bool:
    return any((g, h) in apart for g in groups if root(g) == a for h in groups if root(h) == b)


def _place_the_timeless(drawn: list[Tensor], links: list[ViewEdge], keys: dict[int, Any], last: int) -> None:
    """Nodes outside of time stand before the part that needs them, and after the part they need."""
    first_use: dict[int, int] = {}
    after: set[int] = set()
    for link in sorted(links, key=lambda k: k.head.id, reverse=True):
        axis = keys[link.head.id][0] if link.head.id in keys else first_use.get(link.head.id)
        if axis is not None and link.tail.id not in keys:
            first_use[link.tail.id] = min(axis, first_use.get(link.tail.id, axis))
    timed = {i for i, key in keys.items() if key[1] == 1}
    for link in sorted(links, key=lambda k: k.head.id):
        if link.head.id not in timed and (link.tail.id in timed or link.tail.id in after):
            after.add(link.head.id)
    # leaves used at the end only (the target of a single output) stand with what uses them
    for n in drawn:
        if n.id not in keys:
            keys[n.id] = (first_use[n.id], 0, ()) if n.id in first_use else (last + 1, 0, ())


def _boundaries(drawn: list[Tensor], links: list[ViewEdge], keys: dict[int, Any]) -> set[Any]:
    """Columns of leaves that only other columns use: initial states."""
    inner = {keys[n.id] for n in drawn if n.op is not None}
    inner |= {keys[k.head.id] for k in links if keys[k.tail.id] == keys[k.head.id]}
    boundary = {key for key in keys.values() if key[1] == 1} - inner
    return boundary if inner else set()


def in_a_row(picture: Picture) -> None:
    """Every column has a place of its own on the time axis."""
    for rank, column in enumerate(picture.columns):
        column.rank = rank


def as_grid_or_tree(picture: Picture) -> bool:
    """Place steps that do not follow each other in time; False, and nothing is done, if there are none."""
    columns = picture.columns
    cells = [i for i, c in enumerate(columns) if c.kind in ("step", "boundary")]
    timed = [i for i in cells if len(columns[i].index) == 1]
    # one number is a time if there are initial states, and the number of a node if there are none
    if not cells or len({columns[i].axis for i in cells}) > 1 or any(columns[i].kind == "boundary" for i in timed):
        return False
    before = sum(c.kind == "before" for c in columns)
    if (children := _children(picture, cells)) is not None:
        _as_tree(picture, cells, children)
        width = 1
    elif all(len(columns[i].index) == 2 for i in cells):
        width = _as_grid(picture, cells)
    else:
        return False
    for rank, column in enumerate(c for c in columns if c.kind == "before"):
        column.rank = rank
    for i in cells:
        columns[i].rank += before
    used = {n.column for n in picture.nodes} - set(cells)
    for rank, column in enumerate(c for i, c in enumerate(columns) if c.kind != "before" and i in used):
        column.rank = before + width + rank
    return True


def _as_grid(picture: Picture, cells: list[int]) -> int:
    columns = picture.columns
    down = sorted({columns[i].index[0] for i in cells}, reverse=True)
    right = sorted({columns[i].index[1] for i in cells})
    for i in cells:
        columns[i].band = down.index(columns[i].index[0])
        columns[i].rank = right.index(columns[i].index[1])
        columns[i].title = index_text(columns[i].index)
    return len(right)


def _children(picture: Picture, cells: list[int]) -> dict[int, list[int]] | None:
    """The cells that each cell reads, from left to right, if they form a tree."""
    known, nodes = set(cells), picture.nodes
    read: dict[int, set[int]] = {i: set() for i in cells}
    reader: dict[int, int] = {}
    for e in picture.edges:
        a, b = nodes[e.tail].column, nodes[e.head].column
        if a != b and a in known and b in known:
            if reader.setdefault(a, b) != b:
                return None
            read[b].add(a)
    if all(len(below) < 2 for below in read.values()):
        return None
    leftmost: dict[int, tuple[int, ...]] = {}
    waiting = {i: len(below) for i, below in read.items()}
    ready = [i for i in cells if not waiting[i]]
    for i in ready:  # grows while it is walked: every cell comes after those it reads
        leftmost[i] = min((leftmost[k] for k in read[i]), default=picture.columns[i].index)
        if i in reader:
            waiting[reader[i]] -= 1
            if not waiting[reader[i]]:
                ready.append(reader[i])
    if len(ready) < len(cells):
        return None
    return {i: _from_left_to_right(picture, read[i], leftmost) for i in ready}


def _from_left_to_right(picture: Picture, below: set[int], leftmost: dict[int, tuple[int, ...]]) -> list[int]:
    """Children of one level by their own number, others by their leftmost leaves."""
    index = {k: picture.columns[k].index for k in below}
    alike = len({i[:-1] for i in index.values()}) == 1
    return sorted(below, key=index.__getitem__ if alike else leftmost.__getitem__)


def _as_tree(picture: Picture, cells: list[int], children: dict[int, list[int]]) -> None:
    columns = picture.columns
    _above_the_root(picture, cells, next(reversed(children)))
    for i, below in children.items():  # every cell after its children
        columns[i].kind, columns[i].title, columns[i].rank = "step", "", 0
        columns[i].children = tuple(below)
        columns[i].band = max((columns[k].band + 1 for k in below), default=0)


def _above_the_root(picture: Picture, cells: list[int], root: int) -> None:
    """What comes after the tree, and reads its root alone, stands in the same cell."""
    nodes, columns = picture.nodes, picture.columns
    after = {i for i, n in enumerate(nodes) if columns[n.column].kind == "after"}
    read = {nodes[e.tail].column for e in picture.edges if e.head in after and e.tail not in after}
    if read == {root}:
        for i in after:
            nodes[i].column = root
