"""A report as one HTML page: equations typeset by the browser, mistakes marked in them, the unfolded graph beside.

The page needs nothing else: no network, no script, no font. Every text is escaped where it enters. A mark is a colour
and a sign, so that the page says the same in grey and on paper. Nothing is judged here: verdicts on terms are matched
with the parts of the user's equation that they are about.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from html import escape
from pathlib import PurePath

from ...core.errors import TinygradError
from ...core.version import VERSION
from ...language import Equation, Model
from ...language.expressions import Expr, walk
from ...language.rewriting import addends_as_written
from ...language.text.mathml import mathml, pieces
from ...language.text.printer import text
from ..diagnosis.terms import SignedTerm, terms_of
from ..results import (
    FAIL,
    INCOMPLETE,
    INCONCLUSIVE,
    PASS,
    PROVED,
    WRONG_VERDICTS,
    BlockVerdict,
    FileVerdicts,
    Row,
    StepVerdict,
    TermVerdict,
    Verdicts,
)
from .stylesheet import CSS

SIGNS = dict.fromkeys(WRONG_VERDICTS, "✗") | {PASS: "✓", PROVED: "✓", INCONCLUSIVE: "?", INCOMPLETE: "?"}
_CLASSES = dict.fromkeys(WRONG_VERDICTS, "fail") | {PASS: "pass", PROVED: "pass"}
_CLASSES |= {INCONCLUSIVE: "open", INCOMPLETE: "open"}
#: pictures of longer sequences leave their middle out, strips say ranges
MOST_STEPS = 12
_WIDE = 600


def page(report: Verdicts) -> str:
    """The page of one derivation."""
    where = " · ".join([PurePath(report.source).name, *report.tried_on])  # the page may travel: no folders in it
    return _document(f"{report.model}: {report.verdict}", _title(report.model, report.verdict, where), _section(report))


def notes_page(notes: FileVerdicts) -> str:
    """The page of a file of notes: a table of contents with verdicts, and a section for each block."""
    name = PurePath(notes.name).name
    head = _title(name, notes.verdict, " · ".join(notes.tried_on))
    entries = "".join(
        f'<li>{_badge(block.verdict)} <a href="#block-{n}">{escape(block.title)}</a>, line {block.line}</li>'
        for n, block in enumerate(notes.blocks, start=1)
    )
    sections = "".join(block_section(n, block) for n, block in enumerate(notes.blocks, start=1))
    return _document(f"{name}: {notes.verdict}", head, f'<ol class="contents">{entries}</ol>{sections}')


def block_section(number: int, block: BlockVerdict) -> str:
    """The section of one block of a file: its heading, and its report or why there is none."""
    title = f"{escape(block.title)} <small>line {block.line}</small> {_badge(block.verdict)}"
    body = f"<pre>{escape(block.message)}</pre>" if block.report is None else _section(block.report)
    return f'<section class="block"><h2 id="block-{number}">{title}</h2>{body}</section>'


def _document(title: str, head: str, body: str) -> str:
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="generator" content="tinygrad-rnn">\n'
        f"<title>{escape(title)}</title>\n<style>{CSS}</style>\n</head>\n<body>\n<header>{head}</header>\n"
        f"<main>{body}</main>\n</body>\n</html>\n"
    )


def _title(name: str, verdict: str, where: str) -> str:
    return f"<h1>{escape(name)} {_badge(verdict)}</h1><p>{escape(where)}</p>"


def _badge(verdict: str) -> str:
    return f'<span class="badge {_CLASSES.get(verdict, "none")}">{SIGNS.get(verdict, "–")}\u00a0{verdict}</span>'


# -- one derivation ------------------------------------------------------------------------------------------------
def _section(report: Verdicts) -> str:
    rows = "".join(_row(marked(row, report), report) for row in report.rows)
    picture, wide = _picture(report)
    return (
        f'<div class="sheet{" wide" if wide else ""}"><div class="equations">{rows}</div>{picture}</div>'
        f'<div class="foot">{"".join(f"<p>{said}</p>" for said in _foot(report))}</div>'
    )


def _row(marks: Marked, report: Verdicts) -> str:
    row = marks.row
    line = f'<span class="line">line {row.line}</span>' if row.line else ""
    details = f"<p>{escape(row.why)}</p>" if row.why else ""
    details += _details(marks, report) if row.verdict in WRONG_VERDICTS or row.excerpt else ""
    return (
        f'<article class="row {_CLASSES[row.verdict]}"><div class="verdict">{_badge(row.verdict)}{line}</div>'
        f'<div class="equation">{_formula(marks, report.subject)}{details}</div>{_strips(row)}</article>'
    )


def _formula(marks: Marked, model: Model | None) -> str:
    """The equation in pieces that may stand on several lines, each with what is to be said below it."""
    if marks.equation is None:
        return f'<p class="formula"><code>{escape(marks.row.text or marks.row.name)}</code></p>'
    left, terms, when = pieces(marks.equation, model, marks.classes)
    said = [f'<span class="piece">{left}</span>']
    for addend, math in terms:
        verdicts = marks.below.get(id(addend), [])
        spoken = [verdict for verdict in verdicts if verdict.verdict != "right"] or verdicts
        below = "".join(dict.fromkeys(_below(verdict, model) for verdict in spoken))
        said.append(f'<span class="piece">{math}{below}</span>')
    for term in marks.absent:
        plus = "" if term.text.startswith("-") else "+ "
        math = f"<span>{plus}{mathml(term.term, model)}</span>"
        why = escape(term.explanation or "is missing")
        said.append(f'<span class="piece absent">{math}<small>✗ {why}</small></span>')
    if when:
        said.append(f'<span class="piece">{when}</span>')
    return f'<p class="formula">{" ".join(said)}</p>'


def _below(verdict: TermVerdict, model: Model | None) -> str:
    if verdict.verdict == "right":
        return '<small class="right">✓</small>'
    if verdict.corrected is not None:
        return f"<small>✗ should be {mathml(verdict.corrected, model)}</small>"
    return f"<small>✗ {'does not belong here' if verdict.verdict == 'extra' else 'wrong'}</small>"


def _sentence(marks: Marked, model: Model | None) -> str:
    """The explanation of a row, with the expressions that it quotes typeset, and whatever else it quotes as code."""
    known = {_spaceless(text(node)): node for expr in marks.expressions for node in walk(expr)}
    said = []
    for part, is_code in quoted(shortened(marks)):
        expr = known.get(_spaceless(part)) if is_code else None
        said.append(mathml(expr, model) if expr else f"<code>{escape(part)}</code>" if is_code else escape(part))
    return "".join(said)


def _spaceless(said: str) -> str:
    return "".join(said.split())


def _details(marks: Marked, report: Verdicts) -> str:
    row, model = marks.row, report.subject
    parts = []
    if row.excerpt:
        parts.append(f"<pre>{escape(row.excerpt)}</pre>")
    kind, told = f"<b>{escape(row.mistake)}</b>" if row.mistake else "", _sentence(marks, model)
    if kind or told:
        parts.append(f"<p>{': '.join(part for part in (kind, told) if part)}{'' if told.endswith('?') else '.'}</p>")
    if row.text and marks.equation is not None:
        parts.append(f'<p class="written">written <code>{escape(row.text)}</code></p>')
    worst = row.worst
    if worst is not None:
        at = "" if worst.t is None else f" at {row.time} = {worst.t}"
        parts.append(f'<p class="figures">largest error {worst.error:.1e}{at}; rounding explains {worst.bound:.1e}</p>')
    return "".join(parts)


def _strips(row: Row) -> str:
    """One strip for each length that was tried."""
    lengths = list(dict.fromkeys(step.T for step in row.steps))
    return "".join(_strip(row, [step for step in row.steps if step.T == T], T) for T in lengths)


def _strip(row: Row, of_length: list[StepVerdict], T: int) -> str:
    """One cell a time step, or a stretch of steps; a parameter has one for all."""
    cells = []
    for steps in _stretches(of_length, T):
        first, last = steps[0], steps[-1]
        at = f"all\u00a0{row.axes[0]}" if first.t is None else f"{first.t}" if first is last else f"{first.t}–{last.t}"
        worst = max(steps, key=lambda s: s.error - s.bound)
        hint = f"error {worst.error:.1e}, rounding explains {worst.bound:.1e}"
        cells.append(
            f'<li class="{_CLASSES[first.verdict]}" title="{hint}"><i>{at}</i><b>{SIGNS[first.verdict]}</b></li>'
        )
    length = f", {row.length} = {T}" if T else ""  # hand-written code has lengths of its own
    return f'<ol class="strip" aria-label="verdict by time step{length}">{"".join(cells)}</ol>'


def _stretches(steps: list[StepVerdict], T: int) -> list[list[StepVerdict]]:
    """Every step by itself, in a long sequence the runs of one verdict."""
    stretches: list[list[StepVerdict]] = []
    for step in steps:
        before = stretches[-1][-1] if stretches else None
        long = T > MOST_STEPS or (isinstance(step.t, tuple) and len(steps) > MOST_STEPS)
        if long and before is not None and before.verdict == step.verdict and _follows(before, step):
            stretches[-1].append(step)
        else:
            stretches.append([step])
    return stretches


def _follows(before: StepVerdict, step: StepVerdict) -> bool:
    """Whether one step is the next after another; of several indices, all in their order are."""
    return isinstance(step.t, tuple) or (isinstance(before.t, int) and before.t == (step.t or 0) - 1)


def _foot(report: Verdicts) -> Iterator[str]:
    if report.followed:
        yield capital(report.reach(lambda name: f"<code>{escape(name)}</code>")) + "."
    yield f"{capital(escape(str(report.engine)))}."
    if report.said_sizes:
        yield f"Sizes tried: {escape(report.said_sizes)}."
    if report.said_shapes:
        yield f"Shapes: {escape(report.said_shapes)}."
    if report.probe is not None:
        same = f" ({report.probe.equivalent} more say the same as the truth)" if report.probe.equivalent else ""
        yield f"The probe {escape(str(report.probe))}{same}."
    yield from (escape(note) + "." for note in report.notes)
    local = "each right-hand side sees the true values of what it names, so that what is marked is what is wrong"
    yield f'<span class="version">Local mode: {local}. tinygrad_rnn {escape(VERSION)}.</span>'


def _picture(report: Verdicts) -> tuple[str, bool]:
    """The unfolded graph as a figure, and whether it is a wide one; nothing where there is no model or no picture."""
    if report.subject is None:
        return "", False
    # only a page draws: who reads verdicts in a terminal does not wait for it
    from ...drawing.layout.placement import lay_out
    from ...drawing.view.options import view
    from ...drawing.writers.svg import to_svg

    try:
        graph = report.subject.unroll(report.T).graph
        layout = lay_out(view(graph, level="named", steps=6))
        if wide := layout.width > _WIDE:  # beside a column of equations there is more room downwards
            layout = lay_out(view(graph, level="named", steps=6, direction="TB"))
        svg = to_svg(layout)
    except TinygradError as error:
        return f"<figure><figcaption>{escape(str(error))}</figcaption></figure>", False
    caption = f"{escape(report.model)}, unfolded over {report.T} time steps"
    figure = f'<figure style="--width:{layout.width:.0f}px"><div>{svg}</div><figcaption>{caption}</figcaption></figure>'
    return figure, wide


# -- marks in an equation ----------------------------------------------------------------------------------------------
@dataclass
class Marked:
    """A row with its equation: which parts bear a mark, and the verdict shown below each additive term."""

    row: Row
    equation: Equation | None
    #: by `id` of a part of the equation: the class it is shown in
    classes: dict[int, str] = field(default_factory=dict)
    #: by `id` of an outermost addend: the verdicts on it
    below: dict[int, list[TermVerdict]] = field(default_factory=dict)

    @property
    def expressions(self) -> list[Expr]:
        """What the explanation may quote: the equation, its terms, and what they should be."""
        stated = [] if self.equation is None else [self.equation.target, self.equation.rhs]
        terms = (expr for term in self.row.terms for expr in (term.term, term.part, term.corrected))
        return [*stated, *(expr for expr in terms if expr is not None)]

    @property
    def absent(self) -> list[TermVerdict]:
        """Terms that should be there and are not."""
        return [term for term in self.row.terms if term.verdict == "missing"]


def marked(row: Row, report: Verdicts) -> Marked:
    """The row's equation with its marks; without an equation where the line is none."""
    marks = Marked(row, _equation(row, report.subject))
    if marks.equation is None or row.verdict != FAIL:
        return marks
    if not row.terms:
        marks.classes[id(marks.equation.rhs)] = "wrong"
    written = terms_of(marks.equation.rhs)
    for verdict in row.terms:
        term = next((t for t in written if str(t) == verdict.text), None)
        if term is None:
            if verdict.verdict in ("wrong", "extra"):
                marks.classes[id(marks.equation.rhs)] = "wrong"
            continue
        written.remove(term)
        _mark(marks, term, verdict)
    return marks


