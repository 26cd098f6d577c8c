"""Which row every node stands in: inputs lowest, then what is computed, targets above their loss, the total on top."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from ..picture import Column, Picture
from .layering import acyclic, rows_of

TIMED = ("step", "plain", "circuit")
#: beyond this many edges in one step nobody follows a state by eye
MANY = 3000


@dataclass(slots=True)
class RowAssignment:
    """The row of every node on the page (`of`) and within its own column or cell (`cell`)."""

    of: list[int]
    cell: list[int]
    height: int  # rows of a cell
    number: dict[int, int]  # rows of a grid or tree that have something in them are numbered anew

    def on_page(self, column: Column, row: int) -> int | None:
        """The row of the page for a row of a cell, if anything stands there."""
        inside = self.number and column.kind in ("step", "boundary")
        return self.number.get(column.band * self.height + row) if inside else row


def assign_rows(picture: Picture) -> RowAssignment:
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
        if tail.column == head.column and timed[e.tail] and not e.delay:
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
    if not any(c.band for c in columns):
        _place_untimed(picture, rows, timed)
        lowest = min(rows, default=0)
        of = [r - lowest for r in rows]
        return RowAssignment(of, of, 1 + max(of, default=0), {})
    cell, height = list(rows), 1 + max(rows)
    rows = [r + columns[n.column].band * height if r >= 0 else r for r, n in zip(rows, nodes, strict=True)]
    _place_untimed(picture, rows, timed)
    number = {r: k for k, r in enumerate(sorted(set(rows)))}
    of = [number[r] for r in rows]
    return RowAssignment(of, [c if c >= 0 else r for c, r in zip(cell, of, strict=True)], height, number)


def _states_apart(picture: Picture, number: dict[int, int], by_slot: list[int]) -> list[tuple[int, int]]:
    """States of one row go above each other, those that flow to the left on top, so each runs straight."""
    nodes = picture.nodes
    flow: dict[int, int] = {}
    for e in picture.edges:
        tail, head = nodes[e.tail], nodes[e.head]
        if (
            tail.role == "state"
            and tail.slot in number
            and picture.columns[head.column].kind in ("step", "gap", "circuit")
        ):
            there, here = picture.columns[head.column].rank, picture.columns[tail.column].rank
            flow[tail.slot] = flow.get(tail.slot, 0) + (
                (there > here) - (there < here) or (e.delay > 0) - (e.delay < 0)
            )
    level: dict[tuple[int, int], list[int]] = {}
    for n in nodes:
        if n.slot in flow and picture.columns[n.column].kind in ("step", "circuit"):
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
        if timed[e.tail] and timed[e.head] and (e.delay or nodes[e.tail].column != nodes[e.head].column):
            state_row.setdefault(nodes[e.head].slot, rows[e.tail])
    order, _ = acyclic(len(nodes), [(e.tail, e.head) for e in picture.edges if not e.delay])
    top = max((r for i, r in enumerate(rows) if timed[i]), default=-1)
    for i in order:
        if rows[i] >= 0 or not into[i]:
            continue
        rows[i] = max(rows[t] for t in into[i]) + 1
        steps = {nodes[t].column for t in into[i] if columns[nodes[t].column].kind in ("step", "gap")}
        if len(steps) > 1 and nodes[i].role != "operation":
            rows[i] = max(rows[i], top + 1)
    done = [r >= 0 for r in rows]
    lowest = 0 if any(timed[i] and n.role == "input" for i, n in enumerate(nodes)) else -1
    for i in reversed(order):
        if done[i]:
            continue
        done[i] = True
        heads = [h for h in out[i] if done[h]]
        if not heads:
            rows[i] = 0
        elif nodes[i].role == "target":
            rows[i] = rows[heads[0]] + 1
        elif nodes[i].untimed and any(nodes[h].role not in ("state", "elided") for h in heads):
            rows[i] = lowest
        elif any(nodes[h].column == nodes[i].column for h in heads):
            rows[i] = min(rows[h] for h in heads) - 1
        else:
            rows[i] = next((state_row[nodes[h].slot] for h in heads if nodes[h].slot in state_row), rows[heads[0]])
