"""Equation files, compiled: the loss of a model and its gradients, for sequences of any length.

A model is unrolled for a few steps as it is for drawing or judging, and compiled from that graph; no text of a file
goes anywhere but through the language's own interpreter.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.errors import GraphError, ShapeError
from ..core.scope import ROOT, entered
from ..core.tensor import next_id
from .build import Built, build
from .errors import CompileError
from .prepare import Prepared, prepare
from .record import Leaf, changed, cut


class CompiledModel:
    """The loss of a model and its gradients with respect to the parameters; call it with all values by name.

    Parameters by name; an input by name as an array over the steps 1 to T, (T, n, batch) or (T, n), labels (T, batch)
    or (T,); what is read at the last step only, without its steps; an initial state by (name, step), as ("h", 0),
    (n, batch) or (n, 1). Returns the loss and a dict of gradients. Raises `GraphError` for a value that is missing or
    unknown, `ShapeError` for lengths that differ.
    """

    def __init__(self, model: Any, executor: str = "numpy", checkpoint: int | str | None = None) -> None:
        self.model, self.executor, self.checkpoint = model, executor, checkpoint
        self.argnums = (0,)
        self.recordings = 0
        self._known: dict[Any, list[Prepared]] = {}
        self._last: Prepared | None = None
        self._asked: tuple[Any, ...] | None = None

    def __call__(self, values: dict[Any, Any]) -> tuple[float, dict[str, Any]]:
        keys = self._keys(values)
        arrays = [self._array(key, values[key]) for key in keys]
        known = self._known.setdefault(tuple(keys), [])
        found = next((form for form in known if form.fits(arrays)), None)
        if found is None:
            found = prepare(self, (), {}, arrays, len(known), recorder=_Recorder(self, keys, arrays))
            known.append(found)
        self._last = found
        value, grads = found.run(self, (), {}, arrays)
        return value, dict(zip(self.model.parameters, grads, strict=True))

    def original(self, *_: Any) -> Any:
        """What is called for labels that are none; a model is never run as it is from here."""
        raise ShapeError("labels of this model are class numbers from 0 on; one of those given is none")

    def returned(self, args: Any, value: Any, outputs: list[Any]) -> Any:
        """The loss, and the gradients as a list."""
        return outputs[0], outputs[1:]

    @property
    def known_forms(self) -> list[Prepared]:
        """All forms made so far."""
        return [found for group in self._known.values() for found in group]

    @property
    def forms(self) -> list[str]:
        """How each kind of values met runs."""
        return [found.told for found in self.known_forms]

    @property
    def plan(self) -> Any:
        """The plan last run; None before the first call."""
        return None if self._last is None else self._last.plan

    def _keys(self, values: dict[Any, Any]) -> list[Any]:
        """The names of all values, the parameters first."""
        wanted = self._wanted()
        missing = [key for key in wanted if key not in values]
        unknown = [key for key in values if key not in wanted]
        if missing or unknown:
            told = f"missing: {missing}" if missing else f"unknown: {unknown}"
            raise GraphError(f"this model takes values for {', '.join(map(str, wanted))}; {told}")
        return list(wanted)

    def _wanted(self) -> tuple[Any, ...]:
        if self._asked is None:
            T = 4 + 2 * self.model.longest_delay
            places = list(self.model.unroll(T).inputs)
            if any(isinstance(step, tuple) for _, step in places):
                raise CompileError("a model with several indices has no single time: unroll it instead")
            steps: dict[str, list[int]] = {}
            for name, step in places:
                if isinstance(step, int) and step > 0:
                    steps.setdefault(name, []).append(step)
            for name, found in steps.items():
                if found != [T] and sorted(found) != list(range(1, T + 1)):
                    raise CompileError(f"{name} is read at the steps {sorted(found)} of {T}: unroll this model instead")
            self.at_the_end = {name for name, found in steps.items() if found == [T]}
            keys = dict.fromkeys((n, s) if isinstance(s, int) and s < 1 else n for n, s in places)
            self._asked = (*self.model.parameters, *keys)
            self._outside = {name for name, step in places if step is None}
        return self._asked

    def _array(self, key: Any, value: Any) -> Any:
        array = np.asarray(value)
        if key in self.model.parameters:
            shape = self.model.shapes_.names[key, False]
            return float(array.reshape(())) if shape == (1, 1) and array.size == 1 else array
        once = isinstance(key, tuple) or key in self.at_the_end or key in self._outside
        rank = (1 if array.dtype.kind in "iu" else 2) + (not once)
        return array[..., None] if array.ndim == rank - 1 else array


class _Recorder:
    """Unrolls a model as `record` runs a function."""

    def __init__(self, compiled: CompiledModel, keys: list[Any], arrays: list[Any]) -> None:
        self.model, self.keys, self.arrays = compiled.model, keys, arrays
        self.at_the_end, self.outside = compiled.at_the_end, compiled._outside
        self.once = self.at_the_end | self.outside
        names = set(compiled.model.parameters)
        self.leaves = [Leaf(n, array, key in names) for n, (key, array) in enumerate(zip(keys, arrays, strict=True))]
        lengths = {len(arrays[n]) for n in self.times}
        if not lengths:
            raise CompileError("this model reads no sequence: unroll it instead")
        if len(lengths) > 1:
            raise ShapeError(f"the inputs of one sequence have one length, not {sorted(lengths)}")

    @property
    def times(self) -> dict[int, int]:
        """The inputs, which have time first."""
        return {
            n: 0
            for n, key in enumerate(self.keys)
            if isinstance(key, str) and key not in self.once and not self.leaves[n].differentiated
        }

    def run(self, times: dict[int, int], length: int, other: bool, folded: bool = True) -> tuple[Built, Any]:
        """One recording."""
        if not folded:
            raise CompileError("this model is not one step repeated: unroll it instead")
        steps = length
        values: dict[Any, Any] = {}
        used: dict[int, Any] = {}
        batch = 1
        for n, (key, array) in enumerate(zip(self.keys, self.arrays, strict=True)):
            array = cut(array, 0, length) if n in times else array
            place = (key, steps) if key in self.at_the_end else key
            used[n] = values[place] = changed(array) if other and isinstance(array, np.ndarray) else array
            if not self.leaves[n].differentiated:
                batch = array.shape[-1]
        first_id = next_id()
        with entered(ROOT), np.errstate(all="ignore"):
            run = self.model.unroll(steps, batch=batch, values=values)
        numbers = {key: n for n, key in enumerate(self.keys)}
        leaves = {tensor.id: numbers[name] for name, tensor in run.parameters.items()}
        named = {
            (key, steps) if key in self.at_the_end else key: n
            for key, n in numbers.items()
            if not self.leaves[n].differentiated
        }
        leaves |= {run.inputs[key, None].id: numbers[key] for key in self.outside}
        built = build([[run.loss]], leaves, first_id, length, True, named)
        built.given, built.returned = used, [run.loss.value]
        return built, (("output", 0), [None])


def compile_model(model: Any, executor: str = "numpy", checkpoint: int | str | None = None) -> CompiledModel:
    """The compiled form of a model; see `CompiledModel`."""
    return CompiledModel(model, executor, checkpoint)
