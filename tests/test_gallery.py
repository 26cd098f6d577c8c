"""The gallery: the table, the page and the pictures are what the list of systems gives, complete, and right."""

from __future__ import annotations

import doctest
import re
from dataclasses import replace
from functools import cache
from html.parser import HTMLParser

import pytest

from docs.gallery.build import verified
from docs.gallery.page import page, section
from docs.gallery.pictures import picture
from docs.gallery.systems import DOCS, PICTURES, around, chapters, systems
from docs.gallery.table import cells, table
from tests.sweep import sample
from tinygrad_rnn.models import names

SYSTEMS = systems()
NUMBERED = list(enumerate(SYSTEMS, start=1))
each_system = pytest.mark.parametrize("system", SYSTEMS, ids=lambda system: system.name)
VOID = {"meta", "br", "rect", "path", "circle"}
AGAIN = "run  python -m docs.gallery.build  and look at what changed"


@cache
def committed() -> str:
    return (DOCS / "gallery.html").read_text(encoding="utf-8")


def test_every_shipped_equation_file_is_in_the_gallery():
    assert {system.equation_file.stem for system in SYSTEMS} == set(names())


def test_names_are_unique():
    assert len({system.name for system in SYSTEMS}) == len({system.title for system in SYSTEMS}) == len(SYSTEMS)


@each_system
def test_no_cell_of_the_table_is_empty(system):
    assert all(cells(system)), cells(system)


def test_the_committed_table_is_what_the_generator_gives():
    assert (DOCS / "systems.md").read_text(encoding="utf-8") == table(chapters(), around()), AGAIN


@pytest.mark.slow
@pytest.mark.parametrize(("number", "system"), sample(NUMBERED, 7, "gallery"), ids=str)
def test_the_derivation_passes_and_the_committed_section_is_what_the_generator_gives(number, system):
    report = verified(system)
    assert report.ok, str(report)
    assert section(number, system, report) in committed(), AGAIN


@pytest.mark.slow
@each_system
def test_the_committed_picture_is_what_the_generator_gives(system):
    assert system.picture_file.read_text(encoding="utf-8") == picture(system).svg, AGAIN


def test_there_are_no_pictures_of_systems_that_are_not_listed():
    assert set(PICTURES.iterdir()) == {system.picture_file for system in SYSTEMS}


def test_what_stands_around_the_sections_is_what_the_generator_gives():
    sections = re.findall(r'<section class="system".*?</section>', committed(), re.DOTALL)
    assert page(chapters(), sections) == committed(), AGAIN


@each_system
def test_the_code_runs(system, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert ">>> " in system.code
    example = doctest.DocTestParser().get_doctest(system.code, {}, system.name, "systems.toml", 0)
    printed: list[str] = []
    options = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    results = doctest.DocTestRunner(optionflags=options).run(example, out=printed.append)
    assert results.failed == 0, "".join(printed)


class Elements(HTMLParser):
    """Checks that what opens closes, and collects links and anchors."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []
        self.anchors: list[str] = []
        self.loaded: list[str] = []

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        if tag == "a":
            self.links.append(given["href"])
        elif "href" in given or "src" in given or tag in ("script", "link", "iframe"):
            self.loaded.append(self.get_starttag_text())
        if tag == "section":
            self.anchors.append(given["id"])
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        pass

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@cache
def elements() -> Elements:
    found = Elements()
    found.feed(committed())
    found.close()
    return found


@pytest.mark.slow
def test_the_page_closes_what_it_opens():
    assert elements().open == []


def test_the_page_needs_nothing_else():
    assert elements().loaded == []
    assert not re.search(r"@import|url\((?!#)", committed())


def test_every_link_of_the_page_leads_somewhere():
    inside = {link[1:] for link in elements().links if link.startswith("#")}
    outside = {link for link in elements().links if not link.startswith("#")}
    assert inside == set(elements().anchors)
    assert [link for link in outside if not (DOCS / link).is_file()] == []


def test_text_is_escaped():
    system = replace(SYSTEMS[0], title="<b>&", summary="<i>", source="<u>", code=">>> 1 < 2\nTrue")
    said = section(1, system, verified(SYSTEMS[0]))
    assert "&lt;b&gt;&amp;" in said and not re.search(r"<[biu]>", said)


def test_an_empty_cell_says_what_is_missing():
    missing = replace(SYSTEMS[0], layer="tinygrad_rnn.nn.Nothing", demo="00_nothing.py")
    assert [place for place, cell in enumerate(cells(missing)) if not cell] == [2, 5]
