"""Judge a hand derivation: each gradient equation, at each time step, against the engine.

Local mode: the right-hand side sees reference values, so an equation is wrong by its own fault only. A difference
counts as a mistake when rounding cannot explain it (`magnitude`); where rounding could explain everything, the verdict
is INCONCLUSIVE.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..core.errors import GraphError, LanguageError
from ..core.tensor import Tensor
from ..language import Equation, Evaluator, Model, Run, load
from ..language.operands import Operand
from .diagnose import diagnose
from .magnitude import EPS, SAFETY, magnitudes
from .mutants import Certificate, certify
from .reference import EngineCheck, Gradient, Reference
from .report import FAIL, INCONCLUSIVE, PASS, Report, Row, Step

#: a bound above this share of the gradient could hide a mistake: nothing is concluded from it
BLUNT = 1e-6
#: terms below this have bounds among the subnormal numbers
SMALLEST = 1e-290
#: a derivation shows its recurrence, its last and its first step from here on
SHORTEST = 3


def judge(
    model: Model | str | Path,
    T: int,
    seeds: int,
    scale: float = 1.0,
    values: Mapping[Any, Any] | None = None,
    certified: bool = True,
) -> Report:
    """See `tinygrad_rnn.verify`."""
    if not isinstance(model, Model):
        model = load(model)
    equations = [e for e in model.gradients if model.role(e) != "helper"]
    if not equations:
        hint = "add a section   gradients:   with equations such as   dW = sum(t, ...)"
        raise LanguageError(
            "there is nothing to verify: no gradient equation is stated", model.document.source.name, hint=hint
        )
    if seeds < 1:
        raise GraphError(f"a derivation is judged on one random probe or more, not on {seeds}")
    with np.errstate(all="ignore"):
        probes = [Probe(model, model.unroll(T, seed=seed, scale=scale, values=values)) for seed in range(seeds)]
        check = _worst_check([probe.reference.check(seed) for seed, probe in enumerate(probes)])
    rows = [_row(equation, probes) for equation in equations]
    certificate = _certificate(equations, probes) if certified and T >= SHORTEST else None
    return Report(
        model.name,
        model.document.source.name,
        T,
        seeds,
        rows,
        check,
        _notes(model, T),
        certificate,
        _follow_through(equations, probes),
    )


def _certificate(equations: list[Equation], probes: list[Probe]) -> Certificate:
    """Mutants of every equation; two probes of the usual kind decide which of them are really wrong."""
    model = probes[0].model
    strong = [Probe(model, model.unroll(probes[0].run.T, seed=1000 + seed)) for seed in range(2)]
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
            for t in probes[0].model.steps_of(equation, probes[0].run.T)
        ]
        rows.append(Row(equation.name, equation.line, _overall(steps), steps, equation.text))
    return rows


@dataclass
class Probe:
    """One run with its reference gradients, on which equations are judged."""

    model: Model
    run: Run
    reference: Reference = field(init=False)
    #: contributions derived on this run, by vocabulary: see `truth`
    derived: dict[Any, Any] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self.reference = Reference(self.run)
        self.evaluator = Evaluator(self.model, self.run)
        self.own = Evaluator(self.model, self.run)
        self.local = self.reference_value  # one object, so that the evaluator keeps helpers between calls

    def reference_value(self, name: str, step: int | None) -> np.ndarray | None:
        """The reference value of dX (local mode); None for what the user has to state."""
        key = self.model.quantities.base((name, step is not None))
        if key is None:
            return None
        if step is not None and not key[1]:
            return self.reference.copy(key[0], step).value if 1 <= step <= self.run.T else None
        if self.reference.has(key[0], step):
            return self.reference.of(key[0], step).value
        # what is stated for a step outside the sequence is 0, whatever the user's own equation gives
        beyond = step in self.evaluator.coverage.get((name, True), {})
        return np.zeros_like(self.reference.of(key[0], self.run.T).value) if beyond else None

    def operand(self, name: str, step: int | None) -> Operand:
        """A quantity as the equations see it in local mode; raises `LanguageError` where there is none."""
        held = self.run.values.get((name, step))
        return self.evaluator.operand((name, step), self.local) if held is None else held

    def truth(self, equation: Equation, step: int | None, whole: bool = False) -> Gradient:
        """What the equation's left-hand side is; `whole` counts the terms of the whole backward pass.

        A quantity that does not exist at the step, as dh[T+1], is 0 by convention.
        """
        base = self.model.quantities.base(equation.target.key)
        if self.model.role(equation) == "copy":
            assert base is not None
            assert step is not None
            return self.reference.copy(base[0], step)
        if base is None or not self.reference.has(base[0], step):
            return Gradient(np.zeros(()), np.zeros(()))
        return self.reference.whole(base[0], step) if whole else self.reference.of(base[0], step)

    def judge(self, equation: Equation, step: int | None) -> Step:
        """The verdict on one equation at one step, its right-hand side seeing reference values."""
        with np.errstate(all="ignore"):
            stated = self.evaluator.right_hand_side(equation, step, self.local)
            return self._compared(stated, self.truth(equation, step), step)

    def follow(self, equation: Equation, step: int | None) -> Step:
        """The verdict when the right-hand side sees what the user's own equations give."""
        with np.errstate(all="ignore"):
            try:
                stated = self.own.right_hand_side(equation, step)
            except LanguageError as error:
                return Step(step, INCONCLUSIVE, float("nan"), float("nan"), error.message)
            return self._compared(stated, self.truth(equation, step, whole=True), step)

    def _compared(self, stated: Tensor, truth: Gradient, step: int | None) -> Step:
        (size,) = magnitudes([stated])
        errors = np.abs(np.asarray(stated.value) - truth.value)
        size = size + truth.size
        if 0.0 < float(np.max(size, initial=0.0)) < SMALLEST:
            return Step(step, INCONCLUSIVE, float("nan"), float("nan"), "values are too small to be told from 0")
        bounds = SAFETY * EPS * size
        return _judged(step, errors, bounds, float(np.max(np.abs(truth.value), initial=0.0)))


