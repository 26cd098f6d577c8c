"""How large things are, and where a line meets them. Sizes are per slot, so every step has the same shape.

Layout thinks in two axes: *along* time and in *depth* (from inputs to losses). With direction LR these are x and upward
y, with TB downward y and x; only this file and `layout.Frame` know which.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..picture import Picture, PictureNode, Stub
from ..styles import NAME_SIZE, OPERATION_SIZE, SMALL_SIZE
from ..view.label_text import text_width

STUB_HEIGHT = 14.0
STUB_LINK = 5.0
LINE = 11.0
#: what is not sized by its text
FIXED = {"elided": (30.0, 20.0, False), "unfold": (58.0, 22.0, False)}


@dataclass(slots=True)
class Box:
    """Width and height of the outline, `round` for a circle; reach to both sides along time with the stubs included."""

    width: float
    height: float
    round: bool
    before: float = 0.0
    after: float = 0.0
    along: float = 0.0  # half extents of the outline in layout axes
    depth: float = 0.0

    def reach_depth(self, offset: float) -> float:
        """Distance from the centre to the outline in depth, at this offset along time."""
        return _reach(self.along, self.depth, self.round, offset)

    def reach_along(self, offset: float) -> float:
        """Distance from the centre to the outline along time, at this offset in depth."""
        return _reach(self.depth, self.along, self.round, offset)


def _reach(across: float, ahead: float, round_: bool, offset: float) -> float:
    corner = ahead if round_ else min(8.0, across, ahead)
    inside = across - corner
    over = max(0.0, abs(offset) - inside)
    return ahead - corner + math.sqrt(max(0.0, corner * corner - over * over))


def measure(picture: Picture) -> list[Box]:
    """The box of every node."""
    sizes: dict[int, tuple[float, float, bool]] = {}
    circle = _circle(picture)
    for n in picture.nodes:
        if n.role in FIXED:
            continue
        width, height, round_ = _outline(n, circle)
        old = sizes.get(n.slot, (0.0, 0.0, True))
        sizes[n.slot] = (max(width, old[0]), max(height, old[1]), round_ and old[2])
    boxes = []
    for n in picture.nodes:
        width, height, round_ = FIXED[n.role] if n.role in FIXED else sizes[n.slot]
        box = Box(width, height, round_)
        flat = picture.direction == "TB"
        box.along, box.depth = (height / 2, width / 2) if flat else (width / 2, height / 2)
        reach = {side: sum(stub_extent(s, flat) + STUB_LINK for s in n.stubs if s.side == side) for side in (-1, 1)}
        box.before, box.after = box.along + reach[-1], box.along + reach[1]
        boxes.append(box)
    return boxes


def stub_width(stub: Stub) -> float:
    """Width of a tag."""
    return max(STUB_HEIGHT, stub.text.width(OPERATION_SIZE) + 6)


def stub_extent(stub: Stub, flat: bool) -> float:
    """Length of a tag along time."""
    return STUB_HEIGHT if flat else stub_width(stub)


def _circle(picture: Picture) -> float:
    """One diameter for all named nodes of a picture, wide enough for the longest symbol unless that is a whole word."""
    wide = [w for n in picture.nodes if n.named and n.role not in FIXED and (w := n.text.width(NAME_SIZE)) <= 40]
    return max(38.0, max(wide, default=0.0) + 10)


def _outline(n: PictureNode, circle: float) -> tuple[float, float, bool]:
    if not n.named:
        width = n.text.width(OPERATION_SIZE)
        lines = max((text_width(line, SMALL_SIZE) for line in n.lines), default=0.0)
        if width <= 17 and not lines:
            return 20.0, 20.0, True
        return max(width, lines) + 12, 19.0 + LINE * len(n.lines), False
    wide = n.text.width(NAME_SIZE)
    below = [text_width(line, SMALL_SIZE) for line in (n.operation, *n.lines) if line]
    if wide <= circle - 7 and (not below or (len(below) == 1 and below[0] <= circle - 11)):
        return circle, circle, True
    return max([wide, *below]) + 16, 28.0 + LINE * len(below) if below else 32.0, False


def block_arrow(x: float, y: float, width: float, height: float) -> list[tuple[float, float]]:
    """The corners of a broad arrow to the right."""
    a, b, tip = x - width / 2, x + width / 2 - height * 0.7, x + width / 2
    half = height / 4
    return [
        (a, y - half),
        (b, y - half),
        (b, y - height / 2),
        (tip, y),
        (b, y + height / 2),
        (b, y + half),
        (a, y + half),
    ]
