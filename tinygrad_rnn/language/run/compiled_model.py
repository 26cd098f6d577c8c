"""A model, compiled: its loss and gradients as a fast function of all values.

A call unrolls nothing once its lengths are known: the function that `compiler` records is `unroll` itself, on Tensors.
Here stands what such a function takes: which values, under which keys, how long its sequences are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import prod
from typing import Any

import numpy as np

from ...compiler.function import Compiled
from ...compiler.trace.record import Recorder
from ...core.errors import GraphError, ShapeError
from ...core.functional import value_and_grad
from ..syntax.indices import Lengths, Range, Step, numbers
from .resolver import Place
from .unroll import Unroller

#: a name, or a name and its step
Key = Any


class CompiledModel(Compiled):
    """The loss of a model and its gradients with respect to the parameters; call it with all values by name.

    Parameters, and what has no steps, by name. An input by name as an array over the steps of its indices, as `unroll`
    takes it: (T, n, batch) or (T, n), labels (T, batch) or (T,), with two indices (I, J, n, batch); or place by place,
    as `run.inputs` has it, by (name, step): ("x", 7), ("x", (1, 2)). What is read at the last step only is given by
    name without its steps; what lies before the first step, as an initial state, by (name, step), as ("h", 0): (n,
    batch) or (n, 1). lengths: how long sequences are, {"T": 5}, where no array says it. Returns the loss and a dict of
    gradients.

    A model that is one step repeated is compiled for all lengths; any other flat, for the lengths it is called with.
    Raises `GraphError` for a value that is missing or unknown and for a file with `batch: columns`, `ShapeError` for
    lengths that differ.
    """

    def __init__(self, model: Any, executor: str = "numpy", checkpoint: int | str | None = None) -> None:
        if model.convention.samples:
            told = "a file with `batch: columns` is not compiled: its equations are those of one number of samples"
            raise GraphError(f"{told}; without this line they hold for each sample, and any number is given")
        super().__init__(value_and_grad(self._loss), executor, checkpoint)
        self.model, self.places = model, Places(model)

    def __call__(
        self, values: Mapping[Key, Any], lengths: Mapping[str, int] | None = None
    ) -> tuple[float, dict[str, Any]]:
        values = by_name(values)
        complete = self.places.lengths(values, lengths)
        values = {key: self._formed(key, values[key]) for key in self.places.keys(values, complete)}
        parameters = {name: values.pop(name) for name in self.places.parameters}
        unsaid = {name: complete[name] for name in complete.keys() - self.places.told(values)}
        found: tuple[float, dict[str, Any]] = super().__call__(parameters, values, unsaid)
        return found

    def recorder(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Recorder:
        """What records the model with these values, of which the file says which are sequences."""
        made = super().recorder(args, kwargs)
        parameters, data, _ = args
        apart = next((f"{name} is given place by place" for name in self.places.over if name not in data), "")
        reason = self.places.reason or apart
        made.reasons = [reason] if reason else []
        keys = enumerate([*parameters, *data])
        made.times = {} if reason else {n: 0 for n, key in keys if key in self.places.over}
        return made

    def _loss(self, parameters: dict[str, Any], data: dict[Key, Any], unsaid: dict[str, int]) -> Any:
        """The loss as a function that is compiled: of arrays or Tensors, whose shapes say all other lengths."""
        lengths = self.places.lengths(data, unsaid)
        places = {
            (key, self.places.end(key, lengths)) if key in self.places.last else key: x for key, x in data.items()
        }
        samples = max((self.places.samples(key, np.shape(x)) for key, x in data.items()), default=1)
        return Unroller(self.model, lengths, 0, samples, {**parameters, **places}, 1.0, checked=False).run().loss

    def _formed(self, key: Key, value: Any) -> Any:
        """A value as an array of floats, or of class numbers; what all samples share, in the shape of its equations."""
        array = np.asarray(value)
        if self.places.is_class(key):
            return array
        array = array if array.dtype.kind == "f" else array.astype(float)
        shape = self.places.shape(key)
        if self.places.has_samples(key) or array.size != prod(shape):
            return array
        return float(array.reshape(())) if array.size == 1 else array.reshape(shape)


class Places:
    """The leaves of a model: `once` (names without steps), `last` (read at the last step alone), `over` (along their
    indices); and which are places outside of the sequences, as an initial state. A model is asked once, unrolled for a
    few steps, which leaves it reads.
    """

    def __init__(self, model: Any) -> None:
        self.model, self.quantities = model, model.quantities
        self.parameters = list(model.parameters)
        self._known: dict[tuple[int, ...], list[Place]] = {}
        self._asked: dict[frozenset[Key], list[Key]] = {}
        lengths = self.at_probing = model.lengths(4 + 2 * model.longest_delay)
        self.probed = self.read(lengths)
        steps_read: dict[str, list[Step]] = {}
        for name, step in self.probed:
            if step is not None and self.inside(name, step, lengths):
                steps_read.setdefault(name, []).append(step)
        self.once = {name for name, step in self.probed if step is None}
        self.last = {name for name, steps in steps_read.items() if steps == [self.end(name, lengths)]}
        self.over = [name for name in steps_read if name not in self.last]
        outside = [step for name, step in self.probed if step is not None and not self.inside(name, step, lengths)]
        #: whether which places are read depends on the lengths
        self.moving = any(not isinstance(step, int) or step > 0 for step in outside)
        #: why steps of this model are not looked at as one step repeated; empty if they may be
        self.reason = self._several() or self._in_part({name: steps_read[name] for name in self.over})

    def _several(self) -> str:
        ranges = set(self.quantities.document.indices.values())
        if len(ranges) > 1 or any(isinstance(step, tuple) for _, step in self.probed):
            return "several indices"
        (within,) = ranges
        if (within.first.variable, within.first.constant) != (None, 1) or str(within.last) != within.last.variable:
            return f"steps that run over {within}"
        return "" if self.over else "no argument is a sequence"

    def _in_part(self, steps_read: Mapping[str, list[Step]]) -> str:
        for name, steps in steps_read.items():
            sizes = [
                within.last.at(self.at_probing) - within.first.at(self.at_probing) + 1 for within in self.ranges(name)
            ]
            if len(steps) != prod(sizes):
                return "" if steps[0] == 1 else f"{name} is read at some of the steps"
        return ""

    # -- places -------------------------------------------------------------------------------------------------------
    def read(self, lengths: Lengths) -> list[Place]:
        """Every place that a run of these lengths reads and no equation defines."""
        key = tuple(lengths.values())
        if key not in self._known:
            run = self.model.unroll(next(iter(lengths.values())), lengths=lengths)
            defined = self.quantities.defined.items()
            stated = {name: self.quantities.coverage(found, lengths) for (name, timed), found in defined if timed}
            self._known[key] = [(name, step) for name, step in run.inputs if step not in stated.get(name, ())]
        return self._known[key]

    def ranges(self, name: str) -> tuple[Range, ...]:
        """What the indices of a quantity run over."""
        return tuple(self.quantities.ranges_of(name))

    def inside(self, name: str, step: Step, lengths: Lengths) -> bool:
        """Whether a step lies in its sequences."""
        at, ranges = numbers(step), self.ranges(name)
        return len(at) == len(ranges) and all(r.holds(i, lengths) for i, r in zip(at, ranges, strict=True))

    def end(self, name: str, lengths: Lengths) -> Any:
        """The last step of a quantity."""
        ends = tuple(within.last.at(lengths) for within in self.ranges(name))
        return ends if len(ends) > 1 else ends[0]

    def key_of(self, place: Place, given: Mapping[Key, Any], lengths: Lengths) -> Key:
        """The key under which the value at a place is given: its own, or the name it is part of."""
        name, step = place
        if place in given and name not in given:
            return place
        held = step is None or ((name in self.last or name in self.over) and self.inside(name, step, lengths))
        return name if held else place

    # -- the values of a key ------------------------------------------------------------------------------------------
    def shape(self, key: Key) -> tuple[int, int]:
        """Rows and columns at one place."""
        timed = isinstance(key, tuple) or key in self.over or key in self.last
        shape: tuple[int, int] = self.model.shapes_.names[key[0] if isinstance(key, tuple) else key, timed]
        return shape

    def is_class(self, key: Key) -> bool:
        """Whether the values are class numbers."""
        timed = isinstance(key, tuple) or (key not in self.once and key not in self.parameters)
        return (key[0] if isinstance(key, tuple) else key, timed) in self.quantities.classes

    def has_samples(self, key: Key) -> bool:
        """Whether each sample has a value of its own."""
        timed = isinstance(key, tuple) or key in self.over or key in self.last
        return timed or self.is_class(key) or key in self.model.document.inputs

    def samples(self, key: Key, shape: tuple[int, ...]) -> int:
        """How many samples an array of this shape has for a key."""
        if not self.has_samples(key):
            return 1
        steps = prod(shape[: len(self.ranges(key))]) if key in self.over else 1
        entries = 1 if self.is_class(key) else prod(self.shape(key))
        return max(1, prod(shape) // max(1, steps * entries))

    # -- what is given ------------------------------------------------------------------------------------------------
    def keys(self, given: Mapping[Key, Any], lengths: Lengths) -> list[Key]:
        """The keys of all values, the parameters first; raises `GraphError` for missing and unknown ones."""
        asked = frozenset(given)
        if asked not in self._asked:
            by_place = any(isinstance(key, tuple) and key[0] in self.over and key[0] not in given for key in given)
            moving = self.moving or by_place
            places, at = (self.read(lengths), lengths) if moving else (self.probed, self.at_probing)
            wanted = list(dict.fromkeys([*self.parameters, *(self.key_of(place, given, at) for place in places)]))
            self._compare(wanted, given)
            if moving:
                return wanted
            self._asked[asked] = wanted
        return self._asked[asked]

    def _compare(self, wanted: Iterable[Key], given: Mapping[Key, Any]) -> None:
        wanted = list(dict.fromkeys(wanted))
        missing = [key for key in wanted if key not in given]
        unknown = [key for key in given if key not in wanted]
        if missing or unknown:
            told = f"missing: {_listed(missing)}" if missing else f"unknown: {_listed(unknown)}"
            raise GraphError(f"this model takes values for {_listed(wanted, 40, str)}; {told}")

    def lengths(self, given: Mapping[Key, Any], stated: Lengths | None = None) -> dict[str, int]:
        """How long each sequence is, as the arrays say, else the steps that are given.

        Raises `ShapeError` where two of them disagree, `GraphError` where nothing says it.
        """
        said = {name: {length} for name, length in (stated or {}).items()}
        for name, lengths in self.told(given).items():
            said.setdefault(name, set()).update(lengths)
        least = self._least(given)
        asked = self.model.lengths(1)
        for name in asked:
            if len(said.get(name, ())) > 1:
                raise ShapeError(f"the inputs of one sequence have one length, not {sorted(said[name])}")
        if unsaid := [name for name in asked if name not in said and name not in least]:
            # what is missing may be what would have said it
            self._compare(
                [*self.parameters, *(self.key_of(place, {}, self.at_probing) for place in self.probed)], given
            )
            raise GraphError(f"nothing given says how long {unsaid[0]} is: add lengths={{{unsaid[0]!r}: ...}}")
        return {name: next(iter(said[name])) if name in said else least[name] for name in asked}

    def told(self, given: Mapping[Key, Any]) -> dict[str, set[int]]:
        """The lengths that the shapes of arrays over steps say. Raises `ShapeError` for one that fits no length."""
        found: dict[str, set[int]] = {}
        for name in (name for name in self.over if name in given):
            ranges, shape = self.ranges(name), np.shape(given[name])
            if len(shape) < len(ranges):
                begin = f"its shape begins with {len(ranges)} lengths"
                raise ShapeError(f"{name} is given for each step, so {begin}: {shape}")
            for size, within in zip(shape, ranges, strict=False):
                length, rest = divmod(size + within.first.constant - 1 - within.last.constant, within.last.scale)
                if rest:
                    raise ShapeError(f"{name} has {size} steps, but they run over {within}")
                found.setdefault(str(within.last.variable), set()).add(length)
        return found

    def _least(self, given: Mapping[Key, Any]) -> dict[str, int]:
        """The lengths that the last of the places say which are given one by one."""
        found: dict[str, int] = {}
        for name, step in (key for key in given if isinstance(key, tuple) and len(key) == 2 and key[0] in self.over):
            for at, within in zip(step if isinstance(step, tuple) else (step,), self.ranges(name), strict=False):
                length = -((within.last.constant - at) // within.last.scale) if isinstance(at, int) else 1
                variable = str(within.last.variable)
                found[variable] = max(length, found.get(variable, length))
        return found


def by_name(given: Mapping[Key, Any]) -> dict[Key, Any]:
    """The same values; what has no steps by its name alone, which `run.inputs` calls (name, None)."""
    found = {
        key[0] if isinstance(key, tuple) and len(key) == 2 and key[1] is None else key: x for key, x in given.items()
    }
    if len(found) < len(given):
        twice = [key for key in found if key in given and (key, None) in given]
        raise GraphError(f"{twice[0]} is given twice, as {twice[0]!r} and as {(twice[0], None)!r}")
    return found


def _listed(keys: list[Key], most: int = 8, shown: Any = repr) -> str:
    told = ", ".join(map(shown, keys[:most])) + (", ..." if len(keys) > most else "")
    return told if shown is str else f"[{told}]"
