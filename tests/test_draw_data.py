"""Pictures that are not graphs: heat maps, graphical models, and what an object says of itself."""

from __future__ import annotations

import re
import subprocess
import sys
from itertools import pairwise
from xml.etree import ElementTree

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import draw, graphical_model, heatmap, write
from tinygrad_rnn.drawing.heat import RAMP, on_the_ramp
from tinygrad_rnn.drawing.view.label_text import text_width
from tinygrad_rnn.drawing.writers.svg import to_svg

from .test_draw_svg import HOSTILE, SVG, along
from .test_draw_view import vanilla


# -- heat maps ---------------------------------------------------------------------------------------------------------
def cells(picture):
    group = next(g for g in ElementTree.fromstring(str(picture)).iter(f"{SVG}g") if g.get("class") == "cells")
    return [r for r in group if r.get("fill") != "none"]


def grey(colour):
    """Relative luminance: what a grey printer makes of it."""
    linear = [(int(colour[i : i + 2], 16) / 255) ** 2.2 for i in (1, 3, 5)]
    return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))


def texts(picture):
    return [t.text for t in ElementTree.fromstring(str(picture)).iter(f"{SVG}text")]


def test_larger_is_darker_in_grey_too():
    order = [grey(on_the_ramp(share)) for share in np.linspace(0, 1, 65)]
    assert all(a > b for a, b in pairwise(order))
    assert order[0] > 0.9 and order[-1] < 0.05


def test_the_ramp_is_of_one_hue():
    for colour in RAMP[1:]:
        r, g, b = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
        assert r < g < b


def test_every_cell_stands_in_its_row_and_column_and_says_its_value():
    matrix = np.arange(6.0).reshape(2, 3)
    found = cells(heatmap(matrix, rows=["a", "b"], columns=["p", "q", "r"]))
    assert [c[0].text for c in found] == ["a, p: 0", "a, q: 1", "a, r: 2", "b, p: 3", "b, q: 4", "b, r: 5"]
    x, y = ([float(c.get(k)) for c in found] for k in "xy")
    assert x[:3] == x[3:] == sorted(x[:3]) and len({*y[:3]}) == len({*y[3:]}) == 1 and y[0] < y[3]
    assert [grey(c.get("fill")) for c in found] == sorted((grey(c.get("fill")) for c in found), reverse=True)


def test_the_colour_bar_says_the_least_and_the_largest_value():
    assert {"0", "0.25", "0.5", "0.75", "1"} <= set(texts(heatmap(np.linspace(0, 1, 12).reshape(3, 4))))
    assert {"1", "0.1", "0.01"} <= set(texts(heatmap([[1.0, 0.1], [0.01, 0.005]], log=True)))


def test_what_is_no_number_is_hatched_and_said():
    picture = heatmap([[1.0, np.nan], [np.inf, 2.0]])
    assert [c.get("fill") for c in cells(picture)][1:3] == ["url(#nothing)"] * 2
    assert "hatched: not a number" in texts(picture)
    assert "hatched: not positive, or not a number" in texts(heatmap([[1.0, 0.0], [-1.0, 2.0]], log=True))


@pytest.mark.parametrize("value", [0.0, -3.0, 7.5, np.nan])
def test_one_value_everywhere_is_drawn(value):
    ElementTree.fromstring(str(heatmap(np.full((2, 2), value))))
    ElementTree.fromstring(str(heatmap(np.full((2, 2), value), log=True)))


def test_a_large_matrix_stays_small():
    rows = np.linspace(0, 1, 1000)
    assert len(str(heatmap(np.add.outer(rows, 0 * rows)))) < 1_000_000
    assert len(texts(heatmap(np.add.outer(rows, rows)))) < 200


@pytest.mark.parametrize("shape", [(), (3,), (0, 2), (2, 3, 4), (1001, 2)])
def test_anything_but_a_matrix_of_a_readable_size_is_refused(shape):
    with pytest.raises(tg.ShapeError, match=re.escape(str(shape))):
        heatmap(np.zeros(shape))


@pytest.mark.parametrize("which", ["rows", "columns"])
def test_labels_that_do_not_fit_are_refused(which):
    with pytest.raises(tg.ShapeError, match=f"3 labels for 2 {which}"):
        heatmap(np.eye(2), **{which: ["a", "b", "c"]})


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_labels_stay_text(name):
    picture = str(heatmap(np.eye(2), rows=[name, "a"], columns=["b", name], title=name, axes=(name, name)))
    tags = {e.tag.removeprefix(SVG) for e in ElementTree.fromstring(picture).iter()}
    assert tags <= {"svg", "title", "rect", "g", "text", "defs", "pattern", "path"}


def test_a_tensor_is_taken_and_a_notebook_shows_it():
    assert heatmap(tg.tensor(np.eye(2)))._repr_svg_() == str(heatmap(np.eye(2)))


def test_a_heat_map_needs_no_plotting_library():
    code = "import sys; from tinygrad_rnn import heatmap; heatmap([[1, 2]]); print('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


def test_a_heat_map_is_written_as_svg_and_nothing_else(tmp_path):
    assert write(heatmap(np.eye(3)), tmp_path / "map.svg").read_text(encoding="utf-8").startswith("<svg")
    with pytest.raises(tg.GraphError, match=r"written as \.svg"):
        write(heatmap(np.eye(3)), tmp_path / "map.dot")
    assert [p.name for p in tmp_path.iterdir()] == ["map.svg"]


