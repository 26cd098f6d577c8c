"""Which line of a hand-written backward pass is wrong, where forward names its states and backward returns them.

A wrong value also makes everything computed from it wrong, so each returned quantity is checked a second time against
the derivation with the *returned* values on its right-hand side.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np

from ...core.errors import DerivationError, LanguageError, TinygradError
from ...core.graph import Graph
from ...core.tensor import Tensor, plain
from ...derive.adjoint import Contribution, contributions
from ...derive.algebra import Algebra, Form, Sum
from ...derive.cases import moved
from ...derive.writing import HADAMARD, write
from ...language.evaluate import evaluate
from ...language.operands import Operand
from ...language.printer import text
from ..report import FAIL, Row
from ..terms import CLOSE
from .arrays import Place


def explained(rows: list[Row], loss: Tensor, stated: Mapping[Place, np.ndarray], graph: Graph) -> list[Row]:
    """The failed rows, each with what its own line lacks, or with the remark that it only follows from others."""
    keep = {name for name, step in stated if step is not None}
    algebra = Algebra()
    try:
        shares = contributions(loss, keep, algebra)
    except DerivationError:
        return rows
    lookup = _lookup(stated, graph)
    return [
        replace(row, **_fault(row, shares, stated, lookup, algebra)) if row.verdict == FAIL else row for row in rows
    ]


def _lookup(stated: Mapping[Place, np.ndarray], graph: Graph) -> Callable[[str, int | None], Operand]:
    values: dict[Place, Any] = {(n.name, n.scope.step): n.value for n in graph.nodes if n.name}  # type: ignore[misc]
    values |= {(f"d{name}", step): value for (name, step), value in stated.items()}

    def lookup(name: str, step: int | None) -> Operand:
        if (name, step) not in values:
            raise LanguageError(f"{name}[{step}] is not known")
        value = values[name, step]
        rows, columns = value.shape if np.ndim(value) == 2 else (1, 1)
        return Operand(value, rows, columns)

    return lookup


def _fault(
    row: Row, shares: list[Contribution], stated: Mapping[Place, np.ndarray], lookup: Any, algebra: Algebra
) -> dict[str, Any]:
    quantity = row.name.removeprefix("d").removesuffix("[t]")
    terms: dict[str, dict[int | None, np.ndarray]] = {}
    steps = [step for name, step in stated if name == quantity]
    for share in shares:
        if share.target.name == quantity and share.target.scope.step in steps:
            at = share.target.scope.step
            form = moved(share.form, -at, algebra) if isinstance(at, int) else share.form
            for said, value in _values(form, at, lookup, algebra):
                place = terms.setdefault(said, {})
                place[at] = place[at] + value if at in place else value
    residual = {
        step: stated[quantity, step] - sum((t[step] for t in terms.values() if step in t), 0.0) for step in steps
    }
    scale = max(float(np.max(np.abs(stated[quantity, step]), initial=0.0)) for step in steps)
    if all(np.max(np.abs(r), initial=0.0) <= CLOSE * scale for r in residual.values()):
        return {"explanation": "follows from the others: this line itself is right"}
    for n in (1, 2):
        for chosen in combinations(terms, n):
            missing = {s: sum((terms[said][s] for said in chosen if s in terms[said]), 0.0) for s in steps}
            if all(np.max(np.abs(residual[s] + missing[s]), initial=0.0) <= CLOSE * scale for s in steps):
                return {
                    "mistake": "missing term",
                    "explanation": "; ".join(f"the term `{said}` is missing" for said in chosen),
                }
    if steps[0] is None:
        return {"mistake": "wrong term", "explanation": "this line is wrong"}
    wrong = [step for step in steps if np.max(np.abs(residual[step]), initial=0.0) > CLOSE * scale]
    cases = Counter(tuple(said for said, at in terms.items() if step in at) for step in wrong)
    case, times = cases.most_common(1)[0]
    right = " + ".join(case).replace("+ -", "- ")
    where = "" if times == len(wrong) else f" (at {times} of the {len(wrong)} wrong steps)"
    return {"mistake": "wrong term", "explanation": f"this line should be `{row.name} = {right}`{where}"}


def _values(form: Form, at: int | None, lookup: Any, algebra: Algebra) -> list[tuple[str, np.ndarray]]:
    parts = form.terms if isinstance(form, Sum) else ((1.0, form),)
    found = []
    for c, part in parts:
        expr = write(algebra.scale(c, part), HADAMARD)
        try:
            value = evaluate(expr, lookup, {"t": at or 0, "T": 0}).value  # a parameter's steps are counted from 0
        except (TinygradError, ValueError, LookupError):
            continue
        found.append((text(expr), np.asarray(plain(value), dtype=float)))
    return found
