"""Equation files, compiled: the loss of a model and its gradients.

A model is unrolled for a few steps as it is for drawing or judging, and compiled from that graph; no text of a file
goes anywhere but through the language's own interpreter. What is given under which key is read in `places`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..core.autodiff import gradients
from ..core.errors import GraphError
from ..core.scope import ROOT, entered
from ..core.tensor import next_id
from .equation_arguments import Key, Places, by_name
from .prepare import form_for, prepare
from .specializations import Prepared
from .trace.build import Built, build
from .trace.record import Leaf, Recording, changed, cut
from .unsupported import told_as_reason


class CompiledModel:
    """The loss of a model and its gradients with respect to the parameters; call it with all values by name.

    Parameters, and what has no steps, by name. An input by name as an array over the steps of its indices, as `unroll`
    takes it: (T, n, batch) or (T, n), labels (T, batch) or (T,), with two indices (I, J, n, batch); or place by place,
    as `run.inputs` has it, by (name, step): ("x", 7), ("x", (1, 2)). What is read at the last step only is given by
    name without its steps; what lies before the first step, as an initial state, by (name, step), as ("h", 0): (n,
    batch) or (n, 1). lengths: how long sequences are, {"T": 5}, where no array says it. Returns the loss and a dict of
    gradients.

    A model that is one step repeated is compiled for all lengths; any other flat, for the lengths it is called with.
    Raises `GraphError` for a value that is missing or unknown, `ShapeError` for lengths that differ.
    """

    def __init__(self, model: Any, executor: str = "numpy", checkpoint: int | str | None = None) -> None:
        self.model, self.executor, self.checkpoint = model, executor, checkpoint
        self.places = Places(model)
        self.argnums = (0,)
        self.recordings = 0
        self.chunk: int | None = None
        self._known: dict[Any, list[Prepared]] = {}
        #: the form last run
        self.last: Prepared | None = None

    def __call__(
        self, values: Mapping[Key, Any], lengths: Mapping[str, int] | None = None
    ) -> tuple[float, dict[str, Any]]:
        values = by_name(values)
        found_lengths = self.places.lengths(values, lengths)
        keys = self.places.keys(values, found_lengths)
        arrays = self.places.arrays(keys, values)
        fixed = tuple(found_lengths.values()) if self.places.reason else ()  # lengths that no array may say
        known = self._known.setdefault((fixed, *keys), [])
        args = keys, arrays, found_lengths
        found = form_for(known, arrays, lambda: prepare(self, args, {}, arrays, len(known)))
        return found.run(self, args, {}, arrays)

    def original(self, keys: list[Key], arrays: list[Any], lengths: dict[str, int]) -> tuple[float, dict[str, Any]]:
        """The loss and its gradients as they are computed without compiling."""
        run = _Recorder(self, keys, arrays, lengths).unrolled(arrays, lengths)
        return run.loss.item(), gradients(run.loss, run.parameters)

    def recorder(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> _Recorder:
        """What records the model with these values."""
        return _Recorder(self, *args)

    def returned(self, args: Any, value: Any, outputs: list[Any]) -> tuple[float, dict[str, Any]]:
        """The loss, and the gradients by name."""
        return outputs[0], dict(zip(self.model.parameters, outputs[1:], strict=True))

    @property
    def known_forms(self) -> list[Prepared]:
        """All forms made so far."""
        return [used for group in self._known.values() for found in group for used in found.in_use()]

    @property
    def forms(self) -> list[str]:
        """How each kind of values met runs."""
        return [found.told for found in self.known_forms]

    @property
    def plan(self) -> Any:
        """The plan last run; None before the first call, and where the model ran as it is."""
        return None if self.last is None else self.last.plan


class _Recorder:
    """Unrolls a model as `record` runs a function."""

    def __init__(self, compiled: CompiledModel, keys: list[Key], arrays: list[Any], lengths: dict[str, int]) -> None:
        self.model, self.places = compiled.model, compiled.places
        self.keys, self.arrays, self.lengths = keys, arrays, lengths
        names = set(compiled.model.parameters)
        self.leaves = [Leaf(n, array, key in names) for n, (key, array) in enumerate(zip(keys, arrays, strict=True))]
        apart = [name for name in self.places.over if name not in keys]
        told = self.places.reason or (f"{apart[0]} is given place by place" if apart else "")
        self.reasons = [told] if told else []

    @property
    def times(self) -> dict[int, int]:
        """The inputs that have time first; none for a model that is not looked at as one step repeated."""
        return {} if self.reasons else {n: 0 for n, key in enumerate(self.keys) if key in self.places.over}

    def unrolled(self, arrays: list[Any], lengths: Mapping[str, int]) -> Any:
        """The model's run with these values, which may be changed ones: no label is checked."""
        values = {self._place(key, lengths): array for key, array in zip(self.keys, arrays, strict=True)}
        batch = self.places.batch(self.keys, arrays)
        T = next(iter(lengths.values()))
        return self.model.unroll(T, batch=batch, values=values, lengths=lengths, checked=False)

    def _place(self, key: Key, lengths: Mapping[str, int]) -> Key:
        return (key, self.places.end(key, lengths)) if key in self.places.last else key

    def run(self, times: dict[int, int], length: int, other: bool, folded: bool = True) -> tuple[Built, Any]:
        """One recording."""
        lengths = dict.fromkeys(self.lengths, length) if folded else self.lengths
        arrays = self._cut(times, length)
        arrays = [changed(array) for array in arrays] if other else arrays
        first_id = next_id()
        with entered(ROOT), np.errstate(all="ignore"), told_as_reason(length if folded else 0):
            run = self.unrolled(arrays, lengths)
        numbers = {key: n for n, key in enumerate(self.keys)}
        leaves: dict[int, Any] = {tensor.id: numbers[name] for name, tensor in run.parameters.items()}
        named = {self._place(key, lengths): n for key, n in numbers.items() if not self.leaves[n].differentiated}
        for place, tensor in run.inputs.items():
            key = self.places.key_of(place, numbers, lengths)
            if key in numbers and (place[1] is None or not folded):
                at = self.places.index(place, lengths) if key in self.places.over else None
                leaves[tensor.id] = numbers[key] if at is None else (numbers[key], at)
        built = build([[run.loss]], leaves, first_id, length, folded, named)
        built.recorded = self._recording(run, arrays)
        return built, (("output", 0), [None])

    def recording(self, times: dict[int, int], length: int) -> Recording:
        """One recording as it is."""
        arrays = self._cut(times, length)
        with entered(ROOT), np.errstate(all="ignore"):
            return self._recording(self.unrolled(arrays, dict.fromkeys(self.lengths, length)), arrays)

    def _cut(self, times: dict[int, int], length: int) -> list[Any]:
        return [cut(array, 0, length) if n in times else array for n, array in enumerate(self.arrays)]

    def _recording(self, run: Any, arrays: list[Any]) -> Recording:
        found = Recording([run.loss], ("output", 0), dict(enumerate(arrays)))
        found.wanted = [(run.parameters[self.keys[leaf.number]], 0) for leaf in self.leaves if leaf.differentiated]
        return found


def compile_model(model: Any, executor: str = "numpy", checkpoint: int | str | None = None) -> CompiledModel:
    """The compiled form of a model; see `CompiledModel`. Raises `GraphError` for a file with `batch: columns`."""
    if model.convention.samples:
        told = "a file with `batch: columns` is not compiled: its equations are those of one number of samples"
        raise GraphError(f"{told}; without this line they hold for each sample, and any number is given")
    return CompiledModel(model, executor, checkpoint)
