"""Where in a wrong equation the mistake stands, and what should stand there: for pages that mark it in the formula.

Nothing is judged here: verdicts on terms are matched with the parts of the user's equation that they are about.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import combinations

from ...core.errors import LanguageError
from ...language import Equation, Model, parse
from ...language.expressions import Expr, walk
from ...language.syntax.indices import MAIN
from ...language.text.mathml import addends
from ...language.text.printer import text
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
        _mark(found, term, verdict, report.subject)
    return found


def _mark(found: Marked, term: SignedTerm, verdict: TermVerdict, model: Model | None) -> None:
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
    """The part of a term that is wrong, if it is less than the whole."""
    wanted = expression(verdict.part, model) if verdict.part else None
    return None if wanted is None else next((node for node in walk(body) if node is not body and node == wanted), None)


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


def expression(said: str, model: Model | None = None) -> Expr | None:
    """An expression quoted in a report, in the indices of the model, or None if it is none."""
    ranges = model.document.indices if model is not None else MAIN
    header = f"indices: {', '.join(f'{name} = {within}' for name, within in ranges.items())}\n"
    for count in range(len(ranges), -1, -1):  # a letter that a sum binds has no value around it
        for free in combinations(ranges, count):
            target = f"q[{', '.join(free)}]" if free else "q"
            try:
                (equation,) = parse(f"{header}{target} = {said}\n").forward
            except (LanguageError, ValueError):
                continue
            return equation.rhs
    return None


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
