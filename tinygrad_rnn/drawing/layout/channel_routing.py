"""How edges run: curves inside a step, and smooth right-angled lines from column to column.

A channel lies between two rows, and one between two columns. A line that leaves its column goes through channels
only, so it never runs behind a node; all edges of one tail share one track until they branch off. The arcs of a
circuit are planned in `delay_arcs` and run by the same rules.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field

from ..picture import Picture
from .boxes import Box

Point = tuple[float, float]
Channel = tuple[str, int]
Net = tuple[str, int, int]
TRACK = 7.0
#: between the tracks of a channel with arcs, so that their squares stand apart
WIDE_TRACK = 17.0


@dataclass(slots=True)
class Route:
    """The way of one edge between columns: where it leaves, by which channel between columns, where it enters."""

    ahead: int  # +1 to the right, -1 to the left, 0 inside one column
    leaves_by_side: bool
    enters_by_side: bool
    channel: int | None
    net: Net
    straight: bool = False
    loop: bool = False  # comes back to the column it leaves
    leave: float = 0.0  # off the middle of the side, in depth
    enter: float = 0.0

    @property
    def entry(self) -> int:
        """The side of the head where the line arrives."""
        return self.ahead if self.loop else -self.ahead


@dataclass(slots=True)
class Routes:
    """All plans, the track of every net in every channel, and how many tracks each has."""

    plans: dict[int, Route] = field(default_factory=dict)
    track: dict[tuple[Channel, Net], int] = field(default_factory=dict)
    tracks: dict[Channel, int] = field(default_factory=dict)
    ports: dict[int, float] = field(default_factory=dict)
    wide: dict[Channel, float] = field(default_factory=dict)

    def spacing(self, key: Channel) -> float:
        """The distance of neighbouring tracks."""
        return self.wide.get(key, TRACK)


def plan_routes(
    picture: Picture,
    boxes: list[Box],
    rows: list[int],
    local: list[float],
    widths: list[float],
    approach: dict[int, float],
    loops: dict[int, Route],
) -> Routes:
    """Decide the way of every edge between columns.

    `local` is each node's place in its rank, `approach` the place of the last bend of edges that have bends, `loops`
    the plans of the arcs of a circuit.
    """
    result = Routes(dict(loops))
    rank = [picture.columns[n.column].rank for n in picture.nodes]
    crossing = [i for i, e in enumerate(picture.edges) if rank[e.tail] != rank[e.head]]
    outermost, occupied = occupancy(picture, rows, local)
    bundled = _bundles(picture, crossing)
    for i in crossing:
        e = picture.edges[i]
        tail, head = picture.nodes[e.tail], picture.nodes[e.head]
        ahead = 1 if rank[e.head] > rank[e.tail] else -1
        low, high = sorted((rank[e.tail], rank[e.head]))
        by_side = outermost[rank[e.tail], rows[e.tail], ahead] == e.tail and not stubbed(tail, ahead)
        enters = (
            outermost[rank[e.head], rows[e.head], -ahead] == e.head
            and not stubbed(head, -ahead)
            and not _any_between(occupied.get(rows[e.head], []), low, high)
        )
        straight = by_side and enters and rows[e.tail] == rows[e.head]
        direct = not by_side and not enters and rows[e.tail] + 1 == rows[e.head]
        channel = None if straight or direct else (rank[e.tail] if ahead > 0 else rank[e.tail] - 1)
        net = ("in", e.head, tail.slot) if (e.head, tail.slot) in bundled else ("out", e.tail, ahead)
        result.plans[i] = Route(ahead, by_side, enters, channel, net, straight)
    _one_at_the_side(picture, rows, result)
    for i in _fans(picture, rows, result):
        e = picture.edges[i]
        result.plans[i] = Route(0, False, False, None, ("fan", e.tail, rows[e.head]))
    _choose_ports(picture, boxes, rows, local, approach, result)
    _assign_tracks(picture, rows, local, widths, result)
    return result


def stubbed(node: object, side: int) -> bool:
    """Whether a tag stands on this side of a node."""
    return any(s.side == side for s in node.stubs)  # type: ignore[attr-defined]


def occupancy(
    picture: Picture, rows: list[int], local: list[float]
) -> tuple[dict[tuple[int, int, int], int], dict[int, list[int]]]:
    """The outermost node of every rank and row on both sides, and the ranks that have something in a row."""
    outermost: dict[tuple[int, int, int], int] = {}
    occupied: dict[int, set[int]] = {}
    for i, n in enumerate(picture.nodes):
        rank = picture.columns[n.column].rank
        occupied.setdefault(rows[i], set()).add(rank)
        for side in (-1, 1):
            key = (rank, rows[i], side)
            if key not in outermost or local[i] * side > local[outermost[key]] * side:
                outermost[key] = i
    return outermost, {r: sorted(c) for r, c in occupied.items()}


def _any_between(columns: list[int], low: int, high: int) -> bool:
    return bisect_left(columns, high) - bisect_right(columns, low) > 0


def _bundles(picture: Picture, crossing: list[int]) -> set[tuple[int, int]]:
    """Heads outside of time that the same quantity of several steps flows into: one line collects them."""
    counts: dict[tuple[int, int], int] = {}
    for i in crossing:
        e = picture.edges[i]
        if picture.columns[picture.nodes[e.head].column].kind in ("after", "between"):
            key = (e.head, picture.nodes[e.tail].slot)
            counts[key] = counts.get(key, 0) + 1
    return {key for key, n in counts.items() if n > 1}


def _one_at_the_side(picture: Picture, rows: list[int], result: Routes) -> None:
    """Of several lines that could enter a node by the same side, the straightest does; the others come from below."""
    rivals: dict[tuple[int, int], dict[Net, list[int]]] = {}
    for i, plan in result.plans.items():
        if plan.enters_by_side:
            rivals.setdefault((picture.edges[i].head, plan.entry), {}).setdefault(plan.net, []).append(i)
    for (head, _), nets in rivals.items():
        if len(nets) < 2:
            continue
        tails = {net: picture.edges[edges[0]].tail for net, edges in nets.items()}
        first = min(nets, key=lambda net: (abs(rows[tails[net]] - rows[head]), picture.nodes[tails[net]].untimed))
        for net, edges in nets.items():
            for i in edges if net != first else ():
                plan = result.plans[i]
                plan.enters_by_side = plan.straight = False
                rank = picture.columns[picture.nodes[picture.edges[i].tail].column].rank
                plan.channel = rank if plan.ahead > 0 else rank - 1


def _fans(picture: Picture, rows: list[int], result: Routes) -> list[int]:
    """Edges from one node to several in the next row: one line that branches leaves room for their labels.

    Two heads do when a line from another step branches below them as well.
    """
    met = {picture.edges[i].head for i, plan in result.plans.items() if not plan.enters_by_side}
    fans: dict[tuple[int, int], list[int]] = {}
    for i, e in enumerate(picture.edges):
        tail, head = (picture.columns[picture.nodes[k].column] for k in (e.tail, e.head))
        inside = tail is head or (tail.rank == head.rank and tail.band < head.band)
        if inside and rows[e.head] == rows[e.tail] + 1 and not e.parallel and not e.delay:
            fans.setdefault((e.tail, rows[e.head]), []).append(i)
    return [
        i
        for edges in fans.values()
        if len(edges) > 2 or (len(edges) == 2 and any(picture.edges[k].head in met for k in edges))
        for i in edges
    ]


def _choose_ports(
    picture: Picture,
    boxes: list[Box],
    rows: list[int],
    local: list[float],
    approach: dict[int, float],
    result: Routes,
) -> None:
    """Lines that enter a node from below get points of their own, in the order of where they come from."""
    entering: dict[int, dict[object, list[int]]] = {}
    origin: dict[object, float] = {}
    for i, e in enumerate(picture.edges):
        plan = result.plans.get(i)
        if plan.enters_by_side if plan else rows[e.tail] >= rows[e.head]:
            continue
        net: object = plan.net if plan else ("edge", i)
        entering.setdefault(e.head, {}).setdefault(net, []).append(i)
        origin[net] = approach.get(i, local[e.tail]) + e.parallel * 0.01
        if plan and plan.ahead:
            origin[net] = plan.entry * (1e6 + (e.label is not None))  # a label wants to stand on the outer side
    for head, nets in entering.items():
        if len(nets) < 2:
            continue
        order = sorted(nets, key=lambda net: origin[net])
        room = min(9.0 if boxes[head].along < 15 else 13.0, 1.5 * boxes[head].along / (len(order) - 1))
        for k, net in enumerate(order):
            for i in nets[net]:
                result.ports[i] = (k - (len(order) - 1) / 2) * room


def _assign_tracks(picture: Picture, rows: list[int], local: list[float], widths: list[float], result: Routes) -> None:
    """Nets that meet in a channel get different tracks; first come, first served, alike in every step."""
    spans: dict[Channel, dict[Net, list[float]]] = {}

    def cover(key: Channel, net: Net, a: float, b: float) -> None:
        span = spans.setdefault(key, {}).setdefault(net, [a, a])
        span[0], span[1] = min(span[0], a, b), max(span[1], a, b)

    def along(i: int, offset: float = 0.0) -> float:
        c = picture.columns[picture.nodes[i].column].rank
        return 2 * c + (local[i] + offset) / max(widths[c], 1.0)

    for i, plan in result.plans.items():
        e = picture.edges[i]
        if plan.straight:
            continue
        leave = 2 * rows[e.tail] + 1 if plan.leaves_by_side else 2 * rows[e.tail] + 2
        enter = 2 * rows[e.head] + 1 if plan.enters_by_side else 2 * rows[e.head]
        end = along(e.head, result.ports.get(i, 0.0))
        if plan.channel is None:
            cover(("row", rows[e.head]), plan.net, along(e.tail), end)
            continue
        middle = 2 * plan.channel + 1.5
        cover(("column", plan.channel), plan.net, leave, enter)
        if not plan.leaves_by_side:
            cover(("row", rows[e.tail] + 1), plan.net, along(e.tail), middle)
        if not plan.enters_by_side:
            cover(("row", rows[e.head]), plan.net, middle, end)
    arcs = {plan.net: plan.ahead for plan in result.plans.values() if plan.loop}
    for key, nets in spans.items():
        if key[0] == "column" and any(net in arcs for net in nets):
            _nest(key, nets, arcs, result)
            continue
        ends: list[float] = []
        order = sorted(nets.items(), key=lambda item: (item[1][0], picture.nodes[item[0][1]].slot, item[0]))
        for net, (low, high) in order:
            track = next((k for k, end in enumerate(ends) if end < low - 1e-9), len(ends))
            if track == len(ends):
                ends.append(high)
            else:
                ends[track] = high
            result.track[key, net] = track
        result.tracks[key] = len(ends)


def _nest(key: Channel, nets: dict[Net, list[float]], arcs: dict[Net, int], result: Routes) -> None:
    """Tracks of a channel with arcs: an arc around another one stands further from its column, other lines between."""
    levels: dict[int, dict[Net, int]] = {-1: {}, 0: {}, 1: {}}
    for net in sorted(nets, key=lambda net: (nets[net][1] - nets[net][0], net)):
        placed, (low, high) = levels[arcs.get(net, 0)], nets[net]
        around = [placed[other] for other in placed if nets[other][0] <= high and low <= nets[other][1]]
        placed[net] = 1 + max(around, default=-1)
    width = {side: 1 + max(nested.values(), default=-1) for side, nested in levels.items()}
    first = {1: 0, 0: width[1], -1: width[1] + width[0]}
    for side, nested in levels.items():
        for net, level in nested.items():
            result.track[key, net] = first[side] + (level if side >= 0 else width[side] - 1 - level)
    result.tracks[key] = sum(width.values())
    result.wide.setdefault(key, WIDE_TRACK)


# -- from words to points ---------------------------------------------------------------------------------------------
@dataclass(slots=True)
class Rails:
    """Where things stand: `at` and `depth` of nodes, and the middle and spacing of every channel."""

    at: list[float]
    depth: list[float]
    row_channel: dict[int, float]
    column_channel: dict[int, float]
    plans: Routes

    def track(self, key: Channel, net: Net) -> float:
        """Coordinate of a net's track."""
        middle = (self.row_channel if key[0] == "row" else self.column_channel)[key[1]]
        return middle + (self.plans.track[key, net] - (self.plans.tracks[key] - 1) / 2) * self.plans.spacing(key)


