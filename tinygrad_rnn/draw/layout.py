"""Where everything stands: one step is laid out and stamped along the time axis, rows level in all steps.

`lay_out` turns a `Picture` into a `Layout`: final coordinates in points, y downwards, for any writer. Sizes come from
`boxes`, order from `layers`, lines from `routes`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from .boxes import STUB_LINK, Box, measure, stub_extent, stub_width
from .labels import Text, text_width
from .layers import Arrangement, Item, Pair, arrange
from .legend import Entry, place_legend
from .picture import Picture, Stub
from .routes import TRACK, Point, Rails, bends_of, beside, corners, curve, plan_routes, rounded
from .rows import assign_rows
from .styles import NAME_SIZE

PAD = 13.0  # from the outermost box of a step to its frame
MARGIN = 16.0
TITLE_SIZE = 17.0


@dataclass(slots=True)
class Tag:
    """A placed stub: the centre of its box, and the line to its operation."""

    stub: Stub
    x: float
    y: float
    width: float
    link: tuple[float, float, float, float]


@dataclass(slots=True)
class Line:
    """A placed edge: Bezier points, the label and the label's centre."""

    edge: int
    points: list[Point]
    label: Text | None = None
    at: Point = (0.0, 0.0)
    backward: bool = False


@dataclass(slots=True)
class Panel:
    """The frame around one step."""

    column: int
    title: str
    x: float
    y: float
    width: float
    height: float


@dataclass(slots=True)
class Layout:
    """A picture with positions."""

    picture: Picture
    boxes: list[Box]
    places: list[Point]
    tags: list[tuple[int, Tag]]
    lines: list[Line]
    panels: list[Panel]
    legend: list[Entry]
    width: float = 0.0
    height: float = 0.0
    rows: list[int] = field(default_factory=list)


@dataclass(slots=True)
class Frame:
    """Turns (along, depth) into (x, y): time to the right, depth upwards; or time downwards, depth to the right."""

    flat: bool
    left: float
    top: float
    deepest: float

    def __call__(self, point: Point) -> Point:
        along, depth = point
        if self.flat:
            return (self.left + depth, self.top + along)
        return (self.left + along, self.top + self.deepest - depth)


def lay_out(picture: Picture) -> Layout:
    """Give every part of the picture its place."""
    if all(c.kind == "plain" for c in picture.columns):
        # without time the depth itself is what is read from left to right
        picture.direction = {"LR": "TB", "TB": "LR"}[picture.direction]
    boxes = measure(picture)
    rows = assign_rows(picture)
    named = picture.level == "named"
    gap = 20.0 if named else 13.0
    arrangements, item_of = _arrange_columns(picture, boxes, rows, gap)
    local, spans = _local_places(picture, boxes, arrangements, item_of)
    approach: dict[int, float] = {}
    for i, e in enumerate(picture.edges):
        (key, tail), (other, head) = item_of[e.tail], item_of[e.head]
        if key == other and (bends := bends_of(arrangements[key], (tail, head))):
            approach[i] = local[e.tail] - arrangements[key].at[tail] + bends[-1][1]
    plans = plan_routes(picture, boxes, rows, local, [after - before for before, after in spans], approach)
    labelled = any(e.label for e in picture.edges)
    depth, channel, deepest = _row_depths(picture, boxes, rows, plans.tracks, labelled)
    start, gutter, length = _column_starts(picture, spans, plans.tracks, labelled)
    at = [start[n.column] + x for n, x in zip(picture.nodes, local, strict=True)]
    rails = Rails(at, [depth[r] for r in rows], channel, gutter, plans)

    flat = picture.direction == "TB"
    tops = _panel_tops(picture, boxes, rows, depth)
    framed = PAD + 16 if any(c.kind == "step" for c in picture.columns) else 0.0
    above = max(0.0, max(tops.values(), default=0.0) + PAD - deepest)
    title = TITLE_SIZE + 14 if picture.title else 0.0
    frame = Frame(flat, MARGIN + (framed if flat else 0), MARGIN + title + (0 if flat else above), deepest)
    lines = _lines(picture, boxes, rows, rails, arrangements, item_of, frame, depth)
    places = [frame((a, rails.depth[i])) for i, a in enumerate(at)]
    tags = _tags(picture, boxes, places, flat)
    panels = _panels(picture, start, spans, tops, frame)
    span = (deepest, length) if flat else (length, deepest)
    width = span[0] + 2 * MARGIN + (framed + above if flat else 0)
    height = span[1] + 2 * MARGIN + title + (0 if flat else framed + above)
    if picture.title:
        width = max(width, text_width(picture.title, TITLE_SIZE) + 2 * MARGIN)
    legend, width, height = place_legend(picture, MARGIN, width, height)
    return Layout(picture, boxes, places, tags, lines, panels, legend, width, height, rows)