# -- graphical models --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("T", [2, 5, 12])
def test_without_a_state_every_value_depends_on_all_before(T):
    picture = graphical_model(T).placed.picture
    count = T + 1  # the last node stands for all that follow
    assert {(e.tail, e.head) for e in picture.edges} == {(i, j) for j in range(count) for i in range(j)}
    assert [n.text.sup for n in picture.nodes] == [*(f"({t})" for t in range(1, T + 1)), "(…)"]


@pytest.mark.parametrize("T", [2, 5])
def test_with_a_state_every_step_has_the_same_three_arrows(T):
    picture = graphical_model(T, states=True).placed.picture
    name = [n.text.base + n.text.sup for n in picture.nodes]
    steps = [*(f"({t})" for t in range(1, T + 1)), "(…)"]
    expected = {(f"s{t}", f"y{t}") for t in steps}
    expected |= {(a + s, "s" + t) for s, t in pairwise(steps) for a in "sy"}
    assert {(name[e.tail], name[e.head]) for e in picture.edges} == expected


@pytest.mark.parametrize("states", [False, True])
def test_no_arrow_of_a_graphical_model_runs_through_a_node(states):
    layout = graphical_model(6, states=states, title="p(y)").placed
    for line in layout.lines:
        e = layout.picture.edges[line.edge]
        for x, y in along(line.points):
            assert 0 <= x <= layout.width and 0 <= y <= layout.height
            for i, (a, b) in enumerate(layout.positions):
                if i not in (e.tail, e.head):
                    assert np.hypot(x - a, y - b) > layout.boxes[i].width / 2
    ElementTree.fromstring(to_svg(layout))


@pytest.mark.parametrize("T", [1, 13])
def test_a_tangle_is_refused(T):
    with pytest.raises(tg.GraphError, match="from 2 to 12"):
        graphical_model(T)


def test_a_drawing_is_written_as_it_was_drawn(tmp_path):
    drawing = graphical_model(4)
    assert write(drawing, tmp_path / "model.dot").read_text(encoding="utf-8") == drawing.source


# -- what an object says of itself -------------------------------------------------------------------------------------
class Plan:
    """Something that is no graph of tensors."""

    def __init__(self, **said):
        self.said = said

    def __picture__(self):
        return {
            "title": "plan",
            "nodes": [
                {"id": 1, "text": "x @ U", "group": "before the loop"},
                {"id": 2, "text": "h @ W", "group": "for t", "lines": ["in place"]},
                {"id": 3, "text": "h", "role": "state", "group": "for t"},
            ],
            "edges": [(1, 3), (2, 3), (3, 2, "W", 1)],
            **self.said,
        }


def test_an_object_may_describe_its_picture_in_plain_data():
    layout = draw(Plan()).placed
    assert [p.title for p in layout.panels] == ["before the loop", "for t"]
    assert [n.role for n in layout.picture.nodes] == ["operation", "operation", "state"]
    assert layout.picture.title == "plan" and [s.delay for s in layout.squares] == [1]
    svg = ElementTree.fromstring(to_svg(layout))
    assert {"plan", "in place"} <= {t.text for t in svg.iter(f"{SVG}text")}


def test_a_frame_holds_its_title():
    title = "a loop with a long name, in chunks of 682 steps"
    nodes = [{"id": 1, "text": "a", "group": title}, {"id": 2, "text": "b", "group": "a"}]
    panel = draw(Plan(nodes=nodes, edges=[(1, 2)])).placed.panels[0]
    assert panel.width > text_width(title, 11)


def test_an_edge_may_have_several_letters():
    (edge,) = draw(Plan(edges=[(1, 3, ["s_0", "w"])])).placed.picture.edges
    assert edge.label.unicode == "s_0, w" and edge.label.sub == "0"


def test_an_object_may_name_the_graph_to_draw():
    class Wrapped:
        def __picture__(self):
            return vanilla(2)

    assert len(draw(Wrapped(), level="named").placed.picture.nodes) == 14


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"nodes": [{"id": 1, "role": "hero"}]}, "role out of .*state"),
        ({"nodes": [{"id": 1}, {"id": 1}]}, "id of its own"),
        ({"nodes": [{"text": "h"}]}, "id of its own"),
        ({"edges": [(1, 4)]}, "1 and 4"),
    ],
)
def test_what_an_object_says_wrongly_is_refused(said, words):
    with pytest.raises(tg.GraphError, match=words):
        draw(Plan(**said))


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_descriptions_stay_text(name):
    nodes = [{"id": 1, "text": name, "group": name, "lines": [name]}, {"id": 2, "text": name, "role": "state"}]
    svg = to_svg(draw(Plan(nodes=nodes, edges=[(1, 2, name)], title=name)).placed)
    tags = {e.tag.removeprefix(SVG) for e in ElementTree.fromstring(svg).iter()}
    assert tags <= {"svg", "title", "defs", "marker", "path", "rect", "g", "text", "tspan", "circle"}


def test_a_layer_that_was_not_run_says_what_to_do():
    class Layer:
        def parameters(self):
            return []

    with pytest.raises(tg.GraphError, match="call it on data"):
        draw(Layer())
