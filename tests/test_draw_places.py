"""Steps that are no time: grids stand as matrices do, trees with their leaves at the bottom."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn.drawing.view.options import view
from tinygrad_rnn.models import resolve

from .test_draw_svg import along, placed, rectangles
from .test_draw_view import attention, bidirectional, data, delayed, grid, parameter, tree, vanilla


def at(layout, base):
    """Where the nodes of this name stand, by their index."""
    columns = layout.picture.columns
    nodes = zip(layout.picture.nodes, layout.positions, strict=True)
    return {columns[n.column].index: place for n, place in nodes if n.text.base == base}


def by_path(depth=3):
    """A balanced tree, steps are paths from the root."""
    U, W, V = parameter("U", 4, 4), parameter("W", 4, 4), parameter("V", 4, 3)
    h = {}
    for level in range(depth, -1, -1):
        for k in range(2**level):
            path = (9, *(int(b) for b in f"{k:b}".zfill(level)[:level] if level))
            with tg.step(path):
                if level == depth:
                    h[path] = tg.name("h", np.tanh(V @ data("x", 3, 1)))
                else:
                    h[path] = tg.name("h", np.tanh(U @ h[*path, 0] + W @ h[*path, 1]))
    return tg.Graph(h[9,])


def by_number(leaves=4):
    """A tree in an array: node n has the children 2n and 2n + 1."""
    U, W, V, h = parameter("U", 4, 4), parameter("W", 4, 4), parameter("V", 4, 3), {}
    for n in range(2 * leaves - 1, 0, -1):
        with tg.step(n):
            h[n] = tg.name("h", np.tanh(U @ h[2 * n] + W @ h[2 * n + 1] if n < leaves else V @ data("x", 3, 1)))
    return tg.Graph(h[1])


def four_directions(rows=2, columns=3):
    """One state for every corner to begin in (document 004, section 2.7)."""
    h, x, out = {}, {}, []
    places = [(i, j) for i in range(rows) for j in range(columns)]
    for p in places:
        with tg.step(p):
            x[p] = data("x", 4, 1)
    for k, (di, dj) in enumerate(((-1, -1), (-1, 1), (1, -1), (1, 1))):
        W, V = parameter(f"W_{k}", 4, 4), parameter(f"V_{k}", 4, 4)
        for i, j in places if di < 0 else reversed(places):
            if (di < 0) != (dj < 0):
                j = columns - 1 - j
            with tg.scope(f"from{k}"), tg.step((i, j)):
                a = x[i, j]
                a = a + W @ h[k, i + di, j] if (k, i + di, j) in h else a
                a = a + V @ h[k, i, j + dj] if (k, i, j + dj) in h else a
                h[k, i, j] = tg.name(f"h_{k}", np.tanh(a))
    for p in places:
        with tg.step(p):
            out.append(tg.name("o", tg.add_n([h[k, *p] for k in range(4)])))
    return tg.Graph(out)


NETWORKS = {net.__name__: net for net in (grid, tree, by_path, by_number, four_directions)}
EACH = pytest.mark.parametrize("network", NETWORKS)


@pytest.mark.parametrize("level", ["op", "named"])
def test_i_runs_downwards_and_j_to_the_right(level):
    where = at(placed(grid(3, 4), level=level), "h")
    assert len(where) == 12
    for (i, j), (x, y) in where.items():
        assert all((round(a, 6) == round(x, 6)) == (l == j) for (_, l), (a, _) in where.items())  # noqa: E741
        assert all((round(b, 6) == round(y, 6)) == (k == i) for (k, _), (_, b) in where.items())
        assert all(a > x for (_, l), (a, _) in where.items() if l > j)  # noqa: E741
        assert all(b > y for (k, _), (_, b) in where.items() if k > i)


def test_states_of_a_grid_are_joined_by_straight_lines():
    layout = placed(grid(), level="named")
    texts = [n.text.base for n in layout.picture.nodes]
    joined = [k for k in layout.lines if texts[layout.picture.edges[k.edge].tail] == "h"]
    joined = [k for k in joined if texts[layout.picture.edges[k.edge].head] == "h"]
    assert len(joined) == 12
    for line in joined:
        (x0, y0), (x1, y1) = line.points[0], line.points[-1]
        level, upright = (max(c) - min(c) < 0.5 for c in ([y for _, y in line.points], [x for x, _ in line.points]))
        assert level != upright and (x1 > x0 if level else y1 > y0)


def test_every_cell_of_a_grid_has_a_frame_with_its_index_and_all_are_alike():
    layout = placed(grid(2, 3), level="named")
    assert [p.title for p in layout.panels] == ["0,0", "0,1", "0,2", "1,0", "1,1", "1,2"]
    assert len({(round(p.width, 6), round(p.height, 6)) for p in layout.panels}) == 1
    for a, b in combinations(layout.panels, 2):
        assert a.x + a.width <= b.x or b.x + b.width <= a.x or a.y + a.height <= b.y or b.y + b.height <= a.y


@pytest.mark.parametrize(("network", "root"), [(tree, (3, 0)), (by_path, (9,)), (by_number, (1,))])
def test_a_tree_has_its_leaves_at_the_bottom_and_its_root_on_top(network, root):
    layout = placed(network(), level="named")
    where = at(layout, "h")
    leaves = at(layout, "x")
    lowest = {round(where[k][1], 6) for k in leaves}
    assert len(lowest) == 1 and all(round(y, 6) < min(lowest) for k, (_, y) in where.items() if k not in leaves)
    assert min(where, key=lambda k: where[k][1]) == root
    assert not layout.panels


@pytest.mark.parametrize("network", [tree, by_path, by_number])
def test_a_node_of_a_tree_stands_above_the_middle_of_its_children_in_their_order(network):
    layout = placed(network(), level="named")
    nodes, edges = layout.picture.nodes, layout.picture.edges
    children: dict[int, dict[str, float]] = {}
    for e in edges:
        if e.label and e.label.base in "UW" and nodes[e.tail].text.base == nodes[e.head].text.base == "h":
            children.setdefault(e.head, {})[e.label.base] = layout.positions[e.tail][0]
    assert len(children) in (3, 7)
    for node, found in children.items():
        assert found["U"] < found["W"]
        assert layout.positions[node][0] == pytest.approx(sum(found.values()) / 2)


def test_a_letter_at_a_gate_of_a_tree_stands_on_no_line_and_nearest_to_its_own():
    layout = placed(tg.load(resolve("treelstm")).unroll(4), level="named")
    ways = [np.array(list(along(line.points, 40))) for line in layout.lines]
    gates = [k for k, line in enumerate(layout.lines) if line.label is not None and line.label.base in "LR"]
    assert len(gates) == 30
    for k in gates:
        label, at = layout.lines[k].label, np.array(layout.lines[k].at)
        for way in ways:
            assert not (np.abs(way - at) < (label.width(12) / 2, 3.5)).all(axis=1).any(), label
        # sideways only: that is how one looks from an arrow's head to its letter
        level = [min((abs(x - at[0]) for x, y in way if abs(y - at[1]) < 2), default=np.inf) for way in ways]
        assert min(level) == level[k], label


def test_what_reads_the_root_alone_stands_above_it():
    layout = placed(tree(), level="named")
    place = {n.text.unicode: p for n, p in zip(layout.picture.nodes, layout.positions, strict=True)}
    tower = [place[k] for k in ("h⁽³˒⁰⁾", "o", "L", "y")]
    assert len({round(x, 3) for x, _ in tower}) == 1
    assert sorted(tower, key=lambda p: -p[1]) == tower


@pytest.mark.parametrize(
    ("network", "steps"),
    [(vanilla, 3), (bidirectional, 3), (bidirectional, 1), (delayed, 9), (delayed, 2), (attention, 3)],
)
def test_time_is_not_taken_for_a_tree(network, steps):
    columns = view(network(steps), level="named").columns
    assert not any(c.children or c.band for c in columns)
    assert [c.rank for c in columns] == list(range(len(columns)))


def test_quantities_with_an_index_more_stand_with_their_step():
    A, B, C = parameter("A", 4, 4), parameter("B", 4, 4), parameter("C", 1, 4)
    with tg.step(0):
        s = parameter("s", 4, 1)
    for t in range(1, 4):
        weights = []
        for k in range(2):
            with tg.step((t, k)):
                weights.append(tg.name("w", C @ (A @ s)))
        with tg.step(t):
            s = tg.name("s", np.tanh(B @ s) * weights[0] + weights[1])
    picture = view(s, level="named")
    assert [c.title for c in picture.columns if c.kind == "step"] == ["t = 1", "t = 2", "t = 3"]
    step = next(i for i, c in enumerate(picture.columns) if c.title == "t = 2")
    assert {n.text.unicode for n in picture.nodes if n.column == step} == {"w⁽²˒⁰⁾", "w⁽²˒¹⁾", "s⁽²⁾"}


@pytest.mark.parametrize("level", ["op", "named"])
@EACH
def test_nothing_covers_anything_in_grids_and_trees(network, level):
    layout = placed(NETWORKS[network](), level=level)
    boxes = rectangles(layout)
    for a, b in combinations(boxes, 2):
        assert a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1], (a, b)
    for left, top, right, bottom in boxes:
        assert left >= 0 and top >= 0 and right <= layout.width and bottom <= layout.height
    for line in layout.lines:
        edge = layout.picture.edges[line.edge]
        for x, y in along(line.points):
            for i, (left, top, right, bottom) in enumerate(boxes):
                if i not in (edge.tail, edge.head):
                    assert not (left + 1 < x < right - 1 and top + 1 < y < bottom - 1), layout.picture.nodes[i].text
