"""What the reader has to know, below the drawing: parameters, what the colours mean, what is not shown."""

from __future__ import annotations

from dataclasses import dataclass

from .labels import Text, text_width
from .picture import Picture
from .styles import LEGEND_ORDER, LEGEND_SIZE, ROLES

ROW = 22.0
GAP = 16.0


@dataclass(slots=True)
class Entry:
    """One piece of the legend: a sign at (x, y) and the words to the right of it.

    `sign` is a role, `parameter` (a tag with the letter `text`), `backward` (a gradient's line), `delay` (the square of
    so many steps) or empty (words alone).
    """

    sign: str
    words: str
    x: float
    y: float
    width: float
    text: Text | None = None
    delay: int = 0


def place_legend(picture: Picture, margin: float, width: float, height: float) -> tuple[list[Entry], float, float]:
    """The entries in as many rows as the width of the drawing asks for, and the size of the whole."""
    groups = [g for g in (_parameters(picture), _roles(picture), _notes(picture)) if g]
    if not groups:
        return [], width, height
    width = max(width, min(420.0, max(sum(e.width + GAP for e in g) for g in groups) + 2 * margin))
    entries: list[Entry] = []
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


def _parameters(picture: Picture) -> list[Entry]:
    if not picture.shared:
        return []
    timed = sum(c.kind == "step" for c in picture.columns) > 1 or any(c.kind == "circuit" for c in picture.columns)
    entries = [_words("shared parameters:" if timed else "parameters:")]
    for p in picture.shared:
        tag = max(16.0, p.text.width(LEGEND_SIZE) + 7)
        entries.append(Entry(p.role, p.detail, 0, 0, tag + 5 + text_width(p.detail, LEGEND_SIZE - 1.5), p.text))
    return entries


def _roles(picture: Picture) -> list[Entry]:
    present = {n.role for n in picture.nodes}
    entries = []
    for role in LEGEND_ORDER:
        if role in present:
            words = ROLES[role].meaning
            entries.append(Entry(role, words, 0, 0, 19 + text_width(words, LEGEND_SIZE)))
    if any(s.role == "constant" for n in picture.nodes for s in n.stubs) and "constant" not in present:
        entries.append(Entry("constant", "constant", 0, 0, 19 + text_width("constant", LEGEND_SIZE)))
    for delay in sorted({e.delay for e in picture.edges if e.delay}, key=lambda d: (d < 0, abs(d))):
        count = "one step" if abs(delay) == 1 else f"{abs(delay)} steps"
        words = f"delay of {count}" if delay > 0 else f"from {count} later"
        entries.append(Entry("delay", words, 0, 0, 19 + text_width(words, LEGEND_SIZE), delay=delay))
    if picture.backward:
        words = "gradient flows back"
        entries.append(Entry("backward", words, 0, 0, 34 + text_width(words, LEGEND_SIZE)))
    return entries


def _notes(picture: Picture) -> list[Entry]:
    return [_words(picture.note)] if picture.note else []


def _words(words: str) -> Entry:
    return Entry("", words, 0, 0, text_width(words, LEGEND_SIZE))