def corners(
    tail: int, head: int, plan: Route, port: float, boxes: list[Box], rows: list[int], rails: Rails
) -> list[Point]:
    """The right-angled line of an edge between columns."""
    x0, y0, x1, y1 = rails.at[tail], rails.depth[tail], rails.at[head], rails.depth[head]
    side = plan.ahead
    end: list[Point]
    if plan.straight:
        return [(x0 + side * boxes[tail].along, y0), (x1 - side * boxes[head].along, y1)]
    if plan.leaves_by_side:
        level = y0 + plan.leave
        points = [(x0 + side * boxes[tail].reach_along(plan.leave), level)]
    else:
        leave = side * boxes[tail].along * 0.4
        channel = rows[head] if plan.channel is None else rows[tail] + 1
        level = rails.track(("row", channel), plan.net)
        points = [(x0 + leave, y0 + boxes[tail].reach_depth(leave)), (x0 + leave, level)]
    if plan.enters_by_side:
        enter = y1 + plan.enter
        end = [(x1 + plan.entry * boxes[head].reach_along(plan.enter), enter)]
    else:
        enter = rails.track(("row", rows[head]), plan.net)
        bottom = y1 - boxes[head].reach_depth(port)
        end = [(x1 + port, enter), (x1 + port, bottom)]
    if plan.channel is not None:
        across = rails.track(("column", plan.channel), plan.net)
        points += [(across, level), (across, enter)]
    return points + end


