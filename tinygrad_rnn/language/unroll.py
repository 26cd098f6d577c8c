"""A model run for T steps: its unfolded graph.

Leaves are made here (parameters at the root, inputs and initial states in their step), everything else by `resolver`.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.errors import GraphError, LanguageError, ShapeError
from ..core.graph import Graph
from ..core.scope import entered
from ..core.tensor import Tensor, plain, tensor
from .expressions import Equation
from .operands import Operand
from .resolver import Place, Resolver, filled

if TYPE_CHECKING:
    from .model import Model

MOST_STEPS = 1_000_000


class Run:
    """The values and the graph of a model unrolled over the steps 1 to `T`.

    `run["h", 3]` and `run["W"]` are Tensors; `loss` is a scalar; `graph` is everything the loss depends on;
    `parameters` maps names to Tensors, `inputs` maps (name, step) to the Tensors that no equation defines.
    """

    def __init__(self, model: Model, T: int, batch: int, values: dict[Place, Operand]) -> None:
        self.model, self.T, self.batch, self.values = model, T, batch, values

    def __getitem__(self, key: str | tuple[str, int]) -> Tensor:
        place: Place = (key, None) if isinstance(key, str) else key
        if place in self.values:
            return self.values[place].value
        steps = sorted(step for name, step in self.values if name == place[0] and step is not None)
        if steps:
            raise GraphError(f"{place[0]} stands at t = {steps[0]} to {steps[-1]}, not at {place[1]}")
        known = ", ".join(dict.fromkeys(name for name, _ in self.values))
        raise GraphError(f"this run has no {place[0]!r}; it has {known}")

    def __contains__(self, key: str | tuple[str, int]) -> bool:
        return ((key, None) if isinstance(key, str) else key) in self.values

    @property
    def loss(self) -> Tensor:
        """The total loss, a scalar; raises `LanguageError` for a model without one."""
        key = self.model.quantities.loss
        if key is None:
            source = self.model.document.source
            raise LanguageError(
                "this model has no loss", source.name, hint="define one without a time index, as in   L = sum(t, L[t])"
            )
        return self.values[key[0], None].value

    @cached_property
    def graph(self) -> Graph:
        """Everything the loss depends on."""
        return Graph(self.loss)

    @property
    def parameters(self) -> dict[str, Tensor]:
        """The parameters by name, in the order in which the equations use them."""
        return {name: self.values[name, None].value for name in self.model.parameters if (name, None) in self.values}

    @property
    def inputs(self) -> dict[Place, Tensor]:
        """Inputs, labels and initial states: the leaves that belong to a step (or, for a label of the sequence, to
        none)."""
        names = {key for key in self.model.quantities.leaves if key[1] or key in self.model.quantities.classes}
        found = {p: v.value for p, v in self.values.items() if (p[0], p[1] is not None) in names and v.value.op is None}
        states = {p: v.value for p, v in self.values.items() if p[1] is not None and p[1] < 1 and v.value.op is None}
        return {**found, **states}


class Unroller(Resolver):
    """Builds a `Run`."""

    contract = False

    def __init__(
        self, model: Model, T: int, seed: int, batch: int, values: Mapping[Any, Any] | None, scale: float
    ) -> None:
        if not 1 <= T <= MOST_STEPS or batch < 1:
            raise ShapeError(
                f"a run takes T steps, T = 1 to {MOST_STEPS:,}, and one sample or more; not T = {T}, batch = {batch}"
            )
        super().__init__(model.shapes_, T)
        self.model, self.seed, self.batch, self.scale = model, seed, batch, scale
        self.given = dict(values or {})
        self._check_given()
        quantities = model.quantities
        self.coverage = {
            key: quantities.coverage(equations, T) for key, equations in quantities.defined.items() if key[1]
        }

    def run(self) -> Run:
        forward = self.model.forward
        for name in self.model.parameters:
            self.resolve((name, None))
        for step in range(1, self.T + 1):
            for equation in forward:
                key = equation.target.key
                if key[1] and self.coverage[key].get(step) is equation:
                    self.resolve((key[0], step))
        for equation in forward:
            if not equation.target.key[1]:
                self.resolve((equation.target.name, None))
        return Run(self.model, self.T, self.batch, self.values)

    # -- what Resolver asks for ---------------------------------------------------------------------------------------
    def equation(self, place: Place) -> Equation | None:
        name, step = place
        if step is not None:
            steps = self.coverage.get((name, True))
            return steps.get(step) if steps else None
        equations = self.model.quantities.defined.get((name, False))
        return equations[0] if equations else None

    def conform(self, value: Operand, equation: Equation, step: int | None) -> Operand:
        key = equation.target.key
        shape = self.shapes.names[key]
        if key == self.model.quantities.loss:
            return Operand(np.sum(value.value)) if np.shape(plain(value.value)) else value
        literal = not isinstance(value.value, Tensor)
        batch = self.batch if literal and key[1] and 1 in shape and shape != (1, 1) else value.batch
        return filled(value, shape, batch)

    def leaf(self, place: Place, reader: tuple[Equation, int | None] | None) -> Operand:
        name, step = place
        key = (name, step is not None)
        if step is not None and step > self.T:
            raise self.outside(place, reader, "is outside the sequence", f"{name}[T+{step - self.T}]")
        if step is not None and key in self.coverage and step >= 1 and key not in self.model.quantities.boundary_only:
            raise self.outside(place, reader, "is defined by no equation")
        rows, columns = self.shapes.names[key]
        with entered(self.scope(step)):
            if key in self.model.quantities.classes:
                labels = self._labels(place, rows)
                return Operand(tensor(labels, name=name, requires_grad=False), rows, 1, self.batch, classes=rows)
            batch = self.batch if step is not None else None
            if batch is not None and 1 not in (rows, columns) and batch > 1:
                raise self.outside(place, reader, f"is a matrix for each of the {batch} samples: run with batch=1")
            return Operand(tensor(self._value(place, rows, columns, batch), name=name), rows, columns, batch)

    # -- values of leaves ---------------------------------------------------------------------------------------------
    def _random(self, place: Place) -> np.random.Generator:
        # a stream for each leaf: a longer sequence or one more equation leaves the others as they are
        name, step = place
        return np.random.default_rng(
            (self.seed, zlib.crc32(name.encode()), 0 if step is None else 2 * abs(step) + 1 + (step < 0))
        )

    def _given(self, place: Place) -> Any:
        name, step = place
        if place in self.given:
            return self.given[place]
        if name in self.given:
            given = self.given[name]
            if step is None:
                return given
            if 1 <= step <= len(given):
                return given[step - 1]
            if step >= 1:
                raise ShapeError(f"values[{name!r}] holds {len(given)} steps, but T = {self.T}")
        return None

    def _labels(self, place: Place, classes: int) -> np.ndarray:
        given = self._given(place)
        if given is None:
            return self._random(place).integers(0, classes, self.batch)
        labels = np.asarray(plain(given))
        if labels.dtype.kind not in "iu" or labels.size not in (1, self.batch):
            raise ShapeError(
                f"{place[0]} takes {self.batch} class numbers (integers), not {labels.dtype} of shape {labels.shape}"
            )
        if labels.min() < 0 or labels.max() >= classes:
            raise ShapeError(f"{place[0]} takes class numbers from 0 to {classes - 1}")
        return np.broadcast_to(labels.reshape(-1), (self.batch,)).copy()

    def _value(self, place: Place, rows: int, columns: int, batch: int | None) -> Any:
        width = batch or 1 if columns == 1 else columns
        shape = (rows, width) if columns == 1 or rows > 1 else (batch or 1, columns)
        given = self._given(place)
        if given is None:
            size = 1.0 / np.sqrt(columns) if rows > 1 and columns > 1 else 1.0 if place[1] is not None else 0.5
            value = self._random(place).standard_normal(shape) * size * self.scale
            return float(value[0, 0]) if batch is None and shape == (1, 1) else value
        value = np.asarray(plain(given))
        value = value if value.dtype.kind == "f" else value.astype(float)
        if batch is None and (rows, columns) == (1, 1) and value.size == 1:
            return float(value.reshape(()))
        if value.ndim < 2 and value.size == rows * columns:
            value = value.reshape(rows, columns)
        if value.ndim == 1 and (rows, columns) == (1, 1):
            value = value.reshape(1, -1)
        if value.shape == (rows, 1) and batch:
            value = np.broadcast_to(value, (rows, batch)) if columns == 1 else value
        if value.shape != shape:
            at = place[0] if place[1] is None else f"{place[0]}[{place[1]}]"
            raise ShapeError(
                f"{at} is {rows} x {columns}{f' for each of {batch} samples' if batch else ''}, "
                f"but the given value has shape {value.shape}"
            )
        return value

    def _check_given(self) -> None:
        leaves = self.model.quantities.leaves
        states = [key for key in self.model.quantities.defined if key[1]]
        for given in self.given:
            name, step = given if isinstance(given, tuple) else (given, None)
            known = [key for key in leaves if key[0] == name] or [
                key for key in states if key[0] == name and step is not None and step < 1
            ]
            if not known:
                names = ", ".join(dict.fromkeys(key[0] for key in leaves))
                raise GraphError(
                    f"values are given for inputs, parameters and initial states; {given!r} is none of them ({names})"
                )
