"""Reports: each form tells the same verdicts, marks the mistake where it stands, lets no stranger's text in."""

from __future__ import annotations

import importlib
import io
import json
import re
import shutil
import subprocess
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from functools import cache
from html import escape, unescape
from html.parser import HTMLParser
from pathlib import Path

import pytest

import tinygrad_rnn as tg
from tests.sweep import sample
from tinygrad_rnn.language import load, parse
from tinygrad_rnn.language.expressions import Ref
from tinygrad_rnn.language.rewriting import addends_as_written
from tinygrad_rnn.language.syntax.source import Span
from tinygrad_rnn.language.text.mathml import mathml, pieces
from tinygrad_rnn.models import names, resolve
from tinygrad_rnn.verification.notes import judge_file
from tinygrad_rnn.verification.report import Notes, Report
from tinygrad_rnn.verification.report.html import marked
from tinygrad_rnn.verification.report.terminal import WIDTH, _listed, text, wants_colour

from .test_verify_corpus import applied

WRONG = Path(__file__).parent / "corpus" / "wrong"
#: one file for each kind of explanation
KINDS = {
    "vanilla_square_outside": "wrong factor",
    "vanilla_h_of_this_step": "wrong step",
    "vanilla_transpose_missing": "transpose",
    "vanilla_sign": "sign",
    "vanilla_mean_for_sum": "wrong sum",
    "vanilla_diag_on_the_left": "order",
    "vanilla_boundary_too_early": "boundary",
    "vanilla_state_added_unchanged": "extra term",
    "lstm_cell_path_missing": "missing term",
    "lstm_002_gate_parentheses": "parentheses",
    "leaky_alpha_sign": "sign",
}
kinds = pytest.mark.parametrize("stem", KINDS)
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
SMALL = "sizes: h = 2\ngiven: dh\nh[t] = tanh(W @ h[t-1])\nL = sum(t, sum(h[t]**2))\n"
RIGHT = SMALL + "gradients:\ndW = sum(t, diag(1 - h[t]**2) @ dh[t] @ h[t-1].T)\n"
MISTAKEN = RIGHT.replace("h[t-1].T)", "h[t].T)")
UNREADABLE = RIGHT.replace("tanh", "tahn")


@cache
def report(stem: str) -> Report:
    """The report on a file of the corpus, or on a shipped model."""
    path = WRONG / f"{stem}.rnn"
    found = judge_file(path if path.exists() else resolve(stem), seeds=1)
    assert isinstance(found, Report)
    return found


@cache
def page(stem: str) -> str:
    return report(stem).to_html()


class Outline(HTMLParser):
    """The elements of a page; fails where a tag is closed that was not opened."""

    VOID = ("meta", "br", "rect", "path", "circle")

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open.pop() == tag, f"</{tag}> closes nothing"

    def handle_data(self, data: str) -> None:
        self.words.append(data)


# -- MathML -----------------------------------------------------------------------------------------------------------
def math(formula: str) -> str:
    return mathml(parse(f"q[t] = {formula}\n").forward[0].rhs)


@pytest.mark.slow
@pytest.mark.parametrize("name", names())
def test_every_shipped_equation_is_well_formed_mathml(name):
    model = load(resolve(name))
    for equation in (*model.forward, *model.gradients):
        assert ElementTree.fromstring(mathml(equation, model)).tag == "math"
        left, terms, when = pieces(equation, model)
        for part in (left, *(said for _, said in terms), *([when] if when else [])):
            ElementTree.fromstring(part)