def beside(points: list[Point], distance: float) -> list[Point]:
    """The same right-angled line, moved to the right-hand side of the way it goes."""
    moved = []
    count = len(points)
    for k, (x, y) in enumerate(points):
        dx = dy = 0.0
        for a, b in ((k - 1, k), (k, k + 1)):
            if a >= 0 and b < count:
                run, rise = points[b][0] - points[a][0], points[b][1] - points[a][1]
                if abs(run) > abs(rise):
                    dy = -distance if run > 0 else distance
                elif rise:
                    dx = distance if rise > 0 else -distance
        moved.append((x + dx, y + dy))
    return moved


def rounded(points: list[Point], radius: float = 11.0) -> list[Point]:
    """Cubic Bezier points (1 + 3n) of a right-angled line with its corners rounded."""
    points = [
        p for k, p in enumerate(points) if not k or abs(p[0] - points[k - 1][0]) + abs(p[1] - points[k - 1][1]) > 0.01
    ]
    path = [points[0]]
    for k in range(1, len(points) - 1):
        (xa, ya), (x, y), (xb, yb) = points[k - 1], points[k], points[k + 1]
        before, after = abs(x - xa) + abs(y - ya), abs(xb - x) + abs(yb - y)
        r = min(radius, before / 2, after / 2)
        start = (x + (xa - x) / before * r, y + (ya - y) / before * r)
        stop = (x + (xb - x) / after * r, y + (yb - y) / after * r)
        _straight(path, start)
        path += [_towards(start, (x, y), 0.56), _towards(stop, (x, y), 0.56), stop]
    _straight(path, points[-1])
    return path


