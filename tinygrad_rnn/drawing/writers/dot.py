"""Write a layout as a graphviz document.

Positions are given (engine `nop2`), so graphviz draws the same picture as our own writer, for any length, in every
format it knows. Nodes, edges and clusters are ordinary DOT: another engine can lay them out anew when `layout` is taken
out.
"""

from __future__ import annotations

import shutil
from typing import Any

import graphviz  # type: ignore[import-untyped]

from ..layout.boxes import STUB_HEIGHT
from ..layout.channel_routing import Point
from ..layout.delay_arcs import Square
from ..layout.placement import EdgeLine, Layout
from ..legend import LegendEntry
from ..picture import PictureNode
from ..styles import (
    BACKWARD,
    CLUSTER_FILL,
    CLUSTER_LINE,
    DOT_SERIF,
    EDGE,
    FAINT,
    INK,
    LEGEND_SIZE,
    NAME_SIZE,
    OPERATION_SIZE,
    ROLES,
    SMALL_SIZE,
    SQUARES,
    TITLE_SIZE,
)
from ..view.label_text import dot_escaped
from .svg import to_svg

#: how the way of a gradient looks
_BACK = {"color": BACKWARD, "style": "dashed", "arrowsize": "0.55"}


class Drawing(graphviz.Digraph):
    """A `graphviz.Digraph` that knows its own layout, so a notebook shows it without a `dot` program too."""

    placed: Layout

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None, **options: Any) -> dict[str, str]:
        if shutil.which("dot") is None:
            return {"image/svg+xml": to_svg(self.placed)}
        return super()._repr_mimebundle_(include, exclude, **options)

    def _repr_image_svg_xml(self) -> str:
        return to_svg(self.placed) if shutil.which("dot") is None else super()._repr_image_svg_xml()


def to_digraph(layout: Layout) -> Drawing:
    """The picture as a `graphviz.Digraph`."""
    return _DotWriter(layout).digraph()


