"""Pictures of a part of the steps: without the middle of a long sequence, or folded.

Folded, one step of the recurrence stands for all, with a black square on every arc that reaches another step.
`core.loop.fold` says which steps are the same; one of them, with all its neighbours around it, is drawn as the whole
picture is drawn, and then what it takes from its neighbours is bent back to itself. Beside it the same step stands
unfolded. Of a long sequence three steps at the start and two at the end stay, and this is said.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ...core.graph import Graph
from ...core.loop.fold import fold
from ...core.loop.program import LoopProgram
from ...core.loop.unfold import unfold
from ...core.tensor import Tensor
from ..layout.columns import in_a_row
from ..picture import Column, Edge, Picture, PictureNode
from .assemble import assemble
from .label_text import Text, index_text, joined, noted, words

# -- without the middle ------------------------------------------------------------------------------------------------
FIRST, LAST = 3, 2


def leave_out(picture: Picture, most: int) -> None:
    """Where a part of the model has more than `most` steps, replace the middle by a gap that its states cross."""
    hidden: dict[int, int] = {}
    notes = []
    for axis in sorted({c.axis for c in picture.columns}):
        steps = [i for i, c in enumerate(picture.columns) if c.axis == axis and c.kind == "step"]
        if len(steps) > most:
            middle = steps[FIRST:-LAST]
            hidden.update(dict.fromkeys(middle, middle[0]))
            first, last = (index_text(picture.columns[i].index) for i in (middle[0], middle[-1]))
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
            and columns[renumbered[hidden[tail.column]]].axis != columns[renumbered[hidden[head.column]]].axis
        ):
            ends = dots_for(tail.slot, tail.column), dots_for(head.slot, head.column)
        else:
            continue
        edges.setdefault((*ends, e.parallel), Edge(*ends, e.label, e.differentiable, e.parallel))
    for e in apart:
        head = picture.nodes[e.head]
        if (there := dots.get((head.slot, renumbered[hidden[head.column]]))) is not None:
            when = picture.columns[head.column].title
            label = noted(e.label, when) if when else e.label
            edges.setdefault((kept[e.tail], there, e.parallel), replace(e, tail=kept[e.tail], head=there, label=label))
    picture.nodes, picture.edges, picture.columns = nodes, list(edges.values()), columns


def _read_in_a_gap(picture: Picture, hidden: dict[int, int]) -> list[Edge]:
    """What stands outside of time and is read at one hidden step alone, as where the first state comes from."""
    timeless = {i for i, n in enumerate(picture.nodes) if picture.columns[n.column].kind not in ("step", "boundary")}
    read: dict[tuple[int, int], list[Edge]] = {}
    for e in picture.edges:
        if e.tail in timeless and e.head not in timeless:
            read.setdefault((e.tail, picture.nodes[e.head].slot), []).append(e)
    return [edges[0] for edges in read.values() if len(edges) == 1 and picture.nodes[edges[0].head].column in hidden]


def _same_axis(column: Column, gap: Column) -> bool:
    """Only states run on into the gap; what is shared by all steps is seen at those that stay."""
    return column.kind in ("step", "boundary") and column.axis == gap.axis


def _columns_left(picture: Picture, hidden: dict[int, int]) -> tuple[list[Column], dict[int, int]]:
    columns: list[Column] = []
    renumbered: dict[int, int] = {}
    for i, c in enumerate(picture.columns):
        if i not in hidden:
            renumbered[i] = len(columns)
            columns.append(c)
        elif hidden[i] == i:
            renumbered[i] = len(columns)
            columns.append(Column("gap", c.axis))
    return columns, renumbered


# -- folded ------------------------------------------------------------------------------------------------------------
#: what reads the results of all steps and is nothing but their sum
SUMS = {"add_n", "add", "sum"}


def fold_picture(
    graph: Graph, level: str, values: bool, only: Any, untimed: frozenset[int] = frozenset(), beside: int | None = 0
) -> Picture:
    """The circuit of a graph, and so many unfolded steps beside it (None: 3, or as many as show the longest delay).

    Raises `FoldError` for a graph that does not fold.
    """
    program = fold(graph)
    reach = max((abs(c.shift) for c in program.carry), default=0)
    shown = (3 if reach < 2 else min(reach + 2, 6)) if beside is None else max(beside, 1)
    small = _unfolded(program, 2 * reach + shown + program.ends)
    whole, tensors = assemble(small, level, "shapes" if values else False, only, untimed)  # values differ by step
    note = _leave_out_the_total(whole, tensors)
    first = program.start + len(program.first) + reach
    _after_the_last_step(whole, first, first + shown - 1 + reach)
    circuit = _Circuit(whole, first + shown // 2, first - reach, first + shown - 1 + reach).picture()
    circuit.note = note
    if beside != 0:
        _put_beside(circuit, _window(whole, range(first, first + shown), first + shown // 2))
    in_a_row(circuit)
    return circuit


def _unfolded(program: LoopProgram, T: int) -> Graph:
    """The program over T steps; where a leaf has no recorded value it takes one of another step."""
    values: dict[tuple[str, int], Any] = {}
    for leaf in program.inputs:
        recorded = {step: value for step, value in leaf.values.items() if step is not None}
        for step in range(program.start, program.start + T + len(program.first) + len(program.last)):
            if recorded:
                values[leaf.name, step] = recorded.get(step, recorded[max(recorded)])
    with np.errstate(all="ignore"):
        return unfold(program, T, values)


def _leave_out_the_total(picture: Picture, tensors: list[Tensor]) -> Text | None:
    """A sum of the losses of all steps is said in words, as the book does; returns the words."""
    nodes, columns = picture.nodes, picture.columns
    after = {i for i, n in enumerate(nodes) if columns[n.column].kind == "after"}
    read = {e.tail for e in picture.edges if e.head in after and e.tail not in after}
    total = [i for i in after if nodes[i].role == "loss"]
    sums = all((op := tensors[i].op) is not None and op.name in SUMS for i in after)
    parts = {nodes[i].slot: replace(nodes[i].text, sup="") for i in sorted(read)}
    if len(total) != 1 or not sums or len(read) < 2 * len(parts) or any(nodes[i].role != "loss" for i in read):
        return None
    picture.edges = [e for e in picture.edges if e.head not in after]
    _keep(picture, [i for i in range(len(nodes)) if i not in after])
    sum_of = joined(list(parts.values()), " and ")
    return joined([words("the whole loss is the sum of "), sum_of, words(" over all steps")], "")


def _keep(picture: Picture, kept: list[int]) -> None:
    """Only these nodes, with the edges between them and the columns they stand in."""
    number = {i: k for k, i in enumerate(kept)}
    columns = sorted({picture.nodes[i].column for i in kept})
    place = {c: k for k, c in enumerate(columns)}
    picture.edges = [
        replace(e, tail=number[e.tail], head=number[e.head]) for e in picture.edges if {e.tail, e.head} <= number.keys()
    ]
    picture.nodes = [replace(picture.nodes[i], column=place[picture.nodes[i].column]) for i in kept]
    picture.columns = [picture.columns[c] for c in columns]


def _after_the_last_step(whole: Picture, model: int, high: int) -> None:
    """What only the last step computes, as a single output, comes after the loop: o(T) is no part of the step."""
    columns, nodes = whole.columns, whole.nodes
    usual = {n.slot for n in nodes if columns[n.column].index == (model,)}
    late = next((i for i, c in enumerate(columns) if c.kind == "after"), len(columns))
    for n in nodes:
        c = columns[n.column]
        if c.kind == "step" and c.index[0] > high and n.slot not in usual:
            if late == len(columns):
                columns.append(Column("after", c.axis + 1))
            n.column = late
            n.text = replace(n.text, sup="(T)") if n.named else n.text
        elif c.kind == "after" and n.text.sup:  # the target of what the last step computes
            n.text = replace(n.text, sup="(T)")


# -- the circuit ------------------------------------------------------------------------------------------------------
@dataclass
class _Ends:
    """At which steps an edge is there that is not there in every step: those of its tails and of its heads."""

    edge: Edge
    tails: set[int | None] = field(default_factory=set)
    heads: set[int | None] = field(default_factory=set)


class _Circuit:
    """Bends the edges of a whole picture back to the step `model`; the body runs from step `low` to step `high`."""

    def __init__(self, whole: Picture, model: int, low: int, high: int) -> None:
        self.whole, self.model, self.low, self.high = whole, model, low, high
        self.step = [self._step(n) for n in whole.nodes]
        axis = [whole.columns[n.column].axis for n in whole.nodes]
        self.axis = axis
        self.slots = {n.slot: i for i, n in enumerate(whole.nodes) if self.step[i] == model}
        self.same = self._chains()
        boundary = {i for i, n in enumerate(whole.nodes) if whole.columns[n.column].kind == "boundary"}
        self.read_apart = {e.tail for e in whole.edges if e.tail in boundary and self.step[e.head] is None}

    def _step(self, n: PictureNode) -> int | None:
        column = self.whole.columns[n.column]
        return column.index[0] if column.kind in ("step", "boundary") and len(column.index) == 1 else None

    def picture(self) -> Picture:
        loops: dict[tuple[Any, ...], Edge] = {}
        others: dict[tuple[int, int, Text | None, int], _Ends] = {}
        for e in self.whole.edges:
            tail, head = self._place(e.tail), self._place(e.head)
            a, b = self.step[e.tail], self.step[e.head]
            if tail is None or head is None or (a is None and b is None and tail == head):
                continue
            if e.tail in self.read_apart and b is not None:
                continue
            if a is not None and b is not None and self.axis[e.tail] == self.axis[e.head]:
                if b == self.model:
                    loops[tail, head, e.label, e.parallel, b - a] = replace(e, tail=tail, head=head, delay=b - a)
            else:
                ends = others.setdefault((tail, head, e.label, e.parallel), _Ends(replace(e, tail=tail, head=head)))
                ends.tails.add(a)
                ends.heads.add(b)
        always = {key[:2] for key, ends in others.items() if self.model in ends.heads}
        others = {key: ends for key, ends in others.items() if self.model in ends.heads or key[:2] not in always}
        edges = [*loops.values(), *(self._said(ends) for ends in others.values())]
        drawn = {e.tail for e in edges} | {e.head for e in edges} | set(self.slots.values())
        initial = self._initial_leaves(others)
        kept = [i for i in sorted(drawn) if i not in initial]
        picture = replace(self.whole, edges=edges, nodes=list(self.whole.nodes))
        for i in kept:
            if self.step[i] is not None and i not in self.read_apart:
                n = self.whole.nodes[i]
                picture.nodes[i] = replace(n, text=replace(n.text, sup=""))
        self._stand_by_the_step(picture, others)
        _keep(picture, kept)
        picture.columns = [
            Column("circuit", c.axis) if c.kind == "step" else replace(c, title="") for c in picture.columns
        ]
        return picture

    def _stand_by_the_step(self, picture: Picture, others: dict[Any, _Ends]) -> None:
        """An input that every step reads anew is drawn as one of the step's own."""
        for ends in others.values():
            tail, head = picture.nodes[ends.edge.tail], picture.nodes[ends.edge.head]
            if tail.untimed and self.model in ends.heads:
                picture.nodes[ends.edge.tail] = replace(tail, column=head.column)

    def _place(self, i: int) -> int | None:
        """The node of the circuit that stands for node i: itself outside of time, that of the model step otherwise."""
        if self.step[i] is None:
            return self.same.get(i, i)
        if self.whole.columns[self.whole.nodes[i].column].kind == "boundary":
            return i if i in self.read_apart else None
        return self.slots.get(self.whole.nodes[i].slot)

    def _chains(self) -> dict[int, int]:
        """Sums written as a chain of additions after the loop are one sum: for each of them, the last."""
        readers: dict[int, list[int]] = {}
        for e in self.whole.edges:
            readers.setdefault(e.tail, []).append(e.head)
        nodes, same = self.whole.nodes, dict[int, int]()
        for i in range(len(nodes) - 1, -1, -1):
            if self.step[i] is None and not nodes[i].named and len(readers.get(i, ())) == 1:
                (j,) = readers[i]
                kind = nodes[j].operation or nodes[j].text.base
                if self.step[j] is None and kind == nodes[i].text.base and not nodes[i].leaf:
                    same[i] = same.get(j, j)
        return same

    def _initial_leaves(self, others: dict[tuple[int, int, Text | None, int], _Ends]) -> set[int]:
        """Leaves outside of time that only the first or last step reads: what a square holds before the start."""
        every = {ends.edge.tail for ends in others.values() if self.model in ends.heads or None in ends.heads}
        once = {ends.edge.tail for ends in others.values()} - every
        return {i for i in once if self.whole.nodes[i].leaf and not self.whole.nodes[i].untimed}

    def _said(self, ends: _Ends) -> Edge:
        """The edge with the steps at which it is there, when that is not every step."""
        tail, head = self._when(ends.tails), self._when(ends.heads)
        if head == "all t" or (self.model in ends.heads and len(ends.heads) > 1):
            head = ""  # it enters every step
        if self.whole.nodes[ends.edge.head].text.sup and self.step[ends.edge.head] is None:
            tail = ""  # the name says when
        when = f"{tail} → {head}" if tail and head else tail or head
        if not when:
            return ends.edge
        said = when if when == "all t" else f"t = {when}"
        return replace(ends.edge, label=noted(ends.edge.label, said))

    def _when(self, steps: set[int | None]) -> str:
        known = {s for s in steps if s is not None}
        if not known:
            return ""
        if len(known) > 1:
            return "all t"
        (step,) = known
        return str(step) if step <= self.low else "T"


