"""Every example in README and docs runs: Python as doctests, equations through `verify`, commands through the CLI."""

import doctest
import re
import shlex
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import pytest

import tinygrad_rnn as tg
from tinygrad_rnn.cli import main
from tinygrad_rnn.language.functions import FUNCTIONS

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCE = re.compile(r"^```(?P<kind>[^\n`]*)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE)


class Block(NamedTuple):
    """A fenced block: what it is marked as, its text, where it stands."""

    marks: tuple[str, ...]
    text: str
    place: str


def blocks(kind: str) -> list[Block]:
    """All blocks of this kind in all pages."""
    return [block for page in PAGES for block in _blocks_of(page) if block.marks[:1] == (kind,)]


def _blocks_of(page: Path) -> Iterator[Block]:
    text = page.read_text(encoding="utf-8")
    for found in FENCE.finditer(text):
        line = text.count("\n", 0, found.start()) + 1
        yield Block(tuple(found["kind"].split()), found["text"], f"{page.name}:{line}")


def each(kind: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("block", blocks(kind), ids=lambda block: block.place)


@pytest.fixture(autouse=True)
def at_the_root(monkeypatch: pytest.MonkeyPatch) -> None:
    """Paths in the pages are written from the folder of the project."""
    monkeypatch.chdir(ROOT)


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_python_examples_run(page: Path) -> None:
    results = doctest.testfile(
        str(page), module_relative=False, optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE, encoding="utf-8"
    )
    assert results.failed == 0


def test_python_blocks_are_doctests() -> None:
    assert [block.place for block in blocks("python") if not block.text.startswith(">>> ")] == []


@pytest.mark.slow
@each("rnn")
def test_derivations_are_right_unless_marked_wrong(block: Block) -> None:
    if "wrong" in block.marks:
        with suppress(tg.LanguageError):
            assert not tg.verify(block.text).ok
    else:
        report = tg.verify(block.text)
        assert report.ok, str(report)


#: what a file in a command holds: the block of this kind above it
EXAMPLES = {"mine.rnn": "rnn", "mine.md": "markdown"}


@pytest.mark.slow
@each("console")
def test_commands_print_what_is_shown(block: Block, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for command, shown in _commands(block.text):
        words = shlex.split(command)
        assert words[0] == "tinygrad-rnn", f"{block.place}: only commands of ours can be checked"
        for name, kind in EXAMPLES.items():
            if name in words:
                (tmp_path / name).write_text(_before(block, kind), encoding="utf-8")
        main([str(tmp_path / word) if word in EXAMPLES else word for word in words[1:]])
        printed = capsys.readouterr()
        if shown:
            text = (printed.out + printed.err).replace(f"{tmp_path}/", "")
            assert _without_rounding(text) == _without_rounding(shown), f"{block.place} printed\n{text}"


def test_the_language_page_names_every_function() -> None:
    named = set(re.findall(r"`([\w']+)[`(]", (ROOT / "docs" / "language.md").read_text(encoding="utf-8")))
    assert set(FUNCTIONS) <= named


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    # code has no links: h[t](i)
    prose = re.sub(r"```.*?```|`[^`\n]+`", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    targets = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", prose)
    assert [target for target in targets if not (page.parent / target).exists()] == []


def _without_rounding(text: str) -> str:
    """Errors of the size of rounding differ from one machine's BLAS to the next; everything else is compared."""
    return "\n".join(line.rstrip() for line in re.sub(r"\d\.\de[+-]\d\d", "#", text).strip().splitlines())


def _commands(text: str) -> Iterator[tuple[str, str]]:
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        command, _, shown = part.partition("\n")
        yield command, shown


def _before(block: Block, kind: str) -> str:
    """`mine.rnn` in a command is the equation block that stands above it on the page, `mine.md` the Markdown."""
    page = next(page for page in PAGES if page.name == block.place.partition(":")[0])
    line = int(block.place.partition(":")[2])
    above = [b for b in _blocks_of(page) if b.marks[:1] == (kind,) and int(b.place.partition(":")[2]) < line]
    return above[-1].text
