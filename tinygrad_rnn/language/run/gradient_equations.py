"""The right-hand sides of gradient equations, evaluated on the values of a run.

Forward quantities enter as leaves that hold the run's values; quantities dX come from a lookup (the reference values,
for judging one equation by itself) or from the user's own equations; helpers come from their definitions. Judging the
result is not done here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ...core.errors import GraphError
from ...core.scope import ROOT, entered
from ...core.tensor import Tensor, plain, tensor
from ..expressions import Equation
from ..syntax.indices import Step, numbers
from ..types.typed_document import TypedDocument
from .operands import Operand, dense
from .resolver import Place, Resolver, filled
from .unroll import Run

Lookup = Callable[[str, Step], Any]


class Evaluator(Resolver):
    """Evaluates gradient equations of `model` on the values of `run`.

    >>> import tinygrad_rnn as tg
    >>> from tinygrad_rnn.language import Evaluator, load
    >>> model = load("sizes: h = 2\\nh[t] = W @ h[t-1]\\nL = sum(t, sum(h[t]))\\ngradients:\\ndL = 1\\n")
    >>> Evaluator(model, model.unroll(3)).right_hand_side(model.gradients[0], None).item()
    1.0
    """

    def __init__(self, model: TypedDocument, run: Run) -> None:
        with entered(ROOT):
            super().__init__(model.shapes_, run.lengths)
        self.model, self.run = model, run
        self._lookup: Lookup | None = None
        self.coverage = {
            key: model.quantities.coverage(equations, run.lengths)
            for key, equations in model.quantities.stated.items()
            if key[1]
        }

    def right_hand_side(self, equation: Equation, step: Step, lookup: Lookup | None = None) -> Tensor:
        """The value of one gradient equation at a step (None for a target without index), as the root of a graph of
        its own.

        `lookup(name, step)` gives the value of a quantity dX (`name` is "dX"), or None where the user's own equation
        is to be used; it is asked only for what exists in the run, and without it all come from the user's equations.
        The result has the shape of X: summed over the samples for a parameter. Helpers and leaves are kept between
        calls with the same `lookup`. Raises `LanguageError` when the right-hand side reads something that does not
        exist at that step.
        """
        if lookup != self._lookup:
            self.values, self._lookup = {}, lookup
        for place, reader, at in self.needs(equation, step):
            if place not in self.values:
                self._resolve_for(place, reader, at)
        return self.compute(equation, step).value

    def operand(self, place: Place, lookup: Lookup | None = None) -> Operand:
        """One quantity as the gradient equations see it: of the run, of the lookup, or of the user's own equations."""
        if lookup is not self._lookup:
            self.values, self._lookup = {}, lookup
        if place not in self.values:
            if self.equation(place) is None:
                self.values[place] = self.leaf(place, None)
            else:
                self.resolve(place)
        return self.values[place]

    def _resolve_for(self, place: Place, reader: Equation, at: Step) -> None:
        if self.equation(place) is None:
            self.values[place] = self.leaf(place, (reader, at))
        else:
            self.resolve(place)

    # -- what Resolver asks for ---------------------------------------------------------------------------------------
    def equation(self, place: Place) -> Equation | None:
        name, step = place
        key = (name, step is not None)
        if place in self.run.values:
            return None
        if self._looked_up(place) is not None:
            return None
        if step is not None:
            return self.coverage.get(key, {}).get(step)
        equations = self.model.quantities.stated.get(key)
        return equations[0] if equations else None

    def leaf(self, place: Place, reader: tuple[Equation, Step] | None) -> Operand:
        name, step = place
        with entered(self.scope(place)):
            if place in self.run.values:
                held = self.run.values[place]
                value = plain(held.value)
                real = np.asarray(value).dtype.kind == "f"
                return Operand(
                    tensor(value, name=name, requires_grad=real),
                    held.rows,
                    held.columns,
                    held.batch,
                    classes=held.classes,
                )
            given = self._looked_up(place)
            if given is not None:
                return self._as_gradient(place, given)
        if step is not None and not self.inside(place):
            edge = self.behind(place) or f"{name}[{', '.join(map(str, numbers(step)))}]"
            raise self.outside(place, reader, "is outside the sequence", edge)
        raise self.outside(place, reader, "is defined by no equation")

    def conform(self, value: Operand, equation: Equation, step: Step) -> Operand:
        key = equation.target.key
        base = self.model.quantities.base(key)
        if base is None and key not in self.model.quantities.used:
            if not isinstance(value.value, Tensor):
                return filled(value, self.shapes.names[key], value.batch)
            return value
        shape = self.shapes.names[base or key]
        batch = self._batch(base or key, step)
        return filled(value if batch else _over_samples(value), shape, batch)

    # -- values -------------------------------------------------------------------------------------------------------
    def _looked_up(self, place: Place) -> Any:
        """What the lookup says; it is asked for what exists in the run, or is stated beyond its ends."""
        name, step = place
        base = self.model.quantities.base((name, step is not None))
        if self._lookup is None or base is None:
            return None
        inside = step is not None and self.inside(place)
        copy = inside and not base[1]
        stated_beyond = step is not None and not inside and step in self.coverage.get((name, True), {})
        exists = copy or stated_beyond or (base[0], step) in self.run.values
        return self._lookup(name, step) if exists else None

    def _batch(self, base: Place | tuple[str, bool], step: Step) -> int | None:
        """Whether the quantity differs from sample to sample, as its value in the run tells."""
        name, indexed = base
        if not indexed:
            return self.run.values[name, None].batch
        if (name, step) in self.run.values:
            return self.run.values[name, step].batch
        return next(held.batch for (other, at), held in self.run.values.items() if other == name and at is not None)

    def _as_gradient(self, place: Place, given: Any) -> Operand:
        name, step = place
        base = self.model.quantities.base((name, step is not None))
        assert base is not None
        rows, columns = self.shapes.names[base]
        batch = self._batch(base, step)
        value = np.asarray(plain(given))
        if batch is None and (rows, columns) == (1, 1):
            held: Any = float(value.reshape(-1)[0]) if value.size == 1 else value
        else:
            full = (rows, batch or 1) if columns == 1 else (batch or 1, columns) if rows == 1 else (rows, columns)
            held = value.reshape(full) if value.size == full[0] * full[1] else value
            if held.shape != full and held.shape[::-1] != full:
                raise GraphError(f"{name} at {step} is {rows} x {columns}, but the lookup gave shape {value.shape}")
        return Operand(tensor(held, name=name), rows, columns, batch)


def _over_samples(value: Operand) -> Operand:
    value = dense(value)
    if value.batch in (None, 1):
        return value
    axis = 0 if value.is_row else 1
    return Operand(np.sum(value.value, axis=axis, keepdims=True), value.rows, value.columns)
