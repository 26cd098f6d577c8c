"""Graphical models of a sequence y without inputs: every value upon all before, or upon a state that carries them.

The two pictures of documents 000 and 004, section 2.5.1. They show what depends on what, not what is computed, so no
graph stands behind them.
"""

from __future__ import annotations

from ..core.errors import GraphError
from .layout.boxes import measure
from .layout.placement import EdgeLine, Layout, Point
from .legend import place_legend
from .picture import Column, Edge, Picture, PictureNode
from .view.label_text import Text, words

MARGIN, APART, ROW = 16.0, 78.0, 92.0
#: more values than this are a tangle
MOST = 12


def graphical_layout(T: int, states: bool, title: str | None) -> Layout:
    """The placed picture; see `tinygrad_rnn.drawing.graphical_model`."""
    if not 2 <= T <= MOST:
        raise GraphError(f"graphical_model: T={T}; from 2 to {MOST} values can be told apart")
    steps = [f"({t})" for t in range(1, T + 1)] + ["(…)"]
    y = [Text("y", sup=step) for step in steps]
    nodes = [PictureNode(text, "output", 0, k, tooltip="observed value") for k, text in enumerate(y)]
    if states:
        nodes += [
            PictureNode(Text("s", sup=step), "state", 0, T + 1 + k, tooltip="state") for k, step in enumerate(steps)
        ]
    edges = _with_states(T + 1) if states else [Edge(i, j) for j in range(T + 1) for i in range(j)]
    arrows = f"{3 * T - 1} arrows for {T} values, and one more value adds 3"
    if not states:
        arrows = f"{T * (T - 1) // 2} arrows for {T} values, and one more value adds {T}"
    picture = Picture(nodes, edges, [Column("plain", 0)], [], "named", "LR", title=title, note=words(arrows))
    boxes = measure(picture)
    radius = boxes[0].width / 2
    head = 31.0 if title else 0.0
    high = 0.0 if states else 22.0 * T**0.9 + 12
    top = MARGIN + head + high + radius
    positions = [(MARGIN + radius + APART * k, top) for k in range(T + 1)]
    if states:
        positions += [(x, top + ROW) for x, _ in positions]
    lines = [EdgeLine(i, _arrow(positions, e, radius, T + 1, states)) for i, e in enumerate(edges)]
    width = positions[T][0] + radius + MARGIN
    height = positions[-1][1] + radius + MARGIN
    legend, wide, height = place_legend(picture, MARGIN, width, height)
    shift = (wide - width) / 2
    positions = [(x + shift, y) for x, y in positions]
    for line in lines:
        line.points = [(x + shift, y) for x, y in line.points]
    return Layout(picture, boxes, positions, [], lines, [], legend, wide, height)


def _with_states(count: int) -> list[Edge]:
    """s(t) to s(t+1), s(t) to y(t), y(t) to s(t+1)."""
    edges = []
    for t in range(count):
        edges.append(Edge(count + t, t))
        if t:
            edges += [Edge(count + t - 1, count + t), Edge(t - 1, count + t)]
    return edges


def _arrow(positions: list[Point], e: Edge, radius: float, count: int, states: bool) -> list[Point]:
    """A straight arrow between neighbours; otherwise an arc above, the higher the further it reaches."""
    (xa, ya), (xb, yb) = positions[e.tail], positions[e.head]
    far = e.head - e.tail
    if states or far == 1:
        length = ((xb - xa) ** 2 + (yb - ya) ** 2) ** 0.5
        ux, uy = (xb - xa) / length, (yb - ya) / length
        a, b = (xa + ux * radius, ya + uy * radius), (xb - ux * (radius + 1), yb - uy * (radius + 1))
        return [a, _between(a, b, 1 / 3), _between(a, b, 2 / 3), b]
    # the longest arc leaves a node nearest to its middle, and comes in nearest to the middle of the other
    out = radius * (0.15 + 0.6 * (1 - (far - 2) / max(count - 3, 1)))
    rise = 29.0 * (far - 1) ** 0.9 + 14
    a = (xa + out, ya - (radius**2 - out**2) ** 0.5)
    b = (xb - out, yb - (radius**2 - out**2) ** 0.5 - 1)
    return [a, (a[0] + out, a[1] - rise), (b[0] - out, b[1] - rise), b]


def _between(a: Point, b: Point, share: float) -> Point:
    return a[0] + (b[0] - a[0]) * share, a[1] + (b[1] - a[1]) * share
