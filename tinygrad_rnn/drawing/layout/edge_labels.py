"""The two axes of the layout on the page, and where the labels of edges stand on it.

Only `Frame`, and `boxes`, know which way time runs. A label stands beside its line, just far enough, on the side where
nothing else is.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

from ..styles import NAME_SIZE
from ..view.label_text import Text
from .channel_routing import Point


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


def spot_on_way(way: list[Point], straight: bool, by_side: bool, ahead: int, length: float) -> tuple[Point, Point, int]:
    """Where the label of an edge between columns stands: beside its last piece. Point, direction, side."""
    (xa, ya), (xb, yb) = way[-2], way[-1]
    if straight:
        return ((xa + xb) / 2, (ya + yb) / 2), (xb - xa, 0.0), 0
    if by_side:
        return (xb - ahead * max(15.0, length / 2 + 3), yb), (float(ahead), 0.0), 0
    return (xb, max((ya + yb) / 2, yb - 15)), (0.0, 1.0), -ahead or 1


def spot_on_curve(path: list[Point], port: float) -> tuple[Point, Point, int]:
    """Where the label of an edge inside a step stands: on the outer side of its last piece. Point, direction, side."""
    p, q, r, s = path[-4:]
    spot = ((p[0] + 3 * q[0] + 3 * r[0] + s[0]) / 8, (p[1] + 3 * q[1] + 3 * r[1] + s[1]) / 8)
    direction = (s[0] + r[0] - q[0] - p[0], s[1] + r[1] - q[1] - p[1])
    return spot, direction, (1 if port > 0 else -1) if port else 1 if s[0] >= p[0] - 1 else -1


def label_centre(frame: Frame, spot: Point, direction: Point, label: Text, side: int, returning: bool) -> Point:
    """Off the edge at right angles, just far enough; the gradient's line, to the right of the edge, is kept free."""
    (x, y), (xb, yb) = frame(spot), frame((spot[0] + direction[0], spot[1] + direction[1]))
    length = math.hypot(xb - x, yb - y) or 1.0
    nx, ny = -(yb - y) / length, (xb - x) / length
    towards = (nx if frame.flat else -ny) if side == 0 else (ny if frame.flat else nx) * side
    if towards < 0:
        nx, ny = -nx, -ny
    far = abs(nx) * label.width(NAME_SIZE - 2) / 2 + abs(ny) * 5.5 + 4.0 + (6.0 if returning and side > 0 else 0.0)
    return x + nx * far, y + ny * far


class Labelled(Protocol):
    """A line with a label, as `placement.EdgeLine` is."""

    points: list[Point]
    label: Text | None
    at: Point
    angled: bool


Rectangle = tuple[float, float, float, float]
#: with more labels than this nobody reads them all
MANY = 4000
#: where else along its line a label may stand: near the head, for lines of one tail run together at first
SHARES = (0.5, 0.6, 0.7, 0.8, 0.42, 0.95)
CELL = 32.0
#: half as wide, words rather than a label: they may stand further back on their line
WIDE = 16.0
#: covering a node or a label is worse than standing on a line
COVERED = 20


def settle(lines: Iterable[Labelled], solid: Iterable[Rectangle]) -> None:
    """Move labels that stand on a line, a node or another label along their own line to where they do not."""
    lines = list(lines)
    labelled = [line for line in lines if line.label is not None]
    if not labelled or len(labelled) > MANY:
        return
    page = _Page()
    for number, line in enumerate(lines):
        for x, y in _samples(line.points, 6.0):
            page.add((x, y, x, y), number)
    for rectangle in solid:
        page.add(rectangle)
    for line in labelled:
        page.add(_extent(line.label, line.at))
    for line in labelled:
        own = _extent(line.label, line.at)
        page.remove(own)
        if page.met(own):
            line.at = min(_elsewhere(line), key=lambda at: page.met(_extent(line.label, at)))
        page.add(_extent(line.label, line.at))


class _Page:
    """What stands where, in cells of a coarse grid."""

    def __init__(self) -> None:
        self.cells: dict[tuple[int, int], list[tuple[Rectangle, int]]] = {}

    def _cells(self, r: Rectangle) -> Iterator[tuple[int, int]]:
        for i in range(int(r[0] // CELL), int(r[2] // CELL) + 1):
            for j in range(int(r[1] // CELL), int(r[3] // CELL) + 1):
                yield i, j

    def add(self, r: Rectangle, line: int = -1) -> None:
        """Something solid, or a point of a line."""
        for cell in self._cells(r):
            self.cells.setdefault(cell, []).append((r, line))

    def remove(self, r: Rectangle) -> None:
        for cell in self._cells(r):
            self.cells[cell].remove((r, -1))

    def met(self, r: Rectangle) -> int:
        """How much this rectangle would cover."""
        near = {item for cell in self._cells(r) for item in self.cells.get(cell, ())}
        met = [line for o, line in near if r[0] < o[2] and o[0] < r[2] and r[1] < o[3] and o[1] < r[3]]
        return COVERED * met.count(-1) + len({*met} - {-1})


def _extent(label: Text | None, at: Point) -> Rectangle:
    half = label.width(NAME_SIZE - 2) / 2 + 2.0 if label else 0.0
    return at[0] - half, at[1] - 4.5, at[0] + half, at[1] + 4.5


def _elsewhere(line: Labelled) -> Iterator[Point]:
    """The place it has, then places on both sides of its line."""
    yield line.at
    half = line.label.width(NAME_SIZE - 2) / 2 if line.label else 0.0
    pieces = [line.points[-4:], line.points[-10:-6]] if line.angled else [line.points]
    for piece in pieces if half > WIDE else pieces[:1]:
        yield from _beside(list(_samples(piece, 2.0)), half)


def _beside(points: list[Point], half: float) -> Iterator[Point]:
    for share in SHARES if points else ():
        k = min(max(1, int(share * (len(points) - 1))), len(points) - 2) if len(points) > 2 else 0
        (xa, ya), (x, y), (xb, yb) = points[max(0, k - 1)], points[k], points[min(len(points) - 1, k + 1)]
        length = math.hypot(xb - xa, yb - ya) or 1.0
        nx, ny = -(yb - ya) / length, (xb - xa) / length
        far = abs(nx) * half + abs(ny) * 5.5 + 4.0
        yield x + nx * far, y + ny * far
        yield x - nx * far, y - ny * far


def _samples(points: list[Point], apart: float) -> Iterator[Point]:
    """Points on Bezier curves, about so far apart."""
    for k in range(0, len(points) - 3, 3):
        (ax, ay), (bx, by), (cx, cy), (dx, dy) = points[k : k + 4]
        count = max(2, int((abs(dx - ax) + abs(dy - ay)) / apart))
        for n in range(count + 1):
            t = n / count
            u = 1.0 - t
            a, b, c, d = u * u * u, 3 * u * u * t, 3 * u * t * t, t * t * t
            yield a * ax + b * bx + c * cx + d * dx, a * ay + b * by + c * cy + d * dy
