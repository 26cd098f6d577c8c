"""What an equation file takes when it is compiled: which values, under which keys, and how long its sequences are.

A file is asked once, unrolled for a few steps, which leaves it reads. Values are named as `unroll` has them: by name,
over the steps of each index; or place by place, as `run.inputs` has them. How it is compiled stands in `equations`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from ..core.errors import GraphError, ShapeError

#: a name, or a name and its step
Key = Any
Place = tuple[str, Any]


class Places:
    """The leaves of a model: `once` (names without steps), `last` (read at the last step alone), `over` (along their
    indices); and which are places outside of the sequences, as an initial state.
    """

    def __init__(self, model: Any) -> None:
        self.model, self.quantities = model, model.quantities
        self.parameters = list(model.parameters)
        self._known: dict[tuple[int, ...], list[Place]] = {}
        self._asked: dict[frozenset[Key], list[Key]] = {}
        self._forms: dict[Key, _Form] = {}
        lengths = self.at_probing = model.lengths(4 + 2 * model.longest_delay)
        self.probed = self.read(lengths)
        found: dict[str, list[Any]] = {}
        for name, step in self.probed:
            if step is not None and self.inside(name, step, lengths):
                found.setdefault(name, []).append(step)
        self.once = {name for name, step in self.probed if step is None}
        self.last = {name for name, steps in found.items() if steps == [self.end(name, lengths)]}
        self.over = [name for name in found if name not in self.last]
        whole = {name for name, steps in found.items() if len(steps) == self._size(name, lengths)} | self.last
        outside = [(name, step) for name, step in self.probed if self._beside(name, step, lengths)]
        #: whether which places are read depends on the lengths
        self.moving = any(not isinstance(step, int) or step > 0 for _, step in outside)
        #: why steps of this model are not looked at as one step repeated; empty if they may be
        self.reason = self._several() or ("" if whole >= set(found) else self._parts(found, whole))

    def _several(self) -> str:
        ranges = {within for name in self.quantities.document.indices for within in [self._range(name)]}
        if len(ranges) > 1 or any(isinstance(step, tuple) for _, step in self.probed):
            return "several indices"
        (within,) = ranges
        plain = within.first.variable is None and within.first.constant == 1
        straight = (within.last.scale, within.last.constant) == (1, 0)
        if not (plain and straight):
            return f"steps that run over {within}"
        return "" if self.over else "no argument is a sequence"

    def _parts(self, found: dict[str, list[Any]], whole: set[str]) -> str:
        name = next(name for name in found if name not in whole)
        return "" if found[name][0] == 1 else f"{name} is read at some of the steps"

    # -- places -------------------------------------------------------------------------------------------------------
    def read(self, lengths: Mapping[str, int]) -> list[Place]:
        """Every place that a run of these lengths reads and no equation defines."""
        key = tuple(lengths.values())
        if key not in self._known:
            self._known[key] = self._read(lengths)
        return self._known[key]

    def _read(self, lengths: Mapping[str, int]) -> list[Place]:
        run = self.model.unroll(next(iter(lengths.values())), lengths=lengths)
        stated = {
            key[0]: self.quantities.coverage(equations, lengths)
            for key, equations in self.quantities.defined.items()
            if key[1]
        }
        return [(name, step) for name, step in run.inputs if step not in stated.get(name, ())]

    def _range(self, index: str) -> Any:
        return self.quantities.document.indices[index]

    def ranges(self, name: str) -> tuple[Any, ...]:
        """What the indices of a quantity run over."""
        return tuple(self.quantities.ranges_of(name))

    def inside(self, name: str, step: Any, lengths: Mapping[str, int]) -> bool:
        """Whether a step lies in its sequences."""
        at = step if isinstance(step, tuple) else (step,)
        ranges = self.ranges(name)
        return len(at) == len(ranges) and all(r.holds(i, lengths) for i, r in zip(at, ranges, strict=True))

    def _beside(self, name: str, step: Any, lengths: Mapping[str, int]) -> bool:
        return step is not None and not self.inside(name, step, lengths)

    def end(self, name: str, lengths: Mapping[str, int]) -> Any:
        """The last step of a quantity."""
        ends = tuple(within.last.at(lengths) for within in self.ranges(name))
        return ends if len(ends) > 1 else ends[0]

    def _size(self, name: str, lengths: Mapping[str, int]) -> int:
        return int(np.prod([r.last.at(lengths) - r.first.at(lengths) + 1 for r in self.ranges(name)]))

    def index(self, place: Place, lengths: Mapping[str, int]) -> tuple[int, ...]:
        """Where a place stands in an array over the steps."""
        name, step = place
        at = step if isinstance(step, tuple) else (step,)
        return tuple(i - r.first.at(lengths) for i, r in zip(at, self.ranges(name), strict=True))

    def key_of(self, place: Place, given: Mapping[Key, Any], lengths: Mapping[str, int]) -> Key:
        """The key under which the value at a place is given: its own, or the name it is part of."""
        name, step = place
        if place in given and name not in given:
            return place
        held = step is None or ((name in self.last or name in self.over) and self.inside(name, step, lengths))
        return name if held else place

    # -- what is given ------------------------------------------------------------------------------------------------
    def keys(self, given: Mapping[Key, Any], lengths: Mapping[str, int]) -> list[Key]:
        """The keys of all values, the parameters first; raises `GraphError` for missing and unknown ones."""
        asked = frozenset(given)
        if asked in self._asked:
            return self._asked[asked]
        by_place = any(isinstance(key, tuple) and key[0] in self.over and key[0] not in given for key in given)
        places, lengths = (self.read(lengths), lengths) if self.moving or by_place else (self.probed, self.at_probing)
        wanted = dict.fromkeys([*self.parameters, *(self.key_of(place, given, lengths) for place in places)])
        self._compare(wanted, given)
        if not self.moving and not by_place:
            self._asked[asked] = list(wanted)
        return list(wanted)

    def _compare(self, wanted: Mapping[Key, Any], given: Mapping[Key, Any]) -> None:
        missing = [key for key in wanted if key not in given]
        unknown = [key for key in given if key not in wanted]
        if missing or unknown:
            told = f"missing: {_listed(missing)}" if missing else f"unknown: {_listed(unknown)}"
            raise GraphError(f"this model takes values for {_listed(list(wanted), 40, str)}; {told}")

    def lengths(self, given: Mapping[Key, Any], stated: Mapping[str, int] | None = None) -> dict[str, int]:
        """How long each sequence is, as the arrays say, else the steps that are given.

        Raises `ShapeError` where two of them disagree, `GraphError` where nothing says it.
        """
        found: dict[str, set[int]] = {name: {length} for name, length in (stated or {}).items()}
        for name in self.over:
            if name in given:
                self._of_array(name, np.shape(given[name]), found)
        for name, step in (key for key in given if isinstance(key, tuple) and len(key) == 2):
            if name in self.over:
                self._of_place(name, step, found)
        asked = self.model.lengths(1)
        for name in asked:
            if len(found.get(name, ())) > 1:
                raise ShapeError(f"the inputs of one sequence have one length, not {sorted(found[name])}")
        if unsaid := [name for name in asked if name not in found]:
            # what is missing may be what would have said it
            self._compare(dict.fromkeys([*self.parameters, *map(self._usual, self.probed)]), given)
            raise GraphError(f"nothing given says how long {unsaid[0]} is: add lengths={{{unsaid[0]!r}: ...}}")
        return {name: next(iter(found[name])) for name in asked}

    def _usual(self, place: Place) -> Key:
        return place[0] if place[0] in self.once or place[0] in self.last or place[0] in self.over else place

    def _of_array(self, name: str, shape: tuple[int, ...], found: dict[str, set[int]]) -> None:
        ranges = self.ranges(name)
        if len(shape) < len(ranges):
            raise ShapeError(f"{name} is given for each step, so its shape begins with {len(ranges)} lengths: {shape}")
        for size, within in zip(shape, ranges, strict=False):
            last = size + within.first.constant - 1 - within.last.constant
            length, rest = divmod(last, within.last.scale)
            if rest:
                raise ShapeError(f"{name} has {size} steps, but they run over {within}")
            found.setdefault(within.last.variable, set()).add(length)

    def _of_place(self, name: str, step: Any, found: dict[str, set[int]]) -> None:
        at = step if isinstance(step, tuple) else (step,)
        for i, within in zip(at, self.ranges(name), strict=False):
            least = -((within.last.constant - i) // within.last.scale) if isinstance(i, int) else 1
            known = found.setdefault(within.last.variable, set())
            if not known or (isinstance(known, _Least) and least > max(known)):
                found[within.last.variable] = _Least({least})

    def arrays(self, keys: list[Key], given: Mapping[Key, Any]) -> list[Any]:
        """The values as arrays that have all axes, and as many samples as there are."""
        formed = [self._formed(key, given[key]) for key in keys]
        axes = [self._batch_axis(key, value) for key, value in zip(keys, formed, strict=True)]
        batch = _most(formed, axes)
        return [
            value if axis is None or value.shape[axis] == batch else _repeated(value, axis, batch)
            for value, axis in zip(formed, axes, strict=True)
        ]

    def batch(self, keys: list[Key], arrays: list[Any]) -> int:
        """How many samples there are."""
        return _most(arrays, [self._batch_axis(key, value) for key, value in zip(keys, arrays, strict=True)])

    def _formed(self, key: Key, value: Any) -> Any:
        form, array = self._form(key), np.asarray(value)
        if form.labels:
            return array[..., None] if array.ndim == form.prefix else array
        array = array if array.dtype.kind == "f" else array.astype(float)
        if array.ndim == form.prefix + 2 and form.samples:
            return array
        if form.size == 1 and array.size == 1 and not form.samples:
            return float(array.reshape(()))
        steps = array.shape[: form.prefix]
        if array.ndim < form.prefix + 2 and array.size == int(np.prod(steps)) * form.size:
            return array.reshape((*steps, form.rows, form.columns))
        if array.ndim == form.prefix + 1 and form.size == 1:
            return array.reshape((*steps, 1, -1))
        return array

    def _form(self, key: Key) -> _Form:
        if key not in self._forms:
            name, timed = (key[0], True) if isinstance(key, tuple) else (key, key in self.over or key in self.last)
            labels = (name, name not in self.once and name not in self.parameters) in self.quantities.classes
            samples = timed or labels or name in self.model.document.inputs
            prefix = len(self.ranges(name)) if key in self.over else 0
            rows, columns = self.model.shapes_.names[name, timed]
            self._forms[key] = _Form(prefix, rows, columns, labels, samples)
        return self._forms[key]

    def _batch_axis(self, key: Key, value: Any) -> int | None:
        form = self._form(key)
        if not form.samples or not np.ndim(value):
            return None
        if form.labels:
            return -1
        if np.ndim(value) != form.prefix + 2 or 1 not in (form.rows, form.columns):
            return None
        return -1 if form.columns == 1 else -2


def by_name(given: Mapping[Key, Any]) -> dict[Key, Any]:
    """The same values; what has no steps by its name alone, which `run.inputs` calls (name, None)."""
    found = {
        key[0] if isinstance(key, tuple) and len(key) == 2 and key[1] is None else key: x for key, x in given.items()
    }
    if len(found) < len(given):
        twice = [key for key in found if key in given and (key, None) in given]
        raise GraphError(f"{twice[0]} is given twice, as {twice[0]!r} and as {(twice[0], None)!r}")
    return found


class _Form(NamedTuple):
    """How many axes of steps stand in front; rows and columns; whether it holds class numbers; whether each sample has
    a value of its own."""

    prefix: int
    rows: int
    columns: int
    labels: bool
    samples: bool

    @property
    def size(self) -> int:
        return self.rows * self.columns


class _Least(set[int]):
    """A length of which only is known that it is no less."""


def _most(arrays: list[Any], axes: list[int | None]) -> int:
    return max((x.shape[axis] for x, axis in zip(arrays, axes, strict=True) if axis is not None), default=1)


def _repeated(value: Any, axis: int, batch: int) -> Any:
    return np.repeat(value, batch, axis) if value.shape[axis] == 1 else value


def _listed(keys: list[Key], most: int = 8, shown: Any = repr) -> str:
    told = ", ".join(map(shown, keys[:most])) + (", ..." if len(keys) > most else "")
    return told if shown is str else f"[{told}]"
