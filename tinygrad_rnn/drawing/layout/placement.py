"""Where everything stands: one step is laid out and stamped along the time axis, rows level in all steps.

`lay_out` turns a `Picture` into a `Layout`: final coordinates in points, y downwards, for any writer. Sizes come from
`boxes`, order from `layering`, lines from `channel_routing`; how wide channels are is said here.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ..legend import LegendEntry, place_legend
from ..picture import Picture, Stub
from ..styles import NAME_SIZE, TITLE_SIZE
from ..view.label_text import Text, text_width
from .boxes import STUB_LINK, Box, measure, stub_extent, stub_width
from .cell_arrangement import Cells, arrange_cells
from .channel_routing import TRACK, Net, Point, Rails, Route, Routes, beside, corners, curve, plan_routes, rounded
from .delay_arcs import SQUARE, Square, beside_square, plan_loops, squares, unshared
from .edge_labels import Frame, label_centre, settle, spot_on_curve, spot_on_way
from .rows import RowAssignment, assign_rows

#: from a column to its nearest arc, and beyond the furthest
BESIDE = 17.0
#: beside a label: the arrow's head, and a corner
HEAD = 16.0
#: a label for which no room need be made
SHORT = 14.0


class ChannelWidths:
    """The channels between columns by their number: that after rank 0 is channel 0, that before it is channel -1."""

    def __init__(self, picture: Picture, plans: Routes, labelled: bool) -> None:
        self.plans = plans
        self.beyond: dict[tuple[int, int], float] = {}  # widest label beside the arcs of a channel, by side
        self.wide: dict[int, float] = {}  # widest label on the lines of a channel
        self.into: dict[tuple[int, int], float] = {}  # the same, by the side on which their head is
        for i, plan in plans.plans.items():
            label = picture.edges[i].label
            if label is not None and plan.ahead:
                g = self._channel_of(picture, i, plan)
                width = label.width(NAME_SIZE - 2)
                if plan.loop and unshared(plans.plans, plan):
                    self.beyond[g, plan.ahead] = max(self.beyond.get((g, plan.ahead), 0.0), width + 8)
                else:
                    self.wide[g] = max(self.wide.get(g, 0.0), width)
                    self.into[g, -plan.entry] = max(self.into.get((g, -plan.entry), 0.0), width)
        for kind, g in plans.wide:
            if plans.tracks[kind, g] > 1:
                widest = max((w for (h, _), w in self.beyond.items() if h == g), default=0.0)
                plans.wide[kind, g] = max(plans.wide[kind, g], widest + SQUARE + 2)
        most = max(
            (n for (kind, g), n in plans.tracks.items() if kind == "column" and (kind, g) not in plans.wide), default=0
        )
        self.usual = (28.0 if labelled else 18.0) + TRACK * max(0, most - 1)

    @staticmethod
    def _channel_of(picture: Picture, i: int, plan: Route) -> int:
        """Where the label of an edge stands: in the channel before its head, or after it."""
        rank = picture.columns[picture.nodes[picture.edges[i].head].column].rank
        return plan.channel if plan.loop and plan.channel is not None else rank - 1 if plan.entry < 0 else rank

    def width(self, g: int) -> float:
        """The width of a channel."""
        if ("column", g) in self.plans.wide:
            return max(self.usual, sum(self._sides(g)) + self._tracks(g))
        return self.usual + max(0.0, self.wide.get(g, 0.0) - SHORT)

    def middle(self, g: int) -> float:
        """From the beginning of a channel to the middle of its tracks: arcs stand near their column."""
        if ("column", g) not in self.plans.wide:
            return self.usual / 2
        return self._sides(g)[0] + self._tracks(g) / 2

    def _tracks(self, g: int) -> float:
        return self.plans.spacing(("column", g)) * (self.plans.tracks["column", g] - 1)

    def _sides(self, g: int) -> tuple[float, float]:
        """Room before the first track and after the last: labels of lines that come in, or of arcs beyond them."""
        before, after = (
            max(BESIDE + self.beyond.get((g, side), 0.0), self.into.get((g, side), 0.0) + HEAD) for side in (-1, 1)
        )
        return before, after


PAD = 13.0  # from the outermost box of a step to its frame
MARGIN = 16.0


@dataclass(slots=True)
class Tag:
    """A placed stub: the centre of its box, and the line to its operation."""

    stub: Stub
    x: float
    y: float
    width: float
    link: tuple[float, float, float, float]


@dataclass(slots=True)
class EdgeLine:
    """A placed edge: Bezier points, the label and the label's centre; `angled` if it runs at right angles."""

    edge: int
    points: list[Point]
    label: Text | None = None
    at: Point = (0.0, 0.0)
    backward: bool = False
    angled: bool = False


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
    positions: list[Point]
    tags: list[tuple[int, Tag]]
    lines: list[EdgeLine]
    panels: list[Panel]
    legend: list[LegendEntry]
    width: float = 0.0
    height: float = 0.0
    rows: list[int] = field(default_factory=list)
    squares: list[Square] = field(default_factory=list)