def _arrange_columns(
    picture: Picture, boxes: list[Box], rows: list[int], gap: float
) -> tuple[dict[object, Arrangement], list[tuple[object, int]]]:
    """Steps of one lane share one arrangement of slots; every other column has its own."""
    members: dict[object, dict[int, int]] = {}
    items: dict[object, list[Item]] = {}
    item_of: list[tuple[object, int]] = []
    for i, n in enumerate(picture.nodes):
        column = picture.columns[n.column]
        key: object = ("lane", column.lane) if column.kind == "step" else ("column", n.column)
        index = members.setdefault(key, {})
        identity = n.slot if column.kind in ("step", "gap") else -i - 1
        if identity not in index:
            index[identity] = len(index)
            items.setdefault(key, []).append(Item(boxes[i].before, boxes[i].after, rows[i]))
        item = items[key][index[identity]]
        item.left, item.right = max(item.left, boxes[i].before), max(item.right, boxes[i].after)
        item_of.append((key, index[identity]))
    edges: dict[object, dict[Pair, None]] = {}
    for e in picture.edges:
        (a, i), (b, j) = item_of[e.tail], item_of[e.head]
        tail, head = picture.nodes[e.tail], picture.nodes[e.head]
        if tail.column == head.column:
            edges.setdefault(a, {})[i, j] = None
        else:
            ahead = 1 if head.column > tail.column else -1
            items[a][i].pull = items[a][i].pull or ahead
            items[b][j].pull = items[b][j].pull or -ahead
    return {key: arrange(found, list(edges.get(key, ())), gap) for key, found in items.items()}, item_of


def _local_places(
    picture: Picture, boxes: list[Box], arrangements: dict[object, Arrangement], item_of: list[tuple[object, int]]
) -> tuple[list[float], list[tuple[float, float]]]:
    """Each node's place in its column, and how far every column reaches; equal steps reach equally far."""
    local = [arrangements[key].at[item] for key, item in item_of]
    reach: dict[object, list[float]] = {}
    for (key, _), x, box in zip(item_of, local, boxes, strict=True):
        span = reach.setdefault(key, [x - box.before, x + box.after])
        span[0], span[1] = min(span[0], x - box.before), max(span[1], x + box.after)
    for key, arrangement in arrangements.items():
        for bends in arrangement.bends.values():
            for _, x in bends:
                reach[key][0], reach[key][1] = min(reach[key][0], x - 4), max(reach[key][1], x + 4)
    spans = [(0.0, 0.0)] * len(picture.columns)
    for n, (key, _) in zip(picture.nodes, item_of, strict=True):
        spans[n.column] = (reach[key][0], reach[key][1])
    return [x - spans[n.column][0] for n, x in zip(picture.nodes, local, strict=True)], [
        (0.0, after - before) for before, after in spans
    ]


