"""Leave out the middle of a long sequence: three steps at the start and two at the end stay, and this is said."""

from __future__ import annotations

from dataclasses import replace

from ..picture import Column, Edge, Picture, PictureNode
from .label_text import noted, words

FIRST, LAST = 3, 2


def leave_out(picture: Picture, most: int) -> None:
    """Where a part of the model has more than `most` steps, replace the middle by a gap that its states cross."""
    hidden: dict[int, int] = {}
    notes = []
    for lane in sorted({c.lane for c in picture.columns}):
        steps = [i for i, c in enumerate(picture.columns) if c.lane == lane and c.kind == "step"]
        if len(steps) > most:
            middle = steps[FIRST:-LAST]
            hidden.update(dict.fromkeys(middle, middle[0]))
            first, last = (picture.columns[i].title.removeprefix("t = ") for i in (middle[0], middle[-1]))
            notes.append(f"steps {first} to {last} not shown")
    if hidden:
        collapse(picture, hidden)
        picture.note = words("; ".join(notes))


def collapse(picture: Picture, hidden: dict[int, int]) -> None:
    """Replace hidden columns by gaps: `hidden` has for each of them the first of its gap."""
    apart = _read_in_a_gap(picture, hidden)
    columns, renumbered = _columns_left(picture, hidden)
    nodes: list[PictureNode] = []
    kept: dict[int, int] = {}
    for i, n in enumerate(picture.nodes):
        if n.column not in hidden:
            kept[i] = len(nodes)
            n.column = renumbered[n.column]
            nodes.append(n)
    dots: dict[tuple[int, int], int] = {}

    def dots_for(slot: int, column: int) -> int:
        key = (slot, renumbered[hidden[column]])
        if key not in dots:
            dots[key] = len(nodes)
            nodes.append(PictureNode(words("⋯"), "elided", key[1], slot, named=True))
        return dots[key]

    edges: dict[tuple[int, int, int], Edge] = {}
    for e in picture.edges:
        tail, head = picture.nodes[e.tail], picture.nodes[e.head]
        if e.tail in kept and e.head in kept:
            ends = kept[e.tail], kept[e.head]
        elif e.head in kept:
            ends = dots_for(tail.slot, tail.column), kept[e.head]
        elif e.tail in kept and _same_axis(columns[tail.column], columns[renumbered[hidden[head.column]]]):
            ends = kept[e.tail], dots_for(tail.slot, head.column)
            e.label = None
        elif (
            e.head not in kept
            and e.tail not in kept
            and columns[renumbered[hidden[tail.column]]].lane != columns[renumbered[hidden[head.column]]].lane
        ):
            ends = dots_for(tail.slot, tail.column), dots_for(head.slot, head.column)
        else:
            continue
        edges.setdefault((*ends, e.lane), Edge(*ends, e.label, e.differentiable, e.lane))
    for e in apart:
        head = picture.nodes[e.head]
        if (there := dots.get((head.slot, renumbered[hidden[head.column]]))) is not None:
            when = picture.columns[head.column].title
            label = noted(e.label, when) if when else e.label
            edges.setdefault((kept[e.tail], there, e.lane), replace(e, tail=kept[e.tail], head=there, label=label))
    picture.nodes, picture.edges, picture.columns = nodes, list(edges.values()), columns


def _read_in_a_gap(picture: Picture, hidden: dict[int, int]) -> list[Edge]:
    """What stands outside of time and is read at one hidden step alone, as where the first state comes from."""
    timeless = {i for i, n in enumerate(picture.nodes) if picture.columns[n.column].kind not in ("step", "boundary")}
    read: dict[tuple[int, int], list[Edge]] = {}
    for e in picture.edges:
        if e.tail in timeless and e.head not in timeless:
            read.setdefault((e.tail, picture.nodes[e.head].slot), []).append(e)
    return [found[0] for found in read.values() if len(found) == 1 and picture.nodes[found[0].head].column in hidden]


def _same_axis(column: Column, gap: Column) -> bool:
    """Only states run on into the gap; what is shared by all steps is seen at those that stay."""
    return column.kind in ("step", "boundary") and column.lane == gap.lane


def _columns_left(picture: Picture, hidden: dict[int, int]) -> tuple[list[Column], dict[int, int]]:
    columns: list[Column] = []
    renumbered: dict[int, int] = {}
    for i, c in enumerate(picture.columns):
        if i not in hidden:
            renumbered[i] = len(columns)
            columns.append(c)
        elif hidden[i] == i:
            renumbered[i] = len(columns)
            columns.append(Column("gap", c.lane))
    return columns, renumbered