def lay_out(picture: Picture) -> Layout:
    """Give every part of the picture its place."""
    if all(c.kind == "plain" for c in picture.columns):
        # without time the depth itself is what is read from left to right
        picture.direction = {"LR": "TB", "TB": "LR"}[picture.direction]
    boxes = measure(picture)
    rows = assign_rows(picture)
    cells = arrange_cells(picture, boxes, rows, 20.0 if picture.level == "named" else 13.0)
    bends = {i: found for i in range(len(picture.edges)) if (found := cells.bends(i))}
    loops = plan_loops(picture, boxes, rows.of, cells)
    approach = {i: found[-1][0] for i, found in bends.items()}
    plans = plan_routes(picture, boxes, rows.of, cells.local, cells.spans, approach, loops)
    labelled = any(e.label for e in picture.edges)
    depth, below, deepest = _row_depths(picture, boxes, rows, plans.tracks, labelled)
    start, between, length = _rank_starts(picture, cells.spans, plans, labelled)
    at = [start[picture.columns[n.column].rank] + x for n, x in zip(picture.nodes, cells.local, strict=True)]
    rails = Rails(at, [depth[r] for r in rows.of], below, between, plans)

    flat = picture.direction == "TB"
    extent = _cell_extents(picture, boxes, rows, depth)
    framed = PAD + 16 if any(c.kind == "step" and c.title for c in picture.columns) else 0.0
    above = max(0.0, max((top for _, top in extent.values()), default=0.0) + PAD - deepest) if framed else 0.0
    title = TITLE_SIZE + 14 if picture.title else 0.0
    around = framed + above
    drawn = 2 * MARGIN + (deepest + around if flat else length)
    height = 2 * MARGIN + title + (length if flat else deepest + around)
    width = max(drawn, text_width(picture.title, TITLE_SIZE) + 2 * MARGIN) if picture.title else drawn
    legend, width, height = place_legend(picture, MARGIN, width, height)
    left = MARGIN + (width - drawn) / 2  # a narrow drawing stands above the middle of its legend
    frame = Frame(flat, left + (framed if flat else 0), MARGIN + title + (0 if flat else above), deepest)

    ranks = [picture.columns[n.column].rank for n in picture.nodes]
    ways = {i: [(start[ranks[picture.edges[i].tail]] + x, depth[r]) for x, r in found] for i, found in bends.items()}
    marks = squares(picture, boxes, rows.of, rails)
    lines = _lines(picture, boxes, rows.of, rails, ways, marks, frame)
    for square in marks.values():
        square.at = frame(square.at)
    positions = [frame((a, rails.depth[i])) for i, a in enumerate(at)]
    settle(lines, [*map(_outline, positions, boxes), *(square.extent for square in marks.values())])
    tags = _tags(picture, boxes, positions, flat)
    panels = _panels(picture, cells, start, extent, frame)
    return Layout(picture, boxes, positions, tags, lines, panels, legend, width, height, rows.of, list(marks.values()))


def _row_depths(
    picture: Picture, boxes: list[Box], rows: RowAssignment, tracks: dict[tuple[str, int], int], labelled: bool
) -> tuple[dict[int, float], dict[int, float], float]:
    """Centre of every row and of the channel below it."""
    half: dict[int, float] = {}
    between = _between_bands(picture, rows)
    for box, r in zip(boxes, rows.of, strict=True):
        half[r] = max(half.get(r, 0.0), box.depth)
    depth: dict[int, float] = {}
    channel: dict[int, float] = {}
    here = 0.0
    base = 30.0 if labelled else 26.0 if picture.level == "named" else 20.0
    last = max(half, default=0)
    for r in range(last + 1):
        used = tracks.get(("row", r), 0)
        tracks_end = TRACK * max(0, used - 1)
        height = max(base, (36.0 if labelled else 24.0) + tracks_end) + between.get(r, 0.0) if r or used else 0.0
        channel[r] = here + (height * 0.42 if used < 2 and not labelled else 11.0 + tracks_end / 2)
        here += height
        depth[r] = here + half.get(r, 0.0)
        here = depth[r] + half.get(r, 0.0)
    used = tracks.get(("row", last + 1), 0)
    channel[last + 1] = here + 8 + TRACK * used / 2
    return depth, channel, here + (8 + TRACK * used if used else 0.0)


def _between_bands(picture: Picture, rows: RowAssignment) -> dict[int, float]:
    """More room below the rows where another band of a grid or tree begins: for frames, or for branches."""
    room = 2 * PAD + 16 if any(c.kind == "step" and c.title for c in picture.columns) else 18.0
    lowest: dict[int, int] = {}
    for n, r in zip(picture.nodes, rows.of, strict=True):
        column = picture.columns[n.column]
        if column.kind == "step":
            lowest[column.band] = min(lowest.get(column.band, r), r)
    return {r: room for band, r in lowest.items() if band}


