"""What is done with one batch: its loss and gradients, by recording its graph or compiled once, and the update by them.

Which batch, how often, and what is remembered of it is the business of `fitting`.
"""

from __future__ import annotations

from collections.abc import Callable
from math import isfinite, nan
from typing import Any

import numpy as np

from ..analysis.finite import NonFinite, first_nonfinite
from ..compiler import compile as compile_function
from ..core.autodiff import gradients
from ..core.errors import GraphError, NonFiniteError, kind_of
from ..core.functional import value_and_grad
from ..core.tensor import Tensor
from ..nn import Module
from ..nn.random import get_rng_state, set_rng_state
from . import clip as clipping
from .optim import Optimizer

LossFunction = Callable[[Any, Any], Tensor]


class RecordedGradient:
    """Record, and walk back: what a reader of the graph sees is what is trained."""

    def __init__(self, model: Module, loss_fn: LossFunction, parameters: list[Tensor]) -> None:
        self.model, self.loss_fn, self.parameters = model, loss_fn, parameters
        self.loss: Tensor | None = None

    def __call__(self, batch: Any) -> tuple[float, list[Any]]:
        """The loss and one gradient for each parameter."""
        self.loss = self._record(batch)
        return self.loss.item(), gradients(self.loss, self.parameters)

    def first_nonfinite(self, batch: Any) -> NonFinite | None:
        """Where in the graph of the batch just computed the first nan or inf came from."""
        return None if self.loss is None else first_nonfinite(self.loss, self.parameters)

    def _record(self, batch: Any) -> Tensor:
        loss = self.loss_fn(self.model, batch)
        if not isinstance(loss, Tensor) or loss.size != 1:
            found = f"shape {loss.shape}" if isinstance(loss, Tensor) else kind_of(loss)
            raise GraphError(f"fit: loss_fn has to return a Tensor with one entry, not {found}")
        if not loss.requires_grad:
            raise GraphError("fit: the loss depends on no parameter: it holds nothing of the model but values")
        return loss


class CompiledGradient(RecordedGradient):
    """The same numbers to a few units in the last place, from `tg.compile`.

    What the loss reads besides parameters and the batch is looked at in each step, and recorded anew where it has
    changed. A model that draws random numbers or changes its buffers is refused with `GraphError` at the first batch,
    which is recorded for that purpose.
    """

    def __init__(self, model: Module, loss_fn: LossFunction, parameters: list[Tensor], executor: str) -> None:
        super().__init__(model, loss_fn, parameters)
        self.compiled = compile_function(value_and_grad(loss_fn), executor=executor)
        self.compiled.together = True  # so that gradients are end to end for the optimiser
        self.checked = False
        names = {id(p): name for name, p in model.named_parameters()}
        strange = [p.name or str(p.shape) for p in parameters if id(p) not in names]
        if strange:
            raise GraphError(
                f"fit: compile trains the parameters of the model only, and {', '.join(strange)} is not one"
            )
        self.names = [names[id(p)] for p in parameters]

    def __call__(self, batch: Any) -> tuple[float, list[Any]]:
        if not self.checked:
            self._check(batch)
        value, grads = self.compiled(self.model, batch)
        return float(value), [grads[name] for name in self.names]

    def first_nonfinite(self, batch: Any) -> NonFinite | None:
        return first_nonfinite(self._record(batch), self.parameters)

    def _check(self, batch: Any) -> None:
        random = get_rng_state()
        before = {name: np.array(value) for name, value in self.model.named_buffers()}
        self._record(batch)
        changed = [n for n, v in self.model.named_buffers() if not np.array_equal(before[n], v, equal_nan=True)]
        if changed:
            raise GraphError(f"fit: compile sees no buffers, but the model changes {', '.join(changed)}: compile=False")
        if get_rng_state() != random:
            set_rng_state(random)
            raise GraphError("fit: a compiled step draws no random numbers, but this model does: compile=False")
        self.checked = True


class Update:
    """What `fit` does with every batch; gradients are let go of before the next batch asks for memory."""

    def __init__(self, gradient: RecordedGradient, rule: clipping.Rule, optimizer: Optimizer, executor: str) -> None:
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