@pytest.mark.parametrize(
    ("formula", "expected"),
    [
        ("h[t-1]", '<msup><mi>h</mi><mrow><mo stretchy="false">(</mo><mi>t</mi><mo>−</mo><mn>1</mn>'),
        ("z_i[t]", "<msubsup><mi>z</mi><mi>i</mi><mrow>"),
        ("W", 'style="font-weight:bold">W</mi>'),
        ("W.T", "<mo>⊤</mo></msup>"),
        ("W_f.T", "<mi>f</mi><mo>⊤</mo></msubsup>"),
        ("a[t] * b[t]", "<mo>⊙</mo>"),
        ("a[t] / 2", "<mfrac>"),
        ("diag(a[t])", "diag</mi><mo>\u2061</mo>"),
        ("sigmoid'(a[t])", '<msup><mi mathvariant="normal">σ</mi><mo>′</mo></msup>'),
        ("alpha", "<mi>α</mi>"),
        ("c̃[t]", '<mover accent="true"><mi>c</mi>'),
        ("sum(k > 1, a[k])", "<munder><mo>∑</mo>"),
        ("[h[t-1]; x[t]]", "<mtable><mtr><mtd>"),
        ("norm(a[t])", "<mo>‖</mo>"),
    ],
)
def test_notation_is_that_of_the_book(formula, expected):
    ElementTree.fromstring(math(formula))
    assert expected in math(formula)


def test_matrices_are_bold_and_scalars_have_no_sign_between():
    model = load("sizes: h = 2\nh[t] = a * (w @ h[t-1])\nL = sum(h[T])")
    said = mathml(model.forward[0], model)
    assert 'style="font-weight:bold">w</mi>' in said
    assert 'style="font-weight:bold">a' not in said
    assert "⊙" not in math("2 * a[t]")
    assert "⊙" not in math("W @ a[t]")


@pytest.mark.parametrize(
    "formula", ["(a[t] + b[t]) * c[t]", "a[t] - (b[t] - c[t])", "b[t] * (-a[t])", "(a[t] @ b[t])**2"]
)
def test_brackets_stay_where_they_are_needed(formula):
    assert "(</mo>" in re.sub(r'<mo stretchy="false">\(</mo><mi>t', "", math(formula))


def test_no_brackets_are_added():
    assert "(</mo>" not in math("W @ v + u * w")


def test_terms_are_those_of_the_outermost_sum():
    rhs = parse("q[t] = a[t] * (b[t] - c[t]) - d[t] + sum(k, e[k] + f[k])\n").forward[0].rhs
    assert [(sign, type(part).__name__) for sign, part in addends_as_written(rhs)] == [
        ("", "Binary"),
        ("-", "Ref"),
        ("+", "Sum"),
    ]
    assert [sign for sign, _ in addends_as_written(parse("q = (a + b) * c\n").forward[0].rhs)] == [""]


def test_what_is_no_name_is_escaped():
    assert "<script>" not in mathml(Ref(Span(1, 1, 1, 0, 0), "<script>"))