def _rank_starts(
    picture: Picture, spans: list[float], plans: Routes, labelled: bool
) -> tuple[list[float], dict[int, float], float]:
    """Where every rank begins, the middle of the channels, and the whole length."""
    channels = ChannelWidths(picture, plans, labelled)
    framed = {c.rank for c in picture.columns if c.kind == "step" and c.title}
    starts: list[float] = []
    middle: dict[int, float] = {}
    here = 0.0
    if ("column", -1) in plans.tracks:
        here = channels.width(-1)
        middle[-1] = channels.middle(-1)
    for rank, width in enumerate(spans):
        pad = PAD if rank in framed else 2.0
        here += pad
        starts.append(here)
        here += width + pad
        middle[rank] = here + channels.middle(rank)
        here += channels.width(rank)
    last = len(spans) - 1
    return starts, middle, here if ("column", last) in plans.tracks else here - channels.width(last)


def _lines(
    picture: Picture,
    boxes: list[Box],
    rows: list[int],
    rails: Rails,
    bends: dict[int, list[Point]],
    marks: dict[Net, Square],
    frame: Frame,
) -> list[EdgeLine]:
    lines: list[EdgeLine] = []
    fans = {plan.net for plan in rails.plans.plans.values()}
    for i, e in enumerate(picture.edges):
        plan = rails.plans.plans.get(i)
        returning = picture.backward and e.differentiable
        if plan is not None:
            way = corners(e.tail, e.head, plan, rails.plans.ports.get(i, 0.0), boxes, rows, rails)
            forward = rounded(beside(way, -3.0) if returning and plan.straight else way)
            back = rounded(beside(way, 3.0 if plan.straight else 6.0)) if returning else []
            spot, direction, side = spot_on_way(
                way, plan.straight, plan.enters_by_side, -plan.entry, _length(e.label, frame.flat)
            )
        else:
            shift = 6.0 * e.parallel - (3.0 if returning else 0.0)
            entry = rails.plans.ports.get(i)
            way = bends.get(i, [])
            tail, head = picture.nodes[e.tail].column, picture.nodes[e.head].column
            branched = ("fan", e.tail, rows[e.tail] + 1) in fans
            turn_at = 0.15 if branched or tail in picture.columns[head].children else 0.5
            forward = curve(e.tail, e.head, boxes, rails, way, shift, entry, turn_at)
            back = curve(e.tail, e.head, boxes, rails, way, shift + 6.0, entry, turn_at) if returning else []
            spot, direction, side = spot_on_curve(forward, entry or 0.0)
        line = EdgeLine(i, [frame(p) for p in forward], angled=plan is not None)
        if e.label is not None:
            line.label, line.at = e.label, label_centre(frame, spot, direction, e.label, side, returning)
            if plan is not None and plan.loop and unshared(rails.plans.plans, plan):
                line.at = frame(beside_square(marks[plan.net], e.label, plan.ahead, frame.flat))
        lines.append(line)
        if returning:
            lines.append(EdgeLine(i, [frame(p) for p in reversed(back)], backward=True))
    return lines


def _outline(centre: Point, box: Box) -> tuple[float, float, float, float]:
    (x, y), share = centre, 0.42 if box.round else 0.5  # the corners around a circle are free
    w, h = box.width * share, box.height * share
    return x - w, y - h, x + w, y + h


def _length(label: Text | None, flat: bool) -> float:
    """How far a label reaches along time."""
    return 0.0 if label is None else 11.0 if flat else label.width(NAME_SIZE - 2)


def _tags(picture: Picture, boxes: list[Box], positions: list[Point], flat: bool) -> list[tuple[int, Tag]]:
    tags: list[tuple[int, Tag]] = []
    for i, n in enumerate(picture.nodes):
        x, y = positions[i]
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


def _cell_extents(
    picture: Picture, boxes: list[Box], rows: RowAssignment, depth: dict[int, float]
) -> dict[tuple[int, int], tuple[float, float]]:
    """From where to where the steps of every axis and band reach in depth: frames of one axis are of one size."""
    extent: dict[tuple[int, int], tuple[float, float]] = {}
    for n, box, r in zip(picture.nodes, boxes, rows.of, strict=True):
        column = picture.columns[n.column]
        if column.kind == "step":
            low, high = extent.get((column.axis, column.band), (depth[r], depth[r]))
            extent[column.axis, column.band] = min(low, depth[r] - box.depth), max(high, depth[r] + box.depth)
    return extent


def _panels(
    picture: Picture, cells: Cells, start: list[float], extent: dict[tuple[int, int], tuple[float, float]], frame: Frame
) -> list[Panel]:
    panels = []
    banded = any(c.band for c in picture.columns)
    for c, column in enumerate(picture.columns):
        if column.kind != "step" or not column.title:
            continue
        a, b = start[column.rank] - PAD, start[column.rank] + cells.spans[column.rank] + PAD
        low, high = extent[column.axis, column.band]
        (xa, ya), (xb, yb) = frame((a, low - PAD if banded else -PAD)), frame((b, high + PAD))
        x, y, right, bottom = min(xa, xb), min(ya, yb), max(xa, xb), max(ya, yb)
        if frame.flat:
            x -= 16
        else:
            bottom += 16
        panels.append(Panel(c, column.title, x, y, right - x, bottom - y))
    return panels
