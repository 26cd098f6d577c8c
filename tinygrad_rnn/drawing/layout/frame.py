"""The two axes of the layout on the page: the only place, with `boxes`, that knows which way time runs."""

from __future__ import annotations

from dataclasses import dataclass

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