# -- the page ---------------------------------------------------------------------------------------------------------
@pytest.mark.slow
@pytest.mark.parametrize("stem", sample([*KINDS, "vanilla", "lstm_003"], 4, "page", always=["vanilla"]))
def test_the_page_is_whole_and_needs_nothing_else(stem):
    outline = Outline(page(stem))
    tags = {tag for tag, _ in outline.tags}
    assert {"math", "svg", "style"} <= tags
    assert not tags & {"script", "link", "img", "iframe", "object", "embed", "form"}
    assert not [
        a for _, a in outline.tags for key in a if key in ("src", "action", "xlink:href") or key.startswith("on")
    ]
    assert all((attributes.get("href") or "#").startswith("#") for _, attributes in outline.tags)
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)|@import|url\((?!#)", page(stem))


@pytest.mark.slow
@pytest.mark.parametrize("stem", sample([*KINDS, "vanilla"], 4, "page", always=["vanilla"]))
def test_the_page_shows_a_verdict_for_each_equation_and_step(stem):
    outline, judged = Outline(page(stem)), report(stem)
    articles = [a["class"] for tag, a in outline.tags if tag == "article"]
    words = {"PASS": "row pass", "PROVED": "row pass", "FAIL": "row fail", "INCONCLUSIVE": "row open"}
    assert articles == [words[row.verdict] for row in judged.rows]
    cells = [a for tag, a in outline.tags if tag == "li" and "error" in (a.get("title") or "")]
    assert len(cells) == sum(len(row.steps) for row in judged.rows)
    assert sum(cell["class"] == "fail" for cell in cells) == sum(
        step.verdict == "FAIL" for row in judged.rows for step in row.steps
    )


@pytest.mark.slow
@kinds
def test_the_mistake_is_marked_in_the_equation_by_more_than_colour(stem):
    (row,) = report(stem).failed
    assert row.mistake == KINDS[stem]
    (article,) = re.findall(r'<article class="row fail">.*?</article>', page(stem), re.DOTALL)
    formula = re.search(r'<p class="formula">.*?</p>', article, re.DOTALL)[0]
    assert "✗" in formula
    if {term.verdict for term in row.terms} & {"wrong", "extra"}:
        assert '<mrow class="wrong">' in formula
    else:
        assert 'class="piece absent"' in formula
    assert formula.count('<small class="right">✓') == sum(term.verdict == "right" for term in row.terms)


def test_a_line_is_typeset_from_its_equation_and_not_from_its_text():
    """`dx[i, j]` says nothing of the indices by itself."""
    plane = "indices: i = 1..I, j = 1..J\nsizes: h = 2, x = 3\nh[i, j] = tanh(W @ h[i-1, j] + V @ h[i, j-1]"
    plane += " + U @ x[i, j])\nL = sum(i, sum(j, sum(h[i, j])))\ngradients:\ndx[i, j] = dh[i, j] @ U\n"
    report = tg.verify(plane, T=3, lengths={"J": 3}, seeds=1)
    assert report.rows[0].verdict == "ILL-TYPED"
    assert report.rows[0].equation is not None
    assert "<code>dx[i, j] = dh[i, j] @ U</code></p><pre>" not in report.to_html()
    assert '<p class="formula"><span class="piece"><math' in report.to_html()


def test_no_writer_reads_back_what_it_writes():
    """What a report quotes it has as expressions: nothing is parsed, and no sentence taken apart by a pattern."""
    for module in ("html", "markdown_report"):
        names = vars(importlib.import_module(f"tinygrad_rnn.verification.report.{module}"))
        assert not {"parse", "read", "expression"} & set(names)


def test_only_the_wrong_part_of_a_term_is_marked():
    (row,) = report("vanilla_square_outside").failed
    found = marked(row, report("vanilla_square_outside"))
    (part,) = [node for node in _walk(found.equation.rhs) if found.classes.get(id(node)) == "wrong"]
    assert mathml(part) == math("(1 - h[t+1])**2")


def _walk(expr):
    yield expr
    for child in expr.children:
        yield from _walk(child)


@pytest.mark.slow
@pytest.mark.parametrize(
    "stem",
    [
        "vanilla_square_outside",
        "vanilla_h_of_this_step",
        "vanilla_transpose_missing",
        "vanilla_sign",
        "leaky_alpha_sign",
        "vanilla_mean_for_sum",
        "vanilla_diag_on_the_left",
    ],
)
def test_the_equation_is_right_once_the_term_is_what_it_should_be(stem):
    (row,) = report(stem).failed
    (term,) = [term for term in row.terms if term.correction]
    should_be = load(WRONG / f"{stem}.rnn")
    assert tg.verify(applied(should_be, row), seeds=1).ok
    target = "q" if row.name == row.name.partition("[")[0] else "q[t]"
    assert mathml(parse(f"{target} = {term.correction}\n").forward[0].rhs, should_be) in page(stem)


def test_a_page_without_a_model_has_equations_but_no_picture():
    bare = replace(report("vanilla_square_outside"), subject=None)
    html = bare.to_html()
    Outline(html)
    assert "<math" in html
    assert "<svg" not in html


def test_a_report_on_handwritten_code_has_a_page():
    found = tg.verify_backward(_weighted, lambda w, x: {"w": w}, _ONES)
    html = found.to_html()
    Outline(html)
    assert "FAIL" in html
    assert "line 0" not in html + str(found) + found.to_markdown()


def _weighted(w, x):
    return (w * x) @ x


_ONES = {"w": [1.0, 2.0], "x": [3.0, 4.0]}


@pytest.mark.slow
@pytest.mark.parametrize("T", [3, 30])
def test_a_long_sequence_keeps_its_strip_short(T):
    found = tg.verify(WRONG / "vanilla_boundary_too_early.rnn", T=T, seeds=1)
    cells = [a for tag, a in Outline(found.to_html()).tags if tag == "li" and "title" in a]
    assert len(cells) < 20


# -- strangers --------------------------------------------------------------------------------------------------------
HOSTILE = "</title><script>alert(1)</script> `|* \x1b[31m [x](javascript:y) &amp; \"'"


@pytest.fixture(scope="module")
def hostile(tmp_path_factory) -> Report:
    """A wrong derivation whose every name and comment would like to be markup."""
    path = tmp_path_factory.mktemp("evil") / "<img src=x onerror=y>`|.rnn"
    body = RIGHT.replace("h[t-1].T)", "h[t].T)  # <script>alert(2)</script> `|")
    path.write_text(f"model: {HOSTILE}\n# {HOSTILE}\n{body}", encoding="utf-8")
    found = judge_file(path, seeds=1)
    assert isinstance(found, Report)
    return replace(found, notes=[HOSTILE, *found.notes])


def test_nothing_hostile_reaches_the_page(hostile):
    html = hostile.to_html()
    outline = Outline(html)
    assert not {tag for tag, _ in outline.tags} & {"script", "img"}
    assert unescape(re.search(r"<title>(.*?)</title>", html)[1]).startswith("</title><script>")
    assert "javascript:y" not in [a.get("href") for _, a in outline.tags]


def test_nothing_hostile_reaches_the_terminal(hostile):
    assert "\x1b" not in str(hostile)
    assert "\x1b" not in re.sub(
        r"\x1b\[[0-9;]*m(FAIL|PASS|PROVED|INCONCLUSIVE|right|wrong|missing|extra) *\x1b\[0m", "", text(hostile, True)
    )


def test_nothing_hostile_reaches_markdown(hostile):
    said = hostile.to_markdown()
    assert "\x1b" not in said
    outside = re.sub(r"(`+)[^`].*?\1", "", said)
    assert not re.search(r"(?<!\\)<script|(?<!\\)\]\(|(?<!\\)<img", outside)
    table = [line for line in said.splitlines() if line.startswith("| ")]
    assert len({len(re.findall(r"(?<!\\)\|", line)) for line in table[:2]}) == 1


def test_a_hostile_heading_in_notes_is_text(tmp_path):
    path = tmp_path / "notes.md"
    path.write_text(f"# {HOSTILE}\n```rnn\n{UNREADABLE}```\n# {HOSTILE}\n```rnn\n{RIGHT}```\n", encoding="utf-8")
    notes = judge_file(path, seeds=1)
    assert not {tag for tag, _ in Outline(notes.to_html()).tags} & {"script", "img"}
    assert "\x1b" not in str(notes) + notes.to_markdown()


# -- the terminal -----------------------------------------------------------------------------------------------------
class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_colour_only_on_a_terminal_that_wants_it(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert wants_colour(Terminal())
    assert not wants_colour(io.StringIO())
    monkeypatch.setenv("NO_COLOR", "1")
    assert not wants_colour(Terminal())


@kinds
def test_colour_says_nothing_that_words_do_not_say(stem):
    coloured = text(report(stem), colour=True)
    assert "\x1b" in coloured
    plain = str(report(stem))
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == plain
    assert plain.isascii() or "c̃" in plain


@kinds
def test_details_stand_only_under_what_fails(stem):
    judged = report(stem)
    (row,) = judged.failed
    lines = str(judged).splitlines()
    rows = [line for line in lines if re.match(r"  \S+ +line +\d+  ", line)]
    assert [line.split()[3] for line in rows] == [row.verdict for row in judged.rows]
    details = lines[lines.index(next(line for line in rows if " FAIL " in line)) + 1 :]
    joined = " ".join(" ".join(details).split())
    assert " ".join(row.text.split()) in joined
    if wrong := row.at("FAIL"):
        assert f"wrong at t = {_listed(wrong)} (T = {row.shown})" in joined
    assert row.explanation in joined
    for term in row.terms if len(row.terms) > 1 else ():
        assert re.search(rf"{term.verdict} +{re.escape(term.text)}", "\n".join(details))
    assert max(map(len, lines)) <= WIDTH + 40
    assert str(judged.engine) in lines
    assert f"kills {judged.probe.killed} of {judged.probe.mutants}" in str(judged)


def test_what_the_mistake_does_downstream_is_said():
    assert report("vanilla_square_outside").downstream == ["db", "dW", "dU"]
    assert "come out wrong as well: db, dW, dU" in str(report("vanilla_square_outside"))
    assert "no other equation comes out wrong" in str(report("vanilla_mean_for_sum"))
    assert report("vanilla").downstream == []
    assert "follow" not in str(report("vanilla"))


def test_an_answer_stays_on_one_screen():
    assert len(str(report("vanilla_square_outside")).splitlines()) <= 24


# -- data and Markdown ------------------------------------------------------------------------------------------------
@kinds
def test_json_has_the_stated_form(stem):
    found = json.loads(json.dumps(report(stem).to_dict(), allow_nan=False))
    assert found["mode"] == "local"
    assert set(found["probe"]) == {"mutants", "killed", "equivalent"}
    for equation in found["equations"]:
        assert {"name", "line", "verdict", "steps", "terms", "mistake"} <= set(equation)
        assert all({"text", "verdict", "explanation", "steps", "correction"} == set(term) for term in equation["terms"])
        assert all(set(step) == {"t", "T", "verdict", "error", "bound"} for step in equation["steps"])
        assert bool(equation["mistake"]) == (equation["verdict"] == "FAIL")


@kinds
def test_markdown_tells_every_verdict_and_quotes_the_equation(stem):
    judged, said = report(stem), report(stem).to_markdown()
    rows = re.findall(r"^\| `([^`]+)` \| (\d+) \| \*\*(\w+)\*\*", said, re.MULTILINE)
    assert rows == [(row.name, str(row.line), row.verdict) for row in judged.rows]
    (row,) = judged.failed
    assert f"```\n{row.text}\n```" in said
    assert re.sub(r"\s", "", row.explanation) in re.sub(r"[\s\\]", "", said)


# -- notes ------------------------------------------------------------------------------------------------------------
BLOCKS = {"right": RIGHT, "wrong": MISTAKEN, "unreadable": UNREADABLE, "forward only": SMALL}


def write_notes(folder: Path, *kinds: str) -> Path:
    """A Markdown file with a heading and a block of each kind."""
    path = folder / "notes.md"
    path.write_text("".join(f"# The {kind} one\n\n```rnn\n{BLOCKS[kind]}```\n\n" for kind in kinds), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("kinds_of_blocks", "verdict"),
    [
        (["right"], "PROVED"),
        (["right", "forward only"], "PROVED"),
        (["right", "wrong"], "FAIL"),
        (["unreadable", "wrong", "right"], "FAIL"),
        (["unreadable", "right"], "UNUSABLE"),
        (["unreadable"], "UNUSABLE"),
        (["forward only"], "UNUSABLE"),
    ],
)
def test_the_worst_block_decides_about_the_notes(tmp_path, kinds_of_blocks, verdict):
    notes = judge_file(write_notes(tmp_path, *kinds_of_blocks), seeds=1)
    assert isinstance(notes, Notes)
    assert notes.verdict == verdict
    assert notes.ok == (verdict == "PROVED")
    assert len(notes.blocks) == len(kinds_of_blocks)


def test_notes_are_reported_by_heading_and_line(tmp_path):
    path = write_notes(tmp_path, "right", "unreadable", "wrong")
    lines = path.read_text(encoding="utf-8").splitlines()
    notes = judge_file(path, seeds=1)
    for block in notes.blocks:
        assert lines[block.line - 2] == "```rnn"
        assert lines[block.line - 4] == f"# {block.heading}"
        assert f"line {block.line}: {block.heading}: {block.verdict}" in str(notes)
    (row,) = notes.blocks[2].report.failed
    assert lines[row.line - 1] == row.text
    assert "did you mean tanh" in str(notes)
    found = json.loads(json.dumps(notes.to_dict(), allow_nan=False))
    assert [(b["heading"], b["ok"]) for b in found["blocks"]] == [
        ("The right one", True), ("The unreadable one", False), ("The wrong one", False)
    ]  # fmt: skip
    assert found["ok"] is False
    assert found["blocks"][2]["equations"][0]["line"] == row.line
    Outline(notes.to_html())
    assert notes.to_markdown().count("\n## ") == 3


def test_notes_with_one_block_are_verified_as_ever(tmp_path):
    assert tg.verify(write_notes(tmp_path, "right")).ok


def test_notes_without_a_block_are_refused(tmp_path):
    (tmp_path / "notes.md").write_text("# Nothing\n\n```python\n1\n```\n")
    with pytest.raises(tg.LanguageError, match="no block marked rnn"):
        judge_file(tmp_path / "notes.md")


# -- in a browser -----------------------------------------------------------------------------------------------------
#: the page in a frame of the wanted width (a window cannot be made narrower than 500), measured when it is there
FRAME = """<!DOCTYPE html><meta charset="utf-8"><title></title>
<iframe style="width: {width}px; height: 1000px; border: 0" srcdoc="{page}"></iframe><script>
const frame = document.querySelector("iframe");
frame.onload = () => {{
  const page = frame.contentDocument, all = name => [...page.querySelectorAll(name)];
  const height = name => page.querySelector(name).getBoundingClientRect().height;
  document.title = JSON.stringify({{
    shown: all("math").filter(m => m.getBoundingClientRect().height > 0).length,
    marks: all("mrow.wrong").map(m => frame.contentWindow.getComputedStyle(m).borderBottomStyle),
    grows: height("munderover") > 2 * height("math mi"),
    verdicts: all("article .badge").map(b => b.innerText),
    scroll: page.documentElement.scrollWidth, inner: frame.contentWindow.innerWidth}});
}};
</script>"""


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")
@pytest.mark.parametrize(("stem", "width"), [("vanilla_square_outside", 400), ("lstm_cell_path_missing", 1280)])
def test_a_browser_shows_the_page_without_a_complaint(tmp_path, stem, width):
    file = tmp_path / "page.html"
    file.write_text(FRAME.format(width=width, page=escape(page(stem))), encoding="utf-8")
    command = [
        CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync",
        f"--user-data-dir={tmp_path / 'profile'}", "--window-size=1400,1000", "--enable-logging=stderr",
        "--dump-dom", file.as_uri(),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert "CONSOLE" not in done.stderr
    found = json.loads(unescape(re.search(r"<title>(\{.*?\})</title>", done.stdout)[1]))
    assert [verdict.split()[-1] for verdict in found["verdicts"]] == [row.verdict for row in report(stem).rows]
    assert found["shown"] == page(stem).count("<math ")
    assert found["grows"], "sums are typeset, not printed in a row"
    assert found["marks"] == ["solid"] * page(stem).count('class="wrong"')
    assert found["scroll"] <= found["inner"] == width, "the page is no wider than its window"


def test_the_page_says_what_the_terminal_says_of_a_line_that_is_ill_typed():
    forward = "sizes: x = 3, h = 4\nh[t] = tanh(W @ h[t-1] + U @ x[t])\nL = sum(t, sum(h[t]**2))\ngradients:\n"
    lines = "dh[T] = 2*h[T] @ h[T]\ndW = sum(t, h[t-1] @ diag(1-h[t]**2) @ dh[t])\ndQ = 1\nsin(h[t]) = 3\n"
    report = tg.verify(forward + lines)
    page, page_in_markdown, shown = (" ".join(said.split()) for said in (
        unescape(re.sub("</?b>", "", report.to_html())), report.to_markdown(), str(report)
    ))  # fmt: skip
    for hint in (
        "did you mean diag(1-h[t]**2) @ dh[t] @ h[t-1].T ?",
        "there is no quantity Q, and nothing reads dQ: did you mean d",
        "choose another name",
    ):
        assert hint in shown
        assert hint in page
    assert not re.search(r"[:?] ?\.(</p>| |$)", page + page_in_markdown)
