"""Corrections of a term: a small edit, or another sum, with a sentence that quotes what was written and what it should
be.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ...language.affine import Affine, affine
from ...language.expressions import Call, Expr, Ref, Sum, Time, walk
from ...language.rewriting import factors_of, map_indices, names, negated, product
from ...language.syntax.indices import Comparison, Condition, Range
from ...language.syntax.source import NOWHERE
from ...language.text.printer import text
from ..results import WRONG, TermVerdict
from .edits import (
    FACTOR,
    ORDER,
    PARENTHESES,
    SIGN,
    WRONG_SUM,
    Edit,
    Setting,
    edits,
    known_forms,
)
from .terms import ProbeValues, SignedTerm
from .true_terms import writes_diag


@dataclass(frozen=True)
class Fix:
    """A user term corrected: the kind of mistake, in words (and in which term), the whole term as it should be, and the
    part that was wrong.
    """

    kind: str
    says: str
    within: str
    term: SignedTerm
    part: Expr | None = None

    @property
    def sentence(self) -> str:
        """What is wrong, in which term, and what this becomes."""
        return f"{self.says}{self.within}"

    def verdict(self, term: SignedTerm) -> TermVerdict:
        """The verdict on the term that this corrects."""
        part = None if self.part is term.body else self.part
        return TermVerdict(term.expr, WRONG, self.says, part=part, corrected=self.term.expr)


def corrected(
    term: SignedTerm, goals: Sequence[np.ndarray], values: ProbeValues, pool: Sequence[Expr]
) -> Iterator[tuple[Fix, np.ndarray]]:
    """The corrections of a term that reach one of the goals, likeliest first, with the values they reach."""
    setting = Setting(pool, _running(term, values), writes_diag(values.model), values.gradients)
    for fix in _all(term, setting, values):
        reached = values.reaches(fix.term.expr, goals)
        if reached is not None:
            yield fix, reached


def _all(term: SignedTerm, setting: Setting, values: ProbeValues) -> Iterator[Fix]:
    yield from _other_sums(term, values)
    for edit in edits(term.body, setting):
        yield _edited(edit, term, values)


def _running(term: SignedTerm, values: ProbeValues) -> dict[str, Range]:
    """The index variables that a term may use, and what they run over."""
    ranges = values.equation.ranges
    running = {name: ranges.get(name, Range()) for name in values.equation.running}
    if term.over is not None:
        running[term.over.variable] = term.over.over.within
    return running


def _edited(edit: Edit, term: SignedTerm, values: ProbeValues) -> Fix:
    fixed = term.with_body(edit.expr)
    if edit.written is term.body:  # the whole of it, and its sign: nothing to add
        return Fix(edit.kind, _sentence(edit, term, values), "", fixed, edit.written)
    within = f" in `{quoted(term.body, values)}`"
    whole = fixed.body if fixed.sign == term.sign else negated(fixed.body)
    return Fix(
        edit.kind,
        _sentence(edit, term, values),
        f"{within}, which makes it `{text(whole)}`",
        fixed,
        edit.written,
    )


def _sentence(edit: Edit, term: SignedTerm, values: ProbeValues) -> str:
    meant = text(edit.meant) if edit.meant is not None else ""
    written = quoted(edit.written, values) if edit.written is not None else ""
    if edit.kind == FACTOR and not written:
        return f"the factor `{meant}` is missing"
    if edit.kind == FACTOR and not meant:
        return f"the factor `{written}` does not belong"
    if edit.kind == SIGN and edit.written is term.body:
        return f"the sign of `{written}` is wrong: it should be {'-' if term.sign > 0 else '+'}"
    if edit.kind == ORDER:
        return f"the order is wrong: `{written}` should be `{meant}`"
    if edit.kind == PARENTHESES:
        return f"parentheses are missing: `{written}` should be `{meant}`"
    what = "the factor " if edit.kind == FACTOR else ""
    return f"{what}`{written}` should be `{meant}`"


def quoted(expr: Expr, values: ProbeValues) -> str:
    """The user's own words for a part of the equation."""
    source = values.model.document.source
    words = " ".join(source.text[expr.span.start : expr.span.stop].split())
    return words or text(expr)


# -- other sums --------------------------------------------------------------------------------------------------------
def _other_sums(term: SignedTerm, values: ProbeValues) -> Iterator[Fix]:
    """The same summand, summed otherwise: over all steps, not their mean, not only the last."""
    if term.over is None:
        parts, ops = factors_of(term.body)
        if ops and ops[-1] == "/" and isinstance(parts[-1], Time):
            fixed = term.with_body(product(parts[:-1], ops[:-1]))
            yield Fix(WRONG_SUM, f"`{term}` is a mean over time: it should be the sum, `{fixed}`", "", fixed)
        if not any(isinstance(node, Sum) for node in walk(term.body)):
            for variable, within in _sums_over(term, values):
                body = _at_step(term.body, within.last, affine(variable))
                if body != term.body:
                    fixed = SignedTerm(term.sign, body, Sum(NOWHERE, "sum", Condition(variable, (), within), body))
                    yield Fix(WRONG_SUM, f"`{term}` counts one step only: it should be `{fixed}`", "", fixed)
        return
    variable, within = term.over.variable, term.over.over.within
    last = SignedTerm(term.sign, _at_step(term.body, affine(variable), within.last))
    yield Fix(WRONG_SUM, f"`{term}` counts every step: it should be `{last}`", "", last)
    limits = (Comparison(">", within.first), Comparison("<", within.last))
    everything = Condition(variable, (), within)
    others = [everything, *(Condition(variable, (test,), within) for test in limits)]
    for over in (term.over.over, *others):
        fixed = SignedTerm(term.sign, term.body, Sum(NOWHERE, "sum", over, term.body))
        if fixed.over != term.over:
            yield Fix(WRONG_SUM, f"`{term}` should be `{fixed}`", "", fixed)


def _sums_over(term: SignedTerm, values: ProbeValues) -> Iterator[tuple[str, Range]]:
    """The indices of the model over which a term could be summed: those its equation does not use."""
    used = {*values.equation.running}
    for variable, within in values.model.document.indices.items():
        if variable not in used and not within.last.running and within.last.lengths:
            yield variable, within


def _at_step(expr: Expr, before: Affine, after: Affine) -> Expr:
    """Every index counted from `before` counted from `after` instead: h[T-1] as h[t-1]."""
    return map_indices(expr, lambda index: after + (index - before) if index.terms == before.terms else index)


def pool_of(right: Sequence[Expr], wrong: Sequence[Expr], gradients: frozenset[str]) -> list[Expr]:
    """Factors to try: those of the right terms first, then known derivatives of what the wrong terms mention."""
    pool: list[Expr] = []
    for expr in right:
        for node in walk(expr):
            parts, ops = factors_of(node)
            plain = [part for part in parts if not names(part) & gradients]
            if 1 < len(plain) < len(parts) and set(ops) == {"*"}:
                pool.append(product(plain, ["*"] * (len(plain) - 1)))
            pool += parts
            if isinstance(node, Call) and node.function == "diag":
                pool.append(node.args[0])
    for expr in wrong:
        pool += known_forms(expr, gradients)
    return [expr for expr in dict.fromkeys(pool) if isinstance(expr, Ref) or not names(expr) & gradients][:48]