def _straight(path: list[Point], end: Point) -> None:
    start = path[-1]
    path += [_towards(start, end, 1 / 3), _towards(start, end, 2 / 3), end]


def _towards(a: Point, b: Point, share: float) -> Point:
    return (a[0] + (b[0] - a[0]) * share, a[1] + (b[1] - a[1]) * share)


def curve(
    tail: int,
    head: int,
    boxes: list[Box],
    rails: Rails,
    bends: list[Point],
    shift: float,
    entry: float | None,
    turn_at: float = 0.5,
) -> list[Point]:
    """The curve of an edge inside one column, through its bends; `shift` moves it along time.

    `turn_at` says how high it turns before each bend: a low curve passes below the labels at the heads of others.
    """
    a, b = boxes[tail], boxes[head]
    x0, y0, x1, y1 = rails.at[tail], rails.depth[tail], rails.at[head], rails.depth[head]
    if abs(y1 - y0) < 1.0:
        side = 1 if x1 > x0 else -1
        start, stop = (x0 + side * a.along, y0 + shift), (x1 - side * b.along, y1 + shift)
        return [start, _towards(start, stop, 1 / 3), _towards(start, stop, 2 / 3), stop]
    up = 1 if y1 > y0 else -1
    turn = bends[0][0] if bends else x1
    port = _port(turn - x0, a) + shift
    start = (x0 + port, y0 + up * a.reach_depth(port))
    turn = bends[-1][0] if bends else x0
    port = (_port(turn - x1, b) if entry is None else entry) + shift
    stop = (x1 + port, y1 - up * b.reach_depth(port))
    path = [start]
    for k, (x, y) in enumerate([*((x + shift, y) for x, y in bends), stop]):
        xa, ya = path[-1]
        turn = ya + (y - ya) * (turn_at if k < len(bends) else 0.5)
        path += [(xa, turn), (x, turn), (x, y)]
    return path


def _port(distance: float, box: Box) -> float:
    """Lines that come from the side meet the outline a little on that side."""
    return box.along * 0.62 * distance / (abs(distance) + 45.0)