class _DotWriter:
    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.height = layout.height

    def digraph(self) -> Drawing:
        layout, picture = self.layout, self.layout.picture
        graph = Drawing("unfolded")
        graph.placed = layout
        bb = f"0,0,{layout.width:.1f},{layout.height:.1f}"
        graph.attr(
            "graph", layout="nop2", bb=bb, fontname=DOT_SERIF, fontcolor=INK, pad="0.1", outputorder="edgesfirst"
        )
        graph.attr("node", fixedsize="true", fontname=DOT_SERIF, fontcolor=INK, style="filled", shape="box")
        graph.attr("edge", fontname=DOT_SERIF, fontcolor=INK, color=EDGE, arrowsize="0.65", penwidth="1.1")
        if picture.title:
            self.words(graph, "title", dot_escaped(picture.title), layout.width / 2, 16 + TITLE_SIZE * 0.45, TITLE_SIZE)
        panels = {p.column: p for p in layout.panels}
        members: dict[int, list[int]] = {}
        for i, n in enumerate(picture.nodes):
            members.setdefault(n.column, []).append(i)
        tags: dict[int, list[Any]] = {}
        for i, tag in layout.tags:
            tags.setdefault(i, []).append(tag)
        for column, nodes in members.items():
            panel = panels.get(column)
            if panel is None:
                self.column(graph, nodes, tags)
                continue
            with graph.subgraph(name=f"cluster_{column}") as cluster:
                x, y, w, h = panel.x, panel.y, panel.width, panel.height
                bb = f"{x:.1f},{self.height - y - h:.1f},{x + w:.1f},{self.height - y:.1f}"
                side = picture.direction == "TB"
                lp = self.at(x + 12, y + 10) if side else self.at(x + w / 2, y + h - 10)
                look = {"color": CLUSTER_LINE, "fillcolor": CLUSTER_FILL, "fontsize": "11", "fontcolor": FAINT}
                cluster.attr("graph", bb=bb, label=_quoted(panel.title), lp=lp, style="rounded,filled", **look)
                self.column(cluster, nodes, tags)
        for line in layout.lines:
            self.edge(graph, line)
        for k, square in enumerate(layout.squares):
            self.delay(graph, f"delay{k}", square)
        self.legend(graph)
        return graph

    def at(self, x: float, y: float) -> str:
        return f"{x:.1f},{self.height - y:.1f}"

    def column(self, graph: Any, nodes: list[int], tags: dict[int, list[Any]]) -> None:
        for i in nodes:
            self.node(graph, i, self.layout.picture.nodes[i])
            for k, tag in enumerate(tags.get(i, ())):
                name = f"n{i}_p{k}"
                label = tag.stub.text.dot_html(OPERATION_SIZE)
                self.box(graph, name, tag.stub.role, label, (tag.x, tag.y), (tag.width, STUB_HEIGHT), OPERATION_SIZE)
                x1, y1, x2, y2 = tag.link
                way = self.spline([(x1, y1), (x1, y1), (x2, y2), (x2, y2)])
                graph.edge(name, f"n{i}", arrowhead="none", color=ROLES[tag.stub.role].line, pos=way)

    def put(self, graph: Any, name: str, at: Point, size: tuple[float, float], role: str = "", **look: str) -> None:
        """A node in its place, coloured by its role; `look` has the last word."""
        (width, height), style = (f"{length / 72:.4f}" for length in size), ROLES.get(role)
        if style is not None:
            look = {"fillcolor": style.fill, "color": style.line, "penwidth": f"{style.width:g}"} | look
        graph.node(name, pos=self.at(*at), width=width, height=height, **look)

    def node(self, graph: Any, i: int, n: PictureNode) -> None:
        (x, y), box = self.layout.positions[i], self.layout.boxes[i]
        name, extent = f"n{i}", (box.width, box.height)
        if n.role == "elided":
            look = {"shape": "plaintext", "style": "", "fontsize": "20", "fontcolor": FAINT}
            graph.node(name, label="⋯", pos=self.at(x, y), width="0.4", height="0.3", **look)
            return
        style = ROLES[n.role]
        if n.role == "unfold":
            look = {"fillcolor": style.fill, "color": style.line}
            self.put(graph, name, (x, y), extent, label="", shape="rarrow", **look)
            self.words(graph, f"{name}_words", n.text.dot_html(LEGEND_SIZE), x, y - 23, LEGEND_SIZE + 1)
            return
        size = NAME_SIZE if n.named else OPERATION_SIZE
        label = n.text.dot_html(size)
        for line in filter(None, (n.operation, *n.lines)):
            label += f'<BR/><FONT POINT-SIZE="{SMALL_SIZE:g}" COLOR="#555555">{dot_escaped(line)}</FONT>'
        look = {
            "shape": "circle" if box.round else "box",
            "style": "filled" + ("" if box.round else ",rounded") + (",dashed" if style.dashed else ""),
            "tooltip": _quoted(f"{n.text.unicode} · {n.tooltip}"),
        }
        self.put(graph, name, (x, y), extent, n.role, label=_html(label), fontsize=f"{size:g}", group=n.role, **look)

    def box(
        self, graph: Any, name: str, role: str, label: str, at: Point, extent: tuple[float, float], size: float
    ) -> None:
        self.put(graph, name, at, extent, role, label=_html(label), fontsize=f"{size:g}", group=role)

    def edge(self, graph: Any, line: EdgeLine) -> None:
        e = self.layout.picture.edges[line.edge]
        ends = (f"n{e.head}", f"n{e.tail}") if line.backward else (f"n{e.tail}", f"n{e.head}")
        attributes = {"pos": self.spline(line.points, arrow=True)}
        if line.label is not None:
            size = NAME_SIZE - 2
            attributes |= {"label": _html(line.label.dot_html(size)), "lp": self.at(*line.at), "fontsize": f"{size:g}"}
        if line.backward:
            attributes |= _BACK | {"constraint": "false", "penwidth": "1"}
        graph.edge(*ends, **attributes)

    def spline(self, points: list[Point], arrow: bool = False) -> str:
        """Bezier points as graphviz wants them: the arrow's tip first, the line ending where the arrow begins."""
        if not arrow:
            return " ".join(self.at(*p) for p in points)
        *way, (xc, yc), (x, y) = points
        back = ((x - xc) ** 2 + (y - yc) ** 2) ** 0.5 or 1.0
        cut = min(6.5, back * 0.9)
        end = (x - (x - xc) / back * cut, y - (y - yc) / back * cut)
        return f"e,{self.at(x, y)} " + " ".join(self.at(*p) for p in [*way, (xc, yc), end])

    def delay(self, graph: Any, name: str, square: Square) -> None:
        ahead = square.delay < 0
        look = {"fillcolor": "white", "fontcolor": INK} if ahead else {"fillcolor": INK, "fontcolor": "white"}
        look |= {"color": INK, "fontsize": "10.5", "penwidth": "1.4"}
        self.put(graph, name, square.at, (square.size, square.size), label=_quoted(square.text), **look)

    def legend(self, graph: Any) -> None:
        for k, entry in enumerate(self.layout.legend):
            self.entry(graph, f"legend{k}", entry)

    def entry(self, graph: Any, name: str, e: LegendEntry) -> None:
        words_at = e.x
        if e.text is not None:
            tag = max(16.0, e.text.width(LEGEND_SIZE) + 7)
            at, label = (e.x + tag / 2, e.y), e.text.dot_html(LEGEND_SIZE)
            self.box(graph, name, e.sign, label, at, (tag, 16), LEGEND_SIZE)
            words_at += tag + 5
        elif e.sign == "backward":
            points = [(e.x + 26, e.y), (e.x + 18, e.y), (e.x + 8, e.y), (e.x, e.y)]
            for end, x in (("a", e.x + 26), ("b", e.x)):
                dot = {"label": "", "shape": "point", "style": "invis", "width": "0.01", "height": "0.01"}
                graph.node(name + end, pos=self.at(x, e.y), **dot)
            graph.edge(name + "a", name + "b", pos=self.spline(points, arrow=True), **_BACK)
            words_at += 33
        elif e.sign == "delay":
            self.delay(graph, name, Square(e.delay, (e.x + 7, e.y)))
            words_at += 19
        elif e.sign:
            shape, dashed = "box" if e.sign in SQUARES else "circle", ROLES[e.sign].dashed
            style = "filled,dashed" if dashed else "filled"
            self.put(graph, name, (e.x + 7, e.y), (13, 13), e.sign, label="", shape=shape, style=style)
            words_at += 19
        size = LEGEND_SIZE if e.text is None else LEGEND_SIZE - 1.5
        width = e.x + e.width - words_at
        self.words(graph, name + "_words", e.words.dot_html(size), words_at + 1 + width * 0.52, e.y, size)

    def words(self, graph: Any, name: str, markup: str, x: float, y: float, size: float) -> None:
        look = {"shape": "plaintext", "style": "", "fontsize": f"{size:g}", "fixedsize": "false"}
        graph.node(name, label=_html(markup), pos=self.at(x, y), width="0", height="0", margin="0", **look)


def _html(markup: str) -> str:
    """graphviz reads a label in angle brackets as markup; everything inside is already escaped."""
    return f"<{markup}>"


def _quoted(text: str) -> str:
    """A plain string for graphviz: no escape sequence, never taken for markup."""
    return graphviz.escape(text)
