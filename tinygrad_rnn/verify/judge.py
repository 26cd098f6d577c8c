"""Judge a hand derivation: each gradient equation, at each time step, against the engine.

Local mode: the right-hand side sees reference values, so an equation is wrong by its own fault only. A difference counts as
a mistake when rounding cannot explain it (`magnitude`); where rounding could explain everything, the verdict is INCONCLUSIVE.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..core.errors import LanguageError
from ..language import Equation, Evaluator, Model, Run, load
from .magnitude import EPS, SAFETY, magnitudes
from .reference import EngineCheck, Gradient, Reference
from .report import FAIL, INCONCLUSIVE, PASS, Report, Row, Step

#: a bound above this share of the gradient could hide a mistake: nothing is concluded from it
BLUNT = 1e-6
#: a derivation shows its recurrence, its last and its first step from here on
SHORTEST = 3


def judge(model: Model | str | Path, T: int, seeds: int) -> Report:
    """See `tinygrad_rnn.verify`."""
    if not isinstance(model, Model):
        model = load(model)
    equations = [e for e in model.gradients if model.role(e) != "helper"]
    if not equations:
        hint = "add a section   gradients:   with equations such as   dW = sum(t, ...)"
        raise LanguageError("there is nothing to verify: no gradient equation is stated", model.document.source.name, hint=hint)
    findings: dict[Equation, dict[int | None, list[Step]]] = {equation: {} for equation in equations}
    checks: list[EngineCheck] = []
    for seed in range(seeds):
        run = model.unroll(T, seed=seed)
        probe = Probe(model, run)
        checks.append(probe.reference.check(seed))
        for equation in equations:
            for step in model.steps_of(equation, T):
                findings[equation].setdefault(step, []).append(probe.judge(equation, step))
    rows = [_row(model, equation, findings[equation]) for equation in equations]
    return Report(model.name, model.document.source.name, T, seeds, rows, _worst_check(checks), _notes(model, T, rows))


@dataclass
class Probe:
    """One run with its reference gradients, on which equations are judged."""

    model: Model
    run: Run
    reference: Reference = field(init=False)

    def __post_init__(self) -> None:
        self.reference = Reference(self.run)
        self.evaluator = Evaluator(self.model, self.run)
        self.local = self.reference_value  # one object, so that the evaluator keeps helpers between calls

    def reference_value(self, name: str, step: int | None) -> np.ndarray | None:
        """The reference value of dX (local mode); None for what the user has to state."""
        key = self.model.quantities.base((name, step is not None))
        if key is None:
            return None
        if step is not None and not key[1]:
            return self.reference.copy(key[0], step).value if 1 <= step <= self.run.T else None
        return self.reference.of(key[0], step).value if self.reference.has(key[0], step) else None

    def truth(self, equation: Equation, step: int | None) -> Gradient:
        """What the equation's left-hand side is."""
        role = self.model.role(equation)
        if role == "boundary":
            return Gradient(np.zeros(()), np.zeros(()))
        base = self.model.quantities.base(equation.target.key)
        assert base is not None
        if role == "copy":
            assert step is not None
            return self.reference.copy(base[0], step)
        if not self.reference.has(base[0], step):
            return Gradient(np.zeros(()), np.zeros(()))
        return self.reference.of(base[0], step)

    def judge(self, equation: Equation, step: int | None) -> Step:
        """The verdict on one equation at one step."""
        with np.errstate(all="ignore"):
            stated = self.evaluator.right_hand_side(equation, step, self.local)
            truth = self.truth(equation, step)
            (size,) = magnitudes([stated])
            errors = np.abs(np.asarray(stated.value) - truth.value)
            bounds = SAFETY * EPS * (size + truth.size)
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


def _row(model: Model, equation: Equation, findings: dict[int | None, list[Step]]) -> Row:
    steps = [_worst_step(found) for _, found in sorted(findings.items(), key=lambda item: item[0] or 0)]
    if not steps:
        verdict = INCONCLUSIVE
    elif any(step.verdict == FAIL for step in steps):
        verdict = FAIL
    else:
        verdict = PASS if all(step.verdict == PASS for step in steps) else INCONCLUSIVE
    why = "" if steps else "no step of this sequence is covered by its condition"
    return Row(equation.name, equation.line, verdict, steps, equation.text, model.role(equation), why)


def _worst_step(found: list[Step]) -> Step:
    rank = {FAIL: 2, INCONCLUSIVE: 1, PASS: 0}
    return max(found, key=lambda step: (rank[step.verdict], step.error - step.bound))


def _worst_check(checks: list[EngineCheck]) -> EngineCheck:
    return EngineCheck(sum(c.gradients for c in checks), max(c.worst for c in checks), all(c.ok for c in checks))


def _notes(model: Model, T: int, rows: list[Row]) -> list[str]:
    notes = []
    if T < SHORTEST:
        notes.append(f"T = {T} cannot show a recurrence with both its ends: use T = {SHORTEST} or more")
    stated = {model.quantities.base(e.target.key) for e in model.gradients}
    missing = [f"d{name}" for name in model.parameters if (name, False) not in stated]
    if missing:
        notes.append(f"not stated, so not judged: {', '.join(missing)}")
    return notes
