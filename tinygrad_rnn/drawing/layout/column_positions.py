"""Where every column stands: one after the other, as the cells of a grid, or as a tree.

Steps whose index is a pair form a grid: i downwards, j to the right. Steps of which each is read by one other at most,
and some read several, form a tree, whatever their index: leaves at the bottom, root on top.
"""

from __future__ import annotations

from ..picture import Picture


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
    if not cells or len({columns[i].lane for i in cells}) > 1 or any(columns[i].kind == "boundary" for i in timed):
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
        columns[i].title = columns[i].title.removeprefix("t = ")
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
    if all(len(found) < 2 for found in read.values()):
        return None
    leftmost: dict[int, tuple[int, ...]] = {}
    waiting = {i: len(found) for i, found in read.items()}
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
