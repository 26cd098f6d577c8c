"""Documents as people write them: what is found, as which tree, and at which place."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sweep import examples
from tinygrad_rnn.core.errors import LanguageError
from tinygrad_rnn.language.syntax.source import Source
from tinygrad_rnn.notes.notation import Directive, Fence, Formula, Letters, Page, Title
from tinygrad_rnn.notes.reading.read_document import read_document
from tinygrad_rnn.notes.show_notation import shown_statement


def page(text: str, name: str = "notes.md") -> Page:
    return read_document(Source(text, name)).pages[0]


def formulas(text: str, name: str = "notes.md") -> list[Formula]:
    return [item for item in page(text, name).items if isinstance(item, Formula)]


def said(text: str, name: str = "notes.md") -> list[str]:
    found = formulas(text, name)
    assert not [unread for formula in found for unread in formula.unread]
    return [shown_statement(statement) for formula in found for statement in formula.statements]


def lines(text: str, name: str = "notes.md") -> list[int]:
    whole = page(text, name)
    return [whole.place(s.extent.start)[0] for f in formulas(text, name) for s in f.statements]


@pytest.mark.parametrize(
    "text",
    [
        "so $h_t = W x_t$ holds", "值$h_t = W x_t$在", "$$h_t = W x_t$$", "$$\nh_t = W x_t\n$$", r"\(h_t = W x_t\)",
        r"\[h_t = W x_t\]",
        r"\\[h_t = W x_t\\]", "```math\nh_t = W x_t\n```", r"\begin{equation}h_t = W x_t\end{equation}",
        r"\begin{align*}h_t &= W x_t \tag{3}\end{align*}", r"$${h_t} = {W} x_{t}$$",
        r"$\boxed{h_t = \mathbf{W} \mathbf x_t}$",
        r"$h_t {=} W\, x_t,$", r"$h_t=W x_t\label{a}$", "> $h_t = W x_t$", "1. $h_t = W x_t$.",
    ],
)  # fmt: skip
def test_every_delimiter_and_every_way_to_set_it(text: str) -> None:
    assert said(text) == ["h_t = [W · x_t]"]


@pytest.mark.parametrize(
    ("latex", "tree"),
    [
        (r"\frac{\partial L}{\partial h_t}", "Dpartial(L; h_t)"),
        (r"\partial L / \partial h_t", "Dpartial(L; h_t)"),
        (r"{\partial L \over \partial h_t}", "Dpartial(L; h_t)"),
        (r"\frac{\mathrm{d}L}{\mathrm{d}h_t}", "Dd(L; h_t)"),
        ("dL/dh_t", "Dd('L'; h_t)".replace("'", "")),
        (r"\dfrac{\delta L}{\delta h_t}", "Dd(L; h_t)"),
        (r"\frac{\partial}{\partial h_t}(a + b)", "Dpartial(({+ a + b}(; h_t)"),
        (r"\nabla_{h_t} L", "Dnabla(L; h_t)"),
        (r"\frac{\partial l}{T \cdot \partial o_t}", "[(1 / T) · Dpartial(l; o_t)]"),
        (r"\frac{d_h}{d_k}", "(d_h / d_k)"),
        (r"h^{<t-1>}", "h^<{+ t - 1}<"),
        (r"h^{\langle t \rangle}", "h^<t<"),
        (r"x^{<t> T}", "x^<t<, T"),
        (r"\tilde{h}_t^{(2)}", "tilde(h)_t^(2("),
        (r"f'(a_t)", "[f' · (a_t(]"),
        (r"{W^{hh}}^T", "(W^'hh')^T"),
        (r"\sum_{t=1}^T \delta_t h_{t-1}^\top", "sum[t = 1..T]([delta_t · h_{+ t - 1}^top])"),
        (r"W_f[:, n_a:]", "[W_f · [?:?, n_a:?[]"),
        (r"\text{tanh}(a) \odot (1 - 0.50^2)", "[tanh · (a( \\odot ({+ 1 - (0.50)^2}(]"),
        (r"\begin{bmatrix} a & b \\ c & d \end{bmatrix}", "bmatrix<a, b \\\\ c, d>"),
        (r"\begin{cases} 1, & i = k \\ 0 & else \end{cases}", "cases<1, i = k \\\\ 0, 'else'>"),
        (r"\|y - \hat y\|^2", "(||{+ y - hat(y)}||)^2"),
        (r"\underbrace{a}_{(m \times 1)}", "a<<([m \\times 1](>>"),
    ],
)  # fmt: skip
def test_a_side_is_the_tree_that_stands_there(latex: str, tree: str) -> None:
    assert said(f"$z = {latex}$") == [f"z = {tree}"]


def test_rows_columns_and_chains() -> None:
    rows = "a &= b & c &= d \\\\\n  &= e & &= f \\\\ \\hline\ng &= h \\\\\n& + i"
    text = f"$$\n\\begin{{array}}{{l|l}}\n\\begin{{align}}\n{rows} \\end{{align}}\n\\end{{array}}\n$$"
    assert said(text) == ["a = b", "c = d", "? = e", "? = f", "g = {+ h + i}"]
    assert lines(text) == [4, 4, 5, 5, 6]
    assert said("$a_0 = 0, \\quad a_t = b_t \\text{ for all } t < T$") == ["a_0 = 0", 'a_t = b_t  # "for all"  # t < T']
    assert said("$a \\leftarrow b, c {+}{=} d$") == ["a \\leftarrow b", "c += d"]


def test_macros_with_arguments_from_files_beside_the_document(tmp_path: Path) -> None:
    (tmp_path / "macros.tex").write_text(
        r"\newcommand{\dd}[2]{\frac{\partial #1}{\partial #2}}\DeclareMathOperator{\dg}{diag}"
        r"\def\half#1{\frac{#1}{2}}\newcommand{\norm}[1][x]{\|#1\|}"
    )
    main = tmp_path / "main.tex"
    body = r"$\dd{L}{h_t} = \dg(a) \half{b} \norm[c] \norm$"
    main.write_text(rf"\input{{macros}}\input{{../elsewhere}}\begin{{document}}{body}\end{{document}}")
    (formula,) = [item for item in read_document(main).pages[0].items if isinstance(item, Formula)]
    assert shown_statement(formula.statements[0]) == "Dpartial(L; h_t) = [diag · (a( · (b / 2) · ||c|| · ||x||]"


def test_damage_is_undone_and_noted() -> None:
    text = r"$$ \tilde{h}t = \tanh(r_t h{t-1}) + h{t-1} $$"
    text += r"$$ \begin{aligned} a = b \ &= c \end{aligned} $$ $a\_t &lt; b\_t$"
    assert said(text) == [
        "tilde(h)_t = {+ [tanh · ([r_t · h_{+ t - 1}](] + h_{+ t - 1}}",
        "a = b",
        "? = c",
        "a_t < b_t",
    ]
    assert len(page(text).repairs) >= 5


def test_a_name_stands_where_it_was_written() -> None:
    text = "# Über α\n\nlet $\\mathbf{W}_{hh} h_{t-1}$ and\n$$\n\\Gamma_u = \\sigma(Wx)\n$$\n"
    names = [item for formula in formulas(text) for item in _letters(formula)]
    written = {text[name.extent.start : name.extent.end] for name in names}
    assert written >= {"\\mathbf{W}_{hh}", "h_{t-1}", "\\Gamma_u", "Wx", "\\sigma"}


def _letters(formula: Formula) -> list[Letters]:
    found: list[Letters] = []
    todo: list[object] = list(formula.statements)
    while todo:
        item = todo.pop()
        found += [item] if isinstance(item, Letters) else []
        todo += item if isinstance(item, tuple) else vars(item).values() if hasattr(item, "__dict__") else []
    return found


def test_headings_code_and_settings_are_told_apart() -> None:
    text = "---\ntitle: a\nrnn: rows; * = matrix\n---\n# One $x$\n```python\n$no$ = 1\n```\n<h3>Two</h3>\n"
    text += "<!-- rnn: skip -->\n`$no$` costs $5 and $6\n"
    items = page(text).items
    assert [(item.level, item.text) for item in items if isinstance(item, Title)] == [(1, "One x"), (3, "Two")]
    settings_of = [item.settings for item in items if isinstance(item, Directive)]
    assert settings_of == [(("rows", ""), ("*", "matrix")), (("skip", ""),)]
    assert [item.language for item in items if isinstance(item, Fence)] == ["python"]
    assert formulas(text) == []


def test_cells_of_a_notebook_are_pages_counted_from_one() -> None:
    words = {"cell_type": "markdown", "source": ["x\n", "$h_t = a$"]}
    cells = [{"cell_type": "code", "source": ["a = 1"]}, words, {"cell_type": "raw"}, 3]
    pages = read_document(Source(json.dumps({"cells": cells}), "n.ipynb")).pages
    assert [(one.cell, one.kind) for one in pages] == [(1, "code"), (2, "md")]
    assert pages[1].place(pages[1].items[1].extent.start) == (2, 1)


@pytest.mark.parametrize("text", ["[]", "{", '{"cells": 3}', "[" * 100_000])
def test_what_is_no_notebook_says_so(text: str) -> None:
    with pytest.raises(LanguageError, match="notebook"):
        read_document(Source(text, "n.ipynb"))


@pytest.mark.parametrize(
    ("latex", "reason"),
    [
        (r"a = \foo b", r"\foo is no command"), ("a = (b", "not closed"),
        ("a = " + "{(" * 200 + "b" + ")}" * 200, "deep"),
        ("a = b +", "nothing follows"), (r"a = \frac{b}", "argument is missing"),
        (r"\begin{pmatrix} a", "does not end"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_says_where_and_why(latex: str, reason: str) -> None:
    (formula,) = formulas(f"text $${latex}$$ and $c = d$")[:1]
    assert reason in formula.unread[0].reason
    assert said("$c = d$") == ["c = d"]


def test_a_file_that_is_no_text_says_so() -> None:
    with pytest.raises(LanguageError, match="NUL"):
        read_document(Source("\x00", "a.md"))
    with pytest.raises(LanguageError, match="no kind of document"):
        read_document(Source("a", "a.pdf"))


def test_a_macro_that_calls_itself_ends() -> None:
    (formula,) = formulas(r"\newcommand{\a}{\a\a} $x = \a$")
    assert "does not end" in formula.unread[0].reason


PIECES = (
    r"$ $$ \[ \] \( \begin{align} \end{align} \begin{array}{l} { } ( ) | \| _ ^ & \\ \frac \partial d L / h_t = + "
    r"\sum_ \nabla ' , \text{if} \left \def\a \a #1 ``` <t> \hat &lt; &#0; \boxed \over : [ ] \input{a} % é"
)


@given(st.lists(st.sampled_from([*PIECES.split(), "\n\n", "\\", " "]), max_size=60))
@settings(max_examples=examples(60, 2000), deadline=None)
def test_any_text_is_read_or_says_why_not(pieces: list[str]) -> None:
    for name in ("a.md", "a.tex"):
        read_document(Source("".join(pieces), name))


def test_underlined_headings_are_titles_and_rows_of_tables_are_none() -> None:
    text = "Notes\n=====\n\nText.\n\nPart two\n--------\n\n| a | b |\n|---|---|\n\n- item\n---\n\n$x$\n---\n"
    found = [(item.level, item.text) for item in page(text).items if isinstance(item, Title)]
    assert found == [(1, "Notes"), (2, "Part two")]
