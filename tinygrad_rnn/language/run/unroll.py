"""A model run for T steps: its unfolded graph.

Leaves are made here (parameters at the root, inputs and initial states in their step), everything else by `resolver`.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np

from ...core.errors import GraphError, LanguageError, ShapeError
from ...core.graph import Graph
from ...core.ops.identity import name as give_name
from ...core.scope import entered
from ...core.tensor import Tensor, plain, tensor
from ..expressions import Equation
from ..syntax.indices import Lengths, Step, numbers
from ..types.quantities import Quantities
from ..types.typed_document import TypedDocument
from .operands import MOST_BYTES, Operand
from .operation_count import bytes_of
from .resolver import Place, Resolver, filled

MOST_STEPS = 1_000_000


class Run:
    """The values and the graph of a model unrolled over the steps 1 to `T`; `lengths` has T and the other lengths.

    `run["h", 3]`, `run["alpha", 3, 1]` and `run["W"]` are Tensors; `loss` is a scalar; `graph` is everything the loss
    depends on; `parameters` maps names to Tensors, `inputs` maps (name, step) to the Tensors that no equation defines.
    """

    def __init__(self, model: TypedDocument, lengths: Lengths, batch: int, values: dict[Place, Operand]) -> None:
        self.model, self.lengths, self.batch, self.values = model, lengths, batch, values
        self.T = next(iter(lengths.values()))

    def __getitem__(self, key: str | tuple[Any, ...]) -> Tensor:
        place = _place(key)
        if place in self.values:
            return self.values[place].value
        steps = sorted((step for name, step in self.values if name == place[0] and step is not None), key=numbers)
        if steps:
            raise GraphError(f"{place[0]} stands at t = {steps[0]} to {steps[-1]}, not at {place[1]}")
        known = ", ".join(dict.fromkeys(name for name, _ in self.values))
        raise GraphError(f"this run has no {place[0]!r}; it has {known}")

    def __contains__(self, key: str | tuple[Any, ...]) -> bool:
        return _place(key) in self.values

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
        """Inputs, labels and initial states: the leaves that belong to a step, and those without time that the file
        declares or uses as labels."""
        quantities = self.model.quantities
        leaves = {p: v.value for p, v in self.values.items() if v.value.op is None}
        found = {p: value for p, value in leaves.items() if (p[0], p[1] is not None) in quantities.inputs}
        states = {p: value for p, value in leaves.items() if p[1] is not None and _before(quantities, p)}
        return {**found, **states}


def _held(name: str, value: Any, learned: bool) -> Tensor:
    """A leaf; a Tensor that is given in its place is used under its name."""
    return give_name(name, value) if isinstance(value, Tensor) else tensor(value, name=name, requires_grad=learned)


def _place(key: str | tuple[Any, ...]) -> Place:
    """`"W"`, `("h", 3)`, `("alpha", 3, 1)` or `("alpha", (3, 1))`."""
    if isinstance(key, str):
        return key, None
    return key[0], key[1] if len(key) == 2 else tuple(key[1:])


def _before(quantities: Quantities, place: Place) -> bool:
    """Whether a step lies before the first one."""
    firsts = [within.first for within in quantities.ranges_of(place[0])]
    pairs = zip(numbers(place[1]), firsts, strict=True)
    return any(first.variable is None and step < first.constant for step, first in pairs)


class Unroller(Resolver):
    """Builds a `Run`; with `checked`, given labels have to be what the file declares.

    Without it Tensors that are given are used as they are, and no value is looked at: a function is being recorded.
    """

    contract = False

    def __init__(
        self,
        model: TypedDocument,
        lengths: Lengths,
        seed: int,
        batch: int,
        values: Mapping[Any, Any] | None,
        scale: float,
        checked: bool = True,
    ) -> None:
        for name, length in lengths.items():
            if not 1 <= length <= MOST_STEPS or batch < 1:
                raise ShapeError(
                    f"a run takes {name} steps, {name} = 1 to {MOST_STEPS:,}, and one sample or more; "
                    f"not {name} = {length}, batch = {batch}"
                )
        super().__init__(model.shapes_, lengths)
        columns = model.convention.samples
        if columns and batch > 1:
            told = f"names of this file are matrices of {columns} columns (batch: columns)"
            raise ShapeError(f"{told}: Model(document, samples={batch}) has {batch}")
        taken = bytes_of(model, model.forward, lengths, batch)
        if taken > MOST_BYTES:
            said = ", ".join(f"{name} = {length}" for name, length in lengths.items())
            raise ShapeError(
                f"a run of {said} with {batch} samples takes about {taken:,} bytes, but {MOST_BYTES:,} at most are "
                "taken: use smaller sizes, fewer steps or fewer samples"
            )
        #: how many samples there are, in columns of their own or in those of the matrices
        self.samples = columns or batch
        self.model, self.seed, self.batch, self.scale = model, seed, batch, scale
        self.given, self.checked = dict(values or {}), checked
        self._check_given()
        quantities = model.quantities
        self.coverage = {
            key: quantities.coverage(equations, lengths) for key, equations in quantities.defined.items() if key[1]
        }

    def run(self) -> Run:
        forward = self.model.forward
        for name in self.model.parameters:
            self.resolve((name, None))
        for step in self._steps():
            for equation in forward:
                key = equation.target.key
                if key[1] and self.coverage[key].get(step) is equation:
                    self.resolve((key[0], step))
        for equation in forward:
            if not equation.target.key[1]:
                self.resolve((equation.target.name, None))
        return Run(self.model, self.lengths, self.batch, self.values)

    def _steps(self) -> list[Step]:
        """Every step inside the sequences at which something is defined, those of one index first."""
        inside = {step for (name, _), covered in self.coverage.items() for step in covered if self.inside((name, step))}
        return sorted(inside, key=numbers)

    # -- what Resolver asks for ---------------------------------------------------------------------------------------
    def equation(self, place: Place) -> Equation | None:
        name, step = place
        if step is not None:
            steps = self.coverage.get((name, True))
            return steps.get(step) if steps else None
        equations = self.model.quantities.defined.get((name, False))
        return equations[0] if equations else None

    def conform(self, value: Operand, equation: Equation, step: Step) -> Operand:
        key = equation.target.key
        shape = self.shapes.names[key]
        if key == self.model.quantities.loss:
            return Operand(np.sum(value.value)) if np.shape(plain(value.value)) else value
        literal = not isinstance(value.value, Tensor)
        batch = self.batch if literal and key[1] and 1 in shape and shape != (1, 1) else value.batch
        return filled(value, shape, batch)

    def leaf(self, place: Place, reader: tuple[Equation, Step] | None) -> Operand:
        name, step = place
        key = (name, step is not None)
        behind = self.behind(place)
        if behind:
            raise self.outside(place, reader, "is outside the sequence", behind)
        defined = key in self.coverage and key not in self.model.quantities.boundary_only
        if step is not None and defined and self.inside(place):
            raise self.outside(place, reader, "is defined by no equation")
        rows, columns = self.shapes.names[key]
        with entered(self.scope(place)):
            if key in self.model.quantities.classes:
                held = _held(name, self._labels(place, rows * columns), learned=False)
                return Operand(held, rows, columns, self.batch, classes=rows * columns)
            batch = self.batch if step is not None or name in self.model.document.inputs else None
            if batch is not None and 1 not in (rows, columns) and batch > 1:
                raise self.outside(place, reader, f"is a matrix for each of the {batch} samples: run with batch=1")
            value, learned = self._value(place, rows, columns, batch), name not in self.model.document.fixed
            return Operand(_held(name, value, learned), rows, columns, batch)

    # -- values of leaves ---------------------------------------------------------------------------------------------
    def _random(self, place: Place) -> np.random.Generator:
        # a stream for each leaf: a longer sequence or one more equation leaves the others as they are
        name, step = place
        places = [2 * abs(at) + 1 + (at < 0) for at in numbers(step)] or [0]
        return np.random.default_rng((self.seed, zlib.crc32(name.encode()), *places))

    def _given(self, place: Place) -> Any:
        """The value that is given at a place, None if there is none; a Tensor stays one where no value is checked."""
        name, step = place
        given = self.given.get(place)
        if given is None and name in self.given:
            given = self.given[name]
            firsts = [within.first.at(self.lengths) for within in self.model.quantities.ranges_of(name)]
            for at, first in zip(numbers(step), firsts, strict=False):
                if at < first:
                    return None
                if at - first >= len(given):
                    raise ShapeError(f"values[{name!r}] holds {len(given)} steps, but {self.said()}")
                given = given[at - first]
        return plain(given) if self.checked else given

    def _labels(self, place: Place, classes: int) -> Any:
        given = self._given(place)
        if given is None:
            return self._random(place).integers(0, classes, self.samples)
        if isinstance(given, Tensor):
            given = np.reshape(given, -1) if given.ndim != 1 else given
            return given if len(given) == self.samples else np.broadcast_to(given, (self.samples,))
        labels = np.asarray(given)
        if labels.dtype.kind not in "iu" or labels.size not in (1, self.samples):
            raise ShapeError(
                f"{place[0]} takes {self.samples} class numbers (integers), not {labels.dtype} of shape {labels.shape}"
            )
        if labels.min() < 0 or labels.max() >= classes:
            raise ShapeError(f"{place[0]} takes class numbers from 0 to {classes - 1}")
        return np.broadcast_to(labels.reshape(-1), (self.samples,)).copy()

    def _label(self, place: Place, shape: tuple[int, int]) -> np.ndarray:
        """A random distribution, or a one at a random row, for each sample."""
        if self.model.shapes_.convention.rows:
            return self._label_columns(place, shape[::-1]).T
        return self._label_columns(place, shape)

    def _label_columns(self, place: Place, shape: tuple[int, int]) -> np.ndarray:
        if self.model.quantities.labels[place[0], place[1] is not None] == "one-hot":
            return np.eye(shape[0])[:, self._random(place).integers(0, shape[0], shape[1])]
        weights = np.exp(self._random(place).standard_normal(shape))
        return weights / weights.sum(axis=0)

    def _checked_label(self, place: Place, value: np.ndarray, rows: int, columns: int) -> np.ndarray:
        """A given label, class numbers as columns. Raises `ShapeError` for what is not what the file declares."""
        entries = rows * columns
        if value.dtype.kind in "iu" and value.size in (1, self.samples) and entries > 1:
            if value.min() < 0 or value.max() >= entries:
                raise ShapeError(f"{place[0]} takes class numbers from 0 to {entries - 1}, or columns")
            made = np.eye(entries)[value.reshape(-1)]
            return made if columns > 1 else made.T
        kind = self.model.quantities.labels[place[0], place[1] is not None]
        sums = value if value.ndim < 2 else value.T if columns > 1 else value
        sums = sums.sum(axis=0)
        single = kind != "one-hot" or bool(np.all((value == 0) | (value == 1)))
        if np.any(value < 0) or not np.allclose(sums, 1.0, rtol=0, atol=1e-9) or not single:
            raise ShapeError(f"{place[0]} is declared {kind} (labels:), but a given column is not")
        return value

    def _value(self, place: Place, rows: int, columns: int, batch: int | None) -> Any:
        width = batch or 1 if columns == 1 else columns
        shape = (rows, width) if columns == 1 or rows > 1 else (batch or 1, columns)
        given = self._given(place)
        if given is None:
            data = place[1] is not None or place[0] in self.model.document.inputs
            if (place[0], place[1] is not None) in self.model.quantities.labels:
                return self._label(place, shape)
            size = 1.0 / np.sqrt(columns) if rows > 1 and columns > 1 else 1.0 if data else 0.5
            value = self._bounded(place[0], self._random(place).standard_normal(shape) * size * self.scale)
            return float(value[0, 0]) if batch is None and shape == (1, 1) else value
        return self._fitted(place, given if isinstance(given, Tensor) else np.asarray(given), (rows, columns), batch)

    def _fitted(self, place: Place, value: Any, of: tuple[int, int], batch: int | None) -> Any:
        """A given value in the shape of a quantity `of` rows and columns. Raises `ShapeError` where it has another."""
        rows, columns = of
        width = batch or 1 if columns == 1 else columns
        shape = (rows, width) if columns == 1 or rows > 1 else (batch or 1, columns)
        if (place[0], place[1] is not None) in self.model.quantities.labels and self.checked:
            value = self._checked_label(place, value, rows, columns)
        value = value if value.dtype.kind == "f" else value.astype(float)
        if batch is None and (rows, columns) == (1, 1) and value.size == 1:
            return np.reshape(value, ()) if isinstance(value, Tensor) else float(value.reshape(()))
        if value.ndim < 2 and value.size == rows * columns:
            value = value.reshape(rows, columns)
        if value.ndim == 1 and (rows, columns) == (1, 1):
            value = value.reshape(1, -1)
        if value.shape == (rows, 1) and batch:
            value = np.broadcast_to(value, (rows, batch)) if columns == 1 else value
        if value.shape == (1, columns) and batch and rows == 1:
            value = np.broadcast_to(value, (batch, columns))
        if value.shape != shape:
            at = place[0] if place[1] is None else f"{place[0]}[{place[1]}]"
            raise ShapeError(
                f"{at} is {rows} x {columns}{f' for each of {batch} samples' if batch else ''}, "
                f"but the given value has shape {value.shape}"
            )
        return value

    def _bounded(self, name: str, value: np.ndarray) -> np.ndarray:
        """Random values brought between the bounds that the file states: 1 + |v|, or a share of the distance."""
        bounds = self.model.document.bounds.get(name)
        if bounds is None:
            return value
        if bounds.low is not None and bounds.high is not None:
            return bounds.low + (bounds.high - bounds.low) / (1.0 + np.exp(-value))
        return bounds.low + np.abs(value) if bounds.low is not None else bounds.high - np.abs(value)

    def _check_given(self) -> None:
        leaves = self.model.quantities.leaves
        states = [key for key in self.model.quantities.defined if key[1]]
        for given in self.given:
            name, step = given if isinstance(given, tuple) else (given, None)
            known = [key for key in leaves if key[0] == name] or [
                key for key in states if key[0] == name and step is not None and _before(self.model.quantities, given)
            ]
            if not known:
                names = ", ".join(dict.fromkeys(key[0] for key in leaves))
                raise GraphError(
                    f"values are given for inputs, parameters and initial states; {given!r} is none of them ({names})"
                )
