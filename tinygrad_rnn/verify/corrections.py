"""Corrections of a term: a small edit, or another sum, with a sentence that quotes what was written and what it should
be.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ..language.affine import affine
from ..language.expressions import Call, Expr, Ref, Sum, Time, walk
from ..language.indices import Comparison, Condition
from ..language.printer import text
from ..language.source import NOWHERE
from .edits import (
    FACTOR,
    ORDER,
    PARENTHESES,
    SIGN,
    WRONG_SUM,
    Edit,
    edits,
    factors_of,
    known_forms,
    product,
    with_children,
)
from .terms import Term, Values, names


@dataclass(frozen=True)
class Fix:
    """A user term corrected: what kind of mistake it was, in words, and the term as it should be (None: dropped)."""

    kind: str
    says: str
    term: Term | None


def corrected(
    term: Term, goals: Sequence[np.ndarray], values: Values, pool: Sequence[Expr]
) -> Iterator[tuple[Fix, np.ndarray]]:
    for fix in [*_other_sums(term), *_edited(term, pool, values)]:
        assert fix.term is not None
        reached = values.of(fix.term.expr)
        if any(values.same(reached, goal) for goal in goals) and values.well_typed(fix.term.expr):
            assert reached is not None
            yield fix, reached


def _edited(term: Term, pool: Sequence[Expr], values: Values) -> Iterator[Fix]:
    for edit in edits(term.body, pool):
        fixed = term.with_body(edit.expr)
        says, whole = _sentence(edit, term, values), text(fixed.body)
        turned = edit.kind == SIGN and edit.written is term.body
        yield Fix(edit.kind, says if turned or whole in says else f"{says}, which makes it `{whole}`", fixed)


def _sentence(edit: Edit, term: Term, values: Values) -> str:
    within = f" in `{quoted(term.body, values)}`"
    meant = text(edit.meant) if edit.meant is not None else ""
    written = quoted(edit.written, values) if edit.written is not None else ""
    if edit.kind == FACTOR and not written:
        return f"the factor `{meant}` is missing{within}"
    if edit.kind == FACTOR and not meant:
        return f"the factor `{written}` does not belong{within}"
    if edit.kind == SIGN and edit.written is term.body:
        return f"the sign of `{written}` is wrong: it should be {'-' if term.sign > 0 else '+'}"
    if edit.kind == ORDER:
        return f"the order is wrong: `{written}` should be `{meant}`"
    if edit.kind == PARENTHESES:
        return f"parentheses are missing: `{written}` should be `{meant}`"
    what = "the factor " if edit.kind == FACTOR else ""
    return f"{what}`{written}` should be `{meant}`" + ("" if edit.written is term.body else within)


def quoted(expr: Expr, values: Values) -> str:
    """The user's own words for a part of the equation."""
    source = values.probe.model.document.source
    words = " ".join(source.text[expr.span.start : expr.span.stop].split())
    return words or text(expr)


def _other_sums(term: Term) -> Iterator[Fix]:
    """The same summand, summed otherwise: over all steps, not their mean, not only the last."""
    if term.over is None:
        everything = Condition("t")
        parts, ops = factors_of(term.body)
        if ops and ops[-1] == "/" and isinstance(parts[-1], Time):
            fixed = term.with_body(product(parts[:-1], ops[:-1]))
            yield Fix(WRONG_SUM, f"`{term}` is a mean over time: it should be the sum, `{fixed}`", fixed)
        if not any(isinstance(node, Sum) for node in walk(term.body)) and any(
            isinstance(n, Ref) and n.index for n in walk(term.body)
        ):
            body = _at_step(term.body, "T", "t")
            fixed = Term(term.sign, body, Sum(NOWHERE, "sum", everything, body))
            yield Fix(WRONG_SUM, f"`{term}` counts one step only: it should be `{fixed}`", fixed)
        return
    variable, within = term.over.variable, term.over.over.within
    everything = Condition(variable, (), within)
    if (variable, str(within.last)) == ("t", "T"):
        last = Term(term.sign, _at_step(term.body, "t", "T"))
        yield Fix(WRONG_SUM, f"`{term}` counts every step: it should be `{last}`", last)
    limits = (Comparison(">", within.first), Comparison("<", within.last))
    others = [everything, *(Condition(variable, (test,), within) for test in limits)]
    for over in (term.over.over, *others):
        fixed = Term(term.sign, term.body, Sum(NOWHERE, "sum", over, term.body))
        if fixed.over != term.over:
            yield Fix(WRONG_SUM, f"`{term}` should be `{fixed}`", fixed)


def _at_step(expr: Expr, before: str, after: str) -> Expr:
    """Every index in `before` (t or T) in `after` instead."""
    if isinstance(expr, Ref) and expr.index is not None and expr.index.variable == before and not expr.more:
        return Ref(expr.span, expr.name, affine(after, expr.index.constant))
    return with_children(expr, [_at_step(child, before, after) for child in expr.children])


def pool_of(right: Sequence[Expr], wrong: Sequence[Expr]) -> list[Expr]:
    """Factors to try: those of the right terms first, then known derivatives of what the wrong terms mention."""
    found: list[Expr] = []
    for expr in right:
        for node in walk(expr):
            parts, ops = factors_of(node)
            plain = [part for part in parts if not _reads_gradient(part)]
            if 1 < len(plain) < len(parts) and set(ops) == {"*"}:
                found.append(product(plain, ["*"] * (len(plain) - 1)))
            found += parts
            if isinstance(node, Call) and node.function == "diag":
                found.append(node.args[0])
    for expr in wrong:
        found += known_forms(expr)
    return [expr for expr in dict.fromkeys(found) if isinstance(expr, Ref) or not _reads_gradient(expr)][:48]


def _reads_gradient(expr: Expr) -> bool:
    return any(name.startswith("d") for name in names(expr))
