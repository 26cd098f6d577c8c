"""What an equation would be if the file were read in another way: other powers, a single sample, a one-hot label.

Values of several columns make a file one of batches. A form with two readings (the power of a square matrix, a product
of such over time) has a verdict under each, and both are told where they differ. A wrong equation that is right for a
batch of one is told so, and one that is right for a one-hot label and not for any column: `dz = softmax(z) - y` takes
for granted that the entries of y add up to 1, and a file that does not say so has y drawn as any column.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...core.errors import LanguageError, TinygradError
from ...language import Document, Equation, Model, read
from ...language.expressions import Call, Expr, Label, Number, Ref, Sum, walk
from ...language.syntax.source import NOWHERE
from ...language.types.conventions import READINGS
from ...language.types.powers import powers
from ..results import FAIL, PASS, Diagnosis

if TYPE_CHECKING:
    from ..measure.probe import Probe


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
    forms = [is_matrix for each in equations for is_matrix in _two_faced(model, each.rhs)]
    for reading in READINGS[1:]:
        if any(matrix != (reading == "matrix") for matrix in forms):
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


# -- labels ------------------------------------------------------------------------------------------------------------
LABEL = "label"
#: what a label is assumed to be, the weaker first
KINDS = {"simplex": "add up to 1, as those of a one-hot column do", "one-hot": "are 0 but for a single 1"}
_LOGARITHMS = {"log", "cross_entropy", "log_softmax", "logsumexp", "binary_cross_entropy"}


def undeclared_label(equation: Equation, probes: Sequence[Probe]) -> Diagnosis | None:
    """What to declare for a failed equation that is right for labels; None for one that is wrong for them too."""
    model = probes[0].model
    for name, timed in _possible(model):
        for kind, meaning in KINDS.items():
            drawn = _drawn(name, kind, probes)
            if drawn and all(_right(equation, probe) for probe in drawn):
                called = model.quantities.show((name, timed))
                says = f"it is right if the entries of `{called}` {meaning}: then declare `labels: {name} {kind}`"
                return Diagnosis(LABEL, says, [])
    return None


def _possible(model: Model) -> Iterator[tuple[str, bool]]:
    """Real inputs of more than one entry that stand in an equation with a logarithm: targets of a cross entropy."""
    quantities = model.quantities
    for key in quantities.inputs:
        if key in quantities.classes or key in quantities.labels or model.shapes_.names[key] == (1, 1):
            continue
        for equation in model.forward:
            nodes = list(walk(equation.rhs))
            logarithm = any(isinstance(node, Call) and node.function in _LOGARITHMS for node in nodes)
            if logarithm and any(isinstance(node, Ref) and node.key == key for node in nodes):
                yield key
                break


def _drawn(name: str, kind: str, probes: Sequence[Probe]) -> list[Probe]:
    """Two probes of the same length on which a name is such a label; none where the model does not take it for one."""
    first = probes[0]
    if (name, kind) not in first.derived:
        labels = {**first.model.document.labels, name: Label(kind, NOWHERE)}
        try:
            model = Model(replace(first.model.document, labels=labels))
            main = next(iter(first.run.lengths.values()))
            runs = [model.unroll(main, seed=4000 + seed, lengths=first.run.lengths) for seed in range(2)]
        except TinygradError:
            runs = []
        first.derived[name, kind] = [type(first)(model, run) for run in runs]
    labelled: list[Probe] = first.derived[name, kind]
    return labelled


def _right(equation: Equation, probe: Probe) -> bool:
    try:
        steps = probe.model.steps_of(equation, probe.run.lengths)
        return all(probe.judge(equation, step).verdict == PASS for step in steps)
    except TinygradError:
        return False
