"""The gallery page: for every system its picture, equations, verified derivation and code, in that order.

The page needs nothing else: no network, no script, no font. Every text is escaped where it enters; formulas come from
`language.mathml` and pictures from `draw`, which escape what they are given.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from html import escape
from pathlib import Path

from tinygrad_rnn.language import Equation, Model
from tinygrad_rnn.language.text.mathml import pieces
from tinygrad_rnn.verification.report import Report
from tinygrad_rnn.verification.report.stylesheet import CSS

from .pictures import Picture, picture
from .systems import DOCS, Chapter, System

TITLE = "The gallery of recurrent networks"
#: signs of a formula that stands beside another one
LONGEST = 43
INTRO = (
    "Every recurrent system of the documents: its circuit and its unfolded graph, its equations, its gradients derived "
    "by hand and verified at every time step, and its code. A black square delays what passes it by one time step."
)


def page(chapters: list[Chapter], sections: Iterable[str]) -> str:
    """The whole page; `sections` in the order of the systems."""
    remaining = iter(sections)
    body = "".join(
        f"<h2>{escape(chapter.title)}</h2><p>{escape(chapter.text)}</p>\n"
        + "".join(f"{next(remaining)}\n" for _ in chapter.systems)
        for chapter in chapters
    )
    style = CSS + (Path(__file__).parent / "gallery.css").read_text(encoding="utf-8")
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{TITLE}</title>\n<style>{style}</style>\n</head>\n<body>\n"
        f"<header><h1>{TITLE}</h1><p>{escape(INTRO)}</p></header>\n{_contents(chapters)}\n"
        f"<main>{body}</main>\n</body>\n</html>\n"
    )


def section(number: int, system: System, report: Report) -> str:
    """One system."""
    model = system.model
    return (
        f'<section class="system" id="{escape(system.name)}"><div class="head">'
        f'<h3><span class="number">{number}</span>{escape(system.title)}</h3>'
        f'<p>{escape(system.summary)}</p><p class="from">{_links(system)}</p>'
        f"{_figure(picture(system))}</div>"
        f'<div class="columns"><div><h4>Equations</h4>{_formulas(model.forward, model)}</div>'
        f"<div><h4>Gradients, derived by hand</h4>{_gradients(model)}{_verdict(report)}</div></div>"
        f"<pre>{escape(system.code.strip())}</pre></section>"
    )


def _contents(chapters: list[Chapter]) -> str:
    parts, number = [], 1
    for chapter in chapters:
        entries = "".join(f'<li><a href="#{escape(s.name)}">{escape(s.title)}</a></li>' for s in chapter.systems)
        parts.append(f'<div><b>{escape(chapter.title)}</b><ol start="{number}">{entries}</ol></div>')
        number += len(chapter.systems)
    return f"<nav>{''.join(parts)}</nav>"


def _links(system: System) -> str:
    """Where it comes from, and where it lives in the project."""
    places = ((system.layer, system.class_file), (system.equation_file.name, system.equation_file))
    files = [(text, file) for text, file in (*places, (system.demo, system.demo_file)) if file is not None]
    links = [f'<a href="{escape(_path(file))}"><code>{escape(text)}</code></a>' for text, file in files]
    return " · ".join([escape(system.source), *links])


def _path(file: Path) -> str:
    return Path(os.path.relpath(file, DOCS)).as_posix()


def _figure(drawn: Picture) -> str:
    return f'<figure style="--width:{drawn.width:.0f}px"><div>{drawn.svg}</div></figure>'


def _gradients(model: Model) -> str:
    """What belongs to a time step line by line; what is summed over the steps side by side."""
    steps = [equation for equation in model.gradients if equation.target.index is not None]
    shared = [equation for equation in model.gradients if equation.target.index is None]
    return f'{_formulas(steps, model)}<div class="shared">{_formulas(shared, model)}</div>'


def _formulas(equations: Iterable[Equation], model: Model) -> str:
    return "".join(_paragraph(_formula(equation, model)) for equation in equations)


def _paragraph(formula: str) -> str:
    """A long formula asks for the whole width, where others stand side by side."""
    long = len(re.sub(r"<[^>]*>", "", formula)) > LONGEST
    return f'<p class="formula{" long" if long else ""}">{formula}</p>'


def _formula(equation: Equation, model: Model) -> str:
    """In pieces, so that a narrow page can break it between its terms."""
    left, terms, when = pieces(equation, model)
    parts = [left, *(math for _, math in terms), *([when] if when else [])]
    return " ".join(f'<span class="piece">{part}</span>' for part in parts)


def _verdict(report: Report) -> str:
    said = f"✓ {report.verdict}" if report.ok else report.verdict
    kind = "pass" if report.ok else "fail"
    judged = f"{len(report.rows)} equations at every step of T = {report.T}"
    killed = f"the probe {escape(str(report.probe))}"
    return f'<p class="said"><span class="badge {kind}">{said}</span> {judged}; {killed}.</p>'
