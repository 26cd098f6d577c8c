"""A document whose names, shapes and conventions are known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...core.errors import LanguageError
from ..expressions import Document, Equation
from ..syntax.indices import Lengths, Step, numbers
from .conventions import Convention
from .quantities import Quantities
from .shapes import Shapes

#: how what is right for one sample is written for several
ONE_SAMPLE = "row_sums(v) adds up samples, sum(v * w) is v.T @ w, v * w is diag(v) @ w"


class TypedDocument:
    """Forward equations, and the gradient equations stated for them.

    `name`, `document`, `forward` and `gradients` (tuples of equations), `sizes` (as declared), `inputs`, `parameters`
    and `states` (names), `shapes` (rows and columns of every quantity, by `h[t]` or `W`), `convention` (whether vectors
    are rows; `reading` says which powers and products over time are those of matrices; `samples` columns a name
    has in a file with `batch: columns`).
    """

    def __init__(self, document: Document, reading: str = "place", samples: int | None = None) -> None:
        if document.no_quantities:
            raise document.no_quantities[0].error
        self.document = document
        self.name = document.model or Path(document.source.name).stem
        self.forward: tuple[Equation, ...] = document.forward
        self.gradients: tuple[Equation, ...] = document.gradients
        self.sizes = dict(document.sizes)
        self.quantities = Quantities(document)
        self.shapes_ = self._shapes(reading, self._samples(samples))
        #: whether vectors are rows, and how powers and products over time are read
        self.convention = self.shapes_.convention
        self.inputs = [name for name, _ in self.quantities.inputs]
        self.parameters = [name for name, _ in self.quantities.parameters]
        self.states = [name for name, _ in self.quantities.states]
        self.shapes = {self.quantities.show(key): shape for key, shape in self.shapes_.names.items()}

    def _samples(self, stated: int | None) -> int:
        """How many columns a name has in a file of batches: as stated, else no size of the file; 0 in any other."""
        if stated is not None or not self.document.batch:
            return stated or 0
        if self.document.samples:
            return self.document.samples
        sizes = {number for size in self.document.sizes.values() for number in (size.rows, size.columns)}
        return next(count for count in range(3, len(sizes) + 6) if count not in sizes)

    def _shapes(self, reading: str, samples: int) -> Shapes:
        """With vectors as the file says; if it says nothing, as columns, or as rows where columns do not fit."""
        try:
            return Shapes(self.quantities, Convention(self.document.vectors or "columns", reading, samples))
        except LanguageError as error:
            if samples:
                raise self._for_one_sample(error, samples) from None
            if self.document.vectors:
                raise
            try:
                return Shapes(self.quantities, Convention("rows", reading))
            except LanguageError as as_rows:
                # rows fit the forward equations, and columns do not: the mistake is in the gradients
                raise as_rows if self._is_of_gradients(as_rows) > self._is_of_gradients(error) else error from None

    def _is_of_gradients(self, error: LanguageError) -> bool:
        """Whether an error stands under `gradients:`."""
        section = self.document.gradients
        below = bool(section) and error.line >= min(equation.line for equation in section)
        return below and all(equation.line != error.line for equation in self.document.forward)

    def _for_one_sample(self, error: LanguageError, samples: int) -> LanguageError:
        """The error of a file of batches; it says so where everything fits for a batch of one."""
        try:
            Shapes(self.quantities, Convention())
        except LanguageError:
            return error
        told = f"this fits for a batch of 1 only: a name has {samples} columns here, one for each sample. {ONE_SAMPLE}"
        hint = f"{error.hint}; {told}" if error.hint else told
        return LanguageError(error.message, error.name, error.line, error.column, error.excerpt, hint)

    def columns_in(self, values: Mapping[Any, Any] | None) -> int:
        """How many samples given values hold: x of shape (T, n, 5), (name, step) of shape (n, 5), labels (T, 5)."""
        counts = [1]
        for key, value in (values or {}).items():
            name, step = key if isinstance(key, tuple) else (key, None)
            timed = (name, True) in self.quantities.used
            if not timed and name not in self.document.inputs:
                continue
            shape = np.shape(value)[len(self.quantities.axes_named(name)) if timed and step is None else 0 :]
            if (name, timed) in self.quantities.classes:
                counts += shape[-1:]
            elif len(shape) == 2 and (self.convention.samples or 1 in self.shapes_.names[name, timed]):
                counts.append(shape[0] if self.convention.rows else shape[1])
        return max(counts)

    @property
    def found_rows(self) -> bool:
        """Whether vectors are rows without the file saying so: nothing else fits."""
        return self.convention.rows and not self.document.vectors

    def __repr__(self) -> str:
        return f"<model {self.name!r}: {len(self.forward)} equations, {len(self.gradients)} gradients>"

    @property
    def longest_delay(self) -> int:
        """The most steps that an equation reaches back or ahead."""
        return self.quantities.longest_delay

    def lengths(self, T: int, given: Mapping[str, int] | None = None) -> dict[str, int]:
        """How long each sequence is when the main one has T steps: {"T": 4, "S": 5}."""
        return self.document.lengths(T, given)

    def steps_of(self, equation: Equation, lengths: int | Lengths) -> Sequence[Step]:
        """The steps at which a gradient or forward equation holds; [None] for a target without time index."""
        key = equation.target.key
        if not key[1]:
            return [None]
        stated = self.quantities.stated if any(e is equation for e in self.gradients) else self.quantities.defined
        covered = self.quantities.coverage(stated[key], self.lengths(lengths) if isinstance(lengths, int) else lengths)
        return sorted((step for step, found in covered.items() if found is equation), key=numbers)

    def role(self, equation: Equation) -> str:
        """What a gradient equation states: a `gradient`, a per-step `copy` (dW[t]), a `boundary` or a `helper`."""
        return self.quantities.role(equation)
