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


class Update:
    """What `fit` does with every batch; gradients are let go of before the next batch asks for memory."""

    def __init__(self, gradient: Recorded, rule: clipping.Rule, optimizer: Optimizer, executor: str) -> None:
        self.gradient, self.rule, self.optimizer, self.executor = gradient, rule, optimizer, executor

    def __call__(self, batch: Any) -> tuple[float, float, bool]:
        """The loss, the norm of the gradients before they were cut, and whether they were of use and moved anything."""
        loss, grads = self.gradient(batch)
        try:
            norm = self._move(loss, grads)
        except NonFiniteError:
            return loss, nan, False
        return (loss, nan, False) if norm is None else (loss, norm, True)

    def _move(self, loss: float, grads: list[Any]) -> float | None:
        """Cut, and move unless the loss says that it is of no use; the norm before."""
        if not isinstance(self.rule, clipping.Alike):
            clipped, norm = self.rule(grads)
            if isfinite(norm) and not isfinite(loss):
                return None
            self.optimizer.step(clipped)
            return norm
        together = self.optimizer.end_to_end(grads)
        norm = self.rule.measured(together)
        if isfinite(norm) and not isfinite(loss):
            return None
        self.optimizer.move(together, self.rule.cut(norm), self.executor)
        return norm