# -- beside it --------------------------------------------------------------------------------------------------------
def _window(whole: Picture, steps: range, model: int) -> Picture:
    """The whole picture with dots instead of all steps but these, which are called t-1, t, t+1."""
    hidden: dict[int, int] = {}
    groups: dict[tuple[int, bool], int] = {}
    for i, c in enumerate(whole.columns):
        if c.kind in ("step", "boundary") and c.index[0] not in steps:
            hidden[i] = groups.setdefault((c.axis, c.index[0] >= steps.stop), i)
    picture = replace(whole, nodes=[replace(n) for n in whole.nodes], columns=[replace(c) for c in whole.columns])
    last = max(c.index[0] for c in picture.columns if c.kind == "step")
    for i in hidden:
        if picture.columns[i].index[0] >= steps.stop:
            picture.columns[i].title = "t = T" if picture.columns[i].index[0] == last else ""
    collapse(picture, hidden)
    joined_up = {i for e in picture.edges for i in (e.tail, e.head)}
    timed = [picture.columns[n.column].kind in ("step", "gap") for n in picture.nodes]
    _keep(picture, [i for i in range(len(picture.nodes)) if timed[i] or i in joined_up])
    for c in picture.columns:
        if c.kind == "step":
            c.title = _relative(c.index[0] - model)
    for n in picture.nodes:
        if n.role != "elided" and (title := picture.columns[n.column].title):
            n.text = replace(n.text, sup=f"({title.replace(' ', '')})") if n.named else n.text
    return picture


def _relative(offset: int) -> str:
    return "t" if not offset else f"t {'+' if offset > 0 else '−'} {abs(offset)}"


def _put_beside(circuit: Picture, window: Picture) -> None:
    """Both in one picture: equal quantities stand level, an arrow between them says what is done."""
    states = [n.slot for n in circuit.nodes if n.role == "state"]
    nodes, columns = len(circuit.nodes) + 1, len(circuit.columns) + 1
    slot = states[0] if states else circuit.nodes[0].slot
    circuit.nodes.append(PictureNode(words("Unfold"), "unfold", columns - 1, slot))
    circuit.columns.append(Column("unfold", circuit.columns[0].axis))
    circuit.nodes += [replace(n, column=n.column + columns) for n in window.nodes]
    circuit.columns += window.columns
    circuit.edges += [replace(e, tail=e.tail + nodes, head=e.head + nodes) for e in window.edges]
