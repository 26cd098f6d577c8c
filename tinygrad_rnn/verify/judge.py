"""Judge a hand derivation: each gradient equation, at each time step, against the engine.

Local mode: the right-hand side sees reference values, so an equation is wrong by its own fault only. A difference
counts as a mistake when rounding cannot explain it (`magnitude`); where rounding could explain everything, the verdict
is INCONCLUSIVE.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..core.errors import GraphError, LanguageError
from ..language import Equation, Model
from ..language.indices import numbers
from ..models import load_any
from .diagnose import diagnose
from .helpers import with_parts
from .mutants import certify
from .probe import Probe
from .report import FAIL, INCONCLUSIVE, PASS, Certificate, EngineCheck, Report, Row, Step

#: a derivation shows its recurrence, its last and its first step from here on
SHORTEST = 3
#: so many steps unless a length is given, or more for a longer delay, up to LONGEST
USUAL, LONGEST = 4, 12


def judge(
    model: Model | str | Path,
    T: int | None,
    seeds: int,
    scale: float = 1.0,
    values: Mapping[Any, Any] | None = None,
    certified: bool = True,
) -> Report:
    """See `tinygrad_rnn.verify`."""
    with np.errstate(all="ignore"):  # what is not finite is a verdict, not a warning
        return _judged(model, T, seeds, scale, values, certified)


def _judged(
    model: Model | str | Path,
    T: int | None,
    seeds: int,
    scale: float,
    values: Mapping[Any, Any] | None,
    certified: bool,
) -> Report:
    if not isinstance(model, Model):
        model = load_any(model)
    model = with_parts(model)
    equations = [e for e in model.gradients if model.role(e) != "helper"]
    if not equations:
        hint = "add a section   gradients:   with equations such as   dW = sum(t, ...)"
        raise LanguageError(
            "there is nothing to verify: no gradient equation is stated", model.document.source.name, hint=hint
        )
    if seeds < 1:
        raise GraphError(f"a derivation is judged on one random probe or more, not on {seeds}")
    shortest = max(SHORTEST, model.longest_delay + 2)
    T = T or (max(USUAL, shortest) if shortest <= LONGEST else USUAL)
    probes = [Probe(model, model.unroll(T, seed=seed, scale=scale, values=values)) for seed in range(seeds)]
    check = _worst_check([probe.reference.check(seed) for seed, probe in enumerate(probes)])
    rows = [_row(equation, probes) for equation in equations]
    certificate = _certificate(equations, probes) if certified and shortest <= T else None
    return Report(
        model.name,
        model.document.source.name,
        T,
        seeds,
        rows,
        check,
        _notes(model, T, shortest),
        certificate,
        # where nothing is wrong by itself, nothing wrong can be carried on
        _follow_through(equations, probes) if any(row.verdict != PASS for row in rows) else rows,
        subject=model,
        shortest=shortest,
    )


def _certificate(equations: list[Equation], probes: list[Probe]) -> Certificate:
    """Mutants of every equation; two probes of the usual kind decide which of them are really wrong."""
    model = probes[0].model
    strong = [
        Probe(model, model.unroll(probes[0].run.T, seed=1000 + seed, lengths=probes[0].run.lengths))
        for seed in range(2)
    ]
    total = Certificate()
    for equation in equations:
        if model.role(equation) in ("gradient", "copy"):
            total += certify(equation, probes, strong)
    return total


def _follow_through(equations: list[Equation], probes: list[Probe]) -> list[Row]:
    """Every equation again, now with the user's own values on its right-hand side: what a mistake does downstream."""
    rows = []
    for equation in equations:
        steps = [
            _worst_step([probe.follow(equation, t) for probe in probes])
            for t in probes[0].model.steps_of(equation, probes[0].run.lengths)
        ]
        rows.append(Row(equation.name, equation.line, _overall(steps), steps, equation.text))
    return rows


def _row(equation: Equation, probes: list[Probe]) -> Row:
    model, lengths = probes[0].model, probes[0].run.lengths
    stated = model.steps_of(equation, lengths)
    steps = [_worst_step([probe.judge(equation, step) for probe in probes]) for step in stated]
    axes = model.quantities.axes_named(equation.target.name)
    row = Row(equation.name, equation.line, _overall(steps), steps, equation.text, model.role(equation), axes=axes)
    if row.verdict == FAIL:
        found = diagnose(equation, probes)
        return (
            row
            if found is None
            else replace(
                row,
                mistake=found.mistake,
                explanation=found.explanation,
                terms=found.terms,
                correction=found.correction,
            )
        )
    return row if steps else replace(row, why="no step of this sequence is covered by its condition")


def _overall(steps: list[Step]) -> str:
    verdicts = {step.verdict for step in steps}
    return FAIL if FAIL in verdicts else PASS if verdicts == {PASS} else INCONCLUSIVE


def _worst_step(found: list[Step]) -> Step:
    rank = {FAIL: 2, INCONCLUSIVE: 1, PASS: 0}
    return max(found, key=lambda step: (rank[step.verdict], step.error - step.bound))


def _worst_check(checks: list[EngineCheck]) -> EngineCheck:
    worst = float(np.max([c.worst for c in checks]))  # numpy's max keeps a nan
    return EngineCheck(sum(c.gradients for c in checks), worst, all(c.ok for c in checks))


def _notes(model: Model, T: int, shortest: int) -> list[str]:
    notes = []
    if shortest > T:
        shown = "a recurrence" if shortest == SHORTEST else f"a delay of {model.longest_delay} steps"
        notes.append(f"T = {T} cannot show {shown} with both its ends: use T = {shortest} or more")
    stated = {model.quantities.base(e.target.key) for e in model.gradients}
    missing = [f"d{name}" for name in model.parameters if (name, False) not in stated] + _steps_left_out(model, T)
    if missing:
        notes.append(f"not stated, so not judged: {', '.join(missing)}")
    return notes


def _steps_left_out(model: Model, T: int) -> list[str]:
    """Steps at which a quantity has a value but no stated gradient, though other steps of it are stated."""
    found = []
    for key, equations in model.quantities.stated.items():
        base = model.quantities.base(key)
        if base is None or not key[1] or not base[1]:
            continue
        quantities, lengths = model.quantities, model.lengths(T)
        exists = quantities.coverage(quantities.defined.get(base, []), lengths)
        stated = quantities.coverage(equations, lengths)
        ranges = quantities.ranges_of(base[0])
        for step in exists:
            inside = all(within.holds(i, lengths) for i, within in zip(numbers(step), ranges, strict=True))
            if inside and step not in stated:
                pairs = zip(numbers(step), ranges, strict=True)
                at = [str(within.last if i == within.last.at(lengths) else i) for i, within in pairs]
                found.append(f"{key[0]}[{', '.join(at)}]")
    return found
