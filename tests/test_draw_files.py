"""The graphviz document and the files: what DOT says, which writer makes which format, nothing written by halves."""

from __future__ import annotations

import re
import shutil
from xml.etree import ElementTree

import graphviz
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import draw, write

from .test_draw_svg import HOSTILE
from .test_draw_view import lstm, vanilla

needs_dot = pytest.mark.skipif(shutil.which("dot") is None, reason="graphviz' dot program is not installed")


@pytest.fixture
def without_dot(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))


def test_draw_gives_a_graphviz_digraph():
    assert isinstance(tg.draw(vanilla(2)), graphviz.Digraph)


def test_dot_source_has_a_cluster_for_each_step_and_a_node_for_each_quantity():
    source = draw(vanilla(3), level="named").source
    assert re.findall(r'label="(t = \d)"', source) == ["t = 1", "t = 2", "t = 3"]
    for quantity in ("x", "a", "h", "o", "L", "y"):
        for t in "¹²³":
            assert f"<<I>{quantity}</I>⁽{t}⁾>" in source
    letters = re.findall(r"-> n\d+ \[label=<<I>(\w)</I>>", source)
    assert sorted(letters) == sorted("UWV" * 3)


def test_every_parameter_is_one_node_in_dot():
    source = draw(vanilla(6), level="named").source
    for parameter in "UWVbc":
        assert len(re.findall(rf"legend\d+ \[label=<<I>{parameter}</I>>", source)) == 1


def test_backward_edges_are_red_and_dashed_and_run_against_the_others():
    source = draw(vanilla(2), level="named", backward=True).source
    both = re.findall(r"\t(n\d+) -> (n\d+) \[(.*)\]", source)
    forward = {(a, b) for a, b, look in both if "dashed" not in look}
    back = {(a, b) for a, b, look in both if "dashed" in look}
    assert back and all((b, a) in forward for a, b in back)


@pytest.mark.parametrize("direction", ["LR", "TB"])
@pytest.mark.parametrize("level", ["op", "named"])
@needs_dot
@pytest.mark.dot
def test_dot_draws_what_we_placed(level, direction):
    drawing = draw(lstm(2), level=level, direction=direction, backward=True, title="LSTM")
    root = ElementTree.fromstring(drawing.pipe(format="svg", quiet=False))
    count = {
        kind: sum(g.get("class") == kind for g in root.iter("{http://www.w3.org/2000/svg}g"))
        for kind in ("cluster", "edge")
    }
    assert count["cluster"] == 2
    assert count["edge"] == drawing.source.count(" -> ")


@needs_dot
@pytest.mark.dot
@pytest.mark.parametrize("name", HOSTILE)
def test_dot_accepts_hostile_names(name):
    with tg.step(1):
        y = tg.name(name, tg.tensor(1.0, name=name) * 2.0)
    svg = draw(y, level="op", title=name).pipe(format="svg").decode()
    ElementTree.fromstring(svg)
    assert "<script" not in svg


@needs_dot
@pytest.mark.dot
@pytest.mark.parametrize(
    ("suffix", "magic"), [(".svg", b"<?xml"), (".png", b"\x89PNG"), (".pdf", b"%PDF"), (".gv", b"digraph")]
)
def test_write_goes_by_the_suffix(tmp_path, suffix, magic):
    path = write(vanilla(2), tmp_path / f"net{suffix}", level="named")
    assert path.read_bytes().startswith(magic)
    assert [p.name for p in tmp_path.iterdir()] == [f"net{suffix}"]


@pytest.mark.parametrize(("suffix", "magic"), [(".svg", "<svg"), (".dot", "digraph")])
def test_svg_and_text_need_no_dot(tmp_path, without_dot, suffix, magic):
    assert write(vanilla(2), str(tmp_path / f"net{suffix}")).read_text(encoding="utf-8").startswith(magic)


@pytest.mark.parametrize("suffix", [".png", ".pdf"])
def test_a_format_that_needs_dot_says_so_before_anything_is_written(tmp_path, without_dot, suffix):
    with pytest.raises(tg.GraphError, match=r"graphviz.*net\.svg needs nothing"):
        write(vanilla(2), tmp_path / f"net{suffix}")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["net.jpg", "net"])
def test_an_unknown_suffix_is_refused(tmp_path, name):
    with pytest.raises(tg.GraphError, match=r"use \.svg"):
        write(vanilla(2), tmp_path / name)


def test_a_failed_write_leaves_the_old_file(tmp_path, without_dot, monkeypatch):
    path = write(vanilla(2), tmp_path / "net.svg")
    before = path.read_bytes()
    monkeypatch.setattr("os.replace", _fail)
    with pytest.raises(OSError, match="full"):
        write(vanilla(3), path)
    assert path.read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1


def _fail(*_):
    raise OSError("disk full")


def test_a_notebook_shows_the_picture_without_dot(without_dot):
    bundle = draw(vanilla(2))._repr_mimebundle_()
    assert bundle["image/svg+xml"].startswith("<svg")
