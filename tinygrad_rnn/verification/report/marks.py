"""Where in a wrong equation the mistake stands, and what should stand there: for pages that mark it in the formula.

Nothing is judged here: verdicts on terms are matched with the parts of the user's equation that they are about.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from ...language import Equation, Model
from ...language.expressions import walk
from ...language.text.mathml import addends
from ..diagnosis.terms import SignedTerm, terms_of
from ..results import FAIL, Row, TermVerdict, Verdicts


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


def marked(row: Row, report: Verdicts) -> Marked:
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
        _mark(found, term, verdict)
    return found


def _mark(found: Marked, term: SignedTerm, verdict: TermVerdict) -> None:
    assert found.equation is not None
    for _, addend in addends(found.equation.rhs):
        if any(node is term.body for node in walk(addend)):
            found.below.setdefault(id(addend), []).append(verdict)
    if verdict.verdict == "right":
        return
    inner = (node for node in walk(term.body) if node is not term.body and node == verdict.part)
    culprit = next(inner, None) if verdict.part is not None else None
    found.classes[id(term.body)] = "wrong" if culprit is None else "within"
    if culprit is not None:
        found.classes[id(culprit)] = "wrong"


def shortened(found: Marked) -> str:
    """The explanation, without what the marked equation shows already: the term it is in, and what that becomes."""
    if not found.row.terms:
        return found.row.explanation
    shown = {id(verdict) for below in found.below.values() for verdict in below if verdict.correction}
    said = []
    for verdict in found.row.terms:
        if verdict.verdict == "wrong" and id(verdict) in shown:
            said.append(verdict.explanation)
        elif verdict.verdict in ("missing", "extra"):
            said.append(f"the term `{verdict.text}` {verdict.explanation}")
        elif verdict.verdict != "right":
            return found.row.explanation
    return "; ".join(dict.fromkeys(said))


def capital(sentence: str) -> str:
    """The sentence with a capital letter."""
    return sentence[:1].upper() + sentence[1:]


def quoted(sentence: str) -> Iterator[tuple[str, bool]]:
    """A sentence in parts; True for what stands in backticks, which is code as in Markdown."""
    for place, part in enumerate(sentence.split("`")):
        if part:
            yield part, place % 2 == 1


def _equation(row: Row, model: Model | None) -> Equation | None:
    """The row's equation as the file has it, helpers unnamed."""
    stated = model.gradients if model is not None else ()
    return next((e for e in stated if (e.name, e.line) == (row.name, row.line)), row.equation)
