"""A matrix as a picture: attention alignments, gradient norms by (loss step, state step), gates over time.

One hue from light to dark, so that it reads the same for colour-blind readers and on a grey printer. SVG text only;
nothing has to be installed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from itertools import pairwise
from typing import Any

import numpy as np

from ..core.errors import ShapeError
from .styles import FAINT, INK, LEGEND_SIZE, SERIF, TITLE_SIZE
from .view.label_text import clean, text_width
from .writers.svg import label, num

#: light to dark, evenly in lightness
RAMP = ("#f4f8fc", "#dbe9f6", "#bad6eb", "#89bedc", "#539ecd", "#2b7bba", "#0b559f", "#08306b")
#: what is no number is hatched
NOTHING = "url(#nothing)"
HATCH = (
    '<defs><pattern id="nothing" width="5" height="5" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
    '<rect width="5" height="5" fill="white"/><path d="M0,0V5" stroke="#b5b5b5" stroke-width="1.4"/></pattern></defs>'
)
LARGEST = 1000
#: with fewer cells than this each of them says its value when pointed at
FEW = 2500
MARGIN, GAP, BAR = 16.0, 8.0, 12.0


def on_the_ramp(share: float) -> str:
    """The colour for a share from 0 (the least value) to 1 (the largest)."""
    at = share * (len(RAMP) - 1)
    k = min(int(at), len(RAMP) - 2)
    a, b = ([int(c[i : i + 2], 16) for i in (1, 3, 5)] for c in (RAMP[k], RAMP[k + 1]))
    return "#" + "".join(f"{round(x + (y - x) * (at - k)):02x}" for x, y in zip(a, b, strict=True))


STEPS = 64
COLOURS = [on_the_ramp(k / STEPS) for k in range(STEPS + 1)]


class HeatMap:
    """The finished picture: `str()` is its SVG text, notebooks show it, `draw.write` puts it into a file."""

    def __init__(self, svg: str) -> None:
        self._svg = svg

    def __str__(self) -> str:
        return self._svg

    def _repr_svg_(self) -> str:
        return self._svg


def heat_map(
    matrix: Any,
    rows: Sequence[Any] | None,
    columns: Sequence[Any] | None,
    title: str | None,
    axes: tuple[str, str] | None,
    log: bool,
) -> HeatMap:
    """See `tinygrad_rnn.drawing.heatmap`."""
    values = np.asarray(getattr(matrix, "value", matrix), dtype=float)
    if values.ndim != 2 or not values.size or max(values.shape) > LARGEST:
        raise ShapeError(
            f"heatmap: a matrix of 1 to {LARGEST} rows and columns is needed, this has shape {values.shape}"
        )
    labels = []
    for said, count, name in ((rows, values.shape[0], "rows"), (columns, values.shape[1], "columns")):
        if said is not None and len(said) != count:
            raise ShapeError(f"heatmap: {len(said)} labels for {count} {name}; give one for each, or None for numbers")
        labels.append([clean(str(s), 24) for s in (range(1, count + 1) if said is None else said)])
    return HeatMap(_HeatPage(values, labels[0], labels[1], title, axes, log).svg())


class _Scale:
    """From values to steps of the ramp, by logarithms if asked for; what cannot be placed has step -1."""

    def __init__(self, values: np.ndarray, log: bool) -> None:
        self.log = log
        with np.errstate(all="ignore"):
            placed = np.log(values) if log else values / 2.0  # halves, for the difference of two may be too large
            known = np.isfinite(placed)
            self.empty = not known.any()
            found = values[known]
            self.low, self.high = (0.0, 0.0) if self.empty else (float(found.min()), float(found.max()))
            low, high = (0.0, 0.0) if self.empty else (placed[known].min(), placed[known].max())
            shares = (placed - low) / (high - low) if high > low else np.full(values.shape, 0.5)
            self.steps = np.where(known, np.rint(np.where(known, shares, 0.0) * STEPS), -1).astype(int)

    def share(self, value: float) -> float:
        """Where on the ramp a value between the least and the largest stands."""
        low, high, value = (math.log(v) if self.log else v / 2.0 for v in (self.low, self.high, value))
        return (value - low) / (high - low)

    def ticks(self) -> list[tuple[float, str]]:
        """Where the colour bar has a number, and the number: powers of ten if there are some in a logarithmic scale."""
        low, high = self.low, self.high
        if not high > low:
            return [] if self.empty else [(0.5, _number(low))]
        if (
            self.log
            and (powers := range(math.ceil(math.log10(low)), math.floor(math.log10(high)) + 1))
            and len(powers) > 1
        ):
            every = math.ceil(len(powers) / 7)
            return [(self.share(10.0**k) or 0.0, _number(10.0**k)) for k in powers[::every]]
        if self.log:
            return [(0.0, _number(low)), (1.0, _number(high))]
        digits = 2 - math.floor(math.log10(high - low))
        return [(k / 4, _number(round(low + k / 4 * (high - low), digits) + 0.0)) for k in range(5)]


class _HeatPage:
    """Places: title, column labels, cells with row labels to their left, the colour bar to their right."""

    def __init__(
        self,
        values: np.ndarray,
        rows: list[str],
        columns: list[str],
        title: str | None,
        axes: tuple[str, str] | None,
        log: bool,
    ) -> None:
        self.values, self.rows, self.columns = values, rows, columns
        self.title = clean(title, 120) if title else ""
        self.down, self.across = (clean(a, 60) for a in axes) if axes else ("", "")
        self.scale = _Scale(values, log)
        down, across = values.shape
        self.cell_width = max(0.6, min(26.0, 480 / across))
        self.cell_height = self.cell_width if down == across else max(0.6, min(26.0, 400 / down))
        self.size = min(LEGEND_SIZE, max(8.0, self.cell_width * 0.62))
        widest = max(text_width(c, self.size) for c in columns)
        self.slanted = widest + 4 > self.cell_width and not all(c.isdecimal() for c in columns)
        head = widest * 0.75 if self.slanted else self.size
        self.left = MARGIN + (18 if self.down else 0) + max(text_width(r, self.size) for r in rows) + 7
        self.top = MARGIN + (TITLE_SIZE + 12 if self.title else 0) + (20 if self.across else 0) + head + 6
        self.width, self.height = self.cell_width * across, self.cell_height * down
        self.ticks = self.scale.ticks()
        self.right = self.left + self.width + 2 * GAP
        self.holes = bool((self.scale.steps < 0).any())
        self.page = (
            max(
                self.right + BAR + 7 + max((text_width(t, 10) for _, t in self.ticks), default=0.0) + MARGIN,
                self.left + self.width + (widest * 0.75 if self.slanted else 0) + MARGIN,
                text_width(self.title, TITLE_SIZE) + 2 * MARGIN,
                self.left + self.width / 2 + text_width(self.across, LEGEND_SIZE) / 2 + MARGIN,
            ),
            self.top + max(self.height, self._bar_height()) + MARGIN + (14 if self.holes else 0),
        )

    def svg(self) -> str:
        w, h = map(num, self.page)
        parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{w}pt" height="{h}pt" viewBox="0 0 {w} {h}" '
            f'font-family="{SERIF}" fill="{INK}" role="img">',
            f"<title>{escape(self.title or 'heat map')}</title>",
            f'<rect class="page" width="{w}" height="{h}" fill="white"/>',
        ]
        if self.holes:
            parts.append(HATCH)
        if self.title:
            parts.append(label(self.title, self.page[0] / 2, MARGIN + TITLE_SIZE * 0.8, TITLE_SIZE))
        parts += [*self._axes(), *self._cells(), *self._bar(), "</svg>\n"]
        return "\n".join(parts)

    def _axes(self) -> list[str]:
        parts = []
        every = math.ceil((self.size + 2) / self.cell_height)
        for i in range(0, len(self.rows), every):
            y = self.top + (i + 0.5) * self.cell_height + self.size * 0.33
            parts.append(label(self.rows[i], self.left - 6, y, self.size, "", "end"))
        wide = self.size + 4 if self.slanted else max(text_width(c, self.size) for c in self.columns) + 5
        for j in range(0, len(self.columns), math.ceil(wide / self.cell_width)):
            x, y = self.left + (j + 0.5) * self.cell_width, self.top - 6
            anchor, angle = ("", -45) if self.slanted else ("middle", 0)
            size = float(f"{self.size:.3g}") if self.slanted else self.size
            parts.append(label(self.columns[j], x, y, size, "", anchor, angle))
        if self.across:
            y = MARGIN + (TITLE_SIZE + 12 if self.title else 0) + LEGEND_SIZE * 0.8
            parts.append(label(self.across, self.left + self.width / 2, y, LEGEND_SIZE, FAINT))
        if self.down:
            x, y = MARGIN + LEGEND_SIZE * 0.8, self.top + self.height / 2
            parts.append(label(self.down, x, y, LEGEND_SIZE, FAINT, angle=-90))
        return parts

    def _cells(self) -> list[str]:
        few = self.values.size <= FEW
        parts = ['<g class="cells" shape-rendering="crispEdges">']
        across = self.values.shape[1]
        for i, steps in enumerate(self.scale.steps):
            # neighbours of one colour are one rectangle, unless each of them has something to say
            new = np.ones(across, bool) if few else np.concatenate([[True], steps[1:] != steps[:-1]])
            starts = [*np.flatnonzero(new).tolist(), across]
            for j, end in pairwise(starts):
                said = f"{self.rows[i]}, {self.columns[j]}: {_number(self.values[i, j])}" if few else ""
                parts.append(self._box(i, j, end - j, steps[j], said))
        left, top, width, height = map(num, (self.left, self.top, self.width, self.height))
        frame = f'<rect x="{left}" y="{top}" width="{width}" height="{height}" fill="none" stroke="{FAINT}"/>'
        return [*parts, frame, "</g>"]

    def _box(self, i: int, j: int, count: int, step: int, said: str) -> str:
        x, y = self.left + j * self.cell_width, self.top + i * self.cell_height
        look = f'x="{x:.2f}" y="{y:.2f}" width="{count * self.cell_width:.2f}" height="{self.cell_height:.2f}"'
        rim = ' stroke="white" stroke-width="0.7"' if min(self.cell_width, self.cell_height) >= 9 else ""
        title = f"<title>{escape(said)}</title>" if said else ""
        return f'<rect {look} fill="{NOTHING if step < 0 else COLOURS[step]}"{rim}>{title}</rect>'

    def _bar_height(self) -> float:
        return max(70.0, min(self.height, 220.0))

    def _bar(self) -> list[str]:
        height, count = self._bar_height(), 32
        parts = ['<g class="legend" shape-rendering="crispEdges">']
        for k in range(count):
            y = self.top + height * (count - 1 - k) / count
            share = k / (count - 1) if self.scale.low < self.scale.high else 0.5
            parts.append(
                f'<rect x="{num(self.right)}" y="{y:.2f}" width="{num(BAR)}" height="{height / count + 0.3:.2f}" '
                f'fill="{on_the_ramp(share)}"/>'
            )
        parts.append("</g>")
        for share, tick in self.ticks:
            parts.append(
                label(tick, self.right + BAR + 6, self.top + height * (1 - share) + 3.4, 10, "#555555", "start")
            )
        if self.holes:
            words = "hatched: not positive, or not a number" if self.scale.log else "hatched: not a number"
            parts.append(label(words, self.left, self.page[1] - 10, 9.5, "#555555", "start"))
        return parts


def _number(value: float) -> str:
    return f"{value:.3g}".replace("-", "−")
