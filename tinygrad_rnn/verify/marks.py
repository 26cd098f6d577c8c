"""Where in a wrong equation the mistake stands, and what should stand there: for pages that mark it in the formula.

Nothing is judged here: verdicts on terms are matched with the parts of the user's equation that they are about.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from ..core.errors import LanguageError
from ..language import Equation, Model, parse
from ..language.expressions import Expr, walk
from ..language.indices import MAIN
from ..language.mathml import addends
from ..language.printer import text
from .report import FAIL, Report, Row, TermVerdict
from .terms import Term, terms_of

_BECOMES = re.compile(r"which makes it `([^`]+)`$")
_SHOULD_BE = re.compile(r"should be (?:the sum, )?`([^`]+)`$")
_QUOTED = re.compile(r"`([^`]+)`")


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
    def absent(self) -> list[TermVerdict]:
        """Terms that should be there and are not."""
        return [term for term in self.row.terms if term.verdict == "missing"]


def marked(row: Row, report: Report) -> Marked:
    """The row's equation with its marks; without an equation where the text cannot be read by itself."""
    found = Marked(row, _equation(row, report.subject))
    if found.equation is None or row.verdict != FAIL:
        return found
    if not row.terms:
        found.classes[id(found.equation.rhs)] = "wrong"
    written = terms_of(found.equation.rhs)
    for verdict in row.terms:
        term = next((t for t in written if str(t) == verdict.text), None)
        if term is None:
            if verdict.verdict in ("wrong", "extra"):
                found.classes[id(found.equation.rhs)] = "wrong"
            continue
        written.remove(term)
        _mark(found, term, verdict, report.subject)
    return found


def _mark(found: Marked, term: Term, verdict: TermVerdict, model: Model | None) -> None:
    assert found.equation is not None
    for _, addend in addends(found.equation.rhs):
        if any(node is term.body for node in walk(addend)):
            found.below.setdefault(id(addend), []).append(verdict)
    if verdict.verdict == "right":
        return
    culprit = _culprit(term.body, verdict, model)
    found.classes[id(term.body)] = "wrong" if culprit is None else "within"
    if culprit is not None:
        found.classes[id(culprit)] = "wrong"


def _culprit(body: Expr, verdict: TermVerdict, model: Model | None) -> Expr | None:
    """The part of a term that the explanation quotes first, if it is less than the whole."""
    quoted = _QUOTED.search(verdict.explanation)
    wanted = expression(quoted[1], model) if quoted and verdict.verdict == "wrong" else None
    if wanted is None or "missing" in verdict.explanation:
        return None
    return next((node for node in walk(body) if node is not body and node == wanted), None)


def correction(verdict: TermVerdict) -> str:
    """What a wrong term (under a sum: its summand) should be, as text; "" where the explanation gives none."""
    if verdict.verdict != "wrong":
        return ""
    if verdict.explanation.startswith("the sign of `"):
        body = verdict.text.removeprefix("-")
        return body if body != verdict.text else f"-({body})"
    found = _BECOMES.search(verdict.explanation) or _SHOULD_BE.search(verdict.explanation)
    return found[1] if found else ""


def shortened(row: Row, found: Marked) -> str:
    """The explanation, without what the marked equation shows already: the term it is in, and what that becomes."""
    shown = [verdict for below in found.below.values() for verdict in below if correction(verdict)]
    said = row.explanation
    for verdict in shown:
        said = said.replace(f", which makes it `{correction(verdict)}`", "").replace(f" in `{_within(verdict)}`", "")
    return said


def _within(verdict: TermVerdict) -> str:
    found = re.search(r" in `([^`]+)`", verdict.explanation)
    return found[1] if found else ""


def expression(said: str, model: Model | None = None) -> Expr | None:
    """An expression quoted in a report, in the indices of the model, or None if it is none."""
    ranges = model.document.indices if model is not None else MAIN
    header = f"indices: {', '.join(f'{name} = {within}' for name, within in ranges.items())}\n"
    try:
        (equation,) = parse(f"{header}q[{', '.join(ranges)}] = {said}\n").forward
    except (LanguageError, ValueError):
        return None
    return equation.rhs


def quoted(sentence: str) -> Iterator[tuple[str, bool]]:
    """A sentence in parts; True for what stands in backticks."""
    for place, part in enumerate(sentence.split("`")):
        if part:
            yield part, place % 2 == 1


def _equation(row: Row, model: Model | None) -> Equation | None:
    if model is not None:
        for equation in model.gradients:
            if (equation.name, equation.line) == (row.name, row.line):
                return equation
    try:
        (equation,) = parse(row.text + "\n").forward
    except (LanguageError, ValueError):
        return None
    return equation if text(equation.target) == row.name else None
