"""Judge a backward pass written by hand in code, per returned gradient and, where it returns them, per time step.

The forward function runs on Tensors and so records its graph, whose gradients are the reference; where it cannot be
recorded it is differentiated as it is, and the report says how and how exactly. What the pieces are stands in
`handwritten`; here they are put together into one report.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ...core.custom import CustomVjp
from ...core.errors import DtypeError, GraphError, kind_of
from ...core.graph import Graph
from ...core.tensor import Tensor
from ..measure.probe import compared
from ..measure.rounding import EPS, magnitudes, on_kink
from ..report import Report
from ..results import FAIL, PASS, EngineCheck, Row, StepVerdict, overall, trusted
from .arrays import ArrayInputs, LeafName, Params, checked, said
from .compare import GradientComparison, compare, explains_too_much, is_single, precision
from .confirm import FARTHER, SHARE, kinks, moved, node_of, one_sided, steps_of
from .explanation import Explanation
from .subject import ReturnedGradients, Subject
from .true_gradients import (
    DIFFERENCES,
    RECORDED,
    Truth,
    differenced_truth,
    doubtful,
    record,
    recorded_truth,
    rounded_at_random,
)


@dataclass(frozen=True)
class Differentiated(EngineCheck):
    """How the true gradients were taken where no graph could be recorded."""

    method: str = DIFFERENCES

    def __str__(self) -> str:
        return f"true gradients by {self.method}: {self.gradients} gradients, good to {self.worst:.1e} of the largest"


def judge_backward(
    forward: Callable[..., Any],
    backward: Callable[..., Any] | None,
    inputs: Mapping[str, Any] | None = None,
    name: str = "hand-written backward",
    params: Any = None,
    names: Any = None,
) -> Report:
    """See `tinygrad_rnn.verify_backward`."""
    with np.errstate(all="ignore"):  # what is not finite is a verdict, not a warning
        return _judged(forward, backward, {} if inputs is None else inputs, name, params, names)


def _judged(
    forward: Callable[..., Any],
    backward: Callable[..., Any] | None,
    inputs: Mapping[str, Any],
    name: str,
    params: Any,
    names: Any,
) -> Report:
    if not isinstance(inputs, Mapping):
        raise GraphError(f"inputs is a dict from names to arrays, not {kind_of(inputs)}")
    if backward is None and isinstance(forward, CustomVjp):
        forward, backward, names = forward.hand_written()
    subject = Subject(forward, backward, ArrayInputs(inputs), Params(params), names)
    with subject.params.restored():
        return _judged_subject(subject, inputs, name)


def _judged_subject(subject: Subject, inputs: Mapping[str, Any], name: str) -> Report:
    subject.drop_caches()
    if not subject.leaves:
        integers = [f"inputs[{key!r}] holds {np.asarray(x).dtype}" for key, x in inputs.items() if _is_integer(x)]
        hint = f" ({', '.join(integers)}: pass it as floats)" if integers else ""
        raise DtypeError(f"there is no float array in inputs= or params= to differentiate by{hint}")
    checked(subject.inputs, subject.params)
    report, places, truth = _report(subject, name)
    return _stays_right(report, subject, places, truth.loss) if report.ok and truth.method == RECORDED else report


def _report(subject: Subject, name: str) -> tuple[Report, list[LeafName], Truth]:
    loss, leaves, reason = record(subject)
    returned, changed = subject.returned()
    results = ReturnedGradients(subject, returned, steps_of(loss))
    places = list(results.gradients)
    truth = _truth(subject, loss, leaves, places, reason)
    _same_shapes(results, truth, subject)
    eps, dtype = _precision(subject, results)
    if truth.sizes and (eps > EPS or explains_too_much(truth, eps)):
        rounded_at_random(truth, eps)
        truth.reasons.append("rounding was measured, each operation being rounded at random")
    comparisons = {leaf: compare(leaf, results.gradients[leaf], truth, eps) for leaf in places}
    rows = _without_zeros(_rows(comparisons), truth)
    explanation = Explanation(rows, comparisons, results.gradients, truth, subject, eps)
    check = _check(truth, places)
    rows = trusted(explanation.rows, check) + [
        Row(name, 0, FAIL, [], "", role="input", why=f"{role} changes {name} in place: it has to work on a copy")
        for role, name in changed
    ]
    notes = [*explanation.notes, *_notes(subject, truth, results), *_unreached(subject, results)]
    if eps > EPS:
        notes.insert(0, f"computed in {dtype}: rounding is counted in units of {eps:.1e}")
    last = max((step for _, step in places if step is not None), default=0)
    report = Report(name, "hand-written code", last, 0, rows, check, notes, shortest=0)
    return report, places, truth


def _stays_right(report: Report, subject: Subject, places: list[LeafName], loss: Tensor | None) -> Report:
    """A pass that is right at inputs of zeros or ones, or on one side of a clip, can be wrong at others: then these
    prove nothing.
    """
    seen = kinks(loss)
    for share in (SHARE, *FARTHER):
        if share != SHARE and not one_sided(seen):
            break
        with moved(subject, places, share) as other:
            try:
                second, _, truth = _report(other, report.model)
            except GraphError as error:  # said, not swallowed: the verdict is about the user's inputs alone then
                where = "at your inputs only" if share == SHARE else "near your inputs only"
                return replace(report, notes=[*report.notes, f"judged {where}; at others {error}"])
        wrong = {row.name: row for row in second.failed if all(np.isfinite(step.error) for step in row.steps)}
        if wrong:
            return _wrong_elsewhere(report, wrong, share)
        there = kinks(truth.loss)
        seen = [a | b for a, b in zip(seen, there, strict=True)] if len(seen) == len(there) else seen
    if not one_sided(seen):
        return report
    said = (
        f"forward has a kink of which your inputs, and others up to {max(FARTHER):g} times as large, see one side only"
    )
    return replace(report, notes=[*report.notes, f"{said}: a slope that is forgotten on the other does not show"])


def _wrong_elsewhere(report: Report, wrong: Mapping[str, Row], share: float) -> Report:
    far = "a tenth" if share == SHARE else f"{share:g} times their size"
    why = f"right at your inputs, but not where they are moved by {far}"
    rows = [row.undecided(why) if row.name in wrong else row for row in report.rows]
    told = [f"{name} at such inputs: {row.explanation}" for name, row in wrong.items() if row.mistake]
    return replace(report, rows=rows, notes=[*report.notes, *told])


def _is_integer(value: Any) -> bool:
    return isinstance(value, (int, np.ndarray, np.integer)) and np.asarray(value).dtype.kind in "iu"


def _truth(
    subject: Subject, loss: Tensor | None, leaves: Mapping[LeafName, Tensor], places: list[LeafName], reason: str
) -> Truth:
    if loss is not None:
        graph = Graph(loss)
        nodes = {leaf: node_of(leaf, leaves, graph) for leaf in [*leaves, *places]}
        truth = recorded_truth(loss, nodes)
        doubt = doubtful(subject, loss, truth)
        if not doubt:
            return truth
        reason = doubt
    inner = [leaf for leaf in places if leaf not in subject.leaves]
    if inner:
        raise GraphError(
            f"the gradient of {said(inner[0])} can only be judged on a recorded graph, but forward cannot be recorded: "
            f"{reason}"
        )
    return differenced_truth(subject, places, reason)


def _same_shapes(results: ReturnedGradients, truth: Truth, subject: Subject) -> None:
    for leaf, value in results.gradients.items():
        shape = truth.values[leaf].shape if leaf in truth.values else subject.leaves[leaf].shape
        if value.shape != shape:
            at = "" if leaf[1] is None else f" at {leaf[1]}"
            turned = ": is it transposed?" if value.shape == shape[::-1] else ""
            raise GraphError(
                f"backward returned d{leaf[0]} of shape {value.shape}{at}, but {leaf[0]} has {shape}{turned}"
            )


def _precision(subject: Subject, results: ReturnedGradients) -> tuple[float, np.dtype]:
    """The rounding unit of the pass: that of the coarsest array that goes in or comes out."""
    dtypes = [array.dtype for array in [*subject.leaves.values(), *results.gradients.values()]]
    if all(is_single(value) for value in results.gradients.values()):
        dtypes.append(np.dtype(np.float32))
    return precision(dtypes)


def _rows(comparisons: Mapping[LeafName, GradientComparison]) -> list[Row]:
    steps: dict[str, list[StepVerdict]] = {}
    for (quantity, at), c in comparisons.items():
        steps.setdefault(quantity, []).append(StepVerdict(at, c.verdict, c.error, c.bound, c.why))
    return [_row(quantity, at) for quantity, at in steps.items()]


def _without_zeros(rows: list[Row], truth: Truth) -> list[Row]:
    """A gradient that is zero anyway is no evidence: one that was forgotten looks the same."""
    zero = {name for name, _ in truth.values}
    zero -= {name for (name, _), value in truth.values.items() if np.any(value) or not value.size}
    why = "the true gradient is zero for your inputs: other ones would tell more"
    return [row.undecided(why) if row.verdict == PASS and row.quantity in zero else row for row in rows]


def _row(quantity: str, steps: list[StepVerdict]) -> Row:
    name = f"d{quantity}" if steps[0].t is None else f"d{quantity}[t]"
    return Row(name, 0, overall(steps), steps, "", quantity=quantity)


def _check(truth: Truth, places: list[LeafName]) -> EngineCheck:
    if truth.loss is not None:
        nodes = [truth.nodes[leaf] for leaf in places]
        sizes = magnitudes([truth.recorded[leaf] for leaf in places])
        return compared(truth.loss, nodes, [truth.values[leaf] for leaf in places], sizes)
    shares = [
        truth.accuracy[leaf] / max(float(np.max(np.abs(truth.values[leaf]), initial=0.0)), 1e-300)
        for leaf in truth.accuracy
    ]
    shares += [part.accuracy / max(abs(part.slope), 1e-300) for parts in truth.slices.values() for part in parts]
    return Differentiated(len(places), max([EPS, *(min(s, 1.0) for s in shares)]), True, method=truth.method)


def _notes(subject: Subject, truth: Truth, results: ReturnedGradients) -> list[str]:
    notes = list(results.notes)
    if subject.upstream:
        notes.append(
            "forward's output is no number, so the gradients are those of sum(upstream * output), upstream being fixed "
            "random numbers, which your backward pass got as the gradient of the output"
        )
    if truth.loss is not None and any(np.any(on_kink(node)) for node in Graph(truth.loss).nodes):
        notes.append("your inputs stand exactly on a kink, where engine and complex step may take different sides")
    if truth.method == RECORDED:
        notes += truth.reasons
    else:
        notes.append(f"taken by {truth.method}, since forward could not be recorded: {'; '.join(truth.reasons)}")
    return notes


def _unreached(subject: Subject, results: ReturnedGradients) -> list[str]:
    """What has no verdict because nothing was returned for it."""
    missing: list[str] = []
    for name, step in subject.inputs.leaves if subject.params.source is None else subject.params.leaves:
        if (name, step) not in results.gradients and f"d{name}" not in missing:
            missing.append(f"d{name}")
    return [f"not returned, so not judged: {', '.join(missing)}"] if missing else []
