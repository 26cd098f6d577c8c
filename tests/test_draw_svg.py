"""Our own SVG: equal steps are drawn alike, nothing covers anything, and no text gets out of its quotes."""

from __future__ import annotations

from itertools import combinations, pairwise
from xml.etree import ElementTree

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn.drawing.layout.edge_labels import settle
from tinygrad_rnn.drawing.layout.placement import Layout, lay_out
from tinygrad_rnn.drawing.view.label_text import joined, noted, symbol, text_width
from tinygrad_rnn.drawing.view.options import view
from tinygrad_rnn.drawing.writers.svg import to_svg

from .test_draw_view import NETWORKS, lstm, vanilla

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = [
    '<script>alert("1")</script>',
    "a\"b'c",
    "back\\slash \\N",
    "two\nlines",
    "&amp;",
    "]]>",
    "\x00\x1b",
    "->",
    "a" * 500,
]


def placed(graph, **options) -> Layout:
    return lay_out(view(graph, **options))


def rectangles(layout: Layout) -> list[tuple[float, float, float, float]]:
    """Every node with its stubs, as (left, top, right, bottom)."""
    found = []
    for (x, y), box in zip(layout.positions, layout.boxes, strict=True):
        found.append([x - box.width / 2, y - box.height / 2, x + box.width / 2, y + box.height / 2])
    for i, tag in layout.tags:
        left, right = tag.x - tag.width / 2, tag.x + tag.width / 2
        found[i] = [
            min(found[i][0], left),
            min(found[i][1], tag.y - 7),
            max(found[i][2], right),
            max(found[i][3], tag.y + 7),
        ]
    return [tuple(r) for r in found]


@pytest.mark.parametrize("direction", ["LR", "TB"])
@pytest.mark.parametrize("level", ["op", "named"])
@pytest.mark.parametrize("network", NETWORKS)
def test_no_two_nodes_overlap_and_all_stand_on_the_page(network, level, direction):
    layout = placed(NETWORKS[network](), level=level, direction=direction, values=network == "lstm")
    boxes = rectangles(layout)
    for a, b in combinations(boxes, 2):
        assert a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1], (a, b)
    for left, top, right, bottom in boxes:
        assert left >= 0 and top >= 0 and right <= layout.width and bottom <= layout.height


@pytest.mark.parametrize("level", ["op", "named"])
@pytest.mark.parametrize("network", ["vanilla", "lstm", "gru", "bidirectional", "stacked"])
def test_the_same_quantity_is_at_the_same_height_and_steps_are_stamped_at_one_distance(network, level):
    layout = placed(NETWORKS[network](4), level=level)
    columns = layout.picture.columns
    per_slot: dict[int, list[tuple[int, float, float]]] = {}
    for n, (x, y) in zip(layout.picture.nodes, layout.positions, strict=True):
        if columns[n.column].kind == "step":
            per_slot.setdefault(n.slot, []).append((n.column, x, y))
    distances = set()
    for found in per_slot.values():
        found.sort()
        assert len(found) == 4
        assert len({round(y, 6) for _, _, y in found}) == 1
        distances.update(round(b[1] - a[1], 6) for a, b in pairwise(found))
    assert len(distances) == 1 and distances.pop() > 0


@pytest.mark.parametrize("level", ["op", "named"])
def test_the_same_quantity_has_the_same_size_in_every_step_and_holds_its_text(level):
    layout = placed(vanilla(20), level=level, values=True, steps="all")
    sizes: dict[int, set[tuple[float, float]]] = {}
    for n, box in zip(layout.picture.nodes, layout.boxes, strict=True):
        sizes.setdefault(n.slot, set()).add((box.width, box.height))
        assert box.width >= max([n.text.width(11), *(text_width(line, 9) for line in n.lines)])
    assert all(len(found) == 1 for found in sizes.values())


def test_both_directions_of_a_bidirectional_net_run_straight_at_heights_of_their_own():
    layout = placed(NETWORKS["bidirectional"](4), level="named")
    heights: dict[str, set[float]] = {}
    for n, (_, y) in zip(layout.picture.nodes, layout.positions, strict=True):
        heights.setdefault(n.text.base, set()).add(round(y, 6))
    assert len(heights["h"]) == len(heights["g"]) == 1
    assert heights["g"].pop() < heights["h"].pop()


def test_inputs_are_lowest_then_states_then_outputs_losses_and_targets():
    layout = placed(vanilla(3), level="named")
    height = {n.text.unicode: -y for n, (_, y) in zip(layout.picture.nodes, layout.positions, strict=True)}
    order = ["x⁽²⁾", "a⁽²⁾", "h⁽²⁾", "o⁽²⁾", "L⁽²⁾", "y⁽²⁾", "L"]
    assert sorted(order, key=height.__getitem__) == order
    assert height["h⁽⁰⁾"] == height["h⁽¹⁾"]