def _row_depths(
    picture: Picture, boxes: list[Box], rows: list[int], tracks: dict[tuple[str, int], int], labelled: bool
) -> tuple[dict[int, float], dict[int, float], float]:
    """Centre of every row and of the channel below it."""
    half: dict[int, float] = {}
    for box, r in zip(boxes, rows, strict=True):
        half[r] = max(half.get(r, 0.0), box.depth)
    depth: dict[int, float] = {}
    channel: dict[int, float] = {}
    here = 0.0
    base = 30.0 if labelled else 26.0 if picture.level == "named" else 20.0
    last = max(half, default=0)
    for r in range(last + 1):
        used = tracks.get(("channel", r), 0)
        tracks_end = TRACK * max(0, used - 1)
        height = max(base, (36.0 if labelled else 24.0) + tracks_end) if r or used else 0.0
        channel[r] = here + (height * 0.42 if used < 2 and not labelled else 11.0 + tracks_end / 2)
        here += height
        depth[r] = here + half.get(r, 0.0)
        here = depth[r] + half.get(r, 0.0)
    used = tracks.get(("channel", last + 1), 0)
    channel[last + 1] = here + 8 + TRACK * used / 2
    return depth, channel, here + (8 + TRACK * used if used else 0.0)


def _column_starts(
    picture: Picture, spans: list[tuple[float, float]], tracks: dict[tuple[str, int], int], labelled: bool
) -> tuple[list[float], dict[int, float], float]:
    """Where every column begins, the middle of the gutters, and the whole length."""
    most = max((n for (kind, _), n in tracks.items() if kind == "gutter"), default=0)
    room = (28.0 if labelled else 18.0) + TRACK * max(0, most - 1)

    def pad(column: int) -> float:
        return PAD if 0 <= column < len(spans) and picture.columns[column].kind == "step" else 2.0

    starts: list[float] = []
    gutter: dict[int, float] = {}
    here = 0.0
    if ("gutter", -1) in tracks:
        gutter[-1] = room / 2
        here = room
    for c, (_, width) in enumerate(spans):
        here += pad(c)
        starts.append(here)
        here += width + pad(c)
        gutter[c] = here + room / 2
        here += room
    length = here if ("gutter", len(spans) - 1) in tracks else here - room
    return starts, gutter, length


def _lines(
    picture: Picture,
    boxes: list[Box],
    rows: list[int],
    rails: Rails,
    arrangements: dict[object, Arrangement],
    item_of: list[tuple[object, int]],
    frame: Frame,
    depth: dict[int, float],
) -> list[Line]:
    lines: list[Line] = []
    for i, e in enumerate(picture.edges):
        plan = rails.plans.plans.get(i)
        returning = picture.backward and e.differentiable
        if plan is not None:
            way = corners(e.tail, e.head, plan, rails.plans.ports.get(i, 0.0), boxes, rows, rails)
            forward = rounded(beside(way, -3.0) if returning and plan.straight else way)
            back = rounded(beside(way, 3.0 if plan.straight else 6.0)) if returning else []
            spot, direction, side = _spot_on_way(way, plan.straight, plan.enters_by_side, plan.ahead)
        else:
            key, tail = item_of[e.tail]
            origin = rails.at[e.tail] - arrangements[key].at[tail]
            bends = [(origin + x, depth[r]) for r, x in bends_of(arrangements[key], (tail, item_of[e.head][1]))]
            shift = 6.0 * e.lane - (3.0 if returning else 0.0)
            entry = rails.plans.ports.get(i)
            forward = curve(e.tail, e.head, boxes, rails, bends, shift, entry)
            back = curve(e.tail, e.head, boxes, rails, bends, shift + 6.0, entry) if returning else []
            spot, direction, side = _spot_on_curve(forward, entry or 0.0)
        line = Line(i, [frame(p) for p in forward])
        if e.label is not None:
            line.label, line.at = e.label, _label_centre(frame, spot, direction, e.label, side, returning)
        lines.append(line)
        if returning:
            lines.append(Line(i, [frame(p) for p in reversed(back)], backward=True))
    return lines


