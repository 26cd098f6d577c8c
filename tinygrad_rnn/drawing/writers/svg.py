"""Write a layout as SVG, with nothing to install.

Text is escaped where it enters; no script, style sheet or reference to anything outside stands in the file.
"""

from __future__ import annotations

from html import escape

from ..layout.boxes import STUB_HEIGHT, Box, block_arrow
from ..layout.delay_arcs import Square
from ..layout.placement import EdgeLine, Layout, Panel, Tag
from ..legend import LegendEntry
from ..picture import PictureNode
from ..styles import (
    BACKWARD,
    CLUSTER_FILL,
    CLUSTER_LINE,
    EDGE,
    FAINT,
    INK,
    LEGEND_SIZE,
    NAME_SIZE,
    OPERATION_SIZE,
    ROLES,
    SERIF,
    SMALL_SIZE,
    SQUARES,
    TITLE_SIZE,
)
from ..view.label_text import Text

_ARROWS = "".join(
    f'<marker id="{name}" viewBox="0 0 10 8" refX="9.4" refY="4" markerWidth="{size}" markerHeight="{size * 0.8:.3g}" '
    f'markerUnits="userSpaceOnUse" orient="auto"><path d="M0,0.4 L10,4 L0,7.6 L2.4,4 z" fill="{colour}"/></marker>'
    for name, colour, size in (("forward", EDGE, 8.5), ("back", BACKWARD, 7.5))
)


def to_svg(layout: Layout) -> str:
    """The picture as the text of an SVG file."""
    picture = layout.picture
    w, h = num(layout.width), num(layout.height)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{w}pt" height="{h}pt" viewBox="0 0 {w} {h}" '
        f'font-family="{SERIF}" fill="{INK}" role="img">',
        f"<title>{escape(picture.title or 'computation graph')}</title>",
        f"<defs>{_ARROWS}</defs>",
        f'<rect class="page" width="{w}" height="{h}" fill="white"/>',
    ]
    if picture.title:
        parts.append(label(picture.title, layout.width / 2, 16 + TITLE_SIZE * 0.8, TITLE_SIZE))
    for p in layout.panels:
        parts.append(
            f'<g class="step" data-step="{escape(p.title)}"><rect x="{num(p.x)}" y="{num(p.y)}" width="{num(p.width)}" '
            f'height="{num(p.height)}" rx="10" fill="{CLUSTER_FILL}" stroke="{CLUSTER_LINE}"/>'
            + _panel_title(layout, p)
            + "</g>"
        )
    parts.append(f'<g class="edges" fill="none" stroke="{EDGE}" stroke-width="1.1">')
    parts += [_path(line) for line in layout.lines if not line.backward]
    parts.append("</g>")
    if picture.backward:
        parts.append(f'<g class="backward" fill="none" stroke="{BACKWARD}" stroke-width="1" stroke-dasharray="4 2.5">')
        parts += [_path(line) for line in layout.lines if line.backward]
        parts.append("</g>")
    parts += [_delay(square) for square in layout.squares]
    parts += [_tag(tag) for _, tag in layout.tags]
    parts += [_node(n, i, layout) for i, n in enumerate(picture.nodes)]
    parts += [_edge_label(line) for line in layout.lines if line.label is not None]
    parts += [_entry(entry) for entry in layout.legend]
    parts.append("</svg>\n")
    return "\n".join(parts)


def _panel_title(layout: Layout, p: Panel) -> str:
    if layout.picture.direction == "TB":
        return label(p.title, p.x + 13, p.y + p.height / 2, 11, FAINT, angle=-90)
    return label(p.title, p.x + p.width / 2, p.y + p.height - 7, 11, FAINT)


def num(value: float) -> str:
    """A short number."""
    return f"{value:.1f}".removesuffix(".0")


def label(text: str, x: float, y: float, size: float, colour: str = "", anchor: str = "middle", angle: int = 0) -> str:
    """One line of text, turned about its point if there is an angle."""
    look = f' text-anchor="{anchor}"' if anchor else ""
    look += f' fill="{colour}"' if colour else ""
    look += f' transform="rotate({angle} {num(x)} {num(y)})"' if angle else ""
    return f'<text x="{num(x)}" y="{num(y)}" font-size="{size:g}"{look}>{escape(text)}</text>'


def _box(x: float, y: float, width: float, height: float, look: str, corner: float = 0.0) -> str:
    """A rectangle around its centre."""
    at = f'x="{num(x - width / 2)}" y="{num(y - height / 2)}" width="{num(width)}" height="{num(height)}"'
    return f"<rect {at}{f' rx={chr(34)}{num(corner)}{chr(34)}' if corner else ''} {look}/>"


def _look(role: str) -> str:
    style = ROLES[role]
    return f'fill="{style.fill}" stroke="{style.line}" stroke-width="{style.width:g}"'


def _symbol(text: Text, x: float, y: float, size: float, colour: str = "", anchor: str = "middle") -> str:
    fill = f' fill="{colour}"' if colour else ""
    at = f'x="{num(x)}" y="{num(y)}" font-size="{size:g}" text-anchor="{anchor}"{fill}{_blanks(text)}'
    return f"<text {at}>{text.svg_spans(size)}</text>"


