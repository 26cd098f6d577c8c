"""A document as one HTML page: its text and formulas, with a mark and the verdict in the margin of every equation.

The page loads nothing and runs nothing; every text of the document is escaped. A switch, which is a checkbox that the
stylesheet reads, leaves only what is wrong: one sheet to hand to the author.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from html import escape

from ..core.version import VERSION
from ..verification.report.html import block_section
from .document_report import OPEN_CLAIMS, RIGHT_CLAIMS, WRONG_CLAIMS, DocumentReport, title_of
from .document_verdict import ClaimVerdict, DocumentVerdict, FoundModel
from .notation import Directive, Fence, Formula, Page, Prose, Title
from .notation_mathml import statement_mathml

SIGNS = dict.fromkeys(WRONG_CLAIMS, "✗") | dict.fromkeys(RIGHT_CLAIMS, "✓") | dict.fromkeys(OPEN_CLAIMS, "?")
CSS = """
:root { color-scheme: light dark; --paper: #fff; --ink: #1b1b1f; --faint: #5c5c66; --rule: #d9d9de; --right:
  #17633a;
  --wrong: #b3190f; --open: #805300; --tint: #fdecea; }
@media (prefers-color-scheme: dark) { :root { --paper: #17181c; --ink: #e8e8ec; --faint: #a3a3ae; --rule: #3a3b43;
  --right: #6fcf97; --wrong: #ff8a80; --open: #f0c674; --tint: #3a1f1e; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1180px; padding: 1.5rem 1.5rem 4rem; background: var(--paper); color: var(--ink);
  font: 16px/1.55 Charter, "Bitstream Charter", Georgia, "DejaVu Serif",
  "Noto Serif CJK SC", "Songti SC", SimSun, serif; }
h1, h2, h3, h4, h5, h6 { font-weight: 600; line-height: 1.25; overflow-wrap: anywhere; margin: 1.6rem 0 .5rem; }
header h1 { margin: 0 0 .3rem; font-size: 1.6rem; }
header { border-bottom: 2px solid var(--ink); padding-bottom: .7rem; margin-bottom: 1rem; }
.found { font-size: .92rem; color: var(--faint); columns: 2 22rem; column-gap: 2rem; margin: .5rem 0;
  padding-left: 1.1rem; }
.found li { break-inside: avoid; overflow-wrap: anywhere; }
label { font: .9rem system-ui, "DejaVu Sans", sans-serif; cursor: pointer; }
.switch { position: absolute; opacity: 0; }
.switch + label::before { content: "☐ "; } .switch:checked + label::before { content: "☑ "; }
.switch:focus-visible + label { outline: 2px solid currentcolor; outline-offset: 3px; }
.line { display: grid; grid-template-columns: minmax(0, 1fr) minmax(12rem, 21rem); gap: 0 1.5rem; align-items:
  center;
  padding: .25rem .6rem; border-left: 4px solid transparent; margin-left: -.6rem; break-inside: avoid; }
.line > .shown { overflow-x: auto; overflow-y: hidden; padding: .3rem 0; }
.line.wrong { border-left-color: var(--wrong); background: var(--tint); }
.line.open { border-left-color: var(--open); }
.margin { font: .82rem/1.4 system-ui, "DejaVu Sans", sans-serif; overflow-wrap: anywhere; }
.margin p { margin: .1rem 0; } .margin b { white-space: nowrap; } .margin .at { color: var(--faint); }
.margin .wrong b { color: var(--wrong); } .margin .right b { color: var(--right); } .margin .open b { color:
  var(--open); }
math { font-family: "Latin Modern Math", "STIX Two Math", "Cambria Math", "Libertinus Math", math, serif;
  font-size: 1.05em; }
code, pre { font: .84em/1.45 "DejaVu Sans Mono", Menlo, Consolas, monospace; } code { overflow-wrap: anywhere; }
pre { overflow-x: auto; border: 1px solid var(--rule); padding: .7rem; }
.cell { color: var(--faint); font: .8rem system-ui, sans-serif; border-top: 1px dashed var(--rule); margin-top:
  1.2rem; }
.version { color: var(--faint); font-size: .85rem; margin-top: 3rem; }
body:has(.switch:checked) main > :not(.wrong):not(.heading) { display: none; }
@media (max-width: 720px) { .line { grid-template-columns: minmax(0, 1fr); } .found { columns: 1; } body {
  padding: 1rem .9rem 3rem; } }
@media print { :root { --paper: #fff; --ink: #000; --tint: #fff; } body { max-width: none; padding: 0; font-size:
  10.5pt; }
  .switch + label { display: none; } .line > .shown { overflow: visible; } }
"""


def document_page(report: DocumentReport) -> str:
    """The whole page."""
    found, name = report.found, title_of(report)
    head = f"<h1>{escape(name)} <small>{escape(report.verdict)}</small></h1>"
    settled = "".join(f"<li>{escape(said)}</li>" for said in _settled(found))
    switch = '<input class="switch" type="checkbox" id="wrong-only"><label for="wrong-only">only what is wrong</label>'
    body = "".join(_pages(found))
    blocks = "".join(block_section(number, block) for number, block in enumerate(found.blocks, start=1))
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="generator" content="tinygrad-rnn">\n'
        f"<title>{escape(name)}: {escape(report.verdict)}</title>\n<style>{CSS}</style>\n</head>\n<body>\n"
        f'<header>{head}<ul class="found">{settled}</ul>{switch}</header>\n'
        f"<main>{body}{_unread(found)}{blocks}</main>\n"
        f'<p class="version">tinygrad-rnn {escape(VERSION)}</p>\n</body>\n</html>\n'
    )


def _settled(found: DocumentVerdict) -> Iterator[str]:
    for vote in found.conventions:
        votes = ", ".join(f"{choice}: {count}" for choice, count in vote.votes)
        yield f"{vote.about}: {vote.choice}" + (f" ({votes})" if votes else f" ({vote.origin})")
    for model in found.models:
        yield f"{_name_of(model)}, line {model.line}: {', '.join(model.states)}"
        if model.assumed:
            yield f"assumed for it: {', '.join(model.assumed)}"


def _name_of(model: FoundModel) -> str:
    return model.name if model.name.startswith("model") else f"model {model.name}"


def _pages(found: DocumentVerdict) -> Iterator[str]:
    for page in found.pages.pages if found.pages else ():
        claims = [claim for claim in found.claims if (claim.file, claim.cell) == (page.file, page.cell)]
        if page.cell is not None:
            yield f'<p class="cell">cell {page.cell}</p>'
        yield from _items(page, claims)


def _items(page: Page, claims: Sequence[ClaimVerdict]) -> Iterator[str]:
    """Paragraphs flow with their formulas; a formula with a claim, or a displayed one, is a line with a margin."""
    running: list[str] = []
    for item in page.items:
        if isinstance(item, Prose):
            running.append(escape(_plain(page.text[item.extent.start : item.extent.end])))
        elif isinstance(item, Formula) and item.form == "inline" and not _at(page, item, claims):
            running.append(_inline(item))
        elif not isinstance(item, Directive):
            yield from _paragraphs(running)
            running = []
            yield from _block(page, item, claims)
    yield from _paragraphs(running)


def _plain(text: str) -> str:
    text = re.sub(r"<!--.*?-->|</?[A-Za-z][^<>\n]{0,300}>|\*\*|__", " ", text, flags=re.DOTALL)
    return re.sub(r"!?\[([^\]\n]*)\]\([^)\n]*\)", r"\1", text)


def _paragraphs(running: Sequence[str]) -> Iterator[str]:
    for paragraph in re.split(r"\n\s*\n", "".join(running)):
        if paragraph.strip():
            yield f"<p>{paragraph.strip()}</p>"


def _inline(formula: Formula) -> str:
    if formula.unread or not formula.statements:
        return f"<code>{escape(formula.latex.strip())}</code>"
    return ", ".join(statement_mathml(each).replace(' display="block"', "") for each in formula.statements)


def _block(page: Page, item: Title | Fence | Formula, claims: Sequence[ClaimVerdict]) -> Iterator[str]:
    if isinstance(item, Title):
        level = min(item.level + 1, 6)
        yield f'<h{level} class="heading">{escape(item.text)}</h{level}>'
    elif isinstance(item, Fence):
        if item.text.strip():
            yield f"<pre>{escape(item.text.rstrip())}</pre>"
    else:
        yield from _rows(page, item, claims)


def _at(page: Page, formula: Formula, claims: Sequence[ClaimVerdict]) -> list[ClaimVerdict]:
    first, last = page.place(formula.extent.start), page.place(formula.extent.end)
    return [claim for claim in claims if first <= (claim.line, claim.column) <= last]


def _rows(page: Page, formula: Formula, claims: Sequence[ClaimVerdict]) -> Iterator[str]:
    here = _at(page, formula, claims)
    places = [page.place(statement.extent.start) for statement in formula.statements]
    own: list[list[ClaimVerdict]] = [[] for _ in places]
    for claim in here:
        before = [n for n, place in enumerate(places) if place <= (claim.line, claim.column)]
        own[before[-1] if before else 0].append(claim)
    for statement, mine, place in zip(formula.statements, own, places, strict=True):
        yield _line(statement_mathml(statement), mine, place[0])
    if formula.unread:
        yield f'<div class="line open"><div class="shown"><code>{escape(formula.latex.strip())}</code></div></div>'


def _line(shown: str, claims: Sequence[ClaimVerdict], line: int) -> str:
    kinds = [_kind(claim.verdict) for claim in claims]
    worst = next((kind for kind in ("wrong", "open", "right") if kind in kinds), "")
    margin = "".join(map(_said, claims))
    at = f'<span class="at">line {line}</span>' if claims else ""
    return f'<div class="line {worst}"><div class="shown">{shown}</div><div class="margin">{at}{margin}</div></div>'


def _kind(verdict: str) -> str:
    return "wrong" if verdict in WRONG_CLAIMS else "right" if verdict in RIGHT_CLAIMS else "open"


def _said(claim: ClaimVerdict) -> str:
    parts = [f"<b>{SIGNS.get(claim.verdict, '–')} {escape(claim.verdict)}</b>"]
    parts += [escape(said) for said in (claim.explanation, claim.reading and f"read: {claim.reading}") if said]
    parts += [f"right: <code>{escape(claim.right_form)}</code>"] if claim.right_form else []
    return f'<div class="{_kind(claim.verdict)}">{"".join(f"<p>{part}</p>" for part in parts)}</div>'


def _unread(found: DocumentVerdict) -> str:
    if not found.unread:
        return ""
    rows = "".join(
        f"<li>line {formula.line}: <code>{escape(formula.latex.strip()[:300])}</code>: {escape(formula.reason)}</li>"
        for formula in found.unread
    )
    return f'<h2 class="heading">Not read</h2><ul>{rows}</ul>'
