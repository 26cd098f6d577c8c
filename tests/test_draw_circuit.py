"""The folded picture: what it says is what every step of the unfolded one says, with a square for each delay."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from itertools import combinations
from xml.etree import ElementTree

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import draw, write
from tinygrad_rnn.cli import main
from tinygrad_rnn.drawing.view.options import view
from tinygrad_rnn.drawing.writers.svg import to_svg
from tinygrad_rnn.models import names, resolve

from .test_draw_svg import SVG, along, placed, rectangles
from .test_draw_view import (
    NETWORKS,
    bidirectional,
    captions,
    delayed,
    encoder_decoder,
    expression,
    grid,
    gru,
    lstm,
    parameter,
    right_to_left,
    single_output,
    stacked,
    target,
    tree,
    vanilla,
)

#: nets of one time, and how many steps tell their middle from their ends
FOLDING = {net.__name__: (net, T) for net, T in (
    (vanilla, 5), (lstm, 5), (gru, 5), (right_to_left, 5), (bidirectional, 7), (stacked, 5), (encoder_decoder, 6),
    (delayed, 14), (single_output, 6), (captions, 6), (NETWORKS["attention"], 6),
)}  # fmt: skip
EACH = pytest.mark.parametrize("network", FOLDING)
LEVELS = pytest.mark.parametrize("level", ["op", "named"])


def folding(network):
    net, T = FOLDING[network]
    return net(T)


def arrows(picture):
    text = [n.text.unicode for n in picture.nodes]
    return {(text[e.tail], text[e.head], e.label.unicode if e.label else "", e.delay) for e in picture.edges}


def test_the_circuit_of_the_book_network_has_the_arrows_of_the_book():
    assert arrows(view(vanilla(5), level="named", folded=True)) == {
        ("x", "a", "U", 0), ("h", "a", "W", 1), ("a", "h", "", 0), ("h", "o", "V", 0), ("o", "L", "", 0),
        ("y", "L", "", 0),
    }  # fmt: skip


@LEVELS
@pytest.mark.parametrize("network", ["vanilla", "lstm", "gru", "right_to_left", "bidirectional", "stacked", "delayed"])
def test_what_enters_a_node_of_the_circuit_enters_it_in_every_step_with_that_delay(network, level):
    whole = view(folding(network), level=level, steps="all")
    steps = [c.index[0] if c.kind in ("step", "boundary") else None for c in whole.columns]
    middle = max(s for s in steps if s is not None) // 2
    expected = Counter(
        (*ends(whole, e), middle - steps[whole.nodes[e.tail].column])
        for e in whole.edges
        if steps[whole.nodes[e.head].column] == middle
    )
    circuit = view(folding(network), level=level, folded=True)
    assert Counter((*ends(circuit, e), e.delay) for e in circuit.edges) == expected


def ends(picture, e):
    """Tail, head and letter of an edge, without the time."""
    tail, head = (replace(picture.nodes[i].text, sup="") for i in (e.tail, e.head))
    return tail, picture.nodes[e.tail].lines, head, picture.nodes[e.head].lines, str(e.label)


@LEVELS
@EACH
def test_the_circuit_is_the_same_whatever_the_recorded_length(network, level):
    net, T = FOLDING[network]
    if network == "attention":
        pytest.skip("what attends to all steps has as many operations as there are steps")
    assert arrows(view(net(T), level=level, folded=True)) == arrows(view(net(T + 4), level=level, folded=True))


@EACH
def test_no_name_in_a_circuit_has_a_time_but_what_stands_outside_of_the_loop(network):
    picture = view(folding(network), level="named", folded=True)
    timed = {n.text.unicode for n in picture.nodes if n.text.sup}
    assert timed == ({"o⁽ᵀ⁾"} if network == "single_output" else set())


@pytest.mark.parametrize(
    ("network", "delays"),
    [(vanilla, [1]), (lstm, [1, 1]), (gru, [1]), (bidirectional, [-1, 1]), (stacked, [1, 1]), (delayed, [1, 3])],
)
def test_every_carried_quantity_has_one_square_for_each_delay(network, delays):
    layout = placed(folding(network.__name__), level="named", folded=True)
    assert sorted(s.delay for s in layout.squares) == delays
    root = ElementTree.fromstring(to_svg(layout))
    drawn = [g for g in root.iter(f"{SVG}g") if g.get("class") == "delay" and g.get("data-delay")]
    signs = len({*delays})  # one of each in the legend
    assert sorted(int(g.get("data-delay")) for g in drawn) == sorted([*delays, *set(delays)])
    assert len(drawn) == len(delays) + signs


def test_squares_are_black_for_the_past_white_for_the_future_and_say_how_many_steps():
    svg = to_svg(placed(delayed(14), level="named", folded=True))
    assert re.search(r'data-delay="3"><rect [^>]*fill="#222222"[^>]*/><text [^>]*fill="white">3</text>', svg)
    assert re.search(r'data-delay="1"><rect [^>]*fill="#222222"[^>]*/></g>', svg)
    assert re.search(r'data-delay="-1"><rect [^>]*fill="white"', to_svg(placed(bidirectional(7), folded=True)))
    assert "delay of one step" in svg and "delay of 3 steps" in svg


def test_an_arc_runs_on_the_side_from_which_it_comes_in_the_unfolded_picture():
    layout = placed(bidirectional(7), level="named", folded=True)
    h, g = (
        next(x for n, (x, _) in zip(layout.picture.nodes, layout.positions, strict=True) if n.text.base == k)
        for k in "hg"
    )
    at = {s.delay: s.at[0] for s in layout.squares}
    assert at[1] < h < g < at[-1]


def test_an_arc_around_another_one_stands_further_out():
    layout = placed(lstm(5), level="named", folded=True)
    far = {}
    for line in layout.lines:
        e = layout.picture.edges[line.edge]
        if e.delay:
            far[layout.picture.nodes[e.tail].text.base] = min(x for x, _ in line.points)
    assert far["h"] < far["c"] - 10


def test_arcs_above_each_other_stand_equally_far_out():
    assert len({round(s.at[0], 6) for s in placed(stacked(5), level="named", folded=True).squares}) == 1


def test_values_of_a_circuit_are_shapes_for_they_differ_by_step():
    circuit = view(vanilla(5), level="named", folded=True, values=True)
    assert {n.text.unicode: n.lines for n in circuit.nodes}["h"] == ("4 × 1",)


def test_graphviz_gets_the_squares_and_the_arrow():
    source = draw(delayed(14), level="named", folded="both").source
    assert len(re.findall(r"\tdelay\d+ \[", source)) == 2
    assert re.search(r"delay\d+ \[label=3 ", source) and "shape=rarrow" in source and "Unfold" in source


@pytest.mark.parametrize("network", ["vanilla", "lstm", "gru", "stacked"])
def test_the_step_unfolds_to_its_neighbours_at_equal_heights(network):
    layout = placed(folding(network), level="named", folded="both")
    picture = layout.picture
    assert [c.title for c in picture.columns if c.kind == "step"] == ["t − 1", "t", "t + 1"]
    assert [c.kind for c in picture.columns].count("gap") == 2
    heights: dict[int, set[float]] = {}
    for n, (_, y) in zip(picture.nodes, layout.positions, strict=True):
        if n.role not in ("elided", "unfold"):
            heights.setdefault(n.slot, set()).add(round(y, 6))
    assert all(len(found) == 1 for found in heights.values())
    circuit = [n.text.unicode for n in picture.nodes if picture.columns[n.column].kind == "circuit"]
    assert {f"{c}⁽ᵗ⁺¹⁾" for c in circuit} <= {n.text.unicode for n in picture.nodes}


def test_a_long_delay_unfolds_to_as_many_steps_as_show_it():
    picture = view(delayed(14), level="named", folded="both")
    assert sum(c.kind == "step" for c in picture.columns) == 5
    assert ("h⁽ᵗ⁻²⁾", "h⁽ᵗ⁺¹⁾", "D", 0) in arrows(picture)


def test_the_sum_of_the_losses_is_said_in_words():
    for chained in (False, True):
        picture = view(vanilla(5, chained=chained), level="op", folded=True)
        assert picture.note.unicode == "the whole loss is the sum of L over all steps"
        assert [n.text.unicode for n in picture.nodes if n.role == "loss"] == ["L"]


def test_a_single_output_comes_after_the_loop():
    picture = view(single_output(6), level="named", folded=True)
    assert {("h", "o⁽ᵀ⁾", "V", 0), ("o⁽ᵀ⁾", "L", "", 0), ("y", "L", "", 0)} <= arrows(picture)
    picture = view(tg.load(resolve("single_output")), level="named", folded=True)
    assert {("h", "o⁽ᵀ⁾", "V", 0), ("o⁽ᵀ⁾", "L", "", 0), ("y⁽ᵀ⁾", "L", "", 0)} <= arrows(picture)


def test_in_the_unfolded_picture_the_only_target_stands_above_its_loss():
    layout = placed(single_output(4), level="named")
    place = {n.text.unicode: p for n, p in zip(layout.picture.nodes, layout.positions, strict=True)}
    assert "y" in place and place["y"][0] == pytest.approx(place["L"][0]) and place["y"][1] < place["L"][1]
    layout = placed(tg.load(resolve("single_output")).unroll(3), level="named")
    place = {n.text.unicode: p for n, p in zip(layout.picture.nodes, layout.positions, strict=True)}
    assert place["y⁽³⁾"][0] == pytest.approx(place["L"][0]) and place["y⁽³⁾"][1] < place["L"][1]
    assert {p.width for p in layout.panels} == {layout.panels[0].width}


def test_targets_of_every_step_stay_in_their_steps():
    picture = view(vanilla(3), level="named")
    assert {picture.columns[n.column].title for n in picture.nodes if n.role == "target"} == {"t = 1", "t = 2", "t = 3"}


def test_a_letter_keeps_its_index_when_a_time_stands_behind_it():
    picture = view(tg.load(resolve("predicted_length")), level="named", folded=True)
    (label,) = (e.label for e in picture.edges if e.label and e.label.base == "V" and e.label.sub)
    assert (label.sub, label.unicode) == ("l", "V_l (t = 0)")


def test_losses_in_the_note_keep_their_index():
    note = view(tg.load(resolve("bernoulli_stop")), level="named", folded=True).note
    assert note.unicode == "the whole loss is the sum of L_y and L_s over all steps"
    assert [(text.base, text.sub) for text in note.more if text.sub] == [("L", "y"), ("L", "s")]


def test_numbers_written_in_a_formula_are_no_letters_on_arrows():
    picture = view(tg.load(resolve("ntm")), level="named", folded=True)
    assert not [e.label for e in picture.edges if e.label and "×" in e.label.unicode]


@pytest.mark.parametrize("folded", [False, True, "both"])
def test_what_is_fixed_is_a_letter_on_its_arrow_and_said_to_be_fixed(folded):
    model = tg.load(resolve("echo_state"))
    picture = view(model, level="named", folded=folded)
    assert {n.text.base for n in picture.nodes if n.role == "input"} == {"x"}
    assert {e.label.unicode for e in picture.edges if e.label} == {"W", "U", "F", "V"}
    fixed = {p.text.base for p in picture.shared if p.detail.endswith(", fixed")}
    assert fixed == {"W", "U", "F", "b", "α"}
    assert {p.text.base: p.role for p in picture.shared if p.text.base in "VW"} == {"V": "parameter", "W": "constant"}


@pytest.mark.parametrize(
    ("name", "tail", "there"),
    [("vector_initial", "x", True), ("encoder_decoder_initial", "C", True), ("end_symbol", "end", False)],
)
def test_beside_a_circuit_what_only_the_first_step_reads_has_its_arrow(name, tail, there):
    picture = view(tg.load(resolve(name)), level="named", folded="both")
    window = next(k for k, c in enumerate(picture.columns) if c.kind == "unfold")
    found = [k for k, n in enumerate(picture.nodes) if n.text.base == tail and n.column > window]
    assert bool(found) == there
    leaving = [e for e in picture.edges if e.tail in found]
    assert [(picture.nodes[e.head].role, e.label.unicode) for e in leaving] == ([("elided", "t = 0")] if there else [])


@pytest.mark.parametrize("shown", [1, 2, 5, 12])
@pytest.mark.parametrize("network", [vanilla, delayed])
def test_as_many_steps_as_asked_for_stand_beside_the_circuit(network, shown):
    picture = view(network(14), level="named", folded="both", steps=shown)
    titles = [c.title for c in picture.columns if c.kind == "step"]
    assert len(titles) == shown and "t" in titles
    assert arrows(view(network(14), level="named", folded=True)) <= {
        (tail.split("⁽")[0], head.split("⁽")[0], label, delay) for tail, head, label, delay in arrows(picture)
    }


@pytest.mark.parametrize(
    ("folded", "steps", "words"),
    [(True, 3, "a circuit has no steps"), (True, "all", "a circuit has no steps"), ("both", 0, "from 1 to 12"),
     ("both", 13, "from 1 to 12"), ("both", "all", "from 1 to 12"), ("both", 2.0, "from 1 to 12")],
)  # fmt: skip
def test_steps_that_cannot_stand_beside_a_circuit_are_refused(folded, steps, words):
    with pytest.raises(tg.GraphError, match=words):
        view(vanilla(5), folded=folded, steps=steps)


def test_what_joins_two_loops_says_at_which_steps():
    picture = view(encoder_decoder(6), level="named", folded=True)
    assert arrows(picture) == {
        ("x", "h", "", 0),
        ("h", "h", "W", 1),
        ("s", "s", "R", 1),
        ("h", "s", "R (t = T → 1)", 0),
    }


def test_a_context_outside_of_time_stands_between_the_loop_it_sums_up_and_the_one_it_feeds():
    W, Q, R = parameter("W", 4, 4), parameter("Q", 4, 4), parameter("R", 4, 4)
    with tg.scope("encoder"):
        with tg.step(0):
            h = parameter("h", 4, 1)
        for _ in tg.steps(1, 7):
            h = tg.name("h", np.tanh(W @ h))
    context = tg.name("C", Q @ h)
    with tg.scope("decoder"):
        with tg.step(0):
            s = parameter("s", 4, 1)
        for _ in tg.steps(1, 7):
            s = tg.name("s", np.tanh(R @ s + context))
    picture = view(s, level="named", folded=True)
    assert [c.kind for c in picture.columns] == ["circuit", "between", "circuit"]
    assert {("h", "C", "Q (t = T)", 0), ("C", "s", "", 0)} <= arrows(picture)
    order = [n.text.base for n in sorted(view(s, level="named").nodes, key=lambda n: n.column)]
    assert order == ["h"] * 7 + ["C"] + ["s"] * 7


def test_a_vector_that_is_the_initial_state_is_an_input():
    picture = view(tg.load(resolve("vector_initial")), level="named", folded=True)
    assert ("x", "h", "t = 0", 0) in arrows(picture)
    assert {n.role for n in picture.nodes if n.text.base == "x"} == {"input"}


def test_a_vector_for_all_steps_is_an_input_and_the_label_before_a_target():
    picture = view(captions(6), level="named", folded=True)
    roles = {n.text.unicode: n.role for n in picture.nodes}
    assert (roles["x"], roles["y"]) == ("input", "target")
    assert {("x", "h", "R", 0), ("y", "h", "U", 1), ("y", "L", "", 0)} <= arrows(picture)
    unfolded = {n.text.unicode: n.role for n in view(captions(4), level="named").nodes}
    assert {role for name, role in unfolded.items() if name.startswith("y")} == {"target"}


def test_a_mean_over_time_is_not_taken_for_the_sum():
    W = parameter("W", 4, 4)
    with tg.step(0):
        h = parameter("h", 4, 1)
    losses = []
    for _ in tg.steps(1, 7):
        h = tg.name("h", np.tanh(W @ h))
        losses.append(tg.name("L", tg.cross_entropy(h, target(), axis=0)))
    picture = view(tg.name("J", tg.add_n(losses) / 6.0), level="named", folded=True)
    assert ("L", "J", "all t", 0) in arrows(picture) and not picture.note


@pytest.mark.slow
@pytest.mark.parametrize(("level", "folded"), [("named", True), ("named", "both"), ("op", True)])
@EACH
def test_nothing_covers_anything_in_a_circuit(network, level, folded):
    layout = placed(folding(network), level=level, folded=folded)
    boxes = rectangles(layout)
    squares = [s.extent for s in layout.squares]
    for a, b in combinations([*boxes, *squares], 2):
        assert a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1], (a, b)
    for line in layout.lines:
        edge = layout.picture.edges[line.edge]
        for x, y in along(line.points):
            for i, (left, top, right, bottom) in enumerate(boxes):
                if i not in (edge.tail, edge.head):
                    assert not (left + 1 < x < right - 1 and top + 1 < y < bottom - 1), layout.picture.nodes[i].text


@pytest.mark.parametrize("direction", ["LR", "TB"])
@EACH
def test_letters_in_a_circuit_cover_neither_nodes_nor_each_other(network, direction):
    layout = placed(folding(network), level="named", folded=True, direction=direction)
    letters = []
    for line in layout.lines:
        if line.label is not None:
            half = line.label.width(12) / 2
            letters.append((line.at[0] - half, line.at[1] - 4, line.at[0] + half, line.at[1] + 4))
    solid = [*rectangles(layout), *(s.extent for s in layout.squares)]
    for a, b in [*combinations(letters, 2), *((a, b) for a in letters for b in solid)]:
        assert a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1], (a, b)


@pytest.mark.parametrize(("network", "words"), [(grid, "2-D net"), (tree, "2-D net"), (expression, "time step")])
def test_what_does_not_fold_says_so_before_anything_is_drawn(network, words, tmp_path):
    with pytest.raises(tg.FoldError, match=words):
        write(network(), tmp_path / "net.svg", folded=True)
    assert not list(tmp_path.iterdir())


def test_another_value_of_folded_is_refused():
    with pytest.raises(tg.GraphError, match="False, True, 'both'"):
        view(vanilla(5), folded="left")


@pytest.mark.slow
def test_every_shipped_model_of_one_time_is_drawn_folded_and_unfolded_and_no_node_stands_alone():
    refused = []
    for name in names():
        try:
            layout = placed(tg.load(resolve(name)), level="named", folded="both")
        except tg.FoldError:
            refused.append(name)
            continue
        assert layout.squares and ElementTree.fromstring(to_svg(layout)) is not None, name
        joined = {k for e in layout.picture.edges for k in (e.tail, e.head)}
        assert {n.role for k, n in enumerate(layout.picture.nodes) if k not in joined} == {"unfold"}, name
    several_indices = {"attention", "attention_dot", "memory_network", "recursive", "treelstm", "two_dimensional"}
    assert set(refused) <= several_indices | {"clockwork"}


@pytest.mark.parametrize(("option", "words"), [("--folded", "delay of one step"), ("--both", "Unfold")])
def test_the_command_line_folds(tmp_path, option, words, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))  # our own writer
    assert main(["draw", "vanilla", option, "-o", str(tmp_path / "net.svg")]) == 0
    assert words in (tmp_path / "net.svg").read_text(encoding="utf-8")


def test_the_command_line_says_how_many_steps_stand_beside_a_circuit(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PATH", str(tmp_path))
    file = tmp_path / "net.svg"
    assert main(["draw", "vanilla", "--both", "--steps", "5", "-o", str(file)]) == 0
    assert file.read_text(encoding="utf-8").count("data-step=") == 5
    assert main(["draw", "vanilla", "--folded", "--steps", "5", "-o", str(file)]) == 2
    assert "a circuit has no steps" in capsys.readouterr().err


def test_the_command_line_says_why_a_model_does_not_fold(tmp_path, capsys):
    assert main(["draw", "two_dimensional", "--folded", "-o", str(tmp_path / "net.svg")]) == 2
    assert "2-D net" in capsys.readouterr().err
