"""One update: the gradients of a batch, measured and cut, move the parameters.

Which batch, how often, and what is remembered of it is the business of `loop`.
"""

from __future__ import annotations

from math import isfinite, nan
from typing import Any

from ..core.errors import NonFiniteError
from . import clip as clipping
from .gradient import Recorded
from .optim import Optimizer
from .rules import UNCUT, Cut


class Update:
    """What `fit` does with every batch; gradients are let go of before the next batch asks for memory."""

    def __init__(self, gradient: Recorded, rule: clipping.Rule, optimizer: Optimizer, executor: str) -> None:
        self.gradient, self.rule, self.optimizer, self.executor = gradient, rule, optimizer, executor

    def __call__(self, batch: Any) -> tuple[float, float, bool]:
        """The loss, the norm of the gradients before they were cut, and whether they were of use and moved anything."""
        loss, grads = self.gradient(batch)
        try:
            cut, grads, norm = self._clipped(grads)
        except NonFiniteError:
            return loss, nan, False
        if isfinite(norm) and not isfinite(loss):
            return loss, nan, False
        self.optimizer.move(grads, cut, self.executor)
        return loss, norm, True

    def _clipped(self, grads: list[Any]) -> tuple[Cut, list[Any], float]:
        """What every entry is to be cut by, gradients that are to be cut so, and the norm before."""
        if isinstance(self.rule, clipping.Alike):
            norm = self.rule.measured(grads)
            return self.rule.cut(norm), grads, norm
        clipped, norm = self.rule(grads)
        return UNCUT, self.optimizer.checked(clipped), norm