@pytest.mark.slow
@pytest.mark.parametrize("level", ["op", "named"])
@pytest.mark.parametrize("network", NETWORKS)
def test_no_edge_runs_through_a_node_it_does_not_belong_to(network, level):
    layout = placed(NETWORKS[network](), level=level)
    boxes = rectangles(layout)
    for line in layout.lines:
        edge = layout.picture.edges[line.edge]
        for x, y in along(line.points):
            for i, (left, top, right, bottom) in enumerate(boxes):
                if i not in (edge.tail, edge.head):
                    inside = left + 1 < x < right - 1 and top + 1 < y < bottom - 1
                    assert not inside, (layout.picture.nodes[i].text.unicode, edge)


@pytest.mark.parametrize(("direction", "backward"), [("LR", False), ("TB", False), ("LR", True)])
@pytest.mark.parametrize("network", NETWORKS)
def test_letters_of_matrices_cover_neither_nodes_nor_each_other(network, direction, backward):
    layout = placed(NETWORKS[network](), level="named", direction=direction, backward=backward)
    letters = []
    for line in layout.lines:
        if line.label is not None:
            half = line.label.width(12) / 2
            letters.append((line.at[0] - half, line.at[1] - 4, line.at[0] + half, line.at[1] + 4))
            for x, y in along(line.points):
                assert abs(x - line.at[0]) > half - 1 or abs(y - line.at[1]) > 3, line.label
    for a, b in [*combinations(letters, 2), *((a, b) for a in letters for b in rectangles(layout))]:
        assert a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1], (a, b)


def wide(name):
    """Two layers whose matrices have long names, on lines between steps, within a step and around."""
    rng = np.random.default_rng(0)
    W, U, V = (tg.tensor(rng.normal(size=(3, 3)), name=f"{letter}_{name}") for letter in "WUV")
    h, s, losses = tg.tensor(np.zeros(3), name="h0"), tg.tensor(np.zeros(3), name="s0"), []
    for _ in tg.steps(3):
        x = tg.tensor(rng.normal(size=3), name="x", requires_grad=False)
        h = tg.name("h", np.tanh(W @ h + U @ x))
        s = tg.name("s", np.tanh(V @ h + W @ s))
        losses.append(tg.name("L", np.sum(s * s)))
    return tg.add_n(losses)


def test_columns_move_apart_for_letters_that_are_words():
    """By as much as the words are longer, so that no word covers a node or another word."""
    short, long = (placed(wide(name), level="named") for name in ("a", "recurrentlayerabove"))
    apart = [max(x for x, _ in layout.positions) - min(x for x, _ in layout.positions) for layout in (short, long)]
    longest = [max(line.label.width(12) for line in layout.lines if line.label) for layout in (short, long)]
    assert apart[1] - apart[0] >= 2 * (longest[1] - longest[0] - 6)  # two gutters of three steps
    words = []
    for line in long.lines:
        if line.label is not None:
            half = line.label.width(12) / 2
            words.append((line.at[0] - half, line.at[1] - 4, line.at[0] + half, line.at[1] + 4))
    assert words
    for a, b in [*combinations(words, 2), *((a, b) for a in words for b in rectangles(long))]:
        assert a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1], (a, b)


class Line:
    """A straight line with a letter, as `settle` takes it."""

    angled = False

    def __init__(self, start, end, at, letter="W"):
        a, b = np.array(start, float), np.array(end, float)
        self.points = [tuple(a + (b - a) * share) for share in (0, 1 / 3, 2 / 3, 1)]
        self.at, self.label = at, symbol(letter) if letter else None


def covered(line, rectangle):
    half = line.label.width(12) / 2
    left, top, right, bottom = rectangle
    x, y = line.at
    return x - half < right and left < x + half and y - 4 < bottom and top < y + 4


def test_a_letter_leaves_a_node_and_another_letter_and_stays_where_nothing_is():
    free = Line((0, 0), (200, 0), (100, -10))
    settle([free], [])
    assert free.at == (100, -10)
    node, line = (80, -20, 120, -2), Line((0, 0), (200, 0), (100, -10))
    settle([line], [node])
    assert not covered(line, node)
    first, second = Line((0, 0), (200, 0), (100, -10)), Line((0, -20), (200, -20), (100, -10))
    settle([first, second], [])
    assert not covered(first, (second.at[0] - 5, second.at[1] - 4, second.at[0] + 5, second.at[1] + 4))


def test_a_letter_stands_on_a_line_rather_than_on_a_node():
    """Wherever it may go there is a node, but for one place, and there several lines cross."""
    line = Line((0, 0), (200, 0), (100, -10))
    above, below = (0, -40, 200, -2), (0, 2, 88, 40)
    beyond = (112, 2, 200, 40)
    crossing = [Line((x, 3), (x, 60), None, None) for x in (94, 97, 100, 103, 106)]
    settle([line, *crossing], [above, below, beyond])
    assert not any(covered(line, node) for node in (above, below, beyond))


