"""Judge a backward pass written by hand in numpy, per returned gradient and, where it returns them, per time step.

The forward function runs on Tensors and so records its graph; the engine's gradients are the reference. A wrong value
also makes everything computed from it wrong, so each returned quantity is checked a second time against the derivation
with the *returned* values on its right-hand side: that finds the line with the mistake, and a term that is missing in
it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np

from ..core.autodiff import gradients
from ..core.errors import DerivationError, DtypeError, GraphError, LanguageError, TinygradError
from ..core.graph import Graph
from ..core.tensor import Tensor, plain, tensor
from ..derive.adjoint import Contribution, contributions
from ..derive.algebra import Algebra, Form, Sum
from ..derive.cases import moved
from ..derive.writing import HADAMARD, write
from ..language.evaluate import evaluate
from ..language.operands import Operand
from ..language.printer import text
from .magnitude import EPS, SAFETY, magnitudes
from .reference import compared
from .report import FAIL, INCONCLUSIVE, PASS, Report, Row, Step
from .terms import CLOSE

Place = tuple[str, int | None]
#: the hand-written code may add and multiply in another order than the engine
FREEDOM = 8.0


def judge_backward(
    forward: Callable[..., Tensor], backward: Callable[..., Mapping[str, Any]], inputs: Mapping[str, Any], name: str
) -> Report:
    """See `tinygrad_rnn.verify_backward`."""
    with np.errstate(all="ignore"):  # what is not finite is a verdict, not a warning
        return _judged(forward, backward, inputs, name)


def _judged(
    forward: Callable[..., Tensor], backward: Callable[..., Mapping[str, Any]], inputs: Mapping[str, Any], name: str
) -> Report:
    if not isinstance(inputs, Mapping):
        raise GraphError(f"inputs is a dict from names to arrays, not {type(inputs).__name__}")
    leaves = {key: _leaf(key, value) for key, value in inputs.items()}
    loss = forward(**leaves)
    if not isinstance(loss, Tensor):
        raise GraphError(
            f"forward has to return the loss as a Tensor, not {type(loss).__name__}: "
            "write it with np.* and tg.* functions"
        )
    graph = Graph(loss)
    stated = _stated(backward(**{key: _double(value) for key, value in inputs.items()}), leaves, graph)
    nodes = {place: _node(place, leaves, graph) for place in stated}
    recorded = dict(zip(nodes, gradients(loss, list(nodes.values()), create_graph=True), strict=True))
    sizes = dict(zip(recorded, magnitudes(recorded.values()), strict=True))
    found: dict[str, list[Step]] = {}
    for place, value in stated.items():
        found.setdefault(place[0], []).append(_step(place, value, recorded[place], sizes[place]))
    rows = [_row(quantity, steps) for quantity, steps in found.items()]
    if any(row.verdict == FAIL for row in rows):
        rows = _explained(rows, loss, stated, graph)
    T = max((step for _, step in stated if step is not None), default=3)
    check = compared(loss, list(nodes.values()), [np.asarray(g.value) for g in recorded.values()], list(sizes.values()))
    return Report(name, "hand-written backward", max(T, 3), 1, rows, check, _notes(leaves, stated))


def _notes(leaves: Mapping[str, Tensor], stated: Mapping[Place, np.ndarray]) -> list[str]:
    missing = [f"d{name}" for name, leaf in leaves.items() if leaf.requires_grad and (name, None) not in stated]
    return [f"not returned, so not judged: {', '.join(missing)}"] if missing else []


def _leaf(key: str, value: Any) -> Tensor:
    array = _double(value)
    return tensor(array, name=key, requires_grad=array.dtype.kind == "f")


def _double(value: Any) -> np.ndarray:
    """A copy; floats in double precision, in which the two passes are compared."""
    array = np.array(plain(value))
    return array.astype(float) if array.dtype.kind == "f" else array


def _stated(returned: Mapping[str, Any], leaves: Mapping[str, Tensor], graph: Graph) -> dict[Place, np.ndarray]:
    """What backward returned, by quantity and step; a leading `d` in a key may stand or not."""
    if not isinstance(returned, Mapping) or not returned:
        found = "an empty dict" if returned == {} else type(returned).__name__
        raise GraphError(f"backward has to return a dict from names to gradients, not {found}")
    named = {node.name for node in graph.nodes if node.name}
    stated: dict[Place, np.ndarray] = {}
    for key, value in returned.items():
        name = key if key in leaves or key in named else key.removeprefix("d")
        if name in leaves and not leaves[name].requires_grad:
            raise DtypeError(
                f"backward returned {key!r}, but inputs[{name!r}] holds {leaves[name].dtype}: pass it as floats"
            )
        if name in leaves:
            stated[name, None] = np.asarray(value, dtype=float)
            continue
        steps = sorted({n.scope.step for n in graph.nodes if n.name == name and isinstance(n.scope.step, int)})
        if not steps:
            raise GraphError(
                f"backward returned {key!r}, but the forward pass has no quantity {name!r}: "
                f"it names {', '.join(sorted(named))}"
            )
        given = value.items() if isinstance(value, Mapping) else zip(steps, value, strict=False)
        stated |= {(name, int(step)): np.asarray(part, dtype=float) for step, part in given}
    return stated


def _node(place: Place, leaves: Mapping[str, Tensor], graph: Graph) -> Tensor:
    name, step = place
    return leaves[name] if step is None else graph[name, step]


def _step(place: Place, value: np.ndarray, truth: Tensor, size: np.ndarray) -> Step:
    name, step = place
    if value.shape != truth.shape:
        raise GraphError(
            f"backward returned d{name} of shape {value.shape}{'' if step is None else f' at t={step}'}, "
            f"but {name} has {truth.shape}"
        )
    errors, bounds = np.abs(value - np.asarray(truth.value)), FREEDOM * SAFETY * EPS * size
    if not np.all(np.isfinite(np.asarray(truth.value))):
        return Step(step, INCONCLUSIVE, float("nan"), float("nan"), "the true gradient is not finite")
    if not np.all(np.isfinite(value)):
        return Step(step, FAIL, float("inf"), float(np.max(bounds, initial=0.0)), "nan or inf was returned")
    worst = np.unravel_index(int(np.argmax(errors - bounds)), errors.shape) if errors.size else ()
    error, bound = (float(errors[worst]), float(bounds[worst])) if errors.size else (0.0, 0.0)
    return Step(step, FAIL if error > bound else PASS, error, bound)


def _row(quantity: str, steps: list[Step]) -> Row:
    verdicts = {step.verdict for step in steps}
    verdict = FAIL if FAIL in verdicts else PASS if verdicts == {PASS} else INCONCLUSIVE
    name = f"d{quantity}" if steps[0].t is None else f"d{quantity}[t]"
    return Row(name, 0, verdict, steps, "")


# -- which line is wrong -------------------------------------------------------------------------------------------
def _explained(rows: list[Row], loss: Tensor, stated: Mapping[Place, np.ndarray], graph: Graph) -> list[Row]:
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
