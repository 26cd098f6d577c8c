"""What an equation would be if the file were read in another way: other powers, or a single sample.

Values of several columns make a file one of batches. A form with two readings (the power of a square matrix, a product
of such over time) has a verdict under each, and both are told where they differ. A wrong equation that is right for a
batch of one is told so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ...core.errors import LanguageError
from ...language import Document, Equation, Model, read
from ...language.expressions import Call, Expr, Number, Sum, walk
from ...language.types.conventions import READINGS
from ...language.types.powers import powers
from ..results import FAIL, PASS


def otherwise(equation: Equation, model: Model, verdict: str, judged: Callable[[Model], str]) -> list[str]:
    """What to tell beside a verdict; `judged` gives the verdict on the equation in another model of its document."""
    told = []
    for reading in _readings(model, equation, verdict):
        other = judged(Model(model.document, reading=reading, samples=model.convention.samples))
        if {verdict, other} == {PASS, FAIL}:
            said = "as those of matrices" if reading == "matrix" else "entry by entry"
            told.append(f"with all powers and products over time taken {said} it is {other}, as written {verdict}")
    if verdict == FAIL and model.convention.samples and judged(Model(model.document, samples=0)) == PASS:
        told.append(f"it is right for a batch of 1 only, not for {model.convention.samples} columns")
    return told


def in_columns(model: Model | Document | str | Path, values: Mapping[Any, Any] | None) -> Model | Document | str | Path:
    """What is judged: as given, or as a file of batches if `values` of several columns are given."""
    if not values:
        return model
    document = model.document if isinstance(model, Model) else model if isinstance(model, Document) else read(model)
    for gradients in (document.gradients, ()):  # a line of them that cannot be read does not matter here
        try:
            known = Model(replace(document, gradients=gradients, no_quantities=()))
        except LanguageError:
            continue
        columns = known.columns_in(values)
        return model if columns == 1 or known.convention.rows else replace(document, batch="columns", samples=columns)
    return model


def _readings(model: Model, equation: Equation, verdict: str) -> Iterator[str]:
    """The readings under which the equation has another meaning than as written; for a wrong one the forward equations
    may have one as well."""
    equations = (equation,) if verdict == PASS else (*model.forward, equation)
    places = [found for each in equations for found in _two_faced(model, each.rhs)]
    for reading in READINGS[1:]:
        if any(matrix != (reading == "matrix") for matrix in places):
            yield reading


def _two_faced(model: Model, expr: Expr) -> Iterator[bool]:
    """For each power or product over time of square matrices whether it is read as that of matrices."""
    for power, factor in powers(expr):
        if _is_square(model, power.left) and not _is_diagonal(power.left) and not _is_one(power.right):
            yield factor
    for node in walk(expr):
        if isinstance(node, Sum) and node.kind == "prod" and _is_square(model, node.body):
            yield True


def _is_square(model: Model, expr: Expr) -> bool:
    try:
        rows, columns = model.shapes_.of(expr)
    except KeyError:  # an expression made elsewhere
        return False
    return rows == columns > 1


def _is_diagonal(expr: Expr) -> bool:
    return isinstance(expr, Call) and expr.function == "diag"


def _is_one(expr: Expr) -> bool:
    return isinstance(expr, Number) and expr.value == 1