def _spot_on_way(way: list[Point], straight: bool, by_side: bool, ahead: int) -> tuple[Point, Point, int]:
    """Where the letter of an edge between columns stands: beside its last piece. Point, direction, side."""
    (xa, ya), (xb, yb) = way[-2], way[-1]
    if straight:
        return ((xa + xb) / 2, (ya + yb) / 2), (xb - xa, 0.0), 0
    if by_side:
        return (xb - ahead * 15, yb), (float(ahead), 0.0), 0
    return (xb, max((ya + yb) / 2, yb - 15)), (0.0, 1.0), -ahead or 1


def _spot_on_curve(path: list[Point], port: float) -> tuple[Point, Point, int]:
    """Where the letter of an edge inside a step stands: on the outer side of its last piece. Point, direction, side."""
    p, q, r, s = path[-4:]
    spot = ((p[0] + 3 * q[0] + 3 * r[0] + s[0]) / 8, (p[1] + 3 * q[1] + 3 * r[1] + s[1]) / 8)
    direction = (s[0] + r[0] - q[0] - p[0], s[1] + r[1] - q[1] - p[1])
    return spot, direction, (1 if port > 0 else -1) if port else 1 if s[0] >= p[0] - 1 else -1


def _label_centre(frame: Frame, spot: Point, direction: Point, label: Text, side: int, returning: bool) -> Point:
    """Off the edge at right angles, just far enough; the gradient's line, to the right of the edge, is kept free."""
    (x, y), (xb, yb) = frame(spot), frame((spot[0] + direction[0], spot[1] + direction[1]))
    length = math.hypot(xb - x, yb - y) or 1.0
    nx, ny = -(yb - y) / length, (xb - x) / length
    towards = (nx if frame.flat else -ny) if side == 0 else (ny if frame.flat else nx) * side
    if towards < 0:
        nx, ny = -nx, -ny
    far = abs(nx) * label.width(NAME_SIZE - 2) / 2 + abs(ny) * 5.5 + 4.0 + (6.0 if returning and side > 0 else 0.0)
    return x + nx * far, y + ny * far


def _tags(picture: Picture, boxes: list[Box], places: list[Point], flat: bool) -> list[tuple[int, Tag]]:
    tags: list[tuple[int, Tag]] = []
    for i, n in enumerate(picture.nodes):
        x, y = places[i]
        reach = {-1: boxes[i].along, 1: boxes[i].along}
        for stub in reversed(n.stubs) if len(n.stubs) > 1 else n.stubs:
            near = reach[stub.side]
            extent = stub_extent(stub, flat)
            centre = stub.side * (near + STUB_LINK + extent / 2)
            ends = stub.side * near, stub.side * (near + STUB_LINK)
            if flat:
                tag = Tag(stub, x, y + centre, stub_width(stub), (x, y + ends[1], x, y + ends[0]))
            else:
                tag = Tag(stub, x + centre, y, stub_width(stub), (x + ends[1], y, x + ends[0], y))
            tags.append((i, tag))
            reach[stub.side] = near + STUB_LINK + extent
    return tags


def _panel_tops(picture: Picture, boxes: list[Box], rows: list[int], depth: dict[int, float]) -> dict[int, float]:
    """How deep the steps of every lane reach: frames of one lane are of one size."""
    tops: dict[int, float] = {}
    for n, box, r in zip(picture.nodes, boxes, rows, strict=True):
        column = picture.columns[n.column]
        if column.kind == "step":
            tops[column.lane] = max(tops.get(column.lane, 0.0), depth[r] + box.depth)
    return tops


def _panels(
    picture: Picture, start: list[float], spans: list[tuple[float, float]], tops: dict[int, float], frame: Frame
) -> list[Panel]:
    panels = []
    for c, column in enumerate(picture.columns):
        if column.kind != "step":
            continue
        a, b = start[c] - PAD, start[c] + spans[c][1] + PAD
        (xa, ya), (xb, yb) = frame((a, -PAD)), frame((b, tops[column.lane] + PAD))
        x, y, right, bottom = min(xa, xb), min(ya, yb), max(xa, xb), max(ya, yb)
        if frame.flat:
            x -= 16
        else:
            bottom += 16
        panels.append(Panel(c, column.title, x, y, right - x, bottom - y))
    return panels