def _judged(step: int | None, errors: np.ndarray, bounds: np.ndarray, scale: float) -> Step:
    if not (np.all(np.isfinite(errors)) and np.all(np.isfinite(bounds))):
        return Step(step, INCONCLUSIVE, float("nan"), float("nan"), "values are not finite")
    excess = errors - bounds
    if not excess.size:
        return Step(step, PASS, 0.0, 0.0)
    worst = np.unravel_index(int(np.argmax(excess)), excess.shape)
    error, bound = float(errors[worst]), float(np.broadcast_to(bounds, errors.shape)[worst])
    if excess[worst] > 0.0:
        return Step(step, FAIL, error, bound)
    if scale and float(np.max(bounds)) > BLUNT * scale:
        return Step(step, INCONCLUSIVE, error, bound, "rounding could hide a mistake of this size")
    return Step(step, PASS, error, bound)


def _row(equation: Equation, probes: list[Probe]) -> Row:
    model, T = probes[0].model, probes[0].run.T
    steps = [_worst_step([probe.judge(equation, step) for probe in probes]) for step in model.steps_of(equation, T)]
    row = Row(equation.name, equation.line, _overall(steps), steps, equation.text, model.role(equation))
    if row.verdict == FAIL:
        found = diagnose(equation, probes)
        return (
            row
            if found is None
            else replace(row, mistake=found.mistake, explanation=found.explanation, terms=found.terms)
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


def _notes(model: Model, T: int) -> list[str]:
    notes = []
    if T < SHORTEST:
        notes.append(f"T = {T} cannot show a recurrence with both its ends: use T = {SHORTEST} or more")
    stated = {model.quantities.base(e.target.key) for e in model.gradients}
    missing = [f"d{name}" for name in model.parameters if (name, False) not in stated]
    if missing:
        notes.append(f"not stated, so not judged: {', '.join(missing)}")
    return notes