def _mark(marks: Marked, term: SignedTerm, verdict: TermVerdict) -> None:
    assert marks.equation is not None
    for _, addend in addends_as_written(marks.equation.rhs):
        if any(node is term.body for node in walk(addend)):
            marks.below.setdefault(id(addend), []).append(verdict)
    if verdict.verdict == "right":
        return
    inner = (node for node in walk(term.body) if node is not term.body and node == verdict.part)
    culprit = next(inner, None) if verdict.part is not None else None
    marks.classes[id(term.body)] = "wrong" if culprit is None else "within"
    if culprit is not None:
        marks.classes[id(culprit)] = "wrong"


def shortened(marks: Marked) -> str:
    """The explanation, without what the marked equation shows already: the term it is in, and what that becomes."""
    if not marks.row.terms:
        return marks.row.explanation
    shown = {id(verdict) for below in marks.below.values() for verdict in below if verdict.correction}
    said = []
    for verdict in marks.row.terms:
        if verdict.verdict == "wrong" and id(verdict) in shown:
            said.append(verdict.explanation)
        elif verdict.verdict in ("missing", "extra"):
            said.append(f"the term `{verdict.text}` {verdict.explanation}")
        elif verdict.verdict != "right":
            return marks.row.explanation
    return "; ".join(dict.fromkeys(said))


def capital(sentence: str) -> str:
    """The sentence with a capital letter."""
    return sentence[:1].upper() + sentence[1:]


def quoted(sentence: str) -> Iterator[tuple[str, bool]]:
    """A sentence in parts; True for what stands in backticks, which is code as in Markdown."""
    for number, part in enumerate(sentence.split("`")):
        if part:
            yield part, number % 2 == 1


def _equation(row: Row, model: Model | None) -> Equation | None:
    """The row's equation as the file has it, helpers unnamed."""
    stated = model.gradients if model is not None else ()
    return next((e for e in stated if (e.name, e.line) == (row.name, row.line)), row.equation)
