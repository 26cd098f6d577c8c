"""How much room there is between two columns: for the tracks of lines, the arcs of circuits, and letters on them."""

from __future__ import annotations

from ..picture import Picture
from ..styles import NAME_SIZE
from .channel_routing import TRACK, Route, Routes
from .delay_arcs import SQUARE, alone

#: from a column to its nearest arc, and beyond the furthest
BESIDE = 17.0
#: beside a letter: the arrow's head, and a corner
HEAD = 16.0
#: a letter for which no room need be made
SHORT = 14.0


class Gutters:
    """The gutters by their number: that after rank 0 is gutter 0, that before it is gutter -1."""

    def __init__(self, picture: Picture, plans: Routes, labelled: bool) -> None:
        self.plans = plans
        self.beyond: dict[tuple[int, int], float] = {}  # widest letter beside the arcs of a gutter, by side
        self.wide: dict[int, float] = {}  # widest letter on the lines of a gutter
        self.into: dict[tuple[int, int], float] = {}  # the same, by the side on which their head is
        for i, plan in plans.plans.items():
            label = picture.edges[i].label
            if label is not None and plan.ahead:
                g = self._gutter_of(picture, i, plan)
                width = label.width(NAME_SIZE - 2)
                if plan.loop and alone(plans.plans, plan):
                    self.beyond[g, plan.ahead] = max(self.beyond.get((g, plan.ahead), 0.0), width + 8)
                else:
                    self.wide[g] = max(self.wide.get(g, 0.0), width)
                    self.into[g, -plan.entry] = max(self.into.get((g, -plan.entry), 0.0), width)
        for kind, g in plans.wide:
            if plans.tracks[kind, g] > 1:
                letter = max((w for (h, _), w in self.beyond.items() if h == g), default=0.0)
                plans.wide[kind, g] = max(plans.wide[kind, g], letter + SQUARE + 2)
        most = max(
            (n for (kind, g), n in plans.tracks.items() if kind == "gutter" and (kind, g) not in plans.wide), default=0
        )
        self.usual = (28.0 if labelled else 18.0) + TRACK * max(0, most - 1)

    @staticmethod
    def _gutter_of(picture: Picture, i: int, plan: Route) -> int:
        """Where the letter of an edge stands: in the gutter before its head, or after it."""
        rank = picture.columns[picture.nodes[picture.edges[i].head].column].rank
        return plan.gutter if plan.loop and plan.gutter is not None else rank - 1 if plan.entry < 0 else rank

    def room(self, g: int) -> float:
        """The width of a gutter."""
        if ("gutter", g) in self.plans.wide:
            return max(self.usual, sum(self._sides(g)) + self._tracks(g))
        return self.usual + max(0.0, self.wide.get(g, 0.0) - SHORT)

    def middle(self, g: int) -> float:
        """From the beginning of a gutter to the middle of its tracks: arcs stand near their column."""
        if ("gutter", g) not in self.plans.wide:
            return self.usual / 2
        return self._sides(g)[0] + self._tracks(g) / 2

    def _tracks(self, g: int) -> float:
        return self.plans.spacing(("gutter", g)) * (self.plans.tracks["gutter", g] - 1)

    def _sides(self, g: int) -> tuple[float, float]:
        """Room before the first track and after the last: letters of lines that come in, or of arcs beyond them."""
        before, after = (
            max(BESIDE + self.beyond.get((g, side), 0.0), self.into.get((g, side), 0.0) + HEAD) for side in (-1, 1)
        )
        return before, after
