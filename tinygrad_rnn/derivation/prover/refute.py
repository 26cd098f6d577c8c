"""A cheap look before a long search: both sides of an equation at one random point.

Where they differ there is nothing to prove. Where they agree nothing is known.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from ...core.autodiff import gradients
from ...core.errors import TinygradError
from ...core.tensor import plain
from ...language import Equation, Evaluator, Model
from ...language.run.operation_count import MOST_UNASKED, operations
from ...language.syntax.indices import Step

#: what differs by more than this share of the values is different
APART = 1e-6


class Point:
    """One random run of a model and the gradients of its loss, as numbers."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.run = model.unroll(_steps(model), seed=1)
        places = [place for place, held in self.run.values.items() if held.value.requires_grad]
        found = gradients(self.run.loss, [self.run.values[place].value for place in places])
        self.gradients = {place: np.asarray(plain(g)) for place, g in zip(places, found, strict=True)}
        self.evaluator = Evaluator(model, self.run)

    def lookup(self, name: str, step: Step) -> np.ndarray | None:
        """The gradient dX at a step; 0 beyond the ends, nothing for what is no gradient."""
        base = self.model.quantities.base((name, step is not None))
        if base is None or (step is not None and not base[1]):
            return None
        known = self.gradients.get((base[0], step))
        if known is None and step in self.evaluator.coverage.get((name, True), {}):
            known = np.zeros_like(next(g for (other, _), g in self.gradients.items() if other == base[0]))
        return known


def _steps(model: Model) -> int:
    return model.longest_delay + 4


@lru_cache(maxsize=16)
def point_of(model: Model) -> Point:
    """The random run of a model, made once."""
    return Point(model)


def refuted(model: Model, equation: Equation) -> str | None:
    """Why an equation is wrong at one random point; None if it agrees there, or cannot be told.

    >>> from tinygrad_rnn.language import load
    >>> model = load("sizes: h = 2\\nh[t] = W @ h[t-1]\\nL = sum(t, sum(h[t]))\\ngradients:\\ndh[T] = 2 * h[T]")
    >>> refuted(model, model.gradients[0])
    'at a random point with T = 5 both sides differ at step 5'
    """
    base = model.quantities.base(equation.target.key)
    if base is None or model.role(equation) != "gradient":
        return None
    if operations(model, model.lengths(_steps(model))) > MOST_UNASKED:  # no cheap look, so none
        return None
    with np.errstate(all="ignore"):
        try:
            point = point_of(model)
            for step in model.steps_of(equation, point.run.lengths):
                stated = np.asarray(plain(point.evaluator.right_hand_side(equation, step, point.lookup)))
                truth = point.gradients.get((base[0], step))
                if truth is None or not np.isfinite(truth).all():
                    continue
                if not np.isfinite(stated).all():
                    return f"at a random point it has no finite value{_said(step)}"
                if np.max(np.abs(stated - truth)) > APART * (1.0 + np.max(np.abs(truth))):
                    said = ", ".join(f"{name} = {length}" for name, length in point.run.lengths.items())
                    return f"at a random point with {said} both sides differ{_said(step)}"
        except TinygradError:  # what cannot be run is told by whoever runs it
            return None
    return None


def _said(step: Step) -> str:
    return "" if step is None else f" at step {step}"
