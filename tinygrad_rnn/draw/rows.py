"""Which row every node stands in: inputs lowest, then what is computed, targets above their loss, the total on top."""

from __future__ import annotations

from itertools import pairwise

from .layers import acyclic, rows_of
from .picture import Picture

TIMED = ("step", "plain")
#: beyond this many edges in one step nobody follows a state by eye
MANY = 3000


def assign_rows(picture: Picture) -> list[int]:
    """The row of every node; the same slot has the same row in every step."""
    nodes, columns = picture.nodes, picture.columns
    timed = [columns[n.column].kind in TIMED for n in nodes]
    number: dict[int, int] = {}
    for i, n in enumerate(nodes):
        if timed[i]:
            number.setdefault(n.slot, len(number))
    edges: dict[tuple[int, int], None] = {}
    above: dict[int, int] = {}
    for e in picture.edges:
        tail, head = nodes[e.tail], nodes[e.head]
        if tail.column == head.column and timed[e.tail]:
            pair = number[tail.slot], number[head.slot]
            edges[pair] = None
            if tail.role == "target":
                above[pair[0]] = pair[1]
    plain = all(c.kind == "plain" for c in columns)
    if plain:
        above = {}
    bottom = {number[n.slot] for i, n in enumerate(nodes) if timed[i] and n.role == "input" and not plain}
    by_slot = rows_of(len(number), list(edges), bottom, above)
    for _ in range(len(number) if not plain else 0):
        stacked = _states_apart(picture, number, by_slot)
        if not stacked or len(edges) > MANY:
            break
        edges.update(dict.fromkeys(stacked))
        by_slot = rows_of(len(number), list(edges), bottom, above)
    rows = [by_slot[number[n.slot]] if timed[i] else -1 for i, n in enumerate(nodes)]
    # dots and initial states stand level with the quantity they stand for
    for i, n in enumerate(nodes):
        if rows[i] < 0 and n.slot in number:
            rows[i] = by_slot[number[n.slot]]
    _place_untimed(picture, rows, timed)
    lowest = min(rows, default=0)
    return [r - lowest for r in rows]


def _states_apart(picture: Picture, number: dict[int, int], by_slot: list[int]) -> list[tuple[int, int]]:
    """States of one row go above each other, those that flow to the left on top, so each runs straight."""
    nodes = picture.nodes
    flow: dict[int, int] = {}
    for e in picture.edges:
        tail, head = nodes[e.tail], nodes[e.head]
        if tail.role == "state" and tail.slot in number and picture.columns[head.column].kind in ("step", "gap"):
            flow[tail.slot] = flow.get(tail.slot, 0) + (head.column > tail.column) - (head.column < tail.column)
    level: dict[tuple[int, int], list[int]] = {}
    for n in nodes:
        if n.slot in flow and picture.columns[n.column].kind == "step":
            level.setdefault((n.column, by_slot[number[n.slot]]), []).append(n.slot)
    pairs: dict[tuple[int, int], None] = {}
    for slots in level.values():
        order = sorted(dict.fromkeys(slots), key=lambda s: (-flow[s], s))
        pairs.update(dict.fromkeys((number[a], number[b]) for a, b in pairwise(order)))
    return list(pairs)


def _place_untimed(picture: Picture, rows: list[int], timed: list[bool]) -> None:
    """Initial states level with the state whose place they take; everything else above what it reads."""
    nodes, columns = picture.nodes, picture.columns
    into: list[list[int]] = [[] for _ in nodes]
    out: list[list[int]] = [[] for _ in nodes]
    state_row: dict[int, int] = {}
    for e in picture.edges:
        into[e.head].append(e.tail)
        out[e.tail].append(e.head)
        if timed[e.tail] and timed[e.head] and nodes[e.tail].column != nodes[e.head].column:
            state_row.setdefault(nodes[e.head].slot, rows[e.tail])
    order, _ = acyclic(len(nodes), [(e.tail, e.head) for e in picture.edges])
    top = max((r for i, r in enumerate(rows) if timed[i]), default=-1)
    for i in order:
        if rows[i] >= 0 or not into[i]:
            continue
        rows[i] = max(rows[t] for t in into[i]) + 1
        steps = {nodes[t].column for t in into[i] if columns[nodes[t].column].kind in ("step", "gap")}
        if len(steps) > 1 and nodes[i].role != "operation":
            rows[i] = max(rows[i], top + 1)
    for i in reversed(order):
        if rows[i] >= 0:
            continue
        heads = [h for h in out[i] if rows[h] >= 0]
        if not heads:
            rows[i] = 0
        elif nodes[i].role == "target":
            rows[i] = rows[heads[0]] + 1
        elif any(nodes[h].column == nodes[i].column for h in heads):
            rows[i] = min(rows[h] for h in heads) - 1
        else:
            rows[i] = next((state_row[nodes[h].slot] for h in heads if nodes[h].slot in state_row), rows[heads[0]])
