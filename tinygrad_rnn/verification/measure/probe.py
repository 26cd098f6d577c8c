"""One random run of a model on which equations are judged, with the reference gradients of that run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ...core.errors import LanguageError
from ...core.memory import weakly
from ...core.tensor import Tensor
from ...language import Equation, Evaluator, Model, Run
from ...language.run.operands import Operand
from ...language.syntax.indices import Step
from ..results import FAIL, INCONCLUSIVE, PASS, StepVerdict
from .budget import Deadline
from .reference import ReferenceGradient, ReferenceGradients
from .rounding import EPS, SAFETY, magnitudes

#: a bound above this share of the gradient could hide a mistake: nothing is concluded from it
BLUNT = 1e-6
#: terms below this have bounds among the subnormal numbers, where eps says nothing: no bound is smaller than the floor
SMALLEST, FLOOR = 1e-290, 1e-300


@dataclass
class Probe:
    """One run with its reference gradients, on which equations are judged."""

    model: Model
    run: Run
    reference: ReferenceGradients = field(init=False)
    #: contributions derived on this run, by vocabulary: see `truth`
    derived: dict[Any, Any] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self.reference = ReferenceGradients(self.run)
        self.evaluator = Evaluator(self.model, self.run)
        self.own = Evaluator(self.model, self.run)
        self.local = weakly(self.reference_value)  # one object, so that the evaluator keeps helpers between calls
        self.given = weakly(self.given_value)
        #: magnitudes of the nodes that the user's own values are made of
        self.own_sizes: dict[int, np.ndarray] = {}

    def reference_value(self, name: str, step: Step) -> np.ndarray | None:
        """The reference value of dX (local mode); None for what the user has to state."""
        key = self.model.quantities.base((name, step is not None))
        if key is None:
            return None
        if step is not None and not key[1]:
            return self.reference.copy(key[0], step).value if self.evaluator.inside((name, step)) else None
        if self.reference.has(key[0], step):
            return self.reference.of(key[0], step).value
        # what is stated for a step outside the sequence is 0, whatever the user's own equation gives
        beyond = step in self.evaluator.coverage.get((name, True), {})
        return np.zeros_like(self.reference.any_of(key[0]).value) if beyond else None

    def given_value(self, name: str, step: Step) -> np.ndarray | None:
        """The reference value of dX where the file declares it given and does not state it; None elsewhere."""
        stated = step in self.own.coverage.get((name, True), {}) or (
            step is None and (name, False) in self.model.quantities.stated
        )
        loss = self.model.quantities.loss
        given = name in self.model.document.given or (loss is not None and name == f"d{loss[0]}" and step is None)
        return self.reference_value(name, step) if given and not stated else None

    def operand(self, name: str, step: Step) -> Operand:
        """A quantity as the equations see it in local mode; raises `LanguageError` where there is none."""
        held = self.run.values.get((name, step))
        return self.evaluator.operand((name, step), self.local) if held is None else held

    def truth(self, equation: Equation, step: Step, whole: bool = False) -> ReferenceGradient:
        """What the equation's left-hand side is; `whole` counts the terms of the whole backward pass.

        A quantity that does not exist at the step, as dh[T+1], is 0 by convention.
        """
        base = self.model.quantities.base(equation.target.key)
        if self.model.role(equation) == "copy":
            assert base is not None
            assert step is not None
            return self.reference.copy(base[0], step)
        if base is None or not self.reference.has(base[0], step):
            return ReferenceGradient(np.zeros(()), np.zeros(()))
        return self.reference.whole(base[0], step) if whole else self.reference.of(base[0], step)

    def witnesses(self, equation: Equation, step: Step) -> bool:
        """Whether a mistake in a term of the equation would show at this step."""
        base = self.model.quantities.base(equation.target.key)
        if base is None or self.model.role(equation) == "copy":
            return True
        return self.reference.alive(base[0], step)

    def judge(self, equation: Equation, step: Step) -> StepVerdict:
        """The verdict on one equation at one step, its right-hand side seeing reference values."""
        with np.errstate(all="ignore"):
            try:
                stated = self.evaluator.right_hand_side(equation, step, self.local)
            except LanguageError as error:
                return StepVerdict(step, INCONCLUSIVE, float("nan"), float("nan"), error.message, self.run.T)
            return self._compared(stated, self.truth(equation, step), step)

    def fails(self, equation: Equation) -> bool:
        """Whether an equation is wrong at some step of this run."""
        steps = self.model.steps_of(equation, self.run.lengths)
        return any(self.judge(equation, step).verdict == FAIL for step in steps)

    def follow(self, equation: Equation, step: Step) -> StepVerdict:
        """The verdict when the right-hand side sees what the user's own equations give."""
        with np.errstate(all="ignore"):
            try:
                stated = self.own.right_hand_side(equation, step, self.given)
            except LanguageError as error:
                return StepVerdict(step, INCONCLUSIVE, float("nan"), float("nan"), error.message, self.run.T)
            return self._compared(stated, self.truth(equation, step, whole=True), step, self.own_sizes)

    def _compared(
        self, stated: Tensor, truth: ReferenceGradient, step: Step, known: dict[int, np.ndarray] | None = None
    ) -> StepVerdict:
        (size,) = magnitudes([stated], known=known)
        errors = np.abs(np.asarray(stated.value) - truth.value)
        size = size + truth.size
        if 0.0 < float(np.max(size, initial=0.0)) < SMALLEST:
            said = "values are too small to be told from 0"
            return StepVerdict(step, INCONCLUSIVE, float("nan"), float("nan"), said, self.run.T)
        bounds = SAFETY * EPS * size + FLOOR
        found = _judged(step, errors, bounds, float(np.max(np.abs(truth.value), initial=0.0)))
        return replace(found, T=self.run.T)


def states(model: Model, equation: Equation) -> bool:
    """Whether an equation is one of a model's: a trial may leave some out."""
    return any(stated is equation for stated in model.gradients)


def _judged(step: Step, errors: np.ndarray, bounds: np.ndarray, scale: float) -> StepVerdict:
    if not (np.all(np.isfinite(errors)) and np.all(np.isfinite(bounds))):
        return StepVerdict(step, INCONCLUSIVE, float("nan"), float("nan"), "values are not finite")
    excess = errors - bounds
    if not excess.size:
        return StepVerdict(step, PASS, 0.0, 0.0)
    worst = np.unravel_index(int(np.argmax(excess)), excess.shape)
    error, bound = float(errors[worst]), float(np.broadcast_to(bounds, errors.shape)[worst])
    if excess[worst] > 0.0:
        return StepVerdict(step, FAIL, error, bound)
    if scale and float(np.max(bounds)) > BLUNT * scale:
        return StepVerdict(step, INCONCLUSIVE, error, bound, "rounding could hide a mistake of this size")
    return StepVerdict(step, PASS, error, bound)


class Drawn(Iterable[Probe]):
    """Probes that are drawn when they are looked at, once; no more when a budget is spent."""

    def __init__(self, draw: Callable[[int], Probe], count: int, budget: Deadline | None = None) -> None:
        self.draw, self.count, self.budget = draw, count, budget
        self.drawn: list[Probe] = []

    def __iter__(self) -> Iterator[Probe]:
        for n in range(self.count):
            if n == len(self.drawn):
                if self.budget is not None and self.budget.spent:
                    return
                self.drawn.append(self.draw(n))
            yield self.drawn[n]