def along(points, count=9):
    for k in range(0, len(points) - 3, 3):
        p = np.array(points[k : k + 4])
        for t in np.linspace(0, 1, count):
            u = 1 - t
            yield u**3 * p[0] + 3 * u * u * t * p[1] + 3 * u * t * t * p[2] + t**3 * p[3]


def test_svg_is_well_formed_and_complete():
    layout = placed(lstm(3), level="op", backward=True, title="LSTM & <friends>")
    root = ElementTree.fromstring(to_svg(layout))
    nodes = [g for g in root.iter(f"{SVG}g") if g.get("class", "").startswith("node")]
    assert len(nodes) == len(layout.picture.nodes)
    assert [g.get("data-step") for g in root.iter(f"{SVG}g") if g.get("class") == "step"] == ["t = 1", "t = 2", "t = 3"]
    forward = next(g for g in root.iter(f"{SVG}g") if g.get("class") == "edges")
    backward = next(g for g in root.iter(f"{SVG}g") if g.get("class") == "backward")
    assert len(forward) == len(layout.picture.edges)
    assert len(backward) == sum(e.differentiable for e in layout.picture.edges)
    assert sum(g.get("class") == "shared parameter" for g in root.iter(f"{SVG}g")) == 13


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_stay_text(name):
    with tg.scope(name), tg.step(1):
        x = tg.tensor(1.0, name=name)
        y = tg.name(name + "!", x * tg.tensor(2.0, name=name))
    for level in ("op", "named"):
        root = ElementTree.fromstring(to_svg(placed(y, level=level, title=name, values=True)))
        tags = {element.tag.removeprefix(SVG) for element in root.iter()}
        assert tags <= {"svg", "title", "defs", "marker", "path", "rect", "g", "text", "tspan", "circle"}
        assert not any(key.startswith("on") for element in root.iter() for key in element.attrib)


def test_what_follows_a_subscript_stands_on_the_line_again_and_keeps_its_blanks():
    text = joined([symbol("V_l"), symbol("c")])
    root = ElementTree.fromstring(f"<text>{noted(text, 't = 0').svg_spans(10)}</text>")
    pieces = [(root.text, 0.0, True)] if root.text else []
    pieces += [(t.text, float(t.get("dy", 0)), t.get("font-style") is None) for t in root]
    assert [text for text, _, _ in pieces] == ["V", "l", ", ", "c"] and root[-1].tail == " (t = 0)"
    assert [upright for _, _, upright in pieces] == [False, False, True, False]
    assert sum(fall for _, fall, _ in pieces) == pytest.approx(0)
    assert "<SUB>" in text.dot_html(10) and text.unicode == "V_l, c"
    assert text.width(10) > symbol("V_l").width(10) + symbol("c").width(10)


@pytest.mark.parametrize(
    ("name", "base", "sub"),
    [("cos_w", "cos", "w"), ("W_f", "W", "f"), ("up_w", "up", "w"), ("gamma_yw", "γ", "yw"), ("h1", "h", "1"),
     ("cos_", "cos", ""), ("hidden_state", "hidden_state", ""), ("sha256", "sha256", "")],
)  # fmt: skip
def test_a_letter_or_a_word_with_a_short_index_has_it_below(name, base, sub):
    assert (symbol(name).base, symbol(name).sub) == (base, sub)


def test_the_note_about_missing_steps_is_in_the_picture():
    assert "steps 4 to 48 not shown" in to_svg(placed(vanilla(50), level="named"))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["network", "chain", "fan"])
def test_thousands_of_nodes_are_drawn(kind):
    """More than Python would recurse through, and enough that work in the square of them would take minutes."""
    x = tg.tensor(0.5, name="x")
    if kind == "network":
        h, total = x, []
        for _ in tg.steps(500):
            h = tg.name("h", np.tanh(x * h + 0.5) * 0.5 + tg.sigmoid(h))
            total.append(h)
        graph = tg.Graph(tg.add_n(total))
    else:
        z = x
        for _ in range(3000 if kind == "chain" else 1500):
            z = np.tanh(z) if kind == "chain" else z * x + 0.1
        graph = tg.Graph(z)
    assert len(to_svg(placed(graph, level="op"))) > 150_000


def test_a_graph_without_edges_is_drawn():
    ElementTree.fromstring(to_svg(placed(tg.tensor(1.0))))
    with tg.step(3):
        lone = tg.tensor(1.0, name="h")
    ElementTree.fromstring(to_svg(placed(lone, level="named")))


def test_steps_with_two_indices_are_drawn():
    h = {}
    for i in range(2):
        for j in range(2):
            with tg.step((i, j)):
                h[i, j] = tg.name(
                    "h", sum((h[k] for k in ((i - 1, j), (i, j - 1)) if k in h), tg.tensor(1.0, name="x"))
                )
    layout = placed(h[1, 1], level="named")
    assert [c.title for c in layout.picture.columns] == ["0,0", "0,1", "1,0", "1,1"]
    ElementTree.fromstring(to_svg(layout))
