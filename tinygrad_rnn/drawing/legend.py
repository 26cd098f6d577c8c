"""What the reader has to know, below the drawing: parameters, what the colours mean, what is not shown."""

from __future__ import annotations

from dataclasses import dataclass

from .picture import Picture
from .styles import LEGEND_ORDER, LEGEND_SIZE, ROLES
from .view.label_text import Text, words

ROW = 22.0
GAP = 16.0
#: room for the sign before the words
SIGN = {"": 0.0, "backward": 34.0}


@dataclass(slots=True)
class LegendEntry:
    """One piece of the legend: a sign at (x, y) and the words to the right of it.

    `sign` is a role, `parameter` (a tag with the letter `text`), `backward` (a gradient's line), `delay` (the square of
    so many steps) or empty (words alone).
    """

    sign: str
    words: Text
    x: float
    y: float
    width: float
    text: Text | None = None
    delay: int = 0


def place_legend(
    picture: Picture, margin: float, width: float, height: float
) -> tuple[list[LegendEntry], float, float]:
    """The entries in as many rows as the width of the drawing asks for, and the size of the whole."""
    groups = [g for g in (_parameters(picture), _roles(picture), _notes(picture)) if g]
    if not groups:
        return [], width, height
    width = max(width, min(420.0, max(sum(e.width + GAP for e in g) for g in groups) + 2 * margin))
    entries: list[LegendEntry] = []
    y = height - margin + 10
    for group in groups:
        x = margin
        y += ROW
        indent = group[0].width + GAP if not group[0].sign else 0.0
        for entry in group:
            if x + entry.width > width - margin and x > margin + indent:
                x, y = margin + indent, y + ROW
            entry.x, entry.y = x, y
            x += entry.width + GAP
            entries.append(entry)
    return entries, width, y + ROW / 2 + margin - 4


def _parameters(picture: Picture) -> list[LegendEntry]:
    if not picture.shared:
        return []
    timed = sum(c.kind == "step" for c in picture.columns) > 1 or any(c.kind == "circuit" for c in picture.columns)
    entries = [_said("shared parameters:" if timed else "parameters:")]
    for p in picture.shared:
        tag, detail = max(16.0, p.text.width(LEGEND_SIZE) + 7), words(p.detail)
        entries.append(LegendEntry(p.role, detail, 0, 0, tag + 5 + detail.width(LEGEND_SIZE - 1.5), p.text))
    return entries


def _roles(picture: Picture) -> list[LegendEntry]:
    present = {n.role for n in picture.nodes} | {s.role for n in picture.nodes for s in n.stubs if s.role == "constant"}
    entries = [_said(ROLES[role].meaning, role) for role in LEGEND_ORDER if role in present]
    for delay in sorted({e.delay for e in picture.edges if e.delay}, key=lambda d: (d < 0, abs(d))):
        count = "one step" if abs(delay) == 1 else f"{abs(delay)} steps"
        entries.append(_said(f"delay of {count}" if delay > 0 else f"from {count} later", "delay", delay))
    if picture.backward:
        entries.append(_said("gradient flows back", "backward"))
    return entries


def _notes(picture: Picture) -> list[LegendEntry]:
    return [_said(picture.note)] if picture.note else []


def _said(text: str | Text, sign: str = "", delay: int = 0) -> LegendEntry:
    said = words(text) if isinstance(text, str) else text
    return LegendEntry(sign, said, 0, 0, SIGN.get(sign, 19.0) + said.width(LEGEND_SIZE), delay=delay)
