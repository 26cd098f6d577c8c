"""The recurrent arcs of a circuit: on which side they run, and where the black square of the delay stands.

An arc leaves its node, goes up or down in the channel beside the column and comes back into it. In the unfolded picture
it would come from the left, so on the left it runs, unless that crosses more lines; one that comes from the step after
runs on the right.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from ..picture import Picture
from ..styles import NAME_SIZE
from ..view.label_text import Text
from .boxes import Box
from .cell_arrangement import Cells
from .channel_routing import Net, Point, Rails, Route, occupancy, stubbed

SQUARE = 10.0
LABELLED_SQUARE = 14.0
#: squares nearer than this look like one sign
CLOSE = 24.0


@dataclass(slots=True)
class Square:
    """A delay of so many steps: black; white for what comes from steps after. `at` is its centre."""

    delay: int
    at: Point

    @property
    def size(self) -> float:
        return SQUARE if abs(self.delay) == 1 else LABELLED_SQUARE

    @property
    def extent(self) -> tuple[float, float, float, float]:
        half = self.size / 2
        return self.at[0] - half, self.at[1] - half, self.at[0] + half, self.at[1] + half

    @property
    def text(self) -> str:
        return "" if abs(self.delay) == 1 else str(abs(self.delay))


def plan_loops(picture: Picture, boxes: list[Box], rows: list[int], cells: Cells) -> dict[int, Route]:
    """The plan of every edge with a delay; edges of one tail and delay that go up, or do not, share arc and square."""
    nets: dict[Net, list[int]] = {}
    for i, e in enumerate(picture.edges):
        if e.delay:
            nets.setdefault(("loop", e.tail, 2 * e.delay + (rows[e.head] > rows[e.tail])), []).append(i)
    if not nets:
        return {}
    lines = _Lines(picture, rows, cells)
    plans: dict[int, Route] = {}
    for net, edges in nets.items():
        usual = -1 if picture.edges[edges[0]].delay > 0 else 1
        side = min((usual, -usual), key=lambda s: lines.crossed(net[1], [picture.edges[i].head for i in edges], s))
        tail = net[1]
        rank = picture.columns[picture.nodes[tail].column].rank
        channel = rank if side > 0 else rank - 1
        for i in edges:
            enters = lines.free(picture.edges[i].head, side)
            plans[i] = Route(side, lines.free(tail, side), enters, channel, net, loop=True)
    _keep_apart(picture, boxes, plans)
    return plans


def _keep_apart(picture: Picture, boxes: list[Box], plans: dict[int, Route]) -> None:
    """Where one arc leaves and one comes in on the same side of a node, they do so above and below its middle."""
    leaving = {(picture.edges[i].tail, plan.ahead) for i, plan in plans.items() if plan.leaves_by_side}
    entering = {(picture.edges[i].head, plan.entry) for i, plan in plans.items() if plan.enters_by_side}
    for i, plan in plans.items():
        e = picture.edges[i]
        if plan.leaves_by_side and (e.tail, plan.ahead) in entering:
            plan.leave = 0.6 * boxes[e.tail].depth
        if plan.enters_by_side and (e.head, plan.entry) in leaving:
            plan.enter = -0.6 * boxes[e.head].depth


class _Lines:
    """What an arc would cross on its way to the channel."""

    def __init__(self, picture: Picture, rows: list[int], cells: Cells) -> None:
        self.picture, self.rows, self.local = picture, rows, cells.local
        self.outermost, _ = occupancy(picture, rows, cells.local)
        self.passing: dict[tuple[int, int], list[float]] = {}  # by column and row: the edges that pass this row
        self.rising: dict[tuple[int, int], list[float]] = {}  # by column and row: the edges that come from below it
        for i, e in enumerate(picture.edges):
            column = picture.nodes[e.tail].column
            if column != picture.nodes[e.head].column or e.delay:
                continue
            bends = [(row, x) for x, row in cells.bends(i)]
            for row, x in bends:
                self.passing.setdefault((column, row), []).append(x)
            ends = [(rows[e.tail], cells.local[e.tail]), *bends, (rows[e.head], cells.local[e.head])]
            for (a, xa), (b, xb) in pairwise(ends):
                self.rising.setdefault((column, max(a, b)), []).append((xa + xb) / 2)

    def free(self, node: int, side: int) -> bool:
        """Whether a line can meet the node from this side."""
        n = self.picture.nodes[node]
        rank = self.picture.columns[n.column].rank
        return self.outermost[rank, self.rows[node], side] == node and not stubbed(n, side)

    def crossed(self, tail: int, heads: list[int], side: int) -> int:
        """How many lines an arc on this side crosses."""
        total = self._beyond(self.passing, tail, side) if self.free(tail, side) else 3
        for head in heads:
            by_side = self.free(head, side)
            total += self._beyond(self.passing if by_side else self.rising, head, side)
        return total

    def _beyond(self, lines: dict[tuple[int, int], list[float]], node: int, side: int) -> int:
        at = lines.get((self.picture.nodes[node].column, self.rows[node]), ())
        return sum((x - self.local[node]) * side > 0.5 for x in at)


def squares(picture: Picture, boxes: list[Box], rows: list[int], rails: Rails) -> dict[Net, Square]:
    """The square of every arc, on the part that all its edges share, and not beside another square."""
    ways: dict[Net, tuple[float, float, float, int]] = {}
    for i, plan in rails.plans.plans.items():
        if not plan.loop or plan.channel is None:
            continue
        e = picture.edges[i]
        x = rails.track(("column", plan.channel), plan.net)
        leave = rails.depth[e.tail] + plan.leave
        if not plan.leaves_by_side:
            leave = rails.track(("row", rows[e.tail] + 1), plan.net)
        enter = rails.depth[e.head] + plan.enter
        if not plan.enters_by_side:
            enter = rails.track(("row", rows[e.head]), plan.net)
        known = ways.get(plan.net)
        if known is None or abs(enter - leave) < abs(known[2] - leave):
            ways[plan.net] = (x, leave, enter, e.delay)
    placed: dict[Net, Square] = {}
    for net, (x, leave, enter, delay) in sorted(ways.items(), key=lambda item: abs(item[1][2] - item[1][1])):
        spots = [leave + (enter - leave) * share for share in (0.5, 0.3, 0.7)]
        free = (y for y in spots if all(max(abs(y - s.at[1]), abs(x - s.at[0])) > CLOSE for s in placed.values()))
        placed[net] = Square(delay, (x, next(free, spots[0])))
    return placed


def unshared(plans: dict[int, Route], plan: Route) -> bool:
    """Whether an arc has one edge only, whose label can stand beside the square."""
    return sum(other.net == plan.net for other in plans.values()) == 1


def beside_square(square: Square, label: Text, side: int, flat: bool) -> Point:
    """Where the label of an arc stands: outside of it, level with the square."""
    half = 6.0 if flat else label.width(NAME_SIZE - 2) / 2
    return square.at[0] + side * (square.size / 2 + 4 + half), square.at[1]
