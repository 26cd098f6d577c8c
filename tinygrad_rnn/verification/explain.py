"""One line of a derivation in full: its shapes, the derived form, terms matched, numbers at the first wrong step."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from ..core.errors import DerivationError, GraphError, LanguageError
from ..language import Equation, Model
from ..language.expressions import Ref, walk
from ..language.syntax.indices import Step, numbers
from ..language.text.printer import text
from .diagnosis.diagnose import best_matching
from .diagnosis.helper_gradients import with_parts
from .diagnosis.misplaced import in_pieces, where
from .diagnosis.terms import ProbeValues
from .diagnosis.true_terms import true_terms, vocabularies
from .measure.probe import Probe
from .report import Report
from .results import FAIL, Row, lengths_text

if TYPE_CHECKING:
    from .report import Notes

WIDTH = 12
#: larger arrays are shown by their corners
MOST_ENTRIES = 64


def explained(found: Report | Notes, line: int) -> str:
    """Everything that is known of the gradient equation on a line. Raises `GraphError` for a line that has none.

    >>> import tinygrad_rnn as tg
    >>> file = "sizes: h = 2\\nh[t] = W @ h[t-1]\\nL = sum(h[T])\\ngradients:\\ndW = sum(t, dh[t] @ h[t].T)"
    >>> print(explained(tg.verify(file), 5).partition("\\n")[0])
    dW on line 5: FAIL
    """
    reports = [found] if isinstance(found, Report) else [block.report for block in found.blocks if block.report]
    rows = [(report, row) for report in reports for row in report.rows]
    report, row = next(((report, row) for report, row in rows if row.line == line), (None, None))
    if report is None or row is None or report.subject is None:
        lines = ", ".join(str(row.line) for _, row in rows)
        raise GraphError(f"no gradient equation stands on line {line}; they stand on {lines}")
    model = with_parts(report.subject)
    equation = next((e for e in model.gradients if (e.name, e.line) == (row.name, row.line)), None)
    parts = [f"{row.name} on line {line}: {row.verdict}", *_part("written", [row.text])]
    if equation is None or not row.steps:  # it has no shapes that fit, or no steps
        said = [row.mistake, *row.excerpt.splitlines(), row.why, row.explanation]
        parts += _part("why", [part for part in said if part])
        return "\n".join([*parts, *_part("corrected", (row.correction or "").splitlines())])
    probe = Probe(model, model.unroll(report.T, lengths=dict(report.lengths[0]) if report.lengths else None))
    parts += _part("shapes", list(_shapes(model, equation)))
    parts += _part("derived", _derived(model, equation))
    parts += _part("terms", list(_terms(row, equation, probe)))
    parts += _part("says", [row.explanation] if row.explanation else [])
    parts += _part("corrected", (row.correction or "").splitlines())
    parts += _numbers(row, equation, probe)
    return "\n".join(parts)


def _part(name: str, lines: list[str]) -> list[str]:
    return [f"  {(name if n == 0 else '').ljust(WIDTH)}{line}" for n, line in enumerate(lines)]


def _shapes(model: Model, equation: Equation) -> Iterator[str]:
    """Rows and columns of what the equation states and reads."""
    quantities, shapes = model.quantities, model.shapes_
    refs = [equation.target, *(node for node in walk(equation.rhs) if isinstance(node, Ref))]
    for key in dict.fromkeys(ref.key for ref in refs):
        rows, columns = shapes.names[quantities.base(key) or key]
        yield f"{quantities.show(key)} is {rows} x {columns}"


def _derived(model: Model, equation: Equation) -> list[str]:
    """The right equations in the words of the file."""
    reason = "it is no gradient"
    for keep in vocabularies(model, equation):
        try:
            terms = true_terms(model, equation, keep)
        except DerivationError as error:
            reason = str(error)
            continue
        pieces = in_pieces(equation, [], terms, model)
        if pieces is not None:
            return [text(piece) for piece in pieces]
    return [f"not: {reason}"]


def _terms(row: Row, equation: Equation, probe: Probe) -> Iterator[str]:
    """Each term of the equation beside the right ones that it equals, then those that are wrong or missing."""
    matching = best_matching(ProbeValues([probe], equation))
    if matching is not None and not row.terms:
        for mine, theirs in matching.agreed:
            yield f"{' + '.join(map(str, mine))}   is   {' + '.join(map(str, theirs))}"
    for term in row.terms:
        should = f"   should be   {term.correction}" if term.correction else ""
        yield f"{term.verdict:<9}{term.text}{should}"
    if matching is not None and not row.terms:
        for true, _ in matching.absent:
            yield f"missing  {true}{where(true, probe.model)}"


def _numbers(row: Row, equation: Equation, probe: Probe) -> list[str]:
    """Stated and right values at the first step that is wrong, or at the first step."""
    steps = probe.model.steps_of(equation, probe.run.lengths)
    if not steps:
        return []
    step = next((step for step in steps if probe.judge(equation, step).verdict == FAIL), steps[0])
    try:
        stated = np.asarray(probe.evaluator.right_hand_side(equation, step, probe.local).value)
    except LanguageError as error:
        return _part("numbers", [error.message])
    truth = np.asarray(probe.truth(equation, step).value)
    lengths = lengths_text(probe.run.lengths)
    parts = _part("at", [f"{_at(row, step)}{lengths}, the first random probe"])
    for name, value in (("stated", stated), ("right", truth), ("difference", stated - truth)):
        flat = value.reshape(-1) if 1 in value.shape else value
        parts += _part(name, np.array2string(flat, precision=4, threshold=MOST_ENTRIES).splitlines())
    return parts


def _at(row: Row, step: Step) -> str:
    return "".join(f"{axis} = {at}, " for axis, at in zip(row.axes, numbers(step), strict=False))