def _blanks(text: Text | None) -> str:
    """Some readers swallow the blanks at the ends of a moved piece unless they are told not to."""
    return ' xml:space="preserve"' if text and text.more else ""


def _outline(role: str, x: float, y: float, width: float, height: float, round_: bool) -> str:
    look = _look(role) + (' stroke-dasharray="3.5 2"' if ROLES[role].dashed else "")
    if round_:
        return f'<circle cx="{num(x)}" cy="{num(y)}" r="{num(width / 2)}" {look}/>'
    return _box(x, y, width, height, look, min(9.0, height / 2))


def _node(n: PictureNode, i: int, layout: Layout) -> str:
    x, y = layout.positions[i]
    box = layout.boxes[i]
    if n.role == "elided":
        return f'<g class="node elided">{label("⋯", x, y + 6, 20, FAINT)}</g>'
    if n.role == "unfold":
        return f'<g class="node unfold">{_block_arrow(x, y, box)}{label(n.text.base, x, y - 19, LEGEND_SIZE + 1)}</g>'
    size = NAME_SIZE if n.named else OPERATION_SIZE
    below = [line for line in (n.operation, *n.lines) if line]
    title = f"<title>{escape(n.text.unicode)} · {escape(n.tooltip)}</title>"
    rise = 5.5 * len(below)
    text = _symbol(n.text, x, y - rise + size * 0.33, size)
    for k, line in enumerate(below):
        text += label(line, x, y - rise + size * 0.33 + 2 + 10.5 * (k + 1), SMALL_SIZE, "#555555")
    kind = f"node {n.role}" + ("" if n.named else " small")
    return f'<g class="{kind}">{title}{_outline(n.role, x, y, box.width, box.height, box.round)}{text}</g>'


def _block_arrow(x: float, y: float, box: Box) -> str:
    outline = " ".join(f"{num(a)},{num(b)}" for a, b in block_arrow(x, y, box.width, box.height))
    return f'<polygon points="{outline}" {_look("unfold")}/>'


def _delay(square: Square) -> str:
    (x, y), ahead = square.at, square.delay < 0
    look = f'fill="{"white" if ahead else INK}" stroke="{INK}" stroke-width="1.4"'
    digit = label(square.text, x, y + 3.6, 10.5, INK if ahead else "white") if square.text else ""
    return f'<g class="delay" data-delay="{square.delay}">{_box(x, y, square.size, square.size, look)}{digit}</g>'


def _tag(tag: Tag) -> str:
    x1, y1, x2, y2 = map(num, tag.link)
    style = ROLES[tag.stub.role]
    return (
        f'<g class="stub {tag.stub.role}"><path d="M{x1},{y1}L{x2},{y2}" stroke="{style.line}" stroke-width="1.2"/>'
        f"{_square(tag.stub.role, tag.x, tag.y, tag.width, STUB_HEIGHT)}"
        f"{_symbol(tag.stub.text, tag.x, tag.y + 3.6, OPERATION_SIZE)}</g>"
    )


def _square(role: str, x: float, y: float, width: float, height: float) -> str:
    return _box(x, y, width, height, _look(role), 2)


def _path(line: EdgeLine) -> str:
    points = [f"{num(x)},{num(y)}" for x, y in line.points]
    d = f"M{points[0]}C" + " ".join(points[1:])
    return f'<path d="{d}" marker-end="url(#{"back" if line.backward else "forward"})"/>'


def _edge_label(line: EdgeLine) -> str:
    x, y = line.at
    size = NAME_SIZE - 2
    spans = line.label.svg_spans(size)  # type: ignore[union-attr]
    halo = 'stroke="white" stroke-width="3.5" stroke-linejoin="round" paint-order="stroke"'
    at = f'x="{num(x)}" y="{num(y + size * 0.3)}" font-size="{size:g}" text-anchor="middle"{_blanks(line.label)}'
    return f'<text class="weight" {at} {halo}>{spans}</text>'


def _entry(e: LegendEntry) -> str:
    y = e.y + LEGEND_SIZE * 0.33
    if e.text is not None:
        tag = max(16.0, e.text.width(LEGEND_SIZE) + 7)
        return (
            f'<g class="shared {e.sign}">{_square(e.sign, e.x + tag / 2, e.y, tag, 16)}'
            f"{_symbol(e.text, e.x + tag / 2, y, LEGEND_SIZE)}"
            f"{_symbol(e.words, e.x + tag + 5, y, LEGEND_SIZE - 1.5, '#555555', 'start')}</g>"
        )
    if not e.sign:
        return _symbol(e.words, e.x, y, LEGEND_SIZE, "#555555", "start")
    width = 19
    if e.sign == "backward":
        look = f'stroke="{BACKWARD}" stroke-dasharray="4 2.5" marker-end="url(#back)"'
        sign, width = f'<path d="M{num(e.x + 26)},{num(e.y)}L{num(e.x)},{num(e.y)}" {look}/>', 33
    elif e.sign == "delay":
        sign = _delay(Square(e.delay, (e.x + 7, e.y)))
    elif e.sign in SQUARES:
        sign = _square(e.sign, e.x + 7, e.y, 13, 13)
    else:
        sign = _outline(e.sign, e.x + 7, e.y, 13, 13, True)
    return f'<g class="legend">{sign}{_symbol(e.words, e.x + width, y, LEGEND_SIZE, "", "start")}</g>'
