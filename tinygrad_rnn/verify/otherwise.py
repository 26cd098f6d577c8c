"""What an equation would be if the file were read in another way: other powers, labels, or a single sample.

A form with two readings (the power of a square matrix, a product of such over time) has a verdict under each, and both
are told where they differ. A wrong equation that is right for a declared label, or for a batch of one, is told so, with
the declaration.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from ..core.errors import LanguageError
from ..language import Equation, Model
from ..language.conventions import READINGS
from ..language.expressions import Binary, Call, Expr, Label, Number, Ref, Sum, walk
from ..language.headers import LABELS
from ..language.powers import powers
from ..language.source import NOWHERE
from .report import FAIL, PASS

_LOGARITHMS = ("log", "log_softmax", "logsumexp")


def otherwise(equation: Equation, model: Model, verdict: str, judged: Callable[[Model], str]) -> list[str]:
    """What to tell beside a verdict; `judged` gives the verdict on the equation in another model of its document."""
    told = []
    for reading in _readings(model, equation, verdict):
        other = judged(Model(model.document, reading=reading, samples=model.convention.samples))
        if {verdict, other} == {PASS, FAIL}:
            said = "as those of matrices" if reading == "matrix" else "entry by entry"
            told.append(f"with all powers and products over time taken {said} it is {other}, as written {verdict}")
    if verdict != FAIL:
        return told
    for name, kind in _labels(model):
        labels = {**model.document.labels, name: Label(kind, NOWHERE)}
        try:
            other = judged(Model(replace(model.document, labels=labels), samples=model.convention.samples))
        except LanguageError:
            continue
        if other == PASS:
            told.append(_said_of_label(name, kind))
            break
    if model.convention.samples and judged(Model(model.document, samples=0)) == PASS:
        told.append(f"it is right for a batch of 1 only, not for {model.convention.samples} columns")
    return told


def _said_of_label(name: str, kind: str) -> str:
    what = "one-hot" if kind == "one-hot" else "one-hot (or any whose entries add up to one)"
    return f"it is right for a {what} {name}: declare this by   labels: {name} {kind}"


# -- powers and products ----------------------------------------------------------------------------------------------
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
    for node, factor in powers(expr):
        if _is_square(model, node.left) and not _is_diagonal(node.left) and not _is_one(node.right):
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


# -- labels -----------------------------------------------------------------------------------------------------------
def _labels(model: Model) -> Iterator[tuple[str, str]]:
    """The inputs that may be labels, being factors of a logarithm, and what each may be: the weaker first."""
    quantities = model.quantities
    known = {*quantities.labels, *quantities.classes}
    for key in quantities.inputs:
        column = key not in known and max(model.shapes_.names[key]) > 1
        if column and any(_weights_a_logarithm(equation.rhs, key) for equation in model.forward):
            yield from ((key[0], kind) for kind in reversed(LABELS))


def _weights_a_logarithm(expr: Expr, key: tuple[str, bool]) -> bool:
    """Whether a product (or a loss) has the quantity as one factor and a logarithm in another."""
    for node in walk(expr):
        product = isinstance(node, Binary) and node.op in "*@"
        if product or (isinstance(node, Call) and node.function in ("dot", "cross_entropy")):
            parts = [set(map(_named, walk(part))) for part in node.children]
            if any(key in part for part in parts) and (not product or any(part & {*_LOGARITHMS} for part in parts)):
                return True
    return False


def _named(node: Expr) -> object:
    return node.key if isinstance(node, Ref) else node.function if isinstance(node, Call) else type(node)
